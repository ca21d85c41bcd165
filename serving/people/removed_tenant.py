"""Takes the people of a tenant, and everything that they set, out of the access database. The audit log keeps its rows: a chain."""

from sqlalchemy import delete, func, select

from foundation.control_database import control_database_of
from foundation.home import Home
from foundation.sqlite_files import compact
from serving.people.store import AccessStore
from serving.people.tables import AUDIT, METADATA


def remove_people(home: Home, tenant_id: str) -> dict[str, int]:
    """Ends the tenant's sessions and removes its users, rights, targets and entries; returns table to number of rows. Nothing of it is left
    in the database's files, nor in copies from before an update of the database. A server keeps it in its log and backups."""
    store = AccessStore.open(home)
    counts = {}
    with store._writing() as connection:
        for table in reversed(METADATA.sorted_tables):
            if "tenant_id" in table.c and table is not AUDIT:
                counts[table.name] = connection.execute(delete(table).where(table.c.tenant_id == tenant_id)).rowcount
    for path in home.path.glob("access.before-*.sqlite"):
        path.unlink()
    if control_database_of(home) is None:
        compact(home.access)
    else:
        store.rewrite_tables()
    return {name: count for name, count in counts.items() if count}


def kept_audit_rows(home: Home, tenant_id: str) -> int:
    """The number of rows of the audit log that name a tenant as theirs."""
    query = select(func.count()).select_from(AUDIT).where(AUDIT.c.tenant_id == tenant_id)
    with AccessStore.open(home)._reading.connect() as connection:
        return int(connection.execute(query).scalar_one())
