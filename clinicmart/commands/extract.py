"""`clinicmart extract`: an analyst's own file."""

from pathlib import Path

import click

from clinicmart.options import existing_home, home_option, tenant_option, user_option
from foundation.home import Home


@click.command()
@home_option
@tenant_option
@user_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@existing_home
def extract(home: Home, tenant: str, user: str, out: Path) -> None:
    """Write an encrypted DuckDB file with the rows that a person may see, and a data dictionary.

    The key is printed once and is not stored. Open the file with:
    ATTACH 'FILE' AS extract (ENCRYPTION_KEY 'KEY', READ_ONLY).
    """
    from serving.extracts import extract as write_extract
    from serving.people.store import AccessStore

    report = write_extract(home, AccessStore.open(home).principal(tenant, user), out)
    click.echo(f"{report.path}: {len(report.tables)} tables, {report.rows:,} rows, version {report.version}")
    anonymity = report.anonymity
    click.echo(
        f"rule: {anonymity.rule}; {anonymity.people:,} patients, each shares {', '.join(anonymity.quasi_identifiers)} with at least "
        f"{anonymity.k:,} (k-anonymity), {anonymity.alone:,} with nobody"
        if anonymity.people
        else f"rule: {anonymity.rule}; no patients"
    )
    click.echo(f"key: {report.key}")
