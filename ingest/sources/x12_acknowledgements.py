"""999 and 997: what became of the transactions that were sent, as notices.

They name a transaction by its control number and never a claim, so there is no row to give: each AK2 is one record and
one notice. A transaction that was turned back takes all its claims with it, which is why it must be seen. The bad data
that an IK4 repeats may name a patient: it is never taken.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.base import Chunk, Notice
from ingest.sources.x12_elements import count_unused
from ingest.sources.x12_transactions import Transaction

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {tag: frozenset() for tag in ("ST", "SE", "AK1", "AK2", "AK3", "AK5", "AK9", "IK3", "IK5")}
)
# IK501, AK501 and AK901 (X12 elements 717 and 715).
_ACCEPTED = {"A": "", "E": ", with errors noted"}
_REJECTED = {
    "M": ": its message authentication code failed",
    "R": "",
    "W": ": its assurance failed validation",
    "X": ": it could not be decrypted",
}
_PARTLY = {"P": ": at least one transaction was rejected"}
_CONTROL_NUMBER = re.compile(r"[A-Za-z0-9]{1,9}")
_KIND = re.compile(r"[0-9]{3}")
_ERROR = re.compile(r"[A-Z]?[0-9]{1,3}")
_TAG = re.compile(r"[A-Z][A-Z0-9]{1,2}")


def read_acknowledgements(
    segments: pl.DataFrame,
    transactions: Sequence[Transaction],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> Chunk:
    """Notices of 999 and 997 transactions that share their separators; no rows.

    transaction_accepted and transaction_rejected for each AK2, transaction_outcome_not_given where its IK5 or AK5 is
    missing or unknown, group_accepted, group_rejected or group_outcome_not_given where no AK2 is sent at all.
    """
    del component_separator, zone
    chunk = Chunk()
    chunk.dropped_fields = count_unused(segments, separator, USED)
    columns = ("txn", "number", "tag", "segment")
    for rows in segments.select(columns).partition_by("txn", maintain_order=True):
        place = transactions[rows["txn"][0]].position
        split = [
            (number, tag, [part.strip() for part in segment.split(separator)])
            for _, number, tag, segment in rows.iter_rows()
        ]
        chunk.notices += _notices(place, split)
    return chunk


def _notices(place: str, segments: list[tuple[int, str, list[str]]]) -> list[Notice]:
    """The notices of one transaction; `segments` are number, tag and elements."""
    starts = [index for index, (_, tag, _) in enumerate(segments) if tag == "AK2"]
    if not starts:
        group = next((parts for _, tag, parts in segments if tag == "AK1"), [])
        closing = [parts for _, tag, parts in segments if tag == "AK9"]
        named = f"the group with control number {_safe(group, 2, _CONTROL_NUMBER)}"
        return [_notice(f"{place} (segment {segments[0][0]})", "group", named, closing, "")]
    found = []
    for ordinal, (start, end) in enumerate(zip(starts, [*starts[1:], len(segments)], strict=True), 1):
        number, _, opening = segments[start]
        closing = [parts for _, tag, parts in segments[start:end] if tag in ("IK5", "AK5")]
        faults = [parts for _, tag, parts in segments[start:end] if tag in ("IK3", "AK3")]
        named = f"transaction {_safe(opening, 1, _KIND)} with control number {_safe(opening, 2, _CONTROL_NUMBER)}"
        at = f"{place} AK2 {ordinal} (segment {number})"
        found.append(_notice(at, "transaction", named, closing, _first_fault(faults)))
    return found


def _notice(position: str, what: str, named: str, closing: list[list[str]], fault: str) -> Notice:
    """The outcome that the last of `closing` gives, `what` being transaction or group."""
    outcome = closing[-1][1] if closing and len(closing[-1]) > 1 else ""
    # AK9 has three counts between its outcome and its errors.
    first_error = 5 if what == "group" else 2
    errors = [part for part in closing[-1][first_error:] if _ERROR.fullmatch(part)] if closing else []
    because = f"; error codes {', '.join(errors)}" if errors else ""
    if outcome in _ACCEPTED:
        reason, said = f"{what}_accepted", f"was accepted{_ACCEPTED[outcome]}"
    elif outcome in _REJECTED:
        reason, said = f"{what}_rejected", f"was rejected{_REJECTED[outcome]}"
    elif outcome in _PARTLY:
        reason, said = f"{what}_rejected", f"was accepted in part{_PARTLY[outcome]}"
    else:
        reason, said = f"{what}_outcome_not_given", "is acknowledged without a known outcome"
    return Notice(position=position, reason=reason, detail=f"{named} {said}{because}{fault}")


def _first_fault(faults: list[list[str]]) -> str:
    """Where the first of `faults` (IK3 or AK3) lies, and how many there are."""
    if not faults:
        return ""
    tag, at = _safe(faults[0], 1, _TAG), _safe(faults[0], 2, re.compile(r"[0-9]{1,10}"))
    more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"; fault at segment {at} of it ({tag}){more}"


def _safe(parts: list[str], index: int, pattern: re.Pattern[str]) -> str:
    """An element that is a code and nothing else; "not given" for any other, which may be anything."""
    value = parts[index] if index < len(parts) else ""
    return value if pattern.fullmatch(value) else "not given"
