"""The mix at unchanged rates: this period's charges at what each payer class brought earlier, with the earlier and the present shares.

    a class brings = charges of the period x share of the class x what came in for a dollar billed to it in the compared period

This is direct standardization: only the shares differ between the two sides, so that the period's own rates, which may still settle, do
not matter. It is arithmetic. It does not show that the mix caused a change of what came in: services and prices change with the mix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from dashboards import blocks, breakdowns, figures, theme, widgets
from dashboards import format as fmt
from dashboards.breakdowns import Member
from dashboards.drawings.waterfall import Bar, waterfall
from dashboards.shell import PageContext

BILLED, COLLECTED = "billed_amount", "collected_amount"
CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What the period's charges would bring with the earlier mix and with the present one, in dollars and cents; `parts` by payer class
    add up to the difference."""

    before: Decimal
    now: Decimal
    parts: Mapping[str, Decimal]


def effect(members: list[Member]) -> Effect | None:
    """The effect from billed and collected of each payer class in both periods. None where a period has no charges.

    A class that was not billed in the earlier period has no earlier rate: it is taken at the rate of all classes together.
    """
    billed_now = _sum(members, "now", BILLED)
    billed_before, collected_before = _sum(members, "before", BILLED), _sum(members, "before", COLLECTED)
    if not billed_now or not billed_before:
        return None
    before, parts = Decimal(0), {}
    for member in members:
        was, is_now = _amount(member.before, BILLED), _amount(member.now, BILLED)
        rate = _amount(member.before, COLLECTED) / was if was else collected_before / billed_before
        at_old_mix = (billed_now * was / billed_before * rate).quantize(CENT)
        at_new_mix = (is_now * rate).quantize(CENT)
        before += at_old_mix
        parts[member.id] = at_new_mix - at_old_mix
    return Effect(before=before, now=before + sum(parts.values(), Decimal(0)), parts=parts)


def _amount(values: Mapping[str, object], name: str) -> Decimal:
    value = values.get(name)
    return fmt.decimal(value) if value is not None else Decimal(0)  # type: ignore[arg-type]


def _sum(members: list[Member], side: str, name: str) -> Decimal:
    return sum((_amount(getattr(member, side), name) for member in members), Decimal(0))


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    moving = _caution(context)
    blocks.section(
        f"The mix of {view.period.name} and of {view.compared.name} at the same rates",
        f"Charges of {view.period.name} at what came in for a dollar billed to each payer class in {view.compared.name}: with the shares "
        f"of then and with those of now. Parts add up to the cent{f'. {moving}' if moving else ''}",
    )
    if any(
        figures.filters(view, source.metrics[name]) is None for name in (BILLED, COLLECTED) if name in source.metrics
    ):
        blocks.empty(
            context, "Not available for this choice", "Choose all payers or another place.", "cm_effect_filter"
        )
        return
    members = breakdowns.by_dimension(source, view, [BILLED, COLLECTED], "payer_class")
    hidden = any(
        side.get(name, 0) is None for m in members for side in (m.now, m.before) for name in (BILLED, COLLECTED)
    )
    shift = None if hidden else effect(members)
    if shift is None:
        text = source.hidden_note if hidden else "One of the two periods has no charges. Choose another comparison."
        blocks.empty(context, "Nothing to compare", text, "cm_effect_none")
        return
    ordered = sorted(shift.parts.items(), key=lambda item: (-abs(item[1]), item[0]))
    parts = [
        Bar(
            label=theme.payer_label(key) if key else "No payer",
            part=part,
            kind="rate",
            moves=breakdowns.moves_to("payer_class", key),
        )
        for key, part in ordered
        if part
    ]

    def lead_to(bar: Bar) -> str:
        return widgets.passport(BILLED, bar.moves) if bar.moves else ""

    words = (
        f"{fmt.short(shift.before, 'usd')} with the mix of {view.compared.name}, {fmt.short(shift.now, 'usd')} with that of "
        f"{view.period.name}. A calculation at unchanged rates: it leaves out that rates, services and prices changed, too."
    )
    blocks.small_print(words)
    together = Bar(label="Together", part=shift.now - shift.before, kind="total", moves={})
    drawn = waterfall([*parts, together], "usd", "higher", "Difference by payer class", lead_to)
    context.html(drawn, key="cm_effect")


def _caution(context: PageContext) -> str:
    """Why the result may still change: the charges of the period, or the rates of the compared one. Empty where both are final."""
    source, view = context.source, context.view
    if caution := figures.caution_of(view, source.as_of):
        return caution
    metric = source.metrics.get(COLLECTED)
    if metric is None or figures.filters(view, metric) is None:
        return ""
    waiting = figures.waiting_for(source, view.moved(period=view.compared), metric)
    return f"Rates of {view.compared.name}: {fmt.lower_first(waiting)}" if waiting else ""
