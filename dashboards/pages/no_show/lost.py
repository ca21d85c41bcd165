"""Slots lost to no-shows and late cancellations, and what they would have brought."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dashboards import blocks, breakdowns, figures, markup, widgets, work_links
from dashboards import format as fmt
from dashboards.breakdowns import Member
from dashboards.pages.no_show import shared
from dashboards.shell import PageContext

NO_SHOWS, LATE, WORTH = "no_shows", "late_cancels", "payment_per_encounter"
LOST = (NO_SHOWS, LATE)
TILES = (NO_SHOWS, LATE, "rescheduled_appointments", "fill_rate", "no_show_rate_of_slots", "waitlisted_appointments")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Slots that a member lost, and what a visit there brings on average; None where one is not known or hidden."""

    lost: int | None
    payment: Decimal | None

    @property
    def worth(self) -> Decimal | None:
        """An estimate: the lost slots at the mean payment for a visit, to the cent."""
        if self.lost is None or self.payment is None:
            return None
        return fmt.rounded(self.lost * self.payment, 2)


def loss(values: Any) -> Loss:
    """The loss of one member, from its figures by metric."""
    parts = [values.get(name) for name in LOST]
    payment = values.get(WORTH)
    return Loss(
        lost=None if None in parts else int(sum(parts)),
        payment=None if payment is None else fmt.decimal(payment),
    )


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_lost_tiles")
    level = breakdowns.below(source, view, [*LOST, WORTH])
    whole = figures.load(source, view, [*LOST, WORTH], trend=False)
    blocks.section(
        "What the lost slots were worth",
        f"{view.period.name}; estimate: no-shows and late cancellations at the mean payment for a visit of the same {level.noun}. A slot "
        "that was filled again is not taken off",
    )
    if not any(loss(member.now).lost for member in level.members):
        text = source.hidden_note or "Nobody missed an appointment or cancelled late in this period."
        blocks.empty(context, "No slot was lost", text, "cm_lost_none")
        return
    columns = [
        markup.Column(level.noun.capitalize()),
        markup.Column("No-shows", "count"),
        markup.Column("Late cancellations", "count"),
        markup.Column("Paid for a visit, mean", "usd"),
        markup.Column("Estimated loss", "usd"),
    ]
    ordered = sorted(level.members, key=lambda member: (-(loss(member.now).worth or 0), member.name))
    rows = [_row(member) for member in ordered if loss(member.now).lost]
    total = markup.Row(
        (
            "All",
            *[markup.Link(_value(whole, name), widgets.passport(name)) for name in (*LOST, WORTH)],
            sum((loss(member.now).worth or Decimal(0) for member in ordered), Decimal(0)),
        )
    )
    context.html(markup.table(columns, rows, caption="Slots lost", total=total), key="cm_lost")
    blocks.columns(
        [
            lambda: blocks.trend(context, LATE, title="Late cancellations over time"),
            lambda: blocks.hours(context, shared.LEAD, volume="expected_appointments", title="When slots are lost"),
        ]
    )
    work_links.draw(context, ("slots",), "cm_lost_work")


def _row(member: Member) -> markup.Row:
    marks = [widgets.passport(name, member.moves) if member.moves else "" for name in (*LOST, WORTH)]
    values = [markup.Link(member.now.get(name), mark) for name, mark in zip((*LOST, WORTH), marks, strict=True)]
    return markup.Row((member.name, *values, loss(member.now).worth))


def _value(loaded: dict[str, figures.Figure], name: str) -> Any:
    return loaded[name].value if name in loaded else None
