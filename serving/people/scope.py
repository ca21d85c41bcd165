"""What one person may see, as a value with a hash: rows (tenant, service units, provider, referral partner), identity level, modules.

What a role may see is in `serving.people.rights`. A scope is narrowed by what the tenant's plan grants and never widened by anything:
a role that needs service units, a provider or a referral partner, and has none, is refused. The hash covers all of it and names the
scope's file, and it is in every cache key.

Figures of fewer than `smallest_cell` people are hidden from those without identity who see no rows, and under Safe Harbor from all
without identity: their rows have no dates, and figures by the day would bring them back.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

from foundation.deidentification import SAFE_HARBOR
from foundation.errors import AccessError
from serving.modules import MODULES
from serving.people.principal import Principal, Role, TenantPolicy
from serving.people.rights import ROLES

# Raise when what a level, a module or a role means changes: files written under the old meaning are never opened again.
POLICY_VERSION = 5


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one person may see. `row_tables_allowed` is false for those who see figures and never rows."""

    tenant_id: str
    role: Role
    unit_ids: tuple[str, ...] = ()
    provider_id: str | None = None
    partner_id: str | None = None
    identity_level: str = "none"
    modules: frozenset[str] = field(default_factory=frozenset)
    metrics: frozenset[str] = field(default_factory=frozenset)
    row_tables_allowed: bool = False
    may_extract: bool = False
    sees_health: bool = False
    deidentification: str = ""
    smallest_cell: int = 1
    policy_version: str = f"{POLICY_VERSION}"

    @classmethod
    def of(cls, principal: Principal, policy: TenantPolicy) -> "Scope":
        """The scope of a person under a tenant's policy.

        Raises AccessError for a super administrator (who sees a tenant only through a support session), for a policy of
        another tenant, and where the role needs service units, a provider or a referral partner
        that the person does not have.
        """
        rule = ROLES[principal.role]
        if rule.is_of_platform:
            raise AccessError("a platform administrator sees a tenant's data only in a support session")
        if policy.tenant_id != principal.tenant_id:
            raise AccessError("the policy belongs to another tenant")
        if rule.needs == "units" and not principal.unit_ids:
            raise AccessError("no service unit is assigned to you; ask your administrator")
        if rule.needs == "provider" and not principal.provider_id:
            raise AccessError("you are not linked to a provider; ask your administrator")
        if rule.needs == "partner" and not principal.provider_id:
            raise AccessError("you are not linked to a referral partner; ask your administrator")
        granted = policy.modules | {module.name for module in MODULES if module.is_always_on}
        deidentification = policy.deidentification.rule if rule.identity_level == "none" else ""
        hides = rule.identity_level == "none" and (not rule.rows or deidentification == SAFE_HARBOR)
        return cls(
            tenant_id=principal.tenant_id,
            role=principal.role,
            unit_ids=tuple(sorted(set(principal.unit_ids))),
            provider_id=principal.provider_id if rule.needs == "provider" else None,
            partner_id=principal.provider_id if rule.needs == "partner" else None,
            identity_level=rule.identity_level,
            modules=frozenset(rule.modules) & granted,
            metrics=frozenset(rule.metrics),
            row_tables_allowed=rule.rows,
            may_extract=rule.may_extract and "extracts" in policy.modules,
            sees_health=rule.sees_health,
            deidentification=deidentification,
            smallest_cell=policy.deidentification.smallest_cell if hides else 1,
            policy_version=f"{POLICY_VERSION}.{policy.version}",
        )

    @property
    def is_restricted(self) -> bool:
        """Whether rows are left out by service unit, provider or referral partner."""
        return bool(self.unit_ids) or self.provider_id is not None or self.partner_id is not None

    @property
    def sees_figures(self) -> bool:
        """Whether the scope holds any module or metric: a role may have the board of today and nothing else."""
        return bool(self.modules or self.metrics)

    @cached_property
    def figures_mark(self) -> str:
        """16 hexadecimal digits over what decides the value of a figure: whose rows count, and how small a cell is shown. Figures that were
        kept are shown again only to a scope with the same mark."""
        parts = [self.tenant_id, self.unit_ids, self.provider_id, self.partner_id, self.smallest_cell]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @cached_property
    def hash(self) -> str:
        """32 hexadecimal digits over everything above."""
        parts = {
            "tenant_id": self.tenant_id,
            "role": self.role.value,
            "unit_ids": self.unit_ids,
            "provider_id": self.provider_id,
            "partner_id": self.partner_id,
            "identity_level": self.identity_level,
            "modules": sorted(self.modules),
            "metrics": sorted(self.metrics),
            "row_tables_allowed": self.row_tables_allowed,
            "may_extract": self.may_extract,
            "sees_health": self.sees_health,
            "deidentification": self.deidentification,
            "smallest_cell": self.smallest_cell,
            "policy_version": self.policy_version,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
