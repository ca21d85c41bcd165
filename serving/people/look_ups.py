"""Who may look up the identity of a patient, how often, and which look-ups the administrator must see.

The vault holds names, addresses and numbers. An organization_admin may look up one patient at a time, with a reason. People who work with
patients without their names (`limited`, or their own patients) may do it in an emergency only: they break the glass, and every
administrator sees it on the page Administration. Others may not: their work needs no name.
"""

from datetime import UTC, datetime, timedelta

from foundation.errors import AccessError
from serving.people.audit_log import AuditRow
from serving.people.principal import Principal
from serving.people.rights import IN_AN_EMERGENCY, ROLES
from serving.people.store import AccessStore

ACTION = "identity looked up"
# One patient at a time must not become a list of all.
MOST_AN_HOUR = 20
REPORTED_FOR = timedelta(days=30)


def check_may_look_up(store: AccessStore, principal: Principal, *, breaks_glass: bool) -> None:
    """Raises AccessError for a role that may not, without `breaks_glass` for one that may in an emergency alone, and after too many."""
    if not ROLES[principal.role].looks_up:
        raise AccessError("your role may not look up who a patient is")
    if needs_emergency(principal) and not breaks_glass:
        raise AccessError(
            "your role looks up who a patient is in an emergency only: give --break-glass; every administrator sees it"
        )
    since = datetime.now(UTC) - timedelta(hours=1)
    rows = store.audit_between(principal.tenant_id, since=since, actor=principal.email, action=ACTION)
    if len(rows) >= MOST_AN_HOUR:
        raise AccessError(f"{MOST_AN_HOUR} look-ups within an hour are the most; wait, or ask for a report of the rows")


def needs_emergency(principal: Principal) -> bool:
    """Whether a look-up by this person breaks the glass: the role may look up in an emergency alone."""
    return ROLES[principal.role].looks_up == IN_AN_EMERGENCY


def broken_glass(store: AccessStore, tenant_id: str) -> tuple[AuditRow, ...]:
    """The look-ups of the last 30 days by people who may only in an emergency, the newest first."""
    rows = store.audit_between(tenant_id, since=datetime.now(UTC) - REPORTED_FOR, action=ACTION)
    return tuple(row for row in reversed(rows) if row.detail.get("break_glass") and row.result == "done")
