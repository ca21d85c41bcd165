"""Rows of a feed by day, and the verdict on a day: input and output of `ingest.accounts.rhythm`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from ingest.accounts.special_days import special_day

AS_EXPECTED, SHORT, ABOVE, MISSING = "as_expected", "short", "above", "missing"
NOT_YET_KNOWN, CLOSED_DAY = "not_yet_known", "closed_day"
STATUSES = (AS_EXPECTED, SHORT, ABOVE, MISSING, NOT_YET_KNOWN, CLOSED_DAY)

HISTORY_DAYS = 830


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day of a feed. `expected`, `low` and `high` are rows, null where nothing is expected or known; see STATUSES."""

    day: date
    received: int
    status: str
    expected: int | None = None
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Series:
    """Rows of consecutive days from the first known one to the last that is over; `newest` is the index of the last with rows."""

    first: date
    rows: np.ndarray
    newest: int
    names: list[str | None]
    is_plain: np.ndarray

    @classmethod
    def of(cls, counts: Mapping[date, int], last: date) -> "Series | None":
        """The series up to `last`; None where no day up to then has rows."""
        days_with_rows = sorted(
            day for day, rows in counts.items() if rows > 0 and last - timedelta(HISTORY_DAYS) < day <= last
        )
        if not days_with_rows:
            return None
        first = days_with_rows[0]
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        rows = np.array([counts.get(day, 0) for day in days], dtype=float)
        names = [special_day(day) for day in days]
        newest = (days_with_rows[-1] - first).days
        is_plain = np.array([name is None and index <= newest for index, name in enumerate(names)])
        return cls(first, rows, newest, names, is_plain)

    def day(self, index: int) -> date:
        return self.first + timedelta(days=index)

    def weekdays(self, indices: np.ndarray) -> np.ndarray:
        return (indices + self.first.weekday()) % 7

    def plain(self, low: int, high: int) -> np.ndarray:
        """Indices from `low` to `high` of days without a name, none after the newest."""
        start = max(low, 0)
        return start + np.flatnonzero(self.is_plain[start : high + 1])

    def near(self, index: int) -> np.ndarray:
        """Rows of the same weekday in the five weeks before and after a day, days with a name aside."""
        days = [at for at in range(index - 35, index + 36, 7) if at != index and 0 <= at < len(self.rows)]
        return np.array([self.rows[at] for at in days if self.is_plain[at]])

    def usual_near(self, index: int) -> float:
        """The usual rows of a day's weekday around it."""
        near = self.near(index)
        return float(np.median(near)) if near.size else 0.0

    def silences(self, within: int) -> list[int]:
        """Lengths of the silences between days with rows among the latest ones, the longest first."""
        full = np.flatnonzero(self.rows[max(0, self.newest - within) : self.newest + 1])
        return sorted((int(gap) - 1 for gap in np.diff(full)), reverse=True)
