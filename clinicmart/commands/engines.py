"""`clinicmart compare-engines`: the same marts on DuckDB and PostgreSQL."""

from dataclasses import asdict

import click

from clinicmart.options import existing_home, home_option, json_option, print_json, print_table
from foundation.home import Home


@click.command("compare-engines")
@home_option
@click.option(
    "--postgres",
    "url",
    metavar="URL",
    help="An empty PostgreSQL database to build in, such as postgresql://user:password@host/database; "
    "its schemas stay. Default: a server of our own in a temporary folder.",
)
@json_option
@existing_home
def compare_engines(home: Home, url: str | None, as_json: bool) -> int:
    """Build the marts on PostgreSQL too and compare every published mart with DuckDB's, to the cent and the row.

    Exits with 0 where all are equal, 1 where one differs: rows are named by key, columns by name, values are not shown.
    Nothing in the home changes, and no run's step works in it meanwhile.
    """
    from clinicmart.progress import shown

    with shown("Comparing engines"):
        from dagster_project import engines
        from dagster_project.workspace import Workspace

        marts = engines.compare_engines(Workspace.of_home(home), url)
    different = [mart for mart in marts if not mart.equal]
    if as_json:
        print_json({"equal": not different, "marts": [asdict(mart) | {"equal": mart.equal} for mart in marts]})
        return 1 if different else 0
    print_table(
        ["Mart", "Rows in DuckDB", "Rows in PostgreSQL", "Rows that differ"],
        [[mart.mart, mart.rows_duckdb, mart.rows_postgres, mart.rows_differing] for mart in marts],
    )
    for mart in different:
        named = [f"differs in {', '.join(mart.columns)}"] if mart.columns else []
        named += [f"one engine lacks {', '.join(mart.one_sided)}"] if mart.one_sided else []
        click.echo(f"{mart.mart}: {'; '.join(named) or 'rows stand on one engine only'}")
        for key in mart.keys:
            click.echo("  " + ", ".join(f"{name}={value}" for name, value in key.items()))
    rows = sum(mart.rows_duckdb for mart in marts)
    click.echo(
        f"{len(different)} of {len(marts)} marts differ." if different else f"{len(marts)} marts, {rows:,} rows: equal."
    )
    return 1 if different else 0
