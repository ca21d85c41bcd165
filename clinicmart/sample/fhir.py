"""FHIR R4 in Bulk Data form: one NDJSON file a resource type.

Patient, Practitioner, Organization, Location and Coverage are whole; Encounter holds every visit and stay up to
200,000 appointments, and those of the last three months beyond that. Encounters, locations and payers have the ids of the PM database;
a patient's id is the EHR's own, the medical record number is an identifier of type MR. Some visits bear an identifier of
the EHR's own instead, and say that they began two minutes later; some years of birth are wrong (see views.py).
"""

import json
from collections.abc import Iterator

import numpy as np
import polars as pl

from clinicmart.sample import eligibility, names
from clinicmart.sample.catalogue import VISIT_TYPES
from clinicmart.sample.clock import DAY
from clinicmart.sample.names import LANGUAGES
from clinicmart.sample.people import birth_dates, coverages_table
from clinicmart.sample.pm_tables import VISIT_TYPE_IDS
from clinicmart.sample.story import Story
from clinicmart.sample.structure import GROUP_ID
from clinicmart.sample.text import numbers, pick, timestamps
from clinicmart.sample.views import LATER_SECONDS, Views, draw_views, fhir_visit_ids, in_fhir

NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
ACT_CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PAYER_TYPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "pay"}]}


def files(story: Story) -> Iterator[tuple[str, str]]:
    """File name and text."""
    yield "Organization.ndjson", _lines(story, _organizations(story))
    yield "Location.ndjson", _lines(story, _locations(story))
    yield "Practitioner.ndjson", _lines(story, _practitioners(story))
    if answers := eligibility.resources(story):
        yield (
            "CoverageEligibilityResponse.ndjson",
            "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in answers),
        )
    views = draw_views(story)
    yield "Patient.ndjson", _patients(story, views)
    yield "Coverage.ndjson", _coverages(story)
    yield "Encounter.ndjson", _encounters(story, views)


def _updated(story: Story) -> str:
    """When master data was last changed: the evening before the data's last day (UTC)."""
    moment = np.array([(story.calendar.as_of - 1) * DAY + 22 * 3600])
    return str(timestamps(moment, "%Y-%m-%dT", "%H:%M:%SZ")[0])


def _lines(story: Story, resources: list[dict[str, object]]) -> str:
    meta = {"lastUpdated": _updated(story)}
    return "".join(json.dumps(item | {"meta": meta}, separators=(",", ":")) + "\n" for item in resources)


def _joined(frame: pl.DataFrame, text: str) -> str:
    """`text` with a {} for each column, braces of JSON written as << and >>; one line a row."""
    template = text.replace("{}", "\0").replace("<<", "{").replace(">>", "}").split("\0")
    parts: list[pl.Expr] = []
    for index, piece in enumerate(template):
        parts.append(pl.lit(piece))
        if index < frame.width:
            parts.append(pl.col(frame.columns[index]).cast(pl.String))
    return frame.select(pl.concat_str(parts).alias("line")).to_series().str.join("").item() or ""


def _organizations(story: Story) -> list[dict[str, object]]:
    group = story.group
    resources: list[dict[str, object]] = [
        {"resourceType": "Organization", "id": GROUP_ID, "active": True, "name": group.tenant.name}
    ]
    for payer_id, name in zip(group.payer_ids, group.payer_names, strict=True):
        resources.append(
            {
                "resourceType": "Organization",
                "id": str(payer_id),
                "active": True,
                "type": [PAYER_TYPE],
                "name": str(name),
            }
        )
    return resources


def _locations(story: Story) -> list[dict[str, object]]:
    units = story.group.frames["service_units"].filter(pl.col("unit_type").is_in(["clinic", "ward"]))
    return [
        {
            "resourceType": "Location",
            "id": row["service_unit_id"],
            "status": "active",
            "name": row["name"],
            "physicalType": {"coding": [{"code": "wa" if row["unit_type"] == "ward" else "si"}]},
            "managingOrganization": {"reference": f"Organization/{GROUP_ID}"},
        }
        for row in units.iter_rows(named=True)
    ]


def _practitioners(story: Story) -> list[dict[str, object]]:
    resources: list[dict[str, object]] = []
    group = story.group
    for provider_id, npi, name in zip(group.provider_ids, group.provider_npis, group.provider_names, strict=True):
        *_, given_name, family = str(name).split(" ")
        resources.append(
            {
                "resourceType": "Practitioner",
                "id": str(provider_id).lower(),
                "active": True,
                "identifier": [{"system": NPI_SYSTEM, "value": str(npi)}],
                "name": [{"text": str(name), "family": family, "given": [given_name]}],
            }
        )
    return resources


def _patients(story: Story, views: Views) -> str:
    people, tenant = story.people, story.group.tenant
    total = np.arange(len(people.family))
    # A leap year later: in another year in any case.
    birth_day = people.birth_day.copy()
    birth_day[views.other_birth_year] += 366
    frame = pl.DataFrame(
        {
            "id": numbers(total + 1),
            "updated": pl.repeat(_updated(story), len(total), eager=True),
            "record": people.record_numbers,
            "family": pick(names.FAMILY_NAMES, people.family),
            "given": pick(names.GIVEN_NAMES, people.given_name),
            "sex": pick(("male", "female"), people.is_female),
            "birth": birth_dates(birth_day),
            "street": numbers(people.street) + " " + pick(names.STREETS, people.street % len(names.STREETS)),
            "city": pick(names.PLACES, people.postal % len(names.PLACES)),
            "postal": tenant.zip3 + numbers(people.postal, 2),
            "language": pick(LANGUAGES, people.language),
        }
    )
    text = (
        '<<"resourceType":"Patient","id":"p-{}","meta":<<"lastUpdated":"{}">>,"identifier":[<<"type":<<"coding":[<<"system":'
        '"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR">>]>>,"value":"{}">>],"name":[<<"use":"official","family":"{}",'
        '"given":["{}"]>>],"gender":"{}","birthDate":"{}","address":[<<"use":"home","line":["{}"],"city":"{}","state":"'
        + tenant.state
        + '","postalCode":"{}","country":"US">>],"communication":[<<"language":<<"coding":[<<"code":"{}">>]>>,"preferred":true>>]>>\n'
    )
    return _joined(frame, text)


def _coverages(story: Story) -> str:
    table = coverages_table(story.people, story.group, story.calendar)
    record = story.people.record_numbers
    place = pl.DataFrame({"medical_record_number": record, "number": numbers(np.arange(1, len(record) + 1))})
    frame = table.join(place, on="medical_record_number", how="left", maintain_order="left").select(
        "coverage_id",
        "number",
        "payer_id",
        "member_id",
        "priority",
        "effective_from",
        pl.when(pl.col("effective_to").is_null())
        .then(pl.lit(""))
        .otherwise(pl.format(',"end":"{}"', "effective_to"))
        .alias("end"),
    )
    text = (
        '<<"resourceType":"Coverage","meta":<<"lastUpdated":"'
        + _updated(story)
        + '">>,"id":"{}","status":"active","beneficiary":<<"reference":"Patient/p-{}">>,"payor":[<<"reference":'
        '"Organization/{}">>],"subscriberId":"{}","order":{},"period":<<"start":"{}"{}>>>>\n'
    )
    return _joined(frame, text)


def _encounters(story: Story, views: Views) -> str:
    """Visits with their place, and the stays: ADT says in which beds they were."""
    booked, visits, stays, group = story.appointments, story.encounters, story.stays, story.group
    shown = np.flatnonzero(in_fhir(story))
    later = np.zeros(len(visits), np.int64)
    later[views.fhir_visits] = LATER_SECONDS
    appointment = visits.appointment[shown]
    place = '"location":[<<"location":<<"reference":"Location/'.replace("<<", "{")
    where = place + pick(group.clinic_ids, booked.clinic[appointment]) + '"}}],'
    no_place = pick([""], np.zeros(len(stays)))
    kinds = [item.encounter_class for item in VISIT_TYPES]
    start = np.concatenate([visits.started[shown] + later[shown], stays.admitted])
    end = np.concatenate([visits.ended[shown], stays.discharged])
    ended = timestamps(end, "%Y-%m-%dT", "%H:%M:%SZ")
    kind_text = [f'"type":[{{"coding":[{{"code":"{code}"}}]}}],' for code in VISIT_TYPE_IDS]
    patient = np.concatenate([booked.patient[appointment], stays.patient])
    provider = pick(
        group.provider_ids, np.concatenate([booked.provider[appointment], stays.provider])
    ).str.to_lowercase()
    ids = pl.concat([fhir_visit_ids(story, views).gather(shown), story.stay_ids])
    frame = pl.DataFrame(
        {
            "id": ids,
            "updated": timestamps(np.maximum(start, end), "%Y-%m-%dT", "%H:%M:%SZ"),
            "number": ids,
            "status": pick(["finished", "in-progress"], end < 0),
            "class": pl.concat([pick(kinds, booked.visit_type[appointment]), pick(["IMP"], np.zeros(len(stays)))]),
            "type": pl.concat([pick(kind_text, booked.visit_type[appointment]), no_place]),
            "patient": numbers(patient + 1),
            "provider": provider,
            "where": pl.concat([where, no_place]),
            "start": timestamps(start, "%Y-%m-%dT", "%H:%M:%SZ"),
            "end": (',"end":"' + ended + '"').fill_null(""),
        }
    )
    text = (
        '<<"resourceType":"Encounter","id":"{}","meta":<<"lastUpdated":"{}">>,"identifier":[<<"type":<<"coding":[<<"code":"VN">>]>>,'
        '"value":"{}">>],"status":"{}","class":<<"system":"'
        + ACT_CODES
        + '","code":"{}">>,{}"subject":<<"reference":"Patient/p-{}">>,'
        '"participant":[<<"individual":<<"reference":"Practitioner/{}">>>>],{}"period":<<"start":"{}"{}>>>>\n'
    )
    return _joined(frame, text)
