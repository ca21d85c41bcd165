"""Alerts on a published home: what a check logs, with whose rights."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterInstance, RunRequest, build_sensor_context

from dagster_project import deliveries
from dagster_project.deliveries import mails_due, send_mail
from dashboards.alerts import check
from dashboards.alerts.check import check_due
from dashboards.alerts.series import link_to
from dashboards.alerts.wanted import wanted
from dashboards.data import Source
from dashboards.delivery.alarms import send_alarms
from foundation.errors import AccessError, ConfigurationError
from foundation.mail_server import MailServer
from serving.model import MetricQuery
from serving.people.alert_rules import (
    ALARM,
    HELD_BACK,
    QUIET,
    WAITING,
    Alert,
)
from serving.people.due_alerts import any_alert_due
from serving.reader import open_reader
from tests.dashboards.delivery.senders import APRIL, Mailbox, alert, source_of, verdicts
from tests.serving.conftest import Place

MARCH_DAYS = (date(2026, 3, 1), date(2026, 3, 31))


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


def test_the_link_of_a_figure_opens_it_at_its_unit_and_period(place: Place) -> None:
    source = source_of(place, "admin@harbor")
    link = link_to(source, source.metrics["billed_amount"], "east", MARCH_DAYS)
    assert link.endswith("?period=2026-03-01_2026-03-31&place=east&figure=billed_amount")


def test_one_alert_that_fails_stops_no_other_and_is_tried_again(
    place: Place,
    mailbox: Mailbox,
    server: MailServer,
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


def test_data_that_are_late_are_one_alarm_for_all_units(place: Place) -> None:
    alert(place, "admin@mesa", kind="missing", with_units_below=True)
    check_due(place.home, place.access, APRIL)
    said = verdicts(place, "mesa")
    assert [verdict for unit, _, verdict in said if unit == ""] == [ALARM]
    assert {verdict for unit, _, verdict in said if unit} == {WAITING}
