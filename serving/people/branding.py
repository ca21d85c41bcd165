"""How an organization shows itself on its own pages: a display name, an accent colour and a logo. Nothing of it is a secret, and no other
organization sees it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, insert, select

from foundation.errors import AccessError
from serving.people.database import check_tenant
from serving.people.tables import BRANDING, MODULE
from serving.people.targets import Audits

_MODULE = "branding"


@dataclass(frozen=True, kw_only=True)
class Brand:
    """What an organization chose; empty parts are those of the product. `accent` and `accent_dark` are colours such as #0f5f8c
    for a light and a dark ground. `logo` is a PNG that this product wrote."""

    display_name: str = ""
    accent: str = ""
    accent_dark: str = ""
    logo: bytes = field(default=b"", repr=False)


PLAIN = Brand()


class Brandings:
    """The brands of all organizations. What is written here was checked before (`serving.brand_rules`)."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def of_tenant(self, tenant_id: str) -> Brand:
        """What an organization chose, PLAIN for nothing."""
        query = select(BRANDING).where(BRANDING.c.tenant_id == tenant_id)
        with self._reading.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return PLAIN
        return Brand(**{name: row[name] or getattr(PLAIN, name) for name in Brand.__dataclass_fields__})

    def shown(self, tenant_id: str) -> Brand:
        """What its pages show: PLAIN where the plan has no branding, or the organization has switched it off."""
        mine = (MODULE.c.tenant_id == tenant_id) & (MODULE.c.module == _MODULE)
        with self._reading.connect() as connection:
            row = connection.execute(select(MODULE).where(mine)).mappings().first()
        is_used = row is None or (row["is_granted"] and row["is_enabled"])
        return self.of_tenant(tenant_id) if is_used else PLAIN

    def set(self, tenant_id: str, brand: Brand, *, actor: str) -> None:
        """Replaces what an organization chose; PLAIN removes it. Raises AccessError for an unknown organization, and where the plan has no
        branding."""
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            mine = (MODULE.c.tenant_id == tenant_id) & (MODULE.c.module == _MODULE) & MODULE.c.is_granted.is_(False)
            if brand != PLAIN and connection.execute(select(MODULE.c.module).where(mine)).first() is not None:
                raise AccessError("the plan of the organization does not include branding")
            connection.execute(delete(BRANDING).where(BRANDING.c.tenant_id == tenant_id))
            if brand != PLAIN:
                made = {"tenant_id": tenant_id, "set_by": actor, "set_at": datetime.now(UTC)}
                connection.execute(insert(BRANDING).values(**made, **vars(brand)))
            detail = {
                "display_name": brand.display_name,
                "accent": brand.accent,
                "accent_dark": brand.accent_dark,
                "logo_bytes": len(brand.logo),
            }
            self._audit(connection, tenant_id, actor, "branding changed", detail)
