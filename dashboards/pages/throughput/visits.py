"""How many people are seen: over time, for each staffed hour, one level down."""

from dashboards import blocks, breakdowns, figures, widgets
from dashboards import format as fmt
from dashboards.drawings import columns
from dashboards.drawings.columns import Amount
from dashboards.pages.throughput import shared
from dashboards.shell import PageContext

RATE, HOURS = "visits_per_hour_by_hour", "provider_hours_by_hour"


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    page = shared.PAGE
    loaded = shared.loaded(context)
    blocks.trend(context, page.lead, title="Encounters over time")
    level = breakdowns.below(source, view, page.table)
    parts = [lambda: by_hour(context)]
    if level.dimension == "service_unit":
        members = breakdowns.by_dimension(source, view, [page.lead], "provider")
        parts.append(
            lambda: blocks.ranking(context, members, page.lead, title="Encounters by provider", key="cm_providers")
        )
    blocks.columns(parts)
    inpatient = shared.is_inpatient(loaded)
    shown = [name for name in page.table if inpatient or name not in ("bed_days", "length_of_stay_days")]
    blocks.level_table(context, level, shown, lead=page.lead, loaded=loaded)


def by_hour(context: PageContext) -> None:
    """Visits for each hour that a provider was on duty, by hour of the day."""
    source, view = context.source, context.view
    metric = source.metrics.get(RATE)
    if metric is None or not figures.knows(metric, "hour_of_day"):
        return
    blocks.section(
        "Visits for each staffed hour",
        f"{metric.label}, {view.period.name}; hours without a provider on duty are empty",
    )
    where = figures.filters(view, metric)
    if where is None:
        blocks.empty(
            context, "Not available for this choice", "Choose all payers and all providers.", "cm_by_hour_filter"
        )
        return
    frame = source.query([RATE], by=["hour_of_day"], where=where, start=view.period.start, end=view.period.end)
    values = {
        int(row["hour_of_day"]): row[RATE] for row in frame.iter_rows(named=True) if row["hour_of_day"] is not None
    }
    if not any(value is not None for value in values.values()):
        text = source.hidden_note or "No shift of a provider is known for this period."
        blocks.empty(context, "No staffed hours", text, "cm_by_hour_none")
        return
    there = [hour for hour, value in values.items() if value is not None]
    hours = range(min(there), max(there) + 1)
    bars = [
        Amount(
            name=f"{hour:02d}:00",
            amount=fmt.decimal(values.get(hour) or 0),
            action=widgets.passport(RATE, {"hour": str(hour)}) if values.get(hour) is not None else "",
        )
        for hour in hours
    ]
    rows = [(f"{hour:02d}:00", values.get(hour)) for hour in hours]
    drawn = columns.plain(bars, metric.unit) + columns.table(("Hour", metric.label), rows, metric.unit, metric.label)
    context.html(drawn, key="cm_by_hour")
