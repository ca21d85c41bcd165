"""Runs one checked statement with limits of time, rows and memory, in a process for it alone. Another thread may stop it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import polars as pl
import pyarrow as pa

from foundation.errors import ClinicmartError, ConfigurationError
from foundation.statement_worker import MEMORY, OUT_OF_MEMORY, Ending, Task
from serving.workbench.rows_file import RowsFile
from serving.workbench.statement import Checked, plain

# The process gets no secret of this one.
_PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")
# The process ends itself after the limit of seconds; one that does not is ended so many seconds later. It also has to start.
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one statement may take. `result_bytes`: the rows of its result.

    `at_once` statements run on this server at a time, `at_once_each` of them of one person, so that nobody takes all of them.
    """

    seconds: float = 30
    rows: int = 100_000
    result_bytes: int = 256 * 1024**2
    at_once: int = 4
    at_once_each: int = 2


LIMITS = Limits()
# How many statements of each person run: key is (tenant, user name).
_RUNNING: Counter[tuple[str, str]] = Counter()
_RUNNING_LOCK = threading.Lock()


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
        self._process: subprocess.Popen[bytes] | None = None
        self.is_asked = False

    def ask(self) -> None:
        """Cancels the statement."""
        with self._lock:
            self.is_asked = True
            if self._process is not None:
                self._process.kill()

    def over(self, process: subprocess.Popen[bytes]) -> None:
        """Names the process to end."""
        with self._lock:
            self._process = process
            if self.is_asked:
                process.kill()


def running_of(person: tuple[str, str]) -> int:
    """How many statements of a person (tenant, user name) run at the moment."""
    with _RUNNING_LOCK:
        return _RUNNING[person]


@contextmanager
def _place(person: tuple[str, str], limits: Limits) -> Iterator[None]:
    """One of the places to run. Raises LimitError where none is free."""
    with _RUNNING_LOCK:
        if _RUNNING[person] >= limits.at_once_each:
            raise LimitError(f"{limits.at_once_each} of your queries run at the moment; wait for one, or cancel it")
        if _RUNNING.total() >= limits.at_once:
            raise LimitError(f"{limits.at_once} queries run on this server at the moment; try again in a few seconds")
        _RUNNING[person] += 1
    try:
        yield
    finally:
        with _RUNNING_LOCK:
            _RUNNING[person] -= 1
            if not _RUNNING[person]:
                del _RUNNING[person]


def run(rows: RowsFile, statement: Checked, stop: Stop, limits: Limits = LIMITS, *, person: tuple[str, str]) -> Result:
    """Runs a statement of a person (tenant, user name).

    Raises StoppedError, LimitError, and ConfigurationError with DuckDB's words for a statement that fails.
    """
    if stop.is_asked:
        raise StoppedError("the query was cancelled before it began")
    with _place(person, limits):
        began = time.monotonic()
        content, ending = _asked(rows, statement.sql, stop, limits)
        try:
            frame = _frame(content, limits.rows)
        except pl.exceptions.PolarsError:
            raise ConfigurationError(
                "a column has a type that cannot be shown, such as an interval; write cast(... as varchar) around it"
            ) from None
        return Result(frame=frame, seconds=time.monotonic() - began, is_cut=ending.is_cut)


def _asked(rows: RowsFile, sql: str, stop: Stop, limits: Limits) -> tuple[bytes, Ending]:
    """(rows as an Arrow stream, how it went). Raises as `run`."""
    task = Task(
        home=str(rows.home.path),
        descriptor=rows.descriptor,
        key=rows.key,
        sql=sql,
        seconds=limits.seconds,
        rows=limits.rows,
        result_bytes=limits.result_bytes,
    )
    environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    with subprocess.Popen(  # our own program
        [sys.executable, "-P", "-m", "foundation.statement_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(rows.descriptor,),
        env=environment,
    ) as process:
        stop.over(process)
        try:
            content, errors = process.communicate(json.dumps(asdict(task)).encode(), limits.seconds + _PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise _late(limits) from None
    if stop.is_asked:
        raise StoppedError("the query was cancelled")
    if process.returncode == -signal.SIGALRM:
        raise _late(limits)
    try:
        ending = Ending(**json.loads(errors.splitlines()[-1]))
    except (ValueError, IndexError):
        if process.returncode < 0:
            # The system ended it: it could not have more memory.
            raise _too_much() from None
        raise ClinicmartError(
            f"the process of the query ended without an answer (exit code {process.returncode}); try again, and tell your administrator"
        ) from None
    if OUT_OF_MEMORY in ending.problem:
        raise _too_much()
    if ending.is_too_large:
        raise LimitError("the rows of the result are too large; select fewer columns, or take an extract")
    if ending.problem:
        raise ConfigurationError(plain(ending.problem))
    return content, ending


def _late(limits: Limits) -> LimitError:
    return LimitError(
        f"the query took longer than {limits.seconds:g} seconds and was ended; narrow it, or take an extract"
    )


def _too_much() -> LimitError:
    return LimitError(f"the query needs more than {MEMORY} of memory; narrow it, or take an extract")


def _frame(content: bytes, most: int) -> pl.DataFrame:
    """The first rows of an Arrow stream."""
    table = pa.ipc.open_stream(content).read_all()
    frame = pl.from_arrow(table.rename_columns(_distinct(table.column_names)))
    assert isinstance(frame, pl.DataFrame)
    return frame.head(most)


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
