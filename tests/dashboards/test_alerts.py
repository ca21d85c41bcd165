"""Alerts on a published home: who may make one, what a check logs with whose rights, and the mails with alarms."""

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit
from dagster import DagsterInstance, RunRequest, build_sensor_context
from filelock import FileLock, Timeout

from dagster_project import deliveries
from dagster_project.deliveries import mails_due, send_mail
from dashboards import data
from dashboards.alerts import check
from dashboards.alerts.check import check_due
from dashboards.alerts.series import link_to
from dashboards.alerts.wanted import tried_on_past, wanted
from dashboards.data import Source
from dashboards.delivery import alarms
from dashboards.delivery.alarms import REPEATED, send_alarms
from dashboards.delivery.alone import alone
from dashboards.delivery.hand_over import NOBODY_KNOWS, PROGRAM_FAILED
from dashboards.delivery.send import Outcome
from foundation.errors import AccessError, ConfigurationError
from foundation.mail_server import MailServer
from serving.alerting import Alerting
from serving.model import MetricQuery
from serving.people.alert_rules import (
    ALARM,
    HELD_BACK,
    MOST_ALERTS,
    QUIET,
    SNOOZED,
    WAITING,
    Alert,
    Evaluation,
    Logged,
)
from serving.people.due_alerts import any_alert_due, mark_of
from serving.people.provisioning_store import Account
from serving.people.rights import Role
from serving.people.store import AccessStore
from serving.reader import open_reader
from tests.dashboards.test_delivery import Mailbox, body_of, mailbox, server, settings  # noqa: F401
from tests.serving.conftest import Place, _copied, _published_once  # noqa: F401
from tests.support import ROOT, clinicmart, clinicmart_here

# The data of harbor reach 31 March 2026, those of mesa 28 February.
APRIL = datetime(2026, 4, 3, 12, tzinfo=UTC)
MARCH_DAYS = (date(2026, 3, 1), date(2026, 3, 31))


# Kills itself where an alert was marked as checked, or where a mail was noted, was marked as being sent, or was taken by the mail server.
KILLED = """
import os, signal, smtplib, sys
from datetime import datetime
from pathlib import Path
from dashboards.delivery.alarms import send_alarms
from foundation.home import Home
from foundation.mail_server import MailServer
from serving.people.alarm_mails import AlarmMails
from serving.people.alerts import Alerts

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(*words, checked=Alerts.checked):
    checked(*words)
    die()

if sys.argv[3] == "checked":
    Alerts.checked = after
else:
    where = {"noted": (AlarmMails, "begin_sending"), "marked": (smtplib.SMTP, "send_message"), "taken": (AlarmMails, "sent")}
    setattr(*where[sys.argv[3]], die)
server = MailServer(host="127.0.0.1", port=int(sys.argv[2]), security="none", sender="c@example.org", pages="https://x.example")
send_alarms(Home.at(Path(sys.argv[1])), server, datetime.fromisoformat("2026-04-03T12:00:00+00:00"))
"""


@pytest.fixture
def place(_published_once: Place, tmp_path: Any) -> Iterator[Place]:  # noqa: F811
    data._answer.clear()
    copied = _copied(_published_once, tmp_path)
    for tenant in ("harbor", "mesa"):
        copied.access.subscriptions.set_rule(tenant, [tenant], "figures", actor="test")
    yield copied
    data._answer.clear()


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


def test_an_alarm_has_the_figure_of_the_owner_and_is_judged_once(place: Place) -> None:
    mine = alert(place, "east@harbor")
    (checked,) = check_due(place.home, place.access, APRIL)
    (said,) = checked.evaluations
    with open_reader(place.home, place.access.principal("harbor", "east@harbor")) as reader:
        asked = MetricQuery(metrics=["visits"], date_from=MARCH_DAYS[0], date_to=MARCH_DAYS[1])
        own = reader.query(asked)["visits"][0]
    assert (said.verdict, said.value, said.base) == (ALARM, Decimal(own), Decimal(1000))
    (logged,) = place.access.alerts.logged("harbor")
    assert (logged.alert_id, logged.value, logged.period_start, logged.period_end) == (mine.alert_id, own, *MARCH_DAYS)
    assert check_due(place.home, place.access, APRIL + timedelta(days=1))[0].evaluations == ()
    assert place.access.audit_rows("harbor", action="alert checked")[0].actor == "east@harbor"
    assert len(place.access.audit_rows("harbor", action="alarm raised")) == 1


def test_each_unit_below_is_judged_and_no_unit_of_others(place: Place) -> None:
    alert(place, "east@harbor", with_units_below=True, service_unit_id="east", threshold=Decimal(15))
    check_due(place.home, place.access, APRIL)
    assert {unit for unit, _, _ in verdicts(place)} == {"east", "imaging", "lab"}
    with pytest.raises(AccessError, match="there is no service unit 'west'"):
        alert(place, "east@harbor", service_unit_id="west")
    with pytest.raises(ConfigurationError, match="no metric is named"):
        alert(place, "desk@harbor")


def test_a_month_that_the_data_do_not_reach_waits_and_is_judged_later(place: Place) -> None:
    alert(place, "admin@mesa")
    check_due(place.home, place.access, APRIL)
    assert verdicts(place, "mesa") == [("", "2026-03-01", WAITING)]
    assert "the data reach 28 Feb 2026" in place.access.alerts.logged("mesa")[0].reason
    check_due(place.home, place.access, APRIL)
    assert verdicts(place, "mesa") == [("", "2026-03-01", WAITING)]


def test_data_that_are_late_raise_an_alarm_after_the_days_that_the_owner_allows(place: Place) -> None:
    alert(place, "admin@mesa", kind="missing", late_days=4)
    check_due(place.home, place.access, APRIL)
    assert verdicts(place, "mesa") == [("", "2026-03-01", WAITING)]
    check_due(place.home, place.access, APRIL + timedelta(days=2))
    assert verdicts(place, "mesa") == [("", "2026-03-01", ALARM)]
    alert(place, "admin@harbor", kind="missing")
    check_due(place.home, place.access, APRIL)
    assert verdicts(place) == [("", "2026-03-01", QUIET)]


def test_the_budget_of_the_week_keeps_the_largest_alarms(place: Place) -> None:
    place.access.alerts.set_budget("harbor", "admin@harbor", 2, actor="test")
    alert(place, "admin@harbor", with_units_below=True)
    check_due(place.home, place.access, APRIL)
    log = place.access.alerts.logged("harbor")
    kept = [item.size for item in log if item.verdict == ALARM]
    held = [item.size for item in log if item.verdict == HELD_BACK]
    assert (len(kept), len(held)) == (2, 3)
    assert min(kept) >= max(held)
    # In the same week nothing is left for another alert; in the next week there is.
    alert(place, "admin@harbor", threshold=Decimal(2000))
    check_due(place.home, place.access, APRIL + timedelta(days=1))
    assert place.access.alerts.logged("harbor")[0].verdict == HELD_BACK
    alert(place, "admin@harbor", threshold=Decimal(3000))
    check_due(place.home, place.access, APRIL + timedelta(days=7))
    assert place.access.alerts.logged("harbor")[0].verdict == ALARM
    with pytest.raises(ConfigurationError, match="0 to 100 alarms"):
        place.access.alerts.set_budget("harbor", "admin@harbor", 101, actor="test")


def test_a_paused_alert_logs_its_alarms_and_sends_none(place: Place, mailbox: Mailbox, server: MailServer) -> None:  # noqa: F811
    mine = alert(place, "admin@harbor")
    place.access.alerts.snooze("harbor", mine.alert_id, date(2026, 4, 4), actor="admin@harbor")
    assert send_alarms(place.home, server, APRIL) == []
    assert verdicts(place) == [("", "2026-03-01", SNOOZED)]
    # On its day it raises alarms again.
    other = alert(place, "admin@harbor", threshold=Decimal(2000))
    place.access.alerts.snooze("harbor", other.alert_id, date(2026, 4, 3), actor="admin@harbor")
    assert [item.state for item in send_alarms(place.home, server, APRIL)] == ["sent"]
    assert len(mailbox.mails) == 1


def test_ended_rights_end_the_alert(place: Place) -> None:
    for user in ("east@harbor", "ceo@harbor", "admin@harbor"):
        alert(place, user)
    place.access.change_rights("harbor", "ceo@harbor", is_active=False, actor="test")
    place.access.change_rights("harbor", "east@harbor", role="front_desk", unit_ids=("east",), actor="test")
    states = {item.alert.email: item.has_ended for item in check_due(place.home, place.access, APRIL)}
    assert states == {"admin@harbor": False, "ceo@harbor": True, "east@harbor": True}
    ended = {item.email: item.ended_because for item in place.access.alerts.of_tenant("harbor") if item.ended_at}
    assert set(ended) == {"ceo@harbor", "east@harbor"}
    assert all(ended.values())
    assert place.access.alerts.logged("harbor", "east@harbor") == ()


def test_figures_of_an_earlier_scope_are_in_no_mail(place: Place, mailbox: Mailbox, server: MailServer) -> None:  # noqa: F811
    alert(place, "east@harbor")
    mailbox.to_mail = "451 no room"
    assert send_alarms(place.home, server, APRIL)[0].state == "failed"
    place.access.change_rights("harbor", "east@harbor", unit_ids=("west",), actor="test")
    mailbox.to_mail = ""
    assert send_alarms(place.home, server, APRIL + timedelta(hours=1))[0].state == "given up"
    assert mailbox.mails == []


def test_a_new_holder_of_a_name_gets_no_alarm_of_the_earlier_one(
    place: Place,
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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


def test_one_mail_with_all_alarms_of_an_owner(place: Place, mailbox: Mailbox, server: MailServer) -> None:  # noqa: F811
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


def test_the_link_of_a_figure_opens_it_at_its_unit_and_period(place: Place) -> None:
    source = source_of(place, "admin@harbor")
    link = link_to(source, source.metrics["billed_amount"], "east", MARCH_DAYS)
    assert link.endswith("?period=2026-03-01_2026-03-31&place=east&figure=billed_amount")


def test_a_mail_that_was_refused_is_tried_again(
    place: Place,
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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


@pytest.mark.parametrize(("where", "arrived"), [("checked", 0), ("noted", 0), ("marked", 0), ("taken", 1)])
def test_a_kill_loses_no_alarm_and_repeats_at_most_one_which_says_so(
    place: Place,
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
    where: str,
    arrived: int,
) -> None:
    for user in ("admin@harbor", "east@harbor"):
        alert(place, user)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(place.home.path), str(server.port), where],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
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
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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


def test_a_mail_that_fails_for_a_week_is_given_up(place: Place, mailbox: Mailbox, server: MailServer) -> None:  # noqa: F811
    alert(place, "admin@harbor")
    mailbox.to_mail = "451 no room"
    states = [send_alarms(place.home, server, APRIL + timedelta(days=day))[0].state for day in range(8)]
    assert states == ["failed"] * 7 + ["given up"]
    assert "tried for 7 days" in place.access.alarm_mails.of_tenant("harbor")[0].reason
    assert send_alarms(place.home, server, APRIL + timedelta(days=8)) == []


def test_one_alert_that_fails_stops_no_other_and_is_tried_again(
    place: Place,
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = alert(place, "admin@harbor")
    for user in ("admin@harbor", "ceo@harbor", "east@harbor"):
        alert(place, user, threshold=Decimal(2000))
    alert(place, "admin@mesa", kind="missing")
    evaluated, opened = check.evaluate, check.open_reader

    def evaluate(source: Source, item: Alert, *more: Any) -> Any:
        if item.alert_id == broken.alert_id:
            raise RuntimeError("a figure of Ada Lovelace")
        return evaluated(source, item, *more)

    def open_some(home: Any, principal: Any) -> Any:
        if principal.email == "ceo@harbor":
            raise OSError("no room")
        return opened(home, principal)

    with monkeypatch.context() as patch:
        patch.setattr(check, "evaluate", evaluate)
        patch.setattr(check, "open_reader", open_some)
        outcomes = send_alarms(place.home, server, APRIL)
    sent = {item.email for item in outcomes if item.state == "sent"}
    assert sent == {"admin@harbor", "east@harbor", "admin@mesa"}
    problems = {item.alert_id: item.problem for item in place.access.alerts.going_on() if item.problem}
    assert len(problems) == 2
    assert problems[broken.alert_id] == check.PROGRAM_FAILED
    assert "Lovelace" not in caplog.text
    assert not any_alert_due(place.home, APRIL)
    assert any_alert_due(place.home, APRIL + timedelta(hours=1))
    assert {item.email for item in send_alarms(place.home, server, APRIL + timedelta(hours=1))} == {
        "admin@harbor",
        "ceo@harbor",
    }
    assert not any(item.problem for item in place.access.alerts.going_on())


def test_an_alert_that_somebody_ends_meanwhile_ends_no_other_of_its_owner(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = alert(place, "admin@harbor"), alert(place, "admin@harbor", threshold=Decimal(2000))
    evaluated = check.evaluate

    def evaluate(source: Source, item: Alert, *more: Any) -> Any:
        if item.alert_id == first.alert_id:
            place.access.alerts.end("harbor", first.alert_id, because="not needed", actor="admin@harbor")
            raise AccessError("the unit is closed")
        return evaluated(source, item, *more)

    monkeypatch.setattr(check, "evaluate", evaluate)
    assert [item.has_ended for item in check_due(place.home, place.access, APRIL)] == [True, False]
    assert [item.alert_id for item in place.access.alerts.going_on()] == [second.alert_id]
    assert place.access.alerts.alert("harbor", first.alert_id).ended_because == "not needed"
    assert [item.alert_id for item in place.access.alerts.open_alarms("harbor", "admin@harbor")] == [second.alert_id]


def test_a_mail_that_is_tried_again_evaluates_nothing_twice(
    place: Place,
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
) -> None:
    mine = alert(place, "admin@harbor")
    said = check.evaluate(source_of(place, "admin@harbor"), mine, frozenset(), APRIL.date())
    place.access.alerts.log(mine, said, APRIL)
    place.access.alerts.checked(mine, mark_of(place.home, "harbor", APRIL))
    assert [item.state for item in send_alarms(place.home, server, APRIL)] == ["sent"]
    assert mailbox.to("admin@harbor")["Subject"].startswith("1 alarm: ")


def test_the_days_of_an_alert_are_those_of_the_tenant(place: Place) -> None:
    source = source_of(place, "admin@harbor")
    for threshold, made_at in (
        (1000, datetime(2026, 4, 1, 2, tzinfo=UTC)),
        (2000, datetime(2026, 4, 1, 5, tzinfo=UTC)),
    ):
        asked = wanted(source, "visits", "threshold", every="month", threshold=Decimal(threshold))
        place.access.alerts.add(source.principal, asked, actor="test", made_at=made_at)
    late, early = check_due(place.home, place.access, APRIL)
    # In New York the first one was made on 31 March, when February was the last month that had ended.
    assert [[item.period_start.month for item in each.evaluations] for each in (late, early)] == [[2, 3], [3]]
    # In Denver the first of April begins at 6 o'clock UTC.
    alert(place, "admin@mesa", kind="missing")
    before, after = (datetime(2026, 4, 1, hour, tzinfo=UTC) for hour in (5, 7))
    assert check_due(place.home, place.access, before, "mesa")[0].evaluations == ()
    assert [item.period_end for item in check_due(place.home, place.access, after, "mesa")[0].evaluations] == [
        MARCH_DAYS[1]
    ]


def test_only_the_figures_that_are_judged_and_their_past_are_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows: list[tuple[date, date]] = []
    series_of = check.series_of

    def noted(source: Source, item: Alert, units: Any, window: Any) -> Any:
        windows.append((window[0][0], window[-1][1]))
        return series_of(source, item, units, window)

    monkeypatch.setattr(check, "series_of", noted)
    mine, source = alert(place, "admin@mesa"), source_of(place, "admin@mesa")
    judged = frozenset({("", MARCH_DAYS[0]), ("", date(2026, 4, 1))})
    (said,) = check.evaluate(source, mine, judged, date(2026, 6, 2))
    assert said.period_start == date(2026, 5, 1)
    assert windows == [(date(2025, 5, 1), date(2026, 5, 31))]


def test_alerts_are_evaluated_where_no_mail_server_is_configured(
    place: Place,
    server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace: Any = SimpleNamespace(home=place.home, config=SimpleNamespace(mail=None, file="c.yml"))
    ran: list[list[str]] = []

    def run(words: list[str], **_: Any) -> Any:
        ran.append(words[4:])
        return SimpleNamespace(stdout="", stderr="", returncode=0)

    with DagsterInstance.ephemeral() as instance:

        def request() -> Any:
            return mails_due(workspace)(build_sensor_context(instance=instance))

        assert "no mail server" in str(request().skip_message)
        alert(place, "admin@harbor")
        assert request() == RunRequest(run_key=None)
        check_due(place.home, place.access, datetime.now(UTC))
        # Its mail waits for a server.
        assert "no mail server" in str(request().skip_message)
        workspace.config.mail = server
        assert request() == RunRequest(run_key=None)
    monkeypatch.setattr(deliveries.subprocess, "run", run)
    for mail in (None, server):
        workspace.config.mail = mail
        assert send_mail(workspace).execute_in_process().success
    home = ["--home", str(place.home.path)]
    assert ran == [["alerts", "check", *home], ["deliver", "--config", "c.yml", *home]]


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
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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


def test_data_that_are_late_are_one_alarm_for_all_units(place: Place) -> None:
    alert(place, "admin@mesa", kind="missing", with_units_below=True)
    check_due(place.home, place.access, APRIL)
    said = verdicts(place, "mesa")
    assert [verdict for unit, _, verdict in said if unit == ""] == [ALARM]
    assert {verdict for unit, _, verdict in said if unit} == {WAITING}


def test_an_alarm_can_be_acknowledged_however_long_the_log_has_become(place: Place) -> None:
    alert(place, "admin@harbor")
    check_due(place.home, place.access, APRIL)
    (old,) = place.access.alerts.open_alarms("harbor", "admin@harbor")
    mine = alert(place, "admin@harbor", threshold=Decimal(1))
    quiet = [
        replace(_evaluation(old), period_start=date(2000, 1, 1) + timedelta(days=n), verdict=QUIET) for n in range(200)
    ]
    place.access.alerts.log(mine, quiet, APRIL)
    desk = Alerting(place.access, place.access.principal("harbor", "admin@harbor"))
    assert all(item.evaluation_id != old.evaluation_id for item in desk.log())
    assert [item.evaluation_id for item in desk.open_alarms()] == [old.evaluation_id]
    desk.acknowledge(old.evaluation_id, "seen")
    assert desk.open_alarms() == ()


def _evaluation(logged: Logged) -> Evaluation:
    return Evaluation(**{name: getattr(logged, name) for name in Evaluation.__dataclass_fields__})


def test_a_person_has_at_most_so_many_alerts(place: Place) -> None:
    source = source_of(place, "admin@harbor")
    for value in range(MOST_ALERTS):
        asked = wanted(source, "visits", "threshold", every="month", threshold=Decimal(value))
        place.access.alerts.add(source.principal, asked, actor="test")
    more = wanted(source, "visits", "threshold", every="month", threshold=Decimal(1000))
    with pytest.raises(ConfigurationError, match="already has 50 alerts"):
        place.access.alerts.add(source.principal, more, actor="test")


def test_a_tenant_that_sends_no_figures_and_a_domain_that_is_not_allowed(
    place: Place,
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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
    mailbox: Mailbox,  # noqa: F811
    server: MailServer,  # noqa: F811
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


def test_an_alarm_is_acknowledged_with_a_note_that_is_sealed(place: Place) -> None:
    alert(place, "admin@harbor")
    check_due(place.home, place.access, APRIL)
    (logged,) = place.access.alerts.logged("harbor")
    place.access.alerts.acknowledge("harbor", logged.evaluation_id, "the desk was closed", actor="admin@harbor")
    (after,) = place.access.alerts.logged("harbor")
    assert (after.note, after.acknowledged_by) == ("the desk was closed", "admin@harbor")
    assert b"the desk was closed" not in place.home.access.read_bytes()
    with pytest.raises(AccessError, match="no alarm"):
        place.access.alerts.acknowledge("mesa", logged.evaluation_id, "", actor="admin@mesa")
    with pytest.raises(ConfigurationError, match="at most 500"):
        place.access.alerts.acknowledge("harbor", logged.evaluation_id, "x" * 501, actor="admin@harbor")


@pytest.mark.parametrize(
    ("metric", "kind", "options", "words"),
    [
        ("visits", "threshold", {"side": "above", "threshold": Decimal(1)}, "the good side"),
        ("denied_share", "threshold", {"threshold": Decimal(1)}, "say above or below"),
        ("denied_share", "change", {}, "no change for the worse"),
        ("visits", "change", {"least_volume": 5}, "needs the metric"),
        ("visits", "change", {"volume_metric": "nothing"}, "no metric is named"),
        ("visits", "threshold", {}, "a threshold is needed"),
    ],
)
def test_alerts_that_cannot_be(place: Place, metric: str, kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        wanted(source_of(place, "admin@harbor"), metric, kind, every="month", **options)


def test_the_past_is_tried_before_an_alert_is_made(place: Place) -> None:
    source = source_of(place, "admin@harbor")
    asked = wanted(source, "visits", "threshold", every="month", threshold=Decimal(85))
    tried = tried_on_past(source, asked)
    values = source.query(["visits"], grain="month")["visits"].to_list()
    assert len(values) == 3
    assert len(tried.alarms) == sum(value < 85 for value in values) >= 1
    assert tried.words.endswith("in 3 periods")
    place.access.alerts.add(source.principal, asked, actor="test")
    with pytest.raises(ConfigurationError, match="already has this alert"):
        place.access.alerts.add(source.principal, asked, actor="test")
    desk = place.access.principal("harbor", "desk@harbor")
    with pytest.raises(AccessError, match="does not include the page Alerts"):
        place.access.alerts.add(desk, asked, actor="test")


def test_the_commands(place: Place) -> None:
    home = ("--home", place.home.path)
    person = ("--tenant", "harbor", "--as", "admin@harbor")
    rule = ("--kind", "threshold", "--value", "1000")
    tried = clinicmart("alerts", "add", "visits", *person, *rule, "--try-only", *home)
    assert tried.code == 0, tried.err
    assert "would have raised 3 alarms in 3 periods" in tried.out
    assert place.access.alerts.going_on() == ()
    assert "alert 1 of admin@harbor is made" in clinicmart("alerts", "add", "visits", *person, *rule, *home).out
    assert clinicmart("alerts", "add", "visits", *person, *rule, *home).code == 2
    assert "waiting" in clinicmart("alerts", "check", *home).out
    tenant = ("--tenant", "harbor", *home)
    for words in (
        ("snooze", "1", "--until", "2030-01-01"),
        ("list",),
        ("budget", "3", "--as", "admin@harbor"),
        ("end", "1"),
    ):
        ran = clinicmart("alerts", *words, *tenant)
        assert ran.code == 0, ran.err
    assert clinicmart("alerts", "end", "1", *tenant).code == 1
    assert clinicmart("alerts", "check", *home).out.strip() == "there are no alerts"
    assert AccessStore.open(place.home).verify_audit().is_intact


def press(test: Any, label: str) -> Any:
    return next(button for button in test.button if button.label == label).click().run()


def test_a_person_tries_saves_rests_and_ends_an_alert_on_the_page(
    page: Any, markup_of: Any, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(streamlit.context), "ip_address", property(lambda _: "192.0.2.1"))
    test = page("alerts")
    assert not test.exception
    assert "You have no alerts yet" in markup_of(test)
    test.selectbox[0].set_value("no_show_rate")
    test.text_input[0].set_value("1%")
    press(test, "Try on the past")
    assert not test.exception
    assert "would have raised" in markup_of(test)
    assert served.access.alerts.going_on() == ()
    press(test, "Save alert")
    assert "The alert is saved." in markup_of(test)
    (made,) = served.access.alerts.going_on()
    assert (made.metric, made.rule.threshold, made.rule.side) == ("no_show_rate", Decimal("0.01"), "above")
    again = page("alerts")
    again.text_input[0].set_value("not a number")
    assert "Not saved:" in markup_of(press(again, "Save alert"))
    ending = page("alerts")
    assert "No-show rate" in markup_of(ending)
    assert "The alert has ended." in markup_of(press(ending, "End it"))
    assert served.access.alerts.going_on() == ()


def test_a_person_changes_the_own_alerts_alone(place: Place) -> None:
    mine = alert(place, "admin@harbor")
    check_due(place.home, place.access, APRIL)
    (logged,) = place.access.alerts.logged("harbor")
    other = Alerting(place.access, place.access.principal("harbor", "east@harbor"))
    assert (other.all_alerts(), other.log()) == ((), ())
    for act in (
        lambda: other.end(mine.alert_id),
        lambda: other.snooze(mine.alert_id, None),
        lambda: other.acknowledge(logged.evaluation_id, ""),
    ):
        with pytest.raises(AccessError, match="no such alert of yours"):
            act()
        assert place.access.audit_rows("harbor")[0].result == "refused"
