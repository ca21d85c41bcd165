"""Which tenants were removed from a home: their keys are destroyed, and no new ones are made under their ids.

`keys/removed.json` has them. It is written before the keys go, so that a removal that was killed is known and finished.
"""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from foundation import formats
from foundation.home import Home
from foundation.kept_files import KeptFile

FILE = "removed.json"


class Removal(BaseModel):
    """One removal. Times are UTC; `ended_at` is None while it is under way."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    reason: str
    removed_by: str
    begun_at: datetime
    ended_at: datetime | None = None


class RemovedTenants(KeptFile):
    """Tenant to its removal."""

    FORMAT = formats.KEYS
    tenants: dict[str, Removal] = {}

    @classmethod
    def of(cls, home: Home) -> "RemovedTenants":
        """Those of a home."""
        return cls.read(_path(home)) or cls()

    def noting(self, home: Home, tenant_id: str, removal: Removal) -> "RemovedTenants":
        """Adds or replaces a removal, on disk when this returns."""
        noted = self.model_copy(update={"tenants": self.tenants | {tenant_id: removal}})
        home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        noted.write(_path(home))
        return noted


def _path(home: Home) -> Path:
    return home.keys / FILE
