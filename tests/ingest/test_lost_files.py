"""Files of a home that are lost or lost bytes between landing and raw tables: what can be made again is made again, what cannot is
named, and everything else goes on."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from foundation.errors import DamagedFileError
from foundation.migrations import open_derived
from ingest import ledger as tables
from ingest.ledger import Ledger
from ingest.load.landed_rows import damage_of
from ingest.load.lost_warehouse import note_damage, start_anew_if_lost
from ingest.load.raw_tables import load_warehouse
from ingest.load.reconciliation import reconcile_landed
from ingest.sources.hl7v2.seen_messages import MESSAGES, NEW, REPEATED, SeenMessages
from tests.ingest.test_landing import Site, remittance, site  # noqa: F401 - a fixture
from tests.support import clinicmart_here

RAW = "select claim_id, source_position from warehouse.raw.remittance_claim order by all"


def flip(path: Path, at: float) -> None:
    """Changes one byte, as a disk that forgets does."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def loaded(site: Site) -> Site:  # noqa: F811
    """Two 835s of one payment each, in two batches, and a table of payers; loaded."""
    for number in (1, 2):
        (site.remits / f"{number}.835").write_text(remittance(number, [(f"C{number}", "100.00", "80.00")]))
        site.land("remits")
    site.land("pm")
    site.load()
    return site


def _lose(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"not a database, " * 900)


def _flip_header(path: Path) -> None:
    flip(path, 0.0)


def _flip_block(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3 * 4096 + 200] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("fault", [_lose, _empty, _flip_header, _flip_block])
def test_a_warehouse_that_is_lost_or_damaged_is_loaded_again_from_the_landed_batches(loaded: Site, fault) -> None:
    before = loaded.query(RAW)
    assert len(before) == 2
    assert start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger) is None
    state = load_warehouse(loaded.home, loaded.keys, loaded.ledger, loaded.config).state
    fault(loaded.home.warehouse)
    assert start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger) == (
        "was lost" if fault is _lose else "lost bytes"
    )
    assert loaded.load() > 0
    assert loaded.query(RAW) == before
    assert reconcile_landed(loaded.home, loaded.keys, loaded.ledger) == []
    # What is published from it is current again: nothing is to be built for the load alone.
    assert load_warehouse(loaded.home, loaded.keys, loaded.ledger, loaded.config).state == state
    assert start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger) is None


def test_damage_that_a_build_met_is_noted_and_the_next_load_makes_a_new_warehouse(loaded: Site) -> None:
    before = loaded.query(RAW)
    note_damage(loaded.home)
    assert start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger) == "lost bytes"
    loaded.load()
    assert loaded.query(RAW) == before
    assert start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger) is None


def test_a_load_that_is_killed_after_the_warehouse_was_found_lost_is_repeated(loaded: Site) -> None:
    before = loaded.query(RAW)
    loaded.home.warehouse.unlink()
    start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger)
    # Killed here: the next run finds no file and nothing noted as loaded.
    assert start_anew_if_lost(loaded.home, loaded.keys, loaded.ledger) is None
    loaded.load()
    assert loaded.query(RAW) == before


def landed_files(site: Site, entity: str) -> list[Path]:  # noqa: F811
    batch = tables.batch.c
    rows = site.ledger.rows(sa.select(batch.file).where(batch.entity == entity).order_by(batch.batch_sequence))
    return [site.home.path / row["file"] for row in rows if row["file"]]


@pytest.mark.parametrize("fault", [_lose, lambda path: flip(path, 0.5), lambda path: flip(path, 0.98), _empty])
def test_a_damaged_landed_file_is_named_and_every_other_batch_is_loaded(site: Site, fault) -> None:  # noqa: F811
    for number in (1, 2):
        (site.remits / f"{number}.835").write_text(remittance(number, [(f"C{number}", "100.00", "80.00")]))
        site.land("remits")
    site.land("pm")
    bad = landed_files(site, "remittance_claim")[0]
    whole = bad.read_bytes()
    fault(bad)
    result = load_warehouse(site.home, site.keys, site.ledger, site.config)
    assert [site.home.path / item["file"] for item in result.unreadable] == [bad]
    reported = damage_of(result.unreadable[0])
    assert reported.startswith("harbor/remits: the landed file landing/harbor/remittance_claim/")
    assert "1 rows; restore it from your backup" in reported
    assert [claim for claim, _ in site.query(RAW)] == ["C2"]
    assert site.query("select count(*) from warehouse.raw.payer where source_system = 'pm'") == [(3,)]
    # It stays pending: with the file back, the next load takes it.
    bad.write_bytes(whole)
    again = load_warehouse(site.home, site.keys, site.ledger, site.config)
    assert again.unreadable == ()
    assert [claim for claim, _ in site.query(RAW)] == ["C1", "C2"]


def test_a_file_that_is_damaged_after_it_was_loaded_is_named_by_the_next_comparison(loaded: Site) -> None:
    bad, other = landed_files(loaded, "remittance_claim")
    flip(bad, 0.5)
    other.unlink()
    result = reconcile_landed(loaded.home, loaded.keys, loaded.ledger)
    assert [loaded.home.path / item["file"] for item in result] == [bad, other]


def test_a_problem_of_a_landed_file_is_one_of_its_feed(loaded: Site) -> None:
    for problem in ("first", "second"):
        loaded.ledger.add_problem("run-1", "harbor", "remits", problem)
    row = loaded.ledger.rows(sa.select(tables.feed_run).where(tables.feed_run.c.run_id == "run-1"))[0]
    assert (row["outcome"], row["problem"]) == ("partly", "first\nsecond")


def test_a_home_without_its_ledger_says_what_to_do_and_makes_no_new_one(loaded: Site) -> None:
    loaded.ledger.close()
    for suffix in ("", "-wal", "-shm"):
        loaded.home.ledger.with_name(f"ledger.sqlite{suffix}").unlink(missing_ok=True)
    with pytest.raises(DamagedFileError, match=r"its ledger.sqlite is missing.* restore it from your backup"):
        Ledger(loaded.home)
    ran = clinicmart_here("status", "--home", loaded.home.path)
    assert ran.code == 1
    assert "its ledger.sqlite is missing" in ran.err
    assert not loaded.home.ledger.exists()


def test_what_remembers_messages_and_payments_is_made_anew_in_the_place_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "harbor.sqlite"
    for content, is_new in ((None, True), (b"", False), (b"something else, " * 300, True)):
        if content is not None:
            path.write_bytes(content)
        connection, made = open_derived(path, MESSAGES)
        assert made == is_new
        assert connection.execute("select count(*) from message").fetchone() == (0,)
        connection.close()
    path.chmod(0o600)
    with sqlite3.connect(path) as connection:
        connection.execute("insert into message values (1, 1, 1)")
    connection, made = open_derived(path, MESSAGES)
    assert not made
    assert connection.execute("select count(*) from message").fetchone() == (1,)
    connection.close()


def test_payments_that_were_lost_are_known_again_when_they_come_again(loaded: Site) -> None:
    (memory,) = (loaded.home.path / "payments").glob("harbor.sqlite")
    memory.write_bytes(b"something else, " * 300)
    for suffix in ("-wal", "-shm"):
        memory.with_name(memory.name + suffix).unlink(missing_ok=True)
    text = remittance(1, [("C1", "100.00", "80.00")])
    (loaded.remits / "again.835").write_text(text.replace("*260312*0900*", "*260313*0900*"))
    loaded.land("remits")
    batch = tables.batch.c
    query = sa.select(batch.entity, batch.rows_landed).where(batch.run_id == f"run-{loaded.runs}")
    landed = {row["entity"] for row in loaded.ledger.rows(query) if row["rows_landed"]}
    assert not [entity for entity in landed if entity.startswith("remittance")]


def test_a_damaged_index_of_a_table_costs_one_more_landing_and_deletes_nothing(loaded: Site) -> None:
    before = loaded.query("select payer_id from warehouse.raw.payer order by all")
    for path in loaded.home.path.glob("index/harbor/pm/*/*.parquet"):
        flip(path, 0.5)
    report = loaded.land("pm")
    assert (report.problems, report.rows_landed) == ([], 1)
    loaded.load()
    assert loaded.query("select payer_id from warehouse.raw.payer order by all") == before
    assert loaded.land("pm").rows_landed == 0


def test_another_file_in_the_place_of_the_seen_messages_is_replaced(loaded: Site) -> None:
    path = loaded.home.folder("messages") / "harbor.sqlite"
    path.write_bytes(b"something else, " * 300)
    seen = SeenMessages.of(loaded.home, loaded.keys, loaded.ledger, "harbor")
    seen.begin(1)
    assert seen.meet([(b"sender 1", b"content")]) == [NEW]
    assert seen.meet([(b"sender 1", b"content")]) == [REPEATED]
    seen.close()
