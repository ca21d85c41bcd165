"""What every page has around its content: the view, the pickers, friendly failures, the head with context."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboards import as_of, bar, failures, figures, filters, markup, served_home, theme, widgets
from dashboards import closed_notice as closed
from dashboards import format as fmt
from dashboards import incomplete_notice as incomplete
from dashboards import period as periods
from dashboards import view as view_states
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.view import View
from foundation.errors import AccessError, ClinicmartError
from serving.counters import PAGE_ERRORS
from serving.people.principal import Principal, Role
from serving.people.rights import ROLES
from serving.versions.store import outcome

log = logging.getLogger(__name__)

HEALTH_PAGE = "data_health"
CLOSED_PAGE = "closed_months"


@dataclass(frozen=True)
class PageContext:
    """What a page draws with: the data, the view, and the ground's tokens. `open_page` moves to another page. `today` is the day that
    the served data reach, also where `source` is an earlier version: what periods of the address are relative to. `page` is the page's key.

    What can be clicked is a fragment: a click that opens a figure's passport (`show_passport`) draws nothing else, and one
    that moves the view draws the whole page.
    """

    source: Source
    view: View
    look: theme.Tokens
    pages: Mapping[str, Any]
    show_passport: Callable[["PageContext"], None]
    today: date
    page: str = ""

    def html(self, text: Markup, key: str) -> None:
        """Draws markup; its clicks change the view, open a passport or open a page."""
        st.fragment(self._html, key=f"{key}_fragment")(text, key)

    def _html(self, text: Markup, key: str) -> None:
        widgets.rerun_if_moved()
        action = widgets.html(text, key=key, as_of=self.today)
        if action:
            self.open(action)
        if widgets.asked_for_passport():
            self.show_passport(self)

    def chart(
        self,
        option: Mapping[str, Any],
        *,
        key: str,
        height: int,
        alt: str,
        table: Markup,
        marks: Sequence[Sequence[str]] = (),
        below: Markup = markup.EMPTY,
    ) -> None:
        """Draws a chart and, folded below it, the same values as a table whose cells lead where the marks do.

        `marks` holds, for each series, the action of each of its marks (`widgets.passport`); one list is for all series. `below` stands
        below the table.
        """
        st.fragment(self._chart, key=f"{key}_fragment")(
            option, key, height, alt, widgets.as_table(table) + below, marks
        )

    def _chart(
        self,
        option: Mapping[str, Any],
        key: str,
        height: int,
        alt: str,
        below: Markup,
        marks: Sequence[Sequence[str]],
    ) -> None:
        widgets.rerun_if_moved()
        widgets.chart(option, key=key, height=height, alt=alt, marks=marks, as_of=self.today)
        action = widgets.html(below, key=f"{key}_table", as_of=self.today)
        if action:
            self.open(action)
        if widgets.asked_for_passport():
            self.show_passport(self)

    def open(self, action: str) -> None:
        """Carries out `page:<key>?<changes>`."""
        key, _, changes = action.removeprefix(widgets.PAGE).partition("?")
        if key in self.pages:
            view = widgets.moved_by(self.view, changes)
            params = view.params(shared_only=True)
            kept = ("metric", "figure", "at", "against", "basis", "section", "measures")
            named = {name: getattr(view, name) for name in kept if f"{name}=" in changes}
            st.switch_page(
                self.pages[key], query_params=params | {name: value for name, value in named.items() if value}
            )


NOT_USED = (
    "{title} is not available yet",
    "Your organization does not use this module, or no feed has brought data for it yet. Ask your administrator.",
)

# Where the link to a page stands.
BAR, MENU, OTHER_PAGES = "bar", "menu", "other pages"


@dataclass(frozen=True, kw_only=True)
class PageSpec:
    """A page: its key in the URL, its name, and what draws it.

    `serving.people.rights` says which roles hold it, and `is_for` whether there is something to show to a person of such a role. A page
    that a person does not have is absent: because of the role, or for the reason `absent` (title and text).
    A page that `has_pickers` shows figures of a period and a place, which are chosen above it. A page that `needs_figure` is opened from
    a figure, and its address names the figure. `opened_from` says where its link stands: in the bar, in the bar's menu "More", or on other
    pages alone. A page that `tells_gaps` says itself which feeds stopped or were refused: it needs no line above it.
    """

    key: str
    title: str
    draw: Callable[[PageContext], None]
    is_for: Callable[[Source], bool] = lambda _: True
    absent: tuple[str, str] = NOT_USED
    has_pickers: bool = False
    needs_figure: bool = False
    opened_from: str = BAR
    tells_gaps: bool = False

    def is_held_by(self, source: Source) -> bool:
        """Whether a person has the page: by the role, and by what there is to show."""
        return self.is_of_role(source.principal.role) and self.is_for(source)

    def is_of_role(self, role: Role) -> bool:
        """Whether a role has the page in a tenant that has everything."""
        return self.key in ROLES[role].pages


def view_of(source: Source) -> View:
    """The URL's view, without a place or a filter that this person cannot see."""
    return filters.checked(source, widgets.current_view(source.as_of))[0]


def refused(page: PageSpec, source: Source) -> Callable[[], None]:
    """The function that Streamlit calls for a page that this person does not have: it says why."""

    def run() -> None:
        widgets.html(markup.state(*_why_refused(page, source), link=("To the first page", "/")), key="cm_refused")

    run.__name__ = f"refused_{page.key}"
    return run


def _why_refused(page: PageSpec, source: Source) -> tuple[str, str]:
    """(title, reason) of a page that this person does not have."""
    role = source.principal.role
    if page.is_of_role(role):
        title, text = page.absent
        return title.format(title=page.title), text
    text = f"Your role ({role.replace('_', ' ')}) does not include this page. An administrator of your organization can change roles."
    return f"{page.title} is not available to you", text


def runner(
    page: PageSpec,
    source: Source,
    pages: Mapping[str, Any],
    show_passport: Callable[[PageContext], None],
    show_files: Callable[[PageContext, str], None],
) -> Callable[[], None]:
    """The function that Streamlit calls for the page: pickers, content, and a friendly message if something fails. `show_files` draws
    what takes a page of figures away as a file."""

    def run() -> None:
        view, left_out = filters.checked(source, widgets.current_view(source.as_of))
        shown, not_kept = as_of.opened(source, view)
        if not_kept:
            left_out.append(not_kept)
            view = replace(view, as_of=None)
        context = PageContext(
            shown.telling(view.restated and source.was_reorganised),
            view,
            widgets.look(),
            pages,
            show_passport,
            source.as_of,
            page.key,
        )
        with explained(page.key):
            if page.has_pickers:
                bar.pickers(source, view, page.key)
            note_left_out(source, page.key, left_out)
            if shown is not source:
                context.html(as_of.banner(shown, as_of.choices(source)), key="cm_past")
            if page.has_pickers:
                if not page.tells_gaps:
                    incomplete_notice(context, page.key)
                closed_notice(context, page.key)
            page.draw(context)
            if page.has_pickers:
                show_files(context, page.key)
        # Drawn after the page, so that the page stands behind it; what fails in it does not take the page away.
        if view.figure and page.has_pickers:
            show_passport(context)

    run.__name__ = page.key
    return run


@contextmanager
def explained(page: str) -> Iterator[None]:
    """Draws a friendly message if something fails inside."""
    try:
        yield
    except AccessError as error:
        widgets.html(markup.state("Not available to you", fmt.sentence(str(error))), key="cm_refused")
    except ClinicmartError as error:
        log.warning("page %s: %s", page, type(error).__name__)
        widgets.html(markup.state("This cannot be shown", fmt.sentence(str(error))), key="cm_failed")
    except Exception as error:
        PAGE_ERRORS.inc()
        log.error("page %s failed: %s", page, failures.place_of(error))
        text = "Something went wrong on our side while drawing this page. Your data are safe. Try again, or choose another period."
        widgets.html(markup.state("This page could not be drawn", text), key="cm_failed")


def note_left_out(source: Source, page: str, left_out: Sequence[str]) -> None:
    """Says which parts of the address were left out, and audits it: names of filters, never their values."""
    strange = filters.unknown_names(st.query_params)
    sentences = [*left_out, *([filters.refusal_of_names(strange)] if strange else [])]
    if sentences:
        source.reader.note("page", {"page": page, "left_out": sentences}, "refused")
        text = markup.join(Markup('<p class="cm-note">{}</p>').format(sentence) for sentence in sentences)
        widgets.html(text, key="cm_place_note")


def incomplete_notice(context: PageContext, page: str) -> None:
    """One line above the page for each feed that stopped or of which files were refused and on which it rests, leading to Data
    health where the person has it."""
    sentences = gaps(context.source, page, context.view.period.end)
    if sentences:
        action = f"{widgets.PAGE}{HEALTH_PAGE}?" if HEALTH_PAGE in context.pages else ""
        context.html(incomplete.banner(sentences, action), key="cm_incomplete")


def gaps(source: Source, page: str, until: date) -> list[str]:
    """A sentence for each feed that stopped or of which files were refused and on which a page rests; `until` as in
    `incomplete_notice.lines`."""
    stopped = incomplete.lines(page, source.alerts.iter_rows(named=True), until)
    return [*stopped, *incomplete.refusals(page, source.refusals.iter_rows(named=True))]


def closed_notice(context: PageContext, page: str) -> None:
    """One line for each closed month of the period whose figures have changed: the old figures and the cause."""
    sentences = changed_closes(context.source, context.view, page)
    if sentences:
        action = f"{widgets.PAGE}{CLOSED_PAGE}?" if CLOSED_PAGE in context.pages else ""
        context.html(closed.banner(sentences, action), key="cm_closed")


def changed_closes(source: Source, view: View, page: str) -> list[str]:
    """A sentence for each closed month of the period of which a figure of the page has changed."""
    changes = source.changes_in(view.period.start, view.period.end, view.place)
    return closed.lines(page, changes, source.reader.tenant.time_zone, in_part=source.closes_are_wider(view))


def whose(source: Source) -> Markup:
    """Whose figures a page shows, for a page about everything that the person sees: the tenant, or the part of it."""
    tenant = source.tenant_name if source.scope_label else ""
    return markup.breadcrumb([(source.scope_label or source.tenant_name, "")], tenant=tenant)


def head(context: PageContext, finding: str) -> None:
    """Context line and finding. The place is a path to walk up; who sees a part begins at that part, not at the tenant."""
    source, view = context.source, context.view
    path = source.path(view.place)
    whole = source.scope_label or source.tenant_name
    steps = [(whole, widgets.move(place=None, provider=None))]
    steps += [(place.name, widgets.move(place=place.id, provider=None)) for place in path if place != source.root]
    if view.provider:
        name = source.names("provider").get(view.provider, "One provider")
        steps.append((name, widgets.move(provider=view.provider)))
    line = [
        f"{view.period.name} ({view.period.dates})" if view.period.name != view.period.dates else view.period.name,
        f"compared with {view.compared.name}",
        "with today's units and payer classes" if view.restated and source.was_reorganised else "",
        f"data to {fmt.day(source.as_of)}",
        f"published {fmt.moment(source.reader.published_at, source.time_zone)}",
        source.hidden_note.removesuffix("."),
        credential_note(source),
    ]
    tenant = source.tenant_name if source.scope_label else ""
    context.html(markup.heading(finding, line, markup.breadcrumb(steps, tenant=tenant)), key="cm_head")


def credential_note(source: Source) -> str:
    """Says of a provider's figures which units they are of; empty for other roles."""
    if source.reader.scope.provider_id is None:
        return ""
    if source.reader.follows_credentials:
        return f"units where a credential holds on {fmt.day(source.as_of)}"
    return "all units, because no feed brings credentials"


def before_data(context: PageContext, loaded: Mapping[str, Figure]) -> bool:
    """Draws a page for a period before the first data of this choice, with the way to the first period. False where there are data."""
    if any(figure.value for figure in loaded.values()):
        return False
    first = first_month(context, loaded)
    if first is None or first <= context.view.period.end:
        return False
    key = periods.range_key(first, periods.month_end(periods.add_months(first, 2)))
    to_first = context.view.moved(period=periods.parse(key, context.source.as_of))
    head(context, f"No data before {first:%b %Y}")
    text = f"The first day of this choice with data is in {first:%B %Y}. Choose a later period."
    link = (f"Show {to_first.period.name}", f"?{view_states.encode(to_first.params())}")
    widgets.html(markup.state("Nothing to show for this period", text, link=link), key="cm_before_data")
    return True


def first_month(context: PageContext, loaded: Mapping[str, Figure]) -> date | None:
    """The first month in which one of the page's counts and amounts has a value under the view's filters."""
    months_with_values = []
    for name, figure in loaded.items():
        where = figures.filters(context.view, figure.metric)
        if figure.metric.unit not in ("count", "usd") or where is None:
            continue
        frame = context.source.query([name], grain="month", where=where, end=context.source.as_of)
        months = frame.filter(frame[name] != 0)["metric_time"].to_list()
        months_with_values += [periods.day_of(month) for month in months]
    return min(months_with_values, default=None)


def without_data(principal: Principal, sign_out_token: str) -> None:
    """The state of a tenant of which nothing is published yet, with why."""
    last = outcome(served_home.home(), principal.tenant_id)
    text = "The first pipeline run has not published anything yet. Come back later, or ask the administrator of the pipeline."
    if last is not None and last.reason:
        text = f"The last run on {fmt.moment(last.at, served_home.time_zone(principal.tenant_id))} published nothing: {last.reason}"
    widgets.html(
        markup.state("No data yet", text) + bar.sign_out_form(sign_out_token),
        key="cm_state",
    )
