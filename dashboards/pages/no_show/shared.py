"""What the heading and the sections of the page ask alike, so that it is asked once."""

from collections.abc import Callable
from functools import partial
from typing import Any

from dashboards import blocks, breakdowns, figures
from dashboards.breakdowns import Level
from dashboards.figures import Figure
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["no_show"]
LEAD = PAGE.lead


def loaded(context: PageContext) -> dict[str, Figure]:
    """The figures of the tiles."""
    return figures.load(context.source, context.view, [*PAGE.tiles, "appointments"])


def level(context: PageContext) -> Level:
    """The members one level down with the figures of the table."""
    return breakdowns.below(context.source, context.view, [LEAD, *[name for name in PAGE.table if name != LEAD]])


def ranking(context: PageContext, dimension: str, **options: Any) -> Callable[[], None] | None:
    """Draws the no-show rate by a dimension beside the rate of all, with options of `blocks.ranking`; None where the rate cannot be
    asked by it."""
    source, view = context.source, context.view
    if not figures.knows(source.metrics.get(LEAD), dimension):
        return None
    members = breakdowns.by_dimension(source, view, [LEAD], dimension)
    return partial(
        blocks.ranking, context, members, LEAD, key=f"cm_{dimension}", reference=loaded(context).get(LEAD), **options
    )
