"""Which claims an acknowledgement is about, and what makes a claim rejected: the compiled models on hard answers."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import pytest

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models

pytestmark = pytest.mark.slow

MODELS = ("int_acknowledged_submissions", "int_claim_answers", "int_claim_acknowledgements")
LINEAGE = "source_system varchar, source_record_id varchar, source_position varchar, source_updated_at timestamp"
TABLES = {
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "staging.stg_acknowledgements": (
        f"tenant_id varchar, {LINEAGE}, acknowledgement_id varchar, level varchar, transaction_kind varchar, "
        "interchange_control_number varchar, group_control_number varchar, transaction_control_number varchar, "
        "receiver_code varchar, outcome_code varchar, is_accepted boolean, error_codes varchar, reported_at timestamp"
    ),
    "staging.stg_claim_statuses": (
        f"tenant_id varchar, {LINEAGE}, claim_status_id varchar, claim_id varchar, category_code varchar, "
        "status_code varchar, is_accepted boolean, stage varchar, reported_at timestamp, "
        "payer_claim_control_number varchar, billing_provider_npi varchar, billed_amount decimal(18,4), "
        "service_from_date date, service_to_date date"
    ),
    "staging.stg_claims": (
        f"tenant_id varchar, {LINEAGE}, claim_submission_id varchar, claim_id varchar, sender_code varchar, "
        "interchange_control_number varchar, group_control_number varchar, transaction_control_number varchar, "
        "submitted_at timestamp"
    ),
    "intermediate.int_claims": "tenant_id varchar, claim_id varchar",
    "intermediate.int_claim_submissions": (
        "tenant_id varchar, source_system varchar, claim_submission_id varchar, claim_id varchar"
    ),
    "intermediate.int_claim_bills": (
        "tenant_id varchar, bill_id varchar, claim_number varchar, billing_provider_npi varchar, billing_tax_token varchar, "
        "patient_id varchar, first_day date, last_day date, billed_amount decimal(18,4), is_original boolean, "
        "is_837 boolean, bills_of_number integer"
    ),
    "intermediate.int_bill_claims": "tenant_id varchar, bill_id varchar, claim_id varchar",
    "intermediate.int_remittance_claims": (
        "tenant_id varchar, claim_id varchar, payer_claim_control_number varchar, is_matched boolean"
    ),
}
START = datetime(2026, 3, 2, 12)
Row = Mapping[str, object]


def lineage(day: float) -> dict[str, object]:
    at = START + timedelta(days=day)
    return {"source_system": "x", "source_record_id": "r", "source_position": "p", "source_updated_at": at}


def sent(claim: str, day: float = 0, *, group: str = "7", transaction: str = "0001", **more: object) -> Row:
    """A claim in an 837: interchange 1, group 7, transaction 0001 unless said otherwise."""
    return lineage(day) | {
        "tenant_id": "t",
        "claim_submission_id": f"{claim}/{day}",
        "claim_id": claim,
        "sender_code": "US",
        "interchange_control_number": "000000001",
        "group_control_number": group,
        "transaction_control_number": transaction,
        "submitted_at": START + timedelta(days=day),
        **more,
    }


def reply(name: str, accepted: bool | None, day: float = 1, *, level: str = "transaction", **more: object) -> Row:
    """An acknowledgement of it."""
    numbers = {"interchange_control_number": "000000001"} if level == "interchange" else {"group_control_number": "7"}
    if level == "transaction":
        numbers |= {"transaction_control_number": "0001", "transaction_kind": "837"}
    return lineage(day) | {
        "tenant_id": "t",
        "acknowledgement_id": name,
        "level": level,
        "receiver_code": "US",
        "is_accepted": accepted,
        "outcome_code": {True: "A", False: "R", None: "P"}[accepted],
        "reported_at": START + timedelta(days=day),
        **numbers,
        **more,
    }


def status(name: str, claim: str, accepted: bool | None, day: float = 1, **more: object) -> Row:
    return lineage(day) | {
        "tenant_id": "t",
        "claim_status_id": name,
        "claim_id": claim,
        "category_code": {True: "A2", False: "A7", None: "R0"}[accepted],
        "status_code": "20",
        "is_accepted": accepted,
        "stage": "payer",
        "reported_at": START + timedelta(days=day),
        **more,
    }


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def claims_in(claims: Sequence[Row]) -> dict[str, list[Row]]:
    """What intermediate models make of submissions: one claim a number, `bill` adds what distinguishes claims of one number."""
    rows: dict[str, list[Row]] = {name: [] for name in TABLES if name.startswith("intermediate")}
    for claim in claims:
        key = {"tenant_id": claim["tenant_id"]}
        found = claim.get("found", claim["claim_id"])
        names = {name: claim[name] for name in ("source_system", "claim_submission_id")}
        rows["intermediate.int_claim_submissions"].append(key | names | {"claim_id": found})
        if key | {"claim_id": found} in rows["intermediate.int_claims"]:
            continue
        bill = {"bill_id": f"bill of {found}", "claim_number": claim["claim_id"], "is_original": True, "is_837": True}
        rows["intermediate.int_claims"].append(key | {"claim_id": found})
        rows["intermediate.int_bill_claims"].append(key | {"bill_id": bill["bill_id"], "claim_id": found})
        rows["intermediate.int_claim_bills"].append(key | bill | {"bills_of_number": 2} | dict(claim.get("bill", {})))
    return rows


def build(
    models: Models,
    claims: Sequence[Row],
    replies: Sequence[Row] = (),
    statuses: Sequence[Row] = (),
    decisions: Sequence[Row] = (),
) -> None:
    landed = [{name: value for name, value in claim.items() if name not in ("found", "bill")} for claim in claims]
    models.build(
        {
            "staging.stg_claims": landed,
            "staging.stg_acknowledgements": replies,
            "staging.stg_claim_statuses": statuses,
            **claims_in(claims),
            "intermediate.int_remittance_claims": decisions,
        }
    )


def matched(models: Models) -> list[tuple[object, ...]]:
    """Acknowledgement, claim submission and how it was found."""
    return models.rows("int_acknowledged_submissions", "acknowledgement_id", "claim_submission_id", "match_method")


def claims_of(models: Models) -> dict[object, tuple[object, object]]:
    """Claim to whether and by whom it was rejected."""
    rows = models.rows("int_claim_acknowledgements", "claim_id", "is_rejected", "rejected_by")
    return {claim: (rejected, by) for claim, rejected, by in rows}


def test_a_rejected_transaction_rejects_its_claims_and_no_others(models: Models) -> None:
    claims = [sent("A"), sent("B"), sent("C", transaction="0002"), sent("D", group="8")]
    build(models, claims, [reply("no", False), reply("yes", True, transaction_control_number="2")])
    assert claims_of(models) == {
        "A": (True, "transmission"),
        "B": (True, "transmission"),
        "C": (False, None),
    }
    assert {row[2] for row in matched(models)} == {"control_numbers_and_sender"}


def test_control_numbers_that_come_round_mean_the_latest_sending_before_the_answer(models: Models) -> None:
    build(
        models,
        [sent("old", 0), sent("new", 20), sent("later", 30)],
        [reply("answer", False, 21), reply("first", True, 1)],
    )
    assert matched(models) == [
        ("answer", "new/20", "control_numbers_and_sender"),
        ("first", "old/0", "control_numbers_and_sender"),
    ]


def test_an_answer_months_later_or_before_the_sending_speaks_of_nothing_known(models: Models) -> None:
    build(models, [sent("A", 10)], [reply("late", False, 90), reply("early", False, 1)])
    assert matched(models) == [("early", None, "none"), ("late", None, "none")]
    assert claims_of(models) == {}
    assert models.rows("int_claim_answers", "claim_id", "is_matched") == [("unknown", False), ("unknown", False)]


def test_of_two_senders_with_one_number_the_addressed_one_is_meant(models: Models) -> None:
    claims = [sent("ours"), sent("theirs", 0.5, sender_code="OTHER")]
    build(models, claims, [reply("answer", False)])
    assert matched(models) == [("answer", "ours/0", "control_numbers_and_sender")]
    build(models, claims[1:], [reply("answer", False)])
    assert matched(models) == [("answer", "theirs/0.5", "control_numbers")]


def test_a_group_taken_on_in_part_takes_on_what_it_does_not_name(models: Models) -> None:
    claims = [sent("A"), sent("B", transaction="0002")]
    build(models, claims, [reply("whole", None, level="group"), reply("named", False)])
    assert claims_of(models) == {"A": (True, "transmission"), "B": (False, None)}


def test_a_rejected_interchange_rejects_everything_and_an_accepted_one_says_nothing_yet(models: Models) -> None:
    claims = [sent("A"), sent("B", group="8")]
    build(models, claims, [reply("no", False, level="interchange")])
    assert claims_of(models) == {"A": (True, "transmission"), "B": (True, "transmission")}
    build(models, claims, [reply("yes", True, level="interchange")])
    assert claims_of(models) == {}


def test_a_claim_put_right_stays_rejected_and_a_request_for_information_says_neither(models: Models) -> None:
    claims = [sent("A"), sent("B"), sent("C")]
    statuses = [
        status("1", "A", False, 1, stage="clearinghouse"),
        status("2", "A", True, 3),
        status("3", "B", True, 1),
        status("4", "C", None, 1),
        status("5", "unknown here", False, 1),
    ]
    build(models, claims, [], statuses)
    assert claims_of(models) == {"A": (True, "clearinghouse"), "B": (False, None)}
    assert models.rows("int_claim_answers", "claim_id", "is_accepted", "is_matched") == [
        ("A", False, True),
        ("A", True, True),
        ("B", True, True),
        ("unknown here", False, False),
    ]


def test_tenants_that_share_control_numbers_stay_apart(models: Models) -> None:
    build(models, [sent("A"), sent("B", tenant_id="u")], [reply("no", False, tenant_id="u")])
    assert models.rows("int_claim_acknowledgements", "tenant_id", "claim_id") == [("u", "B")]


@pytest.mark.parametrize(
    ("told", "claim"),
    [
        ({"billed_amount": 50}, "ACCT#2"),
        ({"service_from_date": date(2026, 2, 2)}, "ACCT#3"),
        ({"billing_provider_npi": "1679576722"}, "ACCT#4"),
        ({"payer_claim_control_number": "ICN2"}, "ACCT#2"),
        ({}, None),
        ({"service_from_date": date(2026, 5, 1)}, None),
    ],
)
def test_of_claims_of_one_number_the_one_that_is_like_it_is_meant_or_none(
    models: Models, told: Mapping[str, object], claim: str | None
) -> None:
    day = date(2026, 3, 2)
    bill = {"first_day": day, "last_day": day, "billed_amount": 200, "billing_provider_npi": "1234567893"}
    february = {"first_day": date(2026, 2, 2), "last_day": date(2026, 2, 2)}
    claims = [
        sent("ACCT", 0, bill=bill),
        sent("ACCT", 0.1, found="ACCT#2", bill=bill | {"billed_amount": 50}),
        sent("ACCT", 0.2, found="ACCT#3", bill=bill | february),
        sent("ACCT", 0.3, found="ACCT#4", bill=bill | {"billing_provider_npi": "1679576722"}),
    ]
    numbered = {"tenant_id": "t", "claim_id": "ACCT#2", "payer_claim_control_number": "ICN2", "is_matched": True}
    build(models, claims, statuses=[status("no", "ACCT", False, **told)], decisions=[numbered])
    found = models.rows("int_claim_answers", "is_matched", "claim_id")
    assert found == [(claim is not None, claim or "ACCT")]
    assert claims_of(models) == ({} if claim is None else {claim: (True, "payer")})
