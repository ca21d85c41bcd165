"""When a figure has settled: what payers still have to answer moves the figures of recent periods. Pure.

A metric's definition says when its figure is ripe (`matures_after_days`) and what settles it earlier (`matures_by`). Until then it gets
no verdict, and is compared with nothing, or with the earlier period at the same age (`dashboards.figures.load`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from dashboards import format as fmt
from dashboards import period as periods
from serving.model import MetricDefinition

OPEN, BILLED = "open_balance", "billed_amount"
# A period is settled when less than this part of it is still to come.
SETTLED = Decimal("0.05")


@dataclass(frozen=True)
class Settling:
    """Shows how far a period has settled: the metric of the settled (or the open) part, and that of the whole."""

    part: str
    whole: str
    is_open_part: bool

    def open_share(self, values: Mapping[str, Any]) -> Decimal | None:
        """The part that is still to come; None where there is nothing to settle."""
        part, whole = values.get(self.part), values.get(self.whole)
        if part is None or not whole:
            return None
        share = fmt.decimal(part) / fmt.decimal(whole)
        # Payers answer claims, too, that no feed of claims brought: never more than all.
        return share if self.is_open_part else max(1 - share, Decimal(0))

    def words(self, values: Mapping[str, Any]) -> str:
        """How far the period has settled, in words."""
        if self.is_open_part:
            return f"{fmt.short(self.open_share(values) or 0, 'percent')} of what was billed is open"
        return (
            f"{fmt.short(values[self.part], 'count')} of {fmt.short(values[self.whole], 'count')} claims are answered"
        )


NOT_SETTLED = "Not compared before it has settled"
NOT_OVER = "Not compared before the period is over"
# By `matures_by` of a metric's definition. What payers still have to answer is missing from a recent period, so that it looks
# worse (collections) or better (denials) than it will be.
SETTLING = {
    "answers": Settling("remitted_claims", "claims", is_open_part=False),
    "money": Settling(OPEN, BILLED, is_open_part=True),
}


def needed(metrics: Iterable[MetricDefinition]) -> list[str]:
    """Names of the figures that tell how far these have settled."""
    kinds = {metric.matures_by for metric in metrics}
    rules = [rule for kind, rule in SETTLING.items() if kind in kinds]
    return [name for rule in rules for name in (rule.part, rule.whole)]


def unripe(metric: MetricDefinition, end: date, as_of: date, values: Mapping[str, Any]) -> str:
    """Why a figure of a period that ends on `end` has not settled yet, as its definition says; empty where it has.

    It has settled at the age that the definition names, or earlier where almost all is answered or paid. `values` are the
    period's figures that tell how much (`SETTLING`).
    """
    if metric.matures_after_days is None or end + timedelta(days=metric.matures_after_days) <= as_of:
        return ""
    rule = SETTLING.get(metric.matures_by)
    share = rule.open_share(values) if rule else None
    if rule is None or share is None:
        return f"Still settling: final {metric.matures_after_days} days after the period"
    return f"Still settling: {rule.words(values)}" if share >= SETTLED else ""


def unsettled(
    metric: MetricDefinition, as_of: date, months: Sequence[date], trends: Mapping[str, Sequence[tuple[date, Any]]]
) -> frozenset[date]:
    """The months that still move; `trends` has the monthly values of the metrics that show how far a month has settled."""
    by_month: dict[date, dict[str, Any]] = {}
    for name, values in trends.items():
        for month, value in values:
            by_month.setdefault(month, {})[name] = value
    return frozenset(
        month
        for month in months
        if periods.month_end(month) > as_of or unripe(metric, periods.month_end(month), as_of, by_month.get(month, {}))
    )


def uncompared(caution: str, waiting: str) -> str:
    """Why a figure that still moves is not compared; empty for one that no longer does.

    `caution` is about the period (`caution_of`), `waiting` about the figure (`unripe`).
    """
    if caution:
        return NOT_OVER
    return NOT_SETTLED if waiting else ""
