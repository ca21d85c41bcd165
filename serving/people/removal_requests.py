"""Organizations that shall leave for ever, as a platform administrator asked for in the console.

The server of the pages may not do it: it holds no key of what the feeds brought. `clinicmart tenants remove-asked` does, and keeps the
certificate here, where the console shows it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.principal import PLATFORM
from serving.people.tables import REMOVAL_REQUEST
from serving.people.targets import Audits


@dataclass(frozen=True, kw_only=True)
class RemovalRequest:
    """A removal that was asked for. `organization` is the id, `name` what it was called. Times in UTC; `ended_at` is None while it waits.
    `problem` says why the last attempt removed nothing, or that it was withdrawn. `certificate` is the signed text, empty without one."""

    request_id: int
    organization: str
    name: str
    reason: str
    asked_by: str
    asked_at: datetime
    ended_at: datetime | None
    problem: str
    certificate: str

    @property
    def waits(self) -> bool:
        """Whether it is still to be done."""
        return self.ended_at is None


class RemovalRequests:
    """The removals that were asked for. Each change is an audit row of the platform."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def all(self) -> tuple[RemovalRequest, ...]:
        """Every request, the newest first."""
        rows = select(REMOVAL_REQUEST).order_by(REMOVAL_REQUEST.c.request_id.desc())
        with self._reading.connect() as connection:
            return tuple(_request(row) for row in connection.execute(rows).mappings())

    def newest(self, organization: str) -> RemovalRequest | None:
        """The newest request for an organization, or None."""
        return next((item for item in self.all() if item.organization == organization), None)

    def ask(self, organization: str, name: str, *, reason: str, by: str) -> None:
        """Asks for a removal. Raises ConfigurationError where one waits already."""
        waits = (REMOVAL_REQUEST.c.organization == organization) & REMOVAL_REQUEST.c.ended_at.is_(None)
        asked = {"organization": organization, "name": name, "reason": reason, "asked_by": by}
        with self._writing() as connection:
            if connection.execute(select(REMOVAL_REQUEST.c.request_id).where(waits)).first() is not None:
                raise ConfigurationError("the removal of this organization is asked for already")
            connection.execute(insert(REMOVAL_REQUEST).values(asked_at=datetime.now(UTC), **asked))
            detail = {"tenant": organization, "reason": reason}
            self._audit(connection, PLATFORM, by, "tenant removal asked", detail)

    def withdraw(self, organization: str, *, by: str) -> None:
        """Ends a request that waits; nothing is removed. Raises AccessError where none waits."""
        waits = (REMOVAL_REQUEST.c.organization == organization) & REMOVAL_REQUEST.c.ended_at.is_(None)
        ended = {"ended_at": datetime.now(UTC), "problem": f"withdrawn by {by}"}
        with self._writing() as connection:
            if not connection.execute(update(REMOVAL_REQUEST).where(waits).values(**ended)).rowcount:
                raise AccessError("no removal of this organization waits")
            self._audit(connection, PLATFORM, by, "tenant removal withdrawn", {"tenant": organization})

    def note_problem(self, request: RemovalRequest, problem: str) -> None:
        """Keeps why an attempt removed nothing; the request waits for the next one."""
        mine = REMOVAL_REQUEST.c.request_id == request.request_id
        with self._writing() as connection:
            connection.execute(update(REMOVAL_REQUEST).where(mine).values(problem=problem))

    def note_certificate(self, request: RemovalRequest, certificate: str) -> None:
        """Keeps the certificate: the removal is done."""
        mine = REMOVAL_REQUEST.c.request_id == request.request_id
        done = {"ended_at": datetime.now(UTC), "problem": None, "certificate": certificate}
        with self._writing() as connection:
            connection.execute(update(REMOVAL_REQUEST).where(mine).values(**done))


def _request(row: RowMapping) -> RemovalRequest:
    kept = {name: row[name] for name in RemovalRequest.__dataclass_fields__}
    return RemovalRequest(**kept | {name: row[name] or "" for name in ("problem", "certificate")})
