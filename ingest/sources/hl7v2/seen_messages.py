"""Which HL7 v2 messages a tenant has landed: a message that comes again, in another file, through the listener or through another
feed, gives nothing new.

    home/messages/<tenant>.sqlite
        message   key      keyed hash of sender (MSH-3, MSH-4) and control id (MSH-10)
                  digest   keyed hash of the content
                  unit_id  the unit that brought it

A message counts as seen when its unit is landed, or is being landed by the same run: what a killed run noted counts for nothing.
Messages are remembered for KEPT_DAYS; one that comes after that gives the same rows again, which replace themselves. So does one
that comes after the file was lost; a file that is not a database is replaced by a new one.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from foundation.home import Home
from foundation.keys import Keys
from foundation.migrations import Store, open_derived
from ingest import ledger as tables
from ingest.ledger import Ledger, now
from ingest.migrations import STEPS

NEW, REPEATED, REUSED = "new", "repeated", "reused"
KEPT_DAYS = 400
_METADATA = sa.MetaData()
sa.Table(
    "message",
    _METADATA,
    sa.Column("key", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("unit_id", sa.Integer, nullable=False),
    sa.Index("message_by_unit", "unit_id"),
    sqlite_with_rowid=False,
)
MESSAGES = Store(metadata=_METADATA, steps=STEPS / "messages")


class SeenMessages:
    """The messages of one tenant; in memory, and of one reading alone, without a home."""

    def __init__(self, path: Path | None = None, key: bytes = b"", ledger: Ledger | None = None) -> None:
        self._key, self._ledger = key, ledger
        self._unit_id = 0
        self._again: frozenset[int] = frozenset()
        self._counting = {0}
        self._landed: dict[int, bool] = {}
        if path is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            self._connection.executescript(MESSAGES.schema)
        else:
            self._connection, _ = open_derived(path, MESSAGES)

    @classmethod
    def of(cls, home: Home, keys: Keys, ledger: Ledger, tenant_id: str) -> "SeenMessages":
        """The seen messages of a tenant, without those that are too old."""
        path = home.folder("messages") / f"{tenant_id}.sqlite"
        seen = cls(path, keys.derive("messages", tenant_id), ledger)
        unit = tables.unit.c
        query = sa.select(sa.func.max(unit.unit_id).label("last")).where(
            unit.read_at < now() - timedelta(days=KEPT_DAYS)
        )
        last = ledger.rows(query)[0]["last"]
        if last is not None:
            seen._connection.execute("delete from message where unit_id <= ?", (last,))
        return seen

    def begin(self, unit_id: int, again: Sequence[int] = ()) -> None:
        """Messages from now on belong to this unit. Messages of the units `again` count as new: they are read again."""
        self._unit_id = unit_id
        self._counting.add(unit_id)
        self._again = frozenset(again)

    def forget(self, unit_id: int) -> None:
        """The unit was refused: nothing of it counts."""
        self._counting.discard(unit_id)
        self._connection.execute("delete from message where unit_id = ?", (unit_id,))

    def close(self) -> None:
        """Gives the file back."""
        self._connection.close()

    def meet(self, messages: Sequence[tuple[bytes, bytes]]) -> list[str]:
        """For each message (mark of sender and control id, mark of content): NEW, REPEATED or REUSED (the control id came with
        other content). All are remembered."""
        pairs = [(self._hash(identity), self._hash(content)) for identity, content in messages]
        units_by_mark: dict[int, set[int]] = {}
        query = "select key, digest, unit_id from message where key in (select value from json_each(?))"
        rows = self._connection.execute(query, (json.dumps([key for key, _ in pairs]),)).fetchall()
        self._ask({unit_id for _, _, unit_id in rows})
        for key, digest, unit_id in rows:
            if unit_id not in self._again and (unit_id in self._counting or self._landed[unit_id]):
                units_by_mark.setdefault(key, set()).add(digest)
        outcomes, fresh = [], []
        for key, digest in pairs:
            digests = units_by_mark.setdefault(key, set())
            outcomes.append(REPEATED if digest in digests else REUSED if digests else NEW)
            if digest not in digests:
                digests.add(digest)
                fresh.append((key, digest, self._unit_id))
        self._connection.execute("begin immediate")
        self._connection.executemany("insert or replace into message values (?, ?, ?)", fresh)
        self._connection.execute("commit")
        return outcomes

    def _ask(self, unit_ids: set[int]) -> None:
        """Learns of units whether they are landed."""
        unknown = [unit_id for unit_id in unit_ids - self._counting if not self._landed.get(unit_id)]
        for unit_id in unknown:
            self._landed[unit_id] = False
        for start in range(0, len(unknown) if self._ledger else 0, 500):
            unit = tables.unit.c
            query = sa.select(unit.unit_id).where(
                unit.unit_id.in_(unknown[start : start + 500]), unit.outcome == "landed"
            )
            assert self._ledger is not None
            self._landed |= {int(row["unit_id"]): True for row in self._ledger.rows(query)}

    def _hash(self, content: bytes) -> int:
        digest = hashlib.blake2b(content, key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)
