"""What goes with missed appointments: earlier no-shows, the payer, days from booking, the kind of visit."""

from collections.abc import Callable
from functools import partial

from dashboards import blocks, breakdowns, figures
from dashboards.pages.no_show import shared
from dashboards.shell import PageContext

# Dimension, title, whether its values stand in a fixed order.
BREAKDOWNS = (
    ("prior_no_show_band", "By no-shows in the year before", True),
    ("payer_class", "By payer class", False),
    ("lead_time_band", "By days from booking to visit", True),
    ("visit_type", "Which visit types have most", False),
)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    overall = shared.loaded(context).get(shared.LEAD)
    parts: list[Callable[[], None]] = []
    for dimension, title, is_ordered in BREAKDOWNS:
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
                ordered=is_ordered,
                reference=overall,
            )
        )
    blocks.columns(parts)
    blocks.small_print(
        "What goes together need not be the cause: patients with a long lead time, for one, differ in other ways."
    )
