"""Landing: gated rows of one feed become immutable encrypted Parquet batches, and ledger rows that account for them.

A batch holds the rows of one or more whole units (files, tables). Nothing of a unit counts before the ledger transaction that
names its batch; files without a ledger row are leftovers of a killed run and are never read.
Memory is bounded by ROWS_A_BATCH and BYTES_A_BATCH: a unit that holds more is written in parts, which the ledger takes together at its end.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from data_contracts import Contract, contract
from data_contracts.expectations import ExpectationResult
from foundation import duck
from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.control_totals import ROWS, conserved, payload_totals, totals
from ingest.interface import NOT_OF_THE_KIND, Stated, TableState, UnknownWord
from ingest.landing.contract_gate import Gated, check, cross_check, withhold
from ingest.landing.landed_payments import remember_landed
from ingest.landing.payment_memory import PaymentMemory
from ingest.landing.payments import CONTRADICTS, CONTRADICTS_DETAIL, OUT_OF_BALANCE, PAYMENT, take
from ingest.landing.plausible_dates import implausible_dates
from ingest.landing.quarantine_rows import RECORD, entries, held_back, refusal_rows
from ingest.landing.row_index import RowIndex, index_session
from ingest.landing.tokens import remove_from_vault, tokenise, tokenise_rows, write_to_vault
from ingest.landing.unknown_words import names_in, shown_word, unknown_words, with_unknown_values
from ingest.ledger import Ledger, now
from ingest.load.partial_rows import landing_contract
from ingest.load.removals import DELETION
from ingest.sources import Chunk, TableRules, UnreadableUnit

ROWS_A_BATCH = 500_000
# Gating holds some copies of a batch at once: about six times this is what landing takes at most.
BYTES_A_BATCH = 128 << 20


@dataclass
class Staged:
    """Rows that no ledger row names yet: identifiers are tokens, the gate is still to come."""

    frames: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    # Rows that are held back whatever their contract says, with reason and detail.
    withheld: dict[str, list[tuple[pl.DataFrame, str, str]]] = field(default_factory=dict)
    refusals: list[pl.DataFrame] = field(default_factory=list)
    refused: int = 0
    rows: int = 0
    size_bytes: int = 0
    # Times of the files, which stand in for records that have none.
    file_times: set[datetime] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        """Whether a batch is to be written before more is read."""
        return self.rows >= ROWS_A_BATCH or self.size_bytes >= BYTES_A_BATCH

    def add(self, entity: str, frame: pl.DataFrame) -> None:
        """Takes the rows of one frame."""
        self.frames.setdefault(entity, []).append(frame)
        self.rows += frame.height
        self.size_bytes += int(frame.estimated_size())

    def hold(self, entity: str, frame: pl.DataFrame, reason: str, detail: str) -> None:
        """Takes the rows of one frame for the quarantine."""
        self.withheld.setdefault(entity, []).append((frame, reason, detail))
        self.rows += frame.height
        self.size_bytes += int(frame.estimated_size())

    def rows_of(self, entity: str) -> list[pl.DataFrame]:
        """Every frame of one entity, to land and to hold back."""
        return [*self.frames.get(entity, ()), *(frame for frame, _, _ in self.withheld.get(entity, ()))]

    def merge(self, other: "Staged") -> None:
        """Takes over everything another holds."""
        for entity, frames in other.frames.items():
            self.frames.setdefault(entity, []).extend(frames)
        for entity, withheld in other.withheld.items():
            self.withheld.setdefault(entity, []).extend(withheld)
        self.refusals += other.refusals
        self.refused += other.refused
        self.file_times |= other.file_times
        self.rows += other.rows
        self.size_bytes += other.size_bytes

    def gated(self, entity: str, entity_contract: Contract) -> Gated:
        """The rows of one entity through the gate: once for all frames of one shape, since small files come by the hundred."""
        shapes: dict[tuple[tuple[str, pl.DataType], ...], list[pl.DataFrame]] = {}
        for frame in self.frames.get(entity, ()):
            shapes.setdefault(tuple(frame.schema.items()), []).append(frame)
        parts = [check(entity_contract, pl.concat(frames)) for frames in shapes.values()]
        parts += [
            withhold(entity_contract, frame, reason, detail) for frame, reason, detail in self.withheld.get(entity, ())
        ]
        counts: dict[tuple[str, str], int] = {}
        for part in parts:
            for rule, number in part.counts.items():
                counts[rule] = counts.get(rule, 0) + number
        return Gated(
            good=pl.concat([part.good for part in parts]),
            bad=pl.concat([part.bad for part in parts]),
            checked=pl.concat([part.checked for part in parts]),
            counts=counts,
        )


@dataclass
class Unfinished:
    """One unit being read."""

    unit_id: int
    modified_at: datetime
    staged: Staged = field(default_factory=Staged)
    records_read: int = 0
    records_used: int = 0
    records_refused: int = 0
    refusal_reasons: set[str] = field(default_factory=set)
    dropped: dict[str, int] = field(default_factory=dict)
    notices: list[Any] = field(default_factory=list)
    # Payments out of balance, by unit and position of their notice, that this unit completes.
    settled: set[tuple[int, str]] = field(default_factory=set)
    cursor: str | None = None
    index: RowIndex | None = None
    is_whole: bool | None = None
    definition: str | None = None
    # Units of the ledger that read the same file or messages under an earlier profile: this one stands in their place.
    replaces: tuple[int, ...] = ()
    # Rows and first position of each unknown word, by entity, column, word and what it became.
    words: dict[tuple[str, str, str, str], tuple[int, str]] = field(default_factory=dict)
    # The totals as the source states them, and as its reader gave them, by entity and measure.
    stated: dict[tuple[str, str], Stated] = field(default_factory=dict)
    read_totals: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    @property
    def is_of_other_kind(self) -> bool:
        """Whether every record was refused because it is not what the feed's kind says, so that nothing of the unit was read."""
        return self.records_read > 0 and self.records_used == 0 and self.refusal_reasons <= NOT_OF_THE_KIND

    def count_words(self, words: Iterable[UnknownWord], names: frozenset[str]) -> None:
        """Takes down unknown words; `names` are parts of names that no shown word may hold."""
        for item in words:
            key = (item.entity, item.column, shown_word(item.word, names), item.became)
            rows, position = self.words.get(key, (0, item.position))
            self.words[key] = (rows + item.rows, position)

    def count(self, chunk: Chunk) -> None:
        """Takes down the control totals of a chunk."""
        for item in chunk.stated:
            key = (item.entity, item.measure)
            before = self.stated[key].total if key in self.stated else Decimal(0)
            self.stated[key] = replace(item, total=before + item.total)
        for entity, frame in chunk.rows.items():
            for measure, number in {ROWS: Decimal(frame.height), **totals(contract(entity), [frame])}.items():
                self.read_totals[entity, measure] = self.read_totals.get((entity, measure), Decimal(0)) + number


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
        self._index_session: Any = None
        self._payments: PaymentMemory | None = None

    def close(self) -> None:
        """Ends what comparing tables and payments needed."""
        for opened in (self._index_session, self._payments):
            if opened is not None:
                opened.close()
        self._index_session = self._payments = None

    def follow(self, unit: Unfinished, table: str, state: TableState, rules: TableRules, *, whole: bool) -> None:
        """Lets a unit that is a table know the rows that earlier reads met; `whole` where this read will meet all there are."""
        if self._index_session is None:
            self._index_session = index_session(self.home, self.keys, self.feed.tenant_id)
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
        """Drops rows that an earlier read met."""
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
        """Deletes what a whole read of a table no longer met; returns how many records. Raises UnreadableUnit where they are too
        many to be believed: the rows that came are still good, and count as those of a read from the cursor on."""
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
                    connection.execute(sa.insert(tables.stated), _stated(unit, self.feed))
                _record_words(connection, unit, self.feed)
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
                results = cross_check(entity_contract, gated.checked, gated.counts)
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
                    | _batch(entity, file, read, rows.height)
                    | {"newest_record_at": newest.replace(tzinfo=None) if isinstance(newest, datetime) else None}
                )
                ledger_rows["notice"] += implausible_dates(entity_contract, gated.good, self.feed, moment)
                ledger_rows["result"] += [_result(batch_id, entity, item) for item in results]
                if not self.is_again:
                    ledger_rows["received"] += _received(rows, entity, self.feed, batch_id, moment)
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
                ledger_rows["amount"] += [_of_batch(common) | row for row in money]
            if staged.refused:
                ledger_rows["batch"].append(
                    common | _batch(RECORD, None, staged.refused, 0) | {"newest_record_at": None}
                )
            if quarantined:
                rows = pl.concat(quarantined)
                path = self.home.quarantine(self.feed.tenant_id) / f"{batch_id}.parquet"
                _copy(connection, rows, str(path))
                ledger_rows["held"] = [common | {"held_at": now()} | row for row in entries(rows)]
        return ledger_rows


def _settle(connection: sa.Connection, units: Iterable[Unfinished]) -> None:
    """Removes the notices of payments that were out of balance until a part of them came."""
    notice = tables.notice.c
    for unit_id, position in sorted(place for unit in units for place in unit.settled):
        completed = (notice.unit_id == unit_id) & (notice.position == position) & (notice.reason == OUT_OF_BALANCE)
        connection.execute(sa.delete(tables.notice).where(completed))


def _record_words(connection: sa.Connection, unit: Unfinished, feed: Feed) -> None:
    """Writes a unit's unknown words; those of the reads in whose place it stands no longer count."""
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


def _stated(unit: Unfinished, feed: Feed) -> list[dict[str, Any]]:
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


def _of_batch(common: dict[str, Any]) -> dict[str, Any]:
    return {name: common[name] for name in ("batch_id", "tenant_id", "feed")}


def _copy(connection: Any, rows: pl.DataFrame, path: str) -> None:
    """Writes rows as encrypted Parquet under a temporary name, then under its own."""
    connection.register("landing_rows", rows)
    connection.execute(
        f"copy landing_rows to {duck.quoted(path)} "
        f"(format parquet, compression zstd, use_tmp_file true, encryption_config {{footer_key: '{duck.PARQUET_KEY}'}})"
    )
    connection.unregister("landing_rows")


def _batch(entity: str, file: str | None, read: int, landed: int) -> dict[str, Any]:
    return {
        "entity": entity,
        "file": file,
        "rows_read": read,
        "rows_landed": landed,
        "rows_quarantined": read - landed,
        "landed_at": now(),
    }


def _result(batch_id: str, entity: str, item: ExpectationResult) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        "entity": entity,
        "rule": item.rule,
        "column_name": item.column,
        "rows": item.rows,
        "unexpected": item.unexpected,
    }


def _received(rows: pl.DataFrame, entity: str, feed: Feed, batch_id: str, moment: datetime) -> list[dict[str, Any]]:
    """Rows landed by the day of their record in the tenant's zone: what coverage learns a feed's rhythm from."""
    day = pl.col("source_updated_at").dt.convert_time_zone(feed.time_zone).dt.date().alias("day")
    counted = rows.group_by(day).agg(pl.len().alias("rows")).sort("day")
    arrived_on = feed.judged_at(moment).astimezone(ZoneInfo(feed.time_zone)).date()
    common = {"batch_id": batch_id, "entity": entity, "tenant_id": feed.tenant_id, "feed": feed.name}
    return [common | row | {"arrived_on": arrived_on} for row in counted.to_dicts()]
