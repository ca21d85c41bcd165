"""Options that several commands share, and how they print."""

import functools
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from clinicmart.harmless import visible
from foundation.home import DEFAULT, Home

WIDE = 300
OPERATOR = "command line"
F = TypeVar("F", bound=Callable[..., Any])

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    help="Folder for everything that Clinicmart writes.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
tenant_option = click.option("--tenant", required=True, help="Id of the tenant.")
user_option = click.option(
    "--as", "user", required=True, help="The user, such as admin@harbor. The output holds only what this user may see."
)
format_option = click.option(
    "--format", "output", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)


def existing_home(command: F) -> F:
    """Gives a command its `home` as a Home, and refuses a folder in which nothing has run."""

    @functools.wraps(command)
    def wrapped(*args: Any, home: Path, **kwargs: Any) -> Any:
        there = home.is_dir()
        if not there or not Home(home.resolve()).is_used:
            raise click.UsageError(
                f"{home} is {'no home of Clinicmart' if there else 'not there'}: run clinicmart demo or clinicmart run first, "
                "or name it with --home"
            )
        return command(*args, home=Home.at(home), **kwargs)

    return wrapped  # type: ignore[return-value]


def recorded(command: F) -> F:
    """Audits a command that shows what Clinicmart holds, before it runs. It stands where `existing_home` stands, and does the same."""

    @existing_home
    @functools.wraps(command)
    def wrapped(*args: Any, home: Home, **kwargs: Any) -> Any:
        from serving.people.store import PLATFORM, AccessStore

        words = " ".join(click.get_current_context().command_path.split()[1:])
        tenant, actor = kwargs.get("tenant") or PLATFORM, kwargs.get("user") or operator()
        entry = {name: kwargs[name] for name in ("entry", "arguments") if name in kwargs}
        AccessStore.open(home).audit(tenant, actor, "list", detail={"command": words} | entry)
        return command(*args, home=home, **kwargs)

    wrapped.is_recorded = True  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def operator() -> str:
    """Who acts where no person is named: the account at the keyboard, as the operating system knows it."""
    import getpass

    return f"{OPERATOR}: {getpass.getuser() if 'USER' in os.environ or os.getuid() else 'root'}"


def print_json(value: Any) -> None:
    """Prints a value as JSON; dates in ISO 8601, decimals as text with all their digits."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints rows under headers; numbers stand right, a null is a dash. Without a terminal lines are as wide as they need."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, header in enumerate(headers):
        numeric = any(isinstance(row[index], int | float | Decimal) for row in rows)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(visible(_cell(value)) for value in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def _cell(value: Any) -> str:
    """A value as a person reads it; `--format csv` and `json` give it with all its digits."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, float | Decimal):
        number = Decimal(str(value))
        return f"{number:,.2f}" if number == round(number, 2) else f"{number:,.4f}"
    if isinstance(value, datetime):
        return f"{value:%d %b %Y %H:%M}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_frame(frame: Any, output: str) -> None:
    """Prints a Polars frame as a table, CSV or JSON rows; a null is a dash in tables and empty in CSV."""
    match output:
        case "csv":
            click.echo(frame.write_csv(), nl=False)
        case "json":
            print_json(frame.to_dicts())
        case _:
            print_table(frame.columns, frame.rows())
