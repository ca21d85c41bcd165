"""Credentials: what providers did outside their credentials, and which credentials end soon, with the money at stake."""

from datetime import timedelta

from dashboards import blocks, breakdowns, ending_soon, figures, findings, shell
from dashboards.ending_soon import Ending
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
    """The credentials that end soon, those with the most money first."""
    as_of = context.source.as_of
    ending = Ending(
        title=f"Credentials that end within {ENDING_DAYS} days",
        note=f"; at stake is what was billed in the {ENDING_DAYS} days before",
        by={"provider": "Provider", "service_unit": "Place"},
        metrics={ENDING: "Credentials", AT_STAKE: "At stake"},
        largest=AT_STAKE,
        none="No credential is known to end",
        most_rows=MOST_LISTED,
        key="cm_ending",
    )
    ending_soon.draw(context, ending, as_of + timedelta(days=1), as_of + timedelta(days=ENDING_DAYS))
