"""Runs one checked statement with limits of time, rows and memory. Another thread may stop it."""

import threading
import time
from dataclasses import dataclass, field

import duckdb
import polars as pl
import pyarrow as pa

from foundation.errors import ClinicmartError, ConfigurationError
from serving.workbench.rows_file import MEMORY, RowsFile
from serving.workbench.statement import Checked, plain

_BATCH_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one statement may take. `at_once` statements run in this process at a time."""

    seconds: float = 30
    rows: int = 100_000
    at_once: int = 4


LIMITS = Limits()
_RUNNING = threading.BoundedSemaphore(LIMITS.at_once)


class StoppedError(ClinicmartError):
    """The person cancelled the statement."""


class LimitError(ConfigurationError):
    """The statement takes more time or memory than it may."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The rows of a statement. `is_cut`: there are more rows than the limit."""

    frame: pl.DataFrame = field(repr=False)
    seconds: float
    is_cut: bool


class Stop:
    """Ends a statement from another thread, before or while it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self.is_asked = False
        self.is_late = False

    def ask(self) -> None:
        """Cancels the statement."""
        self._end(is_late=False)

    def _end(self, *, is_late: bool) -> None:
        with self._lock:
            self.is_late, self.is_asked = is_late, True
            if self._cursor is not None:
                self._cursor.interrupt()

    def over(self, cursor: duckdb.DuckDBPyConnection | None, seconds: float = 0) -> threading.Timer | None:
        """Watches a cursor, for so long at most; None ends the watch."""
        with self._lock:
            self._cursor = cursor
        if cursor is None:
            return None
        timer = threading.Timer(seconds, self._end, kwargs={"is_late": True})
        timer.daemon = True
        timer.start()
        return timer


def run(rows: RowsFile, statement: Checked, stop: Stop, limits: Limits = LIMITS) -> Result:
    """Runs a statement. Raises StoppedError, LimitError, and ConfigurationError with DuckDB's words for a statement that fails."""
    if not _RUNNING.acquire(blocking=False):
        raise LimitError(f"{limits.at_once} queries run on this server at the moment; try again in a few seconds")
    cursor, began = rows.cursor(), time.monotonic()
    timer = stop.over(cursor, limits.seconds)
    try:
        if stop.is_asked:
            raise StoppedError("the query was cancelled before it began")
        frame, is_cut = _fetched(cursor, statement.sql, limits.rows)
        return Result(frame=frame, seconds=time.monotonic() - began, is_cut=is_cut)
    except duckdb.Error as error:
        raise _explained(error, stop, limits) from None
    except pl.exceptions.PolarsError:
        raise ConfigurationError(
            "a column has a type that cannot be shown, such as an interval; write cast(... as varchar) around it"
        ) from None
    finally:
        if timer is not None:
            timer.cancel()
        stop.over(None)
        cursor.close()
        _RUNNING.release()


def _fetched(cursor: duckdb.DuckDBPyConnection, sql: str, most: int) -> tuple[pl.DataFrame, bool]:
    """(the first rows, whether there are more). Rows come in batches, so that no more than these are held."""
    reader = cursor.execute(sql).to_arrow_reader(_BATCH_ROWS)
    batches, held = [], 0
    for batch in reader:
        batches.append(batch)
        held += batch.num_rows
        if held > most:
            break
    table = pa.Table.from_batches(batches, schema=reader.schema)
    frame = pl.from_arrow(table.rename_columns(_distinct(table.column_names)))
    assert isinstance(frame, pl.DataFrame)
    return frame.head(most), held > most


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, each once: a join of two tables has some twice."""
    seen: set[str] = set()
    distinct = []
    for name in names:
        number, unique = 1, name
        while unique in seen:
            number += 1
            unique = f"{name}_{number}"
        seen.add(unique)
        distinct.append(unique)
    return distinct


def _explained(error: duckdb.Error, stop: Stop, limits: Limits) -> ClinicmartError:
    if isinstance(error, duckdb.InterruptException):
        if stop.is_late:
            return LimitError(
                f"the query took longer than {limits.seconds:g} seconds and was ended; narrow it, or take an extract"
            )
        return StoppedError("the query was cancelled")
    if isinstance(error, duckdb.OutOfMemoryException):
        return LimitError(f"the query needs more than {MEMORY} of memory; narrow it, or take an extract")
    return ConfigurationError(plain(error))
