"""Mails with alarms: each alarm reaches its owner."""

import smtplib
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from filelock import FileLock, Timeout

from dashboards.alerts import check
from dashboards.alerts.check import check_due
from dashboards.data import Source
from dashboards.delivery import alarms
from dashboards.delivery.alarms import REPEATED, send_alarms
from dashboards.delivery.alone import alone
from dashboards.delivery.hand_over import NOBODY_KNOWS, PROGRAM_FAILED
from dashboards.delivery.send import Outcome
from foundation.mail_server import MailServer
from serving.people.alert_rules import (
    SNOOZED,
    Alert,
)
from serving.people.due_alerts import any_alert_due, mark_of
from serving.people.provisioning_store import Account
from serving.people.rights import Role
from tests.dashboards.delivery.senders import APRIL, Mailbox, alert, body_of, killed_at, source_of, verdicts
from tests.serving.conftest import Place
from tests.support import clinicmart_here


def test_a_paused_alert_logs_its_alarms_and_sends_none(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    mine = alert(place, "admin@harbor")
    place.access.alerts.snooze("harbor", mine.alert_id, date(2026, 4, 4), actor="admin@harbor")
    assert send_alarms(place.home, server, APRIL) == []
    assert verdicts(place) == [("", "2026-03-01", SNOOZED)]
    # On its day it raises alarms again.
    other = alert(place, "admin@harbor", threshold=Decimal(2000))
    place.access.alerts.snooze("harbor", other.alert_id, date(2026, 4, 3), actor="admin@harbor")
    assert [item.state for item in send_alarms(place.home, server, APRIL)] == ["sent"]
    assert len(mailbox.mails) == 1


def test_figures_of_an_earlier_scope_are_in_no_mail(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    alert(place, "east@harbor")
    mailbox.to_mail = "451 no room"
    assert send_alarms(place.home, server, APRIL)[0].state == "failed"
    place.access.change_rights("harbor", "east@harbor", unit_ids=("west",), actor="test")
    mailbox.to_mail = ""
    assert send_alarms(place.home, server, APRIL + timedelta(hours=1))[0].state == "given up"
    assert mailbox.mails == []


def test_a_new_holder_of_a_name_gets_no_alarm_of_the_earlier_one(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
) -> None:
    store = place.access

    def added() -> Account:
        made = store.add_account(
            "harbor", "zoe@harbor", display_name="Zoe", is_active=True, external_id=None, actor="test"
        )
        store.change_rights("harbor", "zoe@harbor", role=Role.EXECUTIVE, actor="test")
        return made

    earlier = added()
    alert(place, "zoe@harbor")
    mailbox.to_mail = "451 no room"
    assert send_alarms(place.home, server, APRIL)[0].state == "failed"
    store.remove_account("harbor", earlier.account_id, actor="test")
    added()
    mailbox.to_mail = ""
    (mail,) = store.alarm_mails.of_tenant("harbor")
    store.alarm_mails.send_again("harbor", mail.mail_id, actor="test")
    (outcome,) = send_alarms(place.home, server, APRIL + timedelta(hours=1))
    assert (outcome.state, outcome.reason) == (
        "given up",
        "the figures of these alarms are no longer among the data of the person",
    )
    assert mailbox.mails == []


def test_one_mail_with_all_alarms_of_an_owner(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    for user in ("east@harbor", "admin@harbor"):
        alert(place, user)
        alert(place, user, "people", side="below")
    assert any_alert_due(place.home, APRIL)
    outcomes = send_alarms(place.home, server, APRIL)
    assert sorted((item.email, item.state) for item in outcomes) == [("admin@harbor", "sent"), ("east@harbor", "sent")]
    for user in ("east@harbor", "admin@harbor"):
        mail = mailbox.to(user)
        assert mail["Subject"].startswith("2 alarms: ")
        assert mail["Subject"].endswith("data as of 31 Mar 2026")
        assert "is below 1,000" in body_of(mail)
        assert "https://harbor.example/alerts" in body_of(mail)
        # No page of this home shows the figure.
        assert "https://harbor.example/lineage?metric=visits" in body_of(mail)
        assert "People" in body_of(mail, "html")
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 2
    assert "west" not in mailbox.to("east@harbor").as_string()
    assert not any_alert_due(place.home, APRIL)
    assert any_alert_due(place.home, APRIL + timedelta(days=1))
    assert send_alarms(place.home, server, APRIL + timedelta(days=1)) == []
    assert not any_alert_due(place.home, APRIL + timedelta(days=1))


def test_a_mail_that_was_refused_is_tried_again(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
) -> None:
    alert(place, "admin@harbor")
    mailbox.to_mail = "451 no room"
    (failed,) = send_alarms(place.home, server, APRIL)
    assert (failed.state, failed.reason) == ("failed", "the mail server refuses the mail (code 451)")
    mailbox.to_mail = ""
    assert send_alarms(place.home, server, APRIL + timedelta(minutes=1)) == []
    assert send_alarms(place.home, server, APRIL + timedelta(minutes=9))[0].state == "sent"
    assert mailbox.mails[0]["Subject"].startswith("1 alarm: ")
    assert place.access.verify_audit().is_intact


# Where an alert was marked as checked, or a mail was noted, was marked as being sent, or was taken by the mail server.
KILLED_AT = {
    "checked": ("serving.people.alerts:Alerts.checked", "after"),
    "noted": ("serving.people.alarm_mails:AlarmMails.begin_sending",),
    "marked": ("smtplib:SMTP.send_message",),
    "taken": ("serving.people.alarm_mails:AlarmMails.sent",),
}


@pytest.mark.parametrize(("where", "arrived"), [("checked", 0), ("noted", 0), ("marked", 0), ("taken", 1)])
def test_a_kill_loses_no_alarm_and_repeats_at_most_one_which_says_so(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
    where: str,
    arrived: int,
) -> None:
    for user in ("admin@harbor", "east@harbor"):
        alert(place, user)
    killed_at(place, server, "dashboards.delivery.alarms:send_alarms", *KILLED_AT[where])
    assert len(mailbox.mails) == arrived
    assert any_alert_due(place.home, APRIL)
    # An alert that is not evaluated again has its alarms in a mail.
    marked = {item.email for item in place.access.alerts.going_on() if item.checked_for}
    assert marked == ({"admin@harbor"} if where == "checked" else {"admin@harbor", "east@harbor"})
    assert not any(place.access.alerts.not_mailed("harbor", user) for user in marked)
    outcomes = send_alarms(place.home, server, APRIL + timedelta(minutes=1))
    assert [(item.email, item.state) for item in outcomes] == [("admin@harbor", "sent"), ("east@harbor", "sent")]
    to_admin = [mail for mail in mailbox.mails if mail["To"] == "admin@harbor"]
    assert len({mail["Message-ID"] for mail in to_admin}) == 1
    assert len(to_admin) == arrived + 1
    says_so = [mail["Subject"].startswith("Sent again: ") and REPEATED in body_of(mail) for mail in to_admin]
    assert says_so == [False] * arrived + [where in ("marked", "taken")]
    assert "is below 1,000" in body_of(to_admin[-1])
    assert not mailbox.to("east@harbor")["Subject"].startswith("Sent again")
    assert send_alarms(place.home, server, APRIL + timedelta(hours=1)) == []
    assert place.access.verify_audit().is_intact


def test_a_mail_that_is_never_confirmed_is_sent_once_more_and_then_stays_unclear(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise smtplib.SMTPServerDisconnected("closed")

    alert(place, "admin@harbor")
    with monkeypatch.context() as patch:
        patch.setattr(smtplib.SMTP, "send_message", gone)
        (first,) = send_alarms(place.home, server, APRIL)
        (second,) = send_alarms(place.home, server, APRIL + timedelta(minutes=6))
    assert [(item.state, item.reason) for item in (first, second)] == [
        ("failed", NOBODY_KNOWS),
        ("unclear", NOBODY_KNOWS),
    ]
    assert send_alarms(place.home, server, APRIL + timedelta(days=1)) == []
    (mail,) = place.access.alarm_mails.of_tenant("harbor")
    place.access.alarm_mails.send_again("harbor", mail.mail_id, actor="test")
    assert send_alarms(place.home, server, APRIL + timedelta(days=1))[0].state == "sent"
    assert mailbox.to("admin@harbor")["Subject"].startswith("Sent again: ")


def test_a_mail_that_fails_for_a_week_is_given_up(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    alert(place, "admin@harbor")
    mailbox.to_mail = "451 no room"
    states = [send_alarms(place.home, server, APRIL + timedelta(days=day))[0].state for day in range(8)]
    assert states == ["failed"] * 7 + ["given up"]
    assert "tried for 7 days" in place.access.alarm_mails.of_tenant("harbor")[0].reason
    assert send_alarms(place.home, server, APRIL + timedelta(days=8)) == []


def test_a_mail_that_is_tried_again_evaluates_nothing_twice(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluated: list[int] = []
    evaluate = check.evaluate

    def noted(source: Source, item: Alert, *more: Any) -> Any:
        evaluated.append(item.alert_id)
        return evaluate(source, item, *more)

    monkeypatch.setattr(check, "evaluate", noted)
    first = alert(place, "admin@harbor")
    mailbox.to_mail = "451 no room"
    assert send_alarms(place.home, server, APRIL)[0].state == "failed"
    second = alert(place, "admin@harbor", threshold=Decimal(2000))
    mailbox.to_mail = ""
    states = [item.state for item in send_alarms(place.home, server, APRIL + timedelta(hours=1))]
    assert (evaluated, states) == ([first.alert_id, second.alert_id], ["sent", "sent"])
    check_due(place.home, place.access, APRIL + timedelta(hours=1))
    assert evaluated[2:] == [first.alert_id, second.alert_id]


def test_an_alarm_that_is_in_no_mail_is_noted_also_where_nothing_is_to_be_evaluated(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
) -> None:
    mine = alert(place, "admin@harbor")
    said = check.evaluate(source_of(place, "admin@harbor"), mine, frozenset(), APRIL.date())
    place.access.alerts.log(mine, said, APRIL)
    place.access.alerts.checked(mine, mark_of(place.home, "harbor", APRIL))
    assert [item.state for item in send_alarms(place.home, server, APRIL)] == ["sent"]
    assert mailbox.to("admin@harbor")["Subject"].startswith("1 alarm: ")


def test_no_other_process_sends_between_pages_and_alarms(
    place: Place, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.yml"
    file.write_text(
        "mail: {host: 127.0.0.1, port: 25, security: none, sender: c@example.org, pages: 'https://x.example'}"
    )
    sent = Outcome(tenant_id="harbor", email="a@harbor", page="overview", period="one", state="sent", reason="")

    def send(home: Any, _server: Any) -> list[Outcome]:
        with alone(home), pytest.raises(Timeout):
            FileLock(home.path / "deliver.lock", timeout=0).acquire()
        return [sent]

    monkeypatch.setattr("dashboards.delivery.send.send_due", lambda *_: [sent])
    monkeypatch.setattr("dashboards.delivery.alarms.send_alarms", send)
    ran = clinicmart_here("deliver", "--home", place.home.path, "--config", file)
    assert (ran.code, ran.out.count("a@harbor: overview, one: sent")) == (0, 2), ran.err
    with FileLock(place.home.path / "deliver.lock", timeout=0):
        assert clinicmart_here("deliver", "--home", place.home.path, "--config", file).code == 2


def test_one_mail_that_fails_stops_no_other(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for user in ("admin@harbor", "ceo@harbor", "east@harbor"):
        alert(place, user)
    composed = alarms.compose

    def compose(contents: Any, mail: Any, to_server: Any) -> Any:
        if mail.email == "ceo@harbor":
            raise RuntimeError("a figure of Ada Lovelace")
        return composed(contents, mail, to_server)

    with monkeypatch.context() as patch:
        patch.setattr(alarms, "compose", compose)
        states = {item.email: (item.state, item.reason) for item in send_alarms(place.home, server, APRIL)}
    assert states["ceo@harbor"] == ("failed", PROGRAM_FAILED)
    assert {states[user][0] for user in ("admin@harbor", "east@harbor")} == {"sent"}
    assert [item.state for item in send_alarms(place.home, server, APRIL + timedelta(hours=1))] == ["sent"]


def test_a_tenant_that_sends_no_figures_and_a_domain_that_is_not_allowed(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
) -> None:
    alert(place, "admin@harbor")
    place.access.subscriptions.set_rule("harbor", ["clinic.example"], "links", actor="test")
    assert "mail to harbor is not allowed" in send_alarms(place.home, server, APRIL)[0].reason
    place.access.subscriptions.set_rule("harbor", ["harbor"], "links", actor="test")
    assert send_alarms(place.home, server, APRIL + timedelta(hours=1))[0].state == "sent"
    assert "1,000" not in mailbox.to("admin@harbor").as_string()
    assert "https://harbor.example/alerts" in body_of(mailbox.to("admin@harbor"))


def test_a_tenant_that_sends_no_mail_is_tried_once(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
) -> None:
    alert(place, "admin@harbor")
    place.access.subscriptions.set_rule("harbor", [], "figures", actor="test")
    (outcome,) = send_alarms(place.home, server, APRIL)
    assert (outcome.state, outcome.reason) == ("given up", "the organization sends no mail")
    assert send_alarms(place.home, server, APRIL + timedelta(hours=7)) == []
    assert len(place.access.alerts.open_alarms("harbor", "admin@harbor")) == 1
    place.access.subscriptions.set_rule("harbor", ["harbor"], "figures", actor="test")
    (mail,) = place.access.alarm_mails.of_tenant("harbor")
    place.access.alarm_mails.send_again("harbor", mail.mail_id, actor="test")
    assert [item.state for item in send_alarms(place.home, server, APRIL + timedelta(hours=8))] == ["sent"]
    assert len(mailbox.mails) == 1
