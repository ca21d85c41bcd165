"""What the ledger knows of a home's feeds, for `clinicmart status`."""

from typing import Any

import sqlalchemy as sa

from ingest import ledger as tables
from ingest.ledger import Ledger
from ingest.warehouse import feed_status


def status(ledger: Ledger) -> dict[str, Any]:
    """Last run, feeds and the balance of the ledger.

    `feeds`: per tenant and feed the outcome, totals and problem of its last read; `units`: files and tables by outcome;
    `is_conserved`: whether rows read = landed + quarantined and records read = used + refused, recomputed from the ledger.
    """
    feeds = feed_status(ledger).sort("tenant_id", "feed").to_dicts()
    batch, unit = tables.batch.c, tables.unit.c
    rows = ledger.rows(
        sa.select(
            sa.func.coalesce(sa.func.sum(batch.rows_read), 0).label("read"),
            sa.func.coalesce(sa.func.sum(batch.rows_landed), 0).label("landed"),
            sa.func.coalesce(sa.func.sum(batch.rows_quarantined), 0).label("quarantined"),
        )
    )[0]
    records = ledger.rows(
        sa.select(
            sa.func.coalesce(sa.func.sum(unit.records_read), 0).label("read"),
            sa.func.coalesce(sa.func.sum(unit.records_used), 0).label("used"),
            sa.func.coalesce(sa.func.sum(unit.records_refused), 0).label("refused"),
        )
    )[0]
    conserved = (
        rows["read"] == rows["landed"] + rows["quarantined"] and records["read"] == records["used"] + records["refused"]
    )
    return {
        "last_run": ledger.last_run(),
        "feeds": feeds,
        "rows": rows,
        "records": records,
        "is_conserved": conserved,
    }
