"""`clinicmart lineage`: what a figure rests on, from the columns of marts to source fields and the feeds that filled them."""

from typing import Any

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
from foundation.home import Home

# Fields that say whose row it is and which of several stands; every figure rests on them.
_BOOKKEEPING = ("tenant_id", "source_system", "source_updated_at", "batch_sequence", "*")


@click.command()
@click.argument("metric")
@home_option
@tenant_option
@user_option
@json_option
@existing_home
def lineage(home: Home, metric: str, tenant: str, user: str, as_json: bool) -> None:
    """Show what a metric rests on: columns of marts, the source fields behind them, the feeds that brought them.

    Fields are those whose values enter the figure. The feeds are those that landed rows of the field's entity for the tenant.
    """
    from dagster_project.workspace import Workspace
    from serving.lineage import metric_fields, read_lineage
    from serving.registry import read_manifests

    with open_for(home, tenant, user) as reader:
        definition_of(reader, metric)
        batches = reader.health().batches
    workspace = Workspace.of_home(home)
    manifest, semantic, _ = read_manifests(workspace.dbt_target)
    found = read_lineage(workspace.dbt_target, manifest)
    feeds = _feeds(batches.iter_rows(named=True))
    columns: list[dict[str, Any]] = [
        {
            "mart": field.relation,
            "column": field.column,
            "fields": [
                {"entity": entity, "field": source.column, "feeds": feeds.get(entity, [])}
                for source in found.sources(*field)
                if source.column not in _BOOKKEEPING
                for entity in [source.relation.removeprefix("raw.")]
            ],
        }
        for field in metric_fields(semantic, metric)
    ]
    if as_json:
        print_json({"metric": metric, "columns": columns})
        return
    rows = []
    for item in columns:
        name = f"{item['mart']}.{item['column']}"
        rows += [[name, f"{s['entity']}.{s['field']}", _named(s["feeds"])] for s in item["fields"]] or [
            [name, "a count of rows", "-"]
        ]
    print_table(["Mart column", "Source field", "Feeds: rows landed, last on"], rows)


def _feeds(batches: Any) -> dict[str, list[dict[str, Any]]]:
    """Entity to the feeds that landed rows of it, with how many and when the last came."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in batches:
        if not row["rows_landed"]:
            continue
        feed = found.setdefault(row["entity"], {}).setdefault(
            row["feed"], {"feed": row["feed"], "rows_landed": 0, "landed_at": row["landed_at"]}
        )
        feed["rows_landed"] += row["rows_landed"]
        feed["landed_at"] = max(feed["landed_at"], row["landed_at"])
    return {entity: [feeds[name] for name in sorted(feeds)] for entity, feeds in found.items()}


def _named(feeds: list[dict[str, Any]]) -> str:
    texts = [f"{feed['feed']}: {feed['rows_landed']:,}, {feed['landed_at']:%d %b %Y}" for feed in feeds]
    return "; ".join(texts) or "-"
