"""`clinicmart sample`: the generator of agreeing feeds with planted truths."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from clinicmart.options import json_option, print_result


def _yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


def last_day(_context: click.Context, _parameter: click.Parameter, value: datetime) -> date:
    """The day of the option `--until`."""
    return value.date()


# The last day that has happened in the sample; bookings reach six weeks beyond.
until_option = click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    default=_yesterday,
    show_default="yesterday",
    callback=last_day,
    help="Last day that has happened in the sample.",
)


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write, made if absent."
)
@click.option("--tenants", type=click.IntRange(1, 500), default=3, show_default=True, help="Number of tenants.")
@click.option(
    "--appointments", type=click.IntRange(1), default=20_000, show_default=True, help="Appointments of all tenants."
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed and last day write the same bytes.")
@until_option
@json_option
def sample(out: Path, tenants: int, appointments: int, seed: int, until: date, as_json: bool) -> None:
    """Write a sample group: a PM database, FHIR, HL7 v2 and X12 feeds that agree, and the truths planted in them."""
    from clinicmart.sample import write_sample

    report = write_sample(out, tenants=tenants, appointments=appointments, seed=seed, as_of=until)
    print_result(
        as_json, {"config": report.config}, f"{report.config}: run it with clinicmart run --config {report.config}"
    )
