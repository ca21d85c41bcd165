"""Slots lost to no-shows and late cancellations, and what they would have brought."""

from collections.abc import Sequence
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


def total_of(worths: Sequence[Decimal | None]) -> Decimal | None:
    """The sum of the losses that are known; None where none is."""
    amounts = [worth for worth in worths if worth is not None]
    return sum(amounts, Decimal(0)) if amounts else None


def missing(worths: Sequence[Decimal | None], noun: str) -> str:
    """For how many of the members a total holds; empty where it holds for all."""
    counted = sum(worth is not None for worth in worths)
    if counted == len(worths):
        return ""
    return (
        f"The estimated loss of all is that of {counted} of {fmt.plural(len(worths), noun)}: of the others a number of slots or a mean "
        "payment is not known or not shown."
    )


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_lost_tiles")
    level = breakdowns.below(source, view, [*LOST, WORTH])
    whole = figures.load(source, view, [*LOST, WORTH], trend=False)
    caution = whole[WORTH].caution if WORTH in whole else ""
    too_low = f". {caution}, so the mean payment and the estimate are still too low" if caution else ""
    blocks.section(
        "What the lost slots were worth",
        f"{view.period.name}; estimate: no-shows and late cancellations at the mean payment for a visit of the same {level.noun}. A slot "
        f"that was filled again is not taken off{too_low}",
    )
    # A member whose slots are not known may have lost some: it is listed, without a loss.
    losses = {member.id: loss(member.now) for member in level.members}
    listed = [member for member in level.members if losses[member.id].lost != 0]
    if not any(losses[member.id].lost for member in listed):
        text = source.hidden_note or "Nobody missed an appointment or cancelled late in this period."
        blocks.empty(context, "No slot was lost", text, "cm_lost_none")
        return
    columns = [
        markup.Column(level.noun.capitalize()),
        markup.Column("No-shows", "count"),
        markup.Column("Late cancellations", "count"),
        markup.Column("Paid for a visit, mean", "usd"),
        markup.Column("Estimated loss so far" if caution else "Estimated loss", "usd"),
    ]
    ordered = sorted(listed, key=lambda member: (-(losses[member.id].worth or 0), member.name))
    worths = [losses[member.id].worth for member in ordered]
    total = markup.Row(
        (
            "All",
            *[markup.Link(_value(whole, name), widgets.passport(name)) for name in (*LOST, WORTH)],
            total_of(worths),
        )
    )
    context.html(markup.table(columns, [_row(m) for m in ordered], caption="Slots lost", total=total), key="cm_lost")
    if gaps := missing(worths, level.noun):
        blocks.small_print(gaps)
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
