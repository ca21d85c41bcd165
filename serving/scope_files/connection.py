"""The scope file that people's questions go to.

A scope file is one DuckDB instance, read-only, cut off from the file system and locked. It is attached as `warehouse` with the
schemas of the warehouse, so that MetricFlow's SQL runs unchanged. Every question runs on a cursor of its own, so that threads
never share one.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from foundation import duck
from foundation.home import Home
from serving.metrics.mart_data import MartData


class ScopeConnection(MartData):
    """Runs SQL on one scope file. Close it, or leave that to the garbage collector."""

    def __init__(self, home: Home, path: Path, key: str) -> None:
        super().__init__()
        self._connection = duck.connect(home)
        self._lock = threading.Lock()
        try:
            duck.attach(self._connection, path, alias="warehouse", key=key, read_only=True)
            self._connection.execute("set enable_external_access = false")
            self._connection.execute("set lock_configuration = true")
        except duckdb.Error:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file; cursors that still run finish first."""
        self._connection.close()

    def table(self, name: str) -> str:
        """A published table, as SQL on the scope file names it."""
        return f'warehouse.marts."{name}"'

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """As in MartData, on a cursor of its own."""
        used = {name: value for name, value in (parameters or {}).items() if f"${name}" in sql}
        with self._lock:
            cursor = self._connection.cursor()
        try:
            return cursor.execute(sql, used or None).pl()
        finally:
            cursor.close()
