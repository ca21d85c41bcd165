"""The money of one transaction, added up segment by segment: whether it adds up, and how much of it a refusal holds back.

Only transactions with a doubtful envelope come here, so plain Python is fast enough.

    835   BPR02 = sum of CLP04 - sum of PLB04, PLB06 .. PLB14 (005010X221A1, 1.10.2.1.3)
    837   CLM02 = sum of SV102, SV203 or SV302 of its lines (005010X222A1, 2300 CLM)
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from ingest.interface import Holding
from ingest.sources.x12.guide_segments import BPR, CLM, CLP, PLB, SV1, SV2, SV3, Segment

_SERVICE_LINES = {segment.tag: segment for segment in (SV1, SV2, SV3)}
# Transaction -> the segment of what a person counts, its amount, and its noun.
_HELD = {"835": (BPR, "payment_amount", "payment"), "837": (CLM, "billed_amount", "claim")}


def money_adds_up(kind: str, segments: Sequence[str], element: str) -> bool:
    """Whether the sums of an 835 or 837 hold to the cent; False for other kinds, which have no sums.

    `segments` are ST to SE without terminators, `element` is their element separator.
    """
    split = [[part.strip() for part in segment.split(element)] for segment in segments]
    try:
        if kind == "835":
            return _payment_adds_up(split)
        return kind == "837" and _claims_add_up(split)
    except InvalidOperation:
        return False


def _payment_adds_up(segments: Sequence[Sequence[str]]) -> bool:
    payments = [_amount(parts, BPR, "payment_amount") for parts in segments if parts[0] == BPR.tag]
    paid = sum((_amount(parts, CLP, "payer_paid_amount") for parts in segments if parts[0] == CLP.tag), Decimal(0))
    adjustments = [name for name in PLB.names if name.startswith("adjustment_amount")]
    taken = sum(
        (_amount(parts, PLB, name) for parts in segments if parts[0] == PLB.tag for name in adjustments), Decimal(0)
    )
    return len(payments) == 1 and payments[0] == paid - taken


def _claims_add_up(segments: Sequence[Sequence[str]]) -> bool:
    claims: list[tuple[Decimal, list[Decimal]]] = []
    for parts in segments:
        if parts[0] == CLM.tag:
            claims.append((_amount(parts, CLM, "billed_amount"), []))
        elif parts[0] in _SERVICE_LINES and claims:
            claims[-1][1].append(_amount(parts, _SERVICE_LINES[parts[0]], "billed_amount"))
    return bool(claims) and all(lines and total == sum(lines) for total, lines in claims)


def holding(kind: str, segments: Sequence[str], element: str) -> Holding | None:
    """The money that quarantine holds with a transaction: a payment and its BPR02, or claims and the sum of CLM02; None for other
    kinds. An amount that is not a number counts as 0."""
    if kind not in _HELD:
        return None
    layout, amount, what = _HELD[kind]
    amounts = []
    for segment in segments:
        parts = segment.split(element)
        if parts[0].strip() == layout.tag:
            try:
                amounts.append(_amount(parts, layout, amount))
            except InvalidOperation:
                amounts.append(Decimal(0))
    count = 1 if kind == "835" else len(amounts)
    return Holding(what=what, count=count, amount=sum(amounts, Decimal(0))) if count else None


def _amount(parts: Sequence[str], layout: Segment, name: str) -> Decimal:
    """An amount of a split segment; 0 where it is not sent. Raises InvalidOperation where it is not a finite number."""
    amount = Decimal(layout.value(parts, name).strip() or "0")
    if not amount.is_finite():
        raise InvalidOperation
    return amount
