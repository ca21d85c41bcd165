"""The way into a support session: the link that the console shows leads here, at the address of the organization.

A look at the link uses nothing up: the session opens with the button of the page.
"""

from collections.abc import Mapping

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboards import format as fmt
from dashboards import served_home
from dashboards.hosts import UnknownTenant, tenant_of_host
from dashboards.server import auth_gate, signin_html
from dashboards.server.forms import STALE_FORM, browser_of, fields_of, set_cookie
from dashboards.server.plain_html import hidden, page
from foundation.errors import AccessError
from serving.people.caller import caller

PURPOSE = "support"
STALE_LINK = "This link was used or is too old. Open the support session from the console again."


def _tenant_of_link(request: Request, link: str) -> str | None:
    """The organization of a link that fits the address it was opened at; None for every other link."""
    store = served_home.access()
    tenant_id = store.support_sessions.tenant_of_link(link) if link else None
    try:
        here = tenant_of_host(request.headers.get("host", ""), served_home.tenants(), served_home.served().domain)
    except UnknownTenant:
        return None
    return tenant_id if here in (None, tenant_id) else None


async def show(request: Request) -> Response:
    """GET /support."""
    return await run_in_threadpool(_show, request)


def _show(request: Request) -> Response:
    link = request.query_params.get("link", "")
    tenant_id = _tenant_of_link(request, link)
    if tenant_id is None:
        return signin_html.refused(STALE_LINK, 403)
    nonce = auth_gate.cookie_of(request, auth_gate.FORM_COOKIE) or auth_gate.new_nonce()
    name = served_home.tenants()[tenant_id]
    body = Markup(
        '<h1>Support session at {}</h1><p class="lead">You see the pages of {}, read only. Its people see that you are here, and '
        'everything that you look at is recorded.</p><form method="post" action="{}">{}{}'
        '<button type="submit">Open the pages</button></form>'
    ).format(name, name, auth_gate.SUPPORT, hidden("token", auth_gate.form_token(PURPOSE, nonce)), hidden("link", link))
    response = page("Support session", body)
    set_cookie(response, request, auth_gate.FORM_COOKIE, nonce)
    return response


async def enter(request: Request) -> Response:
    """POST /support."""
    fields = await fields_of(request)
    return await run_in_threadpool(_enter, request, fields)


def _enter(request: Request, fields: Mapping[str, str]) -> Response:
    store, link = served_home.access(), fields.get("link", "")
    nonce = auth_gate.cookie_of(request, auth_gate.FORM_COOKIE)
    if not auth_gate.sent_from_us(request, PURPOSE, nonce, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    if _tenant_of_link(request, link) is None:
        return signin_html.refused(STALE_LINK, 403)
    try:
        token = store.support_sessions.open_link(link, address=caller().address, browser=browser_of(request))
    except AccessError as error:
        return signin_html.refused(fmt.sentence(str(error)), 403)
    old = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    if old:
        store.end_session(old)
    response = RedirectResponse("/", status_code=303)
    set_cookie(response, request, auth_gate.SESSION_COOKIE, token)
    return response


ROUTES = [
    Route(auth_gate.SUPPORT, show, methods=["GET"]),
    Route(auth_gate.SUPPORT, enter, methods=["POST"]),
]
