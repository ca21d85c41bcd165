"""Tokens with which a tenant's identity provider keeps accounts over SCIM. They open nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from serving.people.secret_tokens import SecretToken, SecretTokens, shared_fields
from serving.people.tables import SCIM_TOKEN


@dataclass(frozen=True, kw_only=True)
class ScimToken(SecretToken):
    """A token as the administrator sees it."""


class ScimTokens(SecretTokens[ScimToken]):
    """The tokens of all tenants of a home; every question but that for a token names its tenant."""

    table, prefix = SCIM_TOKEN, "clinicmart_scim_"

    def create(self, tenant_id: str, *, name: str, days: int, actor: str) -> str:
        """Makes a token for a tenant's provider and returns it; it is kept nowhere.

        Raises ConfigurationError for an empty or a too long name, and for fewer than one or more than LONGEST_DAYS days; AccessError for
        an unknown tenant.
        """
        return self._create(tenant_id, name=name, days=days, actor=actor)

    def of_tenant(self, tenant_id: str) -> tuple[ScimToken, ...]:
        """The tokens of a tenant, the newest first; also those that have ended."""
        return self._listed(SCIM_TOKEN.c.tenant_id == tenant_id)

    def _about(self, row: Mapping[str, Any]) -> Mapping[str, object]:  # noqa: ARG002  # all tokens of this kind are for the same
        return {"for": "accounts (SCIM)"}

    def _token(self, row: RowMapping) -> ScimToken:
        return ScimToken(**shared_fields(row))
