"""PM databases: any SQLAlchemy URL and a profile with one SELECT an entity.

What is read: every unit is one entity of the profile, read in one read-only transaction through a server-side cursor, in
chunks of CHUNK_ROWS rows. Two reads of the same data give the same rows in the same order: by the entity's key, and on
SQLite, which reads a file the same way each time, in the order of the SELECT (sorting would cost more than reading).

What an incremental read gives: `Unit.cursor` is the highest `source_updated_at` of the read before, as the database
itself writes it; rows with `source_updated_at >= cursor` come, and those where it is null, which no cursor can pass by.
Rows at exactly the cursor come again each time (the landing step knows them by their content). The last chunk of a unit
carries the new cursor; a read that meets nothing newer carries the one it was given. A row that the system commits with
an older `source_updated_at` than one already read is not met again: only a read without a cursor gives it.

Typing: see `ingest.sources.columns`. Times without an offset are in the profile's time zone. Column names are taken
without regard to case. Errors of the database are told by what they say of tables and columns, never with a value or
the URL.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from data_contracts import Contract, contract
from data_contracts.model import ADDED_AT_LANDING
from foundation.config import Feed
from ingest.inbox import Inbox
from ingest.profiles import EntityQuery, load_profile
from ingest.sources.base import Chunk, Unit, UnreadableUnit
from ingest.sources.columns import text_of, to_series

CHUNK_ROWS = 50_000
# What SQLite says about tables, columns and syntax; its other messages may hold values.
_SQLITE_SCHEMA = re.compile(
    r"^(no such (table|column|function)|near \"|ambiguous column|incomplete input|SELECTs to the)"
)


class PmDatabaseSource:
    """Reader of PM databases (see the module)."""

    kind = "pm_database"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:  # noqa: ARG002
        """One unit an entity of the profile, in the profile's order; `modified_at` is now, `cursor` is None.

        Raises UnreadableUnit where the database cannot be reached or is none, ConfigurationError for a wrong profile.
        """
        profile = load_profile(feed.profile or "", "pm_database")
        engine = _engine(feed)
        try:
            with _connect(engine) as connection:
                _probe(connection)
        finally:
            engine.dispose()
        now = datetime.now(UTC)
        return [Unit(feed=feed, name=entity, modified_at=now) for entity in profile.entities]

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """Reads one entity. Raises UnreadableUnit where its SELECT fails, lacks a key column, or breaks off."""
        profile = load_profile(unit.feed.profile or "", "pm_database")
        query = profile.entities[unit.name]
        engine = _engine(unit.feed)
        try:
            with _connect(engine) as connection:
                yield from _read(connection, query, unit, profile.zone(unit.feed.time_zone))
        finally:
            engine.dispose()


SOURCE = PmDatabaseSource()


def _engine(feed: Feed) -> Engine:
    """An engine without a pool; a SQLite file is opened read-only and never made."""
    remedy = "Check the feed's url"
    try:
        url = make_url((feed.url or "").replace("postgres://", "postgresql://", 1))
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        return sa.create_engine(url, poolclass=NullPool)
    except sa.exc.NoSuchModuleError:
        raise UnreadableUnit(position="", problem="the url names an unknown kind of database", remedy=remedy) from None
    except ModuleNotFoundError as error:
        remedy = f"Install the driver {error.name}"
        raise UnreadableUnit(position="", problem="the database driver is not installed", remedy=remedy) from None
    except (sa.exc.ArgumentError, ValueError):
        raise UnreadableUnit(position="", problem="the url is not a SQLAlchemy URL", remedy=remedy) from None


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "").expanduser()
    if not url.database or url.database == ":memory:" or not path.is_file():
        raise UnreadableUnit(position="", problem=f"no such file: {path}", remedy="Check the feed's url and its rights")
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(place, uri=True, check_same_thread=False), poolclass=NullPool
    )


def _connect(engine: Engine) -> Connection:
    try:
        connection = engine.connect()
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True)
        return connection
    except sa.exc.SQLAlchemyError as error:
        raise UnreadableUnit(
            position="", problem=f"the database cannot be reached ({_explain(error)})", remedy="Check the feed's url"
        ) from None


def _probe(connection: Connection) -> None:
    """A first read, which only a real database answers."""
    try:
        connection.exec_driver_sql(
            "select count(*) from sqlite_master" if connection.dialect.name == "sqlite" else "select 1"
        ).fetchall()
    except sa.exc.SQLAlchemyError as error:
        raise UnreadableUnit(
            position="", problem=f"it is not a readable database ({_explain(error)})", remedy="Check the feed's url"
        ) from None


def _explain(error: BaseException) -> str:
    """What went wrong, without any value: the database's words where they are about its schema, else the kind of error."""
    cause: BaseException = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        message = getattr(getattr(cause, "diag", None), "message_primary", None)
        # Class 42 is about names and syntax, 28 and 3D about the sign-in and the database; others may quote values.
        return f"{message}, SQLSTATE {state}" if message and state[:2] in ("42", "28", "3D") else f"SQLSTATE {state}"
    text = str(cause)
    if isinstance(cause, sqlite3.Error) and _SQLITE_SCHEMA.match(text):
        return text
    if isinstance(cause, sqlite3.DatabaseError) and text in ("file is not a database", "unable to open database file"):
        return text
    return type(cause).__name__


@dataclass(frozen=True)
class _Shape:
    """Which column of the result is which of the contract. `dropped` are names that no contract names."""

    names: tuple[str, ...]
    indexes: tuple[int, ...]
    dropped: tuple[tuple[int, str], ...]


def _shape(of: Contract, query: EntityQuery, given: Sequence[str]) -> _Shape:
    lower = [name.lower() for name in given]
    remedy = f"Correct the SELECT at {query.place}"
    twice = sorted(name for name, count in Counter(lower).items() if count > 1)
    if twice:
        raise UnreadableUnit(position="", problem=f"the SELECT gives {', '.join(twice)} twice", remedy=remedy)
    missing = [name for name in (*of.entity_key, "source_record_id", "source_updated_at") if name not in lower]
    if missing:
        raise UnreadableUnit(position="", problem=f"the SELECT gives no {', '.join(missing)}", remedy=remedy)
    settable = {column.name for column in of.reader_columns} - {"source_position", *ADDED_AT_LANDING}
    known = [(index, name) for index, name in enumerate(lower) if name in settable]
    dropped = tuple((index, given[index]) for index, name in enumerate(lower) if name not in settable)
    return _Shape(tuple(name for _, name in known), tuple(index for index, _ in known), dropped)


def _escaped(query: EntityQuery) -> str:
    """The profile's SELECT as a subquery; a colon in it is no parameter of ours."""
    inner = re.sub(r"(?<!\\):", r"\\:", query.sql)
    return f"select * from (\n{inner}\n) profile_rows"


def _statement(query: EntityQuery, of: Contract, cursor: str | None, dialect: str) -> sa.TextClause:
    """The profile's SELECT, wrapped: rows from the cursor on, in a fixed order."""
    since = "" if cursor is None else "\nwhere source_updated_at >= :cursor_value or source_updated_at is null"
    order = ", ".join(dict.fromkeys((*of.entity_key, "source_record_id")))
    text = sa.text(f"{_escaped(query)}{since}" + ("" if dialect == "sqlite" else f"\norder by {order}"))
    # Without a type the driver lets the database compare the text as a time where the column is one.
    return text if cursor is None else text.bindparams(sa.bindparam("cursor_value", cursor, type_=sa.types.NullType()))


def _read(connection: Connection, query: EntityQuery, unit: Unit, zone: str) -> Iterator[Chunk]:
    of = contract(query.entity)
    remedy = f"Correct the SELECT at {query.place}, or the database"
    rows_read = 0
    try:
        # First without rows: a column that is not there is then named, before it is ordered by.
        names = list(connection.execute(sa.text(f"{_escaped(query)} where 1 = 0")).keys())
        shape = _shape(of, query, names)
        is_sqlite = connection.dialect.name == "sqlite"
        result = connection.execution_options(yield_per=CHUNK_ROWS).execute(
            _statement(query, of, unit.cursor, connection.dialect.name)
        )
        # SQLite's own cursor gives plain tuples in two thirds of the time of SQLAlchemy's rows.
        fetch = result.cursor.fetchmany if is_sqlite and result.cursor is not None else result.fetchmany
        newest = None
        while True:
            rows = fetch(CHUNK_ROWS)
            chunk, newest = _chunk(of, shape, rows, rows_read, newest, zone)
            rows_read += len(rows)
            if len(rows) < CHUNK_ROWS:
                chunk.cursor = unit.cursor if newest is None else _cursor_of(newest)
                yield chunk
                return
            yield chunk
    except _errors(connection) as error:
        position = f"row {rows_read + 1}" if rows_read else ""
        raise UnreadableUnit(position=position, problem=f"cannot be read ({_explain(error)})", remedy=remedy) from None


def _errors(connection: Connection) -> tuple[type[Exception], ...]:
    return (sa.exc.SQLAlchemyError, connection.dialect.loaded_dbapi.Error)


def _chunk(
    of: Contract, shape: _Shape, rows: Sequence[Sequence[Any]], before: int, newest: Any, zone: str
) -> tuple[Chunk, Any]:
    """One chunk of rows, and the highest `source_updated_at` so far in the database's own type."""
    chunk = Chunk(records_read=len(rows), records_used=len(rows))
    if not rows:
        return chunk, newest
    columns = list(zip(*rows, strict=True))
    series = [
        to_series(of.by_name[name], columns[index], zone=zone)
        for name, index in zip(shape.names, shape.indexes, strict=True)
    ]
    numbers = pl.Series("number", range(before + 1, before + len(rows) + 1))
    frame = pl.DataFrame(series)
    chunk.rows[of.name] = frame.with_columns(pl.format("row {}", numbers).alias("source_position"))
    for index, name in shape.dropped:
        chunk.dropped_fields[f"{of.name}.{name}"] += len(rows) - columns[index].count(None)
    return chunk, _newest(columns[shape.indexes[shape.names.index("source_updated_at")]], newest)


def _newest(times: Sequence[Any], newest: Any) -> Any:
    """The highest time, as the database orders it. Values that are neither text nor a time give no cursor."""
    for kind in (str, datetime):
        known = [value for value in (*times, newest) if isinstance(value, kind)]
        if known:
            return max(known)
    return newest


def _cursor_of(value: Any) -> str:
    """A time as the database compares it: text as it stands, a time with an offset in UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    return text_of(value) or ""
