"""Saved reports on the page: open one, save the one that is shown, remove one of the own."""

from collections.abc import Collection

import streamlit as st

from dashboards import blocks, served_home, widgets
from dashboards import format as fmt
from dashboards.data import Source
from dashboards.reports.chosen import PAGE
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from foundation.keys import Keys
from serving.modules import PAGES
from serving.people.reports import LONGEST_NAME, Reports, SavedReport
from serving.report_definition import ReportDefinition

_NAME, _SHARED, _PINNED = "cm_built_name", "cm_built_shared", "cm_built_pinned"
# The id of the report that the form was filled for, empty for a new one.
_FILLED_FOR = "cm_built_filled_for"


def reports_of(source: Source) -> Reports:
    """The saved reports of the person. Nothing of them is cached."""
    return served_home.access().reports(Keys.of(served_home.home()), source.tenant_id, source.principal.email)


def names_of(source: Source) -> dict[str, str]:
    """The names of the reports that the person may open, by id, in order."""
    return {report.report_id: title(report, source.principal.email) for report in reports_of(source).all()}


def title(report: SavedReport, email: str) -> str:
    """The name, and whose it is or that it is shared."""
    if report.email != email:
        return f"{report.name} (shared by {report.email})"
    return report.name + (" (shared)" if report.is_shared else "")


def listed(context: PageContext, reports: Reports) -> None:
    """Links to the saved reports: the address of each stays the same."""
    everything = reports.all()
    if not everything:
        return
    with st.popover(f"Saved reports ({len(everything)})", key="cm_built_saved"):
        for report in everything:
            label = title(report, context.source.principal.email)
            st.page_link(context.pages[PAGE], label=label, query_params={"report": report.report_id})


def _fill(own: SavedReport | None, pages: Collection[str]) -> None:
    """Sets the fields of the form to what is saved of an own report, empty without one, when another report is opened.

    A field with a key keeps its value when its default changes: the name of the report before would stand there, and be saved over.
    """
    report_id = own.report_id if own else ""
    if _NAME in st.session_state and st.session_state.get(_FILLED_FOR) == report_id:
        return
    st.session_state[_FILLED_FOR] = report_id
    st.session_state[_NAME] = own.name if own else ""
    st.session_state[_SHARED] = own.is_shared if own else False
    st.session_state[_PINNED] = own.pinned_to if own and own.pinned_to in pages else ""


def save(context: PageContext, reports: Reports, definition: ReportDefinition, shown: SavedReport | None) -> None:
    """The form that saves what is shown, and the way to remove an own report."""
    email = context.source.principal.email
    own = shown if shown is not None and shown.email == email else None
    pages = {"": "No page", **{key: PAGES[key].title for key in PAGES if key in context.pages}}
    _fill(own, pages)
    with st.popover("Save", key="cm_built_save"):
        name = st.text_input("Name", key=_NAME, max_chars=LONGEST_NAME)
        is_shared = st.checkbox(
            "Others of the organization can open it, each with the figures that he or she may see", key=_SHARED
        )
        pinned_to = st.selectbox(
            "Also show it on",
            list(pages),
            format_func=pages.__getitem__,
            key=_PINNED,
            help="It stands at the end of the page, in its period and with its filters. What an administrator shares stands there for "
            "everybody of the organization who may see the figures.",
        )
        if st.button("Save the report", key="cm_built_save_now"):
            try:
                report_id = reports.save(name, definition, is_shared=is_shared, pinned_to=pinned_to)
            except ClinicmartError as error:
                blocks.small_print(fmt.sentence(str(error)))
            else:
                widgets.go(widgets.current_view(context.today).moved(report=report_id))
                st.rerun()
        if own is not None and st.button(f"Remove {own.name}", key="cm_built_remove"):
            reports.remove(own.report_id)
            widgets.go(widgets.current_view(context.today).moved(report=None))
            st.rerun()
