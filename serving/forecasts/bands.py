"""Bands around forecasts, from how far earlier forecasts of the same unit were off, and the back-test of both. Pure: numbers in, out.

The band is that of split conformal prediction: of n earlier errors at the same distance, each divided by the spread that its forecast
suggests, the ceil(0.9 (n + 1))-th smallest (Vovk et al., Algorithmic Learning in a Random World, 2005; Lei et al., JASA 2018). An origin of
the back-test gets its band from origins whose outcomes were known by then, as on that day. So no outcome judges a band that it widened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite, nan

import numpy as np

from serving.forecasts.measures import BAND_SHARE, LEAST_ORIGINS
from serving.forecasts.paths import Numbers

# A band is made from the errors of so many origins before, a year, and of no fewer than these.
CALIBRATED_ON, LEAST_CALIBRATED_ON = 52, 8
# So many origins are judged, the last ones.
JUDGED = 52
# Part of the series' level that is added to a forecast before the root: a forecast of 0 has a spread too.
_FLOOR = 0.1


@dataclass(frozen=True, kw_only=True)
class Track:
    """Forecasts of one unit from many origins: a row an origin, a column a step ahead. The last row is the forecast to be shown.

    `outcome` is NaN where it is still to come. `known_after` are the days after the row's origin by which the outcome of a step is known,
    `origins` the days of the origins, as numbers. `is_open` is false on days of the week on which the unit never opens: there is nothing
    to judge there. `level` is the mean of a period before each origin.
    """

    forecast: Numbers
    obvious: Numbers
    outcome: Numbers
    is_open: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    origins: Sequence[int]
    known_after: Sequence[int]
    groups: Sequence[tuple[int, int]]
    level: Numbers

    @property
    def scores(self) -> Numbers:
        """The error of each forecast, in spreads; NaN where there is none to judge."""
        return np.where(self.is_open, np.abs(self.outcome - self.forecast) / self.spread, nan)

    @property
    def spread(self) -> Numbers:
        """What a forecast suggests of its error: the root, as for counts."""
        return np.sqrt(np.clip(self.forecast, 0, None) + np.maximum(self.level, 1e-9)[:, None] * _FLOOR)


@dataclass(frozen=True, kw_only=True)
class BackTest:
    """How earlier forecasts did. `origins` were judged, with `outcomes` values. `held` is the share of outcomes in the band. `error` and
    `obvious_error` are mean absolute errors; `scaled_error` and `obvious_scaled_error` the same over the mean change from a period to the
    next in the history (MASE: Hyndman and Koehler 2006). NaN where nothing could be judged."""

    origins: int
    outcomes: int
    held: float
    error: float
    obvious_error: float
    scaled_error: float
    obvious_scaled_error: float


def half_widths(track: Track) -> Numbers:
    """Half the width of the band of each forecast, in the figure's unit; NaN where too few earlier errors are known."""
    scores, widths = track.scores, np.full(track.forecast.shape, nan)
    known_on = np.add.outer(np.asarray(track.origins), np.asarray(track.known_after))
    for row, origin in enumerate(track.origins):
        before = slice(max(0, row - CALIBRATED_ON), row)
        for first, end in track.groups:
            earlier, days = scores[before, first:end], known_on[before, first:end]
            usable = (days <= origin) & np.isfinite(earlier)
            if int(usable.any(axis=1).sum()) >= LEAST_CALIBRATED_ON:
                widths[row, first:end] = conformal_quantile(earlier[usable])
    return np.asarray(widths * track.spread, dtype=np.float64)


def conformal_quantile(scores: Numbers, share: float = BAND_SHARE) -> float:
    """The width that holds a new score with at least `share`, if it is exchangeable with these. The largest score where they are too few
    to say."""
    place = min(ceil((len(scores) + 1) * share), len(scores)) - 1
    return float(np.partition(scores, place)[place])


def back_test(track: Track, widths: Numbers, change: float) -> BackTest:
    """How the forecasts of a track did. `change` is the mean absolute change from a period to the same period of the season before."""
    rows = slice(max(0, len(track.origins) - JUDGED), None)
    misses = np.abs(track.outcome - track.forecast)[rows]
    obvious_misses = np.abs(track.outcome - track.obvious)[rows]
    judged = (np.isfinite(misses) & np.isfinite(widths[rows]) & track.is_open[rows]).astype(bool)
    origins = int(judged.any(axis=1).sum())
    if not origins:
        return BackTest(
            origins=0,
            outcomes=0,
            held=nan,
            error=nan,
            obvious_error=nan,
            scaled_error=nan,
            obvious_scaled_error=nan,
        )
    error, obvious_error = float(misses[judged].mean()), float(obvious_misses[judged].mean())
    return BackTest(
        origins=origins,
        outcomes=int(judged.sum()),
        held=float((misses <= widths[rows])[judged].mean()),
        error=error,
        obvious_error=obvious_error,
        scaled_error=error / change if change else nan,
        obvious_scaled_error=obvious_error / change if change else nan,
    )


def is_enough(test: BackTest) -> bool:
    """Whether a back-test has enough origins to say something."""
    return test.origins >= LEAST_ORIGINS and isfinite(test.error)
