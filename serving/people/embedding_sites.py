"""Sites of others that show a tenant's figures (docs/embedding.md): from which origin, which pages, which units.

The site's server holds a secret, of which only the SHA-256 is kept. With it the server asks for tickets (`embedding_tickets`), one for
each view. A ticket opens one page once, within minutes, and never more than its site may show.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import RowMapping, delete, insert, select

from foundation.errors import ConfigurationError
from foundation.exposure import is_loopback
from serving.modules import PAGES
from serving.people.embedding_tickets import LONGEST_LIFE
from serving.people.principal import Principal, Role
from serving.people.rights import ROLES
from serving.people.secret_tokens import SecretToken, SecretTokens, shared_fields
from serving.people.sessions import token_hash
from serving.people.tables import EMBEDDING_SITE, EMBEDDING_TICKET

# What a site sees is what this role sees: figures, never rows, and no figure of few people.
ROLE = Role.EXECUTIVE
# The origin stands in a header: nothing else may be in it.
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_UNIT = re.compile(r"[A-Za-z0-9_.:-]{1,80}")


@dataclass(frozen=True, kw_only=True)
class EmbeddingSite(SecretToken):
    """A site as the administrator sees it. `pages` are keys of pages of figures; `unit_ids` are the service units whose figures it may
    show, with those below them, none for the whole organization."""

    origin: str
    pages: tuple[str, ...]
    unit_ids: tuple[str, ...]

    @property
    def principal(self) -> Principal:
        """The site as somebody who asks for figures."""
        return Principal(
            tenant_id=self.tenant_id,
            email=f"embedding:{self.token_id}",
            display_name=self.name,
            role=ROLE,
            unit_ids=self.unit_ids,
        )


class EmbeddingSites(SecretTokens[EmbeddingSite]):
    """The sites of all tenants of a home; every question but that for a secret names its tenant."""

    table, prefix = EMBEDDING_SITE, "clinicmart_embed_"

    def create(
        self,
        tenant_id: str,
        *,
        name: str,
        origin: str,
        pages: Collection[str],
        unit_ids: Collection[str] = (),
        days: int,
        actor: str,
    ) -> str:
        """Registers a site and returns its secret; it is kept nowhere.

        Raises ConfigurationError for an empty or a too long name, for what is not the origin of a site with TLS, for pages that cannot be
        shown, for what cannot be the id of a unit, and for fewer than one or more than LONGEST_DAYS days; AccessError for an unknown
        tenant.
        """
        for unit in unit_ids:
            if not _UNIT.fullmatch(unit):
                raise ConfigurationError(f"{unit!r} is not the id of a service unit")
        return self._create(
            tenant_id,
            name=name,
            days=days,
            actor=actor,
            origin=checked_origin(origin),
            pages=",".join(_checked_pages(pages)),
            unit_ids=",".join(sorted(set(unit_ids))),
        )

    def of_tenant(self, tenant_id: str) -> tuple[EmbeddingSite, ...]:
        """The sites of a tenant, the newest first; also those that have ended."""
        return self._listed(EMBEDDING_SITE.c.tenant_id == tenant_id)

    def of_id(self, tenant_id: str, site_id: str) -> EmbeddingSite | None:
        """An open site of a tenant; None where there is none."""
        return next((site for site in self.of_tenant(tenant_id) if site.token_id == site_id and site.is_open), None)

    def use_ticket(self, ticket_id: str) -> bool:
        """Whether a ticket is used for the first time; from then on it was used."""
        now, used = datetime.now(UTC), EMBEDDING_TICKET.c.ticket_hash == token_hash(ticket_id)
        with self._writing() as connection:
            connection.execute(delete(EMBEDDING_TICKET).where(EMBEDDING_TICKET.c.used_at <= now - 2 * LONGEST_LIFE))
            if connection.execute(select(EMBEDDING_TICKET).where(used)).first() is not None:
                return False
            connection.execute(insert(EMBEDDING_TICKET).values(ticket_hash=token_hash(ticket_id), used_at=now))
        return True

    def _about(self, row: Mapping[str, Any]) -> Mapping[str, object]:
        return {"for": "embedding", "origin": row["origin"], "pages": row["pages"], "units": row["unit_ids"]}

    def _token(self, row: RowMapping) -> EmbeddingSite:
        pages, unit_ids = (tuple(filter(None, row[name].split(","))) for name in ("pages", "unit_ids"))
        return EmbeddingSite(**shared_fields(row), origin=row["origin"], pages=pages, unit_ids=unit_ids)


def checked_origin(text: str) -> str:
    """The origin of a site as browsers write it, such as https://portal.example.org. Raises ConfigurationError.

    Without TLS only a site of this machine counts, for tests.
    """
    wrong = ConfigurationError(f"{text!r} is not the origin of a site with TLS, such as https://portal.example.org")
    try:
        parts = urlsplit(text.strip().lower())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    is_local = is_loopback(host) or host.endswith(".localhost")
    if not _HOST.fullmatch(host) or parts.scheme not in (("https", "http") if is_local else ("https",)):
        raise wrong
    is_usual = port is None or port == {"https": 443, "http": 80}[parts.scheme]
    origin = f"{parts.scheme}://{host}" + ("" if is_usual else f":{port}")
    if parts.username or parts.password or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    return origin


def _checked_pages(pages: Collection[str]) -> list[str]:
    """The pages in the product's order. Raises ConfigurationError for none and for one that a site cannot show."""
    possible = [page for page in PAGES if page in ROLES[ROLE].pages]
    for page in pages:
        if page not in possible:
            raise ConfigurationError(f"the page {page!r} cannot be shown in a site; possible are {', '.join(possible)}")
    if not pages:
        raise ConfigurationError(f"name the pages that the site may show: {', '.join(possible)}")
    return [page for page in possible if page in pages]
