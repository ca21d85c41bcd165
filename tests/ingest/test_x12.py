"""The X12 reader: envelopes, claims, remittances, and the third-party files with their published figures."""

import gzip
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract
from foundation.config import Feed
from ingest.interface import Unit
from ingest.landing import contract_gate
from ingest.sources import Chunk, UnreadableUnit, source_for
from ingest.sources.x12 import envelope
from ingest.sources.x12.reader import SUFFIXES
from tests.refusals import refused_file

DATA = Path(__file__).parents[2] / "../shared/data/x12"
ISA = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260102*1000*^*00501*000000001*0*P*:~"
CLAIM_BODY = [
    "BHT*0019*00*1*20260102*0930*CH",
    "HL*1**20*1",
    "NM1*85*2*HARBOR CLINIC*****XX*1234567893",
    "HL*2*1*22*0",
    "SBR*P*18*******MB",
    "NM1*IL*1*DOE*JANE****MI*MEMBER123",
    "N3*1 SECRET STREET",
    "NM1*PR*2*PLAN ONE*****PI*87726",
    "CLM*ACCT1*100***11:B:7*Y*A*Y*I",
    "REF*F8*ICN9",
    "NM1*82*1*GRAY*ANNA****XX*1999999984",
    "SBR*S*18*******MC",
    "NM1*PR*2*PLAN TWO*****PI*SECOND",
    "REF*F8*OTHERICN",
    "NM1*82*1*ELSE*SOME****XX*1111111112",
    "LX*1",
    "SV1*HC:A1234:25:59*60.50*UN*2*12**1",
    "DTP*472*RD8*20260101-20260103",
    "REF*6R*LINE1",
    "LX*2",
    "SV1*HC:B1234*39.50*UN*1***1",
    "DTP*472*D8*20260104",
]
REMITTANCE_BODY = [
    "BPR*I*35*C*ACH*CCP*01*1*DA*1*1**01*1*DA*1*20260112",
    "TRN*1*EFT1*1999999999",
    "DTM*405*20260110",
    "N1*PR*PLAN ONE*XV*87726",
    "N1*PE*HARBOR*XX*1234567893",
    "LX*1",
    "CLP*ACCT1*1*100*40*20*MB*ICN1*11*1",
    "CAS*CO*45*10",
    "NM1*QC*1*DOE*JANE****MI*MEMBER123",
    "DTM*232*20260101",
    "SVC*HC:A1234:25*60*30**2*HC:A9999",
    "DTM*472*20260101",
    "CAS*CO*45*15**253*5*1",
    "CAS*PR*1*10",
    "REF*6R*LINE1",
    "AMT*B6*45",
    "LQ*HE*N1",
    "LQ*HE*M15",
    "SVC*NU:0450*40*20",
    "CAS*PR*2*20",
    "PLB*1234567893*20261231*WO:REF9*10*L6*-5",
]


def transaction(kind: str, body: list[str], *, control: str = "0001", count: int | None = None) -> str:
    version = {"837": "*005010X222A1", "835": ""}.get(kind, "")
    segments = [f"ST*{kind}*{control}{version}", *body]
    return "~\n".join([*segments, f"SE*{count or len(segments) + 1}*{control}"]) + "~\n"


def interchange(*transactions: str, isa: str = ISA, version: str = "005010X222A1") -> str:
    head = f"{isa}\nGS*HC*S*R*20260102*1000*1*X*{version}~\n"
    return head + "".join(transactions) + f"GE*{len(transactions)}*1~\nIEA*1*000000001~\n"


def unit_of(path: Path, content: str | bytes, name: str = "file.x12") -> Unit:
    (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    feed = Feed(tenant_id="t", name="x12", kind="x12", path=str(path / name), time_zone="America/New_York")
    return source_for("x12").discover(feed)[0]


def read(path: Path, content: str | bytes, name: str = "file.x12") -> Chunk:
    """All chunks of one file as one."""
    return merged(list(source_for("x12").read(unit_of(path, content, name))))


def merged(chunks: list[Chunk]) -> Chunk:
    total = Chunk()
    parts: dict[str, list[pl.DataFrame]] = {}
    for chunk in chunks:
        assert chunk.records_read == chunk.records_used + sum(item.records for item in chunk.refusals)
        total.records_read += chunk.records_read
        total.records_used += chunk.records_used
        total.refusals += chunk.refusals
        total.notices += chunk.notices
        total.dropped_fields += chunk.dropped_fields
        for entity, frame in chunk.rows.items():
            reader_columns = {column.name for column in contract(entity).reader_columns}
            assert set(frame.columns) <= reader_columns, entity
            assert {"source_record_id", "source_position"} <= set(frame.columns)
            assert frame["source_position"].null_count() == 0
            parts.setdefault(entity, []).append(frame)
    total.rows = {entity: pl.concat(frames, how="diagonal_relaxed") for entity, frames in parts.items()}
    return total


def money(frame: pl.DataFrame, column: str) -> Decimal:
    return sum((Decimal(value) for value in frame[column].cast(pl.String).to_list()), Decimal(0))


def reasons(chunk: Chunk) -> list[str]:
    return [notice.reason for notice in chunk.notices]


def test_claim_takes_each_value_from_its_own_loop(tmp_path: Path) -> None:
    rows = read(tmp_path, interchange(transaction("837", CLAIM_BODY))).rows
    claim = rows["claim"].row(0, named=True)
    assert (claim["claim_id"], claim["billed_amount"]) == ("ACCT1", "100")
    assert (claim["payer_id"], claim["payer_sequence"]) == ("87726", "primary")
    assert (claim["provider_id"], claim["billing_provider_npi"]) == ("1999999984", "1234567893")
    assert claim["original_payer_claim_control_number"] == "ICN9"
    assert (claim["place_of_service"], claim["frequency_code"]) == ("11", "7")
    assert (str(claim["service_from_date"]), str(claim["service_to_date"])) == ("2026-01-01", "2026-01-04")
    assert claim["submitted_at"].isoformat() == "2026-01-02T14:30:00+00:00", "09:30 in New York"
    assert claim["source_position"] == "ISA 1 GS 1 ST 0001 CLM 1 (segment 12)"
    first, second = rows["claim_line"].rows(named=True)
    assert (first["procedure_code"], first["modifiers"], first["units"]) == ("A1234", "25:59", "2")
    assert (first["line_control_number"], first["place_of_service"]) == ("LINE1", "12")
    assert (second["line_number"], second["modifiers"], str(second["service_date"])) == (2, None, "2026-01-04")
    assert set(rows["claim_line"]["claim_submission_id"]) == {claim["claim_submission_id"]}


def test_a_claim_counts_by_its_total_where_its_lines_do_not_add_up_to_it_and_the_gap_is_shown(tmp_path: Path) -> None:
    text = transaction("837", CLAIM_BODY).replace("39.50", "39.49")
    chunk = read(tmp_path, interchange(text, text.replace("0001", "0002")))
    assert chunk.rows["claim"]["billed_amount"].to_list() == ["100", "100"]
    assert [(item.reason, item.records) for item in chunk.notices] == [("claim_lines_out_of_balance", 2)]
    assert chunk.notices[0].position == "ISA 1 GS 1 ST 0001 CLM 1 (segment 12)"


def test_what_another_payer_paid_is_not_taken_for_the_claims_own(tmp_path: Path) -> None:
    other = ["CAS*CO*45*20", "AMT*D*70", "AMT*EAF*10", "OI***Y***Y"]
    line = ["SVD*SECOND*70*HC:A1234**2", "CAS*PR*2*10", "DTP*573*D8*20260109", "REF*6R*OTHERLINE"]
    plain = read(tmp_path, interchange(transaction("837", CLAIM_BODY)))
    # 2320 and 2330 between the other payer's SBR and the first LX, 2430 at the end of the first line.
    body = [*CLAIM_BODY[:12], *other, *CLAIM_BODY[12:19], *line, *CLAIM_BODY[19:]]
    found = read(tmp_path, interchange(transaction("837", body)))
    assert found.notices == []
    for entity, frame in plain.rows.items():
        changes = [name for name in frame.columns if name.endswith("_id") and name not in ("payer_id", "claim_id")]
        changes.append("source_position")
        assert frame.drop(changes).equals(found.rows[entity].drop(changes)), entity
    assert found.dropped_fields["CAS"] == 2
    assert found.dropped_fields["AMT"] == 2


def test_payers_get_their_class_from_the_filing_indicator_of_their_own_loop(tmp_path: Path) -> None:
    payers = read(tmp_path, interchange(transaction("837", CLAIM_BODY))).rows["payer"]
    found = {row["payer_id"]: (row["name"], row["payer_class"]) for row in payers.rows(named=True)}
    assert found == {"87726": ("PLAN ONE", "medicare"), "SECOND": ("PLAN TWO", "medicaid")}


def test_what_tells_claims_of_one_number_apart_is_taken_from_its_own_loop(tmp_path: Path) -> None:
    body = [
        "HL*1**20*1",
        "NM1*85*2*HARBOR CLINIC*****XX*1234567893",
        "REF*EI*123456789",
        "HL*2*1*22*1",
        "SBR*P********MB",
        "NM1*IL*1*O'DOE*Jane****MI*MEMBER123",
        "DMG*D8*19800101*F",
        "REF*SY*999999999",
        "NM1*PR*2*PLAN ONE*****PI*87726",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
        "HL*3*2*23*0",
        "NM1*QC*1*ODOE*TOM",
        "DMG*D8*20150101*M",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
        "HL*4*2*23*0",
        "NM1*QC*1*ODOE*ANN",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
        "HL*5*1*22*0",
        "SBR*P*18*******MB",
        "NM1*PR*2*PLAN ONE*****PI*87726",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
    ]
    claims = read(tmp_path, interchange(transaction("837", body))).rows["claim"]
    assert claims["patient_match_token"].to_list() == ["ODOE|J|19800101", "ODOE|T|20150101", "ODOE|A", None]
    assert claims["billing_tax_token"].to_list() == ["123456789"] * 4, "not the subscriber's REF*SY"
    assert {"patient_match_token", "billing_tax_token"} < contract("claim").token_columns.keys()


@pytest.mark.parametrize(
    ("payee", "found"),
    [
        (["N1*PE*HARBOR*FI*123456789"], (None, "123456789")),
        (["N1*PE*HARBOR*XX*1234567893", "REF*TJ*123456789"], ("1234567893", "123456789")),
        (["N1*PE*HARBOR"], (None, None)),
    ],
)
def test_a_payee_is_named_by_npi_or_tax_id(
    tmp_path: Path, payee: list[str], found: tuple[str | None, str | None]
) -> None:
    body = [part for line in REMITTANCE_BODY for part in (payee if line.startswith("N1*PE") else [line])]
    row = read(tmp_path, interchange(transaction("835", body))).rows["remittance"].row(0, named=True)
    assert (row["payee_npi"], row["payee_tax_token"]) == found
    assert (
        contract("remittance").token_columns["payee_tax_token"] == contract("claim").token_columns["billing_tax_token"]
    )


def test_nothing_that_names_a_patient_is_given(tmp_path: Path) -> None:
    both = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="0002"))
    chunk = read(tmp_path, both)
    # Landing puts a keyed token in place of what its contract calls a token.
    shown = [frame.drop(*contract(entity).token_columns, strict=False) for entity, frame in chunk.rows.items()]
    text = str([frame.rows() for frame in shown]) + str(chunk.notices) + str(chunk.dropped_fields)
    for secret in ("DOE", "JANE", "MEMBER123", "SECRET"):
        assert secret not in text
    assert chunk.dropped_fields["N3"] == 1


def test_institutional_claim_has_revenue_codes_and_a_statement_period(tmp_path: Path) -> None:
    body = [
        "HL*1**20*1",
        "NM1*85*2*HOSPITAL*****XX*1234567893",
        "HL*2*1*22*0",
        "SBR*T*18*******CI",
        "CLM*INP1*500***11:A:1*Y*A*Y*I",
        "DTP*434*RD8*20260101-20260109",
        "LX*1",
        "SV2*0120*HC:C1234*500*DA*8",
    ]
    rows = read(tmp_path, interchange(transaction("837", body).replace("X222A1", "X223A2"))).rows
    claim, line = rows["claim"].row(0, named=True), rows["claim_line"].row(0, named=True)
    assert (claim["claim_type"], claim["payer_sequence"]) == ("institutional", "tertiary")
    assert (str(claim["service_from_date"]), str(claim["service_to_date"])) == ("2026-01-01", "2026-01-09")
    assert claim["payer_id"] is None
    assert (line["revenue_code"], line["procedure_code"], line["units"]) == ("0120", "C1234", "8")


def test_a_new_billing_provider_does_not_inherit_the_one_before(tmp_path: Path) -> None:
    second = ["HL*3**20*1", "HL*4*3*22*0", "SBR*P*18*******CI", "CLM*ACCT2*10***11:B:1", "LX*1", "SV1*HC:A1234*10*UN*1"]
    claims = read(tmp_path, interchange(transaction("837", CLAIM_BODY + second))).rows["claim"]
    assert claims["billing_provider_npi"].to_list() == ["1234567893", None]
    assert claims["payer_id"].to_list() == ["87726", None]


def test_lines_are_numbered_by_lx_or_else_by_their_order(tmp_path: Path) -> None:
    lines = ["LX*7", "SV1*HC:A1234*1*UN*1", "LX*7", "SV1*HC:A1234*2*UN*1", "SV1*HC:A1234*3*UN*1"]
    claims = [*CLAIM_BODY[:9], *lines, "CLM*ACCT2*3***11:B:1", "LX*4", "SV1*HC:A1234*3*UN*1"]
    found = read(tmp_path, interchange(transaction("837", claims))).rows["claim_line"]
    assert found["line_number"].to_list() == [1, 2, 3, 4]
    assert found["claim_id"].to_list() == ["ACCT1", "ACCT1", "ACCT1", "ACCT2"]


def test_the_same_claims_sent_again_have_the_same_ids_and_a_resubmission_new_ones(tmp_path: Path) -> None:
    one = interchange(transaction("837", CLAIM_BODY))
    first = read(tmp_path, one).rows["claim"]["claim_submission_id"].to_list()
    again = read(tmp_path, one).rows["claim"]["claim_submission_id"].to_list()
    other = read(tmp_path, one.replace("000000001", "000000002")).rows["claim"]["claim_submission_id"].to_list()
    assert first == again
    assert first != other


def test_the_same_837_with_other_separators_is_the_same_submission(tmp_path: Path) -> None:
    one = interchange(transaction("837", CLAIM_BODY))
    expected = read(tmp_path, one).rows["claim"]["claim_submission_id"].to_list()
    flat = one.replace("\n", "")
    for text in (
        flat.replace("~", "\r\n"),
        flat.replace("*", "|").replace(":", ">").replace("^", "!").replace("~", "'\n"),
    ):
        assert read(tmp_path, text).rows["claim"]["claim_submission_id"].to_list() == expected, text


def test_a_remittance_in_a_new_envelope_is_the_same_remittance(tmp_path: Path) -> None:
    first = read(tmp_path, interchange(transaction("835", REMITTANCE_BODY)))
    again = read(tmp_path, interchange(transaction("835", REMITTANCE_BODY, control="7")).replace("000000001", "2" * 9))
    for entity, key in (("remittance", "remittance_id"), ("remittance_adjustment", "remittance_adjustment_id")):
        assert first.rows[entity][key].to_list() == again.rows[entity][key].to_list()


def test_remittance_with_every_level_of_adjustment(tmp_path: Path) -> None:
    chunk = read(tmp_path, interchange(transaction("835", REMITTANCE_BODY), version="005010X221A1"))
    assert chunk.records_read == 1
    rows = chunk.rows
    payment = rows["remittance"].row(0, named=True)
    assert (payment["payer_id"], payment["trace_number"], payment["payment_amount"]) == ("87726", "EFT1", "35")
    assert (str(payment["payment_date"]), str(payment["produced_date"])) == ("2026-01-12", "2026-01-10")
    claim = rows["remittance_claim"].row(0, named=True)
    assert (claim["claim_status_code"], claim["filing_indicator"], str(claim["adjudicated_date"])) == (
        "1",
        "MB",
        "2026-01-10",
    )
    assert claim["allowed_amount"] is None, "one of its lines states none"
    first, second = rows["remittance_line"].rows(named=True)
    assert (first["procedure_code"], first["submitted_procedure_code"]) == ("A1234", "A9999")
    assert (first["remark_codes"], first["allowed_amount"], first["line_control_number"]) == ("N1:M15", "45", "LINE1")
    assert (second["procedure_code"], second["revenue_code"]) == (None, "0450")
    adjustments = rows["remittance_adjustment"].select(
        "group_code", "reason_code", "adjustment_amount", "quantity", on_line=pl.col("remittance_line_id").is_not_null()
    )
    assert adjustments.rows() == [
        ("CO", "45", "10", None, False),
        ("CO", "45", "15", None, True),
        ("CO", "253", "5", "1", True),
        ("PR", "1", "10", None, True),
        ("PR", "2", "20", None, True),
    ]
    assert rows["provider_adjustment"].select("reason_code", "reference_number", "adjustment_amount").rows() == [
        ("WO", "REF9", "10"),
        ("L6", None, "-5"),
    ]
    assert chunk.notices == [], "line, claim and payment balance"


def test_adjustments_take_up_to_six_reasons_of_one_segment(tmp_path: Path) -> None:
    triplets = "*".join(f"{n}*1*2" for n in range(1, 7))
    body = [*REMITTANCE_BODY[:6], "CLP*A*1*6*0**MB*I", f"CAS*CO*{triplets}"]
    rows = read(tmp_path, interchange(transaction("835", [body[0].replace("*35*", "*0*"), *body[1:]]))).rows
    assert rows["remittance_adjustment"]["reason_code"].to_list() == list("123456")
    assert rows["remittance_adjustment"]["quantity"].to_list() == ["2"] * 6
    assert rows["remittance_adjustment"]["remittance_adjustment_id"].n_unique() == 6


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        ("SVC*NU:0450*40*20", "SVC*NU:0450*40*19", ["line_out_of_balance"]),
        ("CAS*CO*45*10", "CAS*CO*45*11", ["claim_out_of_balance"]),
    ],
)
def test_a_cent_out_of_balance_is_shown_and_the_rows_stay(
    tmp_path: Path, before: str, after: str, broken: list[str]
) -> None:
    chunk = read(tmp_path, interchange(transaction("835", REMITTANCE_BODY).replace(before, after)))
    assert reasons(chunk) == broken
    assert chunk.records_used == 1
    assert chunk.rows["remittance_claim"].height == 1


def test_a_reversal_is_a_claim_of_its_own_with_negative_amounts(tmp_path: Path) -> None:
    reversal = ["CLP*ACCT1*22*-100*-50**MB*ICN1", "CAS*CO*45*-50", "CLP*ACCT1*1*100*85**MB*ICN2", "CAS*CO*45*15"]
    chunk = read(tmp_path, interchange(transaction("835", [*REMITTANCE_BODY[:6], *reversal])))
    claims = chunk.rows["remittance_claim"]
    assert claims["claim_status_code"].to_list() == ["22", "1"]
    assert claims["remittance_claim_id"].n_unique() == 2
    assert money(claims, "payer_paid_amount") == 35
    assert chunk.notices == []


def test_a_line_written_with_the_element_separator_inside_is_read_where_only_that_balances(tmp_path: Path) -> None:
    chunk = read(
        tmp_path, interchange(transaction("835", REMITTANCE_BODY).replace("SVC*NU:0450*40*20", "SVC*NU*0450*40*20"))
    )
    assert reasons(chunk) == ["line_elements_shifted"]
    line = chunk.rows["remittance_line"].row(1, named=True)
    assert (line["revenue_code"], line["billed_amount"], line["payer_paid_amount"]) == ("0450", "40", "20")


def test_a_payment_without_claims_is_one_record(tmp_path: Path) -> None:
    body = [REMITTANCE_BODY[0].replace("*35*", "*5*"), *REMITTANCE_BODY[1:5], "PLB*1234567893*20261231*FB*-5"]
    chunk = read(tmp_path, interchange(transaction("835", body)))
    assert (chunk.records_read, chunk.records_used) == (1, 1)
    assert chunk.rows["remittance"].height == 1
    assert "remittance_claim" not in chunk.rows
    assert chunk.notices == []


def test_a_date_that_is_none_is_left_empty_and_shown(tmp_path: Path) -> None:
    text = interchange(transaction("835", REMITTANCE_BODY)).replace("*20260112~", "*20261312~")
    chunk = read(tmp_path, text)
    assert reasons(chunk) == ["date_not_valid"]
    assert chunk.rows["remittance"]["payment_date"].to_list() == [None]


def test_other_separators_and_line_ends(tmp_path: Path) -> None:
    plain = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="2"))
    expected = read(tmp_path, plain)
    flat = plain.replace("\n", "")
    for changed in (
        flat,
        flat.replace("~", "~\r\n"),
        flat.replace("~", "\n"),
        flat.replace("~", "\r"),
        flat.replace("~", "\r\n"),
        flat.replace("*", "|").replace(":", ">").replace("~", "_"),
        "\ufeff\r\n" + plain,
        "\n".join(flat[start : start + 80] for start in range(0, len(flat), 80)),
    ):
        found = read(tmp_path, changed)
        assert found.notices == []
        for entity, frame in expected.rows.items():
            ids = [name for name in frame.columns if name.endswith("_id") and name not in ("payer_id", "claim_id")]
            assert frame.drop(ids).equals(found.rows[entity].drop(ids)), entity


def test_component_separator_other_than_declared(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY)).replace(":", ">").replace("*P*>~", "*P*:~")
    chunk = read(tmp_path, text)
    assert reasons(chunk) == ["component_separator_differs"]
    assert chunk.rows["claim_line"]["procedure_code"].to_list() == ["A1234", "B1234"]
    assert chunk.rows["claim"]["frequency_code"].to_list() == ["7"]


def test_two_transactions_with_different_component_separators_in_one_interchange(tmp_path: Path) -> None:
    second = transaction("837", CLAIM_BODY, control="0002").replace(":", ">").replace("ACCT1", "ACCT2")
    chunk = read(tmp_path, interchange(transaction("837", CLAIM_BODY), second))
    assert chunk.rows["claim_line"]["procedure_code"].to_list() == ["A1234", "B1234"] * 2
    assert sorted(chunk.rows["claim"]["claim_id"]) == ["ACCT1", "ACCT2"]
    positions = chunk.rows["claim"].sort("claim_id")["source_position"].to_list()
    assert positions == ["ISA 1 GS 1 ST 0001 CLM 1 (segment 12)", "ISA 1 GS 1 ST 0002 CLM 1 (segment 36)"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (transaction("837", CLAIM_BODY, count=9), "segment_count_wrong"),
        (
            transaction("837", CLAIM_BODY).replace("SE*24*0001", "SE*24*0009").replace("39.50", "39.49"),
            "control_number_wrong",
        ),
        (transaction("837", CLAIM_BODY).replace("SE*24*0001~\n", ""), "transaction_not_closed"),
        (transaction("837", CLAIM_BODY[:8]), "transaction_without_claims"),
        (transaction("270", ["BHT*0022*13*1"]), "transaction_not_in_model"),
        # A 277 in the group of another guide: which one it follows is not known.
        (transaction("277", ["BHT*0085*08*1"]), "transaction_not_in_model"),
    ],
)
def test_a_bad_transaction_is_refused_and_its_neighbours_are_read(tmp_path: Path, bad: str, reason: str) -> None:
    good = [
        transaction("837", CLAIM_BODY, control=control).replace("ACCT1", f"ACCT{control}") for control in ("7", "8")
    ]
    chunk = read(tmp_path, interchange(good[0], bad, good[1]))
    assert [(item.reason, item.records) for item in chunk.refusals] == [(reason, 1)]
    assert chunk.refusals[0].position == "ISA 1 GS 1 ST " + bad.split("*")[2].split("~")[0] + " (segment 27)"
    assert b"ST*" in (chunk.refusals[0].payload or b"")
    assert "DOE" not in chunk.refusals[0].detail
    assert chunk.rows["claim"]["claim_id"].to_list() == ["ACCT7", "ACCT8"]


@pytest.mark.parametrize(("kind", "body"), [("837", CLAIM_BODY), ("835", REMITTANCE_BODY)])
def test_a_wrong_se02_is_shown_and_the_transaction_is_read_where_its_money_adds_up(
    tmp_path: Path, kind: str, body: list[str]
) -> None:
    expected = read(tmp_path, interchange(transaction(kind, body)))
    text = interchange(
        transaction(kind, body).replace("*0001~\n", "*0009~\n").replace(f"ST*{kind}*0009", f"ST*{kind}*0001")
    )
    chunk = read(tmp_path, text)
    assert reasons(chunk) == ["control_number_wrong"]
    assert chunk.refusals == []
    for entity, frame in expected.rows.items():
        assert frame.equals(chunk.rows[entity]), entity


@pytest.mark.parametrize(
    ("kind", "body", "held"),
    [
        ("835", [REMITTANCE_BODY[0].replace("*35*", "*36*"), *REMITTANCE_BODY[1:]], ("payment", 1, Decimal(36))),
        ("835", [REMITTANCE_BODY[0].replace("*35*", "*NaN*"), *REMITTANCE_BODY[1:]], ("payment", 1, Decimal(0))),
        ("837", [*CLAIM_BODY, *CLAIM_BODY[8:-2]], ("claim", 2, Decimal(200))),
        ("837", CLAIM_BODY[:9], ("claim", 1, Decimal(100))),
    ],
    ids=["payment", "no number", "one of two claims", "no lines"],
)
def test_a_wrong_se02_whose_money_does_not_add_up_is_held_with_its_money(
    tmp_path: Path, kind: str, body: list[str], held: tuple[str, int, Decimal]
) -> None:
    wrong = (
        transaction(kind, body, control="0002")
        .replace("*0002~\n", "*0009~\n")
        .replace(f"ST*{kind}*0009", f"ST*{kind}*0002")
    )
    good = transaction("837", CLAIM_BODY)
    (refusal,) = read(tmp_path, interchange(good, wrong)).refusals
    assert refusal.reason == "control_number_wrong"
    assert refusal.holding is not None
    assert (refusal.holding.what, refusal.holding.count, refusal.holding.amount) == held


def test_a_file_that_breaks_off_loses_only_its_last_transaction(tmp_path: Path) -> None:
    whole = interchange(transaction("837", CLAIM_BODY), transaction("837", CLAIM_BODY, control="0002"))
    chunk = read(tmp_path, whole[: whole.rindex("LX*2")])
    assert (chunk.records_read, chunk.records_used) == (2, 1)
    assert chunk.refusals[0].reason == "transaction_not_closed"
    assert reasons(chunk) == ["group_not_closed", "interchange_not_closed"]


def test_several_interchanges_and_groups(tmp_path: Path) -> None:
    one = interchange(transaction("837", CLAIM_BODY))
    two_groups = one.replace(
        "IEA*1*", f"GS*HC*S*R*20260102*1000*2*X*005010X222A1~{transaction('837', CLAIM_BODY)}GE*1*2~IEA*2*"
    )
    other = one.replace("*", "|").replace("~", "'").replace("000000001", "000000002")
    chunk = read(tmp_path, two_groups + "\n\n" + other)
    assert chunk.notices == []
    assert chunk.rows["claim"]["claim_submission_id"].n_unique() == 3
    places = [position.rsplit(" (", 1)[0] for position in chunk.rows["claim"]["source_position"]]
    assert places == ["ISA 1 GS 1 ST 0001 CLM 1", "ISA 1 GS 2 ST 0001 CLM 1", "ISA 2 GS 1 ST 0001 CLM 1"]


def test_envelope_counts_that_are_wrong_are_shown(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY)).replace("GE*1*1", "GE*3*1").replace("IEA*1*", "IEA*4*")
    assert reasons(read(tmp_path, text)) == ["group_count_wrong", "interchange_count_wrong"]


def test_an_isa_of_the_wrong_length_is_read_by_its_separators(tmp_path: Path) -> None:
    chunk = read(
        tmp_path, interchange(transaction("837", CLAIM_BODY), isa=ISA.replace("SENDER         ", "SENDER        "))
    )
    assert reasons(chunk) == ["isa_wrong_length"]
    assert chunk.rows["claim"].height == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("  \r\n", "is empty"),
        (transaction("835", REMITTANCE_BODY), "does not begin with an ISA segment"),
        ("PK\x03\x04 not an interchange", "does not begin with an ISA segment"),
        (interchange(transaction("837", CLAIM_BODY), isa="ISA*00*SHORT*~"), "ISA segment is damaged"),
        ("ISA*00*", "ISA segment is damaged"),
    ],
)
def test_a_file_that_is_no_interchange_is_refused_by_name(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(UnreadableUnit) as refused:
        read(tmp_path, content)
    assert problem in refused.value.problem
    assert refused.value.position.startswith("byte ")
    assert refused.value.remedy


@pytest.mark.parametrize("ending", [" ~", "  ~\n", " \n", " \r\n", " '"])
def test_a_blank_before_each_terminator_is_read_over(tmp_path: Path, ending: str) -> None:
    plain = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="2"))
    chunk = read(tmp_path, plain.replace("~\n", "~").replace("~", ending))
    assert reasons(chunk) == ["blank_before_terminator"]
    for entity, frame in read(tmp_path, plain).rows.items():
        assert frame.equals(chunk.rows[entity]), entity


@pytest.mark.parametrize(
    ("isa", "body_end", "named"),
    [
        (ISA[:-1] + " ", " ", "its segment terminator is a blank"),
        (ISA[:-1] + "Q", "Q", "its segment terminator is a letter or a digit"),
        (ISA[:-1] + "*", "*", "its segment terminator is '*'"),
        (ISA[:-2] + "*~", "~", "its component separator is '*'"),
        (ISA, "!", "no segment ends in '~', its terminator"),
        (ISA[:-1] + "\xa7", "\xa7", "its segment terminator is byte 0xc2"),
    ],
    ids=["blank", "letter", "element separator", "component", "another one", "not ASCII"],
)
def test_a_file_that_fails_for_its_terminator_says_which(tmp_path: Path, isa: str, body_end: str, named: str) -> None:
    text = interchange(transaction("837", CLAIM_BODY), isa="").replace("~\n", body_end)
    with pytest.raises(UnreadableUnit) as refused:
        read(tmp_path, isa + text.strip())
    assert named in refused.value.problem


def test_a_transaction_without_any_terminator_names_the_one_that_is_missing(tmp_path: Path) -> None:
    broken = transaction("837", CLAIM_BODY, control="0002").replace("~\n", "!")
    chunk = read(tmp_path, interchange(transaction("837", CLAIM_BODY), broken + "~\n"))
    (refusal,) = chunk.refusals
    assert refusal.reason == "transaction_not_closed"
    assert "none of its segments ends in '~'" in refusal.detail


def test_the_endings_that_are_read_are_the_endings_that_are_documented() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8").splitlines()
    (row,) = (line for line in rows if line.startswith("| `x12` |"))
    assert set(re.findall(r"`(\.\w+)`", row)) == {*SUFFIXES, ".gz"}


def test_latin_1_text_is_read_and_shown(tmp_path: Path) -> None:
    chunk = read(tmp_path, interchange(transaction("837", CLAIM_BODY)).replace("PLAN ONE", "PLÁN").encode("latin-1"))
    assert reasons(chunk) == ["not_utf8"]
    assert "PLÁN" in chunk.rows["payer"]["name"].to_list()


def test_memory_is_bounded_by_pieces_of_whole_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = interchange(*(transaction("837", CLAIM_BODY, control=f"{n:04d}") for n in range(60)))
    whole = read(tmp_path, text)
    monkeypatch.setattr(envelope, "PIECE_BYTES", 2000)
    chunks = list(source_for("x12").read(unit_of(tmp_path, text)))
    assert len(chunks) > 10
    pieces = merged(chunks)
    assert pieces.notices == []
    for entity in ("claim", "claim_line"):
        assert pieces.rows[entity].equals(whole.rows[entity])


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    packed = gzip.compress(interchange(transaction("837", CLAIM_BODY)).encode())
    assert read(tmp_path, packed, "file.x12.gz").rows["claim"]["claim_id"].to_list() == ["ACCT1"]
    with refused_file("gzip_incomplete"):
        read(tmp_path, packed[:-20], "file.x12.gz")


def test_a_claim_without_an_amount_is_left_to_the_gate(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY).replace("CLM*ACCT1*100*", "CLM*ACCT1*1OO*"))
    assert read(tmp_path, text).rows["claim"]["billed_amount"].to_list() == ["1OO"]


def test_codes_that_a_translator_took_for_numbers_are_codes_again(tmp_path: Path) -> None:
    text = transaction("837", CLAIM_BODY).replace("11:B:7*", "11:B:7.00*").replace("HC:B1234*", "HC:91234.00*")
    rows = read(tmp_path, interchange(text)).rows
    assert rows["claim"]["frequency_code"].to_list() == ["7"]
    assert rows["claim_line"]["procedure_code"].to_list() == ["A1234", "91234"]


def test_a_payer_that_is_a_person_is_not_taken(tmp_path: Path) -> None:
    chunk = read(
        tmp_path, interchange(transaction("837", CLAIM_BODY).replace("NM1*PR*2*PLAN ONE", "NM1*PR*1*SMITH*ANN"))
    )
    assert "SMITH" not in str([frame.rows() for frame in chunk.rows.values()])


ENVELOPE = ["SE*5*0001", "SE*x", "GE*1*1", "IEA*1*1", "GS*HP", "TA1*1", "", "*", "XX"]
OPENINGS = ["ST*837*0001", "ST*835*1", "ST*270*2", "ST", ISA[:-1]]


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from(["837", "835"]), st.booleans())
def test_any_order_of_segments_is_read_and_every_claim_counted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str, openings: bool
) -> None:
    own = CLAIM_BODY if kind == "837" else REMITTANCE_BODY
    body = data.draw(st.lists(st.sampled_from(own + ENVELOPE + (OPENINGS if openings else [])), max_size=40))
    text = interchange(transaction(kind, body), transaction("835", REMITTANCE_BODY, control="0002"))
    chunk = read(tmp_path_factory.mktemp("x12"), text)
    if not openings:
        claims = sum(segment.startswith(("CLM", "CLP")) for segment in body)
        assert claims + 1 <= chunk.records_read <= claims + 2, "the transaction itself counts where it holds none"


def test_claims_outside_any_transaction_are_refused(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY)).replace(
        "GE*1*1", "CLM*STRAY*5***11:B:1~SV1*HC:A1234*5*UN*1~GE*1*1"
    )
    chunk = read(tmp_path, text)
    assert [(item.reason, item.records) for item in chunk.refusals] == [("segments_outside_transaction", 1)]
    assert chunk.refusals[0].payload == b"CLM*STRAY*5***11:B:1~SV1*HC:A1234*5*UN*1~"
    assert chunk.rows["claim"]["claim_id"].to_list() == ["ACCT1"]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 40), st.binary(max_size=20))
def test_a_damaged_file_is_read_or_refused_but_never_fails(
    tmp_path_factory: pytest.TempPathFactory, at: int, lost: int, put: bytes
) -> None:
    path = tmp_path_factory.mktemp("x12")
    whole = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="0002")).encode()
    try:
        read(path, whole[:at] + put + whole[at + lost :])
    except UnreadableUnit:
        return


def folder(name: str) -> list[Unit]:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    feed = Feed(tenant_id="t", name="x12", kind="x12", path=str(DATA / name), time_zone="America/New_York")
    return source_for("x12").discover(feed)


def read_folder(name: str) -> Chunk:
    return merged([chunk for unit in folder(name) for chunk in source_for("x12").read(unit)])


@pytest.mark.real_data
def test_published_835_figures() -> None:
    rows = read_folder("implementation-guide/835_005010X221A1").rows
    for entity, frame in rows.items():
        assert contract_gate.check(contract(entity), frame).bad.is_empty(), entity
    claims = rows["remittance_claim"]
    assert claims["claim_status_code"].value_counts().sort("claim_status_code").rows() == [("1", 4), ("2", 3), ("3", 1)]
    assert claims["remittance_claim_id"].n_unique() == 8
    assert money(claims, "billed_amount") == Decimal("241749.61")
    assert money(claims, "payer_paid_amount") == Decimal("152387.23")
    assert money(rows["provider_adjustment"], "adjustment_amount") == Decimal("-1.27")
    assert money(rows["remittance"], "payment_amount") == Decimal("152388.50")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "claims", "billed"),
    [("004010X098A1", 6, "1114.04"), ("005010X222A2", 18, "8072.55"), ("004010X096A1", 5, "4028.62")],
)
def test_published_837_figures(name: str, claims: int, billed: str) -> None:
    chunk = read_folder(f"implementation-guide/837_{name}")
    assert chunk.refusals == []
    assert chunk.rows["claim"].height == claims
    assert chunk.rows["claim"]["claim_submission_id"].n_unique() == claims
    for entity, frame in chunk.rows.items():
        assert contract_gate.check(contract(entity), frame).bad.is_empty(), entity
    assert money(chunk.rows["claim"], "billed_amount") == Decimal(billed)
    assert money(chunk.rows["claim_line"], "billed_amount") == Decimal(billed)
    codes = chunk.rows["claim_line"].filter(pl.coalesce("procedure_code", "revenue_code").is_null())
    assert codes.is_empty(), "every line has a code, whichever separator its file really uses"


@pytest.mark.real_data
def test_published_remittance_figures() -> None:
    found, refused = {}, {}
    for unit in folder("remits"):
        try:
            found[unit.name] = merged(list(source_for("x12").read(unit)))
        except UnreadableUnit as error:
            refused[unit.name] = error.problem
    assert list(refused) == ["blue_cross_nc_sample.txt"]
    assert "ISA" in refused["blue_cross_nc_sample.txt"]
    emedny, united = found["emedny_sample.txt"].rows, found["united_healthcare_legacy_sample.txt"].rows
    assert emedny["remittance_claim"].height == 3
    assert emedny["remittance_claim"]["claim_status_code"].to_list().count("2") == 2
    assert money(emedny["remittance_claim"], "billed_amount") == Decimal("102.50")
    assert money(emedny["remittance_claim"], "payer_paid_amount") == Decimal("45.75")
    assert united["remittance_claim"].height == 2
    assert money(united["remittance_claim"], "billed_amount") == Decimal("1157.52")
    assert money(united["remittance_claim"], "payer_paid_amount") == Decimal("349.99")
    assert united["payer"].select("payer_id", "payer_class").rows() == [("87726", "medicare_advantage")]
    assert all(chunk.notices == [] for chunk in found.values())


@pytest.mark.real_data
def test_every_claim_of_the_broken_files_is_used_or_refused() -> None:
    for unit in folder("claims"):
        assert unit.path is not None
        text = unit.path.read_text()
        terminator = "_" if "different" in unit.name else "~"
        claims = sum(segment.strip()[:3] == "CLM" for segment in text.split(terminator))
        if unit.name == "x12_no_isa_line.txt":
            with refused_file("isa_missing"):
                list(source_for("x12").read(unit))
            continue
        chunk = merged(list(source_for("x12").read(unit)))
        if not claims:
            # Acknowledgements: test_x12_acknowledgements.py has their figures.
            assert "ST*277" in text or "ST*999" in text, unit.name
            assert chunk.records_read == chunk.records_used > 0, unit.name
            continue
        assert chunk.records_read == claims, unit.name
        # Every 837 of this set has a wrong SE01.
        assert chunk.records_used == 0
        assert {refusal.reason for refusal in chunk.refusals} == {"segment_count_wrong"}


@pytest.mark.real_data
def test_the_broken_claims_read_once_their_count_is_put_right(tmp_path: Path) -> None:
    for name, terminator, count in (("x12_valid.txt", "~", 34), ("x12_valid_different_separators.txt", "_", 34)):
        text = (DATA / "claims" / name).read_text() if DATA.is_dir() else pytest.skip(f"{DATA} is absent")
        element = text[3]
        chunk = read(tmp_path, text.replace(f"SE{element}25{element}", f"SE{element}{count}{element}"))
        assert chunk.rows["claim"]["claim_id"].to_list() == ["A37YH556", "A37YH667"]
        assert chunk.rows["claim_line"]["procedure_code"].to_list() == ["99211", "478331"]
        assert terminator not in str(chunk.rows["claim"].rows())


def test_notices_of_one_reason_are_counted_by_what_they_say(tmp_path: Path) -> None:
    def remit(paid: Sequence[str]) -> str:
        clps = [f"CLP*ACCT{number}*1*100*{amount}**MB*ICN{number}" for number, amount in enumerate(paid)]
        head = ["BPR*I*0*C*NON************20260112", "TRN*1*EFT1*1999999999", "N1*PR*PLAN ONE*XV*87726", "LX*1"]
        return interchange(transaction("835", [*head, *clps]), version="005010X221A1")

    found = [
        item for item in read(tmp_path, remit(["90", "80", "90"])).notices if item.reason == "claim_out_of_balance"
    ]
    assert sorted((item.records, item.detail.rpartition(" ")[2]) for item in found) == [(1, "80.0000"), (2, "90.0000")]
    many = [
        item for item in read(tmp_path, remit([str(n) for n in range(60)])).notices if item.reason == found[0].reason
    ]
    assert len(many) == 21, "twenty texts, and one for the others"
    assert sum(item.records for item in many) == 60
