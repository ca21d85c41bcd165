"""The acknowledgements of a listener (HL7 v2 chapter 2), in the sender's delimiters and character set.

Original mode (MSH-15 and MSH-16 empty): AA, AE, AR. Enhanced mode: CA, CE, CR where MSH-15 asks for them, else AA, AE, AR where
MSH-16 does; one acknowledgement a message. A accepted and on disk; E could not be kept now, send it again; R will never be
taken as it is. The answer is built of bytes, so that what it repeats of the sender's is exactly what was sent; it repeats
applications, facilities and the control id without control characters, and nothing of the message's content.
"""

import itertools
import re
import time
from dataclasses import dataclass

ACCEPTED, FAILED, REJECTED = "A", "E", "R"
KINDS = (b"ADT", b"SIU", b"DFT")
_VERSIONS = tuple(f"2.{minor}".encode() for minor in range(1, 10))
_STANDARD = (b"|", b"^~\\&")
_MAXIMUM_MARKS = 5  # the field separator's four companions, and the truncation character of 2.7
_SERIAL = itertools.count(1)
# C0, DEL, and C1 in UTF-8: a terminal that shows the answer would act on them.
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message is not taken: a code of HL7 table 0357, where in the MSH, and words without content of the message."""

    code: int
    name: str
    text: str
    field: int | None = None
    will_never_do: bool = True


NO_MSH = Problem(100, "Segment sequence error", "the message does not begin with an MSH segment")
NO_DELIMITERS = Problem(102, "Data type error", "the MSH segment does not say its delimiters", 2)
SEVERAL_MESSAGES = Problem(
    100, "Segment sequence error", "the frame holds a second MSH, BHS or FHS: one message a frame"
)
NO_TYPE = Problem(101, "Required field missing", "MSH-9 does not name a message type and an event", 9)
WRONG_TYPE = Problem(200, "Unsupported message type", "only ADT, SIU and DFT are taken here", 9)
WRONG_VERSION = Problem(203, "Unsupported version id", "versions 2.1 to 2.9 are taken", 12)
WRONG_APPLICATION = Problem(103, "Table value not found", "MSH-5 names another receiving application", 5)
TOO_LARGE = Problem(102, "Data type error", "the message is larger than this listener takes")
NOT_KEPT = Problem(207, "Application internal error", "the message could not be written; send it again", None, False)
BUSY = Problem(207, "Application internal error", "too much is waiting here; send it again later", None, False)


@dataclass(frozen=True, slots=True)
class Header:
    """The MSH of a message, taken apart as bytes. `fields[n]` is MSH-n; a field that was not sent is empty."""

    fields: tuple[bytes, ...]
    separator: bytes
    component: bytes
    subcomponent: bytes

    @property
    def control(self) -> bytes:
        return self.fields[10]

    @property
    def sender(self) -> bytes:
        """Sending application and facility (MSH-3, MSH-4), their first components."""
        return b"/".join(part.split(self.component)[0] for part in self.fields[3:5])


def read_header(message: bytes, receiving_application: str | None = None) -> tuple[Header, Problem | None]:
    """The header of a message, and the reason why the message is not accepted, or None. Unreadable delimiters are replaced by
    the standard ones."""
    message = message.removeprefix(b"\xef\xbb\xbf").lstrip()
    if message[:3] != b"MSH":
        return _nothing(), NO_MSH
    line = message.replace(b"\n", b"\r").split(b"\r", 1)[0]
    separator = line[3:4]
    marks = line[4:].split(separator, 1)[0] if separator else b""
    if (
        not _can_separate(separator)
        or not 1 <= len(marks) <= _MAXIMUM_MARKS
        or not all(map(_can_separate, _each(marks)))
    ):
        return _nothing(), NO_DELIMITERS
    fields = [b"MSH", separator, *(_CONTROL_CHARACTERS.sub(b"", sent) for sent in line[4:].split(separator))]
    fields += [b""] * (19 - len(fields))
    marks += b"^~\\&"[len(marks) :]
    header = Header(tuple(fields), separator, marks[:1], marks[3:4])
    return header, _problem(header, message, receiving_application)


def _problem(header: Header, message: bytes, receiving_application: str | None) -> Problem | None:
    unread = message.replace(b"\n", b"\r")
    if any(b"\r" + tag + header.separator in unread for tag in (b"MSH", b"BHS", b"FHS")):
        return SEVERAL_MESSAGES
    kind, _, event = header.fields[9].partition(header.component)
    if kind.strip() not in KINDS:
        return WRONG_TYPE if kind.strip() else NO_TYPE
    if not event.split(header.component)[0].strip():
        return NO_TYPE
    version = header.fields[12].split(header.component)[0].strip()
    if version and not version.startswith(_VERSIONS):
        return WRONG_VERSION
    application = header.fields[5].split(header.component)[0].strip()
    if receiving_application is not None and application != receiving_application.encode():
        return WRONG_APPLICATION
    return None


def acknowledgement(header: Header, outcome: str, problem: Problem | None = None) -> bytes | None:
    """The answer to a message, without its frame; None where the sender wants none.

    `outcome` is ACCEPTED, FAILED or REJECTED.
    """
    letter = _letter(header, outcome)
    if letter is None:
        return None
    field_separator, component_separator = header.separator, header.component
    version = header.fields[12].split(component_separator)[0].strip()
    event = header.fields[9].split(component_separator)[1:2]
    kind = b"ACK" if not event or version in (b"2.1", b"2.2") else component_separator.join([b"ACK", event[0], b"ACK"])
    now = time.strftime("%Y%m%d%H%M%S+0000", time.gmtime()).encode()
    # 20 characters are what MSH-10 may hold in every version.
    control = f"{time.time_ns() // 1000:x}{next(_SERIAL) % 0x100000:05x}".encode()
    sent = header.fields
    msh = [b"MSH", sent[2], sent[5], sent[6], sent[3], sent[4], now, b"", kind, control, sent[11] or b"P", sent[12]]
    if sent[18]:
        msh += [b"", b"", b"", b"", b"", sent[18]]
    msa = [b"MSA", (letter + outcome).encode(), header.control]
    segments = [msh, msa]
    if problem is not None:
        msa.append(problem.text.encode())
        segments.append(_err(header, problem, version))
    return b"".join(field_separator.join(segment) + b"\r" for segment in segments)


def _letter(header: Header, outcome: str) -> str | None:
    """C or A, or None where this outcome is not asked for (HL7 table 0155: AL always, NE never, ER errors, SU success)."""
    accept, application = (header.fields[index].split(header.component)[0].strip().upper() for index in (15, 16))
    if not accept and not application:
        return "A"
    wanted = {b"AL", b"SU" if outcome == ACCEPTED else b"ER"}
    if accept in wanted:
        return "C"
    # NE for the first and nothing for the second, or a condition that is not met: the sender wants no acknowledgement.
    return "A" if accept in (b"", b"NE") and application in wanted else None


def _err(header: Header, problem: Problem, version: bytes) -> list[bytes]:
    """ERR as of 2.5 (place, code, severity, words); before, one field of place and code."""
    two = header.component
    place = b"" if problem.field is None else two.join([b"MSH", b"1", str(problem.field).encode()])
    number, name = str(problem.code).encode(), problem.name.encode()
    if version[:3] in (b"2.1", b"2.2", b"2.3", b"2.4"):
        code = header.subcomponent.join([number, name, b"HL70357"])
        return [b"ERR", two.join([place or two.join([b"", b"", b""]), code])]
    return [b"ERR", b"", place, two.join([number, name, b"HL70357"]), b"E", b"", b"", b"", problem.text.encode()]


def _nothing() -> Header:
    separator, marks = _STANDARD
    return Header((b"MSH", separator, marks, *[b""] * 16), separator, marks[:1], marks[3:4])


def _each(marks: bytes) -> list[bytes]:
    return [marks[index : index + 1] for index in range(len(marks))]


def _can_separate(mark: bytes) -> bool:
    return len(mark) == 1 and mark.isascii() and not mark.isalnum() and not mark.isspace() and b" " < mark < b"\x7f"
