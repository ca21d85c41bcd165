"""999, 997 and TA1: what became of the transactions, groups and interchanges that were sent, as rows and notices.

They name what they answer by its control numbers and never a claim: dbt finds the claims by the same numbers of the 837.
Each AK2 is one record, a row of acknowledgement and a notice; so are a group whose AK2 are not sent, and a TA1 (which is no
record, for it stands outside any transaction). A transaction that was turned back takes all its claims with it, which is
why it must be seen. The bad data that an IK4 repeats may name a patient: it is never taken.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from ingest.interface import Notice
from ingest.sources.x12.elements import count_unused
from ingest.sources.x12.envelope import Interchange
from ingest.sources.x12.segments import Found, Placed
from ingest.sources.x12.transactions import Transactions, local_time

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {tag: frozenset() for tag in ("ST", "SE", "AK1", "AK2", "AK3", "AK5", "AK9", "IK3", "IK5")}
)
# IK501, AK501, AK901 and TA104 (X12 elements 717, 715 and I17).
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
_TAG_OR_LETTER = re.compile(r"[A-Z0-9]{1,3}")


_NOTE = re.compile(r"[0-9]{3}")
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "part": pl.Int32,
    "acknowledgement_id": pl.String,
    "level": pl.String,
    "transaction_kind": pl.String,
    "interchange_control_number": pl.String,
    "group_control_number": pl.String,
    "transaction_control_number": pl.String,
    "receiver_code": pl.String,
    "outcome_code": pl.String,
    "is_accepted": pl.Boolean,
    "error_codes": pl.String,
    "reported_at": pl.Datetime("us", "UTC"),
    "source_record_id": pl.String,
    "source_updated_at": pl.Datetime("us", "UTC"),
    "source_position": pl.String,
}


def read_acknowledgements(
    segments: pl.DataFrame,
    placed: Sequence[Placed],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> Found:
    """Rows and notices of 999 and 997 transactions that share their separators.

    Notices: transaction_accepted and transaction_rejected for each AK2, transaction_outcome_not_given where its IK5 or AK5
    is missing or unknown, group_accepted, group_rejected or group_outcome_not_given where no AK2 is sent at all.
    """
    del component_separator
    found = Found()
    parts = pl.Series([item.part for item in placed], dtype=pl.Int32)
    found.dropped_fields = count_unused(segments.with_columns(part=parts.gather(segments["txn"])), separator, USED)
    rows: list[dict[str, Any]] = []
    for item in placed:
        split = [[part.strip() for part in segment.split(separator)] for segment in item.segments]
        rows += _of_transaction(item, split, zone, found)
    found.rows = {"acknowledgement": _frame(rows)}
    return found


def read_interchange_acknowledgements(items: Transactions, part: int, zone: ZoneInfo) -> Found:
    """A row and a notice for each TA1 of a piece: interchange_accepted, interchange_rejected, interchange_outcome_not_given."""
    found = Found()
    rows = []
    interchange = items.piece.interchange
    for number, parts in items.interchange_acknowledgements:
        outcome, note = _at(parts, 4), _safe(parts, 5, _NOTE)
        named = f"interchange with control number {_safe(parts, 1, _CONTROL_NUMBER)}"
        reason, said, is_accepted = _outcome("interchange", outcome)
        because = "" if note in ("000", "not given") else f"; note code {note}"
        position = f"ISA {interchange.ordinal} TA1 (segment {number})"
        found.notices.append((part, Notice(position=position, reason=reason, detail=f"{named} {said}{because}")))
        made = local_time(interchange.date, interchange.time, zone)
        rows.append(
            {
                "part": part,
                "acknowledgement_id": _identifier(interchange, "", *parts),
                "level": "interchange",
                "interchange_control_number": _code(parts, 1, _CONTROL_NUMBER),
                "outcome_code": _code(parts, 4, _TAG_OR_LETTER),
                "is_accepted": is_accepted,
                "error_codes": note if because else None,
                "reported_at": made,
                "source_updated_at": made,
                "source_position": position,
            }
        )
    found.rows = {"acknowledgement": _frame(rows)} if rows else {}
    return found


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA).with_columns(source_record_id="acknowledgement_id")


def _identifier(interchange: Interchange, group: str, *parts: str) -> str:
    """The same when the same interchange is delivered again, another for the next one: control numbers come round."""
    given = (interchange.sender, interchange.control, interchange.date, interchange.time, group, *parts)
    return hashlib.sha256("\x1f".join(given).encode()).hexdigest()[:24]


def _of_transaction(item: Placed, segments: list[list[str]], zone: ZoneInfo, found: Found) -> list[dict[str, Any]]:
    """Rows of one transaction; its notices go to `found`."""
    transaction = item.transaction
    group = next((parts for parts in segments if parts[0] == "AK1"), [])
    made = transaction.sent_at(zone)
    base = {
        "part": item.part,
        "group_control_number": _code(group, 2, _CONTROL_NUMBER),
        "receiver_code": transaction.group.receiver or None if transaction.group else None,
        "reported_at": made,
        "source_updated_at": made,
    }
    key = (transaction.group.control if transaction.group else "", transaction.control, transaction.digest)
    rows = []
    starts = [index for index, parts in enumerate(segments) if parts[0] == "AK2"]
    closing = [parts for parts in segments if parts[0] == "AK9"]
    if closing or not starts:
        at = f"{transaction.position} (segment {transaction.number})"
        named = f"the group with control number {_safe(group, 2, _CONTROL_NUMBER)}"
        notice, told = _answer(at, "group", named, "a group", closing, "")
        rows.append(base | told | {"acknowledgement_id": _identifier(transaction.interchange, *key, "0")})
        if not starts:
            found.notices.append((item.part, notice))
    for ordinal, (start, end) in enumerate(zip(starts, [*starts[1:], len(segments)], strict=False), 1):
        opening = segments[start]
        closing = [parts for parts in segments[start:end] if parts[0] in ("IK5", "AK5")]
        faults = [parts for parts in segments[start:end] if parts[0] in ("IK3", "AK3")]
        kind = f"transaction {_safe(opening, 1, _KIND)}"
        named = f"{kind} with control number {_safe(opening, 2, _CONTROL_NUMBER)}"
        at = f"{transaction.position} AK2 {ordinal} (segment {transaction.number + start})"
        notice, told = _answer(at, "transaction", named, f"a {kind}", closing, _first_fault(faults))
        found.notices.append((item.part, notice))
        told |= {
            "acknowledgement_id": _identifier(transaction.interchange, *key, str(ordinal)),
            "transaction_kind": _code(opening, 1, _KIND),
            "transaction_control_number": _code(opening, 2, _CONTROL_NUMBER),
        }
        rows.append(base | told)
    return rows


def _answer(
    position: str, level: str, named: str, unnamed: str, closing: list[list[str]], fault: str
) -> tuple[Notice, dict[str, Any]]:
    """The outcome that the last of `closing` gives, as notice and as part of a row. What was accepted without an error is not
    named: such notices are counted as one."""
    last = closing[-1] if closing else []
    # AK9 has three counts between its outcome and its errors.
    errors = [part for part in last[5 if level == "group" else 2 :] if _ERROR.fullmatch(part)]
    because = f"; error codes {', '.join(errors)}" if errors else ""
    reason, said, is_accepted = _outcome(level, _at(last, 1))
    subject = unnamed if is_accepted and not because and not fault else named
    notice = Notice(position=position, reason=reason, detail=f"{subject} {said}{because}{fault}")
    told = {
        "level": level,
        "outcome_code": _code(last, 1, _TAG_OR_LETTER),
        "is_accepted": is_accepted,
        "error_codes": ":".join(errors) or None,
        "source_position": position,
    }
    return notice, told


def _outcome(level: str, code: str) -> tuple[str, str, bool | None]:
    """Reason, words and whether it was taken on, of an outcome code; neither for a group that was taken in part."""
    if code in _ACCEPTED:
        return f"{level}_accepted", f"was accepted{_ACCEPTED[code]}", True
    if code in _REJECTED:
        return f"{level}_rejected", f"was rejected{_REJECTED[code]}", False
    if code in _PARTLY and level == "group":
        return f"{level}_rejected", f"was accepted in part{_PARTLY[code]}", None
    return f"{level}_outcome_not_given", "is acknowledged, but its outcome is missing or unknown", None


def _first_fault(faults: list[list[str]]) -> str:
    """Where the first of `faults` (IK3 or AK3) lies, and how many there are."""
    if not faults:
        return ""
    tag, at = _safe(faults[0], 1, _TAG), _safe(faults[0], 2, re.compile(r"[0-9]{1,10}"))
    more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"; first error at segment {at} ({tag}){more}"


def _at(parts: list[str], index: int) -> str:
    return parts[index] if index < len(parts) else ""


def _code(parts: list[str], index: int, pattern: re.Pattern[str]) -> str | None:
    """An element that is a code and nothing else; None for any other, which may be anything."""
    value = _at(parts, index)
    return value if pattern.fullmatch(value) else None


def _safe(parts: list[str], index: int, pattern: re.Pattern[str]) -> str:
    """The same for a text that is shown: "not given"."""
    return _code(parts, index, pattern) or "not given"
