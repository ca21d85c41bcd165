"""FHIR profiles: what they extend, and errors that name file, line and key."""

from pathlib import Path

import pytest

from data_contracts import LINEAGE, contract
from foundation.errors import ConfigurationError
from ingest.profiles import load_profile, shipped_profiles
from ingest.sources.fhir.tables import COLUMNS


def test_the_columns_rows_are_collected_in_are_the_contracts_own() -> None:
    for entity, names in COLUMNS.items():
        entity_contract = contract(entity)
        assert set(names) | set(LINEAGE) <= {column.name for column in entity_contract.reader_columns}, entity
        required = {column.name for column in entity_contract.reader_columns if column.required}
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
