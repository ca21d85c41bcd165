"""Tables of a PM database from run to run: the overlap, whole reads, what was deleted, and when that is not believed."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from foundation import duck
from foundation.config import Config, Feed, Tenant
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.status import status
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse
from ingest.profiles import load_profile
from ingest.sources.pm_database.query import earlier, newest_of

PROFILE = """kind: pm_database
time_zone: UTC
overlap_minutes: 30
reconcile_days: 3
entities:
  reminder:
    sql: |
      select id as reminder_id, id as source_record_id, changed as source_updated_at, appointment as appointment_id,
        'text' as channel, outcome, '2026-01-01 00:00:00' as sent_at from reminders
  patient_identity:
    sql: |
      select mrn as patient_id, mrn as medical_record_number, mrn as source_record_id, changed as source_updated_at,
        name as family_name from patients
  patient:
    reconcile_days: 0
    sql: |
      select mrn as patient_id, mrn as source_record_id, changed as source_updated_at, sex from patients
"""


class Site:
    """A home with one tenant and one PM database on SQLite."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "pm.db"
        self.profile = folder / "own.yaml"
        self.profile.write_text(PROFILE)
        self.change(
            "create table reminders (id text, changed text, appointment text, outcome text);"
            "create table patients (mrn text, changed text, name text, sex text)"
        )
        self.feed = Feed(
            tenant_id="harbor",
            name="pm",
            kind="pm_database",
            profile=str(self.profile),
            url=f"sqlite:///{self.database}",
            time_zone="UTC",
        )
        (folder / "c.yaml").write_text("tenants: {}\n")
        tenant = Tenant(tenant_id="harbor", name="Harbor", time_zone="UTC", feeds=(self.feed,), system_of_record={})
        self.home = Home.at(folder / "home")
        self.keys, self.ledger = Keys.of(self.home), Ledger(self.home)
        self.config = Config(file=folder / "c.yaml", tenants=(tenant,))
        self.runs = 0

    def change(self, sql: str) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.executescript(sql)
        connection.close()

    def add(self, *rows: tuple[str, str]) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.executemany("insert into reminders values (?, ?, 'A1', 'delivered')", rows)
        connection.close()

    def run(self, **options: bool) -> FeedReport:
        self.runs += 1
        report = land_feed(self.home, self.keys, self.ledger, self.feed, f"run-{self.runs}", **options)
        load_warehouse(self.home, self.keys, self.ledger, self.config)
        assert status(self.ledger, self.keys)["is_conserved"]
        return report

    def query(self, sql: str) -> list[tuple]:
        with duck.session(self.home) as connection:
            key = self.keys.derive_hex("warehouse")
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=key, read_only=True)
            return connection.execute(sql).fetchall()

    def reminders(self) -> list[str]:
        return [row[0] for row in self.query("select reminder_id from warehouse.raw.reminder order by all")]

    def landed(self) -> int:
        """Rows of reminders landed by all runs."""
        batch = tables.batch.c
        query = sa.select(sa.func.sum(batch.rows_landed).label("rows")).where(batch.entity == "reminder")
        return self.ledger.rows(query)[0]["rows"] or 0

    def age(self, days: float) -> None:
        """Makes everything that was read lie so much further back."""
        with self.ledger.write() as write:
            for row in self.ledger.rows(sa.select(tables.unit.c.unit_id, tables.unit.c.read_at)):
                write.execute(
                    sa.update(tables.unit)
                    .where(tables.unit.c.unit_id == row["unit_id"])
                    .values(read_at=row["read_at"] - timedelta(days=days))
                )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_row_that_a_slow_transaction_commits_late_is_found_within_the_overlap(site: Site) -> None:
    site.add(("R1", "2026-03-01 08:00:00"), ("R2", "2026-03-01 09:00:00"))
    site.run()
    # Dated before what was read already: one within the half hour of the profile, one long before.
    site.add(("R3", "2026-03-01 08:31:00"), ("R4", "2026-03-01 08:29:00"))
    assert site.run().rows_landed == 1
    assert site.reminders() == ["R1", "R2", "R3"]
    assert site.run().rows_landed == 0
    site.age(4)
    assert site.run().rows_landed == 1
    assert site.reminders() == ["R1", "R2", "R3", "R4"]
    assert site.landed() == 4, "no row was landed twice"


def test_a_day_ahead_makes_no_cursor_and_hides_nothing(site: Site) -> None:
    ahead = f"{datetime.now(UTC) + timedelta(days=400):%Y-%m-%d %H:%M:%S}"
    site.add(("R1", "2026-03-01 08:00:00"), ("R2", ahead))
    site.run()
    site.add(("R3", "2026-03-02 08:00:00"))
    assert site.run().rows_landed == 1
    assert site.reminders() == ["R1", "R2", "R3"]
    assert site.run().rows_landed == 0
    assert site.landed() == 3


def test_a_whole_read_finds_what_changed_without_a_new_time_and_what_was_deleted(site: Site) -> None:
    site.add(*((f"R{n}", f"2026-03-0{n} 08:00:00") for n in range(1, 8)))
    site.run()
    site.change("delete from reminders where id = 'R1'; update reminders set outcome = 'failed' where id = 'R2'")
    assert site.run().rows_landed == 0, "the cursor sees neither"
    site.age(3)
    report = site.run()
    assert (report.outcome, report.problems) == ("landed", [])
    assert site.reminders() == [f"R{n}" for n in range(2, 8)]
    assert site.query("select outcome from warehouse.raw.reminder where reminder_id = 'R2'") == [("failed",)]
    assert site.query("select entity, deleted_record_id, found_by from warehouse.raw.record_deletion") == [
        ("reminder", "R1", "absent")
    ]
    # It is found gone once, and back when it is back, even with the time it had.
    site.age(3)
    assert site.run().rows_landed == 0
    site.add(("R1", "2026-03-01 08:00:00"))
    site.run(full_refresh=True)
    assert "R1" in site.reminders()
    assert site.run(full_refresh=True).rows_landed == 0


def test_between_whole_reads_a_table_is_read_from_its_cursor_on(site: Site) -> None:
    site.add(*((f"R{n}", f"2026-03-0{n} 08:00:00") for n in range(1, 8)))
    site.run()
    site.change("delete from reminders where id = 'R1'")
    site.age(2.9)
    site.run()
    assert "R1" in site.reminders()
    assert site.run(full_refresh=True).rows_landed == 1
    assert "R1" not in site.reminders()


def test_too_many_gone_are_not_believed_until_somebody_says_so(site: Site) -> None:
    site.add(*((f"R{n:02d}", f"2026-03-01 08:00:{n:02d}") for n in range(40)))
    site.run()
    site.change("delete from reminders where id < 'R10'; update reminders set outcome = 'failed' where id = 'R20'")
    site.add(("R99", "2026-03-02 08:00:00"))
    for _ in range(2):
        report = site.run(full_refresh=True)
        assert report.outcome == "partly"
        assert len(report.problems) == 1
        assert "harbor/pm: reminder (deletions)" in report.problems[0]
        assert "10 of 40 known records (25 %) are missing" in report.problems[0] or "10 of 41" in report.problems[0]
        assert "--accept-deletions" in report.problems[0]
        assert len(site.reminders()) == 41, "what is new and what changed comes all the same"
    assert site.query("select outcome from warehouse.raw.reminder where reminder_id = 'R20'") == [("failed",)]
    assert site.query("select unit from warehouse.raw.refused_unit") == [("reminder (deletions)",)]
    assert site.landed() == 42
    report = site.run(full_refresh=True, accept_deletions=True)
    assert (report.outcome, report.problems) == ("landed", [])
    assert len(site.reminders()) == 31
    assert site.query("select unit from warehouse.raw.refused_unit") == []


def test_a_refused_comparison_stays_due(site: Site) -> None:
    site.add(*((f"R{n:02d}", f"2026-03-01 08:00:{n:02d}") for n in range(40)))
    site.run()
    site.change("delete from reminders where id < 'R20'")
    site.age(3)
    assert len(site.run().problems) == 1
    assert len(site.run().problems) == 1
    assert site.run(accept_deletions=True).problems == []
    assert len(site.reminders()) == 20


def test_an_empty_table_is_never_believed_by_itself(site: Site) -> None:
    site.add(("R1", "2026-03-01 08:00:00"), ("R2", "2026-03-01 08:00:00"))
    site.run()
    site.change("delete from reminders where id = 'R1'")
    site.run(full_refresh=True)
    assert site.reminders() == ["R2"], "few records may go, even if they are a large share"
    site.change("delete from reminders")
    assert "1 of 1 known records (all) are missing" in site.run(full_refresh=True).problems[0]
    assert site.reminders() == ["R2"]
    site.run(full_refresh=True, accept_deletions=True)
    assert site.reminders() == []
    assert site.run(full_refresh=True).problems == []


def test_a_table_that_does_not_tell_of_its_changes_is_read_whole_each_time(site: Site) -> None:
    site.profile.write_text(PROFILE.replace("  reminder:\n", "  reminder:\n    changes: none\n"))
    site.add(("R1", "2026-03-01 08:00:00"), ("R2", "2026-03-02 08:00:00"), ("R3", "2026-03-02 08:00:00"))
    site.run()
    site.run()
    assert site.landed() == 3, "what was met does not land again"
    site.change("update reminders set outcome = 'failed' where id = 'R1'; delete from reminders where id = 'R2'")
    site.run()
    result = site.query("select reminder_id, outcome from warehouse.raw.reminder order by all")
    assert result == [("R1", "failed"), ("R3", "delivered")]


def test_a_deleted_patient_leaves_tables_and_vault_by_token(site: Site) -> None:
    site.change(
        "insert into patients values ('MRN-1', '2026-03-01 08:00:00', 'Zebrowski', 'female'), "
        "('MRN-2', '2026-03-01 08:00:00', 'Quill', 'male')"
    )
    site.run()
    site.change("delete from patients where mrn = 'MRN-1'")
    site.run(full_refresh=True)
    assert site.query("select sex from warehouse.raw.patient") == [("male",)]
    result = site.query("select entity, length(deleted_record_id) from warehouse.raw.record_deletion order by entity")
    assert result == [("patient", 32), ("patient_identity", 32)]
    with duck.session(site.home) as connection:
        duck.attach(connection, site.home.vault("harbor"), alias="vault", key=site.keys.derive_hex("vault", "harbor"))
        assert connection.execute("select family_name from vault.main.patient_identity").fetchall() == [("Quill",)]
    for path in (site.home.path / "index").rglob("*.parquet"):
        assert b"MRN-" not in path.read_bytes()


def test_what_was_met_is_kept_encrypted_and_replaced_by_each_whole_read(site: Site) -> None:
    site.add(("R1", "2026-03-01 08:00:00"))
    site.run()
    site.add(("R2", "2026-03-02 08:00:00"))
    site.run()
    folder = site.home.path / "index" / "harbor" / "pm" / "reminder"
    assert len(list(folder.iterdir())) == 2
    with duckdb.connect() as connection, pytest.raises(duckdb.Error, match="encrypt"):
        connection.execute(f"select * from read_parquet('{folder}/*.parquet')")
    site.run(full_refresh=True)
    site.run()
    assert len(list(folder.iterdir())) == 1


def test_knowledge_that_is_lost_costs_another_landing_and_no_row(site: Site) -> None:
    site.add(("R1", "2026-03-01 08:00:00"), ("R2", "2026-03-02 08:00:00"))
    site.run()
    for path in (site.home.path / "index").rglob("*.parquet"):
        path.unlink()
    assert site.run(full_refresh=True).rows_landed == 2
    assert site.reminders() == ["R1", "R2"]
    assert site.query("select count(*) from warehouse.raw.record_deletion") == [(0,)]


def test_a_changed_select_is_asked_of_the_whole_table(site: Site) -> None:
    site.add(("R1", "2026-03-01 08:00:00"), ("R2", "2026-03-02 08:00:00"))
    site.run()
    site.profile.write_text(PROFILE.replace("'text' as channel", "'email' as channel"))
    assert site.run().rows_landed == 2
    assert site.query("select distinct channel from warehouse.raw.reminder") == [("email",)]
    assert site.run().rows_landed == 0


def test_a_row_held_back_is_not_held_back_again_by_the_same_read_again(site: Site) -> None:
    site.add(("R1", "2026-03-01 08:00:00"))
    site.change("insert into reminders values ('R2', '2026-03-01 08:00:00', null, 'delivered')")
    assert site.run().rows_quarantined == 1
    assert site.run().rows_quarantined == 0
    assert site.run(full_refresh=True).rows_quarantined == 0


def test_rows_without_any_time_are_read_whole_each_time_and_landed_once(site: Site) -> None:
    site.profile.write_text(
        PROFILE.replace("changed as source_updated_at, appointment", "null as source_updated_at, appointment")
    )
    site.add(("R1", ""), ("R2", ""))
    assert site.run().rows_quarantined == 2, "a row without a time of change breaks its contract"
    assert site.run().rows_quarantined == 0
    site.add(("R3", ""))
    assert site.run().rows_quarantined == 1


@pytest.mark.parametrize(
    ("cursor", "minutes", "expected"),
    [
        ("2026-03-01 00:10:00", 60, "2026-02-28 23:10:00"),
        ("2026-03-01T00:10:00.250000+00:00", 60, "2026-02-28T23:10:00.250000+00:00"),
        ("2026-03-01T00:10Z", 15, "2026-02-28T23:55Z"),
        ("2026-03-01", 1, "2026-02-28"),
        ("2026-03-01", 0, "2026-03-01"),
        ("last Tuesday", 60, "last Tuesday"),
        ("0001-01-01 00:00:00", 60, "0001-01-01 00:00:00"),
        ("2026-02-30 00:00:00", 60, "2026-02-30 00:00:00"),
    ],
)
def test_a_cursor_goes_back_in_the_words_it_is_written_in(cursor: str, minutes: int, expected: str) -> None:
    assert earlier(cursor, minutes) == expected


def test_the_newest_time_is_the_databases_own_value_and_none_that_lies_ahead() -> None:
    limit = datetime(2026, 3, 2, tzinfo=UTC)
    assert newest_of(["2026-03-01", None, "2026-02-01"], None, limit, UTC) == "2026-03-01"
    assert newest_of(["2027-03-01 00:00:00", "2026-02-01 00:00:00"], None, limit, UTC) == "2026-02-01 00:00:00"
    assert newest_of(["2027-03-01 00:00:00"], "2026-01-01 00:00:00", limit, UTC) == "2026-01-01 00:00:00"
    assert newest_of([datetime(2026, 3, 1), datetime(2026, 4, 1)], None, limit, UTC) == datetime(2026, 3, 1)
    assert newest_of([7, None], "2026-01-01", limit, UTC) == "2026-01-01"
    assert newest_of([None], None, limit, UTC) is None


@pytest.mark.parametrize(
    ("change", "line", "problem"),
    [
        (("overlap_minutes: 30", "overlap_minutes: soon"), 3, "not a whole number from 0 to 525600"),
        (("reconcile_days: 3", "reconcile_days: -1"), 4, "reconcile_days"),
        (("    reconcile_days: 0", "    timeout_seconds: 5"), 15, "unknown key"),
        (("reconcile_days: 3", "maximum_deleted_percent: 101"), 4, "from 0 to 100"),
        (("    reconcile_days: 0", "    changes: seldom"), 15, "'seldom' is not one of source_updated_at, none"),
    ],
)
def test_a_wrong_number_in_a_profile_names_file_line_and_key(
    tmp_path: Path, change: tuple[str, str], line: int, problem: str
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(PROFILE.replace(*change))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_profile(str(path), "pm_database")
    assert f"own.yaml:{line}:" in str(caught.value)


def test_numbers_of_an_entity_go_before_those_of_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(PROFILE)
    profile = load_profile(str(path), "pm_database")
    assert [(q.overlap_minutes, q.reconcile_days) for q in profile.entities.values()] == [(30, 3), (30, 3), (30, 0)]
    assert profile.timeout_seconds == 600
