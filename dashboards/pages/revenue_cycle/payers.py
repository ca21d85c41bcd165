"""Payers beside their own usual range, what they pay too little, and what they take back."""

from collections.abc import Callable

from dashboards import blocks, breakdowns, figures, scorecards
from dashboards.level import Level
from dashboards.shell import PageContext

METRICS = (
    "denial_rate",
    "first_pass_resolution_rate",
    "payer_lag_days",
    "denial_overturn_rate",
    "underpayment_rate",
    "net_collection_rate",
)
COUNTS = ("remitted_claims", "decided_claims", "denied_claims", "priced_lines")
SHORT_NAMES = {
    "first_pass_resolution_rate": "First pass",
    "denial_overturn_rate": "Overturned",
    "underpayment_rate": "Underpaid lines",
    "net_collection_rate": "Net collection",
}
TILES = (
    "underpaid_amount",
    "underpayment_rate",
    "takeback_amount",
    "takeback_reversal_amount",
    "takeback_provider_level_amount",
)
PAYER_LEVEL = Level(noun="payer", dimension="payer")
MOST_PAYERS = 12


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    scorecards.draw(
        context,
        PAYER_LEVEL,
        METRICS,
        COUNTS,
        volume="remitted_claims",
        most=MOST_PAYERS,
        title="Payers, and which have drifted",
        short_names=SHORT_NAMES,
        key="cm_payer_card",
    )
    blocks.section("Paid too little, and taken back", f"{view.period.name}")
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_payer_tiles")
    parts: list[Callable[[], None]] = []
    if "underpaid_amount" in source.metrics:
        members = breakdowns.by_dimension(source, view, ["underpaid_amount"], "payer")
        parts.append(
            lambda: blocks.ranking(
                context,
                [member for member in members if member.id and member.now.get("underpaid_amount")],
                "underpaid_amount",
                title="Who pays below the contract",
                key="cm_underpaid",
            )
        )
    if "takeback_amount" in source.metrics:
        taken = breakdowns.by_dimension(source, view, ["takeback_amount"], "payer")
        parts.append(
            lambda: blocks.ranking(
                context,
                [member for member in taken if member.id and member.now.get("takeback_amount")],
                "takeback_amount",
                title="Who takes money back",
                key="cm_takebacks",
            )
        )
    blocks.columns(parts)
