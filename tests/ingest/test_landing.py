"""Landing, ledger, quarantine and raw tables, driven through real 835 files and a real SQLite PM database."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from data_contracts import load_contracts
from foundation import duck
from foundation.config import Config, load_config
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.accounts import file_mark, notice_reasons
from ingest.accounts.status import status
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.landing.quarantine import held_details, held_rows, release
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse
from ingest.problems import problem_code

ROOT = Path(__file__).parents[2]


def remittance(number: int, claims: list[tuple[str, str, str]]) -> str:
    """A whole 835 with one claim payment per (claim id, charged, paid); the rest is contractual."""
    body = [
        "ST*835*0001",
        f"BPR*I*{sum(float(paid) for _, _, paid in claims):.2f}*C*ACH*CCP*01*1*DA*1*1**01*1*DA*1*20260312",
        f"TRN*1*EFT{number}*1999999999",
        "DTM*405*20260312",
        "N1*PR*ACME HEALTH*XV*ACME1",
        "N1*PE*HARBOR HEALTH*XX*1999999984",
        "LX*1",
    ]
    for claim_id, charged, paid in claims:
        gap = f"{float(charged) - float(paid):.2f}"
        body += [
            f"CLP*{claim_id}*1*{charged}*{paid}**12*ICN{claim_id}",
            "NM1*QC*1*DOE*JANE",
            f"SVC*HC:Z1001*{charged}*{paid}",
            "DTM*472*20260301",
            f"CAS*CO*45*{gap}",
            f"REF*6R*{claim_id}-1",
        ]
    body.append(f"SE*{len(body) + 1}*0001")
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'ACME':15}*ZZ*{'HARBOR':15}*260312*0900*^*00501*{number:09d}*0*P*:"
    return (
        "~".join([isa, "GS*HP*ACME*HARBOR*20260312*0900*1*X*005010X221A1", *body, "GE*1*1", f"IEA*1*{number:09d}"])
        + "~"
    )


@dataclass
class Site:
    """A home with one tenant `harbor`: a folder of 835s and a PM database."""

    home: Home
    keys: Keys
    ledger: Ledger
    config: Config
    remits: Path
    pm: Path
    runs: int = 0

    def land(self, feed: str) -> FeedReport:
        self.runs += 1
        chosen = next(item for item in self.config.tenants[0].feeds if item.name == feed)
        return land_feed(self.home, self.keys, self.ledger, chosen, f"run-{self.runs}")

    def load(self) -> int:
        return load_warehouse(self.home, self.keys, self.ledger, self.config).rows

    def query(self, sql: str) -> list[tuple]:
        with duck.session(self.home) as connection:
            key = self.keys.derive_hex("warehouse")
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=key, read_only=True)
            return connection.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        with sqlite3.connect(self.pm) as connection:
            connection.execute(sql)
        connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    remits = tmp_path / "835"
    remits.mkdir()
    pm = tmp_path / "pm.sqlite"
    with sqlite3.connect(pm) as connection:
        connection.executescript((ROOT / "clinicmart" / "sample" / "pm_schema.sql").read_text("utf-8"))
        for number in range(1, 4):
            connection.execute(
                "insert into payers (payer_id, effective_from, name, payer_class, updated_at) values (?, ?, ?, ?, ?)",
                (f"P{number}", "1900-01-01", f"Payer {number}", "commercial", f"2026-03-0{number} 08:00:00"),
            )
    connection.close()
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        textwrap.dedent(f"""\
        tenants:
          harbor:
            name: Harbor Health
            time_zone: America/New_York
            feeds:
              - {{name: pm, kind: pm_database, profile: clinicmart, url: "sqlite:///{pm}"}}
              - {{name: remits, kind: x12, path: 835}}
              - {{name: adt, kind: hl7v2, path: hl7}}
        """),
        encoding="utf-8",
    )
    home = Home.at(tmp_path / "home")
    return Site(home, Keys.of(home), Ledger(home), load_config(file), remits, pm)


def test_rows_land_encrypted_and_reach_the_raw_tables(site: Site) -> None:
    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.00", "50.00")]))
    report = site.land("remits")
    assert (report.outcome, report.records_read, report.rows_quarantined, report.problems) == ("landed", 2, 0, [])
    site.load()
    result = site.query(
        "select tenant_id, source_system, claim_id, billed_amount, payer_paid_amount, source_position "
        "from warehouse.raw.remittance_claim order by claim_id"
    )
    assert [(row[0], row[1], row[2], str(row[3]), str(row[4])) for row in result] == [
        ("harbor", "remits", "C1", "100.0000", "80.0000"),
        ("harbor", "remits", "C2", "50.0000", "50.0000"),
    ]
    assert all(row[5].startswith("unit 1: ") for row in result)
    landed = b"".join(path.read_bytes() for path in (site.home.path / "landing").rglob("*.parquet"))
    assert landed
    assert b"ICNC1" not in landed
    assert b"ICNC1" not in site.home.warehouse.read_bytes()


def test_the_same_file_twice_changes_nothing(site: Site) -> None:
    text = remittance(1, [("C1", "100.00", "80.00")])
    (site.remits / "a.835").write_text(text)
    site.land("remits")
    site.load()
    before = site.query("select count(*), sum(payer_paid_amount) from warehouse.raw.remittance_claim")
    report = site.land("remits")
    assert (report.outcome, report.units_unchanged, report.rows_landed) == ("unchanged", 1, 0)
    assert site.load() == 0
    assert site.query("select count(*), sum(payer_paid_amount) from warehouse.raw.remittance_claim") == before


def test_a_remittance_that_comes_again_under_another_name_pays_nothing_twice(site: Site) -> None:
    text = remittance(1, [("C1", "100.00", "80.00")])
    (site.remits / "a.835").write_text(text)
    (site.remits / "again.835").write_text(text)
    site.land("remits")
    (site.remits / "again.835").write_text(text)
    site.land("remits")
    site.load()
    for table, amount in (("remittance", "payment_amount"), ("remittance_claim", "payer_paid_amount")):
        ((rows, total),) = site.query(f"select count(*), sum({amount}) from warehouse.raw.{table}")
        assert (rows, str(total)) == (1, "80.0000")


def test_a_corrupt_file_is_refused_by_name_and_the_others_land(site: Site) -> None:
    (site.remits / "a.835").write_text("this is no interchange")
    (site.remits / "b.835").write_text(remittance(2, [("C2", "50.00", "50.00")]))
    report = site.land("remits")
    assert report.outcome == "partly"
    assert report.units_landed == report.units_refused == 1
    assert len(report.problems) == 1
    mark = file_mark(site.keys, "harbor", "a.835")
    assert report.problems[0].startswith(f"harbor/remits: {mark} (byte 0)")
    site.load()
    shown = (mark, "byte 0", problem_code("isa_missing"))
    assert site.query("select unit, position, code from warehouse.raw.refused_unit") == [shown]
    assert site.query("select claim_id from warehouse.raw.remittance_claim") == [("C2",)]


def test_the_name_of_a_refused_file_is_told_to_operators_alone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    name = "Roe_Jane_1971-02-03/remittance of Jane Roe.835"
    (site.remits / name).parent.mkdir()
    (site.remits / name).write_text("this is no interchange")
    report = site.land("remits")
    site.load()
    published = site.query("select * from warehouse.raw.refused_unit") + site.query(
        "select * from warehouse.raw.feed_status"
    )
    seen = repr(published) + repr(site.ledger.rows(sa.select(tables.feed_run))) + "".join(report.problems) + caplog.text
    assert not [word for word in ("Roe", "Jane", "1971") if word in seen]
    (reported,) = status(site.ledger, site.keys)["refused_files"]
    assert reported["name"] == name
    assert reported["mark"] in report.problems[0]
    assert reported["mark"].endswith(".835")
    assert reported["code"] == problem_code("isa_missing") != ""


def test_marks_differ_between_tenants_and_homes_and_show_only_known_endings(site: Site) -> None:
    other = Keys.of(Home.at(site.home.path.parent / "other"))
    marks = {
        file_mark(site.keys, "harbor", "a.ndjson.gz"),
        file_mark(site.keys, "mesa", "a.ndjson.gz"),
        file_mark(other, "harbor", "a.ndjson.gz"),
        file_mark(site.keys, "harbor", "b.ndjson.gz"),
    }
    assert len(marks) == 4
    assert all(mark.endswith(".ndjson.gz") for mark in marks)
    assert "." not in file_mark(site.keys, "harbor", "report.Roe")


def test_rows_are_counted_by_the_local_day_of_their_record(site: Site) -> None:
    # Three in the morning of 4 March in Greenwich is still the 3rd in New York.
    site.change("insert into payers (payer_id, effective_from, name, payer_class, updated_at) "
                "values ('P9', '1900-01-01', 'Payer 9', 'commercial', '2026-03-03 22:00:00')")  # fmt: skip
    site.land("pm")
    days = {row["day"].isoformat(): row["rows"] for row in site.ledger.rows(sa.select(tables.received))}
    assert days == {"2026-03-01": 1, "2026-03-02": 1, "2026-03-03": 2}
    assert sum(days.values()) == site.ledger.rows(sa.select(tables.batch))[0]["rows_landed"]


def test_notices_are_counted_by_reason_with_the_records_they_stand_for(site: Site) -> None:
    def told(detail: str, records: int, unit_id: int) -> dict[str, object]:
        position = f"segment {records}"
        return {"unit_id": unit_id, "position": position, "reason": "odd", "detail": detail, "records": records}

    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    site.land("remits")
    (unit,) = site.ledger.rows(sa.select(tables.unit.c.unit_id).where(tables.unit.c.feed == "remits"))
    with site.ledger.write() as connection:
        rows = [told("one", 3, unit["unit_id"]), told("one", 4, unit["unit_id"])]
        rows += [told(f"claim {number}", 1, unit["unit_id"]) for number in range(30)]
        connection.execute(sa.insert(tables.notice), rows)
    result = notice_reasons(site.ledger).filter(pl.col("reason") == "odd")
    assert result["rows"].sum() == 37
    assert result.select("detail", "rows").row(0) == ("one", 7)
    assert dict(result.select("detail", "rows").iter_rows())["others"] == 11
    site.load()
    assert site.query("select sum(rows) from warehouse.raw.notice_reason where reason = 'odd'") == [(37,)]


def test_a_refused_file_that_comes_again_whole_is_landed(site: Site) -> None:
    (site.remits / "a.835").write_text("this is no interchange")
    site.land("remits")
    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    assert site.land("remits").outcome == "landed"
    site.load()
    assert site.query("select count(*) from warehouse.raw.refused_unit") == [(0,)]


def test_a_missing_feed_is_named_and_does_not_raise(site: Site) -> None:
    site.remits.rmdir()
    report = site.land("remits")
    assert report.outcome == "unreadable"
    assert "harbor/remits" in report.problems[0]


def test_a_table_is_read_once_and_then_only_its_changes(site: Site) -> None:
    assert site.land("pm").rows_landed == 3
    assert site.land("pm").rows_landed == 0
    site.change("update payers set name = 'Renamed', updated_at = '2026-03-09 08:00:00' where payer_id = 'P1'")
    report = site.land("pm")
    assert (report.rows_landed, report.records_read) == (1, 1)
    site.load()
    assert site.query("select payer_id, name from warehouse.raw.payer order by payer_id") == [
        ("P1", "Renamed"),
        ("P2", "Payer 2"),
        ("P3", "Payer 3"),
    ]


def test_a_row_that_appears_with_the_cursors_own_time_is_not_missed(site: Site) -> None:
    site.land("pm")
    site.change(
        "insert into payers (payer_id, effective_from, name, payer_class, updated_at) "
        "values ('P9', '1900-01-01', 'Late', 'medicaid', '2026-03-03 08:00:00')"
    )
    assert site.land("pm").rows_landed == 1


def test_a_row_that_breaks_its_contract_is_held_shown_and_released_once_mended(site: Site) -> None:
    site.change("update payers set payer_class = 'gold' where payer_id = 'P2'")
    report = site.land("pm")
    assert (report.rows_landed, report.rows_quarantined) == (2, 1)
    (entry,) = held_rows(site.ledger, "harbor")
    assert (entry["entity"], entry["reason"], entry["column_name"], entry["rows"]) == (
        "payer",
        "valid_values",
        "payer_class",
        1,
    )
    details = held_details(site.home, site.keys, site.ledger, entry["held_id"])
    assert list(details["units"].values()) == ["payer"]
    assert details["examples"][0]["source_record_id"] is not None
    site.load()
    assert site.query('select entity, reason, "rows" from warehouse.raw.quarantine_reason') == [
        ("payer", "valid_values", 1)
    ]
    assert release(site.home, site.keys, site.ledger, entry["held_id"], "r1") == (0, 1)
    (again,) = held_rows(site.ledger, "harbor")
    assert again["held_id"] != entry["held_id"]
    with pytest.raises(ClinicmartError, match="released already"):
        release(site.home, site.keys, site.ledger, entry["held_id"], "r2")


def test_a_release_lands_rows_that_todays_contract_takes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.change("update payers set payer_class = 'gold' where payer_id = 'P2'")
    site.land("pm")
    (entry,) = held_rows(site.ledger)
    entity_contract = load_contracts()["payer"]
    column = entity_contract.by_name["payer_class"]
    object.__setattr__(column, "valid_values", (*column.valid_values, "gold"))
    try:
        assert release(site.home, site.keys, site.ledger, entry["held_id"], "r1") == (1, 0)
    finally:
        object.__setattr__(column, "valid_values", column.valid_values[:-1])
    site.load()
    assert site.query("select payer_class from warehouse.raw.payer where payer_id = 'P2'") == [("gold",)]
    assert held_rows(site.ledger) == []


def test_the_ledger_balances_and_status_says_so(site: Site) -> None:
    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    site.change("update payers set payer_class = 'gold' where payer_id = 'P2'")
    site.land("remits")
    site.land("pm")
    result = status(site.ledger, site.keys)
    assert result["is_conserved"]
    assert result["rows"]["read"] == result["rows"]["landed"] + result["rows"]["quarantined"] > 0
    assert {feed["feed"]: feed["rows_quarantined"] for feed in result["feeds"]} == {"pm": 1, "remits": 0}


def test_no_identifier_of_a_patient_leaves_the_vault(site: Site) -> None:
    columns = {
        "medical_record_number": "MRN-SECRET-77",
        "family_name": "Zebrowski",
        "given_name": "Ottoline",
        "birth_date": "1961-05-04",
        "sex": "female",
        "postal_code": "02139",
        "phone": "617-555-0137",
        "updated_at": "2026-03-01 08:00:00",
    }
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    with sqlite3.connect(site.pm) as connection:
        connection.execute(f"insert into patients ({names}) values ({marks})", tuple(columns.values()))
    connection.close()
    site.land("pm")
    site.load()
    everything = [
        path
        for path in site.home.path.rglob("*")
        if path.is_file() and "extensions" not in path.relative_to(site.home.path).parts
    ]
    for path in everything:
        content = path.read_bytes()
        for telling in ("MRN-SECRET-77", "Zebrowski", "Ottoline", "1961-05-04", "617-555-0137"):
            assert telling.encode() not in content, path
    dump = "".join(
        str(site.query(f"select * from warehouse.raw.{name}")) for name in ("patient", "coverage", "patient_merge")
    )
    assert "MRN-SECRET-77" not in dump
    assert "Zebrowski" not in dump
    (row,) = site.query("select birth_year, zip3, length(patient_id) from warehouse.raw.patient")
    assert row == (1961, "021", 32)
    with duck.session(site.home) as connection:
        duck.attach(connection, site.home.vault("harbor"), alias="vault", key=site.keys.derive_hex("vault", "harbor"))
        assert connection.execute("select family_name, phone from vault.main.patient_identity").fetchall() == [
            ("Zebrowski", "617-555-0137")
        ]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_loses_and_doubles_nothing(site: Site) -> None:
    for number in range(1, 41):
        (site.remits / f"{number:02d}.835").write_text(
            remittance(number, [(f"C{number}-{n}", "10.00", "8.00") for n in range(50)])
        )
    script = textwrap.dedent(f"""
        import ingest.landing.staged
        ingest.landing.staged.ROWS_A_BATCH = 300
        from pathlib import Path
        from foundation.config import load_config
        from foundation.home import Home
        from foundation.keys import Keys
        from ingest.ledger import Ledger
        from ingest.landing.land_feed import land_feed
        home = Home.at({str(site.home.path)!r})
        config = load_config({str(site.config.file)!r})
        print("ready", flush=True)
        land_feed(home, Keys.of(home), Ledger(home), config.tenants[0].feeds[1], "killed")
    """)
    for delay in (1.0, 4.5, 6.0, 7.5):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
    site.land("remits")
    site.load()
    ((rows, claims, paid),) = site.query(
        "select count(*), count(distinct claim_id), sum(payer_paid_amount) from warehouse.raw.remittance_claim"
    )
    assert (rows, claims, str(paid)) == (2000, 2000, "16000.0000")
    landed = site.ledger.rows(sa.select(tables.unit.c.name).where(tables.unit.c.outcome == "landed"))
    assert len(landed) == 40
    assert status(site.ledger, site.keys)["is_conserved"]


def test_newer_rows_win_whatever_the_order_of_arrival(site: Site) -> None:
    site.land("pm")
    site.load()
    site.change("update payers set name = 'Newest', updated_at = '2026-05-01 08:00:00' where payer_id = 'P3'")
    site.land("pm")
    site.load()
    assert site.query("select name from warehouse.raw.payer where payer_id = 'P3'") == [("Newest",)]
    assert site.query("select count(*) from warehouse.raw.payer") == [(3,)]


def test_of_changes_at_one_moment_the_last_to_arrive_stands(site: Site) -> None:
    folder = site.remits.parent / "hl7"
    folder.mkdir()
    for number in range(1, 13):
        folder.joinpath(f"{number:02d}.hl7").write_text(
            f"MSH|^~\\&|SCHED|HARBOR|MART|HARBOR|20260312090000||SIU^S14|M{number}|P|2.5\r"
            f"SCH||A1|||||ROUTINE||30|min|^^30^202604{number:02d}0900^202604{number:02d}0930|||||||||||||Booked\r",
            newline="",
        )
    site.land("adt")
    site.load()
    assert site.query("select appointment_id, scheduled_start_at::date::varchar from warehouse.raw.appointment") == [
        ("A1", "2026-04-12")
    ]


def test_landed_files_are_never_written_again(site: Site) -> None:
    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    site.land("remits")
    site.land("pm")
    before = {path: path.stat().st_mtime_ns for path in (site.home.path / "landing").rglob("*.parquet")}
    site.change("update payers set name = 'New', updated_at = '2026-05-01 08:00:00' where payer_id = 'P3'")
    site.land("pm")
    after = {path: path.stat().st_mtime_ns for path in (site.home.path / "landing").rglob("*.parquet")}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1


def test_raw_tables_lie_in_tenant_order(site: Site) -> None:
    site.land("pm")
    site.load()
    frame = pl.DataFrame(site.query("select tenant_id, payer_id from warehouse.raw.payer"), orient="row")
    assert frame.rows() == sorted(frame.rows())
