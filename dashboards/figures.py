"""A page's figures: value, comparison and trend of each metric, for one view. Reads through `Source`, draws nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from dashboards import chance, maturity
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.chance import Verdict
from dashboards.data import Source
from dashboards.filters import chosen, hashable, missing
from dashboards.view import View
from serving.model import MetricDefinition

TREND_MONTHS = 13


@dataclass(frozen=True)
class Base:
    """The denominator of a rate: its metric, with the value now and before."""

    metric: MetricDefinition
    now: Any
    before: Any

    @property
    def is_few(self) -> bool:
        """Whether it counts so few now that nothing can be said of the rate; an amount or hours below the line count no cases."""
        return self.metric.unit == "count" and (self.now or 0) < chance.LEAST_VOLUME


@dataclass(frozen=True)
class Figure:
    """One metric in one view. `trend` is (first day of month, value) oldest first.

    `problem` says why the figure cannot be shown, `caution` why it must be read with care, `doubts` what feeds say that cannot be
    and that touches it; all are empty when all is well. `base` is what a rate was counted from; `settled` are the monthly values
    that no longer move, oldest first, and `months` how many months the period has: a change is tested with them. `moving` are the
    months of the trend that have not settled. `uncompared` says why there is no comparison; empty where there is one.
    `before_known_by` is the day as of which `before` counts, where the two are compared at equal age; None where all of it counts.
    """

    metric: MetricDefinition
    value: Any
    before: Any
    against: str
    trend: tuple[tuple[date, Any], ...] = ()
    problem: str = ""
    caution: str = ""
    doubts: tuple[str, ...] = ()
    base: Base | None = None
    months: int = 1
    settled: tuple[Any, ...] = ()
    moving: frozenset[date] = frozenset()
    uncompared: str = ""
    before_known_by: date | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the change is more than chance."""
        return judge(self.metric, self.value, self.before, self.base, months=self.months, settled=self.settled)

    @property
    def change(self) -> fmt.Change:
        if self.uncompared and self.value is not None:
            return fmt.Change("", self.uncompared, "none", "flat")
        return fmt.change(
            self.value, self.before, self.metric.unit, self.metric.direction, self.against, verdict=self.verdict
        )

    @property
    def counted(self) -> str:
        """What a rate or a mean was counted from, as `counted` writes it; empty for other figures."""
        return counted(self.metric, self.value, self.base)


def judge(
    metric: MetricDefinition,
    now: Any,
    before: Any,
    base: Base | None,
    *,
    months: int = 1,
    settled: Sequence[Any] = (),
) -> Verdict:
    """Whether a change is more than chance; `dashboards.chance` says by which test."""
    if now is None or before is None:
        return Verdict.UNTESTED
    if metric.unit == "count":
        return chance.of_counts(float(now), float(before))
    if metric.unit == "percent" and base is not None and base.metric.unit == "count":
        return chance.of_rates(float(now), float(base.now or 0), float(before), float(base.before or 0))
    if base is not None and base.metric.unit == "count" and min(base.now or 0, base.before or 0) < chance.LEAST_VOLUME:
        return Verdict.FEW
    gap = float(now) - float(before)
    # An amount adds up over the months of a period; a mean, a share or a balance does not.
    return chance.of_months(gap / months if metric.unit == "usd" else gap, [float(value) for value in settled])


def counted(metric: MetricDefinition, value: Any, base: Base | None, *, short: bool = False) -> str:
    """What a figure was counted from: of a rate `55 of 843 expected appointments`, of a mean `from 812 timed visits`.

    `short` is for bars: `55 of 843` and `n = 812`. Empty where the metric names nothing below its line.
    """
    if base is None or value is None or not base.now:
        return ""
    unit, label = base.metric.unit, fmt.lower_first(base.metric.label)

    def written(number: fmt.Number) -> str:
        # The label of days and hours says the unit.
        return fmt.short(number, unit) if unit in ("usd", "count", "percent") else fmt.grouped(number, 1)

    whole = fmt.decimal(base.now)
    if metric.unit == "percent":
        text = f"{written(fmt.decimal(value) * whole)} of {written(whole)}"
        return text if short else f"{text} {label}"
    return f"n = {written(whole)}" if short else f"from {written(whole)} {label}"


def base_of(source: Source, metric: MetricDefinition, now: Mapping[str, Any], before: Mapping[str, Any]) -> Base | None:
    """The denominator of a rate, if this person may see it and it was asked for."""
    below = source.metrics.get(metric.out_of)
    return Base(below, now.get(below.name), before.get(below.name)) if below is not None and below.name in now else None


def has_few(source: Source, base: Base | None, volume: str, now: Mapping[str, Any]) -> bool:
    """Whether too few cases are behind a rate or a mean. Where no cases stand below its line, the metric `volume` counts them, by its
    value in `now`."""
    if base is None or base.metric.unit != "count":
        cases = source.metrics.get(volume)
        base = None if cases is None or volume not in now else Base(cases, now[volume], None)
    return base is not None and base.is_few


def with_bases(source: Source, names: Sequence[str]) -> list[str]:
    """Metrics that exist for this person, and behind them what their rates are counted from."""
    wanted = [name for name in dict.fromkeys(names) if name in source.metrics]
    below = [source.metrics[name].out_of for name in wanted]
    return list(dict.fromkeys([*wanted, *(name for name in below if name in source.metrics)]))


def filters(view: View, metric: MetricDefinition) -> dict[str, Any] | None:
    """The view's filters as `where`; None where the metric does not know one of them (`missing` says which)."""
    return None if missing(view, metric) else chosen(view)


def knows(metric: MetricDefinition | None, *dimensions: str) -> bool:
    """Whether a metric can be asked by these dimensions."""
    return metric is not None and all(name in metric.dimensions for name in dimensions)


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
            groups.setdefault((metric.module, hashable(where)), []).append(name)
    return groups


def load(source: Source, view: View, names: Sequence[str], *, trend: bool = True) -> dict[str, Figure]:
    """The figures of the metrics that exist for this person, in the order asked.

    Three questions for each group of metrics: the period, the comparison, thirteen months up to the period's end.
    """
    wanted = [name for name in dict.fromkeys(names) if name in source.metrics]
    answerable = [name for name in wanted if filters(view, source.metrics[name]) is not None]
    asked = list(dict.fromkeys([*with_bases(source, answerable), *_needed_to_judge(source, answerable)]))
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
                trends[name] = _with_zeros(source, name, series(values, first_month, last_month))
    shown = periods.months_of(first_month, last_month)
    moving = {name: maturity.unsettled(source.metrics[name], source.as_of, shown, trends) for name in wanted}
    waiting = {name: maturity.unripe(source.metrics[name], view.period.end, source.as_of, now) for name in wanted}
    at_equal_age = _at_equal_age(source, view, [name for name in answerable if waiting[name]])
    known_by = compared.end + (source.as_of - view.period.end)
    caution = caution_of(view, source.as_of)
    return {
        name: Figure(
            metric=source.metrics[name],
            value=now.get(name),
            before=at_equal_age.get(name, before.get(name)),
            against=f"{compared.name} at the same age" if name in at_equal_age else compared.name,
            trend=trends.get(name, ()),
            problem="" if name in now else missing(view, source.metrics[name]),
            caution=caution or waiting[name],
            doubts=source.doubts(name, view.period.end),
            base=base_of(source, source.metrics[name], now, before | at_equal_age),
            months=len(periods.months_of(periods.month_start(view.period.start), last_month)),
            settled=tuple(
                value for month, value in trends.get(name, ()) if value is not None and month not in moving[name]
            ),
            moving=moving[name],
            uncompared="" if name in at_equal_age else maturity.uncompared(caution, waiting[name]),
            before_known_by=known_by if name in at_equal_age else None,
        )
        for name in wanted
    }


def values(source: Source, view: View, names: Sequence[str]) -> dict[str, tuple[Any, Base | None]]:
    """(value, denominator) of metrics in the period of the view. Metrics without one of its filters are left out."""
    values_found: dict[str, Any] = {}
    for (_, where), group in _grouped(source, view, with_bases(source, names)).items():
        frame = source.query(group, where=dict(where), start=view.period.start, end=view.period.end)
        values_found |= {name: _one(frame, name) for name in group}
    return {
        name: (values_found[name], base_of(source, source.metrics[name], values_found, {}))
        for name in names
        if name in values_found
    }


def _at_equal_age(source: Source, view: View, names: Sequence[str]) -> dict[str, Any]:
    """The comparison's figures as they stood when it was as old as the period is now, for metrics that keep the day on which a
    row began to count."""
    compared = view.compared
    age = source.as_of - view.period.end
    keeping = [name for name in with_bases(source, names) if source.metrics[name].known_on]
    values: dict[str, Any] = {}
    for (_, where), group in _grouped(source, view, keeping).items():
        frame = source.query(
            group, where=dict(where), start=compared.start, end=compared.end, known_by=compared.end + age
        )
        values |= {name: _one(frame, name) for name in group}
    return values


def waiting_for(source: Source, view: View, metric: MetricDefinition) -> str:
    """Why a figure of the period has not settled yet (`unripe`); asks for the metric that shows how far it has."""
    values: dict[str, Any] = {}
    for (_, where), group in _grouped(source, view, _needed_to_judge(source, [metric.name])).items():
        frame = source.query(group, where=dict(where), start=view.period.start, end=view.period.end)
        values |= {name: _one(frame, name) for name in group}
    return maturity.unripe(metric, view.period.end, source.as_of, values)


def _needed_to_judge(source: Source, names: Sequence[str]) -> list[str]:
    """The figures that this person may see and that tell how far others have settled."""
    return [name for name in maturity.needed(source.metrics[name] for name in names) if name in source.metrics]


def unsettled_months(source: Source, view: View, metric: MetricDefinition, first: date, last: date) -> frozenset[date]:
    """Months whose figure will still move: those that the data do not cover whole, and those that have not settled."""
    needed = _needed_to_judge(source, [metric.name])
    judged = monthly(source, view, needed, first, last) if needed else {}
    return maturity.unsettled(metric, source.as_of, periods.months_of(first, last), judged)


def series(values: Mapping[Any, Any], first: date, last: date) -> tuple[tuple[date, Any], ...]:
    """A value for each month of a range, None where there is none; keys may be dates or timestamps."""
    by_day = {periods.day_of(key): value for key, value in values.items()}
    return tuple((month, by_day.get(month)) for month in periods.months_of(first, last))


def monthly(
    source: Source, view: View, names: Sequence[str], first: date, last: date
) -> dict[str, tuple[tuple[date, Any], ...]]:
    """Monthly values of metrics under the view's filters; a metric that does not know a filter is left out."""
    by_metric: dict[str, tuple[tuple[date, Any], ...]] = {}
    asked = [name for name in dict.fromkeys(names) if name in source.metrics]
    for (_, where), group in _grouped(source, view, asked).items():
        frame = source.query(group, grain="month", where=dict(where), start=first, end=periods.month_end(last))
        for name in group:
            values = dict(zip(frame["metric_time"].to_list(), frame[name].to_list(), strict=True))
            by_metric[name] = _with_zeros(
                source, name, series(values, periods.month_start(first), periods.month_start(last))
            )
    return by_metric


def _with_zeros(source: Source, name: str, points: tuple[tuple[date, Any], ...]) -> tuple[tuple[date, Any], ...]:
    """Months without a row are 0 of a plain count, from its first month with rows to the last that the data reach.

    A rate, a mean and an amount of such a month stay unknown: nothing stands below their line, or a feed may be late. So does a count
    for a person from whom figures about few people are hidden.
    """
    metric = source.metrics[name]
    first = next((month for month, value in points if value is not None), None)
    if metric.unit != "count" or metric.denominator or first is None or source.hides_few:
        return points
    return tuple((month, 0 if value is None and first < month <= source.as_of else value) for month, value in points)
