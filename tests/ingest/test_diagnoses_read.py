"""Diagnoses as 837, HL7 v2 and FHIR carry them: each code once, with its code set, its part and its place."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources.code_systems import ICD10, code_system, preferred
from tests.ingest import fhir_reading, test_hl7v2
from tests.ingest.x12_files import CLAIM_BODY, interchange, read, transaction

CLM = next(index for index, segment in enumerate(CLAIM_BODY) if segment.startswith("CLM"))
NAMED = ("diagnosis_code", "code_system", "diagnosis_type", "sequence_number")


def claim_with(*segments: str) -> list[str]:
    """A claim with these segments behind its REF."""
    return [*CLAIM_BODY[: CLM + 2], *segments, *CLAIM_BODY[CLM + 2 :]]


def stated(frame: pl.DataFrame, *names: str) -> list[tuple[object, ...]]:
    return frame.select(names or NAMED).rows()


def test_each_diagnosis_of_an_837_has_its_kind_and_its_place_in_the_claim(tmp_path: Path) -> None:
    body = claim_with(
        "HI*ABK:I2510*ABF:E119*ABF:E785",
        "HI*ABJ:R079",
        "HI*APR:R079*APR:R0602",
        "HI*ABN:W1830XA",
        "HI*BBR:02100Z9:D8:20260102*BBQ:4A023N7:D8:20260102",
        "HI*BH:11:D8:20260101",
        "HI*ABF:I10",
    )
    chunk = read(tmp_path, interchange(transaction("837", body)))
    rows = chunk.rows["diagnosis"]
    assert stated(rows) == [
        ("I2510", "icd10cm", "principal", 1),
        ("E119", "icd10cm", "secondary", 2),
        ("E785", "icd10cm", "secondary", 3),
        ("R079", "icd10cm", "admitting", 4),
        ("R079", "icd10cm", "reason_for_visit", 5),
        ("R0602", "icd10cm", "reason_for_visit", 6),
        ("W1830XA", "icd10cm", "external_cause", 7),
        ("I10", "icd10cm", "secondary", 8),
    ]
    claim = chunk.rows["claim"].row(0, named=True)
    assert set(rows["claim_submission_id"]) == {claim["claim_submission_id"]}
    assert rows["diagnosis_id"].n_unique() == 8
    assert rows["source_position"][0] == "ISA 1 GS 1 ST 0001 CLM 1 (segment 14)"
    # Procedures and occurrences are no diagnoses. They are counted as not read, as other segments are.
    assert {name: count for name, count in chunk.dropped_fields.items() if name.startswith("HI")} == {
        "HI*BBR": 1,
        "HI*BBQ": 1,
        "HI*BH": 1,
    }


def test_codes_of_icd_9_and_codes_that_no_code_set_knows_are_kept_as_sent(tmp_path: Path) -> None:
    rows = read(tmp_path, interchange(transaction("837", claim_with("HI*BK:8901*BF:ZZZ.9!*ABF:")))).rows["diagnosis"]
    assert stated(rows) == [("8901", "icd9cm", "principal", 1), ("ZZZ.9!", "icd9cm", "secondary", 2)]


def test_a_file_without_diagnoses_gives_no_rows_of_them(tmp_path: Path) -> None:
    assert "diagnosis" not in read(tmp_path, interchange(transaction("837", CLAIM_BODY))).rows


QUALIFIED = st.tuples(
    st.sampled_from(["ABK", "ABF", "ABJ", "APR", "ABN", "BK", "BF", "BBR", "BE"]),
    st.text("ABCEIJRZ0123456789", min_size=1, max_size=7),
)


@settings(max_examples=25, deadline=None)
@given(claims=st.lists(st.lists(QUALIFIED, max_size=12), min_size=1, max_size=4))
def test_every_composite_of_an_hi_is_a_diagnosis_or_counted(
    tmp_path_factory: pytest.TempPathFactory, claims: list[list[tuple[str, str]]]
) -> None:
    texts = []
    for number, composites in enumerate(claims, start=1):
        segments = ["HI*" + "*".join(map(":".join, composites))] if composites else []
        texts.append(transaction("837", claim_with(*segments)).replace("0001", f"{number:04}"))
    chunk = read(tmp_path_factory.mktemp("hi"), interchange(*texts))
    sent = [(number, *pair) for number, composites in enumerate(claims) for pair in composites]
    of_diagnoses = [code for _, qualifier, code in sent if qualifier not in ("BBR", "BE")]
    rows = chunk.rows.get("diagnosis")
    assert ([] if rows is None else rows["diagnosis_code"].to_list()) == of_diagnoses
    dropped = sum(count for name, count in chunk.dropped_fields.items() if name.startswith("HI*"))
    assert len(of_diagnoses) + dropped == len(sent)


DG1 = "DG1|1||E11.9^Type 2 diabetes^I10||20260309|F|||||||||1"


def hl7(path: Path, *segments: str, kind: str = "ADT^A08^ADT_A01") -> pl.DataFrame:
    text = test_hl7v2.message(kind, "EVN|A08|20260309120000", test_hl7v2.PID, test_hl7v2.PV1, *segments)
    return test_hl7v2.read(path, text).rows["diagnosis"]


def test_dg1_gives_the_diagnoses_of_the_visit(tmp_path: Path) -> None:
    rows = hl7(
        tmp_path,
        DG1,
        "DG1|2||I10^Hypertension^ICD10|||F|||||||||2",
        "DG1|3||R07.9^Chest pain^I10C|||A",
        "DG1|4||29857009^Chest pain^SCT^R07.9^Chest pain^I10|||W",
        "DG1|5|I9|250.00^Diabetes|||F|||||||||0",
        "DG1|6||^Chest pain, no code|||W",
        "DG1|7|||Only a description|||",
    )
    assert stated(rows, *NAMED) == [
        ("E11.9", "icd10", "principal", "1"),
        ("I10", "icd10", "secondary", "2"),
        ("R07.9", "icd10cm", "admitting", "3"),
        ("R07.9", "icd10", "unknown", "4"),
        ("250.00", "icd9cm", "unknown", "5"),
        # A text may name the patient: it is not read, and the diagnosis is kept without a code.
        (None, "unknown", "unknown", "6"),
    ]
    assert set(rows["encounter_id"]) == {"V1"}
    assert rows["diagnosis_id"].n_unique() == 6


def test_a_diagnosis_that_comes_again_is_the_same_row_and_dg1_21_takes_it_back(tmp_path: Path) -> None:
    first, deleted = hl7(tmp_path, DG1), hl7(tmp_path, DG1 + "||||||D")
    assert first["diagnosis_id"].to_list() == deleted["diagnosis_id"].to_list()
    assert (first["status"][0], deleted["status"][0]) == ("stated", "withdrawn")


def test_ft1_19_gives_the_diagnoses_of_a_charge(tmp_path: Path) -> None:
    fields = {1: "1", 2: "T1", 4: "20260309", 6: "CG", 7: "Z1001", 11: "100", 19: "E11.9^^I10~I10^^I10"}
    rows = hl7(tmp_path, test_hl7v2.segment("FT1", fields), kind="DFT^P03")
    assert stated(rows, "charge_id", *NAMED) == [
        ("T1", "E11.9", "icd10", "principal", "1"),
        ("T1", "I10", "icd10", "secondary", "2"),
    ]


ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def coded(code: str, system: str = ICD) -> dict[str, object]:
    return {"coding": [{"system": system, "code": code}]}


def test_conditions_visits_and_claims_of_fhir_state_diagnoses(tmp_path: Path) -> None:
    subject, encounter = {"reference": "Patient/p1"}, {"reference": "Encounter/e1"}
    both = {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}, {"system": ICD, "code": "E11.9"}]}
    refuted = {"coding": [{"code": "refuted"}]}
    problem = [{"coding": [{"code": "problem-list-item"}]}]
    condition = {"resourceType": "Condition", "subject": subject}
    path = fhir_reading.lines(
        tmp_path,
        condition | {"id": "c1", "encounter": encounter, "code": both, "recordedDate": "2026-03-01T10:00:00Z"},
        condition | {"id": "c2", "encounter": encounter, "code": coded("J06.9"), "verificationStatus": refuted},
        condition | {"id": "c3", "code": {"text": "tired"}, "category": problem, "recordedDate": "2026-03"},
        {
            "resourceType": "Encounter",
            "id": "e1",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": subject,
            "period": {"start": "2026-03-01T10:00:00Z"},
            "diagnosis": [
                {"condition": {"reference": "Condition/c1"}, "rank": 1},
                {"condition": {"reference": "Condition/c9"}, "use": coded("AD"), "rank": 2},
                # As R5 writes it.
                {"condition": [{"reference": {"reference": "Condition/c1"}}]},
                {"condition": [{"concept": coded("I10")}]},
            ],
        },
        {
            "resourceType": "Claim",
            "id": "k1",
            "status": "active",
            "use": "claim",
            "patient": subject,
            "created": "2026-03-02",
            "total": {"value": 10},
            "diagnosis": [
                {"sequence": 1, "diagnosisCodeableConcept": coded("M54.50")},
                {"sequence": 2, "diagnosisReference": {"reference": "Condition/c1"}},
            ],
            "item": [{"sequence": 1, "productOrService": {"text": "Z1"}, "net": {"value": 10}}],
        },
    )
    result = fhir_reading.read(path)
    assert result.refusals == []
    names = ("diagnosis_id", "code_stated_in_id", "encounter_id", "claim_submission_id", *NAMED, "status")
    assert sorted(stated(result.good["diagnosis"], *names), key=lambda row: str(row[0])) == [
        ("c1", None, "e1", None, "E11.9", "icd10cm", "unknown", None, "stated"),
        ("c2", None, "e1", None, "J06.9", "icd10cm", "unknown", None, "withdrawn"),
        ("c3", None, None, None, None, "unknown", "problem_list", None, "stated"),
        ("e1/diagnosis/1", "c1", "e1", None, None, "unknown", "principal", 1, "stated"),
        ("e1/diagnosis/2", "c9", "e1", None, None, "unknown", "admitting", 2, "stated"),
        ("e1/diagnosis/3", "c1", "e1", None, None, "unknown", "unknown", None, "stated"),
        ("e1/diagnosis/4", None, "e1", None, "I10", "icd10cm", "unknown", None, "stated"),
        ("k1/diagnosis/1", None, None, "k1", "M54.50", "icd10cm", "principal", 1, "stated"),
        ("k1/diagnosis/2", "c1", None, "k1", None, "unknown", "secondary", 2, "stated"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (ICD, "icd10cm"),
        ("urn:oid:2.16.840.1.113883.6.90", "icd10cm"),
        ("ICD-10-CM", "icd10cm"),
        ("i10", "icd10"),
        ("SNOMED CT", "snomed"),
        ("L", "other"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_names_of_code_systems(name: str | None, expected: str) -> None:
    assert code_system(name) == expected


@given(st.lists(st.tuples(st.text("AB1", min_size=1), st.sampled_from(["icd10cm", "icd10", "snomed", "unknown"]))))
def test_of_several_codes_one_of_icd_10_is_taken_if_there_is_one(codings: list[tuple[str, str]]) -> None:
    chosen = preferred(codings)
    assert chosen in codings or (chosen == (None, "unknown") and not codings)
    assert (chosen[1] in ICD10) == any(system in ICD10 for _, system in codings)
