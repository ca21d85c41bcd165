"""What is forecast: the metrics, how far ahead, and what a forecast must have done to be shown."""

from dataclasses import dataclass

from serving.modules.entities import VISITS

# Raise when the same history would give other forecasts. It stands with every forecast that is kept.
MODEL = "ets-and-last-four/1"
MODULE = "forecasts"
DAY, WEEK = "day", "week"
DAYS_AHEAD, WEEKS_AHEAD = 14, 13

# The rule. A forecast is shown where its error in back-test was smaller than that of the mean of the last four same weekdays, and its
# band held this share of the outcomes.
BAND_SHARE = 0.90
LEAST_SHARE, MOST_SHARE = 0.85, 0.95
# Back-tests with fewer origins say too little about either.
LEAST_ORIGINS = 12
# Units with fewer a period, on the mean of the last eight weeks, have no forecast: counts as small are mostly chance.
LEAST_COUNT = 5
RECENT_WEEKS = 8
# A unit without any row for so many days is closed, or its feed stopped.
SILENT_DAYS = 28
# A model that is shown must keep its word: with so many outcomes on record, its band must have held this share of them.
LEAST_ON_RECORD, LEAST_SHARE_ON_RECORD = 50, 0.75
# The record reaches back so far.
RECORD_DAYS = 364
# What lies further back changes no forecast, and would cost time.
HISTORY_DAYS = 3 * 364


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric at a grain (day or week). `periods` are forecast, `steps` are grouped by `groups`: steps of a group share one width of the
    band. `entities` are the contracts whose rows it counts. `is_count`: it counts something; else it is money in US dollars."""

    metric: str
    grain: str
    periods: int
    groups: tuple[tuple[int, int], ...]
    entities: tuple[str, ...]
    is_count: bool = False

    @property
    def key(self) -> str:
        """The name of the measure, such as `completed_visits_week`."""
        return f"{self.metric}_{self.grain}"


_WEEKLY = ((0, 4), (4, 8), (8, WEEKS_AHEAD))
MEASURES = (
    Measure(
        metric="completed_visits",
        grain=WEEK,
        periods=WEEKS_AHEAD,
        groups=_WEEKLY,
        entities=VISITS,
        is_count=True,
    ),
    Measure(
        metric="completed_visits",
        grain=DAY,
        periods=DAYS_AHEAD,
        groups=((0, 7), (7, DAYS_AHEAD)),
        entities=VISITS,
        is_count=True,
    ),
    # By accounting day: charges of a day are entered later, and a series by day of service would end too low.
    Measure(metric="billed_amount_by_posting", grain=WEEK, periods=WEEKS_AHEAD, groups=_WEEKLY, entities=("charge",)),
    # By day of payment, for the same reason.
    Measure(
        metric="remitted_paid_amount",
        grain=WEEK,
        periods=WEEKS_AHEAD,
        groups=_WEEKLY,
        entities=("remittance", "remittance_claim", "remittance_line"),
    ),
)
MEASURES_BY_KEY = {measure.key: measure for measure in MEASURES}
METRICS = tuple(dict.fromkeys(measure.metric for measure in MEASURES))
