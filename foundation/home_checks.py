"""Checks of a home that need to know no entity and no metric: rights, disk, databases, and what killed processes left."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from foundation.control_database import people_file
from foundation.duck import is_alive
from foundation.errors import ClinicmartError
from foundation.faults import check_free_space
from foundation.findings import Finding, finding
from foundation.home import Home
from foundation.run_lock import is_held

# A process may still write what is younger.
LEFT_AFTER_SECONDS = 3600
_WITH_TEMPORARY_FILES = ("landing", "quarantine", "index", "inbox", "vault", "published", "closes", "keys", "dbt")
_DERIVED = ("messages/*.sqlite", "payments/*.sqlite")
# Database to what lies in the home once there has been one.
_KEPT = {"ledger.sqlite": "landing/*/*/*.parquet", "access.sqlite": "published/*/*/base.duckdb"}
_HIDDEN_BUT_KEPT = (".unfinished", ".user.yml")


def disk(home: Home) -> Iterator[Finding]:
    """Too little room for the next run."""
    try:
        check_free_space(home)
    except ClinicmartError as error:
        yield finding("disk_low", home.path, detail=str(error))


def rights(home: Home) -> Iterator[Finding]:
    """Files that other accounts may read or write. Files in a folder that is closed to others are closed too."""
    open_paths = [path for path in (home.path, *home.path.iterdir()) if _is_open(path)]
    if _is_open(home.path):
        for path in open_paths:
            yield finding("open_to_others", path, mend=home.make_private)


def databases(home: Home) -> Iterator[Finding]:
    """SQLite databases that are missing where they must be, or lost bytes."""
    for name, sign in _KEPT.items():
        path = home.path / name
        if path == home.access and people_file(home) != path:
            # They are on a server, where the server looks after its files.
            continue
        if not path.exists():
            if next(home.path.glob(sign), None) is not None:
                yield finding("database_damaged", path, detail="it is missing")
        elif problem := _damage(path):
            yield finding("database_damaged", path, detail=problem)
    for path in sorted(home.path.glob("inbox/*/*/*.sqlite")):
        if problem := _damage(path):
            yield finding("database_damaged", path, tenant_id=path.parts[-3], detail=problem)
    for pattern in _DERIVED:
        for path in sorted(home.path.glob(pattern)):
            if problem := _damage(path):
                yield finding("derived_damaged", path, tenant_id=path.stem, detail=problem, mend=path.unlink)


def left_over(home: Home) -> Iterator[Finding]:
    """Temporary files and folders of processes that are gone, and processes that hold the warehouse outside a run."""
    for path in sorted((home.path / "tmp").glob("*")):
        if not is_alive(path.name.split("-")[0]) and _is_old(path):
            yield _left(path)
    if is_held(home):
        return
    for folder in _WITH_TEMPORARY_FILES:
        for parent, folders, files in os.walk(home.path / folder):
            for name in [name for name in folders if name.startswith(".building-")]:
                folders.remove(name)
                if _is_old(Path(parent) / name):
                    yield _left(Path(parent) / name)
            yield from (_left(Path(parent) / name) for name in files if _is_temporary(Path(parent) / name))
    for path in (home.path / "warehouse").glob("*.damaged"):
        yield _left(path)
    for process, name in _holders(home.path / "warehouse" / "warehouse.duckdb"):
        yield finding("process_left", f"process {process}", detail=name)


def _left(path: Path) -> Finding:
    def delete() -> None:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return finding("temporary_left", path, mend=delete)


def _is_temporary(path: Path) -> bool:
    is_hidden = path.name.startswith(".") and not path.name.endswith(".lock") and path.name not in _HIDDEN_BUT_KEPT
    return (is_hidden or path.name.startswith("tmp_")) and _is_old(path)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > LEFT_AFTER_SECONDS
    except FileNotFoundError:
        return False


def _is_open(path: Path) -> bool:
    return not path.is_symlink() and bool(path.lstat().st_mode & 0o077)


def _damage(path: Path) -> str:
    """The problems that SQLite finds in a database; empty for an intact one."""
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            (outcome,) = connection.execute("pragma quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if outcome == "ok" else str(outcome)


def _holders(path: Path) -> Iterator[tuple[int, str]]:
    """(id, name) of other processes of this machine that have a file open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            holds = any(os.readlink(link) == str(path) for link in (process / "fd").iterdir())
            name = (process / "comm").read_text("utf-8").strip()
        except OSError:
            # It has ended, or belongs to another account.
            continue
        if holds and int(process.name) != os.getpid():
            yield int(process.name), name
