"""Headings that state the finding. Pure and deterministic: the same figures give the same words.

A rise or fall is reported only if a statistical test shows more than chance. A cause is named only where the parts are known
to add up to the change; else the heading says what changed and stops.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from dashboards import format as fmt
from dashboards.breakdowns import Level, Member
from dashboards.chance import Verdict
from dashboards.figures import Figure

# The parts explain a change when they add up to it this closely.
EXPLAINED = Decimal("0.1")
# Above this the others moved the other way, so that a share would mislead.
ALONE = Decimal("1.05")
SHARES = (
    (Decimal("0.95"), "almost all of it"),
    (Decimal("0.80"), "most of it"),
    (Decimal("0.60"), "two thirds of it"),
    (Decimal("0.45"), "half of it"),
    (Decimal("0.30"), "a third of it"),
)


def is_steady(figure: Figure) -> bool:
    """Whether the figure changed, but too little to report."""
    return fmt.is_steady(figure.value, figure.before, figure.metric.unit)


def share_words(share: Decimal) -> str:
    """`half of it` for 0.45 to 0.6, and so on; empty below 0.3, where a share is nothing to tell."""
    return next((words for least, words in SHARES if share >= least), "")


def _contributions(figure: Figure, members: Sequence[Member], numerator: str | None) -> dict[str, Decimal] | None:
    """Each member's part in the change of the figure, in the figure's unit; None where they do not add up to it.

    Amounts and counts: the member's own change. A rate: the change of the member's excess over the earlier rate,
    (n - r*d) / D, which is 0 for a member that grew at the average rate and adds up to the change of the rate.
    """
    name = figure.metric.name
    now, before = fmt.decimal(figure.value), fmt.decimal(figure.before)
    if numerator is None:
        contributions = {
            m.name: fmt.decimal(m.now.get(name) or 0) - fmt.decimal(m.before.get(name) or 0) for m in members
        }
    else:
        total_now = _denominator(members, "now", name, numerator)
        total_before = _denominator(members, "before", name, numerator)
        if not total_now or not total_before:
            return None
        contributions = {
            m.name: _excess(m.now, name, numerator, before) / total_now
            - _excess(m.before, name, numerator, before) / total_before
            for m in members
        }
    change = now - before
    if not change or abs(sum(contributions.values(), Decimal(0)) - change) > EXPLAINED * abs(change):
        return None
    return contributions


def _weight(values: Mapping[str, Any], name: str, numerator: str) -> Decimal:
    """The denominator of a member's rate, from numerator and rate; 0 where the rate is 0 or missing."""
    rate, count = values.get(name), values.get(numerator)
    if not rate or count is None:
        return Decimal(0)
    return fmt.decimal(count) / fmt.decimal(rate)


def _excess(values: Mapping[str, Any], name: str, numerator: str, rate: Decimal) -> Decimal:
    count = values.get(numerator)
    return fmt.decimal(count or 0) - rate * _weight(values, name, numerator)


def _denominator(members: Sequence[Member], side: str, name: str, numerator: str) -> Decimal:
    return sum((_weight(getattr(member, side), name, numerator) for member in members), Decimal(0))


def finding(figure: Figure | None, subject: str, level: Level | None = None, numerator: str | None = None) -> str:
    """`No-shows rose 2.1 points to 12.4 %, half of it in Harbor Behavioral`.

    `subject` is the plural that rose or fell; `numerator` the metric that a rate counts, None for amounts and counts.
    """
    if figure is None:
        return subject
    if figure.problem or figure.value is None:
        return f"{subject}: no figure for this period"
    shown = fmt.short(figure.value, figure.metric.unit)
    if figure.caution:
        return f"{subject} so far: {shown}"
    if figure.before is None:
        return f"{subject}: {shown}"
    if is_steady(figure):
        return f"{subject} steady at {shown}"
    if figure.verdict is Verdict.CHANCE:
        return f"{subject} at {shown}, no real change from {figure.against}"
    if figure.verdict is not Verdict.REAL:
        return f"{subject}: {shown}"
    amount = figure.change.amount.lstrip("+-")
    verb = "rose" if figure.change.arrow == "up" else "fell"
    return f"{subject} {verb} {amount} to {shown}{_cause(figure, level, numerator)}"


def _cause(figure: Figure, level: Level | None, numerator: str | None) -> str:
    if level is None or len(level.members) < 2:
        return ""
    parts = _contributions(figure, level.members, numerator)
    if not parts:
        return ""
    change = fmt.decimal(figure.value) - fmt.decimal(figure.before)
    name, part = max(sorted(parts.items()), key=lambda item: item[1] / change)
    if part / change > ALONE:
        return f", driven by {name}"
    words = share_words(part / change)
    return f", {words} {level.preposition} {name}" if words else ""
