"""Targets of metrics: what a tenant wants a figure to be, for a service unit, from a day on. Kept in `access.sqlite`.

    access.targets.set(Target(...))         adds a version; nothing is ever overwritten
    access.targets.all(tenant_id)           every version, the oldest first
    TargetTable(targets).in_force("no_show_rate", ["CL09", "BU2", WHOLE], on=period_end)

The roles that may set one are declared in `serving.people.rights` (`RoleRule.sets_targets`): `Reader.check_target` asks it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Protocol

from sqlalchemy import Connection, Engine, RowMapping, insert, select

from foundation.errors import ConfigurationError
from serving.people.tables import TARGET

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
# The service unit of a target for the whole tenant.
WHOLE = ""
# Figures in these units add up over units, and over time where they are not a balance.
ADDITIVE_UNITS = frozenset({"count", "usd", "work_rvus"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """One version of a target. `value` is in the metric's unit (percent as a fraction; a month's worth of counts and amounts that add
    up over time), None ends the target from `valid_from` on. `service_unit_id` is WHOLE for the tenant. `set_at` is UTC."""

    tenant_id: str
    metric: str
    service_unit_id: str
    valid_from: date
    value: Decimal | None
    set_by: str
    set_at: datetime | None = None


def read_value(text: str, unit: str) -> Decimal:
    """The value that a person typed, in a metric's unit. A share needs its percent sign, so that 6 is not read as 600 %.

    Raises ConfigurationError for what is not a number of that unit.
    """
    percent = _PERCENT.fullmatch(text.strip())
    if percent and unit == "percent":
        return Decimal(percent[1]) / 100
    if unit == "percent" or percent:
        expected = "a share such as 6%" if unit == "percent" else f"a number of {unit}"
        raise ConfigurationError(f"{text!r} is not {expected}")
    try:
        return Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        raise ConfigurationError(f"{text!r} is not a number of {unit}") from None


class Audits(Protocol):
    """How the access store appends an audit row inside a transaction."""

    def __call__(
        self,
        connection: Connection,
        tenant_id: str,
        actor: str,
        action: str,
        detail: Mapping[str, object],
        *,
        result: str = "done",
    ) -> None:
        """Appends the row. `result` is done or refused."""


class Targets:
    """The targets of all tenants of a home; every question names its tenant."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def set(self, target: Target) -> None:
        """Adds a version and an audit row that names the value before it."""
        with self._writing() as connection:
            before = TargetTable(self._versions(connection, target.tenant_id)).own(target)
            values = {
                "tenant_id": target.tenant_id,
                "metric": target.metric,
                "service_unit_id": target.service_unit_id,
                "valid_from": target.valid_from,
                "value": None if target.value is None else str(target.value),
                "set_by": target.set_by,
                "set_at": datetime.now(UTC),
            }
            connection.execute(insert(TARGET).values(**values))
            detail = {
                "metric": target.metric,
                "unit": target.service_unit_id,
                "from": target.valid_from.isoformat(),
                "value": values["value"],
                "before": None if before is None or before.value is None else str(before.value),
            }
            self._audit(connection, target.tenant_id, target.set_by, "target set", detail)

    def all(self, tenant_id: str) -> tuple[Target, ...]:
        """Every version of a tenant's targets, in the order in which they were set."""
        with self._reading.connect() as connection:
            return self._versions(connection, tenant_id)

    @staticmethod
    def _versions(connection: Connection, tenant_id: str) -> tuple[Target, ...]:
        wanted = select(TARGET).where(TARGET.c.tenant_id == tenant_id).order_by(TARGET.c.target_id)
        return tuple(_target(row) for row in connection.execute(wanted).mappings())


def _target(row: RowMapping) -> Target:
    return Target(
        tenant_id=row["tenant_id"],
        metric=row["metric"],
        service_unit_id=row["service_unit_id"],
        valid_from=row["valid_from"],
        value=None if row["value"] is None else Decimal(row["value"]),
        set_by=row["set_by"],
        set_at=row["set_at"],
    )


class TargetTable:
    """A tenant's targets as they stand: of several versions for the same day the last one counts."""

    def __init__(self, versions: Iterable[Target]) -> None:
        self._standing: dict[tuple[str, str], dict[date, Target]] = {}
        for target in versions:
            days = self._standing.setdefault((target.metric, target.service_unit_id), {})
            days[target.valid_from] = target

    @property
    def standing(self) -> list[Target]:
        """What stands, by metric, unit and day; ends of targets too."""
        targets = [target for days in self._standing.values() for target in days.values()]
        return sorted(targets, key=lambda target: (target.metric, target.service_unit_id, target.valid_from))

    def in_force(self, metric: str, path: Sequence[str], on: date) -> Target | None:
        """The target of a metric on a day: of the first unit of `path` (the unit, then those above it, WHOLE last) that has one."""
        for unit in path:
            days = self._standing.get((metric, unit), {})
            begun = [day for day in days if day <= on]
            if begun and days[max(begun)].value is not None:
                return days[max(begun)]
        return None

    def own(self, target: Target) -> Target | None:
        """What stands for the same metric and unit on the target's first day."""
        days = self._standing.get((target.metric, target.service_unit_id), {})
        begun = [day for day in days if day <= target.valid_from]
        return days[max(begun)] if begun else None
