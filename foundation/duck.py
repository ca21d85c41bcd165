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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.errors import ClinicmartError, DamagedFileError
from foundation.home import Home

EXTENSION = "httpfs.duckdb_extension"
_MOST_BYTES = 5 * 1024**3
_LEFT_OVER_SECONDS = 24 * 3600
# DuckDB's words for a file that another process has open: "Conflicting lock is held in <program> (PID <number>)".
_HELD = re.compile(r"Could not set lock on file.*?\((PID \d+)\)", re.DOTALL)
_LOCK_PATIENCE_SECONDS = 60.0
_progress = logging.getLogger("clinicmart.progress")
PARQUET_KEY = "landing"
_WRONG_KEY = "Wrong encryption key"
_READ_ONLY = ", read_only"
# The storage of 1.4, and its way to seal the text by which a key is checked: later releases seal it in another way, which 1.4 takes for
# a wrong key (duckdb pull request 20208). The pages are encrypted alike.
_FOR_LTS = ", storage_version 'v1.4.0', debug_encryption_version 'v0'"
# A database's key as hexadecimal digits, or the keys of which one opens it.
FileKeys = str | Sequence[str]
# The table of a database, and the key of a Parquet file's metadata, that hold the number of its form (`foundation.formats`).
_NUMBER = "clinicmart_format"
# What says how a Parquet file is encrypted is shorter.
_LONGEST_HEAD = 4096


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
    """Whether a process with this id runs, of any account."""
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
    # A slow statement would draw a progress bar into the output of the command.
    connection.execute("set enable_progress_bar = false")
    connection.execute("set global TimeZone = 'UTC'")  # for its cursors too
    if threads is not None:
        connection.execute(f"set threads = {int(threads)}")
    return connection


def attach(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    alias: str,
    key: FileKeys,
    read_only: bool = False,
    for_lts: bool = False,
) -> None:
    """Attaches an encrypted database file under a name. `key` is hexadecimal; of several, a new file gets the first, and one that exists
    is opened with the one that fits: while a tenant's keys are rotated, files of the earlier key are among them. A new file `for_lts` is
    written so that DuckDB 1.4 (LTS) and later releases open it.

    Waits while another process holds the file, and says which one. Raises ClinicmartError where it still holds it after a minute.
    """
    keys = (key,) if isinstance(key, str) else key
    # The first one again at the end: the file may be written again under it between two attempts.
    for key_to_try in keys if len(keys) > 1 and path.exists() else ():
        try:
            _attach(connection, path, alias, key_to_try, _READ_ONLY if read_only else "")
            return
        except duckdb.Error as error:
            if _WRONG_KEY not in str(error):
                raise
    _attach(connection, path, alias, keys[0], _READ_ONLY if read_only else _FOR_LTS if for_lts else "")


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, alias: str, key: str, mode: str) -> None:
    until, is_reported = time.monotonic() + _LOCK_PATIENCE_SECONDS, False
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
            if not is_reported:
                _progress.info("%s: waiting for another process (%s) that holds it", path.name, holder[1])
                is_reported = True
            time.sleep(0.2)
        except duckdb.Error as error:
            raise _named(error, path) from None


def _named(error: duckdb.Error, path: Path) -> duckdb.Error:
    """The error with the name of its file, which DuckDB does not always say."""
    return error if str(path) in str(error) else type(error)(f'{error} (file "{path}")')


def add_parquet_key(connection: duckdb.DuckDBPyConnection, key: bytes, *, name: str = PARQUET_KEY) -> None:
    """Gives the connection a key for encrypted Parquet, to be named in `encryption_config`. Shared by its cursors."""
    connection.execute(f"pragma add_parquet_key({quoted(name)}, {quoted(base64.b64encode(key).decode())})")


def add_parquet_keys(
    connection: duckdb.DuckDBPyConnection, keys: Sequence[bytes], *, name: str = PARQUET_KEY
) -> Callable[[Path], str]:
    """The same for files of which some may be under an earlier key. Returns a function that says the name of the key of a file.

    `name` is that of the first key, which new files get; it is also the answer for a file that none of them opens. With one key no file
    is looked at.
    """
    names = [name, *(f"{name}_{number}" for number in range(1, len(keys)))]
    for key, its_name in zip(keys, names, strict=True):
        add_parquet_key(connection, key, name=its_name)

    def name_of(path: Path) -> str:
        if len(keys) > 1:
            for key, its_name in zip(keys, names, strict=True):
                with suppress(DamagedFileError, OSError):
                    parquet_number(path, key)
                    return its_name
        return name

    return name_of


def parquet_of(paths: Path | Sequence[Path], key_name: str = PARQUET_KEY) -> str:
    """SQL: the rows of encrypted Parquet files that are alike, under a key that the connection has."""
    listed = ", ".join(quoted(str(path)) for path in ([paths] if isinstance(paths, Path) else paths))
    return f"read_parquet([{listed}], encryption_config = {{footer_key: '{key_name}'}})"


def parquet_options(number: int) -> str:
    """The options of a COPY that writes encrypted Parquet under PARQUET_KEY, with the number of its form in the file's own metadata."""
    return (
        f"format parquet, compression zstd, use_tmp_file true, kv_metadata {{{_NUMBER}: '{number}'}}, "
        f"encryption_config {{footer_key: '{PARQUET_KEY}'}}"
    )


def parquet_number(path: Path, key: bytes) -> int:
    """The number of the form of an encrypted Parquet file; 0 for one from before there were numbers. DuckDB does not read the metadata of
    encrypted files: the footer is decrypted here.

    The file ends with the footer, its length (4 bytes, little-endian) and `PARE`. The footer is what says how it is encrypted, in a few
    bytes, then a length, a nonce of 12 bytes, and AES-GCM of the metadata (Parquet Modular Encryption, without AAD). Raises
    DamagedFileError for another file, and where the key is wrong.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        size, magic = int.from_bytes(file.read(4), "little"), file.read(4)
        if magic == b"PARE" and size < path.stat().st_size:
            file.seek(-8 - size, os.SEEK_END)
            footer = file.read(size)
            for start in range(min(size - 4, _LONGEST_HEAD)):
                if int.from_bytes(footer[start : start + 4], "little") == size - start - 4:
                    sealed = footer[start + 4 :]
                    with suppress(InvalidTag):
                        clear = AESGCM(key).decrypt(sealed[:12], sealed[12:], None)
                        match = re.search(_NUMBER.encode() + rb"\x18.(\d+)", clear, re.DOTALL)
                        return int(match[1]) if match else 0
    raise DamagedFileError(f"{path}: is not a Parquet file that was written under this key")


def note_number(connection: duckdb.DuckDBPyConnection, alias: str, number: int) -> None:
    """Notes the number of its form in an attached database."""
    if number_of(connection, alias) == number:
        return
    connection.execute(f'create or replace table "{alias}".main.{_NUMBER} as select {int(number)} as number')


def number_of(connection: duckdb.DuckDBPyConnection, alias: str) -> int:
    """The number of the form of an attached database; 0 for one from before there were numbers."""
    there = connection.execute(
        f"select count(*) from duckdb_tables() where database_name = ? and schema_name = 'main' and table_name = '{_NUMBER}'",
        [alias],
    ).fetchone()
    if there is None or not there[0]:
        return 0
    row = connection.execute(f'select number from "{alias}".main.{_NUMBER}').fetchone()
    return 0 if row is None else int(row[0])


@contextmanager
def session(home: Home, **options: object) -> Iterator[duckdb.DuckDBPyConnection]:
    """`connect`, closed at the end."""
    connection = connect(home, **options)  # type: ignore[arg-type]
    try:
        yield connection
    finally:
        connection.close()
