"""What people noted on rows of worklists: a row a version, nothing is overwritten. Kept in `access.sqlite`.

The id of a claim or a visit and what a note says may lead to a patient, so that both are sealed (AES-SIV, RFC 5297): the same id of
the same tenant gives the same sealed text, by which an entry is found, and only who holds the serving keys can open it.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import Connection, Engine, RowMapping, insert, select

from foundation.keys import Keys
from serving.people.tables import WORK_ENTRY
from serving.people.targets import Audits


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One version of what is noted on a row. `owner` is a user name, empty for nobody; `due` the day by which it must be done; times
    are UTC."""

    row_id: str
    state: str
    owner: str = ""
    outcome: str = ""
    note: str = ""
    due: date | None = None
    set_by: str = ""
    set_at: datetime | None = None


class Entries:
    """The entries of one list of one tenant."""

    def __init__(
        self,
        *,
        keys: Keys,
        tenant_id: str,
        list_name: str,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
    ) -> None:
        self._tenant_id, self._list = tenant_id, list_name
        self._reading, self._writing, self._audit = reading, writing, audit
        self._cipher = AESSIV(bytes.fromhex(keys.derive_for_scope("worklist", tenant_id, list_name)))

    def add(self, entry: Entry) -> None:
        """Adds a version, and an audit row with a token of the row and without the note."""
        sealed = self._seal(entry.row_id)
        with self._writing() as connection:
            values = {
                "tenant_id": self._tenant_id,
                "list": self._list,
                "row_id": sealed,
                "state": entry.state,
                "owner": entry.owner,
                "outcome": entry.outcome,
                "note": self._seal(entry.note, entry.row_id) if entry.note else "",
                "due": entry.due,
                "set_by": entry.set_by,
                "set_at": datetime.now(UTC),
            }
            connection.execute(insert(WORK_ENTRY).values(**values))
            detail: dict[str, object] = {
                "list": self._list,
                "row": sealed[:16],
                "state": entry.state,
                "owner": entry.owner,
            }
            detail |= {"outcome": entry.outcome, "due": entry.due, "note": bool(entry.note)}
            self._audit(connection, self._tenant_id, entry.set_by, "worklist set", detail)

    def all(self) -> tuple[Entry, ...]:
        """Every version, in the order in which they were set."""
        mine = (WORK_ENTRY.c.tenant_id == self._tenant_id) & (WORK_ENTRY.c.list == self._list)
        with self._reading.connect() as connection:
            rows = connection.execute(select(WORK_ENTRY).where(mine).order_by(WORK_ENTRY.c.entry_id)).mappings()
            return tuple(self._entry(row) for row in rows)

    def standing(self, versions: Collection[Entry] | None = None) -> dict[str, Entry]:
        """Row id to its last entry."""
        return {entry.row_id: entry for entry in (self.all() if versions is None else versions)}

    def _entry(self, row: RowMapping) -> Entry:
        row_id = self._open(row["row_id"])
        return Entry(
            row_id=row_id,
            state=row["state"],
            owner=row["owner"],
            outcome=row["outcome"],
            note=self._open(row["note"], row_id) if row["note"] else "",
            due=row["due"],
            set_by=row["set_by"],
            set_at=row["set_at"],
        )

    def _seal(self, text: str, bound_to: str = "") -> str:
        return self._cipher.encrypt(text.encode(), [bound_to.encode()]).hex()

    def _open(self, sealed: str, bound_to: str = "") -> str:
        return self._cipher.decrypt(bytes.fromhex(sealed), [bound_to.encode()]).decode()
