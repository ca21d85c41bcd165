"""Ways through the dashboards' server: pages, cookies, sessions, hosts, origins, live pages and addresses with foreign places."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
from sqlalchemy import update

from clinicmart.proof.canaries import TENANTS, organisation_word, unit_id
from clinicmart.proof.server import Server
from clinicmart.proof.site import PASSWORD, PEOPLE, Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN, other
from dashboards.pages import ALL
from dashboards.server.live_page import run_page
from foundation.errors import AccessError
from serving.people.engines import open_engine
from serving.people.oidc_store import Identity, OidcProvider
from serving.people.principal import Role
from serving.people.sessions import token_hash
from serving.people.tables import SESSION

FIRST_PAGE = ""


def new_session(site: Site, tenant: str, person: Person) -> str:
    """A session of a person, as a sign-in makes it."""
    return site.access.create_session(site.principal(tenant, person))


def _host(tenant: str) -> str:
    return f"{tenant}.localhost"


def _cookies(site: Site, server: Server, tenant: str, person: Person) -> Iterator[Trial]:
    """The session of one tenant at the address of the other, in every way a request can name an address."""
    judge, foreign = Judge(site, "cookie", tenant, person), other(tenant)
    token = new_session(site, tenant, person)
    for path in ("/", "/_stcore/health"):
        yield judge.trial(
            f"open {path} at the other tenant's address with the own session",
            lambda path=path: server.body(path, host=_host(foreign), token=token),
            control="the own address answers",
            holds=lambda path=path: server.get(path, host=_host(tenant), token=token)[0] == 200,
            must_refuse=True,
        )
    yield judge.trial(
        "open a live page at the other tenant's address with the own session",
        lambda: drawn(server, foreign, token),
        control="the own address draws the page",
        holds=lambda: bool(drawn(server, tenant, token)),
        must_refuse=True,
    )


def drawn(server: Server, tenant: str, token: str, name: str = FIRST_PAGE, query: str = "") -> str:
    """All that a page draws for a session at a tenant's address, as text. Raises AccessError where the socket is refused."""
    with server.page(tenant, token) as page:
        return run_page(page, name, query)[1]


def _pages(site: Site, server: Server, tenant: str, person: Person) -> Iterator[Trial]:
    """Every page as this role: what is drawn names nothing foreign; also with the other tenant's unit in the address."""
    judge, token = Judge(site, "page", tenant, person), new_session(site, tenant, person)
    addresses = [(page.key if page.key != "overview" else FIRST_PAGE, "") for page in ALL if not page.needs_figure]
    addresses += [
        (FIRST_PAGE, f"place={unit_id(other(tenant), 'annex')}"),
        ("no_show", "rows=appointments&period=2026"),
        ("no_show", f"place={unit_id(tenant, 'west')}&rows=appointments"),
        ("lineage", "metric=appointments"),
    ]
    # A role that holds no metric is shown a page that says so.
    notices = ("Not available",) if site.reader(tenant, person).metrics() else ("",)
    with server.page(tenant, token) as page:
        for name, query in addresses:
            text = run_page(page, name, query)[1]
            yield judge.trial(
                f"open the page /{name}{'?' if query else ''}{query}",
                lambda text=text: text,
                control="the page is drawn and says whose it is, or that it is not for this role",
                holds=lambda text=text: any(word in text for word in (organisation_word(tenant, ""), *notices)),
            )


def _sessions(site: Site, server: Server) -> Iterator[Trial]:
    """Sessions that have ended, and tokens that never were sessions."""
    tenant = TENANTS[0]
    judge = Judge(site, "session", tenant, None)
    good, ended, idle, old = (new_session(site, tenant, ADMIN) for _ in range(4))
    site.access.end_session(ended)
    _age(site, idle, last_seen=timedelta(minutes=31))
    _age(site, old, created=timedelta(hours=13))
    tampered = good[:-1] + ("A" if good[-1] != "A" else "B")
    for words, token in (
        ("no session", ""),
        ("a session whose last character was changed", tampered),
        ("a session that was signed out", ended),
        ("a session that was idle for 31 minutes", idle),
        ("a session of 13 hours ago", old),
        ("the hash that the database keeps of a session", token_hash(good)),
    ):
        yield judge.trial(
            f"open a page with {words}",
            lambda token=token: server.body("/", host=_host(tenant), token=token) + drawn(server, tenant, token),
            control="a fresh session is let in",
            holds=lambda: server.get("/", host=_host(tenant), token=good)[0] == 200,
            must_refuse=True,
        )


def _without_code(site: Site, server: Server) -> Iterator[Trial]:
    """A session after the password of a person with a second factor, but before the code."""
    tenant, store = TENANTS[0], site.access
    judge, email = Judge(site, "second factor", tenant, None), f"app{secrets.token_hex(4)}@clinic.example"
    password = PASSWORD.format(tenant=tenant)
    store.add_user(tenant, email, display_name="App", role=Role.EXECUTIVE, password=password, must_change=False)
    person = store.principal(tenant, email)
    app = pyotp.TOTP(store.offer_second_factor(person))
    passed = store.enrol_second_factor(store.create_session(person), password, app.now()).session_token
    waiting = store.create_session(person)
    yield judge.trial(
        "open a page with a session that has the password and not the code",
        lambda: server.body("/", host=_host(tenant), token=waiting) + drawn(server, tenant, waiting),
        control="the session that gave a code is let in",
        holds=lambda: bool(drawn(server, tenant, passed)),
        must_refuse=True,
    )


def _identities(site: Site, server: Server) -> Iterator[Trial]:
    """Who signed in at the identity provider of one tenant, at the other one."""
    tenant, foreign = TENANTS
    judge, store, subject = (
        Judge(site, "identity provider", tenant, ADMIN),
        site.access,
        f"subject-{secrets.token_hex(4)}",
    )
    issuers = {name: f"https://{name}.example" for name in TENANTS}
    for name, issuer in issuers.items():
        provider = OidcProvider(tenant_id=name, issuer=issuer, client_id="clinicmart", name=name)
        store.set_oidc_provider(provider, actor="proof")
        store.link_subject(name, ADMIN.email, subject, actor="proof")

    def attempt(name: str, issuer: str, subject: str = subject) -> str:
        token = store.begin_oidc_session(name, Identity(issuer=issuer, subject=subject))
        return drawn(server, name, token)

    for words, identity in (
        ("of the other tenant's provider with the same subject", (issuers[foreign], subject)),
        ("of the own provider that is linked to nobody", (issuers[tenant], "another")),
    ):
        yield judge.trial(
            f"sign in as somebody {words}",
            lambda identity=identity: attempt(tenant, *identity),
            control="the linked subject of the own provider is let in",
            holds=lambda: bool(attempt(tenant, issuers[tenant])),
            must_refuse=True,
        )
    for name in TENANTS:
        store.remove_oidc_provider(name, actor="proof")


def _age(site: Site, token: str, *, created: timedelta = timedelta(), last_seen: timedelta = timedelta()) -> None:
    """Moves the times of a session into the past."""
    now = datetime.now(UTC)
    engine = open_engine(site.home.access)
    with engine.begin() as connection:
        values = {"created_at": now - created, "last_seen_at": now - last_seen}
        connection.execute(update(SESSION).where(SESSION.c.token_hash == token_hash(token)).values(**values))
    engine.dispose()


def _hosts(site: Site, server: Server) -> Iterator[Trial]:
    """Forged hosts and origins."""
    tenant, foreign = TENANTS
    judge, token = Judge(site, "host", tenant, None), new_session(site, tenant, ADMIN)
    for host in ("evil.example", f"{foreign}.localhost.evil.example", f"x.{tenant}.localhost", "nobody.localhost"):
        yield judge.trial(
            f"open a page with the host {host}",
            lambda host=host: server.body("/", host=host, token=token),
            control="the tenant's host answers",
            holds=lambda: server.get("/", host=_host(tenant), token=token)[0] == 200,
            must_refuse=True,
        )
    for origin in ("http://evil.example", f"http://{foreign}.localhost:{server.port}", "null"):

        def attempt(origin: str = origin) -> str:
            with server.page(tenant, token, origin=origin) as page:
                return run_page(page)[1]

        yield judge.trial(
            f"open a live page from the origin {origin.replace(str(server.port), 'PORT')}",
            attempt,
            control="the own origin is let in",
            holds=lambda: organisation_word(tenant, "") in drawn(server, tenant, token),
            must_refuse=True,
        )
    forged = (("X-Forwarded-Host", f"{foreign}.localhost"), ("X-Forwarded-For", "127.0.0.1"))
    yield judge.trial(
        "open the other tenant's address under headers of a proxy that nobody trusts",
        lambda: server.body("/", host=_host(foreign), token=token, headers=forged),
        control="the own address answers under the same headers",
        holds=lambda: server.get("/", host=_host(tenant), token=token, headers=forged)[0] == 200,
        must_refuse=True,
    )


def _live_pages(site: Site, server: Server) -> Iterator[Trial]:
    """The live page of another sign-in, taken over by its Streamlit session id."""
    tenant, foreign = TENANTS
    judge, own = Judge(site, "live page", foreign, None), new_session(site, tenant, ADMIN)
    with server.page(tenant, own) as victim:
        identifier, _ = run_page(victim)

        def attempt(whose: str, token: str) -> str:
            with server.page(whose, token, resume=identifier) as page:
                taken = run_page(page)[0] == identifier
            if not taken:
                raise AccessError("a page of one's own was opened")
            return "the live page"

        def resumed() -> bool:
            with server.page(tenant, own, resume=identifier) as page:
                return run_page(page)[0] == identifier

        for words, whose, person in (
            ("of the other tenant", foreign, ADMIN),
            ("of another role of the tenant", tenant, PEOPLE[2]),
            ("of the same person", tenant, ADMIN),
        ):
            yield judge.trial(
                f"take a live page over with a sign-in {words}",
                lambda whose=whose, person=person: attempt(whose, new_session(site, whose, person)),
                control="the sign-in that opened the page resumes it",
                holds=resumed,
                must_refuse=True,
            )


def _server_log(site: Site, server: Server) -> Iterator[Trial]:
    """What the server wrote to its log while it was tried."""
    judge, log = Judge(site, "server log", "both", None), site.home.path.parent / "server.log"
    server.get("/nosuch", host=_host(TENANTS[0]), token=new_session(site, TENANTS[0], ADMIN))
    yield judge.trial(
        "read the log of the server",
        lambda: log.read_text("utf-8", "replace"),
        control="the log of the server is there",
        holds=lambda: log.exists(),
    )


WAYS = (
    Way(key="cookie", title="Sessions at the address of the other tenant", tries=_cookies, needs_server=True),
    Way(key="page", title="Pages, and places in their addresses", tries=_pages, needs_server=True),
    Way(
        key="session", title="Tampered, ended and expired sessions", tries=_sessions, is_of_site=True, needs_server=True
    ),
    Way(
        key="second factor",
        title="The password without the code",
        tries=_without_code,
        is_of_site=True,
        needs_server=True,
    ),
    Way(
        key="identity provider",
        title="Identities of other providers and of nobody",
        tries=_identities,
        is_of_site=True,
        needs_server=True,
    ),
    Way(key="host", title="Forged hosts and origins", tries=_hosts, is_of_site=True, needs_server=True),
    Way(key="live page", title="Live pages of other sign-ins", tries=_live_pages, is_of_site=True, needs_server=True),
    Way(key="server log", title="The log of the server", tries=_server_log, is_of_site=True, needs_server=True),
)
