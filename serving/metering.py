"""What a billing system needs of each organization: how many people used it in a month, and which modules its plan granted.

Both come from the audit log, which keeps what was true then. Months are calendar months in UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from foundation.errors import ConfigurationError
from serving.modules import MODULES
from serving.people.store import AccessStore
from serving.rows.export import rows_file

MOST_MONTHS = 36


@dataclass(frozen=True, kw_only=True)
class Metered:
    """One organization in one month. `people` were signed in or asked with an own token; `modules` are those that the plan granted
    and nobody had switched off at the end of the month, or now where the month is not `complete`."""

    month: date
    tenant_id: str
    name: str
    people: int
    modules: tuple[str, ...]
    complete: bool


def metered(store: AccessStore, first: date, last: date, now: datetime | None = None) -> tuple[Metered, ...]:
    """Every organization in each month from the month of `first` to that of `last`, from the month of its creation on.

    Raises ConfigurationError for a range that is empty, ends in the future, or has more than MOST_MONTHS months.
    """
    at = now or datetime.now(UTC)
    months = list(_months(first, last))
    if not 0 < len(months) <= MOST_MONTHS or months[-1] > at.date():
        raise ConfigurationError(f"name 1 to {MOST_MONTHS} months, the last one not after this month")
    return tuple(
        item
        for month in months
        for tenant_id, name in store.tenants()
        if (item := _one(store, tenant_id, name, month, at)) is not None
    )


def metering_csv(rows: tuple[Metered, ...]) -> str:
    """The rows as CSV: month (YYYY-MM), tenant, name, people, modules with spaces between them, and whether the month is over."""
    columns = ("month", "tenant", "name", "people", "modules", "complete")
    lines = [
        (
            f"{row.month:%Y-%m}",
            row.tenant_id,
            row.name,
            str(row.people),
            " ".join(row.modules),
            "yes" if row.complete else "no",
        )
        for row in rows
    ]
    table = pl.DataFrame(lines, dict.fromkeys(columns, pl.String), orient="row")
    return rows_file(table, "csv").content.decode()


def _one(store: AccessStore, tenant_id: str, name: str, month: date, now: datetime) -> Metered | None:
    """None for a month that ended before there was the organization."""
    begins, ends = _midnight(month), _midnight(_next(month))
    if store.created_at(tenant_id) >= ends:
        return None
    return Metered(
        month=month,
        tenant_id=tenant_id,
        name=name,
        people=store.count_people(tenant_id, begins, ends),
        modules=_modules(store, tenant_id, ends),
        complete=ends <= now,
    )


def _modules(store: AccessStore, tenant_id: str, until: datetime) -> tuple[str, ...]:
    """The modules that could be used before a moment: those of a new plan, and what was changed since."""
    granted = {module.name: module.is_granted for module in MODULES if not module.is_always_on}
    enabled = dict.fromkeys(granted, True)
    for row in store.audit_between(tenant_id, action="module changed", until=until):
        module = str(row.detail["module"])
        granted[module] = bool(row.detail.get("is_granted", granted.get(module, False)))
        enabled[module] = bool(row.detail.get("is_enabled", enabled.get(module, True)))
    return tuple(name for name, is_granted in granted.items() if is_granted and enabled[name])


def _months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = _next(month)


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
