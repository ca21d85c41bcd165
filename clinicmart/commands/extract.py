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
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["duckdb", "parquet"]),
    default="duckdb",
    show_default=True,
    help="duckdb: one encrypted file. parquet: a ZIP of Parquet files, not encrypted.",
)
@json_option
@existing_home
def extract(home: Home, tenant: str, user: str, out: Path, file_format: str, as_json: bool) -> None:
    """Write the rows that a person may see, views of the metrics, and a data dictionary into a file.

    The key of a DuckDB file is printed once and is not stored. DuckDB 1.4 (LTS) and later releases open the file with:
    ATTACH 'FILE' AS extract (ENCRYPTION_KEY 'KEY', READ_ONLY). docs/extracts.md says which tools open which format.
    """
    from serving.extracts import extract as write_extract

    report = write_extract(home, person_of(home, tenant, user), out, file_format=file_format)
    anonymity = report.anonymity
    facts = {"path": report.path, "tables": len(report.tables), "rows": report.rows, "version": report.version}
    facts["format"] = file_format
    quasi_identifiers = ", ".join(anonymity.quasi_identifiers)
    print_result(
        as_json,
        facts | {"key": report.key, "anonymity": asdict(anonymity)},
        f"{report.path}: {len(report.tables)} tables, {report.rows:,} rows, version {report.version}",
        f"rule: {anonymity.rule}; {anonymity.people:,} patients, each shares {quasi_identifiers} with at least "
        f"{anonymity.k:,} (k-anonymity), {anonymity.alone:,} with nobody"
        if anonymity.people
        else f"rule: {anonymity.rule}; no patients",
        f"key: {report.key}" if report.key else "The files are not encrypted: keep them where such rows may lie",
    )
