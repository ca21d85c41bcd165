"""The HTML of second factors: giving a code, setting up an authenticator app, recovery codes."""

from collections.abc import Sequence
from urllib.parse import urlencode

import segno
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards.server import passkey_html
from dashboards.server.plain_html import PASSWORD_FIELD, hidden, page, problem_line
from serving.people.second_factors import SecondFactor

_CODE = Markup(
    '<label for="{id}">{label}</label><input id="{id}" name="code" autocomplete="one-time-code" inputmode="{mode}" '
    'autocapitalize="none" spellcheck="false" required{focus}>'
)


def _code_field(name: str, label: str, *, is_recovery: bool = False, has_focus: bool = False) -> Markup:
    return _CODE.format(
        id=name,
        label=label,
        mode="text" if is_recovery else "numeric",
        focus=Markup(" autofocus") if has_focus else "",
    )


def code(
    *,
    token: str,
    next_path: str,
    has_app: bool,
    has_passkey: bool,
    is_recovery: bool,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The form for a code after the password. `has_passkey`: the person has one for this address."""
    is_recovery = is_recovery or not has_app
    label = "Recovery code" if is_recovery else "Code of your authenticator app"
    way_on = urlencode({"next": next_path} | ({} if is_recovery else {"recovery": "1"}))
    switch = Markup('<a href="{}">{}</a>. ').format(
        f"/second-factor?{way_on}", "Use the app" if is_recovery else "Use a recovery code"
    )
    body = Markup(
        '<h1>One more step</h1>{problem}<form method="post" action="/second-factor">{token}{next_path}{recovery}{field}'
        '<button type="submit">Go on</button></form>{passkey}<p class="foot">{switch}'
        "If you have lost your second factor, ask your organization's administrator to reset it.</p>"
    ).format(
        problem=problem_line(problem),
        token=hidden("token", token),
        next_path=hidden("next", next_path),
        recovery=hidden("recovery", "1") if is_recovery else "",
        field=_code_field("code", label, is_recovery=is_recovery, has_focus=True),
        passkey=passkey_html.sign_in_form(next_path, "Use a passkey") if has_passkey else "",
        switch=switch if has_app else "",
    )
    return page("Second factor", body, status, script=passkey_html.SCRIPT if has_passkey else "")


def set_up(
    *,
    token: str,
    next_path: str,
    secret: str,
    address: str,
    is_required: bool,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """The form to set up an app: its secret as QR code and as text, the password, and a first code. `address` is for the app."""
    why = (
        "Your organization requires a second factor: an authenticator app on your phone, or a passkey."
        if is_required
        else "After your password you will be asked for a code of an authenticator app on your phone."
    )
    body = Markup(
        '<h1>Set up an authenticator app</h1><p class="lead">{why}</p>{problem}'
        '<form method="post" action="/second-factor/set-up">{token}{next_path}{action}'
        '<p class="step">1. Scan this with the app.</p>'
        '<img class="qr" alt="QR code for the authenticator app" src="{picture}">'
        '<p class="hint">Or type this key into it: <code>{key}</code></p>'
        '<p class="step">2. Type the code that the app shows, and your password.</p>{field}{password}'
        '<button type="submit">Set up</button></form>'
        '<p class="foot">Or <a href="/passkeys?{query}">set up a passkey</a>.</p>'
    ).format(
        query=urlencode({"next": next_path}),
        why=why,
        problem=problem_line(problem),
        token=hidden("token", token),
        next_path=hidden("next", next_path),
        action=hidden("action", "enrol"),
        # White ground also in the dark: readers expect it.
        picture=segno.make(address, error="m").svg_data_uri(scale=4, border=4, dark="#000", light="#fff"),
        key=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        field=_code_field("code", "Code"),
        password=PASSWORD_FIELD.format(id="password"),
    )
    return page("Second factor", body, status)


def manage(
    *, token: str, factor: SecondFactor, since: str, is_required: bool, problem: str = "", status: int = 200
) -> HTMLResponse:
    """What a person does with the factor: new recovery codes, removal. `since` is when it was set up, in the tenant's time zone."""
    after = " You then set up another one, as your organization requires it." if is_required else ""
    body = Markup(
        '<h1>Second factor</h1>{problem}<p class="lead">Authenticator app, set up on {since}. '
        "{left} of your recovery codes are not used yet.</p>"
        '<h2>New recovery codes</h2><form method="post" action="/second-factor/set-up">{token}{codes}{first}'
        '<button type="submit" class="quiet">Make new recovery codes</button></form>'
        '<p class="hint">The earlier ones count no more.</p>'
        '<h2>Remove the app</h2><form method="post" action="/second-factor/set-up">{token}{remove}{second}{password}'
        '<button type="submit" class="quiet">Remove the app</button></form>'
        '<p class="hint">You are signed out everywhere else.{after}</p>'
        '<p class="foot"><a href="/account">Back to your account</a></p>'
    ).format(
        problem=problem_line(problem),
        since=since,
        left=factor.recovery_codes_left,
        token=hidden("token", token),
        codes=hidden("action", "codes"),
        remove=hidden("action", "remove"),
        first=_code_field("code", "Code"),
        second=_code_field("code_to_remove", "Code"),
        password=PASSWORD_FIELD.format(id="password"),
        after=after,
    )
    return page("Second factor", body, status)


def recovery_codes(codes: Sequence[str], next_path: str) -> HTMLResponse:
    """The recovery codes, shown once."""
    body = Markup(
        '<h1>Keep these recovery codes</h1><p class="lead">Each one replaces a code of the app once, if you lose your phone. '
        "They are not shown again. Print them, or keep them in a password manager.</p>"
        '<ul class="codes">{codes}</ul><p class="foot"><a class="button" href="{next_path}">I have kept them</a></p>'
    ).format(
        codes=Markup("").join(Markup("<li><code>{}</code></li>").format(code) for code in codes),
        next_path=next_path,
    )
    return page("Recovery codes", body)
