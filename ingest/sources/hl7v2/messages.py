"""HL7 v2 bytes into messages: framing, envelopes, delimiters, encodings.

A file may hold one message or many, in FHS / BHS envelopes or none, ended by CR, LF or CRLF, in MLLP frames, with a
byte-order mark. What is broken around the messages is a notice; what makes a message unreadable is its refusal.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingest.interface import Notice, Refusal, UnreadableUnit
from ingest.profiles import HL7v2Profile

_HEADERS = (b"FHS", b"BHS")
_TRAILERS = (b"BTS", b"FTS")
# ISA and an element separator: X12, whose segments look like those of HL7 v2.
_INTERCHANGE = re.compile(rb"ISA[^A-Za-z0-9\s|].{2}")
_SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}[^A-Za-z0-9\s]")
# Character sets of HL7 table 0211, as MSH-18 names them, to codecs; ISO 8859 parts are read off their number.
_CHARACTER_SETS = {"": "utf-8", "ASCII": "utf-8", "UNICODE UTF-8": "utf-8", "UTF-8": "utf-8", "UTF8": "utf-8"}


_STANDARD = HL7v2Profile()


@dataclass(slots=True)
class Message:
    """One message: its segments as text, delimiters, and the fields of its MSH.

    `position` names the number of the message and the number in the file of its MSH segment, `record` sender and control id.
    `changed` is when the source recorded the event; messages are ordered by it: EVN-2, else MSH-7 (an interface engine that
    sends a day's messages again may write a new MSH-7). `offset` is the offset from UTC in MSH-7 ("-0800"), None where it has
    none. `has_nulls` where the message empties a field (""). `content` is the message as received. `profile` describes the
    words and habits of the sender.
    """

    position: str
    record: str
    content: bytes
    segments: list[str]
    field_separator: str
    component: str
    repetition: str
    escape: str
    subcomponent: str
    kind: str
    trigger: str
    sender: str
    control: str
    sent: str | None
    changed: str | None
    offset: str | None
    has_nulls: bool
    profile: HL7v2Profile = _STANDARD


@dataclass(slots=True)
class Raw:
    """Segments that belong together, as received: a message, or a run without an MSH."""

    lines: list[bytes]
    first: int
    interrupted: bool = False


@dataclass
class Framing:
    """The state of reading a file: envelope counts, as declared and as counted."""

    notices: list[Notice] = field(default_factory=list)
    segments: int = 0
    in_file: bool = False
    in_batch: bool = False
    batches: int = 0
    in_batch_messages: int = 0

    def note(self, reason: str, detail: str) -> None:
        self.notices.append(Notice(position=f"segment {self.segments}", reason=reason, detail=detail))


def raw_messages(blocks: Iterable[bytes], framing: Framing) -> Iterator[Raw]:
    """Runs of segments, one a message, of a file's bytes. Raises UnreadableUnit where the file is empty or no HL7 v2."""
    current: Raw | None = None
    after_header = False
    for line in _lines(blocks):
        framing.segments += 1
        tag = line[:3]
        if tag == b"MSH":
            if current is not None:
                yield current
            current, after_header = Raw(lines=[line], first=framing.segments), False
            framing.in_batch_messages += framing.in_batch
        elif tag in _HEADERS:
            after_header = current is not None
            _envelope(framing, tag.decode(), line)
        elif tag in _TRAILERS:
            if current is not None:
                yield current
            current, after_header = None, False
            _envelope(framing, tag.decode(), line)
        elif current is None:
            current = Raw(lines=[line], first=framing.segments)
        else:
            # Segments after a header and without an MSH may belong to another message, whose MSH was lost.
            current.interrupted |= after_header
            current.lines.append(line)
    if current is not None:
        yield current
    if framing.in_batch:
        framing.note("batch_not_closed", "a batch header (BHS) has no trailer (BTS)")
    if framing.in_file:
        framing.note("file_not_closed", "a file header (FHS) has no trailer (FTS)")


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Segments without their line ends and frame bytes. A segment is never cut at the end of a block."""
    remainder, started = b"", False
    for block in blocks:
        data = remainder + block
        if not started:
            data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x0b\x00")
            if not data:
                continue
            _check_start(data)
            started = True
        flat = data.replace(b"\r\n", b"\r").replace(b"\n", b"\r").replace(b"\x0b", b"\r").replace(b"\x1c", b"\r")
        *lines, remainder = flat.split(b"\r")
        yield from (line for line in lines if line and not line.isspace())
    if remainder.strip(b" \x00\x1a\xef\xbb\xbf"):
        yield remainder
    if not started:
        raise UnreadableUnit(
            reason="file_empty",
            position="byte 0",
            problem="the file is empty",
            remedy="Ask the sender for the file again",
        )


def _check_start(data: bytes) -> None:
    if _INTERCHANGE.match(data):
        raise UnreadableUnit(
            reason="file_is_x12",
            position="byte 0",
            problem="the file is an X12 interchange",
            remedy="Set the feed's kind to x12, or move the file",
        )
    if not _SEGMENT.match(data):
        raise UnreadableUnit(
            reason="file_is_not_hl7v2",
            position="byte 0",
            problem="the file does not begin with an HL7 v2 segment",
            remedy="Check that the feed's kind is right and that the file was not changed in transfer",
        )


def _number(line: bytes) -> int | None:
    """The count in BTS-1 or FTS-1; None where none is given."""
    parts = line.split(line[3:4] or b"|")
    number = parts[1].strip() if len(parts) > 1 else b""
    return int(number) if number.isdigit() and len(number) < 10 else None


def _envelope(framing: Framing, tag: str, line: bytes) -> None:
    if tag == "FHS":
        if framing.in_file:
            framing.note("file_header_inside_file", "a second FHS comes before the FTS of the first")
        framing.in_file, framing.batches = True, 0
    elif tag == "BHS":
        if framing.in_batch:
            framing.note("batch_header_inside_batch", "a second BHS comes before the BTS of the first")
        framing.in_batch, framing.in_batch_messages = True, 0
        framing.batches += 1
    elif tag == "BTS":
        number = _number(line)
        if not framing.in_batch:
            framing.note("batch_trailer_without_header", "a batch trailer (BTS) has no header (BHS)")
        elif number is not None and number != framing.in_batch_messages:
            framing.note(
                "batch_count_wrong", f"BTS-1 says {number}, but the batch has {framing.in_batch_messages} messages"
            )
        framing.in_batch = False
    else:
        number = _number(line)
        if framing.in_batch:
            framing.note("batch_not_closed", "a batch header (BHS) has no trailer (BTS)")
            framing.in_batch = False
        if not framing.in_file:
            framing.note("file_trailer_without_header", "a file trailer (FTS) has no header (FHS)")
        elif number is not None and framing.batches and number != framing.batches:
            framing.note("file_count_wrong", f"FTS-1 says {number}, but the file has {framing.batches} batches")
        framing.in_file = False


def parse(raw: Raw, ordinal: int, notices: list[Notice]) -> Message | Refusal:
    """A message, or why it cannot be read."""
    head = raw.lines[0]
    if head[:3] != b"MSH":
        return _refused(raw, ordinal, "no_msh", "no MSH segment stands before these segments")
    if raw.interrupted:
        return _refused(
            raw, ordinal, "message_interrupted", "a file or batch header (FHS, BHS) stands inside the message"
        )
    separator, marks = head[3:4], head[4:8]
    if len(marks) < 4 or separator.isalnum() or separator.isspace() or not separator.isascii():
        return _refused(raw, ordinal, "msh_unreadable", "the MSH segment does not state its delimiters")
    if separator in marks:
        # Fewer than four encoding characters: what is not declared is as the standard recommends.
        declared = marks.split(separator)[0]
        marks = declared + b"^~\\&"[len(declared) :]
    if not marks.isascii() or any(map(bytes.isalnum, (marks[:1], marks[1:2], marks[2:3], marks[3:]))):
        return _refused(raw, ordinal, "msh_unreadable", "the MSH segment does not state its delimiters")
    content = b"\r".join(raw.lines)
    text = _decode(raw, content, separator, ordinal, notices)
    segments = text.split("\r")
    mark = separator.decode()
    parts = segments[0].split(mark)
    parts += [""] * (12 - len(parts))
    component, repetition, escape, subcomponent = (chr(byte) for byte in marks)
    named = [*parts[8].split(component), ""]
    sent = parts[6].split(component)[0] or None
    sender, control = "/".join(part.split(component)[0] for part in parts[2:4]), parts[9].strip()
    position = f"message {ordinal} (segment {raw.first})"
    return Message(
        position=position,
        record=f"{sender}/{control or position}",
        content=content,
        segments=segments,
        field_separator=mark,
        component=component,
        repetition=repetition,
        escape=escape,
        subcomponent=subcomponent,
        kind=named[0].strip(),
        trigger=named[1].strip(),
        sender=sender,
        control=control,
        sent=sent,
        changed=_recorded(segments, mark, component, sent),
        offset=_offset(sent),
        has_nulls='""' in text,
    )


def _offset(sent: str | None) -> str | None:
    """The offset at the end of a time, which is the zone of all times of the message without one (HL7 v2.5.1, 2.15.9.7)."""
    ending = sent[-5:] if sent is not None else ""
    return ending if ending[:1] in ("+", "-") and ending[1:].isdigit() and len(ending) == 5 else None


def _recorded(segments: list[str], separator: str, component: str, sent: str | None) -> str | None:
    """EVN-2 if it has a time and is not MSH-7 without its seconds, else MSH-7."""
    for segment in segments[1:4]:
        if segment[:3] != "EVN" or segment[3:4] != separator:
            continue
        parts = segment.split(separator, 3)
        recorded = parts[2].split(component)[0].strip() if len(parts) > 2 else ""
        if not recorded[:12].isdigit() or len(recorded) < 12:
            return sent
        is_rounded = sent is not None and sent.startswith(recorded[:12]) and not recorded[12:14].isdigit()
        return sent if is_rounded else recorded
    return sent


def _decode(raw: Raw, data: bytes, separator: bytes, ordinal: int, notices: list[Notice]) -> str:
    """Text by the character set of MSH-18; ISO 8859-1, with a notice, where the bytes are not that."""
    if data.isascii():
        return data.decode("ascii")
    head = raw.lines[0].split(separator)
    named = head[17].split(b"~")[0].decode("ascii", "replace").strip().upper() if len(head) > 17 else ""
    codec = _CHARACTER_SETS.get(named)
    if codec is None:
        part = named.removeprefix("8859/")
        codec = f"iso8859-{part}" if part.isdigit() and 1 <= int(part) <= 16 and int(part) != 12 else "utf-8"
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        position = f"message {ordinal} (segment {raw.first})"
        notices.append(
            Notice(
                position=position,
                reason="encoding_differs",
                detail="the text is not in the character set that MSH-18 names; it was read as ISO 8859-1",
            )
        )
        return data.decode("latin-1")


def _refused(raw: Raw, ordinal: int, reason: str, detail: str) -> Refusal:
    return Refusal(
        position=f"message {ordinal} (segment {raw.first})",
        reason=reason,
        detail=detail,
        payload=b"\r".join(raw.lines),
    )


def refuse(message: Message, reason: str, detail: str) -> Refusal:
    """The refusal of a message that could be taken apart."""
    return Refusal(position=message.position, reason=reason, detail=detail, payload=message.content)
