"""Tokens with which a program asks for figures in the name of a person. Of each only the SHA-256 is kept.

The rights are those of the person at the moment of the request; a token can only narrow them. A lock, a change of rights or a reset
of the password ends a person's tokens for good, as it ends sessions.
"""

import secrets
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.principal import Principal
from serving.people.sessions import SEEN_STEP, token_hash
from serving.people.tables import API_TOKEN
from serving.people.targets import Audits

# What a token may be allowed. Figures: metrics, dimensions, values and the state of the data. Rows: the rows behind a figure.
# Extracts: the person's extract.
FIGURES, ROWS, EXTRACTS = "figures", "rows", "extracts"
ALLOWED = (FIGURES, ROWS, EXTRACTS)
# So that nobody takes a token for a password, and scanners of source code find one that was published.
PREFIX = "clinicmart_"
LONGEST_DAYS = 366
NAME_LENGTH = 80


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """A token as its owner and the administrator see it; `token_id` names it without opening anything. Times in UTC.

    `allowed` are some of ALLOWED. `ended_at` is empty for one that was not revoked.
    """

    token_id: str
    tenant_id: str
    email: str
    name: str
    allowed: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it still opens something, as far as its own times say."""
        return self.ended_at is None and datetime.now(UTC) < self.expires_at


class ApiTokens:
    """The tokens of all tenants of a home; every question but that for a token names its tenant."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def create(self, principal: Principal, *, name: str, allowed: Collection[str], days: int, actor: str) -> str:
        """Makes a token for a person and returns it; it is kept nowhere.

        Raises ConfigurationError for an empty or a too long name, for something that a token cannot be allowed, and for fewer than
        one or more than LONGEST_DAYS days.
        """
        words = name.strip()
        if not words or len(words) > NAME_LENGTH:
            raise ConfigurationError(f"give the token a name of at most {NAME_LENGTH} characters, such as what uses it")
        for right in allowed:
            if right not in ALLOWED:
                raise ConfigurationError(f"a token cannot be allowed {right!r}; it can be allowed {', '.join(ALLOWED)}")
        if not allowed:
            raise ConfigurationError(f"say what the token is allowed: {', '.join(ALLOWED)}")
        if not 1 <= days <= LONGEST_DAYS:
            raise ConfigurationError(f"a token lasts from 1 to {LONGEST_DAYS} days")
        token, now = PREFIX + secrets.token_urlsafe(32), datetime.now(UTC)
        rights = ",".join(right for right in ALLOWED if right in allowed)
        with self._writing() as connection:
            connection.execute(
                insert(API_TOKEN).values(
                    token_hash=token_hash(token),
                    tenant_id=principal.tenant_id,
                    email=principal.email,
                    name=words,
                    allowed=rights,
                    created_by=actor,
                    created_at=now,
                    expires_at=now + timedelta(days=days),
                )
            )
            detail = {"user": principal.email, "token": token_id(token), "name": words, "allowed": rights, "days": days}
            self._audit(connection, principal.tenant_id, actor, "token created", detail)
        return token

    def of_tenant(self, tenant_id: str, email: str | None = None) -> tuple[ApiToken, ...]:
        """The tokens of a tenant, or of one person of it, the newest first; also those that have ended."""
        wanted = select(API_TOKEN).where(API_TOKEN.c.tenant_id == tenant_id).order_by(API_TOKEN.c.created_at.desc())
        if email is not None:
            wanted = wanted.where(API_TOKEN.c.email == email)
        with self._reading.connect() as connection:
            return tuple(_token(row) for row in connection.execute(wanted).mappings())

    def of_secret(self, token: str) -> ApiToken | None:
        """The token that a request sent; None where it is unknown or has ended. Its use is noted, at most every SEEN_STEP."""
        mine = API_TOKEN.c.token_hash == token_hash(token)
        with self._reading.connect() as connection:
            row = connection.execute(select(API_TOKEN).where(mine)).mappings().first()
        if row is None or not _token(row).is_open:
            return None
        now = datetime.now(UTC)
        if row["last_used_at"] is None or now - row["last_used_at"] > SEEN_STEP:
            with self._writing() as connection:
                connection.execute(update(API_TOKEN).where(mine).values(last_used_at=now))
        return _token(row)

    def revoke(self, tenant_id: str, token_id: str, *, actor: str) -> ApiToken:
        """Ends a token of a tenant for good. Raises AccessError where the tenant has no such open token."""
        with self._writing() as connection:
            mine = (API_TOKEN.c.tenant_id == tenant_id) & API_TOKEN.c.ended_at.is_(None)
            rows = connection.execute(select(API_TOKEN).where(mine)).mappings().all()
            row = next((row for row in rows if row["token_hash"][:_ID_LENGTH] == token_id), None)
            if row is None:
                raise AccessError(f"there is no open token {token_id!r}")
            ended = update(API_TOKEN).where(API_TOKEN.c.token_hash == row["token_hash"])
            connection.execute(ended.values(ended_at=datetime.now(UTC)))
            detail = {"user": row["email"], "token": token_id, "name": row["name"]}
            self._audit(connection, tenant_id, actor, "token revoked", detail)
        return _token(row)


_ID_LENGTH = 12


def token_id(token: str) -> str:
    """A name of the token that opens nothing."""
    return token_hash(token)[:_ID_LENGTH]


def end_all(connection: Connection, tenant_id: str, email: str) -> int:
    """Ends every token of a person for good; returns how many those were."""
    mine = (API_TOKEN.c.tenant_id == tenant_id) & (API_TOKEN.c.email == email) & API_TOKEN.c.ended_at.is_(None)
    return connection.execute(update(API_TOKEN).where(mine).values(ended_at=datetime.now(UTC))).rowcount


def _token(row: RowMapping) -> ApiToken:
    return ApiToken(
        token_id=row["token_hash"][:_ID_LENGTH],
        tenant_id=row["tenant_id"],
        email=row["email"],
        name=row["name"],
        allowed=tuple(row["allowed"].split(",")),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        ended_at=row["ended_at"],
    )
