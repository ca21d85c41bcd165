"""The door of SCIM in the server. What is behind it is opened with the first request: its library takes most of a second."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards.request_body import body_up_to
from dashboards.scim import LARGEST_BODY, PREFIX


class ScimDoor:
    """ASGI middleware: answers everything below PREFIX and nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await body_up_to(request, LARGEST_BODY)
        response = await run_in_threadpool(_answer, request, body)
        await response(scope, receive, send)


def _answer(request: Request, body: bytes) -> Response:
    from dashboards.scim.application import answer

    return answer(request, body)
