"""The page SQL: runs a query beside the page, cancels it, shows why there is no result, keeps and shares queries."""

import threading
import time
from datetime import UTC, datetime

import polars as pl
import pytest

from dashboards import charts, data, sql_job, sql_words, theme, widgets
from dashboards.pages import sql as sql_page
from dashboards.sql_job import Job
from foundation.errors import ConfigurationError
from serving.people.caller import caller
from serving.people.saved_queries import PastQuery, SavedQuery
from serving.workbench import BenchTable, Result
from serving.workbench.run import StoppedError

AT = datetime(2026, 11, 15, 6, 5, tzinfo=UTC)
DICTIONARY = {
    "queries": pl.DataFrame({"title": ["All visits"], "sql": ["from fct_visits"]}),
    "columns": pl.DataFrame({"table_name": ["fct_visits"] * 2, "column_name": ["visit_id", "payer_key"]}),
    "metrics": pl.DataFrame({"view_name": ["metrics.visits"], "label": ["Visits"], "description": ["What they are."]}),
}


class FakeQueries:
    def __init__(self):
        self.kept = [
            SavedQuery(query_id=1, name="Ours", sql="select 2", email="ann@harbor", is_shared=True, saved_at=AT)
        ]

    def saved(self):
        return tuple(self.kept)

    def history(self):
        return (PastQuery(sql="select 3", at=AT, outcome="done", rows=1, seconds=0.1),)

    def save(self, name, sql, *, is_shared):
        if not name:
            raise ConfigurationError("give the query a name")
        self.kept.append(
            SavedQuery(query_id=2, name=name, sql=sql, email="admin@harbor", is_shared=is_shared, saved_at=AT)
        )

    def remove(self, query_id):
        self.kept = [query for query in self.kept if query.query_id != query_id]


class FakeBench:
    """Answers `slow` when it is cancelled or released, refuses `attach`, and everything else at once."""

    email = "admin@harbor"
    dictionary = DICTIONARY

    def __init__(self):
        self.callers = []
        self.queries, self.ran, self.is_released = FakeQueries(), [], threading.Event()

    def tables(self, dictionary=None):
        columns = pl.DataFrame(
            {
                "column_name": ["visit_id", "payer_key"],
                "data_type": ["VARCHAR", "VARCHAR"],
                "description": ["The visit.", "Who pays."],
                "key": ["primary", "dim_payers.payer_key"],
            }
        )
        return (BenchTable(schema="marts", name="fct_visits", description="A row a visit.", columns=columns),)

    def made_from(self, table):
        return {"visit_id": ("encounter.encounter_id", "a.b", "c.d", "e.f")} if table == "fct_visits" else {}

    def run(self, sql, stop):
        self.ran.append(sql)
        self.callers.append(caller().channel)
        if "attach" in sql:
            raise ConfigurationError("only a SELECT can be run here")
        if "broken" in sql:
            raise RuntimeError("secret detail")
        while "slow" in sql and not stop.is_asked and not self.is_released.is_set():
            time.sleep(0.01)
        if stop.is_asked:
            raise StoppedError("the query was cancelled")
        if "other" in sql:
            return Result(frame=pl.DataFrame({"day": [1, 2], "lost": [3, 4]}), seconds=0.2, is_cut=False)
        rows = {"unit": ["east", None, "west"], "visits": [12, 5, None], "paid": [1.5, 2.5, 3.5]}
        frame = pl.DataFrame(rows if "chart" in sql else {"visits": [12]})
        return Result(frame=frame, seconds=0.2, is_cut="many" in sql)


@pytest.fixture(autouse=True)
def _extracts(reader):
    reader.may_extract = True


@pytest.fixture
def bench(monkeypatch):
    fake = FakeBench()
    monkeypatch.setattr(data, "Bench", lambda *_: fake)
    yield fake
    fake.is_released.set()


def asked(page, sql):
    test = page("sql")
    test.text_area[0].set_value(sql)
    return button(test, "Run").click().run()


def button(test, label):
    return next(item for item in test.button if item.label == label)


def finished(test):
    """The page once the query has ended."""
    test.session_state["cm_sql_job"].wait(30)
    return test.run()


def test_the_page_lists_the_tables_with_what_their_columns_mean(page, markup_of, bench):
    test = page("sql")
    html = markup_of(test)
    assert "Ask your rows with SQL" in html
    assert "marts.fct_visits: A row a visit." in html
    assert "The visit. Primary key." in html
    assert "Who pays. Leads to dim_payers.payer_key." in html
    assert "encounter.encounter_id, a.b, c.d and 1 more" in html
    assert test.text_area[0].value == "from fct_visits"
    assert bench.ran == []
    test.selectbox(key="cm_sql_table").set_value("metrics")
    html = markup_of(test.run())
    assert "metrics.visits" in html
    assert "page:lineage?metric=visits" in html


def test_a_query_is_run_and_its_rows_are_shown(page, markup_of, bench):
    test = finished(asked(page, "select 12 as visits"))
    assert bench.ran == ["select 12 as visits"]
    assert bench.callers == ["page"]
    assert "1 row in 0.2 s" in markup_of(test)
    assert test.dataframe[0].value["visits"].tolist() == [12]
    assert "There are more than 100,000" in markup_of(finished(asked(page, "select many")))


@pytest.fixture
def options(monkeypatch):
    """The options of the charts that were drawn."""
    drawn = []
    monkeypatch.setattr(widgets, "chart", lambda option, **_: drawn.append(option))
    return drawn


def test_rows_with_numbers_are_drawn_as_the_person_chooses(page, markup_of, bench, options):
    test = finished(asked(page, "select chart"))
    assert options == []
    test.selectbox(key="cm_sql_chart_kind").set_value("Line")
    test = test.run()
    assert test.selectbox(key="cm_sql_chart_across").options == ["unit", "visits", "paid"]
    test.multiselect(key="cm_sql_chart_up").set_value(["visits", "paid"])
    test = test.run()
    option = options[-1]
    assert [series["type"] for series in option["series"]] == ["line", "line"]
    assert option["xAxis"]["data"] == ["east", "", "west"]
    assert [point[:2] for point in option["series"][0]["data"]] == [[0, 12.0], [1, 5.0], [2, None]]
    assert option["series"][1]["data"][2][2] == "west\npaid: 3.5"
    test.multiselect(key="cm_sql_chart_up").set_value([])
    assert "Choose a column of numbers." in markup_of(test.run())
    # Another result has other columns.
    test.multiselect(key="cm_sql_chart_up").set_value(["visits"])
    test.run().text_area[0].set_value("select other chart")
    test = finished(button(test, "Run").click().run())
    assert not test.exception
    assert options[-1]["series"][0]["name"] == "lost"


def test_points_stand_at_their_number_and_a_long_result_is_cut():
    look = theme.LIGHT
    frame = pl.DataFrame({"a": [2.5, 7.0], "b": [1, None]})
    option = charts.chart_of_rows(look, frame, "Points", "a", ["b"])
    assert [point[:2] for point in option["series"][0]["data"]] == [[2.5, 1.0], [7.0, None]]
    assert option["xAxis"]["type"] == "value"
    odd = pl.DataFrame({"a": [1.0, float("inf")], "b": [float("nan"), 2.0]})
    option = charts.chart_of_rows(look, odd, "Points", "a", ["b"])
    assert [point[:2] for point in option["series"][0]["data"]] == [[1.0, None], [None, 2.0]]
    months = pl.DataFrame({"month": [datetime(2026, 1, 1), datetime(2026, 2, 1), None], "n": [1, 2, 3]})
    assert charts.chart_of_rows(look, months, "Line", "month", ["n"])["xAxis"]["data"] == [
        "2026-01-01",
        "2026-02-01",
        "",
    ]
    many = pl.DataFrame({"day": range(2_000), "n": range(2_000)})
    assert len(charts.chart_of_rows(look, many, "Bars", "day", ["n"])["series"][0]["data"]) == 500


def test_names_of_tables_columns_and_metrics_are_offered_while_a_person_writes():
    names = sql_words.names_of(DICTIONARY)
    assert names["columns"] == {"fct_visits": ["visit_id", "payer_key"]}
    assert names["names"][:3] == [("fct_visits", "table"), ("visits", "metric"), ("select", "SQL")]


def test_a_running_query_is_cancelled(page, markup_of, bench):
    test = asked(page, "select slow")
    assert "The query runs" in markup_of(test)
    assert button(test, "Run").disabled
    test = finished(button(test, "Cancel").click().run())
    assert "The query was cancelled" in markup_of(test)
    assert not button(test, "Run").disabled


def test_a_refused_and_a_broken_query_say_so_and_reveal_nothing(page, markup_of, bench):
    assert "Only a SELECT can be run here" in markup_of(finished(asked(page, "attach 'x'")))
    html = markup_of(finished(asked(page, "select broken")))
    assert "Something went wrong on our side" in html
    assert "secret detail" not in html


def test_a_result_of_other_rights_is_not_shown(page, markup_of, bench, reader):
    test = finished(asked(page, "select 12 as visits"))
    reader.scope_hash = "1" * 64
    html = markup_of(test.run())
    assert "1 row in" not in html


def test_saved_and_past_queries_are_opened(page, bench):
    test = page("sql")
    options = test.selectbox(key="cm_sql_open").options
    assert options[:2] == ["Example: All visits", "Saved: Ours (shared by ann@harbor)"]
    assert "select 3" in options[2]
    test = test.selectbox(key="cm_sql_open").select("Saved: Ours (shared by ann@harbor)").run()
    assert test.text_area[0].value == "select 2"


def test_queries_that_begin_alike_are_told_apart():
    long = "select " + "a, " * 60
    by_title = sql_page._by_title(
        [("10:00: select a", long + "1"), ("10:00: select a", long + "2"), ("10:00: select a", long + "1")]
    )
    assert by_title == {"10:00: select a": long + "1", "10:00: select a (2)": long + "2"}


def test_a_query_is_saved_and_removed(page, bench):
    test = page("sql")
    test = button(test, "Save the query").click().run()
    assert "Give the query a name" in " ".join(item.value for item in test.caption)
    test.text_input(key="cm_sql_name").set_value("Mine")
    test = button(test, "Save the query").click().run()
    assert [query.name for query in bench.queries.saved()] == ["Ours", "Mine"]
    test = button(test.run(), "Remove it").click().run()
    assert [query.name for query in bench.queries.saved()] == ["Ours"]


def test_a_person_without_extracts_has_no_such_page(page, markup_of, reader):
    reader.may_extract = False
    assert "SQL is not available" in markup_of(page("sql"))


def test_a_job_names_the_caller_and_ends(bench, monkeypatch):
    monkeypatch.setattr(sql_job.log, "error", lambda *_: None)
    job = Job(bench, "select slow", ("harbor",))
    assert job.is_running
    job.cancel()
    job.wait(30)
    assert (job.is_running, job.problem) == (False, "The query was cancelled.")
