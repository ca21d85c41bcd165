"""Audit rows of requests that the server refused: forged sessions, foreign hosts and origins, forms that are not ours.

A stranger can send as many requests as the line carries, so the rows are bounded: at once one row for the first refusal of an
address, and then at most one a minute for each reason, with how many there were.
"""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from dashboards import served_home
from serving.people.caller import caller
from serving.people.principal import PLATFORM, Principal

EVERY_SECONDS = 60
ADDRESSES_KEPT = 1_000
UNKNOWN_ACTOR = "unknown"


@dataclass
class _Count:
    written_at: float
    waiting: int = 0


_COUNTS: dict[tuple[str, str, str, str], _Count] = {}
_LOCK = threading.Lock()


def record(
    connection: HTTPConnection,
    principal: Principal | None,
    tenant: str | None,
    status: int,
    *,
    known_paths: Collection[str],
) -> None:
    """Writes that a request was refused, or counts it where a row of its kind was written within the minute.

    `tenant` is the one that the host names. Of paths only `known_paths` and Streamlit's are kept: strangers make others up.
    """
    path = connection.url.path
    path_shown = path if path.startswith("/_stcore/") or path in known_paths else "page"
    tenant_id = tenant or (principal.tenant_id if principal else PLATFORM)
    actor = principal.email if principal else UNKNOWN_ACTOR
    refusal = (tenant_id, actor, f"{path_shown[:80]} {status}", caller().address)
    times = _due(refusal, time.monotonic())
    if times:
        detail = {"path": path_shown[:80], "kind": connection.scope["type"], "status": status, "times": times}
        served_home.access().audit(tenant_id, actor, "request", detail=detail, result="refused")


def _due(refusal: tuple[str, str, str, str], now: float) -> int:
    """How many refusals a row written now stands for; 0 where none is to be written."""
    with _LOCK:
        if refusal not in _COUNTS and len(_COUNTS) >= ADDRESSES_KEPT:
            for old in [key for key, count in _COUNTS.items() if now - count.written_at > EVERY_SECONDS]:
                del _COUNTS[old]
            if len(_COUNTS) >= ADDRESSES_KEPT:
                # So many addresses within a minute share a row.
                refusal = (PLATFORM, UNKNOWN_ACTOR, "many", "")
        count = _COUNTS.get(refusal)
        if count is None:
            _COUNTS[refusal] = _Count(now)
            return 1
        count.waiting += 1
        if now - count.written_at <= EVERY_SECONDS:
            return 0
        times, count.waiting, count.written_at = count.waiting, 0, now
        return times
