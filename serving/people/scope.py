"""What one person may see, as a value with a hash: rows (tenant, service units, provider), identity level, modules.

The table of roles is data. A scope is narrowed by what the tenant's plan grants and never widened by anything: a role
that needs service units or a provider and has none is refused. The hash covers all of it and names the scope's file,
and it is in every cache key.

Identity levels:
    identified   the published rows as they are: patients are keyed tokens, identifiers stay in the vault
    limited      patients are surrogates of this scope alone, which no look-up and no other scope knows; ages of 90 and over are one
                 group, and of places three digits of the ZIP code remain, if enough people live there; account and record
                 numbers stay, for work lists
    none         de-identified: account and record numbers are surrogates too, texts that no model marks are left out; rows leave
                 by the tenant's rule (`deidentification`); who sees no rows at all gets a file without patients and times of day

Figures of fewer than `smallest_cell` people are hidden from those without identity who see no rows, and under Safe Harbor from all
without identity: their rows have no dates, and figures by the day would bring them back.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from foundation.deidentification import SAFE_HARBOR
from foundation.errors import AccessError
from serving.modules import MODULES, modules_of_role
from serving.people.principal import Principal, Role, TenantPolicy

# Raise when what a level, a module or a role means changes: files written under the old meaning are never opened again.
POLICY_VERSION = 3
IDENTITY_LEVELS = ("identified", "limited", "none")


@dataclass(frozen=True, kw_only=True)
class RoleRule:
    """What a role may see. `needs` is what must be assigned to the person: units, provider or nothing. `sets_targets`: for all units
    that the person sees, and for the whole tenant where the person sees it all. `administers`: the tenant's people and their rights.
    `works_lists`: works on the rows of worklists."""

    rows: bool
    identity_level: str
    modules: tuple[str, ...]
    needs: str = ""
    may_extract: bool = False
    sees_health: bool = True
    sets_targets: bool = False
    administers: bool = False
    works_lists: bool = False

    def __post_init__(self) -> None:
        if self.identity_level not in IDENTITY_LEVELS:
            raise ValueError(f"{self.identity_level!r} is not an identity level")


ROLES: Mapping[Role, RoleRule] = MappingProxyType(
    {
        Role.ORGANIZATION_ADMIN: RoleRule(
            rows=True,
            identity_level="identified",
            modules=modules_of_role("organization_admin"),
            may_extract=True,
            sets_targets=True,
            administers=True,
            works_lists=True,
        ),
        Role.EXECUTIVE: RoleRule(rows=False, identity_level="none", modules=modules_of_role("executive")),
        Role.PROGRAM_MANAGER: RoleRule(
            rows=True,
            identity_level="limited",
            modules=modules_of_role("program_manager"),
            needs="units",
            sets_targets=True,
            works_lists=True,
        ),
        Role.PROVIDER: RoleRule(
            rows=True,
            identity_level="identified",
            modules=modules_of_role("provider"),
            needs="provider",
            sees_health=False,
        ),
        Role.BILLING_STAFF: RoleRule(
            rows=True,
            identity_level="limited",
            modules=modules_of_role("billing_staff"),
            needs="units",
            works_lists=True,
        ),
        Role.ANALYST: RoleRule(rows=True, identity_level="none", modules=modules_of_role("analyst"), may_extract=True),
        # A partner sees the referrals it sent, and no board: those are for the people of the tenant.
        Role.REFERRAL_PARTNER: RoleRule(
            rows=True,
            identity_level="none",
            modules=modules_of_role("referral_partner"),
            needs="provider",
            sees_health=False,
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one person may see. `row_tables_allowed` is false for those who see figures and never rows."""

    tenant_id: str
    role: Role
    unit_ids: tuple[str, ...] = ()
    provider_id: str | None = None
    identity_level: str = "none"
    modules: frozenset[str] = field(default_factory=frozenset)
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
        another tenant, and where the role needs service units or a provider that the person does not have.
        """
        rule = ROLES.get(principal.role)
        if rule is None:
            raise AccessError("a platform administrator sees a tenant's data only in a support session")
        if policy.tenant_id != principal.tenant_id:
            raise AccessError("the policy belongs to another tenant")
        if rule.needs == "units" and not principal.unit_ids:
            raise AccessError("no service unit is assigned to you; ask your administrator")
        if rule.needs == "provider" and not principal.provider_id:
            raise AccessError("you are not linked to a provider; ask your administrator")
        granted = policy.modules | {module.name for module in MODULES if module.is_always_on}
        deidentification = policy.deidentification.rule if rule.identity_level == "none" else ""
        hides = rule.identity_level == "none" and (not rule.rows or deidentification == SAFE_HARBOR)
        return cls(
            tenant_id=principal.tenant_id,
            role=principal.role,
            unit_ids=tuple(sorted(set(principal.unit_ids))),
            provider_id=principal.provider_id if rule.needs == "provider" else None,
            identity_level=rule.identity_level,
            modules=frozenset(rule.modules) & granted,
            row_tables_allowed=rule.rows,
            may_extract=rule.may_extract and "extracts" in policy.modules,
            sees_health=rule.sees_health,
            deidentification=deidentification,
            smallest_cell=policy.deidentification.smallest_cell if hides else 1,
            policy_version=f"{POLICY_VERSION}.{policy.version}",
        )

    @property
    def is_restricted(self) -> bool:
        """Whether rows are left out by service unit or provider."""
        return bool(self.unit_ids) or self.provider_id is not None

    @cached_property
    def hash(self) -> str:
        """32 hexadecimal digits over everything above."""
        parts = {
            "tenant_id": self.tenant_id,
            "role": self.role.value,
            "unit_ids": self.unit_ids,
            "provider_id": self.provider_id,
            "identity_level": self.identity_level,
            "modules": sorted(self.modules),
            "row_tables_allowed": self.row_tables_allowed,
            "may_extract": self.may_extract,
            "sees_health": self.sees_health,
            "deidentification": self.deidentification,
            "smallest_cell": self.smallest_cell,
            "policy_version": self.policy_version,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
