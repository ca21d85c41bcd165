"""Sign-in with the tenant's identity provider: the way there, the way back, and what the provider says has ended.

What belongs to one attempt (state, nonce, PKCE verifier) stands sealed in a cookie of the browser for ten minutes; nothing of a stranger
is written here. The cookie goes with the answer, right or wrong.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboards import format as fmt
from dashboards import served_home
from dashboards.hosts import tenant_of_host
from dashboards.server import auth_gate, sealed_cookie, signin_html
from dashboards.server.forms import browser_of, delete_cookie, fields_of, keep_session
from foundation.comparing import is_same
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from serving.counters import SIGN_INS
from serving.people.caller import caller
from serving.people.oidc_client import authorization_address, check_answer, identity_of_code, identity_of_logout
from serving.people.oidc_store import NO_PROVIDER, OidcProvider

COOKIE = "clinicmart_oidc"
ATTEMPT_SECONDS = 600
STALE = "This sign-in was begun elsewhere, or too long ago. Begin again."
# A provider that answers slowly must not make pages wait.
_ASKING = CapacityLimiter(8)
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    tenant_id: str
    state: str
    nonce: str
    verifier: str
    next_path: str


async def _asking(handler: Callable[[Request], Response], request: Request) -> Response:
    """Runs a handler that asks a provider."""
    return await to_thread.run_sync(handler, request, limiter=_ASKING)


def _tenant_of(request: Request) -> str:
    """The tenant of the host, else the one that the address names, else the only one. Raises AccessError."""
    tenants = served_home.tenants()
    named = tenant_of_host(request.headers.get("host", ""), tenants, served_home.served().domain)
    asked = named or request.query_params.get("tenant", "") or (next(iter(tenants)) if len(tenants) == 1 else "")
    if asked not in tenants:
        raise AccessError("Open the address of your organization.")
    return asked


def _provider_of(tenant_id: str) -> OidcProvider:
    provider = served_home.access().oidc_provider(tenant_id)
    if provider is None:
        raise AccessError(NO_PROVIDER)
    return provider


def _redirect_uri(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}{auth_gate.OIDC_BACK}"


async def begin(request: Request) -> Response:
    """GET /signin/oidc: leads to the provider."""
    return await _asking(_begin, request)


def _begin(request: Request) -> Response:
    try:
        tenant_id = _tenant_of(request)
        attempt = _Attempt(
            tenant_id=tenant_id,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next_path=auth_gate.own_path(request.query_params.get("next")),
        )
        address = authorization_address(
            _provider_of(tenant_id),
            redirect_uri=_redirect_uri(request),
            state=attempt.state,
            nonce=attempt.nonce,
            verifier=attempt.verifier,
        )
    except ClinicmartError as error:
        return signin_html.refused(fmt.sentence(str(error)), 404)
    response = RedirectResponse(address, status_code=303)
    sealed_cookie.keep(response, request, COOKIE, tenant_id, asdict(attempt))
    return response


def _attempt_of(request: Request) -> _Attempt | None:
    """What this browser began here, not too long ago; None for anything else."""
    kept = sealed_cookie.kept(request, COOKIE, seconds=ATTEMPT_SECONDS)
    return _Attempt(**kept[1]) if kept else None


async def back(request: Request) -> Response:
    """GET /signin/oidc/back: the provider's answer."""
    response = await _asking(_back, request)
    delete_cookie(response, request, COOKIE)
    return response


def _back(request: Request) -> Response:
    attempt, answer = _attempt_of(request), request.query_params
    try:
        is_here = attempt is not None and _tenant_of_attempt(request, attempt.tenant_id)
    except AccessError as error:
        return signin_html.refused(str(error), 404)
    if attempt is None or not is_here or not is_same(answer.get("state", ""), attempt.state):
        return signin_html.refused(STALE, 403)
    try:
        token = _session(request, _provider_of(attempt.tenant_id), attempt, answer)
    except ClinicmartError as error:
        SIGN_INS.labels("identity provider", "refused").inc()
        if isinstance(error, ConfigurationError):
            log.error("sign-in at the identity provider: %s", error)
        return _sign_in_again(error)
    SIGN_INS.labels("identity provider", "done").inc()
    old = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    if old:
        served_home.access().end_session(old)
    response = RedirectResponse(auth_gate.way_on(token, attempt.next_path), status_code=303)
    keep_session(response, request, token)
    return response


def _session(request: Request, provider: OidcProvider, attempt: _Attempt, answer: Mapping[str, str]) -> str:
    """The token of a new session for the person whom the provider names. Raises ClinicmartError; each refusal is an audit row."""
    store, tenant_id, address = served_home.access(), provider.tenant_id, caller().address
    store.begin_oidc_attempt(tenant_id, address)
    try:
        check_answer(provider, answer)
        identity = identity_of_code(
            provider,
            code=answer["code"],
            nonce=attempt.nonce,
            verifier=attempt.verifier,
            redirect_uri=_redirect_uri(request),
            secret=store.oidc_client_secret(tenant_id),
        )
    except ClinicmartError:
        detail = {"by": "identity provider", "issuer": provider.issuer, "problem": "the answer was not confirmed"}
        store.audit(tenant_id, "unknown", "sign-in", detail=detail, result="refused")
        raise
    return store.begin_oidc_session(tenant_id, identity, address=address, browser=browser_of(request))


def _tenant_of_attempt(request: Request, tenant_id: str) -> bool:
    """Whether the host is of the tenant for which the sign-in began. Raises AccessError for a host of nobody."""
    named = tenant_of_host(request.headers.get("host", ""), served_home.tenants(), served_home.served().domain)
    return named in (None, tenant_id)


def _sign_in_again(error: ClinicmartError) -> Response:
    text = (
        str(error)
        if isinstance(error, AccessError)
        else "Sign-in at your provider is not set up rightly. Tell your administrator."
    )
    return signin_html.refused(fmt.sentence(text), 401)


async def ended(request: Request) -> Response:
    """POST /signin/oidc/ended: the provider says that a sign-in has ended there (back-channel logout)."""
    fields = await fields_of(request)
    return await to_thread.run_sync(_ended, request, fields, limiter=_ASKING)


def _ended(request: Request, fields: Mapping[str, str]) -> Response:
    try:
        tenant_id = _tenant_of(request)
        identity = identity_of_logout(_provider_of(tenant_id), fields.get("logout_token", ""))
        served_home.access().end_oidc_sessions(tenant_id, identity)
    except ClinicmartError:
        return PlainTextResponse("The logout token is refused.", status_code=400)
    return PlainTextResponse("")


ROUTES = [
    Route(auth_gate.OIDC, begin, methods=["GET"]),
    Route(auth_gate.OIDC_BACK, back, methods=["GET"]),
    Route(auth_gate.OIDC_ENDED, ended, methods=["POST"]),
]
