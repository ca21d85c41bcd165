"""X12: health care claims (837 professional, institutional, dental) and remittances (835), versions 004010 and 005010;
claim acknowledgements and claim status responses (277), answers about insurance (271) and acknowledgements of transactions (999, 997),
version 005010;
acknowledgements of interchanges (TA1).

A record is one CLM, CLP, claim of a 277, patient of a 271 or AK2, or the transaction where it holds none. Transactions of another kind, and
transactions whose envelope is wrong, are refused one by one. A file without an ISA is refused whole. The modules beside this one:
`envelope` (bytes to interchanges), `walk` (which transactions may be read), `segments` (segments of many transactions as one
frame), `guide_segments` (elements by name), `claims`, `remittances`, `statuses`, `eligibility` and `acknowledgements` (segments to rows).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import polars as pl

from foundation.config import Feed
from ingest.inbox.inbox import Inbox
from ingest.interface import Chunk, Unit, UnreadableUnit
from ingest.profiles import x12_profile
from ingest.sources.files import find_files
from ingest.sources.x12 import envelope
from ingest.sources.x12.acknowledgements import read_acknowledgements, read_interchange_acknowledgements
from ingest.sources.x12.claims import read_claims
from ingest.sources.x12.eligibility import read_eligibility
from ingest.sources.x12.remittances import read_remittances
from ingest.sources.x12.segments import BatchRows, Placed, place, segments_of, split_by_part
from ingest.sources.x12.stated import stated
from ingest.sources.x12.statuses import read_statuses
from ingest.sources.x12.transactions import Transactions
from ingest.sources.x12.walk import read_transactions
from ingest.sources.x12.words import unknown_codes, with_payer_classes, with_standard_codes, with_standard_columns

SUFFIXES = (
    ".x12",
    ".edi",
    ".txt",
    ".dat",
    ".837",
    ".837p",
    ".837i",
    ".835",
    ".era",
    ".rmt",
    ".277",
    ".277ca",
    ".271",
    ".999",
    ".997",
)

_Reader = Callable[[pl.DataFrame, Sequence[Placed], str, str, ZoneInfo], BatchRows]
_READERS: dict[str, _Reader] = {
    "835": read_remittances,
    "837": read_claims,
    "277": read_statuses,
    "271": read_eligibility,
    "999": read_acknowledgements,
    "997": read_acknowledgements,
}


class X12Source:
    """See `ingest.interface.Source`."""

    kind = "x12"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The files of the feed, by name."""
        return find_files(feed, SUFFIXES, inbox)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """One chunk for every few megabytes. Raises UnreadableUnit."""
        return _Together([unit]).read(unit)

    def together(self, units: Sequence[Unit]) -> Callable[[Unit], Iterator[Chunk]]:
        """A `read` for files that are read in this order. Small files share their work. See `ingest.interface.reading`."""
        return _Together(units).read


@dataclass(kw_only=True)
class _Part:
    """Consecutive pieces of one file, which make one chunk. `has_ended` is set on the last part of a file, `problem` if the file
    cannot be read."""

    unit: Unit
    pieces: list[Transactions] = field(default_factory=list)
    has_ended: bool = False
    problem: UnreadableUnit | None = None


class _Together:
    """Reads files one after the other, a few megabytes at a time. One step may read parts of several files."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._to_come = {unit.name for unit in units}
        self._read = self._all()

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The chunks of one file. Files that are skipped are read too, and their chunks are dropped. A file that is asked for out of
        order is read alone."""
        if unit.name not in self._to_come:
            yield from _Together([unit]).read(unit)
            return
        for part, chunk in self._read:
            if part.has_ended:
                self._to_come.discard(part.unit.name)
            if part.unit.name != unit.name:
                continue
            if part.problem is not None:
                raise part.problem
            yield chunk
            if part.has_ended:
                return

    def _all(self) -> Iterator[tuple[_Part, Chunk]]:
        batch: list[_Part] = []
        size = 0
        for unit in self._units:
            part = _Part(unit=unit)
            batch.append(part)
            try:
                for piece in envelope.pieces(unit):
                    part.pieces.append(read_transactions(piece))
                    size += piece.size
                    if size >= envelope.PIECE_BYTES:
                        yield from zip(batch, _chunks(batch), strict=True)
                        part, size = _Part(unit=unit), 0
                        batch = [part]
            except UnreadableUnit as problem:
                part.pieces, part.problem = [], problem
            part.has_ended = True
        yield from zip(batch, _chunks(batch), strict=True)


def _chunks(parts: Sequence[_Part]) -> list[Chunk]:
    """A chunk for each part. Transactions of one kind with the same separators are read together, from all parts."""
    chunks = [Chunk() for _ in parts]
    groups: dict[tuple[str, str, str], list[Placed]] = {}
    results: list[BatchRows] = []
    # Units that are read together are of one feed.
    profile = x12_profile(parts[0].unit.feed)
    zone = profile.zone(parts[0].unit.feed.time_zone)
    for index, part in enumerate(parts):
        for piece in part.pieces:
            for sent in place(piece, index):
                placed = with_standard_codes(sent, profile)
                groups.setdefault((placed.transaction.kind, *placed.transaction.separators), []).append(placed)
            if piece.interchange_acknowledgements:
                results.append(read_interchange_acknowledgements(piece, index, zone))
            _account(chunks[index], piece)
    for (kind, element, component), placed_together in groups.items():
        segments = segments_of(placed_together)
        results.append(_READERS[kind](segments, placed_together, element, component, zone))
        for index, word in unknown_codes(segments, placed_together, kind, element, component):
            chunks[index].unknown_words.append(word)
    rows: list[dict[str, list[pl.DataFrame]]] = [{} for _ in parts]
    for result in results:
        for entity, frame in result.rows.items():
            for index, rows_of_part in split_by_part(frame, len(parts)).items():
                if rows_of_part.height:
                    rows[index].setdefault(entity, []).append(rows_of_part)
        for index, notice in result.notices:
            chunks[index].notices.append(notice)
        for index, name, count in result.dropped_fields:
            chunks[index].dropped_fields[name] += count
    for chunk, entities in zip(chunks, rows, strict=True):
        for entity, frames in entities.items():
            chunk.rows[entity] = frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal_relaxed")
        chunk.rows = with_standard_columns(chunk.rows, profile)
        if profile.payer_classes and "payer" in chunk.rows:
            chunk.rows["payer"] = with_payer_classes(chunk.rows["payer"], profile.payer_classes)
    return chunks


def _account(chunk: Chunk, piece: Transactions) -> None:
    used = sum(max(item.records, 1) for item in piece.accepted)
    chunk.records_read += used + sum(refusal.records for refusal in piece.refusals)
    chunk.records_used += used
    chunk.refusals += piece.refusals
    chunk.notices += piece.notices
    chunk.stated += stated(piece)


SOURCE = X12Source()
