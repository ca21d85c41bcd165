"""Gives a mail to the mail server, and says what came of it: for every kind of mail that the program sends."""

import logging
import smtplib
import ssl
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

from dashboards import failures
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.mail_server import MailServer
from serving.model import NothingPublished
from serving.people.subscriptions import FAILED, UNCLEAR

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=6)
NOBODY_KNOWS = "the mail server did not answer after it got the mail: it may have arrived"
# The message of an error may hold data or a password: it is not repeated.
PROGRAM_FAILED = "the program failed with this mail; its log names the place in the code"
PROGRAM_FAILED_LATE = "the program failed after the mail server got the mail: it may have arrived"


class NotSent(Exception):
    """A mail was not sent. `state` is failed, or unclear where the mail server may have taken the mail; `reason` says why."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


class Post:
    """The mail server while the mails that are due are sent."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self._unreachable: Exception | None = None

    def hand_over(
        self, recipient: str, compose: Callable[[], EmailMessage], begin_sending: Callable[[], None]
    ) -> EmailMessage:
        """Composes a mail and gives it to the mail server. `begin_sending` marks it as being handed over. Returns the mail that was sent.

        Raises AccessError as `compose`, and NotSent for everything else that goes wrong.
        """
        is_handed = False
        try:
            # Before the mail is composed, which reads figures and is a row of the audit: without a server nobody gets them.
            connection = self._connect()
            try:
                message = compose()
                begin_sending()
                is_handed = True
                connection.send_message(message, to_addrs=[recipient])
            finally:
                # Its end is not asked for: the mail is taken or refused by then.
                connection.close()
        except Exception as error:
            if isinstance(error, AccessError) and not isinstance(error, NothingPublished):
                raise
            raise self._not_sent(error, is_handed=is_handed) from None
        return message

    def _connect(self) -> smtplib.SMTP:
        """As `connect`. A server that could not be reached is not waited for again: the error is raised again."""
        if self._unreachable is not None:
            raise self._unreachable
        try:
            return connect(self.server)
        except Exception as error:
            self._unreachable = error
            raise

    def _not_sent(self, error: Exception, *, is_handed: bool) -> NotSent:
        is_refused = isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused)
        is_expected = isinstance(error, ClinicmartError | smtplib.SMTPException | OSError)
        if not is_expected:
            log.error("a mail was not sent: %s", failures.place_of(error))
        if is_handed and not is_refused:
            return NotSent(UNCLEAR, NOBODY_KNOWS if is_expected else PROGRAM_FAILED_LATE)
        return NotSent(FAILED, _reason(error, self.server))


def wait_after(attempts: int) -> timedelta:
    """How long a mail waits that failed after so many earlier attempts."""
    doublings: int = 2 ** min(attempts, 10)
    return min(FIRST_WAIT * doublings, LONGEST_WAIT)


def connect(server: MailServer) -> smtplib.SMTP:
    """A connection to the mail server, encrypted as the configuration says and signed in. Raises ConfigurationError for a server that does
    not do what the configuration asks for, else as smtplib and ssl."""
    context = ssl.create_default_context()
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        if server.security == "starttls":
            _ask("STARTTLS", lambda: connection.starttls(context=context))
        if server.user:
            _ask("a sign-in with user and password", lambda: connection.login(server.user, server.password))
    except BaseException:
        connection.close()
        raise
    return connection


def _ask(what: str, ask: Callable[[], object]) -> None:
    """Asks the mail server for what the configuration names. Raises ConfigurationError where the server does not know it."""
    try:
        ask()
    except smtplib.SMTPException as error:
        # smtplib raises the base class where it shares no way to sign in with the server.
        if type(error) not in (smtplib.SMTPNotSupportedError, smtplib.SMTPException):
            raise
        raise ConfigurationError(f"the mail server does not know {what}, which the configuration asks for") from None


def _reason(error: Exception, server: MailServer) -> str:
    """Why a mail was not sent. Of a mail server's answer only its code: its words may repeat addresses."""
    name = f"the mail server {server.host}:{server.port}"
    if isinstance(error, NothingPublished):
        return "nothing is published yet for this organization"
    if isinstance(error, ClinicmartError):
        return str(error)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the mail server refuses the recipient (code {next(iter(error.recipients.values()))[0]})"
    if isinstance(error, smtplib.SMTPResponseException):
        what = {
            smtplib.SMTPAuthenticationError: "our user and password",
            smtplib.SMTPSenderRefused: "the sender",
            smtplib.SMTPDataError: "the mail",
        }.get(type(error), "the connection")
        return f"the mail server refuses {what} (code {error.smtp_code})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{name} has no certificate that is valid for its name"
    if isinstance(error, ssl.SSLError):
        return f"{name} does not encrypt the connection as this program asks; look at security and port in the configuration"
    if isinstance(error, smtplib.SMTPException | OSError):
        return f"{name} does not answer"
    return PROGRAM_FAILED
