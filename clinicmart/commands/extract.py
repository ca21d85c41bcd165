"""`clinicmart extract`: an analyst's own file."""

from dataclasses import asdict
from pathlib import Path

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    person_of,
    print_result,
    tenant_option,
    user_option,
)
from foundation.home import Home


@click.command()
@home_option
@tenant_option
@user_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@json_option
@existing_home
def extract(home: Home, tenant: str, user: str, out: Path, as_json: bool) -> None:
    """Write an encrypted DuckDB file with the rows that a person may see, and a data dictionary.

    The key is printed once and is not stored. Open the file with:
    ATTACH 'FILE' AS extract (ENCRYPTION_KEY 'KEY', READ_ONLY).
    """
    from serving.extracts import extract as write_extract

    report = write_extract(home, person_of(home, tenant, user), out)
    anonymity = report.anonymity
    facts = {"path": report.path, "tables": len(report.tables), "rows": report.rows, "version": report.version}
    quasi_identifiers = ", ".join(anonymity.quasi_identifiers)
    print_result(
        as_json,
        facts | {"key": report.key, "anonymity": asdict(anonymity)},
        f"{report.path}: {len(report.tables)} tables, {report.rows:,} rows, version {report.version}",
        f"rule: {anonymity.rule}; {anonymity.people:,} patients, each shares {quasi_identifiers} with at least "
        f"{anonymity.k:,} (k-anonymity), {anonymity.alone:,} with nobody"
        if anonymity.people
        else f"rule: {anonymity.rule}; no patients",
        f"key: {report.key}",
    )
