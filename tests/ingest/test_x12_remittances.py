"""835: payments, claims, lines and adjustments from their loops, and what does not balance."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from data_contracts import contract
from tests.ingest.x12_files import REMITTANCE_BODY, interchange, money, read, reasons, transaction


@pytest.mark.parametrize(
    ("payee", "result"),
    [
        (["N1*PE*HARBOR*FI*123456789"], (None, "123456789")),
        (["N1*PE*HARBOR*XX*1234567893", "REF*TJ*123456789"], ("1234567893", "123456789")),
        (["N1*PE*HARBOR"], (None, None)),
    ],
)
def test_a_payee_is_named_by_npi_or_tax_id(
    tmp_path: Path, payee: list[str], result: tuple[str | None, str | None]
) -> None:
    body = [part for line in REMITTANCE_BODY for part in (payee if line.startswith("N1*PE") else [line])]
    row = read(tmp_path, interchange(transaction("835", body))).rows["remittance"].row(0, named=True)
    assert (row["payee_npi"], row["payee_tax_token"]) == result
    assert (
        contract("remittance").token_columns["payee_tax_token"] == contract("claim").token_columns["billing_tax_token"]
    )


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


def test_notices_of_one_reason_are_counted_by_what_they_say(tmp_path: Path) -> None:
    def remit(paid: Sequence[str]) -> str:
        clps = [f"CLP*ACCT{number}*1*100*{amount}**MB*ICN{number}" for number, amount in enumerate(paid)]
        head = ["BPR*I*0*C*NON************20260112", "TRN*1*EFT1*1999999999", "N1*PR*PLAN ONE*XV*87726", "LX*1"]
        return interchange(transaction("835", [*head, *clps]), version="005010X221A1")

    result = [
        item for item in read(tmp_path, remit(["90", "80", "90"])).notices if item.reason == "claim_out_of_balance"
    ]
    assert sorted((item.records, item.detail.rpartition(" ")[2]) for item in result) == [(1, "80.0000"), (2, "90.0000")]
    many = [
        item for item in read(tmp_path, remit([str(n) for n in range(60)])).notices if item.reason == result[0].reason
    ]
    assert len(many) == 21, "twenty texts, and one for the others"
    assert sum(item.records for item in many) == 60
