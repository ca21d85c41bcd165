"""The page SQL in a browser: a query is answered as the reader answers, another one is cancelled, a way out is refused."""

import csv

import pytest

from serving.model import MetricQuery
from tests.browser.conftest import Site, taken

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def asked(tab, sql):
    """Writes a statement, leaves the field, so that the server has the text, and runs it."""
    field = tab.get_by_label("One SELECT on your tables")
    field.fill(sql)
    field.press("Control+Enter")
    tab.wait_for_timeout(1000)
    tab.get_by_role("button", name="Run", exact=True).click()


def test_a_query_runs_another_is_cancelled_and_a_way_out_is_refused(tab, site: Site, reader):
    tab.goto(f"{site.of('harbor')}/sql")
    tab.get_by_role("button", name="Run", exact=True).wait_for()
    tab.get_by_text("marts.fct_appointments:").first.wait_for()

    asked(tab, "select count(*) as appointments from fct_appointments where is_no_show")
    tab.get_by_text("1 row in").wait_for()
    rows = list(csv.DictReader(taken(tab, "CSV").read_text("utf-8").splitlines()))
    figure = reader.query(MetricQuery(metrics=["no_shows"]))["no_shows"][0]
    assert [int(row["appointments"]) for row in rows] == [figure]

    asked(tab, "select count(*) from range(100000000000) as t(a) where a % 7 = 3")
    tab.get_by_text("The query runs").wait_for()
    tab.get_by_role("button", name="Cancel").click()
    tab.get_by_text("The query was cancelled").wait_for()

    asked(tab, "select content from read_text('/etc/passwd')")
    tab.get_by_text("The function read_text is not allowed here").wait_for()
    outcomes = [row.detail.get("outcome", row.result) for row in reader._access.audit_rows("harbor", action="sql")]
    assert outcomes[:3] == ["refused", "cancelled", "done"]


def test_names_are_completed_while_a_person_writes_and_the_rows_are_drawn(tab, site: Site):
    tab.goto(f"{site.of('harbor')}/sql")
    field = tab.get_by_label("One SELECT on your tables")
    tab.get_by_role("listbox", name="Names that fit", include_hidden=True).wait_for(state="attached")
    field.fill("select status, count(*) as appointments from fct_appointments where ")
    field.press("End")
    field.press_sequentially("is_no_s")
    tab.get_by_role("option", name="is_no_show").wait_for()
    field.press("Tab")
    text = "select status, count(*) as appointments from fct_appointments where is_no_show"
    assert field.input_value() == text
    asked(tab, f"{text.replace('where is_no_show', 'group by 1 order by 2')}")
    tab.get_by_text("rows in").wait_for()
    tab.get_by_role("combobox", name="Chart").click()
    tab.get_by_role("option", name="Bars").click()
    tab.get_by_role("img", name="Bars of appointments by status").wait_for()
