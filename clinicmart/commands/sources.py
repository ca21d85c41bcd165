"""`clinicmart sources check`: connects, reads a little, checks contracts, loads nothing. `sources jwks`: public keys to register."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinicmart.options import json_option, print_json, print_table

if TYPE_CHECKING:
    from ingest.landing.preview import Preview


@click.group()
def sources() -> None:
    """Test the connections of feeds, and print public keys."""


@sources.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--tenant", help="Only this tenant.")
@json_option
def check(file: Path, tenant: str | None, as_json: bool) -> int:
    """Test every feed: connect, read some records and check them against the contracts. Nothing is written.

    Exit codes: 0 every feed can be read, even if some rows break a contract; 1 a feed cannot be read.
    """
    from dagster_project.workspace import load_checked_config
    from ingest.landing.preview import preview

    config = load_checked_config(file).only(tenant)
    reports = [preview(feed) for item in config.tenants for feed in item.feeds]
    code = 1 if any(report.problems for report in reports) else 0
    if as_json:
        print_json([_facts(report) for report in reports])
        return code
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
    return code


def _facts(report: "Preview") -> dict[str, object]:
    return {
        "tenant_id": report.feed.tenant_id,
        "feed": report.feed.name,
        "kind": report.feed.kind,
        "units": report.units,
        "records": report.records,
        "rows_good": report.rows_good,
        "rows_bad": report.rows_bad,
        "reasons": list(report.reasons),
        "problems": list(report.problems),
    }


@sources.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--tenant", required=True, help="Id of the tenant.")
@click.option("--feed", "name", required=True, help="Name of a FHIR feed that has a server.")
def jwks(file: Path, tenant: str, name: str) -> int:
    """Print the public key of a FHIR feed as a JSON Web Key Set. The owner of the FHIR server registers it."""
    from dagster_project.workspace import load_checked_config
    from ingest.receive.fhir.sign_in import SigningKey

    feeds = load_checked_config(file).tenant(tenant).feeds
    servers = {feed.name: feed.server for feed in feeds if feed.server is not None and feed.server.key is not None}
    server = servers.get(name)
    if server is None:
        names = ", ".join(servers) or "none"
        raise click.UsageError(f"feed {name!r} of {tenant} has no server with a key; those that have: {names}")
    print_json(SigningKey.of(server).jwks())
    return 0
