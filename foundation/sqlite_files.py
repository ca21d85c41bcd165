"""SQLite files of a home. Some can be made again: if they are lost, their content is computed again or comes again. `compact` writes a
database again without the bytes of removed rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

_NOT_OURS = ("file is not a database", "database disk image is malformed")


def open_derived(path: Path, schema: str) -> tuple[sqlite3.Connection, bool]:
    """A connection in autocommit to a database with a schema (`create ... if not exists`), and whether the database is a new one: made
    where absent, and in the place of a file that is not a database. The caller closes the connection."""
    is_new = not path.exists()
    try:
        return _opened(path, schema), is_new
    except sqlite3.DatabaseError as error:
        if not any(sign in str(error) for sign in _NOT_OURS):
            raise
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return _opened(path, schema), True


def compact(path: Path) -> None:
    """Writes a database again without the bytes of removed rows. Nobody else may have it open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")


def _opened(path: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        path.chmod(0o600)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.executescript(schema)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
