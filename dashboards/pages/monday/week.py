"""The last full week beside the weeks before it, and which unit or provider a change comes from. Reads through `Source`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import sqrt
from typing import Any

from dashboards import chance, figures, findings
from dashboards import format as fmt
from dashboards import level as levels
from dashboards import period as periods
from dashboards.data import Source
from dashboards.level import MEMBER, Level
from dashboards.view import View
from serving.model import MetricDefinition

# What is watched each week, and the page that has more of it. Only what is complete at the week's end is: charges count by the day of
# posting and denials by that of the decision, since a week's visits are not all charged and its claims not answered yet.
WATCHED: Mapping[str, str] = {
    "completed_appointments": "no_show",
    "encounters": "throughput",
    "no_shows": "no_show",
    "late_cancels": "no_show",
    "wait_time_minutes": "throughput",
    "billed_amount_by_posting": "revenue_cycle",
    "received_amount": "revenue_cycle",
    "denied_billed_amount_by_decision": "revenue_cycle",
    "receivables_over_90": "revenue_cycle",
}
WEEKS = 13
# Fewer of a count than this are not worth a line.
LEAST_COUNT = 5
SUNDAY = 7


def last_full_week(as_of: date) -> tuple[date, date]:
    """Monday and Sunday of the last week that data until `as_of` cover whole."""
    sunday = as_of - timedelta(days=as_of.isoweekday() % SUNDAY)
    return sunday - timedelta(days=6), sunday


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A figure of the week: the weeks before it (oldest first), the usual range of a week (None: too few weeks to tell), and where
    the change comes from (empty: nothing stands out, or it is as usual)."""

    metric: MetricDefinition
    value: Any
    before: tuple[Any, ...]
    usual: tuple[float, float] | None
    cause: str = ""

    @property
    def is_few(self) -> bool:
        """Whether it counts so few that nothing can be said of it."""
        if self.value is None or self.usual is None or self.metric.unit != "count":
            return False
        return max(float(self.value), self.usual[1]) < LEAST_COUNT

    @property
    def has_left(self) -> bool:
        """Whether the week is outside its usual range."""
        if self.value is None or self.usual is None or self.is_few:
            return False
        return not self.usual[0] <= float(self.value) <= self.usual[1]

    @property
    def tone(self) -> str:
        """bad or good where it left its range and one direction is better; else neutral."""
        if not self.has_left or self.usual is None or self.metric.direction == "neutral":
            return "neutral"
        is_high = float(self.value) > self.usual[1]
        return "good" if is_high == (self.metric.direction == "higher") else "bad"


def watch(source: Source, view: View, monday: date, sunday: date) -> list[Watched]:
    """The watched figures that this person has, in the order of `WATCHED`; a week without rows counts as 0 of what adds up."""
    names = [name for name in WATCHED if name in source.metrics]
    first = monday - timedelta(weeks=WEEKS)
    weeks = [first + timedelta(weeks=place) for place in range(WEEKS + 1)]
    watched = []
    for group in _groups(source, view, names):
        where = figures.filters(view, source.metrics[group[0]])
        frame = source.query(group, grain="week", where=where, start=first, end=sunday)
        rows = {periods.day_of(row["metric_time"]): row for row in frame.iter_rows(named=True)}
        for name in group:
            values = [rows.get(week, {}).get(name) for week in weeks]
            watched.append(_watched(source.metrics[name], values, zeros=not source.hides_few))
    order = list(WATCHED)
    return sorted(watched, key=lambda item: order.index(item.metric.name))


def _groups(source: Source, view: View, names: Sequence[str]) -> list[list[str]]:
    """Names by module, as one question answers them together; those that do not know a filter of the view are left out."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if figures.filters(view, source.metrics[name]) is not None:
            groups.setdefault(source.metrics[name].module, []).append(name)
    return list(groups.values())


def _watched(metric: MetricDefinition, values: Sequence[Any], *, zeros: bool = True) -> Watched:
    """With `zeros` a week without a value counts as 0 of what adds up; else it may be hidden from the person."""
    is_sum = zeros and metric.unit in ("count", "usd") and not metric.grain.startswith("snapshot")
    weekly = [0 if value is None and is_sum else value for value in values]
    # Weeks before the first one with rows are before the data.
    begins = next((place for place, value in enumerate(values) if value is not None), len(values))
    before = tuple(value for value in weekly[begins:-1] if value is not None)
    usual = usual_week(metric, [float(value) for value in before])
    return Watched(metric=metric, value=weekly[-1] if begins < len(values) else None, before=before, usual=usual)


def usual_week(metric: MetricDefinition, before: Sequence[float]) -> tuple[float, float] | None:
    """The control limits of a week; None where there are too few weeks to tell. A count varies by at least the root of its mean (the
    c chart: three times that to each side), so that quiet weeks in a row do not make the next patient news."""
    usual = chance.usual_range(before)
    if usual is None:
        return None
    low, high = usual
    if metric.unit == "count":
        mean = sum(before) / len(before)
        low, high = min(low, mean - 3 * sqrt(mean)), max(high, mean + 3 * sqrt(mean))
    return (max(low, 0.0) if min(before) >= 0 else low), high


def cause(source: Source, view: View, level: Level, item: Watched, monday: date, sunday: date) -> str:
    """`two thirds of it in Imaging`: the member whose own change against its mean week is the largest part of the change. Empty where
    the members do not add up to it, or none stands out."""
    metric = item.metric
    if metric.unit not in ("count", "usd") or not item.before:
        return ""
    names = levels.known(source, view, level, [metric.name])
    if not names:
        return ""
    first = monday - timedelta(weeks=len(item.before))
    rows = levels.rows(source, view, level, names, start=first, end=sunday, grain="week")
    parts = contributions(rows, metric.name, monday, len(item.before))
    change = fmt.decimal(item.value) - sum((fmt.decimal(value) for value in item.before), Decimal(0)) / len(item.before)
    if not parts or not change or abs(sum(parts.values(), Decimal(0)) - change) > findings.EXPLAINED * abs(change):
        return ""
    member, part = max(sorted(parts.items()), key=lambda entry: entry[1] / change)
    words = "driven by" if part / change > findings.ALONE else findings.share_words(part / change)
    if not words:
        return ""
    name = levels.name_of(level, member, levels.names(source, level))
    preposition = "with" if level.noun == "provider" else "in"
    return f"driven by {name}" if words == "driven by" else f"{words} {preposition} {name}"


def contributions(rows: Sequence[Mapping[str, Any]], name: str, monday: date, weeks_before: int) -> dict[str, Decimal]:
    """Each member's figure of the week less its mean of the weeks before; weeks without rows are 0. Empty where a value is hidden."""
    now: dict[str, Decimal] = {}
    before: dict[str, Decimal] = {}
    for row in rows:
        if row[name] is None:
            return {}
        side = now if periods.day_of(row["metric_time"]) == monday else before
        side[row[MEMBER]] = side.get(row[MEMBER], Decimal(0)) + fmt.decimal(row[name])
    return {
        member: now.get(member, Decimal(0)) - before.get(member, Decimal(0)) / weeks_before
        for member in sorted({*now, *before})
    }
