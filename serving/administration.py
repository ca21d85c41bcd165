"""What an administrator of a tenant does with its people: who may sign in, as what, for which units, and what was done.

Every act looks the administrator up again, so that one whose role was just changed does nothing more, and is an audit row under the
administrator's name. Nobody administers another tenant: the tenant is the administrator's own, never an argument.
"""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.brand_rules import set_brand
from serving.organization_settings import SeenInSupport, seen_in
from serving.people.audit_log import AuditRow
from serving.people.branding import Brand
from serving.people.embedding_sites import EmbeddingSite
from serving.people.group_rights import GroupRight
from serving.people.look_ups import broken_glass
from serving.people.oidc_store import OidcProvider
from serving.people.principal import Principal, Role
from serving.people.provisioning_store import AccountGroup
from serving.people.rights import ROLES
from serving.people.roster import Person
from serving.people.scim_tokens import ScimToken
from serving.people.store import AccessStore
from serving.people.support_sessions import SupportPolicy, SupportSession
from serving.rows.export import rows_file
from serving.scope_files.unheld import remove_unheld

MOST_EXPORTED = 100_000
SCIM_DAYS = 180
_FIELDS = ("at", "actor", "action", "scope_hash", "detail", "result", "channel", "address", "session", "os_user")


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """A link with which a person chooses a password: a path at the dashboards' own address. It works once, for 24 hours."""

    email: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which audit rows: of whom, which action, and from which day to which (both included) in the tenant's time zone."""

    actor: str | None = None
    action: str | None = None
    first: date | None = None
    last: date | None = None


class Administration:
    """The acts of one administrator. Raises AccessError for everybody else, at every act."""

    def __init__(
        self,
        home: Home,
        store: AccessStore,
        principal: Principal,
        *,
        units: Collection[str],
        providers: Collection[str],
        partners: Collection[str] = (),
    ) -> None:
        """`units`, `providers` and (referral) `partners` are the ids that the served version has: others are refused."""
        self._home, self._store = home, store
        self._tenant, self._email = principal.tenant_id, principal.email
        self._units = frozenset(units)
        self._people_of_need = {"provider": frozenset(providers), "partner": frozenset(partners)}
        self._check()

    def _check(self) -> None:
        if not ROLES[self._store.principal(self._tenant, self._email).role].administers:
            raise AccessError("only an administrator of the organization does this")

    # People

    def people(self) -> tuple[Person, ...]:
        """Everybody of the tenant, locked people too, by user name."""
        self._check()
        return self._store.everybody(self._tenant)

    def person(self, email: str) -> Person:
        """One of `people`. Raises AccessError for a user name of nobody here."""
        for person in self.people():
            if person.email == email:
                return person
        raise AccessError("there is no such user in your organization")

    def invite(
        self, email: str, *, display_name: str, role: Role, unit_ids: Sequence[str] = (), provider_id: str | None = None
    ) -> Invitation:
        """Adds a person, and a link to choose the first password.

        Raises ConfigurationError for a user name that exists or is none, and where the role lacks what it needs.
        """
        self._check()
        self._check_rights(role, unit_ids, provider_id)
        name = display_name.strip() or email.partition("@")[0]
        # The password is thrown away: the person chooses one with the link.
        self._store.add_user(
            self._tenant,
            email,
            display_name=name,
            role=role,
            password=secrets.token_urlsafe(24),
            unit_ids=unit_ids,
            provider_id=provider_id,
            actor=self._email,
        )
        return self.reset(email)

    def change(self, email: str, *, role: Role, unit_ids: Sequence[str], provider_id: str | None) -> None:
        """Gives a person other rights; open sessions end. Raises as `invite`, and where nobody would be left to administer."""
        person = self.person(email)
        self._check_rights(role, unit_ids, provider_id)
        if not ROLES[role].administers:
            self._check_somebody_is_left(person)
        self._store.change_rights(
            self._tenant, email, role=role, unit_ids=unit_ids, provider_id=provider_id or "", actor=self._email
        )
        remove_unheld(self._home, self._tenant)

    def lock(self, email: str) -> None:
        """Refuses sign-in; open sessions end. Raises ConfigurationError for oneself and for the last administrator."""
        person = self.person(email)
        if person.email == self._email:
            raise ConfigurationError("you cannot lock your own account; ask another administrator")
        self._check_somebody_is_left(person)
        self._store.change_rights(self._tenant, email, is_active=False, actor=self._email)
        remove_unheld(self._home, self._tenant)

    def unlock(self, email: str) -> None:
        """Allows sign-in again."""
        self.person(email)
        self._store.change_rights(self._tenant, email, is_active=True, actor=self._email)

    def reset(self, email: str) -> Invitation:
        """A link with which the person chooses a new password; earlier links and open sessions end."""
        address = self.person(email.strip().lower()).email
        token = self._store.begin_reset(self._tenant, address, actor=self._email)
        return Invitation(email=address, path=f"/password?reset={token}")

    def reset_second_factor(self, email: str) -> None:
        """Removes the second factor of a person who lost it; open sessions end. Raises ConfigurationError for oneself."""
        address = self.person(email.strip().lower()).email
        if address == self._email:
            raise ConfigurationError(
                "you cannot reset your own second factor here; change it in your account, or ask another administrator"
            )
        self._store.reset_second_factor(self._tenant, address, actor=self._email)

    def requires_second_factor(self) -> bool:
        """Whether everybody who signs in with a password must have a second factor."""
        self._check()
        return self._store.requires_second_factor(self._tenant)

    def require_second_factor(self, is_required: bool) -> None:
        """Sets that rule; people without a second factor see nothing more until they have one."""
        self._check()
        self._store.require_second_factor(self._tenant, is_required, actor=self._email)

    def identity_provider(self) -> OidcProvider | None:
        """The identity provider at which people of the organization may sign in, or None."""
        self._check()
        return self._store.oidc_provider(self._tenant)

    def scim_tokens(self) -> tuple[ScimToken, ...]:
        """The tokens with which the identity provider keeps accounts here, the newest first."""
        self._check()
        return self._store.scim_tokens.of_tenant(self._tenant)

    def create_scim_token(self, name: str, *, days: int = SCIM_DAYS) -> str:
        """Makes such a token and returns it; it is kept nowhere. Raises ConfigurationError for a name that is empty or too long."""
        self._check()
        return self._store.scim_tokens.create(self._tenant, name=name, days=days, actor=self._email)

    def revoke_scim_token(self, token_id: str) -> None:
        """Ends a token for good."""
        self._check()
        self._store.scim_tokens.revoke(self._tenant, token_id, actor=self._email)

    def embedding_sites(self) -> tuple[EmbeddingSite, ...]:
        """The sites of others that may show figures, the newest first; also those that have ended."""
        self._check()
        return self._store.embedding_sites.of_tenant(self._tenant)

    def register_embedding_site(
        self, name: str, *, origin: str, pages: Collection[str], unit_ids: Collection[str], days: int
    ) -> str:
        """Registers a site and returns the secret of its server; it is kept nowhere. Raises ConfigurationError as
        `EmbeddingSites.create`, and for a service unit that there is not."""
        self._check()
        self._check_units(unit_ids)
        return self._store.embedding_sites.create(
            self._tenant, name=name, origin=origin, pages=pages, unit_ids=unit_ids, days=days, actor=self._email
        )

    def end_embedding_site(self, site_id: str) -> None:
        """Ends a site for good, with every link that was not opened yet. Raises AccessError where there is no such open site."""
        self._check()
        self._store.embedding_sites.revoke(self._tenant, site_id, actor=self._email)

    def provider_groups(self) -> tuple[AccountGroup, ...]:
        """The groups that the identity provider keeps here, by name."""
        self._check()
        return self._store.groups(self._tenant)

    def group_rights(self) -> tuple[GroupRight, ...]:
        """What these groups give, by name of the group."""
        self._check()
        return self._store.group_rights(self._tenant)

    def set_group_right(self, right: GroupRight) -> None:
        """Sets what a group gives; its members have it at once. Raises ConfigurationError as `invite`."""
        self._check()
        self._check_rights(right.role, right.unit_ids, None)
        self._store.set_group_right(self._tenant, right, actor=self._email)
        remove_unheld(self._home, self._tenant)

    def remove_group_right(self, group_name: str) -> None:
        """Takes away what a group gives; its members lose it at once."""
        self._check()
        self._store.remove_group_right(self._tenant, group_name, actor=self._email)
        remove_unheld(self._home, self._tenant)

    def _check_rights(self, role: Role, unit_ids: Sequence[str], provider_id: str | None) -> None:
        """A role that lacks what it needs would see nothing, and a unit that does not exist is a mistake of the hand."""
        rule = ROLES[role]
        if rule.is_of_platform:
            raise ConfigurationError("a platform administrator does not belong to an organization")
        if rule.needs == "units" and not unit_ids:
            raise ConfigurationError("choose at least one service unit: this role sees assigned units only")
        if rule.needs == "provider" and not provider_id:
            raise ConfigurationError("choose the provider that this person is")
        if rule.needs == "partner" and not provider_id:
            raise ConfigurationError("choose the referral partner that this person is")
        self._check_units(unit_ids)
        if provider_id and provider_id not in self._people_of_need.get(rule.needs, self._people_of_need["provider"]):
            raise ConfigurationError(
                f"there is no such {'referral partner' if rule.needs == 'partner' else 'provider'}"
            )

    def _check_units(self, unit_ids: Collection[str]) -> None:
        unknown = sorted(set(unit_ids) - self._units)
        if unknown:
            raise ConfigurationError(f"there is no service unit {', '.join(unknown)}")

    def _check_somebody_is_left(self, person: Person) -> None:
        others = [
            other
            for other in self.people()
            if other.email != person.email and other.is_active and ROLES[other.role].administers
        ]
        if ROLES[person.role].administers and not others:
            raise ConfigurationError("this is the only administrator; make another one first")

    # How the organization shows itself

    def brand(self) -> Brand:
        """What the organization chose."""
        self._check()
        return self._store.brandings.of_tenant(self._tenant)

    def has_branding(self) -> bool:
        """Whether pages show it: the plan has branding, and nobody switched it off."""
        self._check()
        return "branding" in self._store.policy(self._tenant).modules

    def set_brand(self, brand: Brand, logo: bytes | None = None) -> Brand:
        """Sets it, with a new logo where the file of one is given; returns what is kept. Raises as `brand_rules.set_brand`."""
        self._check()
        return set_brand(self._store, self._tenant, brand, logo, actor=self._email)

    # Support sessions of the platform's administrators

    def support_policy(self) -> SupportPolicy:
        """Whether the platform's administrators may look at the organization's pages."""
        self._check()
        return self._store.support_sessions.policy(self._tenant)

    def set_support_policy(self, policy: SupportPolicy) -> None:
        """Sets that rule. With `refused`, a session that runs ends at once."""
        self._check()
        self._store.support_sessions.set_policy(self._tenant, policy, actor=self._email)
        remove_unheld(self._home, self._tenant)

    def support_sessions(self) -> tuple[tuple[SupportSession, SeenInSupport], ...]:
        """Every support session, the newest first, with what was seen in it."""
        self._check()
        listed = self._store.support_sessions.of_tenant(self._tenant)
        return tuple((session, seen_in(self._store, session)) for session in listed)

    def decide_support(self, support_id: str, *, is_approved: bool) -> None:
        """Approves or refuses a support session that was asked for. Raises AccessError where none of this id waits."""
        self._check()
        self._store.support_sessions.decide(self._tenant, support_id, is_approved=is_approved, actor=self._email)

    def end_support(self, support_id: str) -> None:
        """Ends a support session at once. Raises AccessError where there is no such open one."""
        self._check()
        self._store.support_sessions.end(self._tenant, support_id, actor=self._email)
        remove_unheld(self._home, self._tenant)

    # What was done

    def activity(self, asked: Asked, zone: str, *, limit: int = 100, offset: int = 0) -> tuple[AuditRow, ...]:
        """Audit rows of the tenant, the newest first."""
        self._check()
        return self._store.audit_rows(self._tenant, limit=limit, offset=offset, **_bounds(asked, zone))

    def broken_glass(self) -> tuple[AuditRow, ...]:
        """Look-ups of patients' identity in the last 30 days by people who may only in an emergency, the newest first."""
        self._check()
        return broken_glass(self._store, self._tenant)

    def actions(self) -> tuple[str, ...]:
        """The actions that stand in the tenant's audit log, in order."""
        self._check()
        return self._store.audit_actions(self._tenant)

    def activity_csv(self, asked: Asked, zone: str) -> str:
        """The rows of `activity` as CSV with a header, times in UTC, at most 100,000 of the newest; the export is an audit row."""
        self._check()
        rows = self._store.audit_rows(self._tenant, limit=MOST_EXPORTED, **_bounds(asked, zone))
        words = {name: str(value) for name, value in vars(asked).items() if value is not None}
        self._store.audit(self._tenant, self._email, "audit exported", detail={"rows": len(rows), **words})
        table = pl.DataFrame(
            [[_text(getattr(row, name)) for name in _FIELDS] for row in rows],
            dict.fromkeys(_FIELDS, pl.String),
            orient="row",
        )
        return rows_file(table, "csv").content.decode()


def _bounds(asked: Asked, zone: str) -> dict[str, Any]:
    """The arguments of `AccessStore.audit_rows`."""

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(tzinfo=ZoneInfo(zone)))

    since = None if asked.first is None else midnight(asked.first)
    until = None if asked.last is None else midnight(asked.last + timedelta(days=1))
    return {"actor": asked.actor, "action": asked.action, "since": since, "until": until}


def _text(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    return json.dumps(text, sort_keys=True) if isinstance(text, dict) else str(text or "")
