"""`clinicmart lineage`: what a figure rests on, from the columns of marts to source fields and the feeds that filled them."""

import dataclasses

import click

from clinicmart.commands.metrics import definition_of, open_for
from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    print_json,
    print_table,
    tenant_option,
    user_option,
)
from foundation.errors import ConfigurationError
from foundation.home import Home


@click.command()
@click.argument("metric")
@home_option
@tenant_option
@user_option
@json_option
@existing_home
def lineage(home: Home, metric: str, tenant: str, user: str, as_json: bool) -> None:
    """Show where a metric comes from: mart columns, the source fields behind them, and the feeds that brought those fields.

    The second table shows the state of each feed. Everything is read from the published version.
    """
    with open_for(home, tenant, user) as reader:
        definition_of(reader, metric)
        metric_lineage = reader.lineage(metric)
        counts = reader.scope.sees_health
    if metric_lineage is None:
        raise ConfigurationError(
            "this version was published without lineage; start `clinicmart run` again to publish one with lineage"
        )
    if as_json:
        print_json(dataclasses.asdict(metric_lineage))
        return
    rows = []
    for item in metric_lineage.columns:
        name = f"{item.mart}.{item.column}"
        rows += [[name, f"{s.entity}.{s.field}", ", ".join(s.feeds) or "-"] for s in item.fields] or [
            [name, "a count of rows", "-"]
        ]
    print_table(["Mart column", "Source field", "Feeds"], rows)
    feeds = [
        [
            feed.feed,
            ", ".join(feed.entities),
            *([feed.rows_landed] if counts else []),
            feed.last_landed_at,
            feed.last_read_at,
            feed.message or "in order",
        ]
        for feed in metric_lineage.feeds
    ]
    head = ["Feed", "Brings", *(["Rows landed"] if counts else []), "Last landed", "Last read", "State"]
    print_table(head, feeds)
