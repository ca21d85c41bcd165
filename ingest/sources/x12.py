"""X12: health care claims (837 professional, institutional, dental) and remittances (835), versions 004010 and 005010;
claim acknowledgements and claim status responses (277) and acknowledgements of transactions (999, 997), version 005010.

A record is one CLM, CLP, claim of a 277 or AK2, or the transaction where it holds none. Transactions of another kind,
and those that do not hold together, are refused one by one; a file without an ISA is refused whole. See the modules
beside this one: `x12_envelope` (bytes to interchanges), `x12_transactions` (which transactions may be read),
`x12_claims`, `x12_remittances` and `x12_statuses` (segments to rows), `x12_acknowledgements` (segments to notices).
"""

from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

import polars as pl

from foundation.config import Feed
from ingest.inbox import Inbox
from ingest.sources.base import Chunk, Unit
from ingest.sources.files import find_files
from ingest.sources.x12_acknowledgements import read_acknowledgements
from ingest.sources.x12_claims import read_claims
from ingest.sources.x12_envelope import Piece, pieces
from ingest.sources.x12_remittances import read_remittances
from ingest.sources.x12_statuses import read_statuses
from ingest.sources.x12_transactions import Transaction, Transactions, read_transactions

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
    ".999",
    ".997",
)

_Reader = Callable[[pl.DataFrame, list[Transaction], str, str, ZoneInfo], Chunk]
_READERS: dict[str, _Reader] = {
    "835": read_remittances,
    "837": read_claims,
    "277": read_statuses,
    "999": read_acknowledgements,
    "997": read_acknowledgements,
}


class X12Source:
    """See `ingest.sources.base.Source`."""

    kind = "x12"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The files of the feed, by name."""
        return find_files(feed, SUFFIXES, inbox)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """One chunk for a piece of some megabytes. Raises UnreadableUnit."""
        zone = ZoneInfo(unit.feed.time_zone)
        for piece in pieces(unit):
            yield _chunk(piece, zone)


def _chunk(piece: Piece, zone: ZoneInfo) -> Chunk:
    found = read_transactions(piece)
    used = sum(max(item.records, 1) for item in found.accepted)
    chunk = Chunk(
        records_read=used + sum(refusal.records for refusal in found.refusals),
        records_used=used,
        refusals=found.refusals,
        notices=found.notices,
    )
    parts: dict[str, list[pl.DataFrame]] = {}
    for kind, component in dict.fromkeys((item.kind, item.component) for item in found.accepted):
        segments, chosen = _of(found, kind, component)
        read = _READERS[kind](segments, chosen, piece.interchange.separators.element, component, zone)
        chunk.notices += read.notices
        chunk.dropped_fields += read.dropped_fields
        for entity, frame in read.rows.items():
            if frame.height:
                parts.setdefault(entity, []).append(frame)
    chunk.rows = {entity: pl.concat(frames, how="diagonal_relaxed") for entity, frames in parts.items()}
    return chunk


def _of(found: Transactions, kind: str, component: str) -> tuple[pl.DataFrame, list[Transaction]]:
    """The accepted transactions of one kind and component separator, renumbered, and their segments."""
    chosen = [index for index, item in enumerate(found.accepted) if (item.kind, item.component) == (kind, component)]
    if len(chosen) == len(found.accepted):
        return found.segments, found.accepted
    renumbered = pl.DataFrame({"txn": chosen, "new": range(len(chosen))}, schema={"txn": pl.Int32, "new": pl.Int32})
    segments = found.segments.join(renumbered, on="txn", maintain_order="left")
    return segments.drop("txn").rename({"new": "txn"}), [found.accepted[index] for index in chosen]


SOURCE = X12Source()
