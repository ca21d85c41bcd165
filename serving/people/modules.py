"""Which modules and metrics of the product a scope includes."""

from serving.model import MetricDefinition
from serving.modules import MODULES_BY_NAME
from serving.people.scope import Scope


def sees_module(scope: Scope, name: str) -> bool:
    """Whether a scope includes a module of metrics. A metric whose module does not exist is visible to no role."""
    module = MODULES_BY_NAME.get(name)
    return module is not None and module.has_metrics and name in scope.modules


def sees_metric(scope: Scope, metric: MetricDefinition) -> bool:
    """Whether a scope holds a metric: by its module, or by name."""
    return metric.name in scope.metrics or sees_module(scope, metric.module)
