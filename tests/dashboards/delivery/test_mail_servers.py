"""Mail servers that are silent, encrypt or refuse, addresses, and the settings of a server."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from hypothesis import given
from hypothesis import strategies as st

from dashboards.delivery.send import send_due
from foundation.errors import ConfigurationError
from foundation.mail_server import MailServer, load_mail
from serving.people.subscriptions import (
    MailRule,
)
from tests.certificates import certificate
from tests.dashboards.delivery.senders import APRIL, MARCH, Mailbox, settings, subscribe
from tests.serving.conftest import Place


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
