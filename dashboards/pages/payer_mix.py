"""Payer mix: each payer class's share of what is billed, paid, visited or treated, and how it shifts."""

from decimal import Decimal
from typing import Any

import streamlit as st

from dashboards import blocks, breakdowns, charts, figures, findings, markup, rows, shell, theme, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.breakdowns import Member
from dashboards.figures import Figure
from dashboards.shell import PageContext
from serving.model import MetricDefinition

# What a share can be of: the amount or count that is split, and the registry's share of it.
BASES = {
    "billed": ("billed_amount", "payer_mix_billed", "Billed"),
    "paid": ("payer_paid_amount", "payer_mix_paid", "Paid by payers"),
    "encounters": ("encounters", "payer_mix_encounters", "Encounters"),
    "patients": ("patients", "payer_mix_patients", "Patients"),
}
MOST_TILES = 5


def draw(context: PageContext) -> None:
    source, view = context.source, context.view
    usable = {key: names for key, names in BASES.items() if figures.knows(source.metrics.get(names[0]), "payer_class")}
    if not usable:
        shell.head(context, "Payer mix")
        blocks.empty(context, "No payer mix yet", "No feed brings charges or visits with a payer.", "cm_mix_none")
        return
    basis = view.basis if view.basis in usable else next(iter(usable))
    amount, share_name, label = usable[basis]
    members = breakdowns.by_dimension(source, view, [amount], "payer_class")
    shares = _shares(context, members, amount, source.metrics.get(share_name))
    shell.head(context, _finding(shares, label))
    _basis(context, basis, {key: names[2] for key, names in usable.items()})
    if not shares:
        blocks.empty(context, "Nothing in this period", "Choose another period, place or payer class.", "cm_mix_empty")
        return
    context.html(
        markup.tiles(
            shares[:MOST_TILES],
            [widgets.move(rows=amount) if source.metrics[amount].can_drill else ""] * len(shares[:MOST_TILES]),
        ),
        key="cm_tiles",
    )
    _over_time(context, amount, label)
    _units(context, amount, label)
    _table(context, members, amount, shares)
    rows.draw(context)


def _basis(context: PageContext, basis: str, labels: dict[str, str]) -> None:
    st.session_state["cm_basis"] = basis

    def changed() -> None:
        chosen = st.session_state["cm_basis"] or basis
        widgets.go(widgets.current_view(context.source.as_of).moved(basis=chosen, rows=None))

    st.segmented_control(
        "Share of", list(labels), format_func=labels.__getitem__, key="cm_basis", on_change=changed, required=True
    )


def _total(members: list[Member], side: str, amount: str) -> Decimal:
    return sum((fmt.decimal(getattr(m, side).get(amount) or 0) for m in members), Decimal(0))


def _share(member: Member, side: str, amount: str, whole: Decimal) -> Decimal | None:
    value = getattr(member, side).get(amount)
    return fmt.decimal(value) / whole if whole and value is not None else None


def _shares(
    context: PageContext, members: list[Member], amount: str, registry: MetricDefinition | None
) -> list[Figure]:
    """One figure for each payer class: its share now and before, largest first, with its thirteen months."""
    now, before = _total(members, "now", amount), _total(members, "before", amount)
    trends = _trends(context, amount)
    found = []
    for member in members:
        value = _share(member, "now", amount, now)
        if value is None:
            continue
        found.append(
            Figure(
                metric=_definition(context, member, amount, registry),
                value=value,
                before=_share(member, "before", amount, before) or (Decimal(0) if before else None),
                against=context.view.compared.name,
                trend=trends.get(member.id, ()),
                caution=figures.caution_of(context.view, context.source.as_of),
            )
        )
    return sorted(found, key=lambda figure: (-figure.value, figure.metric.label))


def _definition(
    context: PageContext, member: Member, amount: str, registry: MetricDefinition | None
) -> MetricDefinition:
    """The registry's share, named after the class, so that the definition stays one click away."""
    split = context.source.metrics[amount]
    base = registry or split
    return MetricDefinition(
        name=f"{base.name}_{member.id}",
        label=member.name,
        description=f"Share of {split.label.lower()} whose payer is of the class {member.name}. {base.description}",
        unit="percent",
        direction="neutral",
        module=base.module,
        numerator=base.numerator or split.description,
        denominator=base.denominator or f"All {split.label.lower()}",
        exclusions=base.exclusions,
        date_basis=base.date_basis,
        null_rule=base.null_rule,
        source=base.source,
        version=base.version,
    )


def _monthly(context: PageContext, amount: str, first: Any, last: Any) -> dict[str, dict[Any, Any]]:
    where = figures.filters(context.view, context.source.metrics[amount]) or {}
    frame = context.source.query([amount], by=["payer_class"], grain="month", where=where, start=first, end=last)
    found: dict[str, dict[Any, Any]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row["payer_class"] or "", {})[row["metric_time"]] = row[amount]
    return found


def _trends(context: PageContext, amount: str) -> dict[str, tuple[tuple[Any, Any], ...]]:
    last = periods.month_start(context.view.period.end)
    first = periods.add_months(last, 1 - figures.TREND_MONTHS)
    by_class = {
        key: figures.series(values, first, last)
        for key, values in _monthly(context, amount, first, periods.month_end(last)).items()
    }
    wholes = [
        sum((fmt.decimal(values[index][1] or 0) for values in by_class.values()), Decimal(0))
        for index in range(figures.TREND_MONTHS)
    ]
    return {
        key: tuple(
            (month, fmt.decimal(value or 0) / wholes[index] if wholes[index] else None)
            for index, (month, value) in enumerate(values)
        )
        for key, values in by_class.items()
    }


def _finding(shares: list[Figure], label: str) -> str:
    """The class whose share moved most, else the largest share."""
    if not shares:
        return f"{label}: no figure for this period"
    moved = [f for f in shares if f.before is not None and not f.caution and not findings.is_steady(f)]
    basis = {"Billed": "what is billed", "Paid by payers": "what payers paid"}.get(label, label.lower())
    if not moved:
        first = shares[0]
        return f"{first.metric.label} is the largest part of {basis}: {fmt.short(first.value, 'percent')}"
    most = max(moved, key=lambda figure: (abs(figure.value - figure.before), figure.metric.label))
    verb = "rose" if most.value > most.before else "fell"
    return (
        f"{most.metric.label} {verb} {most.change.amount.lstrip('+-')} to {fmt.short(most.value, 'percent')} of {basis}"
    )


def _over_time(context: PageContext, amount: str, label: str) -> None:
    first, last = periods.trend_window(context.view.period, context.view.compared)
    by_class = _monthly(context, amount, first, last)
    months = periods.months_of(first, last)
    blocks.section(
        f"{label} by payer class over time", "Share of each month; a payer class has one colour on every page"
    )
    parts = [
        charts.Part(theme.payer_label(key), theme.payer_colour(key, context.look), tuple(values.get(m) for m in months))
        for key, values in sorted(by_class.items(), key=lambda item: _order(item[0]))
    ]
    option = charts.stacked_bars(
        context.look, charts.month_names(months), parts, unit=context.source.metrics[amount].unit, share=True
    )
    widgets.chart(option, key="cm_mix", height=360, alt=f"{label} by payer class and month")


def _order(payer_class: str) -> int:
    return theme.PAYER_CLASSES.index(payer_class) if payer_class in theme.PAYER_CLASSES else len(theme.PAYER_CLASSES)


def _units(context: PageContext, amount: str, label: str) -> None:
    """Each unit's mix, one stacked bar a unit; a click leads down."""
    classes = [
        m.id for m in breakdowns.by_dimension(context.source, context.view, [amount], "payer_class", before=False)
    ]
    levels = {key: breakdowns.below(context.source, context.view.moved(payer=key), [amount]) for key in classes if key}
    first = next(iter(levels.values()), None)
    if first is None:
        return
    members = {m.id: m for level in levels.values() for m in level.members}
    order = sorted(
        members.values(),
        key=lambda m: (-sum(_value(level.members, m.id, amount) for level in levels.values()), m.name),
    )[: blocks.MOST_BARS]
    parts = [
        charts.Part(
            theme.payer_label(key),
            theme.payer_colour(key, context.look),
            tuple(_value(levels[key].members, member.id, amount) for member in order),
        )
        for key in sorted(levels, key=_order)
    ]
    blocks.section(
        f"{label} by {first.noun}", f"Share of each {first.noun}, {context.view.period.name}; click a bar to go down"
    )
    option = charts.stacked_bars(
        context.look,
        [member.name for member in order],
        parts,
        unit=context.source.metrics[amount].unit,
        share=True,
        horizontal=True,
        clickable=True,
    )
    key = f"cm_mix_units_{blocks.view_key(context.view)}"
    widgets.chart(
        option,
        key=key,
        height=34 * len(order) + 80,
        alt=f"{label} by {first.noun} and payer class",
        moves=[member.moves for member in order],
        as_of=context.source.as_of,
    )


def _value(members: tuple[Member, ...], member_id: str, amount: str) -> Decimal:
    return next((fmt.decimal(m.now.get(amount) or 0) for m in members if m.id == member_id), Decimal(0))


def _table(context: PageContext, members: list[Member], amount: str, shares: list[Figure]) -> None:
    metric = context.source.metrics[amount]
    by_label = {figure.metric.label: figure for figure in shares}
    columns = [
        markup.Column("Payer class"),
        markup.Column(metric.label, metric.unit),
        markup.Column("Share", "percent"),
        markup.Column("Share, change", "change"),
    ]
    rows = [
        markup.Row(
            (m.name, m.now.get(amount), by_label[m.name].value, by_label[m.name].change),
            action=widgets.move(payer=m.id) if m.id and not context.view.payer else "",
            rows_action=widgets.move(payer=m.id, rows=amount) if m.id and metric.can_drill else "",
        )
        for m in members
        if m.name in by_label
    ]
    total = markup.Row(("All", _total(members, "now", amount), Decimal(1), None))
    blocks.section("By payer class", f"{context.view.period.name}; exact values")
    context.html(markup.table(columns, rows, caption="Figures by payer class", total=total), key="cm_level")
