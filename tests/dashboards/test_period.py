"""Periods, their names and comparisons."""

from datetime import date

import pytest

from dashboards import period as periods
from dashboards.period import Period

AS_OF = date(2026, 11, 14)


@pytest.mark.parametrize(
    ("key", "start", "end", "name"),
    [
        ("last_month", date(2026, 10, 1), date(2026, 10, 31), "October 2026"),
        ("last_quarter", date(2026, 7, 1), date(2026, 9, 30), "Q3 2026"),
        ("last_3_months", date(2026, 8, 1), date(2026, 10, 31), "Aug to Oct 2026"),
        ("last_12_months", date(2025, 11, 1), date(2026, 10, 31), "Nov 2025 to Oct 2026"),
        ("year_to_date", date(2026, 1, 1), AS_OF, "1 Jan 2026 to 14 Nov 2026"),
    ],
)
def test_presets_count_back_from_the_day_the_data_reach(key, start, end, name):
    found = periods.preset(key, AS_OF)
    assert (found.start, found.end, found.name) == (start, end, name)


def test_a_month_that_the_data_cover_whole_is_full():
    assert periods.preset("last_month", date(2026, 9, 30)).name == "September 2026"
    assert periods.preset("last_quarter", date(2026, 9, 30)).name == "Q3 2026"
    assert periods.preset("last_quarter", date(2026, 9, 29)).name == "Q2 2026"
    assert periods.preset("last_quarter", date(2027, 1, 5)).name == "Q4 2026"


def test_every_day_of_four_years_has_a_last_quarter_that_is_over():
    for number in range(date(2024, 1, 1).toordinal(), date(2028, 1, 1).toordinal()):
        as_of = date.fromordinal(number)
        found = periods.preset("last_quarter", as_of)
        assert found.end <= as_of
        assert found.name.startswith("Q")
        assert (as_of - found.end).days <= 92


def test_the_period_before_has_the_same_length():
    assert periods.preset("last_quarter", AS_OF).before().name == "Q2 2026"
    custom = Period(date(2026, 3, 3), date(2026, 3, 12), "x").before()
    assert (custom.start, custom.end) == (date(2026, 2, 21), date(2026, 3, 2))


def test_the_same_period_last_year_keeps_whole_months_whole():
    february = Period(date(2025, 2, 1), date(2025, 2, 28), "x")
    assert february.year_earlier().end == date(2024, 2, 29)
    leap = Period(date(2024, 2, 10), date(2024, 2, 29), "x").year_earlier()
    assert leap.end == date(2023, 2, 28)


@pytest.mark.parametrize(
    "key", [None, "", "no_such", "2026-13-01_2026-12-01", "2026-05-01_2026-04-01", "1000-01-01_2026-01-01", "'; drop"]
)
def test_what_cannot_be_read_is_the_default(key):
    assert periods.parse(key, AS_OF).key == periods.DEFAULT


def test_a_range_in_the_url_comes_back_as_it_was():
    found = periods.parse("2026-01-15_2026-03-12", AS_OF)
    assert (found.start, found.end, found.key) == (date(2026, 1, 15), date(2026, 3, 12), "2026-01-15_2026-03-12")


def test_a_trend_shows_thirteen_months_up_to_the_periods_end():
    quarter = periods.preset("last_quarter", AS_OF)
    first, last = periods.trend_window(quarter, quarter.before())
    assert len(periods.months_of(first, last)) == 13
    assert last == date(2026, 9, 30)
