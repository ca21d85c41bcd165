"""ADT: patients, merges, encounters, bed movements and coverages.

The event is MSH-9's; EVN-1 repeats it and is sometimes wrong. It happened at EVN-6 (event occurred), else EVN-2
(recorded), else MSH-7.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ingest.sources.hl7v2_map import ENCOUNTER_CLASS, WITHOUT_BED, part, value
from ingest.sources.hl7v2_messages import Message
from ingest.sources.hl7v2_rows import Rows
from ingest.sources.hl7v2_shared import (
    Known,
    Segment,
    add_coverage,
    add_patient,
    carry,
    patient_of,
    provider_of,
    split,
    unit_of,
    visit_of,
)

USED = ("MSH", "EVN", "PID", "MRG", "PV1", "PV2", "IN1")
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
# Takes a merge back: the records of both PID are apart again. Some systems send a PID and an MRG instead.
UNMERGE_EVENTS = frozenset({"A37"})
EVENTS = frozenset(STATUS) | PERSON_EVENTS | MERGE_EVENTS | UNMERGE_EVENTS
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
# Events that begin a visit, so that they say when it began even without PV1-44.
_BEGINS = frozenset({"A01", "A04", "A05", "A14"})
# After these the visit goes on, whatever end was sent before.
_REOPENS = frozenset({"A13", "A22"})


def read_adt(message: Message, rows: Rows, known: Known) -> str | None:
    """Adds the rows of one ADT message; gives why it has none, or None."""
    found = split(message, "EVN", "PID", "MRG", "PV1", "PV2", "IN1")
    if message.trigger in MERGE_EVENTS:
        return _merge(message, rows)
    if message.trigger in UNMERGE_EVENTS:
        return _unmerge(message, found, rows)
    pid = _one(found, "PID")
    patient = patient_of(message, pid)
    if pid is not None and patient is not None:
        add_patient(message, pid, patient, rows, always=True)
    pv1 = _one(found, "PV1")
    visit = visit_of(message, pv1, pid)
    if patient is None and visit is None:
        return "names neither a patient nor a visit"
    payer = add_coverage(message, found.get("IN1", []), patient, visit, rows)
    if message.trigger in PERSON_EVENTS or pv1 is None:
        return None
    if visit is None:
        rows.note(message, "visit_number_missing", "PV1-19, PV1-50 and PID-18 are empty: no encounter is read")
        return None
    _visit(message, found, pv1, visit, patient, payer, rows, known)
    return None


def _one(found: dict[str, list[Segment]], tag: str) -> Segment | None:
    segments = found.get(tag)
    return segments[0] if segments else None


def occurred(message: Message, evn: Segment | None) -> str | None:
    """When the event happened, as sent."""
    if evn is None:
        return message.sent
    return part(message, value(evn, 6), 1) or part(message, value(evn, 2), 1) or message.sent


def _visit(
    message: Message,
    found: dict[str, list[Segment]],
    pv1: Segment,
    visit: str,
    patient: str | None,
    payer: str | None,
    rows: Rows,
    known: Known,
) -> None:
    event = occurred(message, _one(found, "EVN"))
    trigger = message.trigger
    given = part(message, value(pv1, 2), 1)
    encounter_class = ENCOUNTER_CLASS.get(given.upper(), "UNK") if given else None
    now = carry(
        known.encounters,
        visit,
        {
            "patient": patient,
            "unit": unit_of(message, pv1, 3),
            "provider": provider_of(message, value(pv1, 7), rows),
            "payer": payer,
            "class": encounter_class,
            "source": part(message, value(pv1, 14), 1),
            "disposition": part(message, value(pv1, 36), 1),
            "started": part(message, value(pv1, 44), 1) or _begin(message, found, event),
            "ended": part(message, value(pv1, 45), 1),
            "status": STATUS[trigger],
        },
    )
    _settle(now, trigger, event)
    if now["started"] is None:
        rows.note(message, "encounter_start_unknown", "PV1-44 is empty and no message of the file began the visit")
    else:
        rows.add(
            "encounter",
            message,
            visit,
            now["patient"],
            now["unit"],
            now["provider"],
            now["payer"],
            now["class"] or "UNK",
            now["status"],
            now["source"],
            now["disposition"],
            now["started"],
            now["ended"],
        )
    movement = _MOVEMENT.get(trigger)
    if movement and (now["class"] not in WITHOUT_BED or trigger == "A07"):
        _move(message, pv1, visit, movement, event, now, rows)


def _begin(message: Message, found: dict[str, list[Segment]], event: str | None) -> str | None:
    if message.trigger not in _BEGINS:
        return None
    pv2 = _one(found, "PV2")
    expected = part(message, value(pv2, 8), 1) if pv2 is not None and STATUS[message.trigger] == "planned" else None
    return expected or event


def _settle(now: dict[str, str | None], trigger: str, event: str | None) -> None:
    """Makes status and end agree."""
    if trigger in _REOPENS:
        now["ended"] = None
    if now["status"] is None:
        # An update says nothing of the status itself: read it off the visit.
        if now["ended"]:
            now["status"] = "finished"
        elif now["class"] == "PRENC":
            now["status"] = "planned"
        else:
            now["status"] = "unknown" if now["class"] is None or now["class"] in WITHOUT_BED else "in_progress"
    elif now["ended"] and now["status"] in ("in_progress", "arrived", "on_leave") and trigger not in _REOPENS:
        now["status"] = "finished"
    elif now["status"] == "finished":
        now["ended"] = now["ended"] or event


def _move(
    message: Message, pv1: Segment, visit: str, movement: str, event: str | None, now: dict[str, str | None], rows: Rows
) -> None:
    at = event
    if message.trigger == "A01":
        at = now["started"]
    elif message.trigger == "A03":
        at = now["ended"]
    unit = unit_of(message, pv1, 3)
    before = unit_of(message, pv1, 6) if movement in ("transfer", "cancel_transfer") else None
    bed = part(message, value(pv1, 3), 3)
    # Named by what happened, not by the message: the same movement sent again is the same row.
    identifier = f"{visit}-{movement}-{at}-{unit or ''}"
    rows.add("bed_movement", message, identifier, visit, now["patient"], movement, unit, before, bed, at)


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
            ended = patient_of(message, ["", "", "", value(parts, 1) or value(parts, 4) or ""])
            if survivor is None or ended is None or ended == survivor:
                continue
            merged += 1
            at = occurred(message, evn)
            # Never of the two numbers: an identifier column is not tokenised.
            identifier = f"{message.sender}/{message.control}-{at}-{count}"
            rows.add("patient_merge", message, identifier, ended, survivor, "merge", at)
    return None if merged else "does not name the two identifiers it merges"


def _unmerge(message: Message, found: dict[str, list[Segment]], rows: Rows) -> str | None:
    """Parts what further PID and the MRG name from the first PID."""
    known = [patient_of(message, pid) for pid in found.get("PID", [])]
    for pid, patient in zip(found.get("PID", []), known, strict=True):
        if patient is not None:
            add_patient(message, pid, patient, rows, always=True)
    known += [patient_of(message, ["", "", "", value(mrg, 1) or value(mrg, 4) or ""]) for mrg in found.get("MRG", [])]
    named = list(dict.fromkeys(patient for patient in known if patient is not None))
    at = occurred(message, _one(found, "EVN"))
    for count, parted in enumerate(named[1:], start=1):
        rows.add(
            "patient_merge",
            message,
            f"{message.sender}/{message.control}-{at}-{count}",
            parted,
            named[0],
            "unmerge",
            at,
        )
    return None if len(named) > 1 else "does not name the two identifiers it parts"
