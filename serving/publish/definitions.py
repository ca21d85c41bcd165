"""What lies beside the data of every version: registry, semantic manifest, lineage and the SQL's fingerprints.

All of it follows from dbt's manifests and the warehouse's column types. A run publishes one tenant after the other from the same
manifests, so that they are read and worked out once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from foundation.errors import ConfigurationError
from serving.lineage.columns import read_lineage
from serving.metrics.manifests import published_tables, read_manifests, registry_metrics
from serving.metrics.registry import PublishedTable, Registry
from serving.publish.model_sql import definitions_json

_MANIFESTS = ("manifest.json", "semantic_manifest.json")


@dataclass(frozen=True, kw_only=True, eq=False)
class Definitions:
    """The definitions of one state of dbt's manifests. `tables` have no types: those are the warehouse's.

    `lineage_json` is None where the models of the manifest are not compiled: nothing that dbt built.
    """

    tables: tuple[PublishedTable, ...]
    semantic: Mapping[str, Any]
    semantic_json: bytes
    lineage_json: bytes | None
    definitions_json: bytes
    _registries: dict[tuple[PublishedTable, ...], tuple[Registry, bytes]] = field(default_factory=dict)

    def registry(self, typed: tuple[PublishedTable, ...]) -> tuple[Registry, bytes]:
        """The registry of tables with their types, and its file."""
        if typed not in self._registries:
            made = Registry(tables=typed, metrics=registry_metrics(self.semantic, typed))
            self._registries[typed] = made, made.to_json()
        return self._registries[typed]


def read_definitions(dbt_target: Path) -> Definitions:
    """The definitions of dbt's target folder, read again only after its manifests were written again.

    Raises ConfigurationError where a manifest is missing or torn.
    """
    try:
        written = tuple(
            (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            for stat in ((dbt_target / name).stat() for name in _MANIFESTS)
        )
    except OSError:
        written = ()
    return _read(dbt_target, written)


@lru_cache(maxsize=1)
def _read(dbt_target: Path, _written: tuple[tuple[int, int, int], ...]) -> Definitions:
    manifest, semantic, semantic_json = read_manifests(dbt_target)
    try:
        lineage = read_lineage(dbt_target, manifest).to_json()
    except ConfigurationError:
        lineage = None
    return Definitions(
        tables=published_tables(manifest, semantic),
        semantic=semantic,
        semantic_json=semantic_json,
        lineage_json=lineage,
        definitions_json=definitions_json(manifest),
    )
