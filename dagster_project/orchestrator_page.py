"""The orchestrator's page with a door: `python -m dagster_project.orchestrator_page` takes the options of `dagster-webserver`.

The page has no sign-in and listens on this machine alone. Still any web page in a browser of this machine can send it forms and
requests (CSRF), or give this machine another name and read the answers (DNS rebinding). So each request must name this machine as
its host, and a browser's request must come from the page itself.
"""

import importlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from foundation.exposure import is_loopback, is_own_origin

GRAPHQL = "/graphql"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})


def refusal(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Why a request is refused, or an empty text. `headers` have lower-case names; a socket's method is `WEBSOCKET`."""
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        return "This page answers at 127.0.0.1 and localhost alone."
    if not is_own_origin(origin, host):
        return "This request comes from another page."
    if method not in _READING or path.endswith(GRAPHQL):
        # A browser that follows a link from elsewhere sends no origin with GET, but says where the link stood.
        if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            return "This request comes from another page."
        if path.endswith(GRAPHQL) and method in _READING and parse_qs(query).keys() & {"query", "variables"}:
            return "Questions to /graphql are sent as JSON with POST."
        content = headers.get("content-type", "").partition(";")[0].strip().lower()
        if path.endswith(GRAPHQL) and method == "POST" and content != "application/json":
            return "Questions to /graphql are sent as JSON."
    return ""


class Door:
    """ASGI middleware: lets through what comes from this machine and this page, and answers 403 to the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        method = scope.get("method", "WEBSOCKET")
        headers = dict(Headers(scope=scope))
        reason = refusal(method, scope["path"], scope.get("query_string", b"").decode("latin-1"), headers)
        if not reason:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(reason, status_code=403)(scope, receive, send)


def main() -> None:
    """Runs `dagster-webserver` with the door in front of its application."""
    cli: Any = importlib.import_module("dagster_webserver.cli")
    make = cli.create_app_from_workspace_process_context

    def guarded(*args: Any, **options: Any) -> Door:
        return Door(make(*args, **options))

    cli.create_app_from_workspace_process_context = guarded
    cli.main()


if __name__ == "__main__":
    main()
