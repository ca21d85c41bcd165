"""Extracts: the scope and nothing else, under a separate key, with their dictionary."""

import duckdb
import pytest

from foundation import duck
from foundation.errors import AccessError, ConfigurationError
from serving.extracts import extract


@pytest.fixture
def opened(place, person, tmp_path):
    """(connection with the analyst's extract attached as `extract`, its report)."""
    report = extract(place.home, person("analyst@mesa"), tmp_path / "mesa.duckdb")
    with duck.session(place.home) as connection:
        duck.attach(connection, tmp_path / "mesa.duckdb", alias="extract", key=report.key, read_only=True)
        yield connection, report


def test_an_extract_holds_the_tables_of_the_scope_and_the_rows_of_the_tenant(opened):
    connection, report = opened
    for name, rows in report.tables.items():
        assert connection.execute(f"select count(*) from extract.marts.{name}").fetchone() == (rows,)
        if name != "dim_dates":
            tenants = connection.execute(f"select distinct tenant_id from extract.marts.{name}").fetchall()
            assert tenants == [("mesa",)], name
    assert report.tables["fct_visits"] == 100
    tokens = connection.execute("select count(*) from extract.marts.fct_visits where patient_id like 't_'").fetchone()
    assert tokens == (0,)


def test_the_dictionary_explains_each_table_column_and_metric(opened):
    connection, report = opened
    tables = dict(connection.execute("select table_name, row_count from extract.dictionary.tables").fetchall())
    assert tables == dict(report.tables)
    columns = connection.execute("select table_name, column_name from extract.dictionary.columns").fetchall()
    held = connection.execute(
        "select table_name, column_name from duckdb_columns() where database_name = 'extract' and schema_name = 'marts'"
    ).fetchall()
    assert sorted(columns) == sorted(held)
    described = connection.execute(
        "select description, unit from extract.dictionary.metrics where name = 'visits'"
    ).fetchall()
    assert described == [("What visits means.", "count")]


def test_the_key_is_shown_once_and_kept_nowhere(place, person, tmp_path):
    report = extract(place.home, person("analyst@mesa"), tmp_path / "mesa.duckdb")
    assert report.key not in repr(report)
    other = extract(place.home, person("analyst@mesa"), tmp_path / "again.duckdb")
    assert other.key != report.key
    assert not any(report.key in str(vars(row)) for row in place.access.audit_rows("mesa"))
    with duck.session(place.home) as connection, pytest.raises(duckdb.Error):
        duck.attach(connection, tmp_path / "mesa.duckdb", alias="x", key=other.key, read_only=True)


def test_a_file_is_overwritten_only_on_purpose(place, person, tmp_path):
    out = tmp_path / "mine.duckdb"
    out.write_text("something else")
    with pytest.raises(ConfigurationError):
        extract(place.home, person("analyst@mesa"), out)
    assert out.read_text() == "something else"
    extract(place.home, person("analyst@mesa"), out, force=True)
    assert out.stat().st_size > 1000
    assert out.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_extracts_are_for_roles_that_take_them_while_the_module_is_on(place, person, tmp_path):
    for user in ("ceo@mesa", "east@mesa", "doctor@mesa", "biller@mesa"):
        with pytest.raises(AccessError):
            extract(place.home, person(user), tmp_path / "no.duckdb")
    place.access.set_module("mesa", "extracts", granted=False, actor="test")
    with pytest.raises(AccessError):
        extract(place.home, person("analyst@mesa"), tmp_path / "no.duckdb")
    assert not (tmp_path / "no.duckdb").exists()
    assert {row.result for row in place.access.audit_rows("mesa", action="extract")} == {"refused"}


def test_an_extract_is_audited(place, person, tmp_path):
    extract(place.home, person("analyst@mesa"), tmp_path / "mesa.duckdb")
    row = place.access.audit_rows("mesa", action="extract")[0]
    assert (row.actor, row.result) == ("analyst@mesa", "done")
    assert row.detail["rows"] > 100
