"""Landing: gated rows of one feed become immutable encrypted Parquet batches, and ledger rows that account for them.

A batch holds the rows of one or more whole units (files, tables). Nothing of a unit counts before the ledger transaction that
names its batch; files without a ledger row are leftovers of a killed run and are never read.
Memory is bounded by ROWS_A_BATCH and BYTES_A_BATCH of `staged`. A unit that holds more is
written in parts, which the ledger takes together at its end.
"""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from data_contracts import Contract
from foundation import duck, formats
from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.control_totals import conserved, payload_totals, totals
from ingest.interface import TableState, UnknownWord
from ingest.landing.contract_gate import gate_results
from ingest.landing.landed_payments import remember_landed
from ingest.landing.ledger_rows import batch_row, of_batch, received_rows, record_words, result_row, stated_rows
from ingest.landing.payment_memory import PaymentMemory
from ingest.landing.payments import CONTRADICTS, CONTRADICTS_DETAIL, OUT_OF_BALANCE, PAYMENT, take
from ingest.landing.plausible_dates import implausible_dates
from ingest.landing.quarantine_rows import RECORD, entries, held_back, refusal_rows
from ingest.landing.row_index import IndexSession, RowIndex
from ingest.landing.staged import Staged, Unfinished
from ingest.landing.tokens import remove_from_vault, tokenise, tokenise_rows, write_to_vault
from ingest.landing.unknown_words import names_in, unknown_words, with_unknown_values
from ingest.ledger import Ledger, now
from ingest.load.partial_rows import landing_contract
from ingest.load.removals import DELETION
from ingest.sources import Chunk, TableRules, UnreadableUnit


class Landing:
    """Writes the batches of one feed in one run."""

    def __init__(self, home: Home, keys: Keys, ledger: Ledger, feed: Feed, run_id: str) -> None:
        self.home, self.keys, self.ledger, self.feed, self.run_id = home, keys, ledger, feed, run_id
        self._token_key = keys.derive("token", feed.tenant_id)
        self._parquet_key = keys.derive("landing", feed.tenant_id)
        self._done = Staged()
        self._finished: list[Unfinished] = []
        self._pending: list[dict[str, list[dict[str, Any]]]] = []
        self._vault: list[pl.DataFrame] = []
        self._forgotten: list[pl.DataFrame] = []
        self._batches = 0
        # Rows of files that are read again are no new arrivals: days were counted when they came first.
        self.is_again = False
        self._index_session: IndexSession | None = None
        self._payments: PaymentMemory | None = None

    def close(self) -> None:
        """Ends what comparing tables and payments needed."""
        for opened in (self._index_session, self._payments):
            if opened is not None:
                opened.close()
        self._index_session = self._payments = None

    def follow(self, unit: Unfinished, table: str, state: TableState, rules: TableRules, *, whole: bool) -> None:
        """Gives a unit that is a table the index of rows from earlier reads; `whole` if this read sees all rows."""
        if self._index_session is None:
            self._index_session = IndexSession.of(self.home, self.keys, self.feed.tenant_id)
        unit.index = RowIndex(self._index_session, self.home, self.feed, table, state)
        unit.index.recall(rules, whole=whole)
        unit.is_whole, unit.definition = whole, rules.definition

    def add(self, unit: Unfinished, chunk: Chunk) -> None:
        """Takes one chunk of a unit."""
        refused = sum(refusal.records for refusal in chunk.refusals)
        if chunk.records_read != chunk.records_used + refused:
            raise RuntimeError(
                f"{self.feed.kind}: a chunk read {chunk.records_read} records and explains {chunk.records_used + refused}"
            )
        unit.records_read += chunk.records_read
        unit.records_used += chunk.records_used
        unit.records_refused += refused
        unit.refusal_reasons |= {refusal.reason for refusal in chunk.refusals}
        unit.notices += chunk.notices
        unit.cursor = chunk.cursor or unit.cursor
        unit.count(chunk)
        for name, number in chunk.dropped_fields.items():
            unit.dropped[name] = unit.dropped.get(name, 0) + number
        unknown_words = list(chunk.unknown_words)
        for entity, frame in self._new_rows(unit, chunk).items():
            unknown_words += self._add_rows(unit, landing_contract(self.feed.kind, entity), frame)
        if unknown_words:
            unit.count_words(unknown_words, names_in(chunk.rows))
        if chunk.refusals:
            unit.staged.refusals.append(refusal_rows(unit.unit_id, chunk.refusals))
            unit.staged.refused += refused
        if unit.staged.is_full:
            self.flush()
            self._pending.append(self._write(unit.staged))
            unit.staged = Staged()

    def _new_rows(self, unit: Unfinished, chunk: Chunk) -> dict[str, pl.DataFrame]:
        """The rows of a chunk without those of payments that came before; those that contradict one are staged as held."""
        if self.feed.kind != "x12" or PAYMENT not in chunk.rows:
            return chunk.rows
        if self._payments is None:
            self._payments = PaymentMemory.of(self.home, self.keys, self.ledger, self.feed.tenant_id)
            if self._payments.is_new:
                remember_landed(self._payments, self.home, self.keys, self.ledger, self.feed.tenant_id)
        self._payments.begin(unit.unit_id, unit.replaces)
        taken = take(self._payments, unit.unit_id, chunk)
        unit.notices += taken.notices
        unit.settled |= set(taken.settled)
        for entity, frame in taken.withheld.items():
            prepared = self._prepared(unit, landing_contract(self.feed.kind, entity), frame)
            unit.staged.hold(entity, prepared, CONTRADICTS, CONTRADICTS_DETAIL)
        return taken.rows

    def _add_rows(self, unit: Unfinished, entity_contract: Contract, frame: pl.DataFrame) -> list[UnknownWord]:
        """Stages the rows of one frame; gives the unknown words in them."""
        unnamed = [
            name
            for name in frame.columns
            if name not in entity_contract.by_name or name in ("tenant_id", "source_system", "batch_id")
        ]
        for name in unnamed:
            key = f"{entity_contract.name}.{name}"
            unit.dropped[key] = unit.dropped.get(key, 0) + frame.height - frame[name].null_count()
        frame = frame.drop(unnamed)
        # A whole read counts all rows again; any other read counts the rows that no earlier read saw.
        words = unknown_words(entity_contract, frame) if unit.index is None or unit.is_whole else []
        if unit.index is not None:
            frame = self._without_known(unit, unit.index, entity_contract, frame)
            words = words if unit.is_whole else unknown_words(entity_contract, frame)
        if frame.height == 0:
            return words
        if words:
            frame = with_unknown_values(entity_contract, frame)
        unit.staged.add(entity_contract.name, self._prepared(unit, entity_contract, frame))
        return words

    def _prepared(self, unit: Unfinished, entity_contract: Contract, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows as they are staged: identifiers are tokens, the position names the unit, no time is missing."""
        frame = tokenise_rows(entity_contract, frame, self._token_key).with_columns(
            pl.format("unit {}: {}", pl.lit(unit.unit_id), pl.col("source_position")).alias("source_position")
        )
        unit.staged.file_times.add(unit.modified_at)
        return with_unit_time(frame, self.feed, unit.modified_at)

    def _without_known(
        self, unit: Unfinished, index: RowIndex, entity_contract: Contract, frame: pl.DataFrame
    ) -> pl.DataFrame:
        """Drops rows that an earlier read saw."""
        records = frame.select("source_record_id")
        domain = entity_contract.token_columns.get("source_record_id")
        if domain is not None:
            records = tokenise(records, {"source_record_id": domain}, self._token_key)
        is_known = index.meet(frame, records.to_series())
        number = int(is_known.sum())
        unit.records_read -= number
        unit.records_used -= number
        return frame.filter(~is_known) if number else frame

    def reconcile(self, unit: Unfinished, entity: str, rules: TableRules, *, accept: bool) -> int:
        """Deletes the records that a whole read of a table no longer sees; returns their number. Raises UnreadableUnit if they
        exceed the safety limit: the rows that came are still good, and count as those of a read from the cursor on."""
        if unit.index is None or not unit.is_whole:
            return 0
        try:
            gone = unit.index.absent(rules, accept=accept)
        except UnreadableUnit:
            unit.is_whole = False
            raise
        if len(gone):
            frame = pl.DataFrame({"deleted_record_id": gone, "source_record_id": gone}).with_columns(
                pl.lit(entity).alias("entity"),
                pl.lit("absent").alias("found_by"),
                pl.lit(datetime.now(UTC), dtype=pl.Datetime("us", "UTC")).alias("source_updated_at"),
                pl.lit(f"unit {unit.unit_id}: absent").alias("source_position"),
            )
            unit.staged.add(DELETION, frame)
        return len(gone)

    def finish(self, unit: Unfinished) -> None:
        """The unit was read to its end: its rows count from the next flush on."""
        if unit.index is not None:
            unit.index.keep(unit.unit_id, whole=bool(unit.is_whole))
            unit.index = None
        self._finished.append(unit)
        self._done.merge(unit.staged)
        unit.staged = Staged()
        if self._pending or self._done.is_full:
            self.flush()

    def abandon(self, unit: Unfinished) -> None:
        """The unit was refused: nothing of it counts, parts already written are removed."""
        for ledger_rows in self._pending:
            for row in ledger_rows["batch"]:
                if row["file"]:
                    (self.home.path / row["file"]).unlink(missing_ok=True)
        self._pending, self._vault, self._forgotten = [], [], []
        if self._payments is not None:
            self._payments.forget(unit.unit_id)
        unit.staged = Staged()

    def flush(self) -> None:
        """Writes what finished units gave and commits it to the ledger."""
        if self._done.rows or self._done.refused:
            self._pending.append(self._write(self._done))
        if not self._pending and not self._finished:
            return
        if self._vault:
            write_to_vault(self.home, self.keys, self.feed.tenant_id, pl.concat(self._vault))
        if self._forgotten:
            remove_from_vault(self.home, self.keys, self.feed.tenant_id, pl.concat(self._forgotten))
        with self.ledger.write() as connection:
            for ledger_rows in self._pending:
                for name, rows in ledger_rows.items():
                    if rows:
                        connection.execute(sa.insert(tables.metadata.tables[name]), rows)
            for unit in self._finished:
                if unit.records_read != unit.records_used + unit.records_refused:
                    raise RuntimeError(f"unit {unit.unit_id}: records are not conserved")
                values = {
                    "outcome": "landed",
                    "records_read": unit.records_read,
                    "records_used": unit.records_used,
                    "records_refused": unit.records_refused,
                    "dropped_fields": unit.dropped,
                    "cursor": unit.cursor,
                    "is_whole": unit.is_whole,
                    "definition": unit.definition,
                }
                connection.execute(sa.update(tables.unit).where(tables.unit.c.unit_id == unit.unit_id).values(values))
                if unit.notices:
                    rows = [
                        {
                            "unit_id": unit.unit_id,
                            "position": n.position,
                            "reason": n.reason,
                            "detail": n.detail,
                            "records": n.records,
                        }
                        for n in unit.notices
                    ]
                    connection.execute(sa.insert(tables.notice), rows)
                if unit.stated:
                    connection.execute(sa.insert(tables.stated), stated_rows(unit, self.feed))
                record_words(connection, unit, self.feed)
            _settle(connection, self._finished)
        self._done, self._finished, self._pending, self._vault, self._forgotten = Staged(), [], [], [], []

    def _write(self, staged: Staged) -> dict[str, list[dict[str, Any]]]:
        """Writes one batch's files; returns the ledger rows that will name them."""
        self._batches += 1
        moment = datetime.now(UTC)
        batch_id = f"{self.feed.name}-{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}-{self._batches:03d}"
        ledger_rows: dict[str, list[dict[str, Any]]] = {
            "batch": [],
            "result": [],
            "held": [],
            "received": [],
            "amount": [],
            "notice": [],
        }
        common = {"run_id": self.run_id, "tenant_id": self.feed.tenant_id, "feed": self.feed.name, "batch_id": batch_id}
        with duck.session(self.home) as connection:
            duck.add_parquet_key(connection, self._parquet_key)
            quarantined = list(staged.refusals)
            for entity in dict.fromkeys([*staged.frames, *staged.withheld]):
                entity_contract = landing_contract(self.feed.kind, entity)
                gated = staged.gated(entity, entity_contract)
                rows = gated.good.with_columns(
                    pl.lit(self.feed.tenant_id).alias("tenant_id"),
                    pl.lit(self.feed.name).alias("source_system"),
                    pl.lit(batch_id).alias("batch_id"),
                ).select(entity_contract.column_names)
                results = gate_results(entity_contract, gated)
                file = None
                if rows.height and entity_contract.store == "vault":
                    self._vault.append(rows)
                elif rows.height:
                    path = self.home.landing(self.feed.tenant_id, entity) / f"{batch_id}.parquet"
                    _copy(connection, rows, str(path))
                    file = str(path.relative_to(self.home.path))
                if entity == DELETION:
                    self._forgotten.append(rows.filter(pl.col("entity") == "patient_identity"))
                is_recorded = ~pl.col("source_updated_at").is_in(list(staged.file_times))
                recorded = rows.filter(is_recorded & (pl.col("source_updated_at") <= moment + timedelta(days=1)))
                newest = recorded["source_updated_at"].max()
                read = gated.good.height + gated.bad.height
                ledger_rows["batch"].append(
                    common
                    | batch_row(entity, file, read, rows.height)
                    | {"newest_record_at": newest.replace(tzinfo=None) if isinstance(newest, datetime) else None}
                )
                ledger_rows["notice"] += implausible_dates(entity_contract, gated.good, self.feed, moment)
                ledger_rows["result"] += [result_row(batch_id, entity, item) for item in results]
                if not self.is_again:
                    ledger_rows["received"] += received_rows(rows, entity, self.feed, batch_id, moment)
                if gated.bad.height:
                    quarantined.append(held_back(entity_contract, gated.bad))
                if read != sum(frame.height for frame in staged.rows_of(entity)):
                    raise RuntimeError(f"{entity}: rows are not conserved")
                money = conserved(
                    entity_contract,
                    totals(entity_contract, staged.rows_of(entity)),
                    totals(entity_contract, [rows]),
                    payload_totals(entity_contract, gated.bad),
                )
                ledger_rows["amount"] += [of_batch(common) | row for row in money]
            if staged.refused:
                ledger_rows["batch"].append(
                    common | batch_row(RECORD, None, staged.refused, 0) | {"newest_record_at": None}
                )
            if quarantined:
                rows = pl.concat(quarantined)
                path = self.home.quarantine(self.feed.tenant_id) / f"{batch_id}.parquet"
                _copy(connection, rows, str(path))
                ledger_rows["held"] = [common | {"held_at": now()} | row for row in entries(rows)]
        return ledger_rows


def _settle(connection: sa.Connection, units: Iterable[Unfinished]) -> None:
    """Removes the notices of payments that were out of balance until this part came."""
    notice = tables.notice.c
    for unit_id, position in sorted(place for unit in units for place in unit.settled):
        completed = (notice.unit_id == unit_id) & (notice.position == position) & (notice.reason == OUT_OF_BALANCE)
        connection.execute(sa.delete(tables.notice).where(completed))


def with_unit_time(frame: pl.DataFrame, feed: Feed, modified_at: datetime) -> pl.DataFrame:
    """Fills a missing `source_updated_at` with the time of the file. A table has no such time: a row that lacks it breaks
    its contract."""
    if feed.kind == "pm_database":
        return frame
    stand_in = pl.lit(modified_at).dt.cast_time_unit("us")
    if "source_updated_at" not in frame.columns:
        return frame.with_columns(stand_in.alias("source_updated_at"))
    if frame.schema["source_updated_at"] == pl.String():
        stand_in = pl.lit(modified_at.isoformat())
    return frame.with_columns(pl.coalesce("source_updated_at", stand_in).alias("source_updated_at"))


def _copy(connection: Any, rows: pl.DataFrame, path: str) -> None:
    """Writes rows as encrypted Parquet under a temporary name, then under its own."""
    connection.register("landing_rows", rows)
    connection.execute(f"copy landing_rows to {duck.quoted(path)} ({duck.parquet_options(formats.LANDED)})")
    connection.unregister("landing_rows")
