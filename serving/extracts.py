"""Extracts: one encrypted DuckDB file of what a person may see, with the data dictionary inside, for their own SQL.

    ATTACH 'harbor.duckdb' AS extract (ENCRYPTION_KEY '...', READ_ONLY);
    SELECT * FROM extract.dictionary.columns;

It holds the tables of the scope in the schema `marts`, and `dictionary.tables`, `dictionary.columns`, `dictionary.metrics`.
`dictionary.deidentification` says by which rule identity was taken out, and how well people hide (`serving.anonymity`).
Its key is random, returned once and kept nowhere. Every extract, refused or written, is an audit row.
"""

import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from foundation import duck
from foundation.deidentification import SAFE_HARBOR
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.anonymity import measure
from serving.metrics.registry import PublishedTable
from serving.model import Anonymity, ExtractReport
from serving.people.principal import Principal
from serving.people.scope import Scope
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from serving.scope_files.deidentify import released, shown_columns
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
    detail |= asdict(report.anonymity)
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
                _copy(connection, table, reader.scope)
                row = connection.execute(f'select count(*) from target.marts."{table.name}"').fetchone()
                counts[table.name] = int(row[0]) if row else 0
            anonymity = measure(connection, allowed_tables(reader.scope, reader.registry), _rule_of(reader))
            _dictionary(connection, reader, counts, anonymity)
            connection.execute("checkpoint target")
            connection.execute("detach target")
        temporary.chmod(0o600)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return ExtractReport(path=str(out), version=reader.version.version, tables=counts, key=key, anonymity=anonymity)


def _rule_of(reader: Reader) -> str:
    return reader.scope.deidentification or reader.scope.identity_level


def _copy(connection: duckdb.DuckDBPyConnection, table: PublishedTable, scope: Scope) -> None:
    """One table of the scope, as its rows may leave. Rows lie ordered by date in the scope: without dates they are shuffled."""
    rule = scope.deidentification
    columns = ", ".join(released(table, column.name, rule) for column in shown_columns(table, scope.identity_level))
    shuffled = " order by random()" if rule == SAFE_HARBOR and not table.shared else ""
    connection.execute(
        f'create table target.marts."{table.name}" as select {columns} from scope."{table.schema}"."{table.name}"{shuffled}'
    )


def _dictionary(
    connection: duckdb.DuckDBPyConnection, reader: Reader, counts: dict[str, int], anonymity: Anonymity
) -> None:
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
            for column in shown_columns(table, reader.scope.identity_level)
        ),
    )
    values = asdict(anonymity) | {"quasi_identifiers": ", ".join(anonymity.quasi_identifiers)}
    _table(connection, "deidentification", tuple(values), [tuple(values.values())])
    rows = (tuple(getattr(item, word) for word in METRIC_WORDS) for item in reader.metrics())
    _table(connection, "metrics", METRIC_WORDS, rows)


def _table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> None:
    held = pl.DataFrame(list(rows), schema=list(columns), orient="row", infer_schema_length=None)
    arrow_table: pa.Table = held.to_arrow()
    connection.register("dictionary_rows", arrow_table)
    connection.execute(f'create table target.dictionary."{name}" as from dictionary_rows')
    connection.unregister("dictionary_rows")
