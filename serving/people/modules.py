"""Which modules of the product a scope holds."""

from serving.people.scope import BOARDS, Scope


def sees_module(scope: Scope, module: str) -> bool:
    """Whether a scope holds a module; what belongs to no board of the product is for nobody."""
    return module in scope.modules and module in (*BOARDS, "referrals", "forecasts")
