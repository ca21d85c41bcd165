"""Makes the report of a page for a person: behind the gate of the page, and as one row of the audit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dashboards import filters
from dashboards.data import Source
from dashboards.held_pages import pages_of
from dashboards.reports import document, workbook
from dashboards.reports.contents import Report, contents
from dashboards.view import View
from foundation.errors import AccessError, ConfigurationError
from foundation.near_names import near
from serving.modules import PAGES
from serving.people.rights import ROLES
from serving.people.shown import gathering


@dataclass(frozen=True, kw_only=True)
class ReportFile:
    """A report as a file. `name` says tenant, page and period."""

    name: str
    mime: str
    content: bytes


_WRITERS: Mapping[str, tuple[Callable[[Report], bytes], str]] = MappingProxyType(
    {"xlsx": (workbook.as_xlsx, workbook.MIME), "pdf": (document.as_pdf, document.MIME)}
)
FORMATS = tuple(_WRITERS)
NAMES = {"xlsx": "Excel", "pdf": "PDF"}


def gathered(source: Source, page: str, view: View, purpose: Mapping[str, object], figure: str = "") -> Report:
    """What a report says, audited before the caller gets it: `purpose` is what it is made for, such as its format. `figure` as of
    `contents`.

    Raises AccessError, audited, for a page that the person does not have, ConfigurationError for a page or a place that there is not.
    """
    if page not in PAGES:
        raise ConfigurationError(
            f"there is no page of figures {page!r}{near(page, PAGES)}; pages are {', '.join(PAGES)}"
        )
    period = {"from": view.period.start.isoformat(), "to": view.period.end.isoformat()}
    asked = {"page": page, "view": view.params(), **period, **purpose}
    if page not in pages_of(source):
        source.reader.note("report", asked, "refused")
        raise AccessError(f"the page {PAGES[page].title} is not available to you")
    view, left_out = filters.checked(source, view)
    if left_out:
        source.reader.note("report", asked, "refused")
        raise ConfigurationError(left_out[0].rstrip("."))
    with gathering() as shown:
        report = contents(source, PAGES[page], view, figure)
    source.reader.note("report", asked | shown.detail(), "done")
    return report


def make(source: Source, page: str, view: View, file_format: str) -> ReportFile:
    """The report of a page as a file in one of FORMATS. Raises as `gathered`, ConfigurationError too for another format, and AccessError,
    audited, for a role that takes no files."""
    if not ROLES[source.principal.role].takes_files:
        source.reader.note("report", {"page": page, "format": file_format}, "refused")
        raise AccessError("your role takes no files")
    if file_format not in _WRITERS:
        raise ConfigurationError(f"{file_format!r} is not one of {', '.join(FORMATS)}")
    return as_file(source, gathered(source, page, view, {"format": file_format}), file_format)


def as_file(source: Source, report: Report, file_format: str) -> ReportFile:
    """A report as a file in one of FORMATS."""
    write, mime = _WRITERS[file_format]
    name = f"{source.tenant_id}_{report.page.key}_{report.period.start}_{report.period.end}.{file_format}"
    return ReportFile(name=name, mime=mime, content=write(report))


def later(source: Source, page: str, view: View, file_format: str) -> Callable[[], bytes]:
    """What makes the file when somebody takes it, as `Source.opened_later`."""
    opened_again = source.opened_later()
    return lambda: make(opened_again(), page, view, file_format).content
