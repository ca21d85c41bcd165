"""Everybody of a tenant, locked people too."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, union

from serving.people.principal import Role
from serving.people.sessions import alive
from serving.people.tables import PASSKEY, SESSION, TOTP, USER, USER_UNIT


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person of the tenant. `invited`: has not chosen a password yet. `last_seen_at` (UTC) is of the sessions that are open.
    `has_second_factor`: an authenticator app or a passkey is set up."""

    email: str
    display_name: str
    role: Role
    unit_ids: tuple[str, ...]
    provider_id: str | None
    is_active: bool
    invited: bool
    last_seen_at: datetime | None
    has_second_factor: bool = False

    @property
    def status(self) -> str:
        """One word for a table."""
        if not self.is_active:
            return "locked"
        return "invited" if self.invited else "active"


def units_of_people(connection: Connection, tenant_id: str) -> dict[str, list[str]]:
    """User name to the ids of service units, of all people of a tenant that have some."""
    units: dict[str, list[str]] = {}
    for row in connection.execute(select(USER_UNIT).where(USER_UNIT.c.tenant_id == tenant_id)):
        units.setdefault(row.email, []).append(row.service_unit_id)
    return units


def everybody(connection: Connection, tenant_id: str) -> tuple[Person, ...]:
    """The tenant's people by user name."""
    seen = (
        select(SESSION.c.email, func.max(SESSION.c.last_seen_at).label("last_seen_at"))
        .where(SESSION.c.tenant_id == tenant_id, alive())
        .group_by(SESSION.c.email)
    )
    last_seen = {row.email: row.last_seen_at for row in connection.execute(seen)}
    units = units_of_people(connection, tenant_id)
    apps = select(TOTP.c.email).where(TOTP.c.tenant_id == tenant_id, TOTP.c.confirmed_at.is_not(None))
    passkeys = select(PASSKEY.c.email).where(PASSKEY.c.tenant_id == tenant_id)
    with_factor: set[str] = set(connection.execute(union(apps, passkeys)).scalars())
    people = select(USER).where(USER.c.tenant_id == tenant_id).order_by(USER.c.email)
    return tuple(
        Person(
            email=row["email"],
            display_name=row["display_name"],
            role=Role(row["role"]),
            unit_ids=tuple(sorted(units.get(row["email"], ()))),
            provider_id=row["provider_id"],
            is_active=row["is_active"],
            invited=row["must_change_password"],
            last_seen_at=last_seen.get(row["email"]),
            has_second_factor=row["email"] in with_factor,
        )
        for row in connection.execute(people).mappings()
    )
