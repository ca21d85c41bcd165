"""The state of a home at one moment, in a folder of the home, while runs and readers go on.

Files that are never written again, or replaced as a whole, are linked; databases are copied with SQLite's own backup; the rest is
copied. It takes seconds for a home of any size, and delays only writes that would make the parts disagree:

1. no feed lands meanwhile: the ledger, what lies in landing, quarantine and vault, and what is remembered of messages and payments
   belong together. The ledger is copied before the files that it names, so that it names none that is missing
2. closes before published versions, each under its lock: a version that a close names is there
3. the heads of the audit log before the log, which may only have more

What a run makes again is left out: NOT_KEPT.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from filelock import FileLock

from foundation.errors import DamagedFileError
from foundation.faults import naming
from foundation.home import AUDIT_HEADS, CONTROL_FILE, Home
from foundation.run_lock import landing_paused

# `sample` holds the feeds of `clinicmart demo`: sources, which are not the home's. A copy of a home has its people in a file: it must not
# write to the server of the running home, which its CONTROL_FILE names.
NOT_KEPT = frozenset(
    {
        "warehouse",
        "dbt",
        "checkpoints",
        "extensions",
        "dagster",
        "logs",
        "tmp",
        "postgres",
        "sample",
        "keys",
        CONTROL_FILE,
    }
)
_DERIVED_BELOW = frozenset({"scopes", "compiled"})
_DERIVED_FILES = frozenset({"checked.json", "damaged"})
_OF_LANDING = ("ledger.sqlite", "messages", "payments", "vault", "index", "landing", "quarantine", "inbox")
_LOCKS = {"closes": ".lock", "published": ".publish.lock"}
# DuckDB's databases of patients' names, beside what lies in the home itself and SQLite's files.
_WRITTEN_IN_PLACE = frozenset({"vault"})
_HIDDEN_BUT_KEPT = frozenset({".unfinished"})
_NOT_FILES_OF_OURS = ("-wal", "-shm", "-journal", ".lock", ".part")

Add = Callable[[Path], None]


@contextmanager
def frozen(home: Home, add: Add = lambda _: None) -> Iterator[Path]:
    """A folder with the home's files as they are now, under their own names. It is removed at the end. `add` writes into it what is kept
    elsewhere: the people of a home that are on a server.

    Raises DamagedFileError where a database is not one.
    """
    # `duck.remove_left_over` removes folders of processes that are gone.
    folder = home.folder("tmp") / f"{os.getpid()}-backup"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        with landing_paused(home):
            for name in _OF_LANDING:
                _take(home.path, folder, Path(name))
        for name, lock in _LOCKS.items():
            _take_by_tenant(home.path, folder, Path(name), lock)
        _take(home.path, folder, Path(AUDIT_HEADS))
        taken = {*_OF_LANDING, *_LOCKS, AUDIT_HEADS}
        for path in sorted(home.path.iterdir()):
            if path.name not in NOT_KEPT | taken:
                _take(home.path, folder, Path(path.name))
        add(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_by_tenant(home: Path, folder: Path, name: Path, lock: str) -> None:
    """Takes the folders of each tenant, each under the lock of its writers."""
    for path in sorted((home / name).iterdir()) if (home / name).is_dir() else ():
        with ExitStack() as held:
            if path.is_dir() and path.name not in _DERIVED_BELOW:
                held.enter_context(FileLock(path / lock))
            _take(home, folder, name / path.name)


def _take(home: Path, folder: Path, name: Path) -> None:
    """Takes a file, or a folder with all below it, by its name in the home."""
    source, target = home / name, folder / name
    if source.is_dir() and not source.is_symlink():
        if source.name not in _DERIVED_BELOW:
            for path in sorted(source.iterdir()):
                _take(home, folder, name / path.name)
        return
    if not source.is_file() or source.is_symlink() or not _is_kept(source.name):
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source.suffix == ".sqlite":
        _copy_database(source, target)
    elif changes_in_place(name):
        shutil.copy2(source, target)
    else:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def _is_kept(name: str) -> bool:
    is_hidden = name.startswith((".", "tmp_")) and name not in _HIDDEN_BUT_KEPT
    return not is_hidden and not name.endswith(_NOT_FILES_OF_OURS) and name not in _DERIVED_FILES


def changes_in_place(name: Path) -> bool:
    """Whether a file of a home, by its name in it, is written in place: then its size and time do not tell whether it is the same."""
    return len(name.parts) == 1 or name.suffix == ".sqlite" or name.parts[0] in _WRITTEN_IN_PLACE


def _copy_database(source: Path, target: Path) -> None:
    """A consistent copy, also while others write; checked."""
    target.touch(mode=0o600)
    with naming(source):
        with closing(sqlite3.connect(source, timeout=60)) as reading, closing(sqlite3.connect(target)) as writing:
            reading.backup(writing)
            writing.execute("pragma journal_mode = delete")
            (outcome,) = writing.execute("pragma quick_check(1)").fetchone()
        if outcome != "ok":
            raise DamagedFileError(f"{source}: it lost bytes; restore it from an earlier backup")
