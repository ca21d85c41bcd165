"""The control totals of an X12 file: claims and their money, counted segment by segment.

This count uses none of the columns and joins that make rows: it splits a segment at its separator and takes one element. The rows
must give the same totals (`ingest.control_totals`).

    835   CLP: remittance_claim, CLP03 billed, CLP04 paid
          SVC after a CLP: remittance_line, without amounts (the reader moves amounts that stand one element too far)
          ST: remittance, with the first BPR02 before the first CLP
    837   CLM: claim, CLM02 billed
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import polars as pl

from ingest.control_totals import ROWS, total
from ingest.interface import Stated
from ingest.sources.x12.guide_segments import BPR, CLM, CLP, SVC, Segment
from ingest.sources.x12.transactions import Transactions

# Transaction -> tag -> segment, entity, and its amounts: elements that are measures of the same name.
_COUNTED: Mapping[str, Mapping[str, tuple[Segment, str, tuple[str, ...]]]] = MappingProxyType(
    {
        "835": {
            CLP.tag: (CLP, "remittance_claim", ("billed_amount", "payer_paid_amount")),
            SVC.tag: (SVC, "remittance_line", ()),
        },
        "837": {CLM.tag: (CLM, "claim", ("billed_amount",))},
    }
)


def stated(piece: Transactions) -> list[Stated]:
    """The control totals of one piece's accepted transactions."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    sums: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in piece.accepted:
        counted = _COUNTED.get(item.kind)
        if counted is None:
            continue
        separator = item.separators[0]
        payment: str | None = None
        has_claim = False
        for segment in piece.segments(item):
            tag = segment[:3]
            if item.kind == "835" and tag == "BPR" and payment is None and not has_claim:
                payment = BPR.value(segment.split(separator), "payment_amount")
                continue
            # A claim that lost the separator behind its identifier is still a claim: the contract gate holds its row.
            if tag not in counted:
                continue
            if tag == "SVC" and not has_claim:
                continue
            layout, entity, measures = counted[tag]
            has_claim = True
            parts = segment.split(separator)
            counts[entity, tag] += 1
            for measure in measures:
                sums[entity, tag, measure].append(layout.value(parts, measure))
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
