"""What the heading and the sections of the page ask alike, so that it is asked once."""

from dashboards import breakdowns, figures
from dashboards.breakdowns import Level
from dashboards.figures import Figure
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["revenue_cycle"]
# What becomes of billed charges: the parts add up to what was billed.
PARTS = {
    "payer_paid_amount": "Paid by payers",
    "patient_paid_amount": "Paid by patients",
    "adjusted_amount": "Adjusted",
    "open_balance": "Still open",
}


def loaded(context: PageContext) -> dict[str, Figure]:
    """The figures of the tiles and of the parts of billed charges."""
    return figures.load(context.source, context.view, [*PAGE.tiles, *PARTS])


def level(context: PageContext) -> Level:
    """The members one level down with the figures of the table."""
    return breakdowns.below(context.source, context.view, ["denial_rate", "denied_claims", *PAGE.table])
