"""Builds dbt models on raw tables that a test fills: made from the contracts, in a DuckDB file that is not encrypted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import yaml

from data_contracts.model import load_contracts
from ingest.issuers import stated_issuer
from ingest.load.issuers import issued_columns

PROJECT = Path(__file__).parents[2] / "dbt"
# The operational tables that models read; the load of the warehouse writes them.
OPERATIONAL = {
    "tenant": "tenant_id varchar, name varchar, time_zone varchar, data_as_of_date date",
    "system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence int",
    "issuer_spelling": "tenant_id varchar, entity varchar, spelling varchar, issuer varchar",
    "feed_issuer": "tenant_id varchar, source_system varchar, issuer varchar",
    "structure_observation": "tenant_id varchar, source_system varchar, entity varchar, identifier varchar, "
    "parent_service_unit_id varchar, billing_profile varchar, payer_class varchar, observed_at timestamp",
}
Row = Mapping[str, Any]
# (entity, feed) -> rows
Rows = Mapping[tuple[str, str], Sequence[Row]]


def create_raw(connection: duckdb.DuckDBPyConnection) -> None:
    """Empty raw tables, one for each contract."""
    connection.execute("create schema raw")
    for of in load_contracts().values():
        columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in of.columns)
        connection.execute(f"create table raw.{of.name} ({columns}, batch_sequence bigint)")
    for name, columns in OPERATIONAL.items():
        connection.execute(f"create table raw.{name} ({columns})")


def fill(
    connection: duckdb.DuckDBPyConnection, tenant_id: str, rows: Rows, *, feeds: Sequence[str], as_of: str
) -> None:
    """A tenant in New York whose `feeds` stand in the order of their precedence, with its rows."""
    connection.execute("insert into raw.tenant values (?, ?, 'America/New_York', ?)", [tenant_id, tenant_id, as_of])
    for (entity, feed), entries in rows.items():
        rank = feeds.index(feed) + 1
        connection.execute("insert into raw.system_of_record values (?, ?, ?, ?)", [tenant_id, entity, feed, rank])
        for number, row in enumerate(entries):
            lineage = {"tenant_id": tenant_id, "source_system": feed, "source_record_id": str(number)}
            lineage |= {"source_updated_at": as_of, "batch_id": "b", "source_position": f"row {number}"}
            whole = {**lineage, **row, "batch_sequence": 1}
            marks = ", ".join("?" for _ in whole)
            _note_issuers(connection, entity, whole)
            connection.execute(f"insert into raw.{entity} ({', '.join(whole)}) values ({marks})", list(whole.values()))


def _note_issuers(connection: duckdb.DuckDBPyConnection, entity: str, row: Row) -> None:
    """What the load notes of the names of issuers; each means itself unless the test has said otherwise."""
    for column, named in issued_columns(load_contracts()[entity]).items():
        spelling = stated_issuer(row.get(column) or "")
        known = "select 1 from raw.issuer_spelling where tenant_id = ? and entity = ? and spelling = ?"
        values = [row["tenant_id"], named, spelling]
        if spelling and connection.execute(known, values).fetchone() is None:
            connection.execute("insert into raw.issuer_spelling values (?, ?, ?, ?)", [*values, spelling])


def run_dbt(folder: Path, command: str, *select: str) -> Path:
    """`dbt build` or `dbt compile` of some models on `warehouse.duckdb` of the folder; gives dbt's target folder."""
    output = {"type": "duckdb", "path": ":memory:", "database": "warehouse", "schema": "marts", "threads": 1}
    output |= {"settings": {"TimeZone": "UTC"}}
    # By a relative path: what dbt parsed for one folder serves all of them, as long as the connection is told in the same words.
    output |= {"attach": [{"path": "warehouse.duckdb", "alias": "warehouse"}]}
    parsed, target = folder.parent / "dbt" / "partial_parse.msgpack", folder / "target"
    if parsed.exists():
        target.mkdir(exist_ok=True)
        shutil.copy(parsed, target)
    profile = {"clinicmart": {"target": "small", "outputs": {"small": output}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    arguments = [str(Path(sys.executable).with_name("dbt")), "--quiet", command, "--select", *select]
    # Tests of other facts may point at models that are built here, and their own tables are not.
    if command == "build":
        arguments += ["--indirect-selection", "cautious"]
    arguments += ["--project-dir", str(PROJECT), "--profiles-dir", str(folder)]
    arguments += ["--target-path", str(target), "--log-path", str(folder / "logs")]
    ran = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    parsed.parent.mkdir(exist_ok=True)
    shutil.copy(target / parsed.name, parsed)
    return target


def compiled(folder: Path, *names: str) -> dict[str, str]:
    """The SQL of intermediate models as dbt compiles it for DuckDB, by name."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        create_raw(connection)
        fill(connection, "t", {}, feeds=(), as_of="2026-01-01")
    target = run_dbt(folder, "compile", *names)
    found = {}
    for name in names:
        (file,) = (target / "compiled").rglob(f"{name}.sql")
        found[name] = file.read_text(encoding="utf-8")
    return found
