"""What the machine under a home does wrong, in one sentence for a person: a full disk, no right to write, a file that is not what it was.

Libraries say these things in their own words, and Dagster hands on only those words: so they are known by the number of the operating
system's error where there is one, and by the words otherwise. Sentences name the file where the error does, and never hold its content.
"""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.errors import ClinicmartError, DamagedFileError
from foundation.home import Home

# A run lands, builds marts beside those there are, and copies them into published versions.
LEAST_FREE_BYTES = 256 * 1024**2

_BY_NUMBER = {
    errno.ENOENT: "it is missing; restore it from your backup",
    errno.ENOSPC: "the disk is full; free space on it and try again",
    errno.EDQUOT: "the disk quota is used up; free space and try again",
    errno.EACCES: "this account may not read or write it; check the owner and mode of the home's files",
    errno.EPERM: "this account may not read or write it; check the owner and mode of the home's files",
    errno.EROFS: "the file system is read-only; make it writable and try again",
    errno.EIO: "the disk cannot read or write it; check the disk, and restore the file from your backup",
    errno.EISDIR: "a folder is there where a file should be; move it away and try again",
    errno.ENOTDIR: "a file is there where a folder should be; move it away and try again",
}
# Words of DuckDB, SQLite and the operating system. The first that is met counts.
_BY_WORDS: tuple[tuple[str, str], ...] = (
    (r"No space left on device|database or disk is full|Disk full", _BY_NUMBER[errno.ENOSPC]),
    (r"Disk quota exceeded", _BY_NUMBER[errno.EDQUOT]),
    (r"Read-only file system", _BY_NUMBER[errno.EROFS]),
    (
        r"Permission denied|readonly database|unable to open database file|read-only database",
        _BY_NUMBER[errno.EACCES],
    ),
    (r"Could not set lock on file", "another process holds it; end that process, or wait for it, and try again"),
    (
        r"newer version of DuckDB|storage version|written with a? ?(?:newer|different) version",
        "it was written by another release of DuckDB; install the release of Clinicmart that wrote it",
    ),
    (
        r"not a valid DuckDB database|file is not a database|not an? encrypted database|is not encrypted",
        "it is not a database that Clinicmart wrote; restore it from your backup, or move it away",
    ),
    (
        r"AES tag differs|database disk image is malformed|Wrong encryption key|Corrupt database file|stored checksum",
        "it lost bytes; restore it from your backup, or move it away",
    ),
    (r"database does not exist|No such file or directory|No files found that match", _BY_NUMBER[errno.ENOENT]),
    (r"Input/output error", _BY_NUMBER[errno.EIO]),
    # SQLite's words where it cannot make its files of a journal, which is so on a full disk.
    (r"disk I/O error", "the disk is full or cannot be written; free space, check the disk and try again"),
)
_SIGNS_OF_DAMAGE = (
    "AES tag",
    "Wrong encryption key",
    "checksum",
    "Corrupt database file",
    "not a valid DuckDB database file",
)
_UNNAMED = "a file of the home"
_PATH = re.compile(r"[\"'](/[^\"']+)[\"']")


def sentence_of(error: BaseException) -> str | None:
    """One sentence for an error of the machine; None for any other error, which is one of ours."""
    for cause in _chain(error):
        if isinstance(cause, ClinicmartError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in _BY_NUMBER:
            return _named(_BY_NUMBER[cause.errno], None if cause.filename is None else str(cause.filename))
        if type(cause).__module__.split(".")[0] in ("duckdb", "_duckdb", "sqlite3", "sqlalchemy"):
            sentence = sentence_of_words(str(cause))
            if sentence is not None:
                return sentence
    return None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives errors of the machine the name of a database's file, which SQLite does not say. Raises DamagedFileError in their place."""
    try:
        yield
    except ClinicmartError:
        raise
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise DamagedFileError(sentence.replace(_UNNAMED, str(path), 1)) from error


def sentence_of_words(words: str, path: Path | None = None) -> str | None:
    """The same from the text of an error, which is all that some libraries hand on; about the file `path` where it is known."""
    for pattern, sentence in _BY_WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            named = _PATH.search(words)
            return _named(sentence, str(path) if path is not None else named[1] if named else None)
    return None


def is_damage(words: str) -> bool:
    """Whether DuckDB's words say that a file lost bytes. A wrong key gives the same words: keys are checked when a home is opened."""
    return any(sign in words for sign in _SIGNS_OF_DAMAGE)


def check_free_space(home: Home) -> None:
    """Raises ClinicmartError where the disk of a home has no room for a run: LEAST_FREE_BYTES, and as much as the warehouse holds."""
    size = home.warehouse.stat().st_size if home.warehouse.exists() else 0
    needed, free = LEAST_FREE_BYTES + size, shutil.disk_usage(home.path).free
    if free < needed:
        raise ClinicmartError(
            f"{home.path}: {free >> 20:,} MB are free on its disk and a run needs {needed >> 20:,} MB; free space and run again. "
            "Nothing was changed"
        )


def _named(sentence: str, path: str | None) -> str:
    return f"{path or _UNNAMED}: {sentence}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from, once each."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "orig", None)]
