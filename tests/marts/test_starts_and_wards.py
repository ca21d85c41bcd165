"""Appointments that have no start or were booked afterwards, and wards that stand empty: every row counts once, on one day, and the
daily models grow with what is in them, not with the years between."""

from collections.abc import Iterator
from itertools import product

import duckdb
import pytest

from data_contracts import contract
from tests.marts.building import Compiled, Row, Rows, fill
from tests.marts.test_access_and_stays import Marts, appointment, encounter, shift

pytestmark = pytest.mark.slow

AS_OF = "2026-06-30"
START = "2026-03-10 15:00"
MAY_LACK_A_START = contract("appointment").required_unless[0].unless_values
STATUSES = contract("appointment").by_name["status"].valid_values


def without(appointment_id: str, status: str, **changes: str | None) -> Row:
    """An appointment without a start, booked and cancelled at no known time."""
    nothing = {"scheduled_start_at": None, "booked_at": None, "source_updated_at": "2026-05-03 02:00"}
    return appointment(appointment_id, status, START) | nothing | changes


def ward(unit_id: str, beds: int) -> Row:
    return {"service_unit_id": unit_id, "name": unit_id, "unit_type": "ward", "staffed_beds": beds}


def stay(encounter_id: str, unit_id: str, start: str, end: str | None) -> Row:
    return encounter(encounter_id, "IMP", start, end, service_unit_id=unit_id)


# One of each: status, start or none, and the moments that may stand in for it.
EVERY_KIND = [
    appointment(f"{status}/{start}/{ended}/{requested}/{booked}", status, START)
    | {"scheduled_start_at": start, "cancelled_at": ended, "requested_date": requested, "booked_at": booked}
    for status, start, ended, requested, booked in product(
        STATUSES,
        (START, None),
        ("2026-02-03 15:00", None),
        ("2026-02-05", None),
        ("2026-02-06 15:00", None),
    )
    if start or status in MAY_LACK_A_START
]

TENANTS: dict[str, Rows] = {
    "starts": {
        ("appointment", "ehr"): [
            appointment("kept", "completed", START),
            without("cancelled", "cancelled", cancelled_at="2026-04-02 02:00", requested_date="2026-04-20"),
            without("cancelled, day unknown", "cancelled", requested_date="2026-04-20"),
            without("proposed", "proposed", booked_at="2026-04-05 02:00"),
            without("waitlisted", "waitlisted"),
            without("mistake", "entered_in_error"),
            without("changed after the data end", "cancelled", source_updated_at="2026-11-01 00:00"),
            # Not cancelled any longer: an ending of the past says nothing of the request.
            without("asked again", "proposed", cancelled_at="2026-04-02 02:00", requested_date="2026-04-20"),
        ]
    },
    "booking": {
        ("appointment", "ehr"): [
            appointment("a day after", "completed", START, booked_at="2026-03-11 15:00"),
            appointment("later that day", "completed", START, booked_at="2026-03-10 22:00"),
            appointment("the day before", "no_show", START, booked_at="2026-03-10 03:00"),
        ]
    },
    "every kind": {("appointment", "ehr"): EVERY_KIND},
    # Three short stays in twenty years, a ward where nobody ever lay, a year mistyped, and a shift that ends in another year.
    "wards": {
        ("service_unit", "ehr"): [ward("w1", 2), ward("w2", 1), ward("w3", 5)],
        ("encounter", "ehr"): [
            stay("long ago", "w1", "2006-03-01 12:00", "2006-03-03 12:00"),
            stay("lately", "w1", "2026-06-01 12:00", "2026-06-02 12:00"),
            stay("a month later", "w1", "2026-06-29 12:00", None),
            stay("in the other ward", "w2", "2026-06-15 12:00", "2026-06-16 12:00"),
            stay("1926 for 2026", "w2", "1926-06-15 12:00", "2026-06-16 12:00"),
        ],
        ("staff_shift", "ehr"): [
            shift("plain", "2026-06-01") | {"service_unit_id": "w1"},
            shift("2036 for 2026", "2026-06-02") | {"service_unit_id": "w1", "ended_at": "2036-06-02 17:00"},
        ],
    },
}


@pytest.fixture(scope="module")
def marts(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    file = project.warehouse(tmp_path_factory.mktemp("starts"))
    with duckdb.connect(str(file)) as connection:
        for tenant, rows in TENANTS.items():
            fill(connection, tenant, rows, feeds=("ehr",), as_of=AS_OF)
    names = (
        "plausibility_row",
        "fct_appointments",
        "fct_bed_hours",
        "fct_staffing_hours",
        "dim_providers",
        "dim_visit_types",
        "fct_referrals",
    )
    project.build(file, *names)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{file}' as warehouse (read_only)")
        yield Marts(connection, project.target)


def of(marts: Marts, tenant: str, columns: str) -> dict[str, tuple[object, ...]]:
    """Columns of a tenant's appointments by appointment."""
    rows = marts.rows(
        f"select appointment_id, {columns} from warehouse.marts.fct_appointments where tenant_id = '{tenant}'"
    )
    return {str(row[0]): row[1:] for row in rows}


def test_an_appointment_without_a_start_counts_by_the_day_that_is_known(marts: Marts) -> None:
    assert of(marts, "starts", "cast(appointment_date as varchar), outcome, is_appointment") == {
        "kept": ("2026-03-10", "completed", True),
        "cancelled": ("2026-04-01", "cancelled", True),  # at 22:00 in New York
        "cancelled, day unknown": ("2026-04-20", "cancelled", True),
        "proposed": ("2026-04-04", "requested", False),
        "waitlisted": ("2026-05-02", "requested", False),
        "mistake": ("2026-05-02", "entered_in_error", False),
        "changed after the data end": (AS_OF, "cancelled", True),
        "asked again": ("2026-04-20", "requested", False),
    }


def test_an_appointment_without_a_start_was_for_no_day_and_is_in_no_rate_of_days_that_came(marts: Marts) -> None:
    columns = "is_scheduled, is_expected, weekday, hour_of_day, lead_time_band"
    for name, values in of(marts, "starts", columns).items():
        assert values == (
            (True, True, 2, 11, "15 to 30") if name == "kept" else (False, False, None, None, "unknown")
        ), name


def test_a_booking_after_the_day_of_the_visit_has_a_band(marts: Marts) -> None:
    assert of(marts, "booking", "lead_time_days, lead_time_band") == {
        "a day after": (-1, "booked afterwards"),
        "later that day": (0, "0 same day"),
        "the day before": (1, "1 to 7"),
    }


def test_requests_are_never_expected_and_every_row_has_a_day(marts: Marts) -> None:
    rows = of(marts, "every kind", "status, is_appointment, is_expected, is_scheduled, appointment_date")
    assert set(rows) == {row["appointment_id"] for row in EVERY_KIND}
    for name, (status, is_appointment, is_expected, is_scheduled, day) in rows.items():
        assert day is not None, name
        if status in ("proposed", "waitlisted"):
            assert (is_appointment, is_expected, is_scheduled) == (False, False, False), name
    assert sum(1 for values in rows.values() if values[0] == "proposed") == 16


def test_a_ward_is_open_around_its_stays_only(marts: Marts) -> None:
    days = marts.rows(
        "select service_unit_id, year(bed_date), cast(min(bed_date) as varchar), cast(max(bed_date) as varchar), count(*) "
        "from warehouse.marts.fct_bed_capacity where tenant_id = 'wards' group by 1, 2 order by 1, 2"
    )
    # The tenant's first bed day is in 2006, and its data reach to 30 June 2026.
    assert days == [
        ("w1", 2006, "2006-03-01", "2006-04-03", 34),
        ("w1", 2026, "2026-05-01", "2026-06-30", 61),
        ("w2", 2026, "2026-05-15", "2026-06-30", 47),
    ]


def test_beds_by_the_hour_grow_with_stays_not_with_years(marts: Marts) -> None:
    hours = marts.rows("select count(*), sum(occupied_bed_minutes) / 60 from warehouse.marts.fct_bed_hours")
    # Each stay takes its hours: 48, 24, 24 and from 08:00 on 29 June to midnight after the 30th, 40.
    assert hours == [((34 + 61 + 47) * 24 - 1, 48 + 24 + 24 + 40)]


def test_a_stay_of_a_hundred_years_keeps_its_row_and_takes_no_bed(marts: Marts) -> None:
    assert marts.rows("select count(*) from warehouse.marts.fct_bed_days where encounter_id = '1926 for 2026'") == [
        (0,)
    ]
    stays = marts.rows("select is_discharge from warehouse.marts.fct_encounters where encounter_id = '1926 for 2026'")
    assert stays == [(True,)]


def test_a_shift_of_ten_years_fills_no_hours(marts: Marts) -> None:
    minutes = marts.rows(
        "select sum(provider_minutes) from warehouse.marts.fct_staffing_hours where tenant_id = 'wards'"
    )
    assert minutes == [(240,)]


def found(marts: Marts, code: str) -> list[tuple[object, ...]]:
    """Tenant, entity, position, rows and day of the rows behind a finding."""
    return marts.rows(
        "select tenant_id, entity, source_position, found_rows, cast(found_day as varchar) "
        f"from warehouse.health.plausibility_row where code = '{code}' order by all"
    )


def test_bookings_after_the_day_are_a_finding(marts: Marts) -> None:
    (one, *others) = [row for row in found(marts, "CM-PLAUS-011") if row[0] == "booking"]
    assert one == ("booking", "appointment", "row 0", 1, "2026-03-10")
    assert others == []
