"""Patient, Practitioner, PractitionerRole, Organization, Location, Coverage to rows."""

from typing import Any

from ingest.issuers import number_of
from ingest.sources.fhir.beside import entity_id
from ingest.sources.fhir.rows import SINCE_EVER, Context
from ingest.sources.fhir.values import (
    Json,
    code_of,
    codes_of,
    date_part,
    display_of,
    first,
    identifier_of,
    is_npi,
    mapped,
)

_UNITED_STATES = frozenset({"US", "USA", "UNITED STATES", "UNITED STATES OF AMERICA"})


def patient(context: Context, resource: Json, record: str) -> None:
    """Rows of patient and patient_identity, and of patient_merge: one for each alias of the medical record number and for each link."""
    raw = f"{context.feed.name}/{record}"
    number = context.medical_record_number(resource)
    address = _preferred(resource.get("address"))
    birth_date = resource.get("birthDate")
    name = _preferred(resource.get("name"))
    context.add_patient(
        patient_id=raw,
        birth_year=birth_date[:4] if birth_date else None,
        sex=context.profile.sexes.get(gender, gender) if (gender := resource.get("gender")) else None,
        family_name_token=name.get("family"),
        zip3=_zip3(address),
        language=_language(resource),
    )
    lines = address.get("line") or []
    context.add_patient_identity(
        patient_id=number or raw,
        medical_record_number=number and number_of(number),
        family_name=name.get("family") or name.get("text"),
        given_name=" ".join(name.get("given") or []) or None,
        birth_date=birth_date if birth_date and len(birth_date) == 10 else None,
        address_line=", ".join(lines) or None,
        city=address.get("city"),
        state=address.get("state"),
        postal_code=address.get("postalCode"),
        phone=_telecom(resource, "phone"),
        email=_telecom(resource, "email"),
    )
    if number:
        context.add_patient_merge(
            patient_merge_id=f"{raw} is {number_of(number)}",
            from_patient_id=raw,
            to_patient_id=number,
            merge_type="alias",
            merged_at=f"{SINCE_EVER}T00:00:00Z",
        )
    for link in resource.get("link") or ():
        _link(context, resource, raw, link)


def _link(context: Context, resource: Json, raw: str, link: Json) -> None:
    """A merged record names the record that replaces it, or the other way round. Both mean the same merge."""
    other = context.patient(link.get("other"), resource, "link.other")
    if other is None or link.get("type") not in ("replaced-by", "replaces"):
        return
    old, new = (raw, other) if link["type"] == "replaced-by" else (other, raw)
    context.add_patient_merge(
        patient_merge_id=f"{old} into {new}",
        from_patient_id=old,
        to_patient_id=new,
        merge_type="merge",
        merged_at=context.updated_at or context.file_time,
    )


def _preferred(items: Any) -> Json:
    """The official or home entry of names and addresses; an old entry only if there is no other."""
    current: list[Json] = [item for item in items or () if item.get("use") not in ("old", "maiden", "temp")]
    for item in current:
        if item.get("use") in ("official", "home"):
            return item
    return first(current) or first(items) or {}


def _zip3(address: Json) -> str | None:
    code, country = address.get("postalCode"), address.get("country")
    if not code or (country and country.upper() not in _UNITED_STATES):
        return None
    return code[:3] if len(code) >= 5 and code[:5].isascii() and code[:5].isdigit() else None


def _language(resource: Json) -> str | None:
    spoken = resource.get("communication") or ()
    for item in spoken:
        if item.get("preferred"):
            return code_of(item.get("language"))
    return code_of(spoken[0].get("language")) if spoken else None


def _telecom(resource: Json, system: str) -> str | None:
    for item in resource.get("telecom") or ():
        if item.get("system") == system and item.get("use") != "old":
            value: str | None = item.get("value")
            return value
    return None


def practitioner(context: Context, resource: Json, record: str) -> None:
    """Rows of provider."""
    npi = identifier_of(resource, context.profile.identifiers.get("npi"))
    name = _preferred(resource.get("name"))
    parts = [*(name.get("prefix") or ()), *(name.get("given") or ()), name.get("family") or ""]
    qualification = first(resource.get("qualification")) or {}
    context.add_provider(
        provider_id=entity_id(resource, context.profile, record),
        npi=npi if is_npi(npi) else None,
        display_name=name.get("text") or " ".join(part for part in parts if part) or None,
        specialty=None,
        provider_type=display_of(qualification.get("code")),
        is_active=resource.get("active"),
    )


def practitioner_role(context: Context, resource: Json, record: str) -> None:
    """Rows of provider (with the specialty, if the role names the practitioner), and of provider_service_unit for each place."""
    reference = resource.get("practitioner")
    provider_id = context.provider(reference, resource, "practitioner")
    if provider_id is None:
        # A role without a person is a provider itself: appointments may be booked with it.
        provider_id = record
    specialty = display_of(first(resource.get("specialty")))
    kind = display_of(first(resource.get("code")))
    display = (reference or {}).get("display")
    if display or provider_id == record:
        npi = provider_id if is_npi(provider_id) else None
        context.add_provider(
            provider_id=provider_id,
            npi=npi,
            display_name=display or kind,
            specialty=specialty,
            provider_type=kind,
            is_active=resource.get("active"),
        )
    period = resource.get("period") or {}
    units = [context.unit(place, resource, "location") for place in resource.get("location") or ()]
    if not any(units):
        units = [context.id_of(resource.get("organization"), resource, "Organization", "organization")]
    for unit in dict.fromkeys(unit for unit in units if unit):
        start = date_part(period.get("start")) or SINCE_EVER
        context.add_provider_service_unit(
            provider_id=provider_id,
            service_unit_id=unit,
            credentialed_from=start,
            credentialed_to=date_part(period.get("end")),
        )


def organization(context: Context, resource: Json, record: str) -> None:
    """Rows of payer for an organization that pays; else of organization and service_unit."""
    profile = context.profile
    identifier = entity_id(resource, profile, record)
    name = resource.get("name") or first(resource.get("alias")) or identifier
    kinds = list(codes_of(resource.get("type")))
    if any(kind in profile.payer_organization_types for kind in kinds):
        context.add_payer(
            payer_id=identifier, effective_from=SINCE_EVER, name=name, payer_class=context.payer_class(identifier, name)
        )
        return
    parent = context.id_of(resource.get("partOf"), resource, "Organization", "partOf")
    npi = identifier_of(resource, profile.identifiers.get("npi"))
    context.add_organization(
        organization_id=identifier, parent_organization_id=parent, name=name, npi=npi if is_npi(npi) else None
    )
    unit_type = next(
        (profile.organization_unit_types[kind] for kind in kinds if kind in profile.organization_unit_types), None
    )
    if unit_type is None and kinds:
        context.unknown("organization", "type", kinds[0], became="organization")
    beds = None
    for extension in resource.get("extension") or ():
        if extension.get("url") == profile.staffed_beds_extension:
            beds = extension.get("valueInteger")
    context.add_service_unit(
        service_unit_id=identifier,
        parent_service_unit_id=parent,
        organization_id=identifier,
        name=name,
        unit_type=unit_type or "organization",
        staffed_beds=beds,
        is_active=resource.get("active"),
    )


def location(context: Context, resource: Json, record: str) -> None:
    """Rows of service_unit."""
    profile = context.profile
    identifier = entity_id(resource, profile, record)
    runs = context.id_of(resource.get("managingOrganization"), resource, "Organization", "managingOrganization")
    parent = context.id_of(resource.get("partOf"), resource, "Location", "partOf") or runs
    status = resource.get("status")
    physical = resource.get("physicalType")
    unit_type = mapped(physical, profile.location_unit_types)
    if unit_type is None:
        context.unknown("service_unit", "unit_type", code_of(physical), became="clinic")
    context.add_service_unit(
        service_unit_id=identifier,
        parent_service_unit_id=parent,
        organization_id=runs,
        name=resource.get("name") or first(resource.get("alias")) or resource.get("description") or identifier,
        unit_type=unit_type or "clinic",
        staffed_beds=None,
        is_active=None if status is None else status == "active",
    )


def coverage(context: Context, resource: Json, record: str) -> None:
    """Rows of coverage; a coverage that was entered in error is deleted."""
    if resource.get("status") == "entered-in-error":
        context.delete("Coverage", record)
        return
    payer = first(resource.get("payor"))
    payer_id = context.payer(payer, resource, "payor")
    kind = resource.get("type") or {}
    if payer_id is None and kind.get("text"):
        payer_id = context.payer({"display": kind["text"]}, resource, "type")
    identifier = first(resource.get("identifier")) or {}
    plan: Json = next((item for item in resource.get("class") or () if code_of(item.get("type")) == "plan"), {})
    period = resource.get("period") or {}
    context.add_coverage(
        coverage_id=record,
        patient_id=context.patient(resource.get("beneficiary"), resource, "beneficiary"),
        payer_id=payer_id,
        member_token=resource.get("subscriberId") or identifier.get("value"),
        plan_name=plan.get("name") or plan.get("value") or display_of(kind),
        priority=resource.get("order"),
        effective_from=date_part(period.get("start")),
        effective_to=date_part(period.get("end")),
    )
