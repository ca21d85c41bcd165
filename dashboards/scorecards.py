"""Draws a scorecard: members beside their own usual range, so that only what has left it is in colour."""

from collections.abc import Mapping, Sequence

from dashboards import blocks, figures, scorecard, widgets
from dashboards import level as levels
from dashboards.drawings.ranges import range_table
from dashboards.level import Level
from dashboards.shell import PageContext


def draw(
    context: PageContext,
    level: Level,
    metrics: Sequence[str],
    *,
    volume: str,
    most: int,
    title: str,
    short_names: Mapping[str, str],
    key: str,
) -> None:
    """The members with the most of `volume`, at most so many; it counts the cases of metrics that name none below their line.
    `short_names` has names of metrics that are shorter than their labels. A click on a name narrows the page to it, one on a figure opens
    its passport."""
    source, view = context.source, context.view
    there = [name for name in metrics if name in source.metrics]
    card = scorecard.scorecard(
        source,
        view,
        level,
        there,
        figures.load(source, view, there),
        answers=levels.ask(source, view, level, there, [volume]),
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

    context.html(range_table(card, widgets.narrow, widgets.passport, note, short_names), key=key)
