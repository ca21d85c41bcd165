"""What references lead to, of every kind, and how those that lead nowhere are told."""

from pathlib import Path
from typing import Any

import pytest

from foundation.config import Feed
from foundation.feed_remote import FhirServer
from tests.ingest.fhir_reading import NPI, SOURCE, Result, bundle, gather, lines, read

VISIT: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"code": "AMB"},
    "period": {"start": "2026-03-01T09:00:00Z"},
}
CLINIC = {
    "resourceType": "Location",
    "id": "l1",
    "name": "Clinic",
    "identifier": [{"system": "urn:places", "value": "P 1"}],
}
DOCTOR = {
    "resourceType": "Practitioner",
    "id": "d1",
    "name": [{"family": "Doe"}],
    "identifier": [{"system": NPI, "value": "1234567893"}, {"system": "urn:staff", "value": "S1"}],
}


def at(reference: dict[str, Any] | str) -> dict[str, Any]:
    """The visit with a place."""
    return VISIT | {"location": [{"location": {"reference": reference} if isinstance(reference, str) else reference}]}


def by(reference: dict[str, Any] | str) -> dict[str, Any]:
    """The visit with a provider."""
    person = {"reference": reference} if isinstance(reference, str) else reference
    return VISIT | {"participant": [{"individual": person}]}


def unresolved(result: Result) -> dict[str, int]:
    assert {reason for reason, _ in result.notices} <= {"reference_unresolved"}
    return {detail: number for (_, detail), number in result.notices.items()}


@pytest.mark.parametrize(
    "reference",
    [
        "Location/l1",
        "Location/l1/_history/7",
        "https://ehr.example.org/fhir/Location/l1",
        "https://ehr.example.org/fhir/Location/l1/_history/7",
        "urn:uuid:4f1c",
        "Location?identifier=urn:places|P 1",
        "Location?identifier=urn%3Aplaces%7CP%201",
        "Location?_id=l1",
        {"identifier": {"system": "urn:places", "value": "P 1"}},
    ],
)
def test_a_reference_of_any_kind_leads_to_the_entry_of_its_bundle(tmp_path: Path, reference: Any) -> None:
    entries = [
        {"fullUrl": "https://ehr.example.org/fhir/Encounter/e1", "resource": at(reference)},
        {"fullUrl": "urn:uuid:4f1c", "resource": CLINIC},
    ]
    result = read(bundle(tmp_path, *entries))
    assert result.row("encounter")["service_unit_id"] == "l1"
    assert unresolved(result) == {}


@pytest.mark.parametrize(
    "reference",
    [
        "Practitioner/d1",
        f"Practitioner?identifier={NPI}|1234567893",
        "Practitioner?identifier=urn:staff|S1",
        {"identifier": {"system": "urn:staff", "value": "S1"}},
        {"reference": "Practitioner/d1", "identifier": {"system": NPI, "value": "1234567893"}},
    ],
)
def test_a_reference_of_any_kind_leads_to_the_file_beside(tmp_path: Path, reference: Any) -> None:
    lines(tmp_path, DOCTOR, name="Practitioner.ndjson")
    result = read(lines(tmp_path, by(reference), name="Encounter.ndjson").parent)
    assert result.row("encounter")["provider_id"] == "1234567893"
    assert unresolved(result) == {}


def test_what_is_contained_is_named_by_its_identifier_and_a_payer_by_its_name(tmp_path: Path) -> None:
    held = [DOCTOR | {"id": "d"}, {"resourceType": "Organization", "id": "o", "name": "Blue Plan"}]
    visit = by("#d") | {"contained": held}
    coverage = {"resourceType": "Coverage", "id": "k1", "contained": held, "payor": [{"reference": "#o"}]}
    lines(tmp_path, coverage | {"beneficiary": {"reference": "Patient/p1"}}, name="Coverage.ndjson")
    claim = {
        "resourceType": "Claim",
        "id": "c1",
        "status": "active",
        "patient": {"reference": "Patient/p1"},
        "insurance": [{"sequence": 1, "coverage": {"reference": "Coverage/k1"}}],
        "total": {"value": 1},
    }
    result = read(lines(tmp_path, visit, claim).parent)
    assert result.row("encounter")["provider_id"] == "1234567893"
    assert result.row("coverage")["payer_id"] == result.row("claim")["payer_id"] == "blue plan"
    assert unresolved(result) == {}


def test_what_leads_nowhere_is_told_once_a_kind_with_its_number_and_without_an_id(tmp_path: Path) -> None:
    two = [at("#gone") | {"id": number} for number in ("1", "2")]
    items = [
        *two,
        at("Location?identifier=urn:places|nowhere"),
        at("Location?name=Main"),
        by("urn:uuid:77"),
        VISIT | {"subject": {"reference": "urn:uuid:78"}},
        VISIT | {"serviceProvider": {"reference": "#o"}},
        at("Location/another-file") | by("Practitioner/another-file"),
    ]
    result = read(lines(tmp_path, *items))
    assert unresolved(result) == {
        "Encounter.location.location -> Location (not contained)": 2,
        "Encounter.location.location -> Location (nothing matches)": 1,
        "Encounter.location.location -> Location (a search that names no identifier)": 1,
        "Encounter.participant.individual -> Practitioner (not in the bundle)": 1,
        "Encounter.subject -> Patient (not in the bundle)": 1,
        "Encounter.serviceProvider -> Organization (not contained)": 1,
    }
    rows = result.good["encounter"].select("service_unit_id", "provider_id").rows()
    assert rows == [(None, None)] * 7 + [("another-file", "another-file")]
    # Nobody knows the patient, yet there is one.
    assert result.good["encounter"]["patient_id"].to_list()[5] == "ehr/urn:uuid:78"


def test_references_of_a_refused_resource_are_not_told(tmp_path: Path) -> None:
    result = read(lines(tmp_path, at("#gone") | {"participant": 5}))
    assert result.reasons() == {"malformed_resource": 1}
    assert unresolved(result) == {}


def test_a_resource_of_another_server_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    theirs = "https://elsewhere.example.org/fhir"
    visit = at(f"{theirs}/Location/l1") | {"subject": {"reference": f"{theirs}/Patient/p1"}}
    entries = [
        {"fullUrl": f"https://ehr.example.org/fhir/{item['id']}/{item['id']}", "resource": item}
        for item in (visit, CLINIC)
    ]
    result = read(bundle(tmp_path, *entries))
    row = result.row("encounter")
    assert (row["service_unit_id"], row["patient_id"]) == (None, f"ehr/{theirs}/Patient/p1")
    assert unresolved(result) == {
        "Encounter.location.location -> Location (on another server)": 1,
        "Encounter.subject -> Patient (on another server)": 1,
    }


def test_the_server_of_a_feed_is_known_from_its_configuration(tmp_path: Path) -> None:
    path = lines(
        tmp_path, at("https://ehr.example.org/r4/Location/l1"), at("https://elsewhere.example.org/r4/Location/l1")
    )
    feed = Feed(
        tenant_id="harbor",
        name="ehr",
        kind="fhir",
        path=str(path),
        server=FhirServer(url="https://ehr.example.org/r4"),
        time_zone="UTC",
    )
    result = gather([chunk for unit in SOURCE.discover(feed) for chunk in SOURCE.read(unit)])
    assert result.good["encounter"]["service_unit_id"].to_list() == ["l1", None]


def test_a_reference_means_another_row_in_another_bundle(tmp_path: Path) -> None:
    def page(place: str) -> dict[str, Any]:
        entries = [{"resource": at("urn:uuid:1")}, {"fullUrl": "urn:uuid:1", "resource": CLINIC | {"id": place}}]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    result = read(lines(tmp_path, page("l1"), page("l2")))
    assert result.good["encounter"]["service_unit_id"].to_list() == ["l1", "l2"]


def test_references_to_made_up_types_search_no_files(tmp_path: Path) -> None:
    made_up = [at(f"Nothing{number}?identifier=a|b") for number in range(50)] + [at("../../etc?identifier=a|b")]
    result = read(lines(tmp_path, *made_up))
    assert result.good["encounter"]["service_unit_id"].null_count() == 51
    assert sum(unresolved(result).values()) == 51


def test_an_appointment_has_the_patient_that_a_search_or_another_server_names(tmp_path: Path) -> None:
    def booked(patient: str) -> dict[str, Any]:
        people = [{"actor": {"reference": patient}, "status": "accepted"}, {"actor": {"reference": "Location/l1"}}]
        return {
            "resourceType": "Appointment",
            "id": "a",
            "status": "booked",
            "start": "2026-03-01T09:00:00Z",
            "participant": people,
        }

    profile = tmp_path / "numbers.yaml"
    profile.write_text("kind: fhir\nextends: r4\nidentifiers: {patient_system: 'urn:mrn'}\n")
    folder = tmp_path / "feed"
    folder.mkdir()
    references = ["Patient?identifier=urn:mrn|M1", "Patient?identifier=urn:ssn|7", "urn:uuid:5", "#gone"]
    result = read(lines(folder, *map(booked, references)), str(profile))
    rows = result.good["appointment"].select("patient_id", "service_unit_id").rows()
    # Nothing says that the last two are patients.
    assert rows == [("M1", "l1"), ("ehr/urn:ssn|7", "l1"), (None, "l1"), (None, "l1")]
    assert unresolved(result) == {
        "Appointment.participant.actor -> Patient (nothing matches)": 1,
        "Appointment.participant.actor -> a resource (not in the bundle)": 1,
        "Appointment.participant.actor -> a resource (not contained)": 1,
    }


def test_a_place_that_a_search_does_not_find_is_none(tmp_path: Path) -> None:
    people = [{"actor": {"reference": "Location?identifier=urn:places|gone"}}, {"actor": {"reference": "Location/l1"}}]
    visit = {"resourceType": "Appointment", "id": "a", "status": "booked", "start": "2026-03-01T09:00:00Z"}
    result = read(lines(tmp_path, visit | {"participant": people[:1]}, visit | {"participant": people}))
    assert result.good["appointment"]["service_unit_id"].to_list() == [None, "l1"]
