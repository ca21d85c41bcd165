"""An alert before it is made: what a person asks for is checked, and tested on the past of the served version."""

from datetime import timedelta
from decimal import Decimal

from dashboards import chance
from dashboards.alerts.calendar import earlier, last_ended
from dashboards.alerts.judge import PAST_PERIODS, BackTest, back_test, bad_side
from dashboards.alerts.series import definition, measure_of, series_of, units_of
from dashboards.data import Source
from foundation.errors import ConfigurationError
from serving.model import MetricDefinition
from serving.people.alert_rules import CHANGE, MISSING, THRESHOLD, Rule, Wanted
from serving.people.subscriptions import WEEK
from serving.people.targets import WHOLE

TESTED_PERIODS = 24


def wanted(
    source: Source,
    metric: str,
    kind: str,
    *,
    every: str,
    side: str = "",
    threshold: Decimal | None = None,
    service_unit_id: str = WHOLE,
    with_units_below: bool = False,
    volume_metric: str = "",
    least_volume: int | None = None,
    late_days: int = 0,
) -> Wanted:
    """What a person asks for, checked against what the person may see.

    Without a `volume_metric` it is the metric below the line of a rate; without a `least_volume` it is that of all tests where
    the volume counts cases, else 0. Raises ConfigurationError for what an alert cannot be, AccessError for a unit out of scope.
    """
    about = definition(source, metric)
    volume = volume_metric or (about.out_of if about.out_of in source.metrics else "")
    counts_cases = bool(volume) and definition(source, volume).unit == "count"
    if least_volume is None:
        least_volume = chance.LEAST_VOLUME if counts_cases and kind != MISSING else 0
    if every == WEEK and about.grain.startswith("snapshot"):
        raise ConfigurationError(f"{about.label} is known at the end of each month alone; ask for a month")
    asked = Wanted(
        metric=metric,
        rule=Rule(
            kind=kind,
            side=_side(about, kind, side),
            threshold=threshold,
            least_volume=least_volume,
            late_days=late_days,
        ),
        every=every,
        service_unit_id=service_unit_id,
        with_units_below=with_units_below,
        volume_metric=volume,
    )
    units_of(source, asked)
    return asked


def _side(metric: MetricDefinition, kind: str, side: str) -> str:
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


def tried_on_past(source: Source, asked: Wanted, count: int = TESTED_PERIODS) -> BackTest:
    """What the rule would have said of the last `count` ended periods of the served version. Raises as `series_of`."""
    newest = last_ended(asked.every, source.as_of + timedelta(days=1))
    window = [*earlier(asked.every, newest, count + PAST_PERIODS - 1), newest]
    series = series_of(source, asked, units_of(source, asked), window)
    return back_test(asked.rule, measure_of(source, asked), series, periods=count, as_of=source.as_of)
