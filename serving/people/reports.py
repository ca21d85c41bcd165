"""Reports that people built and saved, in `access.sqlite`. A report may be shared in the tenant: its definition, never a figure.

Others open a shared report through their own scope. A name is free text and may hold a patient's, so that names and definitions are sealed
(AES-SIV, RFC 5297): only a process that holds the serving keys can open them, and the audit holds neither.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Engine,
    RowMapping,
    Select,
    Update,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)

from foundation.errors import ConfigurationError
from foundation.keys import Keys
from serving.people.principal import Role
from serving.people.tables import SAVED_REPORT, USER
from serving.people.targets import Audits
from serving.report_definition import ReportDefinition

MOST_SAVED = 200
LONGEST_NAME = 80
_ID_BYTES = 6
FILTERS_OF_THE_PAGE = (
    "a report on a page takes the filters of the page; take away the filters of the report, or do not pin it"
)


@dataclass(frozen=True, kw_only=True)
class SavedReport:
    """A report under a name. `report_id` stands in its address and never changes; `email` is who saved it; `saved_at` is UTC. `pinned_to`
    is the page of figures on which it stands too, empty for none."""

    report_id: str
    name: str
    definition: ReportDefinition
    email: str
    is_shared: bool
    saved_at: datetime
    pinned_to: str = ""


class Reports:
    """The saved reports of one person of a tenant. `actor` is who changes them where it is another person: an administrator."""

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
        self._cipher = AESSIV(bytes.fromhex(keys.derive_for_scope("report", tenant_id, "")))

    def all(self) -> tuple[SavedReport, ...]:
        """The person's reports and those that others of the tenant share, by name."""
        return self._read(select(SAVED_REPORT).where(self._seen))

    def pinned(self, page: str) -> tuple[SavedReport, ...]:
        """What stands on a page for the person, by name: the own reports that are pinned there, and those that an administrator shares."""
        table = SAVED_REPORT
        is_by_administrator = and_(table.c.is_shared, USER.c.role == Role.ORGANIZATION_ADMIN)
        asked = (
            select(table)
            .join(USER, and_(USER.c.tenant_id == table.c.tenant_id, USER.c.email == table.c.email))
            .where(table.c.tenant_id == self._tenant_id, table.c.pinned_to == page)
            .where(or_(table.c.email == self._email, is_by_administrator))
        )
        return self._read(asked)

    def private_names(self) -> frozenset[tuple[str, str]]:
        """(user name, name of the report) of the reports of all people of the tenant that are not shared."""
        asked = select(SAVED_REPORT.c.email, SAVED_REPORT.c.name)
        asked = asked.where(SAVED_REPORT.c.tenant_id == self._tenant_id, SAVED_REPORT.c.is_shared.is_(False))
        with self._reading.connect() as connection:
            return frozenset((row["email"], self._open(row["name"])) for row in connection.execute(asked).mappings())

    def one(self, report_id: str) -> SavedReport:
        """A report that the person may open. Raises ConfigurationError where there is none of that id: others' are not named."""
        reports = self._read(select(SAVED_REPORT).where(self._seen, SAVED_REPORT.c.report_id == report_id))
        if not reports:
            raise ConfigurationError("this report is not there: it was removed, or is not shared with you")
        return reports[0]

    def save(self, name: str, definition: ReportDefinition, *, is_shared: bool, pinned_to: str | None = None) -> str:
        """Saves a report under a name and returns its id; one of the person with the same name is changed and keeps its id.

        `pinned_to` is a page of figures, empty for none; None leaves it as it is, but takes a report with filters from its page. Audited
        without the name. Raises ConfigurationError for an empty or long name, more than MOST_SAVED reports, and a report with filters that
        is pinned.
        """
        if pinned_to and definition.filters:
            raise ConfigurationError(FILTERS_OF_THE_PAGE)
        name = name.strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise ConfigurationError(f"give the report a name of 1 to {LONGEST_NAME} characters")
        sealed = self._seal(name)
        values: dict[str, object] = {"definition": self._seal(definition.model_dump_json()), "is_shared": is_shared}
        values["saved_at"] = datetime.now(UTC)
        with self._writing() as connection:
            mine = connection.execute(select(SAVED_REPORT).where(self._mine)).mappings().all()
            before = next((row for row in mine if row["name"] == sealed), None)
            if pinned_to is None and definition.filters and before is not None and before["pinned_to"]:
                pinned_to = ""
            values |= {} if pinned_to is None else {"pinned_to": pinned_to}
            if before is not None:
                report_id = before["report_id"]
                connection.execute(update(SAVED_REPORT).where(SAVED_REPORT.c.report_id == report_id).values(**values))
            else:
                if len(mine) >= MOST_SAVED:
                    raise ConfigurationError(f"there are {MOST_SAVED} saved reports; remove one first")
                report_id = secrets.token_hex(_ID_BYTES)
                own = {"report_id": report_id, "tenant_id": self._tenant_id, "email": self._email, "name": sealed}
                connection.execute(insert(SAVED_REPORT).values(**own, **values))
            detail = {"report": report_id, "owner": self._email, "shared": is_shared}
            detail |= {} if pinned_to is None else {"pinned_to": pinned_to}
            self._audit(connection, self._tenant_id, self._actor, "report saved", detail)
        return str(report_id)

    def keep_private(self, report_id: str) -> None:
        """Ends the sharing of a report of the person, who keeps it. Raises ConfigurationError where the person has none of that id."""
        self._change(report_id, update(SAVED_REPORT).values(is_shared=False), "report unshared")

    def remove(self, report_id: str) -> None:
        """Removes a report of the person. Raises ConfigurationError where the person has none of that id."""
        self._change(report_id, delete(SAVED_REPORT), "report removed")

    def _change(self, report_id: str, statement: Update | Delete, action: str) -> None:
        with self._writing() as connection:
            mine = statement.where(self._mine, SAVED_REPORT.c.report_id == report_id)
            if not connection.execute(mine).rowcount:
                raise ConfigurationError("this is not a saved report of yours")
            detail = {"report": report_id, "owner": self._email}
            self._audit(connection, self._tenant_id, self._actor, action, detail)

    def _read(self, asked: Select[Any]) -> tuple[SavedReport, ...]:
        """The reports of rows, by name."""
        with self._reading.connect() as connection:
            saved = [self._report(row) for row in connection.execute(asked).mappings()]
        return tuple(sorted(saved, key=lambda report: (report.name.lower(), report.email)))

    @property
    def _seen(self) -> ColumnElement[bool]:
        """The person's reports and those that others of the tenant share."""
        is_seen = or_(SAVED_REPORT.c.email == self._email, SAVED_REPORT.c.is_shared)
        return and_(SAVED_REPORT.c.tenant_id == self._tenant_id, is_seen)

    @property
    def _mine(self) -> ColumnElement[bool]:
        return and_(SAVED_REPORT.c.tenant_id == self._tenant_id, SAVED_REPORT.c.email == self._email)

    def _report(self, row: RowMapping) -> SavedReport:
        return SavedReport(
            report_id=row["report_id"],
            name=self._open(row["name"]),
            definition=ReportDefinition.model_validate_json(self._open(row["definition"])),
            email=row["email"],
            is_shared=row["is_shared"],
            saved_at=row["saved_at"],
            pinned_to=row["pinned_to"],
        )

    def _seal(self, text: str) -> str:
        return self._cipher.encrypt(text.encode(), None).hex()

    def _open(self, sealed: str) -> str:
        return self._cipher.decrypt(bytes.fromhex(sealed), None).decode()
