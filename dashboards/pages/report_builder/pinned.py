"""Saved reports that stand at the end of a page of figures, in the period and with the filters of the page."""

from markupsafe import Markup

from dashboards import blocks, filters, markup, widgets
from dashboards import format as fmt
from dashboards.figures import Figure
from dashboards.pages.report_builder import drawn
from dashboards.pages.report_builder.saved import reports_of
from dashboards.reports import built
from dashboards.reports.chosen import PAGE
from dashboards.reports.contents import cautions
from dashboards.shell import PageContext
from serving.modules import PAGES
from serving.people.reports import SavedReport
from serving.report_definition import ReportDefinition, problems

# Each asks its figures with the page.
MOST_SHOWN = 3


def draw(context: PageContext, page: str) -> None:
    """Draws the reports that are pinned to a page. Those of others with figures that this person does not have are left out."""
    if page not in PAGES or PAGE not in context.pages:
        return
    email = context.source.principal.email
    reports = [
        report
        for report in reports_of(context.source).pinned(page)
        if report.email == email or not problems(report.definition, context.source.metrics)
    ]
    for report in reports[:MOST_SHOWN]:
        _one(context, report, page)
    if len(reports) > MOST_SHOWN:
        more = len(reports) - MOST_SHOWN
        verb = "is" if more == 1 else "are"
        blocks.small_print(
            f"{fmt.plural(more, 'more report')} {verb} pinned to this page; the page Report builder has them."
        )


def _one(context: PageContext, report: SavedReport, page: str) -> None:
    source, definition, key = context.source, report.definition, f"cm_pinned_{report.report_id}"
    by_whom = "" if report.email == source.principal.email else f" by {report.email}"
    link = markup.button("Open the report", f"{widgets.PAGE}{PAGE}?report={report.report_id}", "cm-open")
    note = Markup("Pinned to this page{}. {}").format(by_whom, link)
    context.html(markup.section(report.name, note), key=f"{key}_head")
    reasons = problems(definition, source.metrics) or _unfiltered(context, definition)
    if reasons:
        blocks.empty(
            context,
            "This report cannot be shown",
            " ".join(fmt.sentence(reason) for reason in reasons),
            f"{key}_problems",
        )
        return
    loaded: dict[str, Figure] = built.totals(source, context.view, definition)
    if definition.by:
        drawn.broken_down(context, definition, loaded, key)
    else:
        blocks.tiles(context, loaded, key=f"{key}_tiles")
    rests_on = built.page_of(definition.metrics)
    # The top of the page says what its own feeds lack.
    lines = cautions(source, context.view, tuple(loaded.values()), "" if rests_on == page else rests_on)
    if lines:
        context.html(markup.notice(lines), key=f"{key}_care")


def _unfiltered(context: PageContext, definition: ReportDefinition) -> tuple[str, ...]:
    """Why a breakdown cannot be shown with the filters of the page: its figures that do not know them. A tile says it of itself."""
    if not definition.by:
        return ()
    metrics = [context.source.metrics[name] for name in definition.metrics]
    lacking = [(metric.label, filters.missing(context.view, metric)) for metric in metrics]
    return tuple(f"{label}: {fmt.lower_first(reason)}" for label, reason in lacking if reason)
