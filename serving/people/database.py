"""The access database of a home, opened: what every part of the store stands on. It is a file of the home, or on a PostgreSQL server."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Self

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, event, select

from foundation.control_database import control_database_of
from foundation.errors import AccessError, ClinicmartError
from foundation.faults import naming
from foundation.home import CONTROL_FILE, Home
from foundation.keys import Keys
from serving.people import audit_anchor, audit_log, control_server
from serving.people.audit_anchor import anchor_of
from serving.people.control_server import server_engine
from serving.people.engines import SERVER, open_engine
from serving.people.principal import Principal, Role
from serving.people.tables import ACCESS, METADATA, TENANT, USER, USER_UNIT


@lru_cache(maxsize=16)
def _engine(path: Path) -> tuple[Engine, bool]:
    """The engine of a database, and whether it was of an earlier release when this process opened it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        was_older = ACCESS.bring_up_to_date(path)
    engine = open_engine(path)
    on_server = path.with_name(CONTROL_FILE)

    # Who opened the file before its people were moved to a server reads and writes nothing in it any more. A writer looks again once it
    # has the lock, which the move had.
    @event.listens_for(engine, "checkout")
    @event.listens_for(engine, "begin")
    def _refuse(*_: object) -> None:
        if on_server.exists():
            raise ClinicmartError(
                "the people of this home were moved to a PostgreSQL database; start this process again"
            )

    return engine, was_older


def email_of(value: str) -> str:
    return value.strip().lower()


def check_tenant(connection: Connection, tenant_id: str) -> None:
    """Raises AccessError for a tenant that is not there."""
    if connection.execute(select(TENANT.c.tenant_id).where(TENANT.c.tenant_id == tenant_id)).first() is None:
        raise AccessError("there is no such tenant")


class Database:
    """The access database of one home: reading, writing with the audit, and looking people up."""

    def __init__(self, engine: Engine, key: bytes, anchor: Path) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._key, self._anchor = key, anchor

    @classmethod
    def open(cls, home: Home) -> Self:
        """Opens, and on first use makes, the access database of a home; brings one of an earlier release up to date.

        Raises ConfigurationError for a database of a later release; on a server also for one of an earlier release, for an empty one, for
        one of another installation, and ClinicmartError where the server does not answer.
        """
        # The key first: a home that holds a database and no key has lost it.
        key = Keys.of(home).derive("audit")
        on_server = control_database_of(home)
        if on_server is not None:
            return cls(server_engine(on_server.url, key), key, anchor_of(home))
        engine, was_older = _engine(home.access)
        store = cls(engine, key, anchor_of(home))
        if was_older:
            store.begin_anchor()
        return store

    def begin_anchor(self) -> None:
        """Earlier releases wrote no heads of the audit outside the database: the first one is that of today."""
        with self._reading.connect() as connection:
            head = audit_log.head(connection)
        if head is not None and not self._anchor.exists():
            audit_anchor.write(self._anchor, self._key, head)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; what it adds to the audit is anchored once it is kept."""
        with self._engine.begin() as connection:
            # What a transaction noted that was not kept.
            connection.info.pop("audit head", None)
            yield connection
            head = connection.info.pop("audit head", None)
        if head is not None:
            audit_anchor.write(self._anchor, self._key, head)

    def rewrite_tables(self) -> None:
        """Has the server write every table again without the bytes of removed rows. Readers and writers wait meanwhile."""
        with self._reading.connect() as connection:
            for table in METADATA.sorted_tables:
                name = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"vacuum full {name}")

    @contextmanager
    def held(self, lock: int) -> Iterator[bool]:
        """Holds one of the locks of `engines` as long as the block runs, for all servers that share the database; yields whether it was
        free. A file of the home is of one machine: there the caller's own lock is enough."""
        if self._engine.dialect.name != SERVER:
            yield True
            return
        with control_server.held(self._engine, lock) as is_ours:
            yield is_ours

    @contextmanager
    def waited_for(self, lock: int) -> Iterator[None]:
        """The same, and waits for it. Raises ClinicmartError after too long."""
        if self._engine.dialect.name != SERVER:
            yield
            return
        with control_server.waited_for(self._engine, lock):
            yield

    def _audit(
        self,
        connection: Connection,
        tenant_id: str,
        actor: str,
        action: str,
        detail: Mapping[str, object],
        *,
        scope_hash: str = "",
        result: str = "done",
    ) -> None:
        connection.info["audit head"] = audit_log.append(
            connection,
            self._key,
            tenant_id=tenant_id,
            actor=actor,
            action=action,
            scope_hash=scope_hash,
            detail=detail,
            result=result,
        )

    @staticmethod
    def _is(tenant_id: str, email: str) -> ColumnElement[bool]:
        return (USER.c.tenant_id == tenant_id) & (USER.c.email == email)

    def _user(self, connection: Connection, tenant_id: str, email: str) -> RowMapping | None:
        return connection.execute(select(USER).where(self._is(tenant_id, email))).mappings().first()

    @classmethod
    def _principal(cls, connection: Connection, row: RowMapping) -> Principal:
        mine = (USER_UNIT.c.tenant_id == row["tenant_id"]) & (USER_UNIT.c.email == row["email"])
        return cls._principal_of(row, connection.execute(select(USER_UNIT.c.service_unit_id).where(mine)).scalars())

    @staticmethod
    def _principal_of(row: RowMapping, units: Iterable[str]) -> Principal:
        return Principal(
            tenant_id=row["tenant_id"],
            email=row["email"],
            display_name=row["display_name"],
            role=Role(row["role"]),
            unit_ids=tuple(sorted(units)),
            provider_id=row["provider_id"],
        )
