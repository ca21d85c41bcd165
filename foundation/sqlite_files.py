"""SQLite files of a home: `compact` writes a database again without the bytes of removed rows."""

import sqlite3
from contextlib import closing
from pathlib import Path


def compact(path: Path) -> None:
    """Writes a database again without the bytes of removed rows. Nobody else may have it open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")
