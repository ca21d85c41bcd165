"""The money of one transaction, added up segment by segment: whether it adds up, and how much of it a refusal holds back.

Only transactions with a doubtful envelope come here, so that plain Python is fast enough.

    835   BPR02 = sum of CLP04 - sum of PLB04, PLB06 .. PLB14 (005010X221A1, 1.10.2.1.3)
    837   CLM02 = sum of SV102, SV203 or SV302 of its lines (005010X222A1, 2300 CLM)
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from ingest.interface import Holding

# Where a service line of an 837 has its charge.
_LINE_CHARGE = {"SV1": 2, "SV2": 3, "SV3": 2}


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
    payments = [_amount(parts, 2) for parts in segments if parts[0] == "BPR"]
    paid = sum((_amount(parts, 4) for parts in segments if parts[0] == "CLP"), Decimal(0))
    taken = sum((_amount(p, place) for p in segments if p[0] == "PLB" for place in range(4, len(p), 2)), Decimal(0))
    return len(payments) == 1 and payments[0] == paid - taken


def _claims_add_up(segments: Sequence[Sequence[str]]) -> bool:
    claims: list[tuple[Decimal, list[Decimal]]] = []
    for parts in segments:
        if parts[0] == "CLM":
            claims.append((_amount(parts, 2), []))
        elif parts[0] in _LINE_CHARGE and claims:
            claims[-1][1].append(_amount(parts, _LINE_CHARGE[parts[0]]))
    return bool(claims) and all(lines and total == sum(lines) for total, lines in claims)


def holding(kind: str, segments: Sequence[str], element: str) -> Holding | None:
    """What is held back with a transaction: a payment and its BPR02, or claims and the sum of CLM02; None for other kinds.

    An amount that is not a number counts as 0.
    """
    tag, place, what = {"835": ("BPR", 2, "payment"), "837": ("CLM", 2, "claim")}.get(kind, ("", 0, ""))
    if not tag:
        return None
    amounts = []
    for segment in segments:
        parts = segment.split(element)
        if parts[0].strip() == tag:
            try:
                amounts.append(_amount(parts, place))
            except InvalidOperation:
                amounts.append(Decimal(0))
    count = 1 if kind == "835" else len(amounts)
    return Holding(what=what, count=count, amount=sum(amounts, Decimal(0))) if count else None


def _amount(parts: Sequence[str], place: int) -> Decimal:
    """The amount at a place; 0 where none is sent. Raises InvalidOperation where it is not a finite number."""
    text = parts[place].strip() if place < len(parts) else ""
    amount = Decimal(text or "0")
    if not amount.is_finite():
        raise InvalidOperation
    return amount
