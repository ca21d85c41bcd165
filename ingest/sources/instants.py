"""Instants in ISO 8601 to UTC by their shape, where a whole column has one: up to four times as fast as a general parser.

    2026-03-01T22:00:00Z    2026-03-01T22:00:00.123Z    2026-03-01T22:00:00-05:00    2026-03-01T22:00:00.123-05:00

Servers write one of these throughout. Anything else is for `columns.timestamps`.
"""

import re

import polars as pl

_SECONDS = "%Y-%m-%dT%H:%M:%S"
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")
_YEAR_ONE_US = -62_135_596_800_000_000
# Length of the text: whether it has milliseconds, whether it has an offset.
_SHAPES = {20: (False, False), 24: (True, False), 25: (False, True), 29: (True, True)}


def parse_instants(text: pl.Series) -> pl.Series | None:
    """UTC timestamps of a column of texts that all have the same shape; None if the shapes differ or a text is not a valid
    instant."""
    lengths = text.str.len_bytes()
    length = lengths.max()
    if not isinstance(length, int) or length not in _SHAPES or lengths.min() != length:
        return None
    has_milliseconds, has_offset = _SHAPES[length]
    whole, pattern = (text, f"{_SECONDS}Z") if length == 20 else (text.str.slice(0, 19), _SECONDS)
    instants = whole.str.to_datetime(pattern, time_unit="us", strict=False, cache=False).to_physical()
    first = instants.min()
    if not isinstance(first, int) or first < _YEAR_ONE_US:
        return None
    if has_milliseconds:
        fraction = text.str.slice(19, length - 19 - (6 if has_offset else 0))
        if not fraction.str.contains(r"^\.[0-9]{3}" + ("$" if has_offset else "Z$")).all():
            return None
        instants = instants + text.str.slice(20, 3).cast(pl.Int64, strict=False) * 1000
    if has_offset:
        offsets = text.str.slice(length - 6)
        minutes = {offset: _minutes(offset) for offset in offsets.unique().drop_nulls().to_list()}
        if None in minutes.values():
            return None
        instants = instants - offsets.replace_strict(minutes, return_dtype=pl.Int64) * 60_000_000
    if instants.null_count() != text.null_count():
        return None
    return instants.cast(pl.Datetime("us", "UTC")).alias(text.name)


def _minutes(offset: str) -> int | None:
    if not _OFFSET.fullmatch(offset):
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return -minutes if offset[0] == "-" else minutes
