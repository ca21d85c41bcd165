"""`clinicmart forecasts`: make forecasts, list them with the reason where there is none, and hold earlier ones against what came."""

from decimal import Decimal
from typing import Any

import click

from clinicmart.commands.metrics import open_for
from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
    user_option,
)
from foundation.home import Home


@click.group()
def forecasts() -> None:
    """Forecast visits and money, and keep every forecast on record before its outcome."""


@forecasts.command("make")
@home_option
@tenant_option
@user_option
@json_option
@existing_home
def make_(home: Home, tenant: str, user: str, as_json: bool) -> None:
    """Make the forecasts of the tenant from the served version. Only for administrators of the organization.

    Does nothing where they were made from that version already.
    """
    with open_for(home, tenant, user) as reader:
        made = reader.forecasts.make()
    shown = sum(item.is_shown for item in made.forecasts)
    facts = {
        "issue": made.issue.issue_id,
        "version": made.issue.version,
        "data_as_of": made.issue.data_as_of,
        "made_at": made.issue.made_at,
        "model": made.issue.model,
        "forecasts": len(made.forecasts),
        "shown": shown,
        "is_new": made.is_new,
    }
    did = "made" if made.is_new else "were made already"
    print_result(
        as_json,
        facts,
        f"Forecasts {did} from data to {made.issue.data_as_of}: {shown} of {len(made.forecasts)} are shown; "
        "clinicmart forecasts list says why the others are not.",
    )


@forecasts.command("list")
@home_option
@tenant_option
@user_option
@click.option("--metric", help="Only this metric.")
@click.option("--unit", help="Only this service unit.")
@json_option
@recorded
def list_(home: Home, tenant: str, user: str, metric: str | None, unit: str | None, as_json: bool) -> None:
    """List the newest forecasts: the next period with its 90 % band, the back-test, and the reason where none is shown.

    --json has every period.
    """
    with open_for(home, tenant, user) as reader:
        current = reader.forecasts.current()
        names = dict(reader.tree().select("service_unit_id", "name").iter_rows())
    if current is None:
        if as_json:
            print_json([])
        else:
            click.echo(f"No forecasts were made for {tenant} yet: run clinicmart forecasts make.")
        return
    rows = [
        item for item in current.forecasts if metric in (None, item.metric) and unit in (None, item.service_unit_id)
    ]
    if as_json:
        issue = vars(current.issue)
        print_json([{**issue, **vars(item), "points": [vars(point) for point in item.points]} for item in rows])
        return
    click.echo(
        f"Made on {current.issue.made_at:%Y-%m-%d} from data to {current.issue.data_as_of}, model {current.issue.model}."
    )
    print_table(
        [
            "Metric",
            "Grain",
            "Service unit",
            "Next",
            "Low",
            "High",
            "Error",
            "Obvious",
            "Band held",
            "Not shown because",
        ],
        [
            [
                item.metric,
                item.grain,
                names.get(item.service_unit_id, tenant),
                *_next(item),
                item.scaled_error,
                item.obvious_scaled_error,
                None if item.held is None else f"{item.held * 100:.1f} %",
                item.reason or None,
            ]
            for item in rows
        ],
    )


def _next(item: Any) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    first = item.points[0] if item.points else None
    return (None, None, None) if first is None else (first.value, first.low, first.high)


@forecasts.command("score")
@home_option
@tenant_option
@user_option
@json_option
@recorded
def score_(home: Home, tenant: str, user: str, as_json: bool) -> None:
    """Hold the forecasts of the last year against what came: how many outcomes lay in the band, and the errors.

    --json has every forecast with its outcome.
    """
    from serving.forecasts.record import record_of

    with open_for(home, tenant, user) as reader:
        scored = reader.forecasts.scored()
    records = record_of(scored)
    if as_json:
        outcomes = [
            {
                "metric": item.metric,
                "grain": item.grain,
                "service_unit_id": item.service_unit_id,
                "issue": item.issue.issue_id,
                "made_at": item.issue.made_at,
                "data_as_of": item.issue.data_as_of,
                "model": item.issue.model,
                **vars(item.point),
                "outcome": item.outcome,
                "is_inside": item.is_inside,
            }
            for item in scored
        ]
        print_json({"records": [{**vars(item), "held": item.held} for item in records], "outcomes": outcomes})
        return
    if not records:
        click.echo("No forecast has an outcome yet.")
        return
    print_table(
        [
            "Metric",
            "Grain",
            "Issues",
            "Outcomes",
            "In the band",
            "Mean error",
            "Mean error of the last four weeks' mean",
        ],
        [
            [
                item.metric,
                item.grain,
                item.issues,
                item.outcomes,
                f"{item.held * 100:.1f} %",
                item.error,
                item.obvious_error,
            ]
            for item in records
        ],
    )


@forecasts.command("verify")
@home_option
@tenant_option
@user_option
@json_option
@recorded
def verify(home: Home, tenant: str, user: str, as_json: bool) -> None:
    """Check that every forecast on record is what was written, by the digests in the audit log. Only for administrators."""
    from serving.people.store import AccessStore

    with open_for(home, tenant, user) as reader:
        check = reader.forecasts.verify()
    audit = AccessStore.open(home).verify_audit()
    problems = [*check.problems, *([] if audit.is_intact else [f"the audit log: {audit.problem}"])]
    print_result(
        as_json,
        {"issues": check.issues, "is_intact": not problems, "problems": problems},
        *(problems or [f"{check.issues} issues of forecasts are what was written."]),
    )
    if problems:
        raise SystemExit(1)
