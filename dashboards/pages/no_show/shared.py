"""What the heading and the sections of the page ask alike, so that it is asked once."""

from dashboards import breakdowns, figures
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
