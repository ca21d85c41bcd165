"""Figures of the members one level below a view: units, at the lowest unit its providers, of one provider the visit types.

All metrics of a question are asked together: the page needs four questions, not one for each member, metric or month.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dashboards import breakdowns, figures
from dashboards import period as periods
from dashboards.data import Source
from dashboards.figures import TREND_MONTHS
from dashboards.view import View

MEMBER = "member"
PAYER = "payer_class"


@dataclass(frozen=True, kw_only=True)
class Level:
    """What one member is, and how it is asked for. `units` are asked one by one where no unit lies above all of them."""

    noun: str
    dimension: str
    at: str | None = None
    units: tuple[str, ...] = ()


def level_of(source: Source, view: View) -> Level:
    """The level below a view, as `breakdowns.below` goes down."""
    if view.provider:
        return Level(noun="visit type", dimension="visit_type")
    at = view.place or (source.root.id if source.root else None)
    if at is None and source.tops:
        return Level(noun="unit", dimension="service_unit", units=tuple(place.id for place in source.tops))
    if at is not None and source.children(at):
        return Level(noun="unit", dimension="service_unit_children", at=at)
    return Level(noun="provider", dimension="provider", at=at)


def known(source: Source, view: View, level: Level, metrics: Sequence[str], *more: str) -> list[str]:
    """The metrics that this person has and that have the level as a dimension, under the view's filters."""
    dimensions = (level.dimension.removesuffix("_children"), *more)
    return [
        name
        for name in dict.fromkeys(metrics)
        if figures.knows(source.metrics.get(name), *dimensions)
        and figures.filters(view, source.metrics[name]) is not None
    ]


def rows(
    source: Source,
    view: View,
    level: Level,
    metrics: Sequence[str],
    *,
    by: Sequence[str] = (),
    start: date,
    end: date,
    grain: str | None = None,
    known_by: date | None = None,
) -> list[dict[str, Any]]:
    """A row for each member (and each of `by`, and each month): MEMBER is its id, empty for what names none, then the metrics.

    `metrics` are those that `known` gives.
    """
    if not metrics:
        return []
    where = figures.filters(view, source.metrics[metrics[0]]) or {}
    questions: list[tuple[str, Mapping[str, Any], list[str]]]
    if level.units:
        questions = [(unit, {**where, "service_unit": unit}, []) for unit in level.units]
    elif level.dimension == "service_unit_children":
        questions = [("", {**where, "service_unit": level.at}, [level.dimension])]
    else:
        questions = [("", where, [level.dimension])]
    answers = []
    for unit, filters, dimensions in questions:
        frame = source.query(
            metrics, by=[*dimensions, *by], where=filters, start=start, end=end, grain=grain, known_by=known_by
        )
        for row in frame.iter_rows(named=True):
            answers.append({**row, MEMBER: unit or str(row[level.dimension] or "")})
    return answers


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Rows of the period, and of each of the thirteen months up to its end, by member, or by member and payer class."""

    period: Sequence[Mapping[str, Any]]
    months: Sequence[Mapping[str, Any]]
    by_payer: bool = False


def ask(
    source: Source,
    view: View,
    level: Level,
    metrics: Sequence[str],
    counted: Sequence[str] = (),
    *,
    by_payer: bool = False,
) -> Answers:
    """Asks two questions for all metrics: the period, and the thirteen months up to its end. What rates are counted from, and `counted`,
    is asked for the period alone."""
    by = [PAYER] if by_payer else []
    watched = known(source, view, level, metrics, *by)
    asked = known(source, view, level, [*figures.with_bases(source, metrics), *counted], *by)
    last = periods.month_end(view.period.end)
    first = periods.add_months(periods.month_start(view.period.end), 1 - TREND_MONTHS)
    start, end = view.period.start, view.period.end
    return Answers(
        period=rows(source, view, level, asked, by=by, start=start, end=end),
        months=rows(source, view, level, watched, by=by, start=first, end=last, grain="month"),
        by_payer=by_payer,
    )


def names(source: Source, level: Level) -> dict[str, str]:
    """Names of the members by id."""
    if level.dimension.startswith("service_unit"):
        return {place.id: place.name for place in source.places.values()}
    return source.names(level.dimension)


def moves(level: Level, member: str) -> dict[str, Any]:
    """What a click on a member changes in the view; nothing for rows of the unit itself, and for those that name no member."""
    if level.dimension.startswith("service_unit"):
        return {} if member in ("", level.at) else {"place": member, "provider": None}
    return breakdowns.moves_to(level.dimension, member)


def name_of(level: Level, member: str, named: Mapping[str, str]) -> str:
    """The name of a member; of rows that belong to the unit itself it says so."""
    if not member:
        return "Not recorded"
    name = named.get(member, member)
    return breakdowns.of_unit_itself(name) if member == level.at and level.dimension != "provider" else name
