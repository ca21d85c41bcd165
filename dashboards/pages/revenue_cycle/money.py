"""What became of what was billed: a bridge from billed to collected, the months, and the level below."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from dashboards import blocks, charts, figures, theme, widgets, work_links
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.drawings.waterfall import Bar, waterfall
from dashboards.figures import Figure
from dashboards.pages.revenue_cycle import shared, triangle
from dashboards.shell import PageContext

OTHER = "other_written_off_amount"
# What is taken off the billed amount, in order: the metric, the bar's name, whether it is a loss that could be avoided.
TAKEN_OFF = (
    ("contractual_amount", "Contractual", False),
    ("denial_written_off_amount", "Written off for denials", True),
    (OTHER, "Other write-offs", False),
    ("open_balance", "Still open", False),
)
COLLECTED = (("payer_paid_amount", "By payers"), ("patient_paid_amount", "By patients"))


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    loaded = shared.loaded(context)
    blocks.columns([lambda: _bridge(context, loaded), lambda: _months(context)])
    triangle.draw(context)
    blocks.level_table(context, shared.level(context), shared.PAGE.table, lead="denial_rate", loaded=loaded)
    work_links.draw(context, ("unbilled_visits", "credits"), "cm_money_work")


def bridge(loaded: Mapping[str, Figure]) -> list[Bar]:
    """The bars from billed to collected, which add up to the last digit; none where a part is not there or is hidden.

    A version that was published without `other_written_off_amount` has that bar as what is left, without a passport.
    """
    taken_off = [item for item in TAKEN_OFF if item[0] in loaded or item[0] != OTHER]
    names = ["billed_amount", "collected_amount", *(name for name, _, _ in taken_off), *(name for name, _ in COLLECTED)]
    if any(name not in loaded or loaded[name].value is None for name in names):
        return []
    amounts = {name: fmt.decimal(loaded[name].value) for name in names}
    bars = [Bar(label="Billed", part=amounts["billed_amount"], kind="total", moves={}, member="billed_amount")]
    for name, label, is_loss in taken_off:
        kind = "rate" if is_loss else "other"
        bars.append(Bar(label=label, part=-amounts[name], kind=kind, moves={}, member=name))
    left = amounts["collected_amount"] - sum((bar.part for bar in bars), Decimal(0))
    if left:
        bars.append(Bar(label="Other write-offs", part=left, kind="other", moves={}))
    bars.append(
        Bar(label="Collected", part=amounts["collected_amount"], kind="total", moves={}, member="collected_amount")
    )
    for place, (name, label) in enumerate(COLLECTED):
        bars.append(Bar(label=label, part=amounts[name], kind="other" if place else "total", moves={}, member=name))
    return bars


def _bridge(context: PageContext, loaded: Mapping[str, Figure]) -> None:
    view = context.view
    names = ["billed_amount", "collected_amount", *(name for name, _, _ in TAKEN_OFF), *(name for name, _ in COLLECTED)]
    further = [name for name in names if name not in loaded]
    parts = {**loaded, **figures.load(context.source, view, further, trend=False)}
    bars = bridge(parts)
    waiting = next((parts[name].caution for name in names if name in parts and parts[name].caution), "")
    note = f"Services of {view.period.name}; the parts add up to the cent"
    blocks.section("From billed to collected", f"{note}. {waiting}" if waiting else note)
    if not bars:
        text = _why_none(context.source, [parts[name] for name in names if name in parts])
        blocks.empty(context, "Not available for this choice", text, "cm_bridge_none")
        return
    drawn = waterfall(
        bars,
        "usd",
        "higher",
        "From billed to collected",
        lambda bar: widgets.passport(bar.member) if bar.member else "",
    )
    context.html(drawn, key="cm_bridge")


def _why_none(source: Source, parts: Sequence[Figure]) -> str:
    """Why the bridge cannot be drawn: which of its parts are hidden, or that one is not there."""
    hidden = [part.metric.label for part in parts if part.value is None and not part.problem]
    if source.hides_few and hidden:
        return f"Hidden here: {', '.join(hidden)}. The drawing needs every part. {source.hidden_note}"
    return "A part of it is not there for this choice. Choose all payers or another place."


def _months(context: PageContext) -> None:
    """What became of the charges of each month of service: paid, adjusted, still open. The parts add up to billed."""
    first, last = periods.trend_window(context.view.period, context.view.compared)
    series = figures.monthly(context.source, context.view, list(shared.PARTS), first, last)
    blocks.section(
        "By month of service",
        "The parts of a bar add up to the charges billed for that month"
        + blocks.marked_note(context, periods.months_of(first, last)),
    )
    if not series:
        text = "Charges are not known by this choice. Take a filter away."
        blocks.empty(context, "Not available for this choice", text, "cm_money_filter")
        return
    months = periods.months_of(first, last)
    if all(value is None for values in series.values() for _, value in values):
        blocks.empty(
            context, "Nothing billed in these months", "Choose a later period or another place.", "cm_money_none"
        )
        return
    colours = theme.money_colours(context.look)
    parts = [
        charts.Part(label, colours[name], tuple(value for _, value in series[name]))
        for name, label in shared.PARTS.items()
        if name in series
    ]
    marks = [blocks.month_marks(name, months) for name in shared.PARTS if name in series]
    alt = "Billed charges by month of service and what became of them"
    blocks.stacked_months(
        context, months, parts, marks, metrics=shared.PARTS, unit="usd", key="cm_money", height=344, alt=alt
    )
