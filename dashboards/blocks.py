"""Blocks that pages share: tiles, the table one level down, rankings, a heat map by weekday and hour, open rows."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import streamlit as st
from markupsafe import Markup

from dashboards import annotations, chance, chart_tables, charts, figures, markup, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards import view as states
from dashboards.breakdowns import Level, Member, band_order
from dashboards.chance import Verdict
from dashboards.figures import Figure
from dashboards.shell import HEALTH_PAGE, PageContext
from dashboards.view import View
from serving.model import MetricDefinition

MOST_BARS = 10
MOST_ROWS = 40
LEAST_AN_HOUR = 5
FEW = "Too few people to compare"


def tiles(context: PageContext, loaded: Mapping[str, Figure], *, key: str = "cm_tiles") -> None:
    """A row of tiles; each opens the passport of its figure."""
    chosen = worth_a_tile(loaded.values())
    acts = [widgets.passport(figure.metric.name) for figure in chosen]
    if chosen:
        health = f"{widgets.PAGE}{HEALTH_PAGE}?" if HEALTH_PAGE in context.pages else ""
        context.html(markup.tiles(chosen, acts, doubt_action=health), key=key)


def worth_a_tile(loaded: Iterable[Figure]) -> list[Figure]:
    """The figures that get a tile: one without a value in any of the months shown does not exist here."""
    return [f for f in loaded if f.value is not None or f.problem or any(value is not None for _, value in f.trend)]


def section(title: str, note: str = "") -> None:
    """Draws the title of a block."""
    st.html(str(markup.section(title, note)))


def small_print(text: str) -> None:
    """A line of small print below a block."""
    st.html(str(Markup('<p class="cm-note">{}</p>').format(text)))


def empty(context: PageContext, title: str, text: str, key: str) -> None:
    """Draws a block without content, with the reason."""
    context.html(markup.state(title, text), key=key)


def columns(blocks: Sequence[Callable[[], None]]) -> None:
    """Blocks side by side, two a line; a last one alone takes the whole line."""
    for index in range(0, len(blocks), 2):
        pair = blocks[index : index + 2]
        if len(pair) == 1:
            pair[0]()
            continue
        for place, block in zip(st.columns(2, gap="large"), pair, strict=True):
            with place:
                block()


def trend(context: PageContext, metric: str, *, title: str, note: str = "") -> None:
    """The main line: months with the same month a year earlier dashed, the chosen period shaded."""
    definition = context.source.metrics.get(metric)
    if definition is None:
        return
    view = context.view
    first, last = periods.trend_window(view.period, view.compared)
    earlier_first, earlier_last = periods.add_months(first, -12), periods.add_months(periods.month_start(last), -12)
    now = figures.monthly(context.source, view, [metric], first, last).get(metric, ())
    earlier = figures.monthly(context.source, view, [metric], earlier_first, earlier_last).get(metric, ())
    hollow = figures.unsettled_months(context.source, view, definition, first, last)
    shown = [month for month, value in now if value is not None]
    moving = "; hollow: still settling" if hollow.intersection(shown) else ""
    usual = _usual(definition, [value for month, value in now if value is not None and month not in hollow])
    if usual:
        moving += "; grey band: usual range (control limits), ringed: outside it"
    closed, marked = context.source.closed_months, closed_note(context, shown)
    section(
        title, (note or f"By month; shaded: {view.period.name}; dashed: the same month a year before{moving}") + marked
    )
    if not any(value is not None for _, value in now):
        empty(
            context, "No data for these months", "Choose a later period or another place.", f"cm_trend_{metric}_empty"
        )
        return
    option = charts.line_over_time(
        context.look,
        now,
        name=definition.label,
        unit=definition.unit,
        chosen=(view.period.start, view.period.end),
        earlier=[value for _, value in earlier],
        earlier_name="A year before",
        hollow=hollow,
        closed=closed,
        usual=usual,
        clickable=True,
    )
    months = [month for month, _ in now]
    marks = month_marks(metric, months)
    noted = annotations.of_view(context.source, view, context.page, [metric], months)
    texts = annotations.texts(noted, months)
    table = chart_tables.by_month(
        now,
        name=definition.label,
        unit=definition.unit,
        earlier=[value for _, value in earlier],
        earlier_name="A year before",
        marks=marks,
        annotations=texts,
    )
    context.chart(
        charts.annotated(context.look, option, texts),
        key=f"cm_trend_{metric}",
        height=320,
        alt=f"{definition.label} by month",
        table=table,
        marks=[marks],
        below=annotations.listed(noted, context.pages),
    )


def month_marks(metric: str, months: Sequence[date], changes: Mapping[str, Any] | None = None) -> list[str]:
    """The click that opens the passport of a metric, for each month; `changes` also narrow the view."""
    return [widgets.passport(metric, {**(changes or {}), "month": f"{month:%Y-%m}"}) for month in months]


def stacked_months(
    context: PageContext,
    months: Sequence[date],
    parts: Sequence[charts.Part],
    marks: Sequence[Sequence[str]],
    *,
    metrics: Collection[str],
    unit: str,
    key: str,
    height: int,
    alt: str,
) -> None:
    """Parts of a whole by month, and the same values as a table. `marks` has the actions of each part's months; `marked_note` explains
    the marks at the names of months. `metrics` are the figures whose annotations it shows."""
    running = running_months(context, months)
    names = [f"{fmt.month(month)}{', not over' if month in running else ''}" for month in months]
    option = charts.stacked_bars(
        context.look,
        charts.month_names(months, context.source.closed_months, running),
        parts,
        unit=unit,
        full_names=names,
        clickable=True,
    )
    noted = annotations.of_view(context.source, context.view, context.page, metrics, months)
    texts = annotations.texts(noted, months)
    table = chart_tables.of_parts(names, parts, unit=unit, first="Month", caption=alt, marks=marks, annotations=texts)
    context.chart(
        charts.annotated(context.look, option, texts),
        key=key,
        height=height,
        alt=alt,
        table=table,
        marks=marks,
        below=annotations.listed(noted, context.pages),
    )


def member_marks(metric: str, members: Sequence[Member]) -> list[str]:
    """The click that opens the passport of a metric, for each member; empty for a member without a filter."""
    return [widgets.passport(metric, member.moves) if member.moves else "" for member in members]


def _usual(metric: MetricDefinition, settled: Sequence[Any]) -> tuple[float, float] | None:
    """The control limits of the settled months, cut to the possible values of the figure."""
    usual = chance.usual_range([float(value) for value in settled])
    if usual is None:
        return None
    is_share = metric.unit == "percent"
    return max(usual[0], 0.0) if min(settled) >= 0 else usual[0], min(usual[1], 1.0) if is_share else usual[1]


def closed_note(context: PageContext, months: Iterable[date]) -> str:
    """The meaning of the mark on the axis, if a shown month is closed; begins with a semicolon."""
    return f"; {charts.CLOSED_NOTE}" if context.source.closed_months.intersection(months) else ""


def running_months(context: PageContext, months: Iterable[date]) -> frozenset[date]:
    """The months whose last day the data have not reached."""
    return frozenset(month for month in months if periods.month_end(month) > context.source.as_of)


def marked_note(context: PageContext, months: Sequence[date]) -> str:
    """The meaning of the marks on the axis: months that are closed, and months that are not over; begins with a semicolon."""
    until = fmt.day(context.source.as_of)
    running = (
        f"; {charts.RUNNING_MARK.strip()} month is not over: data reach {until}"
        if running_months(context, months)
        else ""
    )
    return f"{closed_note(context, months)}{running}"


def ranking(
    context: PageContext,
    members: Sequence[Member],
    metric: str,
    *,
    title: str,
    key: str,
    note: str = "",
    ordered: bool = False,
    reference: Figure | None = None,
    volume: str = "",
) -> None:
    """Horizontal bars of one metric, sorted; a click opens the bar's passport. At the bar: what a rate was counted from, and its
    change where that is more than chance. In the accent: rates that are worse than all together by more than chance. Faint: too
    few to judge; `volume` counts the cases of a metric that names none below its line, and the members have it."""
    definition = context.source.metrics[metric]
    shown = [member for member in members if member.now.get(metric) is not None]
    moving = _is_moving(context, reference)
    line = None
    if reference is not None and not reference.problem and not moving and definition.direction != "neutral":
        line = reference.value
    bases = {member.id: member.base(context.source, metric) for member in shown}
    few_members = {
        member.id for member in shown if figures.has_few(context.source, bases[member.id], volume, member.now)
    }
    if ordered:
        shown.sort(key=lambda member: band_order(member.id))
    else:
        # Two of fifteen are no rank: members with too few cases stand last.
        shown.sort(key=lambda member: (member.id in few_members, -fmt.decimal(member.now[metric]), member.name))
    shown = shown[:MOST_BARS]
    tested = line is not None and any(_is_counted_rate(definition, base) for base in bases.values())
    notes = {member.id: _bar_note(context, member, metric, moving=moving) for member in shown}
    below = fmt.short(line, definition.unit) if tested and line is not None else ""
    hidden = context.source.hidden_note if any(member.now.get(metric) is None for member in members) else ""
    nothing = _nothing_to_rank(definition, shown, hidden)
    subtitle = (
        context.view.period.name
        if nothing
        else _ranking_note(context, shown, notes.values(), below, few=bool(few_members))
    )
    section(title, note or subtitle)
    if not shown:
        none = ("Nothing to compare", f"No {definition.label.lower()} in this period.")
        empty(context, *(nothing or none), f"{key}_empty")
        return
    ranks = [
        charts.Rank(
            member.name,
            member.now[metric],
            notes[member.id],
            context.look.parts[-1]
            if member.id in few_members
            else _bar_colour(
                context, definition, member.now[metric], bases[member.id], line, compared=reference is not None
            ),
        )
        for member in shown
    ]
    marks = member_marks(metric, shown)
    table = chart_tables.of_ranks(ranks, name=definition.label, unit=definition.unit, caption=title, marks=marks)
    if nothing:
        empty(context, *nothing, f"{key}_flat")
        context.html(widgets.as_table(table), key=f"{key}_flat_table")
        return
    option = charts.ranked_bars(context.look, ranks, unit=definition.unit, clickable=any(marks))
    height = 28 * len(ranks) + 16
    context.chart(
        option,
        key=f"{key}_{view_key(context.view)}",
        height=max(height, 96),
        alt=f"{title}: {definition.label}",
        table=table,
        marks=[marks],
    )


def _nothing_to_rank(metric: MetricDefinition, shown: Sequence[Member], hidden: str) -> tuple[str, str] | None:
    """(title, text) in place of bars that would say nothing: one member alone, or zeros only; None where bars say something.

    `hidden` says why members without a value may have one that is not shown; empty where all values are shown.
    """
    if hidden and not any(member.now[metric.name] for member in shown):
        return FEW, hidden
    if len(shown) == 1:
        value = fmt.exact(shown[0].now[metric.name], metric.unit)
        if hidden:
            return f"Only {shown[0].name} can be shown", f"{metric.label} there: {value}. {hidden}"
        return f"Only {shown[0].name}", f"{metric.label} here is that of {shown[0].name} alone: {value}."
    if shown and not any(member.now[metric.name] for member in shown):
        value = fmt.exact(0, metric.unit)
        return f"{value} everywhere", f"{metric.label} is {value} in each of these {len(shown)}."
    return None


def _is_moving(context: PageContext, figure: Figure | None) -> bool:
    """Whether the period's values may still move, so that no member is better or worse."""
    caution = figures.caution_of(context.view, context.source.as_of)
    return bool(caution or (figure is not None and figure.caution))


def _is_counted_rate(metric: MetricDefinition, base: figures.Base | None) -> bool:
    """Whether a figure is a share of counted things: the interval of a share says nothing of a mean."""
    return metric.unit == "percent" and base is not None and base.metric.unit == "count"


def _bar_colour(
    context: PageContext,
    metric: MetricDefinition,
    value: Any,
    base: figures.Base | None,
    overall: Any,
    *,
    compared: bool,
) -> str:
    """A bar's colour: the accent (empty) where worse than all together, else grey.

    Bars that are compared with nothing are all in the accent.
    """
    if not compared:
        return ""
    plain = context.look.parts[-2]
    if overall is None or base is None or not _is_counted_rate(metric, base):
        return plain
    gap = fmt.decimal(value) - fmt.decimal(overall)
    is_worse = gap > 0 if metric.direction == "lower" else gap < 0
    return "" if is_worse and chance.differs(float(value), float(base.now or 0), float(overall)) else plain


def _ranking_note(context: PageContext, shown: Sequence[Member], notes: Iterable[str], line: str, *, few: bool) -> str:
    """The legend of a ranking: its period, the notes beside the bars, the meaning of the colours."""
    hint = "; click a bar for its passport" if any(member.moves for member in shown) else ""
    overall = f"; in colour: worse than all together ({line}) by more than chance" if line else ""
    faint = f"; faint: fewer than {chance.LEAST_VOLUME}" if few else ""
    changes = f"; in brackets: change from {context.view.compared.name}" if any("(" in text for text in notes) else ""
    return f"{context.view.period.name}{changes}{overall}{faint}{hint}"


def _bar_note(context: PageContext, member: Member, metric: str, *, moving: bool) -> str:
    """`55 of 843 (+4.1 points)`: the numerator and denominator of a rate or mean, and the change if it is more than chance."""
    source = context.source
    base = member.base(source, metric)
    change = member.change(source, metric, context.view.compared.name, moving=moving)
    is_told = change.amount and member.verdict(source, metric) is Verdict.REAL
    counted = figures.counted(source.metrics[metric], member.now.get(metric), base, short=True)
    return " ".join(part for part in (counted, f"({change.amount})" if is_told else "") if part)


def level_table(
    context: PageContext, level: Level, metrics: Sequence[str], *, lead: str, loaded: Mapping[str, Figure]
) -> None:
    """The table one level down: exact values that open their passports, the lead metric's change, and a way down."""
    source, view = context.source, context.view
    shown = [name for name in metrics if name in source.metrics]
    if not shown:
        return
    against = view.compared.name
    titles = [markup.Column(level.noun.capitalize())]
    titles += [markup.Column(source.metrics[name].label, source.metrics[name].unit) for name in shown]
    change_of = lead if lead in shown else shown[0]
    moving = _is_moving(context, loaded.get(change_of))
    titles.append(markup.Column(f"{source.metrics[change_of].label}, change", "change"))
    rows = []
    for member in level.members[:MOST_ROWS]:
        if all(member.now.get(name) is None for name in shown):
            continue
        values = [markup.Link(member.now.get(name), mark) for name, mark in _cell_marks(member, shown)]
        rows.append(
            markup.Row(
                (member.name, *values, member.change(source, change_of, against, moving=moving)),
                action=widgets.move(**member.moves) if member.moves else "",
            )
        )
    totals = [markup.Link(loaded[name].value, widgets.passport(name)) if name in loaded else None for name in shown]
    total = markup.Row(("All", *totals, _total_change(loaded, change_of)))
    section(f"By {level.noun}", f"{view.period.name}; exact values")
    context.html(markup.table(titles, rows, caption=f"Figures by {level.noun}", total=total), key="cm_level")


def _cell_marks(member: Member, metrics: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, widgets.passport(name, member.moves) if member.moves else "") for name in metrics]


def _total_change(loaded: Mapping[str, Figure], name: str) -> fmt.Change | None:
    if name not in loaded:
        return None
    change = loaded[name].change
    return replace(change, tone="neutral") if loaded[name].caution and change.amount else change


def hours(context: PageContext, metric: str, *, volume: str, title: str, note: str = "") -> None:
    """A heat map of a metric by weekday and hour. Hours with little `volume` stay empty: chance would colour them."""
    definition = context.source.metrics.get(metric)
    if not figures.knows(definition, "weekday", "hour_of_day") or definition is None:
        return
    where = figures.filters(context.view, definition)
    section(title, note or f"{definition.label} by weekday and hour of the appointment, {context.view.period.name}")
    if where is None:
        empty(
            context, "Not available for this choice", "Choose all payers or a wider place.", f"cm_hours_{metric}_empty"
        )
        return
    counted = [volume] if figures.knows(context.source.metrics.get(volume), "weekday", "hour_of_day") else []
    frame = context.source.query(
        [metric, *counted],
        by=["weekday", "hour_of_day"],
        where=where,
        start=context.view.period.start,
        end=context.view.period.end,
    )
    hidden = context.source.hidden_note if any(frame[name].null_count() for name in (metric, *counted)) else ""
    if counted:
        frame = frame.filter(pl.col(volume) >= LEAST_AN_HOUR)
    cells = cells_of(frame, metric)
    counts = cells_of(frame, volume) if counted else {}
    if hidden and not any(cells.values()):
        empty(context, FEW, hidden, f"cm_hours_{metric}_hidden")
        return
    if not cells:
        text = f"No hour of the week has {LEAST_AN_HOUR} or more of them. Choose a longer period or a wider place."
        empty(context, "Too few to tell hours apart", text, f"cm_hours_{metric}_none")
        return
    if not any(cells.values()):
        text = f"{definition.label} is {fmt.exact(0, definition.unit)} in each hour of the week that has {LEAST_AN_HOUR} or more of them."
        empty(context, f"{fmt.exact(0, definition.unit)} in every hour", text, f"cm_hours_{metric}_zero")
        return
    volume_label = context.source.metrics[volume].label if counted else ""
    option = charts.heat_map(
        context.look,
        cells,
        name=definition.label,
        unit=definition.unit,
        counts=counts,
        counted=volume_label,
        clickable=True,
    )
    marks = {
        (day, hour): widgets.passport(metric, {"weekday": str(day + 1), "hour": str(hour)})
        for (day, hour), value in sorted(cells.items())
        if value is not None
    }
    alt = f"{definition.label} by weekday and hour"
    table = chart_tables.by_hour(cells, unit=definition.unit, caption=alt, marks=marks)
    context.chart(option, key=f"cm_hours_{metric}", height=312, alt=alt, table=table, marks=[list(marks.values())])


def cells_of(frame: pl.DataFrame, metric: str) -> dict[tuple[int, int], Any]:
    """(weekday from Monday 0, hour) to value; weekdays come as ISO numbers 1 to 7 or as names."""
    cells: dict[tuple[int, int], Any] = {}
    for row in frame.iter_rows(named=True):
        weekday, hour, value = row["weekday"], row["hour_of_day"], row[metric]
        if weekday is None or hour is None or value is None:
            continue
        text = str(weekday)
        index = next((i for i, name in enumerate(charts.WEEKDAYS) if name.startswith(text[:3].capitalize())), None)
        with suppress(ValueError):
            cells[(int(text) - 1 if index is None else index, int(hour))] = value
    return {key: value for key, value in cells.items() if 0 <= key[0] <= 6}


def view_key(view: View) -> str:
    """A short text that differs between views: a chart's key, so that a click chosen in one is not kept in the next."""
    return hashlib.sha256(states.encode(view.opened(None).params()).encode()).hexdigest()[:12]
