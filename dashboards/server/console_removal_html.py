"""An organization leaves for ever: what that destroys is said before its name is typed, how it stands, and the certificate after."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards import format as fmt
from dashboards.server.plain_html import hidden, page, problem_line
from foundation.removed_tenants import Removal
from serving.people.removal_requests import RemovalRequest
from serving.platform import LONGEST_REASON, Organization

ZONE = "UTC"
COMMAND = "clinicmart tenants remove-asked"


def ask(shown: Organization, *, token: str, reason: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    """What a removal destroys, and the form that asks for the name."""
    destroyed = (
        f"{fmt.plural(shown.people + shown.invited, 'account', 'accounts')} with their rights, sessions, tokens and passkeys",
        "Everything that its people made: targets, annotations, reports, queries, alerts, subscriptions, entries of worklists",
        "Every published version and every closed month",
        "What its feeds brought: landed rows, quarantine, messages, and the vault with the names of its patients",
        "Its keys: nobody can then read a copy of its files, wherever it is, but in a backup, which holds the keys too",
    )
    kept = (
        "The audit log keeps its rows: who signed in and what was done, with patients as tokens alone.",
        "Backups stay as they are: clinicmart tenants remove --backups takes the organization out of them.",
        "The warehouse holds all organizations: it is removed, and the next run builds it without this one. Pages of others stay.",
        "The id cannot be given again.",
    )
    body = Markup(
        '<p class="lead"><a href="/console/{id}">Back to {name}</a></p><h1>Remove {name} for ever</h1>{problem}'
        '<p class="lead">Nothing brings it back. Take the organization out of the configuration of the runs first.</p>'
        "<h2>What is destroyed</h2><ul>{destroyed}</ul><h2>What stays</h2><ul>{kept}</ul>"
        '<form method="post" action="/console">{token}{action}{tenant}<div class="fields">'
        '<div><label for="reason">Reason</label><input id="reason" name="reason" value="{reason}" maxlength="{longest}" required '
        'autocomplete="off"><p class="hint">It stands in the certificate.</p></div>'
        '<div><label for="typed">Name of the organization</label><input id="typed" name="typed" required autocomplete="off">'
        '<p class="hint">Type it as it stands here: {name}</p></div></div>'
        '<button type="submit">Ask to remove it for ever</button></form>'
    ).format(
        id=shown.tenant_id,
        name=shown.name,
        problem=problem_line(problem),
        destroyed=_items(destroyed),
        kept=_items(kept),
        token=hidden("token", token),
        action=hidden("action", "remove"),
        tenant=hidden("tenant", shown.tenant_id),
        reason=reason,
        longest=LONGEST_REASON,
    )
    return page("Remove an organization", body, status, is_wide=True)


def _items(lines: Sequence[str]) -> Markup:
    return Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)


def outcome(tenant_id: str, request: RemovalRequest | None, removal: Removal | None, *, token: str) -> HTMLResponse:
    """How a removal stands: it waits, was withdrawn, or is done, with the facts of its certificate. `removal` is what the home noted."""
    back = Markup('<p class="lead"><a href="/console">All organizations</a></p>')
    if request is not None and request.waits:
        body = back + Markup(
            '<h1>{name} is going to be removed</h1>{problem}<p class="lead" role="status">{asked_by} asked for it on {asked_at}: {reason}. '
            "The server of the pages holds no key for it: the next run of <code>{command}</code> on the server does it. "
            'Then this page shows the certificate.</p><form method="post" action="/console">{token}{action}{tenant}'
            '<button type="submit" class="quiet">Withdraw it</button></form>'
        ).format(
            name=request.name,
            problem=problem_line(f"The last attempt removed nothing: {request.problem}" if request.problem else ""),
            asked_by=request.asked_by,
            asked_at=fmt.moment(request.asked_at, ZONE),
            reason=request.reason,
            command=COMMAND,
            token=hidden("token", token),
            action=hidden("action", "withdraw removal"),
            tenant=hidden("tenant", tenant_id),
        )
        return page("Removal", body, is_wide=True)
    if request is not None and request.certificate:
        return _certificate(request, back)
    if removal is not None:
        state = f"ended {fmt.moment(removal.ended_at, ZONE)}" if removal.ended_at else "was begun and has not ended"
        words = Markup(
            '<h1>{} was removed</h1><p class="lead">The removal {}. clinicmart tenants remove {} writes its certificate again.</p>'
        ).format(tenant_id, state, tenant_id)
        return page("Removal", back + words, is_wide=True)
    return page("Removal", back + Markup("<h1>No removal</h1>"), 404, is_wide=True)


def _certificate(request: RemovalRequest, back: Markup) -> HTMLResponse:
    facts = json.loads(request.certificate)["report"]
    tried = facts["tried"]
    proof = (
        f"{tried['keys']:,} keys that are left were tried on {tried['files']:,} files: none opened any"
        if facts["is_proven"]
        else "There was no file on which the keys that are left could be tried"
        if not tried.get("opened")
        else f"NOT PROVEN: a key that is left opened {', '.join(tried['opened'])}"
    )
    rows = (
        ("Reason", facts["reason"]),
        ("Begun", fmt.moment(datetime.fromisoformat(facts["begun_at"]), ZONE)),
        ("Ended", fmt.moment(datetime.fromisoformat(facts["ended_at"]), ZONE)),
        ("Keys destroyed", ", ".join(facts["destroyed_keys"]) or "none: it had no files"),
        ("Proof", proof),
        ("Files removed", f"{sum(item['files'] for item in facts['files'].values()):,}"),
        ("Rows removed", f"{sum(facts['rows'].values()):,}"),
        ("Audit rows kept", f"{facts['kept']['audit rows']:,}"),
    )
    table = Markup("").join(Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(*row) for row in rows)
    body = back + Markup(
        '<h1>{name} is removed</h1><table>{table}</table><ul>{notes}</ul><p><a class="button" href="/console/{id}/certificate">'
        'Download the signed certificate</a></p><p class="hint">clinicmart audit verify-report checks it.</p>'
    ).format(id=request.organization, name=request.name, table=table, notes=_items(facts["notes"]))
    return page("Removal", body, is_wide=True)


def left(removed: Mapping[str, Removal]) -> Markup:
    """The organizations that left, the newest first; nothing where there is none."""
    if not removed:
        return Markup("")
    ordered = sorted(removed.items(), key=lambda item: item[1].begun_at, reverse=True)
    rows = Markup("").join(
        Markup('<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>').format(
            tenant_id,
            fmt.moment(removal.ended_at, ZONE) if removal.ended_at else "under way",
            removal.reason,
            _tried(removal),
        )
        for tenant_id, removal in ordered
    )
    return Markup(
        '<section><h2>Organizations that left</h2><div class="scroll" tabindex="0" role="region" aria-label="Organizations that left">'
        '<table><thead><tr><th scope="col">Id</th><th scope="col">Removed</th><th scope="col">Reason</th><th scope="col">Proof</th></tr>'
        "</thead><tbody>{}</tbody></table></div></section>"
    ).format(rows)


def _tried(removal: Removal) -> str:
    files = removal.tried.get("files", 0)
    if not files:
        return "no file to try keys on"
    if removal.tried.get("opened"):
        return "NOT PROVEN: a key that is left opened a file"
    return f"{removal.tried['keys']:,} keys tried on {files:,} files, none opened any"
