"""The HTML of the console: the organizations of the platform, one of them, and the forms to make and change one."""

from collections.abc import Sequence
from datetime import date, datetime

from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards import format as fmt
from dashboards.server.plain_html import hidden, page, problem_line
from serving.modules import MODULES_BY_NAME
from serving.people.announcements import LONGEST_SENTENCE, Announcement
from serving.platform import LONGEST_NAME, Organization

ZONE = "UTC"
EMPTY = Markup("")
TITLE = "Organizations"


def organizations(
    listed: Sequence[Organization],
    *,
    token: str,
    sign_out: str,
    email: str,
    months: tuple[date, date],
    announced: Sequence[Announcement] = (),
    left: Markup = EMPTY,
    typed: dict[str, str] | None = None,
    done: str = "",
    link: str = "",
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """All organizations, the form of a new one, metering, and those that left (`console_removal_html.left`). `typed` are fields of
    a form that was refused; `link` is shown once."""
    body = Markup(
        "{head}<h1>{finding}</h1>{problem}{done}{table}"
        "<section><h2>New organization</h2>"
        '<p class="lead">Its people can sign in at once. Its feeds are named in the configuration of the runs, under the same id.</p>'
        '<form method="post" action="/console">{token}{action}<div class="fields">{fields}</div>'
        '<button type="submit">Make it and invite the administrator</button></form></section>'
        "{announcements}"
        "<section><h2>Metering</h2>"
        '<p class="lead">People who were signed in or asked with a token, and granted modules, by organization and month (UTC).</p>'
        '<form method="get" action="/console/metering.csv"><div class="fields">{months}</div>'
        '<button type="submit" class="quiet">Download CSV</button></form></section>{left}'
    ).format(
        head=_head(email, sign_out),
        finding=_finding(listed),
        problem=problem_line(problem),
        done=_done(done, link),
        table=_table(listed),
        token=hidden("token", token),
        action=hidden("action", "create"),
        fields=_new_fields(typed or {}),
        announcements=_announcements(announced, token, months[1], typed or {}),
        left=left,
        months=_field("from", "First month", f"{months[0]:%Y-%m}", pattern="[0-9]{4}-[0-9]{2}")
        + _field("to", "Last month", f"{months[1]:%Y-%m}", pattern="[0-9]{4}-[0-9]{2}"),
    )
    return page(TITLE, body, status, is_wide=True)


def organization(
    shown: Organization,
    *,
    token: str,
    sign_out: str,
    email: str,
    invited: Sequence[str] = (),
    branding: Markup = EMPTY,
    support: Markup = EMPTY,
    done: str = "",
    link: str = "",
    link_lead: str = "",
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """One organization: its health, its plan, its branding (`console_brand_html`), its support sessions (`console_support_html`), and
    administrators who have chosen no password yet. `link` is shown once."""
    body = Markup(
        '{head}<p class="lead"><a href="/console">All organizations</a></p><h1>{name}</h1>{problem}{done}<table>{rows}</table>'
        '<section><h2>Plan</h2><p class="lead">A module that the plan does not grant is absent for everybody of the organization.</p>'
        '<form method="post" action="/console">{token}{action}{tenant}<div class="choices">{modules}</div>'
        '<button type="submit">Save the plan</button></form></section>{branding}{support}{again}{remove}'
    ).format(
        head=_head(email, sign_out),
        name=shown.name,
        problem=problem_line(problem),
        done=_done(done, link, link_lead),
        rows=_facts(shown),
        token=hidden("token", token),
        action=hidden("action", "plan"),
        tenant=hidden("tenant", shown.tenant_id),
        modules=Markup("").join(_module(*module) for module in shown.modules),
        branding=branding,
        remove=_remove(shown),
        support=support,
        again=_again(shown, invited, token),
    )
    return page("Organization", body, status, is_wide=True)


def _facts(shown: Organization) -> Markup:
    """The rows of the table of one organization."""
    facts = (
        ("Id", shown.tenant_id),
        ("Made", fmt.moment(shown.created_at, ZONE)),
        ("People", _people(shown)),
        ("Last seen", _moment(shown.last_seen_at)),
        ("Published", _published(shown)),
        (
            "Data reach",
            fmt.day(shown.published.data_as_of) if shown.published and shown.published.data_as_of else fmt.DASH,
        ),
        ("Alerts of feeds", str(shown.published.feed_alerts) if shown.published else fmt.DASH),
        ("Last run", _last_run(shown)),
    )
    return Markup("").join(Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(*fact) for fact in facts)


def _again(shown: Organization, invited: Sequence[str], token: str) -> Markup:
    """A form for each administrator who was invited and has chosen no password yet."""
    forms = Markup("").join(
        Markup(
            '<form method="post" action="/console">{}{}{}{}<p class="lead">{} was invited and has chosen no password yet.</p>'
            '<button type="submit" class="quiet">Make a new link</button></form>'
        ).format(
            hidden("token", token),
            hidden("action", "invite"),
            hidden("tenant", shown.tenant_id),
            hidden("email", address),
            address,
        )
        for address in invited
    )
    return Markup("<section><h2>Invited administrators</h2>{}</section>").format(forms) if invited else Markup("")


def _remove(shown: Organization) -> Markup:
    return Markup(
        '<section><h2>Remove the organization</h2><p class="lead">It leaves for ever: its keys, files, people and rights are destroyed. '
        '<a href="/console/{}/remove">See what that means</a></p></section>'
    ).format(shown.tenant_id)


def _announcements(announced: Sequence[Announcement], token: str, today: date, typed: dict[str, str]) -> Markup:
    """What stands on the pages now or later, with a way to end each, and the form of a new one."""
    listed = Markup("").join(
        Markup(
            '<form method="post" action="/console" class="listed">{}{}{}<p>{}: {}</p>'
            '<button type="submit" class="quiet">End it</button></form>'
        ).format(
            hidden("token", token),
            hidden("action", "end announcement"),
            hidden("announcement", str(item.announcement_id)),
            f"{fmt.day(item.first_day)} to {fmt.day(item.last_day)}",
            item.sentence,
        )
        for item in announced
        if item.ended_at is None and item.last_day >= today
    )
    fields = (
        _field("sentence", "Sentence", typed.get("sentence", ""), longest=LONGEST_SENTENCE)
        + _field("first_day", "First day (UTC)", typed.get("first_day", today.isoformat()), kind="date")
        + _field("last_day", "Last day", typed.get("last_day", today.isoformat()), kind="date")
    )
    return Markup(
        '<section><h2>Announcements</h2><p class="lead">A sentence above the pages of all organizations, such as hours of maintenance.</p>'
        '{}<form method="post" action="/console">{}{}<div class="fields">{}</div>'
        '<button type="submit" class="quiet">Announce it</button></form></section>'
    ).format(listed, hidden("token", token), hidden("action", "announce"), fields)


def _head(email: str, sign_out: str) -> Markup:
    return Markup(
        '<div class="who"><span>{}, platform administrator</span> <a href="/account">Your account</a>'
        '<form method="post" action="/signout">{}<button type="submit" class="quiet">Sign out</button></form></div>'
    ).format(email, hidden("token", sign_out))


def _finding(listed: Sequence[Organization]) -> str:
    """How many organizations there are, and in how many something is to be done."""
    if not listed:
        return "No organization yet"
    wrong = sum(_is_wrong(shown) for shown in listed)
    words = fmt.plural(len(listed), "organization")
    return f"{words}, {wrong} to look at" if wrong else f"{words}, nothing to look at"


def _is_wrong(shown: Organization) -> bool:
    run_failed = shown.last_run is not None and shown.last_run.outcome in ("stopped", "failed")
    return bool(shown.problem or run_failed or (shown.published and shown.published.feed_alerts))


def _table(listed: Sequence[Organization]) -> Markup:
    if not listed:
        return Markup('<p class="lead">Make the first one below.</p>')
    titles = (
        "Organization",
        "People",
        "Last seen",
        "Published",
        "Data reach",
        "Alerts of feeds",
        "Last run",
        "Modules",
    )
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(title) for title in titles)
    rows = Markup("").join(
        Markup('<tr><th scope="row"><a href="/console/{}">{}</a></th>{}</tr>').format(
            shown.tenant_id, shown.name, Markup("").join(Markup("<td>{}</td>").format(cell) for cell in _cells(shown))
        )
        for shown in listed
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Organizations"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, rows)


def _cells(shown: Organization) -> tuple[str, ...]:
    reach = shown.published.data_as_of if shown.published else None
    granted = sum(is_granted for _, is_granted, _ in shown.modules)
    return (
        _people(shown),
        _moment(shown.last_seen_at),
        _published(shown),
        fmt.day(reach) if reach else fmt.DASH,
        str(shown.published.feed_alerts) if shown.published else fmt.DASH,
        _last_run(shown),
        f"{granted} of {len(shown.modules)}",
    )


def _people(shown: Organization) -> str:
    return f"{shown.people}, {shown.invited} invited" if shown.invited else str(shown.people)


def _published(shown: Organization) -> str:
    if shown.problem:
        return f"Cannot be read: {shown.problem}"
    return _moment(shown.published.at) if shown.published else "Nothing yet"


def _last_run(shown: Organization) -> str:
    return f"{shown.last_run.outcome}, {_moment(shown.last_run.at)}" if shown.last_run else fmt.DASH


def _moment(at: datetime | None) -> str:
    return fmt.moment(at, ZONE) if at else fmt.DASH


def _module(name: str, is_granted: bool, is_enabled: bool) -> Markup:
    module = MODULES_BY_NAME[name]
    note = "" if is_enabled else " (switched off by the organization)"
    return Markup('<label class="choice"><input type="checkbox" name="module_{}" value="yes"{}> {}{}</label>').format(
        name, Markup(" checked") if is_granted else "", module.title, note
    )


def _new_fields(typed: dict[str, str]) -> Markup:
    return (
        _field("tenant", "Id", typed.get("tenant", ""), hint="In its address: harbor", pattern="[a-z][a-z0-9\\-]*")
        + _field("name", "Name", typed.get("name", ""), longest=LONGEST_NAME)
        + _field("email", "First administrator", typed.get("email", ""), hint="User name: ada@harbor.example")
        + _field("person", "Name of the administrator", typed.get("person", ""), is_required=False)
    )


def _field(
    name: str,
    label: str,
    value: str,
    *,
    hint: str = "",
    pattern: str = "",
    longest: int = 200,
    kind: str = "text",
    is_required: bool = True,
) -> Markup:
    return Markup(
        '<div><label for="{name}">{label}</label><input id="{name}" name="{name}" type="{kind}" value="{value}" maxlength="{longest}" '
        'autocapitalize="none" autocomplete="off"{pattern}{required}>{hint}</div>'
    ).format(
        name=name,
        label=label,
        value=value,
        longest=longest,
        kind=kind,
        pattern=Markup(' pattern="{}"').format(pattern) if pattern else "",
        required=Markup(" required") if is_required else "",
        hint=Markup('<p class="hint">{}</p>').format(hint) if hint else "",
    )


INVITED = "Send this link to the administrator and to nobody else. It works once, for 24 hours, and is not shown again."


def _done(text: str, link: str, lead: str = "") -> Markup:
    if not text:
        return Markup("")
    shown = (
        Markup('<p>{}</p><p><a class="button" href="{}" target="_blank" rel="noopener">Open the link</a></p>').format(
            lead, link
        )
        if link and lead
        else Markup("<p>{}</p><p><code>{}</code></p>").format(INVITED, link)
        if link
        else Markup("")
    )
    return Markup('<div class="done" role="status"><p>{}</p>{}</div>').format(text, shown)
