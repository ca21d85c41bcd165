"""One patient, one visit, through to the marts: three feeds report the same visits under their own identifiers."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.marts.building import Compiled, Row, Rows, fill

pytestmark = pytest.mark.slow

AS_OF = "2026-03-20"
FEEDS = ("pm", "ehr", "adt")
FACTS = ("fct_encounters", "fct_appointments", "fct_bed_days", "fct_charge_lines", "fct_claims", "fct_payments")


def encounter(encounter_id: str, patient_id: str, start: str, end: str | None, **changes: Any) -> Row:
    return {
        "encounter_id": encounter_id,
        "patient_id": patient_id,
        "service_unit_id": "c1",
        "encounter_class": "AMB",
        "status": "finished" if end else "in_progress",
        "started_at": start,
        "ended_at": end,
        **changes,
    }


def merge(number: int, kind: str, ended: str, kept: str, at: str) -> Row:
    return {
        "patient_merge_id": f"m{number}",
        "from_patient_id": ended,
        "to_patient_id": kept,
        "merge_type": kind,
        "merged_at": at,
    }


def movement(number: int, encounter_id: str, kind: str, ward: str, at: str) -> Row:
    return {
        "bed_movement_id": f"b{number}",
        "encounter_id": encounter_id,
        "patient_id": "M1",
        "movement_type": kind,
        "service_unit_id": ward,
        "occurred_at": at,
    }


def event(encounter_id: str, kind: str, at: str) -> Row:
    return {
        "encounter_event_id": f"{encounter_id}-{kind}",
        "encounter_id": encounter_id,
        "event_type": kind,
        "occurred_at": at,
    }


ROWS: Rows = {
    ("service_unit", "pm"): [
        {"service_unit_id": "org", "name": "Group", "unit_type": "organization"},
        {"service_unit_id": "c1", "parent_service_unit_id": "org", "name": "Clinic", "unit_type": "clinic"},
        {"service_unit_id": "w1", "parent_service_unit_id": "org", "name": "Ward", "unit_type": "ward"},
    ],
    # M2 was merged into M1, which stands; M4 into M3, which was taken back; u and v are the EHR's names of M1 and M3.
    ("patient", "pm"): [
        {"patient_id": "M1", "birth_year": 1980, "sex": None},
        {"patient_id": "M2", "birth_year": 1908, "sex": "male"},
        {"patient_id": "M3", "birth_year": 1990, "sex": "female"},
        {"patient_id": "M4", "birth_year": 1991, "sex": "female"},
    ],
    ("patient", "ehr"): [
        {"patient_id": "u", "birth_year": 1981, "sex": "female", "zip3": "100"},
        {"patient_id": "v", "birth_year": 1990, "sex": "unknown"},
    ],
    ("patient_merge", "ehr"): [
        merge(1, "alias", "u", "M1", "1900-01-01"),
        merge(2, "alias", "v", "M3", "1900-01-01"),
    ],
    ("patient_merge", "adt"): [
        merge(3, "merge", "M2", "M1", "2026-03-10"),
        merge(4, "merge", "M4", "M3", "2026-03-10"),
        merge(5, "unmerge", "M4", "M3", "2026-03-12"),
    ],
    ("appointment", "pm"): [
        {
            "appointment_id": "A1",
            "patient_id": "M1",
            "service_unit_id": "c1",
            "encounter_id": "V1",
            "status": "completed",
            "scheduled_start_at": "2026-03-02 14:00",
        },
        {
            "appointment_id": "A2",
            "patient_id": "M4",
            "service_unit_id": "c1",
            "status": "no_show",
            "scheduled_start_at": "2026-03-03 14:00",
        },
    ],
    ("encounter", "pm"): [
        encounter("V1", "M1", "2026-03-02 14:00", "2026-03-02 14:40", appointment_id="A1", provider_id="P1"),
        encounter("V2", "M2", "2026-03-04 14:00", None),
        encounter("S1", "M1", "2026-03-05 15:00", None, service_unit_id="w1", encounter_class="IMP"),
        encounter("V4", "M4", "2026-03-06 14:00", "2026-03-06 14:40"),
    ],
    ("encounter", "ehr"): [
        encounter("e1", "u", "2026-03-02 14:05", "2026-03-02 14:40", appointment_id="A1", visit_type_id="new"),
        encounter("e2", "u", "2026-03-04 14:10", "2026-03-04 15:00", service_unit_id="org", encounter_class="VR"),
        # Of the one that M4 was not merged into after all: another person's visit on the same day.
        encounter("e4", "v", "2026-03-06 14:00", "2026-03-06 14:40"),
    ],
    ("encounter", "adt"): [
        encounter(
            "a1",
            "M2",
            "2026-03-05 15:10",
            "2026-03-09 12:00",
            service_unit_id="w1",
            encounter_class="ACUTE",
            admission_source="7",
            discharge_disposition="01",
        ),
    ],
    ("bed_movement", "adt"): [
        movement(1, "a1", "admit", "w1", "2026-03-05 15:10"),
        movement(2, "a1", "discharge", "w1", "2026-03-09 12:00"),
    ],
    ("encounter_event", "pm"): [event("V1", "check_in", "2026-03-02 13:50")],
    ("encounter_event", "ehr"): [
        event("e1", "check_in", "2026-03-02 14:05"),
        event("e1", "check_out", "2026-03-02 14:45"),
    ],
    ("charge", "pm"): [
        {
            "charge_id": "C1",
            "encounter_id": "V1",
            "claim_id": "K1",
            "patient_id": "M1",
            "status": "posted",
            "units": 1,
            "billed_amount": 100,
            "service_date": "2026-03-02",
        }
    ],
    ("charge", "ehr"): [
        {
            "charge_id": "C1",
            "encounter_id": "e1",
            "patient_id": "u",
            "status": "posted",
            "units": 1,
            "billed_amount": 110,
            "service_date": "2026-03-02",
        },
        {
            "charge_id": "C2",
            "encounter_id": "e2",
            "patient_id": "u",
            "status": "posted",
            "units": 1,
            "billed_amount": 40,
            "service_date": "2026-03-04",
        },
    ],
    ("claim", "ehr"): [
        {
            "claim_submission_id": "K2-1",
            "claim_id": "K2",
            "encounter_id": "e2",
            "patient_id": "M2",
            "billed_amount": 50,
            "service_from_date": "2026-03-04",
        }
    ],
    ("claim_line", "ehr"): [
        {
            "claim_submission_id": "K2-1",
            "line_number": 1,
            "claim_id": "K2",
            "encounter_id": "e2",
            "billed_amount": 50,
            "service_date": "2026-03-04",
        }
    ],
    ("patient_payment", "pm"): [
        {
            "patient_payment_id": "Y1",
            "patient_id": "M2",
            "charge_id": "C1",
            "payment_amount": 30,
            "paid_date": "2026-03-02",
        },
        {
            "patient_payment_id": "Y2",
            "patient_id": "M2",
            "encounter_id": "e2",
            "payment_amount": 5,
            "paid_date": "2026-03-04",
        },
    ],
}


class Marts:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def by(self, key: str, column: str, table: str) -> dict[str, Any]:
        return dict(self.rows(f"select {key}, {column} from warehouse.marts.{table}"))


@pytest.fixture(scope="module")
def marts(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    file = project.warehouse(tmp_path_factory.mktemp("visits"))
    with duckdb.connect(str(file)) as connection:
        fill(connection, "tiny", ROWS, feeds=FEEDS, as_of=AS_OF)
    project.build(file, *FACTS, "dim_patients", "source_conflict", "encounter_match")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{file}' as warehouse (read_only)")
        yield Marts(connection)


def test_a_visit_of_several_feeds_is_one_encounter_with_the_records_identifier(marts: Marts) -> None:
    found = marts.by("encounter_id", "feeds", "fct_encounters")
    assert found == {"V1": 2, "V2": 2, "S1": 2, "V4": 1, "e4": 1}
    crosswalk = marts.rows(
        "select encounter_id, current_encounter_id, match_rule from warehouse.intermediate.int_encounter_crosswalk"
    )
    assert sorted(crosswalk) == [("a1", "S1", "time"), ("e1", "V1", "appointment"), ("e2", "V2", "time")]
    counted = marts.rows("select match_rule, outcome, encounters from warehouse.health.encounter_match order by 1")
    assert counted == [("appointment", "matched", 2), ("time", "matched", 4)]


def test_everything_that_names_a_visit_or_a_patient_names_the_one_that_stands(marts: Marts) -> None:
    # The claim of visit V2 bills what its charge bills; the payment that names the visit alone has a line beside them.
    lines = marts.rows("select charge_id, encounter_id, patient_id from warehouse.marts.fct_charge_lines order by all")
    assert lines == [("C1", "V1", "M1"), ("C2", "V2", "M1"), (None, "V2", "M1")]
    assert marts.by("claim_id", "encounter_id || patient_id", "fct_claims")["K2"] == "V2M1"
    assert marts.by("appointment_id", "patient_id", "fct_appointments") == {"A1": "M1", "A2": "M4"}
    assert set(marts.rows("select encounter_id, patient_id from warehouse.marts.fct_bed_days")) == {("S1", "M1")}
    assert set(marts.rows("select payment_id, patient_id from warehouse.marts.fct_payments")) == {
        ("payment/Y1", "M1"),
        ("payment/Y2", "M1"),
    }


def test_an_unmerge_parts_the_facts_again(marts: Marts) -> None:
    found = marts.by("encounter_id", "patient_id", "fct_encounters")
    assert (found["V4"], found["e4"]) == ("M4", "M3")
    assert set(marts.by("patient_id", "birth_year", "dim_patients")) == {"M1", "M3", "M4"}


def test_the_record_wins_field_by_field_and_others_fill_what_it_leaves_empty(marts: Marts) -> None:
    times = marts.by("encounter_id", "cast(started_at as varchar)", "fct_encounters")
    assert times["V1"] == "2026-03-02 14:00:00"
    types = marts.by("encounter_id", "visit_type_id || '/' || provider_id", "fct_encounters")
    assert types["V1"] == "new/P1"
    assert marts.by("encounter_id", "admission_source", "fct_encounters")["S1"] == "7"
    checks = marts.rows(
        "select cast(checked_in_at as varchar), cast(checked_out_at as varchar) from warehouse.marts.fct_encounters "
        "where encounter_id = 'V1'"
    )
    assert checks == [("2026-03-02 13:50:00", "2026-03-02 14:45:00")]


def test_while_the_record_says_that_a_visit_goes_on_no_other_feed_ends_it(marts: Marts) -> None:
    found = marts.rows(
        "select encounter_id, status, ended_at, discharge_disposition from warehouse.intermediate.int_encounters "
        "where encounter_id in ('V2', 'S1') order by 1"
    )
    assert found == [("S1", "in_progress", None, None), ("V2", "in_progress", None, None)]


def test_the_survivors_own_record_wins_over_the_one_that_was_merged_into_it(marts: Marts) -> None:
    people = marts.rows("select birth_year, sex, zip3 from warehouse.marts.dim_patients where patient_id = 'M1'")
    assert people == [(1980, "female", "100")]


def test_contradictions_are_kept_with_their_feeds_and_number(marts: Marts) -> None:
    found = marts.rows(
        "select entity, column_name, record_feed, other_feed, keys_in_conflict, example_key "
        "from warehouse.health.source_conflict order by all"
    )
    assert found == [
        ("charge", "billed_amount", "pm", "ehr", 1, "C1"),
        ("encounter", "encounter_class", "pm", "adt", 1, "S1"),
        ("encounter", "encounter_class", "pm", "ehr", 1, "V2"),
        ("encounter", "service_unit_id", "pm", "ehr", 1, "V2"),
        ("encounter", "started_at", "pm", "adt", 1, "S1"),
        ("encounter", "started_at", "pm", "ehr", 2, "V1"),
        ("encounter", "status", "pm", "adt", 1, "S1"),
        ("encounter", "status", "pm", "ehr", 1, "V2"),
        ("patient", "birth_year", "pm", "ehr", 1, "M1"),
    ]
