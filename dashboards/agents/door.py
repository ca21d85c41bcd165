"""`/mcp`: the agents' tools over HTTP, for whom a token opens them."""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

import anyio
from anyio.abc import TaskStatus
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards import served_home
from dashboards.api import AGENTS_PATH, problems
from dashboards.api.problems import ApiError
from dashboards.api.who import Asking, asking_with, bearer_of
from serving.people.api_tokens import FIGURES
from serving.reader import Reader, open_reader

_ASKING: ContextVar[Asking] = ContextVar("asking")


def _opens(as_of: str | None) -> AbstractContextManager[Reader]:
    """What the person of this request's token may see. Rights are those of this moment."""
    who = _ASKING.get()
    who.must_be_allowed(FIGURES)
    return open_reader(served_home.home(), who.principal, as_of=as_of)


def _tools() -> Any:
    """The tools as an application, and what must run while it answers."""
    from dashboards.agents.tools import create_application

    return create_application(_opens)


class AgentDoor:
    """ASGI middleware: leads AGENTS_PATH to the tools, with the person of the token that was sent, and nothing else.

    The tools keep no session: each request is answered by itself. The first agent's request opens them, because their library takes
    most of a second to import, and most servers have no agents.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._tools: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._opening = anyio.Lock()
            async with anyio.create_task_group() as self._group:
                await self.app(scope, receive, send)
                self._group.cancel_scope.cancel()
            return
        if scope["type"] != "http" or scope["path"] != AGENTS_PATH:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            who = await run_in_threadpool(asking_with, request, bearer_of(request), "agent")
        except ApiError as error:
            await problems.response_of(error)(scope, receive, send)
            return
        tools = await self._opened()
        marked = _ASKING.set(who)
        try:
            await tools(scope, receive, send)
        finally:
            _ASKING.reset(marked)

    async def _opened(self) -> ASGIApp:
        async with self._opening:
            if self._tools is None:
                self._tools = await self._group.start(self._run)
        return self._tools

    async def _run(self, *, task_status: TaskStatus[ASGIApp]) -> None:
        """Holds the tools open until the server ends."""
        tools, sessions = await run_in_threadpool(_tools)
        async with sessions.run():
            task_status.started(tools)
            await anyio.sleep_forever()
