"""People's accounts: who there is in a tenant, as what, and for which service units."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people import api_tokens, passwords, sessions
from serving.people.database import Database, check_tenant, email_of
from serving.people.leaving import is_gone, provisioned_again_at
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.roster import Person, everybody, units_of_people
from serving.people.tables import USER, USER_UNIT

_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}")


class AccountStore(Database):
    """The accounts of every tenant. Each change is an audit row."""

    def ensure_admin(self, tenant_id: str) -> str | None:
        """Makes `admin@<tenant>` where the tenant has none; returns its one-time password then, else None."""
        with self._reading.connect() as connection:
            if self._user(connection, tenant_id, f"admin@{tenant_id}") is not None:
                return None
        return self.add_user(
            tenant_id, f"admin@{tenant_id}", display_name="Administrator", role=Role.ORGANIZATION_ADMIN
        )

    def add_user(
        self,
        tenant_id: str,
        email: str,
        *,
        display_name: str,
        role: Role | str,
        password: str | None = None,
        unit_ids: Sequence[str] = (),
        provider_id: str | None = None,
        must_change: bool = True,
        actor: str = "system",
    ) -> str:
        """Adds a person and returns the password: a new one-time password where none is given.

        Raises ConfigurationError for a user that exists, an unknown role or a weak password, AccessError for an
        unknown tenant.
        """
        password = secrets.token_urlsafe(12) if password is None else password
        address = self.checked_address(email)
        principal = Principal(
            tenant_id=tenant_id,
            email=address,
            display_name=display_name,
            role=self._role(tenant_id, role),
            unit_ids=tuple(sorted(set(unit_ids))),
            provider_id=provider_id,
        )
        if not must_change:
            passwords.check_strength(password, address, [display_name])
        kept = passwords.hashed(password)
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            if self._user(connection, tenant_id, address) is not None:
                raise ConfigurationError(f"{address} exists already")
            connection.execute(
                insert(USER).values(
                    tenant_id=tenant_id,
                    email=address,
                    display_name=display_name,
                    role=principal.role.value,
                    provider_id=provider_id,
                    password_hash=kept,
                    must_change_password=must_change,
                    one_time_until=datetime.now(UTC) + passwords.ONE_TIME_LIFE if must_change else None,
                    is_active=True,
                    created_at=datetime.now(UTC),
                )
            )
            self._assign(connection, principal)
            detail = {"user": address, "role": principal.role.value, "units": list(principal.unit_ids)}
            self._audit(connection, tenant_id, actor, "user added", detail)
        return password

    def change_rights(
        self,
        tenant_id: str,
        email: str,
        *,
        role: Role | str | None = None,
        unit_ids: Sequence[str] | None = None,
        provider_id: str | None = None,
        is_active: bool | None = None,
        actor: str,
    ) -> Principal | None:
        """Changes what is given and ends the person's sessions for good. Returns None for a person now locked."""
        address = email_of(email)
        values: dict[str, object] = {}
        if role is not None:
            values["role"] = self._role(tenant_id, role).value
        if provider_id is not None:
            values["provider_id"] = provider_id
        if is_active is not None:
            values["is_active"] = is_active
        with self._writing() as connection:
            row = self._user(connection, tenant_id, address)
            if row is None:
                raise AccessError("there is no such user")
            if is_active is not None:
                # Who is locked or unlocked here is no longer locked by an identity provider.
                connection.execute(update(USER).where(self._is(tenant_id, address)).values(locked_by_provider=False))
            if is_active and is_gone(row):
                # Whom the provider removed is here again. Where the provider kept the account, it gets another id there.
                was_kept = row["provisioned_at"] is not None
                back: dict[str, datetime | None] = (
                    {"provisioned_at": provisioned_again_at(row)} if was_kept else {"left_at": None}
                )
                connection.execute(update(USER).where(self._is(tenant_id, address)).values(**back))
            self._give(connection, row, values, unit_ids, actor)
            changed = self._user(connection, tenant_id, address)
            return self._principal(connection, changed) if changed is not None and changed["is_active"] else None

    def _give(
        self,
        connection: Connection,
        row: RowMapping,
        values: Mapping[str, object],
        unit_ids: Sequence[str] | None,
        actor: str,
    ) -> None:
        """Writes other rights of a person, ends sessions and tokens, and records it."""
        tenant_id, address = row["tenant_id"], row["email"]
        if values:
            connection.execute(update(USER).where(self._is(tenant_id, address)).values(**values))
        if unit_ids is not None:
            connection.execute(
                delete(USER_UNIT).where(USER_UNIT.c.tenant_id == tenant_id, USER_UNIT.c.email == address)
            )
            self._assign(
                connection,
                Principal(
                    tenant_id=tenant_id,
                    email=address,
                    display_name=row["display_name"],
                    role=Role(row["role"]),
                    unit_ids=tuple(sorted(set(unit_ids))),
                ),
            )
        detail = {"user": address, **values} | ({} if unit_ids is None else {"units": sorted(set(unit_ids))})
        # A session or token begun under other rights must stay closed after any later change.
        sessions.end_all(connection, tenant_id, address)
        api_tokens.end_all(connection, tenant_id, address)
        self._audit(connection, tenant_id, actor, "rights changed", detail)

    def principal(self, tenant_id: str, user: str) -> Principal:
        """A person by user name, for the command line. Raises AccessError for an unknown or locked user."""
        with self._reading.connect() as connection:
            row = self._user(connection, tenant_id, email_of(user))
            if row is None or not row["is_active"]:
                raise AccessError("there is no such user in this tenant")
            return self._principal(connection, row)

    def users(self, tenant_id: str) -> tuple[Principal, ...]:
        """The tenant's people that may sign in, by user name."""
        query = select(USER).where(USER.c.tenant_id == tenant_id, USER.c.is_active).order_by(USER.c.email)
        with self._reading.connect() as connection:
            units = units_of_people(connection, tenant_id)
            rows = connection.execute(query).mappings()
            return tuple(self._principal_of(row, units.get(row["email"], ())) for row in rows)

    def everybody(self, tenant_id: str) -> tuple[Person, ...]:
        """The tenant's people by user name, also those who may not sign in."""
        with self._reading.connect() as connection:
            return everybody(connection, tenant_id)

    @staticmethod
    def checked_address(email: str) -> str:
        """The user name as it is kept. Raises ConfigurationError for one of another form."""
        address = email_of(email)
        if not _EMAIL.fullmatch(address):
            raise ConfigurationError(f"{email!r} is not a user name of the form name@place")
        return address

    @staticmethod
    def _assign(connection: Connection, principal: Principal) -> None:
        if principal.unit_ids:
            who = {"tenant_id": principal.tenant_id, "email": principal.email}
            connection.execute(insert(USER_UNIT), [who | {"service_unit_id": unit} for unit in principal.unit_ids])

    @staticmethod
    def _role(tenant_id: str, role: Role | str) -> Role:
        try:
            checked = Role(role)
        except ValueError:
            raise ConfigurationError(
                f"{role!r} is not a role; known are {', '.join(role for role in Role if role is not Role.SUPPORT)}"
            ) from None
        if checked is Role.SUPPORT:
            raise ConfigurationError(f"nobody is given the role {checked}: it is that of a support session")
        if (checked is Role.SUPER_ADMIN) != (tenant_id == PLATFORM):
            raise ConfigurationError(f"a super_admin belongs to the tenant {PLATFORM!r}, and other users do not")
        return checked
