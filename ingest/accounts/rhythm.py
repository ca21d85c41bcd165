"""How many rows a feed is expected to bring, learned from its history. Pure: one series of rows by day in, expectations out.

Two rhythms are known. A *daily* feed brings rows on most days or on fixed weekdays: each weekday has a level (the median of
its six days before the one that is judged) and a band (median absolute deviation, never tighter than chance in counting). A
feed that changes for good is short or above for some weeks, and then as expected. A *periodic* feed brings a drop every so many
days (weekly, twice a month, monthly): the gaps between drops say when the next is due, their sizes how large it is. A series with
neither rhythm, or with less than four weeks of it, is not judged: what is expected of it is unknown, which is null and never 0.

Days with a name (`ingest.accounts.special_days`) are left out of the levels and expected to be what the same name was before; a name met
for the first time may bring anything from nothing to a usual day. So may a day that was a short dip a year ago.

A feed has stopped when its silence would come by chance less than once in 500 times by its own history, and is longer than
all but two of the silences it had. Days that usually come late are not held against it before they are due.
"""

import math

import numpy as np

from ingest.accounts.day_series import ABOVE, AS_EXPECTED, CLOSED_DAY, MISSING, NOT_YET_KNOWN, SHORT, Day, Series

DAILY, PERIODIC, UNKNOWN = "daily", "periodic", "unknown"
WINDOW_DAYS = 91
LEVEL_WEEKS = 6
FEWEST_DAYS = 28
OFTEN, ALWAYS = 0.7, 0.9  # shares of a weekday's days with rows
AS_EVER = 0.85  # the part of a usual day from which on a special day is none
SPREAD = 4.0
RARE = 1 / 500
FEWEST_DROPS, DROPS_KEPT, SHORTEST_GAP = 4, 12, 5


def _spread(values: np.ndarray) -> float:
    """A robust standard deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else 0.0


class Daily:
    """A feed that brings rows on most days or on fixed weekdays."""

    rhythm = DAILY
    period_days = None

    def __init__(self, series: Series, window: np.ndarray) -> None:
        self.series = series
        rows, weekday = series.rows[window], series.weekdays(window)
        self.number = np.bincount(weekday, minlength=7)
        self.full = np.bincount(weekday[rows > 0], minlength=7)
        self.share = self.full / np.maximum(self.number, 1)
        recent = series.plain(series.newest - 2 * WINDOW_DAYS, series.newest)
        self.at = [recent[series.weekdays(recent) == day] for day in range(7)]
        usual = np.array([float(np.median(self._before(index))) for index in recent])
        # Half a year, so that the weeks in which a lasting change is being learned do not widen the band over it.
        self.noise = _spread(series.rows[recent[usual > 0]] / usual[usual > 0])
        self.silences = series.silences(2 * WINDOW_DAYS)

    def _before(self, index: int, days: int = LEVEL_WEEKS) -> np.ndarray:
        """Rows of the last days of a day's weekday before it; for the first days, of the first six."""
        at = self.at[int(self.series.weekdays(np.array([index]))[0])]
        before = int(np.searchsorted(at, index))
        chosen = at[max(0, before - days) : before] if before >= 3 else at[:LEVEL_WEEKS]
        return self.series.rows[chosen] if chosen.size else np.zeros(1)

    @classmethod
    def fit(cls, series: Series) -> "Daily | None":
        """The model of a series, None where it is too short or brings rows too seldom."""
        if series.newest + 1 < FEWEST_DAYS:
            return None
        model = cls(series, series.plain(series.newest - WINDOW_DAYS + 1, series.newest))
        is_daily = (model.share >= OFTEN).sum() >= 2 or model.share.mean() >= 0.25
        return model if is_daily else None

    @property
    def usual_rows(self) -> int:
        week = range(self.series.newest + 1, self.series.newest + 8)
        often = [
            np.median(self._before(at)) for at in week if self.share[(at + self.series.first.weekday()) % 7] >= OFTEN
        ]
        return round(float(np.median(often))) if often else 0

    def day(self, index: int) -> Day:
        """One day's expectation and verdict."""
        series, weekday = self.series, int(self.series.weekdays(np.array([index]))[0])
        usual = float(np.median(self._before(index)))
        deviation = max(self.noise * usual, math.sqrt(usual), 0.05 * usual)
        high = max(usual + SPREAD * deviation, 1.2 * _second_largest(self._before(index, WINDOW_DAYS // 7)), SPREAD)
        low = max(0.0, usual - SPREAD * deviation) if self.share[weekday] >= OFTEN else 0.0
        expected: float | None = usual
        is_sure = self.share[weekday] >= ALWAYS
        factor = self._factor(index)
        if factor is not None:
            expected = None if math.isnan(factor) else factor * usual
            low = 0.0 if expected is None or factor < 0.5 else max(0.0, factor * usual - 2 * SPREAD * deviation)
            is_sure = False
        is_special = factor is not None
        received = int(series.rows[index])
        return Day(
            day=series.day(index),
            received=received,
            expected=None if expected is None else round(expected),
            low=math.floor(low),
            high=math.ceil(high),
            status=_verdict(received, expected, math.floor(low), math.ceil(high), is_sure, is_special),
        )

    def _factor(self, index: int) -> float | None:
        """The share of a usual day that a special day brings: None for a plain day and for one that was like any other before, NaN
        for one without a past."""
        name = self.series.names[index]
        if name is None:
            return self._dip_a_year_ago(index)
        past = [at for at in range(min(index, self.series.newest + 1)) if self.series.names[at] == name]
        parts = [(self.series.rows[at], self.series.usual_near(at)) for at in past]
        shares = [min(rows / usual, 1.0) for rows, usual in parts if usual > 0]
        factor = float(np.median(shares)) if shares else math.nan
        return None if factor >= AS_EVER else factor

    def _dip_a_year_ago(self, index: int) -> float | None:
        """The part of a usual day that came on the same weekday or date a year ago, where that was a dip of three days at most."""
        day = self.series.day(index)
        ago = [
            index - 364,
            (day.replace(year=day.year - 1, day=min(day.day, 28 if day.month == 2 else 31)) - self.series.first).days,
        ]
        dips = [part for at in ago if at >= 0 and (part := self._part(at)) is not None and part < 0.5]
        if not dips or any(self._dip_length(at) > 3 for at in ago if at >= 0):
            return None
        return min(dips)

    def _part(self, at: int) -> float | None:
        """The share of a usual day that a day brought; None if its weekday was no full day at that time."""
        near = self.series.near(at)
        if near.size < 4 or self.series.names[at] is not None:
            return None
        usual = float(np.median(near))
        is_steady = usual > 0 and near.min() >= 0.5 * usual
        return float(self.series.rows[at] / usual) if is_steady else None

    def _dip_length(self, at: int) -> int:
        """The number of consecutive short days around one of them."""
        length = 0
        for step in (-1, 1):
            near = at if step == 1 else at - 1
            while 0 <= near <= self.series.newest and ((part := self._part(near)) is None or part < 0.5):
                length += part is not None
                near += step
        return length

    def stopped_since(self, due: int) -> int | None:
        """The first missing day of a silence that is too long for chance, None where there is no such silence."""
        silent = range(self.series.newest + 1, due)
        chance, first = 1.0, None
        for index in silent:
            if self._factor(index) is not None:
                continue
            weekday = int(self.series.weekdays(np.array([index]))[0])
            chance *= (self.number[weekday] - self.full[weekday] + 0.5) / (self.number[weekday] + 1)
            if first is None and self.share[weekday] >= OFTEN:
                first = index
        usual = self.silences[2] if len(self.silences) > 2 else 0
        if chance >= RARE or len(silent) <= usual:
            return None
        return first if first is not None else self.series.newest + 1


def _verdict(received: int, expected: float | None, low: int, high: int, is_sure: bool, is_special: bool) -> str:
    if received > high:
        return ABOVE
    if received == 0:
        if low > 0 or is_sure:
            return MISSING
        return CLOSED_DAY if is_special or not expected or expected < 0.5 else AS_EXPECTED
    return SHORT if received < low else AS_EXPECTED


def _second_largest(values: np.ndarray) -> float:
    """Twice the same weekday is no accident; once may be a backfill."""
    return float(np.sort(values)[-2]) if values.size > 1 else 0.0


class Periodic:
    """A feed with a delivery every few days. Consecutive days are one delivery."""

    rhythm = PERIODIC

    def __init__(self, series: Series, drops: list[tuple[int, int, float]]) -> None:
        self.series, self.drops = series, drops
        starts = np.array([first for first, _, _ in drops])
        gaps = np.diff(starts)[-DROPS_KEPT:]
        sizes = np.array([rows for _, _, rows in drops])[-DROPS_KEPT:]
        lengths = [last - first + 1 for first, last, _ in drops[-DROPS_KEPT:]]
        # Where drops spread over several days, no single day of one is expected to hold all of it.
        self.is_one_day = float(np.median(lengths)) == 1
        self.period_days = round(float(np.median(gaps)))
        self.tolerance = max(3, math.ceil(3 * _spread(gaps)), math.ceil(0.15 * self.period_days))
        self.regular = _spread(gaps) <= 0.2 * self.period_days
        self.usual_rows = round(float(np.median(sizes)))
        deviation = max(_spread(sizes), math.sqrt(self.usual_rows), 0.05 * self.usual_rows)
        self.low = max(0, math.floor(self.usual_rows - SPREAD * deviation))
        self.high = math.ceil(max(self.usual_rows + SPREAD * deviation, 1.2 * _second_largest(sizes)))

    @classmethod
    def fit(cls, series: Series) -> "Periodic | None":
        """The model of a series, None where it has too few drops or they keep no distance."""
        drops: list[tuple[int, int, float]] = []
        for index in np.flatnonzero(series.rows):
            if drops and index - drops[-1][1] <= 2:
                drops[-1] = (drops[-1][0], int(index), drops[-1][2] + series.rows[index])
            else:
                drops.append((int(index), int(index), float(series.rows[index])))
        if len(drops) < FEWEST_DROPS:
            return None
        model = cls(series, drops)
        return model if model.regular and model.period_days >= SHORTEST_GAP else None

    def day(self, index: int) -> Day:
        """One day's expectation and verdict: that of its drop, of a drop that did not come, or none."""
        received = int(self.series.rows[index])
        drop = next((item for item in self.drops if item[0] <= index <= item[1]), None)
        if drop is not None:
            verdict = ABOVE if drop[2] > self.high else SHORT if drop[2] < self.low else AS_EXPECTED
            return self._day(index, received, verdict, is_due=index == drop[0] and self.is_one_day)
        before = [item for item in self.drops if item[1] < index]
        after = next((item[0] for item in self.drops if item[0] > index), len(self.series.rows))
        if not before or index != before[-1][0] + self.period_days:
            return self._day(index, received, CLOSED_DAY, is_due=False)
        is_missed = after > index + self.tolerance
        return self._day(index, received, MISSING if is_missed else NOT_YET_KNOWN, is_due=is_missed)

    def _day(self, index: int, received: int, status: str, *, is_due: bool) -> Day:
        return Day(
            day=self.series.day(index),
            received=received,
            status=status,
            expected=self.usual_rows if is_due else None,
            low=self.low if is_due else None,
            high=self.high if is_due else None,
        )

    def stopped_since(self, due: int) -> int | None:
        """The day on which the drop was due that has not come, None while it may still come."""
        wanted = self.drops[-1][0] + self.period_days
        return wanted if due - 1 > wanted + self.tolerance else None
