"""`clinicmart run`: one pipeline run."""

from pathlib import Path

import click

from clinicmart.options import home_option, json_option, log_format_option


@click.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@home_option
@click.option("--tenant", help="Only this tenant.")
@click.option(
    "--target",
    type=click.Choice(["duckdb", "postgres"]),
    default="duckdb",
    show_default=True,
    help="Where to build the marts: in the home (duckdb), or on PostgreSQL. PostgreSQL is the server in warehouse.postgres of the "
    "configuration. Without that key, a PostgreSQL server is started in the home.",
)
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Ask servers for all records, read all tables in full, find deleted records, and build every mart again.",
)
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="Treat records missing from a full table read as deleted, even above the safety limit.",
)
@json_option
@log_format_option
def run(
    file: Path,
    home: Path,
    tenant: str | None,
    target: str,
    full_refresh: bool,
    accept_deletions: bool,
    as_json: bool,
    log_format: str,
) -> int:
    """Read every feed, build and test the marts, and publish.

    Exit codes: 0 published; 1 a feed or a check failed, and the output names it and says why; 2 the configuration is wrong.
    """
    from clinicmart.pipeline import run_and_report
    from dagster_project.workspace import load_checked_config
    from foundation.home import Home
    from ingest.profiles import profile_of

    config = load_checked_config(file).only(tenant)
    for feed in (feed for item in config.tenants for feed in item.feeds):
        profile_of(feed)
    return run_and_report(
        Home.at(home),
        config,
        target=target,
        full_refresh=full_refresh,
        accept_deletions=accept_deletions,
        as_json=as_json,
        log_format=log_format,
    )
