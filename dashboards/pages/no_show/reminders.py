"""Reminders: who was reminded, how and how long before. Reminded patients differ from others, so no cause is claimed."""

from collections.abc import Callable
from functools import partial

from dashboards import blocks, breakdowns, figures
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
    ("reminder_channel", "By the last reminder", "By how the last reminder was sent", False),
    ("reminder_notice_band", "By notice", "By how long before the start the last reminder was sent", True),
)
NO_CAUSE = "Reminded patients differ from others, so this does not show that reminders work"


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_reminder_tiles")
    overall = shared.loaded(context).get(shared.LEAD)
    parts: list[Callable[[], None]] = []
    for dimension, title, note, is_ordered in BREAKDOWNS:
        if not figures.knows(source.metrics.get(shared.LEAD), dimension):
            continue
        members = breakdowns.by_dimension(source, view, [shared.LEAD], dimension)
        parts.append(
            partial(
                blocks.ranking,
                context,
                members,
                shared.LEAD,
                title=title,
                key=f"cm_{dimension}",
                note=f"{note}. {NO_CAUSE}",
                ordered=is_ordered,
                reference=overall,
            )
        )
    if "reminder_confirmed_rate" in source.metrics:
        parts.append(lambda: blocks.trend(context, "reminder_confirmed_rate", title="Reminders confirmed over time"))
    blocks.columns(parts)
