"""Report builder: figures and breakdowns that a person chooses, in the period and with the filters of the bar.

The address holds the choices. An address with the id of a saved report alone opens that report, with its own period and filters.
"""

from collections.abc import Sequence

import streamlit as st

from dashboards import blocks, filters, markup, shell, widgets
from dashboards import format as fmt
from dashboards.data import Source
from dashboards.pages.report_builder import drawn, saved
from dashboards.reports import built, make
from dashboards.reports.chosen import PAGE, TITLE, definition_of, opened, words
from dashboards.reports.contents import cautions
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.modules import PAGES
from serving.people.reports import Reports, SavedReport
from serving.report_definition import CHART, MOST_BREAKDOWNS, MOST_METRICS, TABLE, ReportDefinition, offered, problems

FORMS = {CHART: "Chart", TABLE: "Table"}
_METRICS, _BY, _FORM = "cm_built_metrics", "cm_built_by", "cm_built_form"


def draw(context: PageContext) -> None:
    """Draws the choices, then the report, or a sentence that says why there is none."""
    reports = saved.reports_of(context.source)
    shown = _open(context, reports)
    shell.head(context, shown.name if shown else TITLE)
    _choices(context.source)
    definition = definition_of(context.view)
    with st.container(horizontal=True, vertical_alignment="center", key="cm_built_acts", gap="small"):
        saved.listed(context, reports)
        if definition is not None:
            saved.save(context, reports, definition, shown)
    if definition is None:
        text = "Choose one to six figures above, then what to break them down by. The period and the filters are those of the bar."
        blocks.empty(context, "Choose a figure", text, "cm_built_none")
        return
    reasons = problems(definition, context.source.metrics)
    if reasons:
        context.source.reader.note("report", {"page": PAGE, "view": context.view.params()}, "refused")
        text = " ".join(fmt.sentence(reason) for reason in reasons)
        blocks.empty(context, "This report cannot be shown", text, "cm_built_problems")
        return
    _shown(context, definition, shown)


def _open(context: PageContext, reports: Reports) -> SavedReport | None:
    """The saved report of the address; None where it names none. One that was not opened yet brings its own choices into the address.

    Raises ConfigurationError for a report that is not there for this person.
    """
    view = context.view
    if view.report is None:
        return None
    try:
        report = reports.one(view.report)
    except ClinicmartError:
        if view.measures:
            # The choices in the address stay usable without it.
            return None
        context.source.reader.note("report", {"page": PAGE, "report": view.report}, "refused")
        raise
    if not view.measures:
        widgets.go(opened(report.definition, view, report.report_id, context.today))
        st.rerun()
    return report


def _choices(source: Source) -> None:
    """The pickers of the report. They say what the address says, and a change is written into it."""
    view = widgets.current_view(source.as_of)
    names = [name for page in PAGES.values() for name in page.figures if name in source.metrics]
    names = list(dict.fromkeys([*names, *sorted(source.metrics, key=lambda name: source.metrics[name].label)]))
    chosen = [name for name in view.measures if name in source.metrics]
    breakdowns = _offered(source, chosen)
    st.session_state[_METRICS] = chosen
    st.session_state[_BY] = [name for name in view.by if name in breakdowns]
    st.session_state[_FORM] = view.shown or TABLE

    def changed() -> None:
        metrics = st.session_state[_METRICS]
        fitting = _offered(source, metrics)
        by = tuple(name for name in st.session_state[_BY] if name in fitting)
        now = widgets.current_view(source.as_of)
        widgets.go(now.moved(measures=tuple(metrics), by=by, shown=st.session_state[_FORM] or TABLE))

    columns = st.columns([5, 4, 2], vertical_alignment="bottom")
    columns[0].multiselect(
        "Figures",
        names,
        key=_METRICS,
        format_func=lambda name: source.metrics[name].label,
        max_selections=MOST_METRICS,
        on_change=changed,
        placeholder="Choose one to six",
    )
    columns[1].multiselect(
        "Broken down by",
        breakdowns,
        key=_BY,
        format_func=lambda name: words(name)[:1].upper() + words(name)[1:],
        max_selections=MOST_BREAKDOWNS,
        on_change=changed,
        placeholder="Nothing, one or two",
        help="Only what all chosen figures can be broken down by.",
    )
    columns[2].selectbox("Shown as", list(FORMS), key=_FORM, format_func=FORMS.__getitem__, on_change=changed)


def _offered(source: Source, metrics: Sequence[str]) -> list[str]:
    """The breakdowns of the pages' language that all of these metrics have."""
    in_words = {"month", "service_unit_children", *filters.LABELS}
    return [name for name in offered([source.metrics[name] for name in metrics]) if name in in_words]


def _shown(context: PageContext, definition: ReportDefinition, kept: SavedReport | None) -> None:
    """The report with what must be known before it is believed, and the ways to take it as a file and, where it is saved, by mail."""
    name, report_id = (kept.name, kept.report_id) if kept else ("", "")
    source, view = context.source, context.view.opened(None)
    rests_on = built.page_of(definition.metrics)
    if rests_on:
        shell.incomplete_notice(context, rests_on)
        shell.closed_notice(context, rests_on)
    loaded = built.totals(source, context.view, definition)
    drawn.draw(context, definition, loaded)
    lines = cautions(source, context.view, tuple(loaded.values()), "")
    if lines:
        context.html(markup.notice(lines), key="cm_built_care")
    with st.container(horizontal=True, vertical_alignment="center", key="cm_files", gap="small"):
        for file_format in make.FORMATS:
            st.download_button(
                make.NAMES[file_format],
                built.later(source, view, name, file_format),
                file_name=f"{source.tenant_id}_{PAGE}_{view.period.start}_{view.period.end}.{file_format}",
                key=f"cm_built_file_{file_format}",
                on_click="ignore",
            )
        if report_id and "reports" in context.pages:
            st.page_link(context.pages["reports"], label="Get it by mail", query_params={"report": report_id})
        st.caption("This report with definitions. Taking a file is recorded.")
