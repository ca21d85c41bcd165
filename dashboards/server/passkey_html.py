"""The HTML of passkeys: signing in with one, adding and removing."""

from collections.abc import Sequence
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards.server.plain_html import PASSWORD_FIELD, hidden, page, problem_line
from serving.people.passkeys import NAME_LENGTH

SCRIPT = "/passkeys.js"
# The script shows a form where the browser has passkeys, and says in the form what went wrong.
_ASKING = Markup(
    '<form method="post" action="{action}" data-passkey="{kind}" data-options="{options}" hidden>{fields}'
    '<input type="hidden" name="credential"><p class="problem" role="alert" hidden></p>'
    '<button type="submit" class="{look}">{words}</button></form>'
)


def sign_in_form(next_path: str, words: str) -> Markup:
    """The form that asks the browser for a passkey and signs in with it."""
    query = urlencode({"next": next_path})
    return _ASKING.format(
        action="/signin/passkey", kind="get", options=f"/signin/passkey?{query}", fields="", look="quiet", words=words
    )


def manage(
    *,
    token: str,
    passkeys: Sequence[tuple[str, str, str, str]],
    next_path: str,
    elsewhere: str = "",
    is_enrolling: bool = False,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """A person's passkeys: (id, name, host, when it was added and used). `elsewhere` is the address at which passkeys are added where it
    is not this one. `is_enrolling`: the person must set a second factor up first."""
    rows = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>").format(name, host, times)
        for _, name, host, times in passkeys
    )
    table = Markup(
        "<table><thead><tr><th>Name</th><th>For</th><th>Added, last used</th></tr></thead><tbody>{}</tbody></table>"
    ).format(rows)
    body = Markup(
        '<h1>Passkeys</h1><p class="lead">A passkey of your phone, computer or security key replaces the password and the code. '
        "It works at this address alone, so that nobody can ask for it elsewhere.</p>{problem}{table}{add}{remove}"
        '<p class="foot"><a href="{back}">{words}</a></p>'
    ).format(
        problem=problem_line(problem),
        table=table if passkeys else "",
        add=_elsewhere(elsewhere) if elsewhere else _add(token, next_path),
        remove=_remove(token, passkeys) if passkeys and not is_enrolling else "",
        back="/second-factor/set-up" if is_enrolling else "/account",
        words="Use an authenticator app instead" if is_enrolling else "Back to your account",
    )
    return page("Passkeys", body, status)


def _elsewhere(address: str) -> Markup:
    return Markup(
        '<p class="hint">Passkeys are added at <a href="{0}/passkeys">{0}</a>, the address of your organization.</p>'
    ).format(address)


def _add(token: str, next_path: str) -> Markup:
    return Markup(
        '<h2>Add a passkey</h2><form method="post" action="/passkeys">{token}{action}{next_path}'
        '<label for="name">Name</label><input id="name" name="name" maxlength="{most}" placeholder="My phone" autocomplete="off">'
        '{password}<button type="submit">Go on</button></form>'
    ).format(
        token=hidden("token", token),
        action=hidden("action", "add"),
        next_path=hidden("next", next_path),
        most=NAME_LENGTH,
        password=PASSWORD_FIELD.format(id="password"),
    )


def _remove(token: str, passkeys: Sequence[tuple[str, str, str, str]]) -> Markup:
    choices = Markup("").join(
        Markup('<option value="{}">{}</option>').format(key, name) for key, name, _, _ in passkeys
    )
    return Markup(
        '<h2>Remove a passkey</h2><form method="post" action="/passkeys">{token}{action}'
        '<label for="passkey">Passkey</label><select id="passkey" name="passkey">{choices}</select>'
        '{password}<button type="submit" class="quiet">Remove</button></form>'
        '<p class="hint">You are signed out everywhere else.</p>'
    ).format(
        token=hidden("token", token),
        action=hidden("action", "remove"),
        choices=choices,
        password=PASSWORD_FIELD.format(id="password_to_remove"),
    )


def confirm(*, token: str, options: str, name: str, next_path: str) -> HTMLResponse:
    """The second step of adding: the browser makes the passkey. `options` are in JSON."""
    fields = hidden("token", token) + hidden("name", name) + hidden("next", next_path)
    body = Markup(
        '<h1>Add a passkey</h1><p class="lead">Your browser asks you to confirm with your finger, face or PIN.</p>{form}'
        '<noscript><p class="problem">Passkeys need JavaScript.</p></noscript>'
        '<p class="foot"><a href="/passkeys">Back</a></p>'
    ).format(
        form=_ASKING.format(
            action="/passkeys/new", kind="create", options=options, fields=fields, look="", words="Make the passkey"
        )
    )
    return page("Add a passkey", body, script=SCRIPT)
