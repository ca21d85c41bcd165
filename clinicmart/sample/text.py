"""Numbers to text, a column at a time: look-ups in small tables instead of formatting value by value.

Negative days and seconds mean "never" and give null.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import polars as pl

from clinicmart.sample.clock import DAY

_FIRST_DAY, _LAST_DAY = 10_957, 29_949  # 2000-01-01 to 2051-12-31


@lru_cache(maxsize=16)
def _days(pattern: str) -> pl.Series:
    days = pl.Series(np.arange(_FIRST_DAY, _LAST_DAY + 1), dtype=pl.Int32).cast(pl.Date).dt.strftime(pattern)
    return pl.concat([days, pl.Series([None], dtype=pl.String)])


@lru_cache(maxsize=16)
def _seconds(pattern: str) -> pl.Series:
    return pl.from_epoch(pl.Series(np.arange(DAY)), time_unit="s").dt.strftime(pattern)


def pick(choices: Sequence[str | None] | np.ndarray, index: np.ndarray) -> pl.Series:
    """`choices[index]` as a text column; a negative index gives null."""
    table = pl.Series([None if item is None else str(item) for item in choices] + [None], dtype=pl.String)
    places = index.astype(np.int64)
    return table.gather(np.where(places < 0, len(table) - 1, places))


def numbers(values: np.ndarray, width: int = 0) -> pl.Series:
    """Whole numbers as digits, filled with zeros to `width`."""
    text = pl.Series(values).cast(pl.String)
    return text.str.zfill(width) if width else text


def dates(days: np.ndarray, pattern: str = "%Y-%m-%d") -> pl.Series:
    """Day numbers between 2000 and 2051 as text."""
    table = _days(pattern)
    return table.gather(np.where(days < 0, len(table) - 1, days - _FIRST_DAY))


def timestamps(seconds: np.ndarray, day_pattern: str = "%Y-%m-%d ", time_pattern: str = "%H:%M:%S") -> pl.Series:
    """Seconds since 1970 as text."""
    day, second_of_day = np.divmod(seconds, DAY)
    return dates(np.where(seconds < 0, -1, day), day_pattern) + _seconds(time_pattern).gather(second_of_day)


def money(cents: np.ndarray) -> pl.Series:
    """Cents as decimal digits with two places."""
    frame = pl.DataFrame({"cents": cents, "size": np.abs(cents)})
    return frame.select(
        pl.concat_str(
            pl.when(pl.col("cents") < 0).then(pl.lit("-")).otherwise(pl.lit("")),
            (pl.col("size") // 100).cast(pl.String),
            pl.lit("."),
            (pl.col("size") % 100).cast(pl.String).str.zfill(2),
        ).alias("money")
    ).to_series()
