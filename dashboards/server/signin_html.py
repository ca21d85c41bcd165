"""The HTML of the pages outside Streamlit: sign-in, first password, refused. The same tokens, no script."""

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
        '<p class="foot">No account or password? Your organization\'s administrator makes one.</p>',
        status,
    )


def password(*, token: str, problem: str = "", status: int = 200) -> HTMLResponse:
    """The form for the first own password, after a one-time password."""
    return _page(
        "Choose a password",
        f'<h1>Choose a password</h1><p class="lead">You signed in with a one-time password. Choose your own to go on: '
        f'at least 12 characters, and not one you use elsewhere.</p>{_problem(problem)}<form method="post" action="/password">'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        '<label for="password">New password</label>'
        '<input id="password" name="password" type="password" autocomplete="new-password" minlength="12" required autofocus>'
        '<label for="again">The same again</label>'
        '<input id="again" name="again" type="password" autocomplete="new-password" minlength="12" required>'
        '<button type="submit">Save and go on</button></form>',
        status,
    )


def refused(text: str, status: int) -> HTMLResponse:
    """A page that may not be shown: why, and the way on."""
    return _page(
        "Not available",
        f'<h1>Not available</h1><p class="lead">{escape(text)}</p><p><a href="/signin">Go to sign-in</a></p>',
        status,
    )
