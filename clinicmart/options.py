"""Options that several commands share, and how they print."""

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clinicmart.harmless import visible
from foundation.errors import AccessError
from foundation.home import DEFAULT, Home
from foundation.logs import FORMATS
from foundation.near_names import near

if TYPE_CHECKING:
    from serving.people.principal import Principal

WIDE = 300
# What rich puts between two columns of `print_table`.
_BETWEEN_COLUMNS = 3
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
log_format_option = click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How to write the log: for people, or as JSON with run, tenant and feed as fields.",
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
        opened = Home.at(home)
        _check_tenants(opened, kwargs.get("tenant"), *kwargs.get("tenants", ()))
        return command(*args, home=opened, **kwargs)

    return wrapped  # type: ignore[return-value]


def _check_tenants(home: Home, *named: str | None) -> None:
    """Raises AccessError, with near names, for a tenant that the home does not have. Operators may know all tenants."""
    from foundation.control_database import has_people
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    wanted = [tenant_id for tenant_id in named if tenant_id not in (None, PLATFORM)]
    if not wanted or not has_people(home):
        return
    tenants = {*dict(AccessStore.open(home).tenants()), *home.tenants}
    for tenant_id in wanted:
        if tenant_id is not None and tenant_id not in tenants:
            raise AccessError(f"there is no tenant {tenant_id!r}{near(tenant_id, tenants)}")


def person_of(home: Home, tenant: str, user: str) -> "Principal":
    """A person by user name. Raises AccessError, with near names, for one that the tenant does not have."""
    from serving.people.store import AccessStore

    store = AccessStore.open(home)
    try:
        return store.principal(tenant, user)
    except AccessError:
        users = [person.email for person in store.users(tenant)]
        raise AccessError(f"there is no user {user!r} in {tenant} who may sign in{near(user, users)}") from None


def recorded(command: F) -> F:
    """Audits a command that shows what Clinicmart holds, before it runs. It stands where `existing_home` stands, and does the same."""

    @existing_home
    @functools.wraps(command)
    def wrapped(*args: Any, home: Home, **kwargs: Any) -> Any:
        from serving.people.principal import PLATFORM
        from serving.people.store import AccessStore

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


def in_utc(moment: datetime) -> datetime:
    """A time in UTC with its zone: times without one are UTC everywhere in Clinicmart."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def print_json(value: Any) -> None:
    """Prints a value as JSON; dates in ISO 8601, times with their zone, decimals as text with all their digits."""
    click.echo(json.dumps(value, indent=2, default=_as_json, ensure_ascii=False))


def _as_json(value: Any) -> str:
    return in_utc(value).isoformat() if isinstance(value, datetime) else str(value)


def print_result(as_json: bool, facts: Mapping[str, Any], *lines: str) -> None:
    """Prints the result of a command: as JSON, or as lines for a person."""
    if as_json:
        print_json(facts)
        return
    for line in lines:
        click.echo(line)


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
    console.width = _width(console)
    console.print(table)


def _width(console: Any) -> int:
    """Columns of the terminal; WIDE without one."""
    return int(console.width) if console.is_terminal else WIDE


def columns_that_fit(frame: Any, names: Sequence[str]) -> list[str]:
    """The first of some columns of a frame that fit the terminal side by side, at least one."""
    from rich.console import Console

    fitting: list[str] = []
    room = _width(Console())
    for name in names:
        room -= max([len(name), *(len(visible(_cell(value))) for value in frame[name])]) + _BETWEEN_COLUMNS
        if room < 0 and fitting:
            break
        fitting.append(name)
    return fitting


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
        return f"{in_utc(value):%d %b %Y %H:%M} UTC"
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
