"""A day in a model is a day of the local calendar: no model takes the UTC date of a moment."""

import re
from pathlib import Path

import pytest

DBT = Path(__file__).parents[2] / "dbt"
# A column of UTC moments ends in _at; `local_..._at` is the wall clock of the unit already.
_MOMENT = r"(?:\w+\.)?(?!local_)[a-z]\w*_at\b"
# Casts to a date, and the macros that take a date and cast what they are given.
_CASTS = (
    rf"cast\(\s*{_MOMENT}\s+as\s+date\s*\)",
    rf"{_MOMENT}\s*::\s*date\b",
    rf"\bdate\(\s*{_MOMENT}\s*\)",
    rf"date_trunc\(\s*'(?:day|week|month|quarter|year)'\s*,\s*{_MOMENT}",
    rf"(?:add_days|date_diff_days|weekdays_between|month_start|month_end|weekday|hour_of_day)\([^()]*['\"\s,(]{_MOMENT}",
)


def utc_dates(sql: str) -> list[str]:
    """The places in a model's text where a moment in UTC becomes a date without the zone macro."""
    return [found.group(0) for pattern in _CASTS for found in re.finditer(pattern, sql, re.IGNORECASE)]


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(encounters.started_at as date) as day",
        "min(cast( source_updated_at as date))",
        "started_at::date",
        "date(started_at)",
        "date_trunc('month', paid_at)",
        "{{ add_days('collapsed.ordered_at', 30) }}",
        "{{ date_diff_days('encounter_date', 'signed_at') }}",
        "{{ weekday('encounter.started_at') }}",
    ],
)
def test_the_utc_date_of_a_moment_is_found(sql: str) -> None:
    assert utc_dates(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "cast(encounter.local_discharged_at as date)",
        "{{ local_date('encounters.started_at', 'units.time_zone') }}",
        "{{ add_days(local_date('collapsed.ordered_at', 'unit.time_zone'), 30) }}",
        "{{ weekday('encounter.local_started_at') }}",
        "date_trunc('minute', entity.started_at)",
    ],
)
def test_a_local_day_is_not(sql: str) -> None:
    assert not utc_dates(sql)


def test_no_model_takes_the_utc_date_of_a_moment() -> None:
    files = [path for path in DBT.rglob("*.sql") if "target" not in path.parts]
    assert len(files) > 100
    found = {str(path.relative_to(DBT)): places for path in files if (places := utc_dates(path.read_text("utf-8")))}
    assert not found, f"use local_date(moment, time_zone): {found}"
