"""The mails with alarms: one to each owner with all alarms that are in no mail yet.

A mail is noted before it is made, with the alarms that it holds, and its Message-ID follows from it. States are those of pages by mail
(`serving.people.subscriptions`), but no alarm may be lost: a mail of which nobody knows whether it arrived is sent a second time, and says
so.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from foundation.errors import AccessError
from serving.people.holders import is_of_holder
from serving.people.subscriptions import FAILED, INTERRUPTED, NOT_SENT, NOTED, SENDING, SENT, UNCLEAR
from serving.people.tables import ALARM_MAIL, ALERT_EVALUATION
from serving.people.targets import Audits


@dataclass(frozen=True, kw_only=True)
class AlarmMail:
    """A mail with alarms. `state` and `reason` as of `Delivery`; times in UTC. `may_have_arrived`: the mail server was given it before and
    did not confirm it."""

    mail_id: int
    tenant_id: str
    email: str
    message_id: str
    state: str
    attempts: int
    reason: str
    may_have_arrived: bool
    noted_at: datetime
    next_at: datetime | None
    sent_at: datetime | None

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be tried now."""
        return self.state == NOTED or (self.state == FAILED and (self.next_at is None or self.next_at <= now))


class AlarmMails:
    """The mails with alarms of all tenants of a home."""

    def __init__(
        self,
        *,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
        key: bytes,
    ) -> None:
        self._reading, self._writing, self._audit, self._key = reading, writing, audit, key

    def note(self, tenant_id: str, email: str, evaluations: Collection[int], now: datetime) -> None:
        """Notes the mail with alarms to a person. An alarm that is in a mail already stays in that one."""
        values = {"tenant_id": tenant_id, "email": email, "state": NOTED, "attempts": 0, "reason": "", "noted_at": now}
        values |= {"may_have_arrived": False}
        mine = ALERT_EVALUATION.c.evaluation_id.in_(list(evaluations)) & ALERT_EVALUATION.c.mail_id.is_(None)
        with self._writing() as connection:
            if connection.execute(select(ALERT_EVALUATION.c.evaluation_id).where(mine)).first() is None:
                return
            made = connection.execute(insert(ALARM_MAIL).values(message_id="", **values))
            (mail_id,) = made.inserted_primary_key or (0,)
            itself = ALARM_MAIL.c.mail_id == mail_id
            name = self._message_id(tenant_id, int(mail_id), now)
            connection.execute(update(ALARM_MAIL).where(itself).values(message_id=name))
            connection.execute(update(ALERT_EVALUATION).where(mine).values(mail_id=mail_id))

    def _message_id(self, tenant_id: str, mail_id: int, noted_at: datetime) -> str:
        """The part of a Message-ID before the at sign: nobody can tell from it whose mail it is."""
        text = f"alarms/{tenant_id}/{mail_id}/{noted_at.isoformat()}"
        return hashlib.blake2b(text.encode(), key=self._key[:64], digest_size=16).hexdigest()

    def unsent(self) -> tuple[AlarmMail, ...]:
        """The mails of all tenants that are noted or failed, the oldest first."""
        return self._in_states(NOTED, FAILED)

    def is_any_due(self, now: datetime) -> bool:
        """Whether a mail can be tried at a moment (UTC), or the process that was sending it has ended or is about to end."""
        return any(mail.is_due(now) or mail.state == SENDING for mail in self._in_states(NOTED, FAILED, SENDING))

    def _in_states(self, *states: str) -> tuple[AlarmMail, ...]:
        wanted = select(ALARM_MAIL).where(ALARM_MAIL.c.state.in_(states))
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(ALARM_MAIL.c.mail_id)).mappings()
            return tuple(_mail(row) for row in rows)

    def of_tenant(self, tenant_id: str, email: str | None = None, limit: int = 100) -> tuple[AlarmMail, ...]:
        """The mails of a tenant, or to one person of it, the newest first."""
        wanted = select(ALARM_MAIL).where(ALARM_MAIL.c.tenant_id == tenant_id)
        wanted = wanted if email is None else wanted.where(is_of_holder(ALARM_MAIL, email, "noted_at"))
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(ALARM_MAIL.c.mail_id.desc()).limit(limit)).mappings()
            return tuple(_mail(row) for row in rows)

    def begin_sending(self, mail: AlarmMail) -> None:
        """Marks a mail as being handed to the mail server."""
        self._set(mail, state=SENDING, attempts=mail.attempts + 1, reason="", next_at=None)

    def sent(self, mail: AlarmMail, now: datetime, detail: Mapping[str, object]) -> None:
        """Notes that the mail server took a mail."""
        audited = ("alarm mail sent", "done", detail)
        self._set(mail, audited=audited, state=SENT, reason="", sent_at=now, next_at=None)

    def failed(self, mail: AlarmMail, reason: str, *, state: str, next_at: datetime | None) -> None:
        """Notes why a mail was not sent, and when it is tried again."""
        values = {"state": state, "reason": reason, "next_at": next_at, "attempts": mail.attempts + 1}
        self._set(mail, audited=("alarm mail failed", "refused", {"reason": reason}), **values)

    def unconfirmed(self, mail: AlarmMail, reason: str, *, next_at: datetime) -> str:
        """Notes that nobody knows whether a mail arrived, and returns its state: the first time it failed and is tried again from
        `next_at` on, the second time it stays unclear."""
        state = UNCLEAR if mail.may_have_arrived else FAILED
        values = {"state": state, "reason": reason, "may_have_arrived": True}
        values |= {"next_at": None if mail.may_have_arrived else next_at}
        self._set(mail, audited=("alarm mail failed", "refused", {"reason": reason}), **values)
        return state

    def close_interrupted(self, now: datetime) -> None:
        """Notes as `unconfirmed` the mails that an ended process was sending. Only for who holds the lock of sending."""
        for mail in self._in_states(SENDING):
            self.unconfirmed(mail, INTERRUPTED, next_at=now)

    def send_again(self, tenant_id: str, mail_id: int, *, actor: str) -> None:
        """An unclear, a failed or a given-up mail is tried with the next sending. Raises AccessError where the tenant has none such."""
        mine = (
            (ALARM_MAIL.c.tenant_id == tenant_id) & (ALARM_MAIL.c.mail_id == mail_id) & ALARM_MAIL.c.state.in_(NOT_SENT)
        )
        with self._writing() as connection:
            if connection.execute(update(ALARM_MAIL).where(mine).values(state=NOTED, next_at=None)).rowcount == 0:
                raise AccessError(f"there is no mail {mail_id} that was not sent")
            self._audit(connection, tenant_id, actor, "alarm mail asked again", {"mail": mail_id})

    def _set(
        self, mail: AlarmMail, *, audited: tuple[str, str, Mapping[str, object]] | None = None, **values: object
    ) -> None:
        with self._writing() as connection:
            connection.execute(update(ALARM_MAIL).where(ALARM_MAIL.c.mail_id == mail.mail_id).values(**values))
            if audited is not None:
                action, result, detail = audited
                whole = {"user": mail.email, "mail": mail.mail_id, **detail}
                self._audit(connection, mail.tenant_id, "system", action, whole, result=result)


def _mail(row: RowMapping) -> AlarmMail:
    return AlarmMail(**{name: row[name] for name in AlarmMail.__dataclass_fields__})
