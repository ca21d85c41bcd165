"""SQL on the rows of an extract: what it answers, and that no statement leads out of it."""

import threading
import time
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest

from foundation.deidentification import Deidentification
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.keys import Keys
from foundation.statement_worker import opened
from serving.disclosures.reached import reached
from serving.model import MetricQuery
from serving.workbench import Bench, Stop
from serving.workbench.bench import ACTION
from serving.workbench.masked import masked
from serving.workbench.rows_file import forget_all, rows_of
from serving.workbench.run import LimitError, Limits, StoppedError, running_of
from serving.workbench.statement import RefusedStatementError, checked

TABLES = frozenset({"marts.fct_visits", "marts.dim_payers", "metrics.visits", "dictionary.tables"})
ENDLESS = "select count(*) from range(1000000000000) as t(a) where a % 7 = 3"
# Statements that would lead out of the rows, change something, or tell of the server.
WAYS_OUT = (
    "attach 'other.duckdb' as other",
    "attach ':memory:' as other",
    "detach rows",
    "use memory",
    "copy marts.fct_visits to '/tmp/rows.csv'",
    "copy (select 1) to 'rows.parquet'",
    "copy marts.fct_visits from 'rows.csv'",
    "export database 'folder'",
    "import database 'folder'",
    "install httpfs",
    "load httpfs",
    "force install httpfs",
    "update extensions",
    "set memory_limit = '100GB'",
    "set enable_external_access = true",
    "reset lock_configuration",
    "set variable a = 1",
    "pragma version",
    "pragma database_list",
    "pragma add_parquet_key('a', '0123456789112345')",
    "call pragma_version()",
    "call enable_logging()",
    "create table a as select 1",
    "create temp table a as select 1",
    "create view a as select 1",
    "create macro a() as 1",
    "create secret a (type s3)",
    "drop table marts.fct_visits",
    "alter table marts.fct_visits add column a int",
    "insert into marts.fct_visits from marts.fct_visits",
    "update marts.fct_visits set visit_id = ''",
    "delete from marts.fct_visits",
    "truncate marts.fct_visits",
    "comment on table marts.fct_visits is ''",
    "begin",
    "checkpoint",
    "vacuum",
    "analyze",
    "prepare a as select 1",
    "execute a",
    "explain select 1",
    "explain analyze from marts.fct_visits",
    "pivot marts.dim_payers on name using count(*)",
    "select 1; select 2",
    "select 1; attach 'other.duckdb'",
    "select getenv('HOME')",
    "select (select max(getenv('HOME')))",
    "select list_transform([1], lambda x: getenv('HOME'))",
    "select columns(c -> getenv(c) = '') from marts.dim_payers",
    "select count(*) filter (getenv('A') = '') from marts.dim_payers",
    "from marts.dim_payers order by current_setting('temp_directory')",
    "select current_setting('temp_directory')",
    "select getvariable('a')",
    "select write_log('a')",
    "select sleep_ms(1)",
    "from duckdb_secrets()",
    "from duckdb_settings()",
    "from duckdb_databases()",
    "from duckdb_tables",
    "from pragma_database_size()",
    "from read_csv('/etc/passwd')",
    "from read_text('/etc/passwd')",
    "from read_blob('*')",
    "from read_parquet('rows.parquet')",
    "from read_json('rows.json')",
    "from read_duckdb('other.duckdb')",
    "from parquet_metadata('rows.parquet')",
    "from sniff_csv('rows.csv')",
    "from glob('*')",
    "from '/etc/passwd'",
    "from 'https://example.com/rows.parquet'",
    "from 's3://bucket/rows.csv'",
    "with a as (from read_text('/etc/passwd')) from a",
    "from marts.dim_payers where name in (select content from read_text('/etc/passwd'))",
    "from marts.dim_payers limit (select count(*) from read_text('/etc/passwd'))",
    "from query('from read_text(''/etc/passwd'')')",
    "from query_table(['fct_visits'])",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select * from information_schema.tables",
    "select * from pg_catalog.pg_tables",
    "select * from system.main.duckdb_settings",
    "select * from sqlite_master",
    "from warehouse.marts.fct_visits",
    "from other.marts.fct_visits",
    "from arrow_scan(1, 2, 3)",
    "from python_map_function(1)",
    "from frame",
    "show all tables",
    # A name of WITH counts within its part alone: outside it would mean DuckDB's own table.
    "select * from (with duckdb_databases as (select 1 as a) from duckdb_databases) a, duckdb_databases b",
    "with a as (from duckdb_databases), duckdb_databases as (select 1 as a) from a",
    'with "/etc/passwd" as (select 1) from "/etc/passwd"',
    "with sqlite_master as (select 1) from sqlite_master",
    "show databases",
)


@pytest.fixture
def bench(place, person, reader):
    """`bench("analyst@mesa")`: the workbench of a person."""
    forget_all()

    def opened(user):
        return Bench(place.home, place.access, person(user), reader(user))

    yield opened
    forget_all()


def test_a_select_answers_as_the_reader_does_and_is_an_audit_row(bench, reader, place):
    mine = bench("analyst@mesa")
    result = mine.run("select count(*) as visits from fct_visits where is_visit", Stop())
    figure = reader("analyst@mesa").query(MetricQuery(metrics=["visits"]))["visits"][0]
    assert result.frame["visits"].to_list() == [figure]
    assert mine.run("select sum(visits) as visits from metrics.visits", Stop()).frame["visits"].to_list() == [figure]
    row = place.access.audit_rows("mesa", action=ACTION)[-1]
    assert (row.actor, row.result, row.detail["rows"]) == ("analyst@mesa", "done", 1)
    assert row.detail["sql"] == "select count ( * ) as visits from fct_visits where is_visit"
    assert row.detail["tables"] == ["marts.fct_visits"]


def test_the_rows_are_those_of_the_extract(bench, place):
    mine = bench("analyst@mesa")
    assert mine.run("select distinct tenant_id from fct_visits", Stop()).frame["tenant_id"].to_list() == ["mesa"]
    tokens = mine.run("select count(*) as n from fct_visits where patient_id like 't_'", Stop()).frame["n"].to_list()
    assert tokens == [0]
    names = {table.name for table in mine.tables()}
    assert {"fct_visits", "dim_payers"} <= names
    assert all(table.description and table.columns["description"].null_count() == 0 for table in mine.tables())


def test_under_safe_harbor_sql_gets_no_day(bench, place):
    place.access.ensure_tenant("mesa", "Mesa", Deidentification(rule="safe_harbor", smallest_cell=1))
    mine = bench("analyst@mesa")
    dated = [
        (t.name, c["column_name"])
        for t in mine.tables()
        for c in t.columns.iter_rows(named=True)
        if c["data_type"] == "DATE"
    ]
    asked = 0
    for table, column in dated:
        if table.startswith("fct_"):
            days = (
                mine.run(f'select distinct "{column}" as day from {table}', Stop()).frame["day"].drop_nulls().to_list()
            )
            assert all((day.month, day.day) == (1, 1) for day in days), (table, column)
            asked += len(days)
    assert asked


@pytest.mark.parametrize("user", ["ceo@mesa", "east@mesa", "doctor@mesa", "biller@mesa", "desk@mesa", "partner@mesa"])
def test_sql_is_for_roles_that_take_extracts(user, bench, place):
    with pytest.raises(AccessError):
        bench(user)
    assert place.access.audit_rows("mesa", action=ACTION)[0].result == "refused"


def test_sql_goes_with_the_module(bench, place):
    place.access.set_module("mesa", "extracts", granted=False, actor="test")
    with pytest.raises(AccessError):
        bench("analyst@mesa")


def test_no_statement_leads_out_and_each_attempt_is_an_audit_row(bench, place):
    mine = bench("admin@harbor")
    frame = pl.DataFrame({"a": [1]})
    for statement in WAYS_OUT:
        with pytest.raises(RefusedStatementError) as refused:
            mine.run(statement, Stop())
        assert (
            "not allowed" in str(refused.value)
            or "not one of your tables" in str(refused.value)
            or "one statement" in str(refused.value)
        )
    rows = place.access.audit_rows("harbor", action=ACTION, limit=500)
    assert len(rows) == len(WAYS_OUT)
    assert {(row.result, row.detail["outcome"]) for row in rows} == {("refused", "refused")}
    assert not [row for row in rows if "passwd" in str(row.detail)]
    assert frame.height == 1


def test_the_database_itself_is_shut_without_the_check(bench, place, reader):
    """What stands behind the check: each statement straight on the connection that a worker opens."""
    bench("admin@harbor")
    rows = rows_of(place.home, reader("admin@harbor"))
    cursor = opened(place.home, rows.descriptor, rows.key)
    for statement in (
        "attach 'other.duckdb' as other",
        "copy marts.fct_visits to 'rows.csv'",
        "from read_text('/etc/passwd')",
        "from '/etc/passwd'",
        "from glob('*')",
        "set memory_limit = '100GB'",
        "set enable_external_access = true",
        "install httpfs",
        "delete from rows.marts.fct_visits",
        "create table rows.marts.a as select 1",
        "from statement",
        "import database 'folder'",
    ):
        with pytest.raises(duckdb.Error):
            cursor.execute(statement)
    cursor.close()


@pytest.mark.parametrize(
    "statement",
    [
        "from fct_visits",
        "table fct_visits",
        "select 1;",
        "-- the visits\nselect count(*) from marts.fct_visits -- ; drop",
        "with fct as (from fct_visits) select count(*) from fct join dim_payers on true",
        "describe fct_visits",
        "summarize marts.dim_payers",
        "select unnest([1, 2])",
        "select * from range(3)",
        "from dictionary.tables",
        "values (1), (2)",
        "select visit_id, row_number() over (order by visit_id) from fct_visits qualify 1 = 1",
        "from (pivot fct_visits on payer_class in ('commercial') using count(*))",
    ],
)
def test_what_reads_own_tables_alone_may_run(statement):
    assert checked(statement, TABLES).tables <= TABLES


@pytest.mark.parametrize("statement", ["", "  ;", "selec 1", "select", "select " + "1 + " * 6000 + "1"])
def test_what_is_no_statement_is_said_plainly(statement):
    with pytest.raises(ConfigurationError):
        checked(statement, TABLES)


def test_a_query_that_runs_too_long_ends_and_the_next_one_runs(bench, place):
    mine = bench("admin@harbor")
    with pytest.raises(LimitError, match="longer than"):
        mine.run(ENDLESS, Stop(), Limits(seconds=0.5))
    assert place.access.audit_rows("harbor", action=ACTION)[0].detail["outcome"] == "failed"
    assert mine.run("select 1 as one", Stop()).frame["one"].to_list() == [1]


def test_a_query_is_cancelled_while_it_runs_and_before(bench, place):
    mine, stop = bench("admin@harbor"), Stop()
    threading.Timer(0.5, stop.ask).start()
    with pytest.raises(StoppedError):
        mine.run(ENDLESS, stop)
    with pytest.raises(StoppedError):
        mine.run("select 1", stop)
    outcomes = {row.detail["outcome"] for row in place.access.audit_rows("harbor", action=ACTION)}
    assert outcomes == {"cancelled"}


def test_more_rows_than_the_limit_are_cut_and_a_query_with_much_memory_is_refused(bench):
    mine = bench("admin@harbor")
    result = mine.run("select * from range(100000) as t(a)", Stop(), Limits(rows=1000))
    assert (result.frame.height, result.is_cut) == (1000, True)
    exact = mine.run("select * from range(1000) as t(a)", Stop(), Limits(rows=1000))
    assert (exact.frame.height, exact.is_cut) == (1000, False)
    with pytest.raises(LimitError, match="memory"):
        mine.run("select list(repeat('x', 1000) || a) from range(10000000) as t(a)", Stop())


def test_a_value_or_a_result_without_measure_ends_the_query_and_not_the_server(bench):
    mine = bench("admin@harbor")
    for statement in (
        "select repeat('x', 1000000) from range(100000)",
        "select repeat('x', 1000000000) from range(100)",
        "with a as (select repeat('x', 100000) as x), b as (select repeat(x, 10000) as x from a) select repeat(x, 3) from b",
    ):
        with pytest.raises(ConfigurationError):
            mine.run(statement, Stop())
    with pytest.raises(LimitError, match="too large"):
        mine.run("select repeat('x', 1000) from range(100000)", Stop(), Limits(result_bytes=1_000_000))
    assert mine.run("select 1 as one", Stop()).frame["one"].to_list() == [1]


def test_a_query_that_fails_or_is_cancelled_after_its_first_rows_is_recorded(bench, place):
    mine, stop = bench("admin@harbor"), Stop()
    with pytest.raises(ConfigurationError, match="Could not convert"):
        mine.run("select cast(case when a = 60000 then 'x' else '1' end as int) from range(90000) t(a)", Stop())
    threading.Timer(2, stop.ask).start()
    with pytest.raises(StoppedError):
        mine.run("select a from range(1000000000000::bigint) t(a) where a % 100000000 = 1", stop)
    with pytest.raises(ConfigurationError):
        mine.run("select " + " || ".join(["'a'"] * 900), Stop())
    outcomes = [row.detail["outcome"] for row in place.access.audit_rows("harbor", action=ACTION)]
    assert outcomes[1:] == ["cancelled", "failed"]
    assert [past.outcome for past in mine.queries.history()][1:] == ["cancelled", "failed"]


def test_columns_of_the_same_name_are_told_apart(bench):
    frame = bench("admin@harbor").run("select * from dim_payers a, dim_payers b", Stop()).frame
    assert {"name", "name_2"} <= set(frame.columns)


def test_a_result_is_taken_as_a_file_and_that_is_an_audit_row(bench, place):
    mine = bench("admin@harbor")
    result = mine.run("select '=1+1' as formula, payer_id from dim_payers", Stop())
    files = {name: mine.file(result, name) for name in ("csv", "xlsx", "parquet")}
    assert b"'=1+1" in files["csv"].content
    assert pl.read_parquet(files["parquet"].content).height == result.frame.height
    assert files["xlsx"].content[:2] == b"PK"
    rows = place.access.audit_rows("harbor", action="export")
    assert [row.detail["format"] for row in rows] == ["parquet", "xlsx", "csv"]
    with pytest.raises(ConfigurationError):
        mine.file(result, "pdf")
    without_number = mine.run("select 'nan'::double as a, '-inf'::double as b", Stop())
    assert mine.file(without_number, "xlsx").rows == 1
    nested = mine.run("select [1, 2] as listed, {'a': 1} as pair", Stop())
    assert b"[1, 2]" in mine.file(nested, "csv").content
    for name in ("xlsx", "parquet"):
        assert mine.file(nested, name).rows == 1
    with pytest.raises(ConfigurationError, match="cast"):
        mine.run("select interval 1 day as lasting", Stop())


def test_the_audit_holds_the_words_of_a_query_and_none_of_its_values():
    text = "select name, \"John Doe\" from fct_visits v where patient = 'John Doe' and number = 4711 -- John Doe"
    assert masked(text, {"name", "fct_visits"}) == "select name , ? from fct_visits ? where ? = ? and ? = ?"
    assert masked("John Doe 4711", set()) == "? ? ?"
    assert masked("select name from fct_visits where a = 'Müller' and b = '患者患者'", {"name", "fct_visits"}) == (
        "select name from fct_visits where ? = ? and ? = ?"
    )
    assert masked("copy fct_visits to '/home/john'", {"fct_visits"}) == "copy fct_visits to ?"


def test_history_is_of_the_person_and_saved_queries_may_be_shared(bench, place):
    admin, analyst = bench("admin@mesa"), bench("analyst@mesa")
    admin.run("select 'Doe' as secret_name", Stop())
    with pytest.raises(RefusedStatementError):
        admin.run("pragma version", Stop())
    assert [(past.sql, past.outcome) for past in admin.queries.history()] == [
        ("pragma version", "refused"),
        ("select 'Doe' as secret_name", "done"),
    ]
    assert analyst.queries.history() == ()
    admin.queries.save("Mine", "select 1", is_shared=False)
    admin.queries.save("Ours", "select 2", is_shared=True)
    admin.queries.save("Ours", "select 3", is_shared=True)
    assert [(query.name, query.sql) for query in admin.queries.saved()] == [("Mine", "select 1"), ("Ours", "select 3")]
    assert [(query.name, query.email) for query in analyst.queries.saved()] == [("Ours", "admin@mesa")]
    assert bench("admin@harbor").queries.saved() == ()
    shared = analyst.queries.saved()[0]
    with pytest.raises(ConfigurationError):
        analyst.queries.remove(shared.query_id)
    admin.queries.remove(shared.query_id)
    assert analyst.queries.saved() == ()
    for name, sql in (("", "select 1"), ("x" * 100, "select 1"), ("a", " ")):
        with pytest.raises(ConfigurationError):
            admin.queries.save(name, sql, is_shared=False)
    content = place.home.access.read_bytes()
    assert b"secret_name" not in content
    assert b"Ours" not in content


def test_history_keeps_the_last_queries(place, monkeypatch):
    monkeypatch.setattr("serving.people.saved_queries.MOST_HISTORY", 3)
    queries = place.access.queries(Keys.of(place.home), "mesa", "analyst@mesa")
    for number in range(5):
        queries.note(f"select {number}", outcome="done")
    assert [past.sql for past in queries.history()] == ["select 4", "select 3", "select 2"]


def test_a_breach_counts_the_patients_of_the_tables_that_sql_read(bench, place):
    mine = bench("analyst@mesa")
    began = datetime.now(UTC) - timedelta(minutes=5)
    mine.run("select count(*) from fct_visits", Stop())
    mine.run("select * from dim_payers", Stop())
    mine.run("select * from metrics.visits", Stop())
    # A part with the name of a table reads the table all the same.
    mine.run("with fct_visits as (select * from fct_visits) select count(*) from fct_visits, dim_dates", Stop())
    mine.run(
        "from fct_visits, dim_dates as d, (with fct_visits as (select 1) from fct_visits), dim_payers limit 1", Stop()
    )
    acts = [act for act in reached(place.home, "mesa", since=began) if act.row.action == ACTION]
    by_tables = {tuple(act.row.detail["tables"]): act for act in acts}
    visits = by_tables["marts.fct_visits",]
    assert visits.patients
    assert visits.is_estimate
    assert not by_tables["marts.dim_payers",].patients
    assert not by_tables["metrics.visits",].patients
    for hidden in (
        ("marts.dim_dates", "marts.fct_visits"),
        ("marts.dim_dates", "marts.dim_payers", "marts.fct_visits"),
    ):
        assert by_tables[hidden].patients == visits.patients


def test_nothing_of_the_rows_stays_on_disk(bench, place):
    mine = bench("admin@harbor")
    mine.run("select count(*) from fct_visits", Stop())
    left = [path.name for path in place.home.folder("tmp").rglob("*") if path.is_file()]
    assert left == []


def test_people_of_one_scope_ask_at_the_same_time_and_nobody_takes_all_places(bench):
    mine, answers = bench("admin@harbor"), []

    def answer(number):
        answers.append(mine.run(f"select {number} as n", Stop()).frame["n"][0])

    running(answer, range(2))
    assert sorted(answers) == [0, 1]

    def endless(stop):
        with pytest.raises(StoppedError):
            mine.run(ENDLESS, stop)

    stops = (Stop(), Stop())
    threads = begun(endless, stops)
    while running_of(("harbor", "admin@harbor")) < len(stops):
        time.sleep(0.01)
    with pytest.raises(LimitError, match="2 of your queries"):
        mine.run("select 1", Stop())
    assert bench("analyst@mesa").run("select 1 as one", Stop()).frame["one"].to_list() == [1]
    for stop in stops:
        stop.ask()
    for thread in threads:
        thread.join(60)
    assert mine.run("select 1 as one", Stop()).frame["one"].to_list() == [1]


def test_a_process_that_cannot_start_is_said_so(bench, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ClinicmartError, match="ended without an answer"):
        bench("admin@harbor").run("select 1", Stop())


def begun(act, values):
    """Threads that have begun, one for each value."""
    threads = [threading.Thread(target=act, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    return threads


def running(act, values):
    for thread in begun(act, values):
        thread.join(60)
