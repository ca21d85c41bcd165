"""Support sessions: an administrator of the platform looks at the pages of one organization, read only and for a short time.

The organization says whether it allows that: never, after one of its administrators has approved, or at once. A session belongs to
the sign-in of the platform's administrator, so that it ends with it; on the pages it has the role `support` and a user name that nobody of
the organization can have. Each step is an audit row of the organization.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, delete, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people import sessions
from serving.people.database import check_tenant
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.tables import SESSION, SUPPORT_SESSION, TENANT, USER
from serving.people.targets import Audits

# What may be chosen, in minutes.
TIME_LIMITS = (15, 30, 60, 120, 240)
LONGEST_REASON = 300
# So long a session can begin after it was asked for.
WAITS = timedelta(hours=24)
# So long the link works that leads to the pages.
LINK_LIFE = timedelta(minutes=2)
# What the user name of a person of the support ends with. No user name has a space in it.
MARK = " (support)"
TIME_OVER = "the time limit"
POLICY_CHANGED = "the organization refuses support sessions"


class SupportPolicy(StrEnum):
    """Whether an organization lets the platform's administrators look at its pages."""

    REFUSED = "refused"
    AFTER_APPROVAL = "after approval"
    ALLOWED = "allowed"


# Of an organization that has chosen nothing.
USUAL_POLICY = SupportPolicy.AFTER_APPROVAL


class SupportState(StrEnum):
    """`waiting` for an administrator of the organization; `ready` to begin; `running`; `ended`; `refused` by the organization; `withdrawn`
    before it began; `lapsed` because it did not begin in time."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    ENDED = "ended"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


OPEN_STATES = (SupportState.WAITING, SupportState.READY, SupportState.RUNNING)


@dataclass(frozen=True, kw_only=True)
class SupportSession:
    """A support session. Times in UTC: `began_at` and `until` are None before it began, `ended_at` before it ended. `decided_by` is the
    administrator of the organization who approved or refused it, `ended_by` a user name or what ended it."""

    support_id: str
    tenant_id: str
    asked_by: str
    reason: str
    minutes: int
    asked_at: datetime
    decided_by: str | None
    began_at: datetime | None
    until: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    state: SupportState

    @property
    def actor(self) -> str:
        """The user name under which audit rows say what was seen."""
        return name_of(self.asked_by)

    @property
    def is_open(self) -> bool:
        """Whether it runs, or can still begin."""
        return self.state in OPEN_STATES


def name_of(email: str) -> str:
    """The user name of a platform administrator in a support session."""
    return f"{email}{MARK}"


def principal_of(connection: Connection, support_id: str, user: RowMapping) -> Principal | None:
    """What a platform administrator is in a support session that runs now; None where it does not run, or is of somebody else."""
    row = (
        connection.execute(select(SUPPORT_SESSION).where(SUPPORT_SESSION.c.support_id == support_id)).mappings().first()
    )
    if row is None or (user["tenant_id"], user["role"]) != (PLATFORM, Role.SUPER_ADMIN):
        return None
    policy = _policy(connection, row["tenant_id"])
    if row["asked_by"] != user["email"] or _state(row, policy) is not SupportState.RUNNING:
        return None
    return _principal(row, user)


def _principal(row: RowMapping, user: RowMapping) -> Principal:
    return Principal(
        tenant_id=row["tenant_id"],
        email=name_of(row["asked_by"]),
        display_name=name_of(user["display_name"]),
        role=Role.SUPPORT,
    )


def end(
    connection: Connection, audit: Audits, row: RowMapping, *, actor: str, because: str = "", at: datetime | None = None
) -> None:
    """Ends a session that has not ended, with the sign-ins that opened it. The connection is in a writing transaction."""
    mine = SUPPORT_SESSION.c.support_id == row["support_id"]
    ended = {"ended_at": at or datetime.now(UTC), "ended_by": because or actor, "ticket_hash": None}
    connection.execute(update(SUPPORT_SESSION).where(mine).values(**ended))
    connection.execute(delete(SESSION).where(SESSION.c.support_id == row["support_id"]))
    action = "support ended" if row["began_at"] else "support withdrawn"
    detail = {"session": row["support_id"], "of": row["asked_by"], "because": because}
    audit(connection, row["tenant_id"], actor, action, {name: value for name, value in detail.items() if value})


def end_of_sign_in(connection: Connection, audit: Audits, support_id: str) -> None:
    """Ends the support session of a sign-in that ends."""
    row = connection.execute(select(SUPPORT_SESSION).where(_is_open(support_id))).mappings().first()
    if row is not None:
        end(connection, audit, row, actor=row["asked_by"])


class SupportSessions:
    """The support sessions of all organizations."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    # What there is

    def policy(self, tenant_id: str) -> SupportPolicy:
        """What an organization allows."""
        with self._reading.connect() as connection:
            return _policy(connection, tenant_id)

    def of_tenant(self, tenant_id: str) -> tuple[SupportSession, ...]:
        """Every support session of an organization, the newest first."""
        self.end_over(tenant_id)
        rows = select(SUPPORT_SESSION).where(SUPPORT_SESSION.c.tenant_id == tenant_id)
        with self._reading.connect() as connection:
            policy = _policy(connection, tenant_id)
            ordered = rows.order_by(SUPPORT_SESSION.c.asked_at.desc(), SUPPORT_SESSION.c.support_id)
            return tuple(_session(row, policy) for row in connection.execute(ordered).mappings())

    def open_of_tenant(self, tenant_id: str) -> tuple[SupportSession, ...]:
        """Those that run or can still begin, the newest first: what the pages of the organization say."""
        return tuple(session for session in self.of_tenant(tenant_id) if session.is_open)

    def principals(self, tenant_id: str) -> tuple[Principal, ...]:
        """Who looks at the pages of an organization in a support session now."""
        running = [item for item in self.open_of_tenant(tenant_id) if item.state is SupportState.RUNNING]
        with self._reading.connect() as connection:
            return tuple(
                principal
                for item in running
                if (user := _user(connection, item.asked_by)) is not None
                and (principal := principal_of(connection, item.support_id, user)) is not None
            )

    def end_over(self, tenant_id: str) -> None:
        """Records the end of sessions whose time is over: nobody else is there to do it."""
        over = (
            (SUPPORT_SESSION.c.tenant_id == tenant_id)
            & SUPPORT_SESSION.c.ended_at.is_(None)
            & (SUPPORT_SESSION.c.until <= datetime.now(UTC))
        )
        with self._reading.connect() as connection:
            if connection.execute(select(SUPPORT_SESSION.c.support_id).where(over)).first() is None:
                return
        with self._writing() as connection:
            for row in connection.execute(select(SUPPORT_SESSION).where(over)).mappings().all():
                end(connection, self._audit, row, actor="system", because=TIME_OVER, at=row["until"])

    # What the organization decides

    def set_policy(self, tenant_id: str, policy: SupportPolicy, *, actor: str) -> None:
        """Sets what an organization allows. With `refused`, sessions end at once and those that wait are refused."""
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            mine = TENANT.c.tenant_id == tenant_id
            connection.execute(update(TENANT).where(mine).values(support_policy=policy.value))
            self._audit(connection, tenant_id, actor, "support policy changed", {"policy": policy.value})
            if policy is not SupportPolicy.REFUSED:
                return
            goes_on = (SUPPORT_SESSION.c.tenant_id == tenant_id) & SUPPORT_SESSION.c.ended_at.is_(None)
            for row in connection.execute(select(SUPPORT_SESSION).where(goes_on)).mappings().all():
                if row["began_at"] is not None:
                    end(connection, self._audit, row, actor=actor, because=POLICY_CHANGED)
                elif not row["is_refused"]:
                    self._decide(connection, row, is_approved=False, actor=actor)

    def decide(self, tenant_id: str, support_id: str, *, is_approved: bool, actor: str) -> None:
        """Approves or refuses a session that waits or is ready. Raises AccessError where there is no such session."""
        with self._writing() as connection:
            row = self._row(connection, tenant_id, support_id)
            state = _state(row, _policy(connection, tenant_id))
            if state is not SupportState.WAITING and (is_approved or state is not SupportState.READY):
                raise AccessError("this support session is not waiting for a decision")
            self._decide(connection, row, is_approved=is_approved, actor=actor)

    def _decide(self, connection: Connection, row: RowMapping, *, is_approved: bool, actor: str) -> None:
        mine = SUPPORT_SESSION.c.support_id == row["support_id"]
        decided = {"decided_by": actor, "decided_at": datetime.now(UTC), "is_refused": not is_approved}
        connection.execute(update(SUPPORT_SESSION).where(mine).values(**decided))
        action = "support approved" if is_approved else "support refused"
        self._audit(connection, row["tenant_id"], actor, action, {"session": row["support_id"], "of": row["asked_by"]})

    # What the platform's administrator does

    def ask(self, tenant_id: str, *, reason: str, minutes: int, by: str) -> SupportSession:
        """Asks for a session. Raises ConfigurationError for no or a long reason, another time limit than TIME_LIMITS, and where one of the
        same person is open; AccessError, recorded, where the organization refuses support sessions."""
        text = " ".join(reason.split())
        if not text or len(text) > LONGEST_REASON or not text.isprintable():
            raise ConfigurationError(f"write a reason of 1 to {LONGEST_REASON} characters; the organization reads it")
        if minutes not in TIME_LIMITS:
            raise ConfigurationError(f"the time limit is one of {', '.join(map(str, TIME_LIMITS))} minutes")
        self.end_over(tenant_id)
        asked = {"tenant_id": tenant_id, "asked_by": by, "reason": text, "minutes": minutes}
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            policy = _policy(connection, tenant_id)
            detail = {"reason": text, "minutes": minutes}
            if policy is SupportPolicy.REFUSED:
                self._audit(connection, tenant_id, by, "support asked", detail, result="refused")
            else:
                mine = (SUPPORT_SESSION.c.tenant_id == tenant_id) & (SUPPORT_SESSION.c.asked_by == by)
                rows = connection.execute(select(SUPPORT_SESSION).where(mine)).mappings().all()
                if any(_state(row, policy) in OPEN_STATES for row in rows):
                    raise ConfigurationError("you have an open support session in this organization; end it first")
                support_id = secrets.token_hex(8)
                values = {"support_id": support_id, "asked_at": datetime.now(UTC), **asked}
                connection.execute(insert(SUPPORT_SESSION).values(**values))
                self._audit(connection, tenant_id, by, "support asked", {"session": support_id, **detail})
                return _session(self._row(connection, tenant_id, support_id), policy)
        raise AccessError("this organization refuses support sessions")

    def begin(self, tenant_id: str, support_id: str, *, by: str) -> str:
        """Begins a session of the person, or makes another link to one that runs. Returns the token of the link, which works once within
        LINK_LIFE. Raises AccessError where the session is of somebody else, is not approved, or is over."""
        self.end_over(tenant_id)
        now, token = datetime.now(UTC), secrets.token_urlsafe(32)
        with self._writing() as connection:
            row = self._row(connection, tenant_id, support_id)
            state = _state(row, _policy(connection, tenant_id))
            if row["asked_by"] != by or state not in (SupportState.READY, SupportState.RUNNING):
                raise AccessError("this support session cannot be opened: it is not yours, not approved, or over")
            values: dict[str, object] = {"ticket_hash": sessions.token_hash(token), "ticket_until": now + LINK_LIFE}
            if row["began_at"] is None:
                until = now + timedelta(minutes=row["minutes"])
                values |= {"began_at": now, "until": until}
                detail = {"session": support_id, "reason": row["reason"], "until": until.isoformat(timespec="minutes")}
                self._audit(connection, tenant_id, by, "support began", detail)
            mine = SUPPORT_SESSION.c.support_id == support_id
            connection.execute(update(SUPPORT_SESSION).where(mine).values(**values))
        return token

    def tenant_of_link(self, token: str) -> str | None:
        """The organization to which the link of a session leads; None for one that was used or is too old."""
        with self._reading.connect() as connection:
            tenant_id: str | None = connection.execute(select(SUPPORT_SESSION.c.tenant_id).where(_fits(token))).scalar()
        return tenant_id

    def open_link(self, token: str, *, address: str = "", browser: str = "") -> str:
        """Takes the link of a session and returns the token of a sign-in for the browser. Raises AccessError for a link that was used,
        is too old, or belongs to a session that ended or to a person who may not sign in."""
        refusal = AccessError("this link was used or is too old; open the support session from the console again")
        with self._writing() as connection:
            row = connection.execute(select(SUPPORT_SESSION).where(_fits(token))).mappings().first()
            user = None if row is None else _user(connection, row["asked_by"])
            if row is None or user is None or principal_of(connection, row["support_id"], user) is None:
                raise refusal
            if connection.execute(update(SUPPORT_SESSION).where(_fits(token)).values(ticket_hash=None)).rowcount != 1:
                raise refusal
            # The console asked for the second factor: who opens a session there has passed it.
            return sessions.create(
                connection,
                PLATFORM,
                row["asked_by"],
                address,
                browser,
                second_factor=True,
                support_id=row["support_id"],
            )

    # Both sides

    def end(self, tenant_id: str, support_id: str, *, actor: str) -> None:
        """Ends a session at once, or withdraws one that has not begun. Raises AccessError where there is no such open session."""
        with self._writing() as connection:
            row = self._row(connection, tenant_id, support_id)
            if _state(row, _policy(connection, tenant_id)) not in OPEN_STATES:
                raise AccessError("this support session is over")
            end(connection, self._audit, row, actor=actor)

    @staticmethod
    def _row(connection: Connection, tenant_id: str, support_id: str) -> RowMapping:
        mine = (SUPPORT_SESSION.c.tenant_id == tenant_id) & (SUPPORT_SESSION.c.support_id == support_id)
        row = connection.execute(select(SUPPORT_SESSION).where(mine)).mappings().first()
        if row is None:
            raise AccessError("there is no such support session")
        return row


def _is_open(support_id: str) -> ColumnElement[bool]:
    return (SUPPORT_SESSION.c.support_id == support_id) & SUPPORT_SESSION.c.ended_at.is_(None)


def _fits(token: str) -> ColumnElement[bool]:
    is_it: ColumnElement[bool] = SUPPORT_SESSION.c.ticket_hash == sessions.token_hash(token)
    return is_it & (SUPPORT_SESSION.c.ticket_until > datetime.now(UTC))


def _user(connection: Connection, email: str) -> RowMapping | None:
    """The platform administrator of a user name, who may sign in."""
    mine = (USER.c.tenant_id == PLATFORM) & (USER.c.email == email) & USER.c.is_active
    return connection.execute(select(USER).where(mine)).mappings().first()


def _policy(connection: Connection, tenant_id: str) -> SupportPolicy:
    chosen = connection.execute(select(TENANT.c.support_policy).where(TENANT.c.tenant_id == tenant_id)).scalar()
    return SupportPolicy(chosen) if chosen else USUAL_POLICY


def _state(row: RowMapping, policy: SupportPolicy) -> SupportState:
    now = datetime.now(UTC)
    if row["is_refused"]:
        return SupportState.REFUSED
    if row["ended_at"] is not None:
        return SupportState.ENDED if row["began_at"] is not None else SupportState.WITHDRAWN
    if policy is SupportPolicy.REFUSED:
        return SupportState.REFUSED
    if row["began_at"] is not None:
        return SupportState.RUNNING if row["until"] > now else SupportState.ENDED
    if row["asked_at"] + WAITS <= now:
        return SupportState.LAPSED
    is_approved = row["decided_by"] is not None or policy is SupportPolicy.ALLOWED
    return SupportState.READY if is_approved else SupportState.WAITING


def _session(row: RowMapping, policy: SupportPolicy) -> SupportSession:
    kept = {name: row[name] for name in SupportSession.__dataclass_fields__ if name != "state"}
    return SupportSession(**kept, state=_state(row, policy))
