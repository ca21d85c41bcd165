"""999, 997 and TA1: whether transactions, groups and interchanges were accepted, as rows and notices.

They name what they acknowledge by control numbers and never name a claim. dbt finds the claims by the same numbers of the 837.
Each AK2 is one record and gives a row of acknowledgement and a notice. So does a group without AK2, and a TA1 (which is not a
record, because it is outside any transaction). A rejected transaction takes all its claims with it, so it must be seen. The bad data
that an IK4 repeats may name a patient: it is never read.
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
from ingest.sources.x12.guide_segments import AK1, AK2, AK3, AK5, AK9, IK3, IK5, TA1, Segment
from ingest.sources.x12.segments import BatchRows, Placed
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
_PLACE = re.compile(r"[0-9]{1,10}")
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
) -> BatchRows:
    """Rows and notices of 999 and 997 transactions that share their separators.

    Notices: transaction_accepted and transaction_rejected for each AK2, transaction_outcome_not_given where its IK5 or AK5
    is missing or unknown, group_accepted, group_rejected or group_outcome_not_given where no AK2 is sent at all.
    """
    del component_separator
    result = BatchRows()
    parts = pl.Series([item.part for item in placed], dtype=pl.Int32)
    result.dropped_fields = count_unused(segments.with_columns(part=parts.gather(segments["txn"])), separator, USED)
    rows: list[dict[str, Any]] = []
    for item in placed:
        split = [[part.strip() for part in segment.split(separator)] for segment in item.segments]
        rows += _of_transaction(item, split, zone, result)
    result.rows = {"acknowledgement": _frame(rows)}
    return result


def read_interchange_acknowledgements(items: Transactions, part: int, zone: ZoneInfo) -> BatchRows:
    """A row and a notice for each TA1 of a piece: interchange_accepted, interchange_rejected, interchange_outcome_not_given."""
    result = BatchRows()
    rows = []
    interchange = items.piece.interchange
    for number, parts in items.interchange_acknowledgements:
        note = _shown(parts, TA1, "note_code", _NOTE)
        control_number = _shown(parts, TA1, "interchange_control_number", _CONTROL_NUMBER)
        reason, outcome, is_accepted = _outcome("interchange", TA1.value(parts, "outcome_code"))
        because = "" if note in ("000", "not given") else f"; note code {note}"
        position = f"ISA {interchange.ordinal} TA1 (segment {number})"
        detail = f"interchange with control number {control_number} {outcome}{because}"
        result.notices.append((part, Notice(position=position, reason=reason, detail=detail)))
        made = local_time(interchange.date, interchange.time, zone)
        rows.append(
            {
                "part": part,
                "acknowledgement_id": _identifier(interchange, "", *parts),
                "level": "interchange",
                "interchange_control_number": _code(parts, TA1, "interchange_control_number", _CONTROL_NUMBER),
                "outcome_code": _code(parts, TA1, "outcome_code", _TAG_OR_LETTER),
                "is_accepted": is_accepted,
                "error_codes": note if because else None,
                "reported_at": made,
                "source_updated_at": made,
                "source_position": position,
            }
        )
    result.rows = {"acknowledgement": _frame(rows)} if rows else {}
    return result


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA).with_columns(source_record_id="acknowledgement_id")


def _identifier(interchange: Interchange, group: str, *parts: str) -> str:
    """The same id when the same interchange is delivered again. Date and time are part of it, because control numbers repeat."""
    content = (interchange.sender, interchange.control, interchange.date, interchange.time, group, *parts)
    return hashlib.sha256("\x1f".join(content).encode()).hexdigest()[:24]


def _of_transaction(item: Placed, segments: list[list[str]], zone: ZoneInfo, result: BatchRows) -> list[dict[str, Any]]:
    """Rows of one transaction; its notices are added to `result`."""
    transaction = item.transaction
    group = next((parts for parts in segments if parts[0] == AK1.tag), [])
    made = transaction.sent_at(zone)
    base = {
        "part": item.part,
        "group_control_number": _code(group, AK1, "group_control_number", _CONTROL_NUMBER),
        "receiver_code": transaction.group.receiver or None if transaction.group else None,
        "reported_at": made,
        "source_updated_at": made,
    }
    key = (transaction.group.control if transaction.group else "", transaction.control, transaction.digest)
    rows = []
    starts = [index for index, parts in enumerate(segments) if parts[0] == AK2.tag]
    closing = [parts for parts in segments if parts[0] == AK9.tag]
    if closing or not starts:
        at = f"{transaction.position} (segment {transaction.number})"
        group_number = _shown(group, AK1, "group_control_number", _CONTROL_NUMBER)
        named = f"the group with control number {group_number}"
        notice, row = _acknowledged(at, "group", named, "a group", closing, "")
        rows.append(base | row | {"acknowledgement_id": _identifier(transaction.interchange, *key, "0")})
        if not starts:
            result.notices.append((item.part, notice))
    for ordinal, (start, end) in enumerate(zip(starts, [*starts[1:], len(segments)], strict=False), 1):
        opening = segments[start]
        closing = [parts for parts in segments[start:end] if parts[0] in (IK5.tag, AK5.tag)]
        faults = [parts for parts in segments[start:end] if parts[0] in (IK3.tag, AK3.tag)]
        kind = f"transaction {_shown(opening, AK2, 'transaction_kind', _KIND)}"
        named = f"{kind} with control number {_shown(opening, AK2, 'control_number', _CONTROL_NUMBER)}"
        at = f"{transaction.position} AK2 {ordinal} (segment {transaction.number + start})"
        notice, row = _acknowledged(at, "transaction", named, f"a {kind}", closing, _first_fault(faults))
        result.notices.append((item.part, notice))
        row |= {
            "acknowledgement_id": _identifier(transaction.interchange, *key, str(ordinal)),
            "transaction_kind": _code(opening, AK2, "transaction_kind", _KIND),
            "transaction_control_number": _code(opening, AK2, "control_number", _CONTROL_NUMBER),
        }
        rows.append(base | row)
    return rows


def _acknowledged(
    position: str, level: str, named: str, unnamed: str, closing: list[list[str]], fault: str
) -> tuple[Notice, dict[str, Any]]:
    """The outcome in the last segment of `closing` (IK5, AK5 or AK9), as a notice and as part of a row. `named` names the
    transaction or group; if it was accepted without an error, `unnamed` is used, so that such notices are counted as one."""
    last = closing[-1] if closing else []
    layout = AK9 if level == "group" else IK5
    errors = [part for part in last[layout.number("first_error_code") :] if _ERROR.fullmatch(part)]
    because = f"; error codes {', '.join(errors)}" if errors else ""
    reason, outcome, is_accepted = _outcome(level, layout.value(last, "outcome_code"))
    subject = unnamed if is_accepted and not because and not fault else named
    notice = Notice(position=position, reason=reason, detail=f"{subject} {outcome}{because}{fault}")
    row = {
        "level": level,
        "outcome_code": _code(last, layout, "outcome_code", _TAG_OR_LETTER),
        "is_accepted": is_accepted,
        "error_codes": ":".join(errors) or None,
        "source_position": position,
    }
    return notice, row


def _outcome(level: str, code: str) -> tuple[str, str, bool | None]:
    """Reason, text, and whether it was accepted (None for a group accepted in part, and for an unknown code)."""
    if code in _ACCEPTED:
        return f"{level}_accepted", f"was accepted{_ACCEPTED[code]}", True
    if code in _REJECTED:
        return f"{level}_rejected", f"was rejected{_REJECTED[code]}", False
    if code in _PARTLY and level == "group":
        return f"{level}_rejected", f"was accepted in part{_PARTLY[code]}", None
    return f"{level}_outcome_not_given", "is acknowledged, but its outcome is missing or unknown", None


def _first_fault(faults: list[list[str]]) -> str:
    """The place of the first of `faults` (IK3 or AK3), and their number."""
    if not faults:
        return ""
    tag, at = _shown(faults[0], IK3, "segment_tag", _TAG), _shown(faults[0], IK3, "segment_position", _PLACE)
    more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"; first error at segment {at} ({tag}){more}"


def _code(parts: list[str], layout: Segment, name: str, pattern: re.Pattern[str]) -> str | None:
    """An element that has the form of its code; None for any other text, which may name a person."""
    value = layout.value(parts, name)
    return value if pattern.fullmatch(value) else None


def _shown(parts: list[str], layout: Segment, name: str, pattern: re.Pattern[str]) -> str:
    """The same for a text that is shown; "not given" for any other text."""
    return _code(parts, layout, name, pattern) or "not given"
