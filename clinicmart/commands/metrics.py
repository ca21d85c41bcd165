"""`clinicmart metrics` and `clinicmart drill`: figures by name, and the rows behind them, as a person may see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from clinicmart.options import (
    columns_that_fit,
    existing_home,
    format_option,
    home_option,
    json_option,
    person_of,
    print_frame,
    print_json,
    print_table,
    recorded,
    tenant_option,
    user_option,
)
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.near_names import near

GRAINS = ("day", "week", "month", "quarter", "year")
where_option = click.option(
    "--where", "where", multiple=True, metavar="DIM=VALUE", help="Keep only rows with this value. May be repeated."
)
from_option = click.option("--from", "date_from", type=click.DateTime(["%Y-%m-%d"]), help="First day.")
to_option = click.option("--to", "date_to", type=click.DateTime(["%Y-%m-%d"]), help="Last day.")
restated_option = click.option(
    "--restated", is_flag=True, help="Show the past with the service units and payer classes of today."
)

as_of_option = click.option(
    "--as-of",
    metavar="WHEN",
    help="Use an earlier version: a day (2026-10-05, the version served at its end), the name of a version, or close:2026-09.",
)


def _conditions(where: Sequence[str]) -> dict[str, str | list[str]]:
    """`--where` options as dimension to values; a dimension given twice takes either value."""
    conditions: dict[str, str | list[str]] = {}
    for text in where:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise ConfigurationError(f"--where {text!r}: write DIM=VALUE")
        held = conditions.get(name)
        conditions[name] = value if held is None else [*([held] if isinstance(held, str) else held), value]
    return conditions


def open_for(home: Home, tenant: str, user: str, as_of: str | None = None) -> Any:
    """A reader with the rights of a person of a tenant, on the served version or on that of `as_of`."""
    from serving.reader import open_reader

    return open_reader(home, person_of(home, tenant, user), as_of=as_of)


def definition_of(reader: Any, name: str) -> Any:
    """The definition of a metric that the reader may ask for. Raises ConfigurationError naming close ones."""
    definitions = {item.name: item for item in reader.metrics()}
    if name not in definitions:
        raise ConfigurationError(f"no metric is named {name!r}{near(name, definitions)}")
    return definitions[name]


def _day(moment: datetime | None) -> Any:
    return None if moment is None else moment.date()


@click.group()
def metrics() -> None:
    """List metrics, explain one, and show figures."""


@metrics.command("list")
@home_option
@tenant_option
@user_option
@json_option
@recorded
def list_(home: Home, tenant: str, user: str, as_json: bool) -> None:
    """List the metrics that a person may see."""
    definitions = open_for(home, tenant, user).metrics()
    if as_json:
        print_json([vars(item) if hasattr(item, "__dict__") else str(item) for item in definitions])
        return
    print_table(
        ["Metric", "Unit", "Better", "Module", "Meaning"],
        [[item.name, item.unit, item.direction, item.module, item.description] for item in definitions],
    )


@metrics.command()
@click.argument("name")
@home_option
@tenant_option
@user_option
@as_of_option
@json_option
@recorded
def show(home: Home, name: str, tenant: str, user: str, as_of: str | None, as_json: bool) -> None:
    """Explain one metric: numerator, denominator, exclusions, dates, source and variants."""
    import dataclasses

    definition = definition_of(open_for(home, tenant, user, as_of), name)
    values = dataclasses.asdict(definition)
    if as_json:
        print_json(values)
        return
    for key, value in values.items():
        if value not in (None, "", (), []):
            text = ", ".join(value) if isinstance(value, list | tuple) else value
            click.echo(f"{key.replace('_', ' ').capitalize() + ':':<16} {text}")


@metrics.command()
@click.argument("names")
@home_option
@tenant_option
@user_option
@click.option("--by", default="", metavar="DIM,...", help="Break down by these dimensions.")
@click.option("--grain", type=click.Choice(GRAINS), help="One row per day, week, month ...")
@where_option
@from_option
@to_option
@restated_option
@click.option(
    "--known-by",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Count only what was known by this day, to compare periods at equal age. For metrics with a known_on day.",
)
@as_of_option
@click.option("--variant", help="Use a variant of the metric, by name.")
@format_option
@existing_home
def query(
    home: Home,
    names: str,
    tenant: str,
    user: str,
    by: str,
    grain: str | None,
    where: Sequence[str],
    date_from: datetime | None,
    date_to: datetime | None,
    restated: bool,
    known_by: datetime | None,
    as_of: str | None,
    variant: str | None,
    output: str,
) -> None:
    """Show the figures of NAMES: one metric, or several separated by commas."""
    from serving.filter_values import checked_filters
    from serving.model import MetricQuery

    asked = [name for name in names.split(",") if name]
    reader = open_for(home, tenant, user, as_of)
    if variant is not None:
        variants_of = {item.name: item.variants for item in reader.metrics()}
        if len(asked) != 1 or variant not in variants_of.get(asked[0], ()):
            variants = ", ".join(variants_of.get(asked[0], ())) if asked else ""
            raise ConfigurationError(f"--variant {variant!r} is not a variant of {names}; it has {variants or 'none'}")
        asked = [variant]
    frame = reader.query(
        MetricQuery(
            metrics=asked,
            by=[name for name in by.split(",") if name],
            grain=grain,
            where=checked_filters(reader, _conditions(where)),
            date_from=_day(date_from),
            date_to=_day(date_to),
            restated=restated,
            known_by=_day(known_by),
        )
    )
    print_frame(frame, output)


@click.command()
@click.argument("name")
@home_option
@tenant_option
@user_option
@where_option
@from_option
@to_option
@restated_option
@as_of_option
# The most is `serving.rows.drill.LIMIT`, which a command's help does not wait to import.
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Number of rows to print."
)
@click.option("--offset", type=click.IntRange(0), default=0, help="Number of rows to skip.")
@click.option(
    "--columns",
    metavar="NAME,...|all",
    help="Columns to show. Default: in a table the most useful ones that fit the terminal, else all.",
)
@format_option
@existing_home
def drill(
    home: Home,
    name: str,
    tenant: str,
    user: str,
    where: Sequence[str],
    date_from: datetime | None,
    date_to: datetime | None,
    restated: bool,
    as_of: str | None,
    limit: int,
    offset: int,
    columns: str | None,
    output: str,
) -> None:
    """Show the rows behind metric NAME. Their count or sum is the figure."""
    from serving.filter_values import checked_filters

    reader = open_for(home, tenant, user, as_of)
    drilled = reader.drill(
        name,
        checked_filters(reader, _conditions(where)),
        _day(date_from),
        _day(date_to),
        limit=limit,
        offset=offset,
        restated=restated,
    )
    shown = _columns_shown(drilled, columns, output)
    print_frame(drilled.frame.select(shown), output)
    if output == "table":
        if len(shown) < drilled.frame.width:
            click.echo(
                f"{len(shown)} of {drilled.frame.width} columns; --columns all shows all, --columns NAME,... others"
            )
        click.echo(
            f"{drilled.frame.height:,} of {drilled.total_rows:,} rows; {drilled.figure_of} = {drilled.total_value}"
        )
        if drilled.source_key:
            click.echo(
                f"clinicmart source {drilled.table} ID opens the source message of a row; ID is the value of {drilled.source_key}"
            )


def _columns_shown(drilled: Any, columns: str | None, output: str) -> list[str]:
    """The columns of rows that were asked for. Raises ConfigurationError, with near names, for one that the rows do not have."""
    from serving.rows.chosen_columns import chosen_columns

    frame = drilled.frame
    if columns is None and output == "table":
        useful = chosen_columns(frame)
        # What is added up stands beside the number of its row.
        value = [name for name in (drilled.value_column,) if name in frame.columns]
        return columns_that_fit(frame, list(dict.fromkeys([*useful[:1], *value, *useful[1:]])))
    if columns is None or columns == "all":
        return list(frame.columns)
    names = [name for name in columns.split(",") if name]
    for name in names:
        if name not in frame.columns:
            raise ConfigurationError(f"--columns: the rows have no column {name!r}{near(name, frame.columns)}")
    return names
