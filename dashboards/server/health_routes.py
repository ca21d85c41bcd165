"""`/healthz` and `/readyz`: for programs that watch the server. Both need no sign-in, and name no tenant."""

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboards import served_home
from dashboards.server import auth_gate
from serving.readiness import not_ready

READINESS_SECONDS = 5.0
_readiness: tuple[float, tuple[str, ...]] | None = None


async def healthz(_: Request) -> Response:
    """GET /healthz: the process answers. Says nothing about any tenant."""
    return JSONResponse({"status": "ok"})


async def readyz(_: Request) -> Response:
    """GET /readyz: whether the home can be served, else 503 with the codes of `serving.readiness`. Says nothing about any tenant."""
    reasons = await run_in_threadpool(_not_ready)
    if reasons:
        return JSONResponse({"status": "not ready", "reasons": list(reasons)}, status_code=503)
    return JSONResponse({"status": "ready"})


def _not_ready() -> tuple[str, ...]:
    """Asked at most every few seconds: anybody may ask."""
    global _readiness
    now = time.monotonic()
    if _readiness is None or now - _readiness[0] > READINESS_SECONDS:
        _readiness = (now, not_ready(served_home.home().path))
    return _readiness[1]


ROUTES = [
    Route(auth_gate.HEALTH, healthz, methods=["GET"]),
    Route(auth_gate.READY, readyz, methods=["GET"]),
]
