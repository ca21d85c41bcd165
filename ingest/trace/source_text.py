"""Opens a `source_position`: the message, segments, resource or line of the original file that a row was read from.

    unit 63: message 2 (segment 7)                      HL7 v2: the message; `message 4711` of a listener's journal
    unit 88: line 17 / entry 3 / resource / line 2 entry 1     FHIR: the resource
    unit 245: ISA 1 GS 1 ST 0004 CLP 2 SVC 1 (segment 58)      X12: the loop that begins at the segment, its claim before it
    unit 109: row 12                                    a table: nothing to open, the row as landed is all there is

The unit's number leads to the file through the ledger. A file is opened only if its bytes are those that were landed (SHA-256), so
that no name, link or position leads anywhere else. What is found is the message as received: code that shows it to anybody but an
administrator masks it first (`ingest.trace.source_masks`).
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import orjson
import sqlalchemy as sa

from foundation.config import Config, Feed
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.accounts import file_mark
from ingest.inbox import mllp_journal
from ingest.inbox.inbox import Inbox
from ingest.ledger import Ledger
from ingest.sources import Unit, UnreadableUnit
from ingest.sources.fhir.files import is_document, read_document, read_lines
from ingest.sources.files import base_of, read_blocks
from ingest.sources.hl7v2.messages import Framing, Message, parse, raw_messages
from ingest.sources.x12.envelope import pieces

OPENED, TABLE, GONE, CHANGED, UNKNOWN = "opened", "table", "gone", "changed", "unknown"
_POSITION = re.compile(r"unit ([0-9]{1,15}): ([\x20-\x7e]{1,200})")
_MESSAGE = re.compile(r"message ([0-9]{1,15})(?: \(segment [0-9]{1,15}\))?")
_STEP = re.compile(r"(line|entry) ([0-9]{1,15})|resource")
_X12 = re.compile(r"ISA ([0-9]{1,9})(?: GS [0-9]{1,9})?(?: (ST|TA1)(?: (\S{1,20}))?)?.* ?\(segment ([0-9]{1,15})\)")
# The segment that a position names, and those that end what belongs to it. Any other stands for itself.
_CLAIM_ENDS = frozenset({"CLP", "LX", "TS2", "TS3", "PLB", "SE"})
_ENDS = {
    "ST": frozenset({"LX", "HL", "CLP", "CLM", "AK2", "PLB", "SE"}),
    "CLP": _CLAIM_ENDS,
    "SVC": _CLAIM_ENDS | {"SVC"},
    "CLM": frozenset({"CLM", "HL", "SE"}),
    "LX": frozenset({"LX", "CLM", "HL", "CLP", "SE"}),
    **{tag: frozenset({"LX", "SV1", "SV2", "SV3", "CLM", "HL", "SE"}) for tag in ("SV1", "SV2", "SV3")},
    "TRN": frozenset({"TRN", "HL", "SE"}),
    "AK2": frozenset({"AK2", "AK9", "SE"}),
}
# The segments around a segment: shown before it, to name its claim or line.
_WITHIN = {
    "SVC": ("CLP",),
    "CAS": ("CLP", "SVC"),
    "SV1": ("CLM",),
    "SV2": ("CLM",),
    "SV3": ("CLM",),
    "LX": ("CLM",),
    "STC": ("TRN",),
}
_CLOSES = {
    "CLP": _CLAIM_ENDS,
    "CLM": frozenset({"HL", "SE"}),
    "SVC": _CLAIM_ENDS | {"SVC"},
    "TRN": frozenset({"HL", "SE"}),
}


@dataclass(frozen=True, kw_only=True)
class SourceText:
    """The content at a position. `state` is opened, table (only the landed row), gone (the file is no longer there), changed
    (the file has other bytes now) or unknown (the feed is no longer configured, or the position is not in the file).

    `content` holds, by `kind`, segments (hl7v2 and x12, with their separators) or one JSON value (fhir). `mark` is shown for
    the file's name. `explanation` is a sentence for a person if the state is not opened.
    """

    kind: str
    feed: str
    mark: str
    position: str
    state: str
    explanation: str = ""
    segments: tuple[str, ...] = field(default=(), repr=False)
    separators: tuple[str, ...] = ()
    resource: Any = field(default=None, repr=False)


def open_position(
    home: Home, keys: Keys, ledger: Ledger, config: Config, tenant_id: str, source_position: str
) -> SourceText:
    """Opens a position of a tenant's row. Raises ClinicmartError if it is not a position, or not one of this tenant."""
    match = _POSITION.fullmatch(source_position)
    if match is None:
        raise ClinicmartError("the row's position does not have the form that readers write")
    unit_id, place = int(match.group(1)), match.group(2)
    mine = (tables.unit.c.unit_id == unit_id) & (tables.unit.c.tenant_id == tenant_id)
    rows = ledger.rows(sa.select(tables.unit).where(mine))
    if not rows:
        raise ClinicmartError(f"the ledger has no unit {unit_id} of this tenant")
    return _open(home, keys, config, rows[0], source_position, place)


def mark_of(keys: Keys, ledger: Ledger, tenant_id: str, source_position: str) -> str:
    """The text shown for the file of a position (`ingest.accounts.accounts.file_mark`), or the table's name; a dash where it is
    unknown."""
    match = _POSITION.fullmatch(source_position)
    if match is None:
        return "-"
    mine = (tables.unit.c.unit_id == int(match.group(1))) & (tables.unit.c.tenant_id == tenant_id)
    rows = ledger.rows(sa.select(tables.unit.c.name, tables.unit.c.fingerprint).where(mine))
    if not rows:
        return "-"
    return file_mark(keys, tenant_id, rows[0]["name"]) if rows[0]["fingerprint"] else str(rows[0]["name"])


def _open(home: Home, keys: Keys, config: Config, unit: dict[str, Any], source_position: str, place: str) -> SourceText:
    tenant_id, name = unit["tenant_id"], unit["name"]
    feed = _feed(config, tenant_id, unit["feed"])
    kind = feed.kind if feed is not None else "unknown"
    is_journal = feed is not None and feed.listen is not None
    mark = file_mark(keys, tenant_id, name) if unit["fingerprint"] else name
    common: dict[str, Any] = {"kind": kind, "feed": unit["feed"], "mark": mark, "position": source_position}
    if feed is None:
        return SourceText(**common, state=UNKNOWN, explanation="The feed is no longer in the configuration.")
    if unit["fingerprint"] is None and not is_journal:
        return SourceText(
            **common, state=TABLE, explanation="A row of a table: what was landed is all that is kept of it."
        )
    inbox = Inbox.of(home, keys, feed) if feed.server or feed.listen else None
    try:
        if is_journal:
            assert inbox is not None
            return _journal(common, inbox, place)
        path = _path(feed, inbox, name)
        state = _state(path, unit["fingerprint"])
        if state != OPENED:
            sentences = {
                GONE: "The file is no longer where it was read; what was landed of it is shown.",
                CHANGED: "The file is not the one that was read: its bytes differ; what was landed is shown.",
            }[state]
            return SourceText(**common, state=state, explanation=sentences)
        read = Unit(feed=feed, name=name, path=path, size_bytes=path.stat().st_size, inbox=inbox)
        return _READERS[kind](common, read, place) if kind in _READERS else _not_found(common)
    except (UnreadableUnit, OSError):
        return SourceText(
            **common, state=GONE, explanation="The file cannot be read any more; what was landed is shown."
        )


def _feed(config: Config, tenant_id: str, name: str) -> Feed | None:
    try:
        return next((feed for feed in config.tenant(tenant_id).feeds if feed.name == name), None)
    except ConfigurationError:
        return None


def _path(feed: Feed, inbox: Inbox | None, name: str) -> Path:
    """The path of a unit's file. Raises UnreadableUnit for a name that leads out of the feed's folder."""
    parts = PurePath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise UnreadableUnit(
            reason="file_not_readable", position="", problem="the name leads elsewhere", remedy="Restore the ledger"
        )
    return inbox.path(name) if inbox is not None else base_of(feed) / name


def _state(path: Path, fingerprint: str) -> str:
    try:
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return GONE
    return OPENED if digest == fingerprint else CHANGED


def _not_found(common: dict[str, Any]) -> SourceText:
    sentence = "The position is not in the file as readers read it today; what was landed is shown."
    return SourceText(**common, state=UNKNOWN, explanation=sentence)


def _message(common: dict[str, Any], message: Message) -> SourceText:
    marks = (message.field_separator, message.component, message.repetition, message.escape, message.subcomponent)
    return SourceText(**common, state=OPENED, segments=tuple(message.segments), separators=marks)


def _hl7v2(common: dict[str, Any], unit: Unit, place: str) -> SourceText:
    wanted = _MESSAGE.fullmatch(place)
    if wanted is None:
        return _not_found(common)
    for ordinal, raw in enumerate(raw_messages(read_blocks(unit), Framing()), start=1):
        if ordinal == int(wanted.group(1)):
            message = parse(raw, ordinal, [])
            return _message(common, message) if isinstance(message, Message) else _not_found(common)
    return _not_found(common)


def _journal(common: dict[str, Any], inbox: Inbox, place: str) -> SourceText:
    wanted = _MESSAGE.fullmatch(place)
    content = mllp_journal.read_message(inbox, int(wanted.group(1))) if wanted is not None else None
    if content is None:
        return SourceText(**common, state=GONE, explanation="The message is no longer in the listener's journal.")
    for raw in raw_messages((content,), Framing()):
        message = parse(raw, 1, [])
        return _message(common, message) if isinstance(message, Message) else _not_found(common)
    return _not_found(common)


def _fhir(common: dict[str, Any], unit: Unit, place: str) -> SourceText:
    steps = list(_STEP.finditer(place))
    if " ".join(step.group(0) for step in steps) != place:
        return _not_found(common)
    assert unit.path is not None
    value: Any
    if is_document(unit.path.name):
        value = read_document(unit.path, unit.size_bytes, unit.inbox)
    elif steps[0].group(1) == "line":
        value = _line(unit, int(steps.pop(0).group(2)))
    else:
        return _not_found(common)
    for step in steps:
        if step.group(1) == "entry":
            entries = value.get("entry") if isinstance(value, dict) else None
            number = int(step.group(2))
            if not isinstance(entries, list) or not 1 <= number <= len(entries):
                return _not_found(common)
            entry = entries[number - 1]
            value = entry.get("resource", entry) if isinstance(entry, dict) else entry
    if value is None:
        return _not_found(common)
    return SourceText(**common, state=OPENED, resource=value)


def _line(unit: Unit, number: int) -> Any:
    assert unit.path is not None
    before = 0
    for lines in read_lines(unit.path, unit.size_bytes, unit.inbox):
        if before < number <= before + len(lines):
            try:
                return orjson.loads(lines[number - before - 1])
            except orjson.JSONDecodeError:
                return None
        before += len(lines)
    return None


def _x12(common: dict[str, Any], unit: Unit, place: str) -> SourceText:
    wanted = _X12.fullmatch(place)
    if wanted is None:
        return _not_found(common)
    ordinal, number = int(wanted.group(1)), int(wanted.group(4))
    for piece in pieces(unit):
        at = number - piece.first
        if piece.interchange.ordinal != ordinal or not 0 <= at < len(piece.segments):
            continue
        element = piece.interchange.separators.element
        if wanted.group(2) == "ST" and _control(piece.segments, at, element) != wanted.group(3):
            return _not_found(common)
        loop = tuple(_loop(piece.segments, at, element))
        return SourceText(
            **common, state=OPENED, segments=loop, separators=(element, piece.interchange.separators.component)
        )
    return _not_found(common)


def _tag(segment: str, element: str) -> str:
    return segment.split(element, 1)[0]


def _control(segments: list[str], at: int, element: str) -> str | None:
    """ST02 of the transaction of a segment."""
    for segment in reversed(segments[: at + 1]):
        if _tag(segment, element) == "ST":
            parts = segment.split(element)
            return parts[2] if len(parts) > 2 else None
    return None


def _loop(segments: list[str], at: int, element: str) -> Iterator[str]:
    """The segment and the segments that belong to it, after the segments of its claim and line."""
    tag = _tag(segments[at], element)
    for outer in _WITHIN.get(tag, ()):
        for segment in reversed(segments[:at]):
            segment_tag = _tag(segment, element)
            if segment_tag == outer:
                yield segment
                break
            if segment_tag in _CLOSES[outer]:
                break
    yield segments[at]
    for segment in segments[at + 1 :] if tag in _ENDS else ():
        if _tag(segment, element) in _ENDS[tag]:
            return
        yield segment


_READERS = {"hl7v2": _hl7v2, "fhir": _fhir, "x12": _x12}
