"""The HTML of the pages outside Streamlit: sign-in, first password, refused. The same tokens, no script."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import streamlit
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards import theme


@lru_cache(maxsize=1)
def _font_face() -> str:
    """Streamlit's bundled font, so that sign-in and pages look alike; the fallbacks serve where it moved."""
    fonts = sorted(Path(streamlit.__file__).parent.glob("static/static/media/SourceSansVF-Upright*.woff2"))
    if not fonts:
        return ""
    address = f"/static/media/{fonts[0].name}"
    return f'@font-face {{font-family: "Source Sans"; src: url("{address}") format("woff2"); font-weight: 200 900;}}'


@lru_cache(maxsize=1)
def _style() -> str:
    dark = theme.variables(theme.DARK)
    sheet = (theme.ASSETS / "signin.css").read_text(encoding="utf-8")
    return f"{_font_face()}\n{theme.variables(theme.LIGHT)}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n{sheet}"


def _page(title: str, body: Markup, status: int) -> HTMLResponse:
    page = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>{title} · Clinicmart</title><style>{style}</style></head>"
        '<body><main><div class="brand"><i aria-hidden="true"></i>Clinicmart</div>{body}</main></body></html>'
    )
    style = Markup(_style())  # noqa: S704  # the project's own stylesheet and tokens: no value of a request is in it
    return HTMLResponse(page.format(title=title, style=style, body=body), status_code=status)


def _problem(text: str) -> Markup:
    return Markup('<p class="problem" role="alert">{}</p>').format(text) if text else Markup("")


def _hidden(name: str, value: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)


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
    tenant_field = Markup(
        '<label for="tenant">Organization</label>'
        '<input id="tenant" name="tenant" autocomplete="organization" autocapitalize="none" value="{}">'
        '<p class="hint">Its short name. Leave it empty if your user name ends with it, as in admin@harbor.</p>'
    ).format(tenant_given)
    title = f"Sign in to {tenant_name}" if tenant_name else "Sign in"
    body = Markup(
        '<h1>{title}</h1>{problem}<form method="post" action="/signin">{token}{next_path}{tenant_field}'
        '<label for="email">User name</label>'
        '<input id="email" name="email" autocomplete="username" autocapitalize="none" required autofocus value="{email}">'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">Sign in</button></form>'
        '<p class="foot">No account or password? Your organization\'s administrator makes an account, or gives you a link '
        "to choose a new password.</p>"
    ).format(
        title=title,
        problem=_problem(problem),
        token=_hidden("token", token),
        next_path=_hidden("next", next_path),
        tenant_field=tenant_field if ask_tenant else "",
        email=email,
    )
    return _page(title, body, status)


_NEW_FIELDS = Markup(
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
    body = Markup(
        '<h1>Choose a password</h1><p class="lead">{why}</p>{problem}<form method="post" action="/password">{token}{reset}'
        '{fields}<button type="submit">Save and go on</button></form>'
    ).format(
        why=why,
        problem=_problem(problem),
        token=_hidden("token", token),
        reset=_hidden("reset", reset),
        fields=_NEW_FIELDS,
    )
    return _page("Choose a password", body, status)


def account(
    *, token: str, email: str, sessions: Sequence[tuple[str, str, str, bool]], problem: str = "", status: int = 200
) -> HTMLResponse:
    """A person's account. `sessions` are (last used, address, browser, whether it is this one)."""
    rows = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            when, browser, address, "this browser" if is_this else ""
        )
        for when, address, browser, is_this in sessions
    )
    body = Markup(
        '<h1>Your account</h1><p class="lead">{email}</p>{problem}'
        '<form method="post" action="/account">{token}<input type="hidden" name="action" value="password">'
        '<label for="current">Current password</label>'
        '<input id="current" name="current" type="password" autocomplete="current-password" required>'
        '{fields}<button type="submit">Change password</button></form>'
        "<h2>Where you are signed in</h2><table><thead><tr><th>Last used</th><th>Browser</th><th>Address</th><th></th></tr>"
        '</thead><tbody>{rows}</tbody></table><form method="post" action="/account">{token}'
        '<input type="hidden" name="action" value="end"><button type="submit" class="quiet">Sign out everywhere</button>'
        '</form><p class="foot"><a href="/">Back to the figures</a></p>'
    ).format(email=email, problem=_problem(problem), token=_hidden("token", token), fields=_NEW_FIELDS, rows=rows)
    return _page("Your account", body, status)


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
        Markup(
            '<h1>No page here</h1><p class="lead">There is no page at this address. The link may be old or mistyped.</p>'
            '<p><a href="/">To the first page</a></p>'
        ),
        404,
    )


def refused(text: str, status: int) -> HTMLResponse:
    """A page that may not be shown: why, and the way on."""
    return _page(
        "Not available",
        Markup('<h1>Not available</h1><p class="lead">{}</p><p><a href="/signin">Go to sign-in</a></p>').format(text),
        status,
    )
