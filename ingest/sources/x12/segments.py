"""Segments of many transactions as one frame: small files share the work on columns, which costs the same for one row.

A batch holds transactions of several pieces, perhaps of several files. Its `part` says which chunk a transaction belongs to.
`segments_of` gives a frame with these columns:

| column  | type   | meaning |
|---------|--------|---------|
| segment | String | the segment without its terminator |
| tag     | String | its identifier ("CLM") |
| row     | Int64  | its place in the frame, from 0 |
| number  | Int64  | its number in its file, from 1 |
| txn     | Int32  | index into the list of transactions |
| within  | Int64  | its number in the transaction, ST being 0 |
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from ingest.interface import Notice
from ingest.sources.x12.guide_segments import CLM, STC, SV1, SV2, SV3, SVC
from ingest.sources.x12.transactions import Transaction, Transactions

# Composites that begin with a qualifier of two characters, so that the character after it is the component separator.
_COMPOSITES = {
    **{segment.tag: segment.number("procedure") for segment in (SVC, SV1, SV2, SV3)},
    CLM.tag: CLM.number("service_location"),
    STC.tag: STC.number("status_1"),
}
_SEPARATED = re.compile(r"\w\w([^\w\s.\-])")


@dataclass(kw_only=True)
class BatchRows:
    """The rows of a batch: by entity, with the column `part`; notices with their part; counts of unused fields (part, name, number)."""

    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    notices: list[tuple[int, Notice]] = field(default_factory=list)
    dropped_fields: list[tuple[int, str, int]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A transaction of a batch, its segments and the part it belongs to."""

    transaction: Transaction
    segments: list[str]
    part: int


def place(transactions: Transactions, part: int) -> list[Placed]:
    """The accepted transactions of a piece, with the component separator that each really uses.

    Some translators use another separator than ISA16 declares. The first procedure or facility composite shows it: two characters,
    then the separator. Such a transaction gives a notice of its piece.
    """
    placed = []
    for item in transactions.accepted:
        segments = transactions.segments(item)
        _find_component(item, segments, transactions.notices)
        placed.append(Placed(transaction=item, segments=segments, part=part))
    return placed


def _find_component(item: Transaction, segments: list[str], notices: list[Notice]) -> None:
    element, declared = item.separators
    seen: set[str] = set()
    for index, segment in enumerate(segments):
        tag = segment[:3]
        if tag not in _COMPOSITES or tag in seen:
            continue
        seen.add(tag)
        parts = segment.split(element)
        composite = parts[_COMPOSITES[tag]] if len(parts) > _COMPOSITES[tag] else ""
        match = _SEPARATED.match(composite)
        if match is None:
            continue
        used = match.group(1)
        if used != declared and declared not in composite:
            item.component = used
            notices.append(
                Notice(
                    position=f"{item.position} (segment {item.number + index})",
                    reason="component_separator_differs",
                    detail=f"components are separated by {used!r}, but ISA16 declares {declared!r}; {used!r} was used",
                )
            )
        return


def segments_of(placed: Sequence[Placed]) -> pl.DataFrame:
    """The segments of transactions that share their element separator, in order."""
    every: list[str] = []
    for item in placed:
        every += item.segments
    element = placed[0].transaction.separators[0]
    spans = pl.DataFrame(
        {
            "first": [item.transaction.number for item in placed],
            "size": [len(item.segments) for item in placed],
        },
        schema={"first": pl.Int64, "size": pl.Int64},
    ).with_row_index("txn")
    places = spans.select(
        pl.col("txn").cast(pl.Int32), "first", within=pl.int_ranges(0, "size", dtype=pl.Int64)
    ).explode("within")
    segment = pl.Series("segment", every, dtype=pl.String)
    return pl.DataFrame([segment]).select(
        "segment",
        tag=pl.col("segment").str.head(3).str.strip_chars_end(element),
        row=pl.int_range(pl.len(), dtype=pl.Int64),
        number=places["first"] + places["within"],
        txn=places["txn"],
        within=places["within"],
    )


def split_by_part(frame: pl.DataFrame, parts: int) -> dict[int, pl.DataFrame]:
    """The rows of each part, without the column `part`."""
    if parts == 1:
        return {0: frame.drop("part")}
    split = frame.partition_by("part", maintain_order=True, include_key=False, as_dict=True)
    return {int(key[0]): rows for key, rows in split.items()}
