"""`clinicmart sources check`: connects, reads a little, checks contracts, loads nothing. `sources checkpoint`: checks landed rows.
`sources jwks`: public keys to register."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinicmart.options import home_option, json_option, print_json, print_table, recorded

if TYPE_CHECKING:
    from foundation.home import Home
    from ingest.landing.preview import Preview


@click.group()
def sources() -> None:
    """Test the connections of feeds, check landed rows, and print public keys."""


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
@home_option
@recorded
@click.option("--all", "every", is_flag=True, help="Check the newest batch of every feed again, due or not.")
@json_option
def checkpoint(home: "Home", every: bool, as_json: bool) -> int:
    """Check landed rows with Great Expectations and write its Data Docs (web pages) into the home.

    A sample of the newest batch of each entity of each feed is checked: the first batch, after a change of the contract, and once a day
    while new batches come.

    Exit codes: 0 every sample keeps its contract; 1 landed rows break a contract, which is a defect of Clinicmart.
    """
    from dagster_project.workspace import Workspace
    from ingest.landing.checkpoints import page

    workspace = Workspace.of_home(home)
    checked = workspace.check_landed(every=every)
    broken = [line for item in checked for line in item.outcome.broken]
    if as_json:
        facts = [
            {"checkpoint": i.due.name, "why": i.due.why, "rows": i.outcome.rows}
            | {"broken": list(i.outcome.broken), "changed": list(i.outcome.changed)}
            for i in checked
        ]
        print_json({"checkpoints": facts, "page": str(page(workspace.home))})
        return 1 if broken else 0
    for item in checked:
        click.echo(f"{item.due.name}: {item.outcome.rows:,} rows ({item.due.why})")
        for line in (*item.outcome.broken, *item.outcome.changed):
            click.echo(f"  {line}")
    click.echo(f"{len(checked)} checkpoints. Data Docs: {page(workspace.home)}" if checked else "No checkpoint is due.")
    return 1 if broken else 0


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
