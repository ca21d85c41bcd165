"""Removes files of scopes that no person has any more: after a change of rights or modules, and when a version is published."""

import shutil

from foundation.errors import AccessError
from foundation.home import Home
from serving.people.scope import Scope
from serving.people.store import AccessStore
from serving.versions.store import tenant_folder


def remove_unheld(home: Home, tenant_id: str) -> int:
    """Removes the files, in every kept version of a tenant, of scopes that none of its people has now; returns how many.

    A process that has such a file open can still read it; the next request checks the rights again.
    """
    store = AccessStore.open(home)
    policy, held = store.policy(tenant_id), set()
    for person in (*store.users(tenant_id), *store.support_sessions.principals(tenant_id)):
        try:
            held.add(Scope.of(person, policy).hash)
        except AccessError:
            # A role that needs units or a provider, and has none, has no scope.
            continue
    removed = 0
    folder = tenant_folder(home, tenant_id)
    for file in folder.glob("*/by_scope/*.duckdb"):
        if file.stem not in held:
            file.unlink(missing_ok=True)
            removed += 1
    # Earlier releases wrote the files of scopes here, under other keys; this one never opens them.
    for earlier in folder.glob("*/scopes"):
        removed += len(list(earlier.glob("*.duckdb")))
        shutil.rmtree(earlier, ignore_errors=True)
    return removed
