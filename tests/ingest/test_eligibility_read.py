"""Answers on eligibility as 271 and FHIR carry them: whom they are about, what they say of the coverage, and the patient's shares."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract
from ingest.interface import Chunk
from ingest.landing import contract_gate
from ingest.sources import source_for
from tests.ingest import fhir_reading
from tests.ingest.x12_files import interchange, merged, read, reasons, transaction, unit_of

HEAD = ["BHT*0022*11*1*20260102*0930", "HL*1**20*1", "NM1*PR*2*PLAN ONE*****PI*87726", "HL*2*1*21*1", "NM1*1P*2*HARBOR"]
SUBSCRIBER = [
    "HL*3*2*22*0",
    "TRN*1*P-77*9PAYER",
    "TRN*2*T-1*9CLINIC",
    "NM1*IL*1*DOE*JANE****MI*W123",
    "REF*EA*M0001",
    "N3*1 SECRET STREET",
    "DMG*D8*19800102*F",
    "DTP*346*D8*20260101",
]
ACTIVE = [
    "EB*1*IND*30**GOLD PLAN",
    "EB*B*IND*98^UC***27*25*****Y",
    "EB*A*IND*30*****.2****Y",
    "EB*C*FAM*30***23*1000*****N",
    "EB*C*IND****29*400.5*****W",
    "EB*G*IND*30***23*4000",
    "MSG*CALL JANE",
]
DEPENDENT = [
    "HL*4*2*22*1",
    "NM1*IL*1*ROE*RICK****MI*W9",
    "REF*EA*M0009",
    "HL*5*4*23*0",
    "TRN*2*T-2*9CLINIC",
    "NM1*03*1*ROE*KID",
    "DMG*D8*20150102*M",
    "EB*6**30",
    "DTP*291*RD8*20250101-20251231",
]
REJECTED = ["HL*6*2*22*0", "TRN*2*T-3*9", "NM1*IL*1*POE*ANN****MI*W7", "AAA*N**75*C"]


def answer_file(*bodies: list[str], repetition: str = "^") -> str:
    texts = []
    for number, body in enumerate(bodies, start=1):
        control = f"{number:04}"
        text = transaction("271", body, control=control)
        texts.append(text.replace(f"ST*271*{control}", f"ST*271*{control}*005010X279A1"))
    text = interchange(*texts, version="005010X279A1")
    return text.replace("^", repetition)


def stated(chunk: Chunk, entity: str, *names: str) -> list[tuple[object, ...]]:
    return chunk.rows[entity].select(names).rows()


def shown(chunk: Chunk) -> str:
    notices = " ".join(f"{item.detail}{item.position}" for item in chunk.notices)
    return notices + " ".join(chunk.dropped_fields)


def test_each_patient_of_a_271_is_an_answer(tmp_path: Path) -> None:
    chunk = read(tmp_path, answer_file([*HEAD, *SUBSCRIBER, *ACTIVE, *DEPENDENT, *REJECTED]))
    names = (
        "patient_id",
        "member_token",
        "birth_year",
        "payer_id",
        "plan_name",
        "status",
        "reject_code",
        "trace_number",
    )
    assert stated(chunk, "eligibility_answer", *names, "valid_from", "valid_to") == [
        ("M0001", "W123", 1980, "87726", "GOLD PLAN", "active", None, "T-1", date(2026, 1, 1), None),
        # The record number above a dependent is another person's, the member number is the family's.
        (None, "W9", 2015, "87726", None, "inactive", None, "T-2", date(2025, 1, 1), date(2025, 12, 31)),
        (None, "W7", None, "87726", None, "error", "75", "T-3", None, None),
    ]
    assert set(chunk.rows["eligibility_answer"]["answered_at"]) == {datetime(2026, 1, 2, 14, 30, tzinfo=UTC)}
    assert (chunk.records_read, chunk.records_used) == (4, 4)
    assert [(item.reason, item.detail) for item in chunk.notices] == [
        ("eligibility_rejected", "reason 75 for the subscriber")
    ]
    assert chunk.rows["payer"]["name"].to_list() == ["PLAN ONE"]
    everything = shown(chunk) + str([frame.drop("patient_id", strict=False).rows() for frame in chunk.rows.values()])
    assert not any(name in everything for name in ("DOE", "JANE", "ROE", "SECRET", "19800102"))


def test_the_shares_of_the_patient_are_rows_for_each_kind_of_service(tmp_path: Path) -> None:
    chunk = read(tmp_path, answer_file([*HEAD, *SUBSCRIBER, *ACTIVE]))
    names = (
        "benefit_type",
        "service_type_code",
        "coverage_level",
        "network",
        "amount_kind",
        "benefit_amount",
        "benefit_percent",
    )
    assert stated(chunk, "eligibility_benefit", *names) == [
        ("copay", "98", "individual", "in", "total", "25", None),
        ("copay", "UC", "individual", "in", "total", "25", None),
        ("coinsurance", "30", "individual", "in", "total", None, "20.0000"),
        ("deductible", "30", "family", "out", "total", "1000", None),
        ("deductible", None, "individual", "any", "remaining", "400.5", None),
    ]
    rows = chunk.rows["eligibility_benefit"]
    assert rows["eligibility_benefit_id"].n_unique() == 5
    assert set(rows["eligibility_answer_id"]) == set(chunk.rows["eligibility_answer"]["eligibility_answer_id"])
    assert chunk.dropped_fields == {"EB*G": 1, "MSG": 1, "N3": 1, "NM1*1P": 1}
    assert contract_gate.check(contract("eligibility_benefit"), rows).bad.is_empty()


@pytest.mark.parametrize(
    ("benefits", "status"),
    [
        (["EB*1**30"], "active"),
        (["EB*5"], "active"),
        (["EB*6"], "inactive"),
        (["EB*8**30^98"], "inactive"),
        # Dental coverage has ended, the plan has not; and the other way round.
        (["EB*6**35", "EB*1**30"], "active"),
        (["EB*6**30", "EB*1**35"], "inactive"),
        (["EB*1**33", "EB*6**35"], "active"),
        (["EB*U**30"], "unknown"),
        ([], "unknown"),
        (["AAA*N**72*C"], "error"),
        (["EB*1**30", "EB*V**47", "AAA*Y**42*R"], "active"),
    ],
)
def test_what_is_said_of_the_whole_plan_decides(tmp_path: Path, benefits: list[str], status: str) -> None:
    chunk = read(tmp_path, answer_file([*HEAD, *SUBSCRIBER, *benefits]))
    assert stated(chunk, "eligibility_answer", "status") == [(status,)]
    assert ("eligibility_unclear" in reasons(chunk)) == (status == "unknown")


def test_a_question_that_is_rejected_as_a_whole_is_one_answer_about_nobody(tmp_path: Path) -> None:
    chunk = read(tmp_path, answer_file([*HEAD[:2], "AAA*Y**42*R", HEAD[2]], [*HEAD, *REJECTED], [*HEAD, "AAA*N**51*C"]))
    assert stated(chunk, "eligibility_answer", "status", "reject_code", "member_token", "payer_id") == [
        ("error", "75", "W7", "87726"),
        ("error", "42", None, "87726"),
        ("error", "51", None, "87726"),
    ]
    assert {item.detail for item in chunk.notices} == {
        "reason 42 for the payer",
        "reason 51 for the provider",
        "reason 75 for the subscriber",
    }


def test_codes_that_no_code_set_knows_are_kept_and_counted(tmp_path: Path) -> None:
    body = [*HEAD, *SUBSCRIBER, "EB*1**30", "EB*ZZ**30", "EB*B*IND*9X9***27*25*****Q", *REJECTED[:-1], "AAA*N**Q1*C"]
    chunk = merged_with_words(tmp_path, answer_file(body))
    words = {(item.entity, item.column, item.word) for item in chunk.unknown_words}
    assert words == {
        ("eligibility_benefit", "benefit_type", "ZZ"),
        ("eligibility_benefit", "service_type_code", "9X9"),
        ("eligibility_answer", "reject_code", "Q1"),
    }
    assert stated(chunk, "eligibility_benefit", "service_type_code", "network") == [("9X9", "unknown")]
    assert stated(chunk, "eligibility_answer", "reject_code") == [(None,), ("Q1",)]
    assert chunk.dropped_fields["EB*ZZ"] == 1


def merged_with_words(path: Path, text: str) -> Chunk:
    chunks = list(source_for("x12").read(unit_of(path, text)))
    chunk = merged(chunks)
    chunk.unknown_words = [word for item in chunks for word in item.unknown_words]
    return chunk


def test_bad_values_are_left_to_the_contract_gate(tmp_path: Path) -> None:
    body = [
        *HEAD,
        *SUBSCRIBER,
        "EB*1**30",
        "EB*A*IND*30*****20****Y",
        "EB*A*IND*30*****some****Y",
        "EB*B*IND*98***27*x",
    ]
    rows = read(tmp_path, answer_file(body)).rows["eligibility_benefit"]
    assert rows["benefit_percent"].to_list() == ["2000.0000", "some", None]
    held = contract_gate.check(contract("eligibility_benefit"), rows)
    assert (held.bad.height, held.good.height) == (3, 0)


def test_the_same_answers_in_another_file_or_with_other_separators_are_the_same_rows(tmp_path: Path) -> None:
    body = [*HEAD, *SUBSCRIBER, *ACTIVE]
    first = read(tmp_path, answer_file(body), "a.271")
    second = read(tmp_path, answer_file(body, repetition="|").replace("000000001", "000000002"), "b.271")
    for entity, key in (
        ("eligibility_answer", "eligibility_answer_id"),
        ("eligibility_benefit", "eligibility_benefit_id"),
    ):
        assert first.rows[entity][key].equals(second.rows[entity][key])
    assert second.rows["eligibility_benefit"]["service_type_code"].to_list()[:2] == ["98", "UC"]


def test_questions_are_refused_by_name_and_the_answers_beside_them_are_read(tmp_path: Path) -> None:
    text = interchange(
        transaction("270", ["BHT*0022*13*1", "HL*1**20*1", "HL*2*1*22*0"]),
        transaction("271", [*HEAD, *SUBSCRIBER, *ACTIVE]),
        version="005010X279A1",
    )
    chunk = read(tmp_path, text)
    assert [(item.reason, item.records) for item in chunk.refusals] == [("transaction_not_in_model", 1)]
    assert "270" in chunk.refusals[0].detail
    assert chunk.rows["eligibility_answer"].height == 1


EB = st.tuples(
    st.sampled_from(["1", "6", "A", "B", "C", "G", "U", "Y", "CB"]),
    st.lists(st.sampled_from(["30", "98", "UC", "1"]), min_size=1, max_size=3),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(answers=st.lists(st.lists(EB, max_size=5), min_size=1, max_size=4))
def test_every_share_is_a_row_for_each_service_and_every_patient_an_answer(
    tmp_path_factory: pytest.TempPathFactory, answers: list[list[tuple[str, list[str], bool]]]
) -> None:
    body, expected, unread = list(HEAD), [], 0
    for number, benefits in enumerate(answers):
        body += [f"HL*{number + 3}*2*22*0", f"NM1*IL*1*X*Y****MI*W{number}"]
        for code, services, has_amount in benefits:
            body.append(f"EB*{code}*IND*{'^'.join(services)}***27*{'5' if has_amount else ''}*****Y")
            if code in "ABC" and has_amount:
                expected += [(number, service) for service in services]
            unread += code not in ("1", "6", "A", "B", "C")
    chunk = read(tmp_path_factory.mktemp("eb"), answer_file(body))
    rows = chunk.rows.get("eligibility_benefit", pl.DataFrame({"eligibility_answer_id": [], "service_type_code": []}))
    members = chunk.rows["eligibility_answer"].select("eligibility_answer_id", "member_token")
    assert members["member_token"].to_list() == [f"W{number}" for number in range(len(answers))]
    place = {key: int(member[1:]) for key, member in members.rows()}
    service_rows = rows.select("eligibility_answer_id", "service_type_code").rows()
    assert [(place[key], service) for key, service in service_rows] == expected
    assert sum(count for name, count in chunk.dropped_fields.items() if name.startswith("EB*")) == unread
    assert chunk.records_read == len(answers)


def coded(code: str) -> dict[str, object]:
    return {"coding": [{"code": code}]}


RESPONSE: dict[str, object] = {
    "resourceType": "CoverageEligibilityResponse",
    "status": "active",
    "purpose": ["benefits"],
    "patient": {"reference": "Patient/p1"},
    "created": "2026-03-01T10:00:00Z",
    "insurer": {"reference": "Organization/plan"},
    "outcome": "complete",
}


def test_a_response_of_fhir_is_an_answer_for_each_insurance(tmp_path: Path) -> None:
    item = {
        "category": coded("30"),
        "network": coded("in"),
        "unit": coded("individual"),
        "benefit": [
            {"type": coded("copay"), "allowedMoney": {"value": 20, "currency": "USD"}},
            {"type": coded("copay-percent"), "allowedUnsignedInt": 20},
            {"type": coded("deductible"), "allowedMoney": {"value": 500}, "usedMoney": {"value": 125.5}},
            {"type": coded("visit"), "allowedUnsignedInt": 12},
        ],
    }
    period = {"start": "2026-01-01", "end": "2026-12-31"}
    path = fhir_reading.lines(
        tmp_path,
        RESPONSE
        | {"id": "a", "insurance": [{"inforce": True, "benefitPeriod": period, "item": [item]}, {"inforce": False}]},
        RESPONSE | {"id": "b", "outcome": "error", "error": [{"code": coded("a002")}]},
        RESPONSE | {"id": "c", "outcome": "queued"},
        RESPONSE | {"id": "d", "status": "cancelled"},
        RESPONSE | {"id": "e", "status": "draft"},
        RESPONSE
        | {
            "id": "f",
            "insurance": [
                {
                    "item": [
                        item | {"benefit": [{"type": coded("copay"), "allowedMoney": {"value": 1, "currency": "EUR"}}]}
                    ]
                }
            ],
        },
    )
    result = fhir_reading.read(path)
    answers = result.good["eligibility_answer"]
    names = ("eligibility_answer_id", "payer_id", "status", "reject_code", "valid_to")
    assert answers.select(names).rows() == [
        ("a/1", "plan", "active", None, date(2026, 12, 31)),
        ("a/2", "plan", "inactive", None, None),
        ("b/1", "plan", "error", "a002", None),
        ("c/1", "plan", "unknown", None, None),
    ]
    shares = result.good["eligibility_benefit"].select(
        "benefit_type", "amount_kind", "benefit_amount", "benefit_percent"
    )
    assert [tuple(None if value is None else str(value) for value in row) for row in shares.rows()] == [
        ("copay", "total", "20.0000", None),
        ("coinsurance", "total", None, "20.0000"),
        ("deductible", "total", "500.0000", None),
        ("deductible", "used", "125.5000", None),
    ]
    assert set(result.good["record_deletion"]["entity"]) == {"eligibility_answer", "eligibility_benefit"}
    assert sorted(item.reason for item in result.refusals) == ["not_submitted", "not_us_dollars"]
