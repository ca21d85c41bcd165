"""The door of embedding: answers everything below PREFIX and nothing else, in front of the gate of the pages.

A site's server asks for tickets with its secret. A browser opens a ticket in a frame, once; it gets one page of HTML and no cookie, so
nothing of the browser's other sessions counts here, and the page leads nowhere. Every page shown is a row of the audit with the site;
so is every refusal.
"""

import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards import failures, served_home
from dashboards.api.problems import ApiError, response_of
from dashboards.api.who import bearer_of, check_guesses, count_guess, opened
from dashboards.embedding import LARGEST_BODY, OPEN_PATH, PREFIX, TICKETS_PATH
from dashboards.embedding.document import as_html, message
from dashboards.embedding.views import Wish, report_of, ticket_for
from dashboards.hosts import UnknownTenant, tenant_of_host
from dashboards.request_body import body_up_to
from foundation.errors import AccessError, ClinicmartError, ConfigurationError, DamagedFileError
from serving.counters import PAGE_ERRORS, REQUESTS
from serving.model import NothingPublished
from serving.people.caller import Caller, set_caller
from serving.people.embedding_sites import EmbeddingSite
from serving.people.embedding_tickets import Ticket
from serving.people.principal import PLATFORM

CHANNEL = "embedding"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    # The site may isolate itself (COEP), and shows the frame all the same. Which site may is said by frame-ancestors.
    "cross-origin-resource-policy": "cross-origin",
}
TRANSPORT_SECURITY = ("strict-transport-security", "max-age=31536000")
# Who may frame an answer that no site may show.
NOBODY = "'none'"
# What a frame's browser says about the request, where it says anything (Fetch Metadata).
FRAMES = frozenset({"iframe", "frame"})
# One sentence for every cause: why a link was refused stands in the audit.
REFUSED = "This view cannot be shown. Reload the page around it."
NOT_NOW = "There is nothing to show at the moment. Try again later."
log = logging.getLogger(__name__)


class EmbeddingDoor:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] not in ("http", "websocket") or not (path == PREFIX or path.startswith(f"{PREFIX}/")):
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        body = await body_up_to(request, LARGEST_BODY)
        response = await run_in_threadpool(_answer, request, body)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if scope["scheme"] == "https":
            response.headers.setdefault(*TRANSPORT_SECURITY)
        REQUESTS.labels(f"{response.status_code // 100}xx").inc()
        await response(scope, receive, send)


def _answer(request: Request, body: bytes) -> Response:
    address = request.client.host if request.client else ""
    set_caller(Caller(channel=CHANNEL, address=address))
    try:
        match request.method, request.url.path:
            case "POST", path if path == TICKETS_PATH:
                return _tickets(request, body)
            case "GET", path if path == OPEN_PATH:
                return _shown(request, address)
            case _:
                return framed(message("There is no such page."), (), HTTPStatus.NOT_FOUND)
    except ApiError as error:
        return response_of(error)
    except Exception as error:
        # Its text may hold what was asked for.
        PAGE_ERRORS.inc()
        log.error("an embedded page failed: %s", failures.place_of(error))
        return framed(message(NOT_NOW), (), HTTPStatus.INTERNAL_SERVER_ERROR)


def _tickets(request: Request, body: bytes) -> Response:
    """A ticket for a site's server. Raises ApiError."""
    site, _ = opened(
        request,
        bearer_of(request),
        served_home.access().embedding_sites,
        channel=CHANNEL,
        action=CHANNEL,
        actor=lambda site: site.principal.email,
        advice="Send the site's secret: Authorization: Bearer SECRET.",
    )
    wish = _wish(body)
    try:
        token, life = ticket_for(site, wish)
    except NothingPublished as error:
        raise ApiError(HTTPStatus.CONFLICT, "nothing-published", str(error)) from None
    except AccessError as error:
        _refuse(site, {"page": wish.page, "unit": wish.unit, "reason": str(error)})
        raise ApiError(HTTPStatus.FORBIDDEN, "not-allowed", str(error)) from None
    except ConfigurationError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong-question", str(error)) from None
    except DamagedFileError as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "damaged", str(error), {"retry-after": "60"}) from None
    url = f"{request.url.scheme}://{request.headers['host']}{OPEN_PATH}?token={quote(token)}"
    expires = (datetime.now(UTC) + life).isoformat(timespec="seconds").replace("+00:00", "Z")
    return JSONResponse({"url": url, "expires_at": expires}, status_code=HTTPStatus.CREATED)


def _wish(body: bytes) -> Wish:
    if len(body) > LARGEST_BODY:
        raise ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"the body is larger than {LARGEST_BODY} bytes"
        )
    try:
        return Wish.model_validate(json.loads(body))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong-question", wrong) from None
    except ValueError:
        raise ApiError(HTTPStatus.BAD_REQUEST, "wrong-question", "the body is not JSON") from None


def _shown(request: Request, address: str) -> Response:
    """The page of a ticket for a browser's frame, or a sentence."""
    access = served_home.access()
    try:
        ticket = access.ticket_of(request.query_params.get("token", ""))
    except AccessError as error:
        _count_refusal(address)
        access.audit(PLATFORM, "unknown", CHANNEL, detail={"reason": str(error)}, result="refused")
        return framed(message(REFUSED), (), HTTPStatus.FORBIDDEN)
    site = access.embedding_sites.of_id(ticket.tenant_id, ticket.site_id)
    reason = _why_not(request, ticket, site)
    # Used in any case: what came to a wrong place may be in wrong hands.
    if not access.embedding_sites.use_ticket(ticket.ticket_id):
        reason = reason or "the link was used"
    if site is None or reason:
        # Counted apart from guesses: many readers of a site may have one address.
        _count_refusal(f"{CHANNEL}/{ticket.site_id}/{address}")
        _refuse_ticket(ticket, reason or "the site has ended")
        return framed(message(REFUSED), (ticket.origin,) if site else (), HTTPStatus.FORBIDDEN)
    set_caller(Caller(channel=CHANNEL, address=address, session=site.token_id))
    try:
        return framed(as_html(report_of(site, ticket), ticket.figure), (site.origin,), HTTPStatus.OK)
    except ClinicmartError as error:
        _refuse_ticket(ticket, str(error))
        status = HTTPStatus.FORBIDDEN if type(error) is AccessError else HTTPStatus.SERVICE_UNAVAILABLE
        return framed(message(REFUSED if status == HTTPStatus.FORBIDDEN else NOT_NOW), (site.origin,), status)


def _why_not(request: Request, ticket: Ticket, site: EmbeddingSite | None) -> str:
    """Why a ticket opens nothing here; empty where it does. What the browser says of the frame counts where it says something; that only
    the site's frame shows the page follows from frame-ancestors, which browsers keep."""
    if ticket.has_expired:
        return "the link has expired"
    if site is None:
        return "the site has ended"
    if site.origin != ticket.origin:
        return "the site has another origin"
    try:
        tenant = tenant_of_host(request.headers.get("host", ""), served_home.tenants(), served_home.served().domain)
    except UnknownTenant:
        return "the host is not ours"
    if tenant is not None and tenant != ticket.tenant_id:
        return "the host is of another tenant"
    if request.headers.get("sec-fetch-dest", "iframe") not in FRAMES:
        return "it was not opened in a frame"
    referrer = request.headers.get("referer", "").lower()
    if referrer and referrer != site.origin and not referrer.startswith(f"{site.origin}/"):
        return "it was opened from another site"
    return ""


def _count_refusal(subject: str) -> None:
    """Raises ApiError (429) for what was refused too often, so that nobody fills the audit; counts it otherwise."""
    check_guesses(subject)
    count_guess(subject)


def framed(html: str, origins: tuple[str, ...], status: HTTPStatus) -> HTMLResponse:
    """HTML that only a page of one of `origins` may frame, and that loads and sends nothing."""
    policy = "; ".join(
        (
            "default-src 'none'",
            "style-src 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {' '.join(origins) or NOBODY}",
            "sandbox",
        )
    )
    return HTMLResponse(html, status_code=status, headers={"content-security-policy": policy})


def _refuse(site: EmbeddingSite, detail: dict[str, object]) -> None:
    about = {"site": site.name, "origin": site.origin}
    served_home.access().audit(site.tenant_id, site.principal.email, CHANNEL, detail=about | detail, result="refused")


def _refuse_ticket(ticket: Ticket, reason: str) -> None:
    detail = {"origin": ticket.origin, "page": ticket.page, "ticket": ticket.ticket_id[:12], "reason": reason}
    served_home.access().audit(
        ticket.tenant_id, f"embedding:{ticket.site_id}", CHANNEL, detail=detail, result="refused"
    )
