"""The figure that the heading and the waterfall are about, and the parts of its change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from dashboards import contributions, figures, findings, theme
from dashboards import format as fmt
from dashboards import level as levels
from dashboards.chance import Verdict
from dashboards.contributions import Cell
from dashboards.data import Source
from dashboards.drawings.waterfall import Bar
from dashboards.figures import Figure
from dashboards.level import MEMBER, PAYER, Level
from dashboards.period import Period
from dashboards.view import View

PROVIDER = "provider"
MOST_NAMED = 3
FEW = "Too few people to show"


@dataclass(frozen=True, kw_only=True)
class Lead:
    """`amount` is a part of `volume`. `subject` is what rose or fell, `decided` what the volume counts."""

    amount: str
    volume: str
    subject: str
    decided: str


# Its first figure that changed by more than chance is the page's; else the first that the person has.
LEADS = (
    Lead(
        amount="denied_billed_amount",
        volume="first_decided_amount",
        subject="Denied money",
        decided="billed on decided claims",
    ),
    Lead(amount="denied_claims", volume="remitted_claims", subject="Denied claims", decided="claims answered"),
    Lead(amount="no_shows", volume="expected_appointments", subject="No-shows", decided="expected appointments"),
)
METRICS = tuple(name for lead in LEADS for name in (lead.amount, lead.volume))


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A lead figure and the parts of its change: `figure.before` + all `bars` = `figure.value`, to the cent."""

    lead: Lead
    figure: Figure
    bars: tuple[Bar, ...]


def choose(loaded: Mapping[str, Figure]) -> Lead | None:
    """The first lead whose figure changed by more than chance, else the first that has a figure to compare with."""
    there = [lead for lead in LEADS if _is_comparable(loaded.get(lead.amount)) and lead.volume in loaded]
    real = [lead for lead in there if is_news(loaded[lead.amount])]
    return next(iter([*real, *there]), None)


def is_news(figure: Figure) -> bool:
    """Whether a figure changed by more than chance and enough to report."""
    return figure.verdict is Verdict.REAL and not findings.is_steady(figure)


def _is_comparable(figure: Figure | None) -> bool:
    return (
        figure is not None
        and not figure.problem
        and None not in (figure.value, figure.before)
        and not figure.uncompared
    )


def explain(source: Source, view: View, lead: Lead, figure: Figure, level: Level) -> Explained | None:
    """The parts of the change by volume, mix and rate over the level's members, payer classes and providers.

    Who sees no figures of few people gets no providers: nearly all such cells are too small. Cells that are hidden in one of the
    periods, and rows that name no member, are one bar: what is left of the change. None where the figure has no such dimension as the
    level.
    """
    by = [PAYER] if figures.knows(source.metrics[lead.amount], PAYER) and not view.payer else []
    sees_small_cells = source.reader.scope.smallest_cell <= 1
    if level.dimension.startswith("service_unit") and sees_small_cells and not view.provider:
        by += [PROVIDER]
    metrics = [lead.amount, lead.volume]
    if len(levels.known(source, view, level, metrics, *by)) < len(metrics):
        return None
    change = fmt.decimal(figure.value) - fmt.decimal(figure.before)
    step = contributions.CENT if figure.metric.unit == "usd" else Decimal(1)
    sides: list[dict[Cell, tuple[Decimal, Decimal]]] = []
    hidden: set[Cell] = set()
    for period, known_by in ((view.compared, figure.before_known_by), (view.period, None)):
        answer = levels.rows(source, view, level, metrics, by=by, start=period.start, end=period.end, known_by=known_by)
        cells, few = _cells(answer, lead, by)
        sides.append(cells)
        hidden |= few
    before, now = ({cell: value for cell, value in side.items() if cell not in hidden} for side in sides)
    parts = contributions.explain(before, now, step=step)
    unexplained = change - parts.change
    bars = _bars(source, level, parts, by)
    if unexplained:
        bars.append(Bar(label=FEW if hidden else f"No {level.noun} recorded", part=unexplained, kind="few", moves={}))
    return Explained(lead=lead, figure=figure, bars=tuple(bars))


def _cells(
    answer: Sequence[Mapping[str, Any]], lead: Lead, by: Sequence[str]
) -> tuple[dict[Cell, tuple[Decimal, Decimal]], set[Cell]]:
    """(volume, amount) of each cell, and the cells of which one of them is hidden."""
    cells, hidden = {}, set()
    for row in answer:
        cell = (row[MEMBER], *(str(row[name] or "") for name in by))
        if row[lead.amount] is None or row[lead.volume] is None:
            hidden.add(cell)
        else:
            cells[cell] = (fmt.decimal(row[lead.volume]), fmt.decimal(row[lead.amount]))
    return cells, hidden


def _bars(source: Source, level: Level, parts: contributions.Parts, by: Sequence[str]) -> list[Bar]:
    named = levels.names(source, level)
    bars = [Bar(label="Volume", part=parts.volume, kind="volume", moves={})]
    nouns = [f"{level.noun}s", *({PAYER: "payers", PROVIDER: "providers"}[name] for name in by)]
    bars += [
        Bar(label=f"Mix of {noun}", part=part, kind="mix", moves={})
        for noun, part in zip(nouns, parts.mix, strict=False)
    ]
    has_payers = PAYER in by
    largest, others = contributions.largest(parts.rate_by(0, 1) if has_payers else parts.rate_by(0), MOST_NAMED)
    for cell, part in largest:
        moves = levels.moves(level, cell[0])
        label = levels.name_of(level, cell[0], named)
        if has_payers:
            label = f"{label}: {theme.payer_label(cell[1]) if cell[1] else 'no payer'}"
            moves = {**moves, "payer": cell[1]} if cell[1] else moves
        bars.append(Bar(label=label, part=part, kind="rate", moves=moves, member=cell[0]))
    bars.append(Bar(label="Rates elsewhere", part=others, kind="other", moves={}))
    return [bar for bar in bars if bar.part]


def finding(explained: Explained, against: str) -> str:
    """`Denied money rose $61,400 to $204,600 against Q2 2026, two thirds of it Medicaid in Imaging`."""
    figure, lead = explained.figure, explained.lead
    change = fmt.decimal(figure.value) - fmt.decimal(figure.before)
    verb = "rose" if change > 0 else "fell"
    unit = figure.metric.unit
    sentence = (
        f"{lead.subject} {verb} {fmt.short(abs(change), unit)} to {fmt.short(figure.value, unit)} against {against}"
    )
    return f"{sentence}{_cause(explained, change)}"


def _cause(explained: Explained, change: Decimal) -> str:
    named = [bar for bar in explained.bars if bar.kind in ("volume", "rate")]
    largest = max(named, key=lambda bar: bar.part / change, default=None)
    if largest is None:
        return ""
    share = largest.part / change
    words = findings.share_words(share) if share <= findings.ALONE else "driven by"
    if not words:
        return ""
    if largest.kind == "volume":
        more = "more" if largest.part > 0 else "less"
        return f", {words} {'because ' if words != 'driven by' else ''}{more} {explained.lead.decided}"
    member, _, payer = largest.label.partition(": ")
    where = f"{payer} in {member}" if payer else member
    return f", {words} {where}"


def as_parts(explained: Explained, earlier: Period, end: str) -> list[Bar]:
    """All bars of the waterfall: the earlier figure, its parts, the later figure.

    The first bar leads to the earlier period, unless it is shown as it stood at an earlier day.
    """
    at = {"period": earlier.key} if explained.figure.before_known_by is None else {}
    first = Bar(label=earlier.name, part=fmt.decimal(explained.figure.before), kind="total", moves=at)
    last = replace(first, label=end, part=fmt.decimal(explained.figure.value), moves={})
    return [first, *explained.bars, last]
