"""Alerts and alarms in words, for the page, the mail and the command line."""

from dataclasses import dataclass
from datetime import date

from dashboards import format as fmt
from dashboards.alerts.series import link_to, name_of
from dashboards.data import Source
from dashboards.period import Period, range_key
from serving.model import MetricDefinition
from serving.people.alert_rules import CHANGE, MISSING, Alert, Evaluation, Wanted


def rule_words(metric: MetricDefinition | None, wanted: Wanted) -> str:
    """`above 6.0 % in a month`, `above what is usual in its last 12 months`, `no data 3 days after the end of a month`."""
    rule = wanted.rule
    if rule.kind == MISSING:
        return f"no data {fmt.plural(rule.late_days, 'day')} after the end of a {wanted.every}"
    least = f", from {fmt.grouped(rule.least_volume)} cases" if rule.least_volume else ""
    if rule.kind == CHANGE:
        return f"{rule.side} what is usual in its last 12 {wanted.every}s{least}"
    limit = fmt.exact(rule.threshold, metric.unit) if metric is not None else str(rule.threshold)
    return f"{rule.side} {limit} in a {wanted.every}{least}"


def period_words(start: date, end: date) -> str:
    """March 2026, or the days of a week."""
    return Period(start, end, range_key(start, end)).name


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An evaluation as a person reads it. `link` is below the address of the pages."""

    metric: MetricDefinition
    unit: str
    period: str
    value: str
    reason: str
    link: str


def alarm_of(source: Source, alert: Alert, logged: Evaluation) -> Alarm | None:
    """The evaluation in words; None where the person sees the metric or the unit no more, or had other rows then."""
    metric = source.metrics.get(alert.metric)
    is_same_scope = logged.figures_mark == source.reader.scope.figures_mark
    if metric is None or not is_same_scope or (logged.service_unit_id and logged.service_unit_id not in source.places):
        return None
    return Alarm(
        metric=metric,
        unit=name_of(source, logged.service_unit_id),
        period=period_words(logged.period_start, logged.period_end),
        value=fmt.exact(logged.value, metric.unit),
        reason=logged.reason,
        link=link_to(source, metric, logged.service_unit_id, (logged.period_start, logged.period_end)),
    )


def back_test_lines(source: Source, alarms: tuple[Evaluation, ...], most: int = 10) -> list[str]:
    """The alarms of a test on the past, one line each: period, unit and reason."""
    lines = [
        f"{period_words(item.period_start, item.period_end)}, {name_of(source, item.service_unit_id)}: {item.reason}"
        for item in alarms[:most]
    ]
    return [*lines, f"and {len(alarms) - most} more"] if len(alarms) > most else lines
