"""Evaluates what is due, each alert with the rights that its owner has now, and spends the owner's alarms of the week.

An owner who may no longer sign in, or whose role lost the page, the metric or the unit, ends the alert: it says why. A period is judged
once; what waits is looked at again. Any other failure of an alert is noted, and the other alerts go on. Only for who holds the lock of
sending (`dashboards.delivery.alone`).
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from dashboards import failures
from dashboards import format as fmt
from dashboards.alerts.calendar import earlier, looked_at
from dashboards.alerts.judge import PAST_PERIODS, judge, spend
from dashboards.alerts.series import definition, measure_of, series_of, units_of
from dashboards.data import Source
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from serving.model import NothingPublished
from serving.people.alert_rules import ALARM, PAGE, SNOOZED, WAITING, Alert, Evaluation
from serving.people.due_alerts import failed_mark, is_checked, mark_of
from serving.people.rights import ROLES
from serving.people.shown import gathering
from serving.people.store import AccessStore
from serving.reader import open_reader

log = logging.getLogger(__name__)

# The message of an error may hold data: it is not repeated.
PROGRAM_FAILED = "the program failed with this alert; its log names the place in the code"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of an alert: its new evaluations, or why it could not be checked. `has_ended`: for that reason it goes on no more."""

    alert: Alert
    evaluations: tuple[Evaluation, ...] = ()
    problem: str = ""
    has_ended: bool = False


def check_due(
    home: Home, store: AccessStore, now: datetime, tenant_id: str | None = None, *, only_due: bool = False
) -> list[Checked]:
    """Evaluates the alerts of a tenant (None: of all tenants) at a moment (UTC), and notes the mails with new alarms. `only_due`: not
    those that were evaluated for this day and version."""
    alerts = [item for item in store.alerts.going_on() if tenant_id in (None, item.tenant_id)]
    checked: list[Checked] = []
    for _, group in groupby(alerts, key=lambda item: (item.tenant_id, item.email)):
        mine = list(group)
        try:
            checked += _of_owner(home, store, mine, now, only_due)
        except Exception as error:
            # Not even the problem could be noted.
            log.error("alerts of %s: %s", mine[0].tenant_id, failures.place_of(error))
            checked += [Checked(alert=alert, problem=PROGRAM_FAILED) for alert in mine]
    return checked


def _of_owner(home: Home, store: AccessStore, alerts: Sequence[Alert], now: datetime, only_due: bool) -> list[Checked]:
    """The alerts of one person, and the mail with what is in no mail yet."""
    tenant_id, email = alerts[0].tenant_id, alerts[0].email
    mark = mark_of(home, tenant_id, now)
    due = [alert for alert in alerts if not (only_due and is_checked(alert, mark, now))]
    try:
        checked = _evaluated(home, store, due, now) if due else []
    except NothingPublished:
        problem = "nothing is published yet for this organization"
        return [Checked(alert=alert, problem=problem) for alert in due]
    except AccessError as error:
        return [_ended(store, alert, str(error)) for alert in alerts]
    except Exception as error:
        checked = [_failed(alert, error) for alert in due]
    open_alarms = store.alerts.not_mailed(tenant_id, email)
    if open_alarms:
        store.alarm_mails.note(tenant_id, email, [item.evaluation_id for item in open_alarms], now)
    # After the mail is noted: an alert that is marked before has no mail if the program is killed here.
    for item in checked:
        store.alerts.checked(item.alert, failed_mark(mark, now) if item.problem else mark, item.problem)
    return checked


def _evaluated(home: Home, store: AccessStore, alerts: Sequence[Alert], now: datetime) -> list[Checked]:
    """The alerts of one person through the person's own reader. Raises AccessError where the person may not have alerts,
    NothingPublished where there is nothing to read."""
    email = alerts[0].email
    principal = store.principal(alerts[0].tenant_id, email)
    if PAGE not in ROLES[principal.role].pages:
        raise AccessError(f"the role of {email} does not include the page Alerts")
    with open_reader(home, principal) as reader:
        return _with_source(store, Source(reader, principal), alerts, now)


def _with_source(store: AccessStore, source: Source, alerts: Sequence[Alert], now: datetime) -> list[Checked]:
    today = fmt.local_date(now, source.time_zone)
    checked = [_checked(store, source, alert, today) for alert in alerts]
    budget = store.alerts.budget(source.tenant_id, source.principal.email)
    week_start = _week_start(today, ZoneInfo(source.time_zone))
    spent = store.alerts.alarms_since(source.tenant_id, source.principal.email, week_start)
    within = iter(spend((item for entry in checked for item in entry.evaluations), budget - spent))
    # In the order in which they were handed over.
    kept = [replace(item, evaluations=tuple(next(within) for _ in item.evaluations)) for item in checked]
    return [_logged(store, item, now) for item in kept]


def _checked(store: AccessStore, source: Source, alert: Alert, today: date) -> Checked:
    """The new evaluations of an alert, which are not logged yet."""
    try:
        with gathering() as shown:
            evaluations = evaluate(source, alert, store.alerts.judged(alert), today)
        if evaluations:
            source.reader.note("alert checked", {"alert": alert.alert_id} | shown.detail(), "done")
    except (AccessError, ConfigurationError) as error:
        return _ended(store, alert, str(error))
    except Exception as error:
        return _failed(alert, error)
    return Checked(alert=alert, evaluations=tuple(evaluations))


def _logged(store: AccessStore, item: Checked, now: datetime) -> Checked:
    try:
        store.alerts.log(item.alert, item.evaluations, now)
    except Exception as error:
        return _failed(item.alert, error)
    return item


def evaluate(source: Source, alert: Alert, judged: frozenset[tuple[str, date]], today: date) -> list[Evaluation]:
    """What the alert says of every unit and ended period that was not judged yet. `today` is the tenant's day. Raises AccessError and
    ConfigurationError where the person may no longer see the metric or the unit."""
    metric, units = definition(source, alert.metric), units_of(source, alert)
    made_on = fmt.local_date(alert.made_at, source.time_zone)
    asked = looked_at(alert.every, made_on, metric.matures_after_days or 0, today)
    wanted = {(unit, start) for unit in units for start, _ in asked} - judged
    if not wanted:
        return []
    first = min(start for _, start in wanted)
    asked = [days for days in asked if days[0] >= first]
    window = [*earlier(alert.every, asked[0], PAST_PERIODS), *asked]
    measure = measure_of(source, alert)
    evaluations = []
    for unit, points in series_of(source, alert, units, window).items():
        for place, point in enumerate(points[PAST_PERIODS:], start=PAST_PERIODS):
            if (unit, point.start) in wanted:
                past = points[place - PAST_PERIODS : place]
                judgement = judge(alert.rule, measure, point, past, unit_id=unit, as_of=source.as_of, today=today)
                judgement = replace(judgement, figures_mark=source.reader.scope.figures_mark)
                if unit != units[0] and source.as_of < point.end:
                    # Data that are late are late for all units: one alarm.
                    judgement = replace(judgement, verdict=WAITING, size=0.0)
                evaluations.append(_paused(alert, judgement, today))
    return evaluations


def _paused(alert: Alert, judgement: Evaluation, today: date) -> Evaluation:
    """An alarm of an alert that its owner paused stays in the log."""
    if judgement.verdict != ALARM or alert.snoozed_until is None or today >= alert.snoozed_until:
        return judgement
    return replace(judgement, verdict=SNOOZED)


def _week_start(today: date, zone: ZoneInfo) -> datetime:
    """The beginning of the tenant's week in UTC."""
    monday = today - timedelta(days=today.weekday())
    return datetime.combine(monday, time(), zone).astimezone(UTC)


def _ended(store: AccessStore, alert: Alert, reason: str) -> Checked:
    # Somebody may have ended it since it was listed; the other alerts of its owner go on.
    with suppress(AccessError):
        store.alerts.end(alert.tenant_id, alert.alert_id, because=reason, actor="system")
    return Checked(alert=alert, problem=reason, has_ended=True)


def _failed(alert: Alert, error: Exception) -> Checked:
    log.error("alert %s: %s", alert.alert_id, failures.place_of(error))
    return Checked(alert=alert, problem=str(error) if isinstance(error, ClinicmartError) else PROGRAM_FAILED)
