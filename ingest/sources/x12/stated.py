"""What an X12 file says of its own content: claims and their money, counted segment by segment.

Nothing of the columns and joins that make rows is used here: a segment is split at its separator and one element is taken. What
the rows then hold must be the same (`ingest.control_totals`).

    835   CLP: remittance_claim, CLP03 billed, CLP04 paid; SVC after a CLP: remittance_line (the reader puts amounts of lines
          right that were written one element too far: their sums are not the segments');
          the transactions: remittance, the first BPR02 of each before its first CLP
    837   CLM: claim, CLM02 billed
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import polars as pl

from ingest.control_totals import ROWS, total
from ingest.interface import Stated
from ingest.sources.x12.transactions import Transactions

# Transaction -> segment -> entity, and the elements that its amounts are.
_TOLD: Mapping[str, Mapping[str, tuple[str, Mapping[str, int]]]] = MappingProxyType(
    {
        "835": {
            "CLP": ("remittance_claim", {"billed_amount": 3, "payer_paid_amount": 4}),
            "SVC": ("remittance_line", {}),
        },
        "837": {"CLM": ("claim", {"billed_amount": 2})},
    }
)


def stated(piece: Transactions) -> list[Stated]:
    """The control totals of one piece's accepted transactions."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    sums: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in piece.accepted:
        told = _TOLD.get(item.kind)
        if told is None:
            continue
        separator = item.separators[0]
        payment: str | None = None
        has_claim = False
        for segment in piece.segments(item):
            tag = segment[:3]
            if item.kind == "835" and tag == "BPR" and payment is None and not has_claim:
                payment = _element(segment.split(separator), 2)
                continue
            # A claim that lost the separator behind its identifier is a claim still: the gate holds its row.
            if tag not in told:
                continue
            if tag == "SVC" and not has_claim:
                continue
            entity, amounts = told[tag]
            has_claim = True
            parts = segment.split(separator)
            counts[entity, tag] += 1
            for measure, place in amounts.items():
                sums[entity, tag, measure].append(_element(parts, place))
        if item.kind == "835":
            counts["remittance", "ST"] += 1
            sums["remittance", "BPR", "payment_amount"].append(payment or "")
    rows = [
        Stated(entity=entity, measure=ROWS, total=Decimal(number), told_by=tag)
        for (entity, tag), number in counts.items()
    ]
    return rows + [
        Stated(entity=entity, measure=measure, total=total(pl.Series(values, dtype=pl.String)), told_by=tag)
        for (entity, tag, measure), values in sums.items()
    ]


def _element(parts: list[str], place: int) -> str:
    return parts[place] if place < len(parts) else ""
