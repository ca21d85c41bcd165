"""Alerts: the alarms of a person, the rules that raise them, and the forms to make, try, pause and end a rule."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import streamlit as st
from markupsafe import Markup

from dashboards import blocks, markup, served_home, shell, widgets
from dashboards import format as fmt
from dashboards.alerts.series import definition, name_of
from dashboards.alerts.wanted import tried_on_past, wanted
from dashboards.alerts.words import alarm_of, back_test_lines, period_words, rule_words
from dashboards.data import UNKNOWN, Source
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.alerting import Alerting
from serving.modules import PAGES
from serving.people.alert_rules import (
    KINDS,
    LONGEST_NOTE,
    MISSING,
    MOST_ALARMS_A_WEEK,
    MOST_LATE_DAYS,
    SIDES,
    THRESHOLD,
    Alert,
    Logged,
    Wanted,
)
from serving.people.ended_periods import EVERY, MONTH
from serving.people.targets import WHOLE, read_value

KIND_NAMES = {
    "threshold": "Is worse than a value",
    "change": "Got worse than its last 12 periods",
    "missing": "Has no data",
}
SIDE_NAMES = {"": "As defined", "above": "Above", "below": "Below"}
VERDICT_NAMES = {
    "waiting": "Waiting",
    "not judged": "Not judged",
    "quiet": "Nothing wrong",
    "alarm": "Alarm",
    "held back": "Held back",
    "snoozed": "Paused",
}
NO_ALARMS = ("No open alarms", "The log below shows what your alerts looked at.")
NO_ALERTS = (
    "You have no alerts yet",
    "Choose a figure below and say when it is bad. First you see how often it was bad in the past.",
)
ONLY_TRIED = "The alert is not saved yet."
OTHER_RIGHTS = "You had other rights then"
MOST = 50


def draw(context: PageContext) -> None:
    """Draws alarms, alerts and log of the person, with the forms to change them."""
    source = context.source
    desk = Alerting(served_home.access(), source.principal)
    # The head and the lists are drawn once a form has changed them.
    head = st.container()
    blocks.section("New alert", "Try it first: you see when it would have raised an alarm in the last 24 periods")
    done, lines = _new(context, desk)
    if desk.all_alerts():
        blocks.section("Change", "A paused alert logs its alarms and sends none")
        done = _change(source, desk) or done
    log, by_id = desk.log(), {item.alert_id: item for item in desk.all_alerts()}
    with head:
        alarms = desk.open_alarms()
        title = f"{fmt.plural(len(alarms), 'alarm')} to acknowledge" if alarms else "No open alarms"
        context.html(markup.heading(title, [], shell.whose(source)), key="cm_head")
        if done:
            context.html(markup.state(_done_title(done), done), key="cm_saved")
        if lines:
            context.html(markup.notice(lines), key="cm_tried")
        blocks.section("Alarms", _mail_words(desk))
        context.html(_log_table(source, alarms, by_id, "Open alarms"), key="cm_alarms")
        blocks.section("Your alerts", "Each period is judged once, when it is over and its figure has settled")
        context.html(_alert_table(source, desk.alerts()), key="cm_alerts")
    context.html(markup.folded("Everything that was looked at", _log_table(source, log, by_id, "Log")), key="cm_log")
    ended = [item for item in by_id.values() if item.ended_at is not None]
    if ended:
        context.html(markup.folded("Ended alerts", _ended_table(source, ended)), key="cm_ended")


def _done_title(done: str) -> str:
    if done.startswith("Not saved"):
        return "Not saved"
    return "Tried on the past" if done.endswith(ONLY_TRIED) else "Done"


def _mail_words(desk: Alerting) -> str:
    budget = desk.budget()
    refusal = desk.mail_refusal() or ("" if budget else "your number of alarms a week is 0")
    if refusal:
        return f"They stand on this page only: {refusal}"
    return f"At most {budget} a week go out by mail, the largest first"


def _log_table(source: Source, log: Sequence[Logged], by_id: dict[int, Alert], caption: str) -> Markup:
    if not log:
        return markup.state(*NO_ALARMS)
    with_seen = any(item.acknowledged_by for item in log)
    rows = []
    for item in log[:MOST]:
        alert = by_id[item.alert_id]
        alarm = alarm_of(source, alert, item)
        seen = (f"{item.acknowledged_by}: {item.note}" if item.note else item.acknowledged_by,) if with_seen else ()
        period, verdict = period_words(item.period_start, item.period_end), VERDICT_NAMES[item.verdict]
        if alarm is None:
            rows.append(markup.Row((_label(source, alert), "", period, OTHER_RIGHTS, verdict, *seen)))
            continue
        cells = (alarm.metric.label, alarm.unit, period, fmt.sentence(alarm.reason), verdict, *seen)
        rows.append(markup.Row(cells, action=f"{widgets.PAGE}{alarm.link}"))
    names = ("Figure", "Where", "Period", "Why", "Verdict", *(("Acknowledged",) if with_seen else ()))
    table = markup.table([markup.Column(name) for name in names], rows, caption=caption)
    if len(log) <= MOST:
        return table
    return table + Markup('<p class="cm-note">{}</p>').format(f"The first {MOST} of {len(log)}.")


def _label(source: Source, alert: Alert) -> str:
    """The name of an alert's metric, also of one that the person no longer sees."""
    metric = source.metrics.get(alert.metric)
    return metric.label if metric else alert.metric


def _alert_table(source: Source, kept: Sequence[Alert]) -> Markup:
    if not kept:
        return markup.state(*NO_ALERTS)
    today = fmt.local_date(datetime.now(UTC), source.time_zone)
    rows = []
    for item in kept:
        where = name_of(source, item.service_unit_id) + (" and each unit below" if item.with_units_below else "")
        is_paused = item.snoozed_until is not None and today < item.snoozed_until
        state = f"Paused until {fmt.day(item.snoozed_until)}" if is_paused else ""
        if item.problem:
            state = f"Could not be evaluated: {item.problem}"
        words = rule_words(source.metrics.get(item.metric), item)
        rows.append(markup.Row((_label(source, item), where, words, state)))
    names = ("Figure", "Where", "Alarm when it is", "State")
    return markup.table([markup.Column(name) for name in names], rows, caption="Your alerts")


def _ended_table(source: Source, ended: Sequence[Alert]) -> Markup:
    rows = [
        markup.Row(
            (
                _label(source, item),
                rule_words(source.metrics.get(item.metric), item),
                fmt.moment(item.ended_at, source.time_zone),
                fmt.sentence(item.ended_because),
            )
        )
        for item in ended[-MOST:]
    ]
    names = ("Figure", "Alarm when it was", "Ended", "Why")
    return markup.table([markup.Column(name) for name in names], rows, caption="Ended alerts")


def _metrics(source: Source) -> list[str]:
    """The metrics of the pages first, then all others."""
    names = [name for page in PAGES.values() for name in page.figures if name in source.metrics]
    return list(dict.fromkeys([*names, *source.metrics]))


def _place_of(name: str | None, names: Sequence[str]) -> int:
    """Where the choice of the address stands in a list; the first place where it has none of these."""
    return names.index(name) if name in names else 0


def _new(context: PageContext, desk: Alerting) -> tuple[str, list[str]]:
    """The form of a new alert, filled with the figure and the place of the address. Returns what became of it and the alarms of its
    past where it was sent."""
    source, view = context.source, context.view
    metrics, units = _metrics(source), [WHOLE, *(place for place in source.places if place != UNKNOWN)]
    with st.form("cm_alert_form"):
        columns = st.columns([4, 3, 2, 2], vertical_alignment="bottom")
        metric = columns[0].selectbox(
            "Figure",
            metrics,
            _place_of(view.metric, metrics),
            format_func=lambda name: source.metrics[name].label,
        )
        kind = columns[1].selectbox("Alarm when it", KINDS, format_func=KIND_NAMES.__getitem__)
        value = columns[2].text_input("Value", max_chars=20, help="For the first kind: 6% for a share, 40 for days.")
        side = columns[3].selectbox("Bad is", ("", *SIDES), format_func=SIDE_NAMES.__getitem__)
        columns = st.columns([4, 2, 2, 2, 2], vertical_alignment="bottom")
        unit = columns[0].selectbox(
            "Where", units, _place_of(view.place, units), format_func=lambda name: name_of(source, name)
        )
        is_below = columns[1].checkbox("Each unit below")
        every = columns[2].selectbox("After each", EVERY, index=EVERY.index(MONTH))
        least = columns[3].number_input(
            "Minimum cases", 0, None, None, help="Without a number: 30 where a rate counts cases."
        )
        late = columns[4].number_input(
            "Days allowed", 0, MOST_LATE_DAYS, 0, help="For missing data: days after the period."
        )
        buttons = st.columns([2, 2, 8])
        is_tried = buttons[0].form_submit_button("Try on the past")
        is_saved = buttons[1].form_submit_button("Save alert", type="primary")
    if not (is_tried or is_saved) or metric is None or kind is None or unit is None or every is None:
        return "", []
    try:
        asked = wanted(
            source,
            metric,
            kind,
            every=every,
            side=side or "",
            threshold=read_value(value, definition(source, metric).unit) if kind == THRESHOLD else None,
            service_unit_id=unit,
            with_units_below=is_below,
            least_volume=None if least is None else int(least),
            late_days=int(late) if kind == MISSING else 0,
        )
        return _tried(source, desk, asked, is_saved=is_saved)
    except ClinicmartError as error:
        return f"Not saved: {fmt.sentence(str(error))}", []


def _tried(source: Source, desk: Alerting, asked: Wanted, *, is_saved: bool) -> tuple[str, list[str]]:
    """Holds the alert against the past, and makes it where the person saves it."""
    tried = tried_on_past(source, asked)
    lines = [fmt.sentence(line) for line in back_test_lines(source, tried.alarms)]
    words = f"{source.metrics[asked.metric].label} {tried.words}."
    if is_saved:
        desk.add(asked)
        return f"The alert is saved. {words}", lines
    return f"{words} {ONLY_TRIED}", lines


def _change(source: Source, desk: Alerting) -> str:
    """Acknowledges an alarm, pauses or ends an alert, sets the budget. Returns what became of it."""
    by_id = {item.alert_id: item for item in desk.alerts()}
    labels = {item.alert_id: item for item in desk.all_alerts()}
    waiting = {item.evaluation_id: item for item in desk.open_alarms()}

    def alert_words(key: int) -> str:
        alert = labels[key]
        words = rule_words(source.metrics.get(alert.metric), alert)
        return f"{_label(source, alert)}, {name_of(source, alert.service_unit_id)}: {words}"

    def alarm_words(key: int) -> str:
        item = waiting[key]
        name = _label(source, labels[item.alert_id])
        return f"{name}, {name_of(source, item.service_unit_id)}, {period_words(item.period_start, item.period_end)}"

    with st.form("cm_change_alert", border=False):
        columns = st.columns([4, 6, 2], vertical_alignment="bottom")
        alarm = columns[0].selectbox("An alarm", list(waiting), format_func=alarm_words)
        note = columns[1].text_input("Note", max_chars=LONGEST_NOTE, help="What was done. Name no patient.")
        is_seen = columns[2].form_submit_button("Acknowledge", disabled=not waiting)
        columns = st.columns([4, 2, 2, 2, 2], vertical_alignment="bottom")
        alert_id = columns[0].selectbox("An alert", list(by_id), format_func=alert_words)
        until = columns[1].date_input(
            "Pause until", value=None, format="MM/DD/YYYY", help="Without a day: it raises alarms again."
        )
        is_paused = columns[2].form_submit_button("Pause", disabled=not by_id)
        is_ended = columns[3].form_submit_button("End it", disabled=not by_id)
        columns = st.columns([4, 2, 6], vertical_alignment="bottom")
        budget = columns[0].number_input("Alarms a week", 0, MOST_ALARMS_A_WEEK, desk.budget())
        is_budget = columns[1].form_submit_button("Save number")
    try:
        if is_seen and alarm is not None:
            desk.acknowledge(alarm, note)
            return "The alarm is acknowledged."
        if is_paused and alert_id is not None:
            day = until if isinstance(until, date) else None
            desk.snooze(alert_id, day)
            return f"The alert is paused until {fmt.day(day)}." if day else "The alert raises alarms again."
        if is_ended and alert_id is not None:
            desk.end(alert_id)
            return "The alert has ended."
        if is_budget:
            desk.set_budget(int(budget))
            return f"You get at most {int(budget)} alarms a week."
    except ClinicmartError as error:
        return f"Not saved: {fmt.sentence(str(error))}"
    return ""
