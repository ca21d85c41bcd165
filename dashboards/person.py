"""Who asks: looked up from the session cookie on the server, each time something is drawn or done, never from the URL or the
browser's state."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from dashboards import data, markup, served_home, widgets
from dashboards.data import Source
from dashboards.hosts import UnknownTenant, tenant_of_host
from dashboards.server import auth_gate
from foundation.errors import AccessError
from serving.people.caller import Caller, set_caller
from serving.people.principal import Principal
from serving.people.sessions import session_id

P = ParamSpec("P")


def session_token() -> str | None:
    """The token of the browser's session. Over TLS the gate has let the socket in by the prefixed cookie; a plain one beside it
    counts for nothing."""
    cookies = st.context.cookies
    return cookies.get(f"{auth_gate.HOST_PREFIX}{auth_gate.SESSION_COOKIE}") or cookies.get(auth_gate.SESSION_COOKIE)


def person() -> Principal | None:
    """The person of the session as of now, or None where it ended. Audit rows of this thread name the browser and the session from
    here on."""
    token = session_token()
    set_caller(Caller(channel="page", address=st.context.ip_address or "", session=session_id(token) if token else ""))
    return auth_gate.signed_in(token)


def signed_out() -> None:
    """Says so, and sends the browser to the sign-in."""
    text = "Your session ended. Sign in again."
    widgets.leave(markup.state("You are signed out", text, link=("Sign in", auth_gate.SIGN_IN)), auth_gate.SIGN_IN)


def host_fits(tenant_id: str) -> bool:
    """The gate checks this when the WebSocket opens; a script checks it again because a socket outlives a request."""
    named = st.context.headers.get("host", "")
    try:
        tenant = tenant_of_host(named, served_home.tenants(), served_home.served().domain)
    except UnknownTenant:
        return False
    return tenant in (None, tenant_id)


def still(source: Source, body: Callable[P, None]) -> Callable[P, None]:
    """The body of a fragment or a dialog, for the person who opened its page.

    Streamlit runs such a body alone, without the rest of the script: so it asks again who is signed in. Where the session ended it says
    so. Where the person's rights or the version have changed, the whole page is drawn again.
    """

    @wraps(body)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        now = person()
        if now is None:
            signed_out()
        elif not _sees_the_same(now, source):
            st.rerun()
        else:
            body(*args, **kwargs)

    return checked


def _sees_the_same(now: Principal, source: Source) -> bool:
    if now != source.principal:
        return False
    try:
        return data.source_of(now, as_of=source.asked_as_of).key == source.key
    except AccessError:
        return False
