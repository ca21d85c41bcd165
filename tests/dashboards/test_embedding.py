"""Pages in sites of others: one view under a ticket that opens once, and everything that an attacker could try with it."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboards import data, served_home
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.api import who
from dashboards.embedding.door import EmbeddingDoor
from dashboards.server import auth_gate
from foundation.deidentification import Deidentification
from foundation.errors import AccessError, ConfigurationError
from serving.model import MetricQuery
from serving.modules import PAGES
from serving.people import embedding_tickets, restored
from serving.people.embedding_sites import checked_origin
from serving.people.embedding_tickets import Ticket, signed
from serving.reader import open_reader
from tests.serving.conftest import Place, _copied, _published_once  # noqa: F401
from tests.support import clinicmart_here

ORIGIN = "https://portal.example.org"
REVENUE = PAGES["revenue_cycle"]
FRAME = {"sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site", "referer": f"{ORIGIN}/"}


@pytest.fixture(scope="module")
def place(_published_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:  # noqa: F811
    return _copied(_published_once, tmp_path_factory.mktemp("embedding"))


async def _inside(request: object) -> PlainTextResponse:
    return PlainTextResponse("inside")


@pytest.fixture
def server(place: Place) -> Iterator[Starlette]:
    """The door in front of the gate, as the server has them."""
    served_home.configure(place.home)
    data._answer.clear()
    who._limiter.storage.reset()
    yield Starlette(
        routes=[Route("/{path:path}", _inside)],
        middleware=[Middleware(EmbeddingDoor), Middleware(auth_gate.Gate, pages=["overview"])],
    )
    who._limiter.storage.reset()
    data._answer.clear()


@pytest.fixture
def secret(place: Place) -> Callable[..., str]:
    """`secret(pages=["no_show"])`: the secret of a new site of harbor, or of another tenant."""

    def make(tenant: str = "harbor", **options: object) -> str:
        wanted: dict[str, object] = {"name": "Portal", "origin": ORIGIN, "pages": ["overview", "no_show"], "days": 30}
        return place.access.embedding_sites.create(tenant, **(wanted | options), actor=f"admin@{tenant}")  # type: ignore[arg-type]

    return make


class Site:
    """A site's server and its visitors' browsers."""

    def __init__(self, server: Starlette, secret: str, host: str = "harbor.localhost") -> None:
        self.http = TestClient(server, base_url=f"https://{host}", raise_server_exceptions=False)
        self.secret = secret

    def ask(self, page: str = "no_show", **more: object):  # type: ignore[no-untyped-def]
        headers = {"authorization": f"Bearer {self.secret}"}
        return self.http.post("/embed/tickets", headers=headers, json={"page": page, **more})

    def token(self, page: str = "no_show", **more: object) -> str:
        answer = self.ask(page, **more)
        assert answer.status_code == 201, answer.text
        return parse_qs(urlsplit(answer.json()["url"]).query)["token"][0]

    def open(self, token: str, **headers: str):  # type: ignore[no-untyped-def]
        return self.http.get("/embed/open", params={"token": token}, headers=FRAME | headers)


@pytest.fixture
def portal(server: Starlette, secret: Callable[..., str]) -> Site:
    return Site(server, secret())


def policy_of(answer) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return dict(part.partition(" ")[::2] for part in answer.headers["content-security-policy"].split("; "))


def refused(answer, status: int = 403) -> bool:  # type: ignore[no-untyped-def]
    """Whether an answer shows no figure and says no cause."""
    assert answer.status_code == status
    assert "<h1>" not in answer.text
    assert "cannot be shown" in answer.text
    return True


def reason(place: Place, tenant: str = "harbor") -> str:
    """Why the last attempt was refused, by the audit."""
    row = place.access.audit_rows(tenant, action="embedding")[0]
    assert row.result == "refused"
    return str(row.detail["reason"])


def test_a_page_opens_once_in_the_frame_of_its_site(place, portal):
    answer = portal.open(portal.token())
    assert answer.status_code == 200
    assert "<h1>No-show</h1>" in answer.text
    policy = policy_of(answer)
    assert (policy["frame-ancestors"], policy["default-src"], policy["form-action"]) == (ORIGIN, "'none'", "'none'")
    assert policy["sandbox"] == ""
    assert "x-frame-options" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert not re.search(r"<(script|a|form|iframe|img|link)\b", answer.text)
    row = place.access.audit_rows("harbor", action="report")[0]
    assert (row.result, row.channel, row.actor) == ("done", "embedding", f"embedding:{row.session}")
    assert (row.detail["embedding"], row.detail["origin"], row.detail["page"]) == ("Portal", ORIGIN, "no_show")


def test_the_figures_are_those_of_the_registered_units(place, server, secret):
    """Each page shows the amount that the reader gives for its units, and not that of the other site."""
    amounts = {}
    for units in ((), ("east",), ("west",)):
        site = Site(server, secret(pages=["revenue_cycle"], unit_ids=units))
        principal = place.access.embedding_sites.of_secret(site.secret).principal
        with open_reader(place.home, principal) as reader:
            period = periods.preset("year_to_date", reader.data_as_of)
            asked = MetricQuery(metrics=["billed_amount"], date_from=period.start, date_to=period.end)
            amount = fmt.short(reader.query(asked)["billed_amount"][0], "usd")
        text = site.open(site.token("revenue_cycle", figure="billed_amount", period="year_to_date")).text
        amounts[units] = (amount, text)
        narrowed = site.ask("revenue_cycle", unit="west")
        assert narrowed.status_code == (403 if units == ("east",) else 201)
    assert len({amount for amount, _ in amounts.values()}) == 3
    for amount, text in amounts.values():
        assert [other for other, _ in amounts.values() if f">{other}<" in text] == [amount]


def test_a_unit_within_those_of_the_site_can_be_chosen(place, server, secret):
    site = Site(server, secret(pages=["revenue_cycle"], unit_ids=["east"]))
    text = site.open(site.token("revenue_cycle", unit="lab", period="year_to_date")).text
    with open_reader(place.home, place.access.embedding_sites.of_secret(site.secret).principal) as reader:
        period = periods.preset("year_to_date", reader.data_as_of)
        where = {"service_unit": ["lab"]}
        asked = MetricQuery(metrics=["billed_amount"], where=where, date_from=period.start, date_to=period.end)
        amount = fmt.short(reader.query(asked)["billed_amount"][0], "usd")
    assert f">{amount}<" in text


def test_one_figure_is_shown_with_its_months(server, secret):
    site = Site(server, secret(pages=["revenue_cycle"]))
    text = site.open(site.token("revenue_cycle", figure="billed_amount", period="year_to_date")).text
    main = text.partition("<main>")[2]
    assert 'class="tiles"' not in main
    assert main.count("<rect ") == main.count("<title>") > 1
    assert "Values by month" in main
    assert "<table><tr><th scope='row'>" in main


def test_a_figure_of_the_table_is_shown_alone_and_asked_alone(place, server, secret):
    site = Site(server, secret(pages=["revenue_cycle"]))
    figure = "open_balance"
    assert figure in set(REVENUE.table) - set(REVENUE.tiles)
    text = site.open(site.token("revenue_cycle", figure=figure, period="year_to_date")).text
    with open_reader(place.home, place.access.embedding_sites.of_secret(site.secret).principal) as reader:
        label = {item.name: item.label for item in reader.metrics()}[figure]
    assert f"<h1>{label}</h1>" in text
    row = place.access.audit_rows("harbor", action="report")[0]
    assert row.detail["figure"] == figure
    assert not set(row.detail["metrics"]).intersection({*REVENUE.tiles, *REVENUE.table} - {figure})


def test_a_figure_of_another_page_and_a_share_of_payer_mix_are_refused(server, secret):
    site = Site(server, secret(pages=["revenue_cycle", "payer_mix"]))
    for page, figure in (("revenue_cycle", "no_show_rate"), ("payer_mix", "payer_mix_billed")):
        answer = site.ask(page, figure=figure)
        assert answer.status_code == 422
        assert "can be shown alone; possible are " in answer.json()["detail"]
    assert site.ask("payer_mix", figure="billed_amount").status_code == 201


def test_a_ticket_opens_nothing_twice(place, portal):
    token = portal.token()
    assert portal.open(token).status_code == 200
    assert refused(portal.open(token))
    assert reason(place) == "the link was used"


def test_a_ticket_that_came_to_a_wrong_place_is_used(place, portal):
    token = portal.token()
    assert refused(portal.open(token, referer="https://evil.example/"))
    assert reason(place) == "it was opened from another site"
    assert refused(portal.open(token))


def test_a_ticket_opens_in_a_frame_alone(place, portal):
    assert refused(portal.open(portal.token(), **{"sec-fetch-dest": "document"}))
    assert reason(place) == "it was not opened in a frame"


def test_a_browser_that_says_little_is_served_under_frame_ancestors(portal):
    answer = portal.http.get("/embed/open", params={"token": portal.token()})
    assert answer.status_code == 200
    assert policy_of(answer)["frame-ancestors"] == ORIGIN


def test_a_ticket_expires(place, portal, monkeypatch):
    token = portal.token(seconds=1)
    later = datetime.now(UTC) + timedelta(seconds=2)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return later

    monkeypatch.setattr(embedding_tickets, "datetime", Later)
    assert refused(portal.open(token))
    assert reason(place) == "the link has expired"


def test_links_that_expired_stop_no_token_of_the_same_address(server, portal, monkeypatch):
    token = portal.token(seconds=1)
    monkeypatch.setattr(Ticket, "has_expired", property(lambda _: True))
    answers = [portal.open(token).status_code for _ in range(32)]
    assert (answers[0], answers[-1]) == (403, 429)
    assert Site(server, "guess").ask().status_code == 401


@pytest.mark.parametrize("seconds", [0, 601, -1, "60", 1.5])
def test_no_ticket_lives_longer_than_ten_minutes(portal, seconds):
    assert portal.ask(seconds=seconds).status_code == 422


def test_a_ticket_that_would_live_longer_is_refused_also_where_it_is_signed():
    ticket = Ticket(tenant_id="harbor", site_id="x", origin=ORIGIN, page="no_show")
    key = b"k" * 32
    made = embedding_tickets.signed(ticket, key, timedelta(days=1))
    read = jwt.decode(made, embedding_tickets._jwk(key), algorithms=["HS256"]).claims
    assert read["exp"] - read["iat"] == 600
    long = jwt.encode({"alg": "HS256"}, read | {"exp": read["iat"] + 601}, embedding_tickets._jwk(key))
    with pytest.raises(AccessError):
        embedding_tickets.ticket_of(long, key)


def test_a_changed_or_foreign_ticket_is_refused(place, portal):
    token = portal.token()
    head, body, mark = token.split(".")
    site_id = place.access.embedding_sites.of_secret(portal.secret).token_id
    ticket = Ticket(tenant_id="harbor", site_id=site_id, origin=ORIGIN, page="no_show")
    unsigned = jwt.encode({"alg": "HS256"}, {"iss": "clinicmart embedding"}, OctKey.import_key(b"x" * 32))
    attempts = [
        f"{head}.{body}.{mark[:-2]}AA",
        f"{head}.{body[:-2]}AA.{mark}",
        f"eyJhbGciOiJub25lIn0.{body}.",
        signed(ticket, b"another key of 32 bytes.........", timedelta(minutes=1)),
        unsigned,
        "",
        "x",
        "a.b.c",
        "é.é.é",
    ]
    for attempt in attempts:
        assert refused(portal.open(attempt)), attempt
    # Nothing of it used the true one.
    assert portal.open(token).status_code == 200


@given(st.text(max_size=60))
def test_no_text_is_a_ticket(text):
    with pytest.raises(AccessError):
        embedding_tickets.ticket_of(text, b"k" * 32)


def test_a_page_that_the_site_may_not_show_is_refused(place, server, secret):
    site = Site(server, secret(pages=["overview"]))
    for page in ("no_show", "data_health", "administration", "worklists", "extract", "sql", "../overview", ""):
        answer = site.ask(page)
        assert answer.status_code == 403, page
        assert reason(place) == "the site may not show this page"


def test_a_site_cannot_be_given_a_page_of_rows(secret):
    for page in ("worklists", "today", "administration", "sql", "extract", "unknown"):
        with pytest.raises(ConfigurationError):
            secret(pages=[page])
    with pytest.raises(ConfigurationError):
        secret(pages=[])


def test_a_wider_unit_is_refused(place, server, secret):
    site = Site(server, secret(unit_ids=["east"]))
    assert site.ask(unit="east").status_code == 201
    for unit in ("west", "unknown", "group", "east' or 1=1"):
        answer = site.ask(unit=unit)
        assert answer.status_code == 403, unit
        assert reason(place) == "the site may not show this unit"


def test_a_forged_wider_unit_is_refused_where_it_is_opened(place, server, secret):
    """Also a ticket with our own signature gets no more than its site: what a site may show is looked up when it is opened."""
    site = Site(server, secret(unit_ids=["east"], pages=["overview"]))
    site_id = place.access.embedding_sites.of_secret(site.secret).token_id
    for wrong in ({"place": "west"}, {"page": "no_show"}):
        ticket = Ticket(**({"tenant_id": "harbor", "site_id": site_id, "origin": ORIGIN, "page": "overview"} | wrong))
        answer = site.open(place.access.signed_ticket(ticket, timedelta(minutes=1)))
        assert refused(answer), wrong


def test_a_tenant_cannot_be_crossed(place, server, secret):
    harbor = secret()
    assert Site(server, harbor, host="mesa.localhost").ask().status_code == 403
    token = Site(server, harbor).token()
    elsewhere = Site(server, harbor, host="mesa.localhost")
    assert refused(elsewhere.open(token))
    assert reason(place) == "the host is of another tenant"
    # A ticket that names a site of the other tenant.
    site_id = place.access.embedding_sites.of_secret(harbor).token_id
    ticket = Ticket(tenant_id="mesa", site_id=site_id, origin=ORIGIN, page="no_show")
    assert refused(elsewhere.open(place.access.signed_ticket(ticket, timedelta(minutes=1))))
    assert reason(place, "mesa") == "the site has ended"


def test_a_revoked_site_ends_at_once(place, portal):
    token = portal.token()
    site = place.access.embedding_sites.of_secret(portal.secret)
    with pytest.raises(AccessError):
        place.access.embedding_sites.revoke("mesa", site.token_id, actor="admin@mesa")
    place.access.embedding_sites.revoke("harbor", site.token_id, actor="admin@harbor")
    answer = portal.open(token)
    assert refused(answer)
    assert policy_of(answer)["frame-ancestors"] == "'none'"
    assert reason(place) == "the site has ended"
    assert portal.ask().status_code == 401


def test_a_secret_of_another_kind_or_none_gets_no_ticket(place, server, secret, portal):
    principal = place.access.principal("harbor", "admin@harbor")
    api = place.access.api_tokens.create(principal, name="x", allowed=["figures"], days=1, actor="test")
    scim = place.access.scim_tokens.create("harbor", name="x", days=1, actor="test")
    for wrong in (api, scim, "", "clinicmart_embed_x", portal.token()):
        assert Site(server, wrong).ask().status_code == 401
    # The secret opens nothing else.
    gate = portal.http.get("/overview", headers={"authorization": f"Bearer {portal.secret}"})
    assert gate.text != "inside"
    assert refused(portal.open(portal.secret))


def test_guesses_cost_the_address(server, portal):
    for _ in range(31):
        portal.open("x")
    assert portal.open(portal.secret).status_code == 429
    assert Site(server, "guess").ask().status_code == 429


def test_a_used_link_does_not_fill_the_audit_and_stops_no_new_one(place, portal):
    token = portal.token()
    assert portal.open(token).status_code == 200
    answers = [portal.open(token).status_code for _ in range(32)]
    assert (answers[0], answers[-1]) == (403, 429)
    assert portal.open(portal.token()).status_code == 200


@pytest.mark.parametrize(
    "referrer", ["http://[", f"{ORIGIN}.evil.example/", f"{ORIGIN}:8443/", "https://evil.example/", "x"]
)
def test_no_other_referrer_passes_as_the_site(portal, referrer):
    assert refused(portal.open(portal.token(), referer=referrer))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"page": 1}', b'{"page": "no_show", "role": "analyst"}', b'{"page":"' + b"x" * 5000]
)
def test_a_wrong_question_gets_a_plain_answer(portal, body):
    headers = {"authorization": f"Bearer {portal.secret}"}
    answer = portal.http.post("/embed/tickets", headers=headers, content=body)
    assert answer.status_code in (400, 413, 422)
    assert answer.json()["title"]
    assert portal.ask(period="for_ever").status_code == 422
    assert portal.ask(figure="no_such").status_code == 422


def test_nothing_else_is_below_the_door(portal):
    for path in ("/embed", "/embed/", "/embed/open/x", "/embed/overview", "/embed/../overview", "/embed/tickets"):
        answer = portal.http.get(path, follow_redirects=False)
        assert answer.text != "inside", path
    assert portal.http.post("/embed/open").status_code == 404
    assert portal.http.get("/embed/open").status_code == 403


def test_the_pages_themselves_still_allow_no_frame(portal):
    answer = portal.http.get("/overview", headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.headers["x-frame-options"] == "DENY"
    assert policy_of(answer)["frame-ancestors"] == "'none'"


def test_figures_of_few_people_are_hidden(place, server, secret):
    place.access.ensure_tenant("harbor", "Harbor", Deidentification(rule="limited", smallest_cell=1000))
    try:
        site = Site(server, secret())
        text = site.open(site.token("overview", period="last_12_months")).text
        assert "fewer than 1,000" in text or "There is no figure to show" in text
    finally:
        place.access.ensure_tenant("harbor", "Harbor", Deidentification(rule="limited", smallest_cell=1))


@pytest.mark.parametrize(
    "text",
    [
        "http://portal.example.org",
        "https://*.example.org",
        "https://portal.example.org/path",
        "https://portal.example.org?x",
        "https://user@portal.example.org",
        "https://portal.example.org; script-src *",
        "https://portal.example.org 'self'",
        "https://portal.example.org,https://evil.example",
        "https://",
        "*",
        "null",
        "data:text/html",
        "javascript:alert(1)",
        "https://portal.example.org:99999",
        "https://portal.example.org\r\nx: y",
    ],
)
def test_only_one_site_with_tls_is_an_origin(text, secret):
    with pytest.raises(ConfigurationError):
        secret(origin=text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Portal.Example.org/", "https://portal.example.org"),
        ("https://portal.example.org:443", "https://portal.example.org"),
        ("https://portal.example.org:8443", "https://portal.example.org:8443"),
        ("http://localhost:9000", "http://localhost:9000"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(text, origin):
    assert checked_origin(text) == origin


@given(st.text(max_size=40))
def test_an_origin_never_says_more_to_a_header(text):
    try:
        origin = checked_origin(f"https://{text}")
    except ConfigurationError:
        return
    assert re.fullmatch(r"https://[a-z0-9.-]+(:\d{1,5})?", origin)


def test_a_restored_home_opens_no_site(place, tmp_path):
    copy = _copied(place, tmp_path)
    made = copy.access.embedding_sites.create(
        "harbor", name="x", origin=ORIGIN, pages=["overview"], days=1, actor="test"
    )
    restored.settle(copy.home, tenant=None, actor="test", detail={})
    assert copy.access.embedding_sites.of_secret(made) is None


def test_creating_and_ending_a_site_are_audit_rows_without_the_secret(place, secret):
    made = secret(unit_ids=["east"])
    row = place.access.audit_rows("harbor", action="token created")[0]
    assert (row.detail["origin"], row.detail["units"], row.detail["for"]) == (ORIGIN, "east", "embedding")
    assert made not in str(vars(row))


def test_an_operator_registers_shows_and_ends_a_site(place):
    """The command prints the secret once; what it lists opens nothing."""

    def run(*words: str):  # type: ignore[no-untyped-def]
        return clinicmart_here("tenants", "embedding", *words, "--home", place.home.path, "--tenant", "mesa", "--json")

    wanted = ("--name", "Board", "--origin", ORIGIN, "--page", "overview", "--unit", "east")
    added = json.loads(run("add", *wanted).out)
    site = place.access.embedding_sites.of_secret(added["secret"])
    assert (site.name, site.origin, site.pages, site.unit_ids) == ("Board", ORIGIN, ("overview",), ("east",))
    shown = run("show").out
    assert added["id"] in shown
    assert added["secret"] not in shown
    assert run("revoke", added["id"]).code == 0
    assert place.access.embedding_sites.of_secret(added["secret"]) is None
    assert run("add", *wanted, "--page", "worklists").code != 0
    assert run("revoke", added["id"]).code != 0
