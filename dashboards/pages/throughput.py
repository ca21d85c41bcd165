"""Throughput: how many people are seen, how long they wait and stay, at which hours, and how full the beds are."""

from dashboards import blocks, breakdowns, figures, findings, shell
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["throughput"]
LEAD = PAGE.lead


def draw(context: PageContext) -> None:
    """Draws the page Throughput for the view of the context."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, [*PAGE.tiles, "bed_days"])
    if shell.before_data(context, loaded):
        return
    level = breakdowns.below(source, view, PAGE.table)
    shell.head(context, findings.finding(loaded.get(LEAD), "Encounters", level))
    # Beds are for units that have some: a clinic's page does not show empty tiles for them.
    inpatient = any(loaded[name].value for name in ("bed_days", "bed_occupancy_rate") if name in loaded)
    beds = {"bed_occupancy_rate", "length_of_stay_days"}
    blocks.tiles(
        context, {name: loaded[name] for name in PAGE.tiles if name in loaded and (inpatient or name not in beds)}
    )
    blocks.trend(context, LEAD, title="Encounters over time")
    sentences = [
        lambda: blocks.hours(
            context,
            "wait_time_minutes",
            volume="encounters",
            title="When people wait",
            note=f"Wait from check-in to room, by weekday and hour of check-in, {view.period.name}",
        ),
        lambda: blocks.ranking(
            context,
            level.members,
            "cycle_time_minutes" if "cycle_time_minutes" in source.metrics else LEAD,
            title=f"Cycle time by {level.noun}",
            key="cm_units",
            reference=loaded.get("cycle_time_minutes"),
        ),
    ]
    if inpatient:
        sentences.append(lambda: blocks.trend(context, "bed_occupancy_rate", title="Bed occupancy over time"))
        sentences.append(
            lambda: blocks.hours(
                context,
                "bed_occupancy_rate_hourly",
                volume="staffed_bed_hours",
                title="When beds are taken",
                note=f"Share of staffed beds taken, by weekday and hour of the day, {view.period.name}",
            )
        )
    if level.dimension == "service_unit":
        sentences.append(lambda: _providers(context))
    blocks.columns(sentences)
    shown = [name for name in PAGE.table if inpatient or name not in ("bed_days", "length_of_stay_days")]
    blocks.level_table(context, level, shown, lead=LEAD, loaded=loaded)


def _providers(context: PageContext) -> None:
    members = breakdowns.by_dimension(context.source, context.view, [LEAD], "provider")
    blocks.ranking(context, members, LEAD, title="Encounters by provider", key="cm_providers")
