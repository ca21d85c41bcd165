"""A referral partner's page: the own referrals of twelve months, how far each came and when. No names, no money, nothing clinical."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards import period as periods
from dashboards import rows as row_pages
from dashboards.data import UNKNOWN, Source
from dashboards.shell import PageContext
from serving.model import Drill

MONTHS = 12
RECEIVED, SCHEDULED, SEEN = "referrals", "referrals_scheduled", "referrals_attended"
# What became of a referral, in the words of the partner.
OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "attended": "Seen",
        "out_of_network": "Seen elsewhere",
        "cancelled": "Cancelled",
        "expired": "Expired before a visit",
        "open": "Open",
    }
)


def draw(context: PageContext) -> None:
    source = context.source
    first = periods.add_months(context.today.replace(day=1), 1 - MONTHS)
    figures = source.query([RECEIVED, SCHEDULED, SEEN], start=first, end=context.today).row(0, named=True)
    context.html(_head(context, first, figures), key="cm_head")
    context.html(_facts(figures), key="cm_referral_facts")
    blocks.section("Your referrals", "The newest first. Patients are not named; find a referral by its day and place")
    rows = source.drill(RECEIVED, {}, first, context.today, context.view.page, counted_only=False)
    context.html(_table(source, rows), key="cm_referrals")
    context.html(row_pages.pager(context.view, rows.listed_rows), key="cm_referral_pages")


def _head(context: PageContext, first: date, figures: Mapping[str, Any]) -> Markup:
    source, received = context.source, figures[RECEIVED]
    title = f"{fmt.plural(received, 'referral', 'referrals')} received, {figures[SEEN]:,} seen"
    line = [
        f"{fmt.day(first)} to {fmt.day(context.today)}",
        f"published {fmt.moment(source.reader.published_at, source.time_zone)}",
    ]
    return markup.heading(title, line, markup.breadcrumb([(source.scope_label, "")], tenant=source.tenant_name))


def _facts(figures: Mapping[str, Any]) -> Markup:
    facts = (
        ("Received", figures[RECEIVED], f"in {MONTHS} months"),
        ("Scheduled", figures[SCHEDULED], "an appointment was made, or the patient was seen"),
        ("Seen", figures[SEEN], "the visit took place"),
    )
    return markup.facts([(name, f"{value:,}", note) for name, value, note in facts], "Your referrals")


def _table(source: Source, rows: Drill) -> Markup:
    columns = ("Ordered", "Place", "What became of it", "First appointment booked", "Seen", "Expires")
    return markup.table(
        [markup.Column(title) for title in columns],
        [_row(source, row) for row in rows.frame.iter_rows(named=True)],
        caption="Your referrals",
        empty=f"No referral of yours was received in the last {MONTHS} months.",
    )


def _row(source: Source, row: Mapping[str, Any]) -> markup.Row:
    unit, is_open = row["service_unit_id"], row["outcome"] == "open"
    place = source.places[unit].name if unit in source.places and unit != UNKNOWN else None
    became = "Scheduled" if is_open and row["is_scheduled"] else OUTCOMES[row["outcome"]]
    days = (
        row["ordered_date"],
        row["first_booked_date"],
        row["first_visit_date"],
        row["expiry_date"] if is_open else None,
    )
    ordered, booked, seen, expires = (fmt.day(day) if day else None for day in days)
    return markup.Row((ordered, place, became, booked, seen, expires))
