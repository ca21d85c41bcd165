"""The process that runs one statement on a file of rows, and ends: `python -P -m foundation.statement_worker`. It loads little.

DuckDB's limit of memory does not count the values that a function makes: one `repeat` can take more than the machine has. So a statement
runs in a process that the system limits, and that can be ended at any moment. What ends is this process, not the one that serves pages.

It reads a `Task` as JSON from its input, writes the rows as an Arrow stream to its output, and an `Ending` as JSON to its error output.
"""

import json
import os
import resource
import signal
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    # DuckDB and Arrow work without it, and loading it takes as long as all else here.
    sys.modules["numpy"] = None  # type: ignore[assignment]

import duckdb
import pyarrow as pa

from foundation import duck
from foundation.home import Home

# DuckDB's limits, and the name of its only catalog.
MEMORY = "1GiB"
SPILLED = "4GiB"
THREADS = 2
ALIAS = "rows"
BATCH_ROWS = 2_048
# Beside what the process has when it begins: MEMORY, and as much for what that does not count.
MEMORY_BYTES = 2 * 1024**3
OUT_OF_MEMORY = "Out of Memory"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to run: `descriptor` is the number of the open file with the rows. The process ends itself after `seconds`."""

    home: str
    descriptor: int
    key: str
    sql: str
    seconds: float
    rows: int
    result_bytes: int


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How it went. `is_cut`: there are more rows than the limit. `is_too_large`: they have too many bytes. `problem`: DuckDB's words."""

    is_cut: bool = False
    is_too_large: bool = False
    problem: str = ""


def opened(home: Home, descriptor: int, key: str) -> duckdb.DuckDBPyConnection:
    """Opens the file so that SQL reads it and nothing else: no files, no extensions, no settings, no variables of Python. Its only
    catalog is ALIAS. The caller closes it."""
    connection = duck.connect(home, threads=THREADS)
    try:
        # The file has no name any more; Linux opens it by the number under which this process has it.
        duck.attach(connection, Path(f"/proc/self/fd/{descriptor}"), alias=ALIAS, key=key, read_only=True)
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
        connection.execute(f"use {ALIAS}.marts")
    except BaseException:
        connection.close()
        raise
    return connection


def main() -> None:
    """Runs the statement that the input names."""
    task = Task(**json.load(sys.stdin))
    try:
        ending = _run(task)
    except (duckdb.Error, pa.ArrowException, OSError, MemoryError) as error:
        # Arrow gives what DuckDB says after the first rows as an OSError.
        problem = OUT_OF_MEMORY if isinstance(error, MemoryError) else str(error)
        ending = Ending(problem=problem or type(error).__name__)
    sys.stdout.buffer.flush()
    sys.stderr.write(json.dumps(asdict(ending)))


def _run(task: Task) -> Ending:
    with closing(opened(Home.at(Path(task.home)), task.descriptor, task.key)) as connection:
        _limit_memory()
        signal.setitimer(signal.ITIMER_REAL, task.seconds)
        reader = connection.execute(task.sql).to_arrow_reader(BATCH_ROWS)
        held_rows = held_bytes = 0
        with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as stream:
            for batch in reader:
                held_rows, held_bytes = held_rows + batch.num_rows, held_bytes + batch.nbytes
                if held_bytes > task.result_bytes:
                    return Ending(is_too_large=True)
                stream.write_batch(batch)
                if held_rows > task.rows:
                    break
    return Ending(is_cut=held_rows > task.rows)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
