"""Eligibility: whether insurance was checked before the visit, where it was wrong at the visit, and copays due and collected."""

from functools import partial

from dashboards import blocks, breakdowns, figures, filters, markup, widgets
from dashboards.breakdowns import Member
from dashboards.shell import PageContext

RATE, WRONG, COLLECTED = "eligibility_checked_rate", "eligibility_wrong_rate", "copay_collection_rate"
VISITS, DUE = "eligibility_visits", "copay_due_amount"
TILES = (RATE, "eligibility_unchecked_visits", WRONG, DUE, "copay_collected_amount", COLLECTED)
# The columns of the table.
TITLES = {
    VISITS: "Visits",
    RATE: "Checked",
    "eligibility_inactive_visits": "Coverage inactive",
    "eligibility_other_payer_visits": "Other payer billed",
    DUE: "Copay due",
    "copay_collected_amount": "Collected",
    COLLECTED: "Collected, share",
}
ANSWERS = ("eligibility_answers", "eligibility_rejected_rate", "eligibility_answers_unmatched", "deductible_left_mean")
# Figures that are shown by place and over time.
PARTS = {RATE: "Checked before the visit", COLLECTED: "Copay collected"}
MOST_LISTED = 25


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    tiles = figures.load(source, view, TILES)
    blocks.tiles(context, tiles, key="cm_eligibility_tiles")
    _payers(context)
    shown = {name: title for name, title in PARTS.items() if name in source.metrics}
    level = breakdowns.below(source, view, [*shown, VISITS])
    for name, title in shown.items():
        blocks.columns(
            [
                partial(
                    blocks.ranking,
                    context,
                    level.members,
                    name,
                    title=f"{title}, by {level.noun}",
                    key=f"cm_{name}_units",
                    reference=tiles.get(name),
                    volume=VISITS,
                ),
                partial(blocks.trend, context, name, title=f"{title} over time"),
            ]
        )
    blocks.section(
        "What payers answered",
        "Answers by the day on which they came. A rejected question checks no visit",
    )
    blocks.tiles(context, figures.load(source, view, ANSWERS), key="cm_eligibility_answers")


def _payers(context: PageContext) -> None:
    """The payers with the most visits, each figure with the way to its passport."""
    source, view = context.source, context.view
    titles = {name: text for name, text in TITLES.items() if name in source.metrics}
    members = breakdowns.by_dimension(source, view, list(titles), "payer", before=False)
    counted = [member for member in members if member.now.get(VISITS)]
    more = f"; the first {MOST_LISTED} of {len(counted):,} are listed" if len(counted) > MOST_LISTED else ""
    blocks.section("By payer", f"Finished visits with an insurer in {view.period.name}{more}")
    if not counted:
        problem = filters.missing(view, source.metrics[RATE])
        text = f"{problem}." if problem else source.hidden_note or "No visit with an insurer is known in this period."
        blocks.empty(context, "No visits", text, "cm_eligibility_payers")
        return
    rows = [markup.Row((member.name, *[_cell(member, name) for name in titles])) for member in counted[:MOST_LISTED]]
    columns = [markup.Column("Payer")]
    columns += [markup.Column(name, source.metrics[metric].unit) for metric, name in titles.items()]
    context.html(markup.table(columns, rows, caption="Eligibility by payer"), key="cm_eligibility_payers")
    if source.hides_few and any(member.now.get(VISITS) is None for member in members):
        blocks.small_print(f"Rows may be missing. {source.hidden_note}")


def _cell(member: Member, metric: str) -> markup.Link:
    return markup.Link(member.now.get(metric), widgets.passport(metric, member.moves) if member.moves else "")
