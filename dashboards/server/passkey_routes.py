"""Passkeys: signing in with one, alone or after the password, adding and removing. Plain pages beside Streamlit, and their script."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboards import data, served_home, theme
from dashboards import format as fmt
from dashboards.hosts import passkey_host
from dashboards.server import auth_gate, passkey_html, sealed_cookie, second_factor_html, signin_html
from dashboards.server.forms import (
    STALE_FORM,
    begun,
    browser_of,
    delete_cookie,
    elsewhere,
    fields_of,
    hashing,
    keep_session,
)
from foundation.errors import AccessError
from serving.counters import SIGN_INS
from serving.people.caller import caller
from serving.people.passkeys import CHALLENGE_BYTES, CHALLENGE_LIFE, Place
from serving.people.second_factors import Step
from serving.people.session_store import SignIn
from serving.people.sessions import session_id

PURPOSE = "passkeys"
COOKIE = "clinicmart_passkey"
ADD, SIGN_IN, SECOND_FACTOR = "add", "sign in", "second factor"
STALE = "This was begun elsewhere, or too long ago. Begin again."


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    challenge: bytes
    next_path: str


def place_of(request: Request) -> Place | None:
    """The tenant's address that a request came to, where passkeys count; None for other addresses of ours. Raises AccessError for a
    host that is not ours."""
    host = request.headers.get("host", "")
    tenants = served_home.tenants()
    named = passkey_host(host, tenants, served_home.served().domain)
    if named is None:
        return None
    tenant_id, name = named
    origin = f"{request.url.scheme}://{host}"
    return Place(tenant_id=tenant_id, host=name, origin=origin, name=f"Clinicmart {tenants[tenant_id]}".strip())


def _own_place(request: Request, problem: str = STALE) -> Place:
    """As `place_of`. Raises AccessError, with the problem, also for an address where passkeys do not count."""
    place = place_of(request)
    if place is None:
        raise AccessError(problem)
    return place


def _remember(
    response: Response, request: Request, place: Place, purpose: str, token: str, challenge: bytes, next_path: str
) -> None:
    """The challenge belongs to this browser, this session and this purpose."""
    bound_to = session_id(token) if token else ""
    values = {"purpose": purpose, "bound_to": bound_to, "challenge": challenge.hex(), "next_path": next_path}
    sealed_cookie.keep(response, request, COOKIE, place.tenant_id, values)


def _attempt(request: Request, place: Place, purpose: str, token: str) -> _Attempt:
    """What this browser began for the purpose, in this session. Raises AccessError."""
    kept = sealed_cookie.kept(request, COOKIE, seconds=CHALLENGE_LIFE.total_seconds())
    bound_to = session_id(token) if token else ""
    if kept is None or kept[0] != place.tenant_id or (kept[1]["purpose"], kept[1]["bound_to"]) != (purpose, bound_to):
        raise AccessError(STALE)
    return _Attempt(challenge=bytes.fromhex(kept[1]["challenge"]), next_path=kept[1]["next_path"])


async def _answered(handler: Callable[[Request, Mapping[str, str]], Response], request: Request) -> Response:
    """Handles what the browser made. The challenge counts once: it is forgotten also after a refusal."""
    response = await run_in_threadpool(handler, request, await fields_of(request))
    delete_cookie(response, request, COOKIE)
    return response


# Signing in


async def begin(request: Request) -> Response:
    """GET /signin/passkey: what the browser is asked to sign, in JSON."""
    return await run_in_threadpool(_begin, request)


def _waiting(token: str, state: SignIn | None) -> str:
    """The token of a session that waits for a second factor; empty for every other."""
    return token if state is not None and state.step is Step.CODE else ""


def _begin(request: Request) -> Response:
    token = _waiting(*begun(request))
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    try:
        place = _own_place(request, "Open the address of your organization.")
        options = served_home.access().passkey_request(place, challenge, token)
    except AccessError as error:
        return JSONResponse({"problem": fmt.sentence(str(error))}, status_code=403)
    response = JSONResponse(json.loads(options))
    next_path = auth_gate.own_path(request.query_params.get("next"))
    _remember(response, request, place, SECOND_FACTOR if token else SIGN_IN, token, challenge, next_path)
    return response


async def sign_in(request: Request) -> Response:
    """POST /signin/passkey: the browser's answer."""
    return await _answered(_sign_in, request)


def _sign_in(request: Request, fields: Mapping[str, str]) -> Response:
    session, state = begun(request)
    token = _waiting(session, state)
    if not auth_gate.same_origin(request):
        return signin_html.refused(STALE_FORM, 403)
    store, answer = served_home.access(), fields.get("credential", "")
    where = {"address": caller().address, "browser": browser_of(request)}
    try:
        place = _own_place(request)
        attempt = _attempt(request, place, SECOND_FACTOR if token else SIGN_IN, token)
        if token:
            made = store.pass_by_passkey(token, place, attempt.challenge, answer, **where)
        else:
            made = store.sign_in_by_passkey(place, attempt.challenge, answer, **where)
    except AccessError as error:
        SIGN_INS.labels("passkey", "refused").inc()
        return signin_html.refused(fmt.sentence(str(error)), 401)
    SIGN_INS.labels("passkey", "done").inc()
    if session and not token:
        store.end_session(session)
    response = RedirectResponse(auth_gate.way_on(made, attempt.next_path), status_code=303)
    keep_session(response, request, made)
    return response


# Adding and removing


async def show(request: Request) -> Response:
    """GET /passkeys."""
    return await run_in_threadpool(_show, request)


def _show(request: Request) -> Response:
    token, state = begun(request)
    if state is None or state.step not in (None, Step.ENROL):
        return elsewhere(state, auth_gate.PASSKEYS)
    return _page(request, token, state, request.query_params)


def _page(
    request: Request, token: str, state: SignIn, fields: Mapping[str, str], problem: str = "", status: int = 200
) -> Response:
    who, zone = state.principal, data.time_zone_of(state.principal)
    try:
        place = place_of(request)
    except AccessError as error:
        return signin_html.refused(str(error), 404)
    is_here = place is not None and place.tenant_id == who.tenant_id
    rows = [
        (
            each.passkey_id,
            each.name,
            each.host,
            ", ".join(fmt.moment(at, zone) for at in (each.created_at, each.last_used_at) if at),
        )
        for each in served_home.access().passkeys(who)
    ]
    return passkey_html.manage(
        token=auth_gate.form_token(PURPOSE, token),
        passkeys=rows,
        next_path=auth_gate.own_path(fields.get("next")),
        elsewhere="" if is_here else _address_of(request, who.tenant_id),
        is_enrolling=state.step is Step.ENROL,
        problem=problem,
        status=status,
    )


def _address_of(request: Request, tenant_id: str) -> str:
    """The tenant's own address."""
    port = f":{request.url.port}" if request.url.port else ""
    return f"{request.url.scheme}://{tenant_id}.{served_home.served().domain}{port}"


async def change(request: Request) -> Response:
    """POST /passkeys: begins to add one, or removes one. Both ask for the password."""
    fields = await fields_of(request)
    return await hashing(_change, request, fields)


def _change(request: Request, fields: Mapping[str, str]) -> Response:
    token, state = begun(request)
    if state is None or state.step not in (None, Step.ENROL):
        return elsewhere(state, auth_gate.PASSKEYS)
    if not auth_gate.sent_from_us(request, PURPOSE, token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    try:
        return _remove(request, token, fields) if fields.get("action") == "remove" else _add(request, token, fields)
    except AccessError as error:
        return _page(request, token, state, fields, fmt.sentence(str(error)), 401)


def _remove(request: Request, token: str, fields: Mapping[str, str]) -> Response:
    made = served_home.access().remove_passkey(
        token,
        fields.get("password", ""),
        fields.get("passkey", ""),
        address=caller().address,
        browser=browser_of(request),
    )
    response = RedirectResponse(auth_gate.way_on(made, auth_gate.PASSKEYS), status_code=303)
    keep_session(response, request, made)
    return response


def _add(request: Request, token: str, fields: Mapping[str, str]) -> Response:
    place, challenge = _own_place(request), secrets.token_bytes(CHALLENGE_BYTES)
    options = served_home.access().begin_passkey(
        token, fields.get("password", ""), place, challenge, address=caller().address
    )
    next_path = auth_gate.own_path(fields.get("next"))
    response = passkey_html.confirm(
        token=auth_gate.form_token(PURPOSE, token), options=options, name=fields.get("name", ""), next_path=next_path
    )
    _remember(response, request, place, ADD, token, challenge, next_path)
    return response


async def add(request: Request) -> Response:
    """POST /passkeys/new: the passkey that the browser made."""
    return await _answered(_added, request)


def _added(request: Request, fields: Mapping[str, str]) -> Response:
    token, state = begun(request)
    if state is None or state.step not in (None, Step.ENROL):
        return elsewhere(state, auth_gate.PASSKEYS)
    if not auth_gate.sent_from_us(request, PURPOSE, token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    try:
        place = _own_place(request)
        attempt = _attempt(request, place, ADD, token)
        made = served_home.access().add_passkey(
            token,
            place,
            attempt.challenge,
            fields.get("credential", ""),
            fields.get("name", ""),
            address=caller().address,
            browser=browser_of(request),
        )
    except AccessError as error:
        return _page(request, token, state, fields, fmt.sentence(str(error)), 401)
    next_path = attempt.next_path if state.step is Step.ENROL else auth_gate.PASSKEYS
    response: Response = RedirectResponse(next_path, status_code=303)
    if made.recovery_codes:
        response = second_factor_html.recovery_codes(made.recovery_codes, next_path)
    keep_session(response, request, made.session_token)
    return response


async def script(_: Request) -> Response:
    """GET /passkeys.js."""
    return FileResponse(theme.ASSETS / "passkeys.js", media_type="text/javascript")


ROUTES = [
    Route(auth_gate.PASSKEY, begin, methods=["GET"]),
    Route(auth_gate.PASSKEY, sign_in, methods=["POST"]),
    Route(auth_gate.PASSKEYS, show, methods=["GET"]),
    Route(auth_gate.PASSKEYS, change, methods=["POST"]),
    Route(auth_gate.NEW_PASSKEY, add, methods=["POST"]),
    Route(auth_gate.PASSKEY_SCRIPT, script, methods=["GET"]),
]
