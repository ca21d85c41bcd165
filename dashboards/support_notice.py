"""What stands above the pages while a support session runs, or waits for an administrator of the organization."""

from collections.abc import Sequence

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup, served_home, widgets
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.support_sessions import SupportSession, SupportState

ADMINISTRATION = "administration"


def above_pages(principal: Principal, time_zone: str, pages: Sequence[str] = ()) -> Markup:
    """The notice for a person; empty where no session concerns them. `time_zone` is an IANA name. `pages` are the keys of pages that the
    notice may lead to."""
    sessions = served_home.access().support_sessions.open_of_tenant(principal.tenant_id)
    running = [item for item in sessions if item.state is SupportState.RUNNING]
    if ROLES[principal.role].is_of_support:
        return markup.notice([_own(item, time_zone) for item in running if item.actor == principal.email])
    lines = [_running(item, time_zone) for item in running]
    administers = ROLES[principal.role].administers
    if administers:
        lines += [_waiting(item) for item in sessions if item.state is SupportState.WAITING]
    leads_on = administers and ADMINISTRATION in pages
    label = "Decide" if len(lines) > len(running) else "End it"
    return markup.notice(lines, link=(label, f"{widgets.PAGE}{ADMINISTRATION}?") if leads_on else None)


def _running(item: SupportSession, time_zone: str) -> str:
    until = fmt.moment(item.until, time_zone) if item.until else ""
    return f"Support session: {item.asked_by} can look at your organization's pages until {until}, read only. Reason: {item.reason}"


def _waiting(item: SupportSession) -> str:
    return f"{item.asked_by} asks for a support session of {item.minutes} minutes. Reason: {item.reason}"


def _own(item: SupportSession, time_zone: str) -> str:
    until = fmt.moment(item.until, time_zone) if item.until else ""
    return f"You are in a support session until {until}, read only. The organization sees what you look at."
