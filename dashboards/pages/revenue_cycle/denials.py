"""Denials: which reasons cost most and which are overturned, since when, where, and for which diagnoses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from dashboards import blocks, breakdowns, chance, figures, filters, markup, widgets, work_links
from dashboards import format as fmt
from dashboards.drawings.columns import Amount, pareto
from dashboards.figures import Figure
from dashboards.pages.revenue_cycle import diagnoses, shared
from dashboards.shell import PageContext

MONEY, CLAIMS, OVERTURNED_MONEY, OVERTURN_RATE = (
    "denied_billed_amount",
    "denied_claims",
    "overturned_billed_amount",
    "denial_overturn_rate",
)
TILES = (
    "denied_billed_amount",
    "denied_claims",
    "denial_overturn_rate",
    "denial_resubmission_rate",
    "denial_resolution_days_median",
    "denial_written_off_amount",
)
MOST_CAUSES = 8
NOT_DENIED = "not_denied"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why claims were denied: the code, its category in our words, what narrows a view to it, and its figures. An amount is None where
    it is hidden."""

    name: str
    moves: dict[str, str]
    money: Decimal | None
    claims: int | None
    overturned: Decimal | None
    overturn_rate: float | None

    @property
    def denied_still(self) -> Decimal | None:
        """Billed on claims that are denied still; None where a part is hidden."""
        return None if self.money is None or self.overturned is None else self.money - self.overturned


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, TILES)
    blocks.tiles(context, loaded, key="cm_denial_tiles")
    overall = shared.loaded(context).get("denial_rate")
    reasons = causes(context)
    blocks.columns([lambda: _pareto(context, reasons, loaded), lambda: _causes(context, reasons, loaded)])
    if overall is not None:
        blocks.trend(context, "denial_rate", title="Denial rate over time")
        level = shared.level(context)
        payers = [
            member
            for member in breakdowns.by_dimension(source, view, ["denial_rate", "remitted_claims"], "payer")
            if member.id
        ]
        blocks.columns(
            [
                lambda: blocks.ranking(
                    context, payers, "denial_rate", title="Which payers deny most", key="cm_payers", reference=overall
                ),
                lambda: blocks.ranking(
                    context,
                    level.members,
                    "denial_rate",
                    title=f"Denials by {level.noun}",
                    key="cm_units",
                    reference=overall,
                ),
            ]
        )
    diagnoses.draw(context)
    work_links.draw(context, ("denials",), "cm_denials_work")


def causes(context: PageContext) -> list[Cause]:
    """Reasons of the period's denials, the most money first, with hidden amounts last. Claims without a denial are left out."""
    source, view = context.source, context.view
    names = [name for name in (MONEY, CLAIMS, OVERTURNED_MONEY, OVERTURN_RATE) if name in source.metrics]
    if not names or not figures.knows(source.metrics[names[0]], "carc", "denial_category"):
        return []
    where = figures.filters(view, source.metrics[names[0]])
    if where is None:
        return []
    start, end = view.period.start, view.period.end
    frame = source.query(names, by=["carc", "denial_category"], where=where, start=start, end=end)
    reasons = []
    for row in frame.iter_rows(named=True):
        if row["denial_category"] in (None, NOT_DENIED) or row.get(CLAIMS) == 0:
            continue
        money, overturned = row.get(MONEY), row.get(OVERTURNED_MONEY)
        reasons.append(
            Cause(
                name=f"{row['carc']} {filters.label_of('denial_category', row['denial_category'], {}).lower()}",
                moves={"carc": row["carc"], "denial_category": row["denial_category"]},
                money=None if money is None else fmt.decimal(money),
                claims=row.get(CLAIMS),
                overturned=None if overturned is None else fmt.decimal(overturned),
                overturn_rate=row.get(OVERTURN_RATE),
            )
        )
    return sorted(reasons, key=lambda cause: (cause.money is None, -(cause.money or 0), cause.name))


def _pareto(context: PageContext, reasons: Sequence[Cause], loaded: Mapping[str, Figure]) -> None:
    """Few reasons make most of the denied money: the reasons by money, and the share so far."""
    if MONEY not in loaded:
        return
    blocks.section(
        "Reasons by money",
        f"Billed on denied claims by reason, services of {context.view.period.name}; line: share of all denied money so far"
        f"{_still(loaded[MONEY])}",
    )
    shown = [cause for cause in reasons if cause.money]
    hidden = context.source.hidden_note
    if not shown:
        none = ("No denials", "No payer answer in this period denied a claim.")
        blocks.empty(context, *((blocks.FEW, hidden) if hidden else none), "cm_pareto_none")
        return
    bars = [
        Amount(name=cause.name, amount=cause.money or Decimal(0), action=widgets.passport(MONEY, cause.moves))
        for cause in shown[:MOST_CAUSES]
    ]
    context.html(pareto(bars, fmt.decimal(loaded[MONEY].value or 0), "usd"), key="cm_pareto")


def _still(figure: Figure | None) -> str:
    """The caution of a figure that may still change, to end a note with."""
    return f". {figure.caution}" if figure is not None and figure.caution else ""


def _causes(context: PageContext, reasons: Sequence[Cause], loaded: Mapping[str, Figure]) -> None:
    """Each reason with the share that was overturned and what is denied still."""
    if not reasons:
        return
    blocks.section(
        "What was overturned, and what is denied still",
        f"Services of {context.view.period.name}; rates of fewer than {chance.LEAST_VOLUME} denials say little"
        f"{_still(loaded.get(OVERTURN_RATE))}",
    )
    columns = [
        markup.Column("Reason"),
        markup.Column("Claims", "count"),
        markup.Column("Billed", "usd"),
        markup.Column("Overturned", "percent"),
        markup.Column("Denied still", "usd"),
    ]
    rows = [
        markup.Row(
            (
                cause.name,
                markup.Link(cause.claims, widgets.passport(CLAIMS, cause.moves)),
                markup.Link(cause.money, widgets.passport(MONEY, cause.moves)),
                markup.Link(cause.overturn_rate, widgets.passport(OVERTURN_RATE, cause.moves)),
                cause.denied_still,
            )
        )
        for cause in reasons[:MOST_CAUSES]
    ]
    context.html(markup.table(columns, rows, caption="Reasons of denials"), key="cm_causes")
