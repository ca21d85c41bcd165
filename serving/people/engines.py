"""How the access database is opened: SQLite in a file of the home, or PostgreSQL on a server.

Writers come one after another on both. A writing transaction takes the one write lock at its beginning (BEGIN IMMEDIATE; on PostgreSQL an
advisory lock), so that two processes, on two servers too, never read the same last row of the audit chain and never count the same
failures. Readers are in autocommit and never wait.
"""

import os
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from weakref import WeakSet

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url

from foundation.errors import ClinicmartError, ConfigurationError

# SQLAlchemy's name of PostgreSQL.
SERVER = "postgresql"
# A pair of numbers names an advisory lock of PostgreSQL in its database. The first one is ours.
OURS, WRITE_LOCK, SENDING_LOCK, SCIM_LOCK = 0x434C4D54, 1, 2, 3
_LONGEST_WAIT_SECONDS = 30
# Settings of each session, whose defaults on the server may differ. A snapshot from before the write lock was given would show an old row.
# What was answered is on disk. A server that vanished in the middle of a change gives the lock back.
_SESSION = {
    "default_transaction_isolation": "read\\ committed",
    "synchronous_commit": "on",
    "lock_timeout": f"{_LONGEST_WAIT_SECONDS}s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
_CONNECTING = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "clinicmart",
}
_LOCK_NOT_AVAILABLE = "55P03"
_OPENED: WeakSet[Engine] = WeakSet()


def open_engine(path: Path) -> Engine:
    """An engine on a file, which is readable by its owner alone. `tables.ACCESS` brings its tables up to date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _LONGEST_WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("pragma busy_timeout = 30000")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def _begin(connection: object) -> None:
        # pysqlite's own BEGIN is deferred: two writers would both read before one of them fails.
        if connection.get_isolation_level() != "AUTOCOMMIT":  # type: ignore[attr-defined]
            connection.exec_driver_sql("begin immediate")  # type: ignore[attr-defined]

    return engine


def open_server(url: str) -> Engine:
    """An engine on a PostgreSQL database. Nothing is asked yet. Its errors of connecting and waiting are ClinicmartError."""
    try:
        address = make_url(url).set(drivername="postgresql+psycopg")
    except Exception:
        raise ConfigurationError("control_database: it is not the URL of a database") from None
    engine = create_engine(
        address,
        connect_args={
            **_CONNECTING,
            "options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
            # A proxy of connections may give each transaction another session.
            "prepare_threshold": None,
        },
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        # The threads of a server of pages; a second server has as many.
        pool_size=5,
        max_overflow=30,
        hide_parameters=True,
    )
    where = f"{address.host or address.query.get('host') or 'this machine'}, database {address.database}"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Who reads one state of the database alone waits for no writer.
        if connection.get_execution_options().get("isolation_level") not in ("AUTOCOMMIT", "REPEATABLE READ"):
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({OURS}, {WRITE_LOCK})")

    @event.listens_for(engine, "handle_error", retval=True)
    def _say(context: ExceptionContext) -> BaseException | None:
        return _sentence(context, where)

    _OPENED.add(engine)
    return engine


def _forget_connections() -> None:
    """A child of a fork must not speak on its parent's connections."""
    for engine in _OPENED:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)


def _sentence(context: ExceptionContext, where: str) -> BaseException | None:
    """The error in one sentence without a password, where it is one of the server and not of a statement; else None."""
    import psycopg

    error = context.original_exception
    if getattr(error, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
        return ClinicmartError(
            f"the control database ({where}) was being written for {_LONGEST_WAIT_SECONDS} seconds; try again"
        )
    is_of_server = context.connection is None or context.is_disconnect
    if is_of_server and isinstance(error, psycopg.Error) and not context.is_pre_ping:
        message = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        return ClinicmartError(f"the control database ({where}) cannot be reached: {message}")
    return None
