"""Eligibility: whom an answer is about, which answer counts for a visit, and what a patient is to pay: the compiled models on hard and on
random rows."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models, Row

pytestmark = pytest.mark.slow

NAMES = ("int_eligibility_answers", "int_eligibility_benefits", "int_eligibility_checks")
TABLES = {
    "staging.stg_eligibility_answers": (
        "tenant_id varchar, source_system varchar, eligibility_answer_id varchar, patient_id varchar, member_token varchar, "
        "birth_year integer, payer_id varchar, plan_name varchar, status varchar, reject_code varchar, answered_at timestamp, "
        "valid_from date, valid_to date, source_record_id varchar, source_position varchar"
    ),
    "staging.stg_eligibility_benefits": (
        "tenant_id varchar, source_system varchar, eligibility_answer_id varchar, benefit_type varchar, service_type_code varchar, "
        "coverage_level varchar, network varchar, amount_kind varchar, benefit_amount decimal(18,4), benefit_percent decimal(18,4)"
    ),
    "staging.stg_coverages": "tenant_id varchar, patient_id varchar, payer_id varchar, member_token varchar",
    "staging.stg_tenants": "tenant_id varchar, time_zone varchar",
    "intermediate.int_patient_crosswalk": "tenant_id varchar, patient_id varchar, current_patient_id varchar",
    "intermediate.int_payer_crosswalk": "tenant_id varchar, payer_id varchar, current_payer_id varchar",
    "intermediate.int_patients": "tenant_id varchar, patient_id varchar, birth_year integer",
    "intermediate.int_encounters": (
        "tenant_id varchar, encounter_id varchar, patient_id varchar, payer_id varchar, service_unit_id varchar, status varchar, "
        "started_at timestamp, encounter_date date, time_zone varchar"
    ),
}
ZONE = "America/New_York"
TENANTS = ("t", "u")
VISIT_AT = datetime(2026, 10, 20, 15)


def answer(name: str, status: str = "active", *, tenant: str = "t", feed: str = "x12", **fields: object) -> Row:
    row: dict[str, object] = {
        "tenant_id": tenant,
        "source_system": feed,
        "eligibility_answer_id": name,
        "status": status,
    }
    row |= {"patient_id": "p1", "payer_id": "y1", "answered_at": VISIT_AT - timedelta(days=2)}
    return row | fields


def visit(name: str = "v1", *, tenant: str = "t", started_at: datetime = VISIT_AT, **fields: object) -> Row:
    row: dict[str, object] = {"tenant_id": tenant, "encounter_id": name, "patient_id": "p1", "payer_id": "y1"}
    row |= {"service_unit_id": "east", "status": "finished", "started_at": started_at, "time_zone": ZONE}
    return row | {"encounter_date": (started_at - timedelta(hours=4)).date()} | fields


def covered(patient: str, member: str, payer: str = "y1", *, tenant: str = "t") -> Row:
    return {"tenant_id": tenant, "patient_id": patient, "payer_id": payer, "member_token": member}


def share(kind: str, amount: object, *, of: str = "a", tenant: str = "t", **fields: object) -> Row:
    row: dict[str, object] = {
        "tenant_id": tenant,
        "source_system": "x12",
        "eligibility_answer_id": of,
        "benefit_type": kind,
    }
    row |= {"service_type_code": "98", "coverage_level": "individual", "network": "in", "amount_kind": "total"}
    row |= {"benefit_percent" if kind == "coinsurance" else "benefit_amount": amount}
    return row | fields


def built(
    models: Models,
    answers: Sequence[Row] = (),
    *,
    coverages: Sequence[Row] = (),
    visits: Sequence[Row] = (),
    shares: Sequence[Row] = (),
) -> None:
    born = {"p1": 1980, "p2": 1990, "p3": None}
    models.build(
        {
            "staging.stg_eligibility_answers": answers,
            "staging.stg_eligibility_benefits": shares,
            "staging.stg_coverages": coverages,
            "staging.stg_tenants": [{"tenant_id": tenant, "time_zone": ZONE} for tenant in TENANTS],
            "intermediate.int_patient_crosswalk": [{"tenant_id": "t", "patient_id": "old", "current_patient_id": "p1"}],
            "intermediate.int_payer_crosswalk": [{"tenant_id": "t", "payer_id": "60054", "current_payer_id": "y1"}],
            "intermediate.int_patients": [
                {"tenant_id": tenant, "patient_id": name, "birth_year": year}
                for tenant in TENANTS
                for name, year in born.items()
            ],
            "intermediate.int_encounters": visits,
        }
    )


def meant(models: Models) -> dict[str, tuple[object, ...]]:
    rows = models.rows(NAMES[0], "eligibility_answer_id", "patient_id", "payer_id", "match_method")
    return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*NAMES), TABLES)


def test_a_record_number_says_who_is_meant_else_the_member_number_does(models: Models) -> None:
    nobody: dict[str, object] = {"patient_id": None}
    built(
        models,
        [
            answer("record", payer_id="60054"),
            answer("merged", patient_id="old"),
            answer("stranger", patient_id="p9", member_token="m1"),
            answer("member", member_token="m1", payer_id="clearing house", **nobody),
            answer("record and member", member_token="m1", payer_id="clearing house"),
            answer("two plans", member_token="m4", payer_id="y2", **nobody),
            answer("family", member_token="m2", **nobody),
            answer("child", member_token="m2", birth_year=1990, **nobody),
            answer("born otherwise", member_token="m1", birth_year=1999, **nobody),
            answer("unknown member", member_token="m9", **nobody),
            answer("nobody", "error", payer_id=None, **nobody),
            answer("other tenant", tenant="u", member_token="m1", **nobody),
        ],
        coverages=[
            covered("old", "m1"),
            covered("p1", "m1", "60054"),
            covered("p1", "m2"),
            covered("p2", "m2"),
            covered("p1", "m4"),
            covered("p2", "m4", "y2"),
            covered("p2", "m1", tenant="u"),
        ],
    )
    assert meant(models) == {
        "record": ("p1", "y1", "medical record number"),
        "merged": ("p1", "y1", "medical record number"),
        "stranger": (None, "y1", "none"),
        "member": ("p1", "y1", "member id"),
        "record and member": ("p1", "y1", "medical record number"),
        # Two plans gave the same number: that of the payer that was asked counts.
        "two plans": ("p2", "y2", "member id"),
        "family": (None, "y1", "several"),
        "child": ("p2", "y1", "member id"),
        "born otherwise": (None, "y1", "none"),
        "unknown member": (None, "y1", "none"),
        "nobody": (None, None, "none"),
        "other tenant": ("p2", "y1", "member id"),
    }


def chosen(models: Models) -> dict[str, tuple[object, ...]]:
    names = ("encounter_id", "eligibility_answer_id", "is_of_visit_payer", "is_active_on_day", "days_before")
    return {row[0]: row[1:] for row in models.rows(NAMES[2], *names, "answer_choice") if row[-1] == 1}


def days_ago(days: float) -> datetime:
    return VISIT_AT - timedelta(days=days)


@pytest.mark.parametrize(
    ("moment", "days_before"),
    [
        (VISIT_AT, 0),
        (VISIT_AT + timedelta(minutes=1), None),
        # 19 October, 23:30 in New York.
        (datetime(2026, 10, 20, 3, 30), 1),
        (days_ago(30), 30),
        (datetime(2026, 9, 20, 3, 59), None),
        (None, None),
    ],
)
def test_an_answer_counts_before_the_visit_and_for_thirty_local_days(
    models: Models, moment: datetime | None, days_before: int | None
) -> None:
    built(models, [answer("a", answered_at=moment)], visits=[visit()])
    assert [row[0] for row in models.rows(NAMES[2], "days_before")] == ([] if days_before is None else [days_before])


def test_the_latest_answer_of_the_payer_of_the_visit_goes_before_others(models: Models) -> None:
    built(
        models,
        [
            answer("first", answered_at=days_ago(9)),
            answer("latest", "inactive", answered_at=days_ago(5)),
            answer("rejected", "error", answered_at=days_ago(1)),
            answer("another payer", payer_id="y2", answered_at=days_ago(1)),
            answer("another person", patient_id="p2", answered_at=days_ago(1)),
            answer("payer not told", payer_id=None, answered_at=days_ago(1)),
            answer("another tenant", tenant="u", answered_at=days_ago(1)),
        ],
        visits=[
            visit(),
            visit("other payer", payer_id="y3"),
            visit("cancelled", status="cancelled"),
            visit("of p2", patient_id="p2"),
        ],
    )
    assert chosen(models) == {
        "v1": ("latest", True, False, 5, 1),
        "other payer": ("another payer", False, True, 1, 1),
        "of p2": ("another person", True, True, 1, 1),
    }


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "is_active"),
    [
        (None, None, True),
        (date(2026, 10, 20), date(2026, 10, 20), True),
        (date(2026, 10, 21), None, False),
        (None, date(2026, 10, 19), False),
    ],
)
def test_active_coverage_holds_on_the_days_that_the_answer_states(
    models: Models, valid_from: date | None, valid_to: date | None, is_active: bool
) -> None:
    built(models, [answer("a", valid_from=valid_from, valid_to=valid_to)], visits=[visit()])
    assert chosen(models)["v1"] == ("a", True, is_active, 2, 1)


MOMENTS = st.integers(-2, 40)
DRAWN = st.lists(
    st.tuples(MOMENTS, st.sampled_from(["y1", "y2"]), st.sampled_from(["active", "inactive", "error"])), max_size=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=DRAWN)
def test_each_visit_has_one_answer_that_counts_and_it_is_the_nearest_of_the_best_kind(
    models: Models, drawn: list[tuple[int, str, str]]
) -> None:
    rows = [
        answer(f"a{number}", status, payer_id=payer, answered_at=days_ago(days) - timedelta(minutes=number))
        for number, (days, payer, status) in enumerate(drawn)
    ]
    built(models, rows, visits=[visit()])
    candidates = [
        (status == "error", payer != "y1", days, -number)
        for number, (days, payer, status) in enumerate(drawn)
        if 0 <= days <= 30
    ]
    expected = f"a{-min(candidates, key=lambda item: (item[0], item[1], item[2], -item[3]))[3]}" if candidates else None
    assert [row[0] for row in chosen(models).values()] == ([] if expected is None else [expected])
    assert len(models.rows(NAMES[2], "encounter_id")) == len(candidates)


def test_the_nearest_share_in_the_network_counts_and_several_count_as_none(models: Models) -> None:
    plan: dict[str, object] = {"service_type_code": None}
    built(
        models,
        shares=[
            share("copay", 25, of="office"),
            share("copay", 40, of="office", service_type_code="30"),
            share("copay", 10, of="office", network="out"),
            share("copay", 90, of="office", service_type_code="86"),
            share("copay", 30, of="plan", **plan),
            share("copay", 5, of="plan", coverage_level="family", **plan),
            share("copay", 20, of="several"),
            share("copay", 20, of="several", network="in"),
            share("copay", 50, of="several"),
            share("copay", 20, of="twice"),
            share("copay", 20, of="twice"),
            share("coinsurance", 20, of="twice"),
            share("deductible", 1000, of="used", **plan),
            share("deductible", 250.5, of="used", amount_kind="used", **plan),
            share("deductible", 1000, of="too much", **plan),
            share("deductible", 1250, of="too much", amount_kind="used", **plan),
            share("deductible", 1000, of="stated", **plan),
            share("deductible", 0, of="stated", amount_kind="remaining", **plan),
            share("copay", 5, of="stated"),
            share("copay", 7, of="elsewhere", tenant="u"),
        ],
    )
    names = (
        "eligibility_answer_id",
        "copay_amount",
        "deductible_amount",
        "deductible_left_amount",
        "coinsurance_percent",
    )
    assert {row[0]: row[1:] for row in models.rows(NAMES[1], *names)} == {
        "office": (25, None, None, None),
        "plan": (30, None, None, None),
        "several": (None, None, None, None),
        "twice": (20, None, None, 20),
        "used": (None, 1000, Decimal("749.5"), None),
        "too much": (None, 1000, 0, None),
        "stated": (5, 1000, 0, None),
        "elsewhere": (7, None, None, None),
    }
