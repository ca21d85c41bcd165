"""`clinicmart targets`: what figures should be, by metric, service unit and day."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from clinicmart.commands.metrics import definition_of, open_for
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
def targets() -> None:
    """List and set the targets of metrics."""


@targets.command("list")
@home_option
@tenant_option
@user_option
@click.option("--metric", help="Show only this metric.")
@click.option("--history", is_flag=True, help="Show every version, also those that later ones replaced.")
@json_option
@recorded
def list_targets(home: Home, tenant: str, user: str, metric: str | None, history: bool, as_json: bool) -> None:
    """List targets. An empty unit is the whole tenant. An empty target has ended."""
    with open_for(home, tenant, user) as reader:
        shown = reader.targets.versions() if history else reader.targets.table().standing
        units = {item.name: item.unit for item in reader.metrics()}
    rows = [
        {
            "metric": target.metric,
            "unit": target.service_unit_id,
            "from": target.valid_from,
            "target": target.value,
            "set_by": target.set_by,
            "set_at": target.set_at,
        }
        for target in shown
        if target.metric in units and metric in (None, target.metric)
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["Metric", "Service unit", "From", "Target", "Set by", "Set at"],
        [
            [
                row["metric"],
                row["unit"],
                row["from"],
                _written(row["target"], units[row["metric"]]),
                row["set_by"],
                row["set_at"],
            ]
            for row in rows
        ],
    )


@targets.command("set")
@click.argument("metric")
@click.argument("value")
@home_option
@tenant_option
@user_option
@click.option("--unit", help="The service unit. Without it the target is for the whole tenant.")
@click.option(
    "--from", "valid_from", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day on which it counts."
)
@json_option
@existing_home
def set_target(
    home: Home, metric: str, value: str, tenant: str, user: str, unit: str | None, valid_from: datetime, as_json: bool
) -> None:
    """Set the target of METRIC to VALUE. The earlier versions are kept.

    VALUE is in the metric's unit: 6% for a share, 40 for days, 8200 a month for counts and amounts that add up over time. The word
    none ends a target.
    """
    from serving.people.targets import read_value

    with open_for(home, tenant, user) as reader:
        definition = definition_of(reader, metric)
        amount = None if value == "none" else read_value(value, definition.unit)
        reader.targets.set(metric, unit, valid_from.date(), amount)
    shown = _written(amount, definition.unit) or "no target"
    print_result(
        as_json,
        {"metric": metric, "unit": unit, "from": valid_from.date(), "target": amount},
        f"{definition.label}: {shown} from {valid_from:%Y-%m-%d} for {unit or tenant}",
    )


def _written(value: Decimal | None, unit: str) -> Any:
    if value is None:
        return None
    return f"{(value * 100).normalize():f} %" if unit == "percent" else f"{value:f} {unit}"
