"""The examples of docs/extracts.md on an extract of the demo: notebook, BI tool and plain copy give what `metrics query` gives."""

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

import adbc_driver_duckdb.dbapi as adbc
import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

from foundation.home import Home
from serving.extracts import extract
from serving.people.store import AccessStore
from tests.support import ROOT, clinicmart_here

EXAMPLES = ROOT / "docs" / "examples"
USER = "admin@harbor"
# What the notebook leaves, as JSON: the answers to its three questions.
ANSWERS = """
import json
print(json.dumps({
    "trend": [[str(day), value] for day, value in trend.rows()],
    "clinics": clinics.to_dicts(),
    "drill": {"clinic": clinic, "rows": rows["appointment_id"].to_list(), "reminded": rows["is_reminded"].to_list()},
}))
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def extracts(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """(DuckDB file, its key, folder of the unpacked ZIP) of one person of the demo."""
    home, folder = Home.at(demo_home), tmp_path_factory.mktemp("extracts")
    principal = AccessStore.open(home).principal("harbor", USER)
    key = extract(home, principal, folder / "harbor.duckdb").key
    extract(home, principal, folder / "harbor.zip", file_format="parquet")
    zipfile.ZipFile(folder / "harbor.zip").extractall(folder / "unpacked")
    return folder / "harbor.duckdb", key, folder / "unpacked"


@pytest.fixture
def asked(demo_home: Path):
    """Asks `clinicmart metrics query` as a person would, with the answer as rows."""

    def ask(names: str, *options: str) -> list[dict[str, Any]]:
        command = ("metrics", "query", names, "--home", demo_home, "--tenant", "harbor", "--as", USER)
        ran = clinicmart_here(*command, "--format", "json", *options)
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    return ask


def notebook() -> nbformat.NotebookNode:
    return nbformat.read(EXAMPLES / "extract.ipynb", as_version=4)


def answers_of(extract_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the notebook answers on an extract."""
    monkeypatch.setenv("CLINICMART_EXTRACT", str(extract_path))
    monkeypatch.setenv("CLINICMART_EXTRACT_KEY", key)
    book = notebook()
    book.cells.append(nbformat.v4.new_code_cell(ANSWERS))
    NotebookClient(book, timeout=300, kernel_name="python3").execute()
    return json.loads(book.cells[-1].outputs[0].text)


@pytest.mark.parametrize("file_format", ["duckdb", "parquet"])
def test_the_notebook_answers_as_metrics_query_does(file_format, extracts, asked, monkeypatch):
    file, key, unpacked = extracts
    path, key = (file, key) if file_format == "duckdb" else (unpacked, "")
    answers = answers_of(path, key, monkeypatch)

    with duckdb.connect() as connection:
        rule = connection.execute(f"from read_csv('{unpacked}/dictionary/deidentification.csv')").pl()["rule"][0]
    grain = "year" if rule == "safe_harbor" else "month"
    trend = [(row["metric_time"], row["no_show_rate"]) for row in asked("no_show_rate", "--grain", grain)]
    assert [day for day, _ in answers["trend"]] == [day for day, _ in trend]
    assert [value for _, value in answers["trend"]] == pytest.approx([value for _, value in trend])

    by_clinic = {row["clinic"]: row["no_shows"] for row in asked("no_shows", "--by", "clinic")}
    assert by_clinic.keys() == {row["clinic"] for row in answers["clinics"]}
    shown = {clinic: value for clinic, value in by_clinic.items() if value is not None}
    assert shown
    assert {row["clinic"]: row["no_shows"] for row in answers["clinics"] if row["clinic"] in shown} == shown

    drill = answers["drill"]
    assert drill["clinic"] == max(shown, key=lambda clinic: shown[clinic])
    assert len(set(drill["rows"])) == len(drill["rows"]) == shown[drill["clinic"]]
    assert set(drill["reminded"]) <= {True, False}


def test_the_notebook_is_kept_without_answers():
    code = [cell for cell in notebook().cells if cell.cell_type == "code"]
    assert code
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count]


def test_a_pivot_of_the_bi_tool_equals_metrics_query(extracts, asked):
    file, key, _ = extracts
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
    file, key, _ = extracts
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
