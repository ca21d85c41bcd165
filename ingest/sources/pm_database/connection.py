"""Connections to PM databases: read-only, with time limits, and with errors that show no value. Sessions on PostgreSQL, MySQL
and MariaDB are read-only, a SQLite file is opened read-only, and each read uses one snapshot. Every call to a server runs in a
thread beside the caller, who waits for a limited time (`Watch`), because no driver notices that a network has lost the answer.
"""

import os
import queue
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from foundation.config import Feed
from ingest.interface import UnreadableUnit

CONNECT_SECONDS = 15
# SQLite's messages about tables, columns and syntax; its other messages may contain values.
_SQLITE_SCHEMA = re.compile(
    r"^(no such (table|column|function)|near \"|ambiguous column|incomplete input|SELECTs to the)"
)
# A server that shuts down, starts, is full, or ends one of two that wait for each other: another try may do.
_PASSING_STATES = ("57P01", "57P02", "57P03", "57P05", "25P03", "40001", "40P01", "53300")
_PASSING_WORDS = re.compile(
    r"starting up|shutting down|recovery mode|too many|remaining connection slots", re.IGNORECASE
)
_PASSING_CODES = (1040, 1053, 1205, 1213, 2003, 2006, 2013, 2014, 2055, 4031)  # of MySQL and MariaDB
T = TypeVar("T")


class Broken(Exception):
    """The connection failed in a way that another try may mend. `reason` holds no value and no URL."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def url_of(feed: Feed) -> URL:
    """The feed's URL. Raises UnreadableUnit if it is not a URL."""
    try:
        return make_url((feed.url or "").replace("postgres://", "postgresql://", 1))
    except (sa.exc.ArgumentError, ValueError):
        raise UnreadableUnit(
            reason="database_url_not_valid",
            position="",
            problem="the url is not a SQLAlchemy URL",
            remedy="Check the feed's url",
        ) from None


def engine_of(feed: Feed, timeout_seconds: int, zone: str = "UTC") -> Engine:
    """An engine without a pool whose sessions are read-only; a SQLite file is opened read-only and never created. `zone` (IANA)
    is the zone in which MySQL and MariaDB return TIMESTAMP columns and the current day.
    """
    url = url_of(feed)
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        engine = sa.create_engine(url, poolclass=NullPool, connect_args=_limits(url, timeout_seconds))
    except sa.exc.NoSuchModuleError:
        raise UnreadableUnit(
            reason="database_kind_unknown",
            position="",
            problem="the url names an unknown kind of database",
            remedy="Check the feed's url",
        ) from None
    except ModuleNotFoundError as error:
        remedy = f"Install the driver {error.name}"
        raise UnreadableUnit(
            reason="database_driver_missing", position="", problem="the database driver is not installed", remedy=remedy
        ) from None
    except (sa.exc.ArgumentError, ValueError):
        raise UnreadableUnit(
            reason="database_url_not_valid",
            position="",
            problem="the url is not a SQLAlchemy URL",
            remedy="Check the feed's url",
        ) from None

    @sa.event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        _prepare(connection, engine.dialect.name, timeout_seconds, zone)

    return engine


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "").expanduser()
    if not url.database or url.database == ":memory:" or not path.is_file():
        raise UnreadableUnit(
            reason="database_file_missing",
            position="",
            problem=f"no such file: {path}",
            remedy="Check the feed's url and its rights",
        )
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(place, uri=True, check_same_thread=False), poolclass=NullPool
    )


def _limits(url: URL, timeout_seconds: int) -> dict[str, Any]:
    """Arguments of the driver that end a wait for a connection or an answer; the URL has priority."""
    match url.get_backend_name():
        case "postgresql":
            limits: dict[str, Any] = {
                "connect_timeout": CONNECT_SECONDS,
                "keepalives_idle": 30,
                "keepalives_interval": 10,
            }
        case "mysql" | "mariadb" if url.get_driver_name() == "pymysql":
            limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": timeout_seconds + CONNECT_SECONDS}
        case "mysql" | "mariadb" if url.get_driver_name() == "mysqldb":
            limits = {"connect_timeout": CONNECT_SECONDS}
        case _:
            limits = {}
    return {name: value for name, value in limits.items() if name not in url.query}


def session_settings(dialect: str, timeout_seconds: int) -> tuple[str, ...]:
    """Statements that make a session read-only, its transactions one snapshot each, and its answers timely."""
    match dialect:
        case "postgresql":
            return (
                "set session characteristics as transaction isolation level repeatable read, read only",
                f"set statement_timeout = {timeout_seconds * 1000}",
            )
        case "mysql" | "mariadb":
            return (
                "set session transaction isolation level repeatable read",
                "set session transaction read only",
                # The server waits for a reader that is busy with the rows before.
                f"set session net_write_timeout = {timeout_seconds}",
            )
        case _:
            return ()


def _prepare(connection: Any, dialect: str, timeout_seconds: int, zone: str) -> None:
    cursor = connection.cursor()
    for statement in session_settings(dialect, timeout_seconds):
        cursor.execute(statement)
    if dialect in ("mysql", "mariadb"):
        _set_zone(connection, cursor, zone)
    cursor.close()
    connection.commit()
    if hasattr(connection, "adapters"):
        _read_as_text(connection)


def _set_zone(connection: Any, cursor: Any, zone: str) -> None:
    """The session's zone by name; by its offset of today where the server's tables of zones are empty, as they come."""
    try:
        cursor.execute(f"set session time_zone = '{zone}'")
    except connection.Error:
        offset = datetime.now(ZoneInfo(zone)).isoformat()[-6:]
        cursor.execute(f"set session time_zone = '{offset}'")


def _read_as_text(connection: Any) -> None:
    """Psycopg: JSON stays the text it is; a date that Python has none for (infinity) becomes text, not an error."""
    from psycopg import DataError
    from psycopg.types import datetime as kinds
    from psycopg.types.json import set_json_loads

    def loads(data: str | bytes) -> str:
        return data if isinstance(data, str) else bytes(data).decode("utf-8")

    set_json_loads(loads, connection)

    def forgiving(loader: type[Any]) -> type[Any]:
        class Forgiving(loader):  # type: ignore[misc]  # the driver's loaders are known at run time alone
            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except DataError:
                    return bytes(data).decode("ascii")

        return Forgiving

    for name, loader in (
        ("date", kinds.DateLoader),
        ("timestamp", kinds.TimestampLoader),
        ("timestamptz", kinds.TimestamptzLoader),
    ):
        connection.adapters.register_loader(name, forgiving(loader))


def connect(engine: Engine) -> Connection:
    """A connection. Raises Broken where another try may do, else UnreadableUnit."""
    try:
        return engine.connect()
    except sa.exc.SQLAlchemyError as error:
        if _is_passing_at_sign_in(error):
            raise Broken(f"the database cannot be reached ({explain(error)})") from None
        raise UnreadableUnit(
            reason="database_not_reachable",
            position="",
            problem=f"the database cannot be reached ({explain(error)})",
            remedy="Check the feed's url",
        ) from None


def _is_passing_at_sign_in(error: sa.exc.SQLAlchemyError) -> bool:
    cause = getattr(error, "orig", None)
    if cause is None or isinstance(cause, sqlite3.Error):
        return False
    text = str(cause)
    # Libpq gives no code here. FATAL comes from the server itself: another try does not help against a wrong password.
    return is_broken(error) and ("FATAL" not in text or bool(_PASSING_WORDS.search(text)))


def probe(connection: Connection, tables: Collection[str] = ()) -> set[str]:
    """A first read, which only a real database answers. Returns which of some tables it lacks. Raises UnreadableUnit or Broken."""
    try:
        connection.exec_driver_sql(
            "select count(*) from sqlite_master" if connection.dialect.name == "sqlite" else "select 1"
        ).fetchall()
        inspector = sa.inspect(connection)
        return {name for name in tables if not inspector.has_table(name)}
    except sa.exc.SQLAlchemyError as error:
        if is_broken(error):
            raise Broken(explain(error)) from None
        raise UnreadableUnit(
            reason="not_a_database",
            position="",
            problem=f"the file or address is not a readable database ({explain(error)})",
            remedy="Check the feed's url",
        ) from None


def is_broken(error: BaseException) -> bool:
    """Whether the connection is at fault, or the server at this moment, and not the statement."""
    cause: BaseException = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        return False
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str) and state.strip("\0 "):
        return state[:2] == "08" or state in _PASSING_STATES
    if getattr(error, "connection_invalidated", False):
        return True
    first = cause.args[0] if cause.args else None
    if isinstance(first, int):
        return first in _PASSING_CODES
    return type(cause).__name__ in ("OperationalError", "InterfaceError", "InternalError", "TimeoutError", "OSError")


def explain(error: BaseException) -> str:
    """The error in words, without any value: the words of the database if they are about its schema, else the kind of error."""
    cause: BaseException = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str) and state.strip("\0 "):
        if state == "57014":
            return "cancelled: it took longer than timeout_seconds of the profile"
        message = getattr(getattr(cause, "diag", None), "message_primary", None)
        # Class 42 is about names and syntax, 28 and 3D about the sign-in and the database; others may quote values.
        return f"{message}, SQLSTATE {state}" if message and state[:2] in ("42", "28", "3D") else f"SQLSTATE {state}"
    first = cause.args[0] if cause.args else None
    if isinstance(first, int):
        return f"{type(cause).__name__} {first}"
    text = str(cause)
    if isinstance(cause, sqlite3.Error) and _SQLITE_SCHEMA.match(text):
        return text
    if isinstance(cause, sqlite3.DatabaseError) and text in ("file is not a database", "unable to open database file"):
        return text
    return type(cause).__name__


class Watch:
    """Runs calls one after another in a separate thread and waits for each `seconds` at most.

    A call that does not come back is left behind with its thread, which ends nothing and holds nothing but its own
    connection: `leave` names what is then done, from outside, to end the call.
    """

    def __init__(self, seconds: float, leave: Callable[[], None] | None = None) -> None:
        self.seconds, self.leave = seconds, leave
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="clinicmart-pm-database").start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._answers.put((call(), None))
            except BaseException as error:
                self._answers.put((None, error))

    def call(self, function: Callable[[], T]) -> T:
        """Calls the function: returns its result or raises its error. Raises Broken if it does not answer in time."""
        self._calls.put(function)
        try:
            answer, error = self._answers.get(timeout=self.seconds)
        except queue.Empty:
            if self.leave is not None:
                self.leave()
            raise Broken(f"no answer for {self.seconds:.0f} seconds") from None
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]

    def end(self, last: Callable[[], None]) -> None:
        """Ends the thread after one more call. It does not wait for that call, because the call before it may hang."""

        def quietly() -> None:
            # The connection may be gone already, which is all this call is for.
            try:
                last()
            except Exception:
                return

        self._calls.put(quietly)
        self._calls.put(None)


def hang_up(connection: Connection) -> None:
    """Closes the socket below a connection, so that a call that waits for the server fails at once."""
    driver = getattr(connection.connection, "dbapi_connection", None)
    held = getattr(driver, "_sock", None)  # of PyMySQL
    try:
        if isinstance(held, socket.socket):
            held.shutdown(socket.SHUT_RDWR)
        elif driver is not None and hasattr(driver, "fileno"):
            with socket.socket(fileno=os.dup(driver.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)
    except Exception:
        return
