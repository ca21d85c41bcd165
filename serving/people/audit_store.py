"""What was done: the audit log of every tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select

from serving.people import audit_anchor, audit_log
from serving.people.audit_log import AuditCheck, AuditRow
from serving.people.database import Database, email_of
from serving.people.support_sessions import MARK
from serving.people.tables import AUDIT


class AuditStore(Database):
    """Appends to the audit, searches it and verifies it."""

    def audit(
        self,
        tenant_id: str,
        actor: str,
        action: str,
        scope_hash: str = "",
        detail: Mapping[str, object] | None = None,
        result: str = "done",
        further: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Appends one audit row, and one for each detail of `further`, in one step. Details hold names, counts, identifiers of
        units and tokens, never PHI."""
        with self._writing() as connection:
            for each in (detail or {}, *further):
                self._audit(connection, tenant_id, actor, action, each, scope_hash=scope_hash, result=result)

    def audit_rows(
        self,
        tenant_id: str,
        *,
        action: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 200,
        offset: int = 0,
    ) -> tuple[AuditRow, ...]:
        """A tenant's audit rows, the newest first: of one action or actor, from `since` on and before `until`."""
        wanted = [AUDIT.c.tenant_id == tenant_id]
        wanted += [] if action is None else [AUDIT.c.action == action]
        wanted += [] if actor is None else [AUDIT.c.actor == actor]
        wanted += [] if since is None else [AUDIT.c.at >= since]
        wanted += [] if until is None else [AUDIT.c.at < until]
        rows = select(AUDIT).where(*wanted).order_by(AUDIT.c.sequence.desc()).limit(limit).offset(offset)
        with self._reading.connect() as connection:
            return tuple(audit_log.row_of(row) for row in connection.execute(rows).mappings())

    def audit_actions(self, tenant_id: str) -> tuple[str, ...]:
        """The actions that stand in a tenant's audit log, in order."""
        actions = select(AUDIT.c.action).where(AUDIT.c.tenant_id == tenant_id).distinct().order_by(AUDIT.c.action)
        with self._reading.connect() as connection:
            return tuple(connection.execute(actions).scalars())

    def audit_between(
        self,
        tenant_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        session: str | None = None,
        action: str | None = None,
    ) -> tuple[AuditRow, ...]:
        """All of a tenant's audit rows of some time, the oldest first: of one person, one session or one action. `until` is not
        included."""
        conditions = [AUDIT.c.tenant_id == tenant_id]
        conditions += [AUDIT.c.at >= since] if since is not None else []
        conditions += [AUDIT.c.at < until] if until is not None else []
        conditions += [AUDIT.c.actor == email_of(actor)] if actor is not None else []
        conditions += [AUDIT.c.session == session] if session is not None else []
        conditions += [AUDIT.c.action == action] if action is not None else []
        with self._reading.connect() as connection:
            rows = connection.execute(select(AUDIT).where(*conditions).order_by(AUDIT.c.sequence)).mappings()
            return tuple(audit_log.row_of(row) for row in rows)

    def count_people(self, tenant_id: str, since: datetime, until: datetime) -> int:
        """How many people of a tenant were signed in, or asked with an own token, from `since` on and before `until`. Who looked in a
        support session does not count."""
        # Rows of a session or a token name it, but for the sign-in itself. Actors that are no person have no at sign.
        wanted = (
            (AUDIT.c.tenant_id == tenant_id)
            & (AUDIT.c.at >= since)
            & (AUDIT.c.at < until)
            & ((AUDIT.c.session != "") | (AUDIT.c.action == "sign-in"))
            & (AUDIT.c.result == "done")
            & AUDIT.c.actor.like("%@%")
            & AUDIT.c.actor.not_like(f"%{MARK}")
        )
        with self._reading.connect() as connection:
            return connection.execute(select(func.count(AUDIT.c.actor.distinct())).where(wanted)).scalar_one()

    def verify_audit(self) -> AuditCheck:
        """Recomputes the whole chain of all tenants, and holds it against the heads that were written outside the database."""
        with self._engine.begin() as connection:
            if not audit_log.has_tables(connection):
                return AuditCheck(rows=0, first_bad=1, problem="the tables of the audit are gone")
            check = audit_log.verify(connection, self._key)
            problem = audit_anchor.contradiction(connection, self._anchor, self._key) if check.is_intact else ""
            return replace(check, first_bad=check.rows + 1, problem=problem) if problem else check

    def check_audit_anchor(self) -> str:
        """What the newest heads outside the database contradict; empty where nothing. Quick, for every start."""
        with self._reading.connect() as connection:
            if not audit_log.has_tables(connection):
                return "the tables of the audit are gone"
            return audit_anchor.contradiction(connection, self._anchor, self._key)
