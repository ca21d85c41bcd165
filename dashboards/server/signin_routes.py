"""Sign-in, sign-out and the first password: plain pages served beside Streamlit, before any of its scripts run."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboards import served_home
from dashboards.server import auth_gate, signin_html
from foundation.errors import AccessError, ClinicmartError

STALE_FORM = "This form is out of date. Try again."
WRONG = "The user name or the password is wrong."
PASSWORDS_DIFFER = "The two passwords differ."
# One form field is short; anything larger is not a form of ours.
LONGEST_BODY = 8_192


def _tenant_of(request: Request) -> str | None:
    return auth_gate.tenant_of_host(request.headers.get("host", ""), served_home.tenants(), served_home.served().domain)


def _nonce_of(request: Request) -> str:
    return auth_gate.cookie_of(request, auth_gate.FORM_COOKIE) or auth_gate.new_nonce()


def _set_cookie(response: Response, request: Request, name: str, value: str) -> None:
    scheme = request.url.scheme
    response.set_cookie(
        auth_gate.cookie_name(name, scheme),
        value,
        path="/",
        httponly=True,
        samesite="lax",
        secure=auth_gate.is_https(scheme),
    )


def _delete_cookie(response: Response, request: Request, name: str) -> None:
    scheme = request.url.scheme
    response.delete_cookie(
        auth_gate.cookie_name(name, scheme), path="/", httponly=True, secure=auth_gate.is_https(scheme)
    )


async def _fields(request: Request) -> Mapping[str, str]:
    """The form's texts; empty for a body that is too long to be one."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > LONGEST_BODY:
        return {}
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


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
    response = signin_html.sign_in(
        token=auth_gate.form_token("signin", nonce),
        tenant_name=tenants.get(tenant, "") if tenant else "",
        ask_tenant=tenant is None and len(tenants) != 1,
        tenant_given=tenant_given,
        email=email,
        next_path=next_path,
        problem=problem,
        status=status,
    )
    _set_cookie(response, request, auth_gate.FORM_COOKIE, nonce)
    return response


async def show_sign_in(request: Request) -> Response:
    """GET /signin."""
    next_path = auth_gate.own_path(request.query_params.get("next"))
    try:
        tenant = await run_in_threadpool(_tenant_of, request)
    except auth_gate.UnknownTenant as error:
        return signin_html.refused(str(error), 404)
    principal = await run_in_threadpool(auth_gate.signed_in, auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE))
    if principal is not None and tenant in (None, principal.tenant_id):
        return RedirectResponse(next_path, status_code=303)
    return await run_in_threadpool(_sign_in_page, request, tenant=tenant, next_path=next_path)


def _chosen_tenant(host_tenant: str | None, given: str, email: str, tenants: Mapping[str, str]) -> str:
    """The tenant to sign in for: the host's, else the field's, else the one that the user name ends with, else the only one."""
    if host_tenant is not None:
        return host_tenant
    if given:
        return given.strip().lower()
    ending = email.rpartition("@")[2]
    if ending in tenants:
        return ending
    return next(iter(tenants)) if len(tenants) == 1 else ""


async def sign_in(request: Request) -> Response:
    """POST /signin."""
    fields = await _fields(request)
    return await run_in_threadpool(_sign_in, request, fields)


def _sign_in(request: Request, fields: Mapping[str, str]) -> Response:
    store = served_home.access()
    try:
        host_tenant = _tenant_of(request)
    except auth_gate.UnknownTenant as error:
        return signin_html.refused(str(error), 404)
    email = fields.get("email", "").strip().lower()
    next_path = auth_gate.own_path(fields.get("next"))
    given = fields.get("tenant", "").strip()
    again: dict[str, Any] = {"tenant": host_tenant, "tenant_given": given, "email": email, "next_path": next_path}
    nonce = auth_gate.cookie_of(request, auth_gate.FORM_COOKIE)
    if not auth_gate.same_origin(request) or not auth_gate.form_is_ours("signin", nonce, fields.get("token")):
        return _sign_in_page(request, problem=STALE_FORM, status=403, **again)
    tenant = _chosen_tenant(host_tenant, given, email, served_home.tenants())
    try:
        principal = store.authenticate(tenant, email, fields.get("password", ""))
    except AccessError as error:
        return _sign_in_page(request, problem=str(error) or WRONG, status=401, **again)
    old = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    if old:
        store.end_session(old)
    first = store.must_change_password(principal)
    response = RedirectResponse(auth_gate.PASSWORD if first else next_path, status_code=303)
    _set_cookie(response, request, auth_gate.SESSION_COOKIE, store.create_session(principal))
    _delete_cookie(response, request, auth_gate.FORM_COOKIE)
    return response


async def sign_out(request: Request) -> Response:
    """POST /signout."""
    fields = await _fields(request)
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    if not auth_gate.same_origin(request) or not auth_gate.form_is_ours("signout", token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    await run_in_threadpool(served_home.access().end_session, str(token))
    response = RedirectResponse(auth_gate.SIGN_IN, status_code=303)
    _delete_cookie(response, request, auth_gate.SESSION_COOKIE)
    return response


async def show_password(request: Request) -> Response:
    """GET /password: only for a session whose password is still the one-time one."""
    return await run_in_threadpool(_show_password, request)


def _show_password(request: Request) -> Response:
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    principal = auth_gate.signed_in(token)
    if principal is None:
        return RedirectResponse(auth_gate.SIGN_IN, status_code=303)
    if not served_home.access().must_change_password(principal):
        return RedirectResponse("/", status_code=303)
    return signin_html.password(token=auth_gate.form_token("password", str(token)))


async def set_password(request: Request) -> Response:
    """POST /password."""
    fields = await _fields(request)
    return await run_in_threadpool(_set_password, request, fields)


def _set_password(request: Request, fields: Mapping[str, str]) -> Response:
    store = served_home.access()
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE)
    principal = auth_gate.signed_in(token)
    if principal is None:
        return RedirectResponse(auth_gate.SIGN_IN, status_code=303)
    if not auth_gate.same_origin(request) or not auth_gate.form_is_ours("password", token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    if not store.must_change_password(principal):
        return RedirectResponse("/", status_code=303)
    form = auth_gate.form_token("password", str(token))
    if fields.get("password", "") != fields.get("again", ""):
        return signin_html.password(token=form, problem=PASSWORDS_DIFFER, status=400)
    try:
        store.set_password(principal.tenant_id, principal.email, fields.get("password", ""))
    except ClinicmartError as error:
        return signin_html.password(token=form, problem=str(error), status=400)
    # Whoever saw the one-time password must not keep a session: this person gets a new one, others end.
    store.end_session(str(token))
    response = RedirectResponse("/", status_code=303)
    _set_cookie(response, request, auth_gate.SESSION_COOKIE, store.create_session(principal))
    return response


async def healthz(_: Request) -> Response:
    """GET /healthz: the process answers. Says nothing about any tenant."""
    return JSONResponse({"status": "ok"})


ROUTES = [
    Route(auth_gate.SIGN_IN, show_sign_in, methods=["GET"]),
    Route(auth_gate.SIGN_IN, sign_in, methods=["POST"]),
    Route(auth_gate.SIGN_OUT, sign_out, methods=["POST"]),
    Route(auth_gate.PASSWORD, show_password, methods=["GET"]),
    Route(auth_gate.PASSWORD, set_password, methods=["POST"]),
    Route(auth_gate.HEALTH, healthz, methods=["GET"]),
]
