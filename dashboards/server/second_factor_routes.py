"""Second factors: a code after the password, setting up an authenticator app, recovery codes. Plain pages beside Streamlit."""

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboards import data, served_home
from dashboards import format as fmt
from dashboards.server import auth_gate, passkey_routes, second_factor_html, signin_html
from dashboards.server.forms import STALE_FORM, begun, browser_of, elsewhere, fields_of, hashing, keep_session
from foundation.errors import AccessError
from serving.counters import SIGN_INS
from serving.people.caller import caller
from serving.people.second_factors import Step, address_for_app
from serving.people.session_store import SignIn

PURPOSE = "second factor"


def _is_ours(request: Request, token: str, fields: Mapping[str, str]) -> bool:
    return auth_gate.sent_from_us(request, PURPOSE, token, fields.get("token"))


async def show_code(request: Request) -> Response:
    """GET /second-factor."""
    return await run_in_threadpool(_show_code, request)


def _show_code(request: Request) -> Response:
    token, state = begun(request)
    if state is None or state.step is not Step.CODE:
        return elsewhere(state)
    return _code_form(request, token, state, request.query_params)


def _code_form(
    request: Request, token: str, state: SignIn, fields: Mapping[str, str], problem: str = "", status: int = 200
) -> Response:
    store = served_home.access()
    try:
        place = passkey_routes.place_of(request)
    except AccessError as error:
        return signin_html.refused(str(error), 404)
    return second_factor_html.code(
        has_app=store.second_factor(state.principal) is not None,
        has_passkey=place is not None and any(each.host == place.host for each in store.passkeys(state.principal)),
        token=auth_gate.form_token(PURPOSE, token),
        next_path=auth_gate.own_path(fields.get("next")),
        is_recovery=bool(fields.get("recovery")),
        problem=problem,
        status=status,
    )


async def give_code(request: Request) -> Response:
    """POST /second-factor."""
    fields = await fields_of(request)
    return await run_in_threadpool(_give_code, request, fields)


def _give_code(request: Request, fields: Mapping[str, str]) -> Response:
    token, state = begun(request)
    if state is None or state.step is not Step.CODE:
        return elsewhere(state)
    if not _is_ours(request, token, fields):
        return signin_html.refused(STALE_FORM, 403)
    try:
        passed = served_home.access().pass_second_factor(
            token, fields.get("code", ""), address=caller().address, browser=browser_of(request)
        )
    except AccessError as error:
        SIGN_INS.labels("second factor", "refused").inc()
        return _code_form(request, token, state, fields, str(error), 401)
    SIGN_INS.labels("second factor", "done").inc()
    response = RedirectResponse(auth_gate.own_path(fields.get("next")), status_code=303)
    keep_session(response, request, passed)
    return response


async def show_set_up(request: Request) -> Response:
    """GET /second-factor/set-up: the app to set up, or what to do with the one that is set up."""
    return await run_in_threadpool(_show_set_up, request)


def _show_set_up(request: Request) -> Response:
    token, state = begun(request)
    if state is None or state.step not in (None, Step.ENROL):
        return elsewhere(state)
    return _set_up_form(token, state, request.query_params)


def _set_up_form(
    token: str, state: SignIn, fields: Mapping[str, str], problem: str = "", status: int = 200
) -> Response:
    store, who = served_home.access(), state.principal
    form_token, is_required = auth_gate.form_token(PURPOSE, token), store.requires_second_factor(who.tenant_id)
    factor = store.second_factor(who)
    if factor is not None:
        return second_factor_html.manage(
            token=form_token,
            factor=factor,
            since=fmt.moment(factor.since, data.time_zone_of(who)),
            is_required=is_required,
            problem=problem,
            status=status,
        )
    secret = store.offer_second_factor(who)
    name = served_home.tenants().get(who.tenant_id, "")
    return second_factor_html.set_up(
        token=form_token,
        next_path=auth_gate.own_path(fields.get("next")),
        secret=secret,
        address=address_for_app(secret, email=who.email, tenant_name=name),
        is_required=is_required,
        problem=problem,
        status=status,
    )


async def change(request: Request) -> Response:
    """POST /second-factor/set-up: sets the app up, makes new recovery codes, or removes the app."""
    fields = await fields_of(request)
    return await hashing(_change, request, fields)


def _change(request: Request, fields: Mapping[str, str]) -> Response:
    token, state = begun(request)
    if state is None or state.step not in (None, Step.ENROL):
        return elsewhere(state)
    if not _is_ours(request, token, fields):
        return signin_html.refused(STALE_FORM, 403)
    try:
        return _changed(request, token, fields)
    except AccessError as error:
        return _set_up_form(token, state, fields, str(error), 401)


def _changed(request: Request, token: str, fields: Mapping[str, str]) -> Response:
    """Does what the form asks for. Raises AccessError."""
    store, address, browser = served_home.access(), caller().address, browser_of(request)
    code, password = fields.get("code", ""), fields.get("password", "")
    match fields.get("action"):
        case "codes":
            codes = store.renew_recovery_codes(token, code, address=address)
            return second_factor_html.recovery_codes(codes, auth_gate.ACCOUNT)
        case "remove":
            removed = store.remove_second_factor(token, password, code, address=address, browser=browser)
            response: Response = RedirectResponse(auth_gate.ACCOUNT, status_code=303)
            keep_session(response, request, removed)
            return response
        case _:
            made = store.enrol_second_factor(token, password, code, address=address, browser=browser)
            response = second_factor_html.recovery_codes(made.recovery_codes, auth_gate.own_path(fields.get("next")))
            keep_session(response, request, made.session_token)
            return response


ROUTES = [
    Route(auth_gate.SECOND_FACTOR, show_code, methods=["GET"]),
    Route(auth_gate.SECOND_FACTOR, give_code, methods=["POST"]),
    Route(auth_gate.SET_UP, show_set_up, methods=["GET"]),
    Route(auth_gate.SET_UP, change, methods=["POST"]),
]
