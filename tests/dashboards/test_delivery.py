"""Pages by mail: a real mail server takes what people of three scopes get, and every failure is shown, tried again and sent once."""

import io
import itertools
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pypdf
import pytest
import streamlit
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from dagster import DagsterInstance, DagsterRunStatus, RunRequest, SkipReason, build_sensor_context
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.deliveries import mails_due, send_mail
from dashboards import data
from dashboards import format as fmt
from dashboards.delivery.compose import NO_FIGURES, WITHOUT_FILE
from dashboards.delivery.hand_over import NOBODY_KNOWS, PROGRAM_FAILED
from dashboards.delivery.send import NOT_NOTED, send_due
from dashboards.reports import document
from foundation.errors import AccessError, ConfigurationError
from foundation.mail_server import MailServer, load_mail
from serving.model import MetricQuery
from serving.people import subscriptions
from serving.people.due_mail import any_due, last_period
from serving.people.store import AccessStore
from serving.people.subscriptions import (
    EVERY,
    LONGEST_DELAYS,
    NEXT_PERIOD,
    Delivery,
    MailRule,
    Subscription,
    Subscriptions,
)
from serving.reader import open_reader
from serving.subscribing import Subscribing
from tests.certificates import certificate
from tests.serving.conftest import Place, _copied, _published_once  # noqa: F401
from tests.support import ROOT, clinicmart

# The data of harbor reach 31 March 2026.
APRIL = datetime(2026, 4, 3, 12, tzinfo=UTC)
# On this day February has ended, of which all have figures.
MARCH = datetime(2026, 3, 3, 12, tzinfo=UTC)
FEBRUARY = (date(2026, 2, 1), date(2026, 2, 28))
THREE = ("admin@harbor", "east@harbor", "doctor@harbor")
PASSWORD = "four quiet herons 7"
# Kills itself where a mail was noted, was marked as being sent, or was taken by the mail server.
KILLED = """
import os, signal, smtplib, sys
from datetime import datetime
from pathlib import Path
from dashboards.delivery import send
from foundation.home import Home
from foundation.mail_server import MailServer
from serving.people.subscriptions import Subscriptions

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where = {"noted": (Subscriptions, "begin_sending"), "marked": (smtplib.SMTP, "send_message"), "taken": (Subscriptions, "sent")}
setattr(*where[sys.argv[3]], die)
server = MailServer(host="127.0.0.1", port=int(sys.argv[2]), security="none", sender="c@example.org", pages="https://x.example")
send.send_due(Home.at(Path(sys.argv[1])), server, datetime.fromisoformat("2026-04-03T12:00:00+00:00"))
"""


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


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[MailServer]:
    """The settings of a mail server that runs."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield settings(port)
    controller.stop()


def settings(port: int) -> MailServer:
    return MailServer(
        host="127.0.0.1", port=port, security="none", sender="c@example.org", pages="https://{tenant}.example"
    )


@pytest.fixture
def place(_published_once: Place, tmp_path: Path) -> Iterator[Place]:  # noqa: F811
    data._answer.clear()
    copied = _copied(_published_once, tmp_path)
    for tenant in ("harbor", "mesa"):
        copied.access.subscriptions.set_rule(tenant, [tenant], "figures", actor="test")
    yield copied
    data._answer.clear()


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


def test_three_people_get_the_figures_of_three_scopes(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    for user in THREE:
        subscribe(place, user, file_format="pdf")
    subscribe(place, "admin@mesa")
    outcomes = send_due(place.home, server, MARCH)
    assert [(item.email, item.state) for item in outcomes] == [(user, "sent") for user in (*THREE, "admin@mesa")]
    shown = set()
    for user in THREE:
        with open_reader(place.home, place.access.principal("harbor", user)) as reader:
            asked = MetricQuery(metrics=["billed_amount"], date_from=FEBRUARY[0], date_to=FEBRUARY[1])
            billed = reader.query(asked)["billed_amount"][0]
        mail = mailbox.to(user)
        assert fmt.short(billed, "usd") in body_of(mail)
        assert fmt.short(billed, "usd") in body_of(mail, "html")
        assert "data as of 31 Mar 2026" in mail["Subject"]
        assert "February 2026" in mail["Subject"]
        assert "https://harbor.example/revenue_cycle?period=2026-02-01_2026-02-28" in body_of(mail)
        ((name, content),) = attached(mail)
        assert name == "revenue_cycle_2026-02-01_2026-02-28.pdf"
        assert fmt.exact(billed, "usd") in pypdf.PdfReader(io.BytesIO(content)).pages[0].extract_text()
        shown.add(billed)
    assert len(shown) == 3
    assert "data as of 28 Feb 2026" in mailbox.to("admin@mesa")["Subject"]
    assert "west" not in mailbox.to("east@harbor").as_string()
    assert sorted(audit_of(place, "mail sent")) == sorted((user, "done") for user in THREE)
    assert {row.actor for row in place.access.audit_rows("harbor", action="report")} == set(THREE)


def test_each_period_is_one_mail(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    subscribe(place, "east@harbor", delay_days=5)
    assert send_due(place.home, server, datetime(2026, 4, 5, 12, tzinfo=UTC))[0].period == "2026-02-01 to 2026-02-28"
    for hours in range(4):
        send_due(place.home, server, datetime(2026, 4, 6, 12, tzinfo=UTC) + timedelta(hours=hours))
    periods = [mail["Subject"].split(":")[0] for mail in mailbox.mails]
    assert periods == ["Revenue cycle, February 2026", "Revenue cycle, March 2026"]
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 2
    assert not any_due(place.home, datetime(2026, 4, 6, 18, tzinfo=UTC))


def test_a_refusing_server_is_shown_and_tried_again_later(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    subscribe(place, "east@harbor")
    mailbox.to_mail = "451 no room for east@harbor"
    (outcome,) = send_due(place.home, server, APRIL)
    assert (outcome.state, outcome.reason) == ("failed", "the mail server refuses the mail (code 451)")
    assert states(place) == [("failed", outcome.reason)]
    assert audit_of(place, "mail failed") == [("east@harbor", "refused")]
    mailbox.to_mail = ""
    assert send_due(place.home, server, APRIL + timedelta(minutes=1)) == []
    assert send_due(place.home, server, APRIL + timedelta(minutes=6))[0].state == "sent"
    assert len(mailbox.mails) == 1
    assert states(place) == [("sent", "")]


def test_a_refused_recipient_and_a_silent_server_are_named(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    subscribe(place, "east@harbor")
    mailbox.to_recipient = "550 unknown"
    assert send_due(place.home, server, APRIL)[0].reason == "the mail server refuses the recipient (code 550)"
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        silent = settings(bound.getsockname()[1])
    assert "does not answer" in send_due(place.home, silent, APRIL + timedelta(hours=1))[0].reason
    assert (
        "does not know STARTTLS"
        in send_due(place.home, MailServer(**{**vars(server), "security": "starttls"}), APRIL + timedelta(hours=2))[
            0
        ].reason
    )
    assert mailbox.mails == []


def test_a_domain_that_the_tenant_does_not_allow(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    store = place.access.subscriptions
    subscribe(place, "east@harbor")
    store.set_rule("harbor", ["clinic.example"], "figures", actor="test")
    with pytest.raises(AccessError, match="mail to harbor is not allowed; allowed are clinic"):
        subscribe(place, "admin@harbor")
    assert audit_of(place, "subscription made")[0] == ("admin@harbor", "refused")
    assert "mail to harbor is not allowed" in send_due(place.home, server, APRIL)[0].reason
    assert mailbox.mails == []
    store.set_rule("harbor", ["harbor"], "figures", actor="test")
    assert send_due(place.home, server, APRIL + timedelta(hours=1))[0].state == "sent"


def test_ended_rights_end_the_mail(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    for user in THREE:
        subscribe(place, user)
    place.access.change_rights("harbor", "admin@harbor", is_active=False, actor="test")
    place.access.change_rights("harbor", "doctor@harbor", role="front_desk", unit_ids=("east",), actor="test")
    place.access.change_rights("harbor", "east@harbor", unit_ids=("west",), actor="test")
    outcomes = {item.email: item.state for item in send_due(place.home, server, APRIL)}
    assert outcomes == {"admin@harbor": "ended", "doctor@harbor": "ended", "east@harbor": "sent"}
    assert [mail["To"] for mail in mailbox.mails] == ["east@harbor"]
    assert "east" not in body_of(mailbox.mails[0]).lower().replace("made for: east", "")
    ended = {item.email: item.ended_because for item in place.access.subscriptions.of_tenant("harbor")}
    assert "no such user" in ended["admin@harbor"]
    assert "not available to you" in ended["doctor@harbor"]
    assert ended["east@harbor"] == ""
    assert send_due(place.home, server, APRIL + timedelta(days=30))[0].email == "east@harbor"


def test_what_the_tenant_lets_a_mail_hold(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    store = place.access.subscriptions
    subscribe(place, "admin@harbor", file_format="xlsx")
    subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    store.set_rule("harbor", ["harbor"], "encrypted", actor="test")
    send_due(place.home, server, APRIL)
    without, protected = mailbox.to("admin@harbor"), mailbox.to("east@harbor")
    assert WITHOUT_FILE.split(".")[0] in body_of(without)
    assert attached(without) == []
    assert "$" not in body_of(without) + body_of(protected) + body_of(protected, "html")
    ((_, content),) = attached(protected)
    document = pypdf.PdfReader(io.BytesIO(content))
    assert document.is_encrypted
    assert document.decrypt(PASSWORD)
    assert "$" in document.pages[0].extract_text()
    mailbox.mails.clear()
    store.set_rule("harbor", ["harbor"], "links", actor="test")
    send_due(place.home, server, datetime(2026, 3, 3, tzinfo=UTC))
    assert len(mailbox.mails) == 2
    for mail in mailbox.mails:
        assert NO_FIGURES in body_of(mail)
        assert attached(mail) == []
        assert "$" not in body_of(mail) + body_of(mail, "html")


def test_a_page_or_its_figures_that_were_removed(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(place, "east@harbor")
    subscribe(place, "admin@harbor", page="no_show")
    from dashboards.reports import make

    monkeypatch.setattr(make, "PAGES", {key: page for key, page in make.PAGES.items() if key != "revenue_cycle"})
    reasons = {item.email: item.reason for item in send_due(place.home, server, APRIL)}
    assert "there is no page of figures 'revenue_cycle'" in reasons["east@harbor"]
    assert reasons["admin@harbor"] == "the page No-show has no figure to send"
    assert mailbox.mails == []


@pytest.mark.parametrize(("where", "first", "after"), [("noted", 0, 1), ("marked", 0, 0), ("taken", 1, 1)])
def test_a_killed_sending_never_sends_twice(
    place: Place, mailbox: Mailbox, server: MailServer, where: str, first: int, after: int
) -> None:
    subscribe(place, "east@harbor")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(place.home.path), str(server.port), where],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(mailbox.mails) == first
    outcomes = send_due(place.home, server, APRIL + timedelta(hours=1))
    assert len(mailbox.mails) == after
    if where == "noted":
        assert [item.state for item in outcomes] == ["sent"]
        return
    # Nobody knows whether the mail arrived: it is shown, and sent again when a person says so.
    ((state, reason),) = states(place)
    assert (outcomes, state) == ([], "unclear")
    assert "may have arrived" in reason
    (mail,) = place.access.subscriptions.deliveries("harbor")
    place.access.subscriptions.send_again("harbor", mail.delivery_id, actor="admin@harbor")
    assert send_due(place.home, server, APRIL + timedelta(hours=2))[0].state == "sent"
    assert {message["Message-ID"] for message in mailbox.mails} == {mailbox.mails[0]["Message-ID"]}


def test_a_server_that_goes_away_with_the_mail_leaves_it_unclear(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise smtplib.SMTPServerDisconnected("closed")

    subscribe(place, "east@harbor")
    with monkeypatch.context() as patch:
        patch.setattr(smtplib.SMTP, "send_message", gone)
        (outcome,) = send_due(place.home, server, APRIL)
    assert (outcome.state, outcome.reason) == ("unclear", NOBODY_KNOWS)
    assert send_due(place.home, server, APRIL + timedelta(days=1)) == []


def test_a_program_that_fails_with_one_mail_sends_the_others_and_shows_no_password(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    subscribe(place, "admin@mesa")

    def fail(_: Any, password: str) -> bytes:
        raise RuntimeError(f"the password {password} has a strange character")

    with monkeypatch.context() as patch:
        patch.setattr(document, "as_pdf", fail)
        outcomes = send_due(place.home, server, MARCH)
    assert [(item.email, item.state) for item in outcomes] == [("east@harbor", "failed"), ("admin@mesa", "sent")]
    assert states(place) == [("failed", PROGRAM_FAILED)]
    assert "RuntimeError at test_delivery.py" in caplog.text
    assert PASSWORD not in caplog.text
    assert [item.state for item in send_due(place.home, server, MARCH + timedelta(hours=1))] == ["sent"]


def test_a_mail_that_cannot_even_be_noted_does_not_stop_the_others(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(place, "east@harbor")
    subscribe(place, "admin@mesa")
    note = Subscriptions.note

    def fail(store: Subscriptions, subscription: Subscription, *more: Any) -> Delivery:
        if subscription.tenant_id == "harbor":
            raise RuntimeError("the disk is full")
        return note(store, subscription, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Subscriptions, "note", fail)
        outcomes = send_due(place.home, server, MARCH)
    assert [(item.state, item.reason) for item in outcomes] == [("failed", NOT_NOTED), ("sent", "")]
    assert send_due(place.home, server, MARCH)[0].email == "east@harbor"


def test_a_mail_that_waits_long_is_not_sent_twice(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a hundred later mails of the tenant hide nothing: the server may have it, so that it is unclear."""
    store = place.access.subscriptions
    store.note(subscribe(place, "east@harbor"), date(2026, 3, 1), date(2026, 3, 31), APRIL)
    other = subscribe(place, "admin@harbor", every="week")
    for weeks in range(120):
        start = date(2024, 1, 1) + timedelta(weeks=weeks)
        store.sent(store.note(other, start, start + timedelta(days=6), APRIL), other, APRIL, {})
    store.end("harbor", other.subscription_id, because="", actor="test")

    def gone(*_: Any, **__: Any) -> None:
        raise smtplib.SMTPServerDisconnected("closed")

    monkeypatch.setattr(smtplib.SMTP, "send_message", gone)
    (outcome,) = send_due(place.home, server, APRIL)
    assert (outcome.state, outcome.reason) == ("unclear", NOBODY_KNOWS)
    assert send_due(place.home, server, APRIL + timedelta(days=1)) == []
    desk = Subscribing(place.access, place.access.principal("harbor", "admin@harbor"))
    assert desk.count_not_sent() == 1
    assert [mail.state for mail in desk.not_sent_first()][:2] == ["unclear", "sent"]
    desk.send_again(desk.not_sent()[0].delivery_id)


def test_a_mail_of_an_earlier_period_is_sent_when_it_is_asked_for(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    subscription = subscribe(place, "east@harbor")
    desk = Subscribing(place.access, place.access.principal("harbor", "east@harbor"))
    mailbox.to_mail = "451 no room"
    assert [item.state for item in send_due(place.home, server, MARCH)] == ["failed"]
    # With the next period the mail of February is no longer tried by itself.
    assert [item.period for item in send_due(place.home, server, APRIL)] == ["2026-03-01 to 2026-03-31"]
    refused = "the mail server refuses the mail (code 451)"
    assert states(place) == [("failed", refused), ("given up", NEXT_PERIOD)]
    february = desk.mails()[1].delivery_id
    desk.send_again(february)
    assert any_due(place.home, APRIL)
    assert [(item.state, item.period) for item in send_due(place.home, server, APRIL)] == [
        ("given up", "2026-02-01 to 2026-02-28")
    ]
    assert states(place)[1] == ("given up", f"{refused}; {NEXT_PERIOD}")
    assert send_due(place.home, server, APRIL) == []
    mailbox.to_mail = ""
    desk.send_again(february)
    assert [item.state for item in send_due(place.home, server, APRIL)] == ["sent"]
    assert "February 2026" in mailbox.mails[0]["Subject"]
    assert desk.not_sent()[0].period_start == date(2026, 3, 1)
    desk.end(subscription.subscription_id)
    assert desk.not_sent() == ()
    with pytest.raises(AccessError, match="whose subscription goes on"):
        desk.send_again(desk.mails()[0].delivery_id)


def test_rights_that_ended_end_two_mails_of_one_subscription(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    subscription = subscribe(place, "east@harbor")
    place.access.subscriptions.note(subscription, *FEBRUARY, MARCH)
    place.access.change_rights("harbor", "east@harbor", is_active=False, actor="test")
    assert [item.state for item in send_due(place.home, server, APRIL)] == ["ended", "ended"]
    assert [state for state, _ in states(place)] == ["given up", "given up"]


def test_the_orchestrator_asks_again_after_an_attempt_that_counted_nothing(place: Place, server: MailServer) -> None:
    workspace: Any = SimpleNamespace(home=place.home, config=SimpleNamespace(mail=server))
    sensor = mails_due(workspace)
    with DagsterInstance.ephemeral() as instance:

        def request() -> Any:
            return sensor(build_sensor_context(instance=instance))

        assert isinstance(request(), SkipReason)
        subscribe(place, "east@harbor")
        assert request() == RunRequest(run_key=None)
        mail_job = send_mail(workspace)
        run = instance.create_run_for_job(mail_job, status=DagsterRunStatus.STARTED)
        assert "being sent" in str(request().skip_message)
        instance.report_run_failed(run)
        assert request() == RunRequest(run_key=None)
        send_due(place.home, server)
        assert isinstance(request(), SkipReason)
        workspace.config.mail = None
        assert "no mail server" in str(request().skip_message)


def test_a_server_that_cannot_be_reached_is_asked_once_and_gets_no_figures(place: Place) -> None:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        silent = settings(bound.getsockname()[1])
    subscribe(place, "east@harbor")
    subscribe(place, "admin@mesa")
    outcomes = send_due(place.home, silent, MARCH)
    assert [item.state for item in outcomes] == ["failed", "failed"]
    assert all("does not answer" in item.reason for item in outcomes)
    assert place.access.audit_rows("harbor", action="report") == ()


@pytest.fixture
def encrypted(mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, MailServer]]:
    """Two mail servers of the name localhost whose authority this machine trusts: one encrypts at once, one with STARTTLS. Both let in
    "me" with "right"."""

    def let_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given.password == b"right", handled=False)

    certificate(tmp_path, "mail", certificate(tmp_path, "authority"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "mail.pem", tmp_path / "mail.key")
    ways: dict[str, dict[str, Any]] = {
        "tls": {"ssl_context": context, "auth_require_tls": False},
        "starttls": {"tls_context": context, "require_starttls": True},
    }
    servers = {}
    with ExitStack() as stack:
        for security, more in ways.items():
            with closing(socket.socket()) as bound:
                bound.bind(("127.0.0.1", 0))
                port = bound.getsockname()[1]
            controller = Controller(mailbox, hostname="127.0.0.1", port=port, authenticator=let_in, **more)
            controller.start()
            stack.callback(controller.stop)
            servers[security] = replace(settings(port), host="localhost", security=security)
        yield servers


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_mail_is_encrypted_and_signed_in(
    place: Place, mailbox: Mailbox, encrypted: dict[str, MailServer], security: str
) -> None:
    subscribe(place, "east@harbor")
    signed_in = replace(encrypted[security], user="me", password="wrong")
    (outcome,) = send_due(place.home, signed_in, APRIL)
    assert outcome.reason == "the mail server refuses our user and password (code 535)"
    (outcome,) = send_due(place.home, replace(signed_in, password="right"), APRIL + timedelta(hours=1))
    assert (outcome.state, outcome.reason) == ("sent", "")
    assert mailbox.to("east@harbor")


def test_what_is_wrong_with_the_encryption_is_named(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
    encrypted: dict[str, MailServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subscribe(place, "east@harbor")
    (plain,) = send_due(place.home, replace(server, security="tls"), APRIL)
    assert "look at security and port" in plain.reason
    (other_name,) = send_due(place.home, replace(encrypted["tls"], host="127.0.0.1"), APRIL + timedelta(hours=1))
    assert "has no certificate that is valid for its name" in other_name.reason
    monkeypatch.delenv("SSL_CERT_FILE")
    (strange,) = send_due(place.home, encrypted["starttls"], APRIL + timedelta(hours=2))
    assert "has no certificate that is valid for its name" in strange.reason
    no_sign_in = replace(server, user="me", password="right")
    (unknown,) = send_due(place.home, no_sign_in, APRIL + timedelta(hours=4))
    assert "does not know a sign-in with user and password" in unknown.reason
    assert mailbox.mails == []


@given(st.text("abcX1.,;:<>()\"\\ @'+-_%\n", max_size=20), st.sampled_from(["", "@clinic.example"]))
def test_an_address_that_mail_may_go_to_is_one_address(name: str, end: str) -> None:
    address = name + end
    if MailRule(domains=("clinic.example",)).refusal(address) == "":
        mail = EmailMessage()
        mail["To"] = address
        assert [read.addr_spec for read in mail["To"].addresses] == [address]


@pytest.mark.parametrize(
    ("email", "is_sent"),
    [
        ("ann.o'hara+reports@clinic.example", True),
        ("ann@Clinic.Example", True),
        ("a@evil.example,b@clinic.example", False),
        ("Ann <ann@clinic.example>", False),
        ("ann", False),
        ("ann@other.example", False),
    ],
)
def test_addresses_that_mail_may_go_to(email: str, is_sent: bool) -> None:
    assert (MailRule(domains=("clinic.example",)).refusal(email) == "") is is_sent


@pytest.mark.parametrize(
    ("content", "file_format", "password", "words"),
    [
        ("figures", "pdf", PASSWORD, ""),
        ("figures", "pdf", "", ""),
        ("figures", "xlsx", PASSWORD, "opens a PDF only"),
        ("figures", "", PASSWORD, "opens a PDF only"),
        ("figures", "pdf", "vier ruhige Möwen 7", "common signs only"),
        ("figures", "pdf", "four quiet\therons 7", "common signs only"),
        ("encrypted", "", PASSWORD, ""),
        ("encrypted", "pdf", PASSWORD, ""),
        ("encrypted", "pdf", "", "give a password"),
        ("encrypted", "xlsx", PASSWORD, "opens a PDF only"),
        ("links", "", "", ""),
    ],
)
def test_passwords_that_protect_nothing_are_refused(
    place: Place, content: str, file_format: str, password: str, words: str
) -> None:
    place.access.subscriptions.set_rule("harbor", ["harbor"], content, actor="test")
    if not words:
        made = subscribe(place, "east@harbor", file_format=file_format, password=password)
        assert made.has_password is bool(password)
        return
    with pytest.raises(ConfigurationError, match=words):
        subscribe(place, "east@harbor", file_format=file_format, password=password)


def test_a_password_comes_with_a_new_subscription_and_goes_with_its_end(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    store = place.access.subscriptions
    first = subscribe(place, "east@harbor", file_format="pdf")
    second = subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    assert store.subscription("harbor", first.subscription_id).ended_because == "replaced by one with a password"
    with pytest.raises(ConfigurationError, match="already gets"):
        subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    assert store.going_on() == (second,)
    store.end("harbor", second.subscription_id, because="", actor="test")
    with pytest.raises(ConfigurationError, match="has ended"):
        store.password(second)


def test_a_workbook_never_leaves_instead_of_an_encrypted_file(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release took a password with a workbook."""
    with monkeypatch.context() as patch:
        patch.setattr(subscriptions, "_check_password", lambda *_: None)
        subscribe(place, "east@harbor", file_format="xlsx", password=PASSWORD)
    send_due(place.home, server, APRIL)
    ((name, content),) = attached(mailbox.to("east@harbor"))
    assert name.endswith(".pdf")
    assert pypdf.PdfReader(io.BytesIO(content)).is_encrypted


def test_wrong_subscriptions_are_refused(place: Place) -> None:
    for more, words in (
        ({"page": "nothing"}, "is not a page"),
        ({"every": "hour"}, "is not one of week, month"),
        ({"delay_days": 28}, "waits 0 to 27 days"),
        ({"every": "week", "delay_days": 7}, "waits 0 to 6 days"),
        ({"file_format": "docx"}, "is not a format"),
        ({"file_format": "pdf", "password": "short"}, "at least"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            subscribe(place, "east@harbor", **more)
    with pytest.raises(AccessError, match="does not include the page"):
        subscribe(place, "doctor@harbor", page="payer_mix")
    subscribe(place, "east@harbor")
    with pytest.raises(ConfigurationError, match="already gets"):
        subscribe(place, "east@harbor")
    with pytest.raises(AccessError, match="no subscription"):
        place.access.subscriptions.end("mesa", 1, because="", actor="admin@mesa")


@given(
    every=st.sampled_from(EVERY),
    delay_days=st.integers(0, 6),
    today=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
)
def test_the_last_period_is_whole_has_waited_and_is_the_last(every: str, delay_days: int, today: date) -> None:
    def period(day: date) -> tuple[date, date]:
        return last_period(subscription_of(every, delay_days), day)

    start, end = period(today)
    assert delay_days <= LONGEST_DELAYS[every]
    assert end + timedelta(days=delay_days) < today
    assert (
        (start.weekday(), end.weekday()) == (0, 6)
        if every == "week"
        else start.day == (end + timedelta(days=1)).day == 1
    )
    # The next period begins where this one ends, and none is left out.
    following = [period(today + timedelta(days=days)) for days in range(32)]
    starts = list(dict.fromkeys(following))
    assert all(later[0] == earlier[1] + timedelta(days=1) for earlier, later in itertools.pairwise(starts))


def subscription_of(every: str, delay_days: int) -> Subscription:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    names = {"tenant_id": "harbor", "email": "a@harbor", "page": "overview", "file_format": "", "made_by": "a@harbor"}
    return Subscription(
        subscription_id=1, every=every, delay_days=delay_days, has_password=False, made_at=moment, ended_at=None,
        ended_because="", **names,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("host: smtp.example.org\n  security: none", "mail leaves this machine encrypted only"),
        ("host: smtp.example.org\n  user: me", "must have both user and password"),
        ("host: smtp.example.org\n  user: me\n  password: geheimnisvoll-ä", "ASCII characters only"),
        ("host: smtp.example.org\n  user: me\n  password: '${NO_SUCH_SECRET}'", "NO_SUCH_SECRET is not set"),
        ("host: smtp.example.org\n  port: 99999", "whole number"),
        ("host: smtp.example.org\n  security: ssl", "is not one of"),
        ("security: tls", "host: is missing"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, lines: str, words: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"mail:\n  {lines}\n  sender: c@example.org\n  pages: https://x.example\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=words):
        load_mail(file)


def test_the_commands(place: Place, mailbox: Mailbox, server: MailServer, tmp_path: Path) -> None:
    home = ("--home", place.home.path)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"mail: {{host: 127.0.0.1, port: {server.port}, security: none, sender: c@example.org, "
        "pages: 'https://{tenant}.example'}\n",
        encoding="utf-8",
    )
    for words in (
        ("subscriptions", "rule", *home, "--tenant", "harbor", "--domain", "harbor"),
        (
            "subscriptions",
            "add",
            "east@harbor",
            *home,
            "--tenant",
            "harbor",
            "--page",
            "revenue_cycle",
            "--attach",
            "xlsx",
        ),
    ):
        ran = clinicmart(*words)
        assert ran.code == 0, ran.err
    ran = clinicmart("deliver", *home, "--config", config)
    # The data end long before the last month.
    assert ran.code == 1
    assert "failed: the data reach 31 Mar 2026" in ran.out
    listed = clinicmart("subscriptions", "list", *home, "--tenant", "harbor")
    assert "the data reach 31 Mar 2026" in listed.out
    assert clinicmart("subscriptions", "end", "1", *home, "--tenant", "harbor").code == 0
    assert clinicmart("deliver", *home, "--config", config).out.strip() == "no mail is due"
    assert clinicmart("subscriptions", "end", "1", *home, "--tenant", "harbor").code == 1
    assert AccessStore.open(place.home).verify_audit().is_intact
    assert mailbox.mails == []


def test_a_person_subscribes_on_the_page_and_sees_what_was_not_sent(
    page: Any, markup_of: Any, served: Any, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(streamlit.context), "ip_address", property(lambda _: "192.0.2.1"))
    test = page("reports")
    assert not test.exception
    assert "Your organization sends no mail yet" in markup_of(test)
    test.text_input[-1].set_value("harbor")
    next(button for button in test.button if button.label == "Save rule").click().run()
    assert "mail goes to harbor" in markup_of(test)
    next(button for button in test.button if button.label == "Subscribe").click().run()
    assert not test.exception
    assert "gets Overview after each month" in markup_of(test)
    # Nothing is published in this home.
    assert send_due(served.home, server, APRIL)[0].reason == "nothing is published yet for this organization"
    assert "Nothing is published yet for this organization." in markup_of(page("reports"))
    administration = page("administration")
    administration.segmented_control(key="cm_admin_view").set_value("Mail").run()
    assert "1 not sent" in markup_of(administration)
    again = page("reports")
    next(button for button in again.button if button.label == "Send it again").click().run()
    assert "the mail is tried with the next sending" in markup_of(again)
    assert states(served) == [("noted", "nothing is published yet for this organization")]
    ending = page("reports")
    next(button for button in ending.button if button.label == "End it").click().run()
    assert "the subscription has ended" in markup_of(ending)
    assert served.access.subscriptions.going_on() == ()


def test_only_administrators_act_for_others(place: Place) -> None:
    mine = subscribe(place, "admin@harbor")
    desk = Subscribing(place.access, place.access.principal("harbor", "east@harbor"))
    assert (desk.people(), desk.subscriptions(), desk.mails()) == (("east@harbor",), (), ())
    for act in (
        lambda: desk.end(mine.subscription_id),
        lambda: desk.set_rule(("evil.example",), "figures"),
        lambda: desk.send_again(1),
        lambda: desk.subscribe("admin@harbor", page="overview", every="month", delay_days=1, file_format=""),
    ):
        with pytest.raises(AccessError, match="ask your administrator"):
            act()
        assert place.access.audit_rows("harbor")[0].result == "refused"
    assert place.access.subscriptions.rule("harbor").domains == ("harbor",)
    admin = Subscribing(place.access, place.access.principal("harbor", "admin@harbor"))
    made = admin.subscribe("east@harbor", page="overview", every="week", delay_days=0, file_format="pdf")
    assert (made.email, made.made_by) == ("east@harbor", "admin@harbor")
    assert [item.subscription_id for item in desk.subscriptions()] == [made.subscription_id]
    foreign = Subscribing(place.access, place.access.principal("mesa", "admin@mesa"))
    with pytest.raises(AccessError, match="ask your administrator"):
        foreign.end(made.subscription_id)
    desk.end(made.subscription_id)
    assert desk.ended()[0].ended_because == "ended by east@harbor"
