"""Work RVUs, beds by hour, boarding, readmission, referrals, staffing, supplies and reminders on a group worked out by hand."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.marts.building import Compiled, Row, Rows, fill
from tests.marts.test_access_and_stays import Marts, appointment, encounter, movement, shift, slot

pytestmark = pytest.mark.slow

AS_OF = "2026-03-20"


def rate(code: str, modifier: str, value: str, year: int = 2026) -> Row:
    span = {"effective_from": f"{year}-01-01", "effective_to": f"{year}-12-31" if year < 2026 else None}
    return {"procedure_code": code, "modifier": modifier, "work_rvus": value, **span}


def charge(
    charge_id: str, code: str | None, modifiers: str | None = None, units: int | None = 1, **changes: Any
) -> Row:
    return {
        "charge_id": charge_id,
        "patient_id": "T1",
        "service_unit_id": "c1",
        "provider_id": "P1",
        "procedure_code": code,
        "modifiers": modifiers,
        "status": "posted",
        "units": units,
        "billed_amount": "10",
        "service_date": "2026-03-02",
        **changes,
    }


def stay(encounter_id: str, patient: str, start: str, end: str | None, disposition: str = "01") -> Row:
    changes = {"patient_id": patient, "service_unit_id": "w1", "discharge_disposition": disposition}
    return encounter(encounter_id, "IMP", f"{start} 15:00", f"{end} 15:00" if end else None, **changes)


def decision(encounter_id: str, at: str) -> Row:
    return {
        "encounter_event_id": f"{encounter_id}-decision",
        "encounter_id": encounter_id,
        "event_type": "decision_to_admit",
        "occurred_at": at,
    }


def referral(referral_id: str, status: str, ordered: str, **changes: Any) -> Row:
    named = {"referral_id": referral_id, "patient_id": "T1", "service_unit_id": "c1", "visit_type_id": "new"}
    return {**named, "status": status, "ordered_at": f"{ordered} 16:00", **changes}


def reminder(reminder_id: str, appointment_id: str, sent: str, outcome: str, channel: str = "text") -> Row:
    told = {"channel": channel, "outcome": outcome, "sent_at": sent}
    return {"reminder_id": reminder_id, "appointment_id": appointment_id, **told}


def usage(usage_id: str, quantity: int, cost: str | None, encounter_id: str | None = "visit") -> Row:
    used = {"quantity": quantity, "cost_amount": cost, "used_at": "2026-03-03 04:00"}
    return {
        "inventory_usage_id": usage_id,
        "service_unit_id": "c1",
        "encounter_id": encounter_id,
        "item_code": "S1",
        **used,
    }


def unit(unit_id: str, unit_type: str, beds: int | None = None) -> Row:
    parent = None if unit_type == "organization" else "org"
    named = {"service_unit_id": unit_id, "parent_service_unit_id": parent, "name": unit_id, "unit_type": unit_type}
    return {**named, "staffed_beds": beds}


# The zone is New York: UTC-5, from 8 March 2026 02:00 on UTC-4.
ROWS: Rows = {
    ("service_unit", "pm"): [
        unit("org", "organization"),
        unit("c1", "clinic"),
        unit("c2", "clinic"),
        unit("w1", "ward", 2),
    ],
    ("provider", "pm"): [{"provider_id": "P1", "display_name": "Dr A"}],
    ("visit_type", "pm"): [{"visit_type_id": "new", "name": "New", "is_new_patient": True, "is_procedure": False}],
    ("work_rvu_rate", "rvu"): [
        rate("Z1", "", "1.0", 2025),
        rate("Z1", "", "1.5"),
        rate("Z1", "26", "0.5"),
        rate("Z2", "", "2"),
        rate("Z3", "", "0"),
    ],
    ("charge", "pm"): [
        charge("plain", "Z1", units=2),
        charge("last year", "Z1", service_date="2025-12-31"),
        charge("before any table", "Z1", service_date="2024-12-31"),
        charge("both sides", "Z1", "50"),
        charge("own row", "Z1", "26:51"),
        charge("assistant of a further one", "Z2", "80:51"),
        charge("technical", "Z2", "TC"),
        charge("no separate share", "Z2", "22"),
        charge("no units", "Z2", units=None),
        charge("taken back", "Z1", units=2, billed_amount="-10", reversal_of_charge_id="plain"),
        charge("worth nothing", "Z3"),
        charge("not in the table", "Z9"),
        charge("void", "Z1", status="void"),
        charge("without a code", None),
    ],
    ("encounter", "pm"): [
        encounter("visit", "AMB", "2026-03-02 13:10", "2026-03-02 14:00", provider_id="P1"),
        encounter("before the shift", "AMB", "2026-03-02 12:50", "2026-03-02 14:00"),
        encounter("no shifts here", "AMB", "2026-03-02 15:00", "2026-03-02 15:30", service_unit_id="c2"),
        encounter("emergency", "EMER", "2026-03-03 10:00", "2026-03-03 19:00", service_unit_id="c2"),
        encounter("short emergency", "EMER", "2026-03-03 10:00", "2026-03-03 12:00", service_unit_id="c2"),
        encounter("decided too late", "EMER", "2026-03-03 10:00", "2026-03-03 12:00", service_unit_id="c2"),
        stay("first", "T1", "2026-01-05", "2026-01-10"),
        stay("on day 30", "T1", "2026-02-09", "2026-02-12"),
        stay("on day 31", "T1", "2026-03-15", None),
        stay("transferred", "T2", "2026-01-05", "2026-01-06", "02"),
        stay("after a transfer", "T2", "2026-01-06", "2026-01-06"),
        stay("merged", "T3", "2026-01-20", "2026-01-21"),
        stay("left lately", "T4", "2026-03-07", "2026-03-09"),
    ],
    ("patient_merge", "adt"): [
        {
            "patient_merge_id": "m",
            "merge_type": "merge",
            "from_patient_id": "T3",
            "to_patient_id": "T2",
            "merged_at": "2026-03-01 10:00",
        }
    ],
    ("bed_movement", "adt"): [
        movement(1, "on day 31", "admit", "w1", "2026-03-15 19:00"),
        movement(2, "left lately", "admit", "w1", "2026-03-07 15:00"),
    ],
    ("encounter_event", "pm"): [
        decision("on day 31", "2026-03-15 14:30"),
        decision("emergency", "2026-03-03 15:00"),
        decision("decided too late", "2026-03-03 13:00"),
    ],
    ("staff_shift", "pm"): [
        shift("morning", "2026-03-02"),
        {**shift("same morning", "2026-03-02"), "started_at": "2026-03-02 14:30"},
        {**shift("all day", "2026-03-03"), "ended_at": "2026-03-03 22:00"},
        {**shift("nurse", "2026-03-02", None), "ended_at": "2026-03-02 13:30"},
        {**shift("night", "2026-03-08"), "started_at": "2026-03-08 05:30", "ended_at": "2026-03-08 08:30"},
    ],
    ("inventory_usage", "pm"): [
        usage("used", 3, "30"),
        usage("returned", -1, "-10"),
        usage("of unknown cost", 5, None, None),
    ],
    ("appointment", "pm"): [
        appointment("kept", "completed", "2026-03-02 14:00", referral_id="kept", requested_date="2026-02-25"),
        appointment("missed", "no_show", "2026-03-03 15:00", requested_date="2026-03-03"),
        appointment("missed again", "no_show", "2026-03-04 15:00"),
        appointment("failed", "no_show", "2026-03-05 15:00"),
        appointment(
            "called off", "cancelled", "2026-03-05 16:00", referral_id="called off", cancel_initiator="patient"
        ),
        appointment("put off", "scheduled", "2026-03-30 15:00", requested_date="2026-03-24"),
        appointment("as wished", "scheduled", "2026-03-30 15:00", requested_date="2026-03-30"),
        appointment("waiting", "waitlisted", "2026-03-30 15:00", booked_at="2026-03-10 15:00"),
    ],
    ("reminder", "pm"): [
        reminder("r1", "kept", "2026-02-26 14:00", "confirmed"),
        reminder("r2", "kept", "2026-03-01 15:00", "delivered", "phone"),
        reminder("r3", "kept", "2026-03-02 15:00", "delivered", "email"),
        reminder("r4", "failed", "2026-03-04 15:00", "failed"),
        reminder("r5", "missed again", "2026-03-02 14:59", "unknown", "letter"),
    ],
    ("referral", "pm"): [
        referral("kept", "scheduled", "2026-02-10"),
        referral("called off", "ordered", "2026-02-10"),
        referral("old", "authorized", "2025-11-01", authorized_at="2025-11-03 16:00"),
        referral("old, and still good", "ordered", "2025-11-01", expires_at="2026-06-01 04:00"),
        referral("elsewhere", "out_of_network", "2025-11-01"),
        referral("reported", "reported", "2025-11-01"),
        referral("taken back", "cancelled", "2025-11-01"),
        referral("new", "ordered", "2026-03-15"),
    ],
    ("slot", "pm"): [
        *(slot(f"s{day}", "2026-03-06", "free", f"2026-03-{day:02d}") for day in (6, 7, 9)),
        slot("held", "2026-03-06", "held", "2026-03-06", 16),
        slot("booked", "2026-03-06", "booked", "2026-03-07", 16),
    ],
}
MARTS = (
    "fct_work_rvus",
    "fct_bed_hours",
    "fct_staffing_hours",
    "fct_supply_usage",
    "fct_referrals",
    "fct_third_next_available",
    "fct_slot_snapshots",
)


@pytest.fixture(scope="module")
def marts(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    file = project.warehouse(tmp_path_factory.mktemp("operations"))
    with duckdb.connect(str(file)) as connection:
        fill(connection, "tiny", ROWS, feeds=("pm", "adt", "rvu"), as_of=AS_OF)
        fill(connection, "without a table", {("charge", "pm"): [charge("plain", "Z1")]}, feeds=("pm",), as_of=AS_OF)
    project.build(file, *MARTS, "dim_providers", "dim_visit_types")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{file}' as warehouse (read_only)")
        yield Marts(connection, project.target)


def test_work_rvus_follow_the_table_of_the_day_and_the_modifiers(marts: Marts) -> None:
    found = marts.by_id("fct_work_rvus", "substring(charge_line_id, 8)", "work_rvus")
    assert found == {
        "plain": Decimal("3"),
        "last year": Decimal("1"),
        "before any table": None,
        "both sides": Decimal("2.25"),
        "own row": Decimal("0.25"),
        "assistant of a further one": Decimal("0.16"),
        "technical": 0,
        "no separate share": 2,
        "no units": 2,
        "taken back": -3,
        "worth nothing": 0,
        "not in the table": None,
    }
    assert marts.figure("work_rvus") == Decimal("7.66")
    # Both sides 1.5, the own row 0.5, the assistant and the technical part 2 each.
    assert marts.figure("work_rvus_unadjusted") == Decimal("11.00")
    assert marts.figure("work_rvu_coverage_rate") == pytest.approx(10 / 12)
    assert marts.figure("work_rvus_per_hour") == pytest.approx(7.66 / marts.figure("staffed_hours"))


def test_a_tenant_without_a_table_has_no_work_rvus_rather_than_none(marts: Marts) -> None:
    lines = "select distinct tenant_id from warehouse.{} order by 1"
    assert marts.rows(lines.format("intermediate.int_charge_lines")) == [("tiny",), ("without a table",)]
    assert marts.rows(lines.format("marts.fct_work_rvus")) == [("tiny",)]


def test_bed_hours_follow_the_local_clock_also_when_it_changes(marts: Marts) -> None:
    rows = marts.rows(
        "select hour_of_day, bed_census, occupied_bed_minutes from warehouse.marts.fct_bed_hours "
        "where cast(bed_date as varchar) = '2026-03-08' order by from_at"
    )
    assert [hour for hour, _, _ in rows] == [0, 1, *range(3, 24)]
    assert {(census, minutes) for _, census, minutes in rows} == {(1, 60)}
    came = marts.rows(
        "select hour_of_day, bed_census, occupied_bed_minutes from warehouse.marts.fct_bed_hours "
        "where cast(bed_date as varchar) = '2026-03-07' and occupied_bed_minutes > 0 order by from_at"
    )
    assert came[0] == (10, 1, 60)  # 15:00 UTC
    total = marts.rows("select sum(occupied_bed_minutes), sum(staffed_bed_minutes) from warehouse.marts.fct_bed_hours")
    days = marts.rows("select sum(bed_days) from warehouse.marts.fct_bed_days")
    assert float(total[0][0]) == pytest.approx(float(days[0][0]) * 1440)
    assert marts.figure("bed_occupancy_rate_hourly") == pytest.approx(float(total[0][0]) / float(total[0][1]))


def test_a_stay_counts_at_each_midnight_that_it_holds(marts: Marts) -> None:
    # 5, 3, 1, 1 and 2 nights, none of the stay within a day, and the open one from 15 to 20 March: 5 midnights.
    assert marts.figure("midnight_bed_census") == 5 + 3 + 1 + 0 + 1 + 2 + 5
    assert marts.figure("length_of_stay_days_midnights") == pytest.approx(12 / 6)
    assert marts.figure("length_of_stay_days_midnights_at_least_1") == pytest.approx(13 / 6)


def test_boarding_ends_with_the_move_to_a_bed_or_the_emergency_visit(marts: Marts) -> None:
    minutes = marts.by_id("fct_encounters", "encounter_id", "boarding_minutes")
    assert minutes["on day 31"] == 270  # to the movement, not to the start of the stay
    assert minutes["emergency"] == 240
    assert minutes["decided too late"] is None
    assert marts.figure("admit_decisions") == 3
    assert marts.figure("boarding_minutes") == 255
    assert marts.figure("boarded_over_240_rate") == 1 / 2
    assert marts.figure("boarding_completeness_rate") == pytest.approx(2 / 3)
    assert marts.figure("emergency_minutes") == 120
    assert marts.figure("emergency_over_480_rate") == pytest.approx(1 / 3)


def test_readmission_is_within_thirty_days_of_the_same_person_and_unadjusted(marts: Marts) -> None:
    days = marts.by_id("fct_encounters", "encounter_id", "days_to_readmission")
    assert days["first"] == 30
    assert days["on day 30"] is None  # the next stay began on day 31
    assert days["after a transfer"] == 14  # the merge made them one person
    index = marts.by_id("fct_encounters", "encounter_id", "is_readmission_index")
    assert {name for name, is_index in index.items() if is_index} == {
        "first",
        "on day 30",
        "after a transfer",
        "merged",
    }
    assert marts.figure("readmission_30d_rate") == 2 / 4


def test_sessions_are_half_days_and_overlapping_shifts_are_one(marts: Marts) -> None:
    sessions = marts.by_id("fct_staff_sessions", "staff_shift_id", "half_day_sessions")
    assert sessions == {"morning": 1, "same morning": 0, "all day": 2, "nurse": 0, "night": 1}
    assert marts.figure("provider_days") == 3


def test_staffed_hours_are_cut_at_the_local_hours(marts: Marts) -> None:
    rows = marts.rows(
        "select hour_of_day, provider_minutes, other_staff_minutes, visits, covered_visits "
        "from warehouse.marts.fct_staffing_hours where service_unit_id = 'c1' "
        "and cast(staffing_date as varchar) = '2026-03-02' order by hour_of_day"
    )
    assert [
        (hour, float(minutes), float(other), visits, covered) for hour, minutes, other, visits, covered in rows
    ] == [
        (7, 0, 0, 1, 0),
        (8, 60, 30, 1, 1),
        (9, 90, 0, 0, 0),
        (10, 120, 0, 0, 0),
        (11, 120, 0, 0, 0),
    ]
    night = marts.rows(
        "select hour_of_day, provider_minutes from warehouse.marts.fct_staffing_hours "
        "where cast(staffing_date as varchar) = '2026-03-08' order by hour_of_day"
    )
    assert [(hour, float(minutes)) for hour, minutes in night] == [(0, 30), (1, 60), (3, 60), (4, 30)]
    assert marts.figure("provider_hours_by_hour") == marts.figure("staffed_hours")
    # The emergency visits and one other were in a clinic that keeps no shifts.
    assert marts.figure("staffing_coverage_rate") == 1 / 2


def test_supplies_net_returns_and_leave_unknown_costs_out(marts: Marts) -> None:
    assert marts.figure("supply_quantity") == 7
    assert marts.figure("supply_cost_amount") == 20
    assert marts.figure("supply_cost_known_rate") == pytest.approx(2 / 3)
    assert marts.figure("encounters_with_supplies") == 1
    providers = marts.by_id("fct_supply_usage", "inventory_usage_id", "provider_id")
    assert providers["used"] == "P1"
    assert providers["of unknown cost"] == "unknown"
    assert marts.rows("select distinct cast(used_date as varchar) from warehouse.marts.fct_supply_usage") == [
        ("2026-03-02",)
    ]


def test_a_referral_goes_as_far_as_its_appointments_and_its_state_say(marts: Marts) -> None:
    stages = marts.by_id("fct_referrals", "referral_id", "furthest_stage")
    assert stages == {
        "kept": "4 attended",
        "called off": "3 scheduled",
        "old": "2 authorized",
        "old, and still good": "1 ordered",
        "elsewhere": "1 ordered",
        "reported": "5 reported",
        "taken back": "1 ordered",
        "new": "1 ordered",
    }
    outcomes = marts.by_id("fct_referrals", "referral_id", "outcome")
    assert outcomes["old"] == "expired"
    open_ones = {name for name, outcome in outcomes.items() if outcome == "open"}
    assert open_ones == {"called off", "old, and still good", "new"}
    assert marts.by_id("fct_referrals", "referral_id", "referral_to_visit_days")["kept"] == 20


def test_unknown_outcomes_of_referrals_are_not_leaked(marts: Marts) -> None:
    assert marts.figure("referral_leakage_rate") == pytest.approx(1 / 3)
    assert marts.figure("referral_leakage_rate_with_uncompleted") == pytest.approx(3 / 5)
    assert marts.figure("referral_outcome_known_rate") == pytest.approx(3 / 5)
    assert marts.figure("referral_completion_rate") == 2 / 8
    assert marts.figure("referral_completion_rate_of_closed") == 2 / 5


def test_a_reminder_counts_where_it_went_out_before_the_start(marts: Marts) -> None:
    rows = marts.rows(
        "select appointment_id, is_reminded, reminder_channel, reminder_notice_band, is_confirmed "
        "from warehouse.marts.fct_appointments where is_expected order by appointment_id"
    )
    assert rows == [
        ("failed", False, "none", "none", False),
        ("kept", True, "phone", "0 within 24 hours", True),
        ("missed", False, "none", "none", False),
        ("missed again", True, "letter", "1 to 3 days", False),
    ]
    assert marts.figure("no_show_rate_reminded") == 1 / 2
    assert marts.figure("no_show_rate_not_reminded") == 1
    assert marts.figure("reminder_no_show_ratio") == 1 / 2


def test_earlier_no_shows_are_those_before_the_appointment(marts: Marts) -> None:
    bands = marts.by_id("fct_appointments", "appointment_id", "prior_no_show_band")
    assert (bands["kept"], bands["missed"], bands["missed again"], bands["failed"]) == (
        "0 none",
        "0 none",
        "1",
        "2 and more",
    )


def test_lead_times_waits_and_backlog_by_the_day_asked_for(marts: Marts) -> None:
    assert marts.figure("lead_time_days_from_requested") == pytest.approx((5 + 0 + 6 + 0) / 4)
    assert marts.figure("backlog_appointments") == 2
    assert marts.figure("backlog_deferred_appointments") == 1
    assert marts.figure("waitlisted_appointments") == 1
    assert marts.figure("waitlist_days") == 10


def test_third_next_available_in_calendar_days_business_days_and_with_held_slots(marts: Marts) -> None:
    assert marts.figure("third_next_available_days") == 3  # Friday to Monday
    assert marts.figure("third_next_available_days_business") == 1
    assert marts.figure("third_next_available_days_with_held") == 1


def test_fill_curves_show_each_look(marts: Marts) -> None:
    assert marts.figure("fill_curve_rate") == 1 / 4
    rows = marts.rows("select days_ahead, booked_slots, free_slots from warehouse.marts.fct_slot_snapshots order by 1")
    assert rows == [(0, 0, 1), (1, 1, 1), (3, 0, 1)]
