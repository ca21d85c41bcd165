"""PM databases: any SQLAlchemy URL and a profile with one SELECT an entity.

What is read: every unit is one entity of the profile, read on one read-only connection from one snapshot, in bounded
chunks. A read without a cursor gives the whole table; PostgreSQL gives it through ADBC, other databases and what ADBC does
not know row by row (`ingest.sources.pm_database.links`): the same rows either way.

What an incremental read gives: `Unit.cursor` is the highest `source_updated_at` of the reads before, as the database
itself writes it. Rows with `source_updated_at` from `overlap_minutes` before it on come, because a transaction that took
long brings rows in with a time already read; and those where it is null, which no cursor can pass by. The landing step
knows the rows it has met. The last chunk of a unit carries the new cursor, the highest time met; a read that meets none carries the
one it was given. A time more than a day ahead makes no cursor.

What happens when the connection breaks, or the database does not answer for `timeout_seconds`: another is made after a
pause, and the read goes on at the row after the last one given (`ingest.sources.pm_database.query`). TRIES in a row without a single
row refuse the unit.

A whole read on one connection is counted by the database too, where both see the same rows (`Chunk.stated`).

Typing: see `ingest.sources.columns`. Times without an offset are in the profile's time zone. Column names are taken
without regard to case. Errors of the database name tables and columns, never a value or
the URL.
"""

import hashlib
import logging
import random
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from data_contracts import Contract, contract
from foundation.config import Feed
from ingest.control_totals import ROWS
from ingest.inbox.inbox import Inbox
from ingest.interface import Chunk, Stated, TableRules, Unit, UnreadableUnit
from ingest.profiles import EntityQuery, PmDatabaseProfile, load_profile
from ingest.profiles.pm_database import KeyRules
from ingest.sources.columns import noon_of_days, precision, settle_days, settle_repeated_hour
from ingest.sources.pm_database.blocks import Block
from ingest.sources.pm_database.connection import Broken, Watch, connect, engine_of, probe, url_of
from ingest.sources.pm_database.keys import comparable_keys
from ingest.sources.pm_database.links import BulkLink, Link, NoBulk, RowLink
from ingest.sources.pm_database.query import (
    UPDATED,
    Shape,
    columns_of,
    count_of,
    cursor_of,
    earlier,
    is_position,
    newest_of,
    shape_of,
    statement_of,
)
from ingest.sources.pm_database.zero_dates import without_zero_dates

progress = logging.getLogger("clinicmart.progress")

CHUNK_ROWS = 50_000
# Tries in a row that bring no row; the pause before each is twice the one before, and by chance up to half of it shorter.
TRIES = 5
TRIES_TO_DISCOVER = 3
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
AHEAD = timedelta(days=1)


class PmDatabaseSource:
    """Reader of PM databases (see the module)."""

    kind = "pm_database"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:  # noqa: ARG002
        """One unit for each entity of the profile, in the profile's order; `modified_at` is now, `cursor` is None. An entity whose
        optional table the database lacks has none.

        Raises UnreadableUnit if the database cannot be reached or the address is not a database, ConfigurationError for a wrong
        profile.
        """
        profile = load_profile(feed.profile or "", "pm_database")
        optional = {query.optional_table for query in profile.entities.values() if query.optional_table}
        missing: set[str] = set()
        for failed in range(1, TRIES_TO_DISCOVER + 1):
            try:
                missing = _look(feed, profile.timeout_seconds, optional)
                break
            except Broken as error:
                if failed == TRIES_TO_DISCOVER:
                    raise _given_up(error, "", failed) from None
                _pause(failed)
        now = datetime.now(UTC)
        return [
            Unit(feed=feed, name=entity, modified_at=now, table=_rules(query, profile, profile.zone(feed.time_zone)))
            for entity, query in profile.entities.items()
            if query.optional_table not in missing
        ]

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """Reads one entity. Raises UnreadableUnit if its SELECT fails, lacks a key column, or is still broken off after all
        tries."""
        profile = load_profile(unit.feed.profile or "", "pm_database")
        return _Reading(unit, profile).chunks()


SOURCE = PmDatabaseSource()


def _rules(query: EntityQuery, profile: PmDatabaseProfile, zone: str) -> TableRules:
    # A profile without rules for keys keeps the definition that its tables were read with before such rules existed.
    keys = f"\0{profile.keys}" if profile.keys != KeyRules() else ""
    return TableRules(
        definition=hashlib.sha256(f"{query.sql}\0{zone}{keys}".encode()).hexdigest()[:32],
        overlap_minutes=query.overlap_minutes,
        reconcile_days=query.reconcile_days,
        maximum_deleted_percent=query.maximum_deleted_percent,
        tells_changes=query.tells_changes,
    )


def _look(feed: Feed, timeout_seconds: int, tables: Collection[str]) -> set[str]:
    """A connection and a first read of the database. Returns which of some tables it lacks."""
    engine = engine_of(feed, timeout_seconds)

    def look() -> set[str]:
        with connect(engine) as connection:
            return probe(connection, tables)

    try:
        if engine.dialect.name == "sqlite":
            return look()
        watch = Watch(timeout_seconds)
        try:
            return watch.call(look)
        finally:
            watch.end(engine.dispose)
    finally:
        engine.dispose()


def _pause(failed: int) -> None:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (failed - 1))
    time.sleep(longest * random.SystemRandom().uniform(0.5, 1.0))


def _given_up(error: Broken, position: str, tries: int) -> UnreadableUnit:
    return UnreadableUnit(
        reason="database_connection_lost",
        position=position,
        problem=f"{error.reason}; {tries} tries failed",
        remedy="Check that the database runs and can be reached; the next run tries again",
    )


@dataclass
class _Reading:
    """One read of one entity, with its position, so that it can continue on another connection."""

    unit: Unit
    profile: PmDatabaseProfile

    def __post_init__(self) -> None:
        self.query: EntityQuery = self.profile.entities[self.unit.name]
        self.contract: Contract = contract(self.query.entity)
        self.zone = self.profile.zone(self.unit.feed.time_zone)
        self.remedy = f"Correct the SELECT at {self.query.place}, or the database"
        self.limit = datetime.now(UTC) + AHEAD
        self.since = None if self.unit.cursor is None else earlier(self.unit.cursor, self.query.overlap_minutes)
        self.is_bulk = self.since is None and url_of(self.unit.feed).get_backend_name() == "postgresql"
        self.shape: Shape | None = None
        self.rows_given = 0
        # How many rows the database itself counts, where it counted what was read.
        self.counted: int | None = None
        self.newest: Any = None
        # Time and key of the last row given, and the blocks in which rows with both may have come.
        self.position: tuple[Any, ...] | None = None
        self.tied: list[Block] = []

    def chunks(self) -> Iterator[Chunk]:
        """The rows from here to the end, over as many connections as it takes; the last chunk has the cursor."""
        failed = 0
        held: Chunk | None = None
        while True:
            before = self.rows_given
            try:
                for chunk in self._on_one_connection():
                    if held is not None:
                        yield held
                    held = chunk
                held = held or Chunk()
                held.cursor = self.unit.cursor if self.newest is None else cursor_of(self.newest)
                if self.counted is not None:
                    counted = Decimal(self.counted)
                    held.stated = [Stated(entity=self.contract.name, measure=ROWS, total=counted, told_by="COUNT(*)")]
                yield held
                return
            except NoBulk as error:
                self.is_bulk = False
                feed = self.unit.feed
                progress.info("%s/%s: %s read row by row: %s", feed.tenant_id, feed.name, self.unit.name, error.reason)
            except Broken as error:
                failed = 1 if self.rows_given > before else failed + 1
                position = f"row {self.rows_given + 1}" if self.rows_given else ""
                if failed >= TRIES or not is_position(self.position or ()):
                    raise _given_up(error, position, failed) from None
                _pause(failed)
            except UnreadableUnit as error:
                if self.rows_given and not error.position:
                    error.position = f"row {self.rows_given + 1}"
                raise

    def _on_one_connection(self) -> Iterator[Chunk]:
        engine: sa.Engine | None = None
        link: Link | None = None
        try:
            if self.is_bulk:
                link = BulkLink(url_of(self.unit.feed), self.profile.timeout_seconds)
            else:
                engine = engine_of(self.unit.feed, self.profile.timeout_seconds, self.zone)
                link = RowLink(engine, self.profile.timeout_seconds, self.remedy)
            if self.shape is None:
                self.shape = shape_of(self.contract, self.query, link.names(columns_of(self.query)))
            # A read that continues after a break does not see one snapshot.
            version = link.version() if self.since is None and self.position is None else None
            counted = link.count(count_of(self.query)) if version is not None else None
            yield from self._blocks(link, self.shape)
            self.counted = counted if version is not None and link.version() == version else None
        finally:
            if link is not None:
                link.close()
            if engine is not None:
                engine.dispose()

    def _blocks(self, link: Link, shape: Shape) -> Iterator[Chunk]:
        order = [index for index, _ in shape.order]
        emitted: Counter[str] = Counter()
        if self.position is not None:
            # Rows with the last one's own time and key come again: those given already are left out.
            for block in self.tied:
                emitted += block.counted(shape.index_of(UPDATED), self.position[0])
        given_at = self.position[0] if self.position is not None else None
        for block in link.blocks(statement_of(self.query, shape, link.dialect, self.since, self.position), CHUNK_ROWS):
            fresh = block.without(emitted) if emitted.total() else block
            if emitted and block.last(order)[0] != given_at:
                emitted = Counter()
            if not fresh.height:
                continue
            chunk = self._chunk(fresh, shape)
            self.rows_given += fresh.height
            last = fresh.last(order)
            self.tied = [*self.tied, fresh] if last == self.position else [fresh]
            self.position = last
            yield chunk

    def _with_precision(self, block: Block, shape: Shape, series: list[pl.Series]) -> list[pl.Series]:
        """The columns with the precision of timestamps that are only a day: of a type without time, or if the SELECT says so."""
        by_name = {column.name: column for column in series}
        for name, index in zip(shape.names, shape.indexes, strict=True):
            precision_column, moments = self.contract.by_name[name].precision_column, by_name[name]
            if precision_column is None or moments.dtype == pl.String:
                continue
            sent_precision = by_name.get(precision_column)
            is_told = sent_precision is not None and sent_precision.null_count() < len(sent_precision)
            is_day = (
                (sent_precision == "day").fill_null(value=False)
                if sent_precision is not None and is_told
                else block.days(index)
            )
            if is_day.any():
                by_name[name] = noon_of_days(moments, is_day, self.zone)
                if not is_told:
                    by_name[precision_column] = precision(precision_column, is_day, moments)
        return list(by_name.values())

    def _chunk(self, block: Block, shape: Shape) -> Chunk:
        """One chunk of rows."""
        chunk = Chunk(records_read=block.height, records_used=block.height)
        series = [
            block.series(index, self.contract.by_name[name], self.zone)
            for name, index in zip(shape.names, shape.indexes, strict=True)
        ]
        series = self._with_precision(block, shape, series)
        frame, chunk.notices = without_zero_dates(
            self.contract, pl.DataFrame(series), self.zone, f"row {self.rows_given + 1}"
        )
        settled = settle_repeated_hour(self.contract, settle_days(self.contract, frame), self.zone)
        numbers = pl.Series("number", range(self.rows_given + 1, self.rows_given + block.height + 1))
        frame = comparable_keys(settled, self.contract, self.profile.keys)
        chunk.rows[self.contract.name] = frame.with_columns(pl.format("row {}", numbers).alias("source_position"))
        for index, name in shape.dropped:
            chunk.dropped_fields[f"{self.contract.name}.{name}"] += block.height - block.nulls(index)
        times = block.newest(shape.index_of(UPDATED))
        self.newest = newest_of(times, self.newest, self.limit, ZoneInfo(self.zone))
        return chunk
