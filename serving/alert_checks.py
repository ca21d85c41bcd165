"""Which alerts a metric can have: where bad is, and after which periods. Pure."""

from foundation.errors import ConfigurationError
from serving.model import MetricDefinition
from serving.people.alert_rules import ABOVE, BELOW, CHANGE, MISSING, THRESHOLD, Wanted
from serving.people.ended_periods import WEEK

_BAD_SIDE = {"higher": BELOW, "lower": ABOVE}


def bad_side(direction: str) -> str:
    """Where a metric's bad figures are: above or below; empty for a metric that is neither better high nor better low."""
    return _BAD_SIDE.get(direction, "")


def side_of(metric: MetricDefinition, kind: str, side: str) -> str:
    """Where bad is. Raises ConfigurationError for the good side of a metric, and where there is no bad side to a change."""
    bad = bad_side(metric.direction)
    if kind == MISSING:
        return side
    if not bad and kind == CHANGE:
        raise ConfigurationError(
            f"{metric.label} is neither better high nor better low, so it has no change for the worse"
        )
    if not bad and kind == THRESHOLD and not side:
        raise ConfigurationError(f"{metric.label} is neither better high nor better low: say above or below")
    if bad and side not in ("", bad):
        raise ConfigurationError(f"{metric.label} is bad {bad} a value; an alert on the good side is not made")
    return side or bad


def check_period(metric: MetricDefinition, wanted: Wanted) -> None:
    """Raises ConfigurationError where the metric has no figure for each week."""
    if wanted.every == WEEK and metric.grain.startswith("snapshot"):
        raise ConfigurationError(f"{metric.label} is known at the end of each month alone; ask for a month")
