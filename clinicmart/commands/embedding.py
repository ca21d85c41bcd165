"""`clinicmart tenants embedding`: which sites of others may show a tenant's figures."""

from dataclasses import asdict

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_result, recorded, tenant_option
from foundation.home import Home


@click.group("embedding")
def embedding() -> None:
    """Let sites of others show pages of figures in a frame (docs/embedding.md)."""


@embedding.command("show")
@home_option
@tenant_option
@json_option
@recorded
def show_sites(home: Home, tenant: str, as_json: bool) -> None:
    """Show the sites that may show figures of a tenant, and those that have ended."""
    from serving.people.store import AccessStore

    sites = AccessStore.open(home).embedding_sites.of_tenant(tenant)
    lines = [
        f"{site.token_id} {site.name} at {site.origin}: {'open' if site.is_open else 'ended'}, until {site.expires_at}; "
        f"pages {', '.join(site.pages)}; {', '.join(site.unit_ids) or 'the whole organization'}"
        for site in sites
    ]
    facts = {"sites": [asdict(site) | {"is_open": site.is_open} for site in sites]}
    print_result(as_json, facts, *(lines or [f"{tenant}: no site shows figures"]))


@embedding.command("add")
@home_option
@tenant_option
@click.option("--name", required=True, help="What the site is, such as Board portal. Audit rows name it.")
@click.option("--origin", required=True, help="The origin of its pages, such as https://portal.example.org.")
@click.option("--page", "pages", multiple=True, required=True, help="A page that it may show. May be repeated.")
@click.option(
    "--unit",
    "unit_ids",
    multiple=True,
    help="A service unit whose figures it may show, with those below it; without it the whole organization. May be repeated.",
)
@click.option("--days", type=int, default=180, show_default=True, help="How long the secret works, at most 366 days.")
@json_option
@existing_home
def add_site(
    home: Home,
    tenant: str,
    name: str,
    origin: str,
    pages: tuple[str, ...],
    unit_ids: tuple[str, ...],
    days: int,
    as_json: bool,
) -> None:
    """Register a site. The secret of its server is printed once and is not stored."""
    from serving.people.secret_tokens import token_id
    from serving.people.store import AccessStore

    sites = AccessStore.open(home).embedding_sites
    secret = sites.create(tenant, name=name, origin=origin, pages=pages, unit_ids=unit_ids, days=days, actor=operator())
    facts = {"id": token_id(secret), "secret": secret, "days": days}
    last = "Give it to the site's server alone, never to a browser. It is not shown again."
    print_result(as_json, facts, f"{token_id(secret)}: {secret}", last)


@embedding.command("revoke")
@click.argument("site_id")
@home_option
@tenant_option
@json_option
@existing_home
def revoke_site(home: Home, site_id: str, tenant: str, as_json: bool) -> None:
    """End a site for good, and with it every link that was not opened yet. SITE_ID is what `show` lists."""
    from serving.people.store import AccessStore

    AccessStore.open(home).embedding_sites.revoke(tenant, site_id, actor=operator())
    print_result(as_json, {"id": site_id, "revoked": True}, f"{site_id}: revoked")
