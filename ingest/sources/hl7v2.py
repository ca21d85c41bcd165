"""HL7 v2: ADT (patients, visits), SIU (appointments) and DFT (charges), versions 2.1 to 2.9, pipe-delimited.

A record is a message, or a run of segments without an MSH. Messages of other types, those that cannot be taken apart
and those sent twice in one file are refused one by one. See the modules beside this one: `hl7v2_messages` (bytes to
messages), `hl7v2_visits`, `hl7v2_appointments`, `hl7v2_charges` (messages to rows), `hl7v2_rows` (rows to frames).
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from foundation.config import Feed
from ingest.inbox import Inbox
from ingest.receive import mllp_journal
from ingest.sources import hl7v2_appointments, hl7v2_charges, hl7v2_visits
from ingest.sources.base import Chunk, Notice, Refusal, Unit, UnreadableUnit
from ingest.sources.files import find_files, read_blocks
from ingest.sources.hl7v2_messages import Framing, Message, parse, raw_messages, refuse
from ingest.sources.hl7v2_rows import Rows

SUFFIXES = (".hl7", ".hl7v2", ".adt", ".siu", ".dft", ".txt", ".dat", ".msg")
MESSAGES_A_CHUNK = 20_000
# Messages among which a repetition is looked for. One that comes later gives the same rows again, which changes nothing.
REMEMBERED = 200_000

_Reader = Callable[[Message, Rows], str | None]
_READERS: dict[str, tuple[frozenset[str], tuple[str, ...], _Reader]] = {
    "ADT": (hl7v2_visits.EVENTS, hl7v2_visits.USED, hl7v2_visits.read_adt),
    "SIU": (hl7v2_appointments.EVENTS, hl7v2_appointments.USED, hl7v2_appointments.read_siu),
    "DFT": (hl7v2_charges.EVENTS, hl7v2_charges.USED, hl7v2_charges.read_dft),
}


class HL7v2Source:
    """See `ingest.sources.base.Source`."""

    kind = "hl7v2"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The files of the feed, by name; of a feed with `listen` the journal of its listener, once there is one."""
        if feed.listen is not None:
            has_journal = inbox is not None and (inbox.folder / mllp_journal.FILE).exists()
            return [Unit(feed=feed, name=mllp_journal.UNIT, inbox=inbox)] if has_journal else []
        return find_files(feed, SUFFIXES, inbox)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """One chunk for every MESSAGES_A_CHUNK messages. Raises UnreadableUnit."""
        if unit.feed.listen is not None:
            yield from _read_journal(unit)
            return
        reading = _Reading(ZoneInfo(unit.feed.time_zone))
        framing = Framing()
        for ordinal, raw in enumerate(raw_messages(read_blocks(unit), framing), start=1):
            reading.take(parse(raw, ordinal, reading.rows.notices))
            if reading.chunk.records_read >= MESSAGES_A_CHUNK:
                yield reading.finish(framing)
        yield reading.finish(framing)


def _read_journal(unit: Unit) -> Iterator[Chunk]:
    """What a listener took since the last read; the cursor is the number of the last message."""
    assert unit.inbox is not None
    reading, framing, last = _Reading(ZoneInfo(unit.feed.time_zone)), Framing(), unit.cursor
    try:
        for entry in mllp_journal.read_journal(unit.inbox, int(unit.cursor or 0)):
            for found in _received(entry, framing, reading.rows.notices):
                reading.take(found)
            last = str(entry.sequence)
            if reading.chunk.records_read >= MESSAGES_A_CHUNK:
                yield reading.finish(framing, last)
    except sqlite3.Error as error:
        raise UnreadableUnit(
            position=f"message {last or 0}",
            problem=f"the journal of received messages cannot be read: {error}",
            remedy="Check the disk; restore the home's inbox from a backup where it is damaged",
        ) from None
    yield reading.finish(framing, last)


def _received(entry: mllp_journal.Entry, framing: Framing, notices: list[Notice]) -> Iterator[Message | Refusal]:
    """The message of an entry, numbered by its place in the journal; received is sent where it does not say when."""
    position = f"message {entry.sequence}"
    if entry.content is None:
        yield Refusal(position=position, reason="seal_broken", detail="was altered in the inbox")
        return
    framing.segments = 0
    try:
        for raw in raw_messages((entry.content,), framing):
            found = parse(raw, entry.sequence, notices)
            if isinstance(found, Message) and found.sent is None:
                found.sent = datetime.fromtimestamp(entry.received_at, UTC).strftime("%Y%m%d%H%M%S+0000")
                found.changed = found.changed or found.sent
            yield found
    except UnreadableUnit as error:
        yield Refusal(position=position, reason="no_msh", detail=error.problem, payload=entry.content)


class _Reading:
    """What is kept from message to message of one file."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.seen: dict[int, bytes] = {}
        self.chunk, self.rows = Chunk(), Rows()

    def take(self, found: Message | Refusal) -> None:
        """One message into rows or a refusal."""
        self.chunk.records_read += 1
        refusal = found if isinstance(found, Refusal) else self._read(found)
        if refusal is None:
            self.chunk.records_used += 1
        else:
            self.chunk.refusals.append(refusal)

    def finish(self, framing: Framing, cursor: str | None = None) -> Chunk:
        """The chunk so far; begins the next."""
        chunk = self.chunk
        chunk.cursor = cursor
        chunk.rows = self.rows.frames(self.zone)
        chunk.notices = self.rows.notices + framing.notices
        chunk.dropped_fields = self.rows.unused
        framing.notices = []
        self.chunk, self.rows = Chunk(), Rows()
        return chunk

    def _read(self, message: Message) -> Refusal | None:
        if message.kind not in _READERS or message.trigger not in _READERS[message.kind][0]:
            named = f"{message.kind}^{message.trigger}"
            kind = named if len(named) == 7 and named.replace("^", "").isalnum() else "of an unknown type"
            return refuse(message, "message_type_not_in_model", f"a message {kind} is not read")
        if self._is_repeated(message):
            return refuse(message, "duplicate_message", "the same message comes before in this file")
        _, used, reader = _READERS[message.kind]
        before = self.rows.count()
        problem = reader(message, self.rows)
        if problem is not None and self.rows.count() == before:
            return refuse(message, "nothing_to_read", problem)
        if problem is not None:
            self.rows.note(message, "message_read_in_part", problem)
        self._count_unused(message, used)
        return None

    def _is_repeated(self, message: Message) -> bool:
        """Whether sender, control id and content were there before. A control id used again for other content is a
        fault of the sender, not a repetition: the message is read."""
        if not message.control:
            return False
        key = hash((message.sender, message.control))
        digest = hashlib.blake2b("\r".join(message.segments).encode(), digest_size=16).digest()
        before = self.seen.get(key)
        if before is None:
            if len(self.seen) >= REMEMBERED:
                del self.seen[next(iter(self.seen))]
            self.seen[key] = digest
            return False
        if before != digest:
            self.rows.note(message, "control_id_used_again", "its control id belongs to an earlier, different message")
            return False
        return True

    def _count_unused(self, message: Message, used: tuple[str, ...]) -> None:
        for segment in message.segments:
            tag = segment[:3]
            if tag not in used:
                self.rows.unused[tag if tag.isalnum() and tag.isupper() and len(tag) == 3 else "unknown segment"] += 1


SOURCE = HL7v2Source()
