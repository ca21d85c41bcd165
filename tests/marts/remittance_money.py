"""Claim payments for tests of the money models: rows of the tables they read, and what comes out on each line."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.marts.building import PROJECT
from tests.marts.compiled_models import Models

MODELS = (
    "int_remittance_reversals",
    "int_payer_sequences",
    "int_remittance_line_amounts",
    "int_remittance_line_matches",
    "int_adjustment_reasons",
    "int_coordinated_amounts",
    "int_coordinated_contractuals",
    "int_remittance_adjustments",
    "int_remittance_lines",
    "int_adjudications",
    "int_posted_events",
    "int_claim_capacities",
    "int_claim_event_shares",
    "int_line_events",
    "int_latest_decisions",
    "int_receivable_states",
)
_LINEAGE = "source_system varchar, source_record_id varchar, source_position varchar, source_updated_at timestamp"
TABLES = {
    "intermediate.int_remittance_claims": (
        "tenant_id varchar, remittance_claim_id varchar, remittance_id varchar, claim_key varchar, claim_id varchar, "
        "is_matched boolean, is_counted boolean, patient_id varchar, payer_id varchar, "
        "payer_claim_control_number varchar, original_payer_claim_control_number varchar, claim_status_code varchar, "
        "is_reversal boolean, stated_sequence integer, filing_indicator varchar, billed_amount decimal(18,4), "
        "payer_paid_amount decimal(18,4), patient_responsibility_amount decimal(18,4), allowed_amount decimal(18,4), "
        f"service_from_date date, adjudicated_date date, payment_date date, {_LINEAGE}"
    ),
    "intermediate.int_claim_submissions": (
        "tenant_id varchar, claim_id varchar, payer_id varchar, payer_sequence varchar, is_counted boolean"
    ),
    "staging.stg_remittance_lines": (
        "tenant_id varchar, remittance_line_id varchar, remittance_claim_id varchar, line_number bigint, "
        "line_control_number varchar, procedure_code varchar, submitted_procedure_code varchar, modifiers varchar, "
        "revenue_code varchar, remark_codes varchar, billed_amount decimal(18,4), payer_paid_amount decimal(18,4), "
        f"allowed_amount decimal(18,4), service_date date, {_LINEAGE}"
    ),
    "staging.stg_remittance_adjustments": (
        "tenant_id varchar, remittance_adjustment_id varchar, remittance_claim_id varchar, remittance_line_id varchar, "
        "claim_id varchar, group_code varchar, reason_code varchar, adjustment_amount decimal(18,4), "
        f"quantity decimal(18,4), {_LINEAGE}"
    ),
    "staging.stg_system_of_record": ("tenant_id varchar, entity varchar, source_system varchar, precedence integer"),
    "seeds.denial_ruleset": (
        "ruleset_version integer, group_code varchar, reason_code varchar, category varchar, leaves_balance boolean, "
        "is_cost_share boolean, counts_as_denial boolean, is_preventable boolean"
    ),
    "seeds.adjustment_pairs": "reason_code varchar, side varchar, nets_over_claim boolean",
    "intermediate.int_billed_lines": (
        "tenant_id varchar, charge_line_id varchar, line_kind varchar, charge_id varchar, claim_id varchar, "
        "line_control_number varchar, procedure_code varchar, modifiers varchar, revenue_code varchar, "
        "is_reversal boolean, billed_amount decimal(18,4), service_date date, has_own_date boolean"
    ),
    "intermediate.int_charges": ("tenant_id varchar, charge_id varchar, reversal_of_charge_id varchar, status varchar"),
    "intermediate.int_practice_events": (
        "tenant_id varchar, event_id varchar, charge_line_id varchar, claim_id varchar, event_date date, "
        "match_method varchar, paid_date date, is_point_of_service boolean, adjustment_type varchar, "
        "patient_paid_amount decimal(18,4), contractual_amount decimal(18,4), written_off_amount decimal(18,4)"
    ),
    "intermediate.int_charge_lines": (
        "tenant_id varchar, charge_line_id varchar, posted_date date, billed_amount decimal(18,4)"
    ),
    "intermediate.int_receivable_snapshots": "tenant_id varchar, snapshot_date date",
}
FIRST = date(2026, 1, 5)
SEQUENCES = {"1": 1, "19": 1, "2": 2, "20": 2, "3": 3, "21": 3}


@dataclass(frozen=True)
class Service:
    """A service line of a claim payment (SVC): the number of our line, what was billed and paid, and CAS of the line."""

    line: int
    billed: int
    paid: int
    reasons: tuple[tuple[str, int], ...] = ()
    adjudicated_code: str | None = None


@dataclass(frozen=True)
class Decision:
    """A claim payment (CLP). Amounts are cents; reasons are ("CO-45", amount), those here of the claim itself."""

    name: str
    payer: str
    day: int
    status: str
    billed: int
    paid: int
    reasons: tuple[tuple[str, int], ...] = ()
    services: tuple[Service, ...] = ()
    control_number: str | None = None
    claim: str = "K1"

    def reversed(self, name: str, day: int) -> "Decision":
        """The reversal (CLP02 22) of this decision."""
        return Decision(
            name,
            self.payer,
            day,
            "22",
            -self.billed,
            -self.paid,
            _negative(self.reasons),
            tuple(Service(s.line, -s.billed, -s.paid, _negative(s.reasons), s.adjudicated_code) for s in self.services),
            self.control_number,
            self.claim,
        )


def _negative(reasons: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    return tuple((reason, -amount) for reason, amount in reasons)


@dataclass(frozen=True)
class Claim:
    """A claim of ours: the charges of its lines in cents, who was billed (837: payer and "primary" ...), the decisions."""

    charges: Sequence[int]
    decisions: Sequence[Decision]
    name: str = "K1"
    submissions: Mapping[str, str] = field(default_factory=dict)
    patient_payments: Sequence[tuple[int, int]] = ()
    """Payments that name the claim alone: day and cents."""


def dollars(cents: int) -> Decimal:
    return Decimal(cents) / 100


def _seed(name: str) -> list[dict[str, Any]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def build(models: Models, *claims: Claim) -> None:
    """Builds the models on these claims."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    rows["seeds.denial_ruleset"] = _seed("denial_ruleset")
    rows["seeds.adjustment_pairs"] = _seed("adjustment_pairs")
    rows["intermediate.int_receivable_snapshots"] = [{"tenant_id": "t", "snapshot_date": FIRST + timedelta(days=365)}]
    for claim in claims:
        _add_claim(rows, claim)
    models.build(rows)


def _add_claim(rows: dict[str, list[dict[str, Any]]], claim: Claim) -> None:
    for number, cents in enumerate(claim.charges):
        line = {"tenant_id": "t", "charge_line_id": f"{claim.name}/{number}", "billed_amount": dollars(cents)}
        rows["intermediate.int_charge_lines"].append({**line, "posted_date": FIRST})
        rows["intermediate.int_billed_lines"].append(
            {
                **line,
                "line_kind": "claim_line",
                "claim_id": claim.name,
                "line_control_number": f"{claim.name}L{number}",
                "procedure_code": f"C{number}",
                "is_reversal": False,
                "service_date": FIRST,
                "has_own_date": True,
            }
        )
    for payer, sequence in claim.submissions.items():
        submission = {"tenant_id": "t", "claim_id": claim.name, "payer_id": payer, "payer_sequence": sequence}
        rows["intermediate.int_claim_submissions"].append({**submission, "is_counted": True})
    for number, (day, cents) in enumerate(claim.patient_payments):
        rows["intermediate.int_practice_events"].append(
            {
                "tenant_id": "t",
                "event_id": f"payment/{claim.name}/{number}",
                "charge_line_id": f"claim/{claim.name}",
                "claim_id": claim.name,
                "event_date": FIRST + timedelta(days=day),
                "match_method": "claim",
                "patient_paid_amount": dollars(cents),
                "contractual_amount": 0,
                "written_off_amount": 0,
            }
        )
    for decision in claim.decisions:
        _add_decision(rows, claim.name, decision)


def _add_decision(rows: dict[str, list[dict[str, Any]]], claim_id: str, decision: Decision) -> None:
    name = f"{claim_id}/{decision.name}"
    of_payment = {"tenant_id": "t", "remittance_claim_id": name, "source_system": "remits"}
    rows["intermediate.int_remittance_claims"].append(
        {
            **of_payment,
            "remittance_id": name,
            "claim_key": claim_id,
            "claim_id": claim_id,
            "is_matched": True,
            "is_counted": True,
            "payer_id": decision.payer,
            "payer_claim_control_number": decision.control_number,
            "claim_status_code": decision.status,
            "is_reversal": decision.status == "22",
            "stated_sequence": SEQUENCES.get(decision.status),
            "billed_amount": dollars(decision.billed),
            "payer_paid_amount": dollars(decision.paid),
            "service_from_date": FIRST,
            "adjudicated_date": FIRST + timedelta(days=decision.day),
            "payment_date": FIRST + timedelta(days=decision.day),
        }
    )
    reasons = [(None, reason, cents) for reason, cents in decision.reasons]
    for number, service in enumerate(decision.services):
        line_id = f"{name}/{number}"
        rows["staging.stg_remittance_lines"].append(
            {
                **of_payment,
                "remittance_line_id": line_id,
                "line_number": number,
                "line_control_number": f"{claim_id}L{service.line}",
                "procedure_code": service.adjudicated_code or f"C{service.line}",
                "submitted_procedure_code": f"C{service.line}" if service.adjudicated_code else None,
                "billed_amount": dollars(service.billed),
                "payer_paid_amount": dollars(service.paid),
                "service_date": FIRST,
            }
        )
        reasons += [(line_id, reason, cents) for reason, cents in service.reasons]
    for number, (line, reason, cents) in enumerate(reasons):
        group, code = reason.split("-")
        rows["staging.stg_remittance_adjustments"].append(
            {
                **of_payment,
                "remittance_adjustment_id": f"{name}/{number:03d}",
                "remittance_line_id": line,
                "claim_id": claim_id,
                "group_code": group,
                "reason_code": code,
                "adjustment_amount": dollars(cents),
            }
        )


@dataclass
class Balance:
    """What came out for a claim, in cents: each line's open balance, and paid and contractual amounts of the claim."""

    open: dict[str, int]
    paid: int
    contractual: int


def balances(models: Models, *claims: Claim) -> dict[str, Balance]:
    """Claim to what its lines hold after all movements. A line that no claim of ours bills shows beside the claim's."""
    build(models, *claims)
    found = {
        claim.name: Balance({f"{claim.name}/{n}": cents for n, cents in enumerate(claim.charges)}, 0, 0)
        for claim in claims
    }
    columns = ("claim_id", "charge_line_id", "payer_paid_amount", "contractual_amount", "patient_paid_amount")
    for claim_id, line, *amounts in models.rows("int_line_events", *columns):
        paid, contractual, by_patient = (int(amount * 100) for amount in amounts)
        balance = found[claim_id]
        balance.open[line] = balance.open.get(line, 0) - paid - contractual - by_patient
        balance.paid += paid
        balance.contractual += contractual
    return found


def patient_due(models: Models) -> dict[str, int]:
    """Line to what the patient owes of it in the end, in cents; of what `balances` built last."""
    rows = models.rows(
        "int_receivable_states", "charge_line_id", "open_balance", "patient_due_amount", "valid_before is null"
    )
    return {line: int(min(due, balance) * 100) for line, balance, due, is_last in rows if is_last}


def adjudicated_allowed(models: Models) -> dict[str, int]:
    """Line to what the primary payer's latest decision allows of it, in cents; of what `balances` built last."""
    rows = models.rows("int_latest_decisions", "charge_line_id", "allowed_amount")
    return {line: int(amount * 100) for line, amount in rows}
