"""`clinicmart alerts`: rules on metrics, what they said, and the alarms."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    operator,
    person_of,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
    user_option,
)
from foundation.home import Home


@click.group()
def alerts() -> None:
    """Raise an alarm when a metric is bad, got worse or has no data."""


@alerts.command()
@click.argument("metric")
@home_option
@tenant_option
@user_option
@click.option(
    "--kind",
    type=click.Choice(["threshold", "change", "missing"]),
    required=True,
    help="Worse than a value; worse than its own last 12 periods; or no data.",
)
@click.option("--value", help="The threshold in the metric's unit: 6% for a share, 40 for days.")
@click.option(
    "--side",
    type=click.Choice(["above", "below"]),
    help="Where bad is, for a metric that is neither better high nor low.",
)
@click.option("--unit", default="", help="The service unit. Without it all that the user sees.")
@click.option("--units-below", is_flag=True, help="Also for each unit below it.")
@click.option("--every", type=click.Choice(["week", "month"]), default="month", show_default=True, help="The period.")
@click.option("--volume", default="", help="The metric that counts the cases. Without it what a rate is counted from.")
@click.option("--least-volume", type=click.IntRange(0), help="Judge nothing below so many cases. Default: 30.")
@click.option("--late", type=click.IntRange(0, 90), default=0, show_default=True, help="Days that data may come late.")
@click.option("--try-only", is_flag=True, help="Show what it would have raised in the past, and do not save it.")
@json_option
@existing_home
def add(
    home: Home,
    metric: str,
    tenant: str,
    user: str,
    kind: str,
    value: str | None,
    side: str | None,
    unit: str,
    units_below: bool,
    every: str,
    volume: str,
    least_volume: int | None,
    late: int,
    try_only: bool,
    as_json: bool,
) -> None:
    """Make an alert on METRIC for a user, and show what it would have raised in the last 24 periods."""
    from dashboards.alerts.series import definition
    from dashboards.alerts.wanted import tried_on_past, wanted
    from dashboards.alerts.words import back_test_lines
    from dashboards.data import Source
    from serving.people.store import AccessStore
    from serving.people.targets import read_value
    from serving.reader import open_reader

    owner = person_of(home, tenant, user)
    with open_reader(home, owner) as reader:
        source = Source(reader, owner)
        asked = wanted(
            source,
            metric,
            kind,
            every=every,
            side=side or "",
            threshold=None if value is None else read_value(value, definition(source, metric).unit),
            service_unit_id=unit,
            with_units_below=units_below,
            volume_metric=volume,
            least_volume=least_volume,
            late_days=late,
        )
        tried = tried_on_past(source, asked)
        lines = [f"{metric}: {tried.words}", *back_test_lines(source, tried.alarms)]
    facts: dict[str, Any] = {"past": asdict(tried), "alert": None}
    if not try_only:
        made = AccessStore.open(home).alerts.add(owner, asked, actor=operator())
        facts["alert"] = asdict(made)
        lines.append(f"alert {made.alert_id} of {made.email} is made")
    print_result(as_json, facts, *lines)


@alerts.command("list")
@home_option
@tenant_option
@click.option("--user", "email", help="Only those of this user.")
@json_option
@recorded
def list_(home: Home, tenant: str, email: str | None, as_json: bool) -> None:
    """List the alerts of a tenant and what they last said. Figures stand on the page Alerts alone."""
    from serving.people.store import AccessStore

    store = AccessStore.open(home)
    kept, log = store.alerts.of_tenant(tenant, email), store.alerts.logged(tenant, email)
    mails = store.alarm_mails.of_tenant(tenant, email)
    listed = [
        {
            "evaluation_id": item.evaluation_id,
            "alert_id": item.alert_id,
            "service_unit_id": item.service_unit_id,
            "period_start": item.period_start,
            "period_end": item.period_end,
            "verdict": item.verdict,
            "acknowledged_by": item.acknowledged_by,
            "mail_id": item.mail_id,
        }
        for item in log
    ]
    if as_json:
        print_json(
            {"alerts": [asdict(item) for item in kept], "log": listed, "mails": [asdict(item) for item in mails]}
        )
        return
    print_table(
        ["Id", "User", "Metric", "Unit", "Kind", "Side", "Every", "Snoozed until", "Problem", "Ended"],
        [
            [
                *(a.alert_id, a.email, a.metric, a.service_unit_id or None, a.rule.kind, a.rule.side or None, a.every),
                *(str(a.snoozed_until) if a.snoozed_until else None, a.problem or None, a.ended_because or None),
            ]
            for a in kept
        ],
    )
    print_table(
        ["Evaluation", "Alert", "Unit", "From", "To", "Verdict", "Seen by", "Mail"],
        [[None if cell is None else str(cell) for cell in item.values()] for item in listed],
    )
    print_table(
        ["Mail", "User", "State", "Attempts", "Reason"],
        [[m.mail_id, m.email, m.state, m.attempts, m.reason or None] for m in mails],
    )


@alerts.command()
@click.argument("alert_id", type=int)
@home_option
@tenant_option
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), help="The first day on which it raises alarms again. Without it: now."
)
@json_option
@existing_home
def snooze(home: Home, alert_id: int, tenant: str, until: datetime | None, as_json: bool) -> None:
    """Pause the alert ALERT_ID until a day. Its alarms are logged and not sent."""
    from serving.people.store import AccessStore

    day = None if until is None else until.date()
    AccessStore.open(home).alerts.snooze(tenant, alert_id, day, actor=operator())
    print_result(
        as_json,
        {"id": alert_id, "until": day},
        f"{alert_id}: {f'paused until {day}' if day else 'raises alarms again'}",
    )


@alerts.command()
@click.argument("alert_id", type=int)
@home_option
@tenant_option
@json_option
@existing_home
def end(home: Home, alert_id: int, tenant: str, as_json: bool) -> None:
    """End the alert ALERT_ID."""
    from serving.people.store import AccessStore

    AccessStore.open(home).alerts.end(tenant, alert_id, because="ended by an administrator", actor=operator())
    print_result(as_json, {"id": alert_id, "ended": True}, f"{alert_id}: ended")


@alerts.command()
@click.argument("evaluation", type=int)
@home_option
@tenant_option
@click.option("--note", default="", help="What was done. It is kept encrypted.")
@json_option
@existing_home
def acknowledge(home: Home, evaluation: int, tenant: str, note: str, as_json: bool) -> None:
    """Note that the alarm EVALUATION was seen."""
    from serving.people.store import AccessStore

    AccessStore.open(home).alerts.acknowledge(tenant, evaluation, note, actor=operator())
    print_result(as_json, {"id": evaluation, "acknowledged": True}, f"{evaluation}: acknowledged")


@alerts.command()
@click.argument("alarms", type=int)
@home_option
@tenant_option
@user_option
@json_option
@existing_home
def budget(home: Home, alarms: int, tenant: str, user: str, as_json: bool) -> None:
    """Let a user get at most ALARMS alarms in a week. The largest go out, the others are logged."""
    from serving.people.store import AccessStore

    owner = person_of(home, tenant, user)
    AccessStore.open(home).alerts.set_budget(tenant, owner.email, alarms, actor=operator())
    print_result(as_json, {"user": owner.email, "alarms": alarms}, f"{owner.email}: at most {alarms} alarms a week")


@alerts.command()
@click.argument("mail", type=int)
@home_option
@tenant_option
@json_option
@existing_home
def again(home: Home, mail: int, tenant: str, as_json: bool) -> None:
    """Try the mail MAIL again with the next sending, although it is unclear whether it arrived."""
    from serving.people.store import AccessStore

    AccessStore.open(home).alarm_mails.send_again(tenant, mail, actor=operator())
    print_result(as_json, {"mail": mail, "again": True}, f"{mail}: is tried again")


@alerts.command()
@home_option
@json_option
@existing_home
def check(home: Home, as_json: bool) -> None:
    """Evaluate the alerts of all tenants now. `clinicmart deliver` evaluates those that are due, and sends the alarms."""
    from datetime import UTC

    from dashboards.alerts.check import check_due
    from dashboards.delivery.alone import alone
    from serving.people.store import AccessStore

    with alone(home):
        checked = check_due(home, AccessStore.open(home), datetime.now(UTC))
    lines = []
    for entry in checked:
        counts: dict[str, int] = {}
        for item in entry.evaluations:
            counts[item.verdict] = counts.get(item.verdict, 0) + 1
        words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing is due"
        problem = f"{'ended: ' if entry.has_ended else ''}{entry.problem}"
        lines.append(f"{entry.alert.tenant_id} alert {entry.alert.alert_id}: {problem or words}")
    facts = [
        {
            "alert_id": entry.alert.alert_id,
            "tenant_id": entry.alert.tenant_id,
            "verdicts": [item.verdict for item in entry.evaluations],
            "problem": entry.problem,
        }
        for entry in checked
    ]
    print_result(as_json, {"alerts": facts}, *(lines or ["there are no alerts"]))
