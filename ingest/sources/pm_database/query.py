"""The statements for a PM database: a profile's SELECT, wrapped, from a moment or a position on and in a fixed order.

Rows are sorted by `source_updated_at` (rows without one first), then by the entity's key, then by `source_record_id`. So a row that
changes during a read moves behind the rows that were read, and a read that breaks off continues from its last row. SQLite files do not
break off and read the same way each time: their rows come in the order of the SELECT, because sorting would cost more than reading.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from data_contracts import Contract
from data_contracts.model import ADDED_AT_LANDING
from ingest.interface import UnreadableUnit
from ingest.profiles import EntityQuery
from ingest.sources.columns import text_of

UPDATED = "source_updated_at"
# Databases that sort nulls last by default.
_NULLS_LAST = ("postgresql", "oracle", "cockroachdb")
# A position is passed in types that the database itself compares; other values could be compared differently.
_COMPARABLE = (str, int, Decimal, dt.date, UUID)
_PLACE = re.compile(r"\{(cursor_value|position_\d+)\}")
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:(?P<mark>[ T])(?P<clock>\d\d:\d\d(?::\d\d)?)(?P<part>\.\d{1,9})?)?"
    r"(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?"
)


@dataclass(frozen=True)
class Shape:
    """Which column of the result is which of the contract; `order` are those rows are ordered by. `dropped` are names that no
    contract names."""

    names: tuple[str, ...]
    indexes: tuple[int, ...]
    dropped: tuple[tuple[int, str], ...]
    order: tuple[tuple[int, str], ...]

    def index_of(self, name: str) -> int:
        """Place of a contract's column in the result."""
        return self.indexes[self.names.index(name)]


def shape_of(entity_contract: Contract, query: EntityQuery, names: Sequence[str]) -> Shape:
    """The shape of a result by its column names. Raises UnreadableUnit where a needed one is missing or given twice."""
    lower = [name.lower() for name in names]
    remedy = f"Correct the SELECT at {query.place}"
    twice = sorted(name for name, count in Counter(lower).items() if count > 1)
    if twice:
        raise UnreadableUnit(
            reason="column_given_twice",
            position="",
            problem=f"the SELECT has the column {', '.join(twice)} twice",
            remedy=remedy,
        )
    missing = [name for name in (*entity_contract.entity_key, "source_record_id", UPDATED) if name not in lower]
    if missing:
        raise UnreadableUnit(
            reason="column_missing",
            position="",
            problem=f"the SELECT lacks the column {', '.join(missing)}",
            remedy=remedy,
        )
    settable = {column.name for column in entity_contract.reader_columns} - {"source_position", *ADDED_AT_LANDING}
    columns = [(index, name) for index, name in enumerate(lower) if name in settable]
    dropped = tuple((index, names[index]) for index, name in enumerate(lower) if name not in settable)
    order = tuple(
        (lower.index(name), name) for name in dict.fromkeys((UPDATED, *entity_contract.entity_key, "source_record_id"))
    )
    return Shape(tuple(name for _, name in columns), tuple(index for index, _ in columns), dropped, order)


@dataclass(frozen=True)
class Statement:
    """SQL with `{name}` for each of its `values`."""

    sql: str
    values: tuple[tuple[str, Any], ...] = ()

    def bound(self) -> sa.TextClause:
        """With parameters, whose types the database finds: text compared with a time is then taken as a time."""
        sql = _PLACE.sub(r":\1", re.sub(r"(?<!\\):", r"\\:", self.sql))
        binds = [sa.bindparam(name, value, type_=sa.types.NullType()) for name, value in self.values]
        return sa.text(sql).bindparams(*binds)

    def literal(self) -> str:
        """With the values in it, quoted as PostgreSQL quotes them: COPY takes no parameters."""
        values = dict(self.values)
        return _PLACE.sub(lambda match: _quoted(values[match[1]]), self.sql)


def _quoted(value: Any) -> str:
    text = text_of(value) or ""
    if "\0" in text:
        raise ValueError("a text of PostgreSQL holds no zero byte")
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def columns_of(query: EntityQuery) -> Statement:
    """The profile's SELECT without rows: a column that is not there is named before it is ordered by."""
    return Statement(f"select * from (\n{query.sql}\n) profile_rows where 1 = 0")


def count_of(query: EntityQuery) -> Statement:
    """How many rows the profile's SELECT has."""
    return Statement(f"select count(*) from (\n{query.sql}\n) profile_rows")


def statement_of(
    query: EntityQuery, shape: Shape, dialect: str, since: str | None, after: Sequence[Any] | None
) -> Statement:
    """The rows with `source_updated_at` at or after `since` or without one, and of those the ones at or after the position
    `after` (values of `shape.order`)."""
    conditions: list[str] = []
    values: list[tuple[str, Any]] = []
    if since is not None:
        values.append(("cursor_value", since))
        conditions.append(f"({UPDATED} >= {{cursor_value}} or {UPDATED} is null)")
    if after is not None:
        names = [name for _, name in shape.order]
        values += [(f"position_{n}", value) for n, value in enumerate(after) if value is not None]
        conditions.append(_at_or_after(names, after, 0))
    where = "\nwhere " + " and ".join(conditions) if conditions else ""
    order = ""
    if dialect != "sqlite":
        nulls = " nulls first" if dialect in _NULLS_LAST else ""
        order = "\norder by " + ", ".join(name + nulls for _, name in shape.order)
    return Statement(f"select * from (\n{query.sql}\n) profile_rows{where}{order}", tuple(values))


def _at_or_after(names: Sequence[str], after: Sequence[Any], place: int) -> str:
    if place == len(names):
        return "1 = 1"
    name, later = names[place], _at_or_after(names, after, place + 1)
    if after[place] is None:
        return f"({name} is not null or {later})"
    return f"({name} > {{position_{place}}} or ({name} = {{position_{place}}} and {later}))"


def is_position(values: Sequence[Any]) -> bool:
    """Whether a statement can ask for the rows after these values."""
    return all(value is None or isinstance(value, _COMPARABLE) for value in values)


def cursor_of(value: Any) -> str:
    """A time as the database compares it: text unchanged, a time with an offset in UTC."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.UTC)
    return text_of(value) or ""


def earlier(cursor: str, minutes: int) -> str:
    """A cursor so many minutes earlier, written as it is written, so that text compares. Text that is not a time stays."""
    match = _TIME.fullmatch(cursor)
    if match is None or not minutes:
        return cursor
    clock, part, offset = match["clock"] or "00:00:00", match["part"] or "", match["offset"] or ""
    try:
        moment = dt.datetime.fromisoformat(f"{match['day']} {clock}") - dt.timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        return cursor
    if match["mark"] is None:
        # Only a day: the day of that minute.
        return f"{moment:%Y-%m-%d}{offset}"
    layout = "%H:%M:%S" if len(clock) == 8 else "%H:%M"
    return f"{moment:%Y-%m-%d}{match['mark']}{moment:{layout}}{part}{offset}"


def newest_of(times: Sequence[Any], newest: Any, limit: dt.datetime, zone: dt.tzinfo) -> Any:
    """The highest of `times` and `newest`, as the database orders them, that is not after `limit` (UTC).

    Values that are neither text nor a time give no cursor. A time in the future would hide all changes before it.
    """
    for kind in (str, dt.datetime, dt.date):
        values_of_kind = [value for value in (*times, newest) if isinstance(value, kind)]
        if values_of_kind:
            highest = max(values_of_kind)
            if not _is_after(highest, limit, zone):
                return highest
            return max((value for value in set(values_of_kind) if not _is_after(value, limit, zone)), default=None)
    return newest


def _is_after(value: Any, limit: dt.datetime, zone: dt.tzinfo) -> bool:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            return False
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return bool((value if value.tzinfo else value.replace(tzinfo=zone)) > limit)
