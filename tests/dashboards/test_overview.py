"""The overview: parts that add up, what needs attention and nothing else, units beside their usual range, targets in words."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from dashboards import figures
from dashboards import level as levels
from dashboards import view as states
from dashboards.figures import Figure
from dashboards.pages.overview import attention, lead, page, units
from serving.model import MetricQuery
from serving.worklists.lists import LISTS
from serving.worklists.work import Due
from tests.dashboards.test_findings import COUNT, MANY, RATE

D = Decimal
VIEWS = [
    {},
    {"place": "behavioral"},
    {"place": "bayview"},
    {"place": "bayview", "provider": "bayview-1"},
    {"payer": "medicaid"},
    {"period": "last_month"},
    {"period": "2026-05-10_2026-08-20", "compare": "year"},
]


def explained(source, chosen, params):
    view = states.parse(params, source.as_of)
    figure = figures.load(source, view, [chosen.amount, chosen.volume])[chosen.amount]
    return lead.explain(source, view, chosen, figure, levels.level_of(source, view))


@pytest.mark.parametrize("params", VIEWS, ids=str)
@pytest.mark.parametrize("smallest", [1, 40, 100_000])
@pytest.mark.parametrize("chosen", lead.LEADS[:3], ids=lambda chosen: chosen.amount)
def test_the_waterfall_leads_from_one_figure_to_the_other_to_the_cent(source, params, smallest, chosen):
    source.reader.smallest_cell = smallest
    found = explained(source, chosen, params)
    assert found is not None
    parts = sum((bar.part for bar in found.bars), D(0))
    if None not in (found.figure.value, found.figure.before):
        assert D(found.figure.before) + parts == D(found.figure.value)
    few = [bar for bar in found.bars if bar.kind == "few"]
    assert {bar.label for bar in few} <= {lead.FEW}
    assert not few or smallest > 1


def test_named_parts_lead_to_the_unit_and_payer_whose_figures_they_are(source):
    found = explained(source, lead.LEADS[0], {"period": "2026-07-01_2026-09-30"})
    bar = next(bar for bar in found.bars if bar.kind == "rate")
    assert bar.moves["payer"] == "medicaid"
    assert source.places[bar.moves["place"]].name in bar.label


def test_what_needs_attention_is_the_readers_figure_outside_its_usual_range(source):
    view = states.parse({"period": "2026-07-01_2026-09-30", "place": "behavioral"}, source.as_of)
    level = levels.level_of(source, view)
    watched, counted = attention.metrics(by_payer=False), attention.counts(by_payer=False)
    answers = [levels.ask(source, view, level, watched, counted)]
    found = attention.find(source, view, level, answers, {})
    (item,) = [item for item in found.items if item.metric == "no_shows"]
    assert item.moves["place"] == "bayview"
    question = MetricQuery(
        metrics=["no_shows"],
        where={"service_unit": "bayview"},
        date_from=view.period.start,
        date_to=view.period.end,
    )
    assert item.value == source.reader.query(question)["no_shows"][0]
    low, high = (int(text) for text in re.search(r"usual (\d+) to (\d+) a month", item.detail).groups())
    assert low < high < item.value / 3
    assert found.judged > len(found.items)


def test_the_list_is_ranked_by_money_and_says_how_many_are_left(page, markup_of):
    html = markup_of(page("", period="2026-07-01_2026-09-30", place="behavioral"))
    panel = html.split("<h2>Needs attention</h2>")[1].split("<h2>")[0]
    assert "No-shows, Bayview Clinic" in panel
    assert "Front desk" in panel
    action = re.search(r'data-do="(figure:no_shows[^"]*)"', panel)[1]
    assert "place=bayview" in action


def test_nothing_to_attend_to_is_said(page, markup_of):
    html = markup_of(page("", period="2026-02-01_2026-02-28", place="surgery"))
    panel = html.split("<h2>Needs attention</h2>")[1].split("<h2>")[0]
    assert "has left its usual range to the bad side in February 2026" in panel
    assert "<li" not in panel


def test_units_stand_beside_their_own_usual_range(source):
    view = states.parse({"period": "2026-07-01_2026-09-30"}, source.as_of)
    level = levels.level_of(source, view)
    source.reader.targets.set("no_show_rate", "behavioral", view.period.start, D("0.12"))
    answer = levels.ask(source, view, level, units.METRICS)
    found = units.units(source, view, level, answer, figures.load(source, view, page.ASKED))
    column = next(column for column in found.columns if column.metric.name == "no_show_rate")
    cells = dict(zip([member for member, _, _ in found.members], column.cells, strict=True))
    assert cells["behavioral"].tone == "bad"
    assert cells["behavioral"].target == 0.12
    assert cells["primary"].tone == ""
    assert all(column.low <= cell.at <= column.high for cell in column.cells)


def test_tiles_say_how_they_stand_against_their_target(page, markup_of, reader, source):
    reader.targets.set("no_show_rate", None, reader.data_as_of.replace(year=2026, month=1, day=1), D("0.05"))
    html = markup_of(page("", period="2026-07-01_2026-09-30"))
    tile = html.split('data-metric="no_show_rate"')[1].split("</article>")[0]
    assert 'title="worse than target"' in tile
    assert "target 5" in tile
    assert "cm-worse" in tile
    assert "of" in re.search(r"<small title=\"([^\"]+)\"", tile)[1]


def test_what_a_person_does_not_hold_leaves_no_hole(page, markup_of, reader):
    reader.modules = ("no_show",)
    reader.scope_hash = "m" * 64
    html = markup_of(page(""))
    assert html.count('class="cm-tile') >= 4
    for word in ("Net collection", "Denied", "billed", "claims of"):
        assert word not in html
    assert "No-shows" in html.split("<h2>")[1]


def test_the_page_says_what_its_figures_rest_on(page, markup_of, reader):
    html = markup_of(page(""))
    assert "All feeds in order" in html
    reader.refused = True
    reader.scope_hash = "r" * 64
    html = markup_of(page(""))
    assert "was refused" in html.split("Can these figures be trusted?")[1]
    assert "cm-incomplete" not in html


def test_rows_with_a_deadline_are_told_with_their_worklist(page, markup_of, reader):
    reader.worklists.names = ("denials",)
    reader.worklists.kept_due = (Due(work_list=LISTS["denials"], rows=3, amount=D("812.50"), first=date(2026, 12, 5)),)
    panel = markup_of(page("")).split("<h2>Needs attention</h2>")[1].split("<h2>")[0]
    assert "Denied claims with a deadline" in panel
    assert "3 rows, the first by 5 Dec 2026" in panel
    assert "$813" in panel
    assert "page:worklists?basis=denials" in panel


AR_RATE = replace(RATE, name="ar_over_90_rate", label="Share of receivables over 90 days")
WORSE = Figure(metric=AR_RATE, value=0.244, before=0.182, against="Q2 2026", base=MANY)
SAME = replace(WORSE, value=0.182)
BETTER = Figure(
    metric=replace(COUNT, name="completed_appointments", label="Completed appointments"),
    value=3350,
    before=2860,
    against="Q2 2026",
)


@pytest.mark.parametrize(
    ("tiles", "text"),
    [
        ([WORSE, SAME], "A/R over 90 days rose 6.2 points to 24.4\u00a0%"),
        ([BETTER], "Visits seen rose 17.1\u00a0% to 3,350"),
        ([BETTER, WORSE], "A/R over 90 days rose 6.2 points to 24.4\u00a0%; visits seen got better"),
        (
            [WORSE, replace(WORSE, metric=replace(RATE, name="late_cancel_rate"))],
            "A/R over 90 days and late cancellations got worse",
        ),
    ],
)
def test_the_heading_names_figures_as_their_tiles_do_and_says_how_one_changed(tiles, text):
    assert page._finding(None, {str(number): figure for number, figure in enumerate(tiles)}) == text
