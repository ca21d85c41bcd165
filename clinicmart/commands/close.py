"""`clinicmart close`: freeze a month's figures, see what became of them, reopen a month."""

import re
from collections.abc import Callable
from typing import Any

import click

from clinicmart.options import (
    existing_home,
    format_option,
    home_option,
    json_option,
    person_of,
    print_frame,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
    user_option,
)
from foundation.home import Home

_MONTH = re.compile(r"\d{4}-\d{2}")
number_option = click.option(
    "--number",
    type=click.IntRange(1),
    help="Number of the close, if the month was closed several times. Default: the last close.",
)


def figure_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that shows figures of a closed month: month, number, metric, dimension, grain and format."""
    options = (
        click.argument("month"),
        home_option,
        tenant_option,
        user_option,
        number_option,
        click.option("--metric", help="Only this metric."),
        click.option(
            "--by", "dimension", default="", metavar="DIM", help="Break down by this dimension. Default: the total."
        ),
        click.option("--grain", type=click.Choice(["day", "week", "month"]), default="month", show_default=True),
        format_option,
        recorded,
    )
    for option in reversed(options):
        command = option(command)
    return command


class MonthGroup(click.Group):
    """A group whose first word may be a month: `close 2026-09` is `close month 2026-09`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and _MONTH.fullmatch(args[0]):
            return "month", self.commands["month"], args
        return super().resolve_command(ctx, args)


@click.group(cls=MonthGroup)
def close() -> None:
    """Close months: `clinicmart close 2026-09 --tenant T --as USER` freezes every figure of a month.

    A figure that changes later is recorded as a restatement, with the cause of the change.
    """


def _opened(home: Home, tenant: str, user: str) -> Any:
    from clinicmart.commands.metrics import open_for
    from serving.closed_months.view import ClosedMonths

    return ClosedMonths(home, open_for(home, tenant, user))


def _chosen(home: Home, tenant: str, month: str, number: int | None) -> Any:
    from serving.versions.closes import close_of, month_of

    return close_of(home, tenant, month_of(month), number)


def _asked(frame: Any, metric: str | None, dimension: str, grain: str) -> Any:
    """The rows of a metric, or of all, by a dimension at a grain."""
    import polars as pl

    frame = frame.filter(pl.col("grain") == grain, pl.col("dimension") == dimension)
    return frame if metric is None else frame.filter(pl.col("metric") == metric)


@close.command()
@click.argument("month")
@home_option
@tenant_option
@user_option
@click.option(
    "--accept-incomplete",
    metavar="REASON",
    help="Close the month even though some of its data are missing. The reason is kept.",
)
@json_option
@existing_home
def month(home: Home, month: str, tenant: str, user: str, accept_incomplete: str | None, as_json: bool) -> None:
    """Close MONTH, such as 2026-09. The word `month` may be left out. Only for administrators of the organization."""
    from serving.closed_months.close import close_month
    from serving.versions.closes import month_of

    person = person_of(home, tenant, user)
    done = close_month(home, person, month_of(month), accept_incomplete=accept_incomplete)
    facts = {"month": done.name, "close": done.number, "figures": done.figures, "version": done.version}
    print_result(
        as_json,
        facts | {"missing": list(done.missing), "doubts": list(done.doubts)},
        f"{tenant}: {done.name} is closed (close {done.number}): {done.figures:,} figures of version {done.version}.",
        *(f"Closed even though data are missing: {lack}." for lack in done.missing),
        *(f"In doubt: {doubt}." for doubt in done.doubts),
    )


@close.command("list")
@home_option
@tenant_option
@user_option
@json_option
@recorded
def list_(home: Home, tenant: str, user: str, as_json: bool) -> None:
    """List closed months: when, by whom, from which version, whether reopened, and how many figures changed later."""
    months = _opened(home, tenant, user)
    rows = [
        {
            "month": item.name,
            "close": item.number,
            "closed_at": item.closed_at,
            "closed_by": item.closed_by,
            "version": item.version,
            "restatements": months.restatements(item).height,
            "accepted_because": item.accepted_because,
            "missing": list(item.missing),
            "doubts": list(item.doubts),
            "reopened_at": item.reopened_at,
            "reopened_by": item.reopened_by,
            "reopened_because": item.reopened_because,
        }
        for item in months.closes
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("No month is closed.")
    else:
        names = (
            "month",
            "close",
            "closed_at",
            "closed_by",
            "version",
            "restatements",
            "reopened_at",
            "reopened_because",
        )
        print_table(
            [name.replace("_", " ").capitalize() for name in names], [[row[name] for name in names] for row in rows]
        )


@close.command()
@figure_options
def show(
    home: Home,
    month: str,
    tenant: str,
    user: str,
    number: int | None,
    metric: str | None,
    dimension: str,
    grain: str,
    output: str,
) -> None:
    """Show the frozen figures of MONTH."""
    figures = _opened(home, tenant, user).figures(_chosen(home, tenant, month, number))
    frame = _asked(figures, metric, dimension, grain)
    shown = ["metric", "period", *(["member", "member_name"] if dimension else []), "exact", "real", "unit"]
    print_frame(frame.select(shown), output)


@close.command()
@figure_options
def restatements(
    home: Home,
    month: str,
    tenant: str,
    user: str,
    number: int | None,
    metric: str | None,
    dimension: str,
    grain: str,
    output: str,
) -> None:
    """Show which figures of MONTH changed after it was closed, and why."""
    import polars as pl

    from serving.closed_months.view import cause_text

    months, chosen = _opened(home, tenant, user), _chosen(home, tenant, month, number)
    frame = _asked(months.restatements(chosen), metric, dimension, grain)
    texts: dict[str, list[str]] = {}
    for cause in months.causes(chosen).iter_rows(named=True):
        texts.setdefault(cause["cause_set"], []).append(cause_text(cause))
    causes = pl.DataFrame(
        [(name, "; ".join(lines)) for name, lines in texts.items()],
        schema={"cause_set": pl.String, "cause": pl.String},
        orient="row",
    )
    values = [
        pl.coalesce(pl.col(f"{which}_exact").cast(pl.Float64), f"{which}_real").alias(which)
        if output == "table"
        else pl.coalesce(pl.col(f"{which}_exact").cast(pl.String), pl.col(f"{which}_real").cast(pl.String)).alias(which)
        for which in ("closed", "old", "new", "amount")
    ]
    places = ["dimension", "member", "member_name"] if dimension else []
    frame = frame.join(causes, on="cause_set", how="left").sort("restatement")
    shown = frame.select("metric", "grain", "period", *places, *values, "first_seen_at", "run_id", "version", "cause")
    print_frame(shown.drop("run_id", "version") if output == "table" else shown, output)


@close.command()
@click.argument("month")
@home_option
@tenant_option
@user_option
@click.option("--reason", required=True, help="Why the month is reopened. It is kept in the audit log.")
@json_option
@existing_home
def reopen(home: Home, month: str, tenant: str, user: str, reason: str, as_json: bool) -> None:
    """Reopen MONTH. Its frozen figures are kept; the next close of the month gets the next number. Only for administrators."""
    from serving.closed_months.close import reopen_month
    from serving.versions.closes import month_of

    person = person_of(home, tenant, user)
    done = reopen_month(home, person, month_of(month), because=reason)
    kept = f"close:{done.name}/{done.number}"
    print_result(
        as_json,
        {"month": done.name, "close": done.number, "kept_as": kept},
        f"{tenant}: {done.name} is open again. The figures of close {done.number} are kept (--as-of {kept}).",
    )
