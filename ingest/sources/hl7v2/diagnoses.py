"""DG1: the diagnoses of a visit, in ADT and DFT messages; FT1-19: those of a charge.

A diagnosis is named by its visit, its type (DG1-6) and its code, so that messages that repeat it give one row. DG1-21 = D takes it back.
"""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ingest.issuers import extended
from ingest.sources.code_systems import code_system, preferred
from ingest.sources.hl7v2.map import part, value
from ingest.sources.hl7v2.messages import Message
from ingest.sources.hl7v2.rows import Rows
from ingest.sources.hl7v2.shared import Segment

_DELETED = "D"
# DG1-6, table 0052. A working or final diagnosis says its place by DG1-15 (table 0359: 1 is the primary one).
_ADMITTING = "A"
_TYPES: Mapping[bool, str] = MappingProxyType({True: "principal", False: "secondary"})


def add_diagnoses(
    message: Message, segments: Sequence[Segment], visit: str | None, patient: str | None, rows: Rows
) -> None:
    """Adds a row of diagnosis for each DG1 with a DG1-3, also where that holds a text alone: then the row has no code."""
    for number, dg1 in enumerate(segments, start=1):
        if (sent := value(dg1, 3)) is None:
            continue
        code, system = _code(message, sent, value(dg1, 2))
        sent_type, priority = part(message, value(dg1, 6), 1) or "", _number(part(message, value(dg1, 15), 1))
        by_place = _TYPES[priority == "1"] if priority else "unknown"
        rows.add_diagnosis(
            message,
            diagnosis_id=_identifier(message, visit, f"DG1-{sent_type}", code, number),
            encounter_id=visit,
            charge_id=None,
            patient_id=patient,
            diagnosis_code=code,
            code_system=system,
            diagnosis_type="admitting" if sent_type == _ADMITTING else by_place,
            sequence_number=priority or _number(value(dg1, 1)),
            status="withdrawn" if part(message, value(dg1, 21), 1) == _DELETED else "stated",
            recorded_at=part(message, value(dg1, 5), 1),
        )


def add_charge_diagnoses(
    message: Message, ft1: Segment, charge: str, visit: str | None, patient: str | None, rows: Rows
) -> None:
    """Adds a row of diagnosis for each repetition of FT1-19; the first is the diagnosis for which the service was given."""
    text = value(ft1, 19)
    for number, repetition in enumerate(text.split(message.repetition) if text else (), start=1):
        code, system = _code(message, repetition, None)
        if code is None:
            continue
        rows.add_diagnosis(
            message,
            diagnosis_id=f"{charge}-FT1-19-{number}",
            encounter_id=visit,
            charge_id=charge,
            patient_id=patient,
            diagnosis_code=code,
            code_system=system,
            diagnosis_type=_TYPES[number == 1],
            sequence_number=str(number),
            status="stated",
            recorded_at=None,
        )


def _code(message: Message, text: str | None, method: str | None) -> tuple[str | None, str]:
    """Code and code system of a coded field: of the code and its alternate the one of ICD-10, else the first that is sent.
    `method` (DG1-2) names the code system of a field that names none. A text is not read, because it may name the patient."""
    pairs = ((1, 3), (4, 6))
    codings = [
        (code, code_system(part(message, text, system) or (method if place == 1 else None)))
        for place, system in pairs
        if (code := part(message, text, place)) is not None
    ]
    return preferred(codings)


def _identifier(message: Message, visit: str | None, kind: str, code: str | None, number: int) -> str:
    if visit is None or code is None:
        return f"{message.sender}/{message.control}-{kind}-{number}"
    return extended(visit, f"-{kind}-{hashlib.blake2b(code.encode(), digest_size=6).hexdigest()}")


def _number(text: str | None) -> str | None:
    """A place from 1 on; None for anything else."""
    return text if text is not None and text.isascii() and text.isdigit() and int(text) > 0 else None
