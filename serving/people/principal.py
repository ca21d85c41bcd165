"""Who asks, as what, and what the tenant's plan allows: values without a database."""

from dataclasses import dataclass
from enum import StrEnum

from foundation.deidentification import STRICT, Deidentification
from foundation.errors import AccessError

# Platform administrators belong to this tenant and to no clinic group.
PLATFORM = "platform"


class Role(StrEnum):
    """What a person is for the tenant; `serving.people.rights` says what each may see."""

    SUPER_ADMIN = "super_admin"
    ORGANIZATION_ADMIN = "organization_admin"
    EXECUTIVE = "executive"
    PROGRAM_MANAGER = "program_manager"
    PROVIDER = "provider"
    BILLING_STAFF = "billing_staff"
    ANALYST = "analyst"
    FRONT_DESK = "front_desk"
    NURSE = "nurse"
    REFERRAL_PARTNER = "referral_partner"
    # Of a platform administrator in a support session; nobody else has it.
    SUPPORT = "support"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A signed-in person. `unit_ids` are the assigned service units, `provider_id` is the provider or the referral partner that the person
    is."""

    tenant_id: str
    email: str
    display_name: str
    role: Role
    unit_ids: tuple[str, ...] = ()
    provider_id: str | None = None

    def __post_init__(self) -> None:
        if not self.tenant_id:
            raise AccessError("a person belongs to exactly one tenant")


@dataclass(frozen=True, kw_only=True)
class TenantPolicy:
    """What a tenant's plan and settings allow: modules that are granted and switched on, and the settings' version."""

    tenant_id: str
    version: int
    modules: frozenset[str]
    deidentification: Deidentification = STRICT
