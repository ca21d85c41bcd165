"""`clinicmart run`: one pipeline run."""

from pathlib import Path

import click

from clinicmart.options import home_option


@click.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@home_option
@click.option("--tenant", help="Only this tenant.")
@click.option(
    "--target",
    type=click.Choice(["duckdb", "postgres"]),
    default="duckdb",
    show_default=True,
    help="Where marts are built: in the home, or on the PostgreSQL server that the configuration names (warehouse.postgres; "
    "without it one in the home).",
)
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Ask servers for everything, read tables whole and find what was deleted in them, build every mart anew.",
)
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="Take records as deleted that a whole read of a table lacks, however many they are.",
)
def run(file: Path, home: Path, tenant: str | None, target: str, full_refresh: bool, accept_deletions: bool) -> int:
    """Read every feed, build and test the marts, publish.

    Exits with 0 when published, 1 when a feed or a gate stopped something (it says which and why), 2 when the
    configuration is wrong.
    """
    from clinicmart.pipeline import run_and_report
    from dagster_project.workspace import load_checked_config
    from foundation.home import Home
    from ingest.profiles import profile_of

    config = load_checked_config(file).only(tenant)
    for feed in (feed for item in config.tenants for feed in item.feeds):
        profile_of(feed)
    return run_and_report(
        Home.at(home), config, target=target, full_refresh=full_refresh, accept_deletions=accept_deletions
    )
