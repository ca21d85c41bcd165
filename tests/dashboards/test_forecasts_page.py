"""The page of forecasts: what is expected, why some units have none, and the record."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from dashboards import charts, pages, theme
from dashboards.pages.forecasts import page as forecasts
from dashboards.pages.forecasts import words
from serving.forecasts.measures import MEASURES, Measure
from serving.forecasts.record import Record, Scored
from serving.people.forecast_log import Forecast, Issue, Point
from tests.dashboards.fake_visits import AS_OF

MEASURE = Measure(metric="encounters", grain="week", periods=2, groups=((0, 2),), entities=(), is_count=True)
MONDAY = AS_OF + timedelta(days=7 - AS_OF.weekday())
ISSUE = Issue(
    version="v1",
    data_as_of=AS_OF,
    model="model/1",
    made_by="admin@harbor",
    made_at=datetime(2026, 11, 16, 3, tzinfo=UTC),
    issue_id="0a1b",
)


def point(value: int, first_day: date = MONDAY, width: int = 9) -> Point:
    return Point(
        first_day=first_day,
        value=Decimal(value) + Decimal("0.4"),
        low=Decimal(value - width),
        high=Decimal(value + width),
        obvious=Decimal(value + 2),
    )


def forecast(unit: str = "", reason: str = "") -> Forecast:
    return Forecast(
        metric="encounters",
        grain="week",
        service_unit_id=unit,
        definition="d",
        is_shown=not reason,
        reason=reason,
        origins=51,
        outcomes=585,
        held=Decimal("0.912"),
        scaled_error=Decimal("0.72"),
        obvious_scaled_error=Decimal("0.80"),
        points=() if reason else (point(120), point(130, MONDAY + timedelta(days=7))),
    )


@pytest.fixture
def shown(reader, monkeypatch):
    monkeypatch.setattr(pages, "METRICS", ("encounters",))
    monkeypatch.setattr(forecasts, "MEASURES", (MEASURE,))
    monkeypatch.setitem(words.TITLES, MEASURE.key, ("Visits a week", "visits"))
    reader.forecasts.may_see = True
    reader.forecasts.issue = ISSUE
    reader.forecasts.kept = (forecast(), forecast("behavioral"), forecast("surgery", "too little history: 9 weeks"))
    return reader


def test_who_has_no_forecasts_has_no_page(page, markup_of, reader):
    labels = [element.proto.label for element in page("").main if element.type == "page_link"]
    assert "Forecasts" not in labels
    assert "Forecasts is not available" in markup_of(page("forecasts"))


def test_before_the_first_forecasts_the_page_says_how_they_are_made(page, markup_of, shown):
    shown.forecasts.issue = None
    html = markup_of(page("forecasts"))
    assert "No forecasts were made for Harbor Health yet" in html
    assert "clinicmart forecasts make" in html


def test_the_heading_says_what_is_expected_and_the_table_why_some_have_none(page, markup_of, shown):
    html = markup_of(page("forecasts"))
    assert f"About 120 visits expected in the week of {MONDAY.day} {MONDAY:%b %Y}, 111 to 129" in html
    assert "251" in html
    assert "1 of 2 have a forecast" in html
    assert "Too little history: 9 weeks." in html
    assert "91.2\u00a0%" in html
    assert "10\u00a0%" in html
    assert "No forecast has an outcome yet" in html
    # Counts are whole in tables.
    assert "120.4" not in html
    assert "model model/1" in html


def test_a_unit_without_a_forecast_says_why(page, markup_of, shown):
    html = markup_of(page("forecasts", place="surgery"))
    assert "No forecast of visits a week for Specialty &amp; Surgery" in html
    assert "No forecast is shown" in html
    assert "Too little history: 9 weeks." in html


def test_forecasts_from_older_data_say_so(page, markup_of, shown):
    shown.forecasts.issue = replace(ISSUE, data_as_of=AS_OF - timedelta(days=9))
    assert "9 days before the last data: make forecasts again" in markup_of(page("forecasts"))


def test_the_record_shows_the_last_forecast_before_each_outcome(page, markup_of, shown):
    before = MONDAY - timedelta(days=14)
    of_week = {"metric": "encounters", "grain": "week", "service_unit_id": "", "outcome": Decimal(100)}
    early, late = (
        replace(ISSUE, issue_id=name, data_as_of=before - timedelta(days=age)) for name, age in (("e", 8), ("l", 1))
    )
    shown.forecasts.outcomes = (
        Scored(issue=early, point=point(60, before), **of_week),
        Scored(issue=late, point=point(104, before), **of_week),
        Scored(issue=late, point=point(5, before), **of_week | {"service_unit_id": "behavioral"}),
    )
    html = markup_of(page("forecasts"))
    assert "1 of 2 outcomes in the band" in html
    table = html.split("Earlier forecasts and what came</caption>")[1].split("</table>")[0]
    assert table.count("<tr>") == 2
    assert "104" in table
    assert "yes" in table
    assert "The tile counts all 2 forecasts" in html


def test_every_measure_has_words():
    assert {measure.key for measure in MEASURES} <= set(words.TITLES)
    assert words.on_record(None, "count")[0] == "\u2013"
    record = Record(
        metric="m", grain="day", issues=1, outcomes=4, inside=3, error=Decimal(12), obvious_error=Decimal(10)
    )
    assert words.on_record(record, "count") == (
        "75\u00a0%",
        "3 of 4 outcomes in the band; mean error 12, 20\u00a0% larger than the obvious forecast's",
    )


def test_the_band_begins_where_the_line_ends():
    days = [MONDAY + timedelta(days=7 * place) for place in range(4)]
    band = charts.Expected(Decimal(12), Decimal(8), Decimal(17))
    option = charts.forecast_band(
        theme.LIGHT, days, [10, 11, None, None], [None, None, band, band], name="Came", unit="count"
    )
    by_name = {series["name"]: series["data"] for series in option["series"]}
    assert by_name["low"] == [None, 11.0, 8.0, 8.0]
    assert by_name["band"] == [None, 0.0, 9.0, 9.0]
    assert by_name["Forecast"] == [None, 11.0, 12.0, 12.0]
    assert by_name["Came"] == [10.0, 11.0, None, None]
    assert by_name["periods"][2][2].splitlines()[1:] == ["Forecast: 12", "90 % band: 8 to 17"]
