"""Ways through a support session: it shows figures of one organization, read only, and nothing once it is over."""

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from clinicmart.proof.canaries import TENANTS, organisation_word
from clinicmart.proof.server import Server
from clinicmart.proof.site import PASSWORD, Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN, other
from clinicmart.proof.ways_web import FIRST_PAGE, drawn
from dashboards.api import PREFIX
from dashboards.pages import ALL
from dashboards.server import auth_gate
from dashboards.server.live_page import run_page
from foundation.errors import AccessError
from serving.administration import Administration
from serving.extracts import extract_bytes
from serving.model import MetricQuery
from serving.people.api_tokens import ALLOWED
from serving.people.engines import open_engine
from serving.people.look_ups import check_may_look_up
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.support_sessions import SupportPolicy
from serving.people.tables import SUPPORT_SESSION
from serving.reader import open_reader
from serving.workbench import Bench, Stop

SUPPORT = Person(name="support", role=Role.SUPPORT)
METRIC = "appointments"


def _new_operator(site: Site) -> str:
    """A new administrator of the platform; returns the user name."""
    email = f"helper{secrets.token_hex(4)}@clinic.example"
    password = PASSWORD.format(tenant=PLATFORM)
    site.access.add_user(
        PLATFORM, email, display_name="Helper", role=Role.SUPER_ADMIN, password=password, must_change=False
    )
    return email


def _link(site: Site, tenant: str, email: str) -> tuple[str, str]:
    """An approved session that has begun, and the link that leads to it: (id, token of the link)."""
    sessions = site.access.support_sessions
    asked = sessions.ask(tenant, reason="the proof", minutes=15, by=email)
    sessions.decide(tenant, asked.support_id, is_approved=True, actor=ADMIN.email)
    return asked.support_id, sessions.begin(tenant, asked.support_id, by=email)


def _running(site: Site, tenant: str, email: str = "") -> tuple[str, str]:
    """A session that runs, and the token of a browser in it."""
    support_id, link = _link(site, tenant, email or _new_operator(site))
    return support_id, site.access.support_sessions.open_link(link)


def _principal(site: Site, token: str) -> Principal:
    principal = site.access.session(token)
    if principal is None:
        raise AccessError("the support session is over")
    return principal


def _pages(site: Site, server: Server, tenant: str) -> Iterator[Trial]:
    """Every page in a support session: what is drawn names nothing foreign, no patient and no record."""
    judge, (_, token) = Judge(site, "support", tenant, SUPPORT), _running(site, tenant)
    addresses = [(page.key if page.key != "overview" else FIRST_PAGE, "") for page in ALL if not page.needs_figure]
    addresses += [("no_show", "rows=appointments&period=2026"), ("lineage", f"metric={METRIC}")]
    with server.page(tenant, token) as page:
        for name, query in addresses:
            text = run_page(page, name, query)[1]
            yield judge.trial(
                f"open the page /{name}{'?' if query else ''}{query}",
                lambda text=text: text,
                control="the page is drawn and says whose it is",
                holds=lambda text=text: organisation_word(tenant, "") in text,
            )


def _elsewhere(site: Site, server: Server, tenant: str) -> Iterator[Trial]:
    """Addresses that a support session does not open."""
    judge, (_, token) = Judge(site, "support", tenant, SUPPORT), _running(site, tenant)
    own, foreign = f"{tenant}.localhost", f"{other(tenant)}.localhost"
    bearer = (("Authorization", f"Bearer {token}"),)
    attempts: dict[str, Callable[[], str]] = {
        "open the other organization's address": lambda: server.body("/", host=foreign, token=token),
        "open a live page of the other organization": lambda: drawn(server, other(tenant), token),
        "open the account": lambda: server.body(auth_gate.ACCOUNT, host=own, token=token),
        "open the passkeys": lambda: server.body(auth_gate.PASSKEYS, host=own, token=token),
        "open the console": lambda: server.body(auth_gate.CONSOLE, host=own, token=token),
        "ask the API with the session": lambda: server.body(f"{PREFIX}/metrics", host=own, headers=bearer),
    }
    for words, attempt in attempts.items():
        yield judge.trial(
            words,
            attempt,
            control="the pages of the organization open",
            holds=lambda: server.get("/", host=own, token=token)[0] == 200,
            must_refuse=True,
        )


def _below(site: Site, _server: Server, tenant: str) -> Iterator[Trial]:
    """What stands below the pages: rows, files, SQL, identities, tokens and administration."""
    judge, (_, token) = Judge(site, "support", tenant, SUPPORT), _running(site, tenant)
    principal, admin = _principal(site, token), site.principal(tenant, ADMIN)
    reader, theirs = open_reader(site.home, principal), site.reader(tenant, ADMIN)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "list rows": (lambda: reader.drill(METRIC), lambda: theirs.drill(METRIC).frame.height),
        "take rows as a file": (
            lambda: reader.export_rows(METRIC, file_format="csv"),
            lambda: theirs.export_rows(METRIC, file_format="csv").content,
        ),
        "take an extract": (
            lambda: extract_bytes(site.home, principal, file_format="parquet"),
            lambda: extract_bytes(site.home, admin, file_format="parquet"),
        ),
        "ask with SQL": (
            lambda: Bench(site.home, site.access, principal, reader).run("select 1", Stop()),
            lambda: Bench(site.home, site.access, admin, theirs).run("select 1", Stop()),
        ),
        "look up who a patient is": (
            lambda: check_may_look_up(site.access, principal, breaks_glass=True),
            lambda: check_may_look_up(site.access, admin, breaks_glass=False) is None,  # type: ignore[func-returns-value]
        ),
        "make a token of the API": (
            lambda: site.access.api_tokens.create(principal, name="proof", allowed=ALLOWED, days=1, actor="proof"),
            lambda: site.access.api_tokens.create(admin, name="proof", allowed=ALLOWED, days=1, actor="proof"),
        ),
        "administer people": (
            lambda: Administration(site.home, site.access, principal, units=(), providers=()).people(),
            lambda: Administration(site.home, site.access, admin, units=(), providers=()).people(),
        ),
        "be a user of the organization": (
            lambda: site.access.principal(tenant, principal.email),
            lambda: site.access.principal(tenant, ADMIN.email),
        ),
    }
    for words, (attempt, control) in pairs.items():
        yield judge.trial(
            words,
            lambda attempt=attempt: str(attempt()),
            control="the organization's administrator does it",
            holds=lambda control=control: bool(control()),
            must_refuse=True,
        )
    yield judge.trial(
        f"ask the figure {METRIC}",
        lambda: str(reader.query(MetricQuery(metrics=[METRIC])).rows()),
        control="it is the figure of the organization",
        holds=lambda: reader.query(MetricQuery(metrics=[METRIC])).equals(theirs.query(MetricQuery(metrics=[METRIC]))),
    )


def _over(site: Site, server: Server, tenant: str) -> Iterator[Trial]:
    """Sessions that are over, for each reason, and links that open none."""
    judge, sessions = Judge(site, "support", tenant, SUPPORT), site.access.support_sessions
    _, good = _running(site, tenant)
    (ended, ended_token), (late, late_token) = _running(site, tenant), _running(site, tenant)
    sessions.end(tenant, ended, actor=ADMIN.email)
    locked = _new_operator(site)
    _, locked_token = _running(site, tenant, locked)
    site.access.change_rights(PLATFORM, locked, is_active=False, actor="proof")
    used_id, used = _link(site, tenant, _new_operator(site))
    sessions.open_link(used)
    _, old = _link(site, tenant, _new_operator(site))
    newest = sessions.begin(
        tenant, used_id, by=next(s.asked_by for s in sessions.of_tenant(tenant) if s.support_id == used_id)
    )
    _move(site, used_id, ticket_until=datetime.now(UTC) - timedelta(seconds=1))
    # Last: the next act on sessions ends those whose time is over.
    _move(site, late, until=datetime.now(UTC) - timedelta(minutes=1))
    tokens = {
        "that the organization ended": ended_token,
        "whose time is over": late_token,
        "of an administrator who was locked since": locked_token,
        "that was never one": secrets.token_urlsafe(32),
    }
    for words, token in tokens.items():
        yield judge.trial(
            f"open a page in a session {words}",
            lambda token=token: (
                server.body("/", host=f"{tenant}.localhost", token=token) + drawn(server, tenant, token)
            ),
            control="a session that runs is let in",
            holds=lambda: bool(drawn(server, tenant, good)),
            must_refuse=True,
        )
    for words, link, host in (
        ("that was used", used, tenant),
        ("that is too old", newest, tenant),
        ("at the other organization's address", old, other(tenant)),
        ("that was never one", secrets.token_urlsafe(32), tenant),
    ):
        yield judge.trial(
            f"open a link {words}",
            lambda link=link, host=host: server.body(f"/support?link={link}", host=f"{host}.localhost"),
            control="a new link at the own address is shown",
            holds=lambda: server.get(f"/support?link={old}", host=f"{tenant}.localhost")[0] == 200,
            must_refuse=True,
        )
    yield judge.trial(
        "go on in a session after the organization refused all of them",
        lambda: _refused(site, server, tenant, good),
        control="a session runs where the organization allows it",
        holds=lambda: bool(drawn(server, tenant, _running(site, tenant)[1])),
        must_refuse=True,
    )


def _refused(site: Site, server: Server, tenant: str, token: str) -> str:
    sessions = site.access.support_sessions
    sessions.set_policy(tenant, SupportPolicy.REFUSED, actor=ADMIN.email)
    try:
        return server.body("/", host=f"{tenant}.localhost", token=token) + drawn(server, tenant, token)
    finally:
        sessions.set_policy(tenant, SupportPolicy.AFTER_APPROVAL, actor=ADMIN.email)


def _move(site: Site, support_id: str, **times: datetime) -> None:
    """Moves times of a session into the past."""
    engine = open_engine(site.home.access)
    with engine.begin() as connection:
        mine = SUPPORT_SESSION.c.support_id == support_id
        connection.execute(update(SUPPORT_SESSION).where(mine).values(**times))
    engine.dispose()


def _support(site: Site, server: Server) -> Iterator[Trial]:
    for tries in (_pages, _elsewhere, _below, _over):
        yield from tries(site, server, TENANTS[0])


WAYS = (Way(key="support", title="Support sessions", tries=_support, is_of_site=True, needs_server=True),)
