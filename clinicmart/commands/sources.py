"""`clinicmart sources check`: connects, reads a little, checks contracts, loads nothing."""

from pathlib import Path

import click


@click.group()
def sources() -> None:
    """Look at feeds."""


@sources.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--tenant", help="Only this tenant.")
def check(file: Path, tenant: str | None) -> int:
    """Connect to every feed, read a little, check contracts; nothing is written.

    Exits with 1 where a feed cannot be read; rows that break a contract are shown and change nothing.
    """
    from clinicmart.options import print_table
    from dagster_project.workspace import load_checked_config
    from ingest.preview import preview

    config = load_checked_config(file).only(tenant)
    reports = [preview(feed) for item in config.tenants for feed in item.feeds]
    print_table(
        [
            "Tenant",
            "Feed",
            "Kind",
            "Files or tables",
            "Records looked at",
            "Rows that pass",
            "Rows that break a contract",
        ],
        [[r.feed.tenant_id, r.feed.name, r.feed.kind, r.units, r.records, r.rows_good, r.rows_bad] for r in reports],
    )
    for report in reports:
        for line in (*report.reasons, *report.problems):
            click.echo(f"{report.feed.tenant_id}/{report.feed.name}: {line}", err=True)
    return 1 if any(report.problems for report in reports) else 0
