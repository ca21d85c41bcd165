"""Keys of homes of format 2 and before: every key followed from the master key. `clinicmart upgrade` writes them into key files.

What was written stays as it is. The key files name the keys that it was written under, beside new random content from which the keys of
everything else follow. `clinicmart keys rotate --tenant` writes a tenant's files again, under keys that no master key derives.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from pathlib import Path

from foundation import key_files
from foundation.comparing import is_same
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.key_files import TenantKeys
from foundation.key_masters import GRANTS, INGEST, SERVING, expand, local_masters
from foundation.keys import EARLIER_SURROGATE, ROTATING, SERVING_HOME_PURPOSES, SERVING_TENANT_PURPOSES, earlier_master

# What an earlier release wrote beside the master key, and this one does not need.
CHECK, RING = "key-check", "keys/serving.ring"
_OF_HOME = {
    INGEST: (
        "warehouse",
        "ledger names, authentication",
        "ledger names, encryption",
        "backup",
        "proof",
        "upgrade-backup",
    ),
    SERVING: SERVING_HOME_PURPOSES,
}
_OF_TENANT = {
    INGEST: ("landing", "vault", "inbox", "token", "messages", "payments"),
    SERVING: SERVING_TENANT_PURPOSES,
}
# Purposes that had the key of another one.
_SAME = {"scope files": "scopes"}


def has_key_files(home: Home) -> bool:
    """Whether the keys of a home are in key files already."""
    return all(key_files.path_of(home, grant).exists() for grant in GRANTS)


def left_over(home: Home) -> list[Path]:
    """Files of the earlier form that are still there."""
    return [path for path in (home.path / CHECK, home.path / RING) if path.exists()]


def carry_over(home: Home, scopes: Mapping[str, Collection[str]]) -> None:
    """Writes the key files of a home of an earlier format. `scopes`: tenant to the hashes of scopes whose surrogates the audit log names.

    The home's own file is written last: who is killed runs it again, and files that are there stay. Raises ConfigurationError where the
    master key is missing or is not the one that the home was written under.
    """
    master = earlier_master(home)
    _check(home, master)
    for grant, local in local_masters(master).items():
        for tenant_id, hashes in scopes.items():
            keys = {purpose: _key(master, purpose, tenant_id) for purpose in _OF_TENANT[grant]}
            carried = {purpose: key for purpose, key in keys.items() if purpose in ROTATING}
            lasting = {purpose: key for purpose, key in keys.items() if purpose not in ROTATING}
            if grant == SERVING:
                lasting |= {
                    name: _key(master, name, tenant_id) for name in (f"{EARLIER_SURROGATE}{item}" for item in hashes)
                }
            key_files.create(key_files.path_of(home, grant, tenant_id), local, TenantKeys.new(carried, lasting))
    for grant, local in local_masters(master).items():
        lasting = {purpose: _key(master, purpose) for purpose in _OF_HOME[grant]}
        key_files.create(key_files.path_of(home, grant), local, TenantKeys.new(lasting=lasting))


def _key(master: bytes, purpose: str, tenant_id: str = "") -> bytes:
    return expand(master, f"{_SAME.get(purpose, purpose)}/{tenant_id}")


def _check(home: Home, master: bytes) -> None:
    """Compares the master key with the home's check value, where an earlier release left one."""
    try:
        kept = (home.path / CHECK).read_text("ascii").strip()
    except FileNotFoundError:
        return
    wanted = hmac.new(_key(master, "check"), b"clinicmart", hashlib.sha256).hexdigest()
    if not is_same(kept, wanted):
        raise ConfigurationError(
            f"the master key is another one than that which {home.path} was written under; give the right one, from your backup"
        )
