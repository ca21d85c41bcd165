"""Writes a person's extract, and its audit row.

    ATTACH 'harbor.duckdb' AS extract (ENCRYPTION_KEY '...', READ_ONLY);
    SELECT * FROM extract.metrics.no_show_rate;

The DuckDB file is encrypted in a form that DuckDB 1.4 (LTS) and later releases open. Its key is random, returned once and kept nowhere.
The ZIP of Parquet files is not encrypted. Every extract, refused or written, is an audit row.
"""

import io
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import duckdb

from foundation import duck
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.extracts.content import TARGET, Content, fill
from serving.extracts.parquet_zip import write_zip
from serving.model import ExtractReport
from serving.people.principal import Principal
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader

KEY_BYTES = 32
DUCKDB, PARQUET = "duckdb", "parquet"
FORMATS = (DUCKDB, PARQUET)
# More than this is taken with `clinicmart extract`: a page keeps the file in memory until it is downloaded.
MOST_PAGE_BYTES = 512 * 1024**2


def extract(
    home: Home, principal: Principal, out: Path, *, file_format: str = DUCKDB, force: bool = False
) -> ExtractReport:
    """Writes a person's extract to `out` in one of FORMATS.

    Raises AccessError where the role takes no extracts, ConfigurationError for another format, where the file exists (unless `force`)
    or its folder does not.
    """
    out = Path(out).expanduser().absolute()

    def write(reader: Reader) -> ExtractReport:
        if not out.parent.is_dir():
            raise ConfigurationError(f"{out.parent}: there is no such folder")
        if out.exists() and not force:
            raise ConfigurationError(f"{out}: exists already; choose another name or overwrite it on purpose")
        return _write(home, reader, out, file_format)

    return _audited(home, principal, file_format, out.name, write)


def extract_bytes(
    home: Home, principal: Principal, *, file_format: str, as_of: str | None = None
) -> tuple[bytes, ExtractReport]:
    """A person's extract as bytes, for a page: nothing of it stays on the server's disk. `as_of` names a kept version.

    Raises AccessError where the role takes no extracts, ConfigurationError for another format and for more than MOST_PAGE_BYTES.
    """
    made: list[bytes] = []

    def write(reader: Reader) -> ExtractReport:
        buffer = io.BytesIO()
        report = _write(home, reader, buffer, file_format)
        _check_for_page(buffer.getbuffer().nbytes)
        made.append(buffer.getvalue())
        return report

    report = _audited(home, principal, file_format, "", write, as_of)
    return made[0], report


def _check_for_page(size: int) -> None:
    if size > MOST_PAGE_BYTES:
        raise ConfigurationError(
            "the extract is too large for a page; ask for it with clinicmart extract on the server"
        )


def _audited(
    home: Home,
    principal: Principal,
    file_format: str,
    name: str,
    write: Callable[[Reader], ExtractReport],
    as_of: str | None = None,
) -> ExtractReport:
    access, reader = AccessStore.open(home), open_reader(home, principal, as_of=as_of)
    try:
        if not reader.scope.may_extract:
            raise AccessError("your role takes no extracts, or the extracts module is switched off")
        if file_format not in FORMATS:
            raise ConfigurationError(f"{file_format!r} is not one of {', '.join(FORMATS)}")
        report = write(reader)
    except (AccessError, ConfigurationError) as error:
        refused: dict[str, object] = {"reason": type(error).__name__}
        access.audit(principal.tenant_id, principal.email, "extract", reader.scope.hash, refused, "refused")
        raise
    detail: dict[str, object] = {"version": report.version, "format": file_format, "tables": len(report.tables)}
    detail |= {"rows": report.rows, **({"file": name} if name else {}), **asdict(report.anonymity)}
    access.audit(principal.tenant_id, principal.email, "extract", reader.scope.hash, detail)
    return report


def _write(home: Home, reader: Reader, out: Path | io.BytesIO, file_format: str) -> ExtractReport:
    key = secrets.token_hex(KEY_BYTES)
    folder = home.folder("tmp") if isinstance(out, io.BytesIO) or file_format == PARQUET else out.parent
    # The name begins with the process: in the home, what a killed process left is removed later (`duck.remove_left_over`).
    temporary = folder / f"{os.getpid()}-{secrets.token_hex(4)}.extract.part"
    try:
        with duck.session(home) as connection:
            duck.attach(connection, temporary, alias=TARGET, key=key, for_lts=True)
            content = fill(connection, home, reader)
            connection.execute(f"checkpoint {TARGET}")
            if file_format == PARQUET:
                _write_zip(connection, content, reader, out)
            connection.execute(f"detach {TARGET}")
        if file_format == DUCKDB and isinstance(out, Path):
            temporary.chmod(0o600)
            temporary.replace(out)
        elif file_format == DUCKDB:
            assert isinstance(out, io.BytesIO)
            # Before it is read into memory.
            _check_for_page(temporary.stat().st_size)
            out.write(temporary.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)
    return ExtractReport(
        path=str(out) if isinstance(out, Path) else "",
        version=reader.version.version,
        tables=content.counts,
        key=key if file_format == DUCKDB else "",
        anonymity=content.anonymity,
    )


def _write_zip(connection: duckdb.DuckDBPyConnection, content: Content, reader: Reader, out: Path | io.BytesIO) -> None:
    if isinstance(out, io.BytesIO):
        write_zip(connection, content, reader.version, out)
        return
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        unfinished.touch(mode=0o600)
        write_zip(connection, content, reader.version, unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
