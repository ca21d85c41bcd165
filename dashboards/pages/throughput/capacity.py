"""How full the schedule is, and how long one waits for an appointment."""

from collections.abc import Callable
from functools import partial

from dashboards import blocks, breakdowns, figures
from dashboards.shell import PageContext

FILL, NEXT = "fill_rate", "third_next_available_days"
TILES = (FILL, "template_slots", NEXT, "full_schedule_rate", "schedule_utilization_rate", "provider_utilization_rate")


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, TILES)
    if not any(value for figure in loaded.values() for value in (figure.value, *(v for _, v in figure.trend))):
        text = (
            "No slots of a schedule are known up to this period. They come from the schedule of the practice system, from the day of its "
            "first reading on."
        )
        blocks.empty(context, "No schedule to look at", text, "cm_capacity_none")
        return
    blocks.tiles(context, loaded, key="cm_capacity_tiles")
    level = breakdowns.below(source, view, [FILL, NEXT])
    parts: list[Callable[[], None]] = []
    for name, title in ((FILL, "Fill"), (NEXT, "Third next available")):
        figure = loaded.get(name)
        if figure is None or figure.value is None:
            continue
        parts.append(
            partial(
                blocks.ranking,
                context,
                level.members,
                name,
                title=f"{title} by {level.noun}",
                key=f"cm_{name}",
                reference=figure,
            )
        )
        parts.append(partial(blocks.trend, context, name, title=f"{title} over time"))
    if FILL in source.metrics:
        parts.append(lambda: blocks.hours(context, FILL, volume="template_slots", title="When slots stay free"))
    blocks.columns(parts)
