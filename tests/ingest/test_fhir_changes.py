"""Deletions and versions of FHIR resources, from the file to the raw tables."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from foundation import duck
from foundation.config import Config, Feed, Tenant
from foundation.home import Home
from foundation.keys import Keys
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse
from ingest.sources.fhir import reader as fhir
from ingest.sources.fhir.tables import COLUMNS, ENTITIES_OF
from tests.ingest.fhir_reading import bundle, lines, read


def visit(
    number: str = "e1", at: str | None = "2026-03-01T10:00:00Z", version: str | None = None, **change: Any
) -> Any:
    meta = {key: value for key, value in {"lastUpdated": at, "versionId": version}.items() if value}
    return {
        "resourceType": "Encounter",
        "id": number,
        "meta": meta,
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-03-01T09:00:00Z"},
        "statusHistory": [{"status": "arrived", "period": {"start": "2026-03-01T09:00:00Z"}}],
    } | change


def delete(url: str, **change: Any) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": url}} | change


def deleted_lines(*urls: str, at: str) -> dict[str, Any]:
    """A line of a bulk export's `deleted` files."""
    entries = [delete(url) for url in urls]
    return {"resourceType": "Bundle", "type": "transaction", "meta": {"lastUpdated": at}, "entry": entries}


# The reader


def test_an_entry_that_deletes_gives_a_deletion_for_every_entity_its_type_feeds(tmp_path: Path) -> None:
    entries = [
        delete("Encounter/e1"),
        delete("https://ehr.example.org/fhir/Patient/p1/_history/4", response={"lastModified": "2026-03-02T00:00:00Z"}),
        delete("Schedule/s1"),
    ]
    result = read(bundle(tmp_path, *entries))
    rows = result.good["record_deletion"].select("entity", "deleted_record_id", "found_by", "source_record_id").rows()
    assert rows == [
        ("encounter", "Encounter/e1", "reported", "Encounter/e1"),
        ("encounter_event", "Encounter/e1", "reported", "Encounter/e1"),
        ("bed_movement", "Encounter/e1", "reported", "Encounter/e1"),
        ("diagnosis", "Encounter/e1", "reported", "Encounter/e1"),
        ("patient", "ehr/p1", "reported", "ehr/p1"),
        ("patient_merge", "ehr/p1", "reported", "ehr/p1"),
    ]
    assert str(result.row("record_deletion", 4)["source_updated_at"]).startswith("2026-03-02")
    assert (result.read, result.used) == (3, 3)


def test_a_deletion_takes_the_time_of_its_entry_else_of_its_bundle_else_of_its_file(tmp_path: Path) -> None:
    line = deleted_lines("Appointment/1", at="2026-03-03T00:00:00Z")
    plain = {"resourceType": "Bundle", "entry": [delete("Appointment/2")]}
    stamped = plain | {"timestamp": "2026-03-04T00:00:00Z"}
    rows = read(lines(tmp_path, line, plain, stamped)).good["record_deletion"]
    # The helper fills in a file's time as landing does.
    assert [str(moment)[:10] for moment in rows["source_updated_at"]] == ["2026-03-03", "2026-01-01", "2026-03-04"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("Observation/1", "resource_type_not_in_model"),
        ("Encounter?identifier=urn:visits|1", "deleted_by_search"),
        ("Encounter?status=planned", "malformed_resource"),
        ("Encounter", "malformed_resource"),
        (5, "malformed_resource"),
        (None, "malformed_resource"),
    ],
)
def test_a_deletion_that_names_no_record_is_refused_and_counted(tmp_path: Path, url: Any, reason: str) -> None:
    result = read(bundle(tmp_path, delete(url), {"resource": visit()}))
    assert result.reasons() == {reason: 1}
    assert (result.read, result.used) == (2, 1)
    assert "record_deletion" not in result.good


def test_what_was_entered_in_error_and_has_no_status_for_it_is_deleted(tmp_path: Path) -> None:
    coverage = {
        "resourceType": "Coverage",
        "id": "k",
        "status": "entered-in-error",
        "meta": {"lastUpdated": "2026-03-02T00:00:00Z"},
    }
    result = read(lines(tmp_path, coverage, visit(status="entered-in-error")))
    assert result.row("record_deletion")["deleted_record_id"] == "Coverage/k"
    assert "coverage" not in result.good
    assert result.row("encounter")["status"] == "entered_in_error"


def test_every_type_says_which_entities_it_feeds() -> None:
    """Against what the reader gives for one resource of each type, so that no row survives its resource."""
    assert set(ENTITIES_OF) == set(fhir.MAPPINGS)
    for kind, entities in ENTITIES_OF.items():
        assert set(entities) <= set(COLUMNS), kind


@pytest.mark.real_data
def test_every_row_of_the_real_feeds_bears_a_record_that_a_deletion_would_name() -> None:
    folder = Path(__file__).parents[2] / "../shared/data/fhir"
    if not folder.is_dir():
        pytest.skip(f"no feeds at {folder}")
    shared = {"visit_type", "payer", "patient_identity"}
    for name, profile in (("synthea-bundles", "synthea"), ("bulk-10-patients", "synthea"), ("r4-examples", "r4")):
        for entity, frame in read(folder / name, profile).good.items():
            for record in frame["source_record_id"].unique() if entity not in shared else ():
                kind = "Patient" if record.startswith("ehr/") else record.partition("/")[0]
                assert entity in ENTITIES_OF[kind], (entity, record)


def test_of_two_versions_of_one_moment_the_higher_comes_last(tmp_path: Path) -> None:
    rows = [visit(version="10", status="finished"), visit("e2", version="1"), visit(version="9", status="planned")]
    result = read(lines(tmp_path, *rows))
    values = result.good["encounter"].select("encounter_id", "status").rows()
    assert values.index(("e1", "planned")) < values.index(("e1", "finished"))
    history = [{"resource": rows[0]}, {"resource": rows[2]}]
    values = read(bundle(tmp_path, *history, kind="history")).good["encounter"]["status"].to_list()
    assert values == ["planned", "finished"]


def test_versions_that_are_no_numbers_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [visit(version="b", status="planned"), visit(version="a"), visit(version="-3", status="arrived")]
    values = read(lines(tmp_path, *rows)).good["encounter"]["status"].to_list()
    assert values == ["planned", "finished", "arrived"]


def test_a_history_is_read_from_its_end_over_chunks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "CHUNK_RESOURCES", 1)
    history = [
        {"resource": visit(version=str(number), status=status)} for number, status in ((2, "finished"), (1, "planned"))
    ]
    values = read(bundle(tmp_path, *history, kind="history")).good["encounter"]["status"].to_list()
    assert values == ["planned", "finished"]


# To the raw tables


class Site:
    """A tenant with one FHIR feed: a folder of files that come one after the other."""

    def __init__(self, folder: Path) -> None:
        file = folder / "clinicmart.yaml"
        file.write_text("tenants: {}\n")
        self.files = folder / "feed"
        self.files.mkdir()
        self.home = Home.at(folder / "home")
        self.keys, self.ledger = Keys.of(self.home), Ledger(self.home)
        self.feed = Feed(tenant_id="harbor", name="ehr", kind="fhir", path=str(self.files), time_zone="UTC")
        tenant = Tenant(tenant_id="harbor", name="Harbor", time_zone="UTC", feeds=(self.feed,), system_of_record={})
        self.config = Config(file=file, tenants=(tenant,))
        self.runs = 0

    def send(self, *resources: Any) -> None:
        """Lands a further file and loads it."""
        self.runs += 1
        path = self.files / f"{self.runs:03d}.ndjson"
        path.write_bytes(b"\n".join(map(orjson.dumps, resources)))
        report = land_feed(self.home, self.keys, self.ledger, self.feed, f"run-{self.runs}")
        assert not report.problems
        load_warehouse(self.home, self.keys, self.ledger, self.config)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        with duck.session(self.home) as connection:
            key = self.keys.derive_hex("warehouse")
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=key, read_only=True)
            return connection.execute(f"select {', '.join(columns)} from warehouse.raw.{table} order by all").fetchall()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_deleted_visit_leaves_with_its_events_and_a_newer_version_brings_it_back(site: Site) -> None:
    site.send(visit("e1"), visit("e2"))
    assert site.rows("encounter", "encounter_id") == [("e1",), ("e2",)]
    site.send(deleted_lines("Encounter/e1", at="2026-03-05T00:00:00Z"))
    assert site.rows("encounter", "encounter_id") == [("e2",)]
    assert site.rows("encounter_event", "encounter_id") == [("e2",)]
    site.send(visit("e1", "2026-03-04T00:00:00Z"))
    assert site.rows("encounter", "encounter_id") == [("e2",)], "an older version stays out"
    site.send(visit("e1", "2026-03-06T00:00:00Z"))
    assert site.rows("encounter_event", "encounter_id") == [("e1",), ("e2",)]


def test_a_deleted_patient_leaves_by_its_token(site: Site) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": "2026-03-01T00:00:00Z"}}
    patient["identifier"] = [{"type": {"coding": [{"code": "MR"}]}, "value": "M1"}]
    site.send(patient, patient | {"id": "p2"})
    assert len(site.rows("patient", "patient_id")) == len(site.rows("patient_merge", "patient_merge_id")) == 2
    site.send(deleted_lines("Patient/p1", at="2026-03-05T00:00:00Z"))
    assert len(site.rows("patient", "patient_id")) == len(site.rows("patient_merge", "patient_merge_id")) == 1


def test_resources_of_two_types_with_one_id_do_not_delete_each_other(site: Site) -> None:
    person = {"resourceType": "Practitioner", "id": "7", "name": [{"family": "Doe"}]}
    role = {
        "resourceType": "PractitionerRole",
        "id": "7",
        "practitioner": {"reference": "Practitioner/8", "display": "Roe"},
    }
    site.send(person, role)
    site.send(deleted_lines("PractitionerRole/7", at="2100-01-01T00:00:00Z"))
    assert site.rows("provider", "provider_id", "display_name") == [("7", "Doe")]


def test_an_older_version_never_wins_whenever_it_comes(site: Site) -> None:
    newest = visit(at="2026-03-03T00:00:00Z", version="3", statusHistory=[])
    site.send(
        visit(at="2026-03-02T00:00:00Z", version="2", status="in-progress"), newest, visit(at="2026-03-01T00:00:00Z")
    )
    assert site.rows("encounter", "status") == [("finished",)]
    site.send(visit(at="2026-03-02T00:00:00Z", version="2", status="in-progress"))
    assert site.rows("encounter", "status") == [("finished",)]
    assert site.rows("encounter_event", "event_type") == [], "events of an older version are gone with it"


def test_the_snapshot_of_a_slot_stands_when_the_slot_changes_on_a_later_day(site: Site) -> None:
    def slot(day: int, status: str) -> dict[str, Any]:
        return {
            "resourceType": "Slot",
            "id": "o1",
            "meta": {"lastUpdated": f"2026-03-0{day}T08:00:00Z"},
            "status": status,
            "schedule": {"reference": "Schedule/s1"},
            "start": "2026-03-09T10:00:00Z",
            "end": "2026-03-09T10:15:00Z",
        }

    site.send(slot(1, "free"))
    site.send(slot(2, "busy"))
    site.send(slot(3, "free"), slot(3, "entered-in-error"))
    days = [(str(day), status) for day, status in site.rows("slot", "snapshot_date", "status")]
    assert days == [("2026-03-01", "free"), ("2026-03-02", "booked")]
