"""Published tables and metrics, read from dbt's manifests when a version is published.

What a model says in `config.meta`:  publish, shared (belongs to no tenant), unit_column, provider_column, module, order_by
A column:                            identity (patient, account, quasi, none), left_out (why rows without it do not count)
A metric:                            module, unit, direction, numerator, denominator, exclusions, grain, date_basis,
                                     null_rule, source, version, variant_of, drill, share_of, share_over,
                                     out_of (the denominator's metric, where no ratio says it), matures_after_days,
                                     matures_by (answers, money), known_on (the day on which a row began to count)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foundation.errors import ConfigurationError
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.left_out import left_out_of, reasons
from serving.metrics.registry import SCHEMAS, DrillRule, PublishedTable, RegistryMetric, TableColumn, private_columns
from serving.model import MATURITIES, MetricDefinition


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return content
    except OSError:
        raise ConfigurationError(f"{path}: is missing; run dbt before publishing") from None
    except ValueError:
        raise ConfigurationError(f"{path}: is not JSON; run dbt again") from None


def _meta(node: Mapping[str, Any]) -> dict[str, Any]:
    """`config.meta`, and the older top-level `meta` under it."""
    return {**(node.get("meta") or {}), **((node.get("config") or {}).get("meta") or {})}


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def published_tables(manifest: Mapping[str, Any], semantic: Mapping[str, Any]) -> tuple[PublishedTable, ...]:
    """Models with `meta: {publish: true}`, without their types. Raises ConfigurationError for one in another schema."""
    dates = _date_columns(semantic)
    tables = []
    for node in manifest["nodes"].values():
        meta = _meta(node)
        if node.get("resource_type") != "model" or not meta.get("publish"):
            continue
        name, schema = node.get("alias") or node["name"], node["schema"]
        if schema not in SCHEMAS:
            raise ConfigurationError(f"model {name}: only schemas {', '.join(SCHEMAS)} are published, not {schema}")
        folders = node["fqn"][1:-1]
        entries_by_column = {
            key: _meta(column)["left_out"] for key, column in node["columns"].items() if "left_out" in _meta(column)
        }
        columns = tuple(
            TableColumn(
                name=key,
                data_type=column.get("data_type") or "",
                description=_one_line(column.get("description")),
                identity=str(_meta(column).get("identity", "")),
                left_out=left_out_of(entries_by_column, key),
            )
            for key, column in node["columns"].items()
        )
        tables.append(
            PublishedTable(
                schema=schema,
                name=name,
                description=_one_line(node.get("description")),
                module=str(meta.get("module") or (folders[-1] if folders else schema)),
                shared=bool(meta.get("shared")),
                unit_column=str(meta.get("unit_column") or "service_unit_id"),
                provider_column=str(meta.get("provider_column") or "provider_id"),
                order_by=tuple(meta.get("order_by") or dates.get(name, ())),
                columns=columns,
            )
        )
    return tuple(sorted(tables, key=lambda table: (table.schema, table.name)))


def _date_columns(semantic: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Table to the plain column behind its default time dimension: what most questions filter by."""
    date_columns: dict[str, tuple[str, ...]] = {}
    for model in semantic["semantic_models"]:
        default = (model.get("defaults") or {}).get("agg_time_dimension")
        for dimension in model["dimensions"]:
            if dimension["name"] == default and str(dimension.get("expr") or default).isidentifier():
                date_columns[model["node_relation"]["alias"]] = (str(dimension.get("expr") or default),)
    return date_columns


class _Metrics:
    """Walks the metrics of a semantic manifest."""

    def __init__(self, semantic: Mapping[str, Any]) -> None:
        self.by_name = {metric["name"]: metric for metric in semantic["metrics"]}
        self.models = {model["name"]: model for model in semantic["semantic_models"]}
        self.measures = {
            measure["name"]: (model, measure)
            for model in semantic["semantic_models"]
            for measure in model.get("measures") or ()
        }

    def inputs(self, metric: Mapping[str, Any]) -> Iterator[str]:
        """Names of the metrics that a ratio or derived metric is computed from."""
        params = metric["type_params"]
        for part in (params.get("numerator"), params.get("denominator"), params.get("metric")):
            if isinstance(part, Mapping):
                yield part["name"]
        for part in params.get("metrics") or ():
            yield part["name"]

    def sources(self, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(semantic model, measure) of every measure that a metric uses."""
        metric = self.by_name.get(name)
        if metric is None:
            return
        params = metric["type_params"]
        own = params.get("metric_aggregation_params")
        conversion = params.get("conversion_type_params") or {}
        named = [params.get("measure"), conversion.get("base_measure"), conversion.get("conversion_measure")]
        if own:
            yield self.models[own["semantic_model"]], own
        for measure in named:
            if isinstance(measure, Mapping) and measure["name"] in self.measures:
                yield self.measures[measure["name"]]
        for part in self.inputs(metric):
            yield from self.sources(part)

    def tables(self, name: str) -> tuple[str, ...]:
        return tuple(sorted({model["node_relation"]["alias"] for model, _ in self.sources(name)}))

    def dates(self, name: str, table: str) -> tuple[str, bool]:
        """(date column of a metric in a table, whether only the last day of a period counts)."""
        for model, measure in self.sources(name):
            if model["node_relation"]["alias"] == table:
                wanted = measure.get("agg_time_dimension") or (model.get("defaults") or {}).get("agg_time_dimension")
                times = {item["name"]: item.get("expr") or item["name"] for item in model["dimensions"]}
                return times.get(wanted, ""), bool(measure.get("non_additive_dimension"))
        # Rows of another table than the metric's own (a share of lines, asked of a mart of days): its default date.
        for model in self.models.values():
            wanted = (model.get("defaults") or {}).get("agg_time_dimension")
            if model["node_relation"]["alias"] == table and wanted:
                times = {item["name"]: item.get("expr") or item["name"] for item in model["dimensions"]}
                return times.get(wanted, ""), False
        return "", False

    def figure_of(self, name: str, meta: Mapping[str, Any]) -> str:
        """The metric whose figure the rows add up to: of a share and a ratio the part above the line."""
        params = self.by_name[name]["type_params"]
        above = params.get("numerator") if self.by_name[name]["type"] == "ratio" else None
        return _text(meta, "share_of") or (above["name"] if above else name)

    def out_of(self, name: str) -> str:
        """The metric below the line of a ratio; empty for other metrics and where it is filtered for this ratio alone."""
        metric = self.by_name[name]
        below = metric["type_params"].get("denominator") if metric["type"] == "ratio" else None
        return below["name"] if below and not below.get("filter") else ""

    def is_additive(self, name: str) -> bool:
        """Whether no rows mean 0: a plain sum or count that is not a balance, or as the metric declares for empty periods."""
        metric = self.by_name[name]
        if metric["type"] != "simple":
            return False
        measure = metric["type_params"].get("measure")
        if isinstance(measure, Mapping) and measure.get("fill_nulls_with") == 0:
            return True
        return all(
            str(source.get("agg")).lower() in {"sum", "count", "count_distinct", "sum_boolean"}
            and not source.get("non_additive_dimension")
            for _, source in self.sources(name)
        )


def _text(meta: Mapping[str, Any], key: str) -> str:
    return str(meta.get(key) or "").strip()


def _maturity(meta: Mapping[str, Any], name: str) -> str:
    text = _text(meta, "matures_by")
    if text and text not in MATURITIES:
        raise ConfigurationError(f"metric {name}: matures_by {text!r} is not one of {', '.join(MATURITIES)}")
    return text


def _known_on(meta: Mapping[str, Any], walk: _Metrics, name: str) -> str:
    """The day on which a row began to count: a time dimension that every fact of the metric has."""
    text = _text(meta, "known_on")
    for model, _ in walk.sources(name) if text else ():
        if text not in {item["name"] for item in model["dimensions"] if item["type"] == "time"}:
            raise ConfigurationError(f"metric {name}: known_on {text!r} is not a day of {model['name']}")
    return text


def _drill(
    meta: Mapping[str, Any], walk: _Metrics, name: str, columns: Mapping[str, Mapping[str, TableColumn]]
) -> DrillRule | None:
    raw = meta.get("drill")
    if not raw:
        return None
    table, distinct, value = str(raw["model"]), raw.get("distinct"), raw.get("value")
    date_column, is_snapshot = walk.dates(name, table)
    aggregate = str(raw.get("aggregate") or ("distinct" if distinct else "sum" if value else "count"))
    # A mean of rows is the ratio itself; a sum or count of rows is what stands above its line.
    adds_up = aggregate in {"count", "distinct", "sum"}
    rule = DrillRule(
        model=table,
        row_filter=str(raw.get("row_filter") or "").strip(),
        value=str(distinct or value or "").strip(),
        aggregate=aggregate,
        date_column=str(raw.get("date_column") or date_column),
        is_snapshot=is_snapshot,
        figure_of=str(raw.get("figure_of") or (walk.figure_of(name, meta) if adds_up else name)),
    )
    mine = columns.get(table, {})
    return replace(rule, left_out=reasons(rule.row_filter, mine), not_above=reasons(rule.counted_condition, mine))


def registry_metrics(semantic: Mapping[str, Any], tables: Sequence[PublishedTable]) -> dict[str, RegistryMetric]:
    """The public metrics: those with `meta.unit`. Metrics without a unit are building blocks of others and stay private."""
    walk = _Metrics(semantic)
    folder = {table.name: table.module for table in tables}
    metas = {name: _meta(metric) for name, metric in walk.by_name.items()}
    variants: dict[str, list[str]] = {}
    for name, meta in metas.items():
        if meta.get("variant_of"):
            variants.setdefault(str(meta["variant_of"]), []).append(name)
    dimensions = DimensionIndex(semantic, private_columns(tables))
    columns = {table.name: {column.name: column for column in table.columns} for table in tables}
    definitions = {}
    for name, metric in sorted(walk.by_name.items()):
        meta, sources = metas[name], walk.tables(name)
        module = _text(meta, "module") or next((folder[table] for table in sources if table in folder), "")
        if not _text(meta, "unit") or any(table not in folder for table in sources):
            continue
        drill = _drill(meta, walk, name, columns)
        definitions[name] = RegistryMetric(
            definition=MetricDefinition(
                name=name,
                label=metric.get("label") or name.replace("_", " ").capitalize(),
                description=(metric.get("description") or "").strip(),
                unit=_text(meta, "unit"),
                direction=_text(meta, "direction") or "neutral",
                module=module,
                numerator=_text(meta, "numerator"),
                denominator=_text(meta, "denominator"),
                exclusions=_text(meta, "exclusions"),
                grain=_text(meta, "grain"),
                date_basis=_text(meta, "date_basis"),
                null_rule=_text(meta, "null_rule"),
                source=_text(meta, "source"),
                version=_text(meta, "version") or "1",
                variant_of=_text(meta, "variant_of") or None,
                variants=tuple(sorted(variants.get(name, ()))),
                dimensions=dimensions.of(name),
                can_drill=drill is not None,
                out_of=_text(meta, "out_of") or walk.out_of(name),
                matures_after_days=meta.get("matures_after_days"),
                matures_by=_maturity(meta, name),
                known_on=_known_on(meta, walk, name),
            ),
            tables=sources,
            drill=drill,
            share_of=_text(meta, "share_of"),
            share_over=tuple(meta.get("share_over") or ()),
            is_additive=walk.is_additive(name),
        )
    return definitions


def read_manifests(dbt_target: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """(manifest, semantic manifest, the latter's bytes) of a dbt target folder. Raises ConfigurationError if absent."""
    manifest = _read(dbt_target / "manifest.json")
    semantic = _read(dbt_target / "semantic_manifest.json")
    return manifest, semantic, (dbt_target / "semantic_manifest.json").read_bytes()
