"""Diagnoses: which stand, in which chapter they are, and which one a claim, charge or visit lists first: the compiled models on hard and on
random rows."""

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import PROJECT, Compiled
from tests.marts.compiled_models import Models, Row

pytestmark = pytest.mark.slow

MODELS = ("int_diagnoses", "int_first_diagnoses")
TABLES = {
    "staging.stg_diagnoses": (
        "tenant_id varchar, source_system varchar, diagnosis_id varchar, encounter_id varchar, claim_submission_id varchar, "
        "claim_id varchar, charge_id varchar, patient_id varchar, code_stated_in_id varchar, diagnosis_code varchar, "
        "code_system varchar, diagnosis_type varchar, sequence_number bigint, status varchar, recorded_at timestamp, "
        "source_record_id varchar, source_position varchar"
    ),
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "seeds.icd10_chapters": "first_category varchar, last_category varchar, chapter varchar",
    "intermediate.int_patient_crosswalk": "tenant_id varchar, patient_id varchar, current_patient_id varchar",
    "intermediate.int_encounter_crosswalk": "tenant_id varchar, encounter_id varchar, current_encounter_id varchar",
    "intermediate.int_claim_submissions": (
        "tenant_id varchar, source_system varchar, claim_submission_id varchar, claim_id varchar, payer_sequence varchar, "
        "submission_number integer"
    ),
    "intermediate.int_claim_context": "tenant_id varchar, claim_id varchar, encounter_id varchar, patient_id varchar",
    "intermediate.int_charge_lines": (
        "tenant_id varchar, line_kind varchar, charge_id varchar, claim_id varchar, encounter_id varchar, patient_id varchar"
    ),
}
with (Path(PROJECT) / "seeds" / "icd10_chapters.csv").open(encoding="utf-8") as file:
    CHAPTERS = list(csv.DictReader(file))


def diagnosis(name: str, code: str | None, *, tenant: str = "t", feed: str = "ehr", **fields: object) -> Row:
    row: dict[str, object] = {"tenant_id": tenant, "source_system": feed, "diagnosis_id": name, "diagnosis_code": code}
    row |= {"code_system": "icd10cm", "diagnosis_type": "unknown", "status": "stated"}
    return row | {"recorded_at": datetime(2026, 10, 1, 15)} | fields


def submission(name: str, claim: str, number: int, *, feed: str = "837", sequence: str = "primary") -> Row:
    named = {"tenant_id": "t", "source_system": feed, "claim_submission_id": name, "claim_id": claim}
    return named | {"payer_sequence": sequence, "submission_number": number}


def built(models: Models, rows: Sequence[Row], **tables: Sequence[Row]) -> None:
    below = {f"intermediate.{name}": entries for name, entries in tables.items() if name != "precedence"}
    ranking = [
        {"tenant_id": "t", "entity": "diagnosis", "source_system": feed, "precedence": rank}
        for rank, feed in enumerate(("ehr", "837", "pm"), start=1)
    ]
    models.build(
        {
            "staging.stg_diagnoses": rows,
            "staging.stg_system_of_record": tables.get("precedence", ranking),
            "seeds.icd10_chapters": CHAPTERS,
            **below,
        }
    )


def first(models: Models) -> dict[tuple[str, str], str]:
    return {
        (kind, owner): name
        for kind, owner, name in models.rows("int_first_diagnoses", "owner_kind", "owner_id", "diagnosis_id")
    }


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


@pytest.mark.parametrize(
    ("code", "system", "state", "chapter"),
    [
        ("E11.9", "icd10cm", "in a chapter", "E00-E89 Endocrine, nutritional and metabolic diseases"),
        (" e11.9 ", "icd10", "in a chapter", "E00-E89 Endocrine, nutritional and metabolic diseases"),
        ("O9A.111", "icd10cm", "in a chapter", "O00-O9A Pregnancy, childbirth and the puerperium"),
        ("D49.9", "icd10cm", "in a chapter", "C00-D49 Neoplasms"),
        ("D50.0", "icd10cm", "in a chapter", "D50-D89 Blood and immune mechanism"),
        ("U07.1", "icd10cm", "in a chapter", "U00-U85 Codes for special purposes"),
        ("S93.401A", "icd10cm", "in a chapter", "S00-T88 Injury, poisoning and other external causes"),
        ("E99.9", "icd10cm", "in no chapter", "other code"),
        ("S93.401ABC", "icd10cm", "not of the form of ICD-10-CM", "other code"),
        ("250.00", "icd10cm", "not of the form of ICD-10-CM", "other code"),
        ("diabetes", "icd10cm", "not of the form of ICD-10-CM", "other code"),
        ("25000", "icd9cm", "another code set", "other code"),
        ("44054006", "snomed", "another code set", "other code"),
        # A code set that nobody names is not guessed from the form of the code.
        ("E11.9", "unknown", "another code set", "other code"),
        (None, "icd10cm", "no code", "other code"),
    ],
)
def test_a_code_is_in_a_chapter_or_says_why_not(
    models: Models, code: str | None, system: str, state: str, chapter: str
) -> None:
    built(models, [diagnosis("d", code, code_system=system, encounter_id="v1")])
    assert models.rows("int_diagnoses", "code_state", "diagnosis_chapter", "stated_code") == [(state, chapter, code)]
    assert models.rows("int_first_diagnoses", "diagnosis_chapter") == [(chapter,)]


def test_a_visit_or_claim_has_the_code_of_the_condition_that_it_refers_to_in_its_own_feed(models: Models) -> None:
    refers = {"code_system": "unknown", "diagnosis_type": "principal", "encounter_id": "v1"}
    built(
        models,
        [
            diagnosis("c1", "E11.9", encounter_id="v1"),
            diagnosis("c1", "J06.9", feed="other"),
            diagnosis("c2", "I10", status="withdrawn"),
            diagnosis("v1/1", None, code_stated_in_id="c1", **refers),
            diagnosis("v1/2", None, code_stated_in_id="c2", **refers),
            diagnosis("v1/3", None, code_stated_in_id="never came", **refers),
        ],
    )
    assert models.rows("int_diagnoses", "diagnosis_id", "diagnosis_code", "code_state") == [
        ("c1", "E119", "in a chapter"),
        ("c1", "J069", "in a chapter"),
        ("v1/1", "E119", "in a chapter"),
        ("v1/3", None, "no code"),
    ]
    assert first(models)[("visit", "v1")] == "v1/1"


def test_what_was_withdrawn_and_what_a_later_submission_replaced_does_not_stand(models: Models) -> None:
    of_claim = {"diagnosis_type": "principal", "sequence_number": 1, "feed": "837"}
    built(
        models,
        [
            diagnosis("gone", "I10", status="withdrawn", encounter_id="v1"),
            diagnosis("s1-1", "E11.9", claim_submission_id="s1", **of_claim),
            diagnosis("s2-1", "J06.9", claim_submission_id="s2", **of_claim),
            diagnosis("s3-1", "R07.9", claim_submission_id="s3", **of_claim),
            # Another feed has only the first submission of the claim.
            diagnosis("p1-1", "M54.50", claim_submission_id="p1", feed="pm"),
        ],
        int_claim_submissions=[
            submission("s1", "K1", 1),
            submission("s2", "K1", 3),
            submission("s3", "K1", 4, sequence="secondary"),
            submission("p1", "K1", 2, feed="pm"),
        ],
    )
    assert models.rows("int_diagnoses", "diagnosis_id", "owner_kind", "owner_id") == [
        ("p1-1", "claim", "K1"),
        ("s2-1", "claim", "K1"),
    ]
    assert first(models) == {("claim", "K1"): "s2-1"}


def test_claims_charges_and_visits_take_what_belongs_to_them_where_they_state_none(models: Models) -> None:
    built(
        models,
        [
            diagnosis("of claim", "E11.9", claim_id="K1", feed="837"),
            diagnosis("of charge", "J06.9", charge_id="C2", feed="pm"),
            diagnosis("of both: visit", "I10", encounter_id="v3", feed="pm"),
            diagnosis("of both: claim", "R07.9", claim_id="K3"),
            diagnosis("of nothing", "Z00.00", patient_id="p9"),
        ],
        int_claim_context=[
            {"tenant_id": "t", "claim_id": claim, "encounter_id": visit}
            for claim, visit in (("K1", "v1"), ("K3", "v3"))
        ],
        int_charge_lines=[
            {"tenant_id": "t", "line_kind": "charge", "charge_id": "C2", "claim_id": "K2", "encounter_id": "v2"}
        ],
    )
    assert first(models) == {
        ("claim", "K1"): "of claim",
        ("visit", "v1"): "of claim",
        ("charge", "C2"): "of charge",
        ("claim", "K2"): "of charge",
        ("visit", "v2"): "of charge",
        # Its own goes before that of its claim, also where the feed of the claim ranks first.
        ("visit", "v3"): "of both: visit",
        ("claim", "K3"): "of both: claim",
    }
    assert ("of nothing", "patient", "p9") in models.rows("int_diagnoses", "diagnosis_id", "owner_kind", "owner_id")


def test_the_feed_that_ranks_first_then_the_principal_then_the_lowest_place(models: Models) -> None:
    rows = [
        diagnosis("pm principal", "E11.9", feed="pm", diagnosis_type="principal", sequence_number=1),
        diagnosis("second", "I10", diagnosis_type="secondary", sequence_number=1),
        diagnosis("principal", "J06.9", diagnosis_type="principal", sequence_number=3),
        diagnosis("principal too", "R07.9", diagnosis_type="principal", sequence_number=2),
        diagnosis("admitting", "R07.9", diagnosis_type="admitting", sequence_number=1),
        diagnosis("problem", "F41.1", diagnosis_type="problem_list"),
        diagnosis("cause", "W18.30XA", diagnosis_type="external_cause"),
    ]
    built(models, [{**row, "encounter_id": "v1"} for row in rows])
    assert first(models) == {("visit", "v1"): "principal too"}
    built(models, [{**row, "encounter_id": "v1"} for row in rows[4:]])
    assert first(models) == {}


def test_patients_and_visits_are_those_of_the_crosswalks_and_tenants_share_nothing(models: Models) -> None:
    built(
        models,
        [
            diagnosis("a", "E11.9", encounter_id="E1", patient_id="old"),
            diagnosis("a", "I10", encounter_id="E1", patient_id="old", tenant="u"),
        ],
        int_patient_crosswalk=[{"tenant_id": "t", "patient_id": "old", "current_patient_id": "p1"}],
        int_encounter_crosswalk=[{"tenant_id": "t", "encounter_id": "E1", "current_encounter_id": "V1"}],
    )
    assert models.rows("int_diagnoses", "tenant_id", "patient_id", "owner_id", "diagnosis_code") == [
        ("t", "p1", "V1", "E119"),
        ("u", "old", "E1", "I10"),
    ]


TYPES = st.sampled_from(["principal", "secondary", "admitting", "problem_list", "unknown"])
OWNERS = st.sampled_from([{"encounter_id": "v1"}, {"claim_id": "K1"}, {"charge_id": "C1"}, {"encounter_id": "v2"}])
CODES = st.sampled_from(["E11.9", "I10", "ZZZ", "F00.1", None])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.tuples(OWNERS, TYPES, CODES, st.sampled_from(["stated", "withdrawn"])), max_size=10))
def test_every_diagnosis_that_stands_is_counted_once_and_each_owner_has_at_most_one_first(
    models: Models, drawn
) -> None:  # type: ignore[no-untyped-def]
    rows = [
        diagnosis(f"d{number}", code, diagnosis_type=kind, status=status, sequence_number=number + 1, **owner)
        for number, (owner, kind, code, status) in enumerate(drawn)
    ]
    built(models, rows)
    standing = [row for row in rows if row["status"] == "stated"]
    assert [name for (name,) in models.rows("int_diagnoses", "diagnosis_id")] == sorted(
        str(row["diagnosis_id"]) for row in standing
    )
    owners = {
        (kind, str(row[column]))
        for row in standing
        for kind, column in (("visit", "encounter_id"), ("claim", "claim_id"), ("charge", "charge_id"))
        if row.get(column) and row["diagnosis_type"] in ("principal", "secondary", "unknown")
    }
    chosen = models.rows("int_first_diagnoses", "owner_kind", "owner_id")
    assert len(chosen) == len(set(chosen))
    assert set(chosen) == owners
