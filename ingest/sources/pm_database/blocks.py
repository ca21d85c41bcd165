"""Blocks of rows as a driver gives them, tuples or Arrow, and the contract's columns from either: the same from both."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts import Column
from ingest.sources.columns import local_to_utc, text_of, to_series

# PostgreSQL's names of types whose Arrow values equal the Python values of its row-by-row driver.
_SCALARS: tuple[str, ...] = (
    "bool",
    "int2",
    "int4",
    "int8",
    "float8",
    "numeric",
    "text",
    "varchar",
    "bpchar",
    "name",
    "date",
    "timestamp",
)
_SCALARS += ("timestamptz", "uuid", "json", "jsonb", "bytea", "time", "char")
_ARRAYS = ("_bool", "_int2", "_int4", "_int8", "_text", "_varchar", "_bpchar", "_date", "_timestamp", "_uuid")
_KNOWN = frozenset((*_SCALARS, *_ARRAYS))
_NUMERIC_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class Block(Protocol):
    """Some rows of a result."""

    height: int

    def values(self, index: int) -> Sequence[Any]:
        """A column as Python values."""
        ...

    def nulls(self, index: int) -> int:
        """How many values of a column are null."""
        ...

    def series(self, index: int, column: Column, zone: str) -> pl.Series:
        """A column as the contract's, see `ingest.sources.columns`."""
        ...

    def days(self, index: int) -> pl.Series:
        """Which values of a column are dates without a time."""
        ...

    def newest(self, index: int) -> Sequence[Any]:
        """The values of a column of times that may be its highest."""
        ...

    def last(self, indexes: Sequence[int]) -> tuple[Any, ...]:
        """Some values of the last row."""
        ...

    def counted(self, index: int, value: Any) -> Counter[str]:
        """The rows that have this value in a column, as texts that are equal where rows are."""
        ...

    def without(self, repeated: Counter[str]) -> "Block":
        """The rows without those of `repeated`, which are counted down in it."""
        ...


def _is_day(value: Any) -> bool:
    return type(value) is dt.date or (isinstance(value, str) and len(value.strip()) == len("2026-03-10"))


class Rows:
    """A block of tuples."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self.rows, self.height = rows, len(rows)
        self._columns = list(zip(*rows, strict=True))

    def values(self, index: int) -> Sequence[Any]:
        return self._columns[index] if self._columns else ()

    def nulls(self, index: int) -> int:
        return self.values(index).count(None)

    def series(self, index: int, column: Column, zone: str) -> pl.Series:
        return to_series(column, self.values(index), zone=zone)

    def days(self, index: int) -> pl.Series:
        return pl.Series([_is_day(value) for value in self.values(index)], dtype=pl.Boolean)

    def newest(self, index: int) -> Sequence[Any]:
        return self.values(index)

    def last(self, indexes: Sequence[int]) -> tuple[Any, ...]:
        return tuple(self.rows[-1][index] for index in indexes)

    def counted(self, index: int, value: Any) -> Counter[str]:
        return Counter(_text(row) for row in self.rows if row[index] == value)

    def without(self, repeated: Counter[str]) -> "Rows":
        kept = []
        for row in self.rows:
            text = _text(row)
            if repeated[text] > 0:
                repeated[text] -= 1
            else:
                kept.append(row)
        return Rows(kept)


class Batch:
    """A block of Arrow columns from PostgreSQL."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch, self.height = batch, batch.num_rows

    def values(self, index: int) -> Sequence[Any]:
        return _python(self.batch.column(index))

    def nulls(self, index: int) -> int:
        return int(self.batch.column(index).null_count)

    def series(self, index: int, column: Column, zone: str) -> pl.Series:
        array = self.batch.column(index)
        fast = _series(array, column, zone)
        return fast if fast is not None else to_series(column, _python(array), zone=zone)

    def days(self, index: int) -> pl.Series:
        array = self.batch.column(index)
        if pa.types.is_timestamp(array.type):
            return pl.repeat(value=False, n=self.height, eager=True)
        return pl.Series([_is_day(value) for value in _python(array)], dtype=pl.Boolean)

    def newest(self, index: int) -> Sequence[Any]:
        array = self.batch.column(index)
        if _is_time(array.type) and _is_past(array):
            return _python(pc.array_take(array, pc.array_sort_indices(array, order="descending")[:1]))
        # All that differ: one of a future day must not hide the others.
        return _python(pc.unique(array.storage if isinstance(array, pa.ExtensionArray) else array))

    def last(self, indexes: Sequence[int]) -> tuple[Any, ...]:
        row = self.batch.slice(self.height - 1, 1)
        return tuple(_python(row.column(index))[0] for index in indexes)

    def counted(self, index: int, value: Any) -> Counter[str]:
        same = [place for place, item in enumerate(self.values(index)) if item == value]
        return Counter(_texts(self.batch.take(pa.array(same, pa.int64()))))

    def without(self, repeated: Counter[str]) -> "Batch":
        kept = []
        for text in _texts(self.batch):
            kept.append(repeated[text] <= 0)
            repeated[text] -= 1 if repeated[text] > 0 else 0
        return Batch(self.batch.filter(pa.array(kept, pa.bool_())))


def _texts(batch: pa.RecordBatch) -> list[str]:
    return [_text(row) for row in zip(*(_python(column) for column in batch.columns), strict=True)]


def _text(row: Sequence[Any]) -> str:
    """A row as text, the same from either driver."""
    return repr(
        [
            text_of(value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo else value)
            for value in row
        ]
    )


def unknown_types(schema: pa.Schema) -> list[str]:
    """Names of PostgreSQL's types in a result whose Arrow values differ from those of the row-by-row driver."""
    types = []
    for field in schema:
        kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        if kind not in _KNOWN and not (pa.types.is_string(field.type) or pa.types.is_null(field.type)):
            types.append(kind or str(field.type))
    return sorted(set(types))


def _range(array: pa.Array) -> tuple[int, int] | None:
    """The lowest and highest tick of a column of dates or times, as integers; None where it has none."""
    ticks = array.cast(pa.int32() if pa.types.is_date32(array.type) else pa.int64())
    extremes = pc.min_max(ticks)
    low, high = extremes["min"].as_py(), extremes["max"].as_py()
    return None if low is None else (low, high)


_EPOCH = dt.date(1970, 1, 1)
# The driver adds thirty years to the highest number, which is what PostgreSQL means by infinity, and so comes round.
_THIRTY_YEARS = (dt.date(2000, 1, 1) - _EPOCH).days
_ENDLESS = (_THIRTY_YEARS - 1 - (1 << 31), _THIRTY_YEARS * 86_400_000_000 - 1 - (1 << 63))
_DAYS = ((dt.date.min - _EPOCH).days, (dt.date.max - _EPOCH).days)
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)


def _is_in_range(array: pa.Array) -> bool:
    """Whether every time is one that Python has: PostgreSQL also knows infinity and years of five digits."""
    extremes = _range(array)
    low, high = _DAYS if pa.types.is_date32(array.type) else _MICROSECONDS
    return extremes is None or (low <= extremes[0] and extremes[1] <= high)


def _is_past(array: pa.Array) -> bool:
    """Whether no time of a column is in the future, in any zone."""
    extremes = _range(array)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=10)
    limit = soon.timestamp() * (1 / 86_400 if pa.types.is_date32(array.type) else 1_000_000)
    return extremes is not None and extremes[0] > -(1 << 62) and extremes[1] <= limit


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date32(kind) or pa.types.is_timestamp(kind))


def _python(array: pa.Array) -> list[Any]:
    """Python values as the row-by-row driver gives them; a time beyond the calendar is the text `infinity`."""
    if _is_time(array.type) and not _is_in_range(array):
        low, high = _DAYS if pa.types.is_date32(array.type) else _MICROSECONDS
        ticks = array.cast(pa.int32() if pa.types.is_date32(array.type) else pa.int64()).to_pylist()
        inside = pa.array([None if tick is None or not low <= tick <= high else tick for tick in ticks], pa.int64())
        typed = inside.cast(pa.int32()).cast(array.type) if pa.types.is_date32(array.type) else inside.cast(array.type)
        return [
            value
            if value is not None or tick is None
            else "infinity"
            if tick > high or tick in _ENDLESS
            else "-infinity"
            for value, tick in zip(typed.to_pylist(), ticks, strict=True)
        ]
    values = array.to_pylist()
    if isinstance(array, pa.ExtensionArray) and pa.types.is_string(array.type.storage_type):
        return [_NUMERIC_WORDS.get(value, value) for value in values]
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        return [None if value is None else value.astimezone(dt.UTC) for value in values]
    return list(values)


def _uuids(name: str, array: pa.ExtensionArray) -> pl.Series:
    digits = pl.Series(name, array.storage.cast(pa.binary())).bin.encode("hex")
    parts = (digits.str.slice(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12)))
    return pl.select(pl.concat_str(*parts, separator="-")).to_series().alias(name)


def _series(array: pa.Array, column: Column, zone: str) -> pl.Series | None:
    """The contract's column without Python values, where that gives the same as with them; else None."""
    kind, wanted = array.type, column.logical_type
    if array.null_count == len(array):
        return None
    if isinstance(array, pa.ExtensionArray):
        if isinstance(kind, pa.UuidType) and wanted == "string":
            return _uuids(column.name, array)
        if not pa.types.is_string(kind.storage_type):
            return None
        array, kind = array.storage, pa.string()
        if pc.any(pc.is_in(array, pa.array(list(_NUMERIC_WORDS)))).as_py():
            return None
    if _is_time(kind) and not _is_in_range(array):
        return None
    series = pl.Series(column.name, array)
    if pa.types.is_string(kind):
        return to_series(column, series, zone=zone)
    if pa.types.is_integer(kind) and wanted in ("integer", "string", "number"):
        return series.cast(pl.Int64) if wanted == "integer" else to_series(column, series.cast(pl.String), zone=zone)
    if pa.types.is_boolean(kind) and wanted == "boolean":
        return series
    if pa.types.is_date32(kind) and wanted in ("date", "string"):
        return series if wanted == "date" else series.dt.strftime("%Y-%m-%d")
    if pa.types.is_timestamp(kind) and wanted == "timestamp":
        if kind.tz is not None:
            return series.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
        utc = local_to_utc(series.dt.cast_time_unit("us"), zone)
        return utc if utc.null_count() == series.null_count() else None
    return None
