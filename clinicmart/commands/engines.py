"""`clinicmart compare-engines`: the same marts and the same figures on DuckDB and PostgreSQL."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from clinicmart.options import home_option, json_option, print_json, print_table, recorded
from foundation.home import Home

if TYPE_CHECKING:
    from dagster_project.engines import EngineComparison


@click.command("compare-engines")
@home_option
@click.option(
    "--postgres",
    "url",
    metavar="URL",
    help="An empty PostgreSQL database to build in, such as postgresql://user:password@host/database; "
    "its schemas are kept. Default: a temporary PostgreSQL server, started for this command.",
)
@click.option("--metrics", metavar="NAME[,NAME...]", help="Compare only these metrics. Default: all metrics.")
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Sample: compare each metric by only one in N of its dimensions. Default: all dimensions.",
)
@click.option("--marts-only", is_flag=True, help="Compare only the marts, not the metrics.")
@json_option
@recorded
def compare_engines(
    home: Home, url: str | None, metrics: str | None, every: int, marts_only: bool, as_json: bool
) -> int:
    """Build the marts on PostgreSQL too, and compare the results of both engines.

    Compares every row of every published mart, and every metric in total, by day, week and month, and by each of its dimensions.
    Exit codes: 0 all equal; 1 something differs. Differences are named by key, column, metric and dimension, without values.
    Nothing in the home changes. Runs wait until the command ends.
    """
    from clinicmart.progress import shown

    if marts_only and metrics:
        raise click.UsageError("--marts-only and --metrics cannot be used together")
    names = [] if marts_only else [name.strip() for name in metrics.split(",") if name.strip()] if metrics else None
    with shown("Comparing engines"):
        from dagster_project import engines
        from dagster_project.workspace import Workspace

        comparison = engines.compare_engines(Workspace.of_home(home), url, metrics=names, every=every)
    if as_json:
        print_json(_as_data(comparison))
    else:
        _print_marts(comparison)
        if not marts_only:
            _print_metrics(comparison)
    return 0 if comparison.equal else 1


def _as_data(comparison: "EngineComparison") -> dict[str, object]:
    metrics = comparison.metrics
    return {
        "equal": comparison.equal,
        "marts": [asdict(mart) | {"equal": mart.equal} for mart in comparison.marts],
        "metrics": asdict(metrics) | {"equal": metrics.equal},
    }


def _print_keys(keys: Iterable[Mapping[str, str | None]]) -> None:
    for key in keys:
        click.echo("  " + ", ".join(f"{name}={value}" for name, value in key.items()))


def _print_marts(comparison: "EngineComparison") -> None:
    marts = comparison.marts
    print_table(
        ["Mart", "Rows in DuckDB", "Rows in PostgreSQL", "Rows that differ"],
        [[mart.mart, mart.rows_duckdb, mart.rows_postgres, mart.rows_differing] for mart in marts],
    )
    different = [mart for mart in marts if not mart.equal]
    for mart in different:
        named = [f"differs in {', '.join(mart.columns)}"] if mart.columns else []
        named += [f"one engine lacks {', '.join(mart.one_sided)}"] if mart.one_sided else []
        click.echo(f"{mart.mart}: {'; '.join(named) or 'some rows exist on one engine only'}")
        _print_keys(mart.keys)
    rows = sum(mart.rows_duckdb for mart in marts)
    click.echo(
        f"{len(different)} of {len(marts)} marts differ." if different else f"{len(marts)} marts, {rows:,} rows: equal."
    )


def _print_metrics(comparison: "EngineComparison") -> None:
    metrics = comparison.metrics
    for item in metrics.differences:
        asked = f"{item.metric}{f' by {item.dimension}' if item.dimension else ''}{f', each {item.grain}' if item.grain else ''}"
        click.echo(f"{asked} ({item.tenant_id}): {item.reason or f'{item.rows_differing:,} answers differ'}")
        _print_keys(key for key in item.keys if key)
    different = {item.metric for item in metrics.differences}
    click.echo(
        f"{len(different)} of {len(metrics.metrics)} metrics differ."
        if different
        else f"{len(metrics.metrics)} metrics, {metrics.questions:,} questions, {metrics.figures:,} figures: equal."
    )
