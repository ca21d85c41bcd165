"""Extracts: the scope and nothing else, under a separate key, with their dictionary; the metrics' views say what the reader says."""

import io
import zipfile

import duckdb
import polars as pl
import pytest

from foundation import duck
from foundation.deidentification import Deidentification
from foundation.errors import AccessError, ConfigurationError
from serving.extracts import extract, extract_bytes
from serving.model import MetricQuery


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
    assert report.tables["fct_visits"]
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


def plainly_opened(path, key):
    """A connection of plain DuckDB, without anything of ours, with the file attached as `extract`."""
    connection = duckdb.connect()
    connection.execute(f"attach '{path}' as extract (encryption_key '{key}', read_only)")
    return connection


def asked_of_reader(reader, item, period):
    """The figures of a metric by month or year, as the reader gives them: for a share by the first dimension."""
    by = [item.share_over[0]] if item.share_of else []
    name = item.definition.name
    return reader.query(MetricQuery(metrics=[name], by=by, grain=period)).select("metric_time", *by, name)


def assert_alike(mine, theirs, name):
    order = [column for column in theirs.columns if column != name]
    left, right = (frame.sort(order).drop(order).to_series().cast(pl.Float64).to_list() for frame in (mine, theirs))
    keys = [frame.select(order).sort(order).rows() for frame in (mine, theirs)]
    assert keys[0] == keys[1], name
    assert left == pytest.approx(right, nan_ok=True), name


@pytest.mark.parametrize("user", ["admin@harbor", "analyst@mesa"])
def test_each_metric_has_a_view_that_equals_the_reader(user, place, person, reader, tmp_path):
    report = extract(place.home, person(user), tmp_path / "mine.duckdb")
    connection, mine = plainly_opened(tmp_path / "mine.duckdb", report.key), reader(user)
    asked = {item.definition.name: item for item in mine.visible_metrics()}
    views = dict(connection.execute("select name, view_name from extract.dictionary.metrics").fetchall())
    assert views == {name: f"metrics.{name}" for name in asked}
    for name, item in asked.items():
        frame = connection.execute(f'select * from extract.metrics."{name}"').pl()
        assert_alike(frame.rename({"month": "metric_time"}), asked_of_reader(mine, item, "month"), name)


def test_under_safe_harbor_the_views_are_by_year(place, person, tmp_path):
    place.access.ensure_tenant("mesa", "Mesa", Deidentification(rule="safe_harbor", smallest_cell=1))
    report = extract(place.home, person("analyst@mesa"), tmp_path / "mine.duckdb")
    frame = plainly_opened(tmp_path / "mine.duckdb", report.key).execute("select * from extract.metrics.visits").pl()
    assert frame.columns == ["year", "visits"]
    assert {(day.month, day.day) for day in frame["year"]} == {(1, 1)}


def test_the_file_says_that_duckdb_of_the_lts_release_opens_it(place, person, tmp_path):
    extract(place.home, person("analyst@mesa"), tmp_path / "mine.duckdb")
    head = (tmp_path / "mine.duckdb").read_bytes()[:128]
    # duckdb/src/storage/storage_info: the main header has the storage's number at byte 12 (67 is 1.4) after `DUCK` at byte 8; what says
    # how the file is encrypted ends with the release of that (0 is 1.4).
    assert (head[8:12], head[12]) == (b"DUCK", 67)
    assert head[119] == 0


def test_the_dictionary_has_no_blanks_and_its_queries_run(opened):
    connection, _ = opened
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'extract' and schema_name = 'dictionary'"
    ).fetchall()
    assert {name for (name,) in tables} == {"tables", "columns", "keys", "metrics", "deidentification", "queries"}
    for (name,) in tables:
        frame = connection.execute(f"from extract.dictionary.{name}").pl()
        assert frame.height
        assert not [column for column in frame.columns if (frame[column].cast(pl.String).fill_null("") == "").any()], (
            name
        )
    connection.execute("use extract")
    for title, sql in connection.execute("select title, sql from dictionary.queries").fetchall():
        assert connection.execute(sql).fetchall(), title
    keys = set(connection.execute("from dictionary.keys").fetchall())
    assert ("fct_visits", "service_unit_key", "references", "dim_service_units", "service_unit_key") in keys
    comments = connection.execute("select comment from duckdb_views() where schema_name = 'metrics'").fetchall()
    assert comments
    assert all(text for (text,) in comments)
    connection.execute("use memory")


@pytest.mark.parametrize("user", ["admin@harbor", "analyst@mesa"])
def test_a_zip_of_parquet_holds_the_same_for_polars_and_duckdb(user, place, person, reader, tmp_path, monkeypatch):
    report = extract(place.home, person(user), tmp_path / "mine.zip", file_format="parquet")
    assert report.key == ""
    assert (tmp_path / "mine.zip").stat().st_mode & 0o077 == 0
    zipfile.ZipFile(tmp_path / "mine.zip").extractall(tmp_path / "mine")
    visits = pl.read_parquet(tmp_path / "mine" / "marts" / "fct_visits.parquet")
    assert visits.height == report.tables["fct_visits"]
    figure = reader(user).query(MetricQuery(metrics=["visits"]))["visits"][0]
    assert visits.filter(pl.col("is_visit")).height == figure
    assert pl.read_csv(tmp_path / "mine" / "dictionary" / "columns.csv")["description"].null_count() == 0
    monkeypatch.chdir(tmp_path / "mine")
    connection = duckdb.connect()
    for file in ("views.sql", "queries.sql"):
        connection.execute((tmp_path / "mine" / file).read_text())
    asked = {item.definition.name: item for item in reader(user).visible_metrics()}
    for name, item in asked.items():
        frame = connection.execute(f'select * from metrics."{name}"').pl()
        assert_alike(frame.rename({"month": "metric_time"}), asked_of_reader(reader(user), item, "month"), name)


def test_an_extract_for_a_page_leaves_nothing_on_disk_and_is_audited(place, person):
    before = {path for path in place.home.path.rglob("*") if path.is_file()}
    content, report = extract_bytes(place.home, person("analyst@mesa"), file_format="parquet")
    assert "marts/fct_visits.parquet" in zipfile.ZipFile(io.BytesIO(content)).namelist()
    content, report = extract_bytes(place.home, person("analyst@mesa"), file_format="duckdb")
    assert len(report.key) == 64
    assert content[8:12] == b"DUCK"
    new = {path for path in place.home.path.rglob("*") if path.is_file()} - before
    assert not [
        path
        for path in new
        if path.suffix in {".part", ".zip", ".parquet"} or "tmp" in path.relative_to(place.home.path).parts
    ], new
    rows = place.access.audit_rows("mesa", action="extract")
    assert [row.detail["format"] for row in rows] == ["duckdb", "parquet"]
    with pytest.raises(AccessError):
        extract_bytes(place.home, person("ceo@mesa"), file_format="duckdb")
    with pytest.raises(ConfigurationError, match="xls"):
        extract_bytes(place.home, person("analyst@mesa"), file_format="xls")
    assert [row.result for row in place.access.audit_rows("mesa", action="extract")][:2] == ["refused", "refused"]
