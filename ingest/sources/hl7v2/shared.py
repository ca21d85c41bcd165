"""Segments that all HL7 v2 message types share: the patient (PID), the visit (PV1), the insurance (IN1)."""

from collections.abc import Mapping
from types import MappingProxyType

from ingest.issuers import extended, issued, number_of, stated_issuer
from ingest.profiles.word_lists import folded
from ingest.sources.hl7v2.map import (
    issued_number,
    language_of,
    location,
    part,
    person,
    record_number,
    sex_of,
    value,
    zip3_of,
)
from ingest.sources.hl7v2.messages import Message
from ingest.sources.hl7v2.rows import PidFields, Rows

Segment = list[str]
BEGINNING = "19000101"
_PID_COLUMNS = MappingProxyType({7: "birth_year", 8: "sex", 11: "zip3", 15: "language"})
_IN1_COLUMNS = MappingProxyType({2: "plan_name", 12: "effective_from", 13: "effective_to", 36: "member_token"})


def cleared(message: Message, segment: Segment | None, columns: Mapping[int, str]) -> list[str]:
    """The `columns` (by field of the segment) that the message empties with the HL7 null ("")."""
    if not message.has_nulls or segment is None:
        return []
    return [name for index, name in columns.items() if index < len(segment) and segment[index] == '""']


def named(columns: list[str]) -> str | None:
    """Columns as `cleared_columns` holds them."""
    return ",".join(columns) or None


def split(message: Message, *tags: str) -> dict[str, list[Segment]]:
    """The fields of every segment whose identifier is in `tags`, by identifier, in order."""
    segments: dict[str, list[Segment]] = {}
    for segment in message.segments:
        tag = segment[:3]
        if tag in tags and segment[3:4] == message.field_separator:
            segments.setdefault(tag, []).append(segment.split(message.field_separator))
    return segments


def patient_of(message: Message, pid: Segment | None) -> str | None:
    """The medical record number of a PID, with its issuer: PID-3, else PID-2."""
    return record_number(message, value(pid, 3), value(pid, 2)) if pid is not None else None


def merged_patient(message: Message, mrg: Segment, beside: str | None) -> str | None:
    """The medical record number of an MRG: MRG-1, else MRG-4. Many senders leave out the authority there: then it is the
    authority of the PID of the same message (`beside`)."""
    number = record_number(message, value(mrg, 1) or value(mrg, 4))
    if number is None or beside is None or stated_issuer(number):
        return number
    return issued(number, stated_issuer(beside))


def add_patient(message: Message, pid: Segment, patient: str, rows: Rows, *, always: bool) -> None:
    """The patient and, for the vault, the identity. Without `always`, only if the PID has more than the identifier."""
    # Messages about one patient repeat the PID, so its fields are worked out once for each chunk.
    key = (message.segments[0][3:8], message.field_separator.join(pid[2:]))
    fields = rows.people.get(key)
    if fields is None:
        fields = rows.people[key] = _pid_fields(message, pid, rows)
    if always or fields.is_more_than_a_number:
        rows.add_patient(
            message,
            patient_id=patient,
            birth_year=fields.birth_date[:4] if fields.birth_date else None,
            sex=fields.sex,
            family_name_token=fields.family_name,
            zip3=fields.zip3,
            language=fields.language,
            cleared_columns=fields.cleared_columns,
        )
        rows.add_patient_identity(
            message,
            patient_id=patient,
            medical_record_number=number_of(patient),
            family_name=fields.family_name,
            given_name=fields.given_name,
            birth_date=fields.birth_date,
            address_line=fields.address_line,
            city=fields.city,
            state=fields.state,
            postal_code=fields.postal_code,
            phone=fields.phone,
            email=fields.email,
        )


def _pid_fields(message: Message, pid: Segment, rows: Rows) -> PidFields:
    birth_date = value(pid, 7)
    sex = part(message, value(pid, 8), 1)
    name = value(pid, 5)
    empty = cleared(message, pid, _PID_COLUMNS)
    address, phones = value(pid, 11), value(pid, 13)
    postal_code = part(message, address, 5)
    language_sent = part(message, value(pid, 15), 1)
    language = language_of(message, language_sent)
    if language_sent is not None and language is None:
        rows.unknown(message, "patient", "language", language_sent)
    street = address.replace(message.subcomponent, " ") if address else None
    return PidFields(
        birth_date=birth_date,
        sex=sex_of(message, sex),
        family_name=part(message, name, 1),
        given_name=_joined(part(message, name, 2), part(message, name, 3)),
        zip3=zip3_of(postal_code, part(message, address, 6)),
        language=language,
        address_line=_joined(part(message, street, 1), part(message, street, 2)),
        city=part(message, address, 3),
        state=part(message, address, 4),
        postal_code=postal_code,
        phone=_phone(message, phones),
        email=_email(message, phones),
        cleared_columns=named(empty),
        is_more_than_a_number=bool(birth_date or sex or empty),
    )


def _joined(*parts: str | None) -> str | None:
    return " ".join(piece for piece in parts if piece) or None


def _phone(message: Message, text: str | None) -> str | None:
    local = _joined(part(message, text, 6), part(message, text, 7))
    return part(message, text, 1) or part(message, text, 12) or local


def _email(message: Message, text: str | None) -> str | None:
    for repetition in (text or "").split(message.repetition):
        if "@" in repetition:
            return part(message, repetition, 4) or part(message, repetition, 1)
    return None


def visit_of(message: Message, pv1: Segment | None, pid: Segment | None) -> str | None:
    """The visit number with its issuer: the first field that has one of those that the profile names. Without a profile these are
    PV1-19, PV1-50 and the account number PID-18, which many systems give per visit."""
    if pv1 is None:
        return None
    for field in message.profile.visit_number:
        tag, _, index = field.partition("-")
        segment = pv1 if tag == "PV1" else pid
        if segment is not None and (number := issued_number(message, value(segment, int(index)))):
            return number
    return None


def provider_of(message: Message, text: str | None, rows: Rows) -> str | None:
    """The id of an XCN field; adds the provider that the field names."""
    if text is None:
        return None
    key = (message.segments[0][3:8], text)
    if key not in rows.persons:
        rows.persons[key] = person(message, text)
    named = rows.persons[key]
    if named is None:
        return None
    identifier, npi, name = named
    rows.add_provider(message, provider_id=identifier, npi=npi, display_name=name)
    return identifier


def unit_of(message: Message, segment: Segment | None, index: int) -> str | None:
    """The service unit a PL field names."""
    return location(message, value(segment, index)) if segment is not None else None


def add_coverage(
    message: Message, insurances: list[Segment], patient: str | None, visit: str | None, rows: Rows
) -> str | None:
    """Payers and, where the patient is known, coverages of the IN1 segments; gives the payer that comes first.

    The id of a coverage is of the visit, or of the message, and its place: never of the patient.
    """
    primary: tuple[int, str] | None = None
    for index, in1 in enumerate(insurances, start=1):
        name = part(message, value(in1, 4), 1)
        payer = part(message, value(in1, 3), 1) or (" ".join(name.lower().split()) if name else None)
        if payer is None:
            continue
        classes = message.profile.payer_classes
        payer_class = classes.get(folded(payer)) or classes.get(folded(name or "")) if classes else None
        rows.add_payer(message, payer_id=payer, name=name, payer_class=payer_class, effective_from=BEGINNING)
        stated = value(in1, 22) or value(in1, 1) or ""
        priority = int(stated) if stated.isdigit() and 1 <= int(stated) <= 9 else min(index, 9)
        if primary is None or priority < primary[0]:
            primary = (priority, payer)
        if patient is None:
            continue
        rows.add_coverage(
            message,
            coverage_id=extended(visit or f"{message.sender}/{message.control}", f"-{index}"),
            patient_id=patient,
            payer_id=payer,
            member_token=part(message, value(in1, 36), 1),
            plan_name=part(message, value(in1, 2), 2),
            priority=str(priority),
            effective_from=value(in1, 12),
            effective_to=value(in1, 13),
            cleared_columns=named(cleared(message, in1, _IN1_COLUMNS)),
        )
    return primary[1] if primary else None
