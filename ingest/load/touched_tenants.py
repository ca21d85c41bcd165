"""The tenants whose marts were built from other rows than the raw tables hold now: `raw.touched_tenant`, the tenants that dbt
builds again.

A tenant's state is a text that changes with every input of its marts: the loaded batches (rows are added and removed only with
a batch), its row of `raw.tenant` (name, time zone, the day its data reach to) and its precedence of feeds and names of issuers.
The other operational tables are copied whole to Data health and touch no tenant. The state does not cover the code. When the
dbt project changes, the caller drops the stored states.
"""

import hashlib
from collections.abc import Mapping

import duckdb
import sqlalchemy as sa

from ingest import ledger as tables
from ingest.ledger import Ledger

TABLE = "touched_tenant"


def tenant_states(connection: duckdb.DuckDBPyConnection, ledger: Ledger) -> dict[str, str]:
    """Tenant to its state, of every tenant that the warehouse knows, configured or not. Every landed batch has been taken."""
    batch = tables.batch.c
    parts: dict[str, list[object]] = {}
    taken = (
        sa.select(batch.tenant_id, sa.func.count().label("batches"), sa.func.max(batch.batch_sequence).label("newest"))
        .where(batch.file.is_not(None))
        .group_by(batch.tenant_id)
    )
    for row in ledger.rows(taken):
        parts.setdefault(row["tenant_id"], []).append((row["batches"], row["newest"]))
    for table in ("tenant", "system_of_record", "issuer_spelling", "feed_issuer"):
        for tenant_id, *values in connection.execute(f"select * from warehouse.raw.{table} order by all").fetchall():
            parts.setdefault(str(tenant_id), []).append((table, *values))
    return {
        tenant: hashlib.sha256(repr(tenant_parts).encode()).hexdigest()
        for tenant, tenant_parts in sorted(parts.items())
    }


def write_touched(
    connection: duckdb.DuckDBPyConnection, states: Mapping[str, str], built: Mapping[str, str]
) -> tuple[str, ...]:
    """Replaces `raw.touched_tenant` and returns its tenants: those whose state differs from the state of their last build that
    passed (`built`); all tenants if the warehouse has no marts."""
    marts = connection.execute(
        "select 1 from duckdb_tables() where database_name = 'warehouse' and schema_name = 'marts' limit 1"
    ).fetchone()
    built_states = built if marts else {}
    touched = tuple(sorted(t for t in {*states, *built_states} if built_states.get(t) != states.get(t)))
    connection.execute(f"create or replace table warehouse.raw.{TABLE} (tenant_id varchar)")
    connection.execute(f"insert into warehouse.raw.{TABLE} select unnest(?::varchar[])", [list(touched)])
    return touched
