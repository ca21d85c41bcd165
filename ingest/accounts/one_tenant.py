"""Leaves one tenant in a ledger: for a home that was restored for that tenant alone."""

import sqlalchemy as sa

from ingest import ledger as tables
from ingest.ledger import Ledger


def keep_one_tenant(ledger: Ledger, tenant_id: str) -> None:
    """Removes the rows of all other tenants. Runs stay without their problems, which may name other tenants; no batch counts as loaded."""
    unit, batch = tables.unit.c, tables.batch.c
    with ledger.write() as connection:
        for table in tables.metadata.sorted_tables:
            if "tenant_id" in table.c:
                connection.execute(sa.delete(table).where(table.c.tenant_id != tenant_id))
        connection.execute(sa.delete(tables.notice).where(tables.notice.c.unit_id.not_in(sa.select(unit.unit_id))))
        connection.execute(sa.delete(tables.result).where(tables.result.c.batch_id.not_in(sa.select(batch.batch_id))))
        connection.execute(sa.delete(tables.loaded))
        connection.execute(sa.update(tables.run).values(problem=None))
