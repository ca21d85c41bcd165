"""Sign-ins that are open. Of each only the SHA-256 of its token is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update

from serving.people.tables import SESSION

IDLE_LIMIT = timedelta(minutes=30)
ABSOLUTE_LIMIT = timedelta(hours=12)
# A session's last use is written at most this often; it must stay well below the idle limit.
SEEN_STEP = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class OpenSession:
    """An open sign-in as its owner sees it; `session_id` names it without opening it. Times in UTC."""

    session_id: str
    created_at: datetime
    last_seen_at: datetime
    address: str
    browser: str


def token_hash(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def session_id(token: str) -> str:
    """A name of the session that opens nothing."""
    return token_hash(token)[:12]


def create(
    connection: Connection,
    tenant_id: str,
    email: str,
    address: str,
    browser: str,
    *,
    second_factor: bool = False,
    oidc_session: str | None = None,
    support_id: str | None = None,
) -> str:
    """A new random token; those that are too old go. `second_factor`: the person has just passed it. `oidc_session`: the provider's
    name of its session, where the person signed in there. `support_id`: the support session that it opens."""
    token, now = secrets.token_urlsafe(32), datetime.now(UTC)
    connection.execute(delete(SESSION).where(SESSION.c.created_at <= now - ABSOLUTE_LIMIT))
    connection.execute(
        insert(SESSION).values(
            token_hash=token_hash(token),
            tenant_id=tenant_id,
            email=email,
            created_at=now,
            last_seen_at=now,
            address=address,
            browser=browser[:200],
            second_factor_at=now if second_factor else None,
            oidc_session=oidc_session,
            support_id=support_id,
        )
    )
    return token


def counts(connection: Connection) -> dict[str, int]:
    """Tenant to the number of its sessions that still open pages."""
    rows = connection.execute(
        select(SESSION.c.tenant_id, func.count().label("sessions")).where(alive()).group_by(SESSION.c.tenant_id)
    )
    return {row.tenant_id: row.sessions for row in rows}


def find(connection: Connection, token: str) -> RowMapping | None:
    """The session of a token, or None where it ended."""
    mine = SESSION.c.token_hash == token_hash(token)
    return connection.execute(select(SESSION).where(mine, alive())).mappings().first()


def age(row: RowMapping) -> timedelta:
    """How long ago a session began."""
    began: datetime = row["created_at"]
    return datetime.now(UTC) - began


def is_to_be_noted(row: RowMapping) -> bool:
    """Whether its last use is to be written again."""
    return bool(datetime.now(UTC) - row["last_seen_at"] > SEEN_STEP)


def note_use(connection: Connection, row: RowMapping) -> None:
    """Writes that it was used now."""
    mine = SESSION.c.token_hash == row["token_hash"]
    connection.execute(update(SESSION).where(mine).values(last_seen_at=datetime.now(UTC)))


def end(connection: Connection, token: str) -> RowMapping | None:
    """Ends a session; returns what it was, None for an unknown token."""
    mine = SESSION.c.token_hash == token_hash(token)
    row = connection.execute(select(SESSION).where(mine)).mappings().first()
    connection.execute(delete(SESSION).where(mine))
    return row


def end_all(connection: Connection, tenant_id: str, email: str) -> int:
    """Ends every session of a person; returns how many those were."""
    mine = (SESSION.c.tenant_id == tenant_id) & (SESSION.c.email == email)
    return connection.execute(delete(SESSION).where(mine)).rowcount


def alive() -> ColumnElement[bool]:
    """The condition that a session has not ended by its age or by being idle."""
    now = datetime.now(UTC)
    return (SESSION.c.created_at > now - ABSOLUTE_LIMIT) & (SESSION.c.last_seen_at > now - IDLE_LIMIT)


def open_sessions(connection: Connection, tenant_id: str, email: str) -> tuple[OpenSession, ...]:
    """The sessions of a person that are open now, the newest use first."""
    mine = (SESSION.c.tenant_id == tenant_id) & (SESSION.c.email == email)
    query = select(SESSION).where(mine, alive()).order_by(SESSION.c.last_seen_at.desc())
    return tuple(
        OpenSession(
            session_id=row["token_hash"][:12],
            created_at=row["created_at"],
            last_seen_at=row["last_seen_at"],
            address=row["address"] or "",
            browser=row["browser"] or "",
        )
        for row in connection.execute(query).mappings()
    )
