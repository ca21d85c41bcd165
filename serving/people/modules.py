"""Which modules of the product a scope holds."""

from serving.modules import MODULES_BY_NAME
from serving.people.scope import Scope


def sees_module(scope: Scope, name: str) -> bool:
    """Whether a scope holds a module of metrics; metrics of no such module are for nobody."""
    module = MODULES_BY_NAME.get(name)
    return module is not None and module.has_metrics and name in scope.modules
