"""The part of the console about support sessions in one organization."""

from collections.abc import Sequence

from markupsafe import Markup

from dashboards import format as fmt
from dashboards.server.plain_html import hidden
from serving.people.support_sessions import (
    LONGEST_REASON,
    TIME_LIMITS,
    SupportPolicy,
    SupportSession,
    SupportState,
)

MOST_SHOWN = 10
ZONE = "UTC"
_POLICIES = {
    SupportPolicy.REFUSED: "This organization refuses support sessions.",
    SupportPolicy.AFTER_APPROVAL: "An administrator of the organization approves each session before it can begin.",
    SupportPolicy.ALLOWED: "This organization allows support sessions: you can begin at once.",
}


def section(
    tenant_id: str,
    policy: SupportPolicy,
    sessions: Sequence[SupportSession],
    *,
    email: str,
    token: str,
    reason: str = "",
) -> Markup:
    """What the organization allows, the newest sessions, and the form of a new one. `email` is who looks, `reason` what was typed
    into a form that was refused."""
    listed = Markup("").join(_row(item) for item in sessions[:MOST_SHOWN])
    goes_on = Markup("").join(_open(item, email, token) for item in sessions if item.is_open)
    table = (
        Markup(
            '<div class="scroll" tabindex="0" role="region" aria-label="Support sessions"><table><thead><tr>{}</tr></thead>'
            "<tbody>{}</tbody></table></div>"
        ).format(_head("Asked", "By", "Reason", "Minutes", "State", "From", "Until"), listed)
        if sessions
        else Markup("")
    )
    has_own = any(item.is_open and item.asked_by == email for item in sessions)
    form = Markup("") if policy is SupportPolicy.REFUSED or has_own else _form(tenant_id, token, reason)
    return Markup(
        '<section id="support"><h2>Support sessions</h2><p class="lead">You see the pages of the organization, read only: figures without '
        "patients, Data health and settings. Its people see who looks and why, and can end it. {}</p>{}{}{}</section>"
    ).format(_POLICIES[policy], goes_on, table, form)


def _head(*titles: str) -> Markup:
    return Markup("").join(Markup('<th scope="col">{}</th>').format(title) for title in titles)


def _row(item: SupportSession) -> Markup:
    ended = item.ended_at or item.until
    cells = (
        fmt.moment(item.asked_at, ZONE),
        item.asked_by,
        Markup('<span class="reason">{}</span>').format(item.reason),
        str(item.minutes),
        _state(item),
        fmt.moment(item.began_at, ZONE) if item.began_at else fmt.DASH,
        fmt.moment(ended, ZONE) if ended else fmt.DASH,
    )
    return Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells))


def _state(item: SupportSession) -> str:
    words = {
        SupportState.WAITING: "waits for approval",
        SupportState.READY: "can begin",
        SupportState.RUNNING: "runs now",
        SupportState.LAPSED: "lapsed: it did not begin within a day",
    }
    state = words.get(item.state, item.state.value)
    by = item.decided_by if item.state is SupportState.REFUSED else item.ended_by
    return f"{state} by {by}" if by and item.state is not SupportState.RUNNING else state


def _open(item: SupportSession, email: str, token: str) -> Markup:
    """A session that is open, with its buttons."""
    acts = Markup("")
    if item.asked_by == email and item.state in (SupportState.READY, SupportState.RUNNING):
        acts += _button(item, token, "open support", "Begin" if item.state is SupportState.READY else "Open again")
    if item.is_open:
        acts += _button(item, token, "end support", "End it" if item.state is SupportState.RUNNING else "Withdraw it")
    until = f" until {fmt.moment(item.until, ZONE)}" if item.until else ""
    words = f"The session of {item.asked_by} {_state(item)}{until}."
    return Markup('<div class="acts"><p>{}</p>{}</div>').format(words, acts)


def _button(item: SupportSession, token: str, action: str, label: str) -> Markup:
    return Markup(
        '<form method="post" action="/console" class="listed">{}{}{}{}<button type="submit" class="quiet">{}</button></form>'
    ).format(
        hidden("token", token),
        hidden("action", action),
        hidden("tenant", item.tenant_id),
        hidden("support", item.support_id),
        label,
    )


def _form(tenant_id: str, token: str, reason: str) -> Markup:
    limits = Markup("").join(
        Markup('<option value="{}"{}>{}</option>').format(
            minutes, Markup(" selected") if minutes == TIME_LIMITS[1] else "", _duration(minutes)
        )
        for minutes in TIME_LIMITS
    )
    return Markup(
        '<form method="post" action="/console">{}{}{}<div class="fields">'
        '<div><label for="reason">Reason</label><input id="reason" name="reason" maxlength="{}" required autocomplete="off" value="{}">'
        '<p class="hint">The organization reads it. Name no patient.</p></div>'
        '<div><label for="minutes">Time limit</label><select id="minutes" name="minutes">{}</select></div></div>'
        '<button type="submit">Ask for a support session</button></form>'
    ).format(
        hidden("token", token),
        hidden("action", "ask support"),
        hidden("tenant", tenant_id),
        LONGEST_REASON,
        reason,
        limits,
    )


def _duration(minutes: int) -> str:
    return fmt.plural(minutes // 60, "hour") if minutes % 60 == 0 else f"{minutes} minutes"
