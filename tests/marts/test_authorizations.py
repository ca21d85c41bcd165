"""Authorisations: what payers granted, how long they took, units left and what expires: the compiled model on hard and on random rows."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models, Row

pytestmark = pytest.mark.slow

AS_OF = date(2026, 10, 31)
NAME = "fct_authorizations"
TABLES = {
    "staging.stg_authorizations": (
        "tenant_id varchar, source_system varchar, authorization_id varchar, patient_id varchar, payer_id varchar, "
        "service_unit_id varchar, procedure_code varchar, status varchar, units_approved decimal(18,4), units_used decimal(18,4), "
        "requested_at timestamp, decided_at timestamp, valid_from date, valid_to date, source_record_id varchar, "
        "source_updated_at timestamp, source_position varchar"
    ),
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "staging.stg_tenants": "tenant_id varchar, data_as_of_date date",
    "intermediate.int_patient_crosswalk": "tenant_id varchar, patient_id varchar, current_patient_id varchar",
    "intermediate.int_payer_crosswalk": "tenant_id varchar, payer_id varchar, current_payer_id varchar",
    "intermediate.int_service_units": "tenant_id varchar, service_unit_id varchar, time_zone varchar",
    "intermediate.int_service_unit_versions": (
        "tenant_id varchar, service_unit_id varchar, service_unit_key varchar, is_current boolean, valid_from date, valid_to date"
    ),
    "intermediate.int_patients": (
        "tenant_id varchar, patient_id varchar, birth_year integer, sex varchar, language varchar, zip3 varchar"
    ),
    "intermediate.int_payer_classes": "tenant_id varchar, payer_id varchar, payer_class varchar, valid_from date, valid_to date",
}
NEW_YORK = "America/New_York"


def authorization(name: str, status: str, *, tenant: str = "t", feed: str = "pm", **fields: object) -> Row:
    row = {"tenant_id": tenant, "source_system": feed, "authorization_id": name, "patient_id": "p1", "payer_id": "y1"}
    row |= {
        "service_unit_id": "east",
        "procedure_code": "Z1",
        "status": status,
        "requested_at": datetime(2026, 10, 1, 15),
    }
    return row | {"source_updated_at": datetime(2026, 10, 1, 15)} | fields


def built(models: Models, rows: list[Row], precedence: list[Row] = ()) -> None:  # type: ignore[assignment]
    tenants = ("t", "u")
    models.build(
        {
            "staging.stg_authorizations": rows,
            "staging.stg_system_of_record": list(precedence),
            "staging.stg_tenants": [{"tenant_id": tenant, "data_as_of_date": AS_OF} for tenant in tenants],
            "intermediate.int_patient_crosswalk": [
                {"tenant_id": "t", "patient_id": "old", "current_patient_id": "p1"},
            ],
            "intermediate.int_payer_crosswalk": [{"tenant_id": "t", "payer_id": "60054", "current_payer_id": "y1"}],
            "intermediate.int_service_units": [
                {"tenant_id": tenant, "service_unit_id": unit, "time_zone": NEW_YORK}
                for tenant in tenants
                for unit in ("east", "unknown")
            ],
            "intermediate.int_payer_classes": [
                {
                    "tenant_id": "t",
                    "payer_id": "y1",
                    "payer_class": name,
                    "valid_from": first,
                    "valid_to": last,
                }
                for name, first, last in (
                    ("commercial", date(1900, 1, 1), date(2026, 9, 30)),
                    ("medicare", date(2026, 10, 1), date(9999, 12, 31)),
                )
            ],
        }
    )


def by_id(models: Models, column: str) -> dict[str, object]:
    return dict(models.rows(NAME, "authorization_id", column))


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(NAME), TABLES)


def test_what_was_granted_stays_approved_after_its_end(models: Models) -> None:
    built(
        models,
        [
            authorization("a", "approved"),
            authorization("b", "denied"),
            authorization("c", "pended"),
            authorization("d", "requested"),
            authorization("ran out", "expired", valid_from=date(2026, 1, 1), valid_to=date(2026, 3, 31)),
            authorization("units ran out", "expired", units_approved=4),
            authorization("taken back later", "cancelled", valid_from=date(2026, 1, 1)),
            authorization("never answered", "expired"),
            authorization("not needed", "cancelled", units_approved=0),
            # What a payer would have granted, had it said yes, is not granted.
            authorization("refused", "denied", units_approved=4, units_used=1),
        ],
    )
    assert by_id(models, "outcome") == {
        "a": "approved",
        "b": "denied",
        "c": "pended",
        "d": "requested",
        "ran out": "approved",
        "units ran out": "approved",
        "taken back later": "approved",
        "never answered": "expired",
        "not needed": "cancelled",
        "refused": "denied",
    }
    decided = {name for name, is_decided in by_id(models, "is_decided").items() if is_decided}
    assert decided == {"a", "b", "ran out", "units ran out", "taken back later", "refused"}
    assert by_id(models, "approved_units")["refused"] is None


def test_turnaround_is_of_local_days_and_needs_both(models: Models) -> None:
    asked = datetime(2026, 10, 2, 3, 30)  # 1 October, 23:30 in New York
    built(
        models,
        [
            authorization("one day", "approved", requested_at=asked, decided_at=datetime(2026, 10, 2, 14)),
            authorization("same day", "denied", requested_at=asked, decided_at=datetime(2026, 10, 2, 3, 59)),
            authorization("before", "approved", requested_at=asked, decided_at=datetime(2026, 9, 30, 14)),
            authorization("unknown", "approved", requested_at=None, decided_at=asked),
            authorization("pended", "pended", requested_at=asked, decided_at=datetime(2026, 10, 5, 14)),
        ],
    )
    days = {"one day": 1, "same day": 0, "before": None, "unknown": None, "pended": None}
    assert by_id(models, "turnaround_days") == days
    assert by_id(models, "requested_date")["one day"] == date(2026, 10, 1)
    assert by_id(models, "requested_date")["unknown"] is None


def test_units_left_and_what_expires_within_thirty_days(models: Models) -> None:
    def ends(name: str, days: int, status: str = "approved", **fields: object) -> Row:
        return authorization(name, status, valid_to=AS_OF + timedelta(days=days), **fields)

    built(
        models,
        [
            ends("yesterday", -1),
            ends("today", 0),
            ends("in 30", 30),
            ends("in 31", 31),
            ends("denied", 5, "denied"),
            ends("taken back", 5, "cancelled"),
            ends("some left", 5, units_approved=6, units_used=5.5),
            ends("none left", 5, units_approved=6, units_used=6),
            ends("too many", 5, units_approved=6, units_used=8),
            ends("not counted", 5, units_approved=6),
            authorization("no end", "approved"),
        ],
    )
    expiring = {name for name, is_expiring in by_id(models, "is_expiring").items() if is_expiring}
    assert expiring == {"today", "in 30", "some left", "not counted"}
    left = by_id(models, "left_units")
    assert (left["some left"], left["none left"], left["too many"]) == (Decimal("0.5"), 0, -2)
    assert left["not counted"] is None
    assert by_id(models, "remaining_days")["yesterday"] == -1


def test_payers_patients_and_classes_are_those_of_the_other_facts(models: Models) -> None:
    built(
        models,
        [
            authorization("electronic", "approved", payer_id="60054", patient_id="old"),
            authorization("earlier", "approved", requested_at=datetime(2026, 9, 30, 15)),
            authorization("no payer", "approved", payer_id=None, service_unit_id=None, procedure_code=None),
            authorization("elsewhere", "approved", tenant="u", payer_id="60054"),
        ],
    )
    columns = ("authorization_id", "patient_id", "payer_id", "payer_class", "service_unit_id", "procedure_code")
    assert models.rows(NAME, *columns) == [
        ("earlier", "p1", "y1", "commercial", "east", "Z1"),
        ("electronic", "p1", "y1", "medicare", "east", "Z1"),
        ("elsewhere", "p1", "60054", "unmapped", "east", "Z1"),
        ("no payer", "p1", "unknown", "unmapped", "unknown", "unknown"),
    ]


def test_the_system_of_record_wins_and_another_feed_fills_in(models: Models) -> None:
    built(
        models,
        [
            authorization("a", "denied", feed="ehr", units_used=2, source_updated_at=datetime(2026, 10, 9)),
            authorization("a", "approved", units_approved=5),
            authorization("b", "pended", feed="ehr"),
        ],
        [{"tenant_id": "t", "entity": "authorization", "source_system": "pm", "precedence": 1}],
    )
    assert models.rows(NAME, "authorization_id", "outcome", "left_units") == [
        ("a", "approved", 3),
        ("b", "pended", None),
    ]


STATES = st.sampled_from(["requested", "approved", "denied", "pended", "expired", "cancelled"])
MAYBE_UNITS = st.one_of(st.none(), st.integers(0, 5))
MAYBE_DAYS = st.one_of(st.none(), st.integers(-40, 40))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.tuples(STATES, MAYBE_UNITS, MAYBE_UNITS, MAYBE_DAYS), max_size=12))
def test_every_authorisation_is_counted_once_with_the_right_units_and_end(models: Models, drawn) -> None:  # type: ignore[no-untyped-def]
    rows, right = [], []
    for number, (status, granted, used, days) in enumerate(drawn):
        name = f"a{number:02}"
        end = None if days is None else AS_OF + timedelta(days=days)
        rows.append(authorization(name, status, units_approved=granted, units_used=used, valid_to=end))
        was_granted = status == "approved" or (
            status in ("expired", "cancelled") and (bool(granted) or end is not None)
        )
        left = granted - used if was_granted and granted is not None and used is not None else None
        is_expiring = status == "approved" and days is not None and 0 <= days <= 30 and (left is None or left > 0)
        right.append((name, "approved" if was_granted else status, left, is_expiring))
    built(models, rows)
    assert models.rows(NAME, "authorization_id", "outcome", "left_units", "is_expiring") == right
