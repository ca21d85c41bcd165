"""Resources as Epic, Oracle Health and athenahealth shape them, through the profiles shipped for them."""

from pathlib import Path
from typing import Any

import pytest

from ingest.profiles import load_profile
from tests.ingest.fhir_reading import Result, lines, read

CSN = "urn:oid:1.2.840.114350.1.13.999.2.7.3.698084.8"
EPIC_CLASS = "urn:oid:1.2.840.114350.1.72.1.7.7.10.696784.13260"
CODE_SET = "https://fhir.cerner.com/00000000-0000-0000-0000-000000000000/codeSet"
SCHEDULING_LOCATION = "https://fhir-ehr.cerner.com/r4/StructureDefinition/scheduling-location"


def oracle_concept(code_set: int, code: str, standard: str | None = None) -> dict[str, Any]:
    """Millennium's own code first, the standard one beside it."""
    codings = [{"system": f"{CODE_SET}/{code_set}", "code": code, "userSelected": True}]
    return {"coding": [*codings, *([{"code": standard}] if standard else [])], "text": code}


def from_feed(folder: Path, profile: str, **files: list[dict[str, Any]]) -> Result:
    for name, resources in files.items():
        lines(folder, *resources, name=f"{name}.ndjson")
    return read(folder, profile)


# Epic


def epic_visit(number: str, code: str, display: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": f"e-{number}",
        "identifier": [{"use": "usual", "system": CSN, "value": number}],
        "status": "finished",
        "class": {"system": EPIC_CLASS, "code": code, "display": display},
        "subject": {"reference": "Patient/eP1"},
        "participant": [
            {"type": [{"coding": [{"code": "REF"}]}], "individual": {"reference": "Practitioner/eD1"}},
            {"type": [{"coding": [{"code": "PART"}]}], "individual": {"reference": "Practitioner/eD2"}},
        ],
        "period": {"start": "2026-03-01T09:00:00Z"},
        "appointment": [{"reference": f"Appointment/a-{number}", "identifier": {"system": CSN, "value": number}}],
    }


def test_epic_names_visits_and_appointments_by_contact_serial_number(tmp_path: Path) -> None:
    appointment = {
        "resourceType": "Appointment",
        "id": "a-27560",
        "identifier": [{"use": "usual", "system": CSN, "value": "27560"}],
        "status": "fulfilled",
        "start": "2026-03-01T09:00:00Z",
        "end": "2026-03-01T09:20:00Z",
        "participant": [{"actor": {"reference": "Patient/eP1"}, "status": "accepted"}],
    }
    visits = [epic_visit("27560", "13", "Support OP Encounter")]
    result = from_feed(tmp_path, "epic", Encounter=visits, Appointment=[appointment])
    row = result.row("encounter")
    issued = "27560^^^&" + CSN.removeprefix("urn:oid:")
    assert (row["encounter_id"], row["appointment_id"], row["provider_id"]) == (issued, issued, "eD2")
    assert result.row("appointment")["appointment_id"] == issued
    # A deletion names the resource, not the number.
    assert row["source_record_id"] == "Encounter/e-27560"


@pytest.mark.parametrize(
    ("code", "display", "expected"),
    [
        ("13", "Support OP Encounter", "AMB"),
        ("4", "HOV", "AMB"),
        ("5", "Appointment", "AMB"),
        ("2", "Preadmission", "PRENC"),
        ("77", "Inpatient", "IMP"),
        ("78", "Emergency", "EMER"),
        ("IMP", "inpatient encounter", "IMP"),
    ],
)
def test_epic_has_classes_of_its_own(tmp_path: Path, code: str, display: str, expected: str) -> None:
    result = from_feed(tmp_path, "epic", Encounter=[epic_visit("1", code, display)])
    assert result.row("encounter")["encounter_class"] == expected


def test_a_class_of_epic_that_nobody_knows_is_quarantined_by_name(tmp_path: Path) -> None:
    result = from_feed(tmp_path, "epic", Encounter=[epic_visit("1", "99", "Something new")])
    assert result.bad == {("encounter", "valid_values", "encounter_class"): 1}


def test_epic_types_of_identifiers_are_texts(tmp_path: Path) -> None:
    patient = {
        "resourceType": "Patient",
        "id": "eP1",
        "identifier": [
            {"use": "usual", "type": {"text": "EXTERNAL"}, "system": "urn:oid:1", "value": "Z6129"},
            {"use": "old", "type": {"text": "MRN"}, "system": "urn:oid:2", "value": "1"},
            {"use": "usual", "type": {"text": "MRN"}, "system": "urn:oid:2", "value": "203713"},
        ],
    }
    result = from_feed(tmp_path, "epic", Patient=[patient])
    assert result.row("patient_merge")["to_patient_id"] == "203713^^^&2"


# Oracle Health


def test_oracle_names_visits_by_financial_number_and_patients_by_the_number_that_holds(tmp_path: Path) -> None:
    visit = {
        "resourceType": "Encounter",
        "id": "97953477",
        "identifier": [{"type": oracle_concept(319, "1077", "AN"), "_system": {}, "value": "15951"}],
        "status": "finished",
        "class": {"code": "IMP", "userSelected": False},
        "type": [oracle_concept(71, "309308", "I")],
        "subject": {"reference": "Patient/12724066"},
        "participant": [
            {"type": [oracle_concept(333, "1121", "CON")], "individual": {"reference": "Practitioner/1"}},
            {"type": [oracle_concept(333, "1119", "ATND")], "individual": {"reference": "Practitioner/2"}},
        ],
        "period": {"start": "2026-03-01T09:00:00.000Z"},
    }
    patient = {
        "resourceType": "Patient",
        "id": "12724066",
        "identifier": [
            {"type": oracle_concept(4, "10", "MR"), "value": "6978", "period": {"end": "2020-07-06T21:21:25.000Z"}},
            {"type": oracle_concept(4, "10", "MR"), "value": "6931", "period": {"start": "2019-12-26T15:14:12.000Z"}},
        ],
    }
    result = from_feed(tmp_path, "oracle_health", Encounter=[visit], Patient=[patient])
    row = result.row("encounter")
    assert (row["encounter_id"], row["provider_id"], row["visit_type_id"]) == ("15951", "2", "309308")
    assert result.row("patient_merge")["to_patient_id"] == "6931"


def test_oracle_appointments_and_places_are_read_by_the_standard_code_beside_its_own(tmp_path: Path) -> None:
    appointment = {
        "resourceType": "Appointment",
        "id": "4822366",
        "status": "cancelled",
        "cancelationReason": oracle_concept(14229, "2191414701", "pat"),
        "serviceType": [oracle_concept(14249, "4047611", "394576009")],
        "start": "2026-01-23T22:10:00Z",
        "end": "2026-01-23T23:10:00Z",
        "participant": [
            {"actor": {"reference": "Location/32216049"}, "status": "accepted"},
            {"actor": {"display": "Endoscopy Rooms"}, "status": "accepted"},
            {"actor": {"reference": "Patient/12724066"}, "status": "accepted"},
        ],
    }
    ward = {
        "resourceType": "Location",
        "id": "32216049",
        "name": "BE 1 North",
        "status": "active",
        "physicalType": oracle_concept(222, "783", "wa"),
    }
    result = from_feed(tmp_path, "oracle_health", Appointment=[appointment], Location=[ward])
    row = result.row("appointment")
    assert (row["service_unit_id"], row["provider_id"], row["patient_id"]) == ("32216049", None, "ehr/12724066")
    assert (row["cancel_initiator"], row["cancel_reason_code"]) == ("patient", "2191414701")
    assert result.row("service_unit")["unit_type"] == "ward"


def test_oracle_slots_name_their_place_in_an_extension_and_their_schedule_comes_along(tmp_path: Path) -> None:
    slot = {
        "resourceType": "Slot",
        "id": "21265426-633867-3121665-0",
        "extension": [{"url": SCHEDULING_LOCATION, "valueReference": {"reference": "Location/32216049"}}],
        "status": "free",
        "schedule": {"reference": "Schedule/s1"},
        "start": "2026-03-02T10:00:00Z",
        "end": "2026-03-02T10:15:00Z",
    }
    schedule = {"resourceType": "Schedule", "id": "s1", "actor": [{"reference": "Practitioner/593923"}]}
    page = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {"resource": slot, "search": {"mode": "match"}},
            {"resource": schedule, "search": {"mode": "include"}},
        ],
    }
    result = from_feed(tmp_path, "oracle_health", Slot=[page])
    row = result.row("slot")
    assert (row["service_unit_id"], row["provider_id"]) == ("32216049", "593923")
    assert not result.notices


# athenahealth


def test_athenahealth_ids_name_practice_and_record(tmp_path: Path) -> None:
    visit = {
        "resourceType": "Encounter",
        "id": "a-14523.encounter-9",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/a-14523.E-857"},
        "location": [{"location": {"reference": "Location/a-14523.Department-1"}}],
        "period": {"start": "2026-03-01T09:00:00-05:00"},
    }
    result = from_feed(tmp_path, "athenahealth", Encounter=[visit])
    row = result.row("encounter")
    assert (row["encounter_id"], row["patient_id"]) == ("a-14523.encounter-9", "ehr/a-14523.E-857")
    assert row["service_unit_id"] == "a-14523.Department-1"
    profile = load_profile("athenahealth", "fhir")
    assert profile.search["Appointment"] == ()
    assert profile.search_parameters("Coverage") == ("patient",)
