"""Every mark of every chart, every tile and every cell leads to the passport of the very figure that it shows."""

import html as entities
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from dashboards import figures, filters, passport, widgets
from dashboards import format as fmt
from dashboards import view as states
from serving.model import MetricQuery

# Sections that are open only where the address names them.
SECTIONS = {
    "revenue_cycle": ("denials", "receivables", "speed", "payers"),
    "throughput": ("times", "capacity", "beds", "providers", "operations"),
    "no_show": ("causes", "reminders", "lost", "referrals"),
    "payer_mix": ("bases", "rates", "effect"),
}
DRAWER = '<header class="cm-pass-head'
PAGES = ["", "revenue_cycle", "throughput", "no_show", "payer_mix"]
CELL = re.compile(r'<button type="button" class="cm-open" data-do="figure:([^"]+)">([^<]*)</button>')


def passport_of(source, page_view, action):
    """The passport that an action of a mark opens on a page."""
    metric, _, at = action.partition("?")
    view, left_out = filters.checked(source, states.moved_by(page_view, at))
    assert left_out == []
    return passport.of(source, view, metric, at)


@pytest.mark.parametrize("params", [{}, {"place": "behavioral", "payer": "medicaid"}], ids=["all", "filtered"])
@pytest.mark.parametrize("key", PAGES)
def test_a_cell_leads_to_the_passport_of_its_own_value(page, markup_of, source, key, params):
    html = markup_of(page(key, **params))
    assert "could not be drawn" not in html
    view = states.parse(params, source.as_of)
    cells = list(dict.fromkeys(CELL.findall(html)))
    assert len(cells) > 5
    kinds = {}
    for action, shown in cells:
        names = tuple(sorted(states.pairs_by_name(entities.unescape(action).partition("?")[2])))
        kinds.setdefault((action.partition("?")[0], names), []).append((action, shown))
    for group in kinds.values():
        for action, shown in group[:3]:
            found = passport_of(source, view, entities.unescape(action))
            value, unit = found.figure.value, found.metric.unit
            assert entities.unescape(shown) in (fmt.exact(value, unit), fmt.short(value, unit)), action


def test_charts_have_an_action_for_each_mark_and_each_is_a_passport(page, monkeypatch):
    drawn = {}

    def keep(option, *, key, marks=(), **_):
        drawn[key] = (option, marks)

    monkeypatch.setattr(widgets, "chart", keep)
    for key in PAGES:
        page(key)
    for key, sections in SECTIONS.items():
        for section in sections:
            page(key, section=section)
    assert len(drawn) >= 14
    for key, (option, marks) in drawn.items():
        clickable = [series for series in option["series"] if series.get("selectedMode")]
        assert clickable, key
        for place, series in enumerate(option["series"]):
            own = marks[0] if len(marks) == 1 else marks[place] if place < len(marks) else ()
            if series.get("selectedMode"):
                assert len(own) == len(series["data"]), key
                assert all(action.startswith("figure:") for action in own), key


def test_a_second_click_on_a_mark_opens_it_again():
    marks = [["figure:a?", "figure:b?"], ["figure:c?", ""]]
    assert widgets._mark_at(marks, (1, 0)) == "figure:c?"
    assert widgets._mark_at(marks[:1], (7, 1)) == "figure:b?"
    for strange in ((2, 0), (-1, 0), (0, 2), (0, -1)):
        assert widgets._mark_at(marks, strange) == ""


def test_a_tile_opens_its_passport_with_parts_interval_and_what_is_left_out(page, markup_of, source):
    html = markup_of(page("no_show", figure="no_show_rate"))
    assert 'data-do="figure:no_show_rate?"' in html
    drawer = html.split(DRAWER)[1]
    found = figures.load(source, states.parse({}, source.as_of), ["no_show_rate"])["no_show_rate"]
    for text in (
        found.counted,
        "95 % interval",
        "usual month",
        "Appointments entered in error",
        "Definition version 1",
    ):
        assert text in drawer
    assert "You see all of Harbor Health" in drawer
    assert "clinicmart metrics query no_show_rate --from 2026-07-01 --to 2026-09-30" in drawer


def test_a_passport_counts_the_rows_that_are_left_out_and_they_add_up(page, markup_of, source):
    drawer = markup_of(page("no_show", figure="no_show_rate")).split(DRAWER)[1]
    table = drawer.split("What counts and what is left out")[1].split("</table>")[0]
    view = states.parse({}, source.as_of)
    (rows,) = source.rows_around("no_show_rate", {}, view.period.start, view.period.end)
    assert [part.kind for part in rows.parts] == ["counted", "below_alone", "left_out"]
    for part in rows.parts:
        assert part.words in table
        assert f'<td class="num">{part.rows:,}</td>' in table
    assert "(1 so recent that they may still count)" in table
    assert f'<td class="num">{rows.rows:,}</td>' in table.split("<tfoot>")[1]


def test_numbers_of_too_few_people_are_withheld_from_the_rows_that_are_left_out(page, markup_of, reader):
    reader.smallest_cell = 100_000
    reader.scope_hash = "4" * 64
    drawer = markup_of(page("no_show", figure="no_show_rate")).split(DRAWER)[1]
    section = drawer.split("What counts and what is left out")[1].split("</section>")[0]
    assert re.findall(r'<td class="num">([^<]*)</td>', section) == ["\u2013"] * 4


def test_a_passport_shows_the_target_of_its_place_and_none_for_a_part_of_it(page, markup_of, reader):
    reader.targets.set("no_show_rate", "behavioral", date(2026, 1, 1), Decimal("0.05"))
    drawer = markup_of(page("no_show", place="behavioral", figure="no_show_rate")).split(DRAWER)[1]
    assert "target 5.0\u00a0%, worse than target<" in drawer
    narrower = markup_of(page("no_show", place="behavioral", figure="no_show_rate", at="weekday=1")).split(DRAWER)[1]
    assert "target 5.0" not in narrower


def test_the_passport_of_a_mark_shows_the_readers_answer(page, markup_of, reader):
    view = states.parse({}, reader.data_as_of)
    asked = MetricQuery(
        metrics=["no_show_rate"],
        where={"service_unit": "behavioral", "weekday": "1", "visit_type": ["new", "therapy"]},
        date_from=view.period.start,
        date_to=view.period.end,
    )
    wanted = reader.query(asked)["no_show_rate"][0]
    at = "visit_type=new&visit_type=therapy&weekday=1"
    html = markup_of(page("no_show", place="behavioral", figure="no_show_rate", at=at))
    drawer = html.split(DRAWER)[1]
    assert f"<b>{fmt.parts(wanted, 'percent').number}</b>" in drawer
    assert "Weekday: Monday" in drawer
    assert "Visit type: New patient, Therapy session" in drawer


def test_filters_stand_as_chips_that_can_be_taken_away_and_change_every_figure(page, markup_of, source):
    html = markup_of(page("no_show", weekday="1", month="2026-08", payer="medicaid"))
    chips = re.search(r'<ul class="cm-chips".*?</ul>', html, re.S)[0]
    assert re.findall(r"<b>(.*?)</b>", chips) == ["August 2026", "Medicaid", "Monday"]
    assert re.findall(r'data-do="([^"]+)"', chips) == ["view:month=", "view:payer=", "view:weekday="]
    view = states.parse({"weekday": "1", "month": "2026-08", "payer": "medicaid"}, source.as_of)
    rate = figures.load(source, view, ["no_show_rate"], trend=False)["no_show_rate"].value
    assert f"<b>{fmt.parts(rate, 'percent').number}</b>" in html


def test_a_filter_that_a_figure_cannot_take_is_said_and_no_figure_is_shown(source, monkeypatch):
    metric = replace(source.metrics["billed_amount"], dimensions=("service_unit", "payer_class"))
    monkeypatch.setitem(source.metrics, "billed_amount", metric)
    view = states.parse({"weekday": "1", "hour": "9"}, source.as_of)
    figure = figures.load(source, view, ["billed_amount"], trend=False)["billed_amount"]
    assert (figure.value, figure.problem) == (None, "Cannot be filtered by hour and weekday")


HOSTILE = {
    "unknown dimension": ({"patient_id": "P1"}, "a filter that pages do not have (patient id)"),
    "hostile name": ({"<script>": "1"}, "a filter that pages do not have (another name)"),
    "sql in a value": ({"visit_type": "x' or '1'='1"}, "Visit type: this value is not among those you may see"),
    "unknown weekday": ({"weekday": "9"}, "Weekday: this value is not among those you may see"),
    "place outside": ({"place": "elsewhere"}, "not among those you may see"),
    "provider outside": ({"provider": "nobody"}, "Provider: this value is not among those you may see"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_address_that_asks_for_what_is_not_there_is_refused_politely_and_audited(page, markup_of, reader, name):
    params, sentence = HOSTILE[name]
    html = markup_of(page("no_show", **params))
    assert sentence in html
    assert "could not be drawn" not in html
    assert "<script>" not in html
    refusals = [detail for action, detail, result in reader.noted if action == "page" and result == "refused"]
    assert any(sentence in " ".join(detail["left_out"]) for detail in refusals)
    # Values may be anything: they are not kept.
    assert not any("or '1'" in str(detail["left_out"]) for detail in refusals)


REFUSED_MARKS = {
    "unknown figure": ({"figure": "no_such_figure"}, "not available to you"),
    "module not held": ({"figure": "denial_rate"}, "not available to you"),
    "patient dimension": ({"figure": "no_shows", "at": "patient=P1"}, "do not have (patient)"),
    "sql in a value": ({"figure": "no_shows", "at": "visit_type=%27%3B+drop"}, "not among those you may see"),
    "place outside": ({"figure": "no_shows", "at": "place=elsewhere"}, "not among those you may see"),
}


@pytest.mark.parametrize("name", REFUSED_MARKS)
def test_a_mark_that_is_not_there_opens_no_figure(page, markup_of, reader, name):
    params, sentence = REFUSED_MARKS[name]
    reader.modules = ("no_show",)
    reader.scope_hash = "2" * 64
    html = markup_of(page("no_show", **params))
    assert "This figure cannot be shown" in html
    assert sentence in html.split("This figure cannot be shown")[1]
    assert DRAWER not in html
    assert ("page", "refused") in [(action, result) for action, _, result in reader.noted]


def test_a_figure_of_too_few_people_has_no_value_in_its_passport(page, markup_of, reader):
    reader.smallest_cell = 100_000
    reader.can_see_rows = False
    reader.scope_hash = "3" * 64
    html = markup_of(page("no_show", figure="no_shows", at="weekday=1&hour=9&visit_type=new&place=bayview"))
    drawer = html.split(DRAWER)[1]
    assert "Your role (organization admin) shows figures and not the rows behind them" in drawer


def test_a_session_that_ended_opens_no_passport(page, markup_of, served):
    test = page("no_show", figure="no_shows")
    assert DRAWER in markup_of(test)
    for person in served.access.users("harbor"):
        served.access.end_sessions(served.access.principal("harbor", person.email))
    assert DRAWER not in markup_of(test.run())


def test_a_figure_leads_to_an_alert_on_it_and_into_a_report(page, markup_of, source):
    html = entities.unescape(markup_of(page("no_show", figure="no_show_rate", at="place=bayview&month=2026-08")))
    actions = re.findall(r'data-do="page:([^"]+)"', html)
    assert "alerts?metric=no_show_rate&place=bayview" in actions
    (changes,) = [action.partition("?")[2] for action in actions if action.startswith("report_builder?")]
    view = states.moved_by(states.parse({}, source.as_of), changes)
    assert (view.measures, view.place, view.month) == (("no_show_rate",), "bayview", date(2026, 8, 1))


def test_the_form_of_an_alert_begins_with_the_figure_and_the_place_of_the_address(page):
    test = page("alerts", metric="no_show_rate", place="bayview")
    chosen = {box.label: box.value for box in test.selectbox}
    assert (chosen["Figure"], chosen["Where"]) == ("no_show_rate", "bayview")
    other = page("alerts", metric="no_such_figure", place="nowhere")
    assert {box.label: box.value for box in other.selectbox}["Where"] == ""
