"""Which rows around a figure do not count in it, and why. The parts of a list add up: every row of the table, period and scope of a
question is in exactly one of them.

    exclusions(metrics, "no_show_rate", {}, first_day, last_day, as_of=day)

A rate of rows has one list: rows above its line, rows below it alone, rows left out. Two sums, or rows of two tables, have a list each.
The reasons are those of the metric's own definition (`serving.metrics.left_out`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from serving.metrics.answers import Metrics
from serving.metrics.dimensions import CHILDREN, SERVICE_UNIT, RatioPart
from serving.metrics.registry import DrillRule, LeftOut, RegistryMetric
from serving.metrics.small_cells import people_of
from serving.model import Filter, RowPart, RowsAround
from serving.rows.drill import condition_of

# What a row is to a figure.
COUNTED, REPEATED, ABOVE_ALONE, BELOW_ALONE, LEFT_OUT = "counted", "repeated", "above_alone", "below_alone", "left_out"
OTHERS = "Other rows"
_NAMED = re.compile(r"\{\{\s*(?:Dimension|Entity)\(\s*'(\w+)'\s*\)\s*\}\}")
_PART, _VALUE = '"//part"', '"//value"'


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """A list to be made: rows of the table of `rule` that meet `below` count; of a rate those that meet `above` stand above its line."""

    metric: RegistryMetric
    rule: DrillRule
    below: str
    left_out: tuple[LeftOut, ...]
    above: str = ""
    not_above: tuple[LeftOut, ...] = ()
    numerator: str = ""
    denominator: str = ""

    @property
    def branches(self) -> Iterator[tuple[str, str, LeftOut]]:
        """(kind, condition, reason) in order; a row is of the first that it meets."""
        below, above = f"coalesce(({self.below}), false)", f"coalesce(({self.above}), false)"
        if self.above:
            yield COUNTED, f"{below} and {above}", LeftOut(words=self.numerator)
            yield ABOVE_ALONE, above, LeftOut(words=f"{self.numerator}, not among: {self.denominator}")
            for reason in (*self.not_above, LeftOut(words=OTHERS)):
                yield BELOW_ALONE, _both(below, reason.condition), reason
        else:
            yield COUNTED, below, LeftOut(words=self.numerator)
        for reason in (*self.left_out, LeftOut(words=OTHERS)):
            yield LEFT_OUT, reason.condition or "true", reason


def _both(first: str, second: str) -> str:
    return f"{first} and coalesce(({second}), false)" if second else first


def exclusions(
    metrics: Metrics,
    name: str,
    where: Mapping[str, Filter],
    date_from: date | None,
    date_to: date | None,
    *,
    as_of: date | None,
) -> tuple[RowsAround, ...]:
    """The lists of rows around a metric's figure. Empty for a metric without rows, and for a list whose table lacks a dimension of the
    question. Numbers that concern too few people for the scope are None, and others from which they would follow.

    `as_of` is the day that the data reach: of a metric that settles later, `unripe` counts rows so recent that they may still change.
    Raises ConfigurationError and AccessError for a metric that the scope does not have.
    """
    metric = metrics.metric(name)
    lists = []
    for rows in _lists(metrics, metric):
        fact = metrics.facts.get(rows.rule.model)
        if fact is None or any(fact.find(_dimension(item)) is None for item in where):
            continue
        days = metric.definition.matures_after_days if as_of and metrics.smallest_cell <= 1 else None
        unripe_from = as_of - timedelta(days=days) if as_of and days else None
        condition, parameters = condition_of(metrics, name, rows.rule, where, date_from, date_to)
        turned = [
            condition_of(metrics, name, rows.rule, where, date_from, date_to, turned=item)
            for item in (where if metrics.smallest_cell > 1 else ())
        ]
        lists.append(_counted(metrics, rows, (condition, parameters), turned, unripe_from))
    return tuple(lists)


def _dimension(name: str) -> str:
    return SERVICE_UNIT if name == CHILDREN else name


# Which lists


def _lists(metrics: Metrics, metric: RegistryMetric) -> list[_Rows]:
    ratio = None if metric.share_of else metrics.index.ratio_of(metric.definition.name)
    if ratio is None:
        return _of_rule(metric, metric.drill)
    above, below = (_side(metrics, part) for part in ratio)
    if metric.drill is not None and metric.drill.figure_of != metric.definition.name:
        # The metric says itself which rows its numerator has.
        above = _of_rule(above[0].metric if above else metric, metric.drill)
    merged = _merged(metric, above, below)
    return [merged] if merged else list({_key(rows): rows for rows in (*above, *below)}.values())


def _key(rows: _Rows) -> tuple[str, str, str]:
    return rows.rule.model, rows.below, rows.rule.date_column


def _side(metrics: Metrics, part: RatioPart) -> list[_Rows]:
    """The lists of one side of a ratio; a ratio of rates has the lists of these."""
    metric = metrics.registry.metrics.get(part.metric)
    if metric is None:
        return []
    lists = _lists(metrics, metric)
    for template in part.where:
        lists = [_narrowed(metrics, rows, template) for rows in lists]
    return lists


def _narrowed(metrics: Metrics, rows: _Rows, template: str) -> _Rows:
    """The list under one more condition of a ratio, as the manifest writes it."""
    fact = metrics.facts[rows.rule.model]

    def column(named: re.Match[str]) -> str:
        member = fact.find(named[1])
        return member.column if member else named[1].split("__")[-1]

    condition = _NAMED.sub(column, template)
    words = next(iter(_NAMED.findall(template)), "").split("__")[-1].removeprefix("is_").replace("_", " ")
    reason = LeftOut(words=f"Not {words}", condition=f"not coalesce(({condition}), false)")
    return replace(rows, below=f"({rows.below}) and ({condition})", left_out=(*rows.left_out, reason))


def _of_rule(metric: RegistryMetric, rule: DrillRule | None) -> list[_Rows]:
    if rule is None:
        return []
    words, mine, counted = metric.definition, rule.row_filter or "true", rule.counted_condition
    return [
        _Rows(
            metric=metric,
            rule=rule,
            below=mine,
            left_out=rule.left_out,
            above=f"({mine}) and ({counted})" if counted else "",
            not_above=rule.not_above,
            numerator=words.numerator,
            denominator=words.denominator,
        )
    ]


def _merged(metric: RegistryMetric, above: Sequence[_Rows], below: Sequence[_Rows]) -> _Rows | None:
    """One list of both sides of a ratio of rows of one table and date."""
    if len(above) != 1 or len(below) != 1 or above[0].above or below[0].above:
        return None
    mine, theirs = above[0].rule, below[0].rule
    places = [(rule.model, rule.date_column, rule.is_snapshot, rule.aggregate) for rule in (mine, theirs)]
    if places[0] != places[1] or mine.aggregate != "count":
        return None
    return replace(
        below[0],
        metric=metric,
        above=above[0].below,
        not_above=above[0].left_out,
        numerator=metric.definition.numerator,
        denominator=metric.definition.denominator,
    )


# How many rows


@dataclass(frozen=True, kw_only=True)
class _Number:
    """Rows of one branch (its place) and value: how many, of how many people, how many of them are recent, how many distinct."""

    place: int
    value: str | None
    rows: int
    people: int
    unripe: int
    distinct: int


def _counted(
    metrics: Metrics,
    rows: _Rows,
    asked: tuple[str, dict[str, Any]],
    turned: Sequence[tuple[str, dict[str, Any]]],
    unripe_from: date | None,
) -> RowsAround:
    branches = list(rows.branches)
    parts = _parts(rows, branches, _numbers(metrics, rows, branches, asked, unripe_from))
    if metrics.smallest_cell > 1 and people_of(metrics.registry, rows.rule.model):
        others = [_parts(rows, branches, _numbers(metrics, rows, branches, question, None)) for question in turned]
        shown = _with_hidden(parts, others, metrics.smallest_cell)
    else:
        shown = [part for part, _ in parts.values()]
    counts = [part.rows for part in shown]
    return RowsAround(
        metric=rows.metric.definition.name,
        label=rows.metric.definition.label,
        table=rows.rule.model,
        rows=sum(count for count in counts if count is not None) if None not in counts else None,
        parts=tuple(shown),
    )


def _numbers(
    metrics: Metrics,
    rows: _Rows,
    branches: Sequence[tuple[str, str, LeftOut]],
    asked: tuple[str, dict[str, Any]],
    unripe_from: date | None,
) -> list[_Number]:
    condition, parameters = asked
    place = " ".join(f"when {text} then {number}" for number, (_, text, _) in enumerate(branches))
    named = [
        f'when {_PART} = {number} then cast("{reason.by}" as varchar)'
        for number, (_, _, reason) in enumerate(branches)
        if reason.by
    ]
    value = f"case {' '.join(named)} end" if named else "cast(null as varchar)"
    people = people_of(metrics.registry, rows.rule.model).format("true") or "count(*)"
    distinct = f"count(distinct ({rows.rule.value}))" if rows.rule.aggregate == "distinct" else "count(*)"
    recent = "0"
    if unripe_from is not None and rows.rule.date_column:
        parameters = {**parameters, "unripe_from": unripe_from}
        recent = f"count(*) filter (where {rows.rule.date_column} > $unripe_from)"
    answer = metrics.data.frame(
        f"select {_PART}, {value} as {_VALUE}, count(*), {people}, {recent}, {distinct} "
        f"from (select *, case {place} end as {_PART} from {metrics.data.table(rows.rule.model)} where {condition}) "
        f"group by 1, 2 order by 1, 3 desc, 2",
        parameters,
    )
    return [
        _Number(place=row[0], value=row[1], rows=row[2], people=row[3], unripe=row[4], distinct=row[5])
        for row in answer.rows()
    ]


_Parts = dict[tuple[str, str], tuple[RowPart, int]]


def _parts(rows: _Rows, branches: Sequence[tuple[str, str, LeftOut]], numbers: Iterable[_Number]) -> _Parts:
    """(kind, words) to the part and its people, in order. Reasons with the same words are one part."""
    parts: _Parts = {}
    for number in numbers:
        kind, _, reason = branches[number.place]
        words = reason.words
        if reason.by:
            words = f"{words}: {(number.value or 'not known').replace('_', ' ')}"
        added = RowPart(kind=kind, words=words, rows=number.rows, unripe=number.unripe if kind != COUNTED else 0)
        if kind == COUNTED and rows.rule.aggregate == "distinct":
            parts[kind, words] = replace(added, rows=number.distinct), number.people
            again = RowPart(kind=REPEATED, words="Further rows of the same", rows=number.rows - number.distinct)
            parts[REPEATED, again.words] = again, number.people
            continue
        held, people = parts.get((kind, words), (None, 0))
        if held is not None and held.rows is not None:
            added = replace(held, rows=held.rows + number.rows, unripe=held.unripe + number.unripe)
        parts[kind, words] = added, people + number.people
    return parts


def _with_hidden(parts: _Parts, others: Sequence[_Parts], smallest: int) -> list[RowPart]:
    """The parts, those of too few people without their number. The same for parts of which too few people are outside a filter of the
    question. Among the reasons of one kind none is hidden alone: it would follow from their sum."""
    hidden = {
        key
        for key, (_, people) in parts.items()
        if 0 < people < smallest or any(0 < other[key][1] < smallest for other in others if key in other)
    }
    for kind in {key[0] for key in parts}:
        mine = {key for key in parts if key[0] == kind}
        shown = mine - hidden
        if shown and len(mine & hidden) == 1:
            hidden.add(min(shown, key=lambda key: parts[key][1]))
    if any(key[0] == COUNTED for key in hidden):
        hidden |= {key for key in parts if key[0] == REPEATED}
    return [replace(part, rows=None) if key in hidden else part for key, (part, _) in parts.items()]
