"""Targets of the sample's tenants, as their administrators might have set them."""

from datetime import date
from decimal import Decimal

from foundation.home import Home
from serving.model import NothingPublished
from serving.people.store import AccessStore
from serving.reader import open_reader

# Every month of the sample is later.
FROM = date(2025, 1, 1)
# Shares are fractions; the rest is in days and minutes.
FOR_THE_TENANT = {
    "net_collection_rate": "0.95",
    "days_in_ar": "40",
    "denial_rate": "0.08",
    "ar_over_90_rate": "0.20",
    "no_show_rate": "0.06",
    "third_next_available_days": "8",
    "wait_time_minutes": "8",
    "cycle_time_minutes": "50",
}
# Some units have separate targets: (tenant, metric, unit) to the target; counts are a month's worth.
FOR_UNITS = {
    ("harbor", "completed_appointments", None): "330",
    ("harbor", "no_show_rate", "BU3"): "0.10",
    ("harbor", "wait_time_minutes", "BU2"): "10",
}


def set_sample_targets(home: Home, tenants: tuple[str, ...]) -> None:
    """Sets the targets of tenants that have none and something published."""
    access = AccessStore.open(home)
    for tenant in tenants:
        if access.targets.all(tenant):
            continue
        try:
            reader = open_reader(home, access.principal(tenant, f"admin@{tenant}"))
        except NothingPublished:
            continue
        with reader:
            for metric, value in FOR_THE_TENANT.items():
                reader.targets.set(metric, None, FROM, Decimal(value))
            for (unit_kind, metric, unit), value in FOR_UNITS.items():
                if unit_kind == tenant:
                    reader.targets.set(metric, unit, FROM, Decimal(value))
