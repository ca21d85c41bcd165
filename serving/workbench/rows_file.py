"""The rows that a person may ask with SQL: the content of an extract in a database of this process.

It is written under a random key that nobody keeps, opened read-only, and its name is removed at once: no other process can open it, and
nothing is left when this one ends. It is shared by people with the same scope and version, and made again after a new publication.
"""

import os
import secrets
import threading
from pathlib import Path

import duckdb
import polars as pl

from foundation import duck
from foundation.home import Home
from foundation.opened_once import OpenedOnce
from serving.extracts.content import TARGET, fill
from serving.reader import Reader
from serving.workbench.statement import SCHEMAS

KEPT = 4
MEMORY = "1GiB"
SPILLED = "4GiB"
THREADS = 2
ALIAS = "rows"


class RowsFile:
    """An open database with the content of an extract. Its only catalog is ALIAS."""

    def __init__(self, home: Home, reader: Reader) -> None:
        key = secrets.token_hex(32)
        path = home.folder("tmp") / f"{os.getpid()}-{secrets.token_hex(4)}.rows"
        try:
            with duck.session(home) as connection:
                duck.attach(connection, path, alias=TARGET, key=key)
                self.dictionary = fill(connection, home, reader).dictionary
                connection.execute(f"checkpoint {TARGET}")
                connection.execute(f"detach {TARGET}")
            self._connection = _locked(home, path, key)
        finally:
            path.unlink(missing_ok=True)
        self._lock = threading.Lock()
        listed = self._connection.execute(
            "select schema_name || '.' || name from (select schema_name, table_name as name from duckdb_tables() "
            "union all select schema_name, view_name from duckdb_views() where not internal) where schema_name in ?",
            [list(SCHEMAS)],
        ).fetchall()
        self.tables = frozenset(str(name) for (name,) in listed)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for one statement; close it after use."""
        with self._lock:
            cursor = self._connection.cursor()
        cursor.execute(f"use {ALIAS}.marts")
        return cursor

    @property
    def columns(self) -> pl.DataFrame:
        """dictionary.columns: table_name, column_name, data_type, description ..."""
        return self.dictionary["columns"]


def _locked(home: Home, path: Path, key: str) -> duckdb.DuckDBPyConnection:
    """Opens the file so that SQL reads it and nothing else: no files, no extensions, no settings, no variables of Python."""
    connection = duck.connect(home, threads=THREADS)
    try:
        duck.attach(connection, path, alias=ALIAS, key=key, read_only=True)
        for setting in (
            f"memory_limit = '{MEMORY}'",
            f"max_temp_directory_size = '{SPILLED}'",
            "python_enable_replacements = false",
            "autoload_known_extensions = false",
            "autoinstall_known_extensions = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"set {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


_OPEN: OpenedOnce[tuple[Path, str, str, str], RowsFile] = OpenedOnce(KEPT)


def rows_of(home: Home, reader: Reader) -> RowsFile:
    """The rows of a reader's scope and version; made on first use, which takes as long as an extract."""
    key = (home.path, reader.version.tenant_id, reader.scope.hash, reader.version.version)
    return _OPEN.get(key, lambda: RowsFile(home, reader))


def forget_all() -> None:
    """Drops all open rows of this process, for tests and shut-down."""
    _OPEN.clear()
