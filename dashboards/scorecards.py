"""Draws a scorecard: members beside their own usual range, so that only what has left it is in colour."""

from collections.abc import Mapping, Sequence
from typing import Any

from dashboards import blocks, figures, scorecard, widgets
from dashboards.drawings.ranges import range_table
from dashboards.level import Level
from dashboards.shell import PageContext


def draw(
    context: PageContext,
    level: Level,
    metrics: Sequence[str],
    counted: Sequence[str],
    *,
    volume: str,
    most: int,
    title: str,
    short_names: Mapping[str, str],
    key: str,
) -> None:
    """The members with the most of `volume`, at most so many. `counted` are the metrics below the line of the rates; `short_names` has
    names of metrics that are shorter than their labels. A click on a name narrows the page to it, one on a figure opens its passport."""
    source, view = context.source, context.view
    there = [name for name in metrics if name in source.metrics]
    period, months = scorecard.ask(source, view, level, there, counted)
    card = scorecard.scorecard(
        source,
        view,
        level,
        there,
        figures.load(source, view, there),
        period=period,
        months=months,
        volume=volume,
        most=most,
    )
    more = f"; {card.more} more with less volume" if card.more else ""
    note = (
        f"{view.period.name}; dot: this period, band: usual range of the months before for the same {level.noun}, in colour: left it, "
        f"open: still settling{more}"
    )
    blocks.section(title, note)
    if not card.members:
        text = source.hidden_note or f"No {level.noun} has figures in this period."
        blocks.empty(context, "Nothing to compare", text, f"{key}_none")
        return

    def lead_to(_member: str, moves: Mapping[str, Any]) -> str:
        return widgets.move(**moves) if moves else ""

    context.html(range_table(card, lead_to, widgets.passport, note, short_names), key=key)
