"""Dates far off: the row is kept, and a notice says how many there are and where the first is."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract, load_contracts
from foundation.config import Feed
from ingest.landing.contract_gate import cast_to_contract
from ingest.landing.plausible_dates import DATE, ORDER, implausible_dates

READ_AT = datetime(2026, 11, 29, 19, tzinfo=UTC)
FEED = Feed(tenant_id="t", name="f", kind="fhir", time_zone="America/New_York", as_of=date(2026, 6, 30))
JUDGED_ON = date(2026, 7, 1)  # in UTC the 30th of June of New York ends on the next day
RANGED = [
    (entity_contract.name, column.name)
    for entity_contract in load_contracts().values()
    for column in entity_contract.columns
    if column.plausible_from is not None
]


def rows(entity: str, column: str, *days: date | None) -> pl.DataFrame:
    """Rows with the contract's types, each with one day or time; the second half of them is of another unit."""
    texts = [None if day is None else day.isoformat() for day in days]
    if contract(entity).by_name[column].logical_type == "timestamp":
        texts = [None if text is None else f"{text}T12:00:00Z" for text in texts]
    positions = [f"unit {1 if number < (len(days) + 1) // 2 else 2}: row {number}" for number in range(len(days))]
    frame = pl.DataFrame({column: texts, "source_position": positions}, schema_overrides={column: pl.String})
    return cast_to_contract(contract(entity), frame)[0]


def test_a_mistyped_year_is_noticed_by_unit_with_its_first_position() -> None:
    frame = rows(
        "encounter", "started_at", date(2026, 6, 1), date(206, 6, 1), date(2062, 6, 1), date(1900, 1, 1), None, None
    )
    detail = "encounter.started_at is before 1971-01-01 or more than 366 days ahead, which is not likely; the rows landed as sent"
    assert implausible_dates(contract("encounter"), frame, FEED, READ_AT) == [
        {"unit_id": 1, "position": "row 1", "reason": DATE, "detail": detail, "records": 2},
        {"unit_id": 2, "position": "row 3", "reason": DATE, "detail": detail, "records": 1},
    ]


@settings(deadline=None, max_examples=80)
@given(named=st.sampled_from(RANGED), data=st.data())
def test_what_lies_outside_the_range_of_its_contract_is_noticed_and_nothing_else(
    named: tuple[str, str], data: st.DataObject
) -> None:
    entity, column = named
    rule = contract(entity).by_name[column]
    assert rule.plausible_from is not None
    assert rule.plausible_days_ahead is not None
    last = JUDGED_ON + timedelta(days=rule.plausible_days_ahead)
    days = data.draw(st.lists(st.none() | st.dates(date(2, 1, 1), date(9998, 12, 31)), max_size=6))
    days += data.draw(st.lists(st.sampled_from([rule.plausible_from, last]), max_size=2))
    outside = [day for day in days if day is not None and not rule.plausible_from <= day <= last]
    notices = implausible_dates(contract(entity), rows(entity, column, *days), FEED, READ_AT)
    assert sum(notice["records"] for notice in notices) == len(outside)


def test_a_booking_after_the_day_of_the_appointment_is_noticed() -> None:
    bookings = {
        "the day before": "2026-03-10T03:00:00Z",
        "later that day": "2026-03-11T02:00:00Z",  # at 22:00 in New York
        "the next day": "2026-03-11T05:00:00Z",
        "unknown": None,
    }
    frame = pl.DataFrame(
        {
            "appointment_id": list(bookings),
            "booked_at": list(bookings.values()),
            "scheduled_start_at": "2026-03-10T15:00:00Z",
            "source_position": [f"unit 1: row {number}" for number in range(len(bookings))],
        }
    )
    typed, _ = cast_to_contract(contract("appointment"), frame)
    (notice,) = implausible_dates(contract("appointment"), typed, FEED, READ_AT)
    assert (notice["reason"], notice["position"], notice["records"]) == (ORDER, "row 2", 1)


def test_every_day_that_daily_models_are_made_of_has_a_range() -> None:
    wanted = {
        ("appointment", "scheduled_start_at"),
        ("encounter", "started_at"),
        ("encounter", "ended_at"),
        ("bed_movement", "occurred_at"),
        ("slot", "start_at"),
        ("staff_shift", "ended_at"),
        ("charge", "service_date"),
    }
    assert wanted <= set(RANGED)
