"""Ways through reports that people build and content for version control: units that a person does not have, and what another tenant
shares."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from clinicmart.proof.canaries import PLACES, organisation_word, unit_id
from clinicmart.proof.site import Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN, other
from clinicmart.proof.ways_reports import unpacked
from dashboards import period as periods
from dashboards.data import Source
from dashboards.reports import built
from dashboards.reports.chosen import PAGE
from dashboards.view import View
from foundation.keys import Keys
from serving.content import ContentDesk
from serving.people.reports import Reports
from serving.people.rights import ROLES
from serving.reader import open_reader
from serving.report_definition import ReportDefinition


def _built_text(site: Site, tenant: str, person: Person, place: str | None = None) -> str:
    """Every text of a report that a person builds: a figure by unit and month, of the last twelve months."""
    principal = site.principal(tenant, person)
    with open_reader(site.home, principal) as reader:
        source = Source(reader, principal)
        metric = next((name for name, item in source.metrics.items() if "service_unit" in item.dimensions), "visits")
        period = periods.preset("last_12_months", source.as_of)
        view = View(period=period, place=place, measures=(metric,), by=("month", "service_unit"))
        return unpacked(built.make_file(source, view, "", "xlsx").content)


def _built(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Reports that a person builds: own words only, no unit outside the scope, and no saved report of the other tenant."""
    judge = Judge(site, "built", tenant, person)
    is_held = PAGE in ROLES[person.role].pages
    yield judge.trial(
        "build a report by unit",
        lambda: _built_text(site, tenant, person),
        control="the administrator gets the name of the organization",
        holds=lambda: organisation_word(tenant, "") in _built_text(site, tenant, ADMIN),
        must_refuse=not is_held,
    )
    for place in (place for place in PLACES if is_held and place not in person.places):
        yield judge.trial(
            f"build a report of the unit {place}",
            lambda place=place: _built_text(site, tenant, person, unit_id(tenant, place)),
            control="the administrator gets it",
            holds=lambda place=place: bool(_built_text(site, tenant, ADMIN, unit_id(tenant, place))),
            must_refuse=True,
        )
    name = f"Report of {organisation_word(other(tenant), 'GROUP')}"
    definition = ReportDefinition(metrics=("visits",))
    _saved(site, other(tenant), ADMIN).save(name, definition, is_shared=True)
    yield judge.trial(
        "list the saved reports",
        lambda: str(_saved(site, tenant, person).all()),
        control="people of the other tenant see what is shared there",
        holds=lambda: name in str(_saved(site, other(tenant), person).all()),
    )


def _saved(site: Site, tenant: str, person: Person) -> Reports:
    return site.access.reports(Keys.of(site.home), tenant, site.principal(tenant, person).email)


def _exported(site: Site, tenant: str, person: Person) -> str:
    """Every text of the content of a tenant as files for version control."""
    principal = site.principal(tenant, person)
    with open_reader(site.home, principal) as reader, TemporaryDirectory() as folder:
        files = ContentDesk(site.home, site.access, principal, reader).export(Path(folder))
        return "\n".join(file.read_text("utf-8") for file in files)


def _content(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Content for version control: the own tenant's, and for administrators alone."""
    for owner in (tenant, other(tenant)):
        name = f"Shared by {organisation_word(owner, 'GROUP')}"
        _saved(site, owner, ADMIN).save(name, ReportDefinition(metrics=("visits",)), is_shared=True)
    yield Judge(site, "content", tenant, person).trial(
        "export the content",
        lambda: _exported(site, tenant, person),
        control="the administrator gets the shared report",
        holds=lambda: f"Shared by {organisation_word(tenant, 'GROUP')}" in _exported(site, tenant, ADMIN),
        must_refuse=not ROLES[person.role].administers,
    )


WAYS = (
    Way(key="built", title="Reports that people build", tries=_built),
    Way(key="content", title="Content for version control", tries=_content),
)
