"""Mails with alarms: evaluates what is due and sends one mail to each owner, once, with all alarms that are in no mail yet.

The owner's rights are looked up again when the mail is made: an alarm on a metric or a unit that the owner no longer sees is left out.
No alarm is lost: a mail that the mail server did not confirm is sent a second time, and says so.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

from markupsafe import Markup

from dashboards import failures
from dashboards import format as fmt
from dashboards.alerts.check import check_due
from dashboards.alerts.words import Alarm, alarm_of
from dashboards.data import Source
from dashboards.delivery.alone import alone
from dashboards.delivery.compose import CELL, NO_FIGURES, STYLE, address_of_pages, envelope
from dashboards.delivery.hand_over import NotSent, Post, wait_after
from dashboards.delivery.send import NOT_NOTED, Outcome
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from foundation.mail_server import MailServer
from serving.people.alarm_mails import AlarmMail
from serving.people.alert_rules import PAGE
from serving.people.caller import Caller, set_caller
from serving.people.rights import ROLES
from serving.people.store import AccessStore
from serving.people.subscriptions import ENCRYPTED, FAILED, FIGURES, GIVEN_UP, SENT, UNCLEAR
from serving.reader import open_reader

log = logging.getLogger(__name__)

# A mail that fails for so long is given up. Its alarms stay on the page.
LONGEST_TRYING = timedelta(days=7)
FOOT = "You get this because of your alerts. To end an alert, or to pause it, open the page Alerts."
REPEATED = "You may have received this mail before. The mail server did not confirm it, so it is sent a second time."
NOT_IN_MAIL = "Your organization sends figures in encrypted files only. Open the page to see them."


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a mail with alarms says. `why_no_figures` is empty where the tenant lets figures leave in a mail. `may_have_arrived`: the mail
    is sent a second time."""

    alarms: tuple[Alarm, ...]
    place: str
    as_of: str
    why_no_figures: str
    may_have_arrived: bool

    @property
    def title(self) -> str:
        """`2 alarms: Harbor Health, data as of 31 Mar 2026`."""
        words = f"{fmt.plural(len(self.alarms), 'alarm')}: {self.place}, data as of {self.as_of}"
        return f"Sent again: {words}" if self.may_have_arrived else words

    @property
    def notes(self) -> list[str]:
        """What a reader must know besides the alarms."""
        return [note for note in (REPEATED if self.may_have_arrived else "", self.why_no_figures) if note]


def send_alarms(home: Home, server: MailServer, now: datetime | None = None) -> list[Outcome]:
    """Evaluates the alerts that are due at a moment (UTC) and sends the mails with alarms. Raises ConfigurationError where another
    process is sending."""
    at = now or datetime.now(UTC)
    set_caller(Caller(channel="mail"))
    with alone(home):
        store = AccessStore.open(home)
        store.alarm_mails.close_interrupted(at)
        check_due(home, store, at, only_due=True)
        post = Post(server)
        return [_one(home, store, post, mail, at) for mail in store.alarm_mails.unsent() if mail.is_due(at)]


def _one(home: Home, store: AccessStore, post: Post, mail: AlarmMail, now: datetime) -> Outcome:
    """What came of a mail. Where even that cannot be noted, the other mails are sent all the same."""
    try:
        return _try(home, store, post, mail, now)
    except Exception as error:
        log.error("alarm mail %s: %s", mail.mail_id, failures.place_of(error))
        return _outcome(mail, FAILED, NOT_NOTED)


def _try(home: Home, store: AccessStore, post: Post, mail: AlarmMail, now: datetime) -> Outcome:
    """Sends a mail, or notes why it was not sent."""
    mails = store.alarm_mails
    try:
        message = post.hand_over(
            mail.email, lambda: message_of(home, store, post.server, mail), lambda: mails.begin_sending(mail)
        )
    except AccessError as error:
        mails.failed(mail, str(error), state=GIVEN_UP, next_at=None)
        return _outcome(mail, GIVEN_UP, str(error))
    except NotSent as error:
        return _not_sent(store, mail, error, now)
    mails.sent(mail, datetime.now(UTC), {"subject": message["Subject"]})
    return _outcome(mail, SENT)


def _not_sent(store: AccessStore, mail: AlarmMail, error: NotSent, now: datetime) -> Outcome:
    """Notes why a mail was not sent, and when it is tried again."""
    next_at = now + wait_after(mail.attempts)
    if error.state == UNCLEAR:
        return _outcome(mail, store.alarm_mails.unconfirmed(mail, error.reason, next_at=next_at), error.reason)
    state, reason = error.state, error.reason
    if next_at > mail.noted_at + LONGEST_TRYING:
        state, reason = GIVEN_UP, f"{reason}; it was tried for {LONGEST_TRYING.days} days"
    store.alarm_mails.failed(mail, reason, state=state, next_at=next_at if state == FAILED else None)
    return _outcome(mail, state, reason)


def message_of(home: Home, store: AccessStore, server: MailServer, mail: AlarmMail) -> EmailMessage:
    """The mail with what the owner may see now. Raises AccessError where the tenant sends no mail or the owner sees none of the alarms
    any more, ConfigurationError where the tenant does not send to the owner's domain."""
    rule = store.subscriptions.rule(mail.tenant_id)
    if not rule.domains:
        raise AccessError("the organization sends no mail")
    if refusal := rule.refusal(mail.email):
        raise ConfigurationError(refusal)
    principal = store.principal(mail.tenant_id, mail.email)
    if PAGE not in ROLES[principal.role].pages:
        raise AccessError(f"the role of {mail.email} does not include the page Alerts")
    with open_reader(home, principal) as reader:
        source = Source(reader, principal)
        logged = store.alerts.of_mail(mail.tenant_id, mail.mail_id)
        alerts = {alert.alert_id: alert for alert in store.alerts.of_tenant(mail.tenant_id, mail.email)}
        # Of a person who had the user name before there is no alert.
        alarms = [alarm_of(source, alerts[item.alert_id], item) for item in logged if item.alert_id in alerts]
        seen = tuple(alarm for alarm in alarms if alarm is not None)
        if not seen:
            raise AccessError("the figures of these alarms are no longer among the data of the person")
        contents = Contents(
            alarms=seen,
            place=source.scope_label or source.tenant_name,
            as_of=fmt.day(max(item.data_as_of for item in logged)),
            why_no_figures={FIGURES: "", ENCRYPTED: NOT_IN_MAIL}.get(rule.content, NO_FIGURES),
            may_have_arrived=mail.may_have_arrived,
        )
        names = sorted({alarm.metric.name for alarm in seen})
        reader.note("alarm mail made", {"mail": mail.mail_id, "metrics": names}, "done")
    return compose(contents, mail, server)


def compose(contents: Contents, mail: AlarmMail, server: MailServer) -> EmailMessage:
    """The mail. Its Message-ID was noted before, so that a second attempt is the same mail."""
    # A second attempt is the same mail: also by its date.
    message = envelope(server, mail.email, contents.title, mail.message_id, mail.noted_at)
    base = address_of_pages(server, mail.tenant_id)
    message.set_content(_text(contents, base))
    message.add_alternative(str(_html(contents, base)), subtype="html")
    return message


def _text(contents: Contents, base: str) -> str:
    lines = [line for note in contents.notes for line in (note, "")]
    for alarm in () if contents.why_no_figures else contents.alarms:
        lines += [f"{alarm.metric.label}, {alarm.unit}, {alarm.period}: {alarm.reason}", f"{base}/{alarm.link}", ""]
    return "\n".join([contents.title, "", *lines, f"{base}/{PAGE}", "", FOOT, ""])


def _html(contents: Contents, base: str) -> Markup:
    body = Markup("").join(Markup("<p>{}</p>").format(note) for note in contents.notes)
    if not contents.why_no_figures:
        rows = Markup("").join(_row(alarm, base) for alarm in contents.alarms)
        body += Markup('<table style="border-collapse:collapse;{}">{}</table>').format(STYLE, rows)
    return Markup(
        '<html><body style="{}"><h1 style="font-size:20px">{}</h1>{}<p><a href="{}">Open the page Alerts</a></p>'
        '<p style="color:#5a626e">{}</p></body></html>'
    ).format(STYLE, contents.title, body, f"{base}/{PAGE}", FOOT)


def _row(alarm: Alarm, base: str) -> Markup:
    figure = Markup('<a href="{}">{}</a>').format(f"{base}/{alarm.link}", alarm.metric.label)
    cells = (figure, alarm.unit, alarm.period, fmt.sentence(alarm.reason))
    return Markup("<tr>{}</tr>").format(
        Markup("").join(Markup('<td style="{}">{}</td>').format(CELL, cell) for cell in cells)
    )


def _outcome(mail: AlarmMail, state: str, reason: str = "") -> Outcome:
    return Outcome(
        tenant_id=mail.tenant_id, email=mail.email, page=PAGE, period=f"mail {mail.mail_id}", state=state, reason=reason
    )
