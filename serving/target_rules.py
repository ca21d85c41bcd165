"""A person's targets: which one is in force for a figure of the scope, which values a target can have, and who may set it."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from foundation.errors import AccessError, ConfigurationError
from serving.audited import REFUSED, Note
from serving.metrics.answers import Metrics
from serving.model import MetricDefinition
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.targets import ADDITIVE_UNITS, WHOLE, Target, Targets, TargetTable
from serving.scope_files.derive import UNKNOWN


class ScopedTargets:
    """The targets of one tenant for one person."""

    def __init__(self, metrics: Metrics, kept: Targets, principal: Principal, note: Note) -> None:
        self._metrics, self._kept, self._principal, self._note = metrics, kept, principal, note

    def table(self) -> TargetTable:
        """The targets as they stand at this moment."""
        return TargetTable(self.versions())

    def versions(self) -> tuple[Target, ...]:
        """Every version of the targets, in the order in which they were set, as far as their unit is in the person's scope or above
        it. Everybody who sees figures sees them."""
        above = {unit for path in self._metrics.data.units["path"] for unit in path.strip("/").split("/")}
        versions = self._kept.all(self._principal.tenant_id)
        return tuple(target for target in versions if target.service_unit_id in above | {WHOLE})

    def in_force(self, metric: MetricDefinition, service_unit: str | None, on: date) -> Target | None:
        """The target in force for a metric, a unit (None: all units in scope) and a day; None without one."""
        path = path_in_force(self._metrics, metric, service_unit)
        return self.table().in_force(metric.name, path, on) if path else None

    @property
    def may_set(self) -> bool:
        """Whether the person's role sets targets, for the units that it sees."""
        return ROLES[self._metrics.scope.role].sets_targets

    def set(self, metric: str, service_unit: str | None, valid_from: date, value: Decimal | None) -> None:
        """Sets the target of a metric for a unit (None: the whole tenant) from a day on; a value of None ends it.

        Raises AccessError (audited) if the person may not set it, ConfigurationError for a metric that this person may not ask
        for, for one that is neither better high nor better low, and for a value that the metric cannot have.
        """
        unit = service_unit or WHOLE
        if not self.may_set or (unit == WHOLE and self._metrics.scope.is_restricted):
            asked = {"metric": metric, "unit": unit, "from": valid_from.isoformat()}
            self._note("target set", asked, REFUSED)
            raise AccessError("your role does not set this target; ask your administrator")
        if unit != WHOLE:
            self._metrics.data.path_of(unit)
        check_target([item.definition for item in self._metrics.visible()], metric, value)
        self._kept.set(
            Target(
                tenant_id=self._principal.tenant_id,
                metric=metric,
                service_unit_id=unit,
                valid_from=valid_from,
                value=value,
                set_by=self._principal.email,
            )
        )


def target_path(metrics: Metrics, service_unit: str | None) -> tuple[str, ...]:
    """Ids of the units whose targets can be in force for a unit: the unit, then those above it, then the whole tenant (WHOLE). None is
    all units in scope."""
    # Rows without a unit belong to a member beside the tree.
    roots = [root for root in metrics.data.roots if root != UNKNOWN]
    unit = service_unit or (roots[0] if len(roots) == 1 else None)
    if unit is None:
        return (WHOLE,)
    return (*reversed(metrics.data.path_of(unit).strip("/").split("/")), WHOLE)


def path_in_force(metrics: Metrics, metric: MetricDefinition, service_unit: str | None) -> tuple[str, ...]:
    """As `target_path`, with only the units whose target counts for this metric and scope; empty if none counts.

    A rate, a mean or a number of days has the target of a unit above it. A count or an amount has not: a part cannot reach the target
    of the whole, and neither can a person's own patients.
    """
    path = target_path(metrics, service_unit)
    if metric.unit not in ADDITIVE_UNITS:
        return path
    if metrics.scope.provider_id or (path == (WHOLE,) and metrics.scope.is_restricted):
        return ()
    # The top of the tree and the whole tenant are the same.
    return path[:1] if len(path) > 2 else path


def check_target(metrics: Sequence[MetricDefinition], name: str, value: Decimal | None) -> None:
    """Raises ConfigurationError for a metric that is not among `metrics`, one that is neither better high nor better low, and a value
    that the metric cannot have. None is allowed: it ends a target."""
    definition = next((item for item in metrics if item.name == name), None)
    if definition is None:
        raise ConfigurationError(f"no metric is named {name!r}")
    if definition.direction not in ("higher", "lower"):
        raise ConfigurationError(f"{definition.label} is neither better high nor better low, so it has no target")
    is_possible = value is None or (value.is_finite() and value >= 0 and (definition.unit != "percent" or value <= 1))
    if not is_possible:
        raise ConfigurationError(f"{value} is not a target for {definition.label}")
