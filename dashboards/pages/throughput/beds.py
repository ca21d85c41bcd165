"""How full the beds are, by hour and over time, and how long people stay."""

from dashboards import blocks, breakdowns, figures
from dashboards.pages.throughput import shared
from dashboards.shell import PageContext

STAYS = (
    "discharges",
    "length_of_stay_days_median",
    "length_of_stay_days_p90",
    "open_stays",
    "readmission_30d_rate",
    "follow_up_7d_rate",
    "follow_up_30d_rate",
    "boarding_minutes",
)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, STAYS), key="cm_stay_tiles")
    parts = [
        lambda: blocks.trend(context, "bed_occupancy_rate", title="Bed occupancy over time"),
        lambda: blocks.hours(
            context,
            "bed_occupancy_rate_hourly",
            volume="staffed_bed_hours",
            title="When beds are taken",
            note=f"Share of staffed beds taken, by weekday and hour of the day, {view.period.name}",
        ),
        lambda: blocks.trend(context, "length_of_stay_days", title="Length of stay over time"),
    ]
    if "length_of_stay_days" in source.metrics:
        stays = breakdowns.by_dimension(source, view, ["length_of_stay_days", "discharges"], "payer_class")
        overall = shared.loaded(context).get("length_of_stay_days")
        parts.append(
            lambda: blocks.ranking(
                context,
                stays,
                "length_of_stay_days",
                title="Length of stay by payer class",
                key="cm_stays",
                reference=overall,
            )
        )
    blocks.columns(parts)
