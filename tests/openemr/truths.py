"""What the metrics must say of a month: sums and averages, in total and by what they can be broken down by."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who, where, with whom, what and at whose expense: the groups that its figures count in."""

    pid: int
    day: date
    unit: int
    provider: int
    category: int
    payer: int

    @property
    def groups(self) -> dict[str, str]:
        """Dimension of the metrics to value."""
        return {
            "service_unit": str(self.unit),
            "provider": str(self.provider),
            "visit_type": str(self.category),
            "payer": str(self.payer) if self.payer else "self_pay",
        }


@dataclass
class Truths:
    """Sums by metric and, within each, in total (None) and by (dimension, value)."""

    sums: dict[str, dict[tuple[str, str] | None, Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Decimal))
    )
    times: dict[str, dict[str | None, list[Decimal]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, metric: str, amount: Decimal | int, of: Visit) -> None:
        """Counts an amount for the metric, in total and in every group of the visit."""
        for group in (None, *of.groups.items()):
            self.sums[metric][group] += Decimal(amount)

    def minutes(self, metric: str, value: timedelta, of: Visit) -> None:
        """A duration that the metric averages."""
        for unit in (None, str(of.unit)):
            self.times[metric][unit].append(Decimal(int(value.total_seconds())) / 60)

    def mean(self, metric: str, unit: str | None) -> Decimal:
        """The average of the durations."""
        values = self.times[metric][unit]
        return sum(values, Decimal()) / len(values)

    def expected(self, metric: str, group: tuple[str, str] | None = None) -> Decimal:
        """What a metric must be, in total or for one value of a dimension."""
        sums = self.sums
        match metric:
            case "open_balance":
                taken = ("payer_paid_amount", "patient_paid_amount", "adjusted_amount")
                return sums["billed_amount"][group] - sum((sums[name][group] for name in taken), Decimal())
            case "cancel_rate":
                # By patients: of these OpenEMR knows the late ones alone.
                return sums["late_cancels"][group] / sums["scheduled_appointments"][group]
            case "no_show_rate":
                return sums["no_shows"][group] / sums["expected_appointments"][group]
            case _:
                return sums[metric][group]
