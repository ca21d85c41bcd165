"""The HTML of sign-in, the first password, the account, and of what is refused."""

from collections.abc import Sequence

from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards import format as fmt
from dashboards.server import passkey_html
from dashboards.server.plain_html import hidden, page, problem_line
from serving.people.branding import PLAIN, Brand
from serving.people.second_factors import SecondFactor


def sign_in(
    *,
    token: str,
    tenant_name: str,
    ask_tenant: bool,
    tenant_given: str = "",
    email: str = "",
    next_path: str = "/",
    provider: tuple[str, str] | None = None,
    takes_passkeys: bool = False,
    brand: Brand = PLAIN,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The sign-in form. The organization is asked for only where neither the address nor the home says it. `provider` is the name and
    the address of the sign-in at the organization's identity provider. `takes_passkeys`: passkeys count at this address."""
    tenant_field = Markup(
        '<label for="tenant">Organization</label>'
        '<input id="tenant" name="tenant" autocomplete="organization" autocapitalize="none" value="{}">'
        '<p class="hint">Its short name. Leave it empty if your user name ends with it, as in admin@harbor.</p>'
    ).format(tenant_given)
    name = brand.display_name or tenant_name
    title = f"Sign in to {name}" if name else "Sign in"
    body = Markup(
        '<h1>{title}</h1>{problem}<form method="post" action="/signin">{token}{next_path}{tenant_field}'
        '<label for="email">User name</label>'
        '<input id="email" name="email" autocomplete="username" autocapitalize="none" required autofocus value="{email}">'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">Sign in</button></form>{passkey}{provider}'
        '<p class="foot">No account or password? Your organization\'s administrator makes an account, or gives you a link '
        "to choose a new password.</p>"
    ).format(
        title=title,
        problem=problem_line(problem),
        token=hidden("token", token),
        next_path=hidden("next", next_path),
        tenant_field=tenant_field if ask_tenant else "",
        email=email,
        passkey=passkey_html.sign_in_form(next_path, "Sign in with a passkey") if takes_passkeys else "",
        provider=Markup('<p class="or">or</p><a class="button quiet" href="{}">Sign in with {}</a>').format(
            provider[1], provider[0]
        )
        if provider
        else "",
    )
    return page(title, body, status, script=passkey_html.SCRIPT if takes_passkeys else "", brand=brand)


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
        problem=problem_line(problem),
        token=hidden("token", token),
        reset=hidden("reset", reset),
        fields=_NEW_FIELDS,
    )
    return page("Choose a password", body, status)


def account(
    *,
    token: str,
    email: str,
    sessions: Sequence[tuple[str, str, str, bool]],
    second_factor: SecondFactor | None,
    passkeys: int,
    provider: str = "",
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """A person's account. `sessions` are (last used, address, browser, whether it is this one). `passkeys` is how many the person
    has. `provider` is the name of the identity provider at which this session began, empty for one that began here."""
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
        '<h2>Second factor</h2><p class="lead">{factor} <a href="{set_up}">{change}</a>. '
        '<a href="/passkeys">{add}</a>.</p>'
        "<h2>Where you are signed in</h2><table><thead><tr><th>Last used</th><th>Browser</th><th>Address</th><th></th></tr>"
        '</thead><tbody>{rows}</tbody></table><form method="post" action="/account">{token}'
        '<input type="hidden" name="action" value="end"><button type="submit" class="quiet">Sign out everywhere</button>'
        '</form><p class="foot"><a href="/">Back to the figures</a></p>'
    ).format(
        email=email,
        problem=problem_line(problem),
        token=hidden("token", token),
        fields=_NEW_FIELDS,
        rows=rows,
        factor=_factor(second_factor, passkeys, provider),
        change="Change the app" if second_factor else "Set up an authenticator app",
        add="Change passkeys" if passkeys else "Add a passkey",
        set_up="/second-factor/set-up",
    )
    return page("Your account", body, status)


def _factor(factor: SecondFactor | None, passkeys: int, provider: str) -> str:
    """What follows the password of this account."""
    if factor:
        also = f", {fmt.plural(passkeys, 'passkey')}" if passkeys else ""
        return f"An authenticator app{also}, and {factor.recovery_codes_left} recovery codes that are not used yet."
    if passkeys:
        return f"{fmt.plural(passkeys, 'passkey')}: alone, or after your password."
    if provider:
        return f"You signed in with {provider}, which asks for its own second factor. For your password here there is none."
    return "Your password alone opens this account."


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
    return page(
        "No page here",
        Markup(
            '<h1>No page here</h1><p class="lead">There is no page at this address. The link may be old or mistyped.</p>'
            '<p><a href="/">To the first page</a></p>'
        ),
        404,
    )


def signed_out_here(provider: str, address: str) -> HTMLResponse:
    """The page after signing out of a session that began at an identity provider, which may still be signed in."""
    way = (
        Markup('<p><a class="button" href="{}">Sign out of {} too</a></p>').format(address, provider) if address else ""
    )
    body = Markup(
        '<h1>You are signed out here</h1><p class="lead">You may still be signed in at {provider}.</p>{way}'
        '<p class="foot"><a href="/signin">Sign in again</a></p>'
    ).format(provider=provider, way=way)
    return page("Signed out", body)


def refused(text: str, status: int) -> HTMLResponse:
    """A page that may not be shown: why, and the way on."""
    return page(
        "Not available",
        Markup('<h1>Not available</h1><p class="lead">{}</p><p><a href="/signin">Go to sign-in</a></p>').format(text),
        status,
    )
