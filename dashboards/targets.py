"""A figure's target in one view, and how the figure stands against it in words.

target = targets.of(source, view, figure)     None where there is none, or where the view shows only some payers or providers
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.period import Period
from dashboards.view import View
from serving.model import MetricDefinition
from serving.people.targets import ADDITIVE_UNITS, WHOLE, Target

BETTER, WORSE, EQUAL = "better than target", "worse than target", "on target"


@dataclass(frozen=True, kw_only=True)
class FigureTarget:
    """`value` is the target for the view's whole period, in the metric's unit. `standing` is BETTER, WORSE or EQUAL; empty while
    the figure still moves. `whose` names the unit that the target was set for, where that is another one."""

    value: Decimal
    standing: str
    whose: str
    target: Target

    @property
    def words(self) -> str:
        """`worse than target`, for a screen reader and the passport; empty while the figure still moves."""
        return f"{self.standing} of {self.whose}" if self.standing and self.whose else self.standing


def of(source: Source, view: View, figure: Figure) -> FigureTarget | None:
    """The target of a figure in a view: that of its place, or for rates and means of the nearest unit above it."""
    metric = figure.metric
    if view.provider or view.payer or figure.value is None or figure.problem:
        return None
    target = source.reader.targets.in_force(metric, view.place, view.period.end)
    if target is None or target.value is None:
        return None
    value = target.value * months_in(view.period) if is_per_month(metric) else target.value
    root = source.root.id if source.root else None
    own = {root, WHOLE} if view.place in (None, root) else {view.place}
    unit = source.places.get(target.service_unit_id)
    name = source.tenant_name if target.service_unit_id == WHOLE else unit.name if unit else "a unit above"
    return FigureTarget(
        value=value,
        standing="" if figure.caution or figure.doubts else standing(metric, figure.value, value),
        whose="" if target.service_unit_id in own else name,
        target=target,
    )


def standing(metric: MetricDefinition, value: fmt.Number, target: Decimal) -> str:
    """How a value stands against a target: as the page writes both, so that two equal texts are `on target`."""
    if fmt.short(value, metric.unit) == fmt.short(target, metric.unit):
        return EQUAL
    return BETTER if (fmt.decimal(value) > target) == (metric.direction == "higher") else WORSE


def is_per_month(metric: MetricDefinition) -> bool:
    """Whether a target is a month's worth: counts and amounts that add up over time, and not balances of a day."""
    return metric.unit in ADDITIVE_UNITS and not metric.grain.startswith("snapshot")


def months_in(period: Period) -> Decimal:
    """How many months a period is; a part of a month counts by its days."""
    months = Decimal(0)
    for first in periods.months_of(period.start, period.end):
        last = periods.month_end(first)
        days = (min(last, period.end) - max(first, period.start) + timedelta(days=1)).days
        months += Decimal(days) / last.day
    return months
