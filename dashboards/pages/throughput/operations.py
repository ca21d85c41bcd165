"""Staff hours against visits, and what supplies cost."""

from dashboards import blocks, breakdowns, figures
from dashboards.pages.throughput import visits
from dashboards.shell import PageContext

TILES = (
    "staffed_hours",
    "staffing_coverage_rate",
    "clinical_fte_years",
    "supply_cost_amount",
    "supply_cost_per_encounter",
    "supply_cost_known_rate",
)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, TILES)
    blocks.tiles(context, loaded, key="cm_operations_tiles")
    parts = [lambda: visits.by_hour(context)]
    if "staffed_hours" in loaded and loaded["staffed_hours"].value:
        roles = breakdowns.by_dimension(source, view, ["staffed_hours"], "staff_role")
        parts.append(
            lambda: blocks.ranking(context, roles, "staffed_hours", title="Staff hours by role", key="cm_roles")
        )
    if "supply_cost_amount" in loaded and loaded["supply_cost_amount"].value:
        items = breakdowns.by_dimension(source, view, ["supply_cost_amount"], "item_code")
        parts.append(
            lambda: blocks.ranking(
                context, items, "supply_cost_amount", title="Supplies that cost most", key="cm_items"
            )
        )
        parts.append(lambda: blocks.trend(context, "supply_cost_per_encounter", title="Supply cost per encounter"))
    blocks.columns(parts)
