"""The HTML of the pages outside Streamlit: sign-in, first password, refused. The same tokens, no script."""

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

import streamlit
from starlette.responses import HTMLResponse

from dashboards import theme


@lru_cache(maxsize=1)
def _font_face() -> str:
    """Streamlit's bundled font, so that sign-in and pages look alike; the fallbacks serve where it moved."""
    found = sorted(Path(streamlit.__file__).parent.glob("static/static/media/SourceSansVF-Upright*.woff2"))
    if not found:
        return ""
    address = f"/static/media/{found[0].name}"
    return f'@font-face {{font-family: "Source Sans"; src: url("{address}") format("woff2"); font-weight: 200 900;}}'


@lru_cache(maxsize=1)
def _style() -> str:
    dark = theme.variables(theme.DARK)
    sheet = (theme.ASSETS / "signin.css").read_text(encoding="utf-8")
    return f"{_font_face()}\n{theme.variables(theme.LIGHT)}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n{sheet}"


def _page(title: str, body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Clinicmart</title><style>{_style()}</style></head>"
        f'<body><main><div class="brand"><i aria-hidden="true"></i>Clinicmart</div>{body}</main></body></html>',
        status_code=status,
    )


def _problem(text: str) -> str:
    return f'<p class="problem" role="alert">{escape(text)}</p>' if text else ""


def sign_in(
    *,
    token: str,
    tenant_name: str,
    ask_tenant: bool,
    tenant_given: str = "",
    email: str = "",
    next_path: str = "/",
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The sign-in form. The organization is asked for only where neither the address nor the home says it."""
    where = (
        '<label for="tenant">Organization</label>'
        f'<input id="tenant" name="tenant" autocomplete="organization" autocapitalize="none" value="{escape(tenant_given)}">'
        '<p class="hint">Its short name. Leave it empty if your user name ends with it, as in admin@harbor.</p>'
        if ask_tenant
        else ""
    )
    title = f"Sign in to {tenant_name}" if tenant_name else "Sign in"
    return _page(
        title,
        f'<h1>{escape(title)}</h1>{_problem(problem)}<form method="post" action="/signin">'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        f'<input type="hidden" name="next" value="{escape(next_path)}">{where}'
        '<label for="email">User name</label>'
        f'<input id="email" name="email" autocomplete="username" autocapitalize="none" required autofocus value="{escape(email)}">'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">Sign in</button></form>'
        '<p class="foot">No account or password? Your organization\'s administrator makes an account, or gives you a link '
        "to choose a new password.</p>",
        status,
    )


_NEW_FIELDS = (
    '<label for="password">New password</label>'
    '<input id="password" name="password" type="password" autocomplete="new-password" minlength="12" required>'
    '<p class="hint">At least 12 characters, hard to guess, and not one you use elsewhere.</p>'
    '<label for="again">The same again</label>'
    '<input id="again" name="again" type="password" autocomplete="new-password" minlength="12" required>'
)


def password(*, token: str, reset: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    """The form for an own password, after a one-time password or by a link; `reset` is the link's token."""
    why = (
        "Choose your password to go on."
        if reset
        else "You signed in with a one-time password. Choose your own to go on."
    )
    return _page(
        "Choose a password",
        f'<h1>Choose a password</h1><p class="lead">{why}</p>{_problem(problem)}<form method="post" action="/password">'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        f'<input type="hidden" name="reset" value="{escape(reset)}">'
        f'{_NEW_FIELDS}<button type="submit">Save and go on</button></form>',
        status,
    )


def account(
    *, token: str, email: str, sessions: Sequence[tuple[str, str, str, bool]], problem: str = "", status: int = 200
) -> HTMLResponse:
    """A person's account. `sessions` are (last used, address, browser, whether it is this one)."""
    rows = "".join(
        f"<tr><td>{escape(when)}</td><td>{escape(browser)}</td><td>{escape(address)}</td>"
        f"<td>{'this browser' if is_this else ''}</td></tr>"
        for when, address, browser, is_this in sessions
    )
    hidden = f'<input type="hidden" name="token" value="{escape(token)}">'
    return _page(
        "Your account",
        f'<h1>Your account</h1><p class="lead">{escape(email)}</p>{_problem(problem)}'
        f'<form method="post" action="/account">{hidden}<input type="hidden" name="action" value="password">'
        '<label for="current">Current password</label>'
        '<input id="current" name="current" type="password" autocomplete="current-password" required>'
        f'{_NEW_FIELDS}<button type="submit">Change password</button></form>'
        "<h2>Where you are signed in</h2><table><thead><tr><th>Last used</th><th>Browser</th><th>Address</th><th></th></tr>"
        f'</thead><tbody>{rows}</tbody></table><form method="post" action="/account">{hidden}'
        '<input type="hidden" name="action" value="end"><button type="submit" class="quiet">Sign out everywhere</button>'
        '</form><p class="foot"><a href="/">Back to the figures</a></p>',
        status,
    )


def browser_name(agent: str) -> str:
    """A browser as its owner knows it: "Firefox on Windows"."""
    names = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    )
    browser = next((name for mark, name in names if mark in agent), "Another browser")
    system = next((name for mark, name in systems if mark in agent), "")
    return f"{browser} on {system}" if system else browser


def not_found() -> HTMLResponse:
    """The page of an address at which there is none."""
    return _page(
        "No page here",
        '<h1>No page here</h1><p class="lead">There is no page at this address. The link may be old or mistyped.</p>'
        '<p><a href="/">To the first page</a></p>',
        404,
    )


def refused(text: str, status: int) -> HTMLResponse:
    """A page that may not be shown: why, and the way on."""
    return _page(
        "Not available",
        f'<h1>Not available</h1><p class="lead">{escape(text)}</p><p><a href="/signin">Go to sign-in</a></p>',
        status,
    )
