"""Agents over the Model Context Protocol: a real client asks questions with known answers as two roles of two tenants, and meets no
row, no other tenant and no right that the person does not have."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import polars as pl
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette
from starlette.middleware import Middleware

from dashboards import served_home
from dashboards.agents.door import AgentDoor
from dashboards.api import AGENTS_PATH, LARGEST_BODY, who
from dashboards.api.answers import rows_of
from dashboards.server import auth_gate
from serving.model import MetricQuery
from serving.people.secret_tokens import token_id
from serving.reader import open_reader
from tests.serving.conftest import Place, _copied, _published_once  # noqa: F401
from tests.serving.small_warehouse import TENANTS

TOOLS = {"list_metrics", "describe_metric", "list_dimension_values", "query", "explain", "compare"}
QUESTIONS = 200
ASKERS = [(tenant, name) for tenant in TENANTS for name in ("admin", "east")]


@pytest.fixture(scope="module")
def place(_published_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:  # noqa: F811
    return _copied(_published_once, tmp_path_factory.mktemp("agents"))


@pytest.fixture(scope="module")
def port(place: Place) -> Iterator[int]:
    """The gate in front of the agents' tools, served over HTTP."""
    served_home.configure(place.home)
    with pytest.MonkeyPatch.context() as patch, closing(socket.socket()) as bound:
        patch.setattr(who, "QUESTIONS", who.RateLimitItemPerMinute(100_000))
        bound.bind(("127.0.0.1", 0))
        app = Starlette(middleware=[Middleware(auth_gate.Gate), Middleware(AgentDoor)])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield int(bound.getsockname()[1])
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture(autouse=True)
def _served(place: Place) -> None:
    served_home.configure(place.home)
    who._limiter.storage.reset()


def _token(place: Place, tenant: str, name: str) -> str:
    person = place.access.principal(tenant, f"{name}@{tenant}")
    return place.access.api_tokens.create(person, name="agent", allowed=["figures"], days=1, actor="test")


@asynccontextmanager
async def _client(port: int, token: str, tenant: str) -> Any:
    headers = {"authorization": f"Bearer {token}", "host": f"{tenant}.localhost:{port}"}
    async with httpx.AsyncClient(headers=headers, timeout=120) as http:
        transport = streamable_http_client(f"http://127.0.0.1:{port}{AGENTS_PATH}", http_client=http)
        async with Client(transport, read_timeout_seconds=120) as client:
            yield client


def _asked(port: int, token: str, tenant: str, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """What the tools answer, call by call."""

    async def ask() -> list[Any]:
        async with _client(port, token, tenant) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(ask())


def _questions(reader: Any) -> list[dict[str, Any]]:
    """Every metric as a whole, by month and by each of its dimensions."""
    asked: list[dict[str, Any]] = []
    for metric in reader.metrics():
        asked += [{"metrics": [metric.name]}, {"metrics": [metric.name], "grain": "month"}]
        asked += [{"metrics": [metric.name], "by": [dimension]} for dimension in metric.dimensions]
    return asked


def _patients(place: Place) -> set[str]:
    """Ids of patients in the published rows of all tenants."""
    ids: set[str] = set()
    for tenant in TENANTS:
        with open_reader(place.home, place.access.principal(tenant, f"admin@{tenant}")) as reader:
            frame = reader.drill("visits", limit=10_000).frame
            ids |= set(frame["patient_id"].cast(pl.String))
    return ids


def test_two_hundred_answers_are_those_of_the_reader_and_name_no_patient(port: int, place: Place) -> None:
    patients, answered = _patients(place), 0
    for tenant, name in ASKERS:
        with open_reader(place.home, place.access.principal(tenant, f"{name}@{tenant}")) as reader:
            questions = _questions(reader)[: QUESTIONS // len(ASKERS)]
            answers = _asked(port, _token(place, tenant, name), tenant, [("query", asked) for asked in questions])
            for asked, answer in zip(questions, answers, strict=True):
                assert not answer.is_error, answer.content
                right = reader.query(MetricQuery(**asked))
                held = answer.structured_content
                assert held["rows"] == rows_of(right)
                assert (held["stand"]["tenant"], held["stand"]["version"]) == (tenant, reader.version.version)
                assert [meaning["name"] for meaning in held["meanings"]] == asked["metrics"]
                assert not patients & {str(value) for row in held["rows"] for value in row.values()}
                answered += 1
    assert answered == QUESTIONS


def test_a_question_of_an_agent_is_a_row_of_the_audit(port: int, place: Place) -> None:
    token = _token(place, TENANTS[0], "east")
    _asked(port, token, TENANTS[0], [("query", {"metrics": ["visits"]})])
    row = place.access.audit_rows(TENANTS[0], limit=1)[0]
    assert (row.actor, row.action, row.channel, row.session) == ("east@harbor", "query", "agent", token_id(token))


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("drill", {"metric": "visits"}, "Unknown tool"),
        ("query", {"metrics": ["visitz"]}, "no metric is named 'visitz'; similar names: visits"),
        ("query", {"metrics": ["visits"], "by": ["patient"]}, "patient"),
        ("query", {"metrics": ["visits"], "where": {"service_unit": ["west"]}}, "the dimension has no such value"),
        ("explain", {"reading": {"metric": "visits", "as_of": "../mesa/1"}}, "../mesa/1"),
        ("list_dimension_values", {"dimension": "patient_id"}, "there is no dimension"),
    ],
)
def test_what_the_person_may_not_or_nobody_can_is_a_sentence(
    port: int, place: Place, tool: str, arguments: dict[str, Any], said: str
) -> None:
    (answer,) = _asked(port, _token(place, TENANTS[0], "east"), TENANTS[0], [(tool, arguments)])
    assert answer.is_error
    assert said in answer.content[0].text


def test_two_readings_differ_by_what_they_say(port: int, place: Place) -> None:
    sides = {"first": {"metric": "visits", "where": {"service_unit": ["east"]}}, "second": {"metric": "visits"}}
    (answer,) = _asked(port, _token(place, TENANTS[0], "admin"), TENANTS[0], [("compare", sides)])
    held = answer.structured_content
    assert held["difference"] == held["second"]["value"] - held["first"]["value"] > 0
    assert held["first"]["metric"]["description"] == held["second"]["metric"]["description"]


def test_metrics_are_searched_and_described(port: int, place: Place) -> None:
    listed, described = _asked(
        port,
        _token(place, TENANTS[0], "admin"),
        TENANTS[0],
        [("list_metrics", {"search": "BILLED"}), ("describe_metric", {"name": "billed_amount"})],
    )
    assert {item["name"] for item in listed.structured_content["metrics"]} >= {"billed_amount", "billed_per_visit"}
    assert described.structured_content["unit"] == "usd"


def test_without_an_open_token_of_the_tenant_there_are_no_tools(port: int, place: Place) -> None:
    own, other = TENANTS
    good = _token(place, own, "admin")
    ended = _token(place, own, "admin")
    place.access.api_tokens.revoke(own, token_id(ended), actor="test")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}

    def status(token: str, tenant: str) -> int:
        headers = {"host": f"{tenant}.localhost:{port}", "accept": "application/json, text/event-stream"}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        return httpx.post(f"http://127.0.0.1:{port}{AGENTS_PATH}", json=asked, headers=headers, timeout=60).status_code

    assert status(good, own) == 200
    assert [status(token, own) for token in ("", ended, good[:-1])] == [401, 401, 401]
    assert status(good, other) == 403
    assert status(good, "nobody") == 404


def test_a_question_that_is_too_large_is_refused(port: int, place: Place) -> None:
    token = _token(place, TENANTS[0], "admin")
    headers = {"host": f"{TENANTS[0]}.localhost:{port}", "accept": "application/json, text/event-stream"}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"pad": "x" * LARGEST_BODY}}
    url = f"http://127.0.0.1:{port}{AGENTS_PATH}"
    answer = httpx.post(url, json=asked, headers=headers | {"authorization": f"Bearer {token}"}, timeout=60)
    assert answer.status_code == 413
