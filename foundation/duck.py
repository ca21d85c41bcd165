"""DuckDB connections and encrypted files (AES-256-GCM).

Writing encrypted files needs OpenSSL, which DuckDB brings in its `httpfs` extension. The extension comes from a wheel,
is laid under the home's extension folder and loaded by path; DuckDB checks its signature and downloads nothing.
A DuckDB file has one writer or many readers, never both: readers open published copies.
"""

import base64
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from foundation.errors import ClinicmartError
from foundation.home import Home

EXTENSION = "httpfs.duckdb_extension"
_MOST_BYTES = 5 * 1024**3
_LEFT_OVER_SECONDS = 24 * 3600
# DuckDB's words for a file that another process has open: "Conflicting lock is held in <program> (PID <number>)".
_HELD = re.compile(r"Could not set lock on file.*?\((PID \d+)\)", re.DOTALL)
_LOCK_PATIENCE_SECONDS = 60.0
_progress = logging.getLogger("clinicmart.progress")
PARQUET_KEY = "landing"


def quoted(value: str) -> str:
    """A string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def install_extension(home: Home) -> Path:
    """Lays the extension where DuckDB and dbt look for it; returns the extension folder."""
    version = f"v{duckdb.__version__}"
    source = Path(str(files("duckdb_extension_httpfs"))) / "extensions" / version / EXTENSION
    with duckdb.connect() as connection:
        platform = str(connection.execute("pragma platform").fetchall()[0][0])
    target = home.extensions / version / platform / EXTENSION
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".part")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    return home.extensions


def settings(extensions: str | Path, temporary: str | Path) -> dict[str, Any]:
    """The configuration of one DuckDB that holds rows, dbt's among them: where it finds its extension, and how much it may use before
    it writes into a separate folder below `temporary`, encrypted: what lies there is no less confidential than the home's files.
    Two of them in one folder would give their files the same names, and read what the other wrote. DuckDB makes the folder when it
    needs it and removes it at its end; `remove_left_over` removes those of killed processes.

    It may use 5 GiB, or 80 % of a smaller machine, as DuckDB would. On a larger one it would take 80 % too, and keep what it read
    there: from those who ask for figures meanwhile.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "extension_directory": str(extensions),
        "temp_directory": str(Path(temporary) / f"{os.getpid()}-{secrets.token_hex(4)}"),
        "temp_file_encryption": True,
        "memory_limit": f"{min(_MOST_BYTES, there * 8 // 10)} B",
    }


def remove_left_over(home: Home) -> None:
    """Removes what killed processes had written because their memory was full: a day later, since a process of another container may
    use the home too, and is not seen from here."""
    for folder in home.folder("tmp").iterdir():
        if not is_alive(folder.name.split("-")[0]) and time.time() - folder.stat().st_mtime > _LEFT_OVER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)


def is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def connect(home: Home, *, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory connection in UTC that can read and write encrypted files. The caller closes it."""
    connection = duckdb.connect(config=settings(install_extension(home), home.folder("tmp")))
    connection.execute("load httpfs")
    # A slow statement would draw a bar into whatever the command prints.
    connection.execute("set enable_progress_bar = false")
    connection.execute("set global TimeZone = 'UTC'")  # for its cursors too
    if threads is not None:
        connection.execute(f"set threads = {int(threads)}")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path, *, alias: str, key: str, read_only: bool = False) -> None:
    """Attaches an encrypted database file under a name. `key` is hexadecimal.

    Waits while another process holds the file, and says which one. Raises ClinicmartError where it still holds it after a minute.
    """
    mode = ", read_only" if read_only else ""
    until, told = time.monotonic() + _LOCK_PATIENCE_SECONDS, False
    while True:
        try:
            connection.execute(f'attach {quoted(str(path))} as "{alias}" (encryption_key {quoted(key)}{mode})')
            return
        except duckdb.IOException as error:
            holder = _HELD.search(str(error))
            if holder is None:
                raise _named(error, path) from None
            if time.monotonic() > until:
                raise ClinicmartError(
                    f"{path} is held by another process ({holder[1]}); end that process, or wait for it, and try again"
                ) from None
            if not told:
                _progress.info("%s: waiting for another process (%s) that holds it", path.name, holder[1])
                told = True
            time.sleep(0.2)
        except duckdb.Error as error:
            raise _named(error, path) from None


def _named(error: duckdb.Error, path: Path) -> duckdb.Error:
    """The error with the name of its file, which DuckDB does not always say."""
    return error if str(path) in str(error) else type(error)(f'{error} (file "{path}")')


def add_parquet_key(connection: duckdb.DuckDBPyConnection, key: bytes, *, name: str = PARQUET_KEY) -> None:
    """Gives the connection a key for encrypted Parquet, to be named in `encryption_config`. Shared by its cursors."""
    connection.execute(f"pragma add_parquet_key({quoted(name)}, {quoted(base64.b64encode(key).decode())})")


@contextmanager
def session(home: Home, **options: object) -> Iterator[duckdb.DuckDBPyConnection]:
    """`connect`, closed at the end."""
    connection = connect(home, **options)  # type: ignore[arg-type]
    try:
        yield connection
    finally:
        connection.close()
