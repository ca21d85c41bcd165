"""What the model says of each day after an origin, from the days up to it and no others. Pure: numbers in, numbers out.

The model is the mean of two forecasts (Bates and Granger, The Combination of Forecasts, 1969: equal weights are hard to beat). One is
exponential smoothing with additive error and an additive season of seven days, without trend: ETS(A,N,A) of Hyndman et al. (Forecasting
with Exponential Smoothing, 2008), as statsforecast computes it. It averages over a long time. The other is the mean of the last four same
weekdays, which follows a change of level at once. Both know public holidays: see `_Holidays`.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

WEEK = 7
# What the obvious forecast is the mean of: so many of the last same weekdays.
SAME_WEEKDAYS = 4
LEAST_DAYS = 8 * WEEK
# The model's parameters are estimated again after so many origins.
REFIT_ORIGINS = 26
# A unit that keeps its doors open on public holidays is told from one that closes by so many of them.
_LEAST_HOLIDAYS = 2


def rolling_paths(values: Numbers, first_day: date, origins: Sequence[int], days: int) -> Numbers:
    """Forecasts of the `days` days after each origin: a row an origin.

    `values` holds a number a day from `first_day` on. An origin is the place of the last day that is known; origins ascend. Days after
    an origin change nothing in its row. Where fewer than LEAST_DAYS are known, and where the last four weeks are all zero, the row is
    the obvious forecast.
    """
    begins = int(np.flatnonzero(values)[0]) if np.any(values) else len(values)
    holidays = _Holidays(values, first_day, begins)
    paths, fitted, age = np.zeros((len(origins), days)), None, 0
    for row, origin in enumerate(origins):
        known_days = origin + 1 - begins
        if known_days < LEAST_DAYS or not np.any(values[max(0, origin + 1 - SAME_WEEKDAYS * WEEK) : origin + 1]):
            paths[row] = obvious_path(values[: origin + 1], days)
            fitted = None
            continue
        cleaned = holidays.cleaned[begins : origin + 1]
        if fitted is None or age >= REFIT_ORIGINS:
            fitted, age = _fitted(cleaned), 0
        age += 1
        smoothed = np.asarray(fitted.forward(cleaned, h=days)["mean"], dtype=np.float64)
        path = (smoothed + obvious_path(cleaned, days)) / 2
        paths[row] = np.clip(holidays.applied(path, origin), 0, None)
    return paths


def obvious_path(past: Numbers, days: int) -> Numbers:
    """The mean of the last four same weekdays, for each of the `days` days after the last one that is known. What lies before the first
    day counts as nothing."""
    last = past[-SAME_WEEKDAYS * WEEK :]
    last = np.concatenate([np.zeros(SAME_WEEKDAYS * WEEK - len(last)), last])
    return np.tile(last.reshape(SAME_WEEKDAYS, WEEK).mean(axis=0), days // WEEK + 1)[:days]


def obvious_paths(values: Numbers, origins: Sequence[int], days: int) -> Numbers:
    """`obvious_path` from each origin: a row an origin."""
    return np.array([obvious_path(values[: origin + 1], days) for origin in origins])


def _fitted(values: Numbers) -> Any:
    # Imported here: it compiles code for seconds, which only those who forecast shall wait for.
    from statsforecast.models import AutoETS

    return AutoETS(season_length=WEEK, model="ANA").fit(values)


@cache
def public_holidays(year: int) -> frozenset[date]:
    """The federal holidays of the United States as they are observed in a year."""
    import holidays

    return frozenset(holidays.country_holidays("US", years=year))


class _Holidays:
    """Public holidays of a series. In what the model learns from, a holiday has the mean of the same weekdays before it. A forecast of a
    holiday is multiplied by the share of that mean which past holidays had: about 0 for a unit that closes."""

    def __init__(self, values: Numbers, first_day: date, begins: int) -> None:
        self._first_day = first_day
        self.cleaned = values.copy()
        # Place of each holiday, its value, and what was to be expected.
        self._past: list[tuple[int, float, float]] = []
        for place in range(begins, len(values)):
            before = [place - WEEK * week for week in range(1, SAME_WEEKDAYS + 1)]
            before = [item for item in before if item >= begins]
            if self._is_holiday(place) and before:
                expected = float(self.cleaned[before].mean())
                self._past.append((place, float(values[place]), expected))
                self.cleaned[place] = expected

    def _is_holiday(self, place: int) -> bool:
        day = self._first_day + timedelta(days=place)
        return day in public_holidays(day.year)

    def applied(self, path: Numbers, origin: int) -> Numbers:
        """A forecast with its holidays, by what is known at an origin."""
        past = [(value, expected) for place, value, expected in self._past if place <= origin and expected > 0]
        if len(past) < _LEAST_HOLIDAYS:
            return path
        share = min(sum(value for value, _ in past) / sum(expected for _, expected in past), 1.0)
        with_holidays = path.copy()
        for step in range(len(path)):
            if self._is_holiday(origin + 1 + step):
                with_holidays[step] *= share
        return with_holidays
