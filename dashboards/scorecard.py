"""A scorecard: each member's figures beside its own usual range and its target. Reads through `Source`, draws nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards import chance, figures, targets
from dashboards import format as fmt
from dashboards import level as levels
from dashboards import period as periods
from dashboards.data import Source
from dashboards.figures import TREND_MONTHS, Figure
from dashboards.level import MEMBER, Level
from dashboards.view import View
from serving.model import MetricDefinition


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure of a member. `at` is where it stands on the column's scale (a month's worth of what adds up over time), `usual` the
    range of its earlier months, `target` as at. `tone` is bad or good where it left that range, else empty; `is_moving`: it still
    moves, and is not judged. None: it has no value, or too few people to show."""

    value: Any
    at: float | None
    usual: tuple[float, float] | None
    target: float | None
    tone: str
    is_moving: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric with its cells, one for each member, and the ends of its scale."""

    metric: MetricDefinition
    cells: tuple[Cell, ...]
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """Members (id, name, what a click changes) and the columns beside them. `more` members are not shown."""

    noun: str
    members: tuple[tuple[str, str, Mapping[str, Any]], ...]
    columns: tuple[Column, ...]
    more: int = 0


def scorecard(
    source: Source,
    view: View,
    level: Level,
    metrics: Sequence[str],
    loaded: Mapping[str, Figure],
    *,
    period: Sequence[Mapping[str, Any]],
    months: Sequence[Mapping[str, Any]],
    volume: str,
    most: int,
) -> Scorecard:
    """The members with the most of `volume` first, at most so many. `period` and `months` are rows as `dashboards.level.rows` gives
    them; figures that no member has are left out."""
    rows = {row[MEMBER]: row for row in period}
    shown = [name for name in metrics if any(row.get(name) is not None for row in rows.values())]
    present = [member for member, row in rows.items() if any(row.get(name) for name in shown)]
    ranked = sorted(present, key=lambda member: (-fmt.decimal(rows[member].get(volume) or 0), member))
    kept, named = ranked[:most], levels.names(source, level)
    return Scorecard(
        noun=level.noun,
        members=tuple((m, levels.name_of(level, m, named), levels.moves(level, m)) for m in kept),
        columns=tuple(_column(source, view, level, name, kept, rows, months, loaded) for name in shown),
        more=len(ranked) - len(kept),
    )


def ask(
    source: Source, view: View, level: Level, metrics: Sequence[str], counted: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows of the period, rows of the thirteen months up to its end) by member. `counted` is asked for the period alone."""
    asked = levels.known(source, view, level, [*metrics, *counted])
    watched = levels.known(source, view, level, metrics)
    last = periods.month_end(view.period.end)
    first = periods.add_months(periods.month_start(view.period.end), 1 - TREND_MONTHS)
    return (
        levels.rows(source, view, level, asked, start=view.period.start, end=view.period.end),
        levels.rows(source, view, level, watched, start=first, end=last, grain="month"),
    )


def usual_months(view: View, history: Mapping[Any, Any], *, is_flow: bool) -> list[float]:
    """The values of the months before the period, from the first that has one; months without rows are 0 of what adds up over time."""
    last = periods.month_start(view.period.end)
    months = [m for m in periods.months_of(periods.add_months(last, 1 - TREND_MONTHS), last) if m < view.period.start]
    first = next((month for month in months if history.get(month) is not None), None)
    if first is None:
        return []
    values = [history.get(month) for month in months if month >= first]
    return [float(value or 0) for value in values if value is not None or is_flow]


def _column(
    source: Source,
    view: View,
    level: Level,
    name: str,
    members: Sequence[str],
    rows: Mapping[str, Mapping[str, Any]],
    months: Sequence[Mapping[str, Any]],
    loaded: Mapping[str, Figure],
) -> Column:
    metric = source.metrics[name]
    figure = loaded.get(name)
    is_moving = bool(figures.caution_of(view, source.as_of) or (figure is not None and figure.caution))
    unsettled = figure.moving if figure is not None else frozenset()
    cells = []
    for member in members:
        history = {_day(row["metric_time"]): row.get(name) for row in months if row[MEMBER] == member and name in row}
        settled = {month: value for month, value in history.items() if month not in unsettled}
        cells.append(_cell(source, view, level, metric, member, rows[member], settled, is_moving=is_moving))
    marks = [cell.at for cell in cells if cell.at is not None]
    marks += [end for cell in cells if cell.usual for end in cell.usual]
    marks += [cell.target for cell in cells if cell.target is not None]
    low, high = min(marks, default=0.0), max(marks, default=1.0)
    room = (high - low) * 0.08 or 1.0
    return Column(metric=metric, cells=tuple(cells), low=max(low - room, 0.0), high=high + room)


def _day(month: Any) -> Any:
    return month.date() if hasattr(month, "date") else month


def _cell(
    source: Source,
    view: View,
    level: Level,
    metric: MetricDefinition,
    member: str,
    row: Mapping[str, Any],
    history: Mapping[Any, Any],
    *,
    is_moving: bool,
) -> Cell:
    value = row.get(metric.name)
    is_flow = targets.is_per_month(metric)
    months = float(targets.months_in(view.period)) if is_flow else 1.0
    at = None if value is None else float(value) / months
    before = usual_months(view, history, is_flow=is_flow)
    whole_months = len(periods.months_of(view.period.start, view.period.end))
    # A balance is that of one day; a rate, a mean and a flow are those of all months of the period.
    is_balance = metric.grain.startswith("snapshot")
    usual = chance.usual_range(before, mean_of=1 if is_balance else whole_months)
    if usual is not None:
        usual = (max(usual[0], 0.0), min(usual[1], 1.0) if metric.unit == "percent" else usual[1])
    base = row.get(metric.out_of)
    below = source.metrics.get(metric.out_of)
    is_few = below is not None and below.unit == "count" and (base or 0) < chance.LEAST_VOLUME
    tone = ""
    if at is not None and usual is not None and not is_moving and not is_few and metric.direction != "neutral":
        is_high, is_low = at > usual[1], at < usual[0]
        is_bad = is_high if metric.direction == "lower" else is_low
        tone = "bad" if is_bad else "good" if is_high or is_low else ""
    target = None
    if level.dimension.startswith("service_unit") and metric.direction != "neutral" and not view.payer:
        set_for = source.reader.target(metric, member, view.period.end)
        target = None if set_for is None or set_for.value is None else float(set_for.value)
    return Cell(value=value, at=at, usual=usual, target=target, tone=tone, is_moving=is_moving)
