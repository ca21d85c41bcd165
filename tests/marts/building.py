"""Builds dbt models on raw tables that a test fills: made from the contracts, in a DuckDB file that is not encrypted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
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


def run_dbt(folder: Path, command: str, *select: str, parsed: Path | None = None) -> Path:
    """`dbt build`, `seed` or `compile` of some models on `warehouse.duckdb` of the folder; gives dbt's target folder.

    `parsed` is the target folder of an earlier call, maybe for another folder: what it parsed is not parsed again.
    """
    output = {"type": "duckdb", "path": ":memory:", "database": "warehouse", "schema": "marts", "threads": 1}
    output |= {"settings": {"TimeZone": "UTC"}}
    # By a relative path: the profile is the same for all folders, or dbt would parse again.
    output |= {"attach": [{"path": "warehouse.duckdb", "alias": "warehouse"}]}
    target = folder / "target"
    if parsed is not None:
        target.mkdir(exist_ok=True)
        shutil.copy(parsed / "partial_parse.msgpack", target)
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
    return target


class Compiled:
    """The whole dbt project, compiled once by dbt for DuckDB and for all tenants, beside a warehouse without rows.

    `folder` holds `warehouse.duckdb` (empty raw tables, and the seeds) and dbt's folder `target`.
    """

    def __init__(self, folder: Path) -> None:
        self.target = folder / "target"
        self._empty = folder / "warehouse.duckdb"
        manifest = json.loads((self.target / "manifest.json").read_text("utf-8"))
        self._nodes: dict[str, dict[str, Any]] = manifest["nodes"]

    def sql(self, *names: str) -> dict[str, str]:
        """The SELECT of models, by name."""
        keys = {node["name"]: key for key, node in self._nodes.items() if node["resource_type"] == "model"}
        return {name: self._sql(keys[name]) for name in names}

    def warehouse(self, folder: Path) -> Path:
        """A new warehouse file in a folder, with empty raw tables and the seeds."""
        return Path(shutil.copy(self._empty, folder))

    def build(self, file: Path, *names: str) -> None:
        """Builds models, and those that they read, in a warehouse whose raw tables are filled. Then runs the project's tests of them,
        as `dbt build` with cautious selection does. A name is that of a model or of a folder of models (`marts.core`)."""
        keys = self._with_ancestors(names)
        with duckdb.connect(str(file), config={"threads": 1}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for schema in sorted({node["schema"] for node in self._nodes.values()}):
                connection.execute(f"create schema if not exists {schema}")
            for key in keys:
                node = self._nodes.get(key, {})
                if node.get("resource_type") == "model":
                    kind = "view" if node["config"]["materialized"] == "view" else "table"
                    connection.execute(f"create {kind} {node['schema']}.{node['name']} as {self._sql(key)}")
            for key, node in self._nodes.items():
                if node["resource_type"] == "test" and set(node["depends_on"]["nodes"]) <= keys.keys():
                    counted = f"select {node['config']['fail_calc']} from ({self._sql(key)})"
                    row = connection.execute(counted).fetchone()
                    assert row is not None
                    assert not row[0], f"{node['name']} finds {row[0]} wrong rows"

    def _sql(self, key: str) -> str:
        text: str = self._nodes[key]["compiled_code"]
        return text

    def _with_ancestors(self, names: Sequence[str]) -> dict[str, None]:
        """The keys of the named models and of all that they read, sources included, in the order of a build."""
        wanted = []
        for name in names:
            parts = ["clinicmart", *name.split(".")]
            keys = [
                key
                for key, node in self._nodes.items()
                if node["resource_type"] == "model" and (node["name"] == name or node["fqn"][: len(parts)] == parts)
            ]
            assert keys, f"there is no model {name}"
            wanted += keys
        above: dict[str, list[str]] = {}
        while wanted:
            key = wanted.pop()
            if key not in above:
                above[key] = self._nodes.get(key, {}).get("depends_on", {}).get("nodes", [])
                wanted += above[key]
        return dict.fromkeys(TopologicalSorter(above).static_order())


def compile_project(folder: Path) -> None:
    """Makes what `Compiled` reads: two calls of dbt, for all tests that build models."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        create_raw(connection)
        # The time zones of tenants are in the SQL of local times.
        fill(connection, "compiled for", {}, feeds=(), as_of="2026-01-01")
    run_dbt(folder, "seed", "resource_type:seed")
    run_dbt(folder, "compile", "resource_type:model", "resource_type:test")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("delete from raw.tenant")
