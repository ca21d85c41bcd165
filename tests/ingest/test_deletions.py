"""Records that their source deleted leave the raw tables, in any order of arrival; newer versions bring them back."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from data_contracts import contract
from foundation import duck
from foundation.config import Config, Feed, Tenant
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.landing.batches import Landing
from ingest.landing.staged import Unfinished
from ingest.landing.tokens import token
from ingest.ledger import Ledger, now
from ingest.load.raw_tables import load_warehouse
from ingest.sources import Chunk


@dataclass
class Site:
    """Two tenants with a FHIR feed `ehr` and a PM feed `pm` each; rows are landed as a reader gives them."""

    home: Home
    keys: Keys
    ledger: Ledger
    config: Config
    runs: int = 0
    feeds: dict[tuple[str, str], Feed] = field(default_factory=dict)

    def land(
        self, rows: dict[str, list[dict]], tenant: str = "harbor", feed: str = "ehr", held: tuple[str, ...] = ()
    ) -> None:
        """Lands rows of one unit, `at` as their source_updated_at; `held` are the reasons for which some are held back."""
        self.runs += 1
        of_feed = self.feeds[tenant, feed]
        run_id = f"run-{self.runs}"
        landing = Landing(self.home, self.keys, self.ledger, of_feed, run_id)
        with self.ledger.write() as write:
            values = {"run_id": run_id, "tenant_id": tenant, "feed": feed, "read_at": now()}
            write.execute(sa.insert(tables.unit).values(**values, name="u", outcome="reading"))
            write.execute(sa.insert(tables.feed_run).values(**values, kind=of_feed.kind, outcome="landed"))
            unit_id = write.execute(sa.select(sa.func.max(tables.unit.c.unit_id))).scalar_one()
        unit = Unfinished(unit_id=unit_id, modified_at=datetime.now(UTC))
        frames = {entity: pl.DataFrame([_complete(row) for row in rows_read]) for entity, rows_read in rows.items()}
        read = sum(frame.height for frame in frames.values())
        landing.add(unit, Chunk(rows=frames, records_read=read, records_used=read))
        landing.finish(unit)
        landing.flush()
        result = self.ledger.rows(sa.select(tables.held).where(tables.held.c.run_id == run_id))
        assert tuple(row["reason"] for row in result) == held

    def load(self) -> None:
        load_warehouse(self.home, self.keys, self.ledger, self.config)

    def load_anew(self) -> None:
        """The warehouse from nothing but what has landed."""
        self.home.warehouse.unlink()
        with self.ledger.write() as write:
            write.execute(sa.delete(tables.loaded))
        self.load()

    def query(self, sql: str) -> list[tuple]:
        with duck.session(self.home) as connection:
            key = self.keys.derive_hex("warehouse")
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=key, read_only=True)
            return connection.execute(sql).fetchall()

    def reminders(self) -> list[tuple]:
        return self.query("select tenant_id, reminder_id from warehouse.raw.reminder order by all")


def _complete(row: dict) -> dict:
    at = row.pop("at")
    return {"source_updated_at": f"{at}T00:00:00Z", "source_position": "row 1"} | row


def reminder(number: str, at: str, record: str | None = None) -> dict:
    return {
        "at": at,
        "reminder_id": number,
        "source_record_id": record or number,
        "appointment_id": "A1",
        "channel": "text",
        "outcome": "delivered",
        "sent_at": "2026-01-01T00:00:00Z",
    }


def deletion(entity: str, record: str, at: str, found_by: str = "reported") -> dict:
    return {
        "at": at,
        "entity": entity,
        "deleted_record_id": record,
        "found_by": found_by,
        "source_record_id": record,
    }


def claim(record: str, at: str) -> dict:
    return {
        "at": at,
        "source_record_id": record,
        "claim_submission_id": record,
        "claim_id": record,
        "claim_type": "professional",
        "frequency_code": "1",
        "payer_sequence": "primary",
        "billed_amount": "10",
    }


def line(record: str, number: int, at: str) -> dict:
    return {
        "at": at,
        "source_record_id": record,
        "claim_submission_id": record,
        "line_number": str(number),
        "claim_id": record,
        "billed_amount": "5",
    }


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "clinicmart.yaml"
    file.write_text("tenants: {}\n")
    home = Home.at(tmp_path / "home")
    feeds = {
        (tenant, name): Feed(tenant_id=tenant, name=name, kind=kind)
        for tenant in ("harbor", "lakeside")
        for name, kind in (("ehr", "fhir"), ("pm", "pm_database"))
    }
    tenants = tuple(
        Tenant(
            tenant_id=tenant,
            name=tenant,
            time_zone="UTC",
            feeds=tuple(feed for key, feed in feeds.items() if key[0] == tenant),
            system_of_record={},
        )
        for tenant in ("harbor", "lakeside")
    )
    return Site(home, Keys.of(home), Ledger(home), Config(file=file, tenants=tenants), feeds=feeds)


def test_a_reported_deletion_takes_the_record_out_and_a_newer_version_brings_it_back(site: Site) -> None:
    site.land({"reminder": [reminder("R1", "2026-01-01"), reminder("R2", "2026-01-01")]})
    site.load()
    assert site.reminders() == [("harbor", "R1"), ("harbor", "R2")]
    site.land({"record_deletion": [deletion("reminder", "R1", "2026-01-05")]})
    site.load()
    assert site.reminders() == [("harbor", "R2")]
    site.land({"reminder": [reminder("R1", "2026-01-06")]})
    site.load()
    assert site.reminders() == [("harbor", "R1"), ("harbor", "R2")]
    site.load_anew()
    assert site.reminders() == [("harbor", "R1"), ("harbor", "R2")]


def test_an_older_version_that_comes_after_the_deletion_stays_out(site: Site) -> None:
    site.land({"record_deletion": [deletion("reminder", "R1", "2026-01-05")]})
    site.load()
    site.land({"reminder": [reminder("R1", "2026-01-04")]})
    site.load()
    assert site.reminders() == []
    site.land({"record_deletion": [deletion("reminder", "R1", "2026-01-02")]})
    site.land({"reminder": [reminder("R1", "2026-01-03")]})
    site.load()
    assert site.reminders() == [], "the later of two deletions holds, in any order of arrival"
    site.load_anew()
    assert site.reminders() == []


def test_a_deletion_of_the_same_moment_as_the_row_removes_it_only_if_it_came_with_or_after_it(site: Site) -> None:
    site.land(
        {"reminder": [reminder("R1", "2026-01-05")], "record_deletion": [deletion("reminder", "R1", "2026-01-05")]}
    )
    site.land({"record_deletion": [deletion("reminder", "R2", "2026-01-05")]})
    site.land({"reminder": [reminder("R2", "2026-01-05")]})
    site.load()
    assert site.reminders() == [("harbor", "R2")]
    site.load_anew()
    assert site.reminders() == [("harbor", "R2")]


def test_an_absent_record_goes_whatever_its_time_and_comes_back_whatever_its_time(site: Site) -> None:
    # A row dated in the future is absent all the same; one restored from a backup may be dated before what was there.
    site.land({"reminder": [reminder("R1", "2027-01-01")]}, feed="pm")
    site.load()
    site.land({"record_deletion": [deletion("reminder", "R1", "2026-01-05", "absent")]}, feed="pm")
    site.load()
    assert site.reminders() == []
    site.land({"reminder": [reminder("R1", "2026-01-02")]}, feed="pm")
    site.load()
    assert site.reminders() == [("harbor", "R1")]
    site.load_anew()
    assert site.query("select reminder_id, source_updated_at::date::varchar from warehouse.raw.reminder") == [
        ("R1", "2026-01-02")
    ]


def test_ids_that_tenants_and_feeds_share_are_told_apart(site: Site) -> None:
    for tenant in ("harbor", "lakeside"):
        for feed in ("ehr", "pm"):
            site.land({"reminder": [reminder("R1", "2026-01-01")]}, tenant, feed)
    site.land({"record_deletion": [deletion("reminder", "R1", "2026-01-05")]}, "lakeside", "ehr")
    site.load()
    assert site.query("select tenant_id, source_system from warehouse.raw.reminder order by all") == [
        ("harbor", "ehr"),
        ("harbor", "pm"),
        ("lakeside", "pm"),
    ]


def test_a_patient_is_deleted_by_the_token_of_the_record(site: Site) -> None:
    patients = [
        {"at": "2026-01-01", "patient_id": f"MRN-{n}", "source_record_id": f"MRN-{n}", "sex": "female"} for n in (1, 2)
    ]
    both = [deletion("patient", "MRN-1", "2026-01-05"), deletion("reminder", "R1", "2026-01-05")]
    site.land({"patient": patients, "reminder": [reminder("R1", "2026-01-01"), reminder("R2", "2026-01-01")]})
    site.land({"record_deletion": both})
    site.load()
    key = site.keys.derive("token", "harbor")
    assert site.query("select patient_id from warehouse.raw.patient") == [(token(key, "patient", "MRN-2"),)]
    assert site.reminders() == [("harbor", "R2")]
    assert site.query(
        "select entity, deleted_record_id, source_record_id from warehouse.raw.record_deletion order by entity"
    ) == [
        ("patient", token(key, "patient", "MRN-1"), token(key, "patient", "MRN-1")),
        ("reminder", "R1", "R1"),
    ]


def test_an_id_under_a_name_that_is_no_entity_is_held_back_as_a_token(site: Site) -> None:
    site.land({"record_deletion": [deletion("persons", "MRN-SECRET-7", "2026-01-05")]}, held=("valid_values",))
    (path,) = (site.home.path / "quarantine").rglob("*.parquet")
    with duck.session(site.home) as connection:
        duck.add_parquet_key(connection, site.keys.derive("landing", "harbor"))
        text = str(
            connection.execute(
                f"select * from read_parquet({duck.quoted(str(path))}, "
                f"encryption_config = {{footer_key: '{duck.PARQUET_KEY}'}})"
            ).fetchall()
        )
    assert "persons" in text
    assert "MRN-SECRET-7" not in text


def test_lines_that_a_newer_version_of_a_resource_lacks_are_gone(site: Site) -> None:
    site.land({"claim": [claim("C1", "2026-01-01")], "claim_line": [line("C1", n, "2026-01-01") for n in (1, 2, 3)]})
    site.land({"claim": [claim("C2", "2026-01-01")], "claim_line": [line("C2", 1, "2026-01-01")]})
    site.load()
    site.land({"claim": [claim("C1", "2026-01-02")], "claim_line": [line("C1", n, "2026-01-02") for n in (1, 2)]})
    site.load()
    lines = "select claim_id, line_number, source_updated_at::date::varchar from warehouse.raw.claim_line order by all"
    expected = [("C1", 1, "2026-01-02"), ("C1", 2, "2026-01-02"), ("C2", 1, "2026-01-01")]
    assert site.query(lines) == expected
    # A version that comes late adds nothing, one without any line takes them all.
    site.land({"claim": [claim("C1", "2025-12-31")], "claim_line": [line("C1", 9, "2025-12-31")]})
    site.load()
    assert site.query(lines) == expected
    site.land({"claim": [claim("C1", "2026-01-03")]})
    site.load()
    assert site.query(lines) == expected[2:]
    site.load_anew()
    assert site.query(lines) == expected[2:]


def test_rows_of_a_pm_database_stand_each_by_itself(site: Site) -> None:
    rows = [line("C1", n, "2026-01-01") for n in (1, 2)]
    site.land({"claim": [claim("C1", "2026-01-01")], "claim_line": rows}, feed="pm")
    site.land({"claim": [claim("C1", "2026-01-02")], "claim_line": [line("C1", 1, "2026-01-02")]}, feed="pm")
    site.load()
    assert site.query("select line_number from warehouse.raw.claim_line order by all") == [(1,), (2,)]


def test_a_load_that_was_killed_before_it_was_noted_is_repeated_without_harm(site: Site) -> None:
    site.land({"claim": [claim("C1", "2026-01-01")], "claim_line": [line("C1", n, "2026-01-01") for n in (1, 2)]})
    site.land({"claim": [claim("C1", "2026-01-02")], "claim_line": [line("C1", 1, "2026-01-02")]})
    site.land({"reminder": [reminder("R1", "2026-01-01")]})
    site.land({"record_deletion": [deletion("reminder", "R1", "2026-01-05")]})
    for _ in range(2):
        site.load()
        assert site.query("select line_number from warehouse.raw.claim_line") == [(1,)]
        assert site.reminders() == []
        with site.ledger.write() as write:
            write.execute(sa.delete(tables.loaded))


def test_the_record_of_a_deletion_names_only_entities_there_are() -> None:
    values = contract("record_deletion").by_name["entity"].valid_values
    assert "patient" in values
    assert "record_deletion" not in values
