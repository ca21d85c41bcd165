"""Takes a tenant out of the ledger."""

import sqlalchemy as sa

from foundation.home import Home
from foundation.sqlite_files import compact
from ingest import ledger as tables
from ingest.ledger import Ledger


def remove_from_ledger(home: Home, tenant_id: str) -> dict[str, int]:
    """Removes every row of a tenant, and the sentences of runs about problems, which may name it; returns table to number of rows. The
    warehouse counts as lost afterwards: the next run loads what is left."""
    if not home.ledger.exists():
        return {}
    ledger = Ledger(home)
    try:
        with ledger.write() as connection:
            units = sa.select(tables.unit.c.unit_id).where(tables.unit.c.tenant_id == tenant_id)
            batches = sa.select(tables.batch.c.batch_id).where(tables.batch.c.tenant_id == tenant_id)
            counts = {
                "notice": connection.execute(
                    sa.delete(tables.notice).where(tables.notice.c.unit_id.in_(units))
                ).rowcount,
                "result": connection.execute(
                    sa.delete(tables.result).where(tables.result.c.batch_id.in_(batches))
                ).rowcount,
            }
            for table in tables.metadata.sorted_tables:
                if "tenant_id" in table.c:
                    counts[table.name] = connection.execute(
                        sa.delete(table).where(table.c.tenant_id == tenant_id)
                    ).rowcount
            connection.execute(sa.update(tables.run).values(problem=None))
    finally:
        ledger.close()
    compact(home.ledger)
    return {name: count for name, count in counts.items() if count}
