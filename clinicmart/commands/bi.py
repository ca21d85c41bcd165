"""`clinicmart bi-login`: logins for BI tools on the PostgreSQL server that `clinicmart run --target postgres` builds on."""

from dataclasses import asdict

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    operator,
    print_json,
    print_result,
    print_table,
    recorded,
)
from foundation.home import Home

NO_SERVER = "{home}: there is no PostgreSQL server yet; clinicmart run --target postgres makes it"


@click.group("bi-login")
def bi_login() -> None:
    """Create, list and revoke logins for BI tools (Power BI, Metabase, psql) on the PostgreSQL server."""


@bi_login.command()
@home_option
@click.option("--tenant", "tenants", multiple=True, required=True, help="The tenant whose data it may read.")
@click.option(
    "--units",
    "units",
    multiple=True,
    help="A service unit it may read, with all units below it. May be repeated. Default: all service units.",
)
@click.option(
    "--chooses-tenant",
    "chooses",
    is_flag=True,
    help="For a service that works for several tenants: the service sets one of the given tenants in each transaction.",
)
@click.option("--label", default="", help="A note on what the login is for. Only `bi-login list` shows it.")
@json_option
@existing_home
def create(
    home: Home, tenants: tuple[str, ...], units: tuple[str, ...], chooses: bool, label: str, as_json: bool
) -> None:
    """Create a login that may read the views of schema bi. The password is printed once and is not stored."""
    from dagster_project.postgres_target import has_server, warehouse_server
    from dagster_project.workspace import Workspace
    from foundation.errors import ConfigurationError
    from serving.people.store import AccessStore
    from serving.postgres import bi_logins

    workspace = Workspace.of_home(home)
    if not has_server(workspace):
        raise ConfigurationError(NO_SERVER.format(home=home.path))
    with warehouse_server(workspace) as server:
        login, password = bi_logins.create(
            server,
            AccessStore.open(home),
            tenants=tenants,
            unit_ids=units,
            chooses=chooses,
            label=label,
            actor=operator(),
            citus=workspace.config.warehouse.citus,
        )
        print_result(
            as_json,
            {"login": login, "password": password, "database": server["dbname"], "schema": "bi"},
            f"{login}: password {password}, database {server['dbname']}, views in schema bi",
        )


@bi_login.command("list")
@home_option
@click.option("--tenant", help="Only logins of this tenant.")
@json_option
@recorded
def list_logins(home: Home, tenant: str | None, as_json: bool) -> None:
    """List the logins with their tenant and service units."""
    from dagster_project.postgres_target import has_server, warehouse_server
    from dagster_project.workspace import Workspace
    from serving.postgres import bi_logins

    workspace = Workspace.of_home(home)
    logins: tuple[bi_logins.BiLogin, ...] = ()
    if has_server(workspace):
        with warehouse_server(workspace) as server:
            logins = bi_logins.logins(server, tenant=tenant)
    if as_json:
        print_json([asdict(item) for item in logins])
        return
    print_table(
        ["Login", "Tenant", "Service units", "For", "Made"],
        [
            [
                item.login,
                f"one of {', '.join(item.tenants)}, as it sets" if item.chooses else item.tenants[0],
                ", ".join(item.unit_ids) or "all",
                item.label or None,
                item.created_at,
            ]
            for item in logins
        ],
    )


@bi_login.command()
@click.argument("login")
@home_option
@click.option("--tenant", required=True, help="A tenant of the login.")
@json_option
@existing_home
def revoke(home: Home, login: str, tenant: str, as_json: bool) -> None:
    """Remove a login and end its sessions."""
    from dagster_project.postgres_target import has_server, warehouse_server
    from dagster_project.workspace import Workspace
    from foundation.errors import ConfigurationError
    from serving.people.store import AccessStore
    from serving.postgres import bi_logins

    workspace = Workspace.of_home(home)
    if not has_server(workspace):
        raise ConfigurationError(NO_SERVER.format(home=home.path))
    with warehouse_server(workspace) as server:
        bi_logins.revoke(server, AccessStore.open(home), login, tenant=tenant, actor=operator())
    print_result(as_json, {"login": login, "revoked": True}, f"{login}: revoked")
