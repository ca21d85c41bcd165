"""What is removed when a person leaves for good. The user name may be given to somebody new, who must find nothing of the earlier holder.

What people did for their tenant stays: audit rows, targets, annotations, entries of worklists, and the lists of mails and alarms. The next
holder of the name is not the author of the earlier holder's annotations.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, update

from serving.people.subscriptions import FAILED, GIVEN_UP, NOTED, SENDING
from serving.people.tables import (
    ALARM_MAIL,
    ALERT,
    ALERT_BUDGET,
    API_TOKEN,
    OIDC_LINK,
    PASSKEY,
    QUERY_HISTORY,
    RECOVERY_CODE,
    SAVED_QUERY,
    SAVED_REPORT,
    SCIM_MEMBER,
    SESSION,
    SUBSCRIPTION,
    TOTP,
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
    SAVED_REPORT,
    ALERT_BUDGET,
)
# Rows of these tables stay for what was sent, and end: nobody gets a mail for a person who left. `is_of_holder` hides them.
ENDED = (SUBSCRIPTION, ALERT, ALARM_MAIL)
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


def remove_private(connection: Connection, tenant_id: str, email: str) -> None:
    """Removes the rows of a person from the PRIVATE tables, and ends those of ENDED. The connection is in a writing transaction."""
    for table in PRIVATE:
        connection.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.email == email))
    ended = {"ended_at": datetime.now(UTC), "ended_because": LEFT}
    for table, values in ((SUBSCRIPTION, ended | {"sealed_password": None}), (ALERT, ended)):
        goes_on = (table.c.tenant_id == tenant_id) & (table.c.email == email) & table.c.ended_at.is_(None)
        connection.execute(update(table).where(goes_on).values(**values))
    waits = (ALARM_MAIL.c.tenant_id == tenant_id) & (ALARM_MAIL.c.email == email)
    waits &= ALARM_MAIL.c.state.in_([NOTED, FAILED, SENDING])
    given_up = {"state": GIVEN_UP, "reason": LEFT, "next_at": None}
    connection.execute(update(ALARM_MAIL).where(waits).values(**given_up))
