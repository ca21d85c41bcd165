"""What the ledger of a home knew at a moment, as the ledger of another home.

A batch counts if it landed by the moment, in a read of its feed that had ended by then. A read under way counts for nothing: no version
of that moment has its rows. Numbers of units and batches stay, because rows name them. What later runs changed is set back: a file that
was read again later stands as landed, and rows that were released later stand in quarantine. Not set back are notices of payments that
were completed later, and unknown words of tables that were read whole later: the ledger does not keep them.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from foundation.home import Home
from foundation.replays import FirstLoad
from ingest import ledger as tables
from ingest.ledger import Ledger

# As SQLAlchemy writes a time into SQLite: texts of equal length, which are compared as texts.
_MOMENT = "%Y-%m-%d %H:%M:%S.%f"

_PREPARE = (
    "create temp table moment (tenant_id text primary key, at text not null)",
    "create temp table late as select run_id, tenant_id, feed from source.feed_run join moment using (tenant_id) where read_at > at",
    "create temp table kept_batch as select batch_sequence, batch_id, run_id from source.batch join moment using (tenant_id) "
    "where landed_at <= at and (run_id, tenant_id, feed) not in (select run_id, tenant_id, feed from late)",
    "create temp table kept_unit as select unit_id, run_id from source.unit join moment using (tenant_id) "
    "where read_at <= at and (run_id, tenant_id, feed) not in (select run_id, tenant_id, feed from late)",
)
_KEPT_BATCH = "batch_id in (select batch_id from kept_batch)"
_KEPT_UNIT = "unit_id in (select unit_id from kept_unit)"
# Table to the rows of it that are taken. Those with names of files come through Python, because names are sealed.
_TAKEN = {
    "feed_run": "read_at <= (select at from moment where moment.tenant_id = feed_run.tenant_id)",
    "batch": "batch_sequence in (select batch_sequence from kept_batch)",
    "result": _KEPT_BATCH,
    "amount": _KEPT_BATCH,
    "received": _KEPT_BATCH,
    "held": _KEPT_BATCH,
    "stated": _KEPT_UNIT,
    "notice": _KEPT_UNIT,
    "unknown_word": _KEPT_UNIT,
    "run": "run_id in (select run_id from kept_batch union select run_id from kept_unit union select run_id from feed_run)",
}
_SET_BACK = (
    # A sentence about a run may name tenants that are not taken.
    "update run set problem = null",
    "update held set released_at = null where released_at > (select at from moment where moment.tenant_id = held.tenant_id)",
)
_REPLACED_BY_THEN = (
    "update unit set outcome = 'landed' where outcome = 'replaced' and not exists (select 1 from unit later where "
    "later.tenant_id = unit.tenant_id and later.feed = unit.feed and later.name = unit.name and later.unit_id > unit.unit_id "
    "and later.outcome in ('landed', 'replaced') and later.definition is not unit.definition)"
)


@dataclass(frozen=True, kw_only=True)
class LandedBatch:
    """A batch that had landed: `file` is its path in the home."""

    tenant_id: str
    feed: str
    file: str
    rows: int


def first_landed_at(ledger: Ledger) -> dict[str, datetime]:
    """Tenant to the moment (UTC) its first batch landed."""
    batch = tables.batch.c
    query = sa.select(batch.tenant_id, sa.func.min(batch.landed_at).label("at")).group_by(batch.tenant_id)
    return {row["tenant_id"]: row["at"].replace(tzinfo=UTC) for row in ledger.rows(query)}


def _stored(moment: datetime) -> datetime:
    """A moment as the ledger keeps it: in UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def take_ledger(source: Home, target: Home, moments: Mapping[str, datetime]) -> tuple[LandedBatch, ...]:
    """Writes into the new home `target` what the ledger of `source` knew of some tenants, each at its moment (UTC).

    Returns the batches whose files belong to it. The caller holds off what lands in `source` meanwhile.
    """
    with closing(Ledger(source)) as earlier, closing(Ledger(target)) as ledger:
        named = {
            table: earlier.rows(sa.select(table).where(table.c.tenant_id.in_(list(moments))))
            for table in (tables.unit, tables.acknowledged)
        }
        with ledger.write() as connection:
            connection.exec_driver_sql("attach database ? as source", (str(source.ledger),))
            connection.exec_driver_sql(_PREPARE[0])
            for tenant_id, at in moments.items():
                connection.exec_driver_sql("insert into moment values (?, ?)", (tenant_id, f"{_stored(at):{_MOMENT}}"))
            for statement in _PREPARE[1:]:
                connection.exec_driver_sql(statement)
            for name, condition in _TAKEN.items():
                _copy(connection, name, condition)
            kept = {row[0] for row in connection.exec_driver_sql("select unit_id from kept_unit")}
            units = [row for row in named[tables.unit] if row["unit_id"] in kept]
            notes = [
                row
                for row in named[tables.acknowledged]
                if row["acknowledged_at"] <= _stored(moments[row["tenant_id"]])
            ]
            for table, rows in ((tables.unit, units), (tables.acknowledged, notes)):
                if rows:
                    connection.execute(sa.insert(table), rows)
            for statement in (*_SET_BACK, _REPLACED_BY_THEN):
                connection.exec_driver_sql(statement)
        return _files(ledger)


def _copy(connection: sa.Connection, name: str, condition: str) -> None:
    """Copies rows of one table from the attached ledger."""
    columns = ", ".join(f'"{column.name}"' for column in tables.metadata.tables[name].columns)
    connection.exec_driver_sql(
        f"insert into main.{name} ({columns}) select {columns} from source.{name} where {condition}"
    )


def _files(ledger: Ledger) -> tuple[LandedBatch, ...]:
    batch = tables.batch.c
    query = sa.select(batch.tenant_id, batch.feed, batch.file, batch.rows_landed.label("rows"))
    rows = ledger.rows(query.where(batch.file.is_not(None)).order_by(batch.batch_sequence))
    return tuple(LandedBatch(**row) for row in rows)


def first_loads(home: Home) -> tuple[FirstLoad, ...]:
    """Of every feed in a home's ledger, how many of its rows the first run landed. What a feed brought at once says nothing of when each
    row was known: the times that rows name (booked, decided) have to stand in."""
    batch = tables.batch.c
    query = (
        sa.select(
            batch.tenant_id,
            batch.feed,
            batch.run_id,
            sa.func.sum(batch.rows_landed).label("rows"),
            sa.func.min(batch.landed_at).label("landed_at"),
        )
        .group_by(batch.tenant_id, batch.feed, batch.run_id)
        .order_by("landed_at")
    )
    runs_by_feed: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with closing(Ledger(home)) as ledger:
        for row in ledger.rows(query):
            if row["rows"]:
                runs_by_feed.setdefault((row["tenant_id"], row["feed"]), []).append(row)
    return tuple(
        FirstLoad(
            tenant_id=tenant_id,
            feed=feed,
            rows=sum(run["rows"] for run in runs),
            first_rows=runs[0]["rows"],
            first_landed_at=runs[0]["landed_at"].replace(tzinfo=UTC),
        )
        for (tenant_id, feed), runs in sorted(runs_by_feed.items())
    )
