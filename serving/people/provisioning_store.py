"""Accounts and groups that a tenant's identity provider keeps (SCIM 2.0). Every question and change is of one tenant.

The provider adds, names, locks and removes people, and says who is in which group. What a person may see follows from the table of
`group_rights`. A lock ends sessions and tokens at once and for good. Who was locked here stays locked until somebody here unlocks.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people import api_tokens, group_rights, passwords, second_factors, sessions
from serving.people.account_store import AccountStore
from serving.people.database import email_of
from serving.people.group_rights import NOTHING, GroupRight
from serving.people.principal import Role
from serving.people.rights import ROLES
from serving.people.scim_tokens import ScimTokens
from serving.people.tables import OIDC_LINK, SCIM_GROUP, SCIM_MEMBER, USER, USER_UNIT

LAST_ADMINISTRATOR = "this is the only administrator; make another one here first"


class Exists(ConfigurationError):
    """There is one of this name already."""


class Unknown(AccessError):
    """The tenant has no such person or group."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person as the provider sees it. `groups` are (id, name)."""

    account_id: str
    email: str
    display_name: str
    is_active: bool
    external_id: str | None
    created_at: datetime
    groups: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccountGroup:
    """A group of the provider. `members` are ids of accounts."""

    group_id: str
    name: str
    external_id: str | None
    created_at: datetime
    members: tuple[str, ...] = ()


class ProvisioningStore(AccountStore):
    """What a provider keeps. `actor` is the name of its token; each change is an audit row."""

    @property
    def scim_tokens(self) -> ScimTokens:
        """The tokens of the tenants' providers."""
        return ScimTokens(reading=self._reading, writing=self._writing, audit=self._audit)

    # People

    def accounts(self, tenant_id: str) -> tuple[Account, ...]:
        """The tenant's people by user name, without those whom the provider removed."""
        with self._reading.connect() as connection:
            return self._accounts(connection, tenant_id)

    def account(self, tenant_id: str, account_id: str) -> Account:
        """One of `accounts`. Raises Unknown."""
        with self._reading.connect() as connection:
            return self._account(connection, tenant_id, account_id)

    def add_account(
        self, tenant_id: str, email: str, *, display_name: str, is_active: bool, external_id: str | None, actor: str
    ) -> Account:
        """Adds a person who sees nothing until a group gives something, and has no password. Raises Exists, ConfigurationError."""
        address = self._checked_address(email)
        with self._writing() as connection:
            row = self._user(connection, tenant_id, address)
            if row is not None and row["left_at"] is None:
                raise Exists(f"{address} exists already")
            now = datetime.now(UTC)
            values = {
                "display_name": display_name.strip() or address.partition("@")[0],
                "is_active": is_active,
                "locked_by_provider": not is_active,
                "external_id": external_id,
                "provisioned_at": now,
                "left_at": None,
            }
            if row is None:
                fresh = {"role": NOTHING[0].value, "password_hash": passwords.hashed(secrets.token_urlsafe(32))}
                more = {"tenant_id": tenant_id, "email": address, "must_change_password": True, "created_at": now}
                connection.execute(insert(USER).values(**values, **fresh, **more))
            else:
                connection.execute(update(USER).where(self._is(tenant_id, address)).values(**values))
            self._audit(connection, tenant_id, actor, "account added", {"user": address, "is_active": is_active})
            return self._account(connection, tenant_id, self._account_id(tenant_id, address))

    def change_account(
        self,
        tenant_id: str,
        account_id: str,
        *,
        display_name: str,
        is_active: bool,
        external_id: str | None,
        actor: str,
    ) -> Account:
        """Sets name and whether the person may sign in. A lock ends sessions and tokens. Raises Unknown, and ConfigurationError where
        nobody would be left to administer."""
        with self._writing() as connection:
            email = self._account(connection, tenant_id, account_id).email
            row = self._row(connection, tenant_id, email)
            values: dict[str, object] = {"external_id": external_id}
            if display_name.strip():
                values["display_name"] = display_name.strip()
            if not is_active and row["is_active"]:
                self._check_somebody_is_left(connection, tenant_id, row)
                values |= {"is_active": False, "locked_by_provider": True}
                self._end_all(connection, tenant_id, email)
            elif is_active and not row["is_active"] and row["locked_by_provider"]:
                values |= {"is_active": True, "locked_by_provider": False}
            changed = {name: value for name, value in values.items() if row[name] != value}
            if changed:
                connection.execute(update(USER).where(self._is(tenant_id, email)).values(**changed))
                self._audit(connection, tenant_id, actor, "account changed", {"user": email, **changed})
            return self._account(connection, tenant_id, account_id)

    def remove_account(self, tenant_id: str, account_id: str, *, actor: str) -> None:
        """Locks a person for good, and takes rights, second factors and links away: the name may be given to somebody else. Raises as
        `change_account`."""
        with self._writing() as connection:
            email = self._account(connection, tenant_id, account_id).email
            row = self._row(connection, tenant_id, email)
            if row["is_active"]:
                self._check_somebody_is_left(connection, tenant_id, row)
            self._end_all(connection, tenant_id, email)
            second_factors.remove_all(connection, tenant_id, email)
            for table in (SCIM_MEMBER, USER_UNIT, OIDC_LINK):
                mine = (table.c.tenant_id == tenant_id) & (table.c.email == email)
                connection.execute(delete(table).where(mine))
            values = {
                "is_active": False,
                "locked_by_provider": True,
                "left_at": datetime.now(UTC),
                "role": NOTHING[0].value,
                "provider_id": None,
                "external_id": None,
                "reset_hash": None,
                "password_hash": passwords.hashed(secrets.token_urlsafe(32)),
                "must_change_password": True,
            }
            connection.execute(update(USER).where(self._is(tenant_id, email)).values(**values))
            self._audit(connection, tenant_id, actor, "account removed", {"user": email})

    # Groups

    def groups(self, tenant_id: str) -> tuple[AccountGroup, ...]:
        """The provider's groups of a tenant, by name."""
        with self._reading.connect() as connection:
            return self._groups(connection, tenant_id)

    def group(self, tenant_id: str, group_id: str) -> AccountGroup:
        """One of `groups`. Raises Unknown."""
        with self._reading.connect() as connection:
            return self._group(connection, tenant_id, group_id)

    def put_group(
        self,
        tenant_id: str,
        group_id: str | None,
        *,
        name: str,
        external_id: str | None,
        members: Collection[str],
        actor: str,
    ) -> AccountGroup:
        """Adds a group (no id), or sets its name and members (ids of accounts). Rights of everybody whom it concerns follow at once.

        Raises Exists, Unknown, ConfigurationError.
        """
        if not name.strip():
            raise ConfigurationError("a group has a name")
        with self._writing() as connection:
            emails = {self._account(connection, tenant_id, each).email for each in members}
            earlier = self._emails_of(connection, tenant_id, group_id)
            this = self._written_group(connection, tenant_id, group_id, name.strip(), external_id)
            connection.execute(delete(SCIM_MEMBER).where(_members(tenant_id, this)))
            rows = [{"tenant_id": tenant_id, "group_id": this, "email": email} for email in sorted(emails)]
            if rows:
                connection.execute(insert(SCIM_MEMBER), rows)
            if rows or earlier or group_id is None:
                detail = {"group": name.strip(), "added": sorted(emails - earlier), "removed": sorted(earlier - emails)}
                self._audit(connection, tenant_id, actor, "group changed", detail)
            self._settle(connection, tenant_id, emails | earlier, actor)
            return self._group(connection, tenant_id, this)

    def remove_group(self, tenant_id: str, group_id: str, *, actor: str) -> None:
        """Removes a group; what it gave goes at once. Raises Unknown."""
        with self._writing() as connection:
            name = self._group(connection, tenant_id, group_id).name
            earlier = self._emails_of(connection, tenant_id, group_id)
            connection.execute(delete(SCIM_MEMBER).where(_members(tenant_id, group_id)))
            connection.execute(delete(SCIM_GROUP).where(_is_group(tenant_id, group_id)))
            self._audit(connection, tenant_id, actor, "group removed", {"group": name, "removed": sorted(earlier)})
            self._settle(connection, tenant_id, earlier, actor)

    # What groups give

    def group_rights(self, tenant_id: str) -> tuple[GroupRight, ...]:
        """The table of what groups give, by name of the group."""
        with self._reading.connect() as connection:
            return group_rights.of_tenant(connection, tenant_id)

    def set_group_right(self, tenant_id: str, right: GroupRight, *, actor: str) -> None:
        """Sets what a group gives; rights of its members follow at once. Raises ConfigurationError."""
        with self._writing() as connection:
            group_rights.put(connection, tenant_id, right, actor)
            detail = {"group": right.group_name, "role": right.role.value, "units": list(right.unit_ids)}
            self._audit(connection, tenant_id, actor, "group rights set", detail)
            self._settle_group(connection, tenant_id, right.group_name, actor)

    def remove_group_right(self, tenant_id: str, group_name: str, *, actor: str) -> bool:
        """Removes a group from the table; whether it was there. Its members lose what it gave at once."""
        with self._writing() as connection:
            was_there = group_rights.take(connection, tenant_id, group_name)
            self._audit(connection, tenant_id, actor, "group rights removed", {"group": group_name})
            self._settle_group(connection, tenant_id, group_name, actor)
            return was_there

    def _settle_group(self, connection: Connection, tenant_id: str, group_name: str, actor: str) -> None:
        named = (SCIM_GROUP.c.tenant_id == tenant_id) & (SCIM_GROUP.c.name == group_name)
        group_id = connection.execute(select(SCIM_GROUP.c.group_id).where(named)).scalar()
        self._settle(connection, tenant_id, self._emails_of(connection, tenant_id, group_id), actor)

    def _settle(self, connection: Connection, tenant_id: str, emails: Collection[str], actor: str) -> None:
        """Gives people the rights of their groups. Who was ever in a group of the table has no other rights from then on."""
        for email in sorted(emails):
            row = self._row(connection, tenant_id, email)
            wanted = group_rights.given(connection, tenant_id, email)
            if ROLES[Role(row["role"])].administers or (wanted is None and row["provisioned_at"] is None):
                continue
            role, units = wanted or NOTHING
            now = self._principal(connection, row)
            if row["provisioned_at"] is None:
                provisioned = update(USER).where(self._is(tenant_id, email)).values(provisioned_at=datetime.now(UTC))
                connection.execute(provisioned)
            if (now.role, now.unit_ids) != (role, units):
                self._give(connection, row, {"role": role.value, "provider_id": None}, units, actor)

    # Rows

    def _account_id(self, tenant_id: str, email: str) -> str:
        """An id that lasts and names nobody."""
        digest = hmac.digest(self._key, f"account/{tenant_id}/{email}".encode(), hashlib.sha256)
        return str(uuid.UUID(bytes=digest[:16]))

    def _accounts(self, connection: Connection, tenant_id: str) -> tuple[Account, ...]:
        groups: dict[str, list[tuple[str, str]]] = {}
        for group_id, name, email in _memberships(connection, tenant_id):
            groups.setdefault(email, []).append((group_id, name))
        query = select(USER).where(USER.c.tenant_id == tenant_id, USER.c.left_at.is_(None)).order_by(USER.c.email)
        return tuple(
            Account(
                account_id=self._account_id(tenant_id, row["email"]),
                email=row["email"],
                display_name=row["display_name"],
                is_active=row["is_active"],
                external_id=row["external_id"],
                created_at=row["created_at"],
                groups=tuple(groups.get(row["email"], ())),
            )
            for row in connection.execute(query).mappings()
        )

    def _account(self, connection: Connection, tenant_id: str, account_id: str) -> Account:
        for account in self._accounts(connection, tenant_id):
            if account.account_id == account_id:
                return account
        raise Unknown("there is no such person")

    def _groups(self, connection: Connection, tenant_id: str) -> tuple[AccountGroup, ...]:
        members: dict[str, list[str]] = {}
        for group_id, _, email in _memberships(connection, tenant_id):
            members.setdefault(group_id, []).append(self._account_id(tenant_id, email))
        query = select(SCIM_GROUP).where(SCIM_GROUP.c.tenant_id == tenant_id).order_by(SCIM_GROUP.c.name)
        return tuple(
            AccountGroup(
                group_id=row["group_id"],
                name=row["name"],
                external_id=row["external_id"],
                created_at=row["created_at"],
                members=tuple(members.get(row["group_id"], ())),
            )
            for row in connection.execute(query).mappings()
        )

    def _group(self, connection: Connection, tenant_id: str, group_id: str) -> AccountGroup:
        for group in self._groups(connection, tenant_id):
            if group.group_id == group_id:
                return group
        raise Unknown("there is no such group")

    def _written_group(
        self, connection: Connection, tenant_id: str, group_id: str | None, name: str, external_id: str | None
    ) -> str:
        named = (SCIM_GROUP.c.tenant_id == tenant_id) & (SCIM_GROUP.c.name == name)
        holder = connection.execute(select(SCIM_GROUP.c.group_id).where(named)).scalar()
        if holder is not None and holder != group_id:
            raise Exists(f"the group {name} exists already")
        if group_id is None:
            group_id = str(uuid.uuid4())
            keys = {"tenant_id": tenant_id, "group_id": group_id, "created_at": datetime.now(UTC)}
            connection.execute(insert(SCIM_GROUP).values(**keys, name=name, external_id=external_id))
            return group_id
        self._group(connection, tenant_id, group_id)
        values = {"name": name, "external_id": external_id}
        connection.execute(update(SCIM_GROUP).where(_is_group(tenant_id, group_id)).values(**values))
        return group_id

    @staticmethod
    def _emails_of(connection: Connection, tenant_id: str, group_id: str | None) -> set[str]:
        if group_id is None:
            return set()
        return set(connection.execute(select(SCIM_MEMBER.c.email).where(_members(tenant_id, group_id))).scalars())

    def _row(self, connection: Connection, tenant_id: str, email: str) -> RowMapping:
        row = self._user(connection, tenant_id, email_of(email))
        if row is None:
            raise Unknown("there is no such person")
        return row

    def _check_somebody_is_left(self, connection: Connection, tenant_id: str, row: RowMapping) -> None:
        administrators = [role.value for role, rule in ROLES.items() if rule.administers]
        others = (USER.c.tenant_id == tenant_id) & USER.c.is_active & (USER.c.email != row["email"])
        query = select(USER.c.email).where(others, USER.c.role.in_(administrators))
        if row["role"] in administrators and connection.execute(query).first() is None:
            raise ConfigurationError(LAST_ADMINISTRATOR)

    @staticmethod
    def _end_all(connection: Connection, tenant_id: str, email: str) -> None:
        sessions.end_all(connection, tenant_id, email)
        api_tokens.end_all(connection, tenant_id, email)


def _is_group(tenant_id: str, group_id: str) -> ColumnElement[bool]:
    return (SCIM_GROUP.c.tenant_id == tenant_id) & (SCIM_GROUP.c.group_id == group_id)


def _members(tenant_id: str, group_id: str) -> ColumnElement[bool]:
    return (SCIM_MEMBER.c.tenant_id == tenant_id) & (SCIM_MEMBER.c.group_id == group_id)


def _memberships(connection: Connection, tenant_id: str) -> list[tuple[str, str, str]]:
    """(group, name of the group, user name) of a tenant."""
    joined = (SCIM_GROUP.c.tenant_id == SCIM_MEMBER.c.tenant_id) & (SCIM_GROUP.c.group_id == SCIM_MEMBER.c.group_id)
    query = (
        select(SCIM_GROUP.c.group_id, SCIM_GROUP.c.name, SCIM_MEMBER.c.email)
        .select_from(SCIM_MEMBER.join(SCIM_GROUP, joined))
        .where(SCIM_MEMBER.c.tenant_id == tenant_id)
        .order_by(SCIM_GROUP.c.name, SCIM_MEMBER.c.email)
    )
    return [(row.group_id, row.name, row.email) for row in connection.execute(query)]
