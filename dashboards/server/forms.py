"""What the plain pages of sign-in share: cookies, the fields of a form, and the session that a browser gets."""

from collections.abc import Callable, Mapping

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboards import served_home
from dashboards.server import auth_gate
from serving.people.caller import caller
from serving.people.principal import Principal
from serving.people.session_store import SignIn

STALE_FORM = "This form is out of date. Try again."
# One form field is short; anything larger is not a form of ours.
LONGEST_BODY = 8_192
KNOWN_DAYS = 90
_HASHING = CapacityLimiter(2)


def set_cookie(response: Response, request: Request, name: str, value: str, *, days: int | None = None) -> None:
    """Sets a cookie of ours, for this host and the server alone."""
    scheme = request.url.scheme
    response.set_cookie(
        auth_gate.cookie_name(name, scheme),
        value,
        path="/",
        max_age=None if days is None else days * 86_400,
        httponly=True,
        samesite="lax",
        secure=auth_gate.is_https(scheme),
    )


def delete_cookie(response: Response, request: Request, name: str) -> None:
    """Removes a cookie of ours."""
    scheme = request.url.scheme
    response.delete_cookie(
        auth_gate.cookie_name(name, scheme), path="/", httponly=True, secure=auth_gate.is_https(scheme)
    )


async def hashing(
    handler: Callable[[Request, Mapping[str, str]], Response], request: Request, fields: Mapping[str, str]
) -> Response:
    """Runs a handler that hashes a password. Few at once: hashes are slow on purpose, and pages must not wait for them."""
    return await to_thread.run_sync(handler, request, fields, limiter=_HASHING)


async def fields_of(request: Request) -> Mapping[str, str]:
    """The form's texts; empty for a body that is too long to be one."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > LONGEST_BODY:
        return {}
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


def browser_of(request: Request) -> str:
    """What the browser calls itself."""
    return request.headers.get("user-agent", "")


def begun(request: Request) -> tuple[str, SignIn | None]:
    """The token of the request's session, empty for none, and its sign-in, which may lack a step."""
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE) or ""
    return token, auth_gate.begun(token)


def elsewhere(state: SignIn | None, next_path: str = "") -> Response:
    """The answer to a browser whose sign-in is at another step than the page. `next_path`: where a new sign-in leads; empty for home."""
    if state is not None:
        return RedirectResponse(auth_gate.path_of_step(state.step), status_code=303)
    query = f"?next={next_path}" if next_path else ""
    return RedirectResponse(f"{auth_gate.SIGN_IN}{query}", status_code=303)


def begin_session(response: Response, request: Request, principal: Principal) -> str:
    """Makes a session for a person who proved a password, gives its cookie to the browser, and returns its token."""
    token = served_home.access().create_session(principal, address=caller().address, browser=browser_of(request))
    keep_session(response, request, token)
    return token


def keep_session(response: Response, request: Request, token: str) -> None:
    """Gives the browser the cookie of a session, and once nothing of the sign-in is missing also the mark of a known browser."""
    store = served_home.access()
    set_cookie(response, request, auth_gate.SESSION_COOKIE, token)
    principal = store.session(token)
    if principal is not None:
        set_cookie(response, request, auth_gate.KNOWN_COOKIE, store.browser_mark(principal), days=KNOWN_DAYS)
