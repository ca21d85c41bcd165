"""Publishes: copies the published tables of each tenant from the warehouse into one encrypted file per tenant and version.

A version is built in a separate folder, renamed when it is complete, and only then named by `current.json`: a process that reads
meets the old version or the new one, also when this process is killed at any point. A tenant whose data did not change since
its served version is skipped. A tenant with an audit failure, or whose rows and money do not agree from source to the written
file (`serving.publish.reconciliation`), keeps the version it has.

    publish(home, dbt_target=..., run_id=..., audit_failures={"harbor": ["charges do not balance"]}) -> PublishReport

Reads the warehouse read-only, and dbt's `manifest.json` (models with `meta: {publish: true}`) and `semantic_manifest.json`.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock

from foundation import duck, formats
from foundation.errors import PublishError
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.compiler import metricflow_release
from serving.metrics.registry import HEALTH, PublishedTable, Registry, TableColumn
from serving.model import PublishReport, TenantOutcome, Version
from serving.publish.definitions import read_definitions
from serving.publish.reconciliation import Unreconciled, check_published, open_differences
from serving.versions.integrity import digest_of, is_undamaged
from serving.versions.retention import KEEP_DAYS, next_number, remove_old
from serving.versions.store import (
    BUILDING,
    VersionFiles,
    current_version,
    files_of,
    outcome,
    record_outcome,
    switch,
    tenant_folder,
    version_to_json,
)

__all__ = ["current_version", "outcome", "publish", "record_outcome"]
progress = logging.getLogger("clinicmart.progress")

# Raise when what this module writes changes, so that unchanged data is written again.
LAYOUT = 1
# Kinds of fingerprints, beside HEALTH.
DATA, BUILT = "data", "built"


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The source of one publication: an open warehouse, and the definitions that are published with the data."""

    home: Home
    keys: Keys
    connection: duckdb.DuckDBPyConnection
    registry: Registry
    registry_json: bytes
    semantic_json: bytes
    # None where the models of the manifest are not compiled: nothing that dbt built.
    lineage_json: bytes | None
    definitions_json: bytes
    run_id: str
    keep_days: int

    def tables(self, *, health: bool) -> list[PublishedTable]:
        return [table for table in self.registry.tables if (table.schema == HEALTH) == health]


def publish(
    home: Home,
    *,
    dbt_target: Path,
    run_id: str,
    tenants: Sequence[str] | None = None,
    audit_failures: Mapping[str, Sequence[str]] | None = None,
    built_from: Mapping[str, str] | None = None,
    keep_days: int = KEEP_DAYS,
) -> PublishReport:
    """Publishes the tenants named (all of the warehouse for None) whose data changed.

    `built_from` maps a tenant to a text that changes whenever its marts may change. If it equals the text of the served
    version, the marts are not read.

    `audit_failures` maps a tenant to the reasons why it must not be published; versions that were replaced stay for
    `keep_days` (`serving.versions.retention`). Raises ConfigurationError where dbt's
    manifests are missing, PublishError where a published model is not in the warehouse or a tenant is unknown to it.
    """
    failures = dict(audit_failures or {})
    definitions = read_definitions(dbt_target)
    with duck.session(home) as connection:
        keys = Keys.of(home)
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
        registry, registry_json = definitions.registry(_typed(connection, definitions.tables))
        source = _Source(
            home=home,
            keys=keys,
            connection=connection,
            registry=registry,
            registry_json=registry_json,
            semantic_json=definitions.semantic_json,
            lineage_json=definitions.lineage_json,
            definitions_json=definitions.definitions_json,
            run_id=run_id,
            keep_days=keep_days,
        )
        built_tenants = _tenants(connection)
        wanted = list(built_tenants) if tenants is None else list(tenants)
        unknown = sorted(set(wanted) - set(built_tenants))
        if unknown:
            raise PublishError(f"the warehouse has no tenant {', '.join(unknown)}")
        for tenant, sentences in open_differences(connection).items():
            failures[tenant] = [*failures.get(tenant, ()), *sentences]
        prints = _fingerprints(source, [tenant for tenant in wanted if not failures.get(tenant)], built_from or {})
        lines = [
            _one(source, tenant, built_tenants[tenant], prints.get(tenant, {}), failures.get(tenant))
            for tenant in wanted
        ]
    return PublishReport(run_id=run_id, tenants=tuple(lines))


def _typed(connection: duckdb.DuckDBPyConnection, tables: Sequence[PublishedTable]) -> tuple[PublishedTable, ...]:
    """The tables with all their columns and types as the warehouse has them. Raises PublishError for an absent one."""
    rows = connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = 'warehouse' order by column_index"
    ).fetchall()
    columns_by_table: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, data_type in rows:
        columns_by_table.setdefault((schema, table), []).append((column, data_type))
    typed = []
    for table in tables:
        columns = columns_by_table.get((table.schema, table.name))
        if columns is None:
            raise PublishError(f"{table.schema}.{table.name} is to be published and is not in the warehouse; run dbt")
        if not table.shared and all(name != "tenant_id" for name, _ in columns):
            raise PublishError(f"{table.schema}.{table.name} has no tenant_id and is not marked as shared")
        described = {column.name: column for column in table.columns}
        full = tuple(
            replace(described.get(name, TableColumn(name=name, data_type="")), data_type=data_type)
            for name, data_type in columns
        )
        typed.append(replace(table, columns=full))
    return tuple(typed)


def _tenants(connection: duckdb.DuckDBPyConnection) -> dict[str, date | None]:
    """Tenant to the day its data reach to."""
    rows = connection.execute(
        "select tenant_id, data_as_of_date from warehouse.marts.dim_tenants order by 1"
    ).fetchall()
    return {str(tenant): as_of for tenant, as_of in rows}


def _fingerprints(source: _Source, tenants: Sequence[str], built_from: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """For each tenant a fingerprint of its data, one of its health tables and, if known, one of the inputs of the data.

    A table's part is its row count, the exclusive or and the sum of its rows' hashes: one scan of the warehouse for all
    tenants together. The definitions, the layout and DuckDB's version (whose hash it is) are in the data's fingerprint.
    """
    metadata = (source.registry_json, source.semantic_json, source.lineage_json or b"")
    definitions = [str(LAYOUT), duckdb.__version__, *(content.hex() for content in metadata)]
    parts: dict[str, dict[str, list[str]]] = {tenant: {DATA: list(definitions), HEALTH: []} for tenant in tenants}
    for table in source.registry.tables if tenants else ():
        if table.shared:
            ((_, *values),) = _hashes(source, table, ())
            for tenant in tenants:
                parts[tenant][_kind(table)].append(f"{table.schema}.{table.name}:{values}")
    prints: dict[str, dict[str, str]] = {tenant: {} for tenant in tenants}
    for tenant in tenants:
        if tenant in built_from:
            prints[tenant][BUILT] = _digest([*parts[tenant][DATA], built_from[tenant]])
            served = current_version(source.home, tenant)
            if served is not None and served.fingerprints.get(BUILT) == prints[tenant][BUILT]:
                prints[tenant][DATA] = served.fingerprints[DATA]
    read = [tenant for tenant in tenants if DATA not in prints[tenant]]
    for table in source.registry.tables:
        wanted = read if _kind(table) == DATA else tenants
        if wanted and not table.shared:
            for tenant, *values in _hashes(source, table, wanted):
                parts[tenant][_kind(table)].append(f"{table.schema}.{table.name}:{values}")
    for tenant in tenants:
        prints[tenant] = {kind: _digest(lines) for kind, lines in parts[tenant].items()} | prints[tenant]
    return prints


def _kind(table: PublishedTable) -> str:
    return HEALTH if table.schema == HEALTH else DATA


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _hashes(source: _Source, table: PublishedTable, tenants: Sequence[str]) -> list[tuple[Any, ...]]:
    """(tenant, rows, exclusive or, sum) of a table for each of some tenants; one row without tenant of a shared table."""
    where, group = ("", "") if table.shared else ("where tenant_id in (select unnest($tenants))", "group by all")
    owner = "null" if table.shared else "tenant_id"
    return source.connection.execute(
        f"select {owner}, count(*), bit_xor(hash(t)), sum(hash(t)) "
        f'from warehouse."{table.schema}"."{table.name}" as t {where} {group}',
        None if table.shared else {"tenants": list(tenants)},
    ).fetchall()


def _one(
    source: _Source, tenant: str, as_of: date | None, prints: dict[str, str], failures: Sequence[str] | None
) -> TenantOutcome:
    """Publishes one tenant and notes how it ended."""
    started = time.monotonic()
    with FileLock(tenant_folder(source.home, tenant) / ".publish.lock"):
        served = current_version(source.home, tenant)
        if failures:
            ended, version, reasons = "stopped", served, tuple(failures)
        elif served is not None and _is_same(served, prints) and _is_whole(source.home, served):
            ended, version, reasons = "unchanged", served, ()
        else:
            try:
                version = _build(source, tenant, as_of, prints, served)
                switch(source.home, version)
                ended, reasons = "published", ()
            except Unreconciled as error:
                ended, version, reasons = "stopped", served, error.reasons
            except Exception as error:
                record_outcome(
                    source.home, tenant, run_id=source.run_id, outcome="failed", reason=f"publishing: {error}"
                )
                raise
        record_outcome(source.home, tenant, run_id=source.run_id, outcome=ended, reason="; ".join(reasons))
        remove_old(source.home, tenant, keep_days=source.keep_days)
    return TenantOutcome(
        tenant_id=tenant,
        outcome=ended,
        version=None if version is None else version.version,
        rows=0 if version is None else version.rows,
        seconds=time.monotonic() - started,
        reasons=reasons,
    )


def leave(home: Home, tenant_id: str, *, run_id: str, keep_days: int = KEEP_DAYS) -> bool:
    """Records that the served version of a tenant is current, and removes versions that are too old; False if no complete version is
    served."""
    with FileLock(tenant_folder(home, tenant_id) / ".publish.lock"):
        served = current_version(home, tenant_id)
        if served is None or not _is_whole(home, served):
            return False
        record_outcome(home, tenant_id, run_id=run_id, outcome="unchanged")
        remove_old(home, tenant_id, keep_days=keep_days)
    return True


def _is_same(served: Version, prints: Mapping[str, str]) -> bool:
    return all(served.fingerprints.get(kind) == prints[kind] for kind in (DATA, HEALTH))


def _is_whole(home: Home, version: Version) -> bool:
    """Whether every file of a version is there and the database files are those that were written."""
    files = files_of(home, version.tenant_id, version.version)
    return all(path.exists() for path in (files.registry, files.semantic_manifest)) and is_undamaged(home, version)


def _build(source: _Source, tenant: str, as_of: date | None, prints: dict[str, str], served: Version | None) -> Version:
    """Writes a whole version under its final name; nothing serves it yet."""
    now = datetime.now(UTC)
    if served is not None and now < served.published_at:
        hours = (served.published_at - now).total_seconds() / 3600
        progress.warning(
            "%s: the clock of this machine went back by %.1f hours since the last version; check it", tenant, hours
        )
    number = next_number(source.home, tenant)
    name = f"{now:%Y%m%dT%H%M%S%fZ}"
    folder = tenant_folder(source.home, tenant)
    building = VersionFiles(folder / f"{BUILDING}{name}")
    building.scopes.mkdir(mode=0o700, parents=True)
    # Read times change with every run. Where nothing else did, the new version shares the data files of the old one.
    old = None if served is None else files_of(source.home, tenant, served.version)
    can_share = (
        served is not None and served.fingerprints.get(DATA) == prints[DATA] and is_undamaged(source.home, served)
    )
    if old is not None and served is not None and can_share:
        rows = served.rows
        _share(old, building)
    else:
        rows = _copy(source, tenant, building.base, source.tables(health=False))
    _copy(source, tenant, building.health, source.tables(health=True))
    data = source.tables(health=False)
    check_published(
        source.home, source.keys, source.connection, tenant, base=building.base, health=building.health, tables=data
    )
    building.semantic_manifest.write_bytes(source.semantic_json)
    building.registry.write_bytes(source.registry_json)
    if source.lineage_json is not None:
        building.lineage.write_bytes(source.lineage_json)
    building.definitions.write_bytes(source.definitions_json)
    version = Version(
        tenant_id=tenant,
        version=name,
        published_at=now,
        run_id=source.run_id,
        rows=rows,
        data_as_of=as_of,
        fingerprints=prints,
        number=number,
        digests={path.name: digest_of(path) for path in (building.base, building.health)},
        metricflow=metricflow_release(),
    )
    building.version.write_bytes(version_to_json(version))
    for path in building.folder.iterdir():
        _flush(path)
    os.rename(building.folder, folder / name)
    _flush(folder)
    return version


def _share(old: VersionFiles, new: VersionFiles) -> None:
    """The same data under a new version: hard links, or copies where the file system has none."""
    scopes = [path for path in old.scopes.glob("*.duckdb") if not path.name.startswith(".")]
    for path in (old.base, *scopes):
        target = new.folder / path.relative_to(old.folder)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)


def _copy(source: _Source, tenant: str, path: Path, tables: Sequence[PublishedTable]) -> int:
    """Writes one tenant's rows of some tables to an encrypted file; returns how many."""
    connection, key = source.connection, source.keys.derive_all_hex("published", tenant)
    duck.attach(connection, path, alias="target", key=key)
    try:
        for schema in sorted({table.schema for table in tables} | {"marts"}):
            connection.execute(f'create schema if not exists target."{schema}"')
        # Tables side by side: writing one of them keeps hardly more than one processor busy.
        with ThreadPoolExecutor(os.cpu_count()) as beside:
            rows = sum(beside.map(lambda table: _copy_table(connection, tenant, table), tables))
        duck.note_number(connection, "target", formats.PUBLISHED)
        connection.execute("checkpoint target")
    finally:
        connection.execute("detach target")
    path.chmod(0o600)
    return rows


def _copy_table(connection: duckdb.DuckDBPyConnection, tenant: str, table: PublishedTable) -> int:
    """Writes one tenant's rows of a table into the attached `target`; returns how many, of a shared table none."""
    order = [name for name in table.order_by if name in table.column_names]
    ordered = f"order by {', '.join(chr(34) + name + chr(34) for name in order)}" if order else ""
    mine = "" if table.shared else f"where tenant_id = {duck.quoted(tenant)}"
    name = f'"{table.schema}"."{table.name}"'
    with connection.cursor() as cursor:
        cursor.execute(f"create table target.{name} as select * from warehouse.{name} {mine} {ordered}")
        count = cursor.execute(f"select count(*) from target.{name}").fetchone()
    return 0 if count is None or table.shared else int(count[0])


def _flush(path: Path) -> None:
    """Waits until a file or folder is on the disk: the pointer must never outlive its target."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
