"""An alert before it is made: what a person asks for is checked, and tested on the past of the served version."""

from datetime import timedelta
from decimal import Decimal

from dashboards import chance
from dashboards.alerts.calendar import earlier
from dashboards.alerts.judge import PAST_PERIODS, BackTest, back_test
from dashboards.alerts.series import definition, measure_of, series_of, units_of
from dashboards.data import Source
from serving.alert_checks import check_period, side_of
from serving.people.alert_rules import MISSING, Rule, Wanted
from serving.people.ended_periods import last_ended
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
    asked = Wanted(
        metric=metric,
        rule=Rule(
            kind=kind,
            side=side_of(about, kind, side),
            threshold=threshold,
            least_volume=least_volume,
            late_days=late_days,
        ),
        every=every,
        service_unit_id=service_unit_id,
        with_units_below=with_units_below,
        volume_metric=volume,
    )
    check_period(about, asked)
    units_of(source, asked)
    return asked


def tried_on_past(source: Source, asked: Wanted, count: int = TESTED_PERIODS) -> BackTest:
    """What the rule would have said of the last `count` ended periods of the served version. Raises as `series_of`."""
    newest = last_ended(asked.every, source.as_of + timedelta(days=1))
    window = [*earlier(asked.every, newest, count + PAST_PERIODS - 1), newest]
    series = series_of(source, asked, units_of(source, asked), window)
    return back_test(asked.rule, measure_of(source, asked), series, periods=count, as_of=source.as_of)
