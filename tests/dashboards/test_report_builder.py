"""The page Report builder: choices in the address, the chart that follows from the question, saved reports, and files."""

import io
import json
from dataclasses import replace
from datetime import date

import openpyxl
import pytest
import streamlit

from dashboards import breakdowns
from dashboards import period as periods
from dashboards import view as states
from dashboards.data import Source
from dashboards.filters import LABELS
from dashboards.reports import built, make
from dashboards.reports.answer import answer
from dashboards.reports.chosen import PAGE, definition_of, opened, words
from dashboards.view import View
from foundation.errors import AccessError, ConfigurationError
from foundation.keys import Keys
from serving.model import MetricQuery
from serving.people.principal import Principal, Role
from serving.people.tables import AUDIT
from serving.report_definition import ReportDefinition
from tests.dashboards.test_reports import _source, place, sheets_of  # noqa: F401
from tests.serving.conftest import _published_once  # noqa: F401

AS_OF = date(2026, 11, 15)
QUARTER = "2026-01-01_2026-03-31"
BY_PAYER = ReportDefinition(metrics=("no_shows", "no_show_rate"), by=("payer_class",), shown_as="chart")


@pytest.fixture
def reports(served):
    kept = served.access.reports(Keys.of(served.home), "harbor", "admin@harbor")
    yield kept
    for report in kept.all():
        if report.email == "admin@harbor":
            kept.remove(report.report_id)


def test_a_report_goes_into_the_address_and_back():
    view = View(period=periods.parse(None, AS_OF), measures=("visits", "people"), by=("month",), shown="chart")
    assert states.parse(view.params(), AS_OF) == view
    assert definition_of(View(period=view.period)) is None
    strange = {
        "measures": ["visits", "visits", "DROP", *"abcdefgh"],
        "by": ["a", "b", "c"],
        "shown": "pie",
        "report": "7",
    }
    parsed = states.parse(strange, AS_OF)
    assert (parsed.measures, parsed.by) == (("visits", *"abcde"), ("a", "b"))
    assert (parsed.shown, parsed.report) == (None, None)


@pytest.mark.parametrize(
    "filters",
    [{}, {"payer": ("aetna", "medicare")}, {"service_unit": ("east",), "provider": ("p1",), "weekday": ("1",)}],
)
@pytest.mark.parametrize("period", ["last_month", QUARTER])
def test_a_saved_report_opens_with_its_own_period_and_filters(filters, period):
    saved = ReportDefinition(metrics=("visits",), by=("month", "provider"), filters=filters, period=period)
    shown = opened(saved, View(period=periods.parse(None, AS_OF), place="west"), "0123456789ab", AS_OF)
    assert definition_of(shown) == saved
    assert definition_of(states.parse(shown.params(), AS_OF)) == saved


def test_a_filter_that_pages_do_not_have_is_named():
    saved = ReportDefinition(metrics=("visits",), filters={"service_unit": ("east", "west")})
    with pytest.raises(ConfigurationError, match="filtered by unit in a way that pages do not have"):
        opened(saved, View(period=periods.parse(None, AS_OF)), "0123456789ab", AS_OF)


def test_an_address_with_too_many_filters_says_so():
    view = View(period=periods.parse(None, AS_OF), measures=("visits",))
    with pytest.raises(ConfigurationError, match="too many or unreadable filters"):
        definition_of(view.filtered("payer", [f"p{number}" for number in range(201)]))


def test_breakdowns_are_in_words():
    assert [words(name) for name in ("month", "payer_class", "zip3", "service_unit_children", "level_2")] == [
        *("month", "payer class", "ZIP area", "unit below the place", "level 2")
    ]
    assert all(words(name) for name in LABELS)


def test_without_a_figure_the_page_says_what_to_do(page, markup_of):
    html = markup_of(page(PAGE))
    assert "Report builder" in html
    assert "Choose a figure" in html


def test_one_category_is_ordered_bars_and_two_are_a_shaded_table(page, markup_of):
    test = page(PAGE, measures=["no_shows"], by=["payer_class"], shown="chart")
    html = markup_of(test)
    assert "No-shows by payer class" in html
    assert not test.exception
    html = markup_of(page(PAGE, measures=["no_shows"], by=["month", "payer_class"], shown="chart"))
    assert "No-shows by month and payer class" in html
    assert "cm-shade-5" in html
    html = markup_of(page(PAGE, measures=["no_shows", "no_show_rate"], by=["month"], shown="chart"))
    assert html.count("By month, Q3 2026") == 2


def test_a_table_has_every_figure_and_all_together(page, markup_of):
    html = markup_of(page(PAGE, measures=["no_shows", "no_show_rate"], by=["visit_type"]))
    assert "By visit type" in html
    assert ">All<" in html
    assert "cm-shade" not in html


def test_a_report_on_a_figure_that_is_gone_says_so(page, markup_of, reader):
    html = markup_of(page(PAGE, measures=["no_shows", "removed_metric"], by=["carc"]))
    assert "This report cannot be shown" in html
    assert "The figure removed_metric is not there for you" in html
    assert "No-shows cannot be broken down by carc" in html
    assert ("report", "refused") in [(action, result) for action, _, result in reader.noted]


def test_a_saved_report_is_opened_by_its_address(page, markup_of, reports):
    report_id = reports.save("No-shows by class", BY_PAYER, is_shared=True)
    test = page(PAGE, report=report_id)
    html = markup_of(test)
    assert "No-shows by class" in html
    assert "No-show rate by payer class" in html
    assert test.query_params["measures"] == ["no_shows", "no_show_rate"]
    html = markup_of(page(PAGE, report="0123456789ab"))
    assert "was removed, or is not shared with you" in html


def test_a_report_is_saved_and_removed(page, reports, monkeypatch):
    monkeypatch.setattr(type(streamlit.context), "ip_address", property(lambda _: "192.0.2.1"))
    test = page(PAGE, measures=["no_shows"], by=["payer_class"], period="last_month")
    test.text_input(key="cm_built_name").set_value("Mine")
    test = test.button(key="cm_built_save_now").click().run()
    (kept,) = reports.all()
    assert (kept.name, kept.is_shared) == ("Mine", False)
    assert kept.definition == ReportDefinition(metrics=("no_shows",), by=("payer_class",), period="last_month")
    assert test.query_params["report"] == kept.report_id
    test.button(key="cm_built_remove").click().run()
    assert reports.all() == ()


def test_a_pinned_report_stands_on_its_page_and_follows_the_page(page, markup_of, reports, served):
    report_id = reports.save("Which classes miss", BY_PAYER, is_shared=False, pinned_to="no_show")
    html = markup_of(page("no_show", period="last_month"))
    assert "Which classes miss" in html
    assert "No-show rate by payer class" in html.split("Which classes miss")[1]
    assert f"page:report_builder?report={report_id}" in html
    assert "Which classes miss" not in markup_of(page("revenue_cycle"))
    table = ReportDefinition(metrics=("no_shows", "no_show_rate"), by=("visit_type",))
    reports.save("In numbers", table, is_shared=False, pinned_to="no_show")
    reports.save("Alone", ReportDefinition(metrics=("no_shows",)), is_shared=False, pinned_to="no_show")
    reports.save("Gone", ReportDefinition(metrics=("removed_metric",)), is_shared=False, pinned_to="no_show")
    test = page("no_show")
    html = markup_of(test)
    assert not test.exception
    assert [name in html for name in ("Alone", "Gone", "In numbers", "Which classes miss")] == [True, True, True, False]
    assert "The figure removed_metric is not there for you" in html
    assert "1 more report is pinned to this page" in html


def test_a_pinned_report_that_does_not_know_a_filter_of_the_page_says_so_and_the_page_goes_on(
    page, markup_of, reports, reader, monkeypatch
):
    known, asked = reader.metrics(), reader.query

    def query(question):
        if "no_shows" in question.metrics and "payer_class" in question.where:
            raise ConfigurationError("no_shows has no dimension payer_class")
        return asked(question)

    dimensions = tuple(name for name in known[0].dimensions if name != "payer_class")
    narrow = [replace(metric, dimensions=dimensions) if metric.name == "no_shows" else metric for metric in known]
    monkeypatch.setattr(reader, "metrics", lambda: narrow)
    monkeypatch.setattr(reader, "query", query)
    for name, metrics in (("First", ("no_shows",)), ("Second", ("no_show_rate",))):
        by_type = ReportDefinition(metrics=metrics, by=("visit_type",))
        reports.save(name, by_type, is_shared=False, pinned_to="no_show")
    test = page("no_show", payer="medicaid")
    html = markup_of(test)
    assert "No-shows: cannot be filtered by payer class." in html
    assert "By visit type" in html.split("Second")[1]
    assert "This cannot be shown" not in html
    # The files below the pinned reports stand too.
    assert any("Taking a file is recorded" in caption.value for caption in test.caption)


def test_a_pinned_report_says_that_feeds_of_another_page_stopped(page, markup_of, reports, reader):
    reader.stopped = True
    reports.save("Billed", ReportDefinition(metrics=("billed_amount",)), is_shared=False, pinned_to="no_show")
    reports.save("Missed", ReportDefinition(metrics=("no_shows",)), is_shared=False, pinned_to="no_show")
    billed, missed = markup_of(page("no_show")).split("Billed", 1)[1].split("Missed", 1)
    assert "stopped" in billed
    assert "stopped" not in missed


def test_the_form_has_what_is_saved_of_the_report_that_is_opened(page, reports):
    first = reports.save("First", ReportDefinition(metrics=("no_shows",)), is_shared=True, pinned_to="no_show")
    second = reports.save("Second", ReportDefinition(metrics=("no_show_rate",)), is_shared=False)

    def form(test):
        return [
            test.text_input(key="cm_built_name").value,
            test.checkbox(key="cm_built_shared").value,
            test.selectbox(key="cm_built_pinned").value,
        ]

    test = page(PAGE, report=first, measures=["no_shows"])
    assert form(test) == ["First", True, "no_show"]
    test.query_params.update({"report": second, "measures": ["no_show_rate"]})
    test = test.run()
    assert form(test) == ["Second", False, ""]
    test.text_input(key="cm_built_name").set_value("Second, too")
    assert form(test.run()) == ["Second, too", False, ""]
    del test.query_params["report"]
    assert form(test.run()) == ["", False, ""]


def test_a_report_is_pinned_by_its_form(page, reports, monkeypatch):
    monkeypatch.setattr(type(streamlit.context), "ip_address", property(lambda _: "192.0.2.1"))
    test = page(PAGE, measures=["no_shows"], by=["payer_class"], period="last_month")
    test.text_input(key="cm_built_name").set_value("Mine")
    test.selectbox(key="cm_built_pinned").set_value("no_show")
    test = test.button(key="cm_built_save_now").click().run()
    assert reports.all()[0].pinned_to == "no_show"
    test.selectbox(key="cm_built_pinned").set_value("")
    test.button(key="cm_built_save_now").click().run()
    assert reports.all()[0].pinned_to == ""


def _built(home, user, *, by, filters=None, metrics=("visits", "people"), form="table"):
    source = _source(home, user)
    definition = ReportDefinition(metrics=metrics, by=by, filters=filters or {}, period=QUARTER, shown_as=form)
    return source, opened(definition, View(period=periods.parse(QUARTER, AS_OF)), "0123456789ab", AS_OF)


@pytest.mark.parametrize("user", ["admin@harbor", "east@harbor", "two@harbor", "doctor@harbor", "admin@mesa"])
def test_every_figure_of_a_file_is_the_readers(place, user):  # noqa: F811
    source, view = _built(place.home, user, by=("month", "provider"))
    sheets = sheets_of(built.make_file(source, view, "Ours", "xlsx").content)
    titles, *lines = sheets["By month and provider"]
    assert titles == ["Month", "Provider", "Visits", "People"]
    asked = MetricQuery(
        metrics=["visits", "people"],
        by=["provider"],
        grain="month",
        date_from=view.period.start,
        date_to=view.period.end,
    )
    right = {
        (f"{row['metric_time']:%b %Y}", row["provider_name"]): [row["visits"], row["people"]]
        for row in source.reader.query(asked).iter_rows(named=True)
    }
    assert {(line[0], line[1]): line[2:] for line in lines[:-1]} == right
    total = source.reader.query(
        MetricQuery(metrics=["visits", "people"], date_from=view.period.start, date_to=view.period.end)
    )
    assert lines[-1] == ["All", "", total["visits"][0], total["people"][0]]
    assert built.make_file(source, view, "Ours", "pdf").content.startswith(b"%PDF")


def test_units_below_the_place_and_the_sheet_of_months_do_not_collide(place):  # noqa: F811
    source, view = _built(place.home, "admin@harbor", by=("service_unit_children",))
    lines = answer(source, view, definition_of(view)).lines
    assert {line.names[0] for line in lines} >= {"Harbor Health east", "Harbor Health west"}
    assert all(line.moves == {"place": line.keys[0]} for line in lines if line.keys[0] in source.places)
    source, view = _built(place.home, "admin@harbor", by=("month",))
    content = built.make_file(source, view, "", "xlsx").content
    assert {"By month", "Trend by month"} <= set(openpyxl.load_workbook(io.BytesIO(content)).sheetnames)


@pytest.mark.parametrize("user", ["admin@harbor", "east@harbor", "two@harbor", "doctor@harbor", "admin@mesa"])
@pytest.mark.parametrize("by", [("service_unit_children",), ("month", "service_unit_children"), ("service_unit",)])
def test_rows_by_unit_add_up_to_all(place, user, by):  # noqa: F811
    source, view = _built(place.home, user, by=by, metrics=("visits",))
    lines = answer(source, view, definition_of(view)).lines
    assert sum(line.values[0] for line in lines) == built.totals(source, view, definition_of(view))["visits"].value
    assert {line.keys[-1] for line in lines} <= set(source.places)


@pytest.mark.parametrize("breakdown", ["service_unit_children", "service_unit"])
def test_rows_of_a_unit_itself_are_not_taken_for_all_below_it(place, breakdown):  # noqa: F811
    source, view = _built(
        place.home, "admin@harbor", by=(breakdown,), filters={"service_unit": ("east",)}, metrics=("visits",)
    )
    lines = {line.keys[0]: line for line in answer(source, view, definition_of(view)).lines}
    east = lines["east"]
    assert (east.names, east.moves) == (("Harbor Health east, not further assigned",), None)
    assert lines["lab"].moves == {"place": "lab"}
    members = {member.id: member for member in breakdowns.by_dimension(source, view, ["visits"], "service_unit")}
    assert (members["east"].name, members["lab"].name) == (east.names[0], "Harbor Health lab")
    assert members["east"].now["visits"] == east.values[0]
    # A unit with nothing below it is all that it has.
    source, view = _built(place.home, "admin@harbor", by=(breakdown,), filters={"service_unit": ("lab",)})
    (lab,) = answer(source, view, definition_of(view)).lines
    assert (lab.names, lab.moves) == (("Harbor Health lab",), {"place": "lab"})


def test_a_chart_by_unit_draws_as_many_bars_as_it_says(page, markup_of, monkeypatch):
    monkeypatch.setattr("dashboards.blocks.MOST_BARS", 2)
    html = markup_of(page(PAGE, measures=["no_shows"], by=["service_unit_children"], shown="chart"))
    assert "No-shows by unit below the place" in html
    assert "The first 2 are drawn. The table and the files hold all 3." in html


def test_a_file_is_an_audit_row_and_a_refused_one_too(place):  # noqa: F811
    source, view = _built(place.home, "biller@harbor", by=("month",))
    with pytest.raises(ConfigurationError, match="the figure visits is not there for you"):
        built.make_file(source, view, "Ours", "xlsx")
    nurse = Principal(tenant_id="harbor", email="nurse@harbor", display_name="", role=Role.NURSE, unit_ids=("west",))
    outsider = Source(source.reader, nurse)
    with pytest.raises(AccessError, match="not available to you"):
        built.make_file(outsider, view, "Ours", "xlsx")
    source, view = _built(place.home, "east@harbor", by=("month",), filters={"service_unit": ("west",)})
    with pytest.raises(ConfigurationError, match="not among those you may see"):
        built.make_file(source, view, "Ours", "xlsx")
    source, view = _built(place.home, "admin@harbor", by=("month",))
    built.make_file(source, view, "Ours", make.FORMATS[0])
    with place.access._reading.connect() as connection:
        rows = connection.execute(AUDIT.select().where(AUDIT.c.action == "report")).mappings().all()
    assert [row["result"] for row in rows] == ["refused", "refused", "refused", "done"]
    assert json.loads(rows[-1]["detail"])["page"] == PAGE
