"""Ways through reports: pages as files and by mail, with the units and the pages that a person does not have."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

from clinicmart.proof.canaries import PLACES, organisation_word, unit_id
from clinicmart.proof.site import Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN
from dashboards import period as periods
from dashboards.data import Source
from dashboards.delivery.send import message_of
from dashboards.reports.make import FORMATS, make
from dashboards.view import View
from foundation.mail_server import MailServer
from serving.modules import PAGES
from serving.people.rights import ROLES
from serving.people.subscriptions import FIGURES, MONTH
from serving.reader import open_reader

# No mail leaves: the proof reads what would be sent.
SERVER = MailServer(
    host="127.0.0.1", port=25, security="none", sender="proof@example.org", pages="https://{tenant}.example.org"
)


def _text(site: Site, tenant: str, person: Person, page: str, file_format: str, place: str | None = None) -> str:
    """Every text of a report of the last twelve months. A PDF is compressed: what it was made of stands in the workbook."""
    principal = site.principal(tenant, person)
    with open_reader(site.home, principal) as reader:
        source = Source(reader, principal)
        view = View(period=periods.preset("last_12_months", source.as_of), place=place)
        content = make(source, page, view, file_format).content
    if file_format != "xlsx":
        return content.decode("latin-1")
    return _unpacked(content)


def _unpacked(content: bytes) -> str:
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


def _mail(site: Site, tenant: str, person: Person) -> str:
    """Every text of the mail of a month to a person, as it would leave."""
    store, principal = site.access, site.principal(tenant, person)
    store.subscriptions.set_rule(tenant, [principal.email.rpartition("@")[2]], FIGURES, actor="proof")
    with open_reader(site.home, principal) as reader:
        end = periods.last_full_month_end(Source(reader, principal).as_of)
    kept = store.subscriptions.of_tenant(tenant, principal.email)
    mine = next((item for item in kept if item.ended_at is None), None)
    if mine is None:
        mine = store.subscriptions.subscribe(principal, page="overview", every=MONTH, file_format="xlsx", actor="proof")
    delivery = store.subscriptions.note(mine, periods.month_start(end), end, datetime.now(UTC))
    message = message_of(site.home, store, SERVER, mine, delivery)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    texts = [part.decode() for part in parts[:-1] if isinstance(part, bytes)]
    workbook = parts[-1] if isinstance(parts[-1], bytes) else b""
    return "\n".join([str(message["Subject"]), *texts, _unpacked(workbook)])


def _mails(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The mail that a person gets: own words only, and none for a role without the page."""
    yield Judge(site, "mail", tenant, person).trial(
        "get the overview by mail",
        lambda: _mail(site, tenant, person),
        control="the mail to the administrator names the organization",
        holds=lambda: organisation_word(tenant, "") in _mail(site, tenant, ADMIN),
        must_refuse="overview" not in ROLES[person.role].pages,
    )


WAYS = (
    Way(key="report", title="Pages as files", tries=_reports),
    Way(key="mail", title="Pages by mail", tries=_mails),
)
