"""Lists of raw values into Polars columns of the contract's type, without inference.

A column whose values all convert is typed as the contract says; one that holds a value which does not convert stays
text, with the values that do convert in canonical form, so that the contract gate quarantines only the bad rows. Money never
passes through binary arithmetic: a float is taken by its shortest decimal text ("77.49000000000001"), then rounded half to even
at four places.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from data_contracts import Column, Contract
from ingest.sources.instants import parse_instants

_ZONED = "%+"
_NAIVE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ISO_UTC = "%Y-%m-%dT%H:%M:%S%.6fZ"
_TIMESTAMP = pl.Datetime("us", "UTC")
# From here on it pays to look at the shape of a column first.
MANY_ROWS = 2_000
# Of a day in ISO 8601.
_DAY_LENGTH = len("2026-03-10")
_TEXT_OR_NULL = frozenset((str, type(None)))


def text_of(value: Any) -> str | None:
    """The canonical text of one source value: decimal digits, ISO 8601, true/false; arrays as JSON; bytes as UTF-8,
    else hexadecimal."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.hex()
    return str(value)


def text_series(name: str, values: Sequence[Any] | pl.Series) -> pl.Series:
    """A String column of any values."""
    if isinstance(values, pl.Series):
        return values.cast(pl.String).alias(name)
    # Asked first: Polars does not refuse every other value with an error that can be caught.
    if set(map(type, values)) <= _TEXT_OR_NULL:
        return pl.Series(name, values, dtype=pl.String, strict=True)
    return pl.Series(name, [text_of(value) for value in values], dtype=pl.String)


def to_series(
    column: Column, values: Sequence[Any] | pl.Series, *, zone: str | None = None, name: str | None = None
) -> pl.Series:
    """One column: typed as the contract says where every value converts, else text.

    `zone` (IANA) is the time zone of timestamps without an offset; None leaves them as text, for the gate to quarantine.
    """
    name = name or column.name
    kind = column.logical_type
    if kind == "string":
        return text_series(name, values)
    typed = _as_given(name, values, kind, column.polars_type)
    if typed is not None:
        return typed
    text = text_series(name, values).str.strip_chars()
    if kind == "timestamp":
        return timestamps(text, zone)
    if kind == "boolean":
        booleans = text.str.to_lowercase().replace_strict(
            {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False},
            default=None,
            return_dtype=pl.Boolean(),
        )
    elif kind == "date":
        booleans = text.str.to_date("%Y-%m-%d", strict=False)
    else:
        booleans = text.cast(column.polars_type, strict=False)
    return booleans if booleans.null_count() == text.null_count() else text


def _as_given(name: str, values: Sequence[Any] | pl.Series, kind: str, dtype: pl.DataType) -> pl.Series | None:
    """The column where the source's own types are the contract's already; None where they are not."""
    first = next((value for value in values if value is not None), None)
    try:
        if first is None:
            return pl.Series(name, [None], dtype=dtype).new_from_index(0, len(values))
        if kind == "integer" and type(first) is int:
            return pl.Series(name, values, dtype=pl.Int64, strict=True)
        if kind == "boolean" and type(first) is int:
            flags = pl.Series(name, values, dtype=pl.Int64, strict=True)
            return flags.cast(pl.Boolean) if flags.is_between(0, 1).all() else None
        if kind == "boolean" and type(first) is bool:
            return pl.Series(name, values, dtype=pl.Boolean, strict=True)
        if kind == "date" and type(first) is dt.date:
            return pl.Series(name, values, dtype=pl.Date, strict=True)
        if kind == "timestamp" and type(first) is dt.datetime and first.tzinfo is not None:
            return pl.Series(name, values, dtype=_TIMESTAMP, strict=True)
    except (TypeError, OverflowError, ValueError, pl.exceptions.PolarsError):
        return None
    return None


def timestamps(text: pl.Series, zone: str | None) -> pl.Series:
    """Text in ISO 8601 to UTC timestamps; text again where a value has no time, is not a date, or has neither offset nor zone.

    A local time that occurs twice (clocks going back) is taken as the first; one that does not occur (clocks going
    forward) is read with the offset before the change.
    """
    if len(text) >= MANY_ROWS and (instants := parse_instants(text)) is not None:
        return instants
    utc = text.str.to_datetime(_ZONED, time_unit="us", time_zone="UTC", strict=False)
    if zone is not None and utc.null_count() > text.null_count():
        naive = pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us"))
        for pattern in _NAIVE:
            if naive.null_count() + utc.null_count() - len(text) == text.null_count():
                break
            parsed = text.str.to_datetime(pattern, time_unit="us", strict=False)
            naive = pl.select(pl.coalesce(naive, parsed)).to_series()
        utc = pl.select(pl.coalesce(utc, local_to_utc(naive, zone))).to_series()
    if utc.null_count() == text.null_count():
        return utc.alias(text.name)
    return pl.select(pl.coalesce(utc.dt.strftime(_ISO_UTC), text)).to_series().alias(text.name)


def local_to_utc(naive: pl.Series, zone: str) -> pl.Series:
    """Local times to UTC: see `timestamps` for the hours in which clocks change."""
    if zone == "UTC":
        return naive.dt.replace_time_zone("UTC")
    local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    hour = pl.duration(hours=1)
    # In the gap of spring the hour before has the old offset: read it there and add one hour.
    shifted = pl.select(
        (pl.lit(naive) - hour).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null") + hour
    ).to_series()
    return pl.select(pl.coalesce(local, shifted)).to_series().dt.convert_time_zone("UTC")


def frame_of(
    contract: Contract, names: Sequence[str], columns: Iterable[Sequence[Any]], *, zone: str | None
) -> pl.DataFrame:
    """A frame of the named contract columns. `columns` holds one list of values a name, of equal lengths.

    Where a timestamp that has a precision column is only a day in some row, that column is added, and the timestamp is noon
    of the day.
    """
    series = []
    for name, values in zip(names, columns, strict=True):
        column = contract.by_name[name]
        if column.precision_column is not None and column.precision_column not in names:
            text = text_series(name, values).str.strip_chars()
            is_day = (text.str.len_bytes() == _DAY_LENGTH).fill_null(value=False)
            if is_day.any():
                noon = pl.select(pl.when(is_day).then(text + "T12:00:00").otherwise(text).alias(name)).to_series()
                series += [to_series(column, noon, zone=zone), precision(column.precision_column, is_day, text)]
                continue
        series.append(to_series(column, values, zone=zone))
    return settle_days(contract, pl.DataFrame(series))


def precision(name: str, is_day: pl.Series, values: pl.Series) -> pl.Series:
    """A precision column: "day" or "minute" where there is a value."""
    word = pl.when(is_day).then(pl.lit("day")).when(pl.lit(values).is_not_null()).then(pl.lit("minute"))
    return pl.select(word.alias(name)).to_series()


def noon_of_days(moments: pl.Series, is_day: pl.Series, zone: str) -> pl.Series:
    """UTC timestamps, those of days moved from the day's local midnight to its noon."""
    naive = moments.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    noon = local_to_utc(pl.select(pl.lit(naive).dt.truncate("1d") + pl.duration(hours=12)).to_series(), zone)
    return pl.select(pl.when(is_day).then(noon).otherwise(pl.lit(moments)).alias(moments.name)).to_series()


def settle_days(contract: Contract, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in which a time that is only a day is moved to the other time of the same day, so that both are in order."""
    for rule in contract.order_rules:
        names = [contract.by_name[name].precision_column for name in (rule.earlier, rule.later)]
        precisions = [
            pl.col(name) if name is not None and name in frame.columns else pl.lit("minute") for name in names
        ]
        if all(name not in frame.columns for name in names):
            continue
        earlier, later = pl.col(rule.earlier), pl.col(rule.later)
        if frame.schema.get(rule.earlier) != _TIMESTAMP or frame.schema.get(rule.later) != _TIMESTAMP:
            continue
        is_one_day = (later < earlier) & (earlier - later <= pl.duration(hours=12))
        frame = frame.with_columns(
            pl.when(is_one_day & (precisions[1] == "day")).then(earlier).otherwise(later).alias(rule.later),
            pl.when(is_one_day & (precisions[0] == "day")).then(later).otherwise(earlier).alias(rule.earlier),
        )
    return frame


def settle_repeated_hour(
    contract: Contract, frame: pl.DataFrame, zone: str, is_local: Callable[[str], pl.Series] | None = None
) -> pl.DataFrame:
    """The frame in which an end before its start is moved by one hour if its local time occurs twice in `zone`.

    `is_local` gives, for a column, the rows without an offset that says which hour is meant; without it, all rows.
    """
    for rule in contract.order_rules:
        if frame.schema.get(rule.earlier) != _TIMESTAMP or frame.schema.get(rule.later) != _TIMESTAMP:
            continue
        earlier, later = frame[rule.earlier], frame[rule.later]
        is_wrong = (later < earlier).fill_null(value=False)
        if not is_wrong.any():
            continue
        if is_local is not None:
            is_wrong &= is_local(rule.later)
        wall = later.dt.convert_time_zone(zone).dt.replace_time_zone(None)
        second = wall.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")
        moved = pl.select(pl.when(is_wrong & (second >= earlier)).then(second).otherwise(later)).to_series()
        frame = frame.with_columns(moved.alias(rule.later))
    return frame
