"""`clinicmart tokens`: tokens with which programs ask the API in the name of a person."""

from dataclasses import asdict

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    operator,
    person_of,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
)
from foundation.home import Home


@click.group()
def tokens() -> None:
    """Make, list and revoke tokens for the API."""


@tokens.command()
@click.argument("email")
@home_option
@tenant_option
@click.option("--name", required=True, help="What the token is for, such as the program that uses it.")
@click.option(
    "--allow",
    "allowed",
    default="figures",
    show_default=True,
    metavar="RIGHT,...",
    help="What the token is allowed: figures, rows, extracts. The rights of the user still apply.",
)
@click.option("--days", type=int, default=90, show_default=True, help="How long the token works, at most 366 days.")
@json_option
@existing_home
def create(home: Home, email: str, tenant: str, name: str, allowed: str, days: int, as_json: bool) -> None:
    """Make a token that asks the API in the name of user EMAIL. It is printed once and kept nowhere."""
    from serving.people.secret_tokens import token_id
    from serving.people.store import AccessStore

    principal = person_of(home, tenant, email)
    rights = [right.strip() for right in allowed.split(",") if right.strip()]
    token = AccessStore.open(home).api_tokens.create(principal, name=name, allowed=rights, days=days, actor=operator())
    facts = {"id": token_id(token), "token": token, "allowed": rights, "days": days}
    print_result(
        as_json,
        facts,
        f"{token_id(token)}: {token}",
        "Keep it like a password. Send it as: Authorization: Bearer TOKEN. It is not shown again.",
    )


@tokens.command("list")
@home_option
@tenant_option
@json_option
@recorded
def list_tokens(home: Home, tenant: str, as_json: bool) -> None:
    """List the tokens of a tenant, the newest first: whose, for what, until when, and when they were last used."""
    from serving.people.store import AccessStore

    listed = AccessStore.open(home).api_tokens.of_tenant(tenant)
    if as_json:
        print_json([asdict(token) | {"is_open": token.is_open} for token in listed])
        return
    print_table(
        ["Token", "User", "Name", "Allowed", "Until", "Last used", "Revoked"],
        [
            [
                token.token_id,
                token.email,
                token.name,
                ", ".join(token.allowed),
                token.expires_at,
                token.last_used_at,
                token.ended_at,
            ]
            for token in listed
        ],
    )


@tokens.command()
@click.argument("token_id")
@home_option
@tenant_option
@json_option
@existing_home
def revoke(home: Home, token_id: str, tenant: str, as_json: bool) -> None:
    """End the token with the id TOKEN_ID for good. `clinicmart tokens list` shows the ids."""
    from serving.people.store import AccessStore

    ended = AccessStore.open(home).api_tokens.revoke(tenant, token_id, actor=operator())
    print_result(as_json, {"id": token_id, "revoked": True}, f"{token_id} ({ended.name}, {ended.email}): revoked")
