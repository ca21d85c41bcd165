"""The figures of a report that a person builds: one question through the person's reader, so audited, and without small cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dashboards import filters
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.breakdowns import band_order, moves_to, of_unit_itself
from dashboards.data import UNKNOWN, Source
from dashboards.view import View
from serving.model import MetricDefinition
from serving.report_definition import CHILDREN, MONTH, SERVICE_UNIT, ReportDefinition

# Dimensions whose values have an order; those of the others are ordered by the first metric.
_ORDERED = frozenset({"weekday", "hour_of_day", "ageing_bucket", "months_after_service", "furthest_stage"})


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row: `keys` are its values of the breakdowns (of a month its first day, as text), `names` the same in words, `values` those of
    the metrics. `moves` are the changes of the view that show this row alone; None where an address cannot say them."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    values: tuple[Any, ...]
    moves: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All rows of a report in their order. `by` are its breakdowns."""

    by: tuple[str, ...]
    metrics: tuple[MetricDefinition, ...]
    lines: tuple[Line, ...]

    def members(self, index: int) -> dict[str, str]:
        """Key to name of one breakdown, in order."""
        return {line.keys[index]: line.names[index] for line in _in_order(self.lines, index, self.by[index])}


def answer(source: Source, view: View, definition: ReportDefinition) -> Answer:
    """Asks a report in the period of the view. Every metric knows the breakdowns and filters (`serving.report_definition.problems`).

    Its rows add up to the figure of the view, where the metric can be added up. Raises as `Reader.query`.
    """
    where = filters.chosen(view)
    if CHILDREN in definition.by and SERVICE_UNIT not in where and source.root is not None:
        where[SERVICE_UNIT] = source.root.id
        rows = [*_rows(source, view, definition, where), *_unplaced(source, view, definition, where)]
    else:
        rows = _rows(source, view, definition, where)
    place = where.get(SERVICE_UNIT)
    lines = [_line(source, row, definition, place) for row in rows]
    for index in reversed(range(len(definition.by))):
        lines = _in_order(lines, index, definition.by[index])
    metrics = tuple(source.metrics[name] for name in definition.metrics)
    return Answer(by=definition.by, metrics=metrics, lines=tuple(lines))


def _rows(
    source: Source, view: View, definition: ReportDefinition, where: Mapping[str, Any], *, by_children: bool = True
) -> list[dict[str, Any]]:
    """The rows of the question; without the breakdown by the units below the place where it is not `by_children`."""
    frame = source.query(
        definition.metrics,
        by=[name for name in definition.dimensions if by_children or name != CHILDREN],
        grain="month" if MONTH in definition.by else None,
        where=where,
        start=view.period.start,
        end=view.period.end,
    )
    return list(frame.iter_rows(named=True))


def _unplaced(
    source: Source, view: View, definition: ReportDefinition, where: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows that name no unit, and so lie below none, where there are any."""
    if UNKNOWN not in source.places:
        return []
    rows = _rows(source, view, definition, {**where, SERVICE_UNIT: UNKNOWN}, by_children=False)
    return [{**row, CHILDREN: UNKNOWN} for row in rows if any(row[name] for name in definition.metrics)]


def _line(source: Source, row: Mapping[str, Any], definition: ReportDefinition, place: str | None) -> Line:
    keys, names = [], []
    moves: dict[str, Any] = {}
    can_be_shown = True
    for breakdown in definition.by:
        key, name, change = _member(source, row, breakdown, place)
        keys.append(key)
        names.append(name)
        moves |= change
        can_be_shown = can_be_shown and bool(change)
    values = tuple(row[metric] for metric in definition.metrics)
    return Line(keys=tuple(keys), names=tuple(names), values=values, moves=moves if can_be_shown else None)


def _member(
    source: Source, row: Mapping[str, Any], breakdown: str, place: str | None
) -> tuple[str, str, dict[str, Any]]:
    """(key, name, changes of the view) of a row's value of a breakdown. `place` is the unit that the question is about."""
    if breakdown == MONTH:
        month: date = periods.day_of(row["metric_time"])
        return month.isoformat(), fmt.month(month), {"month": f"{month:%Y-%m}"}
    value = row[breakdown]
    key = "" if value is None else str(value)
    if breakdown in (SERVICE_UNIT, CHILDREN):
        unit = source.places.get(key)
        name = unit.name if unit else row.get(f"{breakdown}_name") or filters.NOT_RECORDED
        if source.children(key) and (breakdown == SERVICE_UNIT or key == place):
            # An address says a unit with all below it, not these rows alone.
            return key, of_unit_itself(name), {}
        return key, name, {"place": key} if unit else {}
    if breakdown in ("weekday", "hour_of_day"):
        return key, filters.value_label(source, breakdown, key), moves_to(breakdown, key)
    names = {key: row.get(f"{breakdown}_name") or ""}
    return key, filters.label_of(breakdown, key, names), moves_to(breakdown, key)


def _in_order(lines: Sequence[Line], index: int, breakdown: str) -> list[Line]:
    """The rows by one breakdown: months and bands in their order, other values by the largest value of the first metric."""
    if breakdown == MONTH:
        return sorted(lines, key=lambda line: line.keys[index])
    if breakdown in _ORDERED or breakdown.endswith("_band"):
        return sorted(lines, key=lambda line: band_order(line.keys[index]))
    largest: dict[str, Any] = {}
    for line in lines:
        value = line.values[0]
        if value is not None:
            key = line.keys[index]
            largest[key] = max(fmt.decimal(value), largest.get(key, fmt.decimal(value)))

    def rank(line: Line) -> tuple[bool, Any, str, str]:
        key = line.keys[index]
        return (key not in largest, -largest.get(key, fmt.decimal(0)), line.names[index], key)

    return sorted(lines, key=rank)
