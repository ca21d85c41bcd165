"""The mix on several bases side by side: patients, encounters, what is billed, allowed, paid and collected."""

from collections.abc import Mapping
from typing import Any

from dashboards import blocks, breakdowns, filters, theme, widgets
from dashboards.drawings.rows import Segment, SegmentedBar, segmented_bars
from dashboards.shell import PageContext

# The share of each base, and what people call the base.
BASES = (
    ("payer_mix_patients", "Patients"),
    ("payer_mix_encounters", "Encounters"),
    ("payer_mix_billed", "Billed"),
    ("payer_mix_net_billed", "Billed less contractual"),
    ("payer_mix_allowed", "Allowed"),
    ("payer_mix_paid", "Paid by payers"),
    ("payer_mix_collected", "Collected"),
)
SHARES = tuple(name for name, _ in BASES)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    shown = [(name, label) for name, label in BASES if name in source.metrics]
    blocks.section(
        "The same payers on several bases",
        f"Share of each base, {view.period.name}; patients with two payers in the period count for both",
    )
    values: dict[str, Mapping[str, Any]] = {}
    for member in breakdowns.by_dimension(source, view, [name for name, _ in shown], "payer_class", before=False):
        values[member.id] = member.now
    classes = sorted(values, key=theme.payer_order)
    if not classes:
        text = source.hidden_note or "Nothing was billed and nobody was seen in this period."
        blocks.empty(context, "Nothing in this period", text, "cm_bases_none")
        return
    legend = [
        (theme.payer_label(key) if key else filters.NOT_RECORDED, theme.payer_colour(key, context.look))
        for key in classes
    ]
    bars = [
        SegmentedBar(
            name=label,
            segments=[
                Segment(
                    value=values[key].get(name),
                    action=widgets.passport(name, breakdowns.moves_to("payer_class", key)) if key else "",
                )
                for key in classes
            ],
        )
        for name, label in shown
    ]
    drawn = segmented_bars(legend, bars, unit="percent", caption="Payer mix by base", first="Base")
    context.html(drawn, key="cm_bases")
