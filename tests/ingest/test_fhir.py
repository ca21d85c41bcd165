"""FHIR resources to rows: patients, visits, appointments, slots, organizations, and references between them."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from data_contracts import contract
from ingest.sources.fhir.values import parse_reference
from tests.ingest.fhir_reading import NPI, SOURCE, bundle, feed, lines, read
from tests.ingest.fhir_resources import CLAIM, ENCOUNTER, PATIENT


def test_a_patient_gives_a_row_an_identity_and_an_alias_to_the_medical_record_number(tmp_path: Path) -> None:
    result = read(lines(tmp_path, PATIENT))
    patient = result.row("patient")
    assert {
        key: patient[key] for key in ("patient_id", "birth_year", "sex", "family_name_token", "zip3", "language")
    } == {
        "patient_id": "ehr/p1",
        "birth_year": 1980,
        "sex": "female",
        "family_name_token": "Doe",
        "zip3": "100",
        "language": "es",
    }
    assert patient["source_updated_at"] == datetime(2026, 5, 1, 16, tzinfo=UTC)
    identity = result.row("patient_identity")
    assert (identity["patient_id"], identity["family_name"], identity["given_name"]) == (
        "MRN0001^^^&1",
        "Doe",
        "Jane Q",
    )
    assert (identity["birth_date"], identity["address_line"]) == (date(1980, 2, 3), "1 Road, Flat 2")
    alias = result.row("patient_merge")
    assert (alias["from_patient_id"], alias["to_patient_id"], alias["merge_type"]) == (
        "ehr/p1",
        "MRN0001^^^&1",
        "alias",
    )
    assert result.dropped == {"Patient.photo": 1}


def test_every_id_that_names_a_patient_is_in_a_column_that_becomes_a_token(tmp_path: Path) -> None:
    encounter = ENCOUNTER | {"subject": {"reference": "Patient/p1", "display": "Jane Doe"}}
    (unit,) = SOURCE.discover(feed(lines(tmp_path, PATIENT, encounter)))
    (chunk,) = SOURCE.read(unit)
    for entity, frame in chunk.rows.items():
        for name in frame.columns:
            if entity == "patient_identity" or name in contract(entity).token_columns:
                continue
            values = frame[name].cast(pl.String).drop_nulls().to_list()
            assert not any("p1" in value or "MRN0001" in value or "Doe" in value for value in values), (
                f"{entity}.{name}"
            )


def test_a_patient_without_a_medical_record_number_or_a_whole_birth_date_is_kept(tmp_path: Path) -> None:
    result = read(lines(tmp_path, {"resourceType": "Patient", "id": "p2", "birthDate": "1980-02", "gender": "other"}))
    assert result.row("patient")["birth_year"] == 1980
    assert result.row("patient_identity")["birth_date"] is None
    assert "patient_merge" not in result.good
    assert not result.bad


def test_a_foreign_postal_code_gives_no_zip(tmp_path: Path) -> None:
    address = [{"postalCode": "90210", "country": "DE"}]
    result = read(lines(tmp_path, {"resourceType": "Patient", "id": "p2", "address": address}))
    assert result.row("patient")["zip3"] is None


def test_a_replaced_patient_is_a_merge_whichever_record_says_so(tmp_path: Path) -> None:
    old = {
        "resourceType": "Patient",
        "id": "old",
        "meta": {"lastUpdated": "2026-05-01T00:00:00Z"},
        "link": [{"type": "replaced-by", "other": {"reference": "Patient/new"}}],
    }
    new = old | {"id": "new", "link": [{"type": "replaces", "other": {"reference": "http://x/fhir/Patient/old"}}]}
    merges = read(lines(tmp_path, old, new)).good["patient_merge"]
    assert merges["from_patient_id"].to_list() == ["ehr/old", "ehr/old"]
    assert merges["to_patient_id"].to_list() == ["ehr/new", "ehr/new"]
    assert merges["patient_merge_id"].n_unique() == 1


def test_a_stay_gives_an_encounter_its_events_and_its_movements(tmp_path: Path) -> None:
    result = read(lines(tmp_path, ENCOUNTER))
    encounter = result.row("encounter")
    assert (encounter["provider_id"], encounter["service_unit_id"]) == ("d2", "w1")
    assert encounter["started_at"] == datetime(2026, 3, 2, 3, tzinfo=UTC)
    events = result.good["encounter_event"]
    assert events["event_type"].to_list() == ["check_in", "provider_in", "check_in"]
    assert events["encounter_event_id"].n_unique() == 3
    movements = result.good["bed_movement"].select("movement_type", "from_service_unit_id", "service_unit_id").rows()
    assert movements == [("admit", None, "w1"), ("transfer", "w1", "w2"), ("discharge", "w2", None)]


def test_a_stay_is_known_by_the_word_its_class_stands_for(tmp_path: Path) -> None:
    result = read(lines(tmp_path, ENCOUNTER | {"class": {"code": "inpatient"}}, ENCOUNTER | {"class": {"code": "AMB"}}))
    assert result.good["encounter"]["encounter_class"].to_list() == ["IMP", "AMB"]
    assert result.good["bed_movement"].height == 3


def test_a_day_without_a_time_is_a_day_of_the_tenant_and_not_its_midnight(tmp_path: Path) -> None:
    result = read(lines(tmp_path, ENCOUNTER | {"period": {"start": "2026-03-01", "end": "2026-03"}, "location": []}))
    assert result.bad == {("encounter", "type", "ended_at"): 1}
    result = read(lines(tmp_path, ENCOUNTER | {"period": {"start": "2026-03-01"}, "location": []}))
    row = result.row("encounter")
    assert (row["started_at"], row["started_precision"]) == (datetime(2026, 3, 1, 17, tzinfo=UTC), "day")


def test_an_unknown_class_is_quarantined_and_words_for_known_ones_are_read(tmp_path: Path) -> None:
    given_rows = [
        ENCOUNTER | {"id": "1", "class": {"code": "ambulatory"}},
        ENCOUNTER | {"id": "2", "class": [{"coding": [{"code": "EMER"}]}]},
        ENCOUNTER | {"id": "3", "class": {"code": "SPA"}},
    ]
    result = read(lines(tmp_path, *given_rows))
    assert result.good["encounter"]["encounter_class"].to_list() == ["AMB", "EMER"]
    assert result.bad == {("encounter", "valid_values", "encounter_class"): 1}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("proposed", "proposed"),
        ("pending", "proposed"),
        ("booked", "scheduled"),
        ("arrived", "arrived"),
        ("checked-in", "arrived"),
        ("fulfilled", "completed"),
        ("cancelled", "cancelled"),
        ("noshow", "no_show"),
        ("entered-in-error", "entered_in_error"),
        ("waitlist", "waitlisted"),
    ],
)
def test_every_status_of_an_appointment_has_its_word(tmp_path: Path, status: str, expected: str) -> None:
    appointment = {
        "resourceType": "Appointment",
        "id": "a1",
        "status": status,
        "start": "2026-03-01T10:00:00-05:00",
        "end": "2026-03-01T10:30:00-05:00",
        "created": "2026-02-01",
        "appointmentType": {"coding": [{"code": "WALKIN", "display": "Walk in"}]},
        "cancelationReason": {"coding": [{"code": "pat-crs"}]},
        "participant": [
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "Practitioner/no"}, "status": "declined"},
            {"actor": {"reference": f"Practitioner?identifier={NPI}%7C1234567893"}, "status": "accepted"},
            {"actor": {"reference": "Location/u1"}, "status": "accepted"},
            {"actor": {"display": "Telephone"}, "status": "accepted"},
        ],
    }
    result = read(lines(tmp_path, appointment))
    row = result.row("appointment")
    assert row["status"] == expected
    assert (row["patient_id"], row["provider_id"], row["service_unit_id"]) == ("ehr/p1", "1234567893", "u1")
    assert (row["cancel_initiator"], row["cancel_reason_code"], row["is_walk_in"]) == ("patient", "pat-crs", True)
    assert row["booked_at"] == datetime(2026, 2, 1, 5, tzinfo=UTC)
    assert result.row("visit_type")["name"] == "Walk in"


def test_an_appointment_may_lack_its_start_where_the_standard_allows_it(tmp_path: Path) -> None:
    statuses = ("proposed", "pending", "booked", "arrived", "fulfilled", "cancelled", "noshow", "waitlist")
    given_rows = [{"resourceType": "Appointment", "id": status, "status": status} for status in statuses]
    result = read(lines(tmp_path, *given_rows))
    assert dict(result.good["appointment"].select("appointment_id", "status").iter_rows()) == {
        "proposed": "proposed",
        "pending": "proposed",
        "cancelled": "cancelled",
        "waitlist": "waitlisted",
    }
    assert result.bad == {("appointment", "required", "scheduled_start_at"): 4}


def test_slots_take_unit_and_provider_from_their_schedule_in_the_file_beside(tmp_path: Path) -> None:
    actors = [{"reference": "Location/u1"}, {"reference": "PractitionerRole/r1"}]
    lines(tmp_path, {"resourceType": "Schedule", "id": "s1", "actor": actors}, name="Schedule.000.ndjson")
    role = {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/d1"}}
    lines(tmp_path, role, name="PractitionerRole.ndjson")
    doctor = {"resourceType": "Practitioner", "id": "d1", "identifier": [{"system": NPI, "value": "1234567893"}]}
    with gzip.open(tmp_path / "practitioner.ndjson.gz", "wb") as handle:
        handle.write(orjson.dumps(doctor))
    slot = {
        "resourceType": "Slot",
        "id": "o1",
        "meta": {"lastUpdated": "2026-03-01T23:30:00-05:00"},
        "schedule": {"reference": "Schedule/s1"},
        "status": "free",
        "start": "2026-03-02T10:00:00Z",
        "end": "2026-03-02T10:15:00Z",
    }
    lines(tmp_path, slot, slot | {"id": "o2", "status": "entered-in-error"}, name="Slot.ndjson")
    result = read(tmp_path)
    row = result.row("slot")
    assert (row["service_unit_id"], row["provider_id"], row["snapshot_date"]) == ("u1", "1234567893", date(2026, 3, 1))
    # A slot that was an error is gone from that day's snapshot.
    deleted = result.good["record_deletion"].select("entity", "deleted_record_id", "found_by").rows()
    assert deleted == [("slot", "Slot/o2/2026-03-01", "reported")]
    assert row["source_record_id"] == "Slot/o1/2026-03-01"


def test_organizations_are_units_and_insurers_are_payers(tmp_path: Path) -> None:
    organization = {
        "resourceType": "Organization",
        "id": "o1",
        "name": "Group",
        "type": [{"coding": [{"code": "prov"}]}],
    }
    insurer = organization | {"id": "o2", "name": "Medicare", "type": [{"coding": [{"code": "ins"}]}]}
    ward = {
        "resourceType": "Location",
        "id": "w1",
        "name": "Ward",
        "status": "suspended",
        "physicalType": {"coding": [{"code": "wa"}]},
        "managingOrganization": {"reference": "Organization/o1"},
    }
    result = read(lines(tmp_path, organization, insurer, ward))
    assert result.good["organization"]["organization_id"].to_list() == ["o1"]
    units = result.good["service_unit"]
    assert units["parent_service_unit_id"].to_list() == [None, "o1"]
    assert units["unit_type"].to_list() == ["organization", "ward"]
    assert units["is_active"].to_list() == [None, False]
    assert (result.row("payer")["payer_id"], result.row("payer")["payer_class"]) == ("o2", "medicare")


def test_a_practitioner_is_named_by_npi_however_a_bundle_refers_to_it(tmp_path: Path) -> None:
    doctor = {"resourceType": "Practitioner", "id": "d1", "identifier": [{"system": NPI, "value": "1234567893"}]}
    by_urn = ENCOUNTER | {"id": "1", "participant": [{"individual": {"reference": "urn:uuid:abc"}}]}
    by_type = ENCOUNTER | {"id": "2", "participant": [{"individual": {"reference": "Practitioner/d1"}}]}
    by_number = ENCOUNTER | {
        "id": "3",
        "participant": [{"individual": {"identifier": {"system": NPI, "value": "1234567893"}}}],
    }
    entries = [{"resource": item} for item in (by_urn, by_type, by_number)]
    result = read(bundle(tmp_path, *entries, {"fullUrl": "urn:uuid:abc", "resource": doctor}))
    assert result.good["encounter"]["provider_id"].to_list() == ["1234567893"] * 3
    assert result.row("provider")["provider_id"] == "1234567893"


def test_a_bundle_entry_without_an_id_is_named_by_its_full_url(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "gender": "male"}
    visit = {key: value for key, value in ENCOUNTER.items() if key != "id"} | {"subject": {"reference": "urn:uuid:p"}}
    path = bundle(
        tmp_path, {"fullUrl": "urn:uuid:p", "resource": patient}, {"fullUrl": "urn:uuid:v", "resource": visit}
    )
    result = read(path)
    assert result.row("patient")["patient_id"] == result.row("encounter")["patient_id"] == "ehr/p"
    assert result.row("encounter")["encounter_id"] == "v"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/1", ("Patient", "1", None, "")),
        ("Patient/1/_history/3", ("Patient", "1", None, "")),
        ("http://h/fhir/Patient/1", ("Patient", "1", None, "http://h/fhir")),
        ("http://h/fhir/Patient/1/_history/3", ("Patient", "1", None, "http://h/fhir")),
        ("urn:uuid:0a-1", ("", "0a-1", None, "")),
        ("#p", ("#", "p", None, "")),
        ("Location?identifier=https://s|0a", ("Location", "0a", "https://s", "")),
        ("Location?identifier=https%3A%2F%2Fs%7C0a", ("Location", "0a", "https://s", "")),
        ("Location?identifier=0a", ("Location", "0a", "", "")),
        ("Location?_id=0a", ("Location", "0a", None, "")),
        ("Location?name=x", ("", "", None, "")),
    ],
)
def test_references_of_every_kind_are_taken_apart(text: str, expected: tuple[str, str, str | None]) -> None:
    assert parse_reference(text) == expected


def test_a_number_that_is_no_medical_record_number_is_no_bare_identifier(tmp_path: Path) -> None:
    def subject(reference: dict[str, Any]) -> str:
        return read(lines(tmp_path, ENCOUNTER | {"subject": reference})).row("encounter")["patient_id"]

    assert subject({"identifier": {"type": {"coding": [{"code": "MR"}]}, "value": "7"}}) == "7"
    assert subject({"identifier": {"system": "urn:ssn", "value": "7"}}) == "ehr/urn:ssn|7"
    assert subject({"reference": "Patient?identifier=urn:ssn|7"}) == "ehr/urn:ssn|7"
    assert subject({"reference": "Group/7"}) is None


def test_a_visit_type_has_a_row_where_it_has_a_name(tmp_path: Path) -> None:
    named = ENCOUNTER | {"type": [{"coding": [{"code": "V1", "display": "New patient"}]}]}
    bare = ENCOUNTER | {"id": "e2", "type": [{"coding": [{"code": "V2"}]}]}
    result = read(lines(tmp_path, named, bare))
    assert result.good["encounter"]["visit_type_id"].to_list() == ["V1", "V2"]
    assert result.good["visit_type"].select("visit_type_id", "name").rows() == [("V1", "New patient")]


def test_an_encounter_is_named_by_the_identifier_the_profile_names(tmp_path: Path) -> None:
    profile = tmp_path / "visits.yaml"
    profile.write_text("kind: fhir\nextends: r4\nidentifiers: {encounter: 'urn:visit'}\n")
    visit = ENCOUNTER | {"identifier": [{"system": "urn:visit", "value": "V1"}]}
    claim = CLAIM | {"item": [CLAIM["item"][0] | {"encounter": [{"reference": "Encounter/e1"}]}]}
    folder = tmp_path / "feed"
    folder.mkdir()
    lines(folder, visit, name="Encounter.ndjson")
    lines(folder, claim, name="Claim.ndjson")
    result = read(folder, str(profile))
    assert result.row("encounter")["encounter_id"] == result.row("claim")["encounter_id"] == "V1"
