"""The open files of published versions: one for each tenant, scope and version, shared by all readers with the same rights.

Only `serving.reader` uses it. It opens what a scope may see, never more: the scope is computed before.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import AccessError, DamagedFileError
from foundation.home import Home
from foundation.opened_once import OpenedOnce
from serving.metrics.answers import Metrics
from serving.metrics.compiler import compiler_of
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.registry import Registry, private_columns
from serving.model import Tenant, Version
from serving.people.scope import Scope
from serving.scope_files.connection import ScopeConnection
from serving.scope_files.derive import scope_file
from serving.versions.integrity import note_damage
from serving.versions.store import VersionFiles, files_of

OPEN_KEPT = 32


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What readers of one tenant, scope and version share."""

    tenant: Tenant
    metrics: Metrics


_OPEN: OpenedOnce[tuple[Path, str, str, str], Opened] = OpenedOnce(OPEN_KEPT)


def date_columns(registry: Registry) -> frozenset[str]:
    """Columns that are of type DATE wherever they occur."""
    kinds: dict[str, set[str]] = {}
    for table in registry.tables:
        for column in table.columns:
            kinds.setdefault(column.name, set()).add(column.data_type)
    return frozenset(name for name, types in kinds.items() if types == {"DATE"})


def _open(home: Home, scope: Scope, version: Version, files: VersionFiles) -> Opened:
    try:
        registry = Registry.from_json(files.registry.read_bytes())
        semantic = files.semantic_manifest.read_bytes()
    except (FileNotFoundError, ValueError):
        note_damage(home, version)
        raise DamagedFileError(f"version {version.version} lost files; the next run publishes it again") from None
    data = _data(home, scope, version, files, registry)
    row = data.frame("select tenant_id, name, time_zone from warehouse.marts.dim_tenants").rows()
    if len(row) != 1 or row[0][0] != scope.tenant_id:
        data.close()
        raise AccessError("the published file is not this tenant's; publish again")
    index = DimensionIndex(json.loads(semantic), private_columns(registry.tables))
    compiler = compiler_of(semantic, date_columns(registry), written_with=version.metricflow)
    return Opened(
        tenant=Tenant(tenant_id=row[0][0], name=row[0][1], time_zone=row[0][2]),
        metrics=Metrics(registry=registry, index=index, compiler=compiler, data=data, scope=scope),
    )


def _data(home: Home, scope: Scope, version: Version, files: VersionFiles, registry: Registry) -> ScopeConnection:
    """Opens the scope's file; one that lost bytes or was removed meanwhile is made again from the version's base, unless it is the base."""
    path, key = scope_file(home, version, scope, registry)
    if path == files.base:
        return ScopeConnection(home, path, key, on_damage=lambda: note_damage(home, version))

    def make_again() -> None:
        path.unlink(missing_ok=True)
        _OPEN.drop((home.path, scope.tenant_id, scope.hash, version.version))

    try:
        return ScopeConnection(home, path, key, on_damage=make_again)
    except DamagedFileError:
        scope_file(home, version, scope, registry)
        return ScopeConnection(home, path, key, on_damage=make_again)


def shared(home: Home, scope: Scope, version: Version) -> Opened:
    """The open file of a scope and version; opened once for all who may see the same."""
    key = (home.path, scope.tenant_id, scope.hash, version.version)
    return _OPEN.get(key, lambda: _open(home, scope, version, files_of(home, scope.tenant_id, version.version)))


def close_all() -> None:
    """Forgets all shared files of this process, for tests and shut-down; readers that hold one can go on."""
    _OPEN.clear()
