"""From a figure to where it comes from, in a real browser."""

import re
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_definition_leads_to_feeds_and_fields_and_back(tab: Any, site: Any) -> None:
    tab.goto(f"{site.of('harbor')}/revenue_cycle?period=year")
    tab.wait_for_selector('[data-metric="net_collection_rate"]')
    tile = tab.locator('[data-metric="net_collection_rate"]')
    tile.locator("summary").click()
    tile.locator(".cm-definition button").click()
    tab.wait_for_url(re.compile(r"/lineage\?.*metric=net_collection_rate"))
    tab.wait_for_selector(".cm-meaning")
    heading = tab.locator("h1", has_text="rests on").inner_text()
    assert heading.startswith("Net collection rate rests on")
    assert re.search(r"from remits|\d more feeds", heading)
    tab.locator("details.cm-folded summary").last.click()
    tab.wait_for_selector("text=remittance_line.payer_paid_amount")
    assert "fct_charge_lines.payer_paid_amount" in tab.locator("table").last.inner_text()
    assert tab.locator("[data-testid=stPageLink]", has_text="Where a figure").count() == 0
    tab.go_back()
    tab.wait_for_selector('[data-metric="net_collection_rate"]')


def test_the_page_without_a_figure_says_how_to_come_here(tab: Any, site: Any) -> None:
    tab.goto(f"{site.of('harbor')}/lineage?metric=no_such_metric")
    tab.wait_for_selector("text=No figure is chosen")
