"""Rows on their way into a batch: staged rows of one or more landed files, and what is counted of a file while it is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from data_contracts import Contract, contract
from ingest.control_totals import ROWS, totals
from ingest.interface import NOT_OF_THE_KIND, Stated, UnknownWord
from ingest.landing.contract_gate import Gated, check, withhold
from ingest.landing.row_index import RowIndex
from ingest.landing.unknown_words import shown_word
from ingest.sources import Chunk

ROWS_A_BATCH = 500_000
# Gating holds some copies of a batch at once: about six times this is what landing takes at most.
BYTES_A_BATCH = 128 << 20


@dataclass
class Staged:
    """Rows that no ledger row names yet: identifiers are tokens, the gate is still to come."""

    frames: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    # Rows that are quarantined even if they meet their contract, with reason and detail.
    withheld: dict[str, list[tuple[pl.DataFrame, str, str]]] = field(default_factory=dict)
    refusals: list[pl.DataFrame] = field(default_factory=list)
    refused: int = 0
    rows: int = 0
    size_bytes: int = 0
    # Times of the files, used for records without a time.
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
    # Units of the ledger that read the same file or messages under an earlier profile: this one replaces them.
    replaces: tuple[int, ...] = ()
    # Rows and first position of each unknown word, by entity, column, word and what it became.
    words: dict[tuple[str, str, str, str], tuple[int, str]] = field(default_factory=dict)
    # The totals as the source states them, and as its reader gave them, by entity and measure.
    stated: dict[tuple[str, str], Stated] = field(default_factory=dict)
    read_totals: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    @property
    def is_of_other_kind(self) -> bool:
        """Whether every record was refused because it is not of the feed's kind, so that nothing of the unit was read."""
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
