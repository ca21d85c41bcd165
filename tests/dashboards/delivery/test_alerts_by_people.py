"""Alerts as people make, change and acknowledge them: rules, the commands and the page."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import streamlit

from dashboards.alerts.check import check_due
from dashboards.alerts.wanted import tried_on_past, wanted
from foundation.errors import AccessError, ConfigurationError
from serving.alerting import Alerting
from serving.people.alert_rules import (
    MOST_ALERTS,
    QUIET,
    Evaluation,
    Logged,
)
from serving.people.store import AccessStore
from tests.dashboards.delivery.senders import APRIL, alert, source_of
from tests.serving.conftest import Place
from tests.support import clinicmart_here


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
    tried = clinicmart_here("alerts", "add", "visits", *person, *rule, "--try-only", *home)
    assert tried.code == 0, tried.err
    assert "would have raised 3 alarms in 3 periods" in tried.out
    assert place.access.alerts.going_on() == ()
    assert "alert 1 of admin@harbor is made" in clinicmart_here("alerts", "add", "visits", *person, *rule, *home).out
    assert clinicmart_here("alerts", "add", "visits", *person, *rule, *home).code == 2
    assert "waiting" in clinicmart_here("alerts", "check", *home).out
    tenant = ("--tenant", "harbor", *home)
    for words in (
        ("snooze", "1", "--until", "2030-01-01"),
        ("list",),
        ("budget", "3", "--as", "admin@harbor"),
        ("end", "1"),
    ):
        ran = clinicmart_here("alerts", *words, *tenant)
        assert ran.code == 0, ran.err
    assert clinicmart_here("alerts", "end", "1", *tenant).code == 1
    assert clinicmart_here("alerts", "check", *home).out.strip() == "there are no alerts"
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
