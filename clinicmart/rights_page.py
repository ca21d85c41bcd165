"""The text of `docs/rights.md`: what each role may see and do, from `serving.people.rights`."""

from collections.abc import Iterable

from serving.people.principal import Role
from serving.people.rights import POSTGRES_LEVEL, REFERRAL_COLUMNS, ROLES, RoleRule

_INTRODUCTION = """\
What a role does not hold is absent from the pages. It is refused as well when somebody asks for it in another way: by the address of
a page, on the command line, in an extract or in the file of the scope. A module shows only where the plan of the tenant includes it.
[deidentification.md](deidentification.md) says what the identity levels mean. `clinicmart audit prove` tries every role."""
_ASSIGNED = {"": "nothing", "units": "service units", "provider": "a provider", "partner": "a referral partner"}
_SUPPORT = """\
Nobody is given this role: a platform administrator has it while a support session runs ([console.md](console.md)). Nothing can be changed,
and no page, row or figure leaves as a file."""
_POSTGRES = """\
A login of `clinicmart bi-login` belongs to tenants and service units, not to a person. It reads the columns that the identity level
`{level}` shows unchanged, and no others; row policies cut the rows ([postgres.md](postgres.md))."""
_PROVIDERS = """\
A provider sees own rows of the units where a credential of the provider holds on the day that the data reach, and of the units below
them. A credential that has ended, or has not begun, opens nothing. Closed months keep figures of providers for all units, so they are
not shown to a provider whose rows are cut. If no feed of the tenant brings credentials (`provider_service_unit`), a provider sees the
own rows of all units, and the head of each page says so."""
_PARTNER = """\
A referral partner is a referring practice, doctor or attorney. `clinicmart users add --role referral_partner --provider ID` names it by
the id that referrals have in the field `referral_partner_id`. A partner sees the referrals with that id, and of them these columns:"""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _acts(rule: RoleRule) -> str:
    held = {
        "takes extracts": rule.may_extract,
        "sets targets": rule.sets_targets,
        "writes annotations": rule.annotates,
        "works on worklists": rule.works_lists,
        "closes months": rule.closes_months,
        "opens source messages unmasked": rule.opens_messages,
        "administers people": rule.administers,
        f"looks up who a patient is, {rule.looks_up}": bool(rule.looks_up),
    }
    return ", ".join(act for act, is_held in held.items() if is_held) or "nothing more"


def _role(role: Role, rule: RoleRule) -> list[str]:
    if rule.is_of_platform:
        return [
            f"## `{role}`",
            "",
            f"{rule.sees}. Belongs to the platform and has its console ([console.md](console.md)).",
            "",
        ]
    return [
        f"## `{role}`",
        "",
        f"{rule.sees}." + (f" {_SUPPORT}" if rule.is_of_support else ""),
        "",
        f"- Must be assigned: {_ASSIGNED[rule.needs]}",
        f"- Identity level: `{rule.identity_level}`; {'figures and the rows behind them' if rule.rows else 'figures, never rows'}",
        f"- Pages: {_names(rule.pages)}",
        f"- Modules: {_names(rule.modules)}" + (f"; metrics: {_names(rule.metrics)}" if rule.metrics else ""),
        f"- Commands with `--as`: {_names(rule.commands)}",
        f"- Besides: {_acts(rule)}",
        "",
    ]


def rights_page(note: str) -> str:
    """The text of `docs/rights.md`; `note` says that the file is generated."""
    lines = ["# Roles and rights", "", note, "", _INTRODUCTION, ""]
    for role, rule in ROLES.items():
        lines += _role(role, rule)
    lines += [
        "## Providers and credentials",
        "",
        _PROVIDERS,
        "",
        "## PostgreSQL logins",
        "",
        _POSTGRES.format(level=POSTGRES_LEVEL),
        "",
        "## Referral partners",
        "",
        _PARTNER,
        "",
    ]
    lines += [f"- `{table}`: {_names(columns)}" for table, columns in REFERRAL_COLUMNS.items()]
    return "\n".join([*lines, ""])
