"""Reminders: who was reminded, how and how long before. Reminded patients differ from others, so no cause is claimed."""

from dashboards import blocks, figures
from dashboards.pages.no_show import shared
from dashboards.shell import PageContext

TILES = (
    "reminded_rate",
    "reminder_confirmed_rate",
    "no_show_rate_reminded",
    "no_show_rate_not_reminded",
    "reminder_no_show_ratio",
)
BREAKDOWNS = (
    ("reminder_channel", "No-shows by how the last reminder was sent", False),
    ("reminder_notice_band", "No-shows by how long before the start it was sent", True),
)
NO_CAUSE = "Reminded patients differ from others, so this does not show that reminders work."


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_reminder_tiles")
    rankings = (
        shared.ranking(context, dimension, title=title, ordered=is_ordered)
        for dimension, title, is_ordered in BREAKDOWNS
    )
    parts = [ranking for ranking in rankings if ranking]
    if "reminder_confirmed_rate" in source.metrics:
        parts.append(lambda: blocks.trend(context, "reminder_confirmed_rate", title="Reminders confirmed over time"))
    blocks.columns(parts)
    blocks.small_print(NO_CAUSE)
