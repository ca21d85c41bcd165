"""Levels of visits: which charge lines are in the tenant's table on their day, and with which level: the compiled model on hard rows."""

from collections.abc import Sequence
from datetime import date, datetime

import pytest

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models, Row

pytestmark = pytest.mark.slow

NAME = "fct_evaluations"
DAY = date(2026, 3, 2)
TABLES = {
    "staging.stg_evaluation_levels": (
        "tenant_id varchar, source_system varchar, procedure_code varchar, effective_from date, effective_to date, "
        "evaluation_level bigint, evaluation_group varchar, source_record_id varchar, source_updated_at timestamp, "
        "source_position varchar"
    ),
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "intermediate.int_charge_lines": (
        "tenant_id varchar, charge_line_id varchar, line_kind varchar, charge_id varchar, claim_id varchar, encounter_id varchar, "
        "patient_id varchar, service_unit_id varchar, provider_id varchar, payer_id varchar, payer_class varchar, "
        "visit_type_id varchar, encounter_class varchar, procedure_code varchar, is_reversal boolean, service_date date, "
        "source_system varchar, source_record_id varchar, source_position varchar"
    ),
    "intermediate.int_first_diagnoses": (
        "tenant_id varchar, owner_kind varchar, owner_id varchar, diagnosis_category varchar, diagnosis_chapter varchar"
    ),
    "intermediate.int_patients": (
        "tenant_id varchar, patient_id varchar, birth_year integer, sex varchar, language varchar, zip3 varchar"
    ),
    "intermediate.int_service_unit_versions": (
        "tenant_id varchar, service_unit_id varchar, service_unit_key varchar, is_current boolean, valid_from date, valid_to date"
    ),
}


def level(code: str, number: int, *, tenant: str = "t", **fields: object) -> Row:
    row = {"tenant_id": tenant, "source_system": "levels", "procedure_code": code, "evaluation_level": number}
    row |= {"evaluation_group": "established", "effective_from": date(2020, 1, 1), "effective_to": None}
    return row | {"source_updated_at": datetime(2026, 1, 1)} | fields


def line(name: str, code: str | None, *, tenant: str = "t", **fields: object) -> Row:
    row = {"tenant_id": tenant, "charge_line_id": name, "line_kind": "charge", "procedure_code": code}
    row |= {"is_reversal": False, "service_date": DAY, "service_unit_id": "east", "provider_id": "p", "payer_id": "y"}
    return row | fields


def built(models: Models, levels: Sequence[Row], lines: Sequence[Row], diagnoses: Sequence[Row] = ()) -> None:
    models.build(
        {
            "staging.stg_evaluation_levels": levels,
            "intermediate.int_charge_lines": lines,
            "intermediate.int_first_diagnoses": diagnoses,
        }
    )


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(NAME), TABLES)


def test_lines_have_the_level_of_their_code_on_their_day_and_those_taken_back_count_less(models: Models) -> None:
    built(
        models,
        [
            level("A", 3),
            level("B", 2, effective_to=date(2026, 2, 28)),
            level("B", 4, effective_from=date(2026, 3, 1)),
            # Both hold on the day: the one that began last counts.
            level("C", 2),
            level("C", 5, effective_from=date(2026, 1, 1)),
            level("D", 1, effective_to=date(2026, 3, 1)),
            level("A", 1, tenant="u"),
        ],
        [
            line("a", "A"),
            line("a back", "A", is_reversal=True),
            line("b", "B"),
            line("b before", "B", service_date=date(2026, 2, 28)),
            line("c", "C"),
            line("d ended", "D"),
            line("not in the table", "Z"),
            line("no code", None),
            line("money on the claim", "A", line_kind="claim_balance"),
            line("other tenant", "A", tenant="u"),
            line("tenant without a table", "A", tenant="v"),
        ],
    )
    assert models.rows(NAME, "charge_line_id", "evaluation_level", "services") == [
        ("a", 3, 1),
        ("a back", 3, -1),
        ("b", 4, 1),
        ("b before", 2, 1),
        ("c", 5, 1),
        ("other tenant", 1, 1),
    ]


def test_the_chapter_is_that_of_the_charge_else_of_the_claim_else_of_the_visit(models: Models) -> None:
    first = [
        {"tenant_id": "t", "owner_kind": kind, "owner_id": owner, "diagnosis_category": name, "diagnosis_chapter": name}
        for kind, owner, name in (
            ("charge", "C1", "of charge"),
            ("claim", "K1", "of claim"),
            ("visit", "V1", "of visit"),
        )
    ]
    whole = {"charge_id": "C1", "claim_id": "K1", "encounter_id": "V1"}
    built(
        models,
        [level("A", 3)],
        [
            line("1", "A", **whole),
            line("2", "A", **(whole | {"charge_id": "C2"})),
            line("3", "A", encounter_id="V1"),
            line("4", "A"),
        ],
        first,
    )
    assert models.rows(NAME, "charge_line_id", "diagnosis_chapter") == [
        ("1", "of charge"),
        ("2", "of claim"),
        ("3", "of visit"),
        ("4", "not stated"),
    ]
