"""`clinicmart doctor`: every code is provoked, said with what to do, and repaired where it says so; a whole home has none."""

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foundation import faults, run_lock
from foundation.findings import finding, home_problems
from foundation.home import Home
from ingest import ledger as tables
from ingest.ledger import Ledger, now
from serving.versions.store import current_version, files_of
from tests.serving.conftest import Place
from tests.support import Ran, clinicmart_here


@pytest.fixture
def home(closed: Place) -> Iterator[Home]:
    """A home with a closed month, a ledger and a warehouse that nobody uses."""
    Ledger(closed.home).close()
    closed.home.make_private()
    yield closed.home
    for process in _STARTED:
        process.kill()
        process.wait()
    _STARTED.clear()


_STARTED: list["subprocess.Popen[bytes]"] = []


def doctor(home: Home, *more: str) -> tuple[Ran, list[dict[str, Any]]]:
    ran = clinicmart_here("doctor", "--home", home.path, "--json", *more)
    return ran, json.loads(ran.out)


def insert(home: Home, table: sa.Table, **values: object) -> None:
    ledger = Ledger(home)
    with ledger.write() as connection:
        connection.execute(sa.insert(table).values(**values))
    ledger.close()


def old(path: Path, content: bytes = b"left") -> None:
    """A file that nobody has written for a day."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - 86_400,) * 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def no_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"these are not the bytes of a database, " * 400)


def served(home: Home, name: str) -> Path:
    version = current_version(home, "harbor")
    assert version is not None
    return files_of(home, "harbor", version.version).folder / name


def unfinished_run(home: Home) -> None:
    ledger = Ledger(home)
    ledger.start_run("run-9", "clinicmart.yaml")
    ledger.close()


def changed_audit(home: Home) -> None:
    with closing(sqlite3.connect(home.access, isolation_level=None)) as connection:
        connection.execute("drop trigger audit_no_update")
        connection.execute("update audit set actor = 'nobody' where sequence = 2")


def held_warehouse(home: Home) -> None:
    with home.warehouse.open("rb") as handle:
        _STARTED.append(subprocess.Popen(["sleep", "60"], stdin=handle))


def unreadable(home: Home) -> None:
    path = home.path / "published" / "harbor" / "current.json"
    path.unlink()
    path.mkdir()


def full_disk(_: Home) -> None:
    usage = shutil._ntuple_diskusage(1 << 40, 1 << 40, 20 << 20)
    faults.shutil.disk_usage = lambda _: usage  # type: ignore[assignment]


UNIT = {"run_id": "r", "tenant_id": "harbor", "feed": "remits", "name": "a.835", "outcome": "landed", "read_at": now()}
BATCH = {"batch_id": "b", "run_id": "r", "tenant_id": "harbor", "feed": "remits", "landed_at": now()}
HELD = {"run_id": "r", "tenant_id": "harbor", "feed": "remits", "batch_id": "q", "held_at": now()}
WHERE = {
    "entity": "claim",
    "reason": "x",
    "column_name": "",
    "detail": "",
    "first_position": "unit 1: line 1",
    "rows": 1,
}
COUNTS = {"rows_read": 1, "rows_landed": 1, "rows_quarantined": 0}
FAULTS: dict[str, Callable[[Home], object]] = {
    "key_wrong": lambda home: home.master_key.write_bytes(b"k" * 32),
    "cannot_check": unreadable,
    "disk_low": full_disk,
    "open_to_others": lambda home: home.path.chmod(0o755),
    "temporary_left": lambda home: old(home.path / "published" / "harbor" / ".part.1"),
    "process_left": held_warehouse,
    "database_damaged": lambda home: no_database(home.ledger),
    "derived_damaged": lambda home: no_database(home.path / "messages" / "harbor.sqlite"),
    "run_not_ended": unfinished_run,
    "rows_not_conserved": lambda home: insert(home, tables.unit, **UNIT, records_read=2, records_used=1),
    "landed_file_damaged": lambda home: insert(
        home, tables.batch, **BATCH, **COUNTS, entity="claim", file="landing/harbor/claim/gone.parquet"
    ),
    "quarantine_file_damaged": lambda home: insert(home, tables.held, **HELD, **WHERE),
    "file_not_in_ledger": lambda home: old(home.path / "landing" / "harbor" / "claim" / "b.parquet"),
    "warehouse_damaged": lambda home: no_database(home.warehouse),
    "version_damaged": lambda home: flip(served(home, "base.duckdb")),
    "current_version_torn": lambda home: (home.path / "published" / "harbor" / "current.json").write_text("{"),
    "close_damaged": lambda home: flip(next(home.path.glob("closes/harbor/2026-02.1.duckdb"))),
    "audit_altered": changed_audit,
}


def test_every_code_is_provoked() -> None:
    assert list(FAULTS) == list(home_problems())
    assert len({problem.code for problem in home_problems().values()}) == len(FAULTS)


def test_a_whole_home_has_no_finding_and_nothing_of_it_changes(home: Home) -> None:
    doctor(home)
    written = ("access.sqlite", "audit-heads.log", "/tmp/")
    files = [path for path in home.path.rglob("*") if path.is_file() and not any(part in str(path) for part in written)]
    before = {path: path.read_bytes() for path in files}
    ran, found = doctor(home, "--repair")
    assert (ran.code, found, ran.err) == (0, [], "")
    assert {path: path.read_bytes() for path in files} == before
    assert "nothing is wrong. Tenants: harbor, mesa" in clinicmart_here("doctor", "--home", home.path).out


@pytest.mark.parametrize("slug", FAULTS)
def test_a_finding_says_what_to_do_and_is_repaired_where_that_is_safe(
    home: Home, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults.shutil, "disk_usage", shutil.disk_usage)
    FAULTS[slug](home)
    problem = home_problems()[slug]
    ran, found = doctor(home)
    assert ran.code == 1
    assert "findings are open" in ran.err
    assert slug in [item["problem"] for item in found]
    (mine,) = [item for item in found if item["problem"] == slug]
    assert (mine["code"], mine["remedy"], mine["is_repaired"]) == (problem.code, problem.remedy, False)
    assert mine["can_repair"] == bool(problem.repair)
    said = clinicmart_here("doctor", "--home", home.path).out
    assert f"{problem.code} {slug}: " in said
    assert f"What to do: {problem.remedy}" in said

    _, repaired = doctor(home, "--repair")
    assert [item["is_repaired"] for item in repaired if item["problem"] == slug] == [bool(problem.repair)]
    _, left = doctor(home)
    still = [item for item in left if item["problem"] == slug]
    if slug == "version_damaged":
        assert [item["can_repair"] for item in still] == [False]
        assert "(marked)" in still[0]["detail"]
    else:
        assert bool(still) == (not problem.repair)


def test_what_a_run_writes_just_now_is_no_leftover(home: Home) -> None:
    old(home.path / "published" / "harbor" / ".part.1")
    old(home.path / "landing" / "harbor" / "claim" / "b.parquet")
    young = home.path / "published" / "harbor" / ".part.2"
    young.write_bytes(b"")
    with run_lock.alone(home):
        assert doctor(home)[1] == []
    assert {item["subject"] for item in doctor(home, "--repair")[1]} == {
        str(home.path / "published" / "harbor" / ".part.1"),
        str(home.path / "landing" / "harbor" / "claim" / "b.parquet"),
    }
    assert young.exists()


def test_a_finding_has_a_repair_only_where_its_kind_says_so() -> None:
    with pytest.raises(ValueError, match="disk_low has no repair"):
        finding("disk_low", "x", mend=lambda: None)
