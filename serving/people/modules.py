"""Which modules of the product a scope includes."""

from serving.modules import MODULES_BY_NAME
from serving.people.scope import Scope


def sees_module(scope: Scope, name: str) -> bool:
    """Whether a scope includes a module of metrics. A metric whose module does not exist is visible to no role."""
    module = MODULES_BY_NAME.get(name)
    return module is not None and module.has_metrics and name in scope.modules
