"""Accounts and groups that a tenant's identity provider keeps (SCIM 2.0). Every question and change is of one tenant.

The provider adds, names, locks and removes people, and says who is in which group. What a person may see follows from the table of
`group_rights`. A lock ends sessions and tokens at once and for good. Who was locked here stays locked until somebody here unlocks.
"""

import hashlib
import hmac
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people import api_tokens, group_rights, passwords, sessions
from serving.people.account_store import AccountStore
from serving.people.database import check_tenant, email_of
from serving.people.group_rights import GIVEN_ROLES, NOTHING, GroupRight
from serving.people.leaving import is_gone, leaves_at, provisioned_again_at, remove_private
from serving.people.principal import Role
from serving.people.rights import ROLES
from serving.people.scim_tokens import ScimTokens
from serving.people.tables import SCIM_GROUP, SCIM_MEMBER, USER

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
        address = self.checked_address(email)
        blank = _blank()
        with self._writing() as connection:
            row = self._user(connection, tenant_id, address)
            if row is not None and not is_gone(row):
                raise Exists(f"{address} exists already")
            # A lock that was set here outlives the person who left: somebody here unlocks the name.
            is_locked_here = row is not None and not row["is_active"] and not row["locked_by_provider"]
            now = datetime.now(UTC)
            values = blank | {
                "display_name": display_name.strip() or address.partition("@")[0],
                "is_active": is_active and not is_locked_here,
                "locked_by_provider": not is_active and not is_locked_here,
                "external_id": external_id,
                "created_at": now,
                "provisioned_at": now if row is None else provisioned_again_at(row),
            }
            if row is None:
                connection.execute(insert(USER).values(tenant_id=tenant_id, email=address, **values))
            else:
                # Also what was given to the name after its holder had left.
                remove_private(connection, tenant_id, address)
                connection.execute(update(USER).where(self._is(tenant_id, address)).values(**values))
            detail = {"user": address, "is_active": values["is_active"]}
            self._audit(connection, tenant_id, actor, "account added", detail)
            return self._account_of(connection, self._row(connection, tenant_id, address))

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
            row = self._account_row(connection, tenant_id, account_id)
            email = row["email"]
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
            return self._account_of(connection, self._row(connection, tenant_id, email))

    def remove_account(self, tenant_id: str, account_id: str, *, actor: str) -> None:
        """Locks a person for good, and takes away rights and everything private: the name may be given to somebody else. Raises as
        `change_account`."""
        blank = _blank()
        with self._writing() as connection:
            row = self._account_row(connection, tenant_id, account_id)
            email = row["email"]
            if row["is_active"]:
                self._check_somebody_is_left(connection, tenant_id, row)
            remove_private(connection, tenant_id, email)
            values = blank | {
                "is_active": False,
                "locked_by_provider": row["is_active"] or bool(row["locked_by_provider"]),
                "left_at": leaves_at(row),
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
            emails = self._emails(connection, tenant_id, members)
            earlier = self._emails_of(connection, tenant_id, group_id)
            before = None if group_id is None else _row_of_group(connection, tenant_id, group_id)
            is_renamed = before is not None and before["name"] != name.strip()
            this = self._written_group(connection, tenant_id, group_id, name.strip(), external_id)
            connection.execute(delete(SCIM_MEMBER).where(_members(tenant_id, this)))
            rows = [{"tenant_id": tenant_id, "group_id": this, "email": email} for email in sorted(emails)]
            if rows:
                connection.execute(insert(SCIM_MEMBER), rows)
            if before is None or is_renamed or before["external_id"] != external_id or emails != earlier:
                detail = {
                    "group": name.strip(),
                    "before": None if before is None else before["name"],
                    "external_id": external_id,
                    "added": sorted(emails - earlier),
                    "removed": sorted(earlier - emails),
                }
                self._audit(connection, tenant_id, actor, "group changed", detail)
            # The other members keep the rights that they have, for example those that an administrator gave meanwhile.
            concerned = emails | earlier if is_renamed else emails ^ earlier
            self._settle(connection, tenant_id, concerned, actor)
            return self._group(connection, tenant_id, this)

    def remove_group(self, tenant_id: str, group_id: str, *, actor: str) -> None:
        """Removes a group; what it gave goes at once. Raises Unknown."""
        with self._writing() as connection:
            name = _row_of_group(connection, tenant_id, group_id)["name"]
            earlier = self._emails_of(connection, tenant_id, group_id)
            connection.execute(delete(SCIM_MEMBER).where(_members(tenant_id, group_id)))
            connection.execute(delete(SCIM_GROUP).where(_is_group(tenant_id, group_id)))
            self._audit(connection, tenant_id, actor, "group removed", {"group": name, "removed": sorted(earlier)})
            self._settle(connection, tenant_id, earlier, actor)

    # What groups give

    def group_rights(self, tenant_id: str) -> tuple[GroupRight, ...]:
        """The table of what groups give, by name of the group. Raises AccessError for an unknown tenant."""
        with self._reading.connect() as connection:
            check_tenant(connection, tenant_id)
            return group_rights.of_tenant(connection, tenant_id)

    def set_group_right(self, tenant_id: str, right: GroupRight, *, actor: str) -> None:
        """Sets what a group gives; rights of its members follow at once. Raises ConfigurationError, and AccessError for an unknown
        tenant."""
        right = replace(right, group_name=right.group_name.strip())
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            group_rights.put(connection, tenant_id, right, actor)
            detail = {"group": right.group_name, "role": right.role.value, "units": list(right.unit_ids)}
            self._audit(connection, tenant_id, actor, "group rights set", detail)
            self._settle_group(connection, tenant_id, right.group_name, actor)

    def remove_group_right(self, tenant_id: str, group_name: str, *, actor: str) -> bool:
        """Removes a group from the table; whether it was there. Its members lose what it gave at once. Raises AccessError for an unknown
        tenant."""
        name = group_name.strip()
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            was_there = group_rights.take(connection, tenant_id, name)
            if was_there:
                self._audit(connection, tenant_id, actor, "group rights removed", {"group": name})
                self._settle_group(connection, tenant_id, name, actor)
            return was_there

    def _settle_group(self, connection: Connection, tenant_id: str, group_name: str, actor: str) -> None:
        named = (SCIM_GROUP.c.tenant_id == tenant_id) & (SCIM_GROUP.c.name == group_name)
        group_id = connection.execute(select(SCIM_GROUP.c.group_id).where(named)).scalar()
        self._settle(connection, tenant_id, self._emails_of(connection, tenant_id, group_id), actor)

    def _settle(self, connection: Connection, tenant_id: str, emails: Collection[str], actor: str) -> None:
        """Gives people the rights of their groups. Who was ever in a group of the table has no other rights from then on.

        Roles that no group can give stay: those of administrators, and those that need a link to one provider or partner.
        """
        rights = group_rights.given(connection, tenant_id)
        for email in sorted(emails):
            row = self._row(connection, tenant_id, email)
            wanted = rights.get(email)
            if Role(row["role"]) not in GIVEN_ROLES or (wanted is None and row["provisioned_at"] is None):
                continue
            role, units = wanted or NOTHING
            now = self._principal(connection, row)
            if row["provisioned_at"] is None:
                provisioned = update(USER).where(self._is(tenant_id, email)).values(provisioned_at=datetime.now(UTC))
                connection.execute(provisioned)
            if (now.role, now.unit_ids) != (role, units):
                self._give(connection, row, {"role": role.value, "provider_id": None}, units, actor)

    # Rows

    def _account_id(self, row: RowMapping) -> str:
        """An id that lasts and names nobody. A new holder of a user name gets another id (RFC 7643, 3.1)."""
        person = f"account/{row['tenant_id']}/{row['email']}"
        if row["left_at"] is not None:
            person += f"/{row['left_at'].isoformat()}"
        digest = hmac.digest(self._key, person.encode(), hashlib.sha256)
        return str(uuid.UUID(bytes=digest[:16]))

    def _people(self, connection: Connection, tenant_id: str) -> dict[str, RowMapping]:
        """Id to row of the tenant's people, by user name, without those who left."""
        query = select(USER).where(USER.c.tenant_id == tenant_id).order_by(USER.c.email)
        rows = connection.execute(query).mappings().all()
        return {self._account_id(row): row for row in rows if not is_gone(row)}

    def _emails(self, connection: Connection, tenant_id: str, account_ids: Collection[str]) -> set[str]:
        """The user names of people. Raises Unknown for an id of nobody."""
        people = self._people(connection, tenant_id) if account_ids else {}
        if not people.keys() >= set(account_ids):
            raise Unknown("there is no such person")
        return {people[account_id]["email"] for account_id in account_ids}

    def _accounts(self, connection: Connection, tenant_id: str) -> tuple[Account, ...]:
        groups: dict[str, list[tuple[str, str]]] = {}
        for group_id, name, email in _memberships(connection, tenant_id):
            groups.setdefault(email, []).append((group_id, name))
        people = self._people(connection, tenant_id)
        return tuple(_account(key, row, groups.get(row["email"], ())) for key, row in people.items())

    def _account(self, connection: Connection, tenant_id: str, account_id: str) -> Account:
        return self._account_of(connection, self._account_row(connection, tenant_id, account_id))

    def _account_row(self, connection: Connection, tenant_id: str, account_id: str) -> RowMapping:
        """The row of a person. Raises Unknown."""
        row = self._people(connection, tenant_id).get(account_id)
        if row is None:
            raise Unknown("there is no such person")
        return row

    def _account_of(self, connection: Connection, row: RowMapping) -> Account:
        mine = SCIM_MEMBER.c.email == row["email"]
        groups = [(group_id, name) for group_id, name, _ in _memberships(connection, row["tenant_id"], mine)]
        return _account(self._account_id(row), row, groups)

    def _groups(self, connection: Connection, tenant_id: str) -> tuple[AccountGroup, ...]:
        return self._read_groups(connection, tenant_id, SCIM_GROUP.c.tenant_id == tenant_id)

    def _group(self, connection: Connection, tenant_id: str, group_id: str) -> AccountGroup:
        for group in self._read_groups(connection, tenant_id, _is_group(tenant_id, group_id)):
            return group
        raise Unknown("there is no such group")

    def _read_groups(
        self, connection: Connection, tenant_id: str, wanted: ColumnElement[bool]
    ) -> tuple[AccountGroup, ...]:
        members: dict[str, list[str]] = {}
        ids = {row["email"]: key for key, row in self._people(connection, tenant_id).items()}
        for group_id, _, email in _memberships(connection, tenant_id, wanted):
            members.setdefault(group_id, []).append(ids[email])
        query = select(SCIM_GROUP).where(wanted).order_by(SCIM_GROUP.c.name)
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


def _row_of_group(connection: Connection, tenant_id: str, group_id: str) -> RowMapping:
    """Raises Unknown."""
    row = connection.execute(select(SCIM_GROUP).where(_is_group(tenant_id, group_id))).mappings().first()
    if row is None:
        raise Unknown("there is no such group")
    return row


def _members(tenant_id: str, group_id: str) -> ColumnElement[bool]:
    return (SCIM_MEMBER.c.tenant_id == tenant_id) & (SCIM_MEMBER.c.group_id == group_id)


def _memberships(connection: Connection, tenant_id: str, *wanted: ColumnElement[bool]) -> list[tuple[str, str, str]]:
    """(group, name of the group, user name) of a tenant, by name of the group and user name."""
    joined = (SCIM_GROUP.c.tenant_id == SCIM_MEMBER.c.tenant_id) & (SCIM_GROUP.c.group_id == SCIM_MEMBER.c.group_id)
    query = (
        select(SCIM_GROUP.c.group_id, SCIM_GROUP.c.name, SCIM_MEMBER.c.email)
        .select_from(SCIM_MEMBER.join(SCIM_GROUP, joined))
        .where(SCIM_MEMBER.c.tenant_id == tenant_id, *wanted)
        .order_by(SCIM_GROUP.c.name, SCIM_MEMBER.c.email)
    )
    return [(row.group_id, row.name, row.email) for row in connection.execute(query)]


def _account(account_id: str, row: RowMapping, groups: Sequence[tuple[str, str]]) -> Account:
    return Account(
        account_id=account_id,
        email=row["email"],
        display_name=row["display_name"],
        is_active=row["is_active"],
        external_id=row["external_id"],
        created_at=row["created_at"],
        groups=tuple(groups),
    )


def _blank() -> dict[str, object]:
    """The columns of a person who sees nothing and has no password. Hashing is slow: call it before a transaction begins."""
    return {
        "role": NOTHING[0].value,
        "provider_id": None,
        "external_id": None,
        "password_hash": passwords.no_password(),
        "must_change_password": True,
        "one_time_until": None,
        "reset_hash": None,
        "reset_until": None,
    }
