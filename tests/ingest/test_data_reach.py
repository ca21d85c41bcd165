"""The last day of a tenant's data, for any combination of feeds."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import Config, Tenant
from ingest.load.data_reach import HAPPENED_AT, HAPPENED_ON, PLANNED_AT, PLANNED_ON, write_tenants
from tests.marts.building import create_raw

ZONE = "America/New_York"
NIGHT = datetime(2026, 3, 11, 2)  # 22:00 on the 10th in New York
Rows = list[tuple[str, Mapping[str, Any]]]


def reach(rows: Rows, as_of: date | None = None) -> date | None:
    """What `write_tenants` says of a tenant with these rows of (entity, columns)."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; attach ':memory:' as warehouse; use warehouse")
        create_raw(connection)
        for entity, values in rows:
            whole = {"tenant_id": "t", **values}
            marks = ", ".join("?" for _ in whole)
            connection.execute(f"insert into raw.{entity} ({', '.join(whole)}) values ({marks})", list(whole.values()))
        tenant = Tenant(tenant_id="t", name="T", time_zone=ZONE, feeds=(), system_of_record={}, as_of=as_of)
        write_tenants(connection, Config(file=Path("clinicmart.yaml"), tenants=(tenant,)))
        result = connection.execute("select data_as_of_date from raw.tenant where tenant_id = 't'").fetchall()
    assert len(result) == 1
    return result[0][0]


def appointment(status: str, **moments: datetime) -> tuple[str, Mapping[str, Any]]:
    return "appointment", {"status": status, **moments}


MOMENTS = sorted({(entity, sql) for entity, sql in (*HAPPENED_AT, *PLANNED_AT) if sql.isidentifier()})
DAYS = sorted({*HAPPENED_ON, *PLANNED_ON})


@pytest.mark.parametrize(("entity", "column"), MOMENTS)
def test_any_one_feed_says_how_far_the_data_reach_by_the_local_day(entity: str, column: str) -> None:
    assert reach([(entity, {column: NIGHT})]) == date(2026, 3, 10)


@pytest.mark.parametrize(("entity", "column"), DAYS)
def test_a_day_is_the_day_it_says(entity: str, column: str) -> None:
    assert reach([(entity, {column: date(2026, 3, 10)})]) == date(2026, 3, 10)


def test_appointments_alone_reach_to_the_last_that_was_booked_cancelled_kept_or_missed() -> None:
    kept = appointment("completed", scheduled_start_at=NIGHT)
    planned = appointment("scheduled", scheduled_start_at=datetime(2026, 5, 1, 15))
    assert reach([kept, planned]) == date(2026, 3, 10)
    assert reach([kept, planned, appointment("no_show", scheduled_start_at=datetime(2026, 3, 12, 15))]) == date(
        2026, 3, 12
    )
    assert reach([kept, planned, appointment("scheduled", booked_at=datetime(2026, 4, 1, 15))]) == date(2026, 4, 1)
    assert reach([kept, planned, appointment("cancelled", cancelled_at=datetime(2026, 4, 2, 15))]) == date(2026, 4, 2)
    assert reach([planned]) is None


def test_what_is_planned_says_nothing_while_something_happened() -> None:
    shift = ("staff_shift", {"ended_at": datetime(2026, 6, 30, 20)})
    assert reach([shift]) == date(2026, 6, 30)
    assert reach([shift, ("encounter", {"status": "finished", "started_at": NIGHT})]) == date(2026, 3, 10)
    assert reach([("encounter", {"status": "planned", "started_at": NIGHT})]) is None


def test_nothing_in_the_future_counts() -> None:
    ahead = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=40)
    rows: Rows = [("encounter", {"status": "finished", "started_at": NIGHT, "ended_at": ahead})]
    rows += [("patient_payment", {"paid_date": ahead.date()}), appointment("completed", scheduled_start_at=ahead)]
    assert reach(rows) == date(2026, 3, 10)


@settings(deadline=None, max_examples=20)
@given(
    named=st.lists(st.sampled_from(MOMENTS), max_size=3),
    as_of=st.dates(date(2020, 1, 1), date(2026, 6, 30)),
)
def test_the_configured_day_is_today_whatever_the_feeds_bring(named: list[tuple[str, str]], as_of: date) -> None:
    assert reach([(entity, {column: NIGHT}) for entity, column in named], as_of) == as_of


def test_a_configured_day_in_the_future_is_today() -> None:
    assert reach([], date(2999, 1, 1)) == datetime.now(ZoneInfo(ZONE)).date()
