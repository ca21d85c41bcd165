"""Payers beside their own usual range, what they pay too little, and what they take back."""

from collections.abc import Sequence
from functools import partial

from dashboards import blocks, breakdowns, figures, scorecards
from dashboards.breakdowns import Member
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
# Amounts by payer: the title and the key of each ranking.
RANKED = {
    "underpaid_amount": ("Who pays below the contract", "cm_underpaid"),
    "takeback_amount": ("Who takes money back", "cm_takebacks"),
}
PAYER_LEVEL = Level(noun="payer", dimension="payer")
MOST_PAYERS = 12


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    scorecards.draw(
        context,
        PAYER_LEVEL,
        METRICS,
        volume="remitted_claims",
        most=MOST_PAYERS,
        title="Payers, and which have drifted",
        short_names=SHORT_NAMES,
        key="cm_payer_card",
    )
    blocks.section("Paid too little, and taken back", f"{view.period.name}")
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_payer_tiles")
    there = [name for name in RANKED if name in source.metrics]
    members = [member for member in breakdowns.by_dimension(source, view, there, "payer") if member.id] if there else []
    blocks.columns([partial(_ranking, context, members, name) for name in there])


def _ranking(context: PageContext, members: Sequence[Member], name: str) -> None:
    title, key = RANKED[name]
    shown = [member for member in members if member.now.get(name)]
    blocks.ranking(context, shown, name, title=title, key=key)
