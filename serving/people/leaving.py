"""What is removed when a person leaves for good. The user name may be given to somebody new, who must find nothing of the earlier holder.

What people did for their tenant stays: audit rows, targets, entries of worklists, and the list of mails that were sent.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, delete, select, update

from serving.people.tables import (
    API_TOKEN,
    OIDC_LINK,
    PASSKEY,
    QUERY_HISTORY,
    RECOVERY_CODE,
    SAVED_QUERY,
    SCIM_MEMBER,
    SESSION,
    SUBSCRIPTION,
    TOTP,
    USER,
    USER_UNIT,
)

# Each row of these tables belongs to one person and is removed with the person.
PRIVATE = (
    SESSION,
    API_TOKEN,
    TOTP,
    RECOVERY_CODE,
    PASSKEY,
    OIDC_LINK,
    USER_UNIT,
    SCIM_MEMBER,
    QUERY_HISTORY,
    SAVED_QUERY,
)
LEFT = "the person left"


def is_gone(row: RowMapping) -> bool:
    """Whether the identity provider removed the person of a row of USER, and nobody got the name since then."""
    left_at, provisioned_at = row["left_at"], row["provisioned_at"]
    return left_at is not None and (provisioned_at is None or provisioned_at <= left_at)


def leaves_at(row: RowMapping) -> datetime:
    """`left_at` (UTC) of a person who is removed now. It is never before `provisioned_at`, even if the clock was set back."""
    now = datetime.now(UTC)
    return max(now, row["provisioned_at"] or now)


def provisioned_again_at(row: RowMapping) -> datetime:
    """`provisioned_at` (UTC) of a person who gets the name of somebody who is gone. It is after `left_at`: see `is_gone`."""
    left_at: datetime = row["left_at"]
    return max(datetime.now(UTC), left_at + timedelta(microseconds=1))


def is_of_holder(table: Table, email: str) -> ColumnElement[bool]:
    """Whether a row of a table (tenant_id, email, made_at) is of the present holder of a user name, not of an earlier one who left."""
    left_at = (
        select(USER.c.left_at)
        .where(USER.c.tenant_id == table.c.tenant_id, USER.c.email == table.c.email)
        .scalar_subquery()
    )
    return (table.c.email == email) & (left_at.is_(None) | (table.c.made_at > left_at))


def remove_private(connection: Connection, tenant_id: str, email: str) -> None:
    """Removes the rows of a person from the PRIVATE tables, and ends the subscriptions. The connection is in a writing transaction."""
    for table in PRIVATE:
        connection.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.email == email))
    mine = (SUBSCRIPTION.c.tenant_id == tenant_id) & (SUBSCRIPTION.c.email == email)
    ended = {"ended_at": datetime.now(UTC), "ended_because": LEFT, "sealed_password": None}
    connection.execute(update(SUBSCRIPTION).where(mine, SUBSCRIPTION.c.ended_at.is_(None)).values(**ended))
