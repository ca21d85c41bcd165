"""The totals from sources to raw tables: `raw.reconciliation_step`, counted separately at every station.

One row per tenant, feed, entity, measure (`rows`, or an amount column), step and reason, with `total` (decimal). Steps:

    stated        what the source itself states as sent, for formats that state it (`ingest.control_totals.Stated`)
    given         what readers gave of the same units
    read          what readers gave of everything
    quarantined   what the gate held back, rows by reason
    landed        what the ledger says landed
    filed         what lies in the landed files, read again now
    left          rows of those files that are not in the raw tables, by reason (REASONS)
    raw           what the raw tables hold

stated = given, read - quarantined = landed = filed, and filed - left = raw; dbt goes on from there to the marts
(`health.reconciliation`) and publishing to the published file. What a difference is explained by is looked up for every landed
row: a row that is neither in its raw table nor replaced, deleted, superseded or waiting is in no step, and so the next total is off.

Only the tenants asked for are read again; the steps of others stay from when they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import sqlalchemy as sa

from data_contracts import Contract, load_contracts
from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.control_totals import ROWS, amount_columns
from ingest.ledger import Ledger
from ingest.load import partial_rows
from ingest.load.appointment_numbers import rename_landed
from ingest.load.landed_rows import by_size, open_files, read_files
from ingest.load.removals import DELETION, PARTS, deleted

TABLE = "reconciliation_step"
# Reasons of `left`: why a landed row is no raw row. came_again and newer_version are both replaced rows of one key.
REASONS = ("came_again", "newer_version", "deleted_at_source", "superseded", "part_of_a_row", "waits_for_another_part")
_COLUMNS = dict.fromkeys(("tenant_id", "feed", "entity", "measure", "step", "reason"), pl.String)
_SCHEMA: dict[str, Any] = {**_COLUMNS, "total": pl.Decimal(38, 4)}
_MADE = "tenant_id varchar, feed varchar, entity varchar, measure varchar, step varchar, reason varchar, total decimal(38,4)"
_LEDGER_STEPS = ("stated", "given", "read", "quarantined", "landed")
_Row = tuple[str, str, str, str, str, str, Decimal]


def reconcile_landed(
    home: Home, keys: Keys, ledger: Ledger, tenants: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """Writes the bridge into the warehouse: from landed files and raw tables for `tenants` (None: all), from the ledger for all.

    The warehouse has taken every landed batch. Files that are gone or cannot be read count for nothing, which shows as a
    difference between landed and filed; their batches are returned.
    """
    unread: set[str] = set()
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"))
        connection.execute(f"create table if not exists warehouse.raw.{TABLE} ({_MADE})")
        batches = _batches(ledger, None if tenants is None else set(tenants))
        named = set(tenants) if tenants is not None else _tenants(connection) | {b["tenant_id"] for b in batches}
        rows = _of_ledger(ledger)
        for name, kind in (("versioned_feeds", "fhir"), ("feeds_in_parts", partial_rows.KIND)):
            columns = {"tenant_id": pl.String, "source_system": pl.String}
            connection.register(name, pl.DataFrame(sorted(ledger.feeds_of_kind(kind)), schema=columns, orient="row"))
        for entity in load_contracts().values():
            if entity.store == "landing":
                mine = [item for item in batches if item["entity"] == entity.name]
                rows += _of_files(connection, home, keys, entity, mine, unread)
                rows += _of_raw(connection, entity, named)
        rows += _zeros(batches, rows)
        frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
        connection.register("steps", frame)
        connection.execute("begin")
        connection.execute(
            f"delete from warehouse.raw.{TABLE} where tenant_id in (select unnest(?::varchar[])) "
            "or step in (select unnest(?::varchar[]))",
            [sorted(named), list(_LEDGER_STEPS)],
        )
        connection.execute(f"insert into warehouse.raw.{TABLE} select * from steps order by all")
        connection.execute("commit")
        connection.unregister("steps")
    return [item for item in batches if item["file"] in unread]


def _zeros(batches: Sequence[Mapping[str, Any]], rows: Sequence[_Row]) -> list[_Row]:
    """A landed measure that is missing in the raw tables is 0 there, and not unknown."""
    there = {row[:5] for row in rows}
    contracts = load_contracts()
    fed = {(item["tenant_id"], item["feed"], item["entity"]) for item in batches if item["entity"] in contracts}
    return [
        (*key, measure, step, "", Decimal(0))
        for key in sorted(fed)
        for measure in (ROWS, *amount_columns(contracts[key[2]]))
        for step in ("filed", "raw")
        if (*key, measure, step) not in there
    ]


def _tenants(connection: duckdb.DuckDBPyConnection) -> set[str]:
    tenants = connection.execute("select tenant_id from warehouse.raw.tenant").fetchall()
    return {str(row[0]) for row in tenants}


def _batches(ledger: Ledger, tenants: set[str] | None) -> list[dict[str, Any]]:
    batch = tables.batch.c
    query = sa.select(
        batch.batch_sequence, batch.batch_id, batch.tenant_id, batch.feed, batch.entity, batch.file, batch.rows_landed
    )
    rows = ledger.rows(query.where(batch.file.is_not(None)).order_by(batch.batch_sequence))
    return [row for row in rows if tenants is None or row["tenant_id"] in tenants]


def _of_ledger(ledger: Ledger) -> list[_Row]:
    """Steps that the ledger knows. Entities of the vault, and records that gave no row, end in it."""
    batch, held = tables.batch.c, tables.held.c
    sums: dict[tuple[str, str, str, str, str, str], Decimal] = {}

    def add(row: Mapping[str, Any], entity: str, measure: str, step: str, reason: str, total: object) -> None:
        key = (row["tenant_id"], row["feed"], entity, measure, step, reason)
        sums[key] = sums.get(key, Decimal(0)) + Decimal(str(total))

    counted = sa.select(
        batch.tenant_id,
        batch.feed,
        batch.entity,
        sa.func.sum(batch.rows_read).label("read"),
        sa.func.sum(batch.rows_landed).label("landed"),
    ).group_by(batch.tenant_id, batch.feed, batch.entity)
    for row in ledger.rows(counted):
        add(row, row["entity"], ROWS, "read", "", row["read"])
        add(row, row["entity"], ROWS, "landed", "", row["landed"])
    for row in ledger.rows(sa.select(held.tenant_id, held.feed, held.entity, held.reason, held.released_at, held.rows)):
        reason = row["reason"] if row["released_at"] is None else "released"
        add(row, row["entity"], ROWS, "quarantined", reason, row["rows"])
    unsummed = _unsummed(ledger)
    for row in ledger.rows(sa.select(tables.amount)):
        if (row["tenant_id"], row["feed"], row["entity"]) in unsummed:
            continue
        for step, name in (("read", "read"), ("quarantined", "quarantined"), ("landed", "landed")):
            add(row, row["entity"], row["measure"], step, "", row[f"{name}_amount"])
    for row in ledger.rows(sa.select(tables.stated)):
        add(row, row["entity"], row["measure"], "stated", row["told_by"], row["stated_total"])
        add(row, row["entity"], row["measure"], "given", "", row["given_total"])
    return [(*key, total) for key, total in sums.items()]


def _unsummed(ledger: Ledger) -> set[tuple[str, str, str]]:
    """(tenant, feed, entity) with a batch from before the ledger knew money: its bridge of amounts begins at the files."""
    batch = tables.batch.c
    summed = sa.select(tables.amount.c.batch_id, tables.amount.c.entity).distinct().subquery()
    query = (
        sa.select(batch.tenant_id, batch.feed, batch.entity)
        .select_from(
            tables.batch.outerjoin(summed, (summed.c.batch_id == batch.batch_id) & (summed.c.entity == batch.entity))
        )
        .where(summed.c.batch_id.is_(None))
        .distinct()
    )
    return {(row["tenant_id"], row["feed"], row["entity"]) for row in ledger.rows(query)}


def _of_raw(connection: duckdb.DuckDBPyConnection, entity_contract: Contract, tenants: set[str]) -> list[_Row]:
    query = (
        f"select tenant_id, source_system, '', {_measures(entity_contract)} from warehouse.raw.{entity_contract.name} "
        "where tenant_id in (select unnest(?::varchar[])) group by all"
    )
    return _spread(entity_contract, "raw", connection.execute(query, [sorted(tenants)]).fetchall())


def _measures(entity_contract: Contract) -> str:
    """SQL: the number of rows and the sum of each amount column."""
    return ", ".join(["count(*)", *(f"coalesce(sum({name}), 0)" for name in amount_columns(entity_contract))])


def _spread(entity_contract: Contract, step: str, counted: Sequence[Sequence[Any]]) -> list[_Row]:
    """Rows of (tenant, feed, reason, count, sums...) as a row for each measure."""
    return [
        (tenant, feed, entity_contract.name, measure, step, reason, Decimal(str(total)))
        for tenant, feed, reason, *totals in counted
        for measure, total in zip((ROWS, *amount_columns(entity_contract)), totals, strict=True)
    ]


def _of_files(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
    unread: set[str],
) -> list[_Row]:
    """`filed` and `left` of one entity; files that cannot be read are added to `unread`."""
    rows: list[_Row] = []
    for some in by_size(batches):
        _read_files(connection, home, keys, entity_contract, some, unread)
        filed = connection.execute(
            f"select tenant_id, source_system, '', {_measures(entity_contract)} from filed group by all"
        ).fetchall()
        rows += _spread(entity_contract, "filed", filed)
        if _doubt(connection, entity_contract, {item["tenant_id"] for item in some}):
            left = connection.execute(
                f"select tenant_id, source_system, reason, {_measures(entity_contract)} from ({_classified(entity_contract)}) "
                "where reason <> '' group by all"
            ).fetchall()
            rows += _spread(entity_contract, "left", left)
        connection.execute("drop table filed; drop table doubtful")
    return rows


def _read_files(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    keys: Keys,
    entity_contract: Contract,
    batches: list[dict[str, Any]],
    unread: set[str],
) -> None:
    """Temporary table `filed`: keys, lineage and amounts of the landed rows, with their batch's sequence and their place in it."""
    columns = list(dict.fromkeys([*entity_contract.primary_key, "source_record_id", *amount_columns(entity_contract)]))
    types = {column.name: column.duckdb_type for column in entity_contract.columns}
    made = ", ".join(f"{name} {types[name]}" for name in columns)
    connection.execute(
        f"create or replace temp table filed ({made}, source_updated_at timestamp, batch_sequence bigint, place bigint)"
    )
    there: list[dict[str, Any]] = []
    missing: set[str] = set()
    for item in batches:
        if (home.path / item["file"]).exists():
            there.append(item)
        else:
            missing.add(item["file"])
    by_path = {duck.quoted(str(home.path / item["file"])): item["file"] for item in batches}
    skipped = _insert(connection, open_files(connection, home, keys, there), columns)
    unread |= missing | {by_path[path] for path in skipped}
    if entity_contract.name == "appointment":
        rename_landed(connection, "filed")
    connection.unregister("batch_sequences")
    if entity_contract.name in partial_rows.ENTITIES:
        partial_rows.rename(connection, entity_contract, "filed")


def _insert(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[str]], columns: Sequence[str]
) -> list[str]:
    """Takes files, by the name of their key, at once; where they are not alike tenant by tenant, then one by one, and then all
    but those that cannot be read, which are returned."""
    if not files:
        return []
    try:
        parts = []
        for rows in (read_files(key, named) for key, named in files.items()):
            there = {row[0] for row in connection.execute(f"describe select * from {rows}").fetchall()}
            listed = ", ".join(name if name in there else f"null as {name}" for name in columns)
            parts.append(f"select {listed}, source_updated_at, batch_id, file_row_number from {rows}")
        wanted = ", ".join(f"landed.{name}" for name in columns)
        connection.execute(
            f"insert into filed select {wanted}, landed.source_updated_at::timestamp, s.batch_sequence, "
            f"landed.file_row_number from ({' union all '.join(parts)}) landed join batch_sequences s using (batch_id)"
        )
    except duckdb.Error:
        by_tenant = list(files.items())
        one_by_one = [(key, [file]) for key, named in by_tenant for file in named]
        fewer = by_tenant if len(by_tenant) > 1 else one_by_one
        if len(fewer) == 1:
            return list(fewer[0][1])
        return [path for key, named in fewer for path in _insert(connection, {key: list(named)}, columns)]
    return []


def _doubt(connection: duckdb.DuckDBPyConnection, entity_contract: Contract, tenants: set[str]) -> bool:
    """Makes the temporary table `doubtful`, rows of `filed` that need a reason: those of keys of which not every landed row is one raw
    separate row, as nearly all are. False where there are none."""
    same = " and ".join(f"held.{name} = f.{name}" for name in entity_contract.primary_key)
    connection.execute(
        f"create or replace temp table standing as select f.rowid as filed_row, held.rowid as raw_row from filed f "
        f"join warehouse.raw.{entity_contract.name} held on {same} and held.batch_sequence = f.batch_sequence "
        "and held.source_updated_at = f.source_updated_at where held.tenant_id in (select unnest(?::varchar[]))",
        [sorted(tenants)],
    )
    alone = "select filed_row from standing"
    if _one(
        connection, "select count(*) > count(distinct filed_row) or count(*) > count(distinct raw_row) from standing"
    ):
        alone = (
            "select filed_row from standing qualify count(*) over (partition by filed_row) = 1 "
            "and count(*) over (partition by raw_row) = 1"
        )
    asks = [f"f.rowid not in ({alone})"]
    if entity_contract.name != DELETION:
        asks.append(deleted(entity_contract.name, "f"))
    if entity_contract.name in partial_rows.ENTITIES:
        asks.append(_waits(entity_contract, "f"))
    key = ", ".join(entity_contract.primary_key)
    connection.execute(
        f"create or replace temp table doubtful as with asked as (from filed f where {' or '.join(asks)}) "
        f"select * from filed where ({key}) in (select ({key}) from asked)"
    )
    connection.execute("drop table standing")
    return bool(_one(connection, "select count(*) from doubtful"))


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    """The one value of a query."""
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _waits(entity_contract: Contract, rows: str) -> str:
    """SQL: the condition under which a row of the alias `rows` is of a key that has no row in the raw table yet."""
    name = " || '/' || ".join(f"{rows}.{column}::varchar" for column in entity_contract.entity_key)
    return (
        f"exists (from warehouse.parts.waiting w where w.entity = '{entity_contract.name}' and w.tenant_id = {rows}.tenant_id "
        f"and w.source_system = {rows}.source_system and w.record_key = {name})"
    )


def _classified(entity_contract: Contract) -> str:
    """SQL: `doubtful` with `reason`, why each row is not in its raw table: empty where it is, or where nothing explains it."""
    key = ", ".join(entity_contract.primary_key)
    same = " and ".join(f"held.{name} = r.{name}" for name in entity_contract.primary_key)
    order = "source_updated_at desc, batch_sequence desc, place desc"
    is_gone = deleted(entity_contract.name, "f") if entity_contract.name != DELETION else "false"
    # The load takes deleted rows out before it chooses the newest of a batch.
    ranked = (
        f"select *, row_number() over (partition by {key} order by {order}) as recency, "
        f"row_number() over (partition by {key}, batch_sequence, is_deleted order by {order}) as recency_in_batch, "
        f"max(source_updated_at) over (partition by {key}) as newest_at "
        f"from (select *, {is_gone} as is_deleted from doubtful f)"
    )
    is_raw = (
        f"exists (from warehouse.raw.{entity_contract.name} held where {same} and held.batch_sequence = r.batch_sequence "
        "and held.source_updated_at = r.source_updated_at) and not is_deleted and recency_in_batch = 1"
    )
    replaced = (
        "when recency > 1 then case when source_updated_at = newest_at then 'came_again' else 'newer_version' end"
    )
    whole = f"case when {is_raw} then '' when is_deleted then 'deleted_at_source' {replaced} {_superseded(entity_contract)} else '' end"
    if entity_contract.name not in partial_rows.ENTITIES:
        return f"select *, {whole} as reason from ({ranked}) r"
    parts = (
        f"case when {_waits(entity_contract, 'r')} then 'waits_for_another_part' when recency > 1 then 'part_of_a_row' "
        f"when exists (from warehouse.raw.{entity_contract.name} held where {same}) then '' "
        "when is_deleted then 'deleted_at_source' else '' end"
    )
    said_in_parts = (
        "exists (from feeds_in_parts f where f.tenant_id = r.tenant_id and f.source_system = r.source_system)"
    )
    return f"select *, case when {said_in_parts} then {parts} else {whole} end as reason from ({ranked}) r"


def _superseded(entity_contract: Contract) -> str:
    """SQL: the branch for a part of a FHIR resource that the newer version no longer has."""
    if entity_contract.name not in PARTS:
        return ""
    newer = (
        "tenant_id = r.tenant_id and {0}.source_system = r.source_system and {0}.source_record_id = r.source_record_id"
    )
    wholes = PARTS[entity_contract.name]
    later = "(p.source_updated_at, p.batch_sequence) > (r.source_updated_at, r.batch_sequence)"
    later = "p.source_updated_at > r.source_updated_at" if wholes else later
    versions = [f"exists (from filed p where p.{newer.format('p')} and {later})"]
    versions += [
        f"exists (from warehouse.raw.{whole} p where p.{newer.format('p')} "
        "and p.source_updated_at > r.source_updated_at)"
        for whole in wholes
    ]
    is_versioned = (
        "exists (from versioned_feeds f where f.tenant_id = r.tenant_id and f.source_system = r.source_system)"
    )
    return f"when {is_versioned} and ({' or '.join(versions)}) then 'superseded'"
