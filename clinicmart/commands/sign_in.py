"""`clinicmart tenants sign-in`, `tenants oidc`, `users reset-second-factor` and `users link`: how people sign in."""

import sys

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


@click.group("oidc")
def identity_provider() -> None:
    """Let people of a tenant sign in at its own identity provider (OpenID Connect)."""


@identity_provider.command("show")
@home_option
@tenant_option
@json_option
@recorded
def show_provider(home: Home, tenant: str, as_json: bool) -> None:
    """Show the identity provider of a tenant. The client's secret is never shown."""
    from serving.people.store import AccessStore

    provider = AccessStore.open(home).oidc_provider(tenant)
    facts = None if provider is None else vars(provider)
    lines = (
        [f"{tenant}: no identity provider"] if facts is None else [f"{name}: {value}" for name, value in facts.items()]
    )
    print_result(as_json, facts or {}, *lines)


@identity_provider.command("set")
@home_option
@tenant_option
@click.option("--issuer", required=True, help="The issuer, exactly as the provider announces it.")
@click.option("--client-id", required=True, help="The id that the provider gave to Clinicmart.")
@click.option(
    "--name", default="your organization's account", show_default=True, help="Shown on the button of sign-in."
)
@click.option("--secret-env", help="Environment variable in which the server of the pages finds the client's secret.")
@click.option("--secret-file", help="File in which the server of the pages finds the client's secret.")
@click.option(
    "--secret-stdin", is_flag=True, help="Read the client's secret from standard input and keep it encrypted."
)
@click.option(
    "--link-by-email/--no-link-by-email",
    "links_by_email",
    default=False,
    show_default=True,
    help="Whether the first sign-in links a person whose user name is the e-mail address that the provider verified.",
)
@json_option
@existing_home
def set_provider(
    home: Home,
    tenant: str,
    issuer: str,
    client_id: str,
    name: str,
    secret_env: str | None,
    secret_file: str | None,
    secret_stdin: bool,
    links_by_email: bool,
    as_json: bool,
) -> None:
    """Set the identity provider of a tenant. The provider is asked first whether it is one.

    Sessions that began at an earlier provider end. Without a secret the client is a public one (PKCE alone).
    """
    from foundation.errors import ConfigurationError
    from serving.people.oidc_client import metadata_of
    from serving.people.oidc_store import OidcProvider
    from serving.people.store import AccessStore

    if sum(1 for place in (secret_env, secret_file, secret_stdin) if place) > 1:
        raise ConfigurationError("give one of --secret-env, --secret-file and --secret-stdin")
    metadata_of(issuer)
    secret = sys.stdin.readline().strip() if secret_stdin else ""
    if secret_stdin and not secret:
        raise ConfigurationError("--secret-stdin: standard input is empty")
    provider = OidcProvider(
        tenant_id=tenant,
        issuer=issuer,
        client_id=client_id,
        name=name,
        links_by_email=links_by_email,
        secret_from=f"env:{secret_env}" if secret_env else f"file:{secret_file}" if secret_file else None,
    )
    AccessStore.open(home).set_oidc_provider(provider, secret=secret, actor=operator())
    print_result(as_json, vars(provider), f"{tenant}: people can sign in at {issuer}")


@identity_provider.command("remove")
@home_option
@tenant_option
@json_option
@existing_home
def remove_provider(home: Home, tenant: str, as_json: bool) -> None:
    """Remove the identity provider of a tenant. Sessions that began there end."""
    from serving.people.store import AccessStore

    was_there = AccessStore.open(home).remove_oidc_provider(tenant, actor=operator())
    words = "identity provider removed" if was_there else "there was no identity provider"
    print_result(as_json, {"tenant": tenant, "removed": was_there}, f"{tenant}: {words}")


@click.command("link")
@click.argument("email")
@home_option
@tenant_option
@click.option("--subject", help="The person's subject (sub) at the identity provider. Without it the link is removed.")
@json_option
@existing_home
def link(home: Home, email: str, tenant: str, subject: str | None, as_json: bool) -> None:
    """Link a user to a subject of the tenant's identity provider, or remove the link. Open sessions of the user end."""
    from serving.people.store import AccessStore

    AccessStore.open(home).link_subject(tenant, email, subject, actor=operator())
    words = f"linked to {subject}" if subject else "no longer linked"
    print_result(as_json, {"email": email, "subject": subject}, f"{email}: {words}")
