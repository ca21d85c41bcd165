"""The drawer that every mark opens: a figure's passport, the next level, the rows behind it.

The address names the figure (`figure`, `at`), so that a link opens it and back closes it. The drawer is a fragment: what is done in
it does not draw the page again.
"""

from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboards import breakdowns, figures, filters, markup, passport, passport_markup, rows, widgets
from dashboards import format as fmt
from dashboards import view as states
from dashboards.passport import Passport
from dashboards.person import still
from dashboards.reports.chosen import PAGE as BUILDER
from dashboards.shell import PageContext, explained
from dashboards.view import View
from serving.modules import MODULES
from serving.people.alert_rules import PAGE as ALERTS
from serving.worklists.lists import LISTS

TITLE = "About this figure"
WIDTH = 720
UNITS = "service_unit"
COMPARE, WORKLISTS = "compare", "worklists"
MOST_MEMBERS = 15
NOT_THERE = "This figure is not available to you, or there is none of this name."
_PAGE_OF_MODULE = {module.name: page.key for module in MODULES for page in module.pages}


def show(context: PageContext) -> None:
    """Opens the drawer on the figure that the address names."""

    def closed() -> None:
        widgets.go(widgets.current_view(context.today).opened(None))

    st.dialog(TITLE, width=WIDTH, position="right", on_dismiss=closed)(still(context.source, _draw))(context)


def _draw(context: PageContext) -> None:
    widgets.asked_for_passport()
    view, _ = filters.checked(context.source, widgets.current_view(context.today))
    if view.figure is None:
        # Something in the drawer led away from the figure: the page follows.
        st.rerun()
    widgets.forget_moves()
    shown = {"figure": view.figure, **view.opened(None).params()}
    with explained("passport"):
        refusal = _refusal(context, view)
        with context.source.recorded("passport", shown, is_refused=bool(refusal)):
            if refusal:
                widgets.html(markup.state("This figure cannot be shown", refusal), key="cm_passport_refused")
            else:
                _draw_passport(context, view)


def _refusal(context: PageContext, view: View) -> str:
    """Why the address opens no passport; empty where it does."""
    if view.figure not in context.source.metrics:
        return NOT_THERE
    strange = passport.strange_names(view.at)
    if strange:
        return filters.refusal_of_names(strange).replace(
            "It was left out.", "Close this and choose a mark on the page."
        )
    _, left_out = filters.checked(context.source, view.of_figure)
    return " ".join(left_out).replace("The filter was left out.", "Close this and choose another mark.")


def _draw_passport(context: PageContext, view: View) -> None:
    source = context.source
    assert view.figure is not None
    figure_passport = passport.of(source, view.of_figure, view.figure, view.at)
    lineage = f"{widgets.PAGE}lineage?metric={figure_passport.metric.name}" if "lineage" in context.pages else ""
    parts = [
        passport_markup.head(figure_passport, hidden=source.hidden_note),
        passport_markup.actions(_next_steps(context, view, figure_passport)),
        passport_markup.meaning(figure_passport.metric),
    ]
    _markup(context, markup.join(parts), "cm_passport")
    # Drawn where they stand, asked last: other definitions are other questions, which may have to be compiled first.
    around, others = st.container(), st.container()
    _next_level(context, view, figure_passport)
    rows.draw(context, view, figure_passport.view, figure_passport.metric)
    with around:
        counted = passport.rows_around(source, figure_passport.view, figure_passport.metric)
        _markup(context, passport_markup.rows_around(counted, hidden=source.hidden_note), "cm_passport_around")
    with others:
        _readings(context, view, figure_passport)
    below = passport_markup.rests_on(
        figure_passport.feeds,
        version=source.reader.version.version,
        published=fmt.moment(source.reader.published_at, source.time_zone),
        lineage=lineage,
        time_zone=source.time_zone,
    )
    sees = f"You see {source.scope_label or f'all of {source.tenant_name}'}. {source.hidden_note}".strip()
    _markup(context, below + passport_markup.footnote(figure_passport, sees=sees), "cm_passport_rest")


def _markup(context: PageContext, text: Markup, key: str) -> None:
    """Draws markup in the drawer; a click runs the drawer alone, unless it opens another page."""
    action = widgets.html(Markup('<div class="cm-passport">{}</div>').format(text), key=key, as_of=context.today)
    if action:
        context.open(action)


def _next_steps(context: PageContext, view: View, figure_passport: Passport) -> list[tuple[str, str]]:
    steps = []
    if view.at:
        changes: dict[str, Any] = {**states.pairs_by_name(view.at), "figure": None}
        steps.append(("Show the page for this", widgets.move(**changes)))
    page = _PAGE_OF_MODULE.get(figure_passport.metric.module, "")
    if page in context.pages:
        changed = states.encode(states.pairs_by_name(view.at))
        steps.append((f"Open {fmt.lower_first(context.pages[page].title)}", f"{widgets.PAGE}{page}?{changed}"))
    name = figure_passport.metric.name
    work_list = next((item.name for item in LISTS.values() if item.metric == name), "")
    if WORKLISTS in context.pages and work_list in context.source.reader.worklists.names:
        steps.append(("Open worklist", f"{widgets.PAGE}{WORKLISTS}?{states.encode({'basis': work_list})}"))
    if ALERTS in context.pages:
        where = states.encode({"metric": name, "place": figure_passport.view.place})
        steps.append(("Alert me", f"{widgets.PAGE}{ALERTS}?{where}"))
    if BUILDER in context.pages:
        built = states.encode({**states.pairs_by_name(view.at), "measures": name})
        steps.append(("Put into a report", f"{widgets.PAGE}{BUILDER}?{built}"))
    if COMPARE in context.pages:
        steps.append(("Why is my number different?", _compare(view, {})))
        period = figure_passport.view.period
        for close in context.source.closed.standing:
            if period.whole_months == 1 and close.month == period.start and context.source.asked_as_of is None:
                steps.append(
                    (f"Compare with {close.month:%B} as closed", _compare(view, {"as_of": f"close:{close.name}"}))
                )
    return steps


def _compare(view: View, against: dict[str, str]) -> str:
    """The action that opens the comparison of the open figure with another one."""
    query = states.encode({"figure": view.figure, "at": view.at, "against": states.encode(against)})
    return f"{widgets.PAGE}{COMPARE}?{query}"


def _readings(context: PageContext, view: View, figure_passport: Passport) -> None:
    """The other definitions, each with what holds it against the open figure."""
    others = passport.readings(context.source, figure_passport.view, figure_passport.metric)
    names = [reading.metric.name for reading in others if not reading.problem]
    explain = {name: _compare(view, {"metric": name}) for name in names} if COMPARE in context.pages else {}
    _markup(context, passport_markup.readings(figure_passport, others, explain), "cm_passport_readings")


def _next_level(context: PageContext, view: View, figure_passport: Passport) -> None:
    """The figure by a dimension of the reader's choice; each member leads to its own passport."""
    source, metric = context.source, figure_passport.metric
    has_units = UNITS in metric.dimensions and (len(source.places) > 1 or figure_passport.view.place)
    offered = [UNITS] if has_units and not figure_passport.view.provider else []
    offered += [name for name in filters.offered([metric]) if name not in filters.chosen(figure_passport.view)]
    if not offered or figure_passport.figure.problem:
        return
    key = f"cm_level_of_{metric.name}"
    labels = {name: filters.LABELS[name] for name in offered}
    chosen = st.selectbox("Next level: the same figure by", offered, key=key, format_func=labels.__getitem__)
    if chosen == UNITS:
        below = breakdowns.below(source, figure_passport.view, [metric.name])
        members, label = list(below.members), below.noun.capitalize()
    else:
        members = breakdowns.by_dimension(source, figure_passport.view, [metric.name], chosen, before=False)
        label = labels[chosen]
    hidden = source.hidden_note if any(member.now.get(metric.name) is None for member in members) else ""
    shown = [member for member in members if member.now.get(metric.name) is not None]
    listed = [
        (member.name, member.now[metric.name], _counted(context, figure_passport, member))
        for member in shown[:MOST_MEMBERS]
    ]
    marks = [
        widgets.passport(metric.name, {**states.pairs_by_name(view.at), **member.moves}) if member.moves else ""
        for member in shown[:MOST_MEMBERS]
    ]
    more = len(shown) - len(listed)
    note = markup.EMPTY
    if more > 0:
        note = Markup('<p class="cm-note">{} not listed.</p>').format(fmt.plural(more, "more", "more"))
    _markup(context, passport_markup.level(label, metric, listed, marks, hidden) + note, "cm_passport_level")


def _counted(context: PageContext, figure_passport: Passport, member: breakdowns.Member) -> str:
    base = member.base(context.source, figure_passport.metric.name)
    return figures.counted(figure_passport.metric, member.now.get(figure_passport.metric.name), base, short=True)
