"""Attacks on the orchestrator's page: forms, links and names of other pages. Its own page and tools of this machine get through."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from dagster_project import orchestrator_page
from dagster_project.orchestrator_page import Door, refusal

HERE = {"host": "127.0.0.1:3000"}
JSON = {"content-type": "application/json"}
MUTATION = "query=mutation%7BsetNuxSeen%7D"


async def _page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/{path:path}", _page, methods=["GET", "POST"]), WebSocketRoute("/graphql", _socket)]
    return TestClient(Door(Starlette(routes=routes)), base_url="http://127.0.0.1:3000")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        # The form that started runs: text, with the question in the address.
        ("POST", f"/graphql?{MUTATION}", {"origin": "http://evil.example", "content-type": "text/plain"}),
        ("POST", f"/graphql?{MUTATION}", {"origin": "null", "content-type": "text/plain"}),
        ("POST", f"/graphql?{MUTATION}", {"content-type": "text/plain"}),
        ("POST", "/graphql", {"origin": "http://evil.example", **JSON}),
        ("POST", "/graphql", {"sec-fetch-site": "cross-site", **JSON}),
        ("POST", "/report_asset_check/a", {"sec-fetch-site": "same-site"}),
        # A picture whose address is a question.
        ("GET", f"/graphql?{MUTATION}", {"sec-fetch-site": "cross-site"}),
        ("GET", f"/graphql?{MUTATION}", {}),
        # A name that was made to lead here.
        ("GET", "/", {"host": "evil.example"}),
        ("GET", "/", {"host": "127.0.0.1.evil.example:3000"}),
        ("POST", "/graphql", {"host": "evil.example:3000", "origin": "http://evil.example:3000", **JSON}),
    ],
)
def test_other_pages_and_names_are_refused(client: TestClient, method: str, path: str, headers: dict[str, str]) -> None:
    assert client.request(method, path, headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000"])
def test_its_own_page_and_tools_of_this_machine_get_through(client: TestClient, host: str) -> None:
    own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin", **JSON}
    assert client.post("/graphql", headers=own, content=b"{}").text == "reached"
    assert client.get("/runs", headers={"host": host, "sec-fetch-site": "none"}).text == "reached"
    # A link from another page opens the page, and asks nothing.
    assert client.get("/runs", headers={"host": host, "sec-fetch-site": "cross-site"}).text == "reached"
    assert client.post("/graphql", headers={"host": host, **JSON}, content=b"{}").text == "reached"


def test_a_socket_of_another_page_is_refused(client: TestClient) -> None:
    with client.websocket_connect("/graphql", headers={**HERE, "origin": "http://127.0.0.1:3000"}):
        pass
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/graphql", headers={**HERE, "origin": "http://evil.example"}),
    ):
        pass


@given(st.text(max_size=40))
def test_no_host_or_origin_but_this_machine_gets_a_change_through(name: str) -> None:
    if not refusal("POST", "/graphql", "", {**JSON, "host": name}):
        assert name.lower().rpartition("@")[2].startswith(("localhost", "127.", "[::1]"))
    if not refusal("POST", "/graphql", "", {**JSON, **HERE, "origin": f"http://{name}"}):
        assert name == HERE["host"]


def test_the_door_stands_in_front_of_the_application_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_webserver import cli

    served: list[Any] = []
    monkeypatch.setattr(cli, "create_app_from_workspace_process_context", lambda *_, **__: Starlette())
    monkeypatch.setattr(cli, "main", lambda: served.append(cli.create_app_from_workspace_process_context()))  # type: ignore[call-arg]
    monkeypatch.setattr(sys, "argv", ["dagster-webserver"])
    orchestrator_page.main()
    assert isinstance(served[0], Door)
