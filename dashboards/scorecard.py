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
from dashboards.level import MEMBER, Answers, Level
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
    answers: Answers,
    volume: str,
    most: int,
) -> Scorecard:
    """The members with the most of `volume` first, at most so many; figures that no member has are left out. `volume` also counts the
    cases of a metric that names none below its line."""
    rows = {row[MEMBER]: row for row in answers.period}
    shown = [name for name in metrics if any(row.get(name) is not None for row in rows.values())]
    present = [member for member, row in rows.items() if any(row.get(name) for name in shown)]
    ranked = sorted(present, key=lambda member: (-fmt.decimal(rows[member].get(volume) or 0), member))
    kept, named = ranked[:most], levels.names(source, level)
    return Scorecard(
        noun=level.noun,
        members=tuple((m, levels.name_of(level, m, named), levels.moves(level, m)) for m in kept),
        columns=tuple(
            _column(source, view, level, name, kept, rows, answers.months, loaded, volume=volume) for name in shown
        ),
        more=len(ranked) - len(kept),
    )


def usual_months(view: View, history: Mapping[Any, Any], *, zeros: bool) -> list[float]:
    """The values of the months before the period, from the first that has one. With `zeros` months without a value count as 0, as of what
    adds up over time and is not hidden from the person."""
    last = periods.month_start(view.period.end)
    months = [m for m in periods.months_of(periods.add_months(last, 1 - TREND_MONTHS), last) if m < view.period.start]
    first = next((month for month in months if history.get(month) is not None), None)
    if first is None:
        return []
    values = [history.get(month) for month in months if month >= first]
    return [float(value or 0) for value in values if value is not None or zeros]


def _column(
    source: Source,
    view: View,
    level: Level,
    name: str,
    members: Sequence[str],
    rows: Mapping[str, Mapping[str, Any]],
    months: Sequence[Mapping[str, Any]],
    loaded: Mapping[str, Figure],
    *,
    volume: str,
) -> Column:
    metric = source.metrics[name]
    figure = loaded.get(name)
    is_moving = bool(figures.caution_of(view, source.as_of) or (figure is not None and figure.caution))
    unsettled = figure.moving if figure is not None else frozenset()
    cells = []
    for member in members:
        history = {
            periods.day_of(row["metric_time"]): row.get(name) for row in months if row[MEMBER] == member and name in row
        }
        settled = {month: value for month, value in history.items() if month not in unsettled}
        cells.append(
            _cell(source, view, level, metric, member, rows[member], settled, is_moving=is_moving, volume=volume)
        )
    marks = [cell.at for cell in cells if cell.at is not None]
    marks += [end for cell in cells if cell.usual for end in cell.usual]
    marks += [cell.target for cell in cells if cell.target is not None]
    low, high = min(marks, default=0.0), max(marks, default=1.0)
    room = (high - low) * 0.08 or 1.0
    return Column(metric=metric, cells=tuple(cells), low=max(low - room, 0.0), high=high + room)


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
    volume: str,
) -> Cell:
    value = row.get(metric.name)
    is_flow = targets.is_per_month(metric)
    months = float(targets.months_in(view.period)) if is_flow else 1.0
    at = None if value is None else float(value) / months
    before = usual_months(view, history, zeros=is_flow and not source.hides_few)
    whole_months = len(periods.months_of(view.period.start, view.period.end))
    # A balance is that of one day; a rate, a mean and a flow are those of all months of the period.
    is_balance = metric.grain.startswith("snapshot")
    usual = chance.usual_range(before, mean_of=1 if is_balance else whole_months)
    if usual is not None:
        usual = (max(usual[0], 0.0), min(usual[1], 1.0) if metric.unit == "percent" else usual[1])
    tone = ""
    is_judged = (
        not is_moving and metric.direction != "neutral" and not _is_few(source, metric, row, volume, usual, months)
    )
    if at is not None and usual is not None and is_judged:
        is_high, is_low = at > usual[1], at < usual[0]
        is_bad = is_high if metric.direction == "lower" else is_low
        tone = "bad" if is_bad else "good" if is_high or is_low else ""
    target = None
    if level.dimension.startswith("service_unit") and metric.direction != "neutral" and not view.payer:
        set_for = source.reader.targets.in_force(metric, member, view.period.end)
        target = None if set_for is None or set_for.value is None else float(set_for.value)
    return Cell(value=value, at=at, usual=usual, target=target, tone=tone, is_moving=is_moving)


def _is_few(
    source: Source,
    metric: MetricDefinition,
    row: Mapping[str, Any],
    volume: str,
    usual: tuple[float, float] | None,
    months: float,
) -> bool:
    """Whether too few cases are behind a figure. A count is its own number of cases, and there are few where there usually are few, too:
    a member that stopped is news."""
    if metric.unit == "count":
        most = max(float(row.get(metric.name) or 0), usual[1] * months if usual else 0.0)
        return most < chance.LEAST_VOLUME
    return figures.has_few(source, figures.base_of(source, metric, row, {}), volume, row)
