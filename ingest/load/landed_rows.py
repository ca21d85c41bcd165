"""Rows as they were landed: every version of a record from any feed, read from the encrypted batches in the ledger."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import polars as pl
import sqlalchemy as sa

from data_contracts import contract
from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.ledger import Ledger

# Landed rows of one entity that are in memory together, unless one tenant has more.
ROWS_AT_ONCE = 2_000_000


def by_size(batches: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Batches (`tenant_id`, `rows_landed`, ...) of one entity in parts of ROWS_AT_ONCE, in the order of tenants: those of one tenant
    stay together."""
    by_tenant: dict[str, list[dict[str, Any]]] = {}
    for item in batches:
        by_tenant.setdefault(item["tenant_id"], []).append(item)
    some: list[dict[str, Any]] = []
    landed = 0
    for _, mine in sorted(by_tenant.items()):
        rows = sum(item["rows_landed"] for item in mine)
        if some and landed + rows > ROWS_AT_ONCE:
            yield some
            some, landed = [], 0
        some, landed = some + mine, landed + rows
    if some:
        yield some


def open_files(
    connection: duckdb.DuckDBPyConnection, home: Home, keys: Keys, batches: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Gives the connection what batches (`tenant_id`, `batch_id`, `batch_sequence`, `file`) are read with: the keys of their tenants, and
    a view `batch_sequences` (batch_id, batch_sequence), which the caller unregisters.

    Returns the files as SQL literals by the name of their key, in the order of tenants.
    """
    sequences = pl.DataFrame(
        {"batch_id": [b["batch_id"] for b in batches], "batch_sequence": [b["batch_sequence"] for b in batches]},
        schema={"batch_id": pl.String, "batch_sequence": pl.Int64},
    )
    connection.register("batch_sequences", sequences)
    files: dict[str, list[str]] = {}
    for number, tenant_id in enumerate(sorted({item["tenant_id"] for item in batches})):
        name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", tenant_id), name=f"landing_{number}")
        for path in (home.path / item["file"] for item in batches if item["tenant_id"] == tenant_id):
            files.setdefault(name_of(path), []).append(duck.quoted(str(path)))
    return files


def read_files(key: str, files: Sequence[str]) -> str:
    """SQL: the rows of landed files that are alike and of one key, with `file_row_number`."""
    return f"read_parquet([{', '.join(files)}], encryption_config = {{footer_key: '{key}'}}, file_row_number = true)"


def unreadable_batches(home: Home, keys: Keys, batches: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batches among some whose files are missing or damaged. It reads every file to its end: use it after a read of all has
    failed."""
    bad = []
    with duck.session(home) as connection:
        for item in batches:
            name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", item["tenant_id"]))
            path = home.path / item["file"]
            rows = read_files(name_of(path), [duck.quoted(str(path))])
            try:
                connection.execute(f"create or replace temp table probe as select * from {rows}")
            except duckdb.Error:
                bad.append(item)
    return bad


def damage_of(item: Mapping[str, Any]) -> str:
    """The sentence for a batch that cannot be read: the missing part and the remedy."""
    return (
        f"{item['tenant_id']}/{item['feed']}: the landed file {item['file']} is missing or lost bytes, with "
        f"{item['rows_landed']:,} rows; restore it from your backup. Until then nothing of {item['tenant_id']} is published"
    )


def landed_rows(
    home: Home, keys: Keys, ledger: Ledger, tenant_id: str, entity: str, column: str, values: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of an entity whose `column` is one of `values`, as mappings of its contract's columns with `landed_at`; newest first.

    Identifiers of patients are tokens, as everywhere after landing. Batches whose files are gone are left out.
    """
    entity_contract = contract(entity)
    if column not in entity_contract.by_name:
        raise ValueError(f"{entity} has no column {column}")
    batch = tables.batch.c
    query = sa.select(batch.batch_id, batch.file, batch.landed_at).where(
        batch.tenant_id == tenant_id, batch.entity == entity, batch.file.is_not(None)
    )
    batches = [row for row in ledger.rows(query) if (home.path / row["file"]).exists()]
    if not batches or not values:
        return []
    # Files of one read must be alike, and a contract grows: each is read by itself. (DuckDB's union by name fails on encrypted files.)
    with duck.session(home) as connection:
        name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", tenant_id))
        paths = [home.path / row["file"] for row in batches]
        reads = " union all by name ".join(f"select * from {duck.parquet_of(path, name_of(path))}" for path in paths)
        arrived = connection.execute(
            f'select * from ({reads}) where tenant_id = $tenant and cast("{column}" as varchar) in (select unnest($values))',
            {"tenant": tenant_id, "values": list(values)},
        ).pl()
    landed_at = {row["batch_id"]: row["landed_at"] for row in batches}
    rows = [
        {name: row.get(name) for name in entity_contract.column_names} | {"landed_at": landed_at[row["batch_id"]]}
        for row in arrived.iter_rows(named=True)
    ]
    return sorted(rows, key=lambda row: (row["landed_at"], row["source_position"]), reverse=True)
