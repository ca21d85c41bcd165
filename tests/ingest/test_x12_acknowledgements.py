"""Acknowledgements in the X12 reader: claim statuses (277CA and 277) as rows, 999 and 997 as notices."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract
from ingest.landing import contract_gate
from ingest.sources import Chunk, UnreadableUnit, source_for
from ingest.sources.x12 import envelope
from tests.ingest.x12_files import CLAIM_BODY, ISA, folder, interchange, merged, read, reasons, transaction, unit_of

HEAD = ["BHT*0085*08*77*20260105*093015*TH", "HL*1**20*1", "NM1*AY*2*HARBOR EXCHANGE*****46*X1", "TRN*1*IN1"]
RECEIVER = ["HL*2*1*21*1", "NM1*41*2*HARBOR*****46*H1", "TRN*2*BATCH1", "STC*A1:20*20260105*WQ*300"]
PROVIDER = ["HL*3*2*19*1", "NM1*85*2*HARBOR CLINIC*****XX*1234567893", "TRN*1*0"]
PATIENT = ["HL*4*3*PT", "NM1*QC*1*DOE*JANE****MI*MEMBER123"]
CLAIMS = [
    *PATIENT,
    "TRN*2*ACCT1",
    "STC*A2:20*20260105*WQ*100",
    "REF*1K*ICN1",
    *PATIENT,
    "TRN*2*ACCT2",
    "STC*A7:562:85*20260104*U*200******A6:21*A3:0",
    "SVC*HC:A1234*200*0",
    "STC*A7:21*20260104*U",
]
CA = [*HEAD, *RECEIVER, *PROVIDER, *CLAIMS]
RESPONSE = [
    "BHT*0010*08*77*20260105*0930*DG",
    "HL*1**20*1",
    "NM1*PR*2*PLAN ONE*****PI*87726",
    "HL*2*1*21*1",
    "HL*3*2*19*1",
    "HL*4*3*22*0",
    "NM1*IL*1*DOE*JANE****MI*MEMBER123",
    "TRN*2*ASKED1",
    "STC*P3:317*20260103**100",
    "REF*EJ*ACCT1",
    "TRN*2*ASKED2",
    "STC*F2:88*20260103**100*0",
    "REF*EJ*ACCT2",
    "TRN*2*ASKED3",
    "STC*A1:704*20260103",
    "TRN*2*ASKED4",
    "REF*EJ*ACCT4",
    "HL*5*4*23",
    "NM1*QC*1*DOE*JOHN",
    "TRN*2*ASKED5",
    "STC*D0:35*20260103",
    "REF*EJ*ACCT5",
]
REPLY = [
    "AK1*HC*28*005010X222A1",
    "AK2*837*0001*005010X222A1",
    "IK5*A",
    "AK2*837*0002",
    "IK3*NM1*17*2010*8",
    "IK4*9*67*7*JANE DOE",
    "IK3*SV1*20**8",
    "IK5*R*5*I6",
    "AK2*837*0003",
    "IK5*E*5",
    "AK2*837*JANE DOE 1980",
    "AK9*P*4*4*2",
]


def of_guide(kind: str, guide: str, *bodies: list[str]) -> str:
    parts = [transaction(kind, body, control=f"{index:04d}") for index, body in enumerate(bodies, 1)]
    return interchange(*parts, version=guide)


def acknowledgement(*bodies: list[str]) -> str:
    return of_guide("277", "005010X214", *bodies)


def everything(chunk: Chunk) -> str:
    return str([frame.rows() for frame in chunk.rows.values()]) + str(chunk.notices) + str(chunk.dropped_fields)


def test_each_status_of_a_claim_is_a_row(tmp_path: Path) -> None:
    chunk = read(tmp_path, acknowledgement(CA))
    rows = chunk.rows["claim_status"]
    assert rows.select("claim_id", "category_code", "status_code", "is_accepted", "stage").rows() == [
        ("ACCT1", "A2", "20", True, "clearinghouse"),
        ("ACCT2", "A7", "562", False, "clearinghouse"),
        ("ACCT2", "A6", "21", False, "clearinghouse"),
        ("ACCT2", "A3", "0", False, "clearinghouse"),
    ]
    # New York: the transaction's own time on its own day, else the beginning of the day.
    made = datetime(2026, 1, 5, 14, 30, 15, tzinfo=UTC)
    assert rows["reported_at"].to_list() == [made, *[datetime(2026, 1, 4, 5, tzinfo=UTC)] * 3]
    assert rows["source_updated_at"].to_list() == [made] * 4
    assert rows["claim_status_id"].n_unique() == 4
    assert rows["source_position"][1] == "ISA 1 GS 1 ST 0001 TRN 2 (segment 23)"
    assert (chunk.records_read, chunk.records_used, chunk.notices) == (2, 2, [])
    assert chunk.dropped_fields["STC*line"] == 1
    assert contract_gate.check(contract("claim_status"), rows).bad.is_empty()
    assert "DOE" not in everything(chunk)
    assert "MEMBER123" not in everything(chunk)


def test_a_status_says_which_of_the_claims_of_a_number_it_means(tmp_path: Path) -> None:
    more = [
        "REF*1K*ICN2",
        "DTP*472*RD8*20260101-20260103",
        "SVC*HC:A1234*60*0",
        "DTP*472*D8*20260102",
        "STC*A7:21*20260104*U*60",
    ]
    rows = read(tmp_path, acknowledgement([*CA[:-2], *more])).rows["claim_status"]
    names = (
        "payer_claim_control_number",
        "billing_provider_npi",
        "billed_amount",
        "service_from_date",
        "service_to_date",
    )
    days = (date(2026, 1, 1), date(2026, 1, 3))
    assert rows.select(names).rows() == [
        ("ICN1", "1234567893", Decimal(100), None, None),
        *[("ICN2", "1234567893", Decimal(200), *days)] * 3,
    ]


@pytest.mark.parametrize(
    ("category", "is_accepted", "notices"),
    [
        ("A0", True, []),
        ("A1", True, []),
        ("A2", True, []),
        ("A3", False, []),
        ("A4", False, []),
        ("A5", True, []),
        ("A6", False, []),
        ("A7", False, []),
        ("A8", False, []),
        ("P1", True, []),
        ("R4", None, []),
        ("R16", None, []),
        ("A9", None, ["status_category_not_known"]),
        ("JANE", None, ["status_category_not_known"]),
        ("", None, ["status_category_not_known"]),
    ],
)
def test_what_a_category_means(tmp_path: Path, category: str, is_accepted: bool | None, notices: list[str]) -> None:
    chunk = read(tmp_path, acknowledgement([*HEAD, *PATIENT, "TRN*2*ACCT1", f"STC*{category}:20*20260105*WQ*1"]))
    assert chunk.rows["claim_status"]["is_accepted"].to_list() == [is_accepted]
    assert chunk.rows["claim_status"]["category_code"].to_list() == [category or None]
    assert reasons(chunk) == notices
    assert "JANE" not in str(chunk.notices)


@pytest.mark.parametrize(("source", "stage"), [("PR", "payer"), ("AY", "clearinghouse"), ("41", None)])
def test_the_stage_is_that_of_the_information_source(tmp_path: Path, source: str, stage: str | None) -> None:
    text = acknowledgement(CA).replace("NM1*AY*", f"NM1*{source}*")
    assert set(read(tmp_path, text).rows["claim_status"]["stage"].to_list()) == {stage}


def test_a_rejected_transmission_names_no_claim_and_is_shown(tmp_path: Path) -> None:
    body = [*HEAD, *RECEIVER[:3], "STC*A8:746*20260105*U*300", *PROVIDER, "STC*A3:24:85*20260105*U*300"]
    chunk = read(tmp_path, acknowledgement(body))
    assert (chunk.records_read, chunk.records_used, chunk.rows) == (1, 1, {})
    assert [(item.reason, item.detail) for item in chunk.notices] == [
        ("submission_rejected", "category A8 for the information receiver as a whole"),
        ("submission_rejected", "category A3 for the provider as a whole"),
    ]


def test_an_acknowledgement_of_nothing_is_shown(tmp_path: Path) -> None:
    chunk = read(tmp_path, acknowledgement(HEAD))
    assert (chunk.records_read, chunk.records_used) == (1, 1)
    assert reasons(chunk) == ["submission_status_unclear"]


def test_an_accepted_transmission_is_shown_where_no_claim_says_so(tmp_path: Path) -> None:
    assert reasons(read(tmp_path, acknowledgement([*HEAD, *RECEIVER]))) == ["submission_accepted"]
    assert reasons(read(tmp_path, acknowledgement([*HEAD, *RECEIVER, *CLAIMS]))) == []


def test_a_claim_without_a_status_and_a_date_that_is_none_are_shown(tmp_path: Path) -> None:
    body = [*HEAD, *PATIENT, "TRN*2*ACCT1", *PATIENT, "TRN*2*ACCT2", "STC*A2:20*20261399", *PATIENT, "STC*A2:20"]
    chunk = read(tmp_path, acknowledgement(body))
    # The third patient has a status and no claim it is of.
    assert reasons(chunk) == ["date_not_valid", "claim_without_status", "submission_accepted"]
    assert chunk.notices[2].detail == "category A2 for the patient without a claim as a whole"
    assert chunk.rows["claim_status"]["reported_at"].to_list() == [datetime(2026, 1, 5, 14, 30, 15, tzinfo=UTC)]


def test_a_status_response_finds_the_claim_by_its_control_number(tmp_path: Path) -> None:
    chunk = read(tmp_path, of_guide("277", "005010X212", RESPONSE))
    rows = chunk.rows["claim_status"]
    assert rows.select("claim_id", "category_code", "is_accepted", "stage").rows() == [
        ("ACCT1", "P3", True, "payer"),
        (None, "A1", True, "payer"),
    ]
    assert (chunk.records_read, chunk.records_used) == (5, 5)
    assert reasons(chunk) == ["claim_already_adjudicated", "claim_status_not_given", "claim_without_status"]
    held = contract_gate.check(contract("claim_status"), rows)
    assert held.bad.height == 1, "a status without the claim it is of is held back"


def test_the_same_acknowledgement_in_another_file_is_the_same_statuses(tmp_path: Path) -> None:
    first = read(tmp_path, acknowledgement(CA), "a.277").rows["claim_status"]
    second = read(tmp_path, acknowledgement(CA).replace("000000001", "000000002"), "b.277").rows["claim_status"]
    assert first["claim_status_id"].equals(second["claim_status_id"])


def test_a_277_of_another_guide_is_refused_with_its_claims_counted(tmp_path: Path) -> None:
    chunk = read(tmp_path, of_guide("277", "005010X213", CA))
    assert [(item.reason, item.records) for item in chunk.refusals] == [("transaction_not_in_model", 2)]
    assert "X214" in chunk.refusals[0].detail


def test_an_acknowledgement_that_lost_segments_is_refused_with_its_claims_counted(tmp_path: Path) -> None:
    chunk = read(tmp_path, acknowledgement(CA, CA).replace("REF*1K*ICN1~\n", "", 1))
    assert [(item.reason, item.records) for item in chunk.refusals] == [("segment_count_wrong", 2)]
    assert (chunk.records_read, chunk.records_used) == (4, 2)


def test_another_component_separator_than_declared(tmp_path: Path) -> None:
    text = acknowledgement(CA).replace(":", ">").replace("*P*>~", "*P*:~")
    chunk = read(tmp_path, text)
    assert reasons(chunk) == ["component_separator_differs"]
    assert chunk.rows["claim_status"]["status_code"].to_list() == ["20", "562", "21", "0"]


def test_each_acknowledged_transaction_is_a_notice(tmp_path: Path) -> None:
    chunk = read(tmp_path, of_guide("999", "005010X231A1", REPLY))
    assert (chunk.records_read, chunk.records_used, list(chunk.rows)) == (4, 4, ["acknowledgement"])
    assert [(item.reason, item.detail) for item in chunk.notices] == [
        ("transaction_accepted", "a transaction 837 was accepted"),
        (
            "transaction_rejected",
            "transaction 837 with control number 0002 was rejected; error codes 5, I6; "
            "first error at segment 17 (NM1) and 1 more",
        ),
        (
            "transaction_accepted",
            "transaction 837 with control number 0003 was accepted, with errors noted; error codes 5",
        ),
        (
            "transaction_outcome_not_given",
            "transaction 837 with control number not given is acknowledged, but its outcome is missing or unknown",
        ),
    ]
    assert chunk.notices[1].position == "ISA 1 GS 1 ST 0001 AK2 2 (segment 7)"
    assert chunk.dropped_fields == {"IK4": 1}
    assert "JANE" not in everything(chunk)


@pytest.mark.parametrize(
    ("closing", "reason"),
    [
        ("AK9*A*3*3*3", "accepted"),
        ("AK9*R*3*3*0*1", "rejected"),
        ("AK9*P*3*3*1", "rejected"),
        ("", "outcome_not_given"),
    ],
)
def test_a_group_acknowledged_as_a_whole_is_one_notice(tmp_path: Path, closing: str, reason: str) -> None:
    body = ["AK1*HC*28", *([closing] if closing else [])]
    chunk = read(tmp_path, of_guide("999", "005010X231A1", body))
    assert reasons(chunk) == [f"group_{reason}"]
    named = "a group was accepted" if reason == "accepted" else "group with control number 28"
    assert named in chunk.notices[0].detail
    assert ("error codes 1" in chunk.notices[0].detail) == ("*0*1" in closing)
    assert (chunk.records_read, chunk.records_used) == (1, 1)


def test_a_997_is_read_like_a_999(tmp_path: Path) -> None:
    body = ["AK1*HC*28", "AK2*837*0001", "AK3*CLM*9", "AK5*R*5", "AK9*R*1*1*0"]
    chunk = read(tmp_path, of_guide("997", "004010", body))
    assert reasons(chunk) == ["transaction_rejected"]
    assert "segment 9 (CLM)" in chunk.notices[0].detail


def test_each_acknowledgement_is_a_row_under_the_numbers_of_what_it_answers(tmp_path: Path) -> None:
    chunk = read(tmp_path, of_guide("999", "005010X231A1", REPLY))
    rows = chunk.rows["acknowledgement"]
    assert contract_gate.check(contract("acknowledgement"), rows).bad.is_empty()
    columns = ("level", "transaction_kind", "group_control_number", "transaction_control_number", "is_accepted")
    assert rows.select(*columns, "outcome_code", "error_codes").rows() == [
        ("group", None, "28", None, None, "P", None),
        ("transaction", "837", "28", "0001", True, "A", None),
        ("transaction", "837", "28", "0002", False, "R", "5:I6"),
        ("transaction", "837", "28", "0003", True, "E", "5"),
        ("transaction", "837", "28", None, None, None, None),
    ]
    assert set(rows["receiver_code"]) == {"R"}
    assert rows["acknowledgement_id"].n_unique() == 5
    again = read(tmp_path, of_guide("999", "005010X231A1", REPLY), "other.x12").rows["acknowledgement"]
    assert again["acknowledgement_id"].to_list() == rows["acknowledgement_id"].to_list()
    next_one = of_guide("999", "005010X231A1", REPLY).replace("000000001", "000000002")
    assert not set(read(tmp_path, next_one).rows["acknowledgement"]["acknowledgement_id"]) & set(
        rows["acknowledgement_id"]
    )


@pytest.mark.parametrize(
    ("code", "reason", "is_accepted"),
    [("A", "accepted", True), ("E", "accepted", True), ("R", "rejected", False), ("", "outcome_not_given", None)],
)
def test_an_acknowledged_interchange_is_a_row_and_a_notice(
    tmp_path: Path, code: str, reason: str, is_accepted: bool | None
) -> None:
    ta1 = f"TA1*000000077*260105*0930*{code}*006~"
    alone = f"{ISA}\n{ta1}\nIEA*0*000000001~"
    chunk = read(tmp_path, alone)
    assert reasons(chunk) == [f"interchange_{reason}"]
    assert "interchange with control number 000000077" in chunk.notices[0].detail
    assert chunk.notices[0].position == "ISA 1 TA1 (segment 2)"
    row = chunk.rows["acknowledgement"].row(0, named=True)
    assert (row["level"], row["interchange_control_number"], row["is_accepted"]) == (
        "interchange",
        "000000077",
        is_accepted,
    )
    assert row["reported_at"] == datetime(2026, 1, 2, 15, tzinfo=UTC)
    assert (chunk.records_read, chunk.records_used) == (0, 0), "it stands outside any transaction"
    assert contract_gate.check(contract("acknowledgement"), chunk.rows["acknowledgement"]).bad.is_empty()
    beside = read(tmp_path, interchange(transaction("837", CLAIM_BODY)).replace("GS*", f"{ta1}GS*", 1))
    assert beside.rows["claim"].height == beside.rows["acknowledgement"].height == 1


def test_what_an_acknowledgement_holds_in_place_of_a_number_is_not_taken(tmp_path: Path) -> None:
    text = f"{ISA}TA1*JANE DOE*X*X*DOE JANE*JANE~IEA*0*000000001~"
    chunk = read(tmp_path, text)
    assert "JANE" not in everything(chunk)
    assert reasons(chunk) == ["interchange_outcome_not_given"]


def test_claims_and_acknowledgements_in_one_interchange(tmp_path: Path) -> None:
    status = transaction("277", CA, control="0002").replace("*0002~", "*0002*005010X214~", 1)
    text = interchange(transaction("837", CLAIM_BODY), status, transaction("999", REPLY, control="0003"))
    chunk = read(tmp_path, text)
    assert chunk.refusals == []
    assert (chunk.records_read, chunk.records_used) == (7, 7)
    assert chunk.rows["claim"]["claim_id"].to_list() == ["ACCT1"]
    assert chunk.rows["claim_status"]["claim_id"].to_list() == ["ACCT1", "ACCT2", "ACCT2", "ACCT2"]


def test_pieces_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = acknowledgement(*[[*CA, f"REF*1K*{number}"] for number in range(30)])
    whole = read(tmp_path, text)
    monkeypatch.setattr(envelope, "PIECE_BYTES", 2000)
    chunks = list(source_for("x12").read(unit_of(tmp_path, text)))
    assert len(chunks) > 5
    assert merged(chunks).rows["claim_status"].equals(whole.rows["claim_status"])


WHOLE = interchange(
    transaction("277", CA).replace("ST*277*0001~", "ST*277*0001*005010X214~"),
    transaction("277", RESPONSE, control="0002").replace("*0002~", "*0002*005010X212~", 1),
    transaction("999", REPLY, control="0003"),
).encode()
RECORDS = 2 + 5 + 4


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_file_cut_anywhere_is_read_or_refused_and_balances(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    try:
        # `read` asserts for each chunk that what was read was used or refused.
        chunk = read(tmp_path_factory.mktemp("cut"), WHOLE[:length])
    except UnreadableUnit:
        assert length < 106
        return
    assert chunk.records_read <= RECORDS
    whole = WHOLE[:length].count(b"SE*")
    assert chunk.records_used >= (0, 2, 7, 11)[max(whole - 1, 0)]
    if length == len(WHOLE):
        assert (chunk.records_read, chunk.refusals) == (RECORDS, [])


SEGMENTS = [
    *CA,
    *RESPONSE,
    *REPLY,
    "STC",
    "TRN",
    "HL",
    "AK2",
    "IK5",
    "AK9*",
    "STC*::",
    "STC*A7",
    "SE*5*0001",
    "ST*999*9",
]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(SEGMENTS), max_size=40), st.sampled_from(["X214", "X212", "999", "997"]))
def test_any_order_of_segments_balances_and_says_something_of_every_record(
    tmp_path_factory: pytest.TempPathFactory, body: list[str], kind: str
) -> None:
    number = "277" if kind.startswith("X") else kind
    chunk = read(tmp_path_factory.mktemp("order"), of_guide(number, f"005010{kind}", body))
    assert "MEMBER123" not in everything(chunk)
    assert chunk.rows or chunk.notices or chunk.refusals


@settings(max_examples=80, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.binary(max_size=20))
def test_a_damaged_file_is_read_or_refused_but_never_fails(
    tmp_path_factory: pytest.TempPathFactory, at: int, lost: int, put: bytes
) -> None:
    try:
        read(tmp_path_factory.mktemp("damage"), WHOLE[:at] + put + WHOLE[at + lost :])
    except UnreadableUnit:
        return


def published(name: str, file: str) -> Chunk:
    result = [unit for unit in folder(name) if unit.name == file]
    assert len(result) == 1, f"{file} is missing"
    return merged(list(source_for("x12").read(result[0])))


@pytest.mark.real_data
def test_published_claim_acknowledgements() -> None:
    accepted, rejected = (published("claims", f"x12_277CA_{name}.txt") for name in ("accepted", "rejected"))
    columns = ("claim_id", "category_code", "status_code", "is_accepted", "stage")
    assert accepted.rows["claim_status"].select(columns).rows() == [("5781", "A2", "20", True, "payer")]
    assert rejected.rows["claim_status"].select(columns).rows() == [("3920394930203", "A7", "562", False, "payer")]
    for chunk in (accepted, rejected):
        assert (chunk.records_read, chunk.records_used) == (1, 1)
        assert contract_gate.check(contract("claim_status"), chunk.rows["claim_status"]).bad.is_empty()


@pytest.mark.real_data
def test_published_claim_statuses() -> None:
    chunk = published("claims", "x12_277_x212.txt")
    rows = chunk.rows["claim_status"]
    assert rows["claim_id"].to_list() == [str(number) for number in (*range(12345, 12350), 12340, 12341, 12342)]
    assert set(rows.select("category_code", "status_code", "is_accepted", "stage").rows()) == {
        ("A1", "704", True, "payer")
    }
    assert (chunk.records_read, chunk.records_used) == (8, 8)
    assert reasons(chunk) == ["interchange_count_wrong"], "its IEA bears another number than its ISA"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "records", "claims", "notices"),
    [
        ("claim-level-status.277", 3, ["SM123456"], {"claim_already_adjudicated": 2}),
        ("claim-level-status-ncpdp.277", 1, [], {"claim_already_adjudicated": 1}),
        ("information-receiver-level-status.277", 1, [], {"claim_status_not_given": 1}),
        ("provider-level-status.277", 1, ["SM123456"], {"claim_status_not_given": 1}),
    ],
)
def test_claim_status_responses_of_the_guide(
    file: str, records: int, claims: list[str], notices: dict[str, int]
) -> None:
    chunk = published("implementation-guide/277_005010X212", file)
    assert (chunk.records_read, chunk.records_used) == (records, records)
    assert [claim for frame in chunk.rows.values() for claim in frame["claim_id"]] == claims
    result: Counter[str] = Counter()
    for item in chunk.notices:
        result[item.reason] += item.records
    assert result == notices


@pytest.mark.real_data
def test_published_acknowledgements_of_transactions() -> None:
    accepted, rejected = (published("claims", f"x12_999_{name}.txt") for name in ("accepted", "rejected"))
    assert [item.detail for item in accepted.notices if item.reason == "transaction_accepted"] == [
        "a transaction 837 was accepted"
    ]
    assert [item.detail for item in rejected.notices if item.reason == "transaction_rejected"] == [
        "transaction 837 with control number 0028 was rejected; error codes 5; first error at segment 17 (NM)"
    ]
    for chunk in (accepted, rejected):
        assert (chunk.records_read, chunk.records_used) == (1, 1)
        assert contract_gate.check(contract("acknowledgement"), chunk.rows["acknowledgement"]).bad.is_empty()
