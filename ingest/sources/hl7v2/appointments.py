"""SIU: appointments and their changes.

The start is TQ1-7 where a TQ1 is sent (2.5 and later), else SCH-11, else that of the first resource. The status follows from
the event; if the event only reports a change, it is SCH-25. A row has only the fields of its message: messages of one
appointment are combined when they are loaded (`ingest.load.partial_rows`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from ingest.issuers import extended
from ingest.profiles.word_lists import folded
from ingest.sources.hl7v2.map import (
    APPOINTMENT_STATUS,
    CANCEL_INITIATOR,
    issued_entity,
    issued_number,
    meaning,
    part,
    value,
)
from ingest.sources.hl7v2.messages import Message
from ingest.sources.hl7v2.rows import Rows
from ingest.sources.hl7v2.shared import (
    Segment,
    add_coverage,
    add_patient,
    cleared,
    named,
    patient_of,
    provider_of,
    split,
    unit_of,
    visit_of,
)

USED = ("MSH", "SCH", "TQ1", "PID", "PV1", "IN1", "RGS", "AIS", "AIL", "AIP", "AIG")
# Status of the appointment after the event (None where the event does not decide it), and whether SCH-25 may replace it. S18 to
# S22 add, change and take away a service or a resource.
_EVENTS: Mapping[str, tuple[str | None, bool]] = MappingProxyType(
    {
        "S12": ("scheduled", True),
        "S13": ("scheduled", True),
        "S14": (None, True),
        "S15": ("cancelled", False),
        "S16": ("cancelled", False),
        "S17": ("entered_in_error", False),
        **{f"S{number}": (None, True) for number in range(18, 23)},
        "S26": ("no_show", False),
    }
)
EVENTS = frozenset(_EVENTS)
_OF_AN_END = ["cancel_initiator", "cancel_reason_code", "cancelled_at"]
_SCH_COLUMNS = MappingProxyType({6: "cancel_reason_code", 9: "minutes"})
_RESOURCES = MappingProxyType({"AIL": "service_unit_id", "AIP": "provider_id"})
_ENDED = frozenset({"cancelled", "no_show", "entered_in_error"})
# Table 0277 does not name the kind of visit.
_NO_VISIT_TYPES = frozenset({"NORMAL", "TENTATIVE", "COMPLETE"})
_MINUTES = {
    "MIN": 1.0,
    "MINS": 1.0,
    "MINUTE": 1.0,
    "MINUTES": 1.0,
    "M": 1.0,
    "HR": 60.0,
    "H": 60.0,
    "S": 1 / 60,
    "SEC": 1 / 60,
}


def read_siu(message: Message, rows: Rows) -> str | None:
    """Adds the rows of one SIU message; gives why it has none, or None."""
    segments = split(message, *USED)
    sch = _one(segments, "SCH")
    placer = issued_entity(message, value(sch, 1)) if sch is not None else None
    identifier = (issued_entity(message, value(sch, 2)) or placer) if sch is not None else None
    if sch is None or identifier is None:
        return "the message has no appointment number: SCH-1 and SCH-2 are empty"
    pid, pv1 = _one(segments, "PID"), _one(segments, "PV1")
    patient = patient_of(message, pid)
    if pid is not None and patient is not None:
        add_patient(message, pid, patient, rows, always=False)
    visit = issued_number(message, value(pv1, 19)) if pv1 is not None else None
    add_coverage(message, segments.get("IN1", []), patient, visit_of(message, pv1, pid), rows)
    emptied = cleared(message, sch, _SCH_COLUMNS)
    for tag, name in _RESOURCES.items():
        emptied += _without_removed(segments, tag, name)
    start, end, minutes = _times(message, segments, sch, rows)
    default, open_to_sender = _EVENTS[message.trigger]
    stated = part(message, value(sch, 25), 1) if open_to_sender else None
    known_status = default
    if stated is not None:
        known_status = meaning(message.profile.appointment_statuses, APPOINTMENT_STATUS, stated)
    # An unknown word stays as it is: the landing step counts it and gives the row the status unknown.
    status = known_status or stated
    reason = part(message, value(sch, 6), 1)
    ended = status in _ENDED
    initiator = None
    if ended and reason is not None:
        initiator = meaning(message.profile.cancel_initiators, CANCEL_INITIATOR, reason)
        if initiator is None:
            rows.unknown(message, "appointment", "cancel_initiator", reason, became="unknown")
    if known_status is not None and not ended:
        emptied += _OF_AN_END
    rows.add_appointment(
        message,
        appointment_id=identifier,
        patient_id=patient,
        service_unit_id=_unit(message, segments),
        provider_id=_provider(message, segments, rows),
        visit_type_id=_visit_type(message, segments, sch),
        encounter_id=visit,
        status=status,
        cancel_initiator=initiator,
        cancel_reason_code=reason if ended else None,
        booked_at=message.sent if message.trigger == "S12" else None,
        scheduled_start_at=start,
        scheduled_end_at=end,
        cancelled_at=message.sent if ended else None,
        minutes=minutes,
        placer_appointment_id=placer,
        cleared_columns=named(emptied),
    )
    changed = known_status or ("unknown" if stated is not None else "scheduled")
    changed = "rescheduled" if message.trigger == "S13" else changed
    event = extended(identifier, f"-{message.trigger}-{message.sent}")
    by = initiator or ("unknown" if ended else None)
    rows.add_appointment_event(
        message,
        appointment_event_id=event,
        appointment_id=identifier,
        status=changed,
        initiator=by,
        reason_code=reason,
        scheduled_start_at=start,
        occurred_at=message.sent,
    )
    return None


def _without_removed(segments: dict[str, list[Segment]], tag: str, column: str) -> list[str]:
    """Removes from `segments` the resources with action code D; returns their column if none is left."""
    resources = segments.get(tag, [])
    kept = [resource for resource in resources if (value(resource, 2) or "").upper() != "D"]
    if len(kept) == len(resources):
        return []
    segments[tag] = kept
    return [] if kept else [column]


def _one(message_segments: dict[str, list[Segment]], tag: str) -> Segment | None:
    segments = message_segments.get(tag)
    return segments[0] if segments else None


def _times(
    message: Message, segments: dict[str, list[Segment]], sch: Segment, rows: Rows
) -> tuple[str | None, str | None, str | None]:
    """Start, end and length in minutes, as sent."""
    minutes = _minutes(message, value(sch, 9), value(sch, 10), rows)
    tq1 = _one(segments, "TQ1")
    if tq1 is not None and value(tq1, 7):
        return part(message, value(tq1, 7), 1), part(message, value(tq1, 8), 1), minutes
    timing = value(sch, 11)
    if start := part(message, timing, 4):
        return start, part(message, timing, 5), minutes
    for tag, start_at, length, unit in (("AIS", 4, 7, 8), ("AIL", 6, 9, 10), ("AIG", 8, 11, 12), ("AIP", 6, 9, 10)):
        for resource in segments.get(tag, []):
            if start := part(message, value(resource, start_at), 1):
                return start, None, minutes or _minutes(message, value(resource, length), value(resource, unit), rows)
    return None, None, minutes


def _minutes(message: Message, length: str | None, unit: str | None, rows: Rows) -> str | None:
    if length is None:
        return None
    try:
        number = float(length)
    except ValueError:
        return None
    named = part(message, unit, 1) or "MIN"
    taught = message.profile.duration_units.get(folded(named)) if message.profile.duration_units else None
    factor = float(taught) if taught is not None else _MINUTES.get(named.upper())
    if factor is None:
        rows.unknown(message, "appointment", "minutes", named)
        return None
    return str(number * factor)


def _unit(message: Message, segments: dict[str, list[Segment]]) -> str | None:
    for resource in segments.get("AIL", []):
        if unit := unit_of(message, resource, 3):
            return unit
    return unit_of(message, _one(segments, "PV1"), 3)


def _provider(message: Message, segments: dict[str, list[Segment]], rows: Rows) -> str | None:
    """Of the personnel, else the attending doctor, else the general resource: older systems send people as AIG."""
    for tag, index in (("AIP", 3), ("PV1", 7), ("AIG", 3)):
        for segment in segments.get(tag, []):
            if provider := provider_of(message, value(segment, index), rows):
                return provider
    return None


def _visit_type(message: Message, segments: dict[str, list[Segment]], sch: Segment) -> str | None:
    kind = part(message, value(sch, 8), 1)
    if kind and kind.upper() not in _NO_VISIT_TYPES:
        return kind
    for service in segments.get("AIS", []):
        if code := part(message, value(service, 3), 1):
            return code
    return part(message, value(sch, 7), 1)
