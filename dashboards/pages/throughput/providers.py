"""Providers beside their own usual range, the levels of their visits, and their work RVUs."""

from dashboards import blocks, breakdowns, figures, scorecards
from dashboards.level import Level
from dashboards.pages.throughput import evaluations
from dashboards.shell import PageContext

METRICS = (
    "encounters",
    "visits_per_hour",
    "cycle_time_minutes",
    "on_time_start_rate",
    "no_show_rate",
    "denial_rate",
    "work_rvus_per_hour",
)
SHORT_NAMES = {
    "visits_per_hour": "Visits an hour",
    "cycle_time_minutes": "Cycle time",
    "on_time_start_rate": "On time",
    "no_show_rate": "No-shows",
    "denial_rate": "Denials",
    "work_rvus_per_hour": "wRVU an hour",
}
TILES = (
    "work_rvus",
    "work_rvus_per_hour",
    "work_rvus_per_clinical_fte",
    "payment_per_work_rvu",
    "work_rvu_coverage_rate",
    "note_close_lag_days_median",
)
LEVEL = Level(noun="provider", dimension="provider")
MOST_PROVIDERS = 15


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    scorecards.draw(
        context,
        LEVEL,
        METRICS,
        volume="encounters",
        most=MOST_PROVIDERS,
        title="Providers, and who has left the usual range",
        short_names=SHORT_NAMES,
        key="cm_provider_card",
    )
    evaluations.draw(context)
    blocks.section("Work RVUs", view.period.name)
    loaded = figures.load(source, view, TILES)
    blocks.tiles(context, loaded, key="cm_rvu_tiles")
    figure = loaded.get("work_rvus")
    if figure is None or not figure.value:
        return
    members = breakdowns.by_dimension(source, view, ["work_rvus"], "provider")
    blocks.columns(
        [
            lambda: blocks.ranking(context, members, "work_rvus", title="Work RVUs by provider", key="cm_rvus"),
            lambda: blocks.trend(context, "work_rvus", title="Work RVUs over time"),
        ]
    )
