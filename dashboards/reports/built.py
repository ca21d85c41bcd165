"""A report that a person builds, as a file: behind the gate of the page Report builder, and as one row of the audit."""

from collections.abc import Callable, Collection, Mapping

from dashboards import figures, filters
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.reports import make
from dashboards.reports.answer import answer
from dashboards.reports.chosen import PAGE, TITLE, definition_of, words
from dashboards.reports.contents import Report, Table, assembled
from dashboards.view import View
from foundation.errors import AccessError, ConfigurationError
from serving.modules import PAGES, Page
from serving.people.rights import ROLES
from serving.people.shown import gathering
from serving.report_definition import ReportDefinition, problems


def totals(source: Source, view: View, definition: ReportDefinition) -> dict[str, Figure]:
    """The metrics of the whole period, with comparison, cautions and trend, as on every page."""
    return figures.load(source, view, definition.metrics)


def gathered(source: Source, view: View, name: str, purpose: Mapping[str, object]) -> Report:
    """What the report of a view says; the whole question is audited before the caller gets it: `purpose` as of `make.gathered`.

    Raises AccessError, audited, for a person without the page; ConfigurationError, audited, for a report that this person cannot be shown.
    """
    definition = definition_of(view)
    asked: dict[str, object] = {"page": PAGE, "view": view.params(), **purpose}
    asked |= {"from": view.period.start.isoformat(), "to": view.period.end.isoformat()}
    if PAGE not in ROLES[source.principal.role].pages:
        source.reader.note("report", asked, "refused")
        raise AccessError(f"the page {TITLE} is not available to you")
    checked, left_out = filters.checked(source, view)
    reasons = [*left_out, *(problems(definition, source.metrics) if definition else ("choose a figure first",))]
    if definition is None or reasons:
        source.reader.note("report", asked, "refused")
        raise ConfigurationError(reasons[0].rstrip("."))
    with gathering() as shown:
        report = _contents(source, checked, definition, name)
    source.reader.note("report", asked | shown.detail(), "done")
    return report


def _contents(source: Source, view: View, definition: ReportDefinition, name: str) -> Report:
    loaded = totals(source, view, definition)
    table = None
    if definition.by:
        asked = answer(source, view, definition)
        table = Table(
            nouns=tuple(words(breakdown) for breakdown in definition.by),
            metrics=asked.metrics,
            rows=tuple((line.names, line.values) for line in asked.lines),
            total=tuple(loaded[metric.name].value for metric in asked.metrics),
        )
    page = Page(key=PAGE, title=name or TITLE, lead=definition.metrics[0], tiles=definition.metrics)
    return assembled(source, page, view, tuple(loaded.values()), table, rests_on=page_of(definition.metrics))


def page_of(metrics: Collection[str]) -> str:
    """The page that shows most of these metrics, and of such pages the one with the fewest others; empty where no page shows one."""
    chosen = set(metrics)
    page = max(PAGES.values(), key=lambda page: (len(chosen.intersection(page.figures)), -len(page.figures)))
    return page.key if chosen.intersection(page.figures) else ""


def make_file(source: Source, view: View, name: str, file_format: str) -> make.ReportFile:
    """The report of a view as a file in one of `make.FORMATS`. Raises as `gathered`."""
    return make.as_file(source, gathered(source, view, name, {"format": file_format}), file_format)


def later(source: Source, view: View, name: str, file_format: str) -> Callable[[], bytes]:
    """What makes the file when somebody takes it, as `Source.opened_later`."""
    opened_again = source.opened_later()
    return lambda: make_file(opened_again(), view, name, file_format).content
