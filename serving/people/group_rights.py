"""What the groups of an identity provider give here: a table that the administrator of a tenant keeps.

The provider says who is in which group; the table says what a group gives. A person whose groups give different roles, or who is in no
group of the table, sees nothing. No group makes an administrator, and none changes what one may.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from foundation.errors import ConfigurationError
from serving.people.principal import Role
from serving.people.rights import ROLES, TENANT_ROLES
from serving.people.tables import GROUP_RIGHT, SCIM_GROUP, SCIM_MEMBER

# Roles that a group can give: they need no link to one provider or partner, and do not administer.
GIVEN_ROLES: tuple[Role, ...] = tuple(
    role for role in TENANT_ROLES if ROLES[role].needs in ("", "units") and not ROLES[role].administers
)
# A role that needs service units, without any: it sees nothing.
NOTHING = (Role.FRONT_DESK, ())
_SEPARATOR = "\n"


@dataclass(frozen=True, kw_only=True)
class GroupRight:
    """What people in a group (by its name at the provider) are here. No `unit_ids`: the whole organization, where the role may."""

    group_name: str
    role: Role
    unit_ids: tuple[str, ...] = ()


def of_tenant(connection: Connection, tenant_id: str) -> tuple[GroupRight, ...]:
    """The tenant's table, by name of the group."""
    query = select(GROUP_RIGHT).where(GROUP_RIGHT.c.tenant_id == tenant_id).order_by(GROUP_RIGHT.c.group_name)
    return tuple(
        GroupRight(
            group_name=row["group_name"],
            role=Role(row["role"]),
            unit_ids=tuple(filter(None, row["unit_ids"].split(_SEPARATOR))),
        )
        for row in connection.execute(query).mappings()
    )


def put(connection: Connection, tenant_id: str, right: GroupRight, actor: str) -> None:
    """Sets what a group gives. Raises ConfigurationError for a role that no group can give, and for a lack of units."""
    if not right.group_name.strip():
        raise ConfigurationError("name the group as the identity provider calls it")
    if right.role not in GIVEN_ROLES:
        names = ", ".join(GIVEN_ROLES)
        raise ConfigurationError(f"a group cannot give the role {right.role.value}; it can give {names}")
    if ROLES[right.role].needs == "units" and not right.unit_ids:
        raise ConfigurationError("choose at least one service unit: this role sees assigned units only")
    take(connection, tenant_id, right.group_name)
    values = {"role": right.role.value, "unit_ids": _SEPARATOR.join(sorted(set(right.unit_ids)))}
    connection.execute(
        insert(GROUP_RIGHT).values(
            tenant_id=tenant_id, group_name=right.group_name, **values, set_by=actor, set_at=datetime.now(UTC)
        )
    )


def take(connection: Connection, tenant_id: str, group_name: str) -> bool:
    """Removes a group from the table; whether it was there."""
    mine = (GROUP_RIGHT.c.tenant_id == tenant_id) & (GROUP_RIGHT.c.group_name == group_name)
    return bool(connection.execute(delete(GROUP_RIGHT).where(mine)).rowcount)


def given(connection: Connection, tenant_id: str) -> dict[str, tuple[Role, tuple[str, ...]]]:
    """User name to (role, units) that the person's groups give; NOTHING where they differ. Who is in no group of the table is absent."""
    joined = (SCIM_GROUP.c.tenant_id == SCIM_MEMBER.c.tenant_id) & (SCIM_GROUP.c.group_id == SCIM_MEMBER.c.group_id)
    members = (
        select(SCIM_GROUP.c.name, SCIM_MEMBER.c.email)
        .select_from(SCIM_MEMBER.join(SCIM_GROUP, joined))
        .where(SCIM_MEMBER.c.tenant_id == tenant_id)
    )
    by_group = {right.group_name: right for right in of_tenant(connection, tenant_id)}
    rights: dict[str, list[GroupRight]] = {}
    for row in connection.execute(members):
        if row.name in by_group:
            rights.setdefault(row.email, []).append(by_group[row.name])
    return {email: _together(each) for email, each in rights.items()}


def _together(rights: Sequence[GroupRight]) -> tuple[Role, tuple[str, ...]]:
    if len({right.role for right in rights}) > 1:
        return NOTHING
    units = {unit for right in rights for unit in right.unit_ids}
    is_everywhere = any(not right.unit_ids for right in rights)
    return rights[0].role, () if is_everywhere else tuple(sorted(units))
