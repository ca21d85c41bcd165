"""Why is my number different? Two definitions, or one at two versions, places or periods, side by side and down to the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboards import as_of, figures, filters, markup, passport, rows, shell, widgets
from dashboards import format as fmt
from dashboards import view as states
from dashboards.data import UNKNOWN, Source
from dashboards.shell import PageContext
from dashboards.view import View
from foundation.errors import ClinicmartError
from serving.model import MetricDefinition, RowDifference, RowsAsked, RowsOfSide
from serving.rows.chosen_columns import chosen_columns

NOW, SAME = "now", "same"
# What the other side of an address may change.
OTHER_NAMES = frozenset({"metric", "as_of", *passport.MARK_NAMES})


@dataclass(frozen=True)
class Side:
    """One of the two figures: its reader, its view, its value and its denominator."""

    source: Source
    view: View
    metric: MetricDefinition
    value: Any
    base: figures.Base | None


def draw(context: PageContext) -> None:
    """Draws two figures side by side, and their difference down to the rows."""
    source, view = context.source, context.view
    problem = _refusal(source, view)
    if problem:
        context.html(markup.heading("Why is my number different?", [], shell.whose(source)), key="cm_head")
        context.html(markup.state("Nothing to compare", problem), key="cm_state")
        return
    assert view.figure is not None
    mine = _side(source, filters.checked(source, view.of_figure)[0], view.figure)
    other_view, _ = filters.checked(source, states.moved_by(mine.view, view.against))
    other_source, not_kept = as_of.opened(source, other_view)
    theirs = _side(other_source, other_view, other_view.metric or view.figure)
    context.html(markup.heading(_finding(mine, theirs), [], shell.whose(source)), key="cm_head")
    if not_kept:
        context.html(markup.state("That version is not kept", as_of.NOT_KEPT), key="cm_not_kept")
    _pickers(context, mine, theirs)
    context.html(_side_by_side(mine, theirs), key="cm_sides")
    _differences(context, mine, theirs)


def _refusal(source: Source, view: View) -> str:
    """Why nothing can be compared; empty where it can."""
    if view.figure is None:
        return "Open it from a figure: its passport lists other definitions, and explain leads here."
    asked = {name for name, _ in states.pairs_of(view.against)}
    other = dict(states.pairs_of(view.against)).get("metric")
    if view.figure not in source.metrics or (other and other not in source.metrics):
        return "This figure is not available to you, or there is none of this name."
    strange = filters.plain_names(sorted(asked - OTHER_NAMES)) + passport.strange_names(view.at)
    if strange:
        return filters.refusal_of_names(strange)
    _, left_out = filters.checked(source, view.of_figure)
    _, other_left_out = filters.checked(source, states.moved_by(view.of_figure, view.against))
    return " ".join(dict.fromkeys([*left_out, *other_left_out]))


def _side(source: Source, view: View, name: str) -> Side:
    loaded = figures.values(source, view, [name]).get(name, (None, None))
    return Side(source=source, view=view, metric=source.metrics[name], value=loaded[0], base=loaded[1])


def _finding(mine: Side, theirs: Side) -> str:
    left, right = fmt.exact(mine.value, mine.metric.unit), fmt.exact(theirs.value, theirs.metric.unit)
    if mine.value == theirs.value and mine.metric.unit == theirs.metric.unit:
        return f"{mine.metric.label}: {left} on both sides"
    return f"{mine.metric.label}: why {left} here and {right} there"


def _pickers(context: PageContext, mine: Side, theirs: Side) -> None:
    """The other side: definition, version, place and period."""
    source, view = context.source, context.view
    definitions = [mine.metric.name, *passport.readings_of(source, mine.metric)]
    if theirs.metric.name not in definitions:
        definitions.append(theirs.metric.name)
    versions = {NOW: "Now", **as_of.choices(source)}
    places = [place for place in source.places if place != UNKNOWN]
    before, year = mine.view.period.before(), mine.view.period.year_earlier()
    times = {mine.view.period.key: "The same period", before.key: before.name, year.key: year.name}
    times.setdefault(theirs.view.period.key, theirs.view.period.name)
    with st.container(horizontal=True, vertical_alignment="bottom", key="cm_bar", gap="small"):
        _choice(context, "Other definition", "metric", definitions, theirs.metric.name, _labels(source, definitions))
        if len(versions) > 1:
            _choice(context, "Other version", "as_of", list(versions), theirs.view.as_of or NOW, versions)
        if len(places) > 1:
            names = {place: source.places[place].name for place in places}
            everywhere = source.root.id if source.root else places[0]
            _choice(context, "Other place", "place", places, theirs.view.place or everywhere, names)
        _choice(context, "Other period", "period", list(times), theirs.view.period.key, times)
    context.html(
        Markup("{}").format(markup.button("Back to the figure", _back(source, view), "cm-rows")), key="cm_back"
    )


def _labels(source: Source, names: list[str]) -> dict[str, str]:
    return {name: source.metrics[name].label for name in names}


def _choice(
    context: PageContext, label: str, name: str, options: list[str], chosen: str, labels: Mapping[str, str]
) -> None:
    key = f"cm_other_{name}"
    st.session_state[key] = chosen if chosen in options else options[0]

    def changed() -> None:
        value = st.session_state[key]
        now = widgets.current_view(context.today)
        against = states.joined(now.against, {name: None if value == NOW else value})
        widgets.go(now.moved(against=against))

    st.selectbox(label, options, key=key, format_func=lambda item: labels.get(item, item), on_change=changed, width=288)


def _back(source: Source, view: View) -> str:
    assert view.figure is not None
    module = source.metrics[view.figure].module
    query = states.encode({"figure": view.figure, "at": view.at})
    return f"{widgets.PAGE}{module}?{query}"


def _side_by_side(mine: Side, theirs: Side) -> Markup:
    """Both figures with all that makes them: a row for each thing, what differs in bold."""
    rows_of = (
        ("Figure", lambda side: fmt.exact(side.value, side.metric.unit) if _can(side) else _problem(side)),
        ("Counted from", lambda side: figures.counted(side.metric, side.value, side.base)),
        ("Definition", lambda side: side.metric.label),
        ("What it is", lambda side: side.metric.description),
        ("Counts", lambda side: side.metric.numerator),
        ("Out of", lambda side: side.metric.denominator),
        ("Leaves out", lambda side: side.metric.exclusions),
        ("Dated by", lambda side: side.metric.date_basis),
        ("Period", lambda side: f"{side.view.period.name} ({side.view.period.dates})"),
        ("Place", lambda side: _place(side)),
        (
            "Filters",
            lambda side: ", ".join(f"{chip.name}: {chip.value}" for chip in filters.chips(side.source, side.view)),
        ),
        ("Version", lambda side: _version(side)),
    )
    lines = []
    for name, read in rows_of:
        left, right = read(mine), read(theirs)
        if left or right:
            kind = "cm-same" if left == right else "cm-differs"
            lines.append(
                Markup('<tr class="{}"><th scope="row">{}</th><td>{}</td><td>{}</td></tr>').format(
                    kind, name, left or fmt.DASH, right or fmt.DASH
                )
            )
    return Markup(
        '<div class="cm-scroll"><table class="cm-table cm-sides"><caption class="cm-hidden">Both figures</caption>'
        '<thead><tr><th></th><th scope="col">This figure</th><th scope="col">The other figure</th></tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(markup.join(lines))


def _can(side: Side) -> bool:
    return not filters.missing(side.view, side.metric)


def _problem(side: Side) -> str:
    return filters.missing(side.view, side.metric)


def _place(side: Side) -> str:
    path = side.source.path(side.view.place)
    return path[-1].name if path else side.source.scope_label or side.source.tenant_name


def _version(side: Side) -> str:
    published = fmt.moment(side.source.reader.published_at, side.source.time_zone)
    return f"{side.source.reader.version.version}, published {published}, definition {side.metric.version}"


def _differences(context: PageContext, mine: Side, theirs: Side) -> None:
    """The difference down to the rows: of the numerator, and of the denominator."""
    if not context.source.sees_rows:
        role = context.source.principal.role.replace("_", " ")
        text = f"Your role ({role}) shows figures and not the rows behind them."
        context.html(markup.state("The difference by rows is not available to you", text), key="cm_rows_refused")
        return
    asked = [("What is counted", mine.metric, theirs.metric)]
    below, other_below = (side.source.metrics.get(side.metric.out_of) for side in (mine, theirs))
    if below and other_below and below.can_drill and other_below.can_drill:
        asked.append(("What it is counted out of", below, other_below))
    for place, (title, left, right) in enumerate(asked):
        _difference(context, title, mine, left, theirs, right, f"cm_difference_{place}")


def _difference(
    context: PageContext,
    title: str,
    mine: Side,
    left: MetricDefinition,
    theirs: Side,
    right: MetricDefinition,
    key: str,
) -> None:
    if not (left.can_drill and right.can_drill and _can(mine) and _can(theirs)):
        text = "One of the figures is computed from totals and has no rows of records."
        context.html(markup.section(title) + markup.state("No rows to compare", text), key=key)
        return
    try:
        difference = mine.source.reader.compare_rows(_asked(mine, left), theirs.source.reader, _asked(theirs, right))
    except ClinicmartError as error:
        text = fmt.sentence(str(error))
        context.html(markup.section(title) + markup.state("The rows cannot be matched", text), key=key)
        return
    unit = left.unit if left.unit == right.unit else ""
    context.html(_difference_markup(context.source, title, difference, left, right, unit), key=key)


def _asked(side: Side, metric: MetricDefinition) -> RowsAsked:
    return RowsAsked(
        metric=metric.name,
        where=filters.chosen(side.view),
        date_from=side.view.period.start,
        date_to=side.view.period.end,
        restated=side.source.restated,
    )


def _difference_markup(
    source: Source, title: str, difference: RowDifference, left: MetricDefinition, right: MetricDefinition, unit: str
) -> Markup:
    """How many rows and how much each part is, then the rows of each part."""
    shown = "usd" if unit == "usd" else "count"

    def value(number: Decimal) -> Any:
        return number if unit else None

    columns = [markup.Column("Rows"), markup.Column("How many", "count"), markup.Column("Added up", shown)]
    lines = [
        ("Of this figure", difference.mine.rows, value(difference.mine.value)),
        ("Only in this figure", difference.only_mine.rows, value(difference.only_mine.value)),
        ("Only in the other figure", difference.only_theirs.rows, value(-difference.only_theirs.value)),
        ("In both with different values", difference.differing.rows, value(difference.differing.value)),
        ("In both alike", difference.same, None),
        ("Of the other figure", difference.theirs.rows, value(difference.theirs.value)),
    ]
    gap = difference.mine.value - difference.theirs.value
    parts = difference.only_mine.value - difference.only_theirs.value + difference.differing.value
    note = f"{left.label} against {right.label}; rows are matched by {difference.key.replace('_', ' ').removesuffix(' id')}"
    if unit and gap == parts:
        note += f". The parts add up to the difference of {fmt.exact(gap, shown)}"
    if not unit:
        note += ". The figures count in different units, so that only rows are compared"
    content = markup.section(title, note) + markup.table(columns, [markup.Row(line) for line in lines], caption=title)
    content += _rows(source, "Only in this figure", difference.only_mine)
    content += _rows(source, "Only in the other figure", difference.only_theirs)
    return content + (_rows(source, "In both with different values", difference.differing) if unit else markup.EMPTY)


def _rows(source: Source, title: str, part: RowsOfSide) -> Markup:
    if not part.rows:
        return markup.EMPTY
    names = chosen_columns(part.frame)
    if "theirs" in part.frame.columns:
        names = [*(name for name in names if name not in ("mine", "theirs")), "mine", "theirs"]
    columns, body = rows.columns_and_rows(source, part.frame, names)
    plain = [markup.Column(column.title, column.unit) for column in columns]
    more = f", the first {part.frame.height}" if part.frame.height < part.rows else ""
    summary = f"{title}: {fmt.plural(part.rows, 'row')}{more}"
    return markup.folded(summary, markup.table(plain, body, caption=title))
