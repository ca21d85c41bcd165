"""Transactions (ST to SE) of a piece: which of them may be read, which are refused and why, and their segments.

`read_transactions` gives, for the transactions that hold together, one frame of segments with these columns:

| column  | type   | meaning |
|---------|--------|---------|
| segment | String | the segment without its terminator |
| tag     | String | its identifier ("CLM") |
| number  | Int64  | its number in the file, from 1 |
| txn     | Int32  | index into the list of transactions |
| within  | Int64  | its number in the transaction, ST being 0 |
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.base import Notice, Refusal
from ingest.sources.x12_envelope import Group, Interchange, Piece

ENVELOPE_TAGS = ("ISA", "IEA", "GS", "GE", "ST", "SE", "TA1")
# The segment that stands for one record, by transaction; of a 277 only where it names a claim (see `_records`).
RECORD_TAG = {"835": "CLP", "837": "CLM", "277": "TRN", "999": "AK2", "997": "AK2"}
# HL03 of the levels of a 277 that name claims: subscriber, dependent, patient.
CLAIM_LEVELS = ("22", "23", "PT")
# The 277 guides that are read: claim acknowledgement and claim status response. Others ask for documents or list what
# is pending, in the same segments with other meanings.
STATUS_GUIDES = ("X214", "X212")
_HASH_LENGTH = 16


@dataclass(kw_only=True)
class Transaction:
    """One ST. `first` and `end` are rows of the piece (SE included, end excluded).

    `records` is the number of segments that stand for one record (`RECORD_TAG`). `digest` is of the segments between ST
    and SE, so that it is the same when the same content is sent again in another envelope. `component` is the component
    separator really used.
    """

    interchange: Interchange
    group: Group | None
    ordinal: int
    kind: str
    control: str
    version: str
    first: int
    end: int
    records: int = 0
    digest: str = ""
    component: str = ""
    problem: tuple[str, str] | None = None

    @property
    def position(self) -> str:
        group = f" GS {self.group.ordinal}" if self.group else ""
        return f"ISA {self.interchange.ordinal}{group} ST {self.control}"

    @property
    def guide(self) -> str:
        """The number of the implementation guide in ST03, else GS08: "X222" of "005010X222A1"."""
        return self.version[6:10]

    @property
    def submission_key(self) -> str:
        """Names this sending of these claims: the same file read again gives the same key, a resubmission another.

        The file's name is part of it, because nothing else tells apart two files that hold the same interchange, and
        each is a submission; whether a file that comes again under another name is read at all is the ledger's affair.
        """
        interchange = self.interchange
        group = (self.group.ordinal, self.group.control) if self.group else (0, "")
        parts = (interchange.unit, interchange.sender, interchange.control, *group, self.ordinal, self.control)
        digest = hashlib.sha256("\x1f".join(map(str, (*parts, self.digest))).encode()).hexdigest()[:_HASH_LENGTH]
        return f"{interchange.control}-{self.control}-{digest}"

    def sent_at(self, zone: ZoneInfo, date: str | None = None, time: str | None = None) -> datetime | None:
        """Date and time of the transaction, given or else of its group, local in `zone`, as UTC; None where invalid."""
        found = local_time(date, time, zone)
        if found is None and self.group is not None:
            found = local_time(self.group.date, self.group.time, zone)
        return found


def local_time(date: str | None, time: str | None, zone: ZoneInfo) -> datetime | None:
    """CCYYMMDD (or YYMMDD) and HHMM[SS...] local in `zone` as UTC. A time that is none counts as midnight."""
    if date is None or not date.isdigit() or len(date) not in (6, 8):
        return None
    try:
        day = datetime.strptime(date if len(date) == 8 else f"20{date}", "%Y%m%d").replace(tzinfo=zone)
        utc = ZoneInfo("UTC")
        if time and time.isdigit() and len(time) >= 4:
            hours, minutes, seconds = int(time[:2]), int(time[2:4]), int(time[4:6] or 0)
            if hours < 24 and minutes < 60 and seconds < 60:
                day = day.replace(hour=hours, minute=minutes, second=seconds)
        return day.astimezone(utc)
    except (ValueError, OverflowError):
        return None


@dataclass(kw_only=True)
class Transactions:
    """What one piece holds. `segments` are those of `accepted`, whose `txn` is the index into it."""

    segments: pl.DataFrame
    accepted: list[Transaction]
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def hierarchy_level(element: str) -> pl.Expr:
    """HL03 of the level each segment lies in; null before the first of a transaction."""
    own = pl.col("segment").str.split(element).list.get(3, null_on_oob=True).str.strip_chars().fill_null("")
    opened = pl.when(pl.col("tag") == "HL").then(own).when(pl.col("tag") == "ST").then(pl.lit(""))
    level = opened.forward_fill()
    return pl.when(level != "").then(level)


def _records(frame: pl.DataFrame, element: str) -> dict[str, pl.Series]:
    """By kind of transaction, which segments of a piece stand for a record.

    A TRN of a 277 does so below a patient only: receivers and providers have one too.
    """
    marks = {kind: frame["tag"] == tag for kind, tag in RECORD_TAG.items()}
    # Levels are sought only where there can be such a TRN: claims have levels and no TRN, remittances the reverse.
    if marks["277"].any() and (frame["tag"] == "HL").any():
        marks["277"] &= frame.select(hierarchy_level(element).is_in(CLAIM_LEVELS).fill_null(False)).to_series()
    else:
        marks["277"] = pl.repeat(False, frame.height, eager=True)
    return marks


def read_transactions(piece: Piece) -> Transactions:
    """Checks the envelope of a piece and gives the segments of every transaction of `RECORD_TAG` that holds together.

    Refused are transactions of another kind, those without an SE, and those whose SE counts or names something else:
    segments were lost or belong elsewhere, so that its sums cannot be trusted. The others of the file go on.
    """
    element = piece.interchange.separators.element
    frame = pl.DataFrame({"segment": piece.segments}).with_columns(
        tag=pl.col("segment").str.head(3).str.strip_chars_end(element),
    )
    found = Transactions(segments=frame, accepted=[], notices=list(piece.notices))
    records = _records(frame, element)
    everything = _walk_envelope(piece, frame.with_columns(is_record=pl.any_horizontal(*records.values())), found)
    _check_closing(piece, found)
    counts = {kind: marks.cum_sum() for kind, marks in records.items()}
    for item in everything:
        item.records = _count(counts[item.kind], item.first, item.end) if item.kind in counts else 0
        item.problem = item.problem or _problem(item)
        if item.problem is None:
            item.digest = _digest(frame["segment"], item)
            found.accepted.append(item)
        else:
            found.refusals.append(_refusal(piece, item, frame["segment"]))
    found.segments = _segments(piece, frame, found.accepted)
    _find_components(found, element)
    return found


def _walk_envelope(piece: Piece, frame: pl.DataFrame, found: Transactions) -> list[Transaction]:
    """Follows ISA, GS, ST, SE, GE and IEA; updates the interchange; gives every transaction, checked against its SE."""
    interchange, element = piece.interchange, piece.interchange.separators.element
    rows = frame.with_row_index("row").filter(pl.col("tag").is_in(ENVELOPE_TAGS)).select("row", "tag", "segment").rows()
    rows.append((frame.height, "", ""))
    result: list[Transaction] = []
    current: Transaction | None = None
    stray_from: int | None = None
    for row, tag, segment in rows:
        parts = [part.strip() for part in segment.split(element)]
        if current is not None and tag != "SE":
            current.end = row
            current.problem = ("transaction_not_closed", "has no SE segment: its end is missing")
            current = None
        elif stray_from is not None and row > stray_from:
            _stray(piece, frame, found, stray_from, row)
        stray_from = row + 1
        if tag == "GS":
            _close_group(piece, found, row)
            interchange.groups += 1
            interchange.group = Group(
                ordinal=interchange.groups,
                control=_at(parts, 6),
                date=_at(parts, 4),
                time=_at(parts, 5),
                version=_at(parts, 8),
            )
        elif tag == "ST":
            current = _opened(interchange, parts, row)
            result.append(current)
            stray_from = None
        elif tag == "SE":
            if current is None:
                found.notices.append(_envelope_notice(piece, row, "stray_se", "an SE segment closes no transaction"))
            else:
                current.end = row + 1
                current.problem = _se_problem(current, parts)
                current = None
        elif tag == "GE":
            _check_count(piece, found, row, parts, interchange.group)
        elif tag == "IEA":
            _check_iea(piece, found, row, parts)
    return result


def _at(parts: list[str], index: int) -> str:
    return parts[index] if index < len(parts) else ""


def _opened(interchange: Interchange, parts: list[str], row: int) -> Transaction:
    group = interchange.group if interchange.group and not interchange.group.closed else None
    if group is not None:
        group.transactions += 1
    return Transaction(
        interchange=interchange,
        group=group,
        ordinal=group.transactions if group else row,
        kind=_at(parts, 1),
        control=_at(parts, 2),
        version=_at(parts, 3) or (group.version if group else ""),
        first=row,
        end=row + 1,
        component=interchange.separators.component,
    )


def _se_problem(item: Transaction, parts: list[str]) -> tuple[str, str] | None:
    counted = item.end - item.first
    given, control = _at(parts, 1), _at(parts, 2)
    if not given.isdigit() or int(given) != counted:
        said = given if given.isdigit() and len(given) < 11 else "no number"
        return "segment_count_wrong", f"SE01 says {said}, the transaction has {counted} segments"
    if control != item.control:
        return "control_number_wrong", "SE02 is not the control number of the ST it closes"
    return None


def _problem(item: Transaction) -> tuple[str, str] | None:
    """Why a transaction that is closed properly is not read all the same."""
    if item.kind not in RECORD_TAG:
        kind = item.kind if item.kind.isdigit() and len(item.kind) == 3 else "unknown"
        return "transaction_not_in_model", f"transaction {kind} is none of 835, 837, 277, 999 and 997"
    if item.kind == "277" and item.guide not in STATUS_GUIDES:
        guides = " and ".join(f"005010{guide}" for guide in STATUS_GUIDES)
        return "transaction_not_in_model", f"transaction 277 follows none of the guides {guides}"
    if item.kind == "837" and item.records == 0:
        return "transaction_without_claims", "holds no CLM segment"
    return None


def _refusal(piece: Piece, item: Transaction, segments: pl.Series) -> Refusal:
    assert item.problem is not None
    return Refusal(
        position=f"{item.position} (segment {piece.first + item.first})",
        reason=item.problem[0],
        detail=item.problem[1],
        records=max(item.records, 1),
        payload=_text(piece, segments.slice(item.first, item.end - item.first)),
    )


def _count(running: pl.Series, first: int, end: int) -> int:
    return int(running[end - 1]) - (int(running[first - 1]) if first else 0)


def _digest(segments: pl.Series, item: Transaction) -> str:
    body = segments.slice(item.first + 1, item.end - item.first - 2).str.join("~").item()
    return hashlib.sha256(body.encode()).hexdigest()[:_HASH_LENGTH]


def _envelope_notice(piece: Piece, row: int, reason: str, detail: str, records: int = 1) -> Notice:
    position = f"ISA {piece.interchange.ordinal} (segment {piece.first + row})"
    return Notice(position=position, reason=reason, detail=detail, records=records)


def _stray(piece: Piece, frame: pl.DataFrame, found: Transactions, row: int, end: int) -> None:
    """Segments outside any transaction: refused where records are among them, else only shown."""
    segments = frame.slice(row, end - row)
    records = int(segments["is_record"].sum())
    detail = f"{segments.height} segments lie outside any transaction"
    if not records:
        found.notices.append(
            _envelope_notice(piece, row, "segments_outside_transaction", f"{detail} and are not read", segments.height)
        )
        return
    found.refusals.append(
        Refusal(
            position=f"ISA {piece.interchange.ordinal} (segment {piece.first + row})",
            reason="segments_outside_transaction",
            detail=f"{detail}, {records} of them records",
            records=records,
            payload=_text(piece, segments["segment"]),
        )
    )


def _text(piece: Piece, segments: pl.Series) -> bytes:
    """Segments as they were sent, without line ends."""
    terminator = piece.interchange.separators.terminator
    return (str(segments.str.join(terminator).item()) + terminator).encode()


def _check_count(piece: Piece, found: Transactions, row: int, parts: list[str], group: Group | None) -> None:
    if group is None or group.closed:
        found.notices.append(_envelope_notice(piece, row, "stray_ge", "a GE segment closes no group"))
        return
    group.closed = True
    if _at(parts, 1).lstrip("0") != str(group.transactions).lstrip("0") or _at(parts, 2) != group.control:
        detail = f"the count or control number of GE is wrong; the group has {group.transactions} ST segments"
        found.notices.append(_envelope_notice(piece, row, "group_count_wrong", detail))


def _check_iea(piece: Piece, found: Transactions, row: int, parts: list[str]) -> None:
    interchange = piece.interchange
    _close_group(piece, found, row)
    interchange.closed = True
    if _at(parts, 1).lstrip("0") != str(interchange.groups).lstrip("0") or _at(parts, 2) != interchange.control:
        detail = f"the count or control number of IEA is wrong; the interchange has {interchange.groups} GS segments"
        found.notices.append(_envelope_notice(piece, row, "interchange_count_wrong", detail))


def _close_group(piece: Piece, found: Transactions, row: int) -> None:
    group = piece.interchange.group
    if group is not None and not group.closed:
        group.closed = True
        found.notices.append(_envelope_notice(piece, row, "group_not_closed", "a GS has no GE"))


def _check_closing(piece: Piece, found: Transactions) -> None:
    if piece.last and not piece.interchange.closed:
        row = len(piece.segments)
        _close_group(piece, found, row)
        found.notices.append(_envelope_notice(piece, row, "interchange_not_closed", "the ISA has no IEA"))


def _segments(piece: Piece, frame: pl.DataFrame, accepted: list[Transaction]) -> pl.DataFrame:
    spans = pl.DataFrame(
        {"first": [item.first for item in accepted], "end": [item.end for item in accepted]},
        schema={"first": pl.Int64, "end": pl.Int64},
    ).with_row_index("txn")
    rows = spans.select(pl.col("txn").cast(pl.Int32), "first", row=pl.int_ranges("first", "end")).explode("row")
    rows = rows.filter(pl.col("row").is_not_null())
    return frame.select(pl.all().gather(rows["row"])).hstack(
        rows.select(number=pl.col("row") + piece.first, txn="txn", within=pl.col("row") - pl.col("first"))
    )


def _composites(element: str) -> Iterator[tuple[str, pl.Expr]]:
    """Where composites stand whose second separator is known by position: after a qualifier of two characters."""
    for tag, index in (("SVC", 1), ("SV1", 1), ("SV2", 2), ("SV3", 1), ("CLM", 5), ("STC", 1)):
        yield tag, pl.col("segment").str.split(element).list.get(index, null_on_oob=True)


def _find_components(found: Transactions, element: str) -> None:
    """Finds transactions that use another component separator than ISA16 declares, as some translators do.

    The first procedure or facility composite of a transaction tells: two characters, then the separator.
    """
    probes = [
        found.segments.filter(pl.col("tag") == tag)
        .unique("txn", keep="first", maintain_order=True)
        .select("txn", "number", composite=composite)
        for tag, composite in _composites(element)
    ]
    probe = pl.concat(probes).with_columns(used=pl.col("composite").str.extract(r"^\w\w([^\w\s.\-])"))
    telling = probe.filter(pl.col("used").is_not_null()).sort("number").unique("txn", keep="first", maintain_order=True)
    for txn, number, composite, used in telling.iter_rows():
        item = found.accepted[txn]
        declared = item.interchange.separators.component
        if used != declared and declared not in composite:
            item.component = used
            found.notices.append(
                Notice(
                    position=f"{item.position} (segment {number})",
                    reason="component_separator_differs",
                    detail=f"composites are separated by {used!r}, the ISA declares {declared!r}",
                )
            )
