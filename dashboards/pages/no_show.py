"""No-show: how many appointments are missed, since when, where and at which hours."""

from dashboards import blocks, breakdowns, figures, findings, shell
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["no_show"]
LEAD = PAGE.lead


def draw(context: PageContext) -> None:
    """Draws the page No-show for the view of the context."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, [*PAGE.tiles, "appointments"])
    if shell.before_data(context, loaded):
        return
    level = breakdowns.below(source, view, [LEAD, *[name for name in PAGE.table if name != LEAD]])
    shell.head(context, findings.finding(loaded.get(LEAD), "No-shows", level, "no_shows"))
    blocks.tiles(context, {name: loaded[name] for name in PAGE.tiles if name in loaded})
    blocks.trend(context, LEAD, title="No-show rate over time")
    overall = loaded.get(LEAD)

    def units() -> None:
        blocks.ranking(
            context, level.members, LEAD, title=f"Which {level.plural} have most", key="cm_units", reference=overall
        )

    def visit_types() -> None:
        members = breakdowns.by_dimension(source, view, [LEAD], "visit_type")
        blocks.ranking(
            context, members, LEAD, title="Which visit types have most", key="cm_visit_types", reference=overall
        )

    def lead_times() -> None:
        members = breakdowns.by_dimension(source, view, [LEAD], "lead_time_band")
        blocks.ranking(
            context,
            members,
            LEAD,
            title="By days from booking to visit",
            key="cm_lead_times",
            ordered=True,
            reference=overall,
        )

    def reminders() -> None:
        members = breakdowns.by_dimension(source, view, [LEAD], "reminder_channel")
        blocks.ranking(
            context,
            members,
            LEAD,
            title="By the last reminder",
            key="cm_reminders",
            note="By how the last reminder was sent. Reminded patients differ from others, so this does not show that reminders work",
            reference=overall,
        )

    parts = [units]
    if figures.knows(source.metrics.get(LEAD), "visit_type"):
        parts.append(visit_types)
    if figures.knows(source.metrics.get(LEAD), "lead_time_band"):
        parts.append(lead_times)
    if figures.knows(source.metrics.get(LEAD), "reminder_channel"):
        parts.append(reminders)
    parts.append(
        lambda: blocks.hours(context, LEAD, volume="expected_appointments", title="When appointments are missed")
    )
    blocks.columns(parts)
    blocks.level_table(context, level, PAGE.table, lead=LEAD, loaded=loaded)
