"""The content of an extract: tables as rows may leave, views of the metrics, comments, and the dictionary.

marts.*          the tables of the scope
metrics.*        a view for each metric
dictionary.*     tables, columns, keys, metrics, deidentification, queries
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import duckdb
import polars as pl

from foundation import duck
from foundation.deidentification import SAFE_HARBOR
from foundation.home import Home
from serving.anonymity import measure
from serving.extracts.dictionary import frames, keys_of
from serving.extracts.metric_views import period_of, view_sql
from serving.metrics.plain_sql import PlainSql
from serving.metrics.registry import PublishedTable
from serving.metrics.shape import MetricError
from serving.model import Anonymity
from serving.people.scope import Scope
from serving.reader import Reader
from serving.scope_files.deidentify import released, shown_columns
from serving.scope_files.derive import allowed_tables, scope_file
from serving.versions.store import files_of

TARGET = "target"


@dataclass(frozen=True, kw_only=True)
class Content:
    """What an extract holds: rows of each table, the SQL of each metric's view, and the dictionary by name of its table."""

    counts: Mapping[str, int]
    views: Mapping[str, str]
    dictionary: Mapping[str, pl.DataFrame]
    anonymity: Anonymity


def fill(connection: duckdb.DuckDBPyConnection, home: Home, reader: Reader) -> Content:
    """Writes the content into the attached, empty database TARGET. The scope's file is attached for it and detached after it."""
    source, source_keys = scope_file(home, reader.version, reader.scope, reader.registry)
    duck.attach(connection, source, alias="scope", key=source_keys, read_only=True)
    # One transaction: each of the many views and comments would else wait for the disk.
    connection.execute("begin")
    content = _filled(connection, home, reader)
    connection.execute("commit")
    connection.execute("detach scope")
    return content


def _filled(connection: duckdb.DuckDBPyConnection, home: Home, reader: Reader) -> Content:
    tables = allowed_tables(reader.scope, reader.registry)
    for schema in ("marts", "metrics", "dictionary"):
        connection.execute(f"create schema {TARGET}.{schema}")
    counts: dict[str, int] = {}
    for table in tables:
        _copy(connection, table, reader.scope)
        row = connection.execute(f'select count(*) from {TARGET}.marts."{table.name}"').fetchone()
        counts[table.name] = int(row[0]) if row else 0
    rule = reader.scope.deidentification or reader.scope.identity_level
    anonymity = measure(connection, tables, rule)
    manifest = files_of(home, reader.version.tenant_id, reader.version.version).semantic_manifest.read_bytes()
    views = _metric_views(connection, reader, manifest)
    shown = {table: shown_columns(table, reader.scope.identity_level) for table in tables}
    names = {table.name: [column.name for column in columns] for table, columns in shown.items()}
    dictionary = frames(
        tables=shown,
        counts=counts,
        keys=keys_of(manifest, names),
        metrics=reader.metrics(),
        views=views,
        anonymity=anonymity,
    )
    for name, frame in dictionary.items():
        connection.register("dictionary_rows", frame.to_arrow())
        connection.execute(f'create table {TARGET}.dictionary."{name}" as from dictionary_rows')
        connection.unregister("dictionary_rows")
    return Content(counts=counts, views=views, dictionary=dictionary, anonymity=anonymity)


def _copy(connection: duckdb.DuckDBPyConnection, table: PublishedTable, scope: Scope) -> None:
    """One table of the scope, as its rows may leave. Rows lie ordered by date in the scope: without dates they are shuffled."""
    rule, name = scope.deidentification, f'{TARGET}.marts."{table.name}"'
    columns = shown_columns(table, scope.identity_level)
    selected = ", ".join(released(table, column.name, rule) for column in columns)
    shuffled = " order by random()" if rule == SAFE_HARBOR and not table.shared else ""
    connection.execute(f'create table {name} as select {selected} from scope."{table.schema}"."{table.name}"{shuffled}')
    connection.execute(f"comment on table {name} is {duck.quoted(table.description)}")
    for column in columns:
        connection.execute(f'comment on column {name}."{column.name}" is {duck.quoted(column.description)}')


def _metric_views(connection: duckdb.DuckDBPyConnection, reader: Reader, manifest: bytes) -> dict[str, str]:
    """Makes the views; returns metric to SQL. A metric has none where the rows leave without a column that it needs."""
    plain, period, made = PlainSql(manifest), period_of(reader.scope), dict[str, str]()
    # A view names its tables without the database, so that it works under each name that the file is attached under.
    connection.execute(f"use {TARGET}")
    for metric in reader.visible_metrics():
        definition = metric.definition
        with suppress(MetricError, duckdb.BinderException, duckdb.CatalogException):
            sql = view_sql(plain, reader.dimension_index, metric, period)
            connection.execute(f'create view metrics."{definition.name}" as {sql}')
            text = f"{definition.label}, by {period}. {definition.description}"
            connection.execute(f'comment on view metrics."{definition.name}" is {duck.quoted(text)}')
            made[definition.name] = sql
    connection.execute("use memory")
    return made
