"""Tokens that programs send: what those of the API and those of SCIM have in common. Of each only the SHA-256 is kept."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Table, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.database import check_tenant
from serving.people.sessions import SEEN_STEP, token_hash
from serving.people.targets import Audits

LONGEST_DAYS = 366
NAME_LENGTH = 80
_ID_LENGTH = 12


@dataclass(frozen=True, kw_only=True)
class SecretToken:
    """A token as people see it; `token_id` names it without opening anything. Times in UTC. `ended_at` is None unless it was revoked."""

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
        """Whether it still opens something, as far as its own times say."""
        return self.ended_at is None and datetime.now(UTC) < self.expires_at


T = TypeVar("T", bound=SecretToken)


def token_id(token: str) -> str:
    """A name of the token that opens nothing."""
    return token_hash(token)[:_ID_LENGTH]


class SecretTokens(Generic[T]):
    """One kind of token, of all tenants of a home; every question but that for a token names its tenant."""

    table: ClassVar[Table]
    # So that nobody takes a token for a password or for one of another kind, and scanners of source code find one that was published.
    prefix: ClassVar[str]

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def of_secret(self, token: str) -> T | None:
        """The token that a request sent; None where it is unknown or has ended. Its use is noted, at most every SEEN_STEP."""
        mine = self.table.c.token_hash == token_hash(token)
        with self._reading.connect() as connection:
            row = connection.execute(select(self.table).where(mine)).mappings().first()
        if row is None or not (kept := self._token(row)).is_open:
            return None
        now = datetime.now(UTC)
        if kept.last_used_at is None or now - kept.last_used_at > SEEN_STEP:
            with self._writing() as connection:
                connection.execute(update(self.table).where(mine).values(last_used_at=now))
        return kept

    def revoke(self, tenant_id: str, token_id: str, *, actor: str) -> T:
        """Ends a token of a tenant for good. Raises AccessError where the tenant has no such open token."""
        columns = self.table.c
        mine = (columns.tenant_id == tenant_id) & columns.ended_at.is_(None)
        with self._writing() as connection:
            named = mine & columns.token_hash.startswith(token_id, autoescape=True)
            row = connection.execute(select(self.table).where(named)).mappings().first()
            if row is None or len(token_id) != _ID_LENGTH:
                raise AccessError(f"there is no open token {token_id!r}")
            this = columns.token_hash == row["token_hash"]
            connection.execute(update(self.table).where(this).values(ended_at=datetime.now(UTC)))
            ended = self._token(row)
            detail = {"token": token_id, "name": ended.name, **self._about(dict(row))}
            self._audit(connection, tenant_id, actor, "token revoked", detail)
        return ended

    def _create(self, tenant_id: str, *, name: str, days: int, actor: str, **values: str) -> str:
        """Makes a token and returns it; it is kept nowhere. `values` are those of further columns.

        Raises ConfigurationError for an empty or a too long name, and for fewer than one or more than LONGEST_DAYS days; AccessError
        for an unknown tenant.
        """
        words = name.strip()
        if not words or len(words) > NAME_LENGTH:
            raise ConfigurationError(f"give the token a name of at most {NAME_LENGTH} characters, such as what uses it")
        if not 1 <= days <= LONGEST_DAYS:
            raise ConfigurationError(f"a token lasts from 1 to {LONGEST_DAYS} days")
        token, now = self.prefix + secrets.token_urlsafe(32), datetime.now(UTC)
        row = {"tenant_id": tenant_id, "name": words, "created_by": actor, "created_at": now, **values}
        ends = now + timedelta(days=days)
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            connection.execute(insert(self.table).values(token_hash=token_hash(token), expires_at=ends, **row))
            detail = {"token": token_id(token), "name": words, "days": days, **self._about(row)}
            self._audit(connection, tenant_id, actor, "token created", detail)
        return token

    def _listed(self, wanted: ColumnElement[bool]) -> tuple[T, ...]:
        """Tokens, the newest first; also those that have ended."""
        rows = select(self.table).where(wanted).order_by(self.table.c.created_at.desc())
        with self._reading.connect() as connection:
            return tuple(self._token(row) for row in connection.execute(rows).mappings())

    def _about(self, row: Mapping[str, Any]) -> Mapping[str, object]:
        """What the audit says of a token beside its id and name."""
        raise NotImplementedError

    def _token(self, row: RowMapping) -> T:
        raise NotImplementedError


def shared_fields(row: RowMapping) -> dict[str, Any]:
    """The fields of SecretToken in a row."""
    names = ("tenant_id", "name", "created_by", "created_at", "expires_at", "last_used_at", "ended_at")
    return {"token_id": row["token_hash"][:_ID_LENGTH], **{name: row[name] for name in names}}
