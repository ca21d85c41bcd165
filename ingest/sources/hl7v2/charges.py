"""DFT: charges, credits, patient payments and adjustments, each of them an FT1; and diagnoses.

A credit (CR, CD) is a separate charge with a negative amount; it names the reversed charge in FT1-33, else by its transaction
id, which many systems repeat.
"""

import hashlib
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

from ingest.profiles.hl7v2 import TRANSACTION_TYPES
from ingest.sources.hl7v2.diagnoses import add_charge_diagnoses, add_diagnoses
from ingest.sources.hl7v2.map import issued_number, meaning, part, value
from ingest.sources.hl7v2.messages import Message
from ingest.sources.hl7v2.rows import Rows
from ingest.sources.hl7v2.shared import (
    Segment,
    add_coverage,
    add_patient,
    patient_of,
    provider_of,
    split,
    unit_of,
    visit_of,
)
from ingest.sources.hl7v2.visits import occurred

USED = ("MSH", "EVN", "PID", "PV1", "FT1", "DG1", "IN1")
EVENTS = frozenset({"P03", "P11"})
_TYPES = MappingProxyType({name: name for name in TRANSACTION_TYPES})
_CREDITS = frozenset({"CR", "CD"})
# Co-payments are payments of the patient.
_PAYMENTS = frozenset({"PY", "CO"})


def read_dft(message: Message, rows: Rows) -> str | None:
    """Adds the rows of one DFT message; gives why it has none, or None."""
    segments = split(message, *USED)
    pid = segments["PID"][0] if "PID" in segments else None
    pv1 = segments["PV1"][0] if "PV1" in segments else None
    patient = patient_of(message, pid)
    if pid is not None and patient is not None:
        add_patient(message, pid, patient, rows, always=False)
    visit = visit_of(message, pv1, pid)
    if visit is None and pid is not None:
        visit = issued_number(message, value(pid, 18))
    payer = add_coverage(message, segments.get("IN1", []), patient, visit, rows)
    if "DG1" in segments:
        add_diagnoses(message, segments["DG1"], visit, patient, rows)
    entered = occurred(message, segments["EVN"][0] if "EVN" in segments else None)
    read = 0
    for index, ft1 in enumerate(segments.get("FT1", []), start=1):
        sent = part(message, value(ft1, 6), 1) or ""
        kind = meaning(message.profile.transaction_types, _TYPES, sent) or ""
        identifier = part(message, value(ft1, 2), 1) or _own_id(message, ft1, index)
        read += 1
        if kind == "CG" or kind in _CREDITS:
            _charge(
                message, ft1, identifier, kind, rows, patient=patient, visit=visit, payer=payer, pv1=pv1, at=entered
            )
        elif kind in _PAYMENTS:
            unit = unit_of(message, ft1, 16) or part(message, value(ft1, 13), 1) or unit_of(message, pv1, 3)
            amount, paid, posted = _amount(message, ft1), value(ft1, 4), value(ft1, 5)
            rows.add_patient_payment(
                message,
                patient_payment_id=identifier,
                patient_id=patient,
                encounter_id=visit,
                service_unit_id=unit,
                payment_amount=amount,
                paid_date=paid,
                posted_date=posted,
            )
        elif kind == "AJ":
            charge = part(message, value(ft1, 33), 1)
            code, amount = part(message, value(ft1, 7), 1), _amount(message, ft1)
            made, posted = value(ft1, 4), value(ft1, 5)
            rows.add_adjustment(
                message,
                adjustment_id=identifier,
                charge_id=charge,
                adjustment_type="other",
                reason_code=code,
                adjustment_amount=amount,
                adjusted_date=made,
                posted_date=posted,
            )
        else:
            read -= 1
            if sent:
                rows.unknown(message, "charge", "transaction_type", sent)
            rows.note(
                message,
                "financial_transaction_not_in_model",
                f"the type (FT1-6) of FT1 {index} is not CG, CR, CD, PY, CO or AJ",
            )
    return None if read else "the message has no FT1 segment that can be read"


def _own_id(message: Message, ft1: Segment, index: int) -> str:
    """An id for a transaction without FT1-2: of its message and its content, because some senders begin to
    count control ids again. A transaction that is sent again has the same id."""
    digest = hashlib.blake2b(message.field_separator.join(ft1).encode(), digest_size=4).hexdigest()
    return f"{message.sender}/{message.control}-{index}-{digest}"


def _charge(
    message: Message,
    ft1: Segment,
    identifier: str,
    kind: str,
    rows: Rows,
    *,
    patient: str | None,
    visit: str | None,
    payer: str | None,
    pv1: Segment | None,
    at: str | None,
) -> None:
    amount = _amount(message, ft1)
    units = value(ft1, 10)
    reversed_charge = None
    charge = identifier
    if kind in _CREDITS:
        reversed_charge = part(message, value(ft1, 33), 1) or identifier
        charge = f"{identifier}-{kind}"
        amount = None if amount is None else "-" + amount.lstrip("+-")
        units = units.lstrip("-") if units else None
    provider = provider_of(message, value(ft1, 20), rows)
    if provider is None and pv1 is not None:
        provider = provider_of(message, value(pv1, 7), rows)
    modifiers = value(ft1, 26)
    codes = [part(message, code, 1) for code in modifiers.split(message.repetition)] if modifiers else []
    rows.add_charge(
        message,
        charge_id=charge,
        encounter_id=visit,
        patient_id=patient,
        service_unit_id=unit_of(message, ft1, 16) or part(message, value(ft1, 13), 1) or unit_of(message, pv1, 3),
        provider_id=provider,
        payer_id=payer,
        procedure_code=part(message, value(ft1, 25), 1) or part(message, value(ft1, 7), 1),
        modifiers=":".join(code for code in codes if code) or None,
        reversal_of_charge_id=reversed_charge,
        status="posted",
        units=units,
        billed_amount=amount,
        service_date=value(ft1, 4),
        posted_date=value(ft1, 5),
        entered_at=at,
    )
    add_charge_diagnoses(message, ft1, charge, visit, patient, rows)


def _amount(message: Message, ft1: Segment) -> str | None:
    """FT1-11 (extended), else FT1-12 (a unit) times FT1-10 where that is a whole number."""
    extended = part(message, value(ft1, 11), 1)
    if extended is not None:
        return extended
    each, units = part(message, value(ft1, 12), 1), value(ft1, 10)
    if each is None or units is None or units == "1":
        return each
    return _times(each, units)


def _times(each: str, units: str) -> str | None:
    try:
        return format(Decimal(each) * Decimal(units), "f")
    except InvalidOperation:
        return each
