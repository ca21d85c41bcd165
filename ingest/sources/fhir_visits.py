"""Encounter, Appointment, Slot to rows. A Schedule gives no row: it says where and with whom its slots are.

R4 keeps no history of an appointment's status, so that no appointment_event comes from here.
"""

from typing import Any

from ingest.sources.fhir_index import entity_id
from ingest.sources.fhir_rows import Context, Refused
from ingest.sources.fhir_values import Json, code_of, date_part, display_of, first


def encounter(context: Context, resource: Json, record: str) -> None:
    """encounter, visit_type; encounter_event from statusHistory; bed_movement of a stay from location."""
    profile = context.profile
    identifier = entity_id(resource, profile, record) if "encounter" in profile.identifiers else record
    period = resource.get("period") or {}
    places = resource.get("location") or ()
    unit = context.unit(places[0]["location"], resource) if places else None
    if unit is None:
        unit = context.id_of(resource.get("serviceProvider"), resource, "Organization")
    patient = context.patient(resource.get("subject"), resource)
    given_class = _class(resource.get("class"))
    encounter_class = profile.encounter_classes.get(given_class, given_class)
    status = resource["status"]
    stay = resource.get("hospitalization")
    visit = first(resource.get("type"))
    booked = resource.get("appointment")
    context.add(
        "encounter",
        identifier,
        patient,
        unit,
        _encounter_provider(context, resource),
        context.visit_type(code_of(visit), display_of(visit)) if visit else None,
        context.id_of(first(booked), resource, "Appointment") if booked else None,
        encounter_class,
        profile.encounter_statuses.get(status, status),
        code_of(stay.get("admitSource")) if stay else None,
        code_of(stay.get("dischargeDisposition")) if stay else None,
        period.get("start"),
        period.get("end"),
    )
    if "statusHistory" in resource:
        _events(context, resource, identifier)
    if (
        places
        and encounter_class in profile.stay_classes
        and status not in ("planned", "cancelled", "entered-in-error")
    ):
        _movements(context, resource, identifier, patient)


def _class(given: Any) -> str:
    """The code of the class: a Coding in R4, a list of concepts in R5, a bare code in the drafts before."""
    if type(given) is dict and type(code := given.get("code")) is str:
        return code
    if isinstance(given, list):
        given = first(given)
    found = given if isinstance(given, str) else code_of(given)
    return found or "UNK"


def _encounter_provider(context: Context, resource: Json) -> str | None:
    """The participant whose kind comes first in the profile, else the first provider."""
    wanted = context.profile.provider_participant_types
    best, rank = None, len(wanted) + 1
    for participant in resource.get("participant") or ():
        here = len(wanted)
        for kind in participant.get("type") or ():
            for coding in kind.get("coding") or ():
                if (code := coding.get("code")) in wanted:
                    here = min(here, wanted.index(code))
        if here < rank:
            # `individual` in R4, `actor` in R5.
            found = context.provider(participant.get("individual") or participant.get("actor"), resource)
            if found:
                best, rank = found, here
    return best


def _events(context: Context, resource: Json, identifier: str) -> None:
    seen: dict[str, int] = {}
    for item in resource["statusHistory"] or ():
        event = context.profile.encounter_events.get(item["status"])
        start = (item.get("period") or {}).get("start")
        if event is None or start is None:
            continue
        seen[event] = number = seen.get(event, 0) + 1
        key = f"{identifier}/{event}/{number}"
        context.add("encounter_event", key, identifier, event, start)


def _movements(context: Context, resource: Json, identifier: str, patient: str | None) -> None:
    """Admission to the first place, a transfer for each further one whose start is known, discharge at the end."""
    period = resource.get("period") or {}
    stays = []
    for number, item in enumerate(resource["location"]):
        start = (item.get("period") or {}).get("start") or (period.get("start") if number == 0 else None)
        unit = context.unit(item["location"], resource)
        if start and unit and item.get("status") not in ("planned", "reserved"):
            is_bed = code_of(item.get("physicalType")) == "bd"
            stays.append((start, unit, item["location"].get("display") if is_bed else None))
    stays.sort(key=lambda stay: stay[0])
    before = None
    for number, (start, unit, bed) in enumerate(stays, start=1):
        kind = "admit" if number == 1 else "transfer"
        key = f"{identifier}/{number}"
        context.add("bed_movement", key, identifier, patient, kind, unit, before, bed, start)
        before = unit
    if stays and period.get("end"):
        key = f"{identifier}/discharge"
        context.add("bed_movement", key, identifier, patient, "discharge", None, before, None, period["end"])


def appointment(context: Context, resource: Json, record: str) -> None:
    """appointment, visit_type."""
    profile = context.profile
    patient = unit = provider = None
    for participant in resource.get("participant") or ():
        actor = participant.get("actor")
        if not actor or participant.get("status") == "declined":
            continue
        known = context.index.find(actor, resource, "")
        if known is None:
            continue
        if known.type == "Patient":
            patient = patient or context.patient(actor, resource)
        elif known.type == "Location":
            unit = unit or known.id
        else:
            provider = provider or context.provider_of(known, resource)
    status = resource["status"]
    kind, service = resource.get("appointmentType"), first(resource.get("serviceType"))
    visit = service or kind
    reason = code_of(resource.get("cancelationReason") or resource.get("cancellationReason"))
    initiators = profile.cancel_initiators
    requested = first(resource.get("requestedPeriod")) or {}
    context.add(
        "appointment",
        entity_id(resource, profile, record),
        patient,
        unit,
        provider,
        context.visit_type(code_of(visit), display_of(visit)) if visit else None,
        context.id_of(first(resource.get("replaces")), resource, "Appointment"),
        profile.appointment_statuses.get(status, status),
        next((word for start, word in initiators.items() if reason.startswith(start)), "unknown") if reason else None,
        reason,
        code_of(kind) in profile.walk_in_types if kind else None,
        resource.get("created"),
        date_part(requested.get("start")),
        resource.get("start"),
        resource.get("end"),
        resource.get("cancellationDate"),
    )


def slot(context: Context, resource: Json, record: str) -> None:
    """slot: the snapshot day is that of meta.lastUpdated, else the file's."""
    status = resource["status"]
    if status == "entered-in-error":
        raise Refused("entered_in_error", "the slot was withdrawn as an error")
    unit = provider = None
    schedule = context.index.find(resource.get("schedule"), resource, "Schedule")
    for actor in schedule.links if schedule else ():
        known = context.index.find(actor, resource, "")
        if known is not None and known.type == "Location":
            unit = unit or known.id
        else:
            provider = provider or context.provider_of(known, resource)
    visit = first(resource.get("serviceType")) or resource.get("appointmentType")
    context.add(
        "slot",
        record,
        date_part(context.updated_at) or context.file_date,
        unit,
        provider,
        context.visit_type(code_of(visit), display_of(visit)) if visit else None,
        context.profile.slot_statuses.get(status, status),
        resource.get("start"),
        resource.get("end"),
    )


def schedule(context: Context, resource: Json, record: str) -> None:
    """No row: slots are led to it by the index."""
