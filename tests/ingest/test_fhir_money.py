"""FHIR claims and their adjudication to rows, to the cent."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.ingest.fhir_reading import lines, read
from tests.ingest.fhir_resources import CLAIM, eob


def test_a_claim_without_a_total_bills_the_sum_of_its_items_exactly(tmp_path: Path) -> None:
    result = read(lines(tmp_path, CLAIM))
    claim = result.row("claim")
    assert claim["billed_amount"] == Decimal("2.305")
    assert (claim["claim_type"], claim["payer_sequence"], claim["frequency_code"]) == ("dental", "secondary", "1")
    assert (claim["billing_provider_npi"], claim["service_unit_id"]) == ("1234567893", "1234567893")
    assert (claim["service_from_date"], claim["service_to_date"]) == (date(2026, 3, 1), date(2026, 3, 3))
    kept = result.good["claim_line"]
    assert kept["line_number"].to_list() == [1, 2]
    assert kept["billed_amount"].to_list() == [Decimal("0.3"), Decimal("2.005")]
    assert kept["modifiers"].to_list() == ["A:B", None]


def test_a_claim_names_the_claim_that_it_replaces(tmp_path: Path) -> None:
    related = [
        {"relationship": {"coding": [{"code": "associated"}]}, "claim": {"reference": "Claim/other"}},
        {
            "relationship": {"coding": [{"code": "prior"}]},
            "claim": {"reference": "Claim/first"},
            "reference": {"system": "http://payer.example/claims", "value": "ICN1"},
        },
    ]
    claim = read(lines(tmp_path, CLAIM | {"related": related})).row("claim")
    assert claim["frequency_code"] == "7"
    assert claim["replaced_claim_id"] == "first"
    assert claim["original_payer_claim_control_number"] == "ICN1"


def test_a_related_claim_of_another_suite_of_services_is_not_replaced(tmp_path: Path) -> None:
    related = [{"relationship": {"coding": [{"code": "associated"}]}, "claim": {"reference": "Claim/other"}}]
    claim = read(lines(tmp_path, CLAIM | {"related": related})).row("claim")
    assert (claim["frequency_code"], claim["replaced_claim_id"]) == ("1", None)


def test_a_claims_payer_comes_through_its_coverage(tmp_path: Path) -> None:
    held = {"resourceType": "Coverage", "id": "k1", "payor": [{"display": " Blue  Plan "}]}
    coverage = held | {
        "beneficiary": {"reference": "Patient/p1"},
        "subscriberId": "M1",
        "order": 2,
        "class": [{"type": {"coding": [{"code": "plan"}]}, "value": "PPO"}],
        "period": {"start": "2026-01-01"},
    }
    lines(tmp_path, coverage, name="Coverage.ndjson")
    lines(tmp_path, CLAIM, name="Claim.ndjson")
    result = read(tmp_path)
    assert result.row("claim")["payer_id"] == "blue plan"
    row = result.row("coverage")
    assert (row["payer_id"], row["member_token"], row["plan_name"], row["priority"]) == ("blue plan", "M1", "PPO", 2)
    contained = CLAIM | {"contained": [held], "insurance": [{"coverage": {"reference": "#k1"}}]}
    assert (
        read(lines(tmp_path, contained, name="one.ndjson").parent).good["claim"]["payer_id"].to_list()
        == ["blue plan"] * 2
    )


def test_a_patient_who_pays_is_self_pay(tmp_path: Path) -> None:
    coverage = {"resourceType": "Coverage", "id": "k", "beneficiary": {"reference": "Patient/p"}}
    result = read(lines(tmp_path, coverage | {"payor": [{"reference": "Patient/p", "display": "Jane Doe"}]}))
    assert result.row("coverage")["payer_id"] == "self_pay"
    assert (result.row("payer")["name"], result.row("payer")["payer_class"]) == ("Self pay", "self_pay")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use": "preauthorization"}, "not_a_claim"),
        ({"status": "draft"}, "not_submitted"),
        ({"total": {"value": 5, "currency": "EUR"}}, "not_us_dollars"),
    ],
)
def test_what_is_no_claim_for_dollars_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    result = read(lines(tmp_path, CLAIM | change))
    assert result.reasons() == {reason: 1}
    assert result.good == {}
    assert result.refusals[0].payload == orjson.dumps(CLAIM | change)


def test_an_explanation_of_benefit_is_a_claim_payment_with_exact_amounts(tmp_path: Path) -> None:
    result = read(lines(tmp_path, eob()))
    row = result.row("remittance_claim")
    assert (row["billed_amount"], row["payer_paid_amount"]) == (Decimal("100.1"), Decimal("77.49"))
    assert (row["allowed_amount"], row["patient_responsibility_amount"]) == (Decimal("87.49"), Decimal("10"))
    assert (row["claim_id"], row["payer_claim_control_number"], row["claim_status_code"]) == ("c1", "ICN1", "1")
    adjustment = result.row("remittance_adjustment")
    assert (adjustment["group_code"], adjustment["reason_code"], adjustment["adjustment_amount"]) == ("PR", "3", 10)
    assert adjustment["remittance_line_id"] == result.row("remittance_line")["remittance_line_id"]


def test_paying_nothing_is_a_denial_only_where_the_payer_says_so(tmp_path: Path) -> None:
    profile = tmp_path / "own.yaml"
    profile.write_text("kind: fhir\nextends: r4\nadjudication: {denialreason: denial}\n")
    nothing = {"payment": {"amount": {"value": 0}}, "item": []}
    denial = {"category": {"coding": [{"code": "denialreason"}]}}
    path = tmp_path / "feed"
    path.mkdir()
    lines(
        path,
        eob(**nothing),
        eob(id="b2", **nothing | {"item": [{"sequence": 1, "adjudication": [denial]}]}),
        eob(id="b3", precedence=2, **nothing),
    )
    result = read(path, str(profile))
    assert result.good["remittance_claim"]["claim_status_code"].to_list() == ["1", "4", "2"]


def test_what_a_payer_could_not_process_is_a_status_of_the_claim(tmp_path: Path) -> None:
    result = read(lines(tmp_path, eob(outcome="error"), eob(id="b2", outcome="queued")))
    assert result.good["claim_status"]["is_accepted"].to_list() == [False, True]
    assert "remittance_claim" not in result.good


def test_a_cancelled_adjudication_counts_for_nothing(tmp_path: Path) -> None:
    result = read(lines(tmp_path, eob(status="cancelled")))
    row = result.row("remittance_claim")
    assert (row["claim_status_code"], row["billed_amount"], row["payer_paid_amount"]) == ("22", 0, 0)
    assert result.row("remittance_line")["payer_paid_amount"] == 0
    assert result.row("remittance_adjustment")["adjustment_amount"] == 0


def test_a_response_and_the_explanation_that_refers_to_it_are_one_payment(tmp_path: Path) -> None:
    response = eob(resourceType="ClaimResponse", id="r1", request={"reference": "Claim/c1"})
    result = read(lines(tmp_path, response, eob(claimResponse={"reference": "ClaimResponse/r1"})))
    paid = result.good["remittance_claim"]
    assert paid["remittance_claim_id"].to_list() == ["ClaimResponse/r1"] * 2
    assert paid["claim_id"].to_list() == ["c1"] * 2
