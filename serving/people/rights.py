"""The table of rights: what each role may see and do. Everything that depends on a role reads it from here.

Scopes and their files, pages, commands, the columns of PostgreSQL logins and docs/rights.md follow from this table. What a role does
not hold is absent from the pages, and `serving` refuses it on every other way.

Identity levels:
    identified   the published rows as they are: patients are keyed tokens, identifiers stay in the vault
    limited      patients are surrogates of this scope alone, which no look-up and no other scope knows; ages of 90 and over are one
                 group, and of places three digits of the ZIP code remain, if enough people live there; account and record
                 numbers stay, for work lists
    none         de-identified: account and record numbers are surrogates too, texts that no model marks are left out; rows leave
                 by the tenant's rule (`deidentification`); who sees no rows at all gets a file without patients and times of day
    minimum      as none, and of the tables in REFERRAL_COLUMNS the columns named there, of other tables no rows. Days stay as they
                 are: a partner knows the day of a referral, and asks for the days of what followed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from serving.people.principal import Role

IDENTITY_LEVELS = ("identified", "limited", "none", "minimum")
# Levels whose rows lead to their source records; those of the others would identify the patient.
TRACED_LEVELS = ("identified", "limited")
# What must be assigned to a person of the role: service units, the provider or the referral partner that the person is, or nothing.
NEEDS = ("", "units", "provider", "partner")
# When a role may look up who a patient is (`serving.people.look_ups`); empty: never.
WITH_A_REASON, IN_AN_EMERGENCY = "with a reason", "in an emergency"
# The identity level of logins for BI tools on PostgreSQL: they have columns that this level shows unchanged, and no others.
POSTGRES_LEVEL = "none"
# What a referral partner sees of a table: when the referral was made and what became of it. No money, nothing clinical.
REFERRAL_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fct_referrals": (
            "tenant_id",
            "referral_id",
            "patient_id",
            "service_unit_key",
            "service_unit_id",
            "outcome",
            "furthest_stage",
            "is_authorized",
            "is_scheduled",
            "is_attended",
            "referral_to_schedule_days",
            "referral_to_visit_days",
            "ordered_date",
            "expiry_date",
            "first_booked_date",
            "first_visit_date",
        )
    }
)
# Dimensions of which roles have rows that hold no module of figures: the tenant, the calendar and the units that they see.
PLACE_DIMENSIONS = ("dim_tenants", "dim_dates", "dim_service_units", "dim_service_unit_versions")

# Modules of figures, and the pages that show them: the same keys but for the last.
_MODULES = ("revenue_cycle", "throughput", "no_show", "payer_mix", "credentialing")
_AREAS = ("revenue_cycle", "throughput", "no_show", "payer_mix", "credentials")
_FOR_ALL_FIGURES = (
    "this_week",
    "closed_months",
    "reports",
    "report_builder",
    "alerts",
    "targets",
    "annotations",
    "compare",
    "lineage",
)
# For roles that take extracts.
_OWN_TOOLS = ("sql", "extract")


@dataclass(frozen=True, kw_only=True)
class RoleRule:
    """What a role may see and do.

    `sees` says it in words. `modules` are held where the tenant has them, `metrics` are held beside those of the modules. `pages` are
    the keys of the pages. `rows`: also the rows behind figures. `needs` is one of NEEDS. `opens_messages`: source messages as they
    were sent, with a reason. `looks_up`: the identity of one patient at a time, and when. `sets_targets`: for all units that the person
    sees, and for the whole tenant where the person sees all of it. `annotates`: writes annotations, for the same. `is_of_platform`: belongs
    to no tenant and sees no tenant's data. `is_of_support`: nobody is given it, a platform administrator has it in a support session.
    `takes_files`: pages of figures as files.
    """

    sees: str
    identity_level: str = "none"
    rows: bool = False
    needs: str = ""
    modules: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    may_extract: bool = False
    sets_targets: bool = False
    annotates: bool = False
    closes_months: bool = False
    opens_messages: bool = False
    looks_up: str = ""
    is_of_platform: bool = False
    is_of_support: bool = False
    takes_files: bool = True

    def __post_init__(self) -> None:
        if self.identity_level not in IDENTITY_LEVELS:
            raise ValueError(f"{self.identity_level!r} is not an identity level")
        if self.looks_up not in ("", WITH_A_REASON, IN_AN_EMERGENCY):
            raise ValueError(f"{self.looks_up!r} does not say when a role may look patients up")
        if self.needs not in NEEDS:
            raise ValueError(f"{self.needs!r} cannot be assigned to a person")

    @property
    def sees_health(self) -> bool:
        """Sees what the feeds delivered."""
        return "data_health" in self.pages

    @property
    def administers(self) -> bool:
        """Changes the tenant's people and their rights, and reads the audit."""
        return "administration" in self.pages

    @property
    def works_lists(self) -> bool:
        """Works on the rows of worklists."""
        return "worklists" in self.pages

    @property
    def sees_annotations(self) -> bool:
        """Reads annotations."""
        return "annotations" in self.pages

    @property
    def sees_today(self) -> bool:
        """Sees the board of today."""
        return "today" in self.pages

    @property
    def sees_figures(self) -> bool:
        """Holds some metric."""
        return bool(self.modules or self.metrics)

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands with `--as` that answer a person of the role."""
        held = {
            "metrics": self.sees_figures and not self.is_of_support,
            "drill": self.sees_figures and self.rows,
            "source": self.rows and self.identity_level in TRACED_LEVELS,
            "extract": self.may_extract,
            "close": self.closes_months,
            "audit breach --letters": self.administers,
            "identity": bool(self.looks_up),
        }
        return tuple(command for command, is_held in held.items() if is_held)


_TODAY_ONLY = RoleRule(
    sees="Today's board of assigned service units and those below them", needs="units", pages=("today",)
)
ROLES: Mapping[Role, RoleRule] = MappingProxyType(
    {
        Role.SUPER_ADMIN: RoleRule(sees="No data of any tenant", is_of_platform=True),
        Role.ORGANIZATION_ADMIN: RoleRule(
            sees="The whole organization",
            identity_level="identified",
            rows=True,
            modules=(*_MODULES, "forecasts", "extracts", "reports", "branding"),
            pages=(
                "overview",
                "today",
                *_AREAS,
                "forecasts",
                *_FOR_ALL_FIGURES,
                "data_health",
                "worklists",
                *_OWN_TOOLS,
                "administration",
            ),
            may_extract=True,
            sets_targets=True,
            annotates=True,
            closes_months=True,
            opens_messages=True,
            looks_up=WITH_A_REASON,
        ),
        Role.EXECUTIVE: RoleRule(
            sees="The whole organization, figures only",
            modules=(*_MODULES, "forecasts", "reports"),
            pages=("overview", *_AREAS, "forecasts", *_FOR_ALL_FIGURES, "data_health"),
            annotates=True,
        ),
        Role.PROGRAM_MANAGER: RoleRule(
            sees="Assigned service units and those below them",
            identity_level="limited",
            rows=True,
            needs="units",
            looks_up=IN_AN_EMERGENCY,
            modules=(*_MODULES, "forecasts", "reports"),
            pages=("overview", "today", *_AREAS, "forecasts", *_FOR_ALL_FIGURES, "data_health", "worklists"),
            sets_targets=True,
            annotates=True,
        ),
        Role.PROVIDER: RoleRule(
            sees="Own patients at the units where a credential holds",
            identity_level="identified",
            rows=True,
            needs="provider",
            looks_up=IN_AN_EMERGENCY,
            modules=("revenue_cycle", "throughput", "no_show", "credentialing"),
            pages=("overview", "revenue_cycle", "throughput", "no_show", "credentials", *_FOR_ALL_FIGURES),
        ),
        Role.BILLING_STAFF: RoleRule(
            sees="Money and appointments of assigned service units and those below them",
            identity_level="limited",
            rows=True,
            needs="units",
            looks_up=IN_AN_EMERGENCY,
            modules=("revenue_cycle", "no_show", "payer_mix"),
            pages=("overview", "revenue_cycle", "no_show", "payer_mix", *_FOR_ALL_FIGURES, "data_health", "worklists"),
        ),
        Role.ANALYST: RoleRule(
            sees="The whole organization, de-identified",
            rows=True,
            modules=(*_MODULES, "forecasts", "extracts"),
            pages=("overview", *_AREAS, "forecasts", *_FOR_ALL_FIGURES, "data_health", *_OWN_TOOLS),
            may_extract=True,
        ),
        Role.FRONT_DESK: _TODAY_ONLY,
        Role.NURSE: _TODAY_ONLY,
        Role.REFERRAL_PARTNER: RoleRule(
            sees="Own referrals: received, scheduled, seen",
            identity_level="minimum",
            rows=True,
            needs="partner",
            modules=("referrals",),
            metrics=("referrals", "referrals_scheduled", "referrals_attended"),
            pages=("referrals",),
        ),
        Role.SUPPORT: RoleRule(
            sees="The whole organization, figures only, for the time of a support session",
            modules=_MODULES,
            pages=("overview", *_AREAS, "this_week", "lineage", "data_health", "settings"),
            is_of_support=True,
            takes_files=False,
        ),
    }
)
# Roles of people who belong to a tenant.
TENANT_ROLES: tuple[Role, ...] = tuple(
    role for role, rule in ROLES.items() if not (rule.is_of_platform or rule.is_of_support)
)
