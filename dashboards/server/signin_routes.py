"""Sign-in, sign-out and the first password: plain pages served beside Streamlit, before any of its scripts run."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboards import data, served_home
from dashboards import format as fmt
from dashboards.hosts import UnknownTenant, tenant_of_host
from dashboards.server import auth_gate, passkey_routes, signin_html
from dashboards.server.forms import (
    STALE_FORM,
    begin_session,
    delete_cookie,
    fields_of,
    hashing,
    set_cookie,
)
from foundation.errors import AccessError, ClinicmartError
from serving.counters import SIGN_INS
from serving.people import oidc_client
from serving.people.branding import PLAIN
from serving.people.caller import caller
from serving.people.principal import PLATFORM, Principal
from serving.people.second_factors import Step
from serving.people.sessions import session_id

STALE_LINK = "This link was used, is too old, or was replaced by a newer one. Ask your administrator for another."
WRONG = "The user name or the password is wrong."
PASSWORDS_DIFFER = "The two passwords differ."


def _tenant_of(request: Request) -> str | None:
    return tenant_of_host(request.headers.get("host", ""), served_home.tenants(), served_home.served().domain)


def _nonce_of(request: Request) -> str:
    return auth_gate.cookie_of(request, auth_gate.FORM_COOKIE) or auth_gate.new_nonce()


def _sign_in_page(
    request: Request,
    *,
    tenant: str | None,
    problem: str = "",
    status: int = 200,
    tenant_given: str = "",
    email: str = "",
    next_path: str = "/",
) -> Response:
    nonce = _nonce_of(request)
    tenants = served_home.tenants()
    # The organization whose page this is: that of the address, else the only one.
    whose = tenant or (next(iter(tenants)) if len(tenants) == 1 else "")
    response = signin_html.sign_in(
        token=auth_gate.form_token("signin", nonce),
        tenant_name=tenants.get(tenant, "") if tenant else "",
        ask_tenant=tenant is None and len(tenants) != 1,
        tenant_given=tenant_given,
        email=email,
        next_path=next_path,
        takes_passkeys=passkey_routes.place_of(request) is not None,
        provider=_provider(whose, next_path),
        brand=served_home.access().brandings.shown(whose) if whose else PLAIN,
        problem=problem,
        status=status,
    )
    set_cookie(response, request, auth_gate.FORM_COOKIE, nonce)
    return response


def _provider(tenant_id: str, next_path: str) -> tuple[str, str] | None:
    """Name and address of the sign-in at the tenant's identity provider; None where it has none, or is not known yet."""
    provider = served_home.access().oidc_provider(tenant_id) if tenant_id else None
    if provider is None:
        return None
    return provider.name, f"{auth_gate.OIDC}?{urlencode({'tenant': tenant_id, 'next': next_path})}"


async def show_sign_in(request: Request) -> Response:
    """GET /signin."""
    next_path = auth_gate.own_path(request.query_params.get("next"))
    try:
        tenant = await run_in_threadpool(_tenant_of, request)
    except UnknownTenant as error:
        return signin_html.refused(str(error), 404)
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    begun = await run_in_threadpool(auth_gate.begun, token)
    if begun is not None and tenant in (None, begun.principal.tenant_id):
        return RedirectResponse(auth_gate.path_of_step(begun.step, next_path), status_code=303)
    return await run_in_threadpool(_sign_in_page, request, tenant=tenant, next_path=next_path)


def _chosen_tenant(host_tenant: str | None, tenant_field: str, email: str, tenants: Mapping[str, str]) -> str:
    """The tenant to sign in for: the host's, else the field's, else the one that the user name ends with, else the only one."""
    if host_tenant is not None:
        return host_tenant
    if tenant_field:
        return tenant_field.strip().lower()
    ending = email.rpartition("@")[2]
    if ending in tenants or ending == PLATFORM:
        return ending
    return next(iter(tenants)) if len(tenants) == 1 else ""


async def sign_in(request: Request) -> Response:
    """POST /signin."""
    fields = await fields_of(request)
    return await hashing(_sign_in, request, fields)


def _sign_in(request: Request, fields: Mapping[str, str]) -> Response:
    store = served_home.access()
    try:
        host_tenant = _tenant_of(request)
    except UnknownTenant as error:
        return signin_html.refused(str(error), 404)
    email = fields.get("email", "").strip().lower()
    next_path = auth_gate.own_path(fields.get("next"))
    tenant_field = fields.get("tenant", "").strip()
    again: dict[str, Any] = {
        "tenant": host_tenant,
        "tenant_given": tenant_field,
        "email": email,
        "next_path": next_path,
    }
    nonce = auth_gate.cookie_of(request, auth_gate.FORM_COOKIE)
    if not auth_gate.sent_from_us(request, "signin", nonce, fields.get("token")):
        return _sign_in_page(request, problem=STALE_FORM, status=403, **again)
    tenant = _chosen_tenant(host_tenant, tenant_field, email, served_home.tenants())
    known_cookie = auth_gate.cookie_of(request, auth_gate.KNOWN_COOKIE) or ""
    try:
        principal = store.authenticate(
            tenant, email, fields.get("password", ""), address=caller().address, browser_mark=known_cookie
        )
    except AccessError as error:
        SIGN_INS.labels("password", "refused").inc()
        return _sign_in_page(request, problem=str(error) or WRONG, status=401, **again)
    SIGN_INS.labels("password", "done").inc()
    old = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    if old:
        store.end_session(old)
    response = RedirectResponse(next_path, status_code=303)
    token = begin_session(response, request, principal)
    response.headers["location"] = auth_gate.way_on(token, next_path)
    delete_cookie(response, request, auth_gate.FORM_COOKIE)
    return response


async def sign_out(request: Request) -> Response:
    """POST /signout."""
    fields = await fields_of(request)
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    if not auth_gate.sent_from_us(request, "signout", token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    return await run_in_threadpool(_sign_out, request, str(token))


def _sign_out(request: Request, token: str) -> Response:
    store, principal = served_home.access(), auth_gate.signed_in(token)
    provider = store.oidc_provider(principal.tenant_id) if principal and store.is_oidc_session(token) else None
    store.end_session(token)
    response: Response = (
        RedirectResponse(auth_gate.SIGN_IN, status_code=303)
        if provider is None
        else signin_html.signed_out_here(
            provider.name, oidc_client.sign_out_address(provider, f"{request.base_url}signin")
        )
    )
    delete_cookie(response, request, auth_gate.SESSION_COOKIE)
    return response


async def show_password(request: Request) -> Response:
    """GET /password: for a session whose password is still the one-time one, and for a link to choose a new one."""
    return await run_in_threadpool(_show_password, request)


def _show_password(request: Request) -> Response:
    reset = request.query_params.get("reset")
    if reset:
        if served_home.access().person_of_reset(reset) is None:
            return signin_html.refused(STALE_LINK, 403)
        return _password_form(request, reset)
    begun = auth_gate.begun(auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE))
    if begun is None or begun.step is not Step.PASSWORD:
        return RedirectResponse(auth_gate.path_of_step(begun.step) if begun else auth_gate.SIGN_IN, status_code=303)
    return _password_form(request, "")


def _password_form(request: Request, reset: str, problem: str = "", status: int = 200) -> Response:
    """The form is bound to the link or to the session."""
    bound = reset or auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE) or ""
    token = auth_gate.form_token("password", bound)
    return signin_html.password(token=token, reset=reset, problem=problem, status=status)


async def set_password(request: Request) -> Response:
    """POST /password."""
    fields = await fields_of(request)
    return await hashing(_set_password, request, fields)


def _set_password(request: Request, fields: Mapping[str, str]) -> Response:
    store, reset = served_home.access(), fields.get("reset", "")
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    begun = None if reset else auth_gate.begun(token)
    principal = begun.principal if begun else store.person_of_reset(reset) if reset else None
    if principal is None:
        return signin_html.refused(STALE_LINK, 403) if reset else RedirectResponse(auth_gate.SIGN_IN, status_code=303)
    if not auth_gate.sent_from_us(request, "password", reset or token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    if begun is not None and begun.step is not Step.PASSWORD:
        return RedirectResponse("/", status_code=303)
    if fields.get("password", "") != fields.get("again", ""):
        return _password_form(request, reset, PASSWORDS_DIFFER, 400)
    try:
        store.set_password(
            principal.tenant_id, principal.email, fields.get("password", ""), reset="" if begun else reset
        )
    except ClinicmartError as error:
        return _password_form(request, reset, fmt.sentence(str(error)), 400)
    # Every session has ended with the old password; this browser gets a new one.
    response = RedirectResponse("/", status_code=303)
    begin_session(response, request, principal)
    return response


async def show_account(request: Request) -> Response:
    """GET /account: change of password, and where one is signed in."""
    return await run_in_threadpool(_account_page, request)


def _account_page(request: Request, problem: str = "", status: int = 200) -> Response:
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    principal = auth_gate.signed_in(token)
    if principal is None or token is None:
        # Who has begun to sign in goes on from there.
        return RedirectResponse(f"{auth_gate.SIGN_IN}?next={auth_gate.ACCOUNT}", status_code=303)
    here = session_id(token)
    time_zone = data.time_zone_of(principal)
    return signin_html.account(
        token=auth_gate.form_token("account", token),
        email=principal.email,
        sessions=[
            (
                fmt.moment(item.last_seen_at, time_zone),
                item.address,
                signin_html.browser_name(item.browser),
                item.session_id == here,
            )
            for item in served_home.access().open_sessions(principal)
        ],
        second_factor=served_home.access().second_factor(principal),
        passkeys=len(served_home.access().passkeys(principal)),
        provider=_provider_of_session(principal, token),
        problem=problem,
        status=status,
    )


def _provider_of_session(principal: Principal, token: str) -> str:
    """The name of the identity provider at which a session began; empty for one that began with a password."""
    store = served_home.access()
    provider = store.oidc_provider(principal.tenant_id) if store.is_oidc_session(token) else None
    return provider.name if provider else ""


async def change_account(request: Request) -> Response:
    """POST /account: a new password, or the end of every session."""
    fields = await fields_of(request)
    return await hashing(_change_account, request, fields)


def _change_account(request: Request, fields: Mapping[str, str]) -> Response:
    store, token = served_home.access(), auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    principal = auth_gate.signed_in(token)
    if principal is None:
        return RedirectResponse(auth_gate.SIGN_IN, status_code=303)
    if not auth_gate.sent_from_us(request, "account", token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    if fields.get("action") == "end":
        store.end_sessions(principal)
        response = RedirectResponse(auth_gate.SIGN_IN, status_code=303)
        delete_cookie(response, request, auth_gate.SESSION_COOKIE)
        return response
    if fields.get("password", "") != fields.get("again", ""):
        return _account_page(request, PASSWORDS_DIFFER, 400)
    try:
        store.change_password(
            principal, fields.get("current", ""), fields.get("password", ""), address=caller().address
        )
    except ClinicmartError as error:
        return _account_page(request, fmt.sentence(str(error)), 400)
    response = RedirectResponse("/", status_code=303)
    begin_session(response, request, principal)
    return response


ROUTES = [
    Route(auth_gate.SIGN_IN, show_sign_in, methods=["GET"]),
    Route(auth_gate.SIGN_IN, sign_in, methods=["POST"]),
    Route(auth_gate.SIGN_OUT, sign_out, methods=["POST"]),
    Route(auth_gate.PASSWORD, show_password, methods=["GET"]),
    Route(auth_gate.PASSWORD, set_password, methods=["POST"]),
    Route(auth_gate.ACCOUNT, show_account, methods=["GET"]),
    Route(auth_gate.ACCOUNT, change_account, methods=["POST"]),
]
