"""The page: the chosen base, its tiles, and the section that is open."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import streamlit as st

from dashboards import (
    blocks,
    breakdowns,
    chart_tables,
    charts,
    figures,
    filters,
    findings,
    markup,
    maturity,
    sections,
    shell,
    theme,
    widgets,
)
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.breakdowns import Member
from dashboards.chance import Verdict
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.pages.payer_mix import bases, effect, rates
from dashboards.sections import Section
from dashboards.shell import PageContext
from dashboards.view import View


@dataclass(frozen=True)
class Basis:
    """What a share can be of: its key in the address, the registry's share, the amount or count it is a share of, and the words for it."""

    key: str
    share: str
    amount: str
    label: str
    words: str


BASES = (
    Basis("billed", "payer_mix_billed", "billed_amount", "Billed", "what is billed"),
    Basis("paid", "payer_mix_paid", "payer_paid_amount", "Paid by payers", "what payers paid"),
    Basis("encounters", "payer_mix_encounters", "encounters", "Encounters", "encounters"),
    Basis("patients", "payer_mix_patients", "patients", "Patients", "patients"),
)
KEY = "payer_mix"
MOST_TILES = 5


def usable_bases(source: Source) -> dict[str, Basis]:
    """The bases that this person has a share of, by their keys in the address."""
    return {basis.key: basis for basis in BASES if basis.share in source.metrics}


def basis_of(source: Source, view: View) -> Basis | None:
    """The base that the view names, else the first one; None where there is none."""
    usable = usable_bases(source)
    return usable.get(view.basis or "") or next(iter(usable.values()), None)


def members_of(source: Source, view: View, basis: Basis) -> list[Member]:
    """The payer classes that have a share of the base in the period, the largest first."""
    members = breakdowns.by_dimension(source, view, [basis.share, basis.amount], "payer_class")
    return [member for member in members if member.now.get(basis.share) is not None]


def draw(context: PageContext) -> None:
    """Draws the page Payer mix for the view of the context."""
    source, view = context.source, context.view
    basis = basis_of(source, view)
    if basis is None:
        shell.head(context, "Payer mix")
        blocks.empty(context, "No payer mix yet", "No feed brings charges or visits with a payer.", "cm_mix_none")
        return
    members = members_of(source, view, basis)
    of_classes = shares(source, view, members, basis)
    shell.head(context, _finding(of_classes, basis))
    _picker(context, basis.key, {key: item.label for key, item in usable_bases(source).items()})
    if any(figure.value for figure in of_classes):
        shown = of_classes[:MOST_TILES]
        marks = [widgets.passport(basis.share, _of_class(figure.metric.name, basis)) for figure in shown]
        context.html(markup.tiles(shown, marks), key="cm_tiles")
    else:
        text = source.hidden_note or "Choose another period, place or payer class."
        blocks.empty(context, "Nothing in this period", text, "cm_mix_empty")
        if not source.hidden_note:
            return

    def draw_shift(_context: PageContext) -> None:
        _over_time(context, basis)
        _units(context, basis)
        _table(context, members, basis, {figure.metric.label: figure for figure in of_classes})

    sections.draw(
        context,
        (
            Section(key="shift", title="Shift of the mix", draw=draw_shift, needs=(basis.share,)),
            Section(key="bases", title="Bases side by side", draw=bases.draw, needs=bases.SHARES),
            Section(key="rates", title="Share against rate", draw=rates.draw, needs=rates.RATES),
            Section(key="effect", title="Mix at unchanged rates", draw=effect.draw, needs=("collected_amount",)),
        ),
    )


def _picker(context: PageContext, chosen: str, labels: Mapping[str, str]) -> None:
    st.session_state["cm_basis"] = chosen

    def changed() -> None:
        basis = st.session_state["cm_basis"] or chosen
        widgets.go(widgets.current_view(context.source.as_of).moved(basis=basis))

    st.segmented_control(
        "Share of", list(labels), format_func=labels.__getitem__, key="cm_basis", on_change=changed, required=True
    )


def _of_class(name: str, basis: Basis) -> dict[str, str]:
    """What narrows a view to the payer class of a share that `_shares` named."""
    return breakdowns.moves_to("payer_class", name.removeprefix(f"{basis.share}_"))


def shares(source: Source, view: View, members: list[Member], basis: Basis) -> list[Figure]:
    """One figure for each payer class: its share now, before and by month; the largest first."""
    last = periods.month_start(view.period.end)
    first = periods.add_months(last, 1 - figures.TREND_MONTHS)
    trends = _monthly(source, view, basis, first, periods.month_end(last))
    metric = source.metrics[basis.share]
    waiting = figures.waiting_for(source, view, metric)
    moving = figures.unsettled_months(source, view, metric, first, last)
    caution = figures.caution_of(view, source.as_of)
    of_classes = [
        Figure(
            metric=replace(
                metric,
                name=f"{metric.name}_{member.id}",
                label=member.name,
                description=f"Share of {basis.words} whose payer is of the class {member.name}. {metric.description}",
            ),
            value=member.now[basis.share],
            before=member.before.get(basis.share),
            against=view.compared.name,
            trend=figures.series(trends.get(member.id, {}), first, last),
            caution=caution or waiting,
            base=member.base(source, basis.share),
            settled=tuple(
                value for month, value in trends.get(member.id, {}).items() if value is not None and month not in moving
            ),
            moving=moving,
            uncompared=maturity.uncompared(caution, waiting),
        )
        for member in members
    ]
    return sorted(of_classes, key=lambda figure: (-figure.value, figure.metric.label))


def _monthly(source: Source, view: View, basis: Basis, first: date, last: date) -> dict[str, dict[Any, Any]]:
    """Shares by payer class and month."""
    where = figures.filters(view, source.metrics[basis.share])
    if where is None:
        return {}
    frame = source.query([basis.share], by=["payer_class"], grain="month", where=where, start=first, end=last)
    by_month: dict[str, dict[Any, Any]] = {}
    for row in frame.iter_rows(named=True):
        by_month.setdefault(row["payer_class"] or "", {})[row["metric_time"]] = row[basis.share]
    return by_month


def _finding(shares: list[Figure], basis: Basis) -> str:
    """The class whose share moved most, else the largest share."""
    if not shares:
        return f"No figure of {basis.words} for this period"
    moved = [
        f
        for f in shares
        if f.before is not None and not f.caution and f.verdict is Verdict.REAL and not findings.is_steady(f)
    ]
    if not moved:
        first = shares[0]
        return f"{first.metric.label} is the largest part of {basis.words}: {fmt.short(first.value, 'percent')}"
    most = max(moved, key=lambda figure: (abs(figure.value - figure.before), figure.metric.label))
    verb = "rose" if most.value > most.before else "fell"
    amount = most.change.amount.lstrip("+-")
    return f"{most.metric.label} {verb} {amount} to {fmt.short(most.value, 'percent')} of {basis.words}"


def _part(context: PageContext, payer_class: str, values: tuple[Any, ...]) -> charts.Part:
    label = theme.payer_label(payer_class) if payer_class else filters.NOT_RECORDED
    return charts.Part(label, theme.payer_colour(payer_class, context.look), values)


def _over_time(context: PageContext, basis: Basis) -> None:
    first, last = periods.trend_window(context.view.period, context.view.compared)
    by_class = _monthly(context.source, context.view, basis, first, last)
    months = periods.months_of(first, last)
    blocks.section(
        f"{basis.label} by payer class over time",
        "Share of each month; a payer class has one colour on every page" + blocks.marked_note(context, months),
    )
    parts, marks = [], []
    for key in sorted(by_class, key=theme.payer_order):
        of_class = breakdowns.moves_to("payer_class", key)
        marks.append(blocks.month_marks(basis.share, months, of_class) if of_class else [""] * len(months))
        values = dict(figures.series(by_class[key], first, last))
        parts.append(_part(context, key, tuple(values.get(month) for month in months)))
    alt = f"{basis.label} by payer class and month"
    blocks.stacked_months(
        context,
        months,
        parts,
        marks,
        metrics=[basis.share],
        unit="percent",
        key=f"cm_mix_{basis.share}",
        height=360,
        alt=alt,
    )


def _units(context: PageContext, basis: Basis) -> None:
    """Each unit's mix, one stacked bar a unit; a click leads down."""
    source, view = context.source, context.view
    order_by = basis.amount if basis.amount in source.metrics else basis.share
    level = breakdowns.below(source, view, [order_by])
    members = [member for member in level.members if member.now.get(order_by)][: blocks.MOST_BARS]
    values = breakdowns.crossed(source, view, level, basis.share, "payer_class")
    if not members or not values:
        return
    classes = sorted({key for _, key in values}, key=theme.payer_order)
    parts = [_part(context, key, tuple(values.get((member.id, key)) for member in members)) for key in classes]
    marks = [
        [
            widgets.passport(basis.share, {**member.moves, **breakdowns.moves_to("payer_class", key)})
            if member.moves and key
            else ""
            for member in members
        ]
        for key in classes
    ]
    hint = "; click a part for its passport" if any(member.moves for member in members) else ""
    blocks.section(f"{basis.label} by {level.noun}", f"Share of each {level.noun}, {view.period.name}{hint}")
    option = charts.stacked_bars(
        context.look, [member.name for member in members], parts, unit="percent", horizontal=True, clickable=bool(hint)
    )
    alt = f"{basis.label} by {level.noun} and payer class"
    names = [member.name for member in members]
    first = level.noun.capitalize()
    table = chart_tables.of_parts(names, parts, unit="percent", first=first, caption=alt, marks=marks)
    context.chart(
        option,
        key=f"cm_mix_units_{blocks.view_key(view)}",
        height=34 * len(members) + 80,
        alt=alt,
        table=table,
        marks=marks,
    )


def _mark(metric: str, member: Member) -> str:
    return widgets.passport(metric, member.moves) if member.moves else ""


def _table(context: PageContext, members: list[Member], basis: Basis, shares: Mapping[str, Figure]) -> None:
    amount = context.source.metrics.get(basis.amount)
    columns = [markup.Column("Payer class")]
    if amount:
        columns.append(markup.Column(amount.label, amount.unit))
    columns += [markup.Column("Share", "percent"), markup.Column("Share, change", "change")]
    body = [
        markup.Row(
            (
                member.name,
                *([markup.Link(member.now.get(basis.amount), _mark(basis.amount, member))] if amount else []),
                markup.Link(shares[member.name].value, _mark(basis.share, member)),
                shares[member.name].change,
            ),
            action=widgets.move(payer=member.id) if member.id and not context.view.payer else "",
        )
        for member in members
    ]
    blocks.section("By payer class", f"{context.view.period.name}; exact values")
    context.html(markup.table(columns, body, caption="Figures by payer class"), key="cm_level")
