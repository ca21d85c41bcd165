"""Ways through reports: pages as files and by mail, and alarms, with the units and the pages that a person does not have."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from clinicmart.proof.canaries import PLACES, organisation_word, unit_id
from clinicmart.proof.site import Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN
from dashboards import period as periods
from dashboards.alerts.check import check_due
from dashboards.alerts.series import definition
from dashboards.alerts.wanted import wanted
from dashboards.data import Source
from dashboards.delivery.alarms import message_of as alarms_message
from dashboards.delivery.send import message_of
from dashboards.reports.make import FORMATS, make
from dashboards.view import View
from foundation.errors import AccessError
from foundation.keys import Keys
from foundation.mail_server import MailServer
from serving.alert_checks import bad_side
from serving.modules import PAGES
from serving.people.alert_rules import ABOVE, BELOW, MOST_ALARMS_A_WEEK, PAGE, THRESHOLD
from serving.people.ended_periods import MONTH
from serving.people.rights import ROLES
from serving.people.subscriptions import FIGURES
from serving.people.targets import WHOLE
from serving.reader import open_reader
from serving.report_definition import BUILDER, ReportDefinition

# No mail leaves: the proof reads what would be sent.
SERVER = MailServer(
    host="127.0.0.1", port=25, security="none", sender="proof@example.org", pages="https://{tenant}.example.org"
)

# A figure that every role with the page Alerts sees.
WATCHED = "expected_appointments"


def _text(site: Site, tenant: str, person: Person, page: str, file_format: str, place: str | None = None) -> str:
    """Every text of a report of the last twelve months. A PDF is compressed: what it was made of stands in the workbook."""
    principal = site.principal(tenant, person)
    with open_reader(site.home, principal) as reader:
        source = Source(reader, principal)
        view = View(period=periods.preset("last_12_months", source.as_of), place=place)
        content = make(source, page, view, file_format).content
    if file_format != "xlsx":
        return content.decode("latin-1")
    return unpacked(content)


def unpacked(content: bytes) -> str:
    """Every text of a workbook."""
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


def _mail(site: Site, tenant: str, person: Person, report_id: str = "") -> str:
    """Every text of the mail of a month to a person, as it would leave: of the overview, or of a saved report."""
    store, principal = site.access, site.principal(tenant, person)
    store.subscriptions.set_rule(tenant, [principal.email.rpartition("@")[2]], FIGURES, actor="proof")
    with open_reader(site.home, principal) as reader:
        end = periods.last_full_month_end(Source(reader, principal).as_of)
    kept = store.subscriptions.of_tenant(tenant, principal.email)
    mine = next((item for item in kept if item.ended_at is None and item.report_id == report_id), None)
    if mine is None:
        page = BUILDER if report_id else "overview"
        mine = store.subscriptions.subscribe(
            principal, page=page, report_id=report_id, every=MONTH, file_format="xlsx", actor="proof"
        )
    delivery = store.subscriptions.note(mine, periods.month_start(end), end, datetime.now(UTC))
    message = message_of(site.home, store, SERVER, mine, delivery)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    texts = [part.decode() for part in parts[:-1] if isinstance(part, bytes)]
    workbook = parts[-1] if isinstance(parts[-1], bytes) else b""
    return "\n".join([str(message["Subject"]), *texts, unpacked(workbook)])


def _saved(site: Site, tenant: str, owner: Person, *, is_shared: bool) -> str:
    """The id of a report that a person saved: a figure by service unit."""
    reports = site.access.reports(Keys.of(site.home), tenant, site.principal(tenant, owner).email)
    definition = ReportDefinition(metrics=(WATCHED,), by=("service_unit",), period="last_12_months")
    return reports.save("shared" if is_shared else "private", definition, is_shared=is_shared)


def _mails(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The mails that a person gets: own words only, none for a role without the page, and none of a report that others keep."""
    judge = Judge(site, "mail", tenant, person)
    is_held = BUILDER in ROLES[person.role].pages
    shared = _saved(site, tenant, ADMIN, is_shared=True)
    yield judge.trial(
        "get a report by mail that an administrator shares",
        lambda: _mail(site, tenant, person, shared),
        control="the mail to the administrator names the organization",
        holds=lambda: organisation_word(tenant, "") in _mail(site, tenant, ADMIN, shared),
        must_refuse=not is_held,
    )
    if person != ADMIN:
        kept = _saved(site, tenant, ADMIN, is_shared=False)
        yield judge.trial(
            "get a report by mail that the administrator does not share",
            lambda: _mail(site, tenant, person, kept),
            control="the administrator gets it",
            holds=lambda: bool(_mail(site, tenant, ADMIN, kept)),
            must_refuse=True,
        )
    yield judge.trial(
        "get the overview by mail",
        lambda: _mail(site, tenant, person),
        control="the mail to the administrator names the organization",
        holds=lambda: organisation_word(tenant, "") in _mail(site, tenant, ADMIN),
        must_refuse="overview" not in ROLES[person.role].pages,
    )


def _alarms(site: Site, tenant: str, person: Person, place: str | None = None) -> str:
    """Every text of the mail with the alarms of a person: a figure that is bad in each unit that the person sees."""
    store, principal = site.access, site.principal(tenant, person)
    store.subscriptions.set_rule(tenant, [principal.email.rpartition("@")[2]], FIGURES, actor="proof")
    store.alerts.set_budget(tenant, principal.email, MOST_ALARMS_A_WEEK, actor="proof")
    with open_reader(site.home, principal) as reader:
        source = Source(reader, principal)
        bad = bad_side(definition(source, WATCHED).direction) or BELOW
        asked = wanted(
            source,
            WATCHED,
            THRESHOLD,
            every=MONTH,
            # Every figure is on the bad side of it.
            threshold=Decimal(-1) if bad == ABOVE else Decimal(10**12),
            side=bad,
            service_unit_id=unit_id(tenant, place) if place else WHOLE,
            with_units_below=True,
            least_volume=0,
        )
        end_of_data = datetime.combine(source.as_of, time(12), UTC)
    kept = store.alerts.of_tenant(tenant, principal.email)
    if all(item.ended_at is not None or item.service_unit_id != asked.service_unit_id for item in kept):
        store.alerts.add(principal, asked, actor="proof", made_at=end_of_data + timedelta(days=1))
    check_due(site.home, store, end_of_data + timedelta(days=2), tenant)
    mails = store.alarm_mails.of_tenant(tenant, principal.email)
    if not mails:
        raise AccessError("no alarm was raised")
    message = alarms_message(site.home, store, SERVER, mails[0])
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return "\n".join([str(message["Subject"]), *(part.decode() for part in parts if isinstance(part, bytes))])


def _alerts(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The alarms that a person gets: own words only, no alert on a unit of others, and none for a role without the page."""
    judge = Judge(site, "alarms", tenant, person)
    is_held = PAGE in ROLES[person.role].pages
    yield judge.trial(
        "get alarms by mail",
        lambda: _alarms(site, tenant, person),
        control="the mail to the administrator names the organization",
        holds=lambda: organisation_word(tenant, "") in _alarms(site, tenant, ADMIN),
        must_refuse=not is_held,
    )
    for place in (place for place in PLACES if is_held and place not in person.places):
        yield judge.trial(
            f"make an alert on the unit {place}",
            lambda place=place: _alarms(site, tenant, person, place),
            control="the administrator makes it",
            holds=lambda place=place: bool(_alarms(site, tenant, ADMIN, place)),
            must_refuse=True,
        )


WAYS = (
    Way(key="report", title="Pages as files", tries=_reports),
    Way(key="mail", title="Pages and reports by mail", tries=_mails),
    Way(key="alarms", title="Alarms by mail", tries=_alerts),
)
