"""Writes the file of a scope: the rows and columns of a version that one kind of person may see, and no others.

A table is in the file if one of the scope's modules reads it. Its rows are those of the tenant (checked again), of the assigned
units and below, and of the provider or the referral partner. Where a feed brings credentials, a provider has rows of the units where
a credential holds on the day that the data reach, and of those below. A fact without a service unit stays empty in a restricted scope. Of
people, providers and other dimensions only the members remain that the remaining facts name; of a partner's scope the units too.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from filelock import FileLock

from foundation import duck, formats
from foundation.errors import AccessError
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.dimensions import friendly
from serving.metrics.registry import HEALTH, DrillRule, PublishedTable, Registry
from serving.model import Version
from serving.people.modules import sees_metric
from serving.people.rights import PLACE_DIMENSIONS, REFERRAL_COLUMNS
from serving.people.scope import Scope
from serving.scope_files.deidentify import expressions
from serving.versions.store import files_of

_CORE = "core"
# Dimensions that list people: cut down to those the remaining facts name.
_PEOPLE = {"dim_patients": "patient_id", "dim_providers": "provider_id"}
_PARTNER_COLUMN = "referral_partner_id"
_UNITS = ("dim_service_units", "dim_service_unit_versions")
_UNIT_ID = "service_unit_id"
UNKNOWN = "unknown"
_WORD = re.compile(r"\w+")
# The column of dim_tenants that says whether a feed brings credentials.
CREDENTIALS = "has_credentials"


def allowed_tables(scope: Scope, registry: Registry) -> tuple[PublishedTable, ...]:
    """The published tables a scope holds: dimensions, and facts of its modules or behind its modules' metrics."""
    used: set[str] = set()
    for metric in registry.metrics.values():
        if sees_metric(scope, metric.definition):
            whole = registry.metrics.get(metric.share_of)
            used |= {*metric.tables, *(whole.tables if whole else ()), *([metric.drill.model] if metric.drill else ())}
    return tuple(
        table
        for table in registry.tables
        if table.schema != HEALTH
        and (table.is_dimension or table.module == _CORE or table.module in scope.modules or table.name in used)
    )


def is_base(scope: Scope, registry: Registry) -> bool:
    """Whether a scope is the whole published file: all rows, all tables, identity as published."""
    whole = {table.name for table in registry.tables if table.schema != HEALTH}
    held = {table.name for table in allowed_tables(scope, registry)}
    return not scope.is_restricted and scope.identity_level == "identified" and held == whole


def keys_of(home: Home, scope: Scope, *, base: bool) -> tuple[str, ...]:
    """The keys of a scope's file, as `duck.attach` takes them; the base file has the tenant's."""
    keys = Keys.of(home)
    if base:
        return keys.derive_all_hex("published", scope.tenant_id)
    return keys.of_scope_file(scope.tenant_id, scope.hash)


def scope_file(home: Home, version: Version, scope: Scope, registry: Registry) -> tuple[Path, tuple[str, ...]]:
    """(file, keys) of a scope in a version; written on first use, and only once even if several ask at the same time."""
    if scope.tenant_id != version.tenant_id:
        raise AccessError("this version belongs to another tenant")
    files = files_of(home, version.tenant_id, version.version)
    if is_base(scope, registry):
        return files.base, keys_of(home, scope, base=True)
    keys, path = keys_of(home, scope, base=False), files.scopes / f"{scope.hash}.duckdb"
    if not path.exists():
        files.scopes.mkdir(mode=0o700, exist_ok=True)
        with _lock_of(path):
            if not path.exists():
                temporary = _unfinished(path)
                for left in (temporary, temporary.with_suffix(".part.wal")):
                    left.unlink(missing_ok=True)
                _derive(home, files.base, version, scope, registry, temporary, keys[0])
                temporary.replace(path)
    return path, keys


def remove_scope_files(home: Home, tenant_id: str) -> None:
    """Removes the scope files of all versions of a tenant; each is made again when somebody asks.

    A file that is being written is waited for. Who has a file open goes on reading it.
    """
    for folder in home.path.glob(f"published/{tenant_id}/*/by_scope"):
        # One that is being written has its lock and no name yet.
        being_written = {lock.with_name(f"{lock.stem.removeprefix('.')}.duckdb") for lock in folder.glob(".*.lock")}
        for path in sorted({*folder.glob("*.duckdb"), *being_written}):
            with _lock_of(path):
                path.unlink(missing_ok=True)
                _unfinished(path).unlink(missing_ok=True)


def _lock_of(path: Path) -> FileLock:
    """Held while the file of a scope is written or removed."""
    return FileLock(path.with_name(f".{path.stem}.lock"))


def _unfinished(path: Path) -> Path:
    """Where the file of a scope is written before it has its name."""
    return path.with_name(f".{path.stem}.part")


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """The rows of a scope: an open connection with `base`, `target` and the table `units` in it, by which rows are cut if `by_units`."""

    connection: duckdb.DuckDBPyConnection
    scope: Scope
    registry: Registry
    as_of: date
    surrogate_key: str
    by_units: bool

    def conditions(self, table: PublishedTable) -> list[str]:
        """The conditions a row of a table must meet; bound parameters are $tenant and $provider."""
        if table.shared:
            return []
        if table.name == "dim_patients" and not self.scope.row_tables_allowed:
            return ["false"]
        if table.is_dimension and not self.scope.sees_figures and table.name not in PLACE_DIMENSIONS:
            return ["false"]
        conditions = ["tenant_id = $tenant"]
        if self.scope.partner_id is not None:
            return [*conditions, self._partner(table)]
        if self.by_units and (table.name in _UNITS or not table.is_dimension):
            conditions.append(self._unit(table))
        if not table.is_dimension and self.scope.provider_id is not None:
            conditions.append(self._provider(table))
        if table.name in _PEOPLE and self.scope.is_restricted:
            column = _PEOPLE[table.name]
            conditions.append(f"({column} = '{UNKNOWN}' or {column} in (select {column} from seen_{column}))")
        return conditions

    def _unit(self, table: PublishedTable) -> str:
        if table.unit_column not in table.column_names:
            return "false"
        return f'"{table.unit_column}" in (select service_unit_id from units)'

    def _provider(self, table: PublishedTable) -> str:
        if table.provider_column not in table.column_names:
            return "false"
        return f'"{table.provider_column}" = $provider'

    def _partner(self, table: PublishedTable) -> str:
        """The condition for a referral partner: own referrals, and the units that they name."""
        if table.name in _UNITS:
            return f"service_unit_id in (select service_unit_id from seen_{_UNIT_ID})"
        if table.is_dimension:
            return "true" if table.name in PLACE_DIMENSIONS else "false"
        if table.name not in REFERRAL_COLUMNS or _PARTNER_COLUMN not in table.column_names:
            return "false"
        return f'"{_PARTNER_COLUMN}" = $partner'

    def parameters(self, sql: str) -> dict[str, str | None]:
        parameters = {
            "tenant": self.scope.tenant_id,
            "provider": self.scope.provider_id,
            "partner": self.scope.partner_id,
        }
        return {name: value for name, value in parameters.items() if f"${name}" in sql}


def _derive(home: Home, base: Path, version: Version, scope: Scope, registry: Registry, path: Path, key: str) -> None:
    with duck.session(home) as connection:
        keys = Keys.of(home)
        duck.attach(
            connection, base, alias="base", key=keys.derive_all_hex("published", scope.tenant_id), read_only=True
        )
        duck.attach(connection, path, alias="target", key=key)
        as_of = version.data_as_of or version.published_at.date()
        cut = _Cut(
            connection=connection,
            scope=scope,
            registry=registry,
            as_of=as_of,
            by_units=_make_units(connection, scope, registry, as_of),
            # Who sees no rows needs no surrogate twice: its key is thrown away with this connection.
            surrogate_key=keys.derive_for_scope("surrogate", scope.tenant_id, scope.hash)
            if scope.row_tables_allowed
            else secrets.token_hex(32),
        )
        tables = allowed_tables(scope, registry)
        _seen(cut, tables)
        for schema in sorted({table.schema for table in tables} | {"marts"}):
            connection.execute(f'create schema if not exists target."{schema}"')
        for table in tables:
            _write(cut, table)
        duck.note_number(connection, "target", formats.PUBLISHED)
        connection.execute("checkpoint target")
        connection.execute("detach target")
    path.chmod(0o600)


def _make_units(connection: duckdb.DuckDBPyConnection, scope: Scope, registry: Registry, as_of: date) -> bool:
    """Makes the table `units`: the assigned units, the units where the provider holds a credential on a day, or those that are both;
    with all below them in the tree. Returns whether rows are cut by it."""
    connection.execute("create temp table units (service_unit_id varchar)")
    follows = scope.provider_id is not None and _brings_credentials(connection, registry)
    tops = []
    if scope.unit_ids:
        tops.append("select unnest($units)")
    if follows:
        tops.append(
            "select service_unit_id from base.marts.fct_credentials where tenant_id = $tenant and provider_id = $provider "
            "and $as_of between valid_from and coalesce(valid_to, $as_of)"
        )
    if not tops:
        return False
    parameters = {
        "tenant": scope.tenant_id,
        "units": list(scope.unit_ids),
        "provider": scope.provider_id,
        "as_of": as_of,
    }
    below = (
        "select unit.service_unit_id from base.marts.dim_service_units as unit join base.marts.dim_service_units as top "
        "on unit.tenant_id = top.tenant_id and starts_with(unit.path, top.path) "
        "where unit.tenant_id = $tenant and top.service_unit_id in ({top})"
    )
    sql = "insert into units " + " intersect ".join(below.format(top=top) for top in tops)
    connection.execute(sql, {name: value for name, value in parameters.items() if f"${name}" in sql})
    return True


def _brings_credentials(connection: duckdb.DuckDBPyConnection, registry: Registry) -> bool:
    """Whether a feed of the tenant brings credentials; false for versions that were published before there was such a table."""
    tenants = registry.table("dim_tenants")
    if tenants is None or CREDENTIALS not in tenants.column_names:
        return False
    row = connection.execute(f"select bool_or({CREDENTIALS}) from base.marts.dim_tenants").fetchone()
    return bool(row and row[0])


def _seen(cut: _Cut, tables: Sequence[PublishedTable]) -> None:
    """People, providers and units that the scope's facts name, for restricted scopes."""
    if not cut.scope.is_restricted:
        return
    for column in (*_PEOPLE.values(), _UNIT_ID):
        parts = [
            f'select "{column}" from base."{table.schema}"."{table.name}" where {" and ".join(cut.conditions(table))}'
            for table in tables
            if not table.is_dimension and column in table.column_names
        ]
        rows = " union ".join(parts) or f"select cast(null as varchar) as {column} where false"
        cut.connection.execute(f"create temp table seen_{column} as {rows}", cut.parameters(rows) or None)


def _counted_columns(registry: Registry, table: PublishedTable) -> set[str]:
    """Columns of a table whose distinct values figures count or group by."""
    metrics = [item for item in registry.metrics.values() if table.name in item.tables]
    dimensions = {name for item in metrics for name in item.definition.dimensions}
    rules = _rules(registry, table)
    distinct = {name for rule in rules if rule.aggregate == "distinct" for name in _WORD.findall(rule.value)}
    return {name for name in table.column_names if name in distinct or {name, friendly(name)} & dimensions}


def _asked_columns(registry: Registry, table: PublishedTable) -> set[str]:
    """Columns of a table that conditions of figures name."""
    texts = [
        text
        for rule in _rules(registry, table)
        for text in (rule.row_filter, rule.value, *(reason.condition for reason in (*rule.left_out, *rule.not_above)))
    ]
    return {word for text in texts for word in _WORD.findall(text)}


def _rules(registry: Registry, table: PublishedTable) -> list[DrillRule]:
    return [
        item.drill for item in registry.metrics.values() if item.drill is not None and item.drill.model == table.name
    ]


def _write(cut: _Cut, table: PublishedTable) -> None:
    """One table; fails where a row of another tenant came through."""
    name = f'"{table.schema}"."{table.name}"'
    has_rows = cut.scope.row_tables_allowed
    columns = expressions(
        table,
        level=cut.scope.identity_level,
        has_rows=has_rows,
        key_hex=cut.surrogate_key,
        as_of=cut.as_of,
        counted=() if has_rows else _counted_columns(cut.registry, table),
        asked=() if has_rows else _asked_columns(cut.registry, table),
    )
    conditions = cut.conditions(table)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    # Copied in the order of the base file, which is already sorted.
    sql = f"create table target.{name} as select {columns} from base.{name} {where}"
    cut.connection.execute(sql, cut.parameters(sql) or None)
    if not table.shared:
        foreign = cut.connection.execute(
            f"select count(*) from target.{name} where tenant_id is distinct from $tenant",
            {"tenant": cut.scope.tenant_id},
        ).fetchone()
        if foreign is None or foreign[0]:
            raise AccessError("a scope file would have held rows of another tenant; it was not written")
