"""The ledger of a home that was just restored from a backup."""

import sqlalchemy as sa

from foundation.home import Home
from foundation.sqlite_files import compact
from ingest import ledger as tables
from ingest.ledger import Ledger, now


def settle_ledger(home: Home, *, tenant: str | None) -> None:
    """Brings the ledger in step with the rest: no batch is loaded, because the warehouse is not in a backup, and a run that was under way
    has ended. With `tenant`, the rows of all other tenants go, and runs lose their problems, which may name others."""
    ledger = Ledger(home)
    try:
        with ledger.write() as connection:
            connection.execute(sa.delete(tables.loaded))
            open_runs = sa.update(tables.run).where(tables.run.c.ended_at.is_(None))
            connection.execute(
                open_runs.values(ended_at=now(), outcome="stopped", problem="the backup was taken while the run worked")
            )
            if tenant is not None:
                _keep_one(connection, tenant)
    finally:
        ledger.close()
    compact(home.ledger)


def _keep_one(connection: sa.Connection, tenant_id: str) -> None:
    unit, batch = tables.unit.c, tables.batch.c
    for table in tables.metadata.sorted_tables:
        if "tenant_id" in table.c:
            connection.execute(sa.delete(table).where(table.c.tenant_id != tenant_id))
    connection.execute(sa.delete(tables.notice).where(tables.notice.c.unit_id.not_in(sa.select(unit.unit_id))))
    connection.execute(sa.delete(tables.result).where(tables.result.c.batch_id.not_in(sa.select(batch.batch_id))))
    connection.execute(sa.update(tables.run).values(problem=None))
