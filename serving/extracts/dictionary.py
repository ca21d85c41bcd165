"""The dictionary of an extract: tables, columns, keys, metrics, the rule of de-identification, and example queries.

No cell is blank: where a thing does not apply, the dictionary says so. Keys are those that the semantic models declare as entities.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from serving.metrics.registry import PublishedTable, TableColumn
from serving.model import Anonymity, MetricDefinition

PRIMARY, REFERENCES = "primary", "references"
_METRIC_WORDS = (
    "name",
    "label",
    "description",
    "unit",
    "direction",
    "module",
    "numerator",
    "denominator",
    "exclusions",
)
_MORE_WORDS = ("grain", "date_basis", "null_rule", "source", "version", "variant_of")
_BLANKS = {
    "numerator": "the value itself",
    "denominator": "no denominator: the value is a count, a sum, a mean or a median",
    "exclusions": "nothing is left out",
    "variant_of": "no variant of another metric",
}
_NOT_STATED = "not stated"
_KEYS = ("table_name", "column_name", "kind", "references_table", "references_column")


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of a table: its own (`kind` primary), or one that leads to a row of another table."""

    table: str
    column: str
    kind: str
    references_table: str = ""
    references_column: str = ""


def keys_of(semantic_manifest: bytes, columns: Mapping[str, Sequence[str]]) -> tuple[Key, ...]:
    """The keys of the tables of an extract, by table. `columns` are the columns of each table: a key that was left out is not named."""
    models = json.loads(semantic_manifest)["semantic_models"]
    owners: dict[str, tuple[str, str]] = {}
    for model in models:
        for entity in _entities(model, columns):
            if entity["type"] == "primary":
                owners[entity["name"]] = (model["node_relation"]["alias"], _column(entity))
    keys = set()
    for model in models:
        table = model["node_relation"]["alias"]
        for entity in _entities(model, columns):
            if entity["type"] == "primary":
                keys.add(Key(table=table, column=_column(entity), kind=PRIMARY))
            elif entity["name"] in owners:
                to_table, to_column = owners[entity["name"]]
                keys.add(
                    Key(
                        table=table,
                        column=_column(entity),
                        kind=REFERENCES,
                        references_table=to_table,
                        references_column=to_column,
                    )
                )
    return tuple(sorted(keys, key=lambda key: (key.table, key.kind, key.column)))


def _entities(model: Mapping[str, Any], columns: Mapping[str, Sequence[str]]) -> list[Mapping[str, Any]]:
    held = columns.get(model["node_relation"]["alias"], ())
    return [entity for entity in model["entities"] if _column(entity) in held]


def _column(entity: Mapping[str, Any]) -> str:
    return str(entity.get("expr") or entity["name"])


def frames(
    *,
    tables: Mapping[PublishedTable, Sequence[TableColumn]],
    counts: Mapping[str, int],
    keys: Sequence[Key],
    metrics: Sequence[MetricDefinition],
    views: Mapping[str, str],
    anonymity: Anonymity,
) -> dict[str, pl.DataFrame]:
    """The tables of the dictionary by name. `tables` maps a table to its columns that are shown, `views` a metric to the SQL of its view;
    a metric without one says so."""
    leads = {
        (key.table, key.column): f"{key.references_table}.{key.references_column}"
        for key in keys
        if key.references_table
    }
    own = {(key.table, key.column) for key in keys if key.kind == PRIMARY}
    measured = asdict(anonymity) | {"quasi_identifiers": ", ".join(anonymity.quasi_identifiers) or "none"}
    return {
        "tables": _frame(
            ("table_name", "module", "description", "row_count"),
            ((table.name, table.module, table.description or _NOT_STATED, counts[table.name]) for table in tables),
        ),
        "columns": _frame(
            ("table_name", "column_name", "data_type", "description", "identity", "key"),
            (
                (
                    *(table.name, column.name, column.data_type, column.description or _NOT_STATED),
                    column.identity or "unmarked",
                    "primary" if (table.name, column.name) in own else leads.get((table.name, column.name), "no key"),
                )
                for table, columns in tables.items()
                for column in columns
            ),
        ),
        "keys": _frame(
            _KEYS,
            (
                (key.table, key.column, key.kind, key.references_table or "none", key.references_column or "none")
                for key in keys
            ),
        ),
        "metrics": _frame(
            (*_METRIC_WORDS, *_MORE_WORDS, "view_name", "view_sql"),
            ((*_words(metric), *_view(metric.name, views)) for metric in metrics),
        ),
        "deidentification": _frame(tuple(measured), [tuple(measured.values())]),
        "queries": _frame(("title", "sql"), example_queries(list(views), keys)),
    }


def _words(metric: MetricDefinition) -> list[str]:
    return [
        str(getattr(metric, word) or _BLANKS.get(word, _NOT_STATED)) for word in (*_METRIC_WORDS, *_MORE_WORDS)
    ]  # fmt: skip


def _view(name: str, views: Mapping[str, str]) -> tuple[str, str]:
    if name in views:
        return f"metrics.{name}", views[name]
    return "no view", "the extract leaves out a column that this metric needs"


def _frame(names: Sequence[str], rows: Iterable[Sequence[object]]) -> pl.DataFrame:
    held = list(rows)
    schema = dict.fromkeys(names, pl.String()) if not held else list(names)
    return pl.DataFrame(held, schema=schema, orient="row", infer_schema_length=None)


def example_queries(metrics: Sequence[str], keys: Sequence[Key]) -> list[tuple[str, str]]:
    """(title, SQL) of queries that run on the extract as it is."""
    queries = [
        (
            "What the tables hold",
            "select table_name, description, row_count from dictionary.tables order by table_name",
        ),
        (
            "The metrics and what they mean",
            "select name, label, unit, description from dictionary.metrics order by name",
        ),
        ("How the tables are joined", "select * from dictionary.keys where kind = 'references' order by table_name"),
        ("How well people hide", "select * from dictionary.deidentification"),
    ]
    for name in [name for name in _USUAL_METRICS if name in metrics] or metrics[:1]:
        queries.append((f"The metric {name} over time", f'select * from metrics."{name}" order by all'))
    joined = next((key for table in _USUAL_TABLES for key in keys if key.references_table == table), None)
    if joined is not None:
        sql = (
            f"select other.name, count(*) as row_count from marts.{joined.table} as fact "
            f"join marts.{joined.references_table} as other on fact.{joined.column} = other.{joined.references_column} "
            "group by other.name order by row_count desc"
        )
        queries.append((f"Rows of {joined.table} by name", sql))
    return queries


_USUAL_METRICS = ("no_show_rate", "net_collection_rate", "denial_rate")
# Dimensions with a column `name`.
_USUAL_TABLES = ("dim_service_units", "dim_payers")
