"""Tokens with which a program asks for figures in the name of a person.

The rights are those of the person at the moment of the request; a token can only narrow them. A lock, a change of rights or a reset
of the password ends a person's tokens for good, as it ends sessions.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.principal import Principal, Role
from serving.people.secret_tokens import SecretToken, SecretTokens, shared_fields
from serving.people.tables import API_TOKEN

# What a token may be allowed. Figures: metrics, dimensions, values and the state of the data. Rows: the rows behind a figure.
# Extracts: the person's extract.
FIGURES, ROWS, EXTRACTS = "figures", "rows", "extracts"
ALLOWED = (FIGURES, ROWS, EXTRACTS)


@dataclass(frozen=True, kw_only=True)
class ApiToken(SecretToken):
    """A token as its owner and the administrator see it. `allowed` are some of ALLOWED."""

    email: str
    allowed: tuple[str, ...]


class ApiTokens(SecretTokens[ApiToken]):
    """The tokens of all tenants of a home; every question but that for a token names its tenant."""

    table, prefix = API_TOKEN, "clinicmart_"

    def create(self, principal: Principal, *, name: str, allowed: Collection[str], days: int, actor: str) -> str:
        """Makes a token for a person and returns it; it is kept nowhere.

        Raises ConfigurationError for an empty or a too long name, for something that a token cannot be allowed, and for fewer than
        one or more than LONGEST_DAYS days, AccessError for a person in a support session.
        """
        if principal.role is Role.SUPPORT:
            raise AccessError("a support session makes no tokens")
        for right in allowed:
            if right not in ALLOWED:
                raise ConfigurationError(f"a token cannot be allowed {right!r}; it can be allowed {', '.join(ALLOWED)}")
        if not allowed:
            raise ConfigurationError(f"say what the token is allowed: {', '.join(ALLOWED)}")
        rights = ",".join(right for right in ALLOWED if right in allowed)
        return self._create(
            principal.tenant_id, name=name, days=days, actor=actor, email=principal.email, allowed=rights
        )

    def of_tenant(self, tenant_id: str, email: str | None = None) -> tuple[ApiToken, ...]:
        """The tokens of a tenant, or of one person of it, the newest first; also those that have ended."""
        mine = API_TOKEN.c.tenant_id == tenant_id
        return self._listed(mine if email is None else mine & (API_TOKEN.c.email == email))

    def _about(self, row: Mapping[str, Any]) -> Mapping[str, object]:
        return {"user": row["email"], "allowed": row["allowed"]}

    def _token(self, row: RowMapping) -> ApiToken:
        return ApiToken(**shared_fields(row), email=row["email"], allowed=tuple(row["allowed"].split(",")))


def end_all(connection: Connection, tenant_id: str, email: str) -> int:
    """Ends every token of a person for good; returns how many those were."""
    mine = (API_TOKEN.c.tenant_id == tenant_id) & (API_TOKEN.c.email == email) & API_TOKEN.c.ended_at.is_(None)
    return connection.execute(update(API_TOKEN).where(mine).values(ended_at=datetime.now(UTC))).rowcount
