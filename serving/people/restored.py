"""The access database of a home that was just restored from a backup.

Every session ends, every token of a program and every link to choose a password: what opens the running home opens nothing in the copy.
A home of one tenant holds its people alone; its audit log begins again at its first row, because rows of a chain cannot be taken out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import delete, text, update

from foundation.home import Home
from foundation.keys import Keys
from foundation.sqlite_files import compact
from serving.people import audit_anchor
from serving.people.engines import open_engine
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.people.tables import (
    ACCESS,
    API_TOKEN,
    AUDIT,
    AUDIT_HEAD,
    EMBEDDING_SITE,
    METADATA,
    REMOVAL_REQUEST,
    SCIM_TOKEN,
    SESSION,
    SIGN_IN_FAILURE,
    SUPPORT_SESSION,
    USER,
)


def settle(home: Home, *, tenant: str | None, actor: str, detail: Mapping[str, object]) -> None:
    """Ends sessions, tokens and links, writes the keys of the processes that serve pages, removes other tenants where `tenant` is given,
    and records the restore in the audit log of the restored home.

    Heads are written into the restored home, never to the file that CLINICMART_AUDIT_ANCHOR names: that is the running home's.
    """
    ACCESS.bring_up_to_date(home.access)
    engine = open_engine(home.access)
    try:
        with engine.begin() as connection:
            connection.execute(delete(SESSION))
            connection.execute(delete(SIGN_IN_FAILURE))
            for tokens in (API_TOKEN, SCIM_TOKEN, EMBEDDING_SITE):
                connection.execute(update(tokens).where(tokens.c.ended_at.is_(None)).values(ended_at=datetime.now(UTC)))
            waits = REMOVAL_REQUEST.c.ended_at.is_(None)
            withdrawn = {"ended_at": datetime.now(UTC), "problem": "withdrawn by the restore"}
            connection.execute(update(REMOVAL_REQUEST).where(waits).values(**withdrawn))
            goes_on = SUPPORT_SESSION.c.ended_at.is_(None)
            ended = {"ended_at": datetime.now(UTC), "ended_by": "the restore", "ticket_hash": None}
            connection.execute(update(SUPPORT_SESSION).where(goes_on).values(**ended))
            connection.execute(update(USER).values(reset_hash=None, reset_until=None))
            if tenant is not None:
                for table in reversed(METADATA.sorted_tables):
                    if "tenant_id" in table.c and table is not AUDIT:
                        connection.execute(delete(table).where(table.c.tenant_id != tenant))
        if tenant is not None:
            with engine.begin() as connection:
                # With their triggers, which forbid removing single rows.
                for table in (AUDIT, AUDIT_HEAD):
                    connection.execute(text(f"drop table {table.name}"))
                METADATA.create_all(connection)
        keys = Keys.of(home)
        keys.add_tenants(home.published_tenants())
        store = AccessStore(engine, keys.derive("audit"), audit_anchor.own_file(home))
        store.audit(tenant or PLATFORM, actor, "restore", detail=detail)
    finally:
        engine.dispose()
    compact(home.access)
