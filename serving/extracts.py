"""Extracts: one encrypted DuckDB file of what a person may see, with the data dictionary inside, for their own SQL.

    ATTACH 'harbor.duckdb' AS extract (ENCRYPTION_KEY '...', READ_ONLY);
    SELECT * FROM extract.dictionary.columns;

It holds the tables of the scope in the schema `marts`, and `dictionary.tables`, `dictionary.columns`, `dictionary.metrics`.
Its key is random, returned once and kept nowhere. Every extract, refused or written, is an audit row.
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from foundation import duck
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.model import ExtractReport
from serving.people.store import AccessStore, Principal
from serving.reader import Reader, open_reader
from serving.scope_files.derive import allowed_tables, scope_file

KEY_BYTES = 32
METRIC_WORDS = (
    *("name", "label", "description", "unit", "direction", "module", "numerator", "denominator"),
    *("exclusions", "grain", "date_basis", "null_rule", "source", "version", "variant_of"),
)


def extract(home: Home, principal: Principal, out: Path, *, force: bool = False) -> ExtractReport:
    """Writes a person's extract to `out`.

    Raises AccessError where the role takes no extracts, ConfigurationError where the file exists (unless `force`) or its
    folder does not.
    """
    access = AccessStore.open(home)
    reader = open_reader(home, principal)
    try:
        if not reader.scope.may_extract:
            raise AccessError("your role takes no extracts, or the extracts module is switched off")
        report = _write(home, reader, Path(out).expanduser().absolute(), force=force)
    except (AccessError, ConfigurationError) as error:
        detail: dict[str, object] = {"reason": type(error).__name__}
        access.audit(principal.tenant_id, principal.email, "extract", reader.scope.hash, detail, "refused")
        raise
    detail = {"version": report.version, "tables": len(report.tables), "rows": report.rows, "file": out.name}
    access.audit(principal.tenant_id, principal.email, "extract", reader.scope.hash, detail)
    return report


def _write(home: Home, reader: Reader, out: Path, *, force: bool) -> ExtractReport:
    if not out.parent.is_dir():
        raise ConfigurationError(f"{out.parent}: there is no such folder")
    if out.exists() and not force:
        raise ConfigurationError(f"{out}: exists already; choose another name or overwrite it on purpose")
    source, source_key = scope_file(home, reader.version, reader.scope, reader.registry)
    key = secrets.token_hex(KEY_BYTES)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    counts: dict[str, int] = {}
    try:
        with duck.session(home) as connection:
            duck.attach(connection, source, alias="scope", key=source_key, read_only=True)
            duck.attach(connection, temporary, alias="target", key=key)
            connection.execute("create schema target.marts; create schema target.dictionary")
            for table in allowed_tables(reader.scope, reader.registry):
                connection.execute(
                    f'create table target.marts."{table.name}" as from scope."{table.schema}"."{table.name}"'
                )
                row = connection.execute(f'select count(*) from target.marts."{table.name}"').fetchone()
                counts[table.name] = int(row[0]) if row else 0
            _dictionary(connection, reader, counts)
            connection.execute("checkpoint target")
            connection.execute("detach target")
        temporary.chmod(0o600)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return ExtractReport(path=str(out), version=reader.version.version, tables=counts, key=key)


def _dictionary(connection: duckdb.DuckDBPyConnection, reader: Reader, counts: dict[str, int]) -> None:
    """What each table, column and metric of the extract means, in the words of the models."""
    tables = allowed_tables(reader.scope, reader.registry)
    _table(
        connection,
        "tables",
        ("table_name", "module", "description", "row_count"),
        ((table.name, table.module, table.description, counts[table.name]) for table in tables),
    )
    _table(
        connection,
        "columns",
        ("table_name", "column_name", "data_type", "description", "identity"),
        (
            (table.name, column.name, column.data_type, column.description, column.identity)
            for table in tables
            for column in table.columns
        ),
    )
    rows = (tuple(getattr(item, word) for word in METRIC_WORDS) for item in reader.metrics())
    _table(connection, "metrics", METRIC_WORDS, rows)


def _table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> None:
    held = pl.DataFrame(list(rows), schema=list(columns), orient="row", infer_schema_length=None)
    given: pa.Table = held.to_arrow()
    connection.register("dictionary_rows", given)
    connection.execute(f'create table target.dictionary."{name}" as from dictionary_rows')
    connection.unregister("dictionary_rows")
