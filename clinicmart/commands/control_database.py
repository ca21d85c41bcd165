"""`clinicmart control-database`: people, rights, sessions and audit of a home on a PostgreSQL server."""

from pathlib import Path

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_result, recorded
from foundation.home import Home


@click.group("control-database")
def control_database() -> None:
    """Keep people, rights, sessions and the audit on a PostgreSQL server (docs/control_database.md)."""


@control_database.command()
@home_option
@click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration, whose section control_database names an empty database.",
)
@json_option
@existing_home
def move(home: Home, config_file: Path, as_json: bool) -> None:
    """Move access.sqlite into an empty PostgreSQL database.

    Stop every server and run of the home first. The audit log is verified before and after. The file stays in the home under another name.
    If the command is killed, the people are where they were or wholly in the database.
    """
    from foundation import run_lock
    from foundation.control_database import load_control_database
    from serving.people.moving import move_to_server
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    setting = load_control_database(config_file)
    with run_lock.backup(home), run_lock.alone(home):
        moved = move_to_server(home, setting, lambda line: click.echo(line, err=True))
    detail = {"audit_rows": moved.audit_rows, "rows": sum(moved.rows.values())}
    AccessStore.open(home).audit(PLATFORM, operator(), "people moved to a server", detail=detail)
    print_result(
        as_json,
        detail | {"tables": moved.rows, "kept": moved.kept},
        f"Moved: {detail['rows']:,} rows, {moved.audit_rows:,} of them of the audit. Start the servers again.",
        f"{moved.kept} holds the people as they were. Delete it when the servers work.",
    )


@control_database.command()
@home_option
@json_option
@recorded
def check(home: Home, as_json: bool) -> None:
    """Say where people, rights, sessions and the audit are, and whether this release can use them."""
    from foundation.control_database import control_database_of
    from serving.people.store import AccessStore
    from serving.people.tables import ACCESS

    on_server = control_database_of(home) is not None
    store = AccessStore.open(home)
    where = "a PostgreSQL database" if on_server else str(home.access)
    facts = {"is_on_server": on_server, "format": int(ACCESS.newest), "tenants": len(store.tenants())}
    print_result(as_json, facts, f"People are in {where}, format {facts['format']}, {facts['tenants']} tenants.")
