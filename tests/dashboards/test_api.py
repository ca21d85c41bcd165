"""The API over HTTP, in front of a published home with two tenants that share every id, as each role and as an attacker."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from dashboards import served_home
from dashboards.api import PREFIX, application, operations, who
from dashboards.api.answers import cell
from dashboards.server import auth_gate
from serving.model import MetricQuery
from serving.people.api_tokens import ALLOWED
from serving.people.principal import PLATFORM
from serving.people.secret_tokens import token_id
from serving.reader import open_reader
from tests.serving.conftest import PEOPLE, Place, _copied, _published_once  # noqa: F401
from tests.serving.small_warehouse import TENANTS

ROLES = [name for name, *_ in PEOPLE if name != "partner"]
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def place(_published_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:  # noqa: F811
    return _copied(_published_once, tmp_path_factory.mktemp("api"))


@pytest.fixture
def site(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starlette]:
    """The gate in front of the API, as the server has them; nobody has asked for anything yet."""
    served_home.configure(place.home)
    who._limiter.storage.reset()
    monkeypatch.setattr(who, "QUESTIONS", who.RateLimitItemPerMinute(100_000))
    yield Starlette(middleware=[Middleware(auth_gate.Gate), Middleware(application.Door)])
    who._limiter.storage.reset()


class Client:
    """Asks as a program does: with a token, at a host."""

    def __init__(self, site: Starlette, token: str = "", host: str = "harbor.localhost") -> None:
        self.http = TestClient(site, base_url=f"http://{host}", raise_server_exceptions=False)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **params: object):  # type: ignore[no-untyped-def]
        return self.http.get(f"{PREFIX}{path}", headers=self.headers, params=params)

    def post(self, path: str, body: object = None, accept: str = "application/json", **more: object):  # type: ignore[no-untyped-def]
        headers = {**self.headers, "accept": accept}
        return self.http.post(f"{PREFIX}{path}", json=body, headers=headers, **more)


def _token(place: Place, name: str = "admin", tenant: str = TENANTS[0], allowed: tuple[str, ...] = ALLOWED) -> str:
    person = place.access.principal(tenant, f"{name}@{tenant}")
    return place.access.api_tokens.create(person, name="test", allowed=allowed, days=1, actor="test")


@pytest.fixture
def client(site: Starlette, place: Place) -> Client:
    return Client(site, _token(place))


def _refused(answer, status: int, kind: str) -> str:  # type: ignore[no-untyped-def]
    """The sentence of a problem, which has the form of all problems."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert (problem["type"], problem["status"]) == (f"/problems/{kind}", status)
    return str(problem["detail"])


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("name", ROLES)
def test_each_role_gets_the_figures_of_its_own_scope(site: Starlette, place: Place, name: str, tenant: str) -> None:
    asking = Client(site, _token(place, name, tenant), f"{tenant}.localhost")
    with open_reader(place.home, place.access.principal(tenant, f"{name}@{tenant}")) as reader:
        listed = asking.get("/metrics", limit=1000).json()
        assert [item["name"] for item in listed["metrics"]] == [item.name for item in reader.metrics()]
        for metric in listed["metrics"]:
            by = metric["dimensions"][:1]
            answer = asking.post("/query", {"metrics": [metric["name"]], "by": by, "grain": "month"})
            assert answer.status_code == 200, answer.text
            frame = reader.query(MetricQuery(metrics=[metric["name"]], by=by, grain="month"))
            assert answer.json()["rows"] == [
                {key: cell(value) for key, value in row.items()} for row in frame.iter_rows(named=True)
            ]
        stand = asking.get("/status").json()["stand"]
        assert (stand["tenant"], stand["version"]) == (tenant, reader.version.version)


def test_rows_add_up_to_the_figure_and_parts_to_the_whole(client: Client) -> None:
    figure = client.post("/query", {"metrics": ["visits"]}).json()["rows"][0]["visits"]
    whole = client.post("/drill", {"metric": "visits", "limit": 10_000}).json()
    assert len(whole["rows"]) == whole["page"]["total_rows"] == int(whole["total_value"]) == figure
    parts, offset = [], 0
    while offset is not None:
        answer = client.post("/drill", {"metric": "visits", "limit": 2, "offset": offset}).json()
        parts += answer["rows"]
        offset = answer["page"]["next_offset"]
    assert parts == whole["rows"]


def test_csv_and_arrow_hold_what_json_holds(client: Client) -> None:
    question = {"metrics": ["visits", "billed_amount"], "by": ["payer_class"], "grain": "month", "limit": 3}
    plain = client.post("/query", question).json()
    arrow = client.post("/query", question, ARROW)
    frame = pl.read_ipc_stream(io.BytesIO(arrow.content))
    assert arrow.headers["clinicmart-total-rows"] == str(plain["page"]["total_rows"])
    assert [{key: cell(value) for key, value in row.items()} for row in frame.iter_rows(named=True)] == plain["rows"]
    table = pl.read_csv(client.post("/query", question, "text/csv").content, infer_schema=False)
    assert table.columns == [column["name"] for column in plain["columns"]]
    assert table.height == len(plain["rows"])


def test_the_passport_of_a_figure_names_its_parts(client: Client) -> None:
    passport = client.post("/passport", {"metric": "denied_per_person"}).json()
    people = client.post("/query", {"metrics": ["people"]}).json()["rows"][0]["people"]
    assert passport["denominator"] == people > 0
    assert passport["metric"]["name"] == "denied_per_person"
    assert passport["stand"]["tenant"] == TENANTS[0]


def test_a_share_of_counted_things_has_a_numerator_and_an_interval() -> None:
    numerator, interval = operations.share_parts("percent", 0.25, 200)
    assert numerator == 50
    assert interval is not None
    assert interval[0] < 0.25 < interval[1]
    for unit, value, base in (
        ("usd", 0.25, 200),
        ("percent", None, 200),
        ("percent", 0.25, 0),
        ("percent", 0.25, None),
    ):
        assert operations.share_parts(unit, value, base) == (None, None)


def test_an_extract_opens_with_its_key_and_holds_one_tenant(site: Starlette, place: Place, tmp_path: Path) -> None:
    answer = Client(site, _token(place, "analyst")).post("/extracts")
    file = tmp_path / "x.duckdb"
    file.write_bytes(answer.content)
    connection = duckdb.connect()
    key = answer.headers["clinicmart-extract-key"]
    connection.execute(f"attach '{file}' as extract (encryption_key '{key}', read_only)")
    tenants = connection.execute("select distinct tenant_id from extract.marts.dim_tenants").fetchall()
    assert tenants == [(TENANTS[0],)]
    assert connection.execute("select count(*) from extract.dictionary.metrics").fetchone() != (0,)


@pytest.mark.parametrize(
    ("name", "allowed", "path", "body"),
    [
        ("ceo", ALLOWED, "/drill", {"metric": "visits"}),
        ("east", ALLOWED, "/extracts", None),
        ("admin", ("figures",), "/drill", {"metric": "visits"}),
        ("admin", ("figures", "rows"), "/extracts", None),
        ("admin", ("rows",), "/query", {"metrics": ["visits"]}),
    ],
)
def test_what_person_or_token_may_not_is_refused_and_recorded(
    site: Starlette, place: Place, name: str, allowed: tuple[str, ...], path: str, body: object
) -> None:
    token = _token(place, name, allowed=allowed)
    _refused(Client(site, token).post(path, body), 403, "not-allowed")
    row = place.access.audit_rows(TENANTS[0], limit=1)[0]
    assert (row.actor, row.result, row.channel) == (f"{name}@{TENANTS[0]}", "refused", "api")
    assert row.session == token_id(token)


def test_a_question_is_a_row_of_the_audit_with_the_token_that_asked(site: Starlette, place: Place) -> None:
    token = _token(place, "east")
    assert Client(site, token).post("/query", {"metrics": ["visits"]}).status_code == 200
    row = place.access.audit_rows(TENANTS[0], limit=1)[0]
    assert (row.actor, row.action, row.channel, row.session) == ("east@harbor", "query", "api", token_id(token))


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/metrics", '{"metrics": "all"}'),
        ("/metrics/visits", '{"metric": "visits"}'),
        ("/dimensions/payer/values", '{"dimension": "payer"}'),
    ],
)
def test_names_and_definitions_are_rows_of_the_audit_too(site: Starlette, place: Place, path: str, detail: str) -> None:
    assert Client(site, _token(place, "east")).get(path).status_code == 200
    row = place.access.audit_rows(TENANTS[0], limit=1)[0]
    assert (row.actor, row.action, row.channel, row.detail) == ("east@harbor", "list", "api", json.loads(detail))


@pytest.mark.parametrize("path", ["/status", "/metrics", "/metrics/visits", "/dimensions/payer/values"])
def test_nobody_gets_in_without_an_open_token(site: Starlette, place: Place, path: str) -> None:
    good = _token(place)
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    ended = _token(place)
    place.access.api_tokens.revoke(TENANTS[0], token_id(ended), actor="test")
    session = place.access.create_session(place.access.principal(TENANTS[0], f"admin@{TENANTS[0]}"))
    for token in ("", changed, ended, session, "x" * 4000):
        answer = Client(site, token).get(path)
        _refused(answer, 401, "not-signed-in")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    # A session in the cookie opens pages and not the API.
    cookie = TestClient(site, base_url="http://harbor.localhost", cookies={auth_gate.SESSION_COOKIE: session})
    assert cookie.get(f"{PREFIX}{path}").status_code == 401
    assert Client(site, good).get(path).status_code == 200
    assert place.access.audit_rows(PLATFORM, limit=1)[0].action == "api"


def test_a_token_opens_nothing_at_another_tenants_or_a_foreign_address(site: Starlette, place: Place) -> None:
    own, other = TENANTS
    token = _token(place)
    assert Client(site, token, f"{own}.localhost").get("/status").json()["stand"]["tenant"] == own
    assert "another organization" in _refused(
        Client(site, token, f"{other}.localhost").get("/status"), 403, "not-allowed"
    )
    for host in ("evil.example", f"x.{own}.localhost", "nobody.localhost"):
        _refused(Client(site, token, host).get("/status"), 404, "not-found")


def test_a_session_or_page_cannot_be_opened_with_a_token(site: Starlette, place: Place) -> None:
    token = _token(place)
    pages = TestClient(site, base_url="http://harbor.localhost", headers={"authorization": f"Bearer {token}"})
    assert pages.get("/no_show", headers={"accept": "text/html"}, follow_redirects=False).status_code == 303
    assert pages.get("/_stcore/host-config").status_code == 403


def test_too_many_questions_and_guesses_must_wait(
    site: Starlette, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(who, "QUESTIONS", who.RateLimitItemPerMinute(3))
    monkeypatch.setattr(who, "GUESSES", who.RateLimitItemPerMinute(2))
    busy, calm = Client(site, _token(place)), Client(site, _token(place))
    assert [busy.get("/status").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = busy.get("/status")
    _refused(answer, 429, "too-many-requests")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert calm.get("/status").status_code == 200
    assert [Client(site, f"guess{number}").get("/status").status_code for number in range(3)] == [401, 401, 429]
    # Who guesses finds nothing out by the wait: the right token waits too.
    assert calm.get("/status").status_code == 429


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/query", {"metrics": ["visitz"]}, "no metric is named 'visitz'; similar names: visits"),
        ("/query", {"metrics": []}, "metrics: List should have at least 1 item"),
        ("/query", {"metrics": ["visits"], "sql": "select 1"}, "sql: Extra inputs are not permitted"),
        ("/query", {"metrics": ["visits"], "by": ["nonsense"]}, "nonsense"),
        ("/query", {"metrics": ["visits"], "where": {"payer_class": ["nonsense"]}}, "the dimension has no such value"),
        (
            "/query",
            {"metrics": ["visits"], "where": {"payer_class": ["' or 1=1 --"]}},
            "the dimension has no such value",
        ),
        ("/query", {"metrics": ["visits"], "date_from": "2026-13-01"}, "date_from"),
        ("/query", {"metrics": ["visits"], "date_from": "2026-03-01", "date_to": "2026-02-01"}, "ends"),
        ("/query", {"metrics": ["visits"], "as_of": "../mesa/1"}, "../mesa/1"),
        ("/drill", {"metric": "no_show_rate; drop table x"}, "no metric is named"),
        ("/drill", {"metric": "visits", "limit": 0}, "limit"),
    ],
)
def test_a_wrong_question_is_a_sentence(client: Client, path: str, body: object, said: str) -> None:
    assert said in _refused(client.post(path, body), 422, "wrong-question")


def test_bombs_are_refused_before_they_are_read(client: Client) -> None:
    _refused(client.post("/query", {"metrics": ["x" * 70_000]}), 413, "too-large")
    deep = "[" * 30_000 + "]" * 30_000
    headers = {**client.headers, "content-type": "application/json"}
    answer = client.http.post(f"{PREFIX}/query", content=deep, headers=headers)
    _refused(answer, 400, "bad-request")
    assert "no metric is named" in _refused(client.get("/metrics/" + "y" * 50), 404, "not-found")


def test_what_fails_inside_is_a_problem_that_tells_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("patient Smith")

    monkeypatch.setattr(application, "open_reader", broken)
    assert "Smith" not in _refused(client.get("/status"), 500, "failed")


def test_the_document_is_open_and_holds_no_data(site: Starlette) -> None:
    document = Client(site).get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/status",
        "/metrics",
        "/metrics/{name}",
        "/dimensions/{name}/values",
        "/query",
        "/drill",
        "/passport",
        "/extracts",
    }
    assert all(word not in json.dumps(document) for word in TENANTS)


@pytest.mark.parametrize("name", ["admin", "ceo", "east", "doctor", "biller", "analyst"])
def test_the_document_is_exact_as_each_role(site: Starlette, place: Place, name: str) -> None:
    """Schemathesis asks what the document allows and what it does not, and holds each answer against the document."""
    schema = schemathesis.openapi.from_asgi(f"{PREFIX}/openapi.json", site, headers={"host": "harbor.localhost"})
    headers = {"Authorization": f"Bearer {_token(place, name)}", "Host": "harbor.localhost"}
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/extracts":
            # Takes a second each time; it has a test of its body above.
            continue

        @settings(
            max_examples=8,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(case=operation.as_strategy())
        def holds(case) -> None:  # type: ignore[no-untyped-def]
            case.call_and_validate(headers=headers)

        holds()
        asked += 1
    assert asked == 7
