"""A home with two organizations and a platform administrator, and browsers at the console."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from dashboards import served_home
from dashboards.server import auth_gate, console_routes, refusals, signin_routes, support_routes
from foundation.home import Home
from serving.people.principal import PLATFORM, Role
from serving.people.store import AccessStore
from tests.dashboards.conftest import PASSWORD, Browser, _inside, _socket
from tests.dashboards.console.forms import ROOT


@pytest.fixture
def served(tmp_path: Any) -> served_home.Served:
    """A home for each test: they make organizations."""
    refusals._COUNTS.clear()
    home = Home.at(tmp_path / "home")
    store = AccessStore.open(home)
    for tenant in ("harbor", "mesa"):
        store.ensure_tenant(tenant, tenant.title())
        own = {"password": PASSWORD, "must_change": False}
        store.add_user(tenant, f"admin@{tenant}", display_name="Ada", role=Role.ORGANIZATION_ADMIN, **own)
    store.ensure_tenant(PLATFORM, "Platform")
    store.add_user(PLATFORM, ROOT, display_name="Root", role=Role.SUPER_ADMIN, password=PASSWORD, must_change=False)
    return served_home.configure(home)


@pytest.fixture
def browser(served: served_home.Served) -> Callable[..., Browser]:
    routes = [
        *signin_routes.ROUTES,
        *console_routes.ROUTES,
        *support_routes.ROUTES,
        Route("/{path:path}", _inside),
        WebSocketRoute("/_stcore/stream", _socket),
    ]
    site = Starlette(routes=routes, middleware=[Middleware(auth_gate.Gate, pages=["overview", "no_show"])])

    def make(base: str = "http://localhost:8501") -> Browser:
        return Browser(TestClient(site, base_url=base), base)

    return make


@pytest.fixture
def root(browser: Callable[..., Browser]) -> Browser:
    visitor = browser()
    assert visitor.sign_in(ROOT).status_code == 303
    return visitor
