"""Batches, results of the contract gate, control totals and unknown words as rows of the ledger."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from data_contracts.expectations import ExpectationResult
from foundation.config import Feed
from ingest import ledger as tables
from ingest.landing.staged import Unfinished
from ingest.ledger import now


def record_words(connection: sa.Connection, unit: Unfinished, feed: Feed) -> None:
    """Writes a unit's unknown words. Words of the reads that it replaces no longer count."""
    units, words = tables.unit.c, tables.unknown_word
    if unit.replaces:
        replaced = sa.update(tables.unit).where(units.unit_id.in_(unit.replaces))
        connection.execute(replaced.values(outcome="replaced"))
    if unit.is_whole:
        name = sa.select(units.name).where(units.unit_id == unit.unit_id).scalar_subquery()
        earlier = sa.select(units.unit_id).where(
            units.tenant_id == feed.tenant_id, units.feed == feed.name, units.name == name, units.unit_id < unit.unit_id
        )
        connection.execute(sa.delete(words).where(words.c.unit_id.in_(earlier)))
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for (entity, column, word, became), (number, position) in unit.words.items():
        values = {"tenant_id": feed.tenant_id, "feed": feed.name, "unit_id": unit.unit_id, "became": became}
        values |= {"entity": entity, "column_name": column, "word": word, "first_position": position, "rows": number}
        rows[entity, column, word] = values
    if rows:
        connection.execute(sa.insert(words), list(rows.values()))


def stated_rows(unit: Unfinished, feed: Feed) -> list[dict[str, Any]]:
    """A unit's control totals as rows of the ledger."""
    return [
        {
            "unit_id": unit.unit_id,
            "entity": entity,
            "measure": measure,
            "tenant_id": feed.tenant_id,
            "feed": feed.name,
            "told_by": item.told_by,
            "stated_total": str(item.total),
            "given_total": str(unit.read_totals.get((entity, measure), Decimal(0))),
        }
        for (entity, measure), item in unit.stated.items()
    ]


def of_batch(common: dict[str, Any]) -> dict[str, Any]:
    """The columns that every row about a batch has: batch_id, tenant_id, feed."""
    return {name: common[name] for name in ("batch_id", "tenant_id", "feed")}


def batch_row(entity: str, file: str | None, read: int, landed: int) -> dict[str, Any]:
    """A batch as a row of the ledger. `read` and `landed` are numbers of rows; the others are in quarantine. `file` is None if
    no row landed."""
    return {
        "entity": entity,
        "file": file,
        "rows_read": read,
        "rows_landed": landed,
        "rows_quarantined": read - landed,
        "landed_at": now(),
    }


def result_row(batch_id: str, entity: str, item: ExpectationResult) -> dict[str, Any]:
    """The result of an expectation as a row of the ledger."""
    return {
        "batch_id": batch_id,
        "entity": entity,
        "rule": item.rule,
        "column_name": item.column,
        "rows": item.rows,
        "unexpected": item.unexpected,
    }


def received_rows(rows: pl.DataFrame, entity: str, feed: Feed, batch_id: str, moment: datetime) -> list[dict[str, Any]]:
    """Rows landed by the day of their record in the tenant's zone: what coverage learns a feed's rhythm from."""
    day = pl.col("source_updated_at").dt.convert_time_zone(feed.time_zone).dt.date().alias("day")
    counted = rows.group_by(day).agg(pl.len().alias("rows")).sort("day")
    arrived_on = feed.judged_at(moment).astimezone(ZoneInfo(feed.time_zone)).date()
    common = {"batch_id": batch_id, "entity": entity, "tenant_id": feed.tenant_id, "feed": feed.name}
    return [common | row | {"arrived_on": arrived_on} for row in counted.to_dicts()]
