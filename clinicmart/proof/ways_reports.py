"""Ways through reports: pages as files, with the units and the pages that a person does not have."""

import io
import zipfile
from collections.abc import Iterator

from clinicmart.proof.canaries import PLACES, organisation_word, unit_id
from clinicmart.proof.site import Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN
from dashboards import period as periods
from dashboards.data import Source
from dashboards.reports.make import FORMATS, make
from dashboards.view import View
from serving.modules import PAGES
from serving.people.rights import ROLES
from serving.reader import open_reader


def _text(site: Site, tenant: str, person: Person, page: str, file_format: str, place: str | None = None) -> str:
    """Every text of a report of the last twelve months. A PDF is compressed: what it was made of stands in the workbook."""
    principal = site.principal(tenant, person)
    with open_reader(site.home, principal) as reader:
        source = Source(reader, principal)
        view = View(period=periods.preset("last_12_months", source.as_of), place=place)
        content = make(source, page, view, file_format).content
    if file_format != "xlsx":
        return content.decode("latin-1")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


def _reports(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Every page as a file: own words only, and no page that the role does not have."""
    judge = Judge(site, "report", tenant, person)
    for page in PAGES:
        is_held = page in ROLES[person.role].pages
        for file_format in FORMATS if is_held else FORMATS[:1]:
            yield judge.trial(
                f"take the page {page} as {file_format}",
                lambda page=page, file_format=file_format: _text(site, tenant, person, page, file_format),
                control="the administrator gets the name of the organization",
                holds=lambda page=page: organisation_word(tenant, "") in _text(site, tenant, ADMIN, page, "xlsx"),
                must_refuse=not is_held,
            )
    held = [page for page in PAGES if page in ROLES[person.role].pages]
    for place in (place for place in PLACES if held and place not in person.places):
        yield judge.trial(
            f"take the page {held[0]} at the unit {place}",
            lambda place=place: _text(site, tenant, person, held[0], "xlsx", unit_id(tenant, place)),
            control="the administrator gets it",
            holds=lambda place=place: bool(_text(site, tenant, ADMIN, held[0], "xlsx", unit_id(tenant, place))),
            must_refuse=True,
        )


WAYS = (Way(key="report", title="Pages as files", tries=_reports),)
