"""Every kind of mark on every page opens the passport of the figure that it shows, for an administrator and for an executive."""

from contextlib import suppress
from functools import partial
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import TimeoutError as NotInTime

from dashboards import filters
from dashboards import format as fmt
from dashboards import view as states
from serving.model import MetricQuery
from serving.people.principal import Role
from serving.people.store import AccessStore
from serving.reader import open_reader

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = (
    "",
    "revenue_cycle",
    "revenue_cycle?section=denials",
    "throughput",
    "throughput?section=times",
    "no_show",
    "no_show?section=referrals",
    "payer_mix",
    "payer_mix?section=rates",
)
# What can be clicked outside charts: tiles, bars of the waterfall, lines of what needs attention, cells of tables.
KINDS = (
    ".cm-tile h3 button[data-do^='figure:']",
    ".cm-tile .cm-value[data-do]",
    ".cm-waterfall i[data-do^='figure:']",
    ".cm-column i[data-do^='figure:']",
    ".cm-segments i[data-do^='figure:']",
    ".cm-funnel i[data-do^='figure:']",
    ".cm-dot[data-do^='figure:']",
    ".cm-attention button[data-do^='figure:']",
    ".cm-units .cm-open",
    ".st-key-cm_level tbody .cm-open",
    ".st-key-cm_level tfoot .cm-open",
)
LEAST_AREA = 60
# How often a mark is clicked that does not lead on yet, and how long each click is waited for.
ROUNDS, WAIT_MILLISECONDS = 8, 2_000
PASSWORD = "a password of my own 7"


@pytest.fixture(scope="module", params=[Role.ORGANIZATION_ADMIN, Role.EXECUTIVE], ids=["admin", "executive"])
def visitor(request, chromium, site, demo_home):
    """(tab, reader) of a signed-in person of a role."""
    from foundation.home import Home

    home, email = Home.at(demo_home), f"marks-{request.param.value}@harbor"
    store = AccessStore.open(home)
    store.add_user("harbor", email, display_name="Max Marks", role=request.param, password=PASSWORD, must_change=False)
    context = chromium.new_context(bypass_csp=True, viewport={"width": 1440, "height": 1000})
    tab = context.new_page()
    tab.goto(f"{site.of('harbor')}/signin")
    tab.fill("#email", email)
    tab.fill("#password", PASSWORD)
    tab.click("button[type=submit]")
    tab.wait_for_selector(".cm-head h1")
    yield tab, open_reader(home, store.principal("harbor", email))
    context.close()


def settled(tab):
    tab.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")


def opened(tab):
    """(address, figure) of the drawer, once it shows the figure of its address."""
    tab.wait_for_function(
        "new URLSearchParams(location.search).get('figure') === document.querySelector('.cm-pass-head')?.dataset.figure"
    )
    settled(tab)
    parts = tab.locator(".cm-pass-head .cm-value").evaluate("p => [p.children[0].innerText, p.children[1].innerText]")
    return tab.evaluate("location.search"), fmt.Parts(*parts).text


def clicked_open(tab, clicks):
    """Clicks one place after the other, and again, until a figure stands in the address: a mark that was just drawn may not listen yet,
    and a page whose drawer opens takes no click. Gives what `opened` gives."""
    for click in clicks * ROUNDS:
        with suppress(NotInTime):
            click(timeout=WAIT_MILLISECONDS)
        with suppress(NotInTime):
            tab.wait_for_function("location.search.includes('figure=')", timeout=WAIT_MILLISECONDS)
            break
    return opened(tab)


def closed(tab):
    tab.keyboard.press("Escape")
    tab.wait_for_selector(".cm-pass-head", state="detached")
    tab.wait_for_function("!location.search.includes('figure=')")
    settled(tab)


def answer(reader, search):
    """What the reader says of the figure that an address opens."""
    view = states.parse(parse_qs(search.removeprefix("?")), reader.data_as_of).of_figure
    name = parse_qs(search.removeprefix("?"))["figure"][0]
    asked = MetricQuery(
        metrics=[name], where=filters.chosen(view), date_from=view.period.start, date_to=view.period.end
    )
    unit = next(item.unit for item in reader.metrics() if item.name == name)
    return fmt.short(reader.query(asked)[name][0], unit)


def marks_of(chart):
    """Places in a chart that hold a mark, the largest first: filled shapes of its SVG, seen from the chart's corner."""
    return chart.evaluate(
        """(chart, least) => {
            const box = chart.getBoundingClientRect();
            const shapes = [...chart.querySelectorAll('svg path')].filter(
                path => path.getAttribute('fill') && !['none', 'transparent'].includes(path.getAttribute('fill')));
            const boxes = shapes.map(path => path.getBoundingClientRect())
                .filter(b => b.width * b.height > least && b.width < box.width * 0.9 && b.height < box.height * 0.9);
            boxes.sort((a, b) => b.width * b.height - a.width * a.height);
            return boxes.map(b => [b.left - box.left + b.width / 2, b.top - box.top + b.height / 2]);
        }""",
        LEAST_AREA,
    )


@pytest.mark.parametrize("key", PAGES)
def test_every_kind_of_mark_opens_the_passport_of_its_figure(visitor, site, key):
    tab, reader = visitor
    tab.goto(f"{site.of('harbor')}/{key}")
    tab.wait_for_selector(".cm-head h1")
    settled(tab)
    clicked = 0
    for kind in KINDS:
        marks = tab.locator(kind)
        if marks.count():
            search, shown = clicked_open(tab, [marks.first.click])
            assert shown == answer(reader, search), (kind, search)
            closed(tab)
            clicked += 1
    charts = tab.locator("[data-testid=stEChartsChart]")
    for index in range(charts.count()):
        chart = charts.nth(index)
        chart.scroll_into_view_if_needed()
        places = marks_of(chart)
        assert places, f"chart {index} of {key or 'overview'} has no mark"
        # Labels and the scale of colours are shapes too: one of the larger ones is a mark.
        clicks = [partial(chart.click, position={"x": x, "y": y}) for x, y in places[:8]]
        search, shown = clicked_open(tab, clicks)
        assert shown == answer(reader, search), (index, search)
        closed(tab)
        clicked += 1
    assert clicked >= 4


def test_the_table_of_a_chart_opens_the_same_by_keyboard(visitor, site):
    tab, reader = visitor
    tab.goto(f"{site.of('harbor')}/no_show")
    tab.wait_for_selector(".cm-head h1")
    settled(tab)
    tab.locator(".cm-as-table summary").first.focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    search, shown = opened(tab)
    assert "at=month" in search
    assert shown == answer(reader, search)
    closed(tab)
