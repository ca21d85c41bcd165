"""The examples of docs/extracts.md on an extract of the demo: BI tool and plain copy give what `metrics query` gives."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import adbc_driver_duckdb.dbapi as adbc
import duckdb
import pytest

from foundation.home import Home
from serving.extracts import extract
from serving.people.store import AccessStore
from tests.support import ROOT, clinicmart_here

EXAMPLES = ROOT / "docs" / "examples"
USER = "admin@harbor"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def extracts(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(DuckDB file, its key) of one person of the demo."""
    home, folder = Home.at(demo_home), tmp_path_factory.mktemp("extracts")
    principal = AccessStore.open(home).principal("harbor", USER)
    key = extract(home, principal, folder / "harbor.duckdb").key
    return folder / "harbor.duckdb", key


@pytest.fixture
def asked(demo_home: Path):
    """Asks `clinicmart metrics query` as a person would, with the answer as rows."""

    def ask(names: str, *options: str) -> list[dict[str, Any]]:
        command = ("metrics", "query", names, "--home", demo_home, "--tenant", "harbor", "--as", USER)
        ran = clinicmart_here(*command, "--format", "json", *options)
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    return ask


def test_a_pivot_of_the_bi_tool_equals_metrics_query(extracts, asked):
    file, key = extracts
    found = importlib.util.spec_from_file_location("perspective_pivot", EXAMPLES / "perspective_pivot.py")
    assert found
    assert found.loader
    example = importlib.util.module_from_spec(found)
    found.loader.exec_module(example)
    rows = {tuple(row["__ROW_PATH__"]): row for row in example.pivot(example.client_of(example.opened(file, key)))}

    totals = asked("no_shows")[0]["no_shows"]
    assert rows[()]["no_shows"] == totals
    by_clinic = asked("no_shows,expected_appointments", "--by", "clinic")
    shown = [row for row in by_clinic if None not in row.values()]
    assert shown
    for row in shown:
        pivoted = rows[(row["clinic"],)]
        assert (pivoted["no_shows"], pivoted["expected"]) == (row["no_shows"], row["expected_appointments"])
    by_class = [row for row in asked("no_shows", "--by", "clinic,payer_class") if row["no_shows"] is not None]
    assert by_class
    for row in by_class:
        assert rows[(row["clinic"], row["payer_class"])]["no_shows"] == row["no_shows"]


def test_a_plain_copy_opens_over_adbc_by_its_path_alone(extracts, asked, tmp_path):
    file, key = extracts
    with duckdb.connect() as connection:
        connection.execute(f"attach '{file}' as extract (encryption_key '{key}', read_only)")
        connection.execute(f"attach '{tmp_path / 'plain.duckdb'}' as plain")
        connection.execute("copy from database extract to plain")
    with adbc.connect(str(tmp_path / "plain.duckdb")) as opened, opened.cursor() as cursor:
        listed = opened.adbc_get_objects(depth="tables", catalog_filter="plain").read_all().to_pylist()
        schemas = {
            schema["db_schema_name"]: {table["table_name"] for table in schema["db_schema_tables"]}
            for schema in listed[0]["catalog_db_schemas"]
        }
        assert {"fct_appointments", "dim_service_units"} <= schemas["marts"]
        cursor.execute("select name, view_name from dictionary.metrics")
        assert {view for _, view in cursor.fetchall()} == {f"metrics.{name}" for name in schemas["metrics"]}
        cursor.execute("select sum(no_shows) from metrics.no_shows")
        assert cursor.fetchone() == (asked("no_shows")[0]["no_shows"],)
