"""Forecasts from histories: what each unit is forecast, and whether it is shown.

Each unit's own rows are forecast by themselves. What lies above is the sum of its parts, so that parts add up exactly at every level. The
band and the back-test are made for each unit from the errors of that unit's sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from math import isfinite

import numpy as np

from serving.forecasts import bands
from serving.forecasts.bands import BackTest, Track
from serving.forecasts.histories import History
from serving.forecasts.measures import (
    DAYS_AHEAD,
    LEAST_COUNT,
    LEAST_ORIGINS,
    LEAST_SHARE,
    MOST_SHARE,
    RECENT_WEEKS,
    SILENT_DAYS,
    WEEK,
    WEEKS_AHEAD,
    Measure,
)
from serving.forecasts.paths import LEAST_DAYS, Numbers, obvious_paths, rolling_paths
from serving.forecasts.series import WEEK_DAYS
from serving.people.forecast_log import Forecast, Point

# Values are kept with two decimals, cents for money. Sums of whole hundredths are exact.
_HUNDREDTHS = 100
# Days that a path covers: up to six to the next Monday, and the weeks after it.
_PATH_DAYS = 6 + 7 * WEEKS_AHEAD
# Earlier origins than these, one a week, judge no forecast and widen no band.
_MOST_ORIGINS = bands.JUDGED + bands.CALIBRATED_ON + WEEKS_AHEAD
# A day of the week is closed where the mean of the last four is 0 and the model says less than this part of a usual day.
_CLOSED = 0.05


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Daily forecasts of the units of a history, from origins a week apart, the last on the history's last day. A row a unit, then a row an
    origin. `origins` are places in the history's days."""

    history: History
    origins: tuple[int, ...]
    forecast: Numbers
    obvious: Numbers

    @property
    def last_day(self) -> date:
        return self.history.first_day + timedelta(days=self.history.values.shape[1] - 1)


def paths(history: History) -> Paths:
    """The daily paths of every unit of a history that is not empty."""
    last = history.values.shape[1] - 1
    places = range(last, LEAST_DAYS - 2, -7)[:_MOST_ORIGINS]
    origins = tuple(sorted(places)) or (last,)
    forecast = np.array([rolling_paths(row, history.first_day, origins, _PATH_DAYS) for row in history.values])
    obvious = np.array([obvious_paths(row, origins, _PATH_DAYS) for row in history.values])
    return Paths(
        history=history,
        origins=origins,
        forecast=np.rint(forecast * _HUNDREDTHS) / _HUNDREDTHS,
        obvious=np.rint(obvious * _HUNDREDTHS) / _HUNDREDTHS,
    )


def forecast_units(
    measure: Measure, made: Paths, members: Mapping[str, Sequence[int]], definition: str, feed_problem: str = ""
) -> tuple[Forecast, ...]:
    """The forecast of each unit of `members` (unit to places of the history's units). `feed_problem` is a sentence about a feed that
    stopped: then none is shown."""
    return tuple(
        _UnitForecast(measure, made, places).forecast(unit, definition, feed_problem)
        for unit, places in members.items()
    )


class _UnitForecast:
    """One measure of one unit."""

    def __init__(self, measure: Measure, made: Paths, places: Sequence[int]) -> None:
        self._measure, self._made, self._places = measure, made, list(places)
        self._days = made.history.values[self._places].sum(axis=0)

    def forecast(self, unit: str, definition: str, feed_problem: str) -> Forecast:
        widths = bands.half_widths(self._track)
        test = bands.back_test(self._track, widths, self._usual_change)
        reason = feed_problem or self._unusable or _why_not(test) or _no_band(widths[-1])
        return Forecast(
            metric=self._measure.metric,
            grain=self._measure.grain,
            service_unit_id=unit,
            definition=definition,
            is_shown=not reason,
            reason=reason,
            origins=test.origins,
            outcomes=test.outcomes,
            held=_rounded(test.held),
            scaled_error=_rounded(test.scaled_error),
            obvious_scaled_error=_rounded(test.obvious_scaled_error),
            points=() if reason else self._points(widths[-1]),
        )

    @property
    def _unusable(self) -> str:
        """Why the history cannot be forecast; empty where it can be tried."""
        days = self._days
        if not np.any(days[-SILENT_DAYS:]):
            last = self._made.history.first_day + timedelta(days=int(np.flatnonzero(days)[-1]))
            return f"nothing since {_day(last)}: the unit closed, or its feed stopped"
        begun = int(np.flatnonzero(days)[0])
        weeks = (len(days) - begun) // 7
        least = (LEAST_DAYS // 7) + bands.LEAST_CALIBRATED_ON + LEAST_ORIGINS + 2 * self._periods_in_weeks
        if weeks < least:
            return f"too little history: {weeks} weeks, and {least} are needed"
        level = self._track.level[-1]
        if self._measure.is_count and level < LEAST_COUNT:
            return f"too few to forecast: {level:.1f} a {self._measure.grain}, and {LEAST_COUNT} are needed"
        return ""

    @property
    def _periods_in_weeks(self) -> int:
        return self._measure.periods if self._measure.grain == WEEK else DAYS_AHEAD // 7

    @cached_property
    def _track(self) -> Track:
        forecast, obvious = (paths[self._places].sum(axis=0) for paths in (self._made.forecast, self._made.obvious))
        origins = self._made.origins
        known_days = np.concatenate([self._days, np.full(_PATH_DAYS, np.nan)])
        outcome = np.array([known_days[origin + 1 : origin + 1 + _PATH_DAYS] for origin in origins])
        totals = np.concatenate([np.zeros(1), np.cumsum(self._days)])
        ends = np.asarray(origins) + 1
        recent_days = RECENT_WEEKS * 7
        level = (totals[ends] - totals[np.maximum(ends - recent_days, 0)]) / recent_days
        if self._measure.grain == WEEK:
            forecast, obvious, outcome = (self._weeks(each) for each in (forecast, obvious, outcome))
            known_after = [self._to_monday + 7 * (week + 1) for week in range(self._measure.periods)]
            is_open = np.ones(forecast.shape, dtype=bool)
            level = level * 7
        else:
            days = slice(0, self._measure.periods)
            forecast, obvious, outcome = forecast[:, days], obvious[:, days], outcome[:, days]
            known_after = list(range(1, self._measure.periods + 1))
            is_open = (obvious > 0) | (forecast > _CLOSED * level[:, None])
        return Track(
            forecast=forecast,
            obvious=obvious,
            outcome=outcome,
            is_open=is_open,
            origins=origins,
            known_after=known_after,
            groups=self._measure.groups,
            level=level,
        )

    @property
    def _to_monday(self) -> int:
        """Days between the last known day and the Monday that begins the first week."""
        return 6 - self._made.last_day.weekday()

    def _weeks(self, days: Numbers) -> Numbers:
        begin, count = self._to_monday, self._measure.periods
        return np.asarray(days[:, begin : begin + 7 * count].reshape(len(days), count, 7).sum(axis=2))

    @property
    def _usual_change(self) -> float:
        """The mean absolute change from a period of the history to the same weekday, or the week, before it."""
        days = self._days
        if self._measure.grain == WEEK:
            whole = days[len(days) % 7 :].reshape(-1, 7).sum(axis=1)
            return float(np.abs(np.diff(whole)).mean()) if len(whole) > 1 else 0.0
        return float(np.abs(days[7:] - days[:-7]).mean()) if len(days) > 7 else 0.0

    def _points(self, widths: Numbers) -> tuple[Point, ...]:
        track, first = self._track, self._made.last_day + timedelta(days=1)
        step = timedelta(days=1)
        if self._measure.grain == WEEK:
            first, step = first + timedelta(days=self._to_monday), WEEK_DAYS
        points = []
        for place, (value, width, obvious, is_open) in enumerate(
            zip(track.forecast[-1], widths, track.obvious[-1], track.is_open[-1], strict=True)
        ):
            points.append(
                Point(
                    first_day=first + place * step,
                    value=_hundredths(value),
                    low=_hundredths(max(value - width, 0.0) if is_open else 0.0),
                    high=_hundredths(value + width if is_open else value),
                    obvious=_hundredths(obvious),
                )
            )
        return tuple(points)


def _why_not(test: BackTest) -> str:
    """Why a forecast with this back-test is not shown: the rule. Empty where it passes."""
    if not bands.is_enough(test):
        return f"too little history: {test.origins} weeks could be judged, and {LEAST_ORIGINS} are needed"
    if not test.error < test.obvious_error:
        more = test.error / test.obvious_error - 1 if test.obvious_error else 0.0
        amount = f"{more * 100:.0f} % larger" if round(more, 2) > 0 else "no smaller"
        return f"its errors were {amount} in back-test than those of the mean of the last four same weekdays"
    if not LEAST_SHARE <= test.held <= MOST_SHARE:
        # With two decimals, so that 84.96 does not read as 85.
        return (
            f"its 90 % band held {test.held * 100:.2f} % of the outcomes in back-test, and must hold {LEAST_SHARE * 100:.0f} to "
            f"{MOST_SHARE * 100:.0f} %"
        )
    return ""


def _no_band(widths: Numbers) -> str:
    return "" if np.all(np.isfinite(widths)) else "too little history: too few errors are known for its band"


def _rounded(value: float) -> Decimal | None:
    return Decimal(f"{value:.4f}") if isfinite(value) else None


def _hundredths(value: float) -> Decimal:
    return Decimal(round(value * _HUNDREDTHS)) / _HUNDREDTHS


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
