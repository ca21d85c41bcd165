"""Rows of submissions, remittances, acknowledgements and charges for tests of claim chains, and what the models make of them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from tests.marts.compiled_models import Models

LINEAGE = "source_system varchar, source_record_id varchar, source_position varchar, source_updated_at timestamp"
CROSSWALKS = {
    f"intermediate.int_{name}_crosswalk": f"tenant_id varchar, {name}_id varchar, current_{name}_id varchar"
    for name in ("patient", "provider", "payer")
} | {"intermediate.int_billed_encounters": "tenant_id varchar, encounter_id varchar, current_encounter_id varchar"}
TABLES = CROSSWALKS | {
    "staging.stg_tenants": "tenant_id varchar, time_zone varchar",
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "staging.stg_claims": (
        f"tenant_id varchar, {LINEAGE}, claim_submission_id varchar, claim_id varchar, encounter_id varchar, "
        "patient_id varchar, patient_match_token varchar, payer_id varchar, service_unit_id varchar, provider_id varchar, "
        "billing_provider_npi varchar, billing_tax_token varchar, claim_type varchar, frequency_code varchar, "
        "payer_sequence varchar, original_payer_claim_control_number varchar, replaced_claim_id varchar, "
        "sender_code varchar, group_control_number varchar, place_of_service varchar, billed_amount decimal(18,4), "
        "service_from_date date, service_to_date date, submitted_at timestamp"
    ),
    "staging.stg_claim_lines": (
        f"tenant_id varchar, {LINEAGE}, claim_submission_id varchar, claim_id varchar, charge_id varchar, "
        "encounter_id varchar, line_control_number varchar, service_date date"
    ),
    "staging.stg_charges": (
        f"tenant_id varchar, {LINEAGE}, charge_id varchar, encounter_id varchar, claim_id varchar, "
        "line_control_number varchar, patient_id varchar, service_unit_id varchar, provider_id varchar, payer_id varchar, "
        "procedure_code varchar, modifiers varchar, revenue_code varchar, place_of_service varchar, "
        "reversal_of_charge_id varchar, status varchar, units decimal(18,4), billed_amount decimal(18,4), "
        "service_date date, posted_date date, entered_at timestamp"
    ),
    "staging.stg_claim_statuses": (
        f"tenant_id varchar, {LINEAGE}, claim_status_id varchar, claim_id varchar, billing_provider_npi varchar, "
        "billed_amount decimal(18,4), service_from_date date, service_to_date date, is_accepted boolean, "
        "reported_at timestamp"
    ),
    "staging.stg_remittances": (
        f"tenant_id varchar, {LINEAGE}, remittance_id varchar, payer_id varchar, payee_npi varchar, "
        "payee_tax_token varchar, payment_date date, produced_date date"
    ),
    "staging.stg_remittance_claims": (
        f"tenant_id varchar, {LINEAGE}, remittance_claim_id varchar, remittance_id varchar, claim_id varchar, "
        "patient_id varchar, payer_id varchar, payer_claim_control_number varchar, "
        "original_payer_claim_control_number varchar, claim_status_code varchar, filing_indicator varchar, "
        "billed_amount decimal(18,4), payer_paid_amount decimal(18,4), patient_responsibility_amount decimal(18,4), "
        "allowed_amount decimal(18,4), service_from_date date, service_to_date date, adjudicated_date date"
    ),
}
JANUARY = date(2026, 1, 5)
NORTH, SOUTH = "1234567893", "1679576722"
Row = dict[str, object]


def lineage(feed: str, record: str) -> Row:
    at = datetime(2026, 6, 30)
    return {"source_system": feed, "source_record_id": record, "source_position": "p", "source_updated_at": at}


def sent(
    name: str,
    number: str,
    day: int = 0,
    amount: int = 200,
    *,
    on: int = 1,
    kind: str = "1",
    replaces: str | None = None,
    npi: str | None = NORTH,
    feed: str = "837",
    **more: object,
) -> Row:
    """A submission of services `day` days after 5 January, sent `on` days after them; from an 837 unless `feed` is pm or fhir."""
    service = JANUARY + timedelta(days=day)
    at = datetime.combine(service, datetime.min.time()) + timedelta(days=on)
    of_837 = {"sender_code": "S1", "group_control_number": "1"} if feed.startswith("837") else {}
    return (
        lineage(feed, name)
        | {
            "tenant_id": "t",
            "claim_submission_id": name,
            "claim_id": number,
            "payer_id": "P",
            "billing_provider_npi": npi,
            "claim_type": "professional",
            "frequency_code": kind,
            "payer_sequence": "primary",
            "original_payer_claim_control_number": replaces,
            "billed_amount": amount,
            "service_from_date": service,
            "service_to_date": service,
            "submitted_at": at,
        }
        | of_837
        | more
    )


def decided(
    name: str,
    number: str,
    day: int | None = 0,
    amount: int = 200,
    *,
    on: int = 20,
    control: str | None = None,
    original: str | None = None,
    status: str = "1",
    payee: str | None = NORTH,
    payer: str = "P",
    tax: str | None = None,
) -> tuple[Row, Row]:
    """A claim payment and the payment that it is all of."""
    service = None if day is None else JANUARY + timedelta(days=day)
    paid = (service or JANUARY) + timedelta(days=on)
    payment = lineage("835", name) | {
        "tenant_id": "t",
        "remittance_id": f"{name}-payment",
        "payer_id": payer,
        "payee_npi": payee,
        "payee_tax_token": tax,
        "payment_date": paid,
    }
    claim = lineage("835", name) | {
        "tenant_id": "t",
        "remittance_claim_id": name,
        "remittance_id": f"{name}-payment",
        "claim_id": number,
        "payer_claim_control_number": control,
        "original_payer_claim_control_number": original,
        "claim_status_code": status,
        "billed_amount": -amount if status == "22" else amount,
        "payer_paid_amount": 0,
        "service_from_date": service,
        "service_to_date": service,
        "adjudicated_date": paid,
    }
    return payment, claim


def turned_back(number: str, amount: int | None, *, on: int = 3, accepted: bool = False) -> Row:
    at = datetime.combine(JANUARY, datetime.min.time()) + timedelta(days=on)
    status = {"tenant_id": "t", "claim_status_id": f"{number}/{on}", "claim_id": number, "billed_amount": amount}
    return lineage("277", number) | status | {"is_accepted": accepted, "reported_at": at}


def charged(name: str, number: str, day: int = 0, amount: int = 200, patient: str | None = None) -> Row:
    return lineage("pm", name) | {
        "tenant_id": "t",
        "charge_id": name,
        "claim_id": number,
        "patient_id": patient,
        "status": "posted",
        "billed_amount": amount,
        "service_date": JANUARY + timedelta(days=day),
    }


def build(
    models: Models,
    submissions: Sequence[Row] = (),
    answers: Sequence[tuple[Row, Row]] = (),
    charges: Sequence[Row] = (),
    statuses: Sequence[Row] = (),
) -> None:
    feeds = sorted({str(row["source_system"]) for row in submissions}, key=lambda feed: (feed != "pm", feed))
    models.build(
        {
            "staging.stg_tenants": [{"tenant_id": "t", "time_zone": "America/New_York"}],
            "staging.stg_claims": submissions,
            "staging.stg_remittances": [payment for payment, _ in answers],
            "staging.stg_remittance_claims": [claim for _, claim in answers],
            "staging.stg_charges": charges,
            "staging.stg_claim_statuses": statuses,
            "staging.stg_system_of_record": [
                {"tenant_id": "t", "entity": "claim", "source_system": feed, "precedence": place}
                for place, feed in enumerate(feeds, 1)
            ],
        }
    )


def claims_of(models: Models) -> dict[str, str]:
    """Submission to claim."""
    return dict(models.rows("int_claim_submissions", "claim_submission_id", "claim_id"))


def billed(models: Models) -> dict[str, int]:
    return {claim: int(amount) for claim, amount in models.rows("int_claims", "claim_id", "billed_amount")}


def matches(models: Models) -> dict[str, tuple[str | None, str]]:
    """Claim payment to claim and how it was found."""
    rows = models.rows("int_remittance_claim_matches", "remittance_claim_id", "claim_id", "match_method")
    return {name: (claim, method) for name, claim, method in rows}


def charge_claims(models: Models) -> dict[str, str | None]:
    return dict(models.rows("int_charges", "charge_id", "claim_id"))
