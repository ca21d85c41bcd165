"""What needs attention: figures of single units (and payer classes) that left their usual range to the bad side.

Nothing is estimated: an amount is the figure of the period itself, as `clinicmart metrics query` answers with the same filters. What
is usual comes from the months before the period (`chance.usual_range`); fewer than six of them, or fewer than thirty cases in the
period, tell nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dashboards import chance, figures, maturity, targets, theme
from dashboards import format as fmt
from dashboards import level as levels
from dashboards import period as periods
from dashboards.data import Source
from dashboards.level import MEMBER, PAYER, Answers, Level
from dashboards.scorecard import usual_months
from dashboards.view import View

MOST_ITEMS = 5
# Fewer of a count than this are not worth a line.
LEAST_COUNT = 5


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A figure that is watched for each member. `cases` counts what the amount is of, `out_of` what they are a part of; `owner` is who
    works on it, `noun` what a count is of."""

    metric: str
    title: str
    owner: str
    cases: str = ""
    out_of: str = ""
    by_payer: bool = False
    noun: str = ""


BILLING, CHARGE_ENTRY, FRONT_DESK, CLINIC = "Billing", "Charge entry", "Front desk", "Clinic manager"
RULES = (
    Rule(
        metric="denied_billed_amount_by_decision",
        title="Denied claims",
        owner=BILLING,
        cases="denied_claims_by_decision",
        out_of="remitted_claims_by_decision",
        by_payer=True,
    ),
    Rule(
        metric="underpaid_amount",
        title="Paid less than contracts say",
        owner=BILLING,
        cases="underpaid_lines",
        out_of="priced_lines",
        by_payer=True,
    ),
    Rule(metric="unbilled_amount_after_5_days", title="Charges not billed after 5 days", owner=CHARGE_ENTRY),
    Rule(
        metric="unbilled_visits",
        title="Visits without a charge",
        owner=CHARGE_ENTRY,
        out_of="chargeable_visits",
        noun="visits",
    ),
    Rule(metric="receivables_over_90", title="Receivables over 90 days", owner=BILLING),
    Rule(metric="receivables_credit_size", title="Credits not worked", owner=BILLING),
    Rule(metric="no_shows", title="No-shows", owner=FRONT_DESK, out_of="expected_appointments", noun="patients"),
    Rule(
        metric="late_cancels",
        title="Late cancellations",
        owner=FRONT_DESK,
        out_of="scheduled_appointments",
        noun="patients",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line: the figure in its unit, what and where it is, what is usual, who works on it, and what a click changes in the view.

    `metric` is whose figure it is; `noun` what a count is of. For rows of a worklist `work_list` names the list.
    """

    metric: str
    value: Any
    unit: str
    title: str
    detail: str
    owner: str
    noun: str = ""
    moves: Mapping[str, Any]
    work_list: str = ""

    @property
    def amount(self) -> str:
        """The figure as it is ranked: money, or so many of what is counted."""
        return f"{fmt.short(self.value, self.unit)} {self.noun}".strip()


def metrics(*, by_payer: bool) -> list[str]:
    """Metrics that are watched by member, or by member and payer class."""
    return [rule.metric for rule in RULES if rule.by_payer == by_payer]


def counts(*, by_payer: bool) -> list[str]:
    """What these are counted from: it is asked for the period alone."""
    wanted = [rule for rule in RULES if rule.by_payer == by_payer]
    return [name for rule in wanted for name in (rule.cases, rule.out_of) if name]


@dataclass(frozen=True, kw_only=True)
class Found:
    """`items` left their usual range, money before counts, the largest first; `judged` is how many figures were held against theirs."""

    items: tuple[Item, ...]
    judged: int


def find(source: Source, view: View, level: Level, answers: Sequence[Answers], moving: Mapping[str, bool]) -> Found:
    """What left its usual range. Figures that are `moving` still are not judged."""
    named = levels.names(source, level)
    items, judged = [], 0
    for answer in answers:
        for rule in RULES:
            if rule.by_payer != answer.by_payer or rule.metric not in source.metrics or moving.get(rule.metric):
                continue
            history = _history(answer, rule.metric)
            for row in answer.period:
                usual = _usual(source, view, rule, row, history.get(_key(row, answer), {}))
                judged += usual is not None
                if usual is not None and _is_bad(source, view, rule, row, usual):
                    items.append(_item(source, level, rule, row, usual, named))
    return Found(items=tuple(ranked(items)), judged=judged)


def ranked(items: Iterable[Item]) -> list[Item]:
    """Money before counts, the largest first."""
    return sorted(items, key=lambda item: (item.unit != "usd", -fmt.decimal(item.value), item.title))


def due(source: Source, today: date) -> list[Item]:
    """Rows of worklists with a day by which they must be done, a line for each list."""
    items = []
    for work in source.reader.worklists.due(today):
        title = work.work_list.title
        rows = fmt.plural(work.rows, "row")
        items.append(
            Item(
                metric=work.work_list.metric,
                value=work.rows if work.amount is None else work.amount,
                unit="count" if work.amount is None else "usd",
                title=f"{title} with a deadline",
                detail=f"{rows}, the first by {fmt.day(work.first)}",
                owner=work.work_list.owner,
                noun="rows" if work.amount is None else "",
                moves={},
                work_list=work.work_list.name,
            )
        )
    return items


def _key(row: Mapping[str, Any], answer: Answers) -> tuple[str, str]:
    return row[MEMBER], str(row[PAYER] or "") if answer.by_payer else ""


def _history(answer: Answers, metric: str) -> dict[tuple[str, str], dict[Any, Any]]:
    """Month to value, for each member and payer class; months without rows have no entry."""
    history: dict[tuple[str, str], dict[Any, Any]] = {}
    for row in answer.months:
        if metric in row:
            history.setdefault(_key(row, answer), {})[periods.day_of(row["metric_time"])] = row[metric]
    return history


def _usual(
    source: Source, view: View, rule: Rule, row: Mapping[str, Any], history: Mapping[Any, Any]
) -> tuple[float, float] | None:
    """The usual range of a figure (a month's worth of what adds up over time); None where there are too few cases or months."""
    metric = source.metrics[rule.metric]
    if row.get(rule.metric) is None:
        return None
    if rule.out_of in source.metrics and (row.get(rule.out_of) or 0) < chance.LEAST_VOLUME:
        return None
    is_flow = targets.is_per_month(metric)
    months = max(round(_months(view, rule, source)), 1)
    return chance.usual_range(usual_months(view, history, zeros=is_flow and not source.hides_few), mean_of=months)


def _months(view: View, rule: Rule, source: Source) -> float:
    """How many months a figure adds up over; a balance is that of one day."""
    return float(targets.months_in(view.period)) if targets.is_per_month(source.metrics[rule.metric]) else 1.0


def _is_bad(source: Source, view: View, rule: Rule, row: Mapping[str, Any], usual: tuple[float, float]) -> bool:
    metric, value = source.metrics[rule.metric], row[rule.metric]
    if not value or (metric.unit == "count" and value < LEAST_COUNT):
        return False
    a_month = float(value) / _months(view, rule, source)
    return a_month > usual[1] if metric.direction == "lower" else a_month < usual[0]


def _item(
    source: Source,
    level: Level,
    rule: Rule,
    row: Mapping[str, Any],
    usual: tuple[float, float],
    named: Mapping[str, str],
) -> Item:
    metric = source.metrics[rule.metric]
    place = levels.name_of(level, row[MEMBER], named)
    moves = levels.moves(level, row[MEMBER])
    payer = str(row.get(PAYER) or "") if rule.by_payer else ""
    limits = f"usual {fmt.short(max(usual[0], 0), metric.unit)} to {fmt.short(usual[1], metric.unit)}"
    limits += " a month" if targets.is_per_month(metric) else ""
    return Item(
        metric=rule.metric,
        owner=rule.owner,
        noun=rule.noun,
        value=row[rule.metric],
        unit=metric.unit,
        title=f"{rule.title}, {place}" + (f", {theme.payer_label(payer)}" if payer else ""),
        detail="; ".join(part for part in (_cases(source, rule, row), limits) if part),
        moves={**moves, "payer": payer} if payer else moves,
    )


def _cases(source: Source, rule: Rule, row: Mapping[str, Any]) -> str:
    """`112 of 640 claims`: of how many; nothing where one of the two is not known."""
    whole = row.get(rule.out_of)
    part = row.get(rule.cases) if rule.cases else row.get(rule.metric)
    if not rule.out_of or not whole or part is None:
        return ""
    label = source.metrics[rule.out_of].label
    return f"{fmt.short(part, 'count')} of {fmt.short(whole, 'count')} {fmt.lower_first(label)}"


def is_moving(source: Source, view: View, loaded: Mapping[str, figures.Figure]) -> dict[str, bool]:
    """Which of the rules' figures have not settled: their period ended too short a time ago, by their own definitions."""
    values = {name: figure.value for name, figure in loaded.items()}
    caution = figures.caution_of(view, source.as_of)
    moving = {}
    for rule in RULES:
        metric = source.metrics.get(rule.metric)
        if metric is not None:
            moving[rule.metric] = bool(caution or maturity.unripe(metric, view.period.end, source.as_of, values))
    return moving
