"""The rows behind a figure, from the metric's own definition.

`meta.drill` of a metric names the model, the condition and what is added up; the filters and the period of the question
are the same as the metric's. The figure is worked out again from these rows alone, so that a person can compare.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from foundation.deidentification import SAFE_HARBOR
from foundation.errors import AccessError, ConfigurationError
from serving.metrics.answers import Metrics, values_of
from serving.metrics.dimensions import CHILDREN, SERVICE_UNIT, Fact, Member
from serving.metrics.registry import DrillRule, PublishedTable
from serving.model import Drill, Filter, Listing
from serving.people.scope import Scope
from serving.rows.row_sources import RULES
from serving.scope_files.deidentify import released, shown_columns

LIMIT = 10_000
_FIGURES = {
    "count": "count(*)",
    "distinct": "count(distinct {value})",
    "sum": "sum({value})",
    "average": "avg({value})",
    # Of decimals they would be rounded to the digits of those.
    "median": "median(cast({value} as double))",
    "percentile_90": "quantile_cont(cast({value} as double), 0.9)",
}
# Join keys repeat the identifiers beside them, and a reader sees one tenant only.
_TECHNICAL = ("_key",)
_TECHNICAL_NAMES = frozenset({"tenant_id", "batch_id", "batch_sequence"})
VALUE = "value"
# The place of a row in the usual order, while rows are listed.
PLACE = "//place"
_PARTS_OF_DAYS = frozenset({"hour_of_day", "weekday", "is_midnight", "days_before"})


def drill(
    metrics: Metrics,
    name: str,
    where: Mapping[str, Filter],
    date_from: date | None,
    date_to: date | None,
    *,
    limit: int,
    offset: int,
    counted_only: bool = False,
    listing: Listing | None = None,
    most: int = LIMIT,
) -> Drill:
    """One page of the rows behind a metric's figure. `counted_only` leaves out, of a share of rows, those not above the line.
    A page has at most `most` rows.

    Raises AccessError for a scope that sees figures only, ConfigurationError for a metric without own rows or a
    dimension that these rows do not have.
    """
    metric = metrics.metric(name)
    if not metrics.scope.row_tables_allowed:
        raise AccessError("your role sees figures, not rows")
    rule = metric.drill
    if rule is None:
        raise ConfigurationError(f"the metric {name} is computed from other metrics and has no rows")
    if not 1 <= limit <= most or offset < 0:
        raise ConfigurationError(f"limit is 1 to {most:,}, offset 0 or more")
    if metrics.scope.deidentification == SAFE_HARBOR:
        _check_whole_years(where, date_from, date_to)
    table = metrics.registry.table(rule.model)
    if table is None:
        raise ConfigurationError(f"the rows behind {name} are not published")
    condition, parameters = condition_of(metrics, name, rule, where, date_from, date_to)
    source = f'warehouse.{table.schema}."{table.name}"'
    mine = rule.row_filter or "true"
    figure = _FIGURES[rule.aggregate].format(value=f"({rule.value})")
    counted = f"({mine}) and ({rule.counted_condition})" if rule.counted_condition else mine
    totals = metrics.data.frame(
        f"select count(*) filter (where {mine}) as rows, count(*) filter (where {counted}) as counted, "
        f"{figure} filter (where {mine}) as figure, count(*) as around "
        f"from {source} where {condition}",
        parameters,
    ).row(0, named=True)
    shown, value_column = _columns(table, rule, metrics.scope)
    listed = counted if counted_only else mine
    rows = (
        f'select {shown}, row_number() over (order by {_order(table, rule)}) as "{PLACE}" '
        f"from {source} where {condition} and ({listed})"
    )
    frame, found_rows = _listed(metrics, rows, parameters, listing or Listing(), limit=limit, offset=offset)
    total_rows = int(totals["counted" if counted_only else "rows"])
    value, figure_of = totals["figure"], metrics.registry.metrics.get(rule.figure_of)
    # A sum over no row of the metric is 0 where there are rows around (no credit among the balances), else as the metric.
    empty_is_nought = figure_of is not None and figure_of.is_additive
    if value is None and (empty_is_nought or (rule.aggregate == "sum" and totals["around"])):
        value = 0
    return Drill(
        metric=name,
        frame=frame,
        total_rows=total_rows,
        total_value=value,
        value_column=value_column,
        figure_of=rule.figure_of,
        table=rule.model,
        source_key=RULES[rule.model].key if rule.model in RULES else "",
        counted_rows=int(totals["counted"]) if rule.counted_condition else None,
        base_rows=int(totals["rows"]),
        listed_rows=total_rows if found_rows is None else found_rows,
    )


def _listed(
    metrics: Metrics, rows: str, parameters: Mapping[str, Any], listing: Listing, *, limit: int, offset: int
) -> tuple[pl.DataFrame, int | None]:
    """(one page, how many rows the search found; None without a search) of a SELECT of rows, as it leaves this place.

    A search reads the columns as the person sees them, so that it finds nothing that is not shown.
    """
    columns = metrics.data.frame(f"{rows} limit 0", parameters).columns
    order = f'"{PLACE}"'
    if listing.order_by:
        name, direction = listing.order_by.removeprefix("-"), "desc" if listing.order_by.startswith("-") else "asc"
        if name not in columns or name == PLACE:
            raise ConfigurationError(f"these rows have no column {name!r} to sort by")
        parameters = {**parameters, "order_ids": list(listing.order_ids)}
        key = f'list_position($order_ids, "{name}")' if listing.order_ids else f'"{name}"'
        order = f"{key} {direction} nulls last, {order}"
    searched, found_rows = "true", None
    if listing.search:
        texts = [f'contains(lower(cast("{name}" as varchar)), lower($search))' for name in columns if name != PLACE]
        parameters = {**parameters, "search": listing.search}
        for place, (name, ids) in enumerate(sorted(listing.search_ids.items())):
            if name in columns:
                parameters[f"ids{place}"] = list(ids)
                texts.append(f'"{name}" in (select unnest($ids{place}))')
        searched = " or ".join(texts)
        found_rows = int(
            metrics.data.frame(f"select count(*) as rows from ({rows}) where {searched}", parameters).item()
        )
    page = metrics.data.frame(
        f'select * exclude ("{PLACE}") from ({rows}) where {searched} order by {order} '
        f"limit {int(limit)} offset {int(offset)}",
        parameters,
    )
    return page, found_rows


def _check_whole_years(where: Mapping[str, Filter], date_from: date | None, date_to: date | None) -> None:
    """Raises AccessError for rows of a shorter period than a year: asking for one day would tell the day of each row."""
    is_whole = (date_from is None or (date_from.month, date_from.day) == (1, 1)) and (
        date_to is None or (date_to.month, date_to.day) == (12, 31)
    )
    if not is_whole or _PARTS_OF_DAYS & set(where):
        raise AccessError(
            "by your organization's rule (Safe Harbor) rows are shown for whole years, 1 January to 31 December, and not by weekday "
            "or hour"
        )


def _columns(table: PublishedTable, rule: DrillRule, scope: Scope) -> tuple[str, str | None]:
    """(select list, column that is added up): the columns of the table in their order, without the technical ones."""
    names = [
        column.name
        for column in shown_columns(table, scope.identity_level)
        if column.name not in _TECHNICAL_NAMES and not column.name.endswith(_TECHNICAL)
    ]
    selected = [released(table, name, scope.deidentification) for name in names]
    if not rule.value or rule.aggregate == "distinct":
        return ", ".join(selected), None
    if rule.value in names:
        return ", ".join(selected), rule.value
    return ", ".join([*selected, f'({rule.value}) as "{VALUE}"']), VALUE


def _order(table: PublishedTable, rule: DrillRule) -> str:
    """The newest first, then by the key of the rows, so that pages never overlap."""
    newest = [f'"{rule.date_column}" desc nulls last'] if rule.date_column in table.column_names else []
    keys = [f'"{name}"' for name in table.column_names if name.endswith(("_id", "_key", "_number"))]
    return ", ".join([*newest, *keys, "rowid"])


def condition_of(
    metrics: Metrics,
    name: str,
    rule: DrillRule,
    where: Mapping[str, Filter],
    date_from: date | None,
    date_to: date | None,
    *,
    turned: str = "",
) -> tuple[str, dict[str, Any]]:
    """The SQL condition of a question, and its parameters; values are bound, never written into the SQL. `turned` is a filter of which
    the other rows are meant."""
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    fact = next((fact for fact in metrics.index.facts.values() if fact.table == rule.model), None)
    for position, (dimension, value) in enumerate(sorted(where.items())):
        member = _member(name, fact, SERVICE_UNIT if dimension == CHILDREN else dimension)
        parameter = f"w{position}"
        if member.is_joined:
            parameters[parameter] = metrics.data.keys(member, values_of(value))
            held = f"{member.fact_key} in (select unnest(${parameter}))"
        else:
            parameters[parameter] = values_of(value)
            held = f"cast({member.column} as varchar) in (select unnest(${parameter}))"
        conditions.append(f"not coalesce({held}, false)" if dimension == turned else held)
    if rule.is_snapshot:
        days = metrics.snapshot_days(rule.model, rule.date_column, None, date_from, date_to)
        parameters["snapshots"] = days
        conditions.append(f"{rule.date_column} in (select unnest($snapshots))")
    elif rule.date_column:
        bounds = {"date_from": (">=", date_from), "date_to": ("<=", date_to)}
        for parameter, (sign, day) in bounds.items():
            if day is not None:
                parameters[parameter] = day
                conditions.append(f"{rule.date_column} {sign} ${parameter}")
    return " and ".join(conditions) or "true", parameters


def _member(metric: str, fact: Fact | None, dimension: str) -> Member:
    member = fact.find(dimension) if fact is not None else None
    if member is None:
        raise ConfigurationError(f"the rows behind {metric} have no dimension {dimension!r}")
    return member
