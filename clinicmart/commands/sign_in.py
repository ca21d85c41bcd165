"""`clinicmart tenants sign-in` and `users reset-second-factor`: how people sign in."""

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_result, recorded, tenant_option
from foundation.home import Home


@click.command("sign-in")
@home_option
@tenant_option
@click.option(
    "--second-factor",
    type=click.Choice(["required", "optional"]),
    help="Whether everybody who signs in with a password must have a second factor.",
)
@json_option
@recorded
def sign_in_rule(home: Home, tenant: str, second_factor: str | None, as_json: bool) -> None:
    """Show or set how people of a tenant sign in. A new rule takes effect at the next request."""
    from serving.people.store import AccessStore

    store = AccessStore.open(home)
    if second_factor is not None:
        store.require_second_factor(tenant, second_factor == "required", actor=operator())
    rule = "required" if store.requires_second_factor(tenant) else "optional"
    print_result(as_json, {"tenant": tenant, "second_factor": rule}, f"{tenant}: second factor {rule}")


@click.command("reset-second-factor")
@click.argument("email")
@home_option
@tenant_option
@json_option
@existing_home
def reset_second_factor(home: Home, email: str, tenant: str, as_json: bool) -> None:
    """Remove the second factor of a user who lost it. Open sessions of the user end.

    Make sure first that the person is who asks. The next sign-in needs the password alone, or a new second factor where the tenant
    requires one.
    """
    from serving.people.store import AccessStore

    had_one = AccessStore.open(home).reset_second_factor(tenant, email, actor=operator())
    words = "second factor removed" if had_one else "there was no second factor"
    print_result(as_json, {"email": email, "had_second_factor": had_one}, f"{email}: {words}")
