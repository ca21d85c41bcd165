"""Sends the mails that are due. One process at a time: the others wait for the next time.

The rights of a recipient are looked up when the mail is made. A person who may no longer sign in, or whose role lost the page, ends the
subscription. Everything else that goes wrong with one mail is noted with its reason, shown to the person and to administrators, and tried
again; the other mails are sent.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage

from dashboards import failures
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.delivery.alone import alone
from dashboards.delivery.compose import Recipient, compose
from dashboards.delivery.hand_over import NotSent, Post, wait_after
from dashboards.reports import built
from dashboards.reports.chosen import opened
from dashboards.reports.contents import Report
from dashboards.reports.make import gathered
from dashboards.view import View
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from foundation.mail_server import MailServer
from serving.people.caller import Caller, set_caller
from serving.people.due_mail import Due, due
from serving.people.store import AccessStore
from serving.people.subscriptions import FAILED, GIVEN_UP, NEXT_PERIOD, SENT, Delivery, Subscription
from serving.reader import open_reader

log = logging.getLogger(__name__)

_ENDED = "ended"
NOT_NOTED = "the program could not note what came of this mail; its log names the place in the code"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a mail that was due. `state` is sent, failed, unclear, given up, or ended where its subscription ended; `reason` says
    why."""

    tenant_id: str
    email: str
    page: str
    period: str
    state: str
    reason: str = ""


def send_due(home: Home, server: MailServer, now: datetime | None = None) -> list[Outcome]:
    """Sends what is due at a moment (UTC). Raises ConfigurationError where another process is sending."""
    at = now or datetime.now(UTC)
    set_caller(Caller(channel="mail"))
    with alone(home):
        store = AccessStore.open(home)
        store.subscriptions.close_unclear()
        sending = _Sending(home, store, Post(server), at)
        return [_one(sending, item) for item in due(home, store.subscriptions, at)]


@dataclass(frozen=True)
class _Sending:
    """What sends the mails that are due at the moment `now` (UTC)."""

    home: Home
    store: AccessStore
    post: Post
    now: datetime


def _one(sending: _Sending, item: Due) -> Outcome:
    """What came of a mail. Where even that cannot be noted, the other mails are sent all the same."""
    try:
        return _try(sending, item)
    except Exception as error:
        log.error("subscription %s: %s", item.subscription.subscription_id, failures.place_of(error))
        return _outcome(item, FAILED, NOT_NOTED)


def _try(sending: _Sending, item: Due) -> Outcome:
    """Sends a mail that is due, or notes why it was not sent."""
    store, subscription = sending.store.subscriptions, item.subscription
    delivery = item.delivery or store.note(subscription, item.period_start, item.period_end, sending.now)
    try:
        message = sending.post.hand_over(
            subscription.email,
            lambda: message_of(sending.home, sending.store, sending.post.server, subscription, delivery),
            lambda: store.begin_sending(delivery),
        )
    except AccessError as error:
        store.failed(delivery, subscription, str(error), state=GIVEN_UP, next_at=None)
        if store.subscription(subscription.tenant_id, subscription.subscription_id).ended_at is None:
            store.end(subscription.tenant_id, subscription.subscription_id, because=str(error), actor="system")
        return _outcome(item, _ENDED, str(error))
    except NotSent as error:
        return _not_sent(sending, item, delivery, error)
    # The name of a report is sealed, and may stand in the subject.
    detail = {} if subscription.report_id else {"subject": message["Subject"]}
    store.sent(delivery, subscription, datetime.now(UTC), detail)
    return _outcome(item, SENT)


def _not_sent(sending: _Sending, item: Due, delivery: Delivery, error: NotSent) -> Outcome:
    """Notes why a mail was not sent, and when it is tried again: an earlier mail that somebody asked for again is tried once."""
    state, reason, next_at = error.state, error.reason, None
    if state == FAILED and item.is_last:
        next_at = sending.now + wait_after(delivery.attempts)
    elif state == FAILED:
        state, reason = GIVEN_UP, f"{reason}; {NEXT_PERIOD}"
    sending.store.subscriptions.failed(delivery, item.subscription, reason, state=state, next_at=next_at)
    return _outcome(item, state, reason)


def message_of(
    home: Home, store: AccessStore, server: MailServer, subscription: Subscription, delivery: Delivery
) -> EmailMessage:
    """The mail with the figures that the person may see now. Raises AccessError where the person may not have the page,
    ConfigurationError where the mail cannot be made yet."""
    rule = store.subscriptions.rule(subscription.tenant_id)
    if refusal := rule.refusal(subscription.email):
        raise ConfigurationError(refusal)
    principal = store.principal(subscription.tenant_id, subscription.email)
    password = store.subscriptions.password(subscription)
    with open_reader(home, principal) as reader:
        source = Source(reader, principal)
        if source.as_of < delivery.period_end:
            reached, end = fmt.day(source.as_of), fmt.day(delivery.period_end)
            raise ConfigurationError(f"the data reach {reached}, and the period ends on {end}")
        is_built = bool(subscription.report_id)
        report = _built(home, store, source, subscription) if is_built else _page(source, subscription, delivery)
    recipient = Recipient(subscription=subscription, content=rule.content, password=password)
    return compose(report, recipient, delivery, server)


def _page(source: Source, subscription: Subscription, delivery: Delivery) -> Report:
    """The page in the period of the mail."""
    key = periods.range_key(delivery.period_start, delivery.period_end)
    view = View(period=periods.parse(key, source.as_of))
    report = gathered(source, subscription.page, view, {"mail": subscription.subscription_id})
    if not report.tiles:
        raise ConfigurationError(f"the page {report.page.title} has no figure to send")
    return report


def _built(home: Home, store: AccessStore, source: Source, subscription: Subscription) -> Report:
    """The saved report in its own period. Raises AccessError where the person may open it no more."""
    reports = store.reports(Keys.of(home), subscription.tenant_id, subscription.email)
    try:
        saved = reports.one(subscription.report_id)
    except ConfigurationError:
        raise AccessError(f"the report was removed, or is no longer shared with {subscription.email}") from None
    base = View(period=periods.preset(periods.DEFAULT, source.as_of))
    view = opened(saved.definition, base, saved.report_id, source.as_of)
    return built.gathered(source, view, saved.name, {"mail": subscription.subscription_id})


def _outcome(item: Due, state: str, reason: str = "") -> Outcome:
    return Outcome(
        tenant_id=item.subscription.tenant_id,
        email=item.subscription.email,
        page=item.subscription.page,
        period=f"{item.period_start} to {item.period_end}",
        state=state,
        reason=reason,
    )
