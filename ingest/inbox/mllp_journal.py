"""The journal of a listener: every message it has acknowledged, in order of arrival, sealed, in a SQLite file of the inbox.

    home/inbox/<tenant>/<feed>/messages.sqlite
        message   sequence     order of arrival, never used twice
                  received_at  seconds since 1970 (UTC)
                  key          keyed hash of sender (MSH-3, MSH-4) and control id (MSH-10), 16 bytes
                  digest       keyed hash of the content, 16 bytes; (key, digest) is unique: a message sent again is there once
                  payload      12 bytes of nonce, then AES-256-GCM of the content; sequence and digest are authenticated

A message is acknowledged after its transaction was committed with `synchronous = full`: it is on disk. A writer takes what has
gathered while it wrote (group commit), so that many senders share one write to the disk. One process writes, any number read.
"""

import fcntl
import hashlib
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.errors import ConfigurationError
from foundation.migrations import Store
from ingest.inbox.inbox import Inbox, sync_folder
from ingest.migrations import STEPS

FILE = "messages.sqlite"
UNIT = "messages received"  # what the ledger calls it
MESSAGES_A_COMMIT, BYTES_A_COMMIT = 2_000, 32 << 20
_NONCE_BYTES = 12
_METADATA = sa.MetaData()
sa.Table(
    "message",
    _METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("received_at", sa.Integer, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index("message_once", "key", "digest", unique=True),
    sqlite_autoincrement=True,
)
sa.Table("journal", _METADATA, sa.Column("salt", sa.LargeBinary, nullable=False))
JOURNAL = Store(metadata=_METADATA, steps=STEPS / "journal")

STORED, REPEATED, CHANGED = "stored", "repeated", "changed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as the journal holds it. `cursor` is where the next read begins; `content` is None where its seal is broken."""

    sequence: int
    received_at: int
    cursor: str
    content: bytes | None = field(repr=False)


@dataclass(frozen=True)
class _Seals:
    """Keys of one journal, derived from the inbox's and the journal's salt."""

    journal: str
    hashing: bytes = field(repr=False)
    sealing: AESGCM = field(repr=False)

    @classmethod
    def of(cls, key: bytes, salt: bytes) -> "_Seals":
        hashing, sealing = (
            hashlib.blake2b(salt, key=key, person=p, digest_size=32).digest() for p in (b"hash", b"seal")
        )
        return cls(hashlib.blake2b(salt, digest_size=4).hexdigest(), hashing, AESGCM(sealing))

    def sequence_of(self, cursor: str | None) -> int:
        """The sequence that a cursor names; 0 if it belongs to another journal."""
        journal, _, sequence = (cursor or "").partition(":")
        return int(sequence) if journal == self.journal else 0

    def hash(self, *parts: bytes) -> bytes:
        return hashlib.blake2b(b"\0".join(parts), key=self.hashing, digest_size=16).digest()

    def seal(self, sequence: int, digest: bytes, content: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self.sealing.encrypt(nonce, content, sequence.to_bytes(8, "big") + digest)

    def open(self, sequence: int, digest: bytes, payload: bytes) -> bytes | None:
        nonce, sealed = payload[:_NONCE_BYTES], payload[_NONCE_BYTES:]
        try:
            return self.sealing.decrypt(nonce, sealed, sequence.to_bytes(8, "big") + digest)
        except (InvalidTag, ValueError):
            return None


@dataclass(slots=True)
class _Waiting:
    sender: bytes
    control: bytes
    content: bytes
    done: "Future[str]"


class Journal:
    """Writes the journal of one feed. Raises ConfigurationError where another process writes it."""

    def __init__(self, inbox: Inbox) -> None:
        inbox.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(inbox.folder / "listener.lock")
        self.path = inbox.folder / FILE
        self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        self.path.chmod(0o600)
        for setting in ("auto_vacuum = incremental", "journal_mode = wal", "synchronous = full"):
            self._connection.execute(f"pragma {setting}")
        JOURNAL.bring_up_to_date(self.path)
        self._connection.execute(
            "insert into journal select ? where not exists (select 1 from journal)", (secrets.token_bytes(16),)
        )
        (salt,) = self._connection.execute("select salt from journal").fetchone()
        self._seals = _Seals.of(inbox.key, salt)
        (self._last,) = self._connection.execute("select coalesce(max(seq), 0) from sqlite_sequence").fetchone()
        sync_folder(inbox.folder)
        self._queue: queue.SimpleQueue[_Waiting | Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=f"journal {inbox.folder.name}", daemon=True)
        self._thread.start()

    def put(self, sender: bytes, control: bytes, content: bytes) -> "Future[str]":
        """Has a message written. The future ends when it is on disk: STORED, REPEATED (it was there, from the same sender
        under the same control id) or CHANGED (stored; the control id was there with other content); with sqlite3.Error
        where the disk refuses. Messages are numbered in the order of the calls."""
        waiting = _Waiting(sender, control, content, Future())
        self._queue.put(waiting)
        return waiting.done

    def control_hash(self, sender: bytes, control: bytes) -> str:
        """A control id as the log may show it."""
        return self._seals.hash(sender, control).hex()[:12]

    def remove_landed(self, cursor: str | None, kept_seconds: int) -> "Future[int]":
        """Removes messages landed (not after the cursor of the last landed read) that were received longer ago; gives how many."""
        done: Future[int] = Future()
        up_to = self._seals.sequence_of(cursor)
        before = int(time.time()) - kept_seconds

        def remove() -> None:
            try:
                query = "delete from message where sequence <= ? and received_at < ?"
                done.set_result(self._connection.execute(query, (up_to, before)).rowcount)
                self._connection.execute("pragma incremental_vacuum(10000)").fetchall()
            except sqlite3.Error as error:
                if not done.done():
                    done.set_exception(error)

        self._queue.put(remove)
        return done

    def close(self) -> None:
        """Writes what waits and gives the file back."""
        self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._lock.close()

    def _write(self) -> None:
        is_open = True
        while is_open:
            item = self._queue.get()
            gathered: list[_Waiting] = []
            size = 0
            while True:
                if isinstance(item, _Waiting):
                    gathered.append(item)
                    size += len(item.content)
                elif item is None:
                    is_open = False
                else:
                    item()
                if not is_open or len(gathered) >= MESSAGES_A_COMMIT or size >= BYTES_A_COMMIT:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if gathered:
                self._commit(gathered)

    def _commit(self, gathered: list[_Waiting]) -> None:
        last = self._last
        try:
            self._connection.execute("begin immediate")
            outcomes = [self._insert(item) for item in gathered]
            self._connection.execute("commit")
        except (sqlite3.Error, MemoryError) as error:
            self._last = last
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            for item in gathered:
                item.done.set_exception(error)
            return
        for item, outcome in zip(gathered, outcomes, strict=True):
            item.done.set_result(outcome)

    def _insert(self, item: _Waiting) -> str:
        key, digest = self._seals.hash(item.sender, item.control), self._seals.hash(item.content)
        stored = self._connection.execute("select digest from message where key = ?", (key,)).fetchall()
        if (digest,) in stored:
            return REPEATED
        payload = self._seals.seal(self._last + 1, digest, item.content)
        self._connection.execute(
            "insert into message values (?, ?, ?, ?, ?)", (self._last + 1, int(time.time()), key, digest, payload)
        )
        self._last += 1
        return CHANGED if stored and item.control else STORED


def read_journal(inbox: Inbox, cursor: str | None) -> Iterator[Entry]:
    """Messages after a cursor, in order of arrival; safe while the listener writes. Another journal than the cursor's, or an
    older one (restored from a backup), is read from its beginning: messages that were landed before are recognised. Raises
    sqlite3.Error where the file is damaged, ConfigurationError where a later release wrote it.
    """
    path = inbox.folder / FILE
    if not path.exists():
        return
    JOURNAL.check(path, JOURNAL.form(path))
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("pragma busy_timeout = 30000")
        connection.execute("pragma query_only = 1")
        journal_row = connection.execute("select salt from journal").fetchone()
        if journal_row is None:
            return
        seals = _Seals.of(inbox.key, journal_row[0])
        (last,) = connection.execute("select coalesce(max(seq), 0) from sqlite_sequence").fetchone()
        after = seals.sequence_of(cursor)
        after = 0 if after > last else after
        query = (
            "select sequence, received_at, digest, payload from message "
            "where sequence > ? and sequence <= ? order by sequence limit 500"
        )
        while rows := connection.execute(query, (after, last)).fetchall():
            for sequence, received_at, digest, payload in rows:
                content = seals.open(sequence, digest, payload)
                yield Entry(sequence, received_at, f"{seals.journal}:{sequence}", content)
            after = rows[-1][0]


def first_received_at(inbox: Inbox) -> int | None:
    """When the oldest message that the journal holds was received, in seconds since 1970 (UTC); None where it holds none.

    Raises sqlite3.Error where the file is damaged.
    """
    return _received_at(inbox, "select min(received_at) from message")


def newest_received_at(inbox: Inbox) -> int | None:
    """As `first_received_at`, of the newest message."""
    return _received_at(inbox, "select received_at from message order by sequence desc limit 1")


def _received_at(inbox: Inbox, query: str) -> int | None:
    path = inbox.folder / FILE
    if not path.exists():
        return None
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("pragma query_only = 1")
        row = connection.execute(query).fetchone()
        return None if row is None or row[0] is None else int(row[0])


def read_message(inbox: Inbox, sequence: int) -> bytes | None:
    """One message by its number; None where the journal does not hold it, or its seal is broken."""
    path = inbox.folder / FILE
    if not path.exists():
        return None
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("pragma query_only = 1")
        journal = connection.execute("select salt from journal").fetchone()
        message_row = connection.execute(
            "select digest, payload from message where sequence = ?", (sequence,)
        ).fetchone()
        return (
            None
            if journal is None or message_row is None
            else _Seals.of(inbox.key, journal[0]).open(sequence, *message_row)
        )


def _lock(path: Path) -> IO[bytes]:
    """An open file that this process alone has locked; a killed process gives it back."""
    handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise ConfigurationError(
            f"{path.parent}: another listener already receives this feed; stop that listener first"
        ) from None
    return handle
