"""What the tests of mails and alerts share: a mail server, subscriptions and alerts of the people of the published home."""

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from dashboards.alerts.wanted import wanted
from dashboards.data import Source
from foundation.mail_server import MailServer
from serving.people.alert_rules import (
    Alert,
)
from serving.people.subscriptions import (
    Subscription,
)
from serving.reader import open_reader
from tests.serving.conftest import Place
from tests.support import ROOT

# The data of harbor reach 31 March 2026, those of mesa 28 February.
APRIL = datetime(2026, 4, 3, 12, tzinfo=UTC)
# On this day February has ended, of which all have figures.
MARCH = datetime(2026, 3, 3, 12, tzinfo=UTC)
FEBRUARY = (date(2026, 2, 1), date(2026, 2, 28))
THREE = ("admin@harbor", "east@harbor", "doctor@harbor")
PASSWORD = "four quiet herons 7"
# Sends with a function, and kills itself before or after a method that the sending calls.
_KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from pkgutil import resolve_name
from foundation.home import Home
from foundation.mail_server import MailServer

home, port, send, method, moment = sys.argv[1:]
owner, _, name = method.rpartition(".")
itself = getattr(resolve_name(owner), name)

def die(*words, **more):
    if moment == "after":
        itself(*words, **more)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(resolve_name(owner), name, die)
server = MailServer(host="127.0.0.1", port=int(port), security="none", sender="c@example.org", pages="https://x.example")
resolve_name(send)(Home.at(Path(home)), server, datetime.fromisoformat("2026-04-03T12:00:00+00:00"))
"""


def killed_at(place: Place, server: MailServer, send: str, method: str, moment: str = "before") -> None:
    """Sends in April in another process, which is killed before or after a method: names as of `pkgutil.resolve_name`."""
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(place.home.path), str(server.port), send, method, moment],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()


class Mailbox:
    """Takes mails as a server does. `answer` refuses where it is not empty: the answer to a recipient or to the mail."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.to_recipient = self.to_mail = ""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.to_recipient:
            return self.to_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.to_mail:
            return self.to_mail
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"

    def to(self, email: str) -> EmailMessage:
        """The one mail to a person."""
        (mail,) = [mail for mail in self.mails if mail["To"] == email]
        return mail


def settings(port: int) -> MailServer:
    return MailServer(
        host="127.0.0.1", port=port, security="none", sender="c@example.org", pages="https://{tenant}.example"
    )


def subscribe(place: Place, user: str, **more: Any) -> Subscription:
    principal = place.access.principal(user.partition("@")[2], user)
    return place.access.subscriptions.subscribe(
        principal, **{"page": "revenue_cycle", "every": "month", "actor": user} | more
    )


def body_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def attached(mail: EmailMessage) -> list[tuple[str, bytes]]:
    return [(str(part.get_filename()), part.get_payload(decode=True)) for part in mail.iter_attachments()]  # type: ignore[misc]


def states(place: Place, tenant: str = "harbor") -> list[tuple[str, str]]:
    return [(mail.state, mail.reason) for mail in place.access.subscriptions.deliveries(tenant)]


def audit_of(place: Place, action: str) -> list[tuple[str, str]]:
    return [(row.detail["user"], row.result) for row in place.access.audit_rows("harbor", action=action)]


def source_of(place: Place, user: str) -> Source:
    principal = place.access.principal(user.partition("@")[2], user)
    return Source(open_reader(place.home, principal), principal)


def alert(place: Place, user: str, metric: str = "visits", kind: str = "threshold", **more: Any) -> Alert:
    """An alert that was made on 2 April 2026, so that March is the first month that it looks at."""
    source = source_of(place, user)
    options = {"every": "month", "threshold": Decimal(1000) if kind == "threshold" else None} | more
    asked = wanted(source, metric, kind, **options)
    return place.access.alerts.add(source.principal, asked, actor=user, made_at=APRIL - timedelta(days=1))


def verdicts(place: Place, tenant: str = "harbor") -> list[tuple[str, str, str]]:
    """(unit, first day, verdict) of the log, the oldest first."""
    log = reversed(place.access.alerts.logged(tenant))
    return [(item.service_unit_id, item.period_start.isoformat(), item.verdict) for item in log]
