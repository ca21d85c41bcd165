"""Transactions (ST to SE) of a piece, as `walk` finds them, and when they were made."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from ingest.interface import Notice, Refusal
from ingest.sources.x12.envelope import Group, Interchange, Piece

# The segment that stands for one record, by transaction; of a 277 only where it names a claim, of a 271 where it names a patient
# (see `walk`).
RECORD_TAG = {"835": "CLP", "837": "CLM", "277": "TRN", "271": "HL", "999": "AK2", "997": "AK2"}
# HL03 of the levels of a 277 that name claims: subscriber, dependent, patient.
CLAIM_LEVELS = ("22", "23", "PT")
# HL03 of the levels of a 271 that are about a patient: subscriber, dependent.
PATIENT_LEVELS = ("22", "23")
# The 277 guides that are read: claim acknowledgement and claim status response. Others ask for documents or list what
# is pending, in the same segments with other meanings.
STATUS_GUIDES = ("X214", "X212")
HASH_LENGTH = 16


@dataclass(kw_only=True)
class Transaction:
    """One ST. `first` and `end` are places in the piece's segments (SE included, end excluded), `offset` is the number in
    the file of the piece's first segment.

    `records` is the number of segments that stand for one record (`RECORD_TAG`). `digest` is a mark of the segments between ST
    and SE: it is the same when the same content is sent again in another envelope or with other separators.
    `component` is the component separator that is really used.
    """

    interchange: Interchange
    group: Group | None
    ordinal: int
    kind: str
    control: str
    version: str
    first: int
    end: int
    offset: int
    records: int = 0
    digest: str = ""
    component: str = ""
    problem: tuple[str, str] | None = None

    @property
    def position(self) -> str:
        group = f" GS {self.group.ordinal}" if self.group else ""
        return f"ISA {self.interchange.ordinal}{group} ST {self.control}"

    @property
    def number(self) -> int:
        """The number of its ST in the file."""
        return self.offset + self.first

    @property
    def separators(self) -> tuple[str, str]:
        """Element and component separator."""
        return self.interchange.separators.element, self.component

    @property
    def guide(self) -> str:
        """The number of the implementation guide in ST03, else GS08: "X222" of "005010X222A1"."""
        return self.version[6:10]

    @property
    def submission_key(self) -> str:
        """The id of this submission: of the file, the sender, the control numbers ISA13, GS06 and ST02, the place in the interchange,
        and the content.

        Other separators and line ends do not change it. The file's name is part of it: two files with the same interchange are two
        submissions, because it is not known whether the second is a copy or was sent again. Claims are still billed once.
        """
        interchange = self.interchange
        group = (self.group.ordinal, self.group.control) if self.group else (0, "")
        parts = (interchange.unit, interchange.sender, interchange.control, *group, self.ordinal, self.control)
        digest = hashlib.sha256("\x1f".join(map(str, (*parts, self.digest))).encode()).hexdigest()[:HASH_LENGTH]
        return f"{interchange.control}-{self.control}-{digest}"

    def sent_at(self, zone: ZoneInfo, date: str | None = None, time: str | None = None) -> datetime | None:
        """`date` and `time`, or else those of the group, local in `zone`, as UTC; None where neither is valid."""
        moment = local_time(date, time, zone)
        if moment is None and self.group is not None:
            moment = local_time(self.group.date, self.group.time, zone)
        return moment


@lru_cache(maxsize=4096)
def local_time(date: str | None, time: str | None, zone: ZoneInfo) -> datetime | None:
    """CCYYMMDD (or YYMMDD) and HHMM[SS...], local in `zone`, as UTC; midnight without a valid time, None without a valid date."""
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
    """The content of one piece. `interchange_acknowledgements` are its TA1 segments, split, with their numbers in the file."""

    piece: Piece
    accepted: list[Transaction] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    interchange_acknowledgements: list[tuple[int, list[str]]] = field(default_factory=list)

    def segments(self, item: Transaction) -> list[str]:
        """The segments of one of its transactions, ST to SE."""
        return self.piece.segments[item.first : item.end]
