"""A page's figures: value, comparison and trend of each metric, for one view. Reads through `Source`, draws nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.view import View
from serving.model import MetricDefinition

TREND_MONTHS = 13
# What payers still have to answer is missing from these, so that a recent period always looks worse than it will be.
SETTLING = frozenset(
    {
        "net_collection_rate",
        "gross_collection_rate",
        "payer_paid_amount",
        "patient_paid_amount",
        "collected_amount",
        "allowed_amount",
    }
)
OPEN, BILLED = "open_balance", "billed_amount"
# A period is settled when less than this part of what was billed in it is open.
SETTLED = Decimal("0.05")


@dataclass(frozen=True)
class Figure:
    """One metric in one view. `trend` is (first day of month, value) oldest first.

    `problem` says why the figure cannot be shown, `caution` why it must be read with care, `doubts` what feeds say that cannot be
    and that touches it; all are empty when all is well.
    """

    metric: MetricDefinition
    value: Any
    before: Any
    against: str
    trend: tuple[tuple[date, Any], ...] = ()
    problem: str = ""
    caution: str = ""
    doubts: tuple[str, ...] = ()

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
    wanted = [name for name in dict.fromkeys(names) if name in source.metrics]
    asked = [*wanted, *_needed_to_judge(source, wanted)]
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
    settling = _settling(now, before)
    return {
        name: Figure(
            metric=source.metrics[name],
            value=now.get(name),
            before=before.get(name),
            against=compared.name,
            trend=trends.get(name, ()),
            problem="" if name in now else _unknown_filter(view, source.metrics[name]),
            caution=caution or (settling if name in SETTLING else ""),
            doubts=source.doubts(name, view.period.end),
        )
        for name in wanted
    }


def _needed_to_judge(source: Source, names: Sequence[str]) -> list[str]:
    """The figures that tell whether settling figures are settled, where they are asked and not among them already."""
    if not SETTLING.intersection(names):
        return []
    return [name for name in (OPEN, BILLED) if name in source.metrics and name not in names]


def open_share(values: Mapping[str, Any]) -> Decimal | None:
    """The part of what was billed that is still open; None where nothing was billed."""
    billed, still_open = values.get(BILLED), values.get(OPEN)
    return fmt.decimal(still_open) / fmt.decimal(billed) if billed and still_open is not None else None


def _settling(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """Why a period's payments cannot be compared yet; empty where it is as settled as the one before."""
    share, earlier = open_share(now), open_share(before)
    if share is None or share < SETTLED or (earlier is not None and share <= earlier):
        return ""
    return f"Still settling: {fmt.short(share, 'percent')} of what was billed is open"


def unsettled_months(source: Source, view: View, first: date, last: date) -> frozenset[date]:
    """Months of service of which a good part is still open."""
    if OPEN not in source.metrics or BILLED not in source.metrics:
        return frozenset()
    found = monthly(source, view, [OPEN, BILLED], first, last)
    if len(found) < 2:
        return frozenset()
    pairs = zip(found[OPEN], found[BILLED], strict=True)
    shares = ((month, open_share({OPEN: value, BILLED: billed})) for (month, value), (_, billed) in pairs)
    return frozenset(month for month, share in shares if share is not None and share >= SETTLED)


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
