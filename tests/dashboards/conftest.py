"""A home with people, a fake reader in place of the warehouse, and the ways in: HTTP and Streamlit's own test runner."""

import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from dashboards import data, served_home
from dashboards.api import who
from dashboards.scim.door import ScimDoor
from dashboards.server import (
    app,
    auth_gate,
    health_routes,
    oidc_routes,
    passkey_routes,
    second_factor_routes,
    signin_routes,
)
from foundation.home import Home
from serving.people.principal import Principal, Role
from serving.people.store import AccessStore
from tests.dashboards import fake_reader, fake_visits

PASSWORD = "correct horse battery 9"


VISITS = fake_visits.visits()


@pytest.fixture(scope="session", autouse=True)
def _imports_set_aside() -> None:
    """Streamlit collects garbage after each run of a page: what was imported is left out, as the server does (`server/warm.py`)."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def visits() -> Any:
    return VISITS


@pytest.fixture
def reader() -> Any:
    """A fresh reader over the same visits; a test may change what it grants."""
    return fake_reader.FakeReader(visits=VISITS)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that tests share: each makes people and things under names that no other test uses."""
    return new_home(tmp_path_factory.mktemp("dashboards") / "home")


def new_home(path: Path) -> Home:
    """Two tenants, in each an administrator."""
    made = Home.at(path)
    store = AccessStore.open(made)
    for tenant, name in (("harbor", "Harbor Health"), ("mesa", "Mesa Verde Clinics")):
        store.ensure_tenant(tenant, name)
        store.add_user(
            tenant,
            f"admin@{tenant}",
            display_name="Ada Admin",
            role=Role.ORGANIZATION_ADMIN,
            password=PASSWORD,
            must_change=False,
        )
    return made


@pytest.fixture
def served(home: Home) -> served_home.Served:
    return served_home.configure(home)


@pytest.fixture
def principal() -> Principal:
    return Principal(tenant_id="harbor", email="admin@harbor", display_name="Ada Admin", role=Role.ORGANIZATION_ADMIN)


@pytest.fixture
def source(reader: Any, principal: Principal) -> Iterator[data.Source]:
    data._answer.clear()
    yield data.Source(reader, principal)
    data._answer.clear()


async def _inside(request: Any) -> PlainTextResponse:
    return PlainTextResponse("inside")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("inside")
    await socket.close()


@pytest.fixture
def site(served: served_home.Served) -> Starlette:
    """The gate and the sign-in routes in front of one page and one socket, without Streamlit's runtime."""
    routes = [
        *signin_routes.ROUTES,
        *second_factor_routes.ROUTES,
        *oidc_routes.ROUTES,
        *passkey_routes.ROUTES,
        *health_routes.ROUTES,
        Route("/{path:path}", _inside),
        WebSocketRoute("/_stcore/stream", _socket),
    ]
    return Starlette(
        routes=routes, middleware=[Middleware(auth_gate.Gate, pages=["overview", "no_show"]), Middleware(ScimDoor)]
    )


@dataclass
class Browser:
    """A client that keeps cookies and fills forms as a browser does."""

    client: TestClient
    base: str = "http://localhost:8501"

    def get(self, path: str, **more: Any) -> Any:
        headers = {"accept": "text/html", **more.pop("headers", {})}
        return self.client.get(self.base + path, headers=headers, follow_redirects=False, **more)

    def post(self, path: str, fields: dict[str, str], **more: Any) -> Any:
        headers = {"origin": self.base, **more.pop("headers", {})}
        return self.client.post(self.base + path, data=fields, headers=headers, follow_redirects=False, **more)

    def socket(self, path: str = "/_stcore/stream") -> Any:
        return self.client.websocket_connect(self.base.replace("http", "ws", 1) + path)

    def token_on(self, path: str) -> str:
        text = self.get(path).text
        return text.split('name="token" value="')[1].split('"')[0]

    def sign_in(self, email: str = "admin@harbor", password: str = PASSWORD, **fields: str) -> Any:
        token = self.token_on("/signin")
        return self.post("/signin", {"token": token, "email": email, "password": password, **fields})


@pytest.fixture
def browser(site: Starlette) -> Callable[..., Browser]:
    """Makes browsers: `browser()` at localhost, `browser("http://harbor.localhost:8501")` at a tenant's address."""

    def make(base: str = "http://localhost:8501") -> Browser:
        return Browser(TestClient(site, base_url=base), base)

    return make


@pytest.fixture
def page(served: served_home.Served, reader: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Runs a page signed in: `page("no_show", place="behavioral")`."""
    token = served.access.create_session(served.access.principal("harbor", "admin@harbor"))
    data._answer.clear()

    def run(key: str = "", *, cookie: str | None = token, address: str = "localhost:8501", **params: str) -> AppTest:
        cookies = {auth_gate.SESSION_COOKIE: cookie} if cookie else {}
        monkeypatch.setattr(data, "open_reader", lambda home, principal: reader)
        monkeypatch.setattr(type(st.context), "cookies", property(lambda _: cookies))
        monkeypatch.setattr(type(st.context), "headers", property(lambda _: {"host": address}))
        test = AppTest.from_file(str(app.ENTRY), default_timeout=120)
        test.query_params.update(params)
        # Streamlit names a page by the hash of its URL path; its test runner has no other way to open one.
        test._page_hash = calc_hash(key) if key else ""
        return test.run()

    return run


@pytest.fixture
def provider(site: Starlette, served: served_home.Served) -> Callable[..., TestClient]:
    """The identity provider of a tenant: `provider("harbor")` is a client of SCIM with a token of the tenant, at its address or another
    one."""
    who._limiter.storage.reset()

    def make(tenant: str = "harbor", base: str | None = None, token: str | None = None) -> TestClient:
        token = token or served.access.scim_tokens.create(tenant, name="Okta", days=30, actor=f"admin@{tenant}")
        address = base or f"http://{tenant}.localhost:8501"
        headers = {"authorization": f"Bearer {token}"}
        return TestClient(site, base_url=f"{address}/scim/v2", headers=headers)

    return make


def markup_of(test: AppTest) -> str:
    """All markup that a page drew, in order; what stands in an open drawer comes last."""
    found = []
    # The style sheet stands beside the drawer, outside the page.
    beside = [element for element in test._tree[2] if element.type != "html"]
    for element in [*test.main, *beside]:
        if element.type == "bidi_component":
            found.append(json.loads(element.proto.json).get("html", ""))
        elif element.type == "html":
            found.append(element.proto.body)
    return "\n".join(found)


@pytest.fixture(name="markup_of")
def markup_of_fixture() -> Callable[[AppTest], str]:
    return markup_of
