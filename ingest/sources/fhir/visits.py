"""Encounter, Appointment, Slot to rows. A Schedule gives no row: it names service unit and provider of its slots. R4 keeps no
history of an appointment's status, so that no appointment_event comes from here.
"""

from collections.abc import Mapping
from typing import Any

from ingest.sources.fhir.beside import entity_id
from ingest.sources.fhir.diagnoses import add_visit_diagnoses
from ingest.sources.fhir.rows import Context
from ingest.sources.fhir.values import Json, code_of, codes_of, date_part, first, mapped

_NOTHING: Json = {}
# The holder of references that an index kept.
_SCHEDULE: Json = {"resourceType": "Schedule"}


def encounter(context: Context, resource: Json, record: str) -> None:
    """encounter, visit_type, diagnosis; encounter_event from statusHistory and classHistory; bed_movement of a stay from location."""
    get = resource.get
    profile = context.profile
    identifier = entity_id(resource, profile, record) if context.is_encounter_named else record
    period = get("period") or _NOTHING
    places = get("location")
    unit = context.unit(places[0]["location"], resource, "location.location") if places else None
    if unit is None:
        unit = context.id_of(get("serviceProvider"), resource, "Organization", "serviceProvider")
    patient = context.patient(get("subject"), resource, "subject")
    given_class, classes = get("class"), context.encounter_classes
    encounter_class = classes.get(given_class.get("code", "")) if type(given_class) is dict else None
    encounter_class = encounter_class or _class(given_class, classes)
    status = resource["status"]
    stay = get("hospitalization")
    kinds = get("type")
    booked, whole = get("appointment"), get("partOf")
    team = get("participant")
    context.add_encounter(
        encounter_id=identifier,
        patient_id=patient,
        service_unit_id=unit,
        provider_id=_encounter_provider(context, resource, team) if team else None,
        visit_type_id=context.visit_type(first(kinds)) if kinds else None,
        appointment_id=context.id_of(first(booked), resource, "Appointment", "appointment") if booked else None,
        part_of_encounter_id=context.id_of(whole, resource, "Encounter", "partOf") if whole else None,
        encounter_class=encounter_class,
        status=profile.encounter_statuses.get(status, status),
        admission_source=code_of(stay.get("admitSource")) if stay else None,
        discharge_disposition=code_of(stay.get("dischargeDisposition")) if stay else None,
        started_at=period.get("start"),
        ended_at=period.get("end"),
    )
    if "diagnosis" in resource:
        add_visit_diagnoses(context, resource, identifier, patient)
    if "statusHistory" in resource:
        _events(context, resource, identifier)
    told_classes = {encounter_class}
    if "classHistory" in resource:
        told_classes |= _class_changes(context, resource, identifier, encounter_class)
    if (
        places
        and not told_classes.isdisjoint(profile.stay_classes)
        and status not in ("planned", "cancelled", "entered-in-error")
    ):
        _movements(context, resource, identifier, patient)


def _class(sent: Any, words: Mapping[str, str]) -> str:
    """The class by its code, else by its display: a Coding in R4, a list of concepts in R5, a bare code in the drafts before."""
    if isinstance(sent, list):
        sent = first(sent)
    if sent is None or isinstance(sent, str):
        return words.get(sent or "UNK", sent or "UNK")
    if (code := sent.get("code")) is None:
        return mapped(sent, words) or code_of(sent) or "UNK"
    return words.get(code) or words.get((sent.get("display") or "").lower(), code)


def _encounter_provider(context: Context, resource: Json, team: Any) -> str | None:
    """The participant whose kind comes first in the profile, else the first provider."""
    ranks = context.provider_ranks
    if len(team) == 1:
        return context.provider(_person(team[0]), resource, "participant.individual")
    best, rank = None, len(ranks) + 1
    for participant in team:
        here = len(ranks)
        for kind in participant.get("type") or ():
            for coding in kind.get("coding") or ():
                here = min(here, ranks.get(coding.get("code"), here))
        if here < rank:
            provider_id = context.provider(_person(participant), resource, "participant.individual")
            if provider_id:
                best, rank = provider_id, here
    return best


def _person(participant: Json) -> Json | None:
    """Who takes part: `individual` in R4, `actor` in R5."""
    return participant.get("individual") or participant.get("actor")


def _events(context: Context, resource: Json, identifier: str) -> None:
    seen: dict[str, int] = {}
    for item in resource["statusHistory"] or ():
        event = context.profile.encounter_events.get(item["status"])
        start = (item.get("period") or {}).get("start")
        if event is None or start is None:
            if item["status"] not in context.profile.encounter_statuses:
                context.unknown("encounter_event", "event_type", item["status"])
            continue
        seen[event] = number = seen.get(event, 0) + 1
        key = f"{identifier}/{event}/{number}"
        context.add_encounter_event(
            encounter_event_id=key, encounter_id=identifier, event_type=event, encounter_class=None, occurred_at=start
        )


def _class_changes(context: Context, resource: Json, identifier: str, encounter_class: str) -> set[str]:
    """Adds from when on the encounter had which class; returns those classes. classHistory need not hold the present class: it
    begins where the last of the others ends (R4, Encounter.classHistory)."""
    changes: list[tuple[str, str | None, str]] = []
    for item in resource["classHistory"] or ():
        period = item.get("period") or {}
        if start := period.get("start"):
            changes.append((start, period.get("end"), _class(item.get("class"), context.encounter_classes)))
    if changes and all(end for _, end, _ in changes):
        _, end, last_class = max(changes, key=lambda span: span[1] or "")
        if last_class != encounter_class:
            changes.append((end or "", None, encounter_class))
    for number, (start, _, changed_to) in enumerate(changes, start=1):
        context.add_encounter_event(
            encounter_event_id=f"{identifier}/class/{number}",
            encounter_id=identifier,
            event_type="class_change",
            encounter_class=changed_to,
            occurred_at=start,
        )
    return {changed_to for _, _, changed_to in changes}


def _movements(context: Context, resource: Json, identifier: str, patient: str | None) -> None:
    """Admission to the first place, a transfer for each further one whose start is known, discharge at the end."""
    period = resource.get("period") or {}
    stays = []
    for number, item in enumerate(resource["location"]):
        start = (item.get("period") or {}).get("start") or (period.get("start") if number == 0 else None)
        unit = context.unit(item["location"], resource, "location.location")
        if start and unit and item.get("status") not in ("planned", "reserved"):
            is_bed = "bd" in codes_of([item.get("physicalType") or {}])
            stays.append((start, unit, item["location"].get("display") if is_bed else None))
    stays.sort(key=lambda stay: stay[0])
    before = None
    for number, (start, unit, bed) in enumerate(stays, start=1):
        kind = "admit" if number == 1 else "transfer"
        key = f"{identifier}/{number}"
        context.add_bed_movement(
            bed_movement_id=key,
            encounter_id=identifier,
            patient_id=patient,
            movement_type=kind,
            service_unit_id=unit,
            from_service_unit_id=before,
            bed=bed,
            occurred_at=start,
        )
        before = unit
    if stays and period.get("end"):
        key = f"{identifier}/discharge"
        context.add_bed_movement(
            bed_movement_id=key,
            encounter_id=identifier,
            patient_id=patient,
            movement_type="discharge",
            service_unit_id=None,
            from_service_unit_id=before,
            bed=None,
            occurred_at=period["end"],
        )


def appointment(context: Context, resource: Json, record: str) -> None:
    """appointment, visit_type."""
    profile = context.profile
    patient = unit = provider = None
    for participant in resource.get("participant") or ():
        actor = participant.get("actor")
        if not actor or participant.get("status") == "declined":
            continue
        target = context.index.find(actor, resource, "", "participant.actor")
        if target is None:
            continue
        if target.type == "Patient":
            patient = patient or context.patient(actor, resource, "participant.actor")
        elif target.type == "Location":
            unit = unit or target.id or None
        else:
            provider = provider or context.provider_of(target)
    status = resource["status"]
    kind, service = resource.get("appointmentType"), first(resource.get("serviceType"))
    visit = service or kind
    why = resource.get("cancelationReason") or resource.get("cancellationReason")
    requested = first(resource.get("requestedPeriod")) or {}
    context.add_appointment(
        appointment_id=entity_id(resource, profile, record),
        patient_id=patient,
        service_unit_id=unit,
        provider_id=provider,
        visit_type_id=context.visit_type(visit),
        rescheduled_from_appointment_id=context.id_of(
            first(resource.get("replaces")), resource, "Appointment", "replaces"
        ),
        status=profile.appointment_statuses.get(status, status),
        cancel_initiator=_initiator(context, why) if why else None,
        cancel_reason_code=code_of(why),
        is_walk_in=not set(profile.walk_in_types).isdisjoint(codes_of([kind])) if kind else None,
        booked_at=resource.get("created"),
        requested_date=date_part(requested.get("start")),
        scheduled_start_at=resource.get("start"),
        scheduled_end_at=resource.get("end"),
        cancelled_at=resource.get("cancellationDate"),
    )


def _initiator(context: Context, why: Json) -> str:
    """Who cancelled, by the first letters of any of the reason's codes."""
    initiators = context.profile.cancel_initiators.items()
    initiator = next((word for code in codes_of([why]) for start, word in initiators if code.startswith(start)), None)
    if initiator is None:
        context.unknown("appointment", "cancel_initiator", next(iter(codes_of([why])), None), became="unknown")
    return initiator or "unknown"


def slot(context: Context, resource: Json, record: str) -> None:
    """slot: the snapshot day is that of meta.lastUpdated, else the file's. One that was entered in error is deleted."""
    status = resource["status"]
    if status == "entered-in-error":
        context.delete("Slot", record)
        return
    unit = provider = None
    for extension in resource.get("extension") or ():
        if extension.get("url") == context.profile.slot_location_extension:
            unit = context.unit(extension.get("valueReference"), resource, "extension")
    schedule = context.index.find(resource.get("schedule"), resource, "Schedule", "schedule")
    for actor in schedule.links if schedule else ():
        target = context.index.find(actor, _SCHEDULE, "", "actor")
        if target is not None and target.type == "Location":
            unit = unit or target.id or None
        else:
            provider = provider or context.provider_of(target)
    visit = first(resource.get("serviceType")) or resource.get("appointmentType")
    day = context.snapshot_date()
    context.lineage = (f"{context.record}/{day}", *context.lineage[1:])
    context.add_slot(
        slot_id=record,
        snapshot_date=day,
        service_unit_id=unit,
        provider_id=provider,
        visit_type_id=context.visit_type(visit),
        status=context.profile.slot_statuses.get(status, status),
        start_at=resource.get("start"),
        end_at=resource.get("end"),
    )


def schedule(context: Context, resource: Json, record: str) -> None:
    """No row: slots are led to it by the index."""
