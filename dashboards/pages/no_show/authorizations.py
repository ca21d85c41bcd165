"""Authorisations: what payers granted and refused, how long they took, and which authorisations expire soon."""

from datetime import timedelta
from functools import partial

from dashboards import blocks, breakdowns, figures, markup, widgets, work_links
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.breakdowns import Member
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
    payers = breakdowns.by_dimension(source, view, list(TITLES), "payer", before=False)
    blocks.section("By payer", f"Authorisations requested in {view.period.name}, as they stand now")
    _table(context, payers, "Payer", "cm_authorization_payers")
    codes = breakdowns.by_dimension(source, view, list(TITLES), "procedure_code", before=False)
    blocks.section("By procedure", f"Authorisations requested in {view.period.name}, as they stand now")
    _table(context, codes, "Code", "cm_authorization_codes")
    _expiring(context)
    trends = ((RATE, "Approved over time"), (TURNAROUND, "Days to a decision over time"))
    blocks.columns(
        [partial(blocks.trend, context, name, title=title) for name, title in trends if name in source.metrics]
    )
    work_links.draw(context, ("authorizations",), "cm_authorization_work")


def _table(context: PageContext, members: list[Member], title: str, key: str) -> None:
    """The members with the most requests, each figure with the way to its passport."""
    source = context.source
    titles = {name: text for name, text in TITLES.items() if name in source.metrics}
    rows = [
        markup.Row((member.name, *[_cell(member, name) for name in titles]))
        for member in members[:MOST_LISTED]
        if member.now.get(REQUESTED)
    ]
    if not rows:
        blocks.empty(
            context, "No authorisations", source.hidden_note or "No authorisation was asked for in this period.", key
        )
        return
    columns = [markup.Column(title)]
    columns += [markup.Column(name, source.metrics[metric].unit) for metric, name in titles.items()]
    context.html(markup.table(columns, rows, caption=f"Authorisations by {title.lower()}"), key=key)


def _cell(member: Member, metric: str) -> markup.Link:
    return markup.Link(member.now.get(metric), widgets.passport(metric, member.moves) if member.moves else "")


def _expiring(context: PageContext) -> None:
    """The places with the most authorisations that expire soon."""
    source, view = context.source, context.view
    if EXPIRING not in source.metrics or UNITS not in source.metrics:
        return
    first, last = source.as_of, source.as_of + timedelta(days=EXPIRING_DAYS)
    where = figures.filters(view, source.metrics[EXPIRING])
    blocks.section(f"Authorisations that expire within {EXPIRING_DAYS} days", f"{fmt.day(first)} to {fmt.day(last)}")
    if where is None:
        blocks.empty(
            context,
            "Not by this filter",
            "Authorisations are of a payer, a procedure and a place alone.",
            "cm_expiring",
        )
        return
    by_place = source.query([EXPIRING, UNITS], by=("service_unit",), where=where, start=first, end=last)
    total = source.query([EXPIRING, UNITS], where=where, start=first, end=last).row(0, named=True)
    period = periods.range_key(first, last)
    rows = sorted((row for row in by_place.iter_rows(named=True) if row[EXPIRING]), key=lambda row: -row[EXPIRING])
    table = markup.table(
        [markup.Column("Place"), markup.Column("Authorisations", "count"), markup.Column("Units left", "count")],
        [
            markup.Row(
                (
                    row["service_unit_name"],
                    *[
                        markup.Link(row[name], widgets.passport(name, {"period": period, "place": row["service_unit"]}))
                        for name in (EXPIRING, UNITS)
                    ],
                )
            )
            for row in rows[:MOST_LISTED]
        ],
        caption="Authorisations that expire soon",
        total=markup.Row(
            (
                "All",
                *[markup.Link(total[name], widgets.passport(name, {"period": period})) for name in (EXPIRING, UNITS)],
            )
        ),
        empty=f"No authorisation is known to expire from {fmt.day(first)} to {fmt.day(last)}.",
    )
    context.html(table, key="cm_expiring")
