"""Which tenants were removed from a home: their keys are destroyed, and no new ones are made under their ids.

`keys/removed.json` has them. It is written before the keys go, so that a removal that was killed is known and finished.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from foundation import formats
from foundation.home import Home
from foundation.kept_files import KeptFile

FILE = "removed.json"


class Removal(BaseModel):
    """One removal. Times are UTC; `ended_at` is None while it is under way.

    What its certificate says and the home no longer shows is noted as soon as it is known, for a removal that was killed: fingerprints of
    destroyed key files, whether keys followed from the master key of an earlier release, and what trying the remaining keys came to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    reason: str
    removed_by: str
    begun_at: datetime
    ended_at: datetime | None = None
    destroyed_keys: tuple[str, ...] = ()
    had_earlier_keys: bool = False
    tried: dict[str, Any] = {}


class RemovedTenants(KeptFile):
    """Tenant to its removal."""

    FORMAT = formats.KEYS
    tenants: dict[str, Removal] = {}

    @classmethod
    def of(cls, home: Home) -> "RemovedTenants":
        """Those of a home."""
        return cls.read(_path(home)) or cls()


def note_removal(home: Home, tenant_id: str, removal: Removal) -> Removal:
    """Adds or replaces a removal, on disk when this returns; returns it."""
    before = RemovedTenants.of(home)
    home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    before.model_copy(update={"tenants": before.tenants | {tenant_id: removal}}).write(_path(home))
    return removal


def _path(home: Home) -> Path:
    return home.keys / FILE
