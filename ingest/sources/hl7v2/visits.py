"""ADT: patients, merges, encounters, bed movements, coverages and diagnoses.

A row has only the fields of its message: messages of one visit are combined when they are loaded (`ingest.load.partial_rows`),
in the order of their events. So a cancellation also works if it arrives first.

The event is in MSH-9; EVN-1 repeats it and is sometimes wrong. Its time is EVN-6 (event occurred), else EVN-2 (recorded), else
MSH-7.
"""

from collections.abc import Mapping
from types import MappingProxyType

from data_contracts import contract
from ingest.issuers import extended
from ingest.sources.hl7v2.diagnoses import add_diagnoses
from ingest.sources.hl7v2.map import ENCOUNTER_CLASS, WITHOUT_BED, meaning, part, value
from ingest.sources.hl7v2.messages import Message
from ingest.sources.hl7v2.rows import Rows
from ingest.sources.hl7v2.shared import (
    Segment,
    add_coverage,
    add_patient,
    cleared,
    merged_patient,
    named,
    patient_of,
    provider_of,
    split,
    unit_of,
    visit_of,
)

_CLASSES = frozenset(contract("encounter_event").by_name["encounter_class"].valid_values)
USED = ("MSH", "EVN", "PID", "MRG", "PV1", "PV2", "DG1", "IN1")
# What a visit is after the event; None for events that change no status.
STATUS: Mapping[str, str | None] = MappingProxyType(
    {
        "A01": "in_progress",
        "A02": "in_progress",
        "A03": "finished",
        "A04": "arrived",
        "A05": "planned",
        "A06": "in_progress",
        "A07": "in_progress",
        "A08": None,
        "A09": "in_progress",
        "A10": "in_progress",
        "A11": "cancelled",
        "A12": "in_progress",
        "A13": "in_progress",
        "A14": "planned",
        "A15": "in_progress",
        "A16": "in_progress",
        "A21": "on_leave",
        "A22": "in_progress",
        "A23": "entered_in_error",
        "A25": "in_progress",
        "A26": "in_progress",
        "A27": "cancelled",
        "A38": "cancelled",
        "A54": None,
        "A60": None,
    }
)
PERSON_EVENTS = frozenset({"A28", "A31"})
# MRG-1 ends and PID-3 survives. A46 and A47 change an identifier, which for us is the same.
MERGE_EVENTS = frozenset({"A18", "A34", "A36", "A39", "A40", "A46", "A47"})
# The records of both PID are one patient's; they are apart again, which takes merges back too. Some systems send a PID and an MRG.
LINK_EVENTS: Mapping[str, str] = MappingProxyType({"A24": "merge", "A37": "unmerge"})
# Accounts or visits of one patient become one. Encounters keep their numbers: the person is read, the rest gives a notice.
ACCOUNT_EVENTS = frozenset({"A35", "A41", "A42", "A49", "A50"})
EVENTS = frozenset(STATUS) | PERSON_EVENTS | MERGE_EVENTS | frozenset(LINK_EVENTS) | ACCOUNT_EVENTS
_MOVEMENT: Mapping[str, str] = MappingProxyType(
    {
        "A01": "admit",
        "A02": "transfer",
        "A03": "discharge",
        "A06": "admit",
        "A07": "discharge",
        "A11": "cancel_admit",
        "A12": "cancel_transfer",
        "A13": "cancel_discharge",
    }
)
_DAY_LENGTH = len("20260310")
# Events that begin a visit: their time is its start, even without PV1-44.
_BEGINS = frozenset({"A01", "A04", "A05", "A14"})
# Events that give a visit a class from then on. An update (A08) corrects the class and does not change it.
_CLASS_CHANGES = frozenset({"A01", "A02", "A04", "A06", "A07"})
# After these events the visit continues: an earlier end is no longer valid.
_REOPENS: Mapping[str, list[str]] = MappingProxyType(
    {"A13": ["ended_at", "discharge_disposition"], "A22": ["ended_at"]}
)
_PV1_COLUMNS = MappingProxyType(
    {3: "service_unit_id", 7: "provider_id", 14: "admission_source", 36: "discharge_disposition", 45: "ended_at"}
)


def read_adt(message: Message, rows: Rows) -> str | None:
    """Adds the rows of one ADT message; gives why it has none, or None."""
    if message.trigger in MERGE_EVENTS:
        return _merge(message, rows)
    segments = split(message, *USED)
    if message.trigger in LINK_EVENTS:
        return _link(message, segments, rows)
    pid = _one(segments, "PID")
    patient = patient_of(message, pid)
    if pid is not None and patient is not None:
        add_patient(message, pid, patient, rows, always=True)
    pv1 = _one(segments, "PV1")
    visit = visit_of(message, pv1, pid)
    if patient is None and visit is None:
        return "the message has neither a patient number nor a visit number"
    payer = add_coverage(message, segments.get("IN1", []), patient, visit, rows)
    if "DG1" in segments:
        add_diagnoses(message, segments["DG1"], visit, patient, rows)
    if message.trigger in ACCOUNT_EVENTS:
        return "the message merges accounts or visits; encounters keep their numbers"
    if message.trigger in PERSON_EVENTS or pv1 is None:
        return None
    if visit is None:
        rows.note(message, "visit_number_missing", "the fields of the visit number are empty, so no encounter was read")
        return None
    _visit(message, segments, pv1, visit, patient, payer, rows)
    return None


def _one(message_segments: dict[str, list[Segment]], tag: str) -> Segment | None:
    segments = message_segments.get(tag)
    return segments[0] if segments else None


def occurred(message: Message, evn: Segment | None) -> str | None:
    """When the event happened, as sent."""
    if evn is None:
        return message.sent
    times = [part(message, value(evn, 6), 1), part(message, value(evn, 2), 1), message.sent]
    return _exact(*times)


def _exact(*times: str | None) -> str | None:
    """The first of several times; if it is only a day, the first time on that day."""
    sent = [text for text in times if text]
    if not sent or len(sent[0]) > _DAY_LENGTH:
        return sent[0] if sent else None
    return next((text for text in sent if text[:8] == sent[0][:8] and len(text) > _DAY_LENGTH), sent[0])


def _visit(
    message: Message,
    segments: dict[str, list[Segment]],
    pv1: Segment,
    visit: str,
    patient: str | None,
    payer: str | None,
    rows: Rows,
) -> None:
    event = occurred(message, _one(segments, "EVN"))
    trigger = message.trigger
    class_code = part(message, value(pv1, 2), 1)
    # An unknown word stays as it is: the landing step counts it and gives the row the class UNK.
    encounter_class = (
        (meaning(message.profile.visit_classes, ENCOUNTER_CLASS, class_code) or class_code) if class_code else None
    )
    started = _exact(part(message, value(pv1, 44), 1), _begin(message, segments, event))
    ended = _exact(part(message, value(pv1, 45), 1), event if trigger == "A03" else None)
    disposition = part(message, value(pv1, 36), 1)
    emptied = cleared(message, pv1, _PV1_COLUMNS)
    if trigger in _REOPENS:
        emptied = [*emptied, *_REOPENS[trigger]]
        ended = None
        disposition = None if trigger == "A13" else disposition
    rows.add_encounter(
        message,
        encounter_id=visit,
        patient_id=patient,
        service_unit_id=unit_of(message, pv1, 3),
        provider_id=provider_of(message, value(pv1, 7), rows),
        payer_id=payer,
        encounter_class=encounter_class,
        status=STATUS[trigger],
        admission_source=part(message, value(pv1, 14), 1),
        discharge_disposition=disposition,
        started_at=started,
        ended_at=ended,
        cleared_columns=named(emptied),
    )
    if encounter_class and trigger in _CLASS_CHANGES:
        _class_change(message, pv1, visit, encounter_class, started if trigger == "A04" else event, rows)
    movement = _MOVEMENT.get(trigger)
    if movement and (encounter_class not in WITHOUT_BED or trigger == "A07"):
        at = _exact(started if trigger == "A01" else ended if trigger == "A03" else None, event)
        _move(message, pv1, visit, movement, at, patient, rows)


def _begin(message: Message, segments: dict[str, list[Segment]], event: str | None) -> str | None:
    if message.trigger not in _BEGINS:
        return None
    pv2 = _one(segments, "PV2")
    expected = part(message, value(pv2, 8), 1) if pv2 is not None and STATUS[message.trigger] == "planned" else None
    return expected or event


def _class_change(message: Message, pv1: Segment, visit: str, encounter_class: str, at: str | None, rows: Rows) -> None:
    """The class from a moment on. An A06 also means that the visit had another class before, whose message may be missing."""
    identifier = extended(visit, f"-class-{message.trigger}-{at}")
    # An unknown word is counted once, for the visit.
    known_class = encounter_class if encounter_class in _CLASSES else "UNK"
    rows.add_encounter_event(
        message,
        encounter_event_id=identifier,
        encounter_id=visit,
        event_type="class_change",
        encounter_class=known_class,
        occurred_at=at,
    )
    started = part(message, value(pv1, 44), 1)
    if message.trigger == "A06" and started is not None and len(started) > _DAY_LENGTH and started != at:
        rows.add_encounter_event(
            message,
            encounter_event_id=extended(visit, f"-class-before-{at}"),
            encounter_id=visit,
            event_type="class_change",
            encounter_class="UNK",
            occurred_at=started,
        )


def _move(
    message: Message, pv1: Segment, visit: str, movement: str, at: str | None, patient: str | None, rows: Rows
) -> None:
    unit = unit_of(message, pv1, 3)
    before = unit_of(message, pv1, 6) if movement in ("transfer", "cancel_transfer") else None
    bed = part(message, value(pv1, 3), 3)
    # Named by what happened, not by the message: the same movement sent again is the same row.
    identifier = extended(visit, f"-{movement}-{at}-{unit or ''}")
    rows.add_bed_movement(
        message,
        bed_movement_id=identifier,
        encounter_id=visit,
        patient_id=patient,
        movement_type=movement,
        service_unit_id=unit,
        from_service_unit_id=before,
        bed=bed,
        occurred_at=at,
    )


def _merge(message: Message, rows: Rows) -> str | None:
    """Each MRG merges into the PID before it. A message of a merge without two identifiers is refused."""
    evn: Segment | None = None
    survivor: str | None = None
    merged = count = 0
    for segment in message.segments:
        parts = segment.split(message.field_separator)
        if parts[0] == "EVN":
            evn = parts
        elif parts[0] == "PID":
            survivor = patient_of(message, parts)
            if survivor is not None:
                add_patient(message, parts, survivor, rows, always=True)
        elif parts[0] == "MRG":
            count += 1
            ended = merged_patient(message, parts, survivor)
            if survivor is None or ended is None or ended == survivor:
                continue
            merged += 1
            at = occurred(message, evn)
            # Never of the two numbers: an identifier column is not tokenised.
            identifier = f"{message.sender}/{message.control}-{at}-{count}"
            rows.add_patient_merge(
                message,
                patient_merge_id=identifier,
                from_patient_id=ended,
                to_patient_id=survivor,
                merge_type="merge",
                merged_at=at,
            )
    return None if merged else "does not name the two identifiers it merges"


def _link(message: Message, segments: dict[str, list[Segment]], rows: Rows) -> str | None:
    """Links the identifiers of further PID and MRG segments to the first PID, or separates them from it."""
    pids = [(pid, patient_of(message, pid)) for pid in segments.get("PID", [])]
    identifiers = [patient for _, patient in pids]
    beside = next((patient for patient in identifiers if patient is not None), None)
    identifiers += [merged_patient(message, mrg, beside) for mrg in segments.get("MRG", [])]
    patients = list(dict.fromkeys(patient for patient in identifiers if patient is not None))
    if len(patients) < 2:
        return "does not name the two identifiers it links or parts"
    for pid, patient in pids:
        if patient is not None:
            add_patient(message, pid, patient, rows, always=True)
    at = occurred(message, _one(segments, "EVN"))
    for count, other in enumerate(patients[1:], start=1):
        identifier = f"{message.sender}/{message.control}-{at}-{count}"
        rows.add_patient_merge(
            message,
            patient_merge_id=identifier,
            from_patient_id=other,
            to_patient_id=patients[0],
            merge_type=LINK_EVENTS[message.trigger],
            merged_at=at,
        )
    return None
