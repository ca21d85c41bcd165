"""`/mcp`: the agents' tools over HTTP, for whom a token opens them."""

from contextlib import AbstractContextManager
from contextvars import ContextVar

from fastapi.security.utils import get_authorization_scheme_param
from mcp.server.transport_security import TransportSecuritySettings
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards import served_home
from dashboards.agents.tools import create_server
from dashboards.api import AGENTS_PATH, LARGEST_BODY, problems
from dashboards.api.problems import ApiError
from dashboards.api.who import Asking, asking_with
from serving.people.api_tokens import FIGURES
from serving.reader import Reader, open_reader

_ASKING: ContextVar[Asking] = ContextVar("asking")


def _opens(as_of: str | None) -> AbstractContextManager[Reader]:
    """What the person of this request's token may see. Rights are those of this moment."""
    who = _ASKING.get()
    who.must_be_allowed(FIGURES)
    return open_reader(served_home.home(), who.principal, as_of=as_of)


class AgentDoor:
    """ASGI middleware: leads AGENTS_PATH to the tools, with the person of the token that was sent, and nothing else.

    The tools keep no session: each request is answered by itself. `running` must be open while it serves.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        server = create_server(_opens)
        self.tools = server.streamable_http_app(
            streamable_http_path=AGENTS_PATH,
            json_response=True,
            stateless_http=True,
            max_request_body_size=LARGEST_BODY,
            # Hosts are checked with the token, against the domain that is served.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self.sessions = server.session_manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self.sessions.run():
                await self.app(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"] != AGENTS_PATH:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        try:
            who = await run_in_threadpool(asking_with, request, token if scheme.lower() == "bearer" else "", "agent")
        except ApiError as error:
            await problems.response_of(error)(scope, receive, send)
            return
        marked = _ASKING.set(who)
        try:
            await self.tools(scope, receive, send)
        finally:
            _ASKING.reset(marked)
