"""What belongs to one attempt to sign in: sealed in a cookie of the browser for a short time. Nothing of a stranger is written here."""

import json
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboards import served_home
from dashboards.server import auth_gate
from dashboards.server.forms import set_cookie
from foundation.errors import ConfigurationError
from serving.people.sealed import seal, unseal

_BEGUN_AT = "begun_at"


def keep(response: Response, request: Request, cookie: str, tenant_id: str, values: Mapping[str, object]) -> None:
    """Gives the browser the values of an attempt at a tenant; they must fit JSON. The browser cannot read or change them."""
    text = json.dumps({**values, _BEGUN_AT: time.time()})
    set_cookie(response, request, cookie, f"{tenant_id}.{seal(served_home.served().form_key, tenant_id, cookie, text)}")


def kept(request: Request, cookie: str, *, seconds: float) -> tuple[str, Mapping[str, Any]] | None:
    """(tenant, values) of what this browser began at most so long ago; None for anything else."""
    tenant_id, _, sealed = (auth_gate.cookie_of(request, cookie) or "").partition(".")
    try:
        values = json.loads(unseal(served_home.served().form_key, tenant_id, cookie, sealed))
    except (ConfigurationError, ValueError):
        return None
    return (tenant_id, values) if 0 <= time.time() - values.pop(_BEGUN_AT) <= seconds else None
