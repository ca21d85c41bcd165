"""Lineage: from a metric to the columns of marts it adds up, and from those to the fields of the raw tables they come from.

Read off the SQL that dbt compiled: every model is parsed once, each of its columns traced to the columns it is made of (values,
cases and the conditions inside them; not joins and filters of rows), and models are chained down to the raw tables. What rows
there are at all rests on every raw table below the model: `Lineage.entities`.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from foundation import formats
from foundation.errors import ConfigurationError
from foundation.kept_files import KeptFile, read_derived, write_derived

RAW = "raw"
LINEAGE_FILE = "lineage.json"
ROWS = "*"  # the column of a field that stands for rows being there at all
_DIALECT = "duckdb"
# A measure that adds up ones counts rows.
_ADDS_ONES = re.compile(r"\bthen 1\b|^1$")
_DIMENSION = re.compile(r"Dimension\(\s*'(?:\w+__)?(\w+)'\s*\)")
# Written by the load beside the columns of a contract.
_LOAD_COLUMNS = ("batch_sequence",)


class Field(NamedTuple):
    """A column of a relation: `raw.charge` and `billed_amount`, or a model's name and its column."""

    relation: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """`columns`: model to column to the fields it is directly made of. `inputs`: model to the relations it reads."""

    columns: Mapping[str, Mapping[str, tuple[Field, ...]]]
    inputs: Mapping[str, tuple[str, ...]]

    def sources(self, model: str, column: str) -> tuple[Field, ...]:
        """The raw fields behind one column of a model, sorted; none for a count of rows and for constants."""
        fields: set[Field] = set()
        self._walk(Field(model, column), fields, set())
        return tuple(sorted(fields))

    def _walk(self, at: Field, fields: set[Field], seen: set[Field]) -> None:
        for below in self.columns.get(at.relation, {}).get(at.column, ()):
            if below in seen:
                continue
            seen.add(below)
            if below.relation.startswith(f"{RAW}."):
                fields.add(below)
            else:
                self._walk(below, fields, seen)

    def entities(self, model: str) -> tuple[str, ...]:
        """The raw tables that a model's rows rest on, sorted, without the schema."""
        entities: set[str] = set()
        waiting, seen = [model], {model}
        while waiting:
            for below in self.inputs.get(waiting.pop(), ()):
                if below.startswith(f"{RAW}."):
                    entities.add(below.removeprefix(f"{RAW}."))
                elif below not in seen:
                    seen.add(below)
                    waiting.append(below)
        return tuple(sorted(entities))

    def to_json(self) -> bytes:
        """As a file, for `from_json`."""
        return _LineageFile(columns=self.columns, inputs=self.inputs).to_bytes()  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, content: bytes) -> "Lineage":
        """Reads what `to_json` of this or an earlier release wrote. Raises ValueError, and ConfigurationError for a later release's."""
        file = _LineageFile.parse(content)
        return cls(columns=file.columns, inputs=file.inputs)


class _LineageFile(KeptFile):
    """`lineage.json`."""

    FORMAT = formats.LINEAGE
    columns: dict[str, dict[str, tuple[Field, ...]]]
    inputs: dict[str, tuple[str, ...]]


def read_lineage(dbt_target: Path, manifest: Mapping[str, Any]) -> Lineage:
    """The lineage of a project that dbt built: worked out once (some seconds) for each state of the manifest's models, and kept
    in the target folder.

    Raises ConfigurationError where dbt has not compiled the models.
    """
    kept, state = dbt_target / LINEAGE_FILE, _state(manifest)
    noted = read_derived(kept)
    if noted.get("state") == state:
        with suppress(ValueError, KeyError):
            return Lineage.from_json(noted["lineage"].encode())
    lineage = lineage_of(manifest)
    write_derived(kept, {"state": state, "lineage": lineage.to_json().decode()})
    return lineage


def _state(manifest: Mapping[str, Any]) -> str:
    """A fingerprint of what lineage is read from: files of models and seeds, macros, the columns of sources, the engine, this file
    and the parser's version. Not the compiled SQL: that names the tenants of a run."""
    metadata = manifest.get("metadata") or {}
    own = f"macro.{metadata.get('project_name')}."
    parts = [
        [metadata.get("adapter_type"), _own_source(), version("sqlglot")],
        [
            (key, (node.get("checksum") or {}).get("checksum"), *node["columns"], _maps_identifiers(node))
            for key, node in sorted({**manifest["nodes"], **(manifest.get("sources") or {})}.items())
            if node["resource_type"] in ("model", "seed", "source")
        ],
        sorted((key, item["macro_sql"]) for key, item in (manifest.get("macros") or {}).items() if key.startswith(own)),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _own_source() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def lineage_of(manifest: Mapping[str, Any]) -> Lineage:
    """The lineage of a manifest whose models are compiled. Raises ConfigurationError naming a model that is not."""
    nodes = {
        **{key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("model", "seed")},
        **(manifest.get("sources") or {}),
    }
    needs = {
        key: [n for n in (node.get("depends_on") or {}).get("nodes", ()) if n in nodes] for key, node in nodes.items()
    }
    columns_of: dict[str, tuple[str, ...]] = {}
    columns: dict[str, dict[str, tuple[Field, ...]]] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    for key in TopologicalSorter(needs).static_order():
        node = nodes[key]
        if node["resource_type"] == "model":
            if not node.get("compiled_code"):
                raise ConfigurationError(f"model {node['name']} is not compiled; run clinicmart run first")
            read = [nodes[need] for need in needs[key]]
            traced = _trace(node["compiled_code"], _schema_of(read, columns_of))
            maps = {_name(other) for other in read if _maps_identifiers(other)}
            columns[_name(node)] = {name: _without(fields, maps) for name, fields in traced.items()}
            inputs[_name(node)] = tuple(sorted(_name(nodes[need]) for need in needs[key]))
            names: Iterable[str] = traced
        else:
            names = _columns_of_table(node)
        columns_of[_relation(node)] = tuple(names)
    return Lineage(columns=columns, inputs=inputs)


def _maps_identifiers(node: Mapping[str, Any]) -> bool:
    """Whether a model says which identifiers of all rows are one. An identifier that it rewrites still identifies its row, so
    it does not rest on the other rows."""
    return bool((node.get("meta") or {}).get("maps_identifiers"))


def _without(fields: tuple[Field, ...], relations: set[str]) -> tuple[Field, ...]:
    """The fields of other relations; all of them where there are no others."""
    return tuple(field for field in fields if field.relation not in relations) or fields


def _relation(node: Mapping[str, Any]) -> str:
    return f"{node['database']}.{node['schema']}.{node.get('identifier') or node.get('alias') or node['name']}"


def _schema_of(read: Iterable[Mapping[str, Any]], columns_of: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Columns of the relations that a model reads, as the parser wants them; of no others, since it copies what it is given."""
    schema: dict[str, Any] = {}
    for node in read:
        if names := columns_of[_relation(node)]:
            tables = schema.setdefault(node["database"], {}).setdefault(node["schema"], {})
            tables[_relation(node).rpartition(".")[2]] = dict.fromkeys(names, "text")
    return schema


def _columns_of_table(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns of a raw table or a seed; none for an operational table, which has no contract: those who read it tell them."""
    if node["resource_type"] == "seed":
        with (Path(node["root_path"]) / node["original_file_path"]).open(newline="", encoding="utf-8") as handle:
            return tuple(next(csv.reader(handle)))
    return (*node["columns"], *_LOAD_COLUMNS) if node["columns"] else ()


def _name(node: Mapping[str, Any]) -> str:
    if node["resource_type"] == "source":
        return f"{node['schema']}.{node['identifier']}"
    return str(node.get("alias") or node["name"])


def _trace(sql: str, schema: Mapping[str, Any]) -> dict[str, tuple[Field, ...]]:
    """Column of one compiled model to the fields of the relations it names."""
    # Imported late: only a run that changed the project, and the commands that ask, need a parser.
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer import build_scope
    from sqlglot.optimizer.qualify import qualify

    query = qualify(
        parse_one(sql, dialect=_DIALECT),
        dialect=_DIALECT,
        schema=dict(schema),
        quote_identifiers=False,
        identify=False,
        validate_qualify_columns=False,
    )
    assert isinstance(query, exp.Query)
    scope = build_scope(query)
    traced = {}
    for column in query.named_selects:
        leaves = set()
        # Trimming would copy the whole query once a column.
        found_at = lineage(
            column, query, schema=dict(schema), dialect=_DIALECT, scope=scope, copy=False, trim_selects=False
        )
        for node in found_at.walk():
            table = node.expression
            if isinstance(table, exp.Table):
                relation = f"{RAW}.{table.name}" if table.db == RAW else table.name
                leaves.add(Field(relation, node.name.rsplit(".", 1)[-1].strip('"')))
        traced[column] = tuple(sorted(leaves))
    return traced


@lru_cache(maxsize=512)
def _columns_of(expression: str) -> tuple[str, ...]:
    from sqlglot import exp, parse_one

    return tuple(sorted({column.name for column in parse_one(expression, dialect=_DIALECT).find_all(exp.Column)}))


def metric_fields(semantic: Mapping[str, Any], name: str) -> tuple[Field, ...]:
    """The columns of marts that a metric adds up, divides or filters by, sorted; of all metrics it is made of. What is
    counted row by row has the column `*`.

    Raises ConfigurationError for a metric that the semantic manifest does not have.
    """
    fields: set[Field] = set()
    for model, measure, filtered in _measures_of(semantic, name):
        table = model["node_relation"]["alias"]
        columns = _columns_of(str(measure.get("expr") or measure["name"]))
        fields |= {Field(table, column) for column in columns or (ROWS,)}
        fields |= {Field(table, column) for column in _filtered(model, *filtered)}
    return tuple(sorted(fields))


def counted_keys(semantic: Mapping[str, Any], name: str) -> tuple[Field, ...]:
    """The keys of the mart rows that a metric counts or averages, sorted; none for sums of a column.

    Raises ConfigurationError for a metric that the semantic manifest does not have.
    """
    fields: set[Field] = set()
    for model, measure, _ in _measures_of(semantic, name):
        if measure["agg"] != "sum" or _ADDS_ONES.search(str(measure.get("expr") or "")):
            keys = [entity for entity in model["entities"] if entity["type"] == "primary"]
            columns = {column for key in keys for column in _columns_of(str(key.get("expr") or key["name"]))}
            fields |= {Field(model["node_relation"]["alias"], column) for column in columns}
    return tuple(sorted(fields))


def _measures_of(
    semantic: Mapping[str, Any], name: str
) -> Iterable[tuple[Mapping[str, Any], Mapping[str, Any], tuple[Mapping[str, Any], ...]]]:
    """(semantic model, measure, what filters it) of a metric and of all metrics it is made of."""
    metrics = {metric["name"]: metric for metric in semantic["metrics"]}
    measures = {
        measure["name"]: (model, measure)
        for model in semantic["semantic_models"]
        for measure in model.get("measures") or ()
    }
    if name not in metrics:
        raise ConfigurationError(f"no metric {name!r}")
    waiting, seen = [name], {name}
    while waiting:
        metric = metrics[waiting.pop()]
        params = metric["type_params"]
        parts = [params.get("numerator"), params.get("denominator"), *(params.get("metrics") or ())]
        for part in parts:
            if part and part["name"] not in seen:
                seen.add(part["name"])
                waiting.append(part["name"])
        if params.get("measure"):
            yield *measures[params["measure"]["name"]], (metric, params["measure"])


def _filtered(model: Mapping[str, Any], *filtered: Mapping[str, Any]) -> set[str]:
    """Columns behind the dimensions that the filters of a metric and its measure name."""
    expressions = {item["name"]: str(item.get("expr") or item["name"]) for item in model["dimensions"]}
    texts = [
        part["where_sql_template"] for item in filtered for part in (item.get("filter") or {}).get("where_filters", ())
    ]
    named = {match for text in texts for match in _DIMENSION.findall(text)}
    return {column for name in named for column in _columns_of(expressions.get(name, name))}
