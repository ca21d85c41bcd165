"""`clinicmart tenants scim`: let a tenant's identity provider keep accounts here, and say what its groups give."""

from dataclasses import asdict

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_result, recorded, tenant_option
from foundation.home import Home


@click.group("scim")
def accounts_of_provider() -> None:
    """Let the identity provider of a tenant keep accounts and groups here (SCIM 2.0)."""


@accounts_of_provider.command("show")
@home_option
@tenant_option
@json_option
@recorded
def show_scim(home: Home, tenant: str, as_json: bool) -> None:
    """Show the tokens of a tenant's identity provider, its groups, and what groups give."""
    from serving.people.store import AccessStore

    store = AccessStore.open(home)
    tokens, groups, rights = store.scim_tokens.of_tenant(tenant), store.groups(tenant), store.group_rights(tenant)
    lines = [
        f"token {token.token_id} {token.name}: {'open' if token.is_open else 'ended'}, until {token.expires_at}"
        for token in tokens
    ]
    lines += [f"group {group.name}: {len(group.members)} people" for group in groups]
    lines += [
        f"{right.group_name} gives {right.role.value}: {', '.join(right.unit_ids) or 'the whole organization'}"
        for right in rights
    ]
    facts = {
        "tokens": [asdict(token) | {"is_open": token.is_open} for token in tokens],
        "groups": [{"name": group.name, "people": len(group.members)} for group in groups],
        "rights": [asdict(right) for right in rights],
    }
    print_result(as_json, facts, *(lines or [f"{tenant}: no identity provider keeps accounts here"]))


@accounts_of_provider.command("create-token")
@home_option
@tenant_option
@click.option("--name", required=True, help="The provider that uses the token. Audit rows name it.")
@click.option("--days", type=int, default=180, show_default=True, help="How long the token works, at most 366 days.")
@json_option
@existing_home
def create_scim_token(home: Home, tenant: str, name: str, days: int, as_json: bool) -> None:
    """Make a token with which the identity provider keeps accounts. It is printed once, kept nowhere, and opens nothing else."""
    from serving.people.secret_tokens import token_id
    from serving.people.store import AccessStore

    token = AccessStore.open(home).scim_tokens.create(tenant, name=name, days=days, actor=operator())
    facts = {"id": token_id(token), "token": token, "days": days}
    print_result(as_json, facts, f"{token_id(token)}: {token}", "Give it to the provider alone. It is not shown again.")


@accounts_of_provider.command("revoke-token")
@click.argument("token_id")
@home_option
@tenant_option
@json_option
@existing_home
def revoke_scim_token(home: Home, token_id: str, tenant: str, as_json: bool) -> None:
    """End a token for good. TOKEN_ID is what `show` lists."""
    from serving.people.store import AccessStore

    AccessStore.open(home).scim_tokens.revoke(tenant, token_id, actor=operator())
    print_result(as_json, {"id": token_id, "revoked": True}, f"{token_id}: revoked")


@accounts_of_provider.command("give")
@click.argument("group")
@home_option
@tenant_option
@click.option("--role", required=True, help="What people in the group are here. No group makes an administrator.")
@click.option("--units", default="", metavar="UNIT,...", help="The service units that they see, with those below them.")
@json_option
@existing_home
def give_group(home: Home, group: str, tenant: str, role: str, units: str, as_json: bool) -> None:
    """Set what GROUP of the identity provider gives. Its members have it at once, and their open sessions end."""
    from foundation.errors import ConfigurationError
    from serving.people.group_rights import GIVEN_ROLES, GroupRight
    from serving.people.store import AccessStore
    from serving.scope_files.unheld import remove_unheld

    roles = {each.value: each for each in GIVEN_ROLES}
    if role not in roles:
        raise ConfigurationError(f"a group cannot give the role {role}; it can give {', '.join(roles)}")
    unit_ids = tuple(unit.strip() for unit in units.split(",") if unit.strip())
    right = GroupRight(group_name=group.strip(), role=roles[role], unit_ids=unit_ids)
    AccessStore.open(home).set_group_right(tenant, right, actor=operator())
    remove_unheld(home, tenant)
    place = ", ".join(unit_ids) or "the whole organization"
    print_result(as_json, asdict(right), f"{right.group_name} gives {role}: {place}")


@accounts_of_provider.command("take")
@click.argument("group")
@home_option
@tenant_option
@json_option
@existing_home
def take_group(home: Home, group: str, tenant: str, as_json: bool) -> None:
    """Take away what GROUP gives. Its members lose it at once, and their open sessions end."""
    from serving.people.store import AccessStore
    from serving.scope_files.unheld import remove_unheld

    group = group.strip()
    was_there = AccessStore.open(home).remove_group_right(tenant, group, actor=operator())
    remove_unheld(home, tenant)
    words = "gives nothing any more" if was_there else "gave nothing"
    print_result(as_json, {"group": group, "removed": was_there}, f"{group} {words}")
