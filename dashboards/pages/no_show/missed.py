"""Missed appointments: since when, where and at which hours."""

from dashboards import blocks
from dashboards.pages.no_show import shared
from dashboards.shell import PageContext


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    loaded, level = shared.loaded(context), shared.level(context)
    blocks.trend(context, shared.LEAD, title="No-show rate over time")
    blocks.columns(
        [
            lambda: blocks.ranking(
                context,
                level.members,
                shared.LEAD,
                title=f"Which {level.plural} have most",
                key="cm_units",
                reference=loaded.get(shared.LEAD),
            ),
            lambda: blocks.hours(
                context, shared.LEAD, volume="expected_appointments", title="When appointments are missed"
            ),
        ]
    )
    blocks.level_table(context, level, shared.PAGE.table, lead=shared.LEAD, loaded=loaded)
