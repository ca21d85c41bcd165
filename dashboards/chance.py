"""Whether a change is more than chance. Pure: numbers in, a verdict out.

A verdict of better or worse is given only for `Verdict.REAL`. Three tests, each at 95 %:
- rates of counted things (no-shows of expected appointments): the interval of the difference of two shares after Newcombe
  (Statistics in Medicine 1998, 17:873, method 10), from Wilson's interval of each share;
- counts (encounters): the difference of two Poisson counts against the root of their sum;
- amounts, means and shares of money, of which the spread of single cases is not known: the change against what two single
  months usually differ by, from the mean moving range of the months shown (Shewhart's chart of individuals).
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from math import sqrt

Z = 1.959964  # two-sided 95 % of the normal distribution
LEAST_VOLUME = 30  # fewer cases than this give no verdict
LEAST_MONTHS = 6  # fewer months than this do not tell the usual spread
RANGE_TO_SIGMA = 1.128  # d2 of ranges of two


class Verdict(StrEnum):
    """The result of a test: a real change, no more than chance, too few cases to test, or nothing to test with."""

    REAL = "real"
    CHANCE = "chance"
    FEW = "few"
    UNTESTED = "untested"


def wilson(share: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of a share (0 to 1) of so many trials, after Wilson. Raises ValueError for no trials."""
    if trials <= 0:
        raise ValueError("a share of nothing has no interval")
    share = min(max(share, 0.0), 1.0)
    middle = share + Z * Z / (2 * trials)
    reach = Z * sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    whole = 1 + Z * Z / trials
    return (middle - reach) / whole, (middle + reach) / whole


def newcombe(now: float, trials_now: float, before: float, trials_before: float) -> tuple[float, float]:
    """The 95 % interval of the difference `now - before` of two shares. Raises ValueError for no trials."""
    low_now, high_now = wilson(now, trials_now)
    low_before, high_before = wilson(before, trials_before)
    gap = now - before
    return (
        gap - sqrt((now - low_now) ** 2 + (high_before - before) ** 2),
        gap + sqrt((high_now - now) ** 2 + (before - low_before) ** 2),
    )


def of_rates(now: float, trials_now: float, before: float, trials_before: float) -> Verdict:
    """The verdict on two shares of counted things."""
    if min(trials_now, trials_before) < LEAST_VOLUME:
        return Verdict.FEW
    low, high = newcombe(now, trials_now, before, trials_before)
    return Verdict.REAL if low > 0 or high < 0 else Verdict.CHANCE


def of_counts(now: float, before: float) -> Verdict:
    """The verdict on two counts of independent things."""
    if max(now, before) < LEAST_VOLUME:
        return Verdict.FEW
    return Verdict.REAL if abs(now - before) > Z * sqrt(now + before) else Verdict.CHANCE


def of_months(change: float, months: Sequence[float]) -> Verdict:
    """The verdict on a change of a monthly figure, from that figure's months in order, oldest first."""
    if len(months) < LEAST_MONTHS:
        return Verdict.UNTESTED
    return Verdict.REAL if abs(change) > Z * sqrt(2) * _sigma(months) else Verdict.CHANCE


def usual_range(months: Sequence[float], mean_of: int = 1) -> tuple[float, float] | None:
    """The control limits of a monthly figure (Shewhart's chart of individuals): the mean of its months and three times their
    usual spread to each side, from the mean moving range. With `mean_of` they are the limits of the mean of so many months, which
    spreads less by the root of their number. None where the months are too few to tell."""
    if len(months) < LEAST_MONTHS:
        return None
    reach = 3 * _sigma(months) / sqrt(mean_of)
    middle = sum(months) / len(months)
    return middle - reach, middle + reach


def _sigma(months: Sequence[float]) -> float:
    """The usual spread of single months, from the mean of their moving ranges."""
    ranges = [abs(later - earlier) for earlier, later in pairwise(months)]
    return sum(ranges) / len(ranges) / RANGE_TO_SIGMA


def differs(share: float, trials: float, whole: float) -> bool:
    """Whether a member's share is another than the whole's by more than chance."""
    if trials < LEAST_VOLUME:
        return False
    low, high = wilson(share, trials)
    return not low <= whole <= high
