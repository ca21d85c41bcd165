"""The scope file that people's questions go to.

A scope file is one DuckDB instance, read-only, cut off from the file system and locked. It is attached as `warehouse` with the
schemas of the warehouse, so that MetricFlow's SQL runs unchanged. Every question runs on a separate cursor, so that threads
never share one.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from foundation import duck, formats
from foundation.errors import ConfigurationError, DamagedFileError
from foundation.faults import is_damage
from foundation.home import Home
from serving.metrics.mart_data import MartData


class ScopeConnection(MartData):
    """Runs SQL on one scope file. Close it, or leave that to the garbage collector."""

    def __init__(
        self, home: Home, path: Path, key: duck.FileKeys, on_damage: Callable[[], None] = lambda: None
    ) -> None:
        """Opens the file. Where it lost bytes, `on_damage` is called. Raises DamagedFileError then, and where the file is gone."""
        super().__init__()
        self._on_damage = on_damage
        self._connection = duck.connect(home)
        self._lock = threading.Lock()
        try:
            duck.attach(self._connection, path, alias="warehouse", key=key, read_only=True)
            formats.check_not_later(path, duck.number_of(self._connection, "warehouse"), formats.PUBLISHED)
            self._connection.execute("set enable_external_access = false")
            self._connection.execute("set lock_configuration = true")
        except duckdb.Error as error:
            self._connection.close()
            raise self._explained(error, gone=not path.exists()) from None
        except ConfigurationError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file; cursors that still run finish first."""
        self._connection.close()

    def table(self, name: str) -> str:
        """A published table, as SQL on the scope file names it."""
        return f'warehouse.marts."{name}"'

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """As in MartData, on a separate cursor."""
        used = {name: value for name, value in (parameters or {}).items() if f"${name}" in sql}
        with self._lock:
            cursor = self._connection.cursor()
        try:
            return cursor.execute(sql, used or None).pl()
        except duckdb.Error as error:
            raise self._explained(error) from None
        finally:
            cursor.close()

    def _explained(self, error: duckdb.Error, *, gone: bool = False) -> Exception:
        """A DamagedFileError if the file is gone or its bytes do not match their key or checksum; else the error itself."""
        if not gone and not is_damage(str(error)):
            return error
        self._on_damage()
        return DamagedFileError("the published file is gone or lost bytes on disk; the next run publishes it again")
