"""Answers questions to a kept version without MetricFlow: SQL from the semantic manifest that lies beside the version.

A version that a close names is kept for ever, and the MetricFlow of its day is not. This compiler reads the manifest as plain JSON and
knows what this project's manifests use: sums, counts, means, medians, percentiles and balances of a mart, ratios and sums of these,
and dimensions of the mart or of a table one join away. Its answers equal MetricFlow's (`tests/serving/test_plain_sql.py`).

Each metric is a SELECT over its mart. Metrics of one question are put together by their groups; where a group has no row of a metric,
the metric is null, or 0 where the manifest says so.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from serving.metrics.shape import MetricError, Shape

_TIME = "metric_time"
# What a condition names: {{ Dimension('claim__payer_class') }}, {{ Entity('payer') }}, {{ TimeDimension('metric_time', 'day') }}.
_NAMED = re.compile(r"\{\{\s*(?:Dimension|Entity|TimeDimension)\(\s*'(\w+)'\s*(?:,\s*'(\w+)'\s*)?\)\s*\}\}")
_AGGREGATES = {
    "sum": "sum({value})",
    "sum_boolean": "sum(case when {value} then 1 else 0 end)",
    "count": "count({value})",
    "count_distinct": "count(distinct {value})",
    "average": "avg({value})",
    "min": "min({value})",
    "max": "max({value})",
    "median": "percentile_cont(0.5) within group (order by cast({value} as double))",
}


class PlainSql:
    """SQL of DuckDB for questions to one semantic manifest. Raises MetricError if the manifest uses a feature that this class does
    not support."""

    def __init__(self, semantic_manifest: bytes) -> None:
        manifest = json.loads(semantic_manifest)
        self._metrics = {metric["name"]: metric for metric in manifest["metrics"]}
        self._models = {model["name"]: model for model in manifest["semantic_models"]}
        self._measured = {
            measure["name"]: (model, measure)
            for model in manifest["semantic_models"]
            for measure in model.get("measures") or ()
        }

    @cached_property
    def _owners(self) -> dict[str, Mapping[str, Any]]:
        """Entity to the model of which it is the key."""
        return {_primary(model): model for model in self._models.values()}

    def sql(self, shape: Shape) -> str:
        """The SQL of a question."""
        parts = [self._metric(name, shape, ()) for name in shape.metrics]
        groups = [f'"{name}"' for name in shape.group_by]
        joined = _together([sql for sql, _ in parts], groups)
        values = [f'{value} as "{name}"' for name, (_, value) in zip(shape.metrics, parts, strict=True)]
        return f"select {', '.join([*groups, *values])} from ({joined})"

    def _metric(self, name: str, shape: Shape, conditions: tuple[str, ...]) -> tuple[str, str]:
        """(a SELECT of groups and values, the metric as an expression of these) for one metric under more conditions."""
        metric = self._metrics.get(name)
        if metric is None:
            raise MetricError(f"cannot work out {name}: the version does not have it")
        params, mine = metric["type_params"], (*conditions, *_templates(metric.get("filter")))
        if metric["type"] == "simple":
            return self._simple(name, params, shape, mine)
        if metric["type"] == "ratio":
            inputs = {"numerator": params["numerator"], "denominator": params["denominator"]}
        elif metric["type"] == "derived":
            inputs = {item.get("alias") or item["name"]: item for item in params["metrics"]}
        else:
            raise MetricError(f"cannot work out {name}: {metric['type']} metrics of kept versions are not known")
        parts: dict[str, str] = {}
        selects: list[str] = []
        for key, item in inputs.items():
            if item.get("offset_window") or item.get("offset_to_grain"):
                raise MetricError(f"cannot work out {name}: it looks back in time")
            sql, value = self._metric(item["name"], shape, (*mine, *_templates(item.get("filter"))))
            # One metric may stand twice in a question, under other conditions.
            own = f'"{name}//{key}"'
            keys = ", ".join(f'"{group}"' for group in shape.group_by)
            selects.append(f"select {keys + ', ' if keys else ''}{value} as {own} from ({sql})")
            parts[key] = self._filled(item["name"], own)
        groups = [f'"{group}"' for group in shape.group_by]
        if metric["type"] == "ratio":
            below = f"nullif(cast({parts['denominator']} as double), 0)"
            value = f"cast({parts['numerator']} as double) / {below}"
        else:
            value = re.sub(r"[A-Za-z_]\w*", lambda word: parts.get(word[0], word[0]), params["expr"])
        # Worked out before other metrics of the question add their groups: there it is null.
        named = ", ".join([*groups, f'{value} as "{name}"'])
        return f"select {named} from ({_together(selects, groups)})", f'"{name}"'

    def _filled(self, name: str, value: str) -> str:
        """A value of a metric where a group has no row of it."""
        measure = self._metrics[name]["type_params"].get("measure")
        filling = measure.get("fill_nulls_with") if isinstance(measure, Mapping) else None
        return value if filling is None else f"coalesce({value}, {filling})"

    def _simple(self, name: str, params: Mapping[str, Any], shape: Shape, mine: tuple[str, ...]) -> tuple[str, str]:
        asked = params["measure"]
        if asked.get("join_to_timespine") or asked["name"] not in self._measured:
            raise MetricError(f"cannot work out {name}: its measure is not known")
        model, measure = self._measured[asked["name"]]
        conditions = (*mine, *_templates(asked.get("filter")), *shape.where)
        return self._select(name, model, measure, shape.group_by, conditions), self._filled(name, f'"{name}"')

    def _select(
        self,
        name: str,
        model: Mapping[str, Any],
        measure: Mapping[str, Any],
        groups: Sequence[str],
        conditions: Sequence[str],
    ) -> str:
        day = measure.get("agg_time_dimension") or (model.get("defaults") or {}).get("agg_time_dimension")
        source = _Source(self._owners, model, str(day))
        keys = [source.column(group) for group in groups]
        wheres = [_NAMED.sub(lambda name: source.column(name[1], name[2]), condition) for condition in conditions]
        where = f"where {' and '.join(f'({item})' for item in wheres)}" if wheres else ""
        balance = measure.get("non_additive_dimension")
        only = ""
        if balance:
            # A balance is that of the last day of each period, of the rows that the conditions leave.
            last = source.column(f"{_primary(model)}__{balance['name']}")
            of_period = [source.column(g) for g in groups if g.startswith(f"{_TIME}__")]
            of_period += [source.column(g) for g in balance.get("window_groupings") or ()]
            choice = "min" if balance.get("window_choice") == "min" else "max"
            within = f"partition by {', '.join(of_period)}" if of_period else ""
            only = f"qualify {last} = {choice}({last}) over ({within})"
        value = source.value(_expression(measure))
        rows = [f'{key} as "{group}"' for key, group in zip(keys, groups, strict=True)]
        inner = f"select {', '.join([*rows, f'{value} as clinicmart_value'])} from {source.tables()} {where} {only}"
        grouped = [f'"{group}"' for group in groups]
        by = f"group by {', '.join(grouped)}" if grouped else ""
        return f'select {", ".join([*grouped, f"""{_aggregate(name, measure)} as "{name}" """])} from ({inner}) {by}'


class _Source:
    """A mart, and the tables one join away that a question needs."""

    def __init__(self, owners: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any], day: str) -> None:
        self._owners, self._model, self._day = owners, model, day
        self._joins: dict[str, Mapping[str, Any]] = {}
        self._columns: dict[str, str] = {}

    def value(self, expression: str) -> str:
        """An expression on columns of the mart, under a short name: a joined table may have columns of the same name."""
        return f"fact.{self._named(expression)}"

    def column(self, name: str, grain: str | None = None) -> str:
        """A dimension, an entity or a time as MetricFlow names it: `payer__payer_class`, `payer`, `metric_time__month`."""
        parts = name.split("__")
        if parts[0] == _TIME:
            return self._time(self._day, parts[1] if len(parts) > 1 else grain)
        if len(parts) == 1:
            return self.value(self._entity(name))
        link, element = parts[0], parts[1]
        if link == _primary(self._model):
            item = _dimension(self._model, element)
            return self._time(element, grain) if item["type"] == "time" else self.value(_expression(item))
        owner = self._owners.get(link)
        if owner is None or len(parts) > 2:
            raise MetricError(f"cannot work out {name}: a kept version does not lead there")
        self._joins[link] = owner
        return f'"{link}"."{element}"'

    def tables(self) -> str:
        """The FROM clause, once every column was asked for."""
        joined = []
        for link, owner in self._joins.items():
            key = self.value(self._entity(link))
            dimensions = [f'{_expression(item)} as "{item["name"]}"' for item in owner["dimensions"]]
            own = next(_expression(item) for item in owner["entities"] if item["name"] == link)
            columns = ", ".join([f"{own} as clinicmart_key", *dimensions])
            joined.append(
                f'left join (select {columns} from {_table(owner)}) as "{link}" on {key} = "{link}".clinicmart_key'
            )
        columns = ", ".join(f"{expression} as {name}" for expression, name in self._columns.items())
        return f"(select {columns} from {_table(self._model)}) as fact {' '.join(joined)}"

    def _named(self, expression: str) -> str:
        return self._columns.setdefault(expression, f"c{len(self._columns)}")

    def _entity(self, name: str) -> str:
        for item in self._model["entities"]:
            if item["name"] == name:
                return _expression(item)
        raise MetricError(f"cannot work out {name}: {self._model['name']} does not have it")

    def _time(self, dimension: str, grain: str | None) -> str:
        column = self.value(_expression(_dimension(self._model, dimension)))
        return f"date_trunc('{grain}', {column})" if grain else column


def _together(selects: Sequence[str], groups: Sequence[str]) -> str:
    """Several SELECTs of the same groups side by side, each group once."""
    if len(selects) == 1:
        return selects[0]
    rows = " union all by name ".join(f"({select})" for select in selects)
    if groups:
        return f"select {', '.join(groups)}, max(columns(* exclude ({', '.join(groups)}))) from ({rows}) group by {', '.join(groups)}"
    return f"select max(columns(*)) from ({rows})"


def _aggregate(name: str, measure: Mapping[str, Any]) -> str:
    kind, params = str(measure["agg"]).lower(), measure.get("agg_params") or {}
    if kind == "percentile" and not params.get("use_discrete_percentile"):
        return (
            f"percentile_cont({float(params['percentile'])}) within group (order by cast(clinicmart_value as double))"
        )
    if kind not in _AGGREGATES:
        raise MetricError(f"cannot work out {name}: {kind} is not known")
    return _AGGREGATES[kind].format(value="clinicmart_value")


def _templates(item: Mapping[str, Any] | None) -> Iterator[str]:
    for condition in (item or {}).get("where_filters") or ():
        yield str(condition["where_sql_template"])


def _expression(item: Mapping[str, Any]) -> str:
    return str(item.get("expr") or item["name"])


def _primary(model: Mapping[str, Any]) -> str:
    named = next((entity["name"] for entity in model["entities"] if entity["type"] == "primary"), None)
    return str(named or model.get("primary_entity") or "")


def _dimension(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for item in model["dimensions"]:
        if item["name"] == name:
            dimension: Mapping[str, Any] = item
            return dimension
    raise MetricError(f"cannot work out {name}: {model['name']} does not have it")


def _table(model: Mapping[str, Any]) -> str:
    return str(model["node_relation"]["relation_name"])
