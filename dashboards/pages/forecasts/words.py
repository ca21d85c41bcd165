"""What the page says of a forecast, its back-test and its record. Pure."""

from decimal import Decimal

from dashboards import format as fmt
from serving.forecasts.measures import DAY, MEASURES_BY_KEY, Measure
from serving.forecasts.record import Record
from serving.people.forecast_log import Forecast, Point

# Measure to its title, and what one calls its figure in a sentence.
TITLES = {
    "completed_visits_week": ("Visits a week", "visits"),
    "completed_visits_day": ("Visits a day", "visits"),
    "billed_amount_by_posting_week": ("Charges a week", "of charges"),
    "remitted_paid_amount_week": ("Payments a week", "of payers' payments"),
}
assert set(TITLES) == set(MEASURES_BY_KEY), "each measure has a title"

MODEL_CARD = (
    (
        "What it is",
        "The mean of two forecasts of each unit's daily figures: exponential smoothing with a weekly season, and the mean of the last "
        "four same weekdays. A week is the sum of its days, and a unit the sum of the units below it, so that parts add up.",
    ),
    (
        "The band",
        "From how far earlier forecasts of the same unit were off at the same distance. Nine outcomes in ten should lie in it, so one "
        "in ten does not.",
    ),
    (
        "When it is shown",
        "Only where its errors in back-test were smaller than those of the mean of the last four same weekdays, and where the band held 85 "
        "to 95 % of the outcomes. Each week of the back-test knew only the weeks before it.",
    ),
    (
        "What it does not know",
        "Booked appointments, planned closures, new providers, contracts, the season of the year. It knows weekdays and public holidays. "
        "It does not say why a figure moves.",
    ),
    (
        "The record",
        "Each forecast is written down before its outcome, with a checksum in the audit log. A forecast whose band fails on record is "
        "switched off. A person decides what to do.",
    ),
)


def unit_of(measure: Measure) -> str:
    """The unit of measure of its figures."""
    return "count" if measure.is_count else "usd"


def period(measure: Measure, point: Point) -> str:
    """The period of a point: `the week of 30 Nov 2026`."""
    return fmt.day(point.first_day) if measure.grain == DAY else f"the week of {fmt.day(point.first_day)}"


def band(measure: Measure, point: Point) -> str:
    """The limits of a band: `52 to 78`."""
    unit = unit_of(measure)
    return f"{fmt.short(point.low, unit)} to {fmt.short(point.high, unit)}"


def shown(measure: Measure, value: Decimal | None) -> Decimal | None:
    """A value as tables show it: counts are whole, money has its cents."""
    return value if value is None or not measure.is_count else fmt.rounded(value, 0)


def finding(measure: Measure, forecast: Forecast | None, name: str, below: tuple[int, int]) -> str:
    """The heading of the page: what is expected next, or that there is no forecast. `below`: how many units below have one, of how many."""
    title, what = TITLES[measure.key]
    if forecast is None or not forecast.points:
        others = f"; {below[0]} of {fmt.plural(below[1], 'unit')} below have one" if below[0] else ""
        return f"No forecast of {fmt.lower_first(title)} for {name}{others}"
    point = next((item for item in forecast.points if item.has_band), forecast.points[0])
    value = fmt.short(point.value, unit_of(measure))
    when = f"on {period(measure, point)}" if measure.grain == DAY else f"in {period(measure, point)}"
    return f"About {value} {what} expected {when}, {band(measure, point)}"


def better(forecast: Forecast) -> Decimal | None:
    """How much smaller the errors of the back-test were than those of the obvious forecast, as a share."""
    if forecast.scaled_error is None or not forecast.obvious_scaled_error:
        return None
    return 1 - forecast.scaled_error / forecast.obvious_scaled_error


def on_record(record: Record | None, unit: str) -> tuple[str, str]:
    """(value, note) of how forecasts did since they are on record."""
    if record is None:
        return fmt.DASH, "no forecast has an outcome yet"
    smaller = 1 - record.error / record.obvious_error if record.obvious_error else Decimal(0)
    word = "smaller" if smaller >= 0 else "larger"
    return (
        f"{record.held * 100:.0f}{fmt.NARROW}%",
        f"{record.inside:,} of {record.outcomes:,} outcomes in the band; mean error {fmt.short(record.error, unit)}, "
        f"{abs(smaller) * 100:.0f}{fmt.NARROW}% {word} than the obvious forecast's",
    )
