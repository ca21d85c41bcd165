"""The page: its heading, its tiles, and the section that is open."""

from dashboards import blocks, breakdowns, findings, sections, shell
from dashboards.pages.throughput import beds, capacity, operations, providers, shared, times, visits
from dashboards.sections import Section
from dashboards.shell import PageContext

PAGE = shared.PAGE
LEAD = PAGE.lead
SECTIONS = (
    Section(key="visits", title="Visits", draw=visits.draw, needs=(LEAD,)),
    Section(key="times", title="Where the time goes", draw=times.draw, needs=times.SEGMENTS),
    Section(key="capacity", title="Fill and next available", draw=capacity.draw, needs=capacity.TILES),
    Section(key="beds", title="Beds and stays", draw=beds.draw, needs=shared.BEDS),
    Section(key="providers", title="Providers", draw=providers.draw, needs=providers.METRICS),
    Section(key="operations", title="Staff and supplies", draw=operations.draw, needs=operations.TILES),
)


def draw(context: PageContext) -> None:
    """Draws the page Throughput for the view of the context."""
    source, view = context.source, context.view
    loaded = shared.loaded(context)
    if shell.before_data(context, loaded):
        return
    level = breakdowns.below(source, view, PAGE.table)
    shell.head(context, findings.finding(loaded.get(LEAD), "Encounters", level))
    blocks.tiles(context, shared.shown_tiles(loaded))
    inpatient = shared.is_inpatient(loaded)
    sections.draw(context, [section for section in SECTIONS if inpatient or section.key != "beds"])
