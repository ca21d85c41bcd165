"""Authorisations: what payers granted and refused, how long they took, and which authorisations expire soon."""

from datetime import timedelta
from functools import partial

from dashboards import blocks, breakdowns, ending_soon, figures, filters, markup, widgets, work_links
from dashboards.breakdowns import Member
from dashboards.ending_soon import Ending
from dashboards.shell import PageContext

REQUESTED, RATE, TURNAROUND = "authorizations_requested", "authorization_approval_rate", "authorization_turnaround_days"
EXPIRING, UNITS = "authorizations_expiring", "authorization_units_expiring"
TILES = (
    REQUESTED,
    RATE,
    "authorizations_denied",
    "authorization_turnaround_days_median",
    "authorization_within_7_days_rate",
    "authorization_units_used_rate",
)
# The columns of the tables.
TITLES = {
    REQUESTED: "Requested",
    "authorizations_approved": "Approved",
    "authorizations_denied": "Denied",
    "authorizations_pended": "Pended",
    RATE: "Approved, share",
    TURNAROUND: "Days to a decision",
}
# As the mart counts: days after the day that the data reach.
EXPIRING_DAYS = 30
MOST_LISTED = 25


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_authorization_tiles")
    _table(context, "payer", title="By payer", column="Payer", key="cm_authorization_payers")
    _table(context, "procedure_code", title="By procedure", column="Code", key="cm_authorization_codes")
    _expiring(context)
    trends = ((RATE, "Approved over time"), (TURNAROUND, "Days to a decision over time"))
    blocks.columns(
        [partial(blocks.trend, context, name, title=title) for name, title in trends if name in source.metrics]
    )
    work_links.draw(context, ("authorizations",), "cm_authorization_work")


def _table(context: PageContext, dimension: str, *, title: str, column: str, key: str) -> None:
    """The members of a dimension with the most requests, each figure with the way to its passport."""
    source, view = context.source, context.view
    titles = {name: text for name, text in TITLES.items() if name in source.metrics}
    members = breakdowns.by_dimension(source, view, list(titles), dimension, before=False)
    counted = [member for member in members if member.now.get(REQUESTED)]
    more = f"; the first {MOST_LISTED} of {len(counted):,} are listed" if len(counted) > MOST_LISTED else ""
    blocks.section(title, f"Authorisations requested in {view.period.name}, as they stand now{more}")
    if not counted:
        problem = filters.missing(view, source.metrics[REQUESTED])
        text = f"{problem}." if problem else source.hidden_note or "No authorisation was asked for in this period."
        blocks.empty(context, "No authorisations", text, key)
        return
    rows = [markup.Row((member.name, *[_cell(member, name) for name in titles])) for member in counted[:MOST_LISTED]]
    columns = [markup.Column(column)]
    columns += [markup.Column(name, source.metrics[metric].unit) for metric, name in titles.items()]
    context.html(markup.table(columns, rows, caption=f"Authorisations by {column.lower()}"), key=key)
    if source.hides_few and any(member.now.get(REQUESTED) is None for member in members):
        blocks.small_print(f"Rows may be missing. {source.hidden_note}")


def _cell(member: Member, metric: str) -> markup.Link:
    return markup.Link(member.now.get(metric), widgets.passport(metric, member.moves) if member.moves else "")


def _expiring(context: PageContext) -> None:
    """The places with the most authorisations that expire soon."""
    source = context.source
    if EXPIRING not in source.metrics or UNITS not in source.metrics:
        return
    ending = Ending(
        title=f"Authorisations that expire within {EXPIRING_DAYS} days",
        note="; units left are those of the authorisations whose feed counts units",
        by={"service_unit": "Place"},
        metrics={EXPIRING: "Authorisations", UNITS: "Units left"},
        largest=EXPIRING,
        none="No authorisation is known to expire",
        most_rows=MOST_LISTED,
        key="cm_expiring",
    )
    ending_soon.draw(context, ending, source.as_of, source.as_of + timedelta(days=EXPIRING_DAYS))
