"""Sends the mails that are due. One process at a time: the others wait for the next time.

The rights of a recipient are looked up when the mail is made. A person who may no longer sign in, or whose role lost the page, ends the
subscription. Everything else that goes wrong is noted with its reason, shown to the person and to administrators, and tried again.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage

from filelock import FileLock, Timeout

from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.delivery.compose import Recipient, compose
from dashboards.reports.contents import Report
from dashboards.reports.make import gathered
from dashboards.view import View
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.mail_server import MailServer
from serving.model import NothingPublished
from serving.people.caller import Caller, set_caller
from serving.people.due_mail import last_period, local_day
from serving.people.store import AccessStore
from serving.people.subscriptions import FAILED, GIVEN_UP, SENT, UNCLEAR, Delivery, Subscription
from serving.reader import open_reader

TIMEOUT_SECONDS = 30
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=6)
_ENDED = "ended"
NOBODY_KNOWS = "the mail server did not answer after it got the mail: it may have arrived"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a mail that was due. `state` is sent, failed, unclear, or ended where its subscription ended; `reason` says why."""

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
    try:
        with FileLock(home.path / "deliver.lock", timeout=0):
            store = AccessStore.open(home)
            store.subscriptions.close_unclear()
            tried = (_try(home, store, server, item, at) for item in store.subscriptions.going_on())
            return [outcome for outcome in tried if outcome is not None]
    except Timeout:
        raise ConfigurationError("another process is sending mail from this home; try again when it is done") from None


def _try(
    home: Home, store: AccessStore, server: MailServer, subscription: Subscription, now: datetime
) -> Outcome | None:
    """Sends the mail of a subscription if it is due; None where it is not."""
    start, end = last_period(subscription, local_day(home, subscription.tenant_id, now))
    delivery = store.subscriptions.note(subscription, start, end, now)
    if not delivery.is_due(now):
        return None
    try:
        message = message_of(home, store, server, subscription, delivery)
    except NothingPublished:
        return _failed(store, subscription, delivery, now, "nothing is published yet for this organization")
    except AccessError as error:
        reason = str(error)
        store.subscriptions.failed(delivery, subscription, reason, state=GIVEN_UP, next_at=None)
        store.subscriptions.end(subscription.tenant_id, subscription.subscription_id, because=reason, actor="system")
        return _outcome(subscription, delivery, _ENDED, reason)
    except ClinicmartError as error:
        return _failed(store, subscription, delivery, now, str(error))
    return _hand_over(store, server, subscription, delivery, message, now)


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
        report = _report(Source(reader, principal), subscription, delivery.period_start, delivery.period_end)
    recipient = Recipient(subscription=subscription, content=rule.content, password=password)
    return compose(report, recipient, delivery, server)


def _report(source: Source, subscription: Subscription, start: date, end: date) -> Report:
    if source.as_of < end:
        raise ConfigurationError(f"the data reach {fmt.day(source.as_of)}, and the period ends on {fmt.day(end)}")
    view = View(period=periods.parse(periods.range_key(start, end), source.as_of))
    report = gathered(source, subscription.page, view, {"mail": subscription.subscription_id})
    if not report.tiles:
        raise ConfigurationError(f"the page {report.page.title} has no figure to send")
    return report


def _hand_over(
    store: AccessStore,
    server: MailServer,
    subscription: Subscription,
    delivery: Delivery,
    message: EmailMessage,
    now: datetime,
) -> Outcome:
    """Gives the mail to the mail server, and notes what it said."""
    try:
        with connected(server) as connection:
            store.subscriptions.begin_sending(delivery)
            connection.send_message(message)
            store.subscriptions.sent(delivery, subscription, datetime.now(UTC), {"subject": message["Subject"]})
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
        return _failed(store, subscription, delivery, now, _refusal(error))
    except ssl.SSLError:
        reason = f"the mail server {server.host}:{server.port} has no certificate that is valid for its name"
        return _failed(store, subscription, delivery, now, reason)
    except (smtplib.SMTPException, OSError):
        if _is_sending(store, delivery):
            store.subscriptions.failed(delivery, subscription, NOBODY_KNOWS, state=UNCLEAR, next_at=None)
            return _outcome(subscription, delivery, UNCLEAR, NOBODY_KNOWS)
        reason = f"the mail server {server.host}:{server.port} does not answer"
        return _failed(store, subscription, delivery, now, reason)
    return _outcome(subscription, delivery, SENT)


def _is_sending(store: AccessStore, delivery: Delivery) -> bool:
    mails = store.subscriptions.deliveries(delivery.tenant_id)
    return any(mail.delivery_id == delivery.delivery_id and mail.state == "sending" for mail in mails)


@contextmanager
def connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A connection to the mail server, encrypted as the configuration says and signed in. Its end is not asked for: the mail is
    taken or refused by then."""
    context = ssl.create_default_context()
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        if server.security == "starttls":
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, server.password)
        yield connection
    finally:
        connection.close()


def _refusal(error: smtplib.SMTPException) -> str:
    """What the mail server refused, by its code: its words may repeat addresses."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = next(iter(error.recipients.values()))[0]
        return f"the mail server refuses the recipient (code {code})"
    if isinstance(error, smtplib.SMTPResponseException):
        what = {
            smtplib.SMTPAuthenticationError: "our user and password",
            smtplib.SMTPSenderRefused: "the sender",
            smtplib.SMTPDataError: "the mail",
        }.get(type(error), "the connection")
        return f"the mail server refuses {what} (code {error.smtp_code})"
    return "the mail server does not know STARTTLS or sign-in, which the configuration asks for"


def _failed(store: AccessStore, subscription: Subscription, delivery: Delivery, now: datetime, reason: str) -> Outcome:
    wait = min(FIRST_WAIT * 2 ** min(delivery.attempts, 10), LONGEST_WAIT)
    store.subscriptions.failed(delivery, subscription, reason, state=FAILED, next_at=now + wait)
    return _outcome(subscription, delivery, FAILED, reason)


def _outcome(subscription: Subscription, delivery: Delivery, state: str, reason: str = "") -> Outcome:
    return Outcome(
        tenant_id=subscription.tenant_id,
        email=subscription.email,
        page=subscription.page,
        period=f"{delivery.period_start} to {delivery.period_end}",
        state=state,
        reason=reason,
    )
