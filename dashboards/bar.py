"""The bar on top of every page: page names, period, comparison, place, payer class, and the person.

The URL is the truth: each run lays its values into the pickers, and a picker's change is written back to the URL.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboards import as_of, filters, markup, theme, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import UNKNOWN, Source
from dashboards.view import View
from serving.modules import PAGES
from serving.people.branding import Brand
from serving.people.rights import ROLES

CUSTOM = "custom"
EVERYWHERE = ""
NOW = ""
TOLD = {False: "As they were then", True: "As they are today"}


def navigation(
    source: Source,
    view: View,
    pages: Mapping[str, Any],
    menu: Mapping[str, Any],
    current: str,
    sign_out_token: str,
) -> None:
    """The first line: whose data this is, the pages, a menu of further pages, who is signed in. Links carry the view along."""
    st.html(f"<style>{_paper_foot(source)}</style>")
    with st.container(horizontal=True, vertical_alignment="center", key="cm_nav", gap=None):
        st.html(str(_mark(source.tenant_name, source.brand)), width="content")
        with st.container(horizontal=True, vertical_alignment="center", key="cm_pages", gap=None, width="stretch"):
            for key, page in pages.items():
                with st.container(key=f"cm_page_{key}{'_here' if key == current else ''}", width="content"):
                    st.page_link(page, label=page.title, query_params=view.params(shared_only=True))
            if menu:
                here = "_here" if current in menu else ""
                title = menu[current].title if here else "More"
                with st.popover(title, type="tertiary", key=f"cm_page_more{here}"):
                    for page in menu.values():
                        st.page_link(page, label=page.title, query_params=view.params(shared_only=True))
        with st.popover(source.principal.display_name or source.principal.email, type="tertiary", key="cm_person"):
            widgets.html(_person(source, sign_out_token), key="cm_person_card")


def _paper_foot(source: Source) -> str:
    """CSS: what stands below each printed sheet: whose data, for whom, and up to which day."""
    who = source.principal.display_name or source.principal.email
    words = [source.tenant_name, source.scope_label, f"for {who}", f"data to {fmt.day(source.as_of)}"]
    text = " · ".join(word for word in words if word)
    # Each character is written by its number, so that a name cannot end the text.
    quoted = "".join(f"\\{ord(character):06x}" for character in text)
    return f'@media print {{ @page {{ @bottom-left {{ content: "{quoted}"; font: 10pt sans-serif; color: #444; }} }} }}'


def _mark(name: str, brand: Brand) -> Markup:
    """The logo, else the first letter, and the name."""
    mark = markup.logo(brand.logo) if brand.logo else Markup('<i aria-hidden="true">{}</i>').format(name[:1])
    return Markup('<div class="cm-brand">{}<b>{}</b></div>').format(mark, name)


def _person(source: Source, token: str) -> Markup:
    email, role = source.principal.email, source.principal.role.replace("_", " ").capitalize()
    is_support = ROLES[source.principal.role].is_of_support
    # Who is in a support session has no account here.
    account = Markup("") if is_support else Markup('<a href="/account" target="_self">Password and sessions</a>')
    form = sign_out_form(token, "End the support session" if is_support else "Sign out")
    return Markup('<div class="cm-person"><b>{}</b><span>{}</span><span>{}</span>{}{}</div>').format(
        source.principal.display_name or email, email, role, account, form
    )


def sign_out_form(token: str, label: str = "Sign out") -> Markup:
    """A form, not a link: signing out changes something, so it is a POST with a token."""
    return Markup(
        '<form method="post" action="/signout" class="cm-signout"><input type="hidden" name="token" value="{}">'
        '<button type="submit">{}</button></form>'
    ).format(token, label)


def _set(name: str, value: object) -> None:
    """Lays a value into a picker before it is drawn."""
    st.session_state[name] = value


def pickers(source: Source, view: View, page: str) -> None:
    """The second line: period, comparison, place, payer class, further filters that the page's figures take; how to tell the past
    where it was organised otherwise. Below it a chip for each filter in force.

    On a phone they are folded away below one line, so that figures stand on the first screen.
    """
    st.html('<details class="cm-pickers"><summary>Change period, place or payer</summary></details>')
    with st.container(horizontal=True, vertical_alignment="bottom", key="cm_bar", gap="small"):
        _period(source.as_of, view)
        _comparison(source.as_of, view)
        _place(source, view)
        if "payer_class" in {name for metric in source.metrics.values() for name in metric.dimensions}:
            _payer(source.as_of, view)
        if source.was_reorganised:
            _told(source.as_of, view)
        _further(source, view, page)
    _chips(source, view)


def _further(source: Source, view: View, page: str) -> None:
    """A pop-over that adds a filter: first what it is, then its value."""
    spec = PAGES.get(page)
    names = [*spec.tiles, *spec.table] if spec else list(source.metrics)
    offered = filters.offered(source.metrics[name] for name in names if name in source.metrics)
    offered = [name for name in offered if name != "payer_class"]
    versions = as_of.choices(source)
    if not offered and not versions:
        return

    def changed() -> None:
        dimension, value = st.session_state["cm_filter"], st.session_state.get("cm_filter_value")
        if dimension and value:
            st.session_state["cm_filter"] = None
            st.session_state["cm_filter_value"] = None
            now = widgets.current_view(source.as_of)
            now = now.moved(provider=value) if dimension == "provider" else now.filtered(dimension, [value])
            widgets.go(now)

    with st.popover("Add filter" if offered else "Version", key="cm_add_filter"):
        dimension = (
            None
            if not offered
            else st.selectbox(
                "Filter by",
                offered,
                index=None,
                key="cm_filter",
                format_func=filters.LABELS.__getitem__,
                placeholder="Choose what",
            )
        )
        if dimension:
            st.selectbox(
                filters.LABELS[dimension],
                list(filters.names(source, dimension)),
                index=None,
                key="cm_filter_value",
                format_func=lambda value: filters.value_label(source, dimension, value),
                on_change=changed,
                placeholder="Choose one",
            )
        if versions:
            _as_of(source, view, versions)


def _as_of(source: Source, view: View, versions: Mapping[str, str]) -> None:
    options = [NOW, *versions, *([view.as_of] if view.as_of and view.as_of not in versions else [])]
    _set("cm_as_of", view.as_of or NOW)

    def changed() -> None:
        chosen = st.session_state["cm_as_of"] or None
        widgets.go(replace(widgets.current_view(source.as_of), as_of=chosen))

    st.selectbox(
        "Show figures as of",
        options,
        key="cm_as_of",
        format_func=lambda key: versions.get(key, key) if key else "Now",
        on_change=changed,
    )


def _chips(source: Source, view: View) -> None:
    drawn = filters.chips(source, view)
    if drawn:
        shown = [(chip.name, chip.value, widgets.move(**{chip.url_name: None})) for chip in drawn]
        widgets.html(markup.chips(shown), key="cm_chips", as_of=source.as_of)


def _period(as_of: date, view: View) -> None:
    options = [*periods.PRESETS, CUSTOM]
    _set("cm_period", view.period.key if view.period.key in periods.PRESETS else CUSTOM)

    def changed() -> None:
        chosen = st.session_state["cm_period"]
        now = widgets.current_view(as_of)
        key = periods.range_key(now.period.start, now.period.end) if chosen == CUSTOM else chosen
        widgets.go(now.moved(period=periods.parse(key, as_of)))

    labels = {**periods.PRESETS, CUSTOM: "Other dates"}
    st.selectbox("Period", options, key="cm_period", format_func=labels.__getitem__, on_change=changed, width=192)
    if view.period.key in periods.PRESETS:
        return
    _set("cm_dates", (view.period.start, view.period.end))

    def dates_changed() -> None:
        chosen = st.session_state["cm_dates"]
        if len(chosen) == 2:
            key = periods.range_key(*chosen)
            widgets.go(widgets.current_view(as_of).moved(period=periods.parse(key, as_of)))

    # The picker writes months as digits only: its label says the dates as every page writes them.
    st.date_input(view.period.dates, key="cm_dates", format="MM/DD/YYYY", on_change=dates_changed, width=224)


def _comparison(as_of: date, view: View) -> None:
    _set("cm_compare", view.compare)

    def changed() -> None:
        widgets.go(widgets.current_view(as_of).moved(compare=st.session_state["cm_compare"]))

    st.selectbox(
        "Compare with",
        list(periods.COMPARISONS),
        key="cm_compare",
        format_func=periods.COMPARISONS.__getitem__,
        on_change=changed,
        width=208,
    )


def _place(source: Source, view: View) -> None:
    # One unit at the top is the organization itself: it stands for "everywhere" rather than below it.
    root = source.root.id if source.root else None
    options = [EVERYWHERE, *(place_id for place_id in source.places if place_id not in (root, UNKNOWN))]
    if UNKNOWN in source.places:
        options.append(UNKNOWN)
    if len(options) == 1:
        return
    depth = {place.id: place.depth for place in source.places.values()}
    lowest = min(depth[place_id] for place_id in options if place_id)
    lowest = depth[root] if root else lowest

    def label(place_id: str) -> str:
        if not place_id:
            return source.places[root].name if root else source.scope_label or "Everything you may see"
        indent = 0 if place_id == UNKNOWN else depth[place_id] - lowest
        return "\u2003" * indent + source.places[place_id].name

    _set("cm_place", view.place if view.place in options else EVERYWHERE)

    def changed() -> None:
        chosen = st.session_state["cm_place"] or None
        widgets.go(widgets.current_view(source.as_of).moved(place=chosen, provider=None))

    st.selectbox("Place", options, key="cm_place", format_func=label, on_change=changed, width=288)


def _payer(as_of: date, view: View) -> None:
    options = ["", *theme.PAYER_CLASSES]
    if view.payer and view.payer not in options:
        options.append(view.payer)
    _set("cm_payer", view.payer or "")

    def changed() -> None:
        widgets.go(widgets.current_view(as_of).moved(payer=st.session_state["cm_payer"] or None))

    st.selectbox(
        "Payer class",
        options,
        key="cm_payer",
        format_func=lambda name: theme.payer_label(name) if name else "All payers",
        on_change=changed,
        width=192,
    )


def _told(as_of: date, view: View) -> None:
    _set("cm_told", view.restated)

    def changed() -> None:
        widgets.go(widgets.current_view(as_of).moved(restated=st.session_state["cm_told"]))

    st.selectbox(
        "Units and payer classes",
        list(TOLD),
        key="cm_told",
        format_func=TOLD.__getitem__,
        on_change=changed,
        width=192,
        help="Units were moved or payers were put into other classes. Show the past as it was, or with today's units and classes.",
    )
