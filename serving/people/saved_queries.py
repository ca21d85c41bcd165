"""SQL that people ran and saved, in `access.sqlite`: the history of each person, and saved queries, which may be shared in the tenant.

A text may hold a name or a number of a patient, so that texts and names are sealed (AES-SIV, RFC 5297): only who holds the serving keys
can open them. The audit keeps the text without its values (`serving.workbench.masked`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select

from foundation.errors import ConfigurationError
from foundation.keys import Keys
from serving.people.tables import QUERY_HISTORY, SAVED_QUERY
from serving.people.targets import Audits

MOST_HISTORY = 200
MOST_SAVED = 200
LONGEST_NAME = 80


@dataclass(frozen=True, kw_only=True)
class PastQuery:
    """A query that a person ran. `outcome` is done, refused, failed or cancelled; `at` is UTC."""

    sql: str
    at: datetime
    outcome: str
    rows: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SavedQuery:
    """A query under a name. `email` is who saved it; others of the tenant read it if `is_shared`."""

    query_id: int
    name: str
    sql: str
    email: str
    is_shared: bool
    saved_at: datetime


class Queries:
    """The history and the saved queries of one person of a tenant. `actor` is who changes them where it is another person: an
    administrator."""

    def __init__(
        self,
        *,
        keys: Keys,
        tenant_id: str,
        email: str,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
        actor: str = "",
    ) -> None:
        self._tenant_id, self._email, self._actor = tenant_id, email, actor or email
        self._reading, self._writing, self._audit = reading, writing, audit
        self._cipher = AESSIV(bytes.fromhex(keys.derive_for_scope("query", tenant_id, "")))

    def note(self, sql: str, *, outcome: str, rows: int = 0, seconds: float = 0) -> None:
        """Adds a query to the person's history, which keeps the last MOST_HISTORY."""
        mine = and_(QUERY_HISTORY.c.tenant_id == self._tenant_id, QUERY_HISTORY.c.email == self._email)
        kept = (
            select(QUERY_HISTORY.c.query_id).where(mine).order_by(QUERY_HISTORY.c.query_id.desc()).limit(MOST_HISTORY)
        )
        values = {"sql": self._seal(sql), "at": datetime.now(UTC), "outcome": outcome, "rows": rows, "seconds": seconds}
        with self._writing() as connection:
            connection.execute(insert(QUERY_HISTORY).values(tenant_id=self._tenant_id, email=self._email, **values))
            connection.execute(delete(QUERY_HISTORY).where(mine, QUERY_HISTORY.c.query_id.not_in(kept)))

    def history(self, limit: int = 20) -> tuple[PastQuery, ...]:
        """The person's last queries, the newest first."""
        mine = and_(QUERY_HISTORY.c.tenant_id == self._tenant_id, QUERY_HISTORY.c.email == self._email)
        query = select(QUERY_HISTORY).where(mine).order_by(QUERY_HISTORY.c.query_id.desc()).limit(limit)
        with self._reading.connect() as connection:
            return tuple(
                PastQuery(
                    sql=self._open(row["sql"]),
                    at=row["at"],
                    outcome=row["outcome"],
                    rows=row["rows"],
                    seconds=row["seconds"],
                )
                for row in connection.execute(query).mappings()
            )

    def saved(self) -> tuple[SavedQuery, ...]:
        """The person's saved queries and those that others of the tenant share, by name."""
        table = SAVED_QUERY
        seen = and_(table.c.tenant_id == self._tenant_id, or_(table.c.email == self._email, table.c.is_shared))
        with self._reading.connect() as connection:
            rows = connection.execute(select(table).where(seen)).mappings().all()
        saved = [
            SavedQuery(
                query_id=row["query_id"],
                name=self._open(row["name"]),
                sql=self._open(row["sql"]),
                email=row["email"],
                is_shared=row["is_shared"],
                saved_at=row["saved_at"],
            )
            for row in rows
        ]
        return tuple(sorted(saved, key=lambda query: (query.name.lower(), query.email)))

    def private_names(self) -> frozenset[tuple[str, str]]:
        """(user name, name of the query) of the saved queries of all people of the tenant that are not shared."""
        asked = select(SAVED_QUERY.c.email, SAVED_QUERY.c.name)
        asked = asked.where(SAVED_QUERY.c.tenant_id == self._tenant_id, SAVED_QUERY.c.is_shared.is_(False))
        with self._reading.connect() as connection:
            return frozenset((row["email"], self._open(row["name"])) for row in connection.execute(asked).mappings())

    def save(self, name: str, sql: str, *, is_shared: bool) -> None:
        """Saves a query under a name; a query of the person with the same name is replaced. Audited without name and text.

        Raises ConfigurationError for an empty or long name, an empty text, and more than MOST_SAVED queries.
        """
        name, sql = name.strip(), sql.strip()
        if not name or len(name) > LONGEST_NAME:
            raise ConfigurationError(f"give the query a name of 1 to {LONGEST_NAME} characters")
        if not sql:
            raise ConfigurationError("there is no SQL to save")
        mine = and_(SAVED_QUERY.c.tenant_id == self._tenant_id, SAVED_QUERY.c.email == self._email)
        sealed = self._seal(name)
        with self._writing() as connection:
            connection.execute(delete(SAVED_QUERY).where(mine, SAVED_QUERY.c.name == sealed))
            if len(connection.execute(select(SAVED_QUERY.c.query_id).where(mine)).all()) >= MOST_SAVED:
                raise ConfigurationError(f"you have {MOST_SAVED} saved queries; remove one first")
            values = {"name": sealed, "sql": self._seal(sql), "is_shared": is_shared, "saved_at": datetime.now(UTC)}
            connection.execute(insert(SAVED_QUERY).values(tenant_id=self._tenant_id, email=self._email, **values))
            self._audit(connection, self._tenant_id, self._actor, "query saved", {"shared": is_shared})

    def remove(self, query_id: int) -> None:
        """Removes a saved query of the person. Raises ConfigurationError where the person has none of that id."""
        mine = and_(SAVED_QUERY.c.tenant_id == self._tenant_id, SAVED_QUERY.c.email == self._email)
        with self._writing() as connection:
            if not connection.execute(delete(SAVED_QUERY).where(mine, SAVED_QUERY.c.query_id == query_id)).rowcount:
                raise ConfigurationError("this is not a saved query of yours")
            self._audit(connection, self._tenant_id, self._actor, "query removed", {})

    def _seal(self, text: str) -> str:
        return self._cipher.encrypt(text.encode(), None).hex()

    def _open(self, sealed: str) -> str:
        return self._cipher.decrypt(bytes.fromhex(sealed), None).decode()
