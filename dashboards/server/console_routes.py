"""The console of platform administrators: organizations, their plans and metering. Plain pages beside Streamlit.

The gate lets platform administrators alone come here, and nowhere else; `serving.platform` looks them up again at every act.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboards import format as fmt
from dashboards import served_home
from dashboards.server import (
    auth_gate,
    console_brand_html,
    console_html,
    console_removal_html,
    console_support_html,
    signin_html,
)
from dashboards.server.forms import LONGEST_BODY, STALE_FORM, fields_of, hashing
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from serving.brand_rules import MOST_LOGO_BYTES
from serving.metering import metering_csv
from serving.people.branding import Brand
from serving.people.support_sessions import SupportState
from serving.platform import Platform

PURPOSE = "console"


def _platform(request: Request) -> tuple[Platform, str, str]:
    """What the person may do, the token of the session, and the user name. Raises AccessError for everybody else."""
    token = auth_gate.cookie_of(request, auth_gate.SESSION_COOKIE) or ""
    principal = auth_gate.signed_in(token)
    if principal is None:
        raise AccessError(auth_gate.WITHOUT_SESSION)
    return Platform(served_home.home(), served_home.access(), principal), token, principal.email


def _all(request: Request, status: int = 200, **more: object) -> Response:
    platform, token, email = _platform(request)
    today = datetime.now(UTC).date()
    return console_html.organizations(
        platform.organizations(),
        token=auth_gate.form_token(PURPOSE, token),
        sign_out=auth_gate.form_token("signout", token),
        email=email,
        months=(date(today.year, 1, 1), today),
        announced=platform.announcements(),
        left=console_removal_html.left(platform.removed()),
        status=status,
        **more,  # type: ignore[arg-type]
    )


def _one(request: Request, tenant_id: str, status: int = 200, **more: object) -> Response:
    platform, token, email = _platform(request)
    shown = platform.organization(tenant_id)
    form_token = auth_gate.form_token(PURPOSE, token)
    support = console_support_html.section(
        tenant_id,
        platform.support_policy(tenant_id),
        platform.support_sessions(tenant_id),
        email=email,
        token=form_token,
        reason=str(more.pop("reason", "")),
    )
    return console_html.organization(
        shown,
        branding=console_brand_html.section(tenant_id, platform.brand(tenant_id), token=form_token),
        support=support,
        token=form_token,
        sign_out=auth_gate.form_token("signout", token),
        email=email,
        invited=platform.invited_administrators(tenant_id),
        status=status,
        **more,  # type: ignore[arg-type]
    )


async def show(request: Request) -> Response:
    """GET /console."""
    return await run_in_threadpool(_guarded, _all, request)


async def show_one(request: Request) -> Response:
    """GET /console/{tenant}."""
    return await run_in_threadpool(_guarded, _one, request, request.path_params["tenant"])


def _guarded(draw, request: Request, *words: str, **more: object) -> Response:  # type: ignore[no-untyped-def]
    try:
        answer: Response = draw(request, *words, **more)
    except AccessError as error:
        return signin_html.refused(fmt.sentence(str(error)), 403)
    return answer


async def act(request: Request) -> Response:
    """POST /console: makes an organization, saves a plan, makes a new link, announces something or ends it, asks for a support session,
    opens or ends one, or asks to remove
    an organization for ever."""
    fields = await fields_of(request)
    return await hashing(_act, request, fields)


def _act(request: Request, fields: Mapping[str, str]) -> Response:
    try:
        platform, token, _ = _platform(request)
    except AccessError as error:
        return signin_html.refused(fmt.sentence(str(error)), 403)
    if not auth_gate.sent_from_us(request, PURPOSE, token, fields.get("token")):
        return signin_html.refused(STALE_FORM, 403)
    action, tenant_id = fields.get("action", ""), fields.get("tenant", "").strip().lower()
    try:
        if action == "create":
            return _created(request, platform, tenant_id, fields)
        if action == "announce":
            return _announced(request, platform, fields)
        if action == "end announcement":
            number = fields.get("announcement", "")
            platform.end_announcement(int(number) if number.isdecimal() else 0)
            return _all(request, done="The announcement is taken from the pages.")
        if action == "plan":
            return _planned(request, platform, tenant_id, fields)
        if action == "invite":
            made = platform.invite_again(tenant_id, fields.get("email", ""))
            link = _address(request, tenant_id, made.path)
            return _one(request, tenant_id, done=f"{made.email} can choose a password.", link=link)
        if action == "remove":
            return _removed(request, platform, tenant_id, fields)
        if action == "withdraw removal":
            platform.withdraw_removal(tenant_id)
            return _one(request, tenant_id, done="The removal is withdrawn.")
        if action in ("ask support", "open support", "end support"):
            return _supported(request, platform, action, tenant_id, fields)
    except AccessError as error:
        return signin_html.refused(fmt.sentence(str(error)), 403)
    return signin_html.refused(STALE_FORM, 403)


def _created(request: Request, platform: Platform, tenant_id: str, fields: Mapping[str, str]) -> Response:
    name = fields.get("name", "")
    try:
        made = platform.create(
            tenant_id, name, admin_email=fields.get("email", ""), admin_name=fields.get("person", "")
        )
    except ConfigurationError as error:
        return _all(request, 422, typed=dict(fields), problem=fmt.sentence(str(error)))
    link = _address(request, tenant_id, made.path)
    return _all(request, done=f"{name.strip()} is there, and {made.email} is invited.", link=link)


def _announced(request: Request, platform: Platform, fields: Mapping[str, str]) -> Response:
    try:
        first, last = (_day(fields.get(name, "")) for name in ("first_day", "last_day"))
        platform.announce(fields.get("sentence", ""), first, last)
    except ConfigurationError as error:
        return _all(request, 422, typed=dict(fields), problem=fmt.sentence(str(error)))
    return _all(request, done="It stands on the pages of all organizations in these days.")


def _planned(request: Request, platform: Platform, tenant_id: str, fields: Mapping[str, str]) -> Response:
    """Grants what is ticked and takes the rest away; what stays as it is changes no version of rights."""
    for module, is_granted, _ in platform.organization(tenant_id).modules:
        wanted = f"module_{module}" in fields
        if wanted != is_granted:
            platform.grant(tenant_id, module, is_granted=wanted)
    return _one(request, tenant_id, done="The plan is saved. It holds from each person's next click on.")


def _supported(
    request: Request, platform: Platform, action: str, tenant_id: str, fields: Mapping[str, str]
) -> Response:
    """Asks for a support session, opens one or ends one."""
    support_id = fields.get("support", "")
    if action == "end support":
        platform.end_support(tenant_id, support_id)
        return _one(request, tenant_id, done="The support session has ended.")
    if action == "open support":
        link = _address(request, tenant_id, platform.begin_support(tenant_id, support_id))
        lead = "The pages of the organization open at its own address. This link works once, within two minutes."
        return _one(request, tenant_id, done="The support session runs.", link=link, link_lead=lead)
    reason, minutes = fields.get("reason", ""), fields.get("minutes", "")
    try:
        asked = platform.ask_support(tenant_id, reason=reason, minutes=int(minutes) if minutes.isdecimal() else 0)
    except ConfigurationError as error:
        return _one(request, tenant_id, 422, problem=fmt.sentence(str(error)), reason=reason)
    waits = asked.state is SupportState.WAITING
    done = "An administrator of the organization has to approve it." if waits else "You can begin it below."
    return _one(request, tenant_id, done=f"The support session is asked for. {done}")


def _removed(request: Request, platform: Platform, tenant_id: str, fields: Mapping[str, str]) -> Response:
    """Asks for the removal of an organization, and leads to the page that says how it stands."""
    reason = fields.get("reason", "")
    try:
        platform.ask_removal(tenant_id, typed_name=fields.get("typed", ""), reason=reason)
    except ConfigurationError as error:
        return _ask_removal(request, tenant_id, 422, problem=fmt.sentence(str(error)), reason=reason)
    return RedirectResponse(f"{auth_gate.CONSOLE}/{tenant_id}/removal", status_code=303)


def _ask_removal(request: Request, tenant_id: str, status: int = 200, **more: str) -> Response:
    platform, token, _ = _platform(request)
    asked = platform.removal_request(tenant_id)
    if asked is not None and asked.waits:
        return RedirectResponse(f"{auth_gate.CONSOLE}/{tenant_id}/removal", status_code=303)
    form_token = auth_gate.form_token(PURPOSE, token)
    return console_removal_html.ask(platform.organization(tenant_id), token=form_token, status=status, **more)


def _removal(request: Request, tenant_id: str) -> Response:
    platform, token, _ = _platform(request)
    return console_removal_html.outcome(
        tenant_id,
        platform.removal_request(tenant_id),
        platform.removed().get(tenant_id),
        token=auth_gate.form_token(PURPOSE, token),
    )


def _certificate(request: Request, tenant_id: str) -> Response:
    platform, _, _ = _platform(request)
    asked = platform.removal_request(tenant_id)
    if asked is None or not asked.certificate:
        raise AccessError("there is no certificate; clinicmart tenants remove writes that of an organization that left")
    headers = {"content-disposition": f'attachment; filename="removal-{tenant_id}.json"'}
    return Response(asked.certificate, media_type="application/json", headers=headers)


async def show_removal(request: Request) -> Response:
    """GET /console/{tenant}/remove, /removal and /certificate: what a removal destroys, how it stands, and what it proved."""
    draw = {"remove": _ask_removal, "removal": _removal, "certificate": _certificate}.get(request.path_params["part"])
    if draw is None:
        return signin_html.not_found()
    return await run_in_threadpool(_guarded, draw, request, request.path_params["tenant"])


async def brand(request: Request) -> Response:
    """POST /console/branding: sets how an organization shows itself; the form may hold the file of a logo."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MOST_LOGO_BYTES + LONGEST_BODY:
        return signin_html.refused(f"The logo is a file of at most {MOST_LOGO_BYTES // 1000} kB.", 413)
    async with request.form(max_files=1, max_fields=10) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        file = form.get("logo")
        logo = await file.read() if isinstance(file, UploadFile) else b""
    return await run_in_threadpool(_branded, request, fields, logo)


def _branded(request: Request, fields: Mapping[str, str], logo: bytes) -> Response:
    tenant_id = fields.get("tenant", "")
    try:
        platform, token, _ = _platform(request)
        if not auth_gate.sent_from_us(request, PURPOSE, token, fields.get("token")):
            return signin_html.refused(STALE_FORM, 403)
        now = platform.brand(tenant_id)
        accent, dark = fields.get("accent", "").strip().lower(), fields.get("accent_dark", "").strip().lower()
        # A colour for dark pages that followed from the old accent follows from the new one.
        follows = dark == now.accent_dark and accent != now.accent
        wanted = Brand(
            display_name=fields.get("display_name", ""),
            accent=accent,
            accent_dark="" if follows else dark,
            logo=b"" if "remove_logo" in fields else now.logo,
        )
        platform.set_brand(tenant_id, wanted, logo or None)
    except ConfigurationError as error:
        return _guarded(_one, request, tenant_id, status=422, problem=fmt.sentence(str(error)))
    except AccessError as error:
        return signin_html.refused(fmt.sentence(str(error)), 403)
    return _one(request, tenant_id, done="The branding is saved. It shows from each person's next click on.")


def _address(request: Request, tenant_id: str, path: str) -> str:
    """The link at the organization's own address; where the served domain is typed as a number, at that number."""
    host = request.headers.get("host", "")
    name = host.partition(":")[0].lower()
    own = f"{tenant_id}.{host}" if name == served_home.served().domain else host
    return f"{request.url.scheme}://{own}{path}"


async def metering(request: Request) -> Response:
    """GET /console/metering.csv: `from` and `to` are months, such as 2026-11."""
    return await run_in_threadpool(_metering, request)


def _metering(request: Request) -> Response:
    try:
        platform, _, _ = _platform(request)
        first, last = (_month(request.query_params.get(name, "")) for name in ("from", "to"))
        rows = platform.metered(first, last)
    except AccessError as error:
        return signin_html.refused(fmt.sentence(str(error)), 403)
    except ClinicmartError as error:
        return _all(request, 422, problem=fmt.sentence(str(error)))
    name = f"metering_{first:%Y-%m}_{last:%Y-%m}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(metering_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a day such as 2026-11-30") from None


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a month such as 2026-11") from None


async def leave(_: Request) -> Response:
    """GET /console/: the same without the slash."""
    return RedirectResponse(auth_gate.CONSOLE, status_code=303)


ROUTES = [
    Route(auth_gate.CONSOLE, show, methods=["GET"]),
    Route(auth_gate.CONSOLE, act, methods=["POST"]),
    Route(f"{auth_gate.CONSOLE}/", leave, methods=["GET"]),
    Route(f"{auth_gate.CONSOLE}/metering.csv", metering, methods=["GET"]),
    Route(f"{auth_gate.CONSOLE}/{{tenant}}/{{part}}", show_removal, methods=["GET"]),
    Route(console_brand_html.ADDRESS, brand, methods=["POST"]),
    Route(f"{auth_gate.CONSOLE}/{{tenant}}", show_one, methods=["GET"]),
]
