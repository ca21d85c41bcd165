"""The envelope of an X12 file: interchanges (ISA to IEA), their separators, and pieces of whole transactions.

Bytes in, `Piece` out. A piece lies within one interchange and never cuts a transaction, so that memory is bounded by
the largest transaction and not by the file. Line ends after (or within) segments carry no meaning and are removed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.interface import Notice, Unit, UnreadableUnit
from ingest.sources.files import READ_BYTES, read_blocks
from ingest.sources.x12.guide_segments import ISA

# About the size of a piece: large enough for column operations to pay, small beside the memory budget.
PIECE_BYTES = 8 << 20
# A transaction is needed whole. One that does not end within this is refused: guides ask for a few megabytes at most.
LARGEST_TRANSACTION_BYTES = 128 << 20
ISA_LENGTH = 106
_ISA_ELEMENTS = 16
# Bytes that may stand before an ISA: byte-order mark, blanks, line ends, and the padding of mainframe files.
_PADDING = b"\xef\xbb\xbf \t\r\n\x00\x1a"
_PADDED = re.compile(b"[" + _PADDING + b"]*")
# The fixed widths of ISA01 to ISA07. An interchange begins wherever this occurs, even inside a segment that was cut short.
_STRICT_ISA = re.compile(rb"ISA([^\w\s]).{2}\1.{10}\1.{2}\1.{10}\1.{2}\1.{15}\1.{2}\1", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Separators:
    """Separators of one interchange, one character each. `repetition` is None before version 00402, where ISA11 has another
    meaning."""

    element: str
    component: str
    repetition: str | None
    terminator: str


@dataclass(kw_only=True)
class Interchange:
    """One ISA of the landed file `unit`. `groups` counts the GS segments read so far.

    `date` and `time` are those of ISA09 and ISA10.
    """

    ordinal: int
    unit: str
    separators: Separators
    sender: str
    control: str
    date: str = ""
    time: str = ""
    groups: int = 0
    closed: bool = False
    group: "Group | None" = None


@dataclass(kw_only=True)
class Group:
    """One GS: sender GS02, receiver GS03, control number GS06, date GS04, time GS05, version GS08.

    `transactions` counts its ST segments.
    """

    ordinal: int
    sender: str
    receiver: str
    control: str
    date: str
    time: str
    version: str
    transactions: int = 0
    closed: bool = False


@dataclass(kw_only=True)
class Piece:
    """Segments of one interchange, as text without terminators; `first` is the number in the file of the first one.

    `last` is set on the piece that ends the interchange. `size` is its bytes.
    """

    interchange: Interchange
    segments: list[str]
    first: int
    last: bool
    size: int = 0
    notices: list[Notice] = field(default_factory=list)


class _Buffer:
    """The bytes of a file. Those from `at` on are not yet used; `used` counts the bytes that are."""

    def __init__(self, unit: Unit) -> None:
        self._blocks = read_blocks(unit)
        self.data = b""
        self.at = 0
        self.ended = False
        self.used = 0

    @property
    def held(self) -> int:
        return len(self.data) - self.at

    def fill(self, size: int) -> None:
        """Reads on until `size` bytes are there, or the unit ends."""
        if self.held >= size or self.ended:
            return
        # Used bytes are dropped only when new ones come. Else a file of many small interchanges would copy the rest each time.
        blocks = [self.data[self.at :]]
        held = len(blocks[0])
        while held < size and not self.ended:
            block = next(self._blocks, b"")
            self.ended = not block
            blocks.append(block)
            held += len(block)
        self.data, self.at = b"".join(blocks), 0

    def peek(self, size: int) -> bytes:
        """The next bytes, left where they are."""
        return self.data[self.at : self.at + size]

    def take(self, size: int) -> bytes:
        """The next bytes, used."""
        taken = self.peek(size)
        self.at += len(taken)
        self.used += len(taken)
        return taken

    def skip_padding(self) -> None:
        """Uses the padding between interchanges."""
        while True:
            self.fill(READ_BYTES)
            match = _PADDED.match(self.data, self.at)
            self.take(match.end() - self.at if match else 0)
            if self.held or self.ended:
                return


def read_separators(head: bytes, *, at: int) -> tuple[Separators, list[str], Notice | None]:
    """Separators and the elements of the ISA that `head` begins with.

    Elements are found by the element separator (the byte after "ISA"), not by position. So an ISA whose elements are a character
    too short or too long is still read, with a notice, as long as sixteen elements end in two separators and a GS, TA1 or IEA
    follows. Blanks before the segment terminator are skipped, with a notice. Otherwise raises UnreadableUnit, which names the
    terminator where that is the fault.
    """
    element = head[3:4]
    if not element or element.isalnum() or element.isspace():
        raise _damaged_isa(at, "its element separator is not a separator")
    parts = head[: 4 * ISA_LENGTH].split(element, _ISA_ELEMENTS)
    if len(parts) <= _ISA_ELEMENTS or len(parts[-1]) < 2:
        raise _damaged_isa(at, "it has fewer than 16 elements and two separators")
    component, terminator, blanks, follows = _last_element(parts[-1], element)
    # Files wrapped at a fixed width have line ends within segments, the ISA included.
    unwrapped = [part.translate(None, b"\r\n") for part in parts[:-1]]
    length = len(element.join(unwrapped)) + len(element + component + terminator)
    if terminator == element or terminator.isalnum() or terminator == b" " or not terminator.isascii():
        raise _damaged_isa(at, f"its segment terminator is {_named(terminator)}")
    if component in (element, terminator) or not component.isascii():
        raise _damaged_isa(at, f"its component separator is {_named(component)}")
    if length != ISA_LENGTH and not _begins_a_segment(follows, element) and follows.strip():
        what = f"it has {length} characters instead of {ISA_LENGTH}"
        raise _damaged_isa(at, f"{what}, and no GS follows its segment terminator, {_named(terminator)}")
    elements = [part.decode("latin-1").strip() for part in unwrapped]
    notice = None
    if length != ISA_LENGTH:
        detail = f"the ISA segment has {length} characters instead of {ISA_LENGTH}; it was read by its separators"
        notice = Notice(position=f"byte {at}", reason="isa_wrong_length", detail=detail)
    elif blanks:
        detail = f"a blank stands before each segment terminator, {_named(terminator)}; it was left out"
        notice = Notice(position=f"byte {at}", reason="blank_before_terminator", detail=detail)
    repetition = ISA.value(elements, "repetition_separator")
    has_repetition = ISA.value(elements, "version") >= "00402" and len(repetition) == 1
    separators = Separators(
        element=element.decode(),
        component=component.decode(),
        repetition=repetition if has_repetition else None,
        terminator=terminator.decode(),
    )
    return separators, elements, notice


def _last_element(remainder: bytes, element: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """What follows the last element separator of an ISA: component separator, segment terminator, blanks between the two, and
    the bytes after the terminator.

    Some senders put a blank before every terminator. By position the blank would be the terminator, which would cut names into
    segments. So the first character that is not a blank is the terminator if a segment follows it.
    """
    component, tail = remainder[:1], remainder[1:]
    stripped = tail.lstrip(b" ")
    blanks, after = tail[: len(tail) - len(stripped)], stripped[1:]
    if blanks and stripped and (_begins_a_segment(after, element) or not after.strip()):
        return component, stripped[:1], blanks, after
    return component, tail[:1], b"", tail[1:]


def _begins_a_segment(text: bytes, element: bytes) -> bool:
    """Whether `text` begins, after line ends and blanks, with a segment that may follow an ISA."""
    return text.lstrip(b"\r\n\t ").startswith((b"GS" + element, b"TA1" + element, b"IEA" + element))


def _named(separator: bytes) -> str:
    """A separator as a message names it. A letter or digit is not repeated, because it may be the first of a name."""
    names = {b" ": "a blank", b"\t": "a tab", b"\r": "a carriage return", b"\n": "a line feed", b"": "missing"}
    if separator.isalnum():
        return "a letter or a digit"
    if not separator.isascii() or not (separator.decode().isprintable() or separator in names):
        return f"byte 0x{separator.hex()}"
    return names.get(separator, f"'{separator.decode()}'")


def _damaged_isa(at: int, what: str) -> UnreadableUnit:
    return UnreadableUnit(
        reason="isa_damaged",
        position=f"byte {at}",
        problem=f"the ISA segment is damaged: {what}",
        remedy="Ask the sender for the interchange again",
    )


def _next_isa(data: bytes, start: int, terminator: bytes) -> int:
    """Where the interchange after the one at `start` begins; -1 for nowhere."""
    at = data.find(b"ISA", start + 3)
    while at >= 0:
        before = data[max(start, at - 80) : at].rstrip(_PADDING)
        after = data[at + 3 : at + 4]
        if _STRICT_ISA.match(data, at) or (before.endswith(terminator) and after and not after.isalnum()):
            return at
        at = data.find(b"ISA", at + 3)
    return -1


def _last_transaction(data: bytes, start: int, separators: Separators, before: int) -> int:
    """Where the last ST segment between `start` and `before` begins; `start` where there is none to cut at."""
    opening = b"ST" + separators.element.encode()
    terminator = separators.terminator.encode()
    best = start
    for between in (b"", b"\n", b"\r\n", b"\r"):
        at = data.rfind(terminator + between + opening, start, before)
        if at >= 0:
            best = max(best, at + len(terminator + between))
    return best


def _split(data: bytes, interchange: Interchange, notices: list[Notice], first: int) -> list[str]:
    """Segments without terminators, line ends and blanks around them; empty ones are left out."""
    flat = data.translate(None, b"\r\n\x00\x1a" if interchange.separators.terminator not in "\r\n" else b"\x00\x1a")
    try:
        text = flat.decode("utf-8")
    except UnicodeDecodeError:
        # X12 names no encoding; Windows systems send Latin-1 where a name has an accent.
        text = flat.decode("latin-1")
        notices.append(
            Notice(
                position=f"segment {first}",
                reason="not_utf8",
                detail="the file is not valid UTF-8; it was read as ISO 8859-1",
            )
        )
    return list(filter(None, map(str.strip, text.split(interchange.separators.terminator))))


def pieces(unit: Unit) -> Iterator[Piece]:
    """Every interchange of a unit in pieces of whole transactions.

    Raises UnreadableUnit for an empty file, one that does not begin with ISA, or one whose ISA cannot be read or names a
    terminator that ends no segment.
    """
    buffer = _Buffer(unit)
    number, ordinal = 1, 0
    while True:
        buffer.skip_padding()
        if not buffer.held:
            break
        if buffer.peek(3) != b"ISA":
            raise UnreadableUnit(
                reason="isa_missing",
                position=f"byte {buffer.used}",
                problem="the file does not begin with an ISA segment, so its separators and sender are unknown",
                remedy="Ask the sender for the file with its whole envelope, from ISA to IEA",
            )
        ordinal, start = ordinal + 1, buffer.used
        buffer.fill(8 * ISA_LENGTH)
        separators, elements, notice = read_separators(buffer.peek(8 * ISA_LENGTH), at=start)
        interchange = Interchange(
            ordinal=ordinal,
            unit=unit.name,
            separators=separators,
            sender=ISA.value(elements, "sender"),
            control=ISA.value(elements, "control_number"),
            date=ISA.value(elements, "date"),
            time=ISA.value(elements, "time"),
        )
        notices = [notice] if notice else []
        for data, last in _interchange_bytes(buffer, separators):
            segments = _split(data, interchange, notices, number)
            if last and len(segments) == 2 and f"ST{separators.element}" in segments[1]:
                raise _damaged_isa(
                    start, f"no segment ends in {_named(separators.terminator.encode())}, its terminator"
                )
            yield Piece(
                interchange=interchange, segments=segments, first=number, last=last, size=len(data), notices=notices
            )
            number += len(segments)
            notices = []
    if ordinal == 0:
        raise UnreadableUnit(
            reason="file_empty",
            position="byte 0",
            problem="the file is empty",
            remedy="Ask the sender for the file again",
        )


def _interchange_bytes(buffer: _Buffer, separators: Separators) -> Iterator[tuple[bytes, bool]]:
    """The bytes of one interchange, cut before an ST where it is large."""
    wanted = PIECE_BYTES
    while True:
        buffer.fill(wanted)
        next_isa = _next_isa(buffer.data, buffer.at, separators.terminator.encode())
        end = buffer.held if next_isa < 0 and buffer.ended else next_isa - buffer.at
        if 0 <= end <= wanted:
            yield buffer.take(end), True
            return
        cut = _last_transaction(buffer.data, buffer.at, separators, buffer.at + wanted) - buffer.at
        if cut > 0:
            yield buffer.take(cut), False
            wanted = PIECE_BYTES
        elif wanted >= LARGEST_TRANSACTION_BYTES:
            raise UnreadableUnit(
                reason="transaction_too_large",
                position=f"byte {buffer.used}",
                problem=f"a transaction does not end within {LARGEST_TRANSACTION_BYTES >> 20} megabytes",
                remedy="Ask the sender for transactions of a few thousand claims each",
            )
        else:
            # One transaction is larger than a piece. It is needed whole, because its SE decides whether it counts.
            wanted *= 2
