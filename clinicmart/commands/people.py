"""`clinicmart tenants`, `users`, `modules` and `audit`: who there is, who may see what, and what was done."""

import click

from clinicmart.commands.embedding import embedding
from clinicmart.commands.organizations import add_tenant, metering
from clinicmart.commands.prove import prove, verify_report
from clinicmart.commands.reached import breach, patient, person
from clinicmart.commands.removal import remove_asked, remove_tenant
from clinicmart.commands.scim import accounts_of_provider
from clinicmart.commands.sign_in import identity_provider, link, reset_second_factor, sign_in_rule
from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    operator,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
)
from foundation.home import Home


@click.group()
def tenants() -> None:
    """List and add tenants, meter them, and remove one for ever."""


@tenants.command("list")
@home_option
@json_option
@recorded
def list_tenants(home: Home, as_json: bool) -> None:
    """List the tenants of the home."""
    from serving.people.store import AccessStore

    listed = AccessStore.open(home).tenants()
    if as_json:
        print_json(listed)
        return
    print_table(["Tenant", "Name"], [[tenant_id, name] for tenant_id, name in dict(listed).items()])


tenants.add_command(add_tenant)
tenants.add_command(metering)
tenants.add_command(sign_in_rule)
tenants.add_command(identity_provider)
tenants.add_command(accounts_of_provider)
tenants.add_command(embedding)
tenants.add_command(remove_tenant)
tenants.add_command(remove_asked)


@click.group()
def users() -> None:
    """Add, list and change users."""


users.add_command(reset_second_factor)
users.add_command(link)


@users.command("list")
@home_option
@tenant_option
@json_option
@recorded
def list_users(home: Home, tenant: str, as_json: bool) -> None:
    """List the users of a tenant with role, units, provider and status: active, invited or locked."""
    from serving.people.store import AccessStore

    listed = [
        {
            "email": item.email,
            "name": item.display_name,
            "role": item.role.value,
            "units": list(item.unit_ids),
            "provider": item.provider_id,
            "status": item.status,
        }
        for item in AccessStore.open(home).everybody(tenant)
    ]
    if as_json:
        print_json(listed)
        return
    print_table(
        ["User", "Name", "Role", "Service units", "Provider", "Status"],
        [
            [
                *(row["email"], row["name"], row["role"], ", ".join(row["units"] or ()) or None),
                *(row["provider"], row["status"]),
            ]
            for row in listed
        ],
    )


@users.command()
@click.argument("email")
@home_option
@tenant_option
@click.option("--role", required=True, help="One of the roles of docs/rights.md, such as program_manager.")
@click.option("--name", default="", help="Name shown to others.")
@click.option(
    "--unit",
    "units",
    multiple=True,
    help="A service unit that the person may see, with all units below it. May be repeated.",
)
@click.option("--provider", help="Id of the provider or of the referral partner, if the person is one.")
@json_option
@existing_home
def add(
    home: Home,
    email: str,
    tenant: str,
    role: str,
    name: str,
    units: tuple[str, ...],
    provider: str | None,
    as_json: bool,
) -> None:
    """Add a user. The one-time password is printed."""
    from foundation.errors import ConfigurationError
    from serving.people.principal import PLATFORM, Role
    from serving.people.store import AccessStore

    try:
        wanted = Role(role)
    except ValueError:
        raise ConfigurationError(f"--role {role!r} is not one of {', '.join(item.value for item in Role)}") from None
    store = AccessStore.open(home)
    if tenant == PLATFORM and wanted is Role.SUPER_ADMIN:
        store.ensure_tenant(PLATFORM, "Platform")
    password = store.add_user(
        tenant,
        email,
        role=wanted,
        display_name=name or email.partition("@")[0],
        unit_ids=units,
        provider_id=provider,
        actor=operator(),
    )
    facts = {"email": email, "one_time_password": password}
    print_result(as_json, facts, f"{email}: one-time password {password}")


@users.command()
@click.argument("email")
@home_option
@tenant_option
@click.option("--role", help="The new role.")
@click.option(
    "--unit", "units", multiple=True, help="A service unit that the person may see from now on. May be repeated."
)
@click.option("--provider", help="Id of the provider or of the referral partner, if the person is one.")
@click.option("--lock/--unlock", "lock", default=None, help="Refuse or allow sign-in. --lock ends open sessions.")
@json_option
@existing_home
def change(
    home: Home,
    email: str,
    tenant: str,
    role: str | None,
    units: tuple[str, ...],
    provider: str | None,
    lock: bool | None,
    as_json: bool,
) -> None:
    """Change what a user may see, or lock the user out. It takes effect at the next request."""
    from serving.people.store import AccessStore
    from serving.scope_files.unheld import remove_unheld

    AccessStore.open(home).change_rights(
        tenant,
        email,
        role=role,
        unit_ids=units or None,
        provider_id=provider,
        is_active=None if lock is None else not lock,
        actor=operator(),
    )
    remove_unheld(home, tenant)
    print_result(as_json, {"email": email, "changed": True}, f"{email}: changed")


@users.command()
@click.argument("email")
@home_option
@tenant_option
@json_option
@existing_home
def reset(home: Home, email: str, tenant: str, as_json: bool) -> None:
    """Make a link with which a user chooses a new password. Open sessions of the user end.

    The link works once, within 24 hours. Send it in a way that only this person can read.
    """
    from serving.people.store import AccessStore

    token = AccessStore.open(home).begin_reset(tenant, email, actor=operator())
    path = f"/password?reset={token}"
    print_result(
        as_json, {"email": email, "path": path}, f"{email}: open this path at the address of the dashboards: {path}"
    )


@click.group()
def modules() -> None:
    """Show and switch the modules of a tenant."""


@modules.command("list")
@home_option
@tenant_option
@json_option
@recorded
def list_modules(home: Home, tenant: str, as_json: bool) -> None:
    """List modules: whether the plan of the tenant includes them, and whether they are switched on."""
    from serving.people.store import AccessStore

    listed = AccessStore.open(home).modules(tenant)
    if as_json:
        print_json([{"module": name, "granted": granted, "enabled": enabled} for name, granted, enabled in listed])
        return
    words = {True: "yes", False: "no"}
    print_table(
        ["Module", "Granted", "Switched on"], [[name, words[granted], words[on]] for name, granted, on in listed]
    )


@modules.command("set")
@click.argument("module")
@home_option
@tenant_option
@click.option("--grant/--revoke", "granted", default=None, help="Whether the plan of the tenant includes the module.")
@click.option("--on/--off", "enabled", default=None, help="Whether the module is switched on.")
@json_option
@existing_home
def set_module(home: Home, module: str, tenant: str, granted: bool | None, enabled: bool | None, as_json: bool) -> None:
    """Grant or revoke a module, or switch it on or off. It takes effect at the next request."""
    from foundation.errors import ConfigurationError
    from serving.people.store import AccessStore
    from serving.scope_files.unheld import remove_unheld

    if granted is None and enabled is None:
        raise ConfigurationError("nothing to change: give --grant or --revoke, or --on or --off")
    AccessStore.open(home).set_module(tenant, module, granted=granted, enabled=enabled, actor=operator())
    remove_unheld(home, tenant)
    print_result(as_json, {"module": module, "changed": True}, f"{module}: changed")


@click.group()
def audit() -> None:
    """Read and verify the audit log."""


for _command in (patient, person, breach, prove, verify_report):
    audit.add_command(_command)


@audit.command("list")
@home_option
@tenant_option
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@recorded
def list_audit(home: Home, tenant: str, limit: int, as_json: bool) -> None:
    """List the audit log, newest first: who, when, what, scope and result."""
    from serving.people.store import AccessStore

    rows = AccessStore.open(home).audit_rows(tenant, limit=limit)
    fields = ("at", "actor", "action", "scope_hash", "detail", "result", "channel", "address", "session", "os_user")
    if as_json:
        print_json([{name: getattr(row, name) for name in fields} for row in rows])
        return
    print_table(
        ["When", "Who", "What", "Scope", "Detail", "Result", "Channel", "Address", "Session", "Account"],
        [[getattr(row, name) for name in fields] for row in rows],
    )


@audit.command()
@home_option
@json_option
@existing_home
def verify(home: Home, as_json: bool) -> int:
    """Check that no row of the audit log was changed or removed. Exit code 1: a row was."""
    from serving.people.store import AccessStore

    verification = AccessStore.open(home).verify_audit()
    facts = {
        "rows": verification.rows,
        "is_intact": verification.is_intact,
        "first_bad": verification.first_bad,
        "problem": verification.problem,
    }
    intact = f"{verification.rows:,} rows, intact"
    sentence = intact if verification.is_intact else f"row {verification.first_bad}: {verification.problem}"
    print_result(as_json, facts, sentence)
    return 0 if verification.is_intact else 1
