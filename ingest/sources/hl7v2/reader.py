"""HL7 v2: ADT (patients, visits), SIU (appointments) and DFT (charges), versions 2.1 to 2.9, pipe-delimited.

A record is a message, or a run of segments without an MSH. Messages of other types and messages that cannot be parsed are
refused one by one; messages that came before (`seen_messages`) are refused together. The modules beside this one: `messages`
(bytes to messages), `visits`, `appointments`, `charges` (messages to rows), `rows` (rows to frames).
"""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from foundation.config import Feed
from ingest.inbox import mllp_journal
from ingest.inbox.inbox import Inbox
from ingest.interface import Chunk, Notice, Refusal, Unit, UnreadableUnit
from ingest.profiles import hl7v2_profile
from ingest.sources.files import find_files, read_blocks
from ingest.sources.hl7v2 import appointments, charges, visits
from ingest.sources.hl7v2.messages import Framing, Message, parse, raw_messages, refuse
from ingest.sources.hl7v2.rows import Rows
from ingest.sources.hl7v2.seen_messages import NEW, REPEATED, REUSED, SeenMessages

SUFFIXES = (".hl7", ".hl7v2", ".adt", ".siu", ".dft", ".txt", ".dat", ".msg")
MESSAGES_A_CHUNK = 20_000
# Number of messages that are checked together for repetition.
MESSAGES_ASKED_FOR = 2_000

_Reader = Callable[[Message, Rows], str | None]
_READERS: dict[str, tuple[frozenset[str], tuple[str, ...], _Reader]] = {
    "ADT": (visits.EVENTS, visits.USED, visits.read_adt),
    "SIU": (appointments.EVENTS, appointments.USED, appointments.read_siu),
    "DFT": (charges.EVENTS, charges.USED, charges.read_dft),
}


class HL7v2Source:
    """See `ingest.interface.Source`."""

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
        reading = _Reading(unit)
        framing = Framing()
        for ordinal, raw in enumerate(raw_messages(read_blocks(unit), framing), start=1):
            reading.take(parse(raw, ordinal, reading.rows.notices))
            if reading.chunk.records_read >= MESSAGES_A_CHUNK:
                yield reading.finish(framing)
        yield reading.finish(framing)


def _read_journal(unit: Unit) -> Iterator[Chunk]:
    """Reads the messages that a listener took since the last read; the cursor is the number of the last message."""
    assert unit.inbox is not None
    reading, framing, last = _Reading(unit), Framing(), unit.cursor
    try:
        for entry in mllp_journal.read_journal(unit.inbox, unit.cursor):
            for message in _received(entry, framing, reading.rows.notices):
                reading.take(message)
            last = entry.cursor
            if reading.chunk.records_read >= MESSAGES_A_CHUNK:
                yield reading.finish(framing, last)
    except sqlite3.Error as error:
        raise UnreadableUnit(
            reason="journal_not_readable",
            position=f"after {last}" if last else "",
            problem=f"the journal of received messages cannot be read: {error}",
            remedy="Check the disk; restore the home's inbox from a backup where it is damaged",
        ) from None
    yield reading.finish(framing, last)


def _received(entry: mllp_journal.Entry, framing: Framing, notices: list[Notice]) -> Iterator[Message | Refusal]:
    """The message of an entry, numbered by its place in the journal. Its time is the time of receipt if it has none."""
    position = f"message {entry.sequence}"
    if entry.content is None:
        yield Refusal(
            position=position, reason="seal_broken", detail="the message was altered in the inbox after it was received"
        )
        return
    framing.segments = 0
    try:
        for raw in raw_messages((entry.content,), framing):
            message = parse(raw, entry.sequence, notices)
            if isinstance(message, Message) and message.sent is None:
                message.sent = datetime.fromtimestamp(entry.received_at, UTC).strftime("%Y%m%d%H%M%S+0000")
                message.changed = message.changed or message.sent
            yield message
    except UnreadableUnit as error:
        yield Refusal(position=position, reason="no_msh", detail=error.problem, payload=entry.content)


class _Reading:
    """The state that is kept from message to message of one unit."""

    def __init__(self, unit: Unit) -> None:
        self.profile = hl7v2_profile(unit.feed)
        self.zone = self.profile.zone(unit.feed.time_zone)
        self.seen = unit.seen or SeenMessages()
        self.waiting: list[Message] = []
        self.repeated: list[str] = []
        self.reused: list[str] = []
        self.chunk, self.rows = Chunk(), Rows(self.zone)

    def take(self, message: Message | Refusal) -> None:
        """One message, to be read with those that follow it, or a refusal."""
        self.chunk.records_read += 1
        if isinstance(message, Message):
            message.profile = self.profile
            if not self.profile.uses_msh7_offset:
                message.offset = None
            message = self._unread(message) or message
        if isinstance(message, Refusal):
            self.chunk.refusals.append(message)
            return
        self.waiting.append(message)
        if len(self.waiting) >= MESSAGES_ASKED_FOR:
            self._read_waiting()

    def finish(self, framing: Framing, cursor: str | None = None) -> Chunk:
        """The chunk so far; begins the next."""
        self._read_waiting()
        chunk = self.chunk
        chunk.cursor = cursor
        if self.repeated:
            # The message itself is kept where it came first.
            detail = "the same message of the same sender arrived before"
            first, number = self.repeated[0], len(self.repeated)
            chunk.refusals.append(Refusal(position=first, reason="duplicate_message", detail=detail, records=number))
        if self.reused:
            detail = "the sender used the control id (MSH-10) before, for a different message"
            first, number = self.reused[0], len(self.reused)
            framing.notices.append(
                Notice(position=first, reason="control_id_used_again", detail=detail, records=number)
            )
        chunk.rows = self.rows.frames()
        chunk.notices = self.rows.notices + framing.notices
        chunk.dropped_fields = self.rows.unused
        chunk.unknown_words = self.rows.unknown_words()
        framing.notices, self.repeated, self.reused = [], [], []
        self.chunk, self.rows = Chunk(), Rows(self.zone)
        return chunk

    def _read_waiting(self) -> None:
        """Messages that wait into rows or refusals, but for those that came before.

        The same message is the same content under the same control id of the same sender. Other content under a control id
        that was used before is a fault of the sender, not a repetition: it is read. A message without a control id and a time
        is never taken for a repetition.
        """
        identified = [message for message in self.waiting if message.control or message.sent]
        contents = [(f"{m.sender}\0{m.control}".encode(), m.content) for m in identified]
        outcomes = dict(zip(map(id, identified), self.seen.meet(contents), strict=True))
        for message in self.waiting:
            outcome = outcomes.get(id(message), NEW)
            if outcome == REPEATED:
                self.repeated.append(message.position)
                continue
            if outcome == REUSED and message.control:
                self.reused.append(message.position)
            refusal = self._read(message)
            if refusal is None:
                self.chunk.records_used += 1
            else:
                self.chunk.refusals.append(refusal)
        self.waiting = []

    def _read(self, message: Message) -> Refusal | None:
        _, used, reader = _READERS[message.kind]
        if message.offset is not None:
            message.offset = self.rows.offset_of(message)
        before = self.rows.count()
        problem = reader(message, self.rows)
        if problem is not None and self.rows.count() == before:
            return refuse(message, "nothing_to_read", problem)
        if problem is not None:
            self.rows.note(message, "message_read_in_part", problem)
        self._count_unused(message, used)
        return None

    def _unread(self, message: Message) -> Refusal | None:
        """The refusal of a message that this reader does not know. An event that the profile maps becomes the one it is like."""
        named = f"{message.kind}^{message.trigger}"
        if named in self.profile.events:
            message.kind, _, message.trigger = self.profile.events[named].partition("^")
        if message.kind in _READERS:
            if message.trigger in _READERS[message.kind][0]:
                return None
            self.rows.unknown(message, "record", "event", named)
        kind = named if len(named) == 7 and named.replace("^", "").isalnum() else "of an unknown type"
        return refuse(message, "message_type_not_in_model", f"messages {kind} are not read")

    def _count_unused(self, message: Message, used: tuple[str, ...]) -> None:
        for segment in message.segments:
            tag = segment[:3]
            if tag not in used:
                self.rows.unused[tag if tag.isalnum() and tag.isupper() and len(tag) == 3 else "unknown segment"] += 1


SOURCE = HL7v2Source()
