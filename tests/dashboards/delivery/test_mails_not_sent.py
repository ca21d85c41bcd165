"""Pages by mail that are not sent: every failure is shown, tried again and sent once."""

import smtplib
from datetime import date, timedelta
from typing import Any

import pytest

from dashboards.delivery.hand_over import NOBODY_KNOWS, PROGRAM_FAILED
from dashboards.delivery.send import NOT_NOTED, send_due
from dashboards.reports import document
from foundation.errors import AccessError
from foundation.mail_server import MailServer
from serving.people.due_mail import any_due
from serving.people.subscriptions import (
    NEXT_PERIOD,
    Delivery,
    Subscription,
    Subscriptions,
)
from serving.subscribing import Subscribing
from tests.dashboards.delivery.senders import APRIL, MARCH, PASSWORD, Mailbox, audit_of, killed_at, states, subscribe
from tests.serving.conftest import Place


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


@pytest.mark.parametrize(
    ("method", "first", "after"),
    [
        ("serving.people.subscriptions:Subscriptions.begin_sending", 0, 1),
        ("smtplib:SMTP.send_message", 0, 0),
        ("serving.people.subscriptions:Subscriptions.sent", 1, 1),
    ],
    ids=["noted", "marked", "taken"],
)
def test_a_killed_sending_never_sends_twice(
    place: Place, mailbox: Mailbox, server: MailServer, method: str, first: int, after: int
) -> None:
    subscribe(place, "east@harbor")
    killed_at(place, server, "dashboards.delivery.send:send_due", method)
    assert len(mailbox.mails) == first
    outcomes = send_due(place.home, server, APRIL + timedelta(hours=1))
    assert len(mailbox.mails) == after
    if after > first:
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
    assert "RuntimeError at test_mails_not_sent.py" in caplog.text
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
