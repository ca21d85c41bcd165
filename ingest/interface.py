"""What a reader gives: units of a feed, chunks of rows, refusals. One interface for every protocol.

A reader knows a protocol and, through its profile, a vendor. It emits rows of the unified model and nothing else:

* frames hold columns of the entity's contract that `Contract.reader_columns` lists; a missing column is null;
* `source_record_id` and `source_position` are set on every row; where `source_updated_at` is null the unit's time is
  taken;
* columns with a token domain hold the raw identifier (a medical record number, a FHIR id): `identity` replaces it
  before anything is written. Identifiers of a feed that another feed may share are bare ("MRN123"); identifiers that
  only this feed knows carry its name ("ehr/5f2c...") and, where both are known, a `patient_merge` row of type `alias`;
* values are typed as the contract says, or text: decimal digits for numbers, ISO 8601 for dates and times (with an
  offset or Z), true/false for booleans. The gate casts, and quarantines what does not cast;
* nothing is dropped: a record that cannot be read is a `Refusal`, a field no contract names is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import polars as pl

from foundation.config import Feed
from ingest.inbox.inbox import Inbox


@dataclass(frozen=True, kw_only=True)
class TableRules:
    """How a table is followed: how far before its cursor the next read begins, after how many days it is read whole and
    compared (0: only with --full-refresh), and which share of its records may be missing without a confirmation. `definition`
    changes with the SELECT of the table; the table is then read whole too. A table without times of change is read whole each
    time."""

    definition: str
    overlap_minutes: int
    reconcile_days: int
    maximum_deleted_percent: int
    tells_changes: bool = True


@dataclass(frozen=True, kw_only=True)
class TableState:
    """The state of a table in the ledger: the cursor of its last read, the time (UTC, without a zone) and definition of its
    last whole read, and the units of that read and of later reads."""

    cursor: str | None = None
    whole_at: datetime | None = None
    definition: str | None = None
    units: tuple[int, ...] = ()

    def is_due(self, rules: TableRules, at: datetime) -> bool:
        """Whether the table must be read whole."""
        if self.whole_at is None or self.definition != rules.definition or not rules.tells_changes:
            return True
        return rules.reconcile_days > 0 and at - self.whole_at >= timedelta(days=rules.reconcile_days)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A total of its rows that a source states: `measure` is ROWS or an amount column of `entity`, `told_by` names the segment or
    query that states it."""

    entity: str
    measure: str
    total: Decimal
    told_by: str


# Reasons of refusals of records that are not of the feed's kind. A file with no other record is refused whole.
NOT_OF_THE_KIND = frozenset({"not_json", "no_resource_type"})
# The name of the unit for the files of a feed that its reader does not open.
NOT_READ = "(files that are not read)"


class MessageMemory(Protocol):
    """The messages that were landed before, see `ingest.sources.hl7v2.seen_messages`."""

    def begin(self, unit_id: int, again: Sequence[int] = ()) -> None: ...
    def forget(self, unit_id: int) -> None: ...
    def meet(self, messages: Sequence[tuple[bytes, bytes]]) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What is read whole or refused whole: one file, or one table of a PM database.

    `name` is stable between runs (the file's path below the feed's folder, or the entity). `fingerprint` is the SHA-256 of a
    file's bytes; None for a table, whose changes the cursor finds. `modified_at` (UTC) is used for a missing
    `source_updated_at`. `cursor` is the end of the last read of a table; without it the table is read whole. `table` is set for
    a table. `inbox` holds the unit, encrypted, for feeds that come over a network. `seen` knows the messages that the tenant
    has landed before. `refusal` is set if the unit is known to be unreadable before it is opened. A unit with `notices` and no
    path concerns the whole feed and holds no records. `definition` changes with the profile by which files are read; `replaces`
    are units of the ledger that read the same file or messages under an earlier one.
    """

    feed: Feed
    name: str
    path: Path | None = None
    size_bytes: int = 0
    fingerprint: str | None = None
    modified_at: datetime | None = None
    cursor: str | None = None
    table: TableRules | None = None
    inbox: Inbox | None = None
    seen: MessageMemory | None = None
    refusal: "UnreadableUnit | None" = None
    notices: "tuple[Notice, ...]" = ()
    definition: str | None = None
    replaces: tuple[int, ...] = ()

    @property
    def is_readable(self) -> bool:
        """Whether a reader is to open it."""
        return self.refusal is None and not self.notices


@dataclass(frozen=True, kw_only=True)
class Holding:
    """The content of quarantine as a person counts it: `count` of `what` (singular: "payment"), `amount` in US dollars if it
    has one."""

    what: str
    count: int
    amount: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Source records that give no row. `reason` is a slug of `ingest/problems.yaml`, `detail` explains it without content of
    the record.

    If `records` > 1, several records were refused for one reason, and `position` is the first. `payload` is the record as
    received; quarantine keeps it encrypted, and nothing prints it. `holding` is what a person counts if that is not records.
    """

    position: str
    reason: str
    detail: str
    records: int = 1
    payload: bytes | None = None
    holding: Holding | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something odd in a record that was still read: a balance that does not hold, an open envelope, a date that is not valid.

    Nothing is held back because of it; the notice is kept and shown. `reason` is a slug of `ingest/problems.yaml`, `detail`
    explains it without any content that identifies a person. If `records` > 1, there are several of one kind, and `position` is
    the first.
    """

    position: str
    reason: str
    detail: str
    records: int = 1


@dataclass(frozen=True, kw_only=True)
class UnknownWord:
    """A word of a coded field that neither the standard nor the feed's profile knows, in `rows` rows.

    `entity` and `column` name the column that it was for. `became` is the value that the rows have instead; empty if they keep
    the word or if there is no row. `position` is the first place. `word` is the word as sent: the landing step shows it only
    where it cannot name a person (`ingest.landing.unknown_words`).
    """

    entity: str
    column: str
    word: str
    became: str
    position: str
    rows: int = 1


@dataclass(kw_only=True)
class Chunk:
    """A bounded part of a unit.

    records_read = records_used + sum of `records` over refusals; a record is a FHIR resource, an HL7 message,
    a CLM, CLP, 277 claim, 271 patient or AK2 loop (or the transaction where it holds none), a database row.
    `rows` maps an entity to its frame. `dropped_fields` counts fields that no contract names. `cursor` is set by the last chunk
    of a table. `stated` are totals as the source itself states them, of this chunk or of the unit. Over all chunks of a unit
    they add up, by entity and measure, and must equal the rows of all its chunks. `unknown_words` are words that the reader
    could not map; the landing step finds words in a column of a row.
    """

    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    records_read: int = 0
    records_used: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    unknown_words: list[UnknownWord] = field(default_factory=list)
    dropped_fields: Counter[str] = field(default_factory=Counter)
    cursor: str | None = None
    stated: list[Stated] = field(default_factory=list)


class UnreadableUnit(Exception):
    """The landed file is not what its kind says, or is cut off: it is refused whole, by name.

    `reason` is the slug of its cause (`ingest.problems`). `position` is line, byte, segment or row; `problem` and `remedy` are for
    the person who must act, without PHI.
    """

    def __init__(self, *, reason: str, position: str, problem: str, remedy: str) -> None:
        super().__init__(f"{position}: {problem}. {remedy}" if position else f"{problem}. {remedy}")
        self.reason, self.position, self.problem, self.remedy = reason, position, problem, remedy


class Source(Protocol):
    """One protocol. It has no state: all it needs is in the feed and the unit."""

    kind: str

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The present units, in the order of reading. Units of a feed with `server` or `listen` are in the inbox.

        Raises UnreadableUnit if the feed is missing or unreadable.
        """
        ...

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """Reads one unit in bounded chunks. Raises UnreadableUnit; earlier chunks of the unit are then discarded."""
        ...


Read = Callable[[Unit], Iterator[Chunk]]


def reading(source: Source, units: Sequence[Unit]) -> Read:
    """`source.read` for units that will be read one after the other in this order.

    A source may offer `together(units)`, which gives the same chunks for each of them and lets small units share work.
    """
    together: Callable[[Sequence[Unit]], Read] | None = getattr(source, "together", None)
    return source.read if together is None else together(units)
