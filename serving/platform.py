"""What a platform administrator does: organizations, their first administrator, plans and metering. Never an organization's data.

Every act looks the administrator up again, and is an audit row under the administrator's name: of the organization where it changes one,
else of the platform.
"""

import secrets
from dataclasses import dataclass
from datetime import date, datetime

from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.removed_tenants import Removal, RemovedTenants
from serving.administration import Invitation
from serving.brand_rules import set_brand
from serving.metering import Metered, metered
from serving.model import LastRun
from serving.people.announcements import Announcement
from serving.people.branding import Brand
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.removal_requests import RemovalRequest
from serving.people.rights import ROLES
from serving.people.store import AccessStore
from serving.people.support_sessions import SupportPolicy, SupportSession
from serving.scope_files.unheld import remove_unheld
from serving.versions.health import published_alerts
from serving.versions.integrity import last_sound_version
from serving.versions.store import outcome

LONGEST_NAME = 80
LONGEST_REASON = 300
# Where a support session is opened, at the address of the organization.
SUPPORT_PATH = "/support"


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is published of an organization: when (UTC), up to which day the data reach, and how many alerts of feeds it has."""

    at: datetime
    data_as_of: date | None
    feed_alerts: int


@dataclass(frozen=True, kw_only=True)
class Organization:
    """An organization from outside: counts and times. `people` may sign in and chose a password, `invited` have not yet. `modules` as of
    `TenantStore.modules`. `published` is None before anything is; `problem` says why it could not be read."""

    tenant_id: str
    name: str
    created_at: datetime
    people: int
    invited: int
    last_seen_at: datetime | None
    modules: tuple[tuple[str, bool, bool], ...]
    published: Published | None
    last_run: LastRun | None
    problem: str = ""


class Platform:
    """The acts of one platform administrator. Raises AccessError for everybody else, at every act."""

    def __init__(self, home: Home, store: AccessStore, principal: Principal) -> None:
        self._home, self._store, self._email = home, store, principal.email
        self._tenant = principal.tenant_id
        self._check()

    def _check(self) -> None:
        if not ROLES[self._store.principal(self._tenant, self._email).role].is_of_platform:
            raise AccessError("only an administrator of the platform does this")

    def organizations(self) -> tuple[Organization, ...]:
        """Every organization, by name. The look is audited."""
        self._check()
        listed = tuple(self._organization(tenant_id, name) for tenant_id, name in self._store.tenants())
        self._store.audit(PLATFORM, self._email, "list", detail={"organizations": len(listed)})
        return listed

    def organization(self, tenant_id: str) -> Organization:
        """One of `organizations`. Raises AccessError for an id that there is not."""
        self._check()
        name = dict(self._store.tenants()).get(tenant_id)
        if name is None:
            raise AccessError("there is no such organization")
        return self._organization(tenant_id, name)

    def create(self, tenant_id: str, name: str, *, admin_email: str, admin_name: str = "") -> Invitation:
        """As `create_organization`."""
        self._check()
        wanted = {"admin_email": admin_email, "admin_name": admin_name}
        return create_organization(self._home, self._store, tenant_id, name, **wanted, actor=self._email)

    def invite_again(self, tenant_id: str, admin_email: str) -> Invitation:
        """Another link for an administrator who has not chosen a password yet. Raises AccessError for others: their own administrators do
        that."""
        self.organization(tenant_id)
        address = admin_email.strip().lower()
        person = next((item for item in self._store.everybody(tenant_id) if item.email == address), None)
        if person is None or person.status != "invited" or not ROLES[person.role].administers:
            raise AccessError("there is no administrator of this name who was invited and has chosen no password yet")
        return _invitation(self._store, tenant_id, address, self._email)

    def invited_administrators(self, tenant_id: str) -> tuple[str, ...]:
        """User names of those whom `invite_again` is for."""
        self._check()
        everybody = self._store.everybody(tenant_id)
        return tuple(item.email for item in everybody if item.status == "invited" and ROLES[item.role].administers)

    def grant(self, tenant_id: str, module: str, *, is_granted: bool) -> None:
        """Says whether the plan of an organization grants a module. Raises ConfigurationError for one that there is not."""
        self.organization(tenant_id)
        self._store.set_module(tenant_id, module, granted=is_granted, actor=self._email)

    def brand(self, tenant_id: str) -> Brand:
        """What an organization chose to look like."""
        self._check()
        return self._store.brandings.of_tenant(tenant_id)

    def set_brand(self, tenant_id: str, brand: Brand, logo: bytes | None = None) -> Brand:
        """Sets it, as `Administration.set_brand`."""
        self.organization(tenant_id)
        return set_brand(self._store, tenant_id, brand, logo, actor=self._email)

    def support_policy(self, tenant_id: str) -> SupportPolicy:
        """What an organization allows."""
        self._check()
        return self._store.support_sessions.policy(tenant_id)

    def support_sessions(self, tenant_id: str) -> tuple[SupportSession, ...]:
        """The support sessions of an organization, the newest first."""
        self._check()
        return self._store.support_sessions.of_tenant(tenant_id)

    def ask_support(self, tenant_id: str, *, reason: str, minutes: int) -> SupportSession:
        """Asks an organization for a support session. Raises as `SupportSessions.ask`."""
        self.organization(tenant_id)
        return self._store.support_sessions.ask(tenant_id, reason=reason, minutes=minutes, by=self._email)

    def begin_support(self, tenant_id: str, support_id: str) -> str:
        """Begins a support session of one's own, or opens one that runs. Returns the path of a link at the organization's address, which
        works once within two minutes. Raises as `SupportSessions.begin`."""
        self._check()
        token = self._store.support_sessions.begin(tenant_id, support_id, by=self._email)
        return f"{SUPPORT_PATH}?link={token}"

    def end_support(self, tenant_id: str, support_id: str) -> None:
        """Ends a support session at once, also one of another administrator. Raises as `SupportSessions.end`."""
        self._check()
        self._store.support_sessions.end(tenant_id, support_id, actor=self._email)
        remove_unheld(self._home, tenant_id)

    def ask_removal(self, tenant_id: str, *, typed_name: str, reason: str) -> None:
        """Asks that an organization is removed for ever; `clinicmart tenants remove-asked` does it.

        Raises ConfigurationError where the name is not typed as it is, for no or a long reason, and where it is asked for already;
        AccessError for an organization that there is not.
        """
        shown, text = self.organization(tenant_id), " ".join(reason.split())
        if " ".join(typed_name.split()) != shown.name:
            raise ConfigurationError(f"type the name of the organization as it is: {shown.name}")
        if not text or len(text) > LONGEST_REASON or not text.isprintable():
            raise ConfigurationError(
                f"write a reason of 1 to {LONGEST_REASON} characters; it stands in the certificate"
            )
        self._store.removal_requests.ask(tenant_id, shown.name, reason=text, by=self._email)

    def withdraw_removal(self, tenant_id: str) -> None:
        """Withdraws a removal that was not done yet. Raises AccessError where none waits."""
        self._check()
        self._store.removal_requests.withdraw(tenant_id, by=self._email)

    def removal_request(self, tenant_id: str) -> RemovalRequest | None:
        """The newest request to remove an organization; None where nobody asked."""
        self._check()
        return self._store.removal_requests.newest(tenant_id)

    def removed(self) -> dict[str, Removal]:
        """The organizations that left: id to what was noted of the removal."""
        self._check()
        return RemovedTenants.of(self._home).tenants

    def announcements(self) -> tuple[Announcement, ...]:
        """What was announced, the newest first."""
        self._check()
        return self._store.announcements.all()

    def announce(self, sentence: str, first_day: date, last_day: date) -> None:
        """Announces a sentence on the pages of all organizations. Raises as `Announcements.add`."""
        self._check()
        self._store.announcements.add(sentence, first_day, last_day, actor=self._email)

    def end_announcement(self, announcement_id: int) -> None:
        """Takes an announcement from the pages. Raises as `Announcements.end`."""
        self._check()
        self._store.announcements.end(announcement_id, actor=self._email)

    def metered(self, first: date, last: date) -> tuple[Metered, ...]:
        """As `serving.metering.metered`; audited."""
        self._check()
        rows = metered(self._store, first, last)
        detail = {"rows": len(rows), "from": f"{first:%Y-%m}", "to": f"{last:%Y-%m}"}
        self._store.audit(PLATFORM, self._email, "metering exported", detail=detail)
        return rows

    def _organization(self, tenant_id: str, name: str) -> Organization:
        everybody = self._store.everybody(tenant_id)
        seen = [person.last_seen_at for person in everybody if person.last_seen_at is not None]
        published, problem = None, ""
        try:
            published = _published(self._home, tenant_id)
        except ClinicmartError as error:
            problem = str(error)
        return Organization(
            tenant_id=tenant_id,
            name=name,
            created_at=self._store.created_at(tenant_id),
            people=sum(person.status == "active" for person in everybody),
            invited=sum(person.status == "invited" for person in everybody),
            last_seen_at=max(seen, default=None),
            modules=self._store.modules(tenant_id),
            published=published,
            last_run=outcome(self._home, tenant_id),
            problem=problem,
        )


def _published(home: Home, tenant_id: str) -> Published | None:
    version = last_sound_version(home, tenant_id)
    if version is None:
        return None
    alerts = published_alerts(home, version).height
    return Published(at=version.published_at, data_as_of=version.data_as_of, feed_alerts=alerts)


def create_organization(
    home: Home, store: AccessStore, tenant_id: str, name: str, *, admin_email: str, admin_name: str = "", actor: str
) -> Invitation:
    """Makes an organization and invites its first administrator, who can sign in at once.

    Raises ConfigurationError for what is not an id, an id that is taken or was removed, a name that is empty or too long, and what is not a
    user name; then nothing is made.
    """
    tenant_id, name = tenant_id.strip().lower(), name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"give the organization a name of 1 to {LONGEST_NAME} characters")
    if tenant_id in RemovedTenants.of(home).tenants:
        raise ConfigurationError(
            f"an organization {tenant_id} was removed, and its keys are destroyed; choose another id"
        )
    address = store.checked_address(admin_email)
    store.create_tenant(tenant_id, name, actor=actor)
    # The password is thrown away: the person chooses one with the link.
    store.add_user(
        tenant_id,
        address,
        display_name=admin_name.strip() or address.partition("@")[0],
        role=Role.ORGANIZATION_ADMIN,
        password=secrets.token_urlsafe(24),
        actor=actor,
    )
    return _invitation(store, tenant_id, address, actor)


def _invitation(store: AccessStore, tenant_id: str, address: str, actor: str) -> Invitation:
    token = store.begin_reset(tenant_id, address, actor=actor)
    return Invitation(email=address, path=f"/password?reset={token}")
