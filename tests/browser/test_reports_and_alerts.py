"""A report is built, saved, taken as a file and subscribed to, and an alert is tried, saved and ended, in a real browser."""

import io
import re

import openpyxl
import pytest

from dashboards import period as periods
from serving.model import MetricQuery
from tests.browser.conftest import Site, taken

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def choose(tab, label: str, option: str) -> None:
    """Chooses an option of a list: it draws the options in view only."""
    tab.get_by_role("combobox", name=label).click()
    tab.keyboard.type(option)
    tab.get_by_role("option", name=option, exact=True).first.click()
    tab.keyboard.press("Escape")


def test_a_report_is_built_saved_opened_again_and_taken_as_a_file(tab, site: Site, reader):
    tab.goto(f"{site.of('harbor')}/report_builder")
    tab.get_by_text("Choose a figure").first.wait_for()
    choose(tab, "Figures", "No-shows")
    tab.wait_for_url(re.compile("measures=no_shows"))
    choose(tab, "Broken down by", "Month")
    tab.wait_for_url(re.compile("by=month"))
    book = openpyxl.load_workbook(io.BytesIO(taken(tab, "Excel").read_bytes()))
    period = periods.preset(periods.DEFAULT, reader.data_as_of)
    asked = MetricQuery(metrics=["no_shows"], date_from=period.start, date_to=period.end)
    figures = [row for row in book["Figures"].iter_rows(values_only=True) if row[0] == "No-shows"]
    assert [row[1] for row in figures] == [reader.query(asked)["no_shows"][0]]

    tab.get_by_role("button", name="Save", exact=True).click()
    tab.get_by_role("textbox", name="Name").fill("No-shows of the quarter")
    tab.keyboard.press("Tab")
    tab.get_by_role("button", name="Save the report").click()
    tab.wait_for_url(re.compile("report=[0-9a-f]{12}"))
    tab.get_by_role("heading", name="No-shows of the quarter").wait_for()
    tab.keyboard.press("Escape")
    tab.get_by_role("link", name="Get it by mail").click()
    tab.get_by_role("heading", name="Nothing is sent by mail").wait_for()
    assert tab.get_by_role("combobox", name="Page or report").input_value() == "Report: No-shows of the quarter"

    # Its address alone opens it again.
    tab.goto(f"{site.of('harbor')}/report_builder")
    tab.get_by_role("button", name="Saved reports (1)").click()
    tab.get_by_role("link", name="No-shows of the quarter").click()
    tab.wait_for_url(re.compile("measures=no_shows"))
    tab.get_by_role("heading", name="No-shows of the quarter").wait_for()


def test_an_alert_is_tried_on_the_past_saved_and_ended(tab, site: Site, reader):
    tab.goto(f"{site.of('harbor')}/alerts")
    tab.get_by_text("You have no alerts yet").wait_for()
    choose(tab, "Figure", "No-show rate")
    tab.get_by_role("textbox", name="Value").fill("1%")
    tab.get_by_role("button", name="Try on the past").click()
    tab.get_by_text("would have raised").first.wait_for()
    tab.get_by_text("The alert is not saved yet.").first.wait_for()
    tab.get_by_role("button", name="Save alert").click()
    tab.get_by_text("The alert is saved.").first.wait_for()
    tab.get_by_role("button", name="End it").click()
    tab.get_by_text("The alert has ended.").first.wait_for()
    actions = [row.action for row in reader._access.audit_rows("harbor", limit=50)]
    assert {"alert made", "alert ended"} <= set(actions)
