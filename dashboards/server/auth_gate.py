"""The gate in front of everything: no session, no page, no data, no WebSocket.

It looks the session up on every request, checks it against the tenant that the host names, and refuses what is not
plainly allowed. Streamlit's own scripts and fonts are open: they hold no data and the sign-in page needs the font.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards import api, scim, served_home
from dashboards.hosts import UnknownTenant, tenant_of_host
from dashboards.server import refusals, signin_html
from dashboards.theme import PERSON_HEADER
from foundation.comparing import is_same
from foundation.exposure import is_own_origin
from serving.counters import REQUESTS
from serving.people.caller import Caller, set_caller
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.second_factors import Step
from serving.people.session_store import SignIn
from serving.people.sessions import session_id
from serving.platform import SUPPORT_PATH

SESSION_COOKIE = "clinicmart_session"
FORM_COOKIE = "clinicmart_form"
# Kept by a browser that has signed in before: strangers' wrong passwords do not slow it.
KNOWN_COOKIE = "clinicmart_known"
# Over TLS the cookies carry this prefix: a browser then takes them from this very host alone, not from a sibling of it.
HOST_PREFIX = "__Host-"
SIGN_IN, SIGN_OUT, PASSWORD, ACCOUNT, HEALTH = "/signin", "/signout", "/password", "/account", "/healthz"
READY = "/readyz"
# What platform administrators have in place of the pages.
CONSOLE = "/console"
# Where an administrator of the platform opens a support session, at the address of the organization.
SUPPORT = SUPPORT_PATH
SECOND_FACTOR, SET_UP = "/second-factor", "/second-factor/set-up"
# Sign-in with the tenant's identity provider: the way there, the way back, and where the provider says that a sign-in has ended.
OIDC, OIDC_BACK, OIDC_ENDED = "/signin/oidc", "/signin/oidc/back", "/signin/oidc/ended"
# Sign-in with a passkey, a person's passkeys, and the script that asks the browser for one.
PASSKEY, PASSKEYS, NEW_PASSKEY, PASSKEY_SCRIPT = "/signin/passkey", "/passkeys", "/passkeys/new", "/passkeys.js"
SIGN_IN_PATHS = frozenset(
    {
        SIGN_IN, SIGN_OUT, PASSWORD, ACCOUNT, SECOND_FACTOR, SET_UP, OIDC, OIDC_BACK, OIDC_ENDED, PASSKEY, PASSKEYS,
        NEW_PASSKEY, PASSKEY_SCRIPT, SUPPORT,
    }
)  # fmt: skip
# Who opens the account's pages is looked up there.
OPEN_PATHS = SIGN_IN_PATHS | {HEALTH, READY, "/favicon.png", "/favicon.ico"}
# Pages of a person's own account: who is in a support session has none here.
ACCOUNT_PATHS = frozenset({PASSWORD, ACCOUNT, SECOND_FACTOR, SET_UP, PASSKEYS, NEW_PASSKEY})
# Where a sign-in goes on that lacks a step.
STEP_PATHS = {Step.PASSWORD: PASSWORD, Step.CODE: SECOND_FACTOR, Step.ENROL: SET_UP}
OPEN_PREFIXES = ("/static/",)
STREAMLIT_PREFIXES = ("/_stcore/", "/component/", "/media/", "/vendor/")
WITHOUT_SESSION = "Sign in first."
NOT_FINISHED = "Finish signing in first."
OF_PLATFORM = "This page is for administrators of the platform."
NO_DATA = "Administrators of the platform see no data of an organization."
NO_ACCOUNT = "A support session shows pages and changes nothing. Your account is at the address of the platform."
OTHER_TENANT = "You are signed in for another organization."
REFUSALS = frozenset({403, 404})


def cookie_name(name: str, scheme: str) -> str:
    """The name under which a cookie of ours is set and read."""
    return f"{HOST_PREFIX}{name}" if is_https(scheme) else name


def cookie_of(connection: HTTPConnection, name: str) -> str | None:
    """The value of a cookie of ours, or None."""
    return connection.cookies.get(cookie_name(name, connection.scope["scheme"]))


def signed_in(token: str | None) -> Principal | None:
    """The person of a session token, looked up now; None for no, an ended or an outdated session."""
    return served_home.access().session(token) if token else None


def begun(token: str | None) -> SignIn | None:
    """The sign-in of a session token, which may lack a step: it opens the pages of sign-in alone."""
    return served_home.access().sign_in(token) if token else None


def path_of_step(step: Step | None, next_path: str = "/") -> str:
    """Where a sign-in goes on, and where it leads in the end."""
    if step is None:
        return next_path
    # A new password leads to the first page.
    is_plain = next_path == "/" or step is Step.PASSWORD
    return STEP_PATHS[step] + ("" if is_plain else f"?next={quote(next_path)}")


def way_on(token: str, next_path: str) -> str:
    """Where the browser of a new session goes."""
    state = begun(token)
    return SIGN_IN if state is None else path_of_step(state.step, next_path)


def _sign(text: str) -> str:
    return hmac.new(served_home.served().form_key, text.encode(), hashlib.sha256).hexdigest()


def new_nonce() -> str:
    """A new random text: 32 bytes in URL-safe Base64."""
    return secrets.token_urlsafe(32)


def form_token(purpose: str, bound_to: str) -> str:
    """The hidden field of a form: it fits one purpose and one browser (its session token, or a cookie before that)."""
    return _sign(f"form/{purpose}/{bound_to}")


def form_is_ours(purpose: str, bound_to: str | None, sent: str | None) -> bool:
    """Whether a form was sent from a page of ours."""
    return bool(bound_to and sent) and is_same(form_token(purpose, str(bound_to)), str(sent))


def same_origin(connection: HTTPConnection) -> bool:
    """Whether a form came from our own pages, as far as the browser says."""
    return is_own_origin(connection.headers.get("origin"), connection.headers.get("host", ""))


def sent_from_us(connection: HTTPConnection, purpose: str, bound_to: str | None, sent: str | None) -> bool:
    """Whether a form of a purpose was sent from a page of ours in this browser: by the browser's word, and by its hidden field."""
    return same_origin(connection) and form_is_ours(purpose, bound_to, sent)


def own_path(value: str | None) -> str:
    """A path of ours to go on to; anything that could lead elsewhere becomes the first page."""
    if not value or not value.startswith("/") or value.startswith(("//", "/\\")) or "\\" in value or "\n" in value:
        return "/"
    return value if urlsplit(value).netloc == "" and not value.startswith((SIGN_IN, SIGN_OUT, SECOND_FACTOR)) else "/"


def _asks_with_token(path: str) -> bool:
    """Whether the API, the agents' tools or SCIM answer there. They look the token up, and record refusals, themselves."""
    return path.startswith((f"{api.PREFIX}/", f"{scim.PREFIX}/")) or path == api.AGENTS_PATH


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES) or _asks_with_token(path)


def _content_policy() -> str:
    """What pages may load: our own files. Streamlit's page has one script in it, named here by its hash; it sets styles in
    elements, draws charts from `data:` and `blob:`, and compiles WebAssembly."""
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")
    digests = (
        hashlib.sha256(text.encode()).digest() for text in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    )
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'self'",
            # Streamlit loads the script of our markup from a `blob:`, which only scripts of this page can make.
            f"script-src 'self' blob: 'wasm-unsafe-eval' {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'self'",
        )
    )


SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "content-security-policy": _content_policy(),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
TRANSPORT_SECURITY = ("strict-transport-security", "max-age=31536000")


class Gate:
    """ASGI middleware: lets a request through, sends a browser to the sign-in page, or refuses with 403.

    `pages` are the addresses of pages, without slash, the first page's first; a browser that asks for another gets our page that
    says so. Without them every address is let through.
    """

    def __init__(self, app: ASGIApp, pages: Sequence[str] = ()) -> None:
        self.app = app
        self.pages = tuple(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        scope = with_person(scope)
        set_caller(caller_of(HTTPConnection(scope)))

        is_answered = False

        async def guarded_send(message: Message) -> None:
            nonlocal is_answered
            status = _refused_with(message, is_answered)
            is_answered = True
            if status:
                await run_in_threadpool(_record_refusal, HTTPConnection(scope), status)
            if message["type"] == "http.response.start":
                REQUESTS.labels(f"{message['status'] // 100}xx").inc()
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if is_https(scope["scheme"]):
                    headers.setdefault(*TRANSPORT_SECURITY)
                if not path.startswith(OPEN_PREFIXES):
                    headers["cache-control"] = "no-store"
            await send(message)

        connection = HTTPConnection(scope)
        if scope["type"] == "http" and _is_open(path):
            if path in ACCOUNT_PATHS and await run_in_threadpool(_is_support, connection):
                await _refuse(connection, NO_ACCOUNT, 403)(scope, receive, guarded_send)
            else:
                await self.app(scope, receive, guarded_send)
            return
        refusal = await run_in_threadpool(self._refusal, connection) or self._elsewhere(connection)
        if refusal is None:
            await self.app(scope, receive, guarded_send)
        elif scope["type"] == "websocket":
            # Closed before it is accepted: the server answers 403 and no frame is ever read.
            await receive()
            await guarded_send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, guarded_send)

    def _elsewhere(self, connection: HTTPConnection) -> Response | None:
        """The answer to a browser that asks for an address without a page; None for a page and for Streamlit's own files.

        The first page has the address of the home alone: its own name leads there.
        """
        name = connection.url.path.strip("/")
        is_ours = (
            not name
            or name in self.pages[1:]
            or is_console(connection.url.path)
            or connection.url.path.startswith(STREAMLIT_PREFIXES)
        )
        if not self.pages or is_ours or not _wants_page(connection):
            return None
        if name == self.pages[0]:
            query = f"?{connection.url.query}" if connection.url.query else ""
            return RedirectResponse(f"/{query}", status_code=303)
        return signin_html.not_found()

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        """The answer to a request that may not pass; None for one that may."""
        token = cookie_of(connection, SESSION_COOKIE)
        state = begun(token)
        try:
            tenant = tenant_of_host(
                connection.headers.get("host", ""), served_home.tenants(), served_home.served().domain
            )
        except UnknownTenant as error:
            return _refuse(connection, str(error), 404)
        if state is None:
            if _wants_page(connection):
                return RedirectResponse(f"{SIGN_IN}?next={quote(_wanted(connection))}", status_code=303)
            return _refuse(connection, WITHOUT_SESSION, 403)
        if tenant is not None and tenant != state.principal.tenant_id:
            return _refuse(connection, OTHER_TENANT, 403)
        if state.step is not None:
            if _wants_page(connection):
                return RedirectResponse(path_of_step(state.step, _wanted(connection)), status_code=303)
            return _refuse(connection, NOT_FINISHED, 403)
        if ROLES[state.principal.role].is_of_platform != is_console(connection.url.path):
            return _other_side(connection, state.principal)
        return None


def _is_support(connection: HTTPConnection) -> bool:
    """Whether the browser is in a support session."""
    principal = signed_in(cookie_of(connection, SESSION_COOKIE))
    return principal is not None and ROLES[principal.role].is_of_support


def is_console(path: str) -> bool:
    """Whether an address is of the console."""
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def _other_side(connection: HTTPConnection, principal: Principal) -> Response:
    """The answer to a platform administrator who asks for a page of figures, and to others who ask for the console."""
    if not ROLES[principal.role].is_of_platform:
        return _refuse(connection, OF_PLATFORM, 403)
    return RedirectResponse(CONSOLE, status_code=303) if _wants_page(connection) else _refuse(connection, NO_DATA, 403)


def _wanted(connection: HTTPConnection) -> str:
    """The path of ours that a browser asked for."""
    return own_path(connection.url.path + (f"?{connection.url.query}" if connection.url.query else ""))


def _refused_with(message: Message, is_answered: bool) -> int:
    """The status of an answer that refuses; 0 for every other message. A socket closed before it is accepted answers 403."""
    if is_answered:
        return 0
    if message["type"] == "http.response.start" and message["status"] in REFUSALS:
        return int(message["status"])
    return 403 if message["type"] == "websocket.close" else 0


def _record_refusal(connection: HTTPConnection, status: int) -> None:
    """Audits a refusal before its answer leaves. That a browser without a session asks for a page is none."""
    state = begun(cookie_of(connection, SESSION_COOKIE))
    principal = state.principal if state else None
    try:
        tenant = tenant_of_host(connection.headers.get("host", ""), served_home.tenants(), served_home.served().domain)
    except UnknownTenant:
        tenant = None
    else:
        if status == 404:
            # A file that is not there, at an address that is ours.
            return
        if _asks_with_token(connection.url.path):
            return
    tenant_id = tenant if principal is None else principal.tenant_id
    refusals.record(connection, principal, tenant_id, status, known_paths=SIGN_IN_PATHS)


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks, for the audit. The address is that of the connection, or what the trusted proxy says it is."""
    token = cookie_of(connection, SESSION_COOKIE)
    address = connection.client.host if connection.client else ""
    return Caller(channel="page", address=address, session=session_id(token) if token else "")


def with_person(scope: Scope) -> Scope:
    """A request whose PERSON_HEADER is a hash of its session token and nothing that the client sent.

    Streamlit keeps the header with the live page and gives the page to no socket with another one.
    """
    name = PERSON_HEADER.lower().encode()
    token = cookie_of(HTTPConnection(scope), SESSION_COOKIE)
    value = hashlib.sha256(f"person/{token}".encode()).hexdigest() if token else ""
    return {
        **scope,
        "headers": [*(pair for pair in scope["headers"] if pair[0].lower() != name), (name, value.encode())],
    }


def _wants_page(connection: HTTPConnection) -> bool:
    """Whether a browser navigates, rather than a script asking for data."""
    return (
        connection.scope["type"] == "http"
        and connection.scope["method"] in ("GET", "HEAD")
        and "text/html" in connection.headers.get("accept", "")
    )


def _refuse(connection: HTTPConnection, text: str, status: int) -> Response:
    if _wants_page(connection):
        return signin_html.refused(text, status)
    return PlainTextResponse(text, status_code=status)


def is_https(scheme: str) -> bool:
    """Whether the browser uses TLS, to us or to the proxy that uvicorn trusts (it sets the scheme)."""
    return scheme in ("https", "wss")
