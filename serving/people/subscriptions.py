"""Pages and saved reports by mail: what may leave a tenant by mail, who gets what, and the mail of each period.

A mail is noted before it is made. Its Message-ID follows from the subscription and the period, so that it stays the same in every
attempt. It is marked as being sent before the mail server gets it: where a process ends at that moment, nobody knows whether the server
took the mail. It is then `unclear`, is not sent again by itself, and people see it.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.modules import PAGES
from serving.people.ended_periods import EVERY, MONTH, WEEK
from serving.people.holders import is_of_holder
from serving.people.passwords import check_strength
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.sealed import seal, unseal
from serving.people.tables import DELIVERY, MAIL_RULE, SAVED_REPORT, SUBSCRIPTION
from serving.people.targets import Audits
from serving.report_definition import BUILDER

# What a mail of a tenant holds. figures: tiles, and the file that the person chose. encrypted: figures in a PDF that opens with the
# person's password, and none in the mail. links: no figure at all.
FIGURES, ENCRYPTED, LINKS = CONTENTS = ("figures", "encrypted", "links")
# How many days after the end of a period the mail may wait.
LONGEST_DELAYS: Mapping[str, int] = MappingProxyType({WEEK: 6, MONTH: 27})
FILES = ("", "xlsx", "pdf")
NOTED, FAILED, SENDING, SENT, UNCLEAR, GIVEN_UP = "noted", "failed", "sending", "sent", "unclear", "given up"
# States of mails that did not surely leave; a person can ask for them again.
NOT_SENT = (FAILED, UNCLEAR, GIVEN_UP)
NEXT_PERIOD = "the next period has begun"
INTERRUPTED = "the program ended while the mail server took the mail: it may have arrived"
# A user name that stands in a header as it is: a mail server can read another one, such as "a,b@clinic.example", as two addresses.
_RECIPIENT = re.compile(r"[A-Za-z0-9_%+'-]+(\.[A-Za-z0-9_%+'-]+)*@[A-Za-z0-9.-]{1,190}")


@dataclass(frozen=True, kw_only=True)
class MailRule:
    """What may leave a tenant by mail. Without a domain nothing is sent."""

    domains: tuple[str, ...] = ()
    content: str = FIGURES

    def refusal(self, email: str) -> str:
        """Why nothing may be sent to an address; empty where it may."""
        if not _RECIPIENT.fullmatch(email):
            return f"{email} is not an address that mail can be sent to"
        domain = email.rpartition("@")[2].lower()
        if domain in self.domains:
            return ""
        listed = ", ".join(self.domains) or "none"
        return f"mail to {domain} is not allowed; allowed are {listed}"


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A person of a tenant gets a page, `delay_days` days after each week or month. `report_id` is empty, or names a saved report; then
    `page` is BUILDER. `file_format` is one of FILES, empty for no attachment. `has_password`: a password for an encrypted PDF is kept.
    `ended_because` is empty for one that goes on."""

    subscription_id: int
    tenant_id: str
    email: str
    page: str
    every: str
    delay_days: int
    file_format: str
    has_password: bool
    made_by: str
    made_at: datetime
    ended_at: datetime | None
    ended_because: str
    report_id: str = ""

    @property
    def about(self) -> dict[str, object]:
        """What audit rows say of it: the user, and the page or the report."""
        return _about(self.email, self.page, self.report_id)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The mail of one period. `state` is noted, failed (tried again from `next_at` on), sending, sent, unclear or given up; `reason` says
    why it was not sent. Times in UTC, days at both ends of the period included."""

    delivery_id: int
    subscription_id: int
    tenant_id: str
    period_start: date
    period_end: date
    message_id: str
    state: str
    attempts: int
    reason: str
    noted_at: datetime
    next_at: datetime | None
    sent_at: datetime | None

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be tried now."""
        return self.state == NOTED or (self.state == FAILED and (self.next_at is None or self.next_at <= now))


class Subscriptions:
    """Subscriptions and mails of all tenants of a home. Each change is an audit row."""

    def __init__(
        self,
        *,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
        key: bytes,
    ) -> None:
        self._reading, self._writing, self._audit, self._key = reading, writing, audit, key

    # The tenant's rule

    def rule(self, tenant_id: str) -> MailRule:
        """The tenant's rule; without one nothing may be sent."""
        with self._reading.connect() as connection:
            row = connection.execute(select(MAIL_RULE).where(MAIL_RULE.c.tenant_id == tenant_id)).mappings().first()
        if row is None:
            return MailRule()
        return MailRule(domains=tuple(filter(None, row["domains"].split(","))), content=row["content"])

    def set_rule(self, tenant_id: str, domains: Collection[str], content: str, *, actor: str) -> MailRule:
        """Sets the domains of recipients and what a mail holds. Raises ConfigurationError for what is neither."""
        if content not in CONTENTS:
            raise ConfigurationError(f"{content!r} is not one of {', '.join(CONTENTS)}")
        rule = MailRule(domains=tuple(sorted({domain.strip().lower() for domain in domains})), content=content)
        for domain in rule.domains:
            if not domain or not all(char.isalnum() or char in "-." for char in domain):
                raise ConfigurationError(f"{domain!r} is not a domain such as clinic.example")
        values = {"domains": ",".join(rule.domains), "content": rule.content}
        with self._writing() as connection:
            mine = MAIL_RULE.c.tenant_id == tenant_id
            if connection.execute(update(MAIL_RULE).where(mine).values(**values)).rowcount == 0:
                connection.execute(insert(MAIL_RULE).values(tenant_id=tenant_id, **values))
            self._audit(connection, tenant_id, actor, "mail rule set", values)
        return rule

    # Who gets what

    def subscribe(
        self,
        principal: Principal,
        *,
        page: str,
        report_id: str = "",
        every: str,
        delay_days: int = 1,
        file_format: str = "",
        password: str = "",
        actor: str,
    ) -> Subscription:
        """A person gets a page, or of the page BUILDER the saved report `report_id`, from now on. A subscription with a password replaces
        the same one without.

        Raises ConfigurationError for what a subscription cannot be and for one that is there already, AccessError (audited) for a page
        that the role does not hold, a report that the person may not open, and a domain that the tenant does not allow.
        """
        _check_wish(page, report_id, every, delay_days, file_format)
        tenant_id, email = principal.tenant_id, principal.email
        rule = self.rule(tenant_id)
        if password:
            check_strength(password, principal.email, [principal.display_name])
        _check_password(password, file_format, rule)
        detail = _about(email, page, report_id) | {"every": every, "delay_days": delay_days, "format": file_format}
        refusal = rule.refusal(email)
        if page not in ROLES[principal.role].pages:
            refusal = f"the role of {email} does not include {_title(page)}"
        values = {"email": email, "page": page, "every": every, "delay_days": delay_days, "file_format": file_format}
        values["report_id"] = report_id
        with self._writing() as connection:
            if report_id and connection.execute(_seen_report(principal, report_id)).first() is None:
                refusal = f"there is no such report that {email} may open"
            if not refusal:
                identifier = self._insert(connection, {"tenant_id": tenant_id, **values}, password, actor)
            self._audit(
                connection, tenant_id, actor, "subscription made", detail, result="refused" if refusal else "done"
            )
        if refusal:
            raise AccessError(refusal)
        return self.subscription(tenant_id, identifier)

    def _insert(self, connection: Connection, values: Mapping[str, Any], password: str, actor: str) -> int:
        """Adds a subscription and returns its id. Raises ConfigurationError for one that is there already; one without a password is
        replaced by one with it."""
        names = ("tenant_id", "email", "page", "report_id", "every")
        same = [SUBSCRIPTION.c[name] == values[name] for name in names]
        query = select(SUBSCRIPTION).where(*same, SUBSCRIPTION.c.ended_at.is_(None))
        kept = connection.execute(query).mappings().first()
        if kept is not None:
            if not password or kept["sealed_password"] is not None:
                title = _title(values["page"])
                raise ConfigurationError(f"{values['email']} already gets {title} each {values['every']}")
            self._end(connection, kept, because="replaced by one with a password", actor=actor)
        owner = _owner(values["email"])
        made = connection.execute(
            insert(SUBSCRIPTION).values(
                **values,
                sealed_password=seal(self._key, values["tenant_id"], owner, password) if password else None,
                made_by=actor,
                made_at=datetime.now(UTC),
                ended_because="",
            )
        )
        (identifier,) = made.inserted_primary_key or (0,)
        return int(identifier)

    def subscription(self, tenant_id: str, subscription_id: int) -> Subscription:
        """A subscription of a tenant. Raises AccessError where there is none."""
        mine = (SUBSCRIPTION.c.tenant_id == tenant_id) & (SUBSCRIPTION.c.subscription_id == subscription_id)
        with self._reading.connect() as connection:
            row = connection.execute(select(SUBSCRIPTION).where(mine)).mappings().first()
        if row is None:
            raise AccessError(f"there is no subscription {subscription_id}")
        return _subscription(row)

    def of_tenant(self, tenant_id: str, email: str | None = None) -> tuple[Subscription, ...]:
        """The subscriptions of a tenant, or of one person of it, by person and page; also those that have ended. Those of an earlier
        holder of the person's user name are left out."""
        wanted = select(SUBSCRIPTION).where(SUBSCRIPTION.c.tenant_id == tenant_id)
        wanted = wanted if email is None else wanted.where(is_of_holder(SUBSCRIPTION, email))
        order = (SUBSCRIPTION.c.email, SUBSCRIPTION.c.page, SUBSCRIPTION.c.subscription_id)
        with self._reading.connect() as connection:
            return tuple(_subscription(row) for row in connection.execute(wanted.order_by(*order)).mappings())

    def going_on(self) -> tuple[Subscription, ...]:
        """The subscriptions of all tenants that have not ended."""
        wanted = select(SUBSCRIPTION).where(SUBSCRIPTION.c.ended_at.is_(None))
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(SUBSCRIPTION.c.subscription_id)).mappings()
            return tuple(_subscription(row) for row in rows)

    def end(self, tenant_id: str, subscription_id: int, *, because: str, actor: str) -> None:
        """Ends a subscription. Raises AccessError where the tenant has no such subscription that goes on."""
        with self._writing() as connection:
            mine = (
                (SUBSCRIPTION.c.tenant_id == tenant_id)
                & (SUBSCRIPTION.c.subscription_id == subscription_id)
                & SUBSCRIPTION.c.ended_at.is_(None)
            )
            row = connection.execute(select(SUBSCRIPTION).where(mine)).mappings().first()
            if row is None:
                raise AccessError(f"there is no subscription {subscription_id} that goes on")
            self._end(connection, row, because=because, actor=actor)

    def _end(self, connection: Connection, row: RowMapping, *, because: str, actor: str) -> None:
        connection.execute(
            update(SUBSCRIPTION)
            .where(SUBSCRIPTION.c.subscription_id == row["subscription_id"])
            .values(ended_at=datetime.now(UTC), ended_because=because, sealed_password=None)
        )
        detail = _about(row["email"], row["page"], row["report_id"]) | {"every": row["every"], "because": because}
        self._audit(connection, row["tenant_id"], actor, "subscription ended", detail)

    def password(self, subscription: Subscription) -> str:
        """The password of its PDFs; empty where there is none. Raises ConfigurationError where it does not open, or was deleted since
        because the subscription ended."""
        mine = SUBSCRIPTION.c.subscription_id == subscription.subscription_id
        with self._reading.connect() as connection:
            sealed = connection.execute(select(SUBSCRIPTION.c.sealed_password).where(mine)).scalar()
        if subscription.has_password and not sealed:
            raise ConfigurationError("the subscription has ended")
        return unseal(self._key, subscription.tenant_id, _owner(subscription.email), sealed) if sealed else ""

    # The mails

    def note(self, subscription: Subscription, start: date, end: date, now: datetime) -> Delivery:
        """The mail of a period: the one that was noted before, else a new one. With a new one, earlier mails that failed are given up."""
        mine = (DELIVERY.c.subscription_id == subscription.subscription_id) & (DELIVERY.c.period_start == start)
        with self._writing() as connection:
            row = connection.execute(select(DELIVERY).where(mine)).mappings().first()
            if row is None:
                connection.execute(
                    insert(DELIVERY).values(
                        subscription_id=subscription.subscription_id,
                        tenant_id=subscription.tenant_id,
                        period_start=start,
                        period_end=end,
                        message_id=self._message_id(subscription, start),
                        state=NOTED,
                        attempts=0,
                        reason="",
                        noted_at=now,
                    )
                )
                earlier = (
                    (DELIVERY.c.subscription_id == subscription.subscription_id)
                    & (DELIVERY.c.period_start < start)
                    & (DELIVERY.c.state == FAILED)
                )
                given_up = {"state": GIVEN_UP, "reason": NEXT_PERIOD, "next_at": None}
                connection.execute(update(DELIVERY).where(earlier).values(**given_up))
                row = connection.execute(select(DELIVERY).where(mine)).mappings().one()
        return _delivery(row)

    def up_to(self, subscription: Subscription, start: date) -> tuple[Delivery, ...]:
        """The mail of the period that begins on `start`, and earlier ones that were noted and not tried; the earliest first."""
        wanted = select(DELIVERY).where(
            DELIVERY.c.subscription_id == subscription.subscription_id,
            (DELIVERY.c.period_start == start) | ((DELIVERY.c.period_start < start) & (DELIVERY.c.state == NOTED)),
        )
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(DELIVERY.c.period_start)).mappings()
            return tuple(_delivery(row) for row in rows)

    def _message_id(self, subscription: Subscription, start: date) -> str:
        """The part of a Message-ID before the at sign: nobody can tell from it whose mail it is."""
        text = f"{subscription.tenant_id}/{subscription.subscription_id}/{start}/{subscription.made_at.isoformat()}"
        return hashlib.blake2b(text.encode(), key=self._key[:64], digest_size=16).hexdigest()

    def begin_sending(self, delivery: Delivery) -> None:
        """Marks a mail as being handed to the mail server."""
        self._set(delivery, state=SENDING, attempts=delivery.attempts + 1, reason="", next_at=None)

    def sent(self, delivery: Delivery, subscription: Subscription, now: datetime, detail: Mapping[str, object]) -> None:
        """Notes that the mail server took a mail."""
        values = {"state": SENT, "reason": "", "sent_at": now, "next_at": None}
        self._set(delivery, audited=("mail sent", "done", subscription, detail), **values)

    def failed(
        self, delivery: Delivery, subscription: Subscription, reason: str, *, state: str, next_at: datetime | None
    ) -> None:
        """Notes why a mail was not sent, and when it is tried again."""
        values = {"state": state, "reason": reason, "next_at": next_at, "attempts": delivery.attempts + 1}
        self._set(delivery, audited=("mail failed", "refused", subscription, {"reason": reason}), **values)

    def close_unclear(self) -> int:
        """Marks mails that an ended process was sending as unclear; how many those were. Only for who holds the lock of sending."""
        values = {"state": UNCLEAR, "reason": INTERRUPTED}
        with self._writing() as connection:
            rows = connection.execute(select(DELIVERY).where(DELIVERY.c.state == SENDING)).mappings().all()
            for row in rows:
                connection.execute(
                    update(DELIVERY).where(DELIVERY.c.delivery_id == row["delivery_id"]).values(**values)
                )
                detail = {"delivery": row["delivery_id"], "reason": values["reason"]}
                self._audit(connection, row["tenant_id"], "system", "mail failed", detail, result="refused")
        return len(rows)

    def send_again(self, tenant_id: str, delivery_id: int, *, actor: str) -> None:
        """An unclear, a failed or a given-up mail is tried with the next sending. Raises AccessError where the tenant has no such mail
        of a subscription that goes on."""
        going_on = select(SUBSCRIPTION.c.subscription_id).where(SUBSCRIPTION.c.ended_at.is_(None))
        with self._writing() as connection:
            mine = (
                (DELIVERY.c.tenant_id == tenant_id)
                & (DELIVERY.c.delivery_id == delivery_id)
                & DELIVERY.c.state.in_(NOT_SENT)
                & DELIVERY.c.subscription_id.in_(going_on)
            )
            if connection.execute(update(DELIVERY).where(mine).values(state=NOTED, next_at=None)).rowcount == 0:
                raise AccessError(f"there is no mail {delivery_id} that was not sent and whose subscription goes on")
            self._audit(connection, tenant_id, actor, "mail asked again", {"delivery": delivery_id})

    def deliveries(self, tenant_id: str, email: str | None = None, limit: int = 100) -> tuple[Delivery, ...]:
        """The mails of a tenant, or to one person of it, the newest first."""
        return self._mails(_wanted(tenant_id, email), limit)

    def not_sent(
        self, tenant_id: str, email: str | None = None, *, of_going_on: bool = False, limit: int = 100
    ) -> tuple[Delivery, ...]:
        """The mails of a tenant, or to one person of it, that were not sent, the newest first. `of_going_on`: of subscriptions that go on
        alone."""
        wanted = _wanted(tenant_id, email, going_on=of_going_on).where(DELIVERY.c.state.in_(NOT_SENT))
        return self._mails(wanted, limit)

    def count_not_sent(self, tenant_id: str, email: str | None = None) -> int:
        """How many mails of a tenant, or to one person of it, were not sent."""
        wanted = _wanted(tenant_id, email).where(DELIVERY.c.state.in_(NOT_SENT))
        with self._reading.connect() as connection:
            return connection.execute(select(func.count()).select_from(wanted.subquery())).scalar_one()

    def is_to(self, tenant_id: str, delivery_id: int, email: str | None) -> bool:
        """Whether a mail is of a tenant, and to a person of it where one is named."""
        wanted = _wanted(tenant_id, email).where(DELIVERY.c.delivery_id == delivery_id)
        return bool(self._mails(wanted, 1))

    def _mails(self, wanted: Select[Any], limit: int) -> tuple[Delivery, ...]:
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(DELIVERY.c.delivery_id.desc()).limit(limit)).mappings()
            return tuple(_delivery(row) for row in rows)

    def _set(
        self,
        delivery: Delivery,
        *,
        audited: tuple[str, str, Subscription, Mapping[str, object]] | None = None,
        **values: object,
    ) -> None:
        with self._writing() as connection:
            connection.execute(update(DELIVERY).where(DELIVERY.c.delivery_id == delivery.delivery_id).values(**values))
            if audited is not None:
                action, result, subscription, detail = audited
                whole = {
                    **subscription.about,
                    "period": f"{delivery.period_start} to {delivery.period_end}",
                    "delivery": delivery.delivery_id,
                    **detail,
                }
                self._audit(connection, delivery.tenant_id, "system", action, whole, result=result)


def _wanted(tenant_id: str, email: str | None, *, going_on: bool = False) -> Select[Any]:
    """The mails of a tenant, to one person where one is named, of subscriptions that go on where that is asked."""
    wanted = select(DELIVERY).where(DELIVERY.c.tenant_id == tenant_id)
    if email is None and not going_on:
        return wanted
    mine = select(SUBSCRIPTION.c.subscription_id).where(SUBSCRIPTION.c.tenant_id == tenant_id)
    mine = mine if email is None else mine.where(is_of_holder(SUBSCRIPTION, email))
    mine = mine.where(SUBSCRIPTION.c.ended_at.is_(None)) if going_on else mine
    return wanted.where(DELIVERY.c.subscription_id.in_(mine))


def _about(email: str, page: str, report_id: str) -> dict[str, object]:
    return {"user": email, "page": page, **({"report": report_id} if report_id else {})}


def _title(page: str) -> str:
    """`the page Overview`; of the page BUILDER `this report`."""
    return f"the page {PAGES[page].title}" if page in PAGES else "this report"


def _seen_report(principal: Principal, report_id: str) -> Select[Any]:
    """The row of a saved report where a person may open it: the own ones, and those that are shared."""
    mine = (SAVED_REPORT.c.email == principal.email) | SAVED_REPORT.c.is_shared
    this = (SAVED_REPORT.c.tenant_id == principal.tenant_id) & (SAVED_REPORT.c.report_id == report_id)
    return select(SAVED_REPORT.c.report_id).where(this, mine)


def _check_wish(page: str, report_id: str, every: str, delay_days: int, file_format: str) -> None:
    """Raises ConfigurationError for what a subscription cannot be."""
    if page not in ((BUILDER,) if report_id else PAGES):
        raise ConfigurationError(f"{page!r} is not a page of figures: {', '.join(PAGES)}")
    if every not in EVERY:
        raise ConfigurationError(f"{every!r} is not one of {', '.join(EVERY)}")
    if not 0 <= delay_days <= LONGEST_DELAYS[every]:
        raise ConfigurationError(f"a mail of each {every} waits 0 to {LONGEST_DELAYS[every]} days, not {delay_days}")
    if file_format not in FILES:
        raise ConfigurationError(f"{file_format!r} is not a format of an attachment: {', '.join(FILES[1:])}")


def _check_password(password: str, file_format: str, rule: MailRule) -> None:
    """Raises ConfigurationError for a password that cannot protect the file, and where the tenant's rule needs one."""
    # Writers of PDF take other characters in different ways, or fail and show the password.
    if not (password.isascii() and password.isprintable()):
        raise ConfigurationError("a password of a PDF has the letters a to z, digits, spaces and common signs only")
    if password and (file_format == "xlsx" or (rule.content == FIGURES and file_format != "pdf")):
        raise ConfigurationError("a password opens a PDF only: attach a PDF, or give no password")
    if rule.content == ENCRYPTED and not password:
        raise ConfigurationError("your organization sends figures in encrypted PDFs only: give a password for the PDF")


def _owner(email: str) -> str:
    return f"mail to {email}"


def _subscription(row: RowMapping) -> Subscription:
    names = (
        "subscription_id",
        "tenant_id",
        "email",
        "page",
        "every",
        "delay_days",
        "file_format",
        "made_by",
        "made_at",
    )
    return Subscription(
        **{name: row[name] for name in (*names, "ended_at", "ended_because", "report_id")},
        has_password=row["sealed_password"] is not None,
    )


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__dataclass_fields__})
