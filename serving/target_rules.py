"""Which target is in force for a figure of a scope, and which values a target can have."""

from collections.abc import Sequence
from decimal import Decimal

from foundation.errors import ConfigurationError
from serving.metrics.answers import Metrics
from serving.model import MetricDefinition
from serving.people.targets import ADDITIVE_UNITS, WHOLE
from serving.scope_files.derive import UNKNOWN


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
