"""Tokens with which a tenant's identity provider keeps accounts over SCIM. Of each only the SHA-256 is kept; they open nothing else."""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.api_tokens import LONGEST_DAYS, NAME_LENGTH, token_id
from serving.people.sessions import SEEN_STEP, token_hash
from serving.people.tables import SCIM_TOKEN, TENANT
from serving.people.targets import Audits

# So that nobody takes a token for one of the API, and scanners of source code find one that was published.
PREFIX = "clinicmart_scim_"
_ID_LENGTH = 12


@dataclass(frozen=True, kw_only=True)
class ScimToken:
    """A token as the administrator sees it; `token_id` names it without opening anything. Times in UTC. `ended_at`: it was revoked."""

    token_id: str
    tenant_id: str
    name: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it still opens something."""
        return self.ended_at is None and datetime.now(UTC) < self.expires_at


class ScimTokens:
    """The tokens of all tenants of a home; every question but that for a token names its tenant."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def create(self, tenant_id: str, *, name: str, days: int, actor: str) -> str:
        """Makes a token for a tenant's provider and returns it; it is kept nowhere.

        Raises ConfigurationError for an empty or a too long name, and for fewer than one or more than LONGEST_DAYS days; AccessError for
        an unknown tenant.
        """
        words = name.strip()
        if not words or len(words) > NAME_LENGTH:
            raise ConfigurationError(f"give the token a name of at most {NAME_LENGTH} characters, such as the provider")
        if not 1 <= days <= LONGEST_DAYS:
            raise ConfigurationError(f"a token works for 1 to {LONGEST_DAYS} days")
        token, now = PREFIX + secrets.token_urlsafe(32), datetime.now(UTC)
        with self._writing() as connection:
            if connection.execute(select(TENANT.c.tenant_id).where(TENANT.c.tenant_id == tenant_id)).first() is None:
                raise AccessError("there is no such tenant")
            connection.execute(
                insert(SCIM_TOKEN).values(
                    token_hash=token_hash(token),
                    tenant_id=tenant_id,
                    name=words,
                    created_by=actor,
                    created_at=now,
                    expires_at=now + timedelta(days=days),
                )
            )
            detail = {"token": token_id(token), "name": words, "days": days, "for": "accounts (SCIM)"}
            self._audit(connection, tenant_id, actor, "token created", detail)
        return token

    def of_tenant(self, tenant_id: str) -> tuple[ScimToken, ...]:
        """The tokens of a tenant, the newest first; also those that have ended."""
        mine = select(SCIM_TOKEN).where(SCIM_TOKEN.c.tenant_id == tenant_id).order_by(SCIM_TOKEN.c.created_at.desc())
        with self._reading.connect() as connection:
            return tuple(_token(row) for row in connection.execute(mine).mappings())

    def of_secret(self, token: str) -> ScimToken | None:
        """The token that a request sent; None where it is unknown or has ended. Its use is noted, at most every SEEN_STEP."""
        mine = SCIM_TOKEN.c.token_hash == token_hash(token)
        with self._reading.connect() as connection:
            row = connection.execute(select(SCIM_TOKEN).where(mine)).mappings().first()
        if row is None or not _token(row).is_open:
            return None
        now = datetime.now(UTC)
        if row["last_used_at"] is None or now - row["last_used_at"] > SEEN_STEP:
            with self._writing() as connection:
                connection.execute(update(SCIM_TOKEN).where(mine).values(last_used_at=now))
        return _token(row)

    def revoke(self, tenant_id: str, token_id: str, *, actor: str) -> None:
        """Ends a token of a tenant for good. Raises AccessError where the tenant has no such open token."""
        with self._writing() as connection:
            mine = (SCIM_TOKEN.c.tenant_id == tenant_id) & SCIM_TOKEN.c.ended_at.is_(None)
            this = mine & SCIM_TOKEN.c.token_hash.startswith(token_id, autoescape=True)
            is_named = len(token_id) == _ID_LENGTH
            ended = update(SCIM_TOKEN).where(this).values(ended_at=datetime.now(UTC))
            if not is_named or connection.execute(ended).rowcount == 0:
                raise AccessError(f"there is no open token {token_id!r}")
            self._audit(connection, tenant_id, actor, "token revoked", {"token": token_id, "for": "accounts (SCIM)"})


def _token(row: RowMapping) -> ScimToken:
    names = ("tenant_id", "name", "created_by", "created_at", "expires_at", "last_used_at", "ended_at")
    return ScimToken(token_id=row["token_hash"][:_ID_LENGTH], **{name: row[name] for name in names})
