"""Held rows and records, their reasons, and their release after the cause is corrected.

`held_rows` counts; `held_details` names single rows by source record and position, never their content; `release` checks held
rows against today's contracts and lands those that now pass. Rows of the vault, and records that gave no row, cannot be
released. They are read again when the source sends them again.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from data_contracts import contract
from foundation import duck, run_lock
from foundation.config import Feed
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from foundation.replays import refuse_feeds
from ingest import ledger as tables
from ingest.landing.batches import Landing
from ingest.landing.contract_gate import check
from ingest.landing.quarantine_rows import RECORD
from ingest.landing.staged import Unfinished
from ingest.ledger import Ledger, now
from ingest.load.partial_rows import landing_contract


def held_rows(ledger: Ledger, tenant_id: str | None = None) -> list[dict[str, Any]]:
    """Rows held and not released, by tenant, feed, entity, reason, column and batch, oldest first."""
    held = tables.held
    query = sa.select(held).where(held.c.released_at.is_(None)).order_by(held.c.held_id)
    return ledger.rows(query if tenant_id is None else query.where(held.c.tenant_id == tenant_id))


def held_sentence(ledger: Ledger, tenants: Sequence[str]) -> str:
    """The quarantine of some tenants in one sentence, with count, money and reasons; empty for an empty quarantine."""
    held = tables.held.c
    query = sa.select(tables.held).where(held.released_at.is_(None), held.tenant_id.in_(list(tenants)))
    counted: dict[str, tuple[int, Decimal | None, Counter[str]]] = {}
    for row in ledger.rows(query.order_by(held.held_id)):
        what = row["what"] or ("record" if row["entity"] == RECORD else f"{row['entity'].replace('_', ' ')} row")
        number = row["rows"] if row["what_count"] is None else row["what_count"]
        if not number:
            continue
        before, money, reasons = counted.get(what, (0, None, Counter()))
        if row["amount"] is not None:
            money = (money or Decimal(0)) + Decimal(row["amount"])
        reasons[row["reason"]] += number
        counted[what] = (before + number, money, reasons)
    parts = []
    for what, (number, money, reasons) in sorted(counted.items(), key=lambda item: (item[1][1] is None, item[0])):
        amount = "" if money is None else f", {'-' if money < 0 else ''}${abs(money):,.2f}"
        parts.append(f"{number:,} {what}{'' if number == 1 else 's'}{amount}, held: {', '.join(sorted(reasons))}")
    return "; ".join([*parts, "see `clinicmart quarantine list`"]) if parts else ""


def _held(ledger: Ledger, held_id: int) -> dict[str, Any]:
    entries = ledger.rows(sa.select(tables.held).where(tables.held.c.held_id == held_id))
    if not entries:
        raise ClinicmartError(f"quarantine has no entry {held_id}; `clinicmart quarantine list` shows the entries")
    return entries[0]


def _read(home: Home, keys: Keys, entry: dict[str, Any]) -> pl.DataFrame:
    """The quarantined rows of one entry."""
    path = home.quarantine(entry["tenant_id"]) / f"{entry['batch_id']}.parquet"
    with duck.session(home) as connection:
        name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", entry["tenant_id"]))
        return connection.execute(
            f"select * from {duck.parquet_of(path, name_of(path))} where entity = ? and reason = ? and column_name = ?",
            [entry["entity"], entry["reason"], entry["column_name"]],
        ).pl()


def _kind(ledger: Ledger, entry: dict[str, Any]) -> str:
    """The kind of the feed that an entry came from."""
    feed_run = tables.feed_run.c
    query = sa.select(feed_run.kind).where(
        feed_run.tenant_id == entry["tenant_id"], feed_run.feed == entry["feed"], feed_run.run_id == entry["run_id"]
    )
    kinds = ledger.rows(query)
    return str(kinds[0]["kind"]) if kinds else "release"


def held_details(home: Home, keys: Keys, ledger: Ledger, held_id: int, limit: int = 50) -> dict[str, Any]:
    """One entry with the file or table it came from and up to `limit` rows: source_record_id, source_position, detail."""
    entry = _held(ledger, held_id)
    rows = _read(home, keys, entry).head(limit)
    units = {
        int(text.removeprefix("unit ").split(":")[0])
        for text in rows["source_position"].drop_nulls()
        if text[:5] == "unit "
    }
    names = ledger.rows(sa.select(tables.unit.c.unit_id, tables.unit.c.name).where(tables.unit.c.unit_id.in_(units)))
    columns = ["source_position", "detail"] if entry["entity"] == RECORD else ["source_record_id", "source_position"]
    return entry | {
        "units": {row["unit_id"]: row["name"] for row in names},
        "examples": rows.select(columns).to_dicts(),
    }


def release(home: Home, keys: Keys, ledger: Ledger, held_id: int, run_id: str) -> tuple[int, int]:
    """Checks the rows of one entry again and lands those that pass; returns (landed, still held).

    The entry is closed; rows that still fail form a new one. Raises ClinicmartError where the entry is unknown, closed already,
    or cannot be released, ConfigurationError in a home that takes no feeds (`foundation.replays`).
    """
    refuse_feeds(home)
    entry = _held(ledger, held_id)
    if entry["released_at"] is not None:
        raise ClinicmartError(f"entry {held_id} was released already")
    if entry["entity"] == RECORD or contract(entry["entity"]).store == "vault":
        raise ClinicmartError(
            f"entry {held_id} holds no rows that could land: mend the source and let it be read again"
        )
    kind = _kind(ledger, entry)
    entity_contract = landing_contract(kind, entry["entity"])
    replaced = sa.select(tables.unit.c.unit_id).where(tables.unit.c.outcome == "replaced")
    rows = _without_units(_read(home, keys, entry), {row["unit_id"] for row in ledger.rows(replaced)})
    names = [column.name for column in entity_contract.reader_columns]
    shape = pl.Struct(dict.fromkeys(names, pl.String))
    frame = rows.select(pl.col("payload").str.json_decode(shape)).unnest("payload")
    passing = check(entity_contract, frame)
    feed = Feed(tenant_id=entry["tenant_id"], name=entry["feed"], kind=kind)
    landing = Landing(home, keys, ledger, feed, run_id)
    with run_lock.landing(home):
        _land(landing, entity_contract.name, frame, entry)
    return passing.good.height, passing.bad.height


def _land(landing: Landing, entity: str, frame: pl.DataFrame, entry: dict[str, Any]) -> None:
    """Lands the rows of an entry as a unit of the ledger, and closes the entry."""
    ledger, feed, run_id, held_id = landing.ledger, landing.feed, landing.run_id, entry["held_id"]
    with ledger.write() as connection:
        values = {"tenant_id": feed.tenant_id, "feed": feed.name, "name": f"release of {held_id}", "outcome": "reading"}
        insert = sa.insert(tables.unit).values(**values, run_id=run_id, read_at=now()).returning(tables.unit.c.unit_id)
        unit_id = int(connection.execute(insert).scalar_one())
    unit = Unfinished(unit_id=unit_id, modified_at=entry["held_at"])
    unit.records_read = unit.records_used = frame.height
    unit.staged.add(entity, frame)
    landing.finish(unit)
    landing.flush()
    with ledger.write() as connection:
        connection.execute(sa.update(tables.held).where(tables.held.c.held_id == held_id).values(released_at=now()))


def close_replaced(home: Home, keys: Keys, ledger: Ledger, tenant_id: str, feed: str) -> None:
    """Removes from a feed's open entries the rows of reads that a later read of the same file has replaced. The later read
    quarantines again the rows that still cannot land. An entry without rows is closed.
    """
    unit, held = tables.unit.c, tables.held
    of_feed = sa.and_(unit.tenant_id == tenant_id, unit.feed == feed, unit.outcome == "replaced")
    replaced = {row["unit_id"] for row in ledger.rows(sa.select(unit.unit_id).where(of_feed))}
    entries = [entry for entry in held_rows(ledger, tenant_id) if entry["feed"] == feed] if replaced else []
    for entry in entries:
        rows = _without_units(_read(home, keys, entry), replaced)
        left = int(rows["records"].sum())
        if left == entry["rows"]:
            continue
        values: dict[str, Any] = {"rows": left, "first_position": rows["source_position"][0] or ""} if left else {}
        values |= {} if left else {"released_at": now()}
        with ledger.write() as connection:
            connection.execute(sa.update(held).where(held.c.held_id == entry["held_id"]).values(values))


def _without_units(rows: pl.DataFrame, unit_ids: set[int]) -> pl.DataFrame:
    """Quarantined rows but those of some units."""
    unit_id = pl.col("source_position").str.extract(r"^unit (\d+):").cast(pl.Int64)
    return rows.filter(~unit_id.is_in(list(unit_ids)).fill_null(False))
