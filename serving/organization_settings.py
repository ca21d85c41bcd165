"""What a support session shows of how an organization is set up: read only, and nothing of its patients."""

from dataclasses import dataclass

from foundation.errors import AccessError
from serving.people.audit_log import AuditRow
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.roster import Person
from serving.people.store import AccessStore
from serving.people.support_sessions import SupportSession, SupportState

PAGE = "settings"


@dataclass(frozen=True, kw_only=True)
class OrganizationSettings:
    """How an organization is set up. `provider` is its identity provider, empty for none; `modules` as of `TenantStore.modules`;
    `sites` counts the open sites of others that show figures."""

    people: tuple[Person, ...]
    requires_second_factor: bool
    provider: str
    modules: tuple[tuple[str, bool, bool], ...]
    deidentification_rule: str
    smallest_cell: int
    sites: int


def settings_of(store: AccessStore, principal: Principal) -> OrganizationSettings:
    """The settings, for a person of the support in a session that runs now. The look, and a refusal, is an audit row. Raises AccessError
    for everybody else, and where the session is over."""
    tenant_id = principal.tenant_id
    is_held = PAGE in ROLES[principal.role].pages and principal in store.support_sessions.principals(tenant_id)
    store.audit(tenant_id, principal.email, PAGE, result="done" if is_held else "refused")
    if not is_held:
        raise AccessError("the settings are shown in a support session alone")
    provider, policy = store.oidc_provider(tenant_id), store.policy(tenant_id)
    return OrganizationSettings(
        people=store.everybody(tenant_id),
        requires_second_factor=store.requires_second_factor(tenant_id),
        provider=provider.name if provider else "",
        modules=store.modules(tenant_id),
        deidentification_rule=policy.deidentification.rule,
        smallest_cell=policy.deidentification.smallest_cell,
        sites=sum(site.is_open for site in store.embedding_sites.of_tenant(tenant_id)),
    )


@dataclass(frozen=True, kw_only=True)
class SeenInSupport:
    """What was seen in a support session: keys of pages with how often each was drawn, names of metrics, and how many acts were refused."""

    pages: dict[str, int]
    metrics: tuple[str, ...]
    refused: int


def seen_in(store: AccessStore, session: SupportSession) -> SeenInSupport:
    """What was seen in a support session, from the audit rows under its user name in its time."""
    if session.began_at is None:
        return SeenInSupport(pages={}, metrics=(), refused=0)
    is_over = session.state is not SupportState.RUNNING
    rows = store.audit_between(
        session.tenant_id, since=session.began_at, until=session.ended_at if is_over else None, actor=session.actor
    )
    return _seen(rows)


def _seen(rows: tuple[AuditRow, ...]) -> SeenInSupport:
    pages: dict[str, int] = {}
    metrics: set[str] = set()
    for row in rows:
        if row.result == "done" and row.action == "page":
            page = str(row.detail.get("page", ""))
            pages[page] = pages.get(page, 0) + 1
        names = row.detail.get("metrics")
        metrics.update(map(str, names) if isinstance(names, list) and row.result == "done" else ())
    return SeenInSupport(
        pages=pages, metrics=tuple(sorted(metrics)), refused=sum(row.result == "refused" for row in rows)
    )
