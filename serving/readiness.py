"""Whether a home can be served now: for `/readyz` and the metrics. Reasons are codes, without names of tenants.

home_unreadable     the folder is not a home, or a later release wrote it
key_wrong           the key is missing or wrong, or the keys of a tenant are missing
people_unreadable   the access database cannot be opened
version_missing     a tenant has no published version although a run has ended for it, or no tenant has one
version_damaged     no published version of a tenant is whole
"""

from pathlib import Path

from foundation.errors import ClinicmartError
from foundation.faults import sentence_of
from foundation.home import Home
from foundation.keys import Keys
from serving.people.store import AccessStore
from serving.versions.integrity import can_be_served, last_sound_version

REASONS = ("home_unreadable", "key_wrong", "people_unreadable", "version_missing", "version_damaged")


def not_ready(path: Path) -> tuple[str, ...]:
    """Why a home cannot be served, in the order of REASONS; empty where it can. An error that does not come from the home is raised."""
    reason = "home_unreadable"
    try:
        if not Home(path).is_used:
            return (reason,)
        home = Home.at(path)
        reason = "key_wrong"
        keys = Keys.of(home)
        reason = "people_unreadable"
        tenants = [tenant_id for tenant_id, _ in AccessStore.open(home).tenants()]
        reason = "key_wrong"
        # A tenant for which no run has ended yet is new: it stops nobody else.
        begun = home.published_tenants()
        for tenant_id in begun:
            keys.derive("published", tenant_id)
        reason = "version_damaged"
        reasons = {_of_tenant(home, tenant_id) for tenant_id in tenants if tenant_id in begun} - {""}
    except Exception as error:
        if not isinstance(error, ClinicmartError) and sentence_of(error) is None:
            raise
        return (reason,)
    return tuple(name for name in REASONS if name in reasons) if set(begun) & set(tenants) else ("version_missing",)


def _of_tenant(home: Home, tenant_id: str) -> str:
    version = last_sound_version(home, tenant_id)
    if version is None:
        return "version_missing"
    return "" if can_be_served(home, version) else "version_damaged"
