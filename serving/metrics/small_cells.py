"""The figures of an answer that are hidden because they concern too few people, and other figures from which these could be
computed.

A figure is hidden where fewer than `smallest` people, and more than none, stand behind
- its rows, and of a rate the part above the line, the part below it, and what lies between;
- the people that remain if one filter is inverted (the complement: everybody except this provider). Where one value of a row or
column of the answer is hidden, the next smallest is hidden too: else the total less the others would be the value. Rows about
patients are counted by patient, rows about claims without a patient by row; other rows hide nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import polars as pl

from serving.metrics.dimensions import CHILDREN, SERVICE_UNIT, Fact, Member
from serving.metrics.mart_data import MartData
from serving.metrics.registry import DrillRule, Registry, RegistryMetric
from serving.model import MetricQuery

TIME = "metric_time"
Key = tuple[str | None, ...]


class Asked(Protocol):
    """What the question is asked of: the registry at work for a scope (`serving.metrics.answers.Metrics`)."""

    registry: Registry
    data: MartData

    @property
    def smallest_cell(self) -> int:
        """Figures of fewer people are hidden."""

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Table to its semantic model."""

    def snapshot_days(self, table: str, column: str, grain: str | None, first: Any, last: Any) -> list[Any]:
        """The last snapshot day of each period."""


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows that stand behind a figure. Of `turned`, a filter of the question, the other rows are meant."""

    table: str
    condition: str
    date_column: str
    is_snapshot: bool
    turned: str = ""


def hidden_cells(
    asked: Asked, query: MetricQuery, metrics: Sequence[RegistryMetric], by: Sequence[str], frame: pl.DataFrame
) -> dict[str, list[bool]]:
    """Metric to whether the value in each row of its answer is hidden. `frame` has TIME where a grain is asked for, and `by`.

    Where the rows behind a figure do not have a dimension of the question, nobody can be counted: all its values are hidden.
    """
    columns = [*([TIME] if query.grain else []), *by]
    cells: list[Key] = frame.select(pl.col(columns).cast(pl.String)).rows() if columns else [()] * frame.height
    wanted = {metric.definition.name: _rows_behind(asked, metric, tuple(query.where)) for metric in metrics}
    counts = _counts(asked, query, by, [rows for behind in wanted.values() for rows in behind])
    answer = {}
    for name, behind in wanted.items():
        people = [counts[rows] for rows in behind]
        people_in_cells = [[each.get(cell, 0) for cell in cells] for each in people if each is not None]
        if len(people_in_cells) < len(people):
            answer[name] = [True] * len(cells)
            continue
        hidden = [any(0 < each[row] < asked.smallest_cell for each in people_in_cells) for row in range(len(cells))]
        if people_in_cells:
            _hide_next_smallest(cells, people_in_cells[0], hidden)
        answer[name] = hidden
    return answer


def _rows_behind(asked: Asked, metric: RegistryMetric, filters: Sequence[str]) -> list[_Rows]:
    """The rows of a figure first, then the parts of a rate, then all of them with each filter turned round."""
    parts = [metric, *(asked.registry.metrics.get(name) for name in (metric.share_of, metric.definition.out_of))]
    rules = [part.drill for part in parts if part is not None and part.drill is not None]
    behind = [rows for rule in rules for rows in _of_rule(rule)]
    if not rules:
        facts = [asked.facts[table] for table in metric.tables if table in asked.facts]
        behind = [_Rows(table=f.table, condition="true", date_column=f.date_column, is_snapshot=False) for f in facts]
    behind = [rows for rows in dict.fromkeys(behind) if people_of(asked.registry, rows.table)]
    return [*behind, *(replace(rows, turned=name) for name in filters for rows in behind)]


def _of_rule(rule: DrillRule) -> list[_Rows]:
    mine, counted = rule.row_filter or "true", rule.counted_condition
    conditions = [mine]
    if counted:
        conditions += [f"({mine}) and ({counted})", f"({mine}) and not coalesce(({counted}), false)"]
    return [
        _Rows(table=rule.model, condition=text, date_column=rule.date_column, is_snapshot=rule.is_snapshot)
        for text in conditions
    ]


def people_of(registry: Registry, table: str) -> str:
    """How the people of a table are counted, an SQL expression with `{}` for the condition; empty for rows about nobody."""
    published = registry.table(table)
    columns = published.columns if published else ()
    patient = next((c.name for c in columns if c.identity == "patient" or c.name == "patient_id"), None)
    if patient is not None:
        return f'count(distinct case when {{}} then "{patient}" end)'
    return "count(case when {} then 1 end)" if any(c.identity == "account" for c in columns) else ""


def _counts(
    asked: Asked, query: MetricQuery, by: Sequence[str], wanted: Sequence[_Rows]
) -> dict[_Rows, dict[Key, int] | None]:
    """Rows to how many people each cell has; None where the table lacks a dimension. One SELECT for what differs in the condition."""
    groups: dict[_Rows, list[_Rows]] = {}
    for rows in dict.fromkeys(wanted):
        groups.setdefault(replace(rows, condition=""), []).append(rows)
    counts: dict[_Rows, dict[Key, int] | None] = {}
    for group, members in groups.items():
        frame = _counted(asked, query, by, group, [rows.condition for rows in members])
        width = len(by) + (1 if query.grain else 0)
        for place, rows in enumerate(members):
            counts[rows] = None if frame is None else {row[:width]: row[width + place] for row in frame.rows()}
    return counts


def _counted(
    asked: Asked, query: MetricQuery, by: Sequence[str], group: _Rows, conditions: Sequence[str]
) -> pl.DataFrame | None:
    """The dimensions as texts, then a number for each condition; None where the table lacks a dimension or a date."""
    fact = asked.facts.get(group.table)
    names = [SERVICE_UNIT if name == CHILDREN else name for name in query.where]
    members = {name: fact.find(name) if fact else None for name in (*by, *names)}
    is_dated = bool(query.grain or query.date_from or query.date_to)
    if any(member is None for member in members.values()) or (is_dated and not group.date_column):
        return None
    parameters: dict[str, Any] = {}
    keys = [f"cast(cast(date_trunc('{query.grain}', {group.date_column}) as date) as varchar)"] if query.grain else []
    joins = []
    for place, name in enumerate(by):
        member = members[name]
        assert member is not None
        if not member.is_joined:
            keys.append(f"cast({member.column} as varchar)")
            continue
        names_of_members = asked.data.members(member)
        parameters |= {
            f"k{place}": names_of_members["key"].to_list(),
            f"i{place}": names_of_members["id"].cast(pl.String).to_list(),
        }
        joins.append(
            f"left join (select unnest($k{place}) as cell_key_{place}, unnest($i{place}) as cell_id_{place}) "
            f"on {member.fact_key} = cell_key_{place}"
        )
        keys.append(f"cell_id_{place}")
    where = _where(asked, query, group, members, parameters)
    expression = people_of(asked.registry, group.table)
    counted = ", ".join([*keys, *(expression.format(condition) for condition in conditions)])
    grouped = f" group by {', '.join(str(place + 1) for place in range(len(keys)))}" if keys else ""
    source = f"{asked.data.table(group.table)} {' '.join(joins)}"
    return asked.data.frame(f"select {counted} from {source} where {where}{grouped}", parameters)


def _where(
    asked: Asked, query: MetricQuery, group: _Rows, members: Mapping[str, Member | None], parameters: dict[str, Any]
) -> str:
    """The filters and the period of the question; values are bound in `parameters`, never written."""
    conditions = []
    for place, (name, value) in enumerate(query.where.items()):
        member = members[SERVICE_UNIT if name == CHILDREN else name]
        assert member is not None
        values = [str(item) for item in ([value] if isinstance(value, str) else value)]
        parameters[f"w{place}"] = asked.data.keys(member, values) if member.is_joined else values
        column = member.fact_key if member.is_joined else f"cast({member.column} as varchar)"
        condition = f"{column} in (select unnest($w{place}))"
        conditions.append(f"not coalesce({condition}, false)" if name == group.turned else condition)
    if group.is_snapshot:
        parameters["days"] = asked.snapshot_days(
            group.table, group.date_column, query.grain, query.date_from, query.date_to
        )
        conditions.append(f"{group.date_column} in (select unnest($days))")
    else:
        for name, sign, day in (("first", ">=", query.date_from), ("last", "<=", query.date_to)):
            if day is not None:
                parameters[name] = day
                conditions.append(f"{group.date_column} {sign} ${name}")
    return " and ".join(conditions) or "true"


def _hide_next_smallest(cells: Sequence[Key], people: Sequence[int], hidden: list[bool]) -> None:
    """Hides on, until no row or column of the answer has exactly one hidden value beside others that have people."""
    is_changed = any(hidden)
    while is_changed:
        is_changed = False
        for position in range(len(cells[0])):
            slices: dict[Key, list[int]] = {}
            for row, cell in enumerate(cells):
                slices.setdefault(cell[:position] + cell[position + 1 :], []).append(row)
            for rows in slices.values():
                shown = [row for row in rows if not hidden[row] and people[row]]
                if shown and sum(hidden[row] and people[row] > 0 for row in rows) == 1:
                    hidden[min(shown, key=lambda row: people[row])] = True
                    is_changed = True
