"""The envelope of a piece, segment by segment: which of its transactions may be read, which are refused, and why."""

import hashlib
from functools import lru_cache

from ingest.interface import Notice, Refusal
from ingest.sources.x12.content_totals import holding, money_adds_up
from ingest.sources.x12.envelope import Group, Piece
from ingest.sources.x12.guide_segments import GE, GS, HL, IEA, SE, ST
from ingest.sources.x12.transactions import (
    CLAIM_LEVELS,
    HASH_LENGTH,
    PATIENT_LEVELS,
    RECORD_TAG,
    STATUS_GUIDES,
    Transaction,
    Transactions,
)

CONTROL_NUMBER_WRONG = "control_number_wrong"
ENVELOPE_TAGS = frozenset({"ISA", "IEA", "GS", "GE", "ST", "SE", "TA1"})


def read_transactions(piece: Piece) -> Transactions:
    """Checks the envelope of a piece and gives every transaction of `RECORD_TAG` that holds together.

    Refused are transactions of another kind, those without an SE, and those whose SE counts or names something else:
    segments were lost or belong elsewhere, so its sums cannot be trusted. Other transactions of the file are read. Where only
    SE02 is wrong, SE01 is right and the money adds up, nothing was lost: such a transaction is read, with a notice.
    """
    walk = _Walk(piece)
    walk.run()
    transactions = walk.result
    for item in walk.transactions:
        if item.problem is not None and item.problem[0] == CONTROL_NUMBER_WRONG and _problem(item) is None:
            segments = piece.segments[item.first : item.end]
            if money_adds_up(item.kind, segments, piece.interchange.separators.element):
                transactions.notices.append(_read_nevertheless(piece, item))
                item.problem = None
        item.problem = item.problem or _problem(item)
        if item.problem is None:
            item.digest = _digest(piece, item)
            transactions.accepted.append(item)
        else:
            transactions.refusals.append(_refusal(piece, item))
    return transactions


def _digest(piece: Piece, item: Transaction) -> str:
    """A mark of the content between ST and SE. It does not depend on the separators: `*`, `:` and `^` stand for them."""
    body, separators = "~".join(piece.segments[item.first + 1 : item.end - 1]), piece.interchange.separators
    for separator, canonical in ((separators.element, "*"), (separators.component, ":"), (separators.repetition, "^")):
        if separator not in (None, canonical):
            body = body.replace(str(separator), canonical)
    return hashlib.sha256(body.encode()).hexdigest()[:HASH_LENGTH]


def _read_nevertheless(piece: Piece, item: Transaction) -> Notice:
    assert item.problem is not None
    return Notice(
        position=f"{item.position} (segment {piece.first + item.end - 1})",
        reason=CONTROL_NUMBER_WRONG,
        detail=f"{item.problem[1]}; the transaction was read, because SE01 is right and its money adds up",
    )


class _Walk:
    """Follows ISA, GS, ST, SE, GE and IEA through a piece and counts records on the way.

    Updates the interchange, checks every transaction against its SE, and reports segments outside any transaction. In a 277 only a
    TRN below a patient is a record: receivers and providers have a TRN too. In a 271 each level of a patient is one.
    """

    def __init__(self, piece: Piece) -> None:
        self.piece, self.interchange = piece, piece.interchange
        self.element = piece.interchange.separators.element
        self.result = Transactions(piece=piece, notices=list(piece.notices))
        self.transactions: list[Transaction] = []
        self.current: Transaction | None = None
        # Where segments outside any transaction began, and how many records are among them.
        self.stray_from: int | None = None
        self.stray_records = 0
        self.level = ""

    def run(self) -> None:
        """One pass over the segments that matter."""
        segments = self.piece.segments
        marks = _marks(self.element)
        for row, tag in [(row, marks[segment[:3]]) for row, segment in enumerate(segments) if segment[:3] in marks]:
            if tag in ENVELOPE_TAGS:
                self._envelope(row, tag, [part.strip() for part in segments[row].split(self.element)])
            elif tag == "HL":
                self.level = HL.value(segments[row].split(self.element, 4), "level_code").strip()
                if self.level in PATIENT_LEVELS and self.current is not None and self.current.kind == "271":
                    self.current.records += 1
            elif tag != "TRN" or self.level in CLAIM_LEVELS:
                self._record(tag)
        self._leave(len(segments), "")
        self._close()

    def _record(self, tag: str) -> None:
        if self.current is None:
            self.stray_records += 1
        elif RECORD_TAG.get(self.current.kind) == tag:
            self.current.records += 1

    def _envelope(self, row: int, tag: str, parts: list[str]) -> None:
        self._leave(row, tag)
        self.stray_from, self.stray_records = row + 1, 0
        interchange, notices = self.interchange, self.result.notices
        if tag == "GS":
            self._close_group(row)
            interchange.groups += 1
            interchange.group = _group(interchange.groups, parts)
        elif tag == "ST":
            self.level, self.stray_from = "", None
            self.current = self._opened(parts, row)
            self.transactions.append(self.current)
        elif tag == "SE" and self.current is None:
            notices.append(self._notice(row, "stray_se", "an SE segment has no ST before it"))
        elif tag == "SE" and self.current is not None:
            self.current.end = row + 1
            self.current.problem = _se_problem(self.current, parts)
            self.current = None
        elif tag == "GE":
            self._group_end(row, parts)
        elif tag == "IEA":
            self._interchange_end(row, parts)
        elif tag == "TA1":
            self.result.interchange_acknowledgements.append((self.piece.first + row, parts))

    def _leave(self, row: int, tag: str) -> None:
        """Ends the transaction, or the segments outside any, that an envelope segment or the end of the piece at `row` ends."""
        if self.current is not None and tag != "SE":
            self.current.end = row
            detail = "the transaction has no SE segment, so its end is missing"
            if row == self.current.first + 1:
                detail += f"; none of its segments ends in {self.interchange.separators.terminator!r}, the terminator of the ISA"
            self.current.problem = ("transaction_not_closed", detail)
            self.current = None
        elif self.stray_from is not None and row > self.stray_from:
            self._stray(self.stray_from, row)

    def _opened(self, parts: list[str], row: int) -> Transaction:
        interchange = self.interchange
        group = interchange.group if interchange.group and not interchange.group.closed else None
        if group is not None:
            group.transactions += 1
        return Transaction(
            interchange=interchange,
            group=group,
            ordinal=group.transactions if group else self.piece.first + row,
            kind=ST.value(parts, "transaction_kind"),
            control=ST.value(parts, "control_number"),
            version=ST.value(parts, "version") or (group.version if group else ""),
            first=row,
            end=row + 1,
            offset=self.piece.first,
            component=interchange.separators.component,
        )

    def _notice(self, row: int, reason: str, detail: str, records: int = 1) -> Notice:
        position = f"ISA {self.interchange.ordinal} (segment {self.piece.first + row})"
        return Notice(position=position, reason=reason, detail=detail, records=records)

    def _stray(self, row: int, end: int) -> None:
        """Segments outside any transaction: refused where records are among them, else only shown."""
        detail, reason = f"{end - row} segments are outside any transaction (ST to SE)", "segments_outside_transaction"
        if not self.stray_records:
            self.result.notices.append(self._notice(row, reason, f"{detail} and were not read", end - row))
            return
        self.result.refusals.append(
            Refusal(
                position=f"ISA {self.interchange.ordinal} (segment {self.piece.first + row})",
                reason=reason,
                detail=f"{detail}; {self.stray_records} of them begin a claim",
                records=self.stray_records,
                payload=_text(self.piece, row, end),
            )
        )

    def _group_end(self, row: int, parts: list[str]) -> None:
        group = self.interchange.group
        if group is None or group.closed:
            self.result.notices.append(self._notice(row, "stray_ge", "a GE segment has no GS before it"))
            return
        group.closed = True
        counted = GE.value(parts, "transaction_count").lstrip("0")
        if counted != str(group.transactions).lstrip("0") or GE.value(parts, "control_number") != group.control:
            detail = f"the count or the control number in GE is wrong; the group has {group.transactions} ST segments"
            self.result.notices.append(self._notice(row, "group_count_wrong", detail))

    def _interchange_end(self, row: int, parts: list[str]) -> None:
        interchange = self.interchange
        self._close_group(row)
        interchange.closed = True
        counted = IEA.value(parts, "group_count").lstrip("0")
        if counted != str(interchange.groups).lstrip("0") or IEA.value(parts, "control_number") != interchange.control:
            detail = (
                f"the count or the control number in IEA is wrong; the interchange has {interchange.groups} GS segments"
            )
            self.result.notices.append(self._notice(row, "interchange_count_wrong", detail))

    def _close_group(self, row: int) -> None:
        group = self.interchange.group
        if group is not None and not group.closed:
            group.closed = True
            self.result.notices.append(self._notice(row, "group_not_closed", "a GS segment has no GE"))

    def _close(self) -> None:
        if self.piece.last and not self.interchange.closed:
            row = len(self.piece.segments)
            self._close_group(row)
            self.result.notices.append(self._notice(row, "interchange_not_closed", "the ISA segment has no IEA"))


@lru_cache(maxsize=64)
def _marks(element: str) -> dict[str, str]:
    """First three characters of the segments that matter, and the identifier they stand for."""
    tags = {*ENVELOPE_TAGS, *RECORD_TAG.values(), "HL"}
    return {head[:3]: tag for tag in tags for head in (tag, tag + element)}


def _group(ordinal: int, parts: list[str]) -> Group:
    return Group(
        ordinal=ordinal,
        sender=GS.value(parts, "sender"),
        receiver=GS.value(parts, "receiver"),
        control=GS.value(parts, "control_number"),
        date=GS.value(parts, "date"),
        time=GS.value(parts, "time"),
        version=GS.value(parts, "version"),
    )


def _se_problem(item: Transaction, parts: list[str]) -> tuple[str, str] | None:
    counted = item.end - item.first
    segment_count = SE.value(parts, "segment_count")
    if segment_count.lstrip("0") != str(counted):
        is_number = segment_count.isdigit() and len(segment_count) < 11
        shown = segment_count if is_number else "something that is not a number"
        return "segment_count_wrong", f"SE01 says {shown}, but the transaction has {counted} segments"
    if SE.value(parts, "control_number") != item.control:
        return CONTROL_NUMBER_WRONG, "the control number in SE02 is not the one in ST02"
    return None


def _problem(item: Transaction) -> tuple[str, str] | None:
    """Why a transaction with a correct SE is not read; None where it is read."""
    if item.kind not in RECORD_TAG:
        kind = item.kind if item.kind.isdigit() and len(item.kind) == 3 else "unknown"
        return "transaction_not_in_model", f"transaction {kind} is not read; 835, 837, 277, 271, 999 and 997 are"
    if item.kind == "277" and item.guide not in STATUS_GUIDES:
        guides = " or ".join(f"005010{guide}" for guide in STATUS_GUIDES)
        return "transaction_not_in_model", f"this transaction 277 does not follow {guides}"
    if item.kind == "837" and item.records == 0:
        return "transaction_without_claims", "the transaction has no claim (CLM segment)"
    return None


def _refusal(piece: Piece, item: Transaction) -> Refusal:
    assert item.problem is not None
    return Refusal(
        position=f"{item.position} (segment {piece.first + item.first})",
        reason=item.problem[0],
        detail=item.problem[1],
        records=max(item.records, 1),
        payload=_text(piece, item.first, item.end),
        holding=holding(item.kind, piece.segments[item.first : item.end], piece.interchange.separators.element),
    )


def _text(piece: Piece, first: int, end: int) -> bytes:
    """Segments as they were sent, without line ends."""
    terminator = piece.interchange.separators.terminator
    return (terminator.join(piece.segments[first:end]) + terminator).encode()
