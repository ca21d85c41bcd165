"""Credentials: what providers did outside their credentials, and which credentials end soon, with the money at stake."""

from datetime import timedelta
from typing import Any

from dashboards import blocks, breakdowns, figures, findings, markup, shell, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import UNKNOWN
from dashboards.shell import PageContext
from serving.modules import PAGES
from serving.modules.credentialing import ENDING_DAYS

PAGE = PAGES["credentials"]
LEAD = PAGE.lead
ENDING, AT_STAKE = "credentials_ending", "billed_under_ending_credentials"
MOST_LISTED = 50


def draw(context: PageContext) -> None:
    source, view = context.source, context.view
    loaded = figures.load(source, view, PAGE.tiles)
    level = breakdowns.below(source, view, PAGE.table)
    shell.head(context, findings.finding(loaded.get(LEAD), "Visits outside a credential", level))
    blocks.tiles(context, {name: loaded[name] for name in PAGE.tiles if name in loaded})
    _ending(context)
    blocks.trend(context, LEAD, title="Visits outside a credential over time")
    members = breakdowns.by_dimension(source, view, [LEAD], "provider")
    blocks.ranking(context, members, LEAD, title="By provider", key="cm_providers")
    blocks.level_table(context, level, PAGE.table, lead=LEAD, loaded=loaded)


def _ending(context: PageContext) -> None:
    """The credentials that end soon, those with the most money first. Each row leads to its passport and its rows."""
    source, view = context.source, context.view
    first, last = source.as_of + timedelta(days=1), source.as_of + timedelta(days=ENDING_DAYS)
    where = figures.filters(view, source.metrics[ENDING])
    blocks.section(
        f"Credentials that end within {ENDING_DAYS} days",
        f"{fmt.day(first)} to {fmt.day(last)}; at stake is what was billed in the {ENDING_DAYS} days before",
    )
    if where is None:
        blocks.empty(context, "Not by this filter", "Credentials are of a provider and a place alone.", "cm_ending")
        return
    by = ("provider", "service_unit")
    ending = source.query([ENDING, AT_STAKE], by=by, where=where, start=first, end=last)
    rows = sorted((row for row in ending.iter_rows(named=True) if row[ENDING]), key=lambda row: -row[AT_STAKE])
    total = source.query([ENDING, AT_STAKE], where=where, start=first, end=last).row(0, named=True)
    period = periods.range_key(first, last)
    table = markup.table(
        [
            markup.Column("Provider"),
            markup.Column("Place"),
            markup.Column("Credentials", "count"),
            markup.Column("At stake", "usd"),
        ],
        [_row(row, period) for row in rows[:MOST_LISTED]],
        caption="Credentials that end soon",
        total=markup.Row(
            (
                "All",
                "",
                markup.Link(total[ENDING], widgets.passport(ENDING, {"period": period})),
                markup.Link(total[AT_STAKE], widgets.passport(AT_STAKE, {"period": period})),
            )
        ),
        empty=f"No credential is known to end from {fmt.day(first)} to {fmt.day(last)}.",
    )
    context.html(table, key="cm_ending")


def _row(row: dict[str, Any], period: str) -> markup.Row:
    place = {"period": period, "place": row["service_unit"]}
    if row["provider"] != UNKNOWN:
        place["provider"] = row["provider"]
    return markup.Row(
        (
            row["provider_name"],
            row["service_unit_name"],
            markup.Link(row[ENDING], widgets.passport(ENDING, place)),
            markup.Link(row[AT_STAKE], widgets.passport(AT_STAKE, place)),
        )
    )
