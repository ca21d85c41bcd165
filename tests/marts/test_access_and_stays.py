"""The throughput and no-show marts on a small group whose every figure can be worked out by hand.

Raw tables are made from the contracts and filled with the rows below, dbt builds and tests the marts on them, and the
questions go to the marts themselves or through the metrics.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from serving.metrics.compiler import Compiler, Shape
from tests.marts.building import Compiled, Row, Rows, fill

pytestmark = pytest.mark.slow

TENANT = "tiny"
# Ratios: numerator and denominator have separate rows.
WITHOUT_ROWS = {
    "authorization_units_used_rate",
    "bed_occupancy_rate",
    "bed_occupancy_rate_hourly",
    "bed_occupancy_rate_midnight",
    "copay_collection_rate",
    "encounters_per_session",
    "evaluation_level_mean",
    "fill_curve_rate",
    "fill_rate_hours",
    "high_level_evaluation_rate",
    "length_of_stay_days_census",
    "no_show_rate_of_slots",
    "provider_utilization_rate",
    "reminder_no_show_ratio",
    "schedule_utilization_rate",
    "staffing_coverage_rate",
    "supply_cost_per_encounter",
    "supply_quantity_per_encounter",
    "visits_per_day",
    "visits_per_hour",
    "visits_per_hour_by_hour",
    "work_rvus_per_clinical_fte",
    "work_rvus_per_hour",
}
AS_OF = "2026-03-20"
FOLDERS = ("core", "throughput", "no_show")


def authorization(authorization_id: str, status: str, **changes: Any) -> Row:
    """An authorisation that was asked for on 1 March, local time."""
    asked = {"patient_id": "T1", "service_unit_id": "c1", "requested_at": "2026-03-01 15:00"}
    return {"authorization_id": authorization_id, **asked, "status": status, **changes}


def appointment(appointment_id: str, status: str, start: str, **changes: Any) -> Row:
    """An appointment of patient T1 with provider P1 in clinic c1 for a new patient, booked on 19 February, local time."""
    return {
        "appointment_id": appointment_id,
        "patient_id": "T1",
        "service_unit_id": "c1",
        "provider_id": "P1",
        "visit_type_id": "new",
        "status": status,
        "booked_at": "2026-02-20 03:00",
        "scheduled_start_at": start,
        "is_walk_in": False,
        **changes,
    }


def encounter(encounter_id: str, encounter_class: str, start: str, end: str | None, **changes: Any) -> Row:
    return {
        "encounter_id": encounter_id,
        "patient_id": "T1",
        "service_unit_id": "c1",
        "provider_id": "P1",
        "encounter_class": encounter_class,
        "status": "finished" if end else "in_progress",
        "started_at": start,
        "ended_at": end,
        **changes,
    }


def movement(number: int, encounter_id: str, movement_type: str, ward: str | None, at: str) -> Row:
    return {
        "bed_movement_id": f"m{number}",
        "encounter_id": encounter_id,
        "movement_type": movement_type,
        "service_unit_id": ward,
        "occurred_at": at,
    }


def times(encounter_id: str, **events: str) -> list[Row]:
    return [
        {
            "encounter_event_id": f"{encounter_id}-{event_type}",
            "encounter_id": encounter_id,
            "event_type": event_type,
            "occurred_at": f"2026-03-02 {at}",
        }
        for event_type, at in events.items()
    ]


def slot(slot_id: str, snapshot: str, status: str, day: str, hour: int = 15) -> Row:
    return {
        "slot_id": slot_id,
        "snapshot_date": snapshot,
        "service_unit_id": "c1",
        "provider_id": "P1",
        "visit_type_id": "new",
        "status": status,
        "start_at": f"{day} {hour}:00",
        "end_at": f"{day} {hour}:30",
    }


def shift(staff_shift_id: str, day: str, provider_id: str | None = "P1", *, is_clinical: bool = True) -> Row:
    return {
        "staff_shift_id": staff_shift_id,
        "service_unit_id": "c1",
        "provider_id": provider_id,
        "staff_role": "physician",
        "is_clinical": is_clinical,
        "started_at": f"{day} 13:00",
        "ended_at": f"{day} 17:00",
    }


DAY_BEFORE = {"cancelled_at": "2026-03-02 20:00"}  # 19 hours of notice for the appointments of 3 March
TWO_DAYS_BEFORE = {"cancelled_at": "2026-03-01 20:00"}  # 43 hours
BY_PATIENT, BY_CLINIC = {"cancel_initiator": "patient"}, {"cancel_initiator": "clinic"}

# (entity, feed) -> rows. The zone is New York: clocks go forward on 8 March 2026 at 02:00.
ROWS: Rows = {
    ("service_unit", "pm"): [
        {"service_unit_id": "org", "name": "Tiny", "unit_type": "organization"},
        {"service_unit_id": "c1", "parent_service_unit_id": "org", "name": "Clinic", "unit_type": "clinic"},
        {
            "service_unit_id": "w1",
            "parent_service_unit_id": "org",
            "name": "W1",
            "unit_type": "ward",
            "staffed_beds": 2,
        },
        {
            "service_unit_id": "w2",
            "parent_service_unit_id": "org",
            "name": "W2",
            "unit_type": "ward",
            "staffed_beds": 1,
        },
    ],
    ("provider", "pm"): [{"provider_id": "P1", "npi": "1234567893", "display_name": "Dr A"}],
    ("visit_type", "pm"): [
        {"visit_type_id": "new", "name": "New", "is_new_patient": True, "is_procedure": False},
        {"visit_type_id": "procedure", "name": "Procedure", "is_new_patient": False, "is_procedure": True},
    ],
    ("appointment", "pm"): [
        appointment("done", "completed", "2026-03-02 14:00", encounter_id="early"),
        appointment("missed", "no_show", "2026-03-02 15:00"),
        appointment("late", "cancelled", "2026-03-03 15:00", **BY_PATIENT, **DAY_BEFORE),
        appointment(
            "procedure", "cancelled", "2026-03-03 15:00", visit_type_id="procedure", **BY_PATIENT, **TWO_DAYS_BEFORE
        ),
        appointment("bumped", "cancelled", "2026-03-03 16:00", **BY_CLINIC, **DAY_BEFORE),
        appointment("moved", "rescheduled", "2026-03-03 17:00", **BY_PATIENT),
        appointment("new day", "scheduled", "2026-03-25 17:00", rescheduled_from_appointment_id="moved"),
        appointment("called off ahead", "cancelled", "2026-03-26 17:00", **BY_PATIENT, **DAY_BEFORE),
        appointment("mistake", "entered_in_error", "2026-03-03 17:00"),
        appointment("forgotten", "scheduled", "2026-03-19 17:00", provider_id="nobody", service_unit_id="ghost"),
        appointment("later today", "scheduled", f"{AS_OF} 20:00"),
        appointment("walk-in", "completed", "2026-03-02 16:00", is_walk_in=True, booked_at="2026-03-02 16:00"),
        appointment("kept back", "scheduled", "2026-03-04 16:00", patient_id=None),
    ],
    ("appointment", "siu"): [
        appointment("missed", "scheduled", "2026-03-02 15:00"),
        appointment("other feed", "no_show", "2026-03-05 15:00", provider_id="1234567893"),
    ],
    ("appointment_event", "siu"): [
        {
            "appointment_event_id": "x",
            "appointment_id": "moved",
            "status": "rescheduled",
            "occurred_at": "2026-03-01 10:00",
        }
    ],
    ("encounter", "pm"): [
        encounter("early", "AMB", "2026-03-02 13:50", "2026-03-02 14:40"),
        encounter("late", "AMB", "2026-03-02 15:00", "2026-03-02 15:40"),
        encounter("stay", "IMP", "2026-03-05 15:00", "2026-03-09 12:00", service_unit_id="w1"),
        encounter("open", "IMP", "2026-03-18 15:00", None, service_unit_id="w2"),
        encounter("called off", "AMB", "2026-03-05 15:00", None, status="cancelled"),
    ],
    ("encounter", "adt"): [
        encounter("stay", "IMP", "2026-03-05 15:10", "2026-03-09 12:00", service_unit_id="w1"),
        encounter("ended by movement", "IMP", "2026-03-06 15:00", None, service_unit_id=None),
    ],
    ("bed_movement", "adt"): [
        movement(1, "stay", "admit", "w1", "2026-03-05 15:10"),
        movement(2, "stay", "transfer", "w2", "2026-03-07 15:00"),
        movement(3, "stay", "transfer", "w1", "2026-03-08 15:00"),
        movement(4, "stay", "cancel_transfer", None, "2026-03-08 16:00"),
        movement(5, "stay", "discharge", None, "2026-03-09 12:00"),
        movement(6, "ended by movement", "discharge", None, "2026-03-06 21:00"),
    ],
    ("encounter_event", "pm"): [
        *times("early", check_in="13:50", roomed="14:10", provider_in="14:15", provider_out="14:30", check_out="14:40"),
        *times("late", check_in="15:05", roomed="15:00", provider_in="15:10", check_out="15:35"),
    ],
    ("slot", "pm"): [
        slot("s1", "2026-03-01", "booked", "2026-03-02"),
        slot("s2", "2026-03-01", "free", "2026-03-02", 16),
        slot("s3", "2026-03-01", "held", "2026-03-02", 17),
        slot("s4", "2026-03-01", "free", "2026-03-04"),
        slot("s5", "2026-03-01", "free", "2026-03-05"),
        slot("s4", "2026-03-03", "booked", "2026-03-04"),
        slot("s4", "2026-03-04", "free", "2026-03-04"),
        slot("s6", "2026-03-03", "free", "2026-03-30"),
    ],
    ("slot", "ehr"): [slot("s1", "2026-03-01", "free", "2026-03-02")],
    ("staff_shift", "pm"): [
        shift("worked", "2026-03-02"),
        shift("nurse", "2026-03-02", None),
        shift("office", "2026-03-02", is_clinical=False),
        shift("planned", "2026-03-30"),
    ],
    ("reminder", "pm"): [
        {
            "reminder_id": "r",
            "appointment_id": "done",
            "channel": "text",
            "outcome": "confirmed",
            "sent_at": "2026-03-01",
        }
    ],
    ("authorization", "pm"): [
        authorization("in two days", "approved", decided_at="2026-03-03 15:00"),
        authorization("in nine days", "denied", decided_at="2026-03-10 15:00"),
        authorization("on a day that nobody says", "approved"),
        authorization("not yet", "pended"),
    ],
}


class Marts:
    """The built marts, and the metrics on them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, target: Path) -> None:
        self.connection = connection
        manifest = json.loads((target / "manifest.json").read_text())
        self.metrics = {
            node["name"]: node["config"]["meta"]
            for node in manifest["metrics"].values()
            if node["config"]["meta"].get("module") in {"throughput", "no_show"}
        }
        self._compiler = Compiler((target / "semantic_manifest.json").read_bytes(), frozenset())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def by_id(self, table: str, key: str, column: str) -> dict[str, Any]:
        return dict(self.rows(f"select {key}, {column} from warehouse.marts.{table}"))

    def figure(self, metric: str, *where: str) -> Any:
        rows = self.rows(self._compiler.sql(Shape(metrics=(metric,), group_by=(), where=where)))
        return rows[0][0]


@pytest.fixture(scope="module")
def marts(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    file = project.warehouse(tmp_path_factory.mktemp("marts"))
    with duckdb.connect(str(file)) as connection:
        fill(connection, TENANT, ROWS, feeds=("pm", "adt", "siu", "ehr"), as_of=AS_OF)
    project.build(file, *(f"marts.{name}" for name in FOLDERS))
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{file}' as warehouse (read_only)")
        yield Marts(connection, project.target)


def test_an_appointment_of_two_feeds_is_one_and_the_record_wins(marts: Marts) -> None:
    outcomes = marts.by_id("fct_appointments", "appointment_id", "outcome")
    assert outcomes["missed"] == "no_show"
    assert len(outcomes) == len(marts.rows("from warehouse.marts.fct_appointments")) == 14


def test_a_provider_named_by_npi_is_the_one_of_the_record(marts: Marts) -> None:
    providers = marts.by_id("fct_appointments", "appointment_id", "provider_id")
    assert providers["other feed"] == "P1"
    assert providers["forgotten"] == "nobody"


def test_what_came_of_an_appointment(marts: Marts) -> None:
    outcomes = marts.by_id("fct_appointments", "appointment_id", "outcome")
    assert outcomes["forgotten"] == "no_outcome"
    assert outcomes["later today"] == "upcoming"
    assert outcomes["kept back"] == "held"
    assert marts.figure("appointments") == 12
    assert marts.figure("unresolved_appointments") == 1


def test_no_show_rates_differ_by_their_denominator(marts: Marts) -> None:
    # Missed: "missed", "other feed". Expected besides: "done", "forgotten". Late by the patient: "late".
    assert marts.figure("no_shows") == 2
    assert marts.figure("no_show_rate") == 2 / 4
    assert marts.figure("no_show_rate_with_late_cancels") == 2 / 5
    assert marts.figure("missed_rate_with_late_cancels") == 3 / 5
    assert marts.figure("no_show_rate_of_all") == 2 / 12
    assert marts.figure("no_show_rate_of_slots") == 2 / 4  # the fifth slot lies ahead


def test_cancellations_by_whom_and_at_what_notice(marts: Marts) -> None:
    # Scheduled: the four expected, "late", "procedure" and "bumped"; what is called off for a day to come waits.
    assert marts.figure("scheduled_appointments") == 7
    assert marts.figure("late_cancel_rate") == pytest.approx(1 / 7)
    assert marts.figure("late_cancel_rate_procedures_72h") == pytest.approx(2 / 7)
    assert marts.figure("cancel_rate") == pytest.approx(2 / 7)
    assert marts.figure("bump_rate") == pytest.approx(1 / 7)
    assert marts.figure("any_cancel_rate") == pytest.approx(3 / 7)


def test_lead_time_counts_local_days_and_no_walk_ins(marts: Marts) -> None:
    days = marts.by_id("fct_appointments", "appointment_id", "lead_time_days")
    assert days["done"] == 11  # booked at 22:00 on 19 February in New York
    assert days["walk-in"] is None
    assert marts.by_id("fct_appointments", "appointment_id", "lead_time_band")["done"] == "8 to 14"


def test_what_the_record_leaves_open_comes_from_the_history(marts: Marts) -> None:
    ended = marts.by_id("fct_appointments", "appointment_id", "cast(ended_at as varchar)")
    assert ended["moved"] == "2026-03-01 10:00:00"


def test_bed_days_follow_transfers_and_void_cancelled_ones(marts: Marts) -> None:
    rows = marts.rows(
        "select service_unit_id, cast(bed_date as varchar), bed_days * 24 from warehouse.marts.fct_bed_days "
        "where encounter_id = 'stay' order by from_at"
    )
    hours = [(ward, day, round(float(value), 4)) for ward, day, value in rows]
    assert hours == [
        ("w1", "2026-03-05", 14),
        ("w1", "2026-03-06", 24),
        ("w1", "2026-03-07", 10),
        ("w2", "2026-03-07", 14),
        ("w2", "2026-03-08", 23),  # the day on which the clocks go forward
        ("w2", "2026-03-09", 8),
    ]


def test_bed_days_of_discharges_and_length_of_stay(marts: Marts) -> None:
    # 93 hours, and 6 of the stay that only a movement ends; the open stay counts in neither.
    assert marts.figure("bed_days") == Decimal("4.125")
    assert marts.figure("discharges") == 2
    assert marts.figure("length_of_stay_days") == pytest.approx(4.125 / 2)
    assert marts.figure("open_stays") == 1


def test_an_open_stay_occupies_its_bed_to_the_end_of_the_data(marts: Marts) -> None:
    rows = marts.rows("select sum(bed_days) * 24 from warehouse.marts.fct_bed_days where encounter_id = 'open'")
    assert round(rows[0][0], 4) == 61  # from 18 March, 11:00, to midnight after 20 March
    # 16 days from the first bed day on, three beds; the stay in no ward does not count.
    assert marts.figure("staffed_bed_days") == 48
    assert marts.figure("bed_occupancy_rate") == pytest.approx((93 + 61) / 24 / 48)


def test_an_early_patient_waits_from_the_scheduled_time_on(marts: Marts) -> None:
    waits = marts.by_id("fct_encounters", "encounter_id", "wait_time_minutes")
    assert waits["early"] == 10
    assert marts.by_id("fct_encounters", "encounter_id", "cycle_time_minutes")["early"] == 40
    assert marts.figure("on_time_start_rate") == 1


def test_times_out_of_order_are_counted_and_not_used(marts: Marts) -> None:
    assert marts.by_id("fct_encounters", "encounter_id", "wait_time_minutes")["late"] is None
    assert marts.by_id("fct_encounters", "encounter_id", "cycle_time_minutes")["late"] == 30
    assert marts.figure("timestamp_order_violations") == 1
    assert marts.figure("timestamp_completeness_rate") == 9 / 10


def test_visits_per_hour_of_providers_on_duty(marts: Marts) -> None:
    assert marts.figure("staffed_hours") == 4
    assert marts.figure("visits_per_hour") == 2 / 4
    assert marts.figure("encounters") == 5
    assert marts.figure("patients") == 1


def test_slots_count_as_the_day_before_showed_them(marts: Marts) -> None:
    statuses = marts.by_id("fct_slots", "slot_id", "status")
    assert statuses == {"s1": "booked", "s2": "free", "s3": "held", "s4": "booked", "s5": "free", "s6": "free"}
    assert marts.figure("template_slots") == 5
    assert marts.figure("fill_rate") == 2 / 5


def test_third_next_available_leaves_out_held_slots(marts: Marts) -> None:
    days = dict(
        marts.rows(
            "select cast(snapshot_date as varchar), third_next_available_days "
            "from warehouse.marts.fct_third_next_available"
        )
    )
    assert days == {"2026-03-01": 4, "2026-03-03": None, "2026-03-04": None}
    assert marts.figure("third_next_available_days") == 4
    assert marts.figure("full_schedule_rate") == pytest.approx(2 / 3)


def test_the_rows_behind_every_metric_give_its_figure(marts: Marts) -> None:
    figures = {"sum": "sum({0})", "average": "avg({0})", "median": "median({0})"}
    figures["percentile_90"] = "quantile_cont({0}, 0.9)"
    without = set()
    for name, meta in marts.metrics.items():
        rule = meta.get("drill")
        if rule is None:
            without.add(name)
            continue
        value = figures[rule.get("aggregate", "sum")].format(rule.get("value", "1"))
        if "distinct" in rule:
            value = f"count(distinct {rule['distinct']})"
        rows = marts.rows(f"select {value} from warehouse.marts.{rule['model']} where {rule['row_filter']}")
        assert float(rows[0][0] or 0) == pytest.approx(float(marts.figure(name) or 0)), name
    assert without == WITHOUT_ROWS


def test_a_decision_without_a_day_counts_at_every_age_of_the_period(marts: Marts) -> None:
    whole = {"authorizations_approved": 2, "authorizations_denied": 1, "authorizations_decided": 3}
    by_5_march = {"authorizations_approved": 2, "authorizations_denied": 0, "authorizations_decided": 2}
    for name, count in whole.items():
        known_on = f"{{{{ TimeDimension('authorization__{marts.metrics[name]['known_on']}', 'day') }}}}"
        assert marts.figure(name) == count
        assert marts.figure(name, f"{known_on} <= date '2026-03-20'") == count
        assert marts.figure(name, f"{known_on} <= date '2026-03-05'") == by_5_march[name]


def test_the_turnaround_is_counted_from_decisions_with_both_days(marts: Marts) -> None:
    assert marts.figure("turnaround_timed_authorizations") == 2
    assert marts.figure("authorization_turnaround_days") == pytest.approx((2 + 9) / 2)
    assert marts.figure("authorization_within_7_days_rate") == pytest.approx(1 / 2)
    assert marts.figure("authorization_approval_rate") == pytest.approx(2 / 3)


def test_every_metric_says_what_it_is(marts: Marts) -> None:
    for name, meta in marts.metrics.items():
        for key in ("unit", "direction", "numerator", "exclusions", "grain", "date_basis", "null_rule", "version"):
            assert meta.get(key), f"{name}: {key}"
        assert meta["variant_of"] is None or meta["variant_of"] in marts.metrics, name
