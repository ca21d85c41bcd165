"""A page's figures: value, comparison and trend of each metric, for one view. Reads through `Source`, draws nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.state import View
from serving.model import MetricDefinition

TREND_MONTHS = 13


@dataclass(frozen=True)
class Figure:
    """One metric in one view. `trend` is (first day of month, value) oldest first.

    `problem` says why the figure cannot be shown, `caution` why it must be read with care; both empty when all is well.
    """

    metric: MetricDefinition
    value: Any
    before: Any
    against: str
    trend: tuple[tuple[date, Any], ...] = ()
    problem: str = ""
    caution: str = ""

    @property
    def change(self) -> fmt.Change:
        return fmt.change(self.value, self.before, self.metric.unit, self.metric.direction, self.against)


def filters(view: View, metric: MetricDefinition, *, place: bool = True) -> dict[str, Any] | None:
    """The view's filters as `where`; None where the metric does not know one of them."""
    wanted: dict[str, Any] = {}
    if place and view.place:
        wanted["service_unit"] = view.place
    if view.provider:
        wanted["provider"] = view.provider
    if view.payer:
        wanted["payer_class"] = view.payer
    if metric.dimensions and any(name not in metric.dimensions for name in wanted):
        return None
    return wanted


def knows(metric: MetricDefinition | None, *dimensions: str) -> bool:
    """Whether a metric can be asked by these dimensions."""
    return metric is not None and all(name in metric.dimensions for name in dimensions)


def _unknown_filter(view: View, metric: MetricDefinition) -> str:
    if view.payer and "payer_class" not in metric.dimensions:
        return "Not split by payer class"
    if view.provider and "provider" not in metric.dimensions:
        return "Not split by provider"
    return "Not split by place"


def caution_of(view: View, as_of: date) -> str:
    """Why the period's figures may still move."""
    if view.period.start > as_of:
        return f"No data yet: they reach {fmt.day(as_of)}"
    if view.period.end > as_of:
        return f"Incomplete: data reach {fmt.day(as_of)}"
    return ""


def _one(frame: pl.DataFrame, name: str) -> Any:
    return frame[name][0] if frame.height else None


def _grouped(source: Source, view: View, names: Sequence[str]) -> dict[tuple[Any, ...], list[str]]:
    """Metrics that share filters and module, so that one question answers them together."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in names:
        metric = source.metrics[name]
        where = filters(view, metric)
        if where is not None:
            groups.setdefault((metric.module, tuple(sorted(where.items()))), []).append(name)
    return groups


def load(source: Source, view: View, names: Sequence[str], *, trend: bool = True) -> dict[str, Figure]:
    """The figures of the metrics that exist for this person, in the order asked.

    Three questions for each group of metrics: the period, the comparison, thirteen months up to the period's end.
    """
    asked = [name for name in dict.fromkeys(names) if name in source.metrics]
    now: dict[str, Any] = {}
    before: dict[str, Any] = {}
    trends: dict[str, tuple[tuple[date, Any], ...]] = {}
    compared = view.compared
    last_month = periods.month_start(view.period.end)
    first_month = periods.add_months(last_month, 1 - TREND_MONTHS)
    for (_, where), group in _grouped(source, view, asked).items():
        kept = dict(where)
        current = source.query(group, where=kept, start=view.period.start, end=view.period.end)
        earlier = source.query(group, where=kept, start=compared.start, end=compared.end)
        for name in group:
            now[name], before[name] = _one(current, name), _one(earlier, name)
        if trend:
            monthly = source.query(
                group, grain="month", where=kept, start=first_month, end=periods.month_end(view.period.end)
            )
            for name in group:
                values = dict(zip(monthly["metric_time"].to_list(), monthly[name].to_list(), strict=True))
                trends[name] = series(values, first_month, last_month)
    caution = caution_of(view, source.as_of)
    return {
        name: Figure(
            metric=source.metrics[name],
            value=now.get(name),
            before=before.get(name),
            against=compared.name,
            trend=trends.get(name, ()),
            problem="" if name in now else _unknown_filter(view, source.metrics[name]),
            caution=caution,
        )
        for name in asked
    }


def series(values: Mapping[Any, Any], first: date, last: date) -> tuple[tuple[date, Any], ...]:
    """A value for each month of a range, None where there is none; keys may be dates or timestamps."""
    by_day = {key if type(key) is date else key.date(): value for key, value in values.items()}
    return tuple((month, by_day.get(month)) for month in periods.months_of(first, last))


def monthly(
    source: Source, view: View, names: Sequence[str], first: date, last: date
) -> dict[str, tuple[tuple[date, Any], ...]]:
    """Monthly values of metrics under the view's filters; a metric that does not know a filter is left out."""
    found: dict[str, tuple[tuple[date, Any], ...]] = {}
    asked = [name for name in dict.fromkeys(names) if name in source.metrics]
    for (_, where), group in _grouped(source, view, asked).items():
        frame = source.query(group, grain="month", where=dict(where), start=first, end=periods.month_end(last))
        for name in group:
            values = dict(zip(frame["metric_time"].to_list(), frame[name].to_list(), strict=True))
            found[name] = series(values, periods.month_start(first), periods.month_start(last))
    return found
