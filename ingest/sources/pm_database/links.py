"""Two ways to read rows of a PM database: row by row through SQLAlchemy, and in bulk from PostgreSQL through ADBC. Both return
blocks of rows for a statement. `Broken` means that another try may work, UnreadableUnit that it will not.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

from ingest.interface import UnreadableUnit
from ingest.sources.pm_database.blocks import Batch, Block, Rows, unknown_types
from ingest.sources.pm_database.connection import (
    CONNECT_SECONDS,
    Broken,
    Watch,
    connect,
    explain,
    hang_up,
    is_broken,
    session_settings,
)
from ingest.sources.pm_database.query import Statement

BATCH_BYTES = 8 << 20
_WITHOUT_SNAPSHOT = (
    "select count(*) from information_schema.tables where table_type = 'BASE TABLE' and engine <> 'InnoDB' "
    "and table_schema not in ('mysql', 'information_schema', 'performance_schema', 'sys')"
)


class NoBulk(Exception):
    """This statement cannot be read in bulk; `reason` says why, without a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Link(Protocol):
    """One connection in use."""

    dialect: str

    def names(self, statement: Statement) -> list[str]:
        """The column names of a statement."""
        ...

    def blocks(self, statement: Statement, size: int) -> Iterator[Block]:
        """The rows of a statement, at most `size` a block."""
        ...

    def count(self, statement: Statement) -> int:
        """The number that a statement gives."""
        ...

    def version(self) -> object:
        """A value that stays the same as long as every statement of this connection sees the same rows; None if the database has
        none."""
        ...

    def close(self) -> None:
        """Ends the connection, without waiting for a server that does not answer."""
        ...


def told(error: BaseException, remedy: str) -> Exception:
    """An error of a driver as Broken or UnreadableUnit."""
    if is_broken(error):
        return Broken(explain(error))
    return UnreadableUnit(
        reason="query_failed", position="", problem=f"cannot be read ({explain(error)})", remedy=remedy
    )


class RowLink:
    """Row by row, by any driver of SQLAlchemy."""

    def __init__(self, engine: Engine, timeout_seconds: float, remedy: str) -> None:
        self.dialect, self.remedy = engine.dialect.name, remedy
        self._engine = engine
        # A file answers or fails by itself; a thread to wait in would only cost time.
        self._watch = None if self.dialect == "sqlite" else Watch(CONNECT_SECONDS * 2)
        try:
            self._connection = self._call(lambda: connect(engine))
        except (Broken, UnreadableUnit):
            if self._watch is not None:
                self._watch.end(engine.dispose)
            raise
        if self._watch is not None:
            self._watch.seconds = timeout_seconds
            self._watch.leave = lambda: hang_up(self._connection)

    def _call(self, function: Any) -> Any:
        try:
            return function() if self._watch is None else self._watch.call(function)
        except (sa.exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, OSError) as error:
            raise told(error, self.remedy) from None

    def names(self, statement: Statement) -> list[str]:
        return self._call(lambda: list(self._connection.execute(statement.bound()).keys()))  # type: ignore[no-any-return]

    def blocks(self, statement: Statement, size: int) -> Iterator[Block]:
        result = self._call(lambda: self._connection.execution_options(yield_per=size).execute(statement.bound()))
        # SQLite's own cursor gives plain tuples in two thirds of the time of SQLAlchemy's rows.
        fetch = result.cursor.fetchmany if self.dialect == "sqlite" and result.cursor is not None else result.fetchmany
        while rows := self._call(lambda: fetch(size)):
            yield Rows(rows)
            if len(rows) < size:
                return

    def count(self, statement: Statement) -> int:
        return int(self._call(lambda: self._connection.execute(statement.bound()).scalar_one()))

    def version(self) -> object:
        if self.dialect == "sqlite":
            # Each statement sees the current state; the file shows whether another process wrote.
            return self._call(lambda: self._connection.exec_driver_sql("pragma data_version").scalar_one())
        if self.dialect in ("mysql", "mariadb"):
            # Only InnoDB gives a transaction one snapshot.
            others = self._call(lambda: self._connection.exec_driver_sql(_WITHOUT_SNAPSHOT).scalar_one())
            return None if others else "one snapshot"
        return "one snapshot" if self.dialect == "postgresql" else None

    def close(self) -> None:
        if self._watch is None:
            self._connection.close()
        else:
            self._watch.end(self._connection.close)


class BulkLink:
    """PostgreSQL's COPY in binary form, as Arrow.

    The driver reports errors among the rows without a code and without a text that `explain` could use. If the connection is
    not the cause, the read continues row by row (NoBulk) at the same row, and that way reports the error.
    """

    dialect = "postgresql"

    def __init__(self, url: URL, timeout_seconds: float) -> None:
        try:
            from adbc_driver_postgresql import dbapi
        except ImportError as error:
            raise NoBulk(f"no ADBC driver ({type(error).__name__})") from None
        uri = url.set(drivername="postgresql").render_as_string(hide_password=False)
        if "connect_timeout" not in url.query:
            uri += f"{'&' if '?' in uri else '?'}connect_timeout={CONNECT_SECONDS}"
        self._errors = (dbapi.Error, pa.ArrowException, OSError)
        self._connection: Any = None
        self._cursor: Any = None
        self._watch = Watch(CONNECT_SECONDS * 2)
        try:
            self._connection = self._watch.call(lambda: dbapi.connect(uri, autocommit=True))
            # A COPY is one statement, even if its rows take long: the time limit applies to the wait for the next rows.
            for setting in session_settings(self.dialect, 0):
                self._watch.call(partial(self._run, setting))
        except (*self._errors, Broken):
            self.close()
            raise NoBulk("ADBC could not connect") from None
        self._watch.seconds = timeout_seconds

    def _run(self, sql: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def _call(self, function: Any) -> Any:
        try:
            return self._watch.call(function)
        except self._errors as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> Exception:
        has_code = bool((getattr(error, "sqlstate", None) or "").strip("\0 "))
        if has_code and is_broken(error):
            return Broken(explain(error))
        try:
            self._watch.call(lambda: self._run("select 1"))
        except (*self._errors, Broken):
            return Broken("the connection was lost")
        return NoBulk(f"ADBC could not read it ({explain(error)})")

    def names(self, statement: Statement) -> list[str]:
        return [field.name for field in self._reader(statement).schema]

    def count(self, statement: Statement) -> int:
        return int(next(iter(self.blocks(statement, 1))).values(0)[0])

    def version(self) -> object:
        # Its statements commit one by one: what is counted now may not be what is read next.
        return None

    def _reader(self, statement: Statement) -> Any:
        def begin() -> Any:
            # Keep a reference: a cursor without one closes, and its rows are lost.
            self._cursor = cursor = self._connection.cursor()
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            cursor.execute(statement.literal())
            return cursor.fetch_record_batch()

        try:
            reader = self._call(begin)
        except ValueError:
            raise NoBulk("a key holds what PostgreSQL has no text for") from None
        unknown = unknown_types(reader.schema)
        if unknown:
            raise NoBulk(f"ADBC gives type {', '.join(unknown)} otherwise")
        return reader

    def blocks(self, statement: Statement, size: int) -> Iterator[Block]:
        reader = self._reader(statement)

        def following() -> Any:
            try:
                return reader.read_next_batch()
            except StopIteration:
                return None

        while (batch := self._call(following)) is not None:
            for start in range(0, batch.num_rows, size):
                yield Batch(batch.slice(start, size))

    def close(self) -> None:
        def close() -> None:
            for item in (self._cursor, self._connection):
                if item is not None:
                    item.close()

        self._watch.end(close)
