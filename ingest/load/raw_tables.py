"""Landed batches into the raw tables that dbt reads, and the operational tables beside them.

Only batches that this warehouse has not taken are opened. A raw table holds one row per tenant, feed and entity key: the latest by
`source_updated_at`, then by batch, of records that their source has not deleted since (`ingest.load.removals`); rows that HL7
v2 feeds send in parts are combined column by column (`ingest.load.partial_rows`). Raw tables are sorted by tenant.
`raw.touched_tenant` lists the tenants whose rows differ from those that their marts were built from
(`ingest.load.touched_tenants`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import polars as pl
import sqlalchemy as sa

from data_contracts import Contract, contract, load_contracts
from foundation import duck, formats
from foundation.config import Config
from foundation.home import Home
from foundation.keys import Keys
from foundation.replays import moments_of
from ingest import ledger as tables
from ingest.accounts.accounts import ledger_accounts
from ingest.ledger import Ledger
from ingest.load import appointment_numbers, issuers, partial_rows, structure_history
from ingest.load.added_columns import add_columns
from ingest.load.data_reach import write_tenants
from ingest.load.landed_rows import by_size, open_files, read_files, unreadable_batches
from ingest.load.removals import DELETION, deleted, remove_deleted, remove_superseded
from ingest.load.touched_tenants import tenant_states, write_touched

DUCKDB = "duckdb"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The result of a load: the number of new rows; a text that is equal for two loads exactly if both left the same rows,
    accounts and problems in the raw tables; each tenant's state; and the tenants whose marts are not built from it
    (`ingest.load.touched_tenants`). A tenant's `standing` changes when its state changes, and when messages about its feeds
    change. `unreadable` are batches (`tenant_id`, `feed`, `entity`, `file`, `rows_landed`) whose files are missing or damaged."""

    rows: int
    state: str
    tenants: Mapping[str, str]
    standings: Mapping[str, str]
    touched: tuple[str, ...]
    unreadable: tuple[dict[str, Any], ...] = ()


def load_warehouse(
    home: Home, keys: Keys, ledger: Ledger, config: Config, built: Mapping[str, str] | None = None
) -> Loaded:
    """Loads every landed batch that the warehouse lacks into schema `raw`; see `_load`. Batches whose files cannot be read stay
    pending and are named in `Loaded.unreadable`; all others are loaded."""
    try:
        return _load(home, keys, ledger, config, built, without=frozenset())
    except duckdb.Error:
        pending = [item for batches in _pending(ledger).values() for item in batches]
        unreadable = unreadable_batches(home, keys, pending)
        if not unreadable:
            raise
        numbers = frozenset(item["batch_sequence"] for item in unreadable)
        loaded = _load(home, keys, ledger, config, built, without=numbers)
        return replace(loaded, unreadable=tuple(unreadable))


def _load(
    home: Home,
    keys: Keys,
    ledger: Ledger,
    config: Config,
    built: Mapping[str, str] | None,
    *,
    without: frozenset[int],
) -> Loaded:
    """Loads every landed batch that the warehouse lacks into schema `raw`, except the sequences `without`.

    `built` holds the state of each tenant from which its marts were last built and passed their tests; tenants with another
    state now (all tenants for None) are listed in `raw.touched_tenant`. Creates the warehouse file and its raw tables if
    missing. There is one transaction for each entity; the ledger marks batches as loaded after their rows are inserted and
    their deletions are done. Loading a batch twice changes nothing, so a killed load is repeated.
    """
    taken = 0
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"))
        connection.execute("create schema if not exists warehouse.raw")
        duck.note_number(connection, "warehouse", formats.WAREHOUSE)
        for entity_contract in load_contracts().values():
            if entity_contract.store == "landing":
                _make(connection, entity_contract)
        structure_history.prepare(connection)
        pending = _pending(ledger, without)
        # Deletions first: rows that come with them, or after them, may be of deleted records.
        in_parts = partial_rows.partial_feeds(ledger, config)
        partial_rows.prepare(connection, in_parts)
        renamed = issuers.configure(connection, config)
        for entity in sorted(pending, key=lambda name: name != DELETION):
            entity_contract, batches = contract(entity), pending[entity]
            feeds = in_parts if entity in partial_rows.ENTITIES else set()
            parts = [b for b in batches if (b["tenant_id"], b["feed"]) in feeds]
            whole = [b for b in batches if (b["tenant_id"], b["feed"]) not in feeds]
            if parts:
                taken += _take_parts(connection, home, keys, config, entity_contract, parts, renamed)
            taken += _take(connection, home, keys, entity_contract, whole) if whole else 0
            if whole and entity in structure_history.STATES:
                _arrive(connection, home, keys, entity_contract, whole, "arrived_states")
                structure_history.observe(connection, entity, "arrived_states")
                connection.execute("drop table arrived_states")
        if not {"appointment", "appointment_event"}.isdisjoint(pending):
            appointment_numbers.rename_events(connection)
        partial_rows.regroup(connection, renamed | issuers.settle(connection, config))
        if DELETION in pending:
            remove_deleted(connection)
        arrived = {(item["tenant_id"], item["feed"]) for batches in pending.values() for item in batches}
        remove_superseded(connection, ledger.feeds_of_kind("fhir") & arrived, set(pending))
        with ledger.write() as write:
            rows = [
                {"warehouse": DUCKDB, "batch_sequence": item["batch_sequence"]}
                for batches in pending.values()
                for item in batches
            ]
            if rows:
                write.execute(sa.insert(tables.loaded).prefix_with("or ignore"), rows)
        accounts = ledger_accounts(ledger, keys)
        waiting = partial_rows.waiting_notices(connection)
        accounts["notice_reason"] = pl.concat([accounts["notice_reason"], waiting], how="vertical_relaxed")
        # At once: were a load killed in between, a build would find tenants without their row.
        connection.execute("begin")
        _operational(connection, config, accounts, moments_of(home))
        tenants = tenant_states(connection, ledger)
        touched = write_touched(connection, tenants, built or {})
        connection.execute("commit")
    standings = _standings(ledger, accounts, tenants)
    state = hashlib.sha256(repr(sorted(standings.items())).encode()).hexdigest()
    return Loaded(rows=taken, state=state, tenants=tenants, standings=standings, touched=touched)


def _standings(ledger: Ledger, accounts: Mapping[str, pl.DataFrame], tenants: Mapping[str, str]) -> dict[str, str]:
    """For every tenant a digest of its state, its newest batch, releases from quarantine, and problems of its feeds."""
    parts: dict[str, list[object]] = {tenant: [state] for tenant, state in tenants.items()}
    batch, held = tables.batch.c, tables.held.c
    newest = sa.select(batch.tenant_id, sa.func.max(batch.batch_sequence).label("value")).group_by(batch.tenant_id)
    released = sa.select(held.tenant_id, sa.func.count(held.released_at).label("value")).group_by(held.tenant_id)
    for name, query in (("newest", newest), ("released", released)):
        for row in ledger.rows(query.order_by("tenant_id")):
            parts.setdefault(row["tenant_id"], []).append((name, row["value"]))
    for name, columns in (("feed_status", ("feed", "problem")), ("feed_alert", ("feed", "kind", "since"))):
        for tenant_id, *values in accounts[name].select("tenant_id", *columns).sort("tenant_id", *columns).rows():
            parts.setdefault(tenant_id, []).append((name, *values))
    return {
        tenant: hashlib.sha256(repr(tenant_parts).encode()).hexdigest()
        for tenant, tenant_parts in sorted(parts.items())
    }


def _make(connection: duckdb.DuckDBPyConnection, entity_contract: Contract) -> None:
    """Makes a raw table where absent, and gives one of an earlier version the columns that its contract has gained."""
    columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in entity_contract.columns)
    connection.execute(
        f"create table if not exists warehouse.raw.{entity_contract.name} ({columns}, batch_sequence bigint)"
    )
    add_columns(connection, "raw", entity_contract)


def _pending(ledger: Ledger, without: frozenset[int] = frozenset()) -> dict[str, list[dict[str, Any]]]:
    batch, loaded = tables.batch.c, tables.loaded.c
    query = (
        sa.select(
            batch.batch_sequence,
            batch.batch_id,
            batch.tenant_id,
            batch.feed,
            batch.entity,
            batch.file,
            batch.rows_landed,
        )
        .select_from(
            tables.batch.outerjoin(
                tables.loaded, (loaded.batch_sequence == batch.batch_sequence) & (loaded.warehouse == DUCKDB)
            )
        )
        .where(batch.file.is_not(None), loaded.batch_sequence.is_(None))
        .order_by(batch.batch_sequence)
    )
    batches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ledger.rows(query):
        if row["batch_sequence"] not in without:
            batches[row["entity"]].append(row)
    return batches


def _arrive(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
    table: str,
) -> None:
    """Makes a temporary table of the landed rows of some batches of one entity, with `batch_sequence` and `file_row_number`,
    except rows of records that their source has deleted since. Batches that were landed before a contract gained a column lack
    it: files are then read one by one, and missing columns are null.
    """
    try:
        rows = _arrived(connection, home, keys, entity_contract, batches, alike=True)
        connection.execute(f"create or replace temp table {table} as from {rows}")
    except (duckdb.BinderException, duckdb.InvalidInputException, duckdb.IOException):
        rows = _arrived(connection, home, keys, entity_contract, batches, alike=False)
        connection.execute(f"create or replace temp table {table} as from {rows}")
    finally:
        connection.unregister("batch_sequences")


def _arrived(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
    *,
    alike: bool,
) -> str:
    """SQL for `_arrive`; holds while `batch_sequences` is registered. `alike`: every file has every column of the contract."""
    absent = ", ".join(f"null::{c.duckdb_type} as {c.name}" for c in entity_contract.columns)
    reads = [] if alike else [f"select {absent} where false"]
    for key, files in open_files(connection, home, keys, batches).items():
        # Files of one read must be alike; DuckDB's own union by name fails on encrypted files.
        for group in [files] if alike else [[file] for file in files]:
            reads.append(f"select * from {read_files(key, group)}")
    columns = ", ".join(
        f"landed.{c.name}::timestamp as {c.name}" if c.logical_type == "timestamp" else f"landed.{c.name}"
        for c in entity_contract.columns
    )
    # What was deleted goes before the newest is chosen: a version that came after the deletion may be dated before it.
    return (
        f"(select * from (select {columns}, s.batch_sequence, file_row_number "
        f"from ({' union all by name '.join(reads)}) landed join batch_sequences s using (batch_id)) arrived "
        f"where {_stands(entity_contract)})"
    )


def _take_parts(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    config: Config,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
    renamed: set[str],
) -> int:
    """Loads batches of feeds that send rows in parts (`ingest.load.partial_rows`); returns the number of raw rows written. Adds
    to `renamed` the tenants for which the name of an issuer changed its meaning."""
    landed = partial_rows.landing_contract(partial_rows.KIND, entity_contract.name)
    _arrive(connection, home, keys, landed, batches, "arrived_parts")
    if entity_contract.name == "appointment":
        appointment_numbers.meet_numbers(connection, "arrived_parts")
    if issuers.note_spellings(connection, entity_contract, "arrived_parts"):
        renamed |= issuers.settle(connection, config)
    taken = partial_rows.take_parts(connection, entity_contract, "arrived_parts")
    connection.execute("drop table arrived_parts")
    return taken


def _take(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
) -> int:
    """Upserts the rows of some batches of one entity into its raw table; returns how many rows it now newly holds."""
    return sum(_upsert(connection, home, keys, entity_contract, some) for some in by_size(batches))


def _upsert(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
) -> int:
    table = f"warehouse.raw.{entity_contract.name}"
    _arrive(connection, home, keys, entity_contract, batches, "incoming")
    issuers.note_spellings(connection, entity_contract, "incoming")
    _keep_newest(connection, entity_contract)
    same = " and ".join(f"held.{name} = incoming.{name}" for name in entity_contract.primary_key)
    # Written as literals, so that DuckDB skips the rows of other tenants.
    mine = f"held.tenant_id in ({', '.join(duck.quoted(name) for name in sorted({b['tenant_id'] for b in batches}))})"
    connection.execute("begin")
    if connection.execute(f"select 1 from {table} held where {mine} limit 1").fetchone():
        connection.execute(
            f"delete from incoming using {table} held where {mine} and {same} and "
            "(held.source_updated_at, held.batch_sequence) > (incoming.source_updated_at, incoming.batch_sequence)"
        )
        connection.execute(f"delete from {table} held using incoming where {mine} and {same}")
    # Tenant by tenant, as the rows arrived.
    connection.execute(f"insert into {table} by name select * exclude (file_row_number) from incoming")
    taken = connection.execute("select count(*) from incoming").fetchone()
    connection.execute("commit")
    connection.execute("drop table incoming")
    return int(taken[0]) if taken else 0


def _keep_newest(connection: duckdb.DuckDBPyConnection, entity_contract: Contract) -> None:
    """Leaves one row a key in `incoming`. Keys are ranked only where two rows share a hash: hardly any do, and ranking all is dear."""
    key = ", ".join(entity_contract.primary_key)
    hashed = f"hash({key})"
    shared = f"select {hashed} from incoming group by {hashed} having count(*) > 1"
    # A batch has one file for each entity, with rows in the order of arrival: of two changes at one moment the later one
    # counts.
    newest_first = "source_updated_at desc, batch_sequence desc, file_row_number desc"
    connection.execute(
        "delete from incoming where rowid in (select place from (select rowid as place, "
        f"row_number() over (partition by {key} order by {newest_first}) as recency "
        f"from incoming where {hashed} in ({shared})) where recency > 1)"
    )


def _stands(entity_contract: Contract) -> str:
    """SQL: the condition under which an arrived row is not of a record that its source has deleted since."""
    return "true" if entity_contract.name == DELETION else f"not {deleted(entity_contract.name, 'arrived')}"


def _operational(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    accounts: Mapping[str, pl.DataFrame],
    moments: Mapping[str, datetime],
) -> None:
    """Replaces the operational tables: tenants, precedence of feeds and the ledger's accounts.

    Tenants of an earlier run with another configuration stay as they are.
    """
    for name, frame in accounts.items():
        connection.register("operational_rows", frame)
        connection.execute(
            f"create or replace table warehouse.raw.{name} as select * from operational_rows order by tenant_id"
        )
        connection.unregister("operational_rows")
    write_tenants(connection, config, moments)
    connection.register("precedence_rows", _system_of_record(config))
    connection.execute("create table if not exists warehouse.raw.system_of_record as from precedence_rows limit 0")
    connection.execute(
        "delete from warehouse.raw.system_of_record where tenant_id in (select unnest(?::varchar[]))",
        [[tenant.tenant_id for tenant in config.tenants]],
    )
    connection.execute("insert into warehouse.raw.system_of_record by name from precedence_rows")
    connection.unregister("precedence_rows")


def _system_of_record(config: Config) -> pl.DataFrame:
    rows = [
        {"tenant_id": tenant.tenant_id, "entity": entity, "source_system": feed, "precedence": rank}
        for tenant in config.tenants
        for entity in load_contracts()
        for feed, rank in tenant.precedence(entity).items()
    ]
    schema = {"tenant_id": pl.String, "entity": pl.String, "source_system": pl.String, "precedence": pl.Int64}
    return pl.DataFrame(rows, schema=schema)
