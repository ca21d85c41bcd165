"""FHIR files: the real feeds figure for figure, every resource to its rows, references, money, and bad input."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_contracts import LINEAGE, contract
from foundation.errors import ConfigurationError
from ingest.interface import UnreadableUnit
from ingest.profiles import load_profile, shipped_profiles
from ingest.sources.fhir import files as fhir_files
from ingest.sources.fhir import reader as fhir
from ingest.sources.fhir.tables import COLUMNS
from ingest.sources.fhir.values import parse_reference
from ingest.sources.files import is_wide_text
from tests.ingest.fhir_reading import NPI, SOURCE, bundle, feed, gather, lines, read
from tests.refusals import refused_file

REAL = Path(__file__).parents[2] / "../shared/data/fhir"


def real(name: str) -> Path:
    path = REAL / name
    if not path.is_dir():
        pytest.skip(f"the feed {name} is not at {REAL}")
    return path


# The real feeds


@pytest.mark.real_data
def test_synthea_bundles_give_the_figures_counted_by_hand() -> None:
    result = read(real("synthea-bundles"), "synthea")
    assert not result.bad
    classes = dict(result.good["encounter"]["encounter_class"].value_counts().iter_rows())
    assert classes == {"AMB": 283, "EMER": 27, "IMP": 30}
    claims = result.good["claim"]
    assert (claims.height, claims["billed_amount"].sum()) == (418, Decimal("881636.04"))
    payers = dict(claims["payer_id"].value_counts().iter_rows())
    assert payers == {"private": 296, "medicare": 121, "medicaid": 1}
    paid = result.good["remittance_claim"]
    assert (paid.height, paid["payer_paid_amount"].sum()) == (340, Decimal("656596.832"))
    classes_of_payers = dict(result.good["payer"].select("payer_id", "payer_class").unique().iter_rows())
    assert classes_of_payers == {"private": "commercial", "medicare": "medicare", "medicaid": "medicaid"}
    # 3,500 entries: 1,164 of types the model holds, the others told once a file and type.
    assert (result.read, result.used) == (3500, 1164)
    assert set(result.reasons()) == {"resource_type_not_in_model"}
    assert all(refusal.payload is None for refusal in result.refusals)


@pytest.mark.real_data
def test_synthea_bundles_refer_to_rows_that_are_there() -> None:
    good = read(real("synthea-bundles"), "synthea").good
    for entity, column, target in [
        ("encounter", "patient_id", "patient"),
        ("encounter", "provider_id", "provider"),
        ("encounter", "service_unit_id", "service_unit"),
        ("encounter", "visit_type_id", "visit_type"),
        ("claim", "patient_id", "patient"),
        ("claim", "encounter_id", "encounter"),
        ("claim", "service_unit_id", "service_unit"),
        ("claim", "payer_id", "payer"),
        ("claim_line", "claim_submission_id", "claim"),
        ("remittance_claim", "claim_id", "claim"),
        ("remittance_line", "remittance_claim_id", "remittance_claim"),
        ("remittance_adjustment", "remittance_line_id", "remittance_line"),
    ]:
        given_rows = good[entity].filter(pl.col(column).is_not_null())
        assert given_rows.height > 0
        assert given_rows.join(good[target], on=column, how="anti").height == 0, f"{entity}.{column}"


@pytest.mark.real_data
def test_a_synthea_line_is_billed_paid_and_owed_by_the_patient_to_the_cent() -> None:
    good = read(real("synthea-bundles"), "synthea").good
    owed = good["remittance_adjustment"].group_by("remittance_line_id").agg(pl.col("adjustment_amount").sum())
    joined = good["remittance_line"].join(owed, on="remittance_line_id", how="left")
    rest = joined.select(
        pl.col("billed_amount") - pl.col("payer_paid_amount") - pl.col("adjustment_amount").fill_null(Decimal(0))
    ).to_series()
    # What is left is binary noise that four places cut off.
    assert joined.height == 356
    assert rest.abs().max() <= Decimal("0.0001")


@pytest.mark.real_data
def test_bulk_ndjson_gives_the_figures_counted_by_hand() -> None:
    result = read(real("bulk-10-patients"), "synthea")
    assert not result.bad
    classes = dict(result.good["encounter"]["encounter_class"].value_counts().iter_rows())
    assert classes == {"AMB": 1133, "IMP": 49, "EMER": 23, "HH": 9, "VR": 1}
    stays = result.good["encounter"].filter(encounter_class="IMP")
    days = (stays["ended_at"] - stays["started_at"]).dt.total_microseconds() / 86_400_000_000
    assert days.sum() == pytest.approx(277.810, abs=5e-4)
    assert days.mean() == pytest.approx(5.6696, abs=5e-5)
    assert days.max() == pytest.approx(19.0104, abs=5e-5)
    assert result.good["patient"].height == 13
    assert result.good["service_unit"].height == 44 + 43
    assert result.reasons() == {"resource_type_not_in_model": 2056 + 555, "no_resource_type": 4}
    log = [refusal for refusal in result.refusals if refusal.reason == "no_resource_type"]
    assert [refusal.position for refusal in log] == [f"line {number}" for number in range(1, 5)]


@pytest.mark.real_data
def test_bulk_ndjson_refers_by_identifier_to_rows_that_are_there() -> None:
    good = read(real("bulk-10-patients"), "synthea").good
    for entity, column, target in [
        ("encounter", "patient_id", "patient"),
        ("encounter", "provider_id", "provider"),
        ("encounter", "service_unit_id", "service_unit"),
        ("provider_service_unit", "provider_id", "provider"),
        ("provider_service_unit", "service_unit_id", "service_unit"),
        ("bed_movement", "encounter_id", "encounter"),
    ]:
        assert good[entity][column].null_count() == 0
        assert good[entity].join(good[target], on=column, how="anti").height == 0, f"{entity}.{column}"
    # Every stay is admitted and discharged.
    kinds = dict(good["bed_movement"]["movement_type"].value_counts().iter_rows())
    assert kinds == {"admit": 49, "discharge": 49}


@pytest.mark.real_data
def test_the_examples_of_the_standard_are_each_used_or_refused() -> None:
    result = read(real("r4-examples"))
    assert (result.read, result.used) == (55, 46)
    assert result.reasons() == {"resource_type_not_in_model": 7, "not_a_claim": 2}
    # Encounters that say no time cannot be placed on any day; a proposed appointment needs none.
    assert result.bad == {("encounter", "required", "started_at"): 7}
    # Slots find their schedule in the file beside them.
    assert set(result.good["slot"]["service_unit_id"]) == {"1"}
    slots = dict(result.good["slot"].select("slot_id", "status").iter_rows())
    assert slots == {"1": "booked", "2": "held", "3": "blocked", "example": "free"}
    # EB3500 and R3500 are one adjudication; what could not be processed is a rejection, not a denial.
    paid = result.good["remittance_claim"].filter(pl.col("remittance_claim_id") == "ClaimResponse/R3500")
    assert paid.height == 2
    assert not result.good["claim_status"]["is_accepted"].any()


@pytest.mark.real_data
def test_no_name_of_a_patient_leaves_the_identity_rows() -> None:
    folder = real("synthea-bundles")
    good = read(folder, "synthea").good
    identity = good.pop("patient_identity")
    names = set(identity["family_name"]) | set(identity["phone"]) | set(identity["address_line"])
    for entity, frame in good.items():
        for column in frame.columns:
            if frame.schema[column] == pl.String() and entity != "provider" and column != "family_name_token":
                assert not names & set(frame[column].drop_nulls()), f"{entity}.{column}"


# Resources to rows

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"lastUpdated": "2026-05-01T12:00:00.000-04:00"},
    "identifier": [
        {"type": {"coding": [{"code": "SS"}]}, "value": "999"},
        {"type": {"coding": [{"code": "MR"}]}, "value": "MRN0001", "system": "urn:oid:1"},
    ],
    "name": [{"use": "maiden", "family": "Old"}, {"use": "official", "family": "Doe", "given": ["Jane", "Q"]}],
    "gender": "female",
    "birthDate": "1980-02-03",
    "address": [{"line": ["1 Road", "Flat 2"], "city": "Town", "state": "NY", "postalCode": "10001-1234"}],
    "telecom": [{"system": "email", "value": "a@b.c"}, {"system": "phone", "value": "555"}],
    "communication": [{"language": {"coding": [{"code": "en"}]}}, {"language": {"text": "es"}, "preferred": True}],
    "photo": [],
}


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


ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"code": "IMP"},
    "period": {"start": "2026-03-01T22:00:00-05:00", "end": "2026-03-04T10:00:00-05:00"},
    "location": [
        {"location": {"reference": "Location/w1"}},
        {"location": {"reference": "Location/w2"}, "period": {"start": "2026-03-02T08:00:00-05:00"}},
    ],
    "participant": [
        {"type": [{"coding": [{"code": "REF"}]}], "individual": {"reference": "Practitioner/d1"}},
        {"type": [{"coding": [{"code": "ATND"}]}], "individual": {"reference": "Practitioner/d2"}},
    ],
    "statusHistory": [
        {"status": "arrived", "period": {"start": "2026-03-01T22:00:00-05:00"}},
        {"status": "in-progress", "period": {"start": "2026-03-01T23:00:00-05:00"}},
        {"status": "arrived", "period": {"start": "2026-03-02T00:00:00-05:00"}},
    ],
}


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


# Money

CLAIM: dict[str, Any] = {
    "resourceType": "Claim",
    "id": "c1",
    "status": "active",
    "use": "claim",
    "type": {"coding": [{"code": "oral"}]},
    "created": "2026-03-05",
    "patient": {"reference": "Patient/p1"},
    "provider": {"reference": f"Organization?identifier={NPI}|1234567893"},
    "insurance": [
        {"sequence": 1, "focal": False, "coverage": {"display": "Other"}},
        {"sequence": 2, "focal": True, "coverage": {"reference": "Coverage/k1"}},
    ],
    "item": [
        {
            "sequence": 1,
            "productOrService": {"coding": [{"code": "D0001"}]},
            "modifier": [{"coding": [{"code": "A"}]}, {"coding": [{"code": "B"}]}],
            "servicedDate": "2026-03-01",
            "unitPrice": {"value": 0.1, "currency": "USD"},
            "quantity": {"value": 3},
        },
        {
            "sequence": 2,
            "servicedPeriod": {"start": "2026-03-02T00:00:00Z", "end": "2026-03-03"},
            "detail": [{"net": {"value": 1.005}}, {"net": {"value": 1}}],
        },
        {"sequence": 3, "productOrService": {"text": "no amount"}},
    ],
}


def test_a_claim_without_a_total_bills_the_sum_of_its_items_exactly(tmp_path: Path) -> None:
    result = read(lines(tmp_path, CLAIM))
    claim = result.row("claim")
    assert claim["billed_amount"] == Decimal("2.305")
    assert (claim["claim_type"], claim["payer_sequence"], claim["frequency_code"]) == ("dental", "secondary", "1")
    assert (claim["billing_provider_npi"], claim["service_unit_id"]) == ("1234567893", "1234567893")
    assert (claim["service_from_date"], claim["service_to_date"]) == (date(2026, 3, 1), date(2026, 3, 3))
    kept = result.good["claim_line"]
    assert kept["line_number"].to_list() == [1, 2]
    assert kept["billed_amount"].to_list() == [Decimal("0.3"), Decimal("2.005")]
    assert kept["modifiers"].to_list() == ["A:B", None]


def test_a_claim_names_the_claim_that_it_replaces(tmp_path: Path) -> None:
    related = [
        {"relationship": {"coding": [{"code": "associated"}]}, "claim": {"reference": "Claim/other"}},
        {
            "relationship": {"coding": [{"code": "prior"}]},
            "claim": {"reference": "Claim/first"},
            "reference": {"system": "http://payer.example/claims", "value": "ICN1"},
        },
    ]
    claim = read(lines(tmp_path, CLAIM | {"related": related})).row("claim")
    assert claim["frequency_code"] == "7"
    assert claim["replaced_claim_id"] == "first"
    assert claim["original_payer_claim_control_number"] == "ICN1"


def test_a_related_claim_of_another_suite_of_services_is_not_replaced(tmp_path: Path) -> None:
    related = [{"relationship": {"coding": [{"code": "associated"}]}, "claim": {"reference": "Claim/other"}}]
    claim = read(lines(tmp_path, CLAIM | {"related": related})).row("claim")
    assert (claim["frequency_code"], claim["replaced_claim_id"]) == ("1", None)


def test_a_claims_payer_comes_through_its_coverage(tmp_path: Path) -> None:
    held = {"resourceType": "Coverage", "id": "k1", "payor": [{"display": " Blue  Plan "}]}
    coverage = held | {
        "beneficiary": {"reference": "Patient/p1"},
        "subscriberId": "M1",
        "order": 2,
        "class": [{"type": {"coding": [{"code": "plan"}]}, "value": "PPO"}],
        "period": {"start": "2026-01-01"},
    }
    lines(tmp_path, coverage, name="Coverage.ndjson")
    lines(tmp_path, CLAIM, name="Claim.ndjson")
    result = read(tmp_path)
    assert result.row("claim")["payer_id"] == "blue plan"
    row = result.row("coverage")
    assert (row["payer_id"], row["member_token"], row["plan_name"], row["priority"]) == ("blue plan", "M1", "PPO", 2)
    contained = CLAIM | {"contained": [held], "insurance": [{"coverage": {"reference": "#k1"}}]}
    assert (
        read(lines(tmp_path, contained, name="one.ndjson").parent).good["claim"]["payer_id"].to_list()
        == ["blue plan"] * 2
    )


def test_a_patient_who_pays_is_self_pay(tmp_path: Path) -> None:
    coverage = {"resourceType": "Coverage", "id": "k", "beneficiary": {"reference": "Patient/p"}}
    result = read(lines(tmp_path, coverage | {"payor": [{"reference": "Patient/p", "display": "Jane Doe"}]}))
    assert result.row("coverage")["payer_id"] == "self_pay"
    assert (result.row("payer")["name"], result.row("payer")["payer_class"]) == ("Self pay", "self_pay")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use": "preauthorization"}, "not_a_claim"),
        ({"status": "draft"}, "not_submitted"),
        ({"total": {"value": 5, "currency": "EUR"}}, "not_us_dollars"),
    ],
)
def test_what_is_no_claim_for_dollars_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    result = read(lines(tmp_path, CLAIM | change))
    assert result.reasons() == {reason: 1}
    assert result.good == {}
    assert result.refusals[0].payload == orjson.dumps(CLAIM | change)


def eob(**change: Any) -> dict[str, Any]:
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": "b1",
        "status": "active",
        "use": "claim",
        "outcome": "complete",
        "created": "2026-04-01",
        "identifier": [{"value": "ICN1"}],
        "claim": {"reference": "Claim/c1"},
        "insurer": {"display": "Plan"},
        "total": [{"category": {"coding": [{"code": "submitted"}]}, "amount": {"value": 100.1}}],
        "payment": {"amount": {"value": 77.49000000000001}},
        "item": [
            {
                "sequence": 1,
                "net": {"value": 100.1},
                "adjudication": [
                    {"category": {"coding": [{"code": "eligible"}]}, "amount": {"value": 87.49}},
                    {"category": {"coding": [{"code": "copay"}]}, "amount": {"value": 10}},
                    {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 77.49000000000001}},
                ],
            }
        ],
    } | change


def test_an_explanation_of_benefit_is_a_claim_payment_with_exact_amounts(tmp_path: Path) -> None:
    result = read(lines(tmp_path, eob()))
    row = result.row("remittance_claim")
    assert (row["billed_amount"], row["payer_paid_amount"]) == (Decimal("100.1"), Decimal("77.49"))
    assert (row["allowed_amount"], row["patient_responsibility_amount"]) == (Decimal("87.49"), Decimal("10"))
    assert (row["claim_id"], row["payer_claim_control_number"], row["claim_status_code"]) == ("c1", "ICN1", "1")
    adjustment = result.row("remittance_adjustment")
    assert (adjustment["group_code"], adjustment["reason_code"], adjustment["adjustment_amount"]) == ("PR", "3", 10)
    assert adjustment["remittance_line_id"] == result.row("remittance_line")["remittance_line_id"]


def test_paying_nothing_is_a_denial_only_where_the_payer_says_so(tmp_path: Path) -> None:
    profile = tmp_path / "own.yaml"
    profile.write_text("kind: fhir\nextends: r4\nadjudication: {denialreason: denial}\n")
    nothing = {"payment": {"amount": {"value": 0}}, "item": []}
    denial = {"category": {"coding": [{"code": "denialreason"}]}}
    path = tmp_path / "feed"
    path.mkdir()
    lines(
        path,
        eob(**nothing),
        eob(id="b2", **nothing | {"item": [{"sequence": 1, "adjudication": [denial]}]}),
        eob(id="b3", precedence=2, **nothing),
    )
    result = read(path, str(profile))
    assert result.good["remittance_claim"]["claim_status_code"].to_list() == ["1", "4", "2"]


def test_what_a_payer_could_not_process_is_a_status_of_the_claim(tmp_path: Path) -> None:
    result = read(lines(tmp_path, eob(outcome="error"), eob(id="b2", outcome="queued")))
    assert result.good["claim_status"]["is_accepted"].to_list() == [False, True]
    assert "remittance_claim" not in result.good


def test_a_cancelled_adjudication_counts_for_nothing(tmp_path: Path) -> None:
    result = read(lines(tmp_path, eob(status="cancelled")))
    row = result.row("remittance_claim")
    assert (row["claim_status_code"], row["billed_amount"], row["payer_paid_amount"]) == ("22", 0, 0)
    assert result.row("remittance_line")["payer_paid_amount"] == 0
    assert result.row("remittance_adjustment")["adjustment_amount"] == 0


def test_a_response_and_the_explanation_that_refers_to_it_are_one_payment(tmp_path: Path) -> None:
    response = eob(resourceType="ClaimResponse", id="r1", request={"reference": "Claim/c1"})
    result = read(lines(tmp_path, response, eob(claimResponse={"reference": "ClaimResponse/r1"})))
    paid = result.good["remittance_claim"]
    assert paid["remittance_claim_id"].to_list() == ["ClaimResponse/r1"] * 2
    assert paid["claim_id"].to_list() == ["c1"] * 2


# Bad input


def test_lines_that_are_no_resource_are_refused_one_by_one_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "mixed.ndjson"
    good = orjson.dumps(ENCOUNTER)
    parts = [
        b"\xef\xbb\xbf" + good,
        b'{"exportId": 1}',
        b"",
        b"not json",
        b"[1]",
        b'{"resourceType": 5}',
        b'{"resourceType": "Jane Doe"}',
        good + b"\r",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Patient","id":7}',
        orjson.dumps(ENCOUNTER | {"participant": 5}),
        good[:-30],
    ]
    path.write_bytes(b"\n".join(parts))
    result = read(path)
    assert [(refusal.position, refusal.reason) for refusal in result.refusals] == [
        ("line 2", "no_resource_type"),
        ("line 4", "not_json"),
        ("line 5", "no_resource_type"),
        ("line 6", "no_resource_type"),
        ("line 7", "no_resource_type"),
        ("line 9", "no_id"),
        ("line 10", "no_id"),
        ("line 11", "malformed_resource"),
        ("line 12", "not_json"),
    ]
    assert result.refusals[-1].payload == good[:-30]
    assert not any("Jane" in refusal.detail for refusal in result.refusals)
    # Line 11 broke off half way: none of its rows stayed.
    assert result.good["encounter"]["source_position"].to_list() == ["line 1", "line 8"]
    assert result.good["bed_movement"].height == 6
    assert (result.read, result.used) == (11, 2)


def test_types_outside_the_model_are_refused_once_a_file_and_type(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fhir, "CHUNK_RESOURCES", 2)
    monkeypatch.setattr("ingest.sources.files.READ_BYTES", 64)
    observation = {"resourceType": "Observation", "id": "1"}
    items = [observation, ENCOUNTER, observation, {"resourceType": "Goal"}, ENCOUNTER, ENCOUNTER, observation]
    chunks = [c for u in SOURCE.discover(feed(lines(tmp_path, *items))) for c in SOURCE.read(u)]
    assert len(chunks) > 1
    result = gather(chunks)
    assert [(item.position, item.records, item.payload) for item in result.refusals] == [
        ("line 4", 1, None),
        ("line 1", 3, None),
    ]
    assert (result.read, result.used) == (7, 3)


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (b"", "line 1 column 1"),
        (b'{"resourceType": "Bundle",\n "entry": [', "line 2 column 12"),
        (b"\xff\xfe{}", "byte 0"),
        (b'{"resourceType":"Patient","id":"1"}\n{"resourceType":"Patient","id":"2"}', "line 2 column 1"),
    ],
)
def test_a_document_that_does_not_parse_is_refused_whole_with_its_place(
    tmp_path: Path, content: bytes, position: str
) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(content)
    (unit,) = SOURCE.discover(feed(path))
    with pytest.raises(UnreadableUnit) as caught:
        list(SOURCE.read(unit))
    assert caught.value.position == position


def test_a_document_larger_than_the_bound_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fhir_files, "MAXIMUM_DOCUMENT_BYTES", 10)
    (unit,) = SOURCE.discover(feed(bundle(tmp_path)))
    with refused_file("json_document_too_large"):
        list(SOURCE.read(unit))


def test_a_line_longer_than_the_bound_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fhir_files, "MAXIMUM_LINE_BYTES", 1 << 20)
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"{}\n" + b"x" * (3 << 20))
    (unit,) = SOURCE.discover(feed(path))
    with refused_file("json_line_too_long") as caught:
        list(SOURCE.read(unit))
    assert caught.value.position == "line 2"


def test_a_cut_gzip_file_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.ndjson.gz"
    path.write_bytes(gzip.compress(orjson.dumps(ENCOUNTER) * 50)[:-20])
    (unit,) = SOURCE.discover(feed(path))
    with refused_file("gzip_incomplete"):
        list(SOURCE.read(unit))


def test_entries_of_a_bundle_without_a_resource_are_refused(tmp_path: Path) -> None:
    entries: list[Any] = [
        {"request": {"method": "PUT", "url": "Patient/1"}},
        {"fullUrl": "urn:uuid:1"},
        5,
        {"resource": ENCOUNTER},
        {"resource": "Patient"},
        {"resource": {"resourceType": "Bundle", "entry": []}},
    ]
    result = read(bundle(tmp_path, *entries))
    assert result.reasons() == {
        "no_resource": 3,
        "no_resource_type": 1,
        "resource_type_not_in_model": 1,
    }
    assert (result.read, result.used) == (6, 1)


def test_a_bundle_on_a_line_of_ndjson_is_read_entry_by_entry(tmp_path: Path) -> None:
    inside = {"resourceType": "Bundle", "entry": [{"resource": ENCOUNTER}, {"resource": ENCOUNTER | {"id": "e2"}}]}
    result = read(lines(tmp_path, ENCOUNTER, inside))
    assert result.good["encounter"]["source_position"].to_list() == ["line 1", "line 2 entry 1", "line 2 entry 2"]
    assert result.read == result.used == 3


def test_a_bundle_without_entries_is_told(tmp_path: Path) -> None:
    empty = {"resourceType": "Bundle", "type": "searchset"}
    result = read(lines(tmp_path, empty, empty | {"entry": []}))
    assert (result.read, result.notices) == (0, {("empty_bundle", "the bundle holds no entries"): 2})


def test_an_empty_file_gives_one_empty_chunk(tmp_path: Path) -> None:
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"")
    result = read(path)
    assert (result.read, result.good, result.refusals) == (0, {}, [])


# Properties

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TEMPLATES: list[dict[str, Any]] = [
    PATIENT,
    ENCOUNTER,
    CLAIM,
    eob(),
    eob(resourceType="ClaimResponse", request={"reference": "Claim/c1"}),
    {
        "resourceType": "Practitioner",
        "id": "d",
        "identifier": [{"system": NPI, "value": "1"}],
        "name": [{"family": "x"}],
    },
    {
        "resourceType": "PractitionerRole",
        "id": "d",
        "practitioner": {"reference": "Practitioner/d"},
        "location": [{"reference": "Location/l"}],
        "specialty": [{"text": "x"}],
        "period": {"start": "2026"},
    },
    {
        "resourceType": "Organization",
        "id": "o",
        "name": "n",
        "type": [{"coding": [{"code": "ins"}]}],
        "extension": [{}],
    },
    {
        "resourceType": "Location",
        "id": "l",
        "name": "n",
        "managingOrganization": {"reference": "#o"},
        "contained": [{}],
    },
    {"resourceType": "Coverage", "id": "k", "payor": [{"display": "x"}], "class": [{}], "period": {}},
    {"resourceType": "Slot", "id": "s", "status": "free", "schedule": {"reference": "Schedule/s"}, "start": "2026"},
    {"resourceType": "Schedule", "id": "s", "actor": [{"reference": "Location/l"}]},
    {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": [{"actor": {"reference": "x"}}]},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


@st.composite
def broken_resources(draw: st.DrawFn) -> Any:
    resource = json.loads(json.dumps(draw(st.sampled_from(TEMPLATES))))
    for path in draw(st.lists(st.sampled_from(places(resource)), max_size=3, unique=True)):
        holder = resource
        try:
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = draw(JSON)
        except (TypeError, KeyError, IndexError):
            continue
    return resource


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(broken_resources() | JSON, max_size=4), in_bundle=st.booleans())
def test_broken_resources_are_refused_or_quarantined_and_every_record_is_counted(
    tmp_path: Path, items: list[Any], in_bundle: bool
) -> None:
    dumped = [json.dumps(item).encode() for item in items]
    path = (
        bundle(tmp_path, *({"resource": item} for item in items))
        if in_bundle
        else lines(tmp_path, *dumped, name="a.ndjson")
    )
    result = gather(list(SOURCE.read(SOURCE.discover(feed(path))[0])))
    bundles = sum(isinstance(item, dict) and item.get("resourceType") == "Bundle" for item in items)
    assert result.read == len(items) or bundles


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200)
    | st.lists(st.sampled_from([b"{", b"}", b"\n", b'"id"', b":", b"[", b"]", b"\0"])).map(b"".join)
)
def test_arbitrary_bytes_never_crash_the_reader(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.ndjson"
    path.write_bytes(content)
    if is_wide_text(content):
        with refused_file("file_is_utf16"):
            read(path)
        return
    result = read(path)
    assert result.read == sum(bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    document = tmp_path / "any.json"
    document.write_bytes(content)
    try:
        orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        with pytest.raises(UnreadableUnit) as caught:
            read(document)
        assert caught.value.position.startswith("line ")
    else:
        assert read(document).read == 1


# Profiles and columns


def test_the_columns_rows_are_collected_in_are_the_contracts_own() -> None:
    for entity, names in COLUMNS.items():
        of = contract(entity)
        assert set(names) | set(LINEAGE) <= {column.name for column in of.reader_columns}, entity
        required = {column.name for column in of.reader_columns if column.required}
        assert required <= {*names, *LINEAGE}, entity


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: fhir\nextends: r5\n", "own.yaml:2: extends: 'r5' is not the name of another profile"),
        ("kind: fhir\npayer_clases: {}\n", "own.yaml:2: payer_clases: unknown key"),
        (
            "kind: fhir\npayer_classes: {private: comercial}\n",
            "own.yaml:2: payer_classes.private: 'comercial' is not one",
        ),
        ("kind: fhir\nidentifiers: {visit: x}\n", "own.yaml:2: identifiers.visit: unknown key"),
        ("kind: fhir\nadjudication: {benefit: pays}\n", "own.yaml:2: adjudication.benefit: 'pays' is not one"),
        ("kind: fhir\nstay_classes: IMP\n", "own.yaml:2: stay_classes: must be a list"),
        ("kind: fhir\nextends: own.yaml\n", "own.yaml:2: extends:"),
        (
            "kind: fhir\nidentifiers: {encounter: 'urn:*:1.*'}\n",
            "own.yaml:2: identifiers.encounter: 'urn:*:1.*' holds more",
        ),
        ("kind: fhir\nexport_since: maybe\n", "own.yaml:2: export_since: 'maybe' is not one of yes, no"),
        (
            "kind: fhir\nrequires: {operations: ['$export']}\n",
            "own.yaml:2: requires.operations: '$export' is not the name",
        ),
        ("kind: fhir\nsearch: {appointment: []}\n", "own.yaml:2: search.appointment: is not a resource type"),
        ("kind: fhir\nsearch: {Slot: ['start']}\n", "own.yaml:2: search.Slot: 'start' is not a search parameter"),
        ("kind: fhir\nsearch: {Slot: ['a=1&b={Sinse}']}\n", "own.yaml:2: search.Slot: {Sinse} is not one of since"),
        ("kind: pm_database\n", "own.yaml:1: kind: is pm_database"),
    ],
)
def test_a_wrong_profile_names_file_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_profile(str(path), "fhir")
    assert problem in str(caught.value)


def test_every_shipped_profile_loads() -> None:
    assert shipped_profiles("fhir") == ("athenahealth", "epic", "oracle_health", "r4", "synthea")
    for name in shipped_profiles("fhir"):
        assert load_profile(name, "fhir").name == name


def test_a_profile_extends_another_and_says_only_what_differs() -> None:
    standard, synthea = load_profile("r4", "fhir"), load_profile("synthea", "fhir")
    assert synthea.appointment_statuses == standard.appointment_statuses
    assert synthea.payer_classes["private"] == "commercial"
    assert synthea.staffed_beds_extension != ""
    assert standard.staffed_beds_extension == ""


def test_a_profile_says_what_its_server_must_offer_and_what_is_searched() -> None:
    oracle, epic = load_profile("oracle_health", "fhir"), load_profile("epic", "fhir")
    assert "Appointment" in oracle.requires.resources
    assert oracle.requires.operations == epic.requires.operations == ("group-export",)
    assert oracle.search_parameters("Slot") == ("-location", "start")
    assert epic.search_parameters("Appointment") == ("patient", "service-category", "date")
    # What an extending profile does not want is taken away with an empty list.
    assert epic.search["Slot"] == ()
    assert (epic.export_since, oracle.export_since) == (False, True)
