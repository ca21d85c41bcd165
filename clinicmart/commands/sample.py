"""`clinicmart sample`: the generator of agreeing feeds with planted truths."""

from pathlib import Path

import click

from clinicmart.options import json_option, print_result


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write, made if absent."
)
@click.option("--tenants", type=click.IntRange(1, 500), default=3, show_default=True, help="Number of tenants.")
@click.option(
    "--appointments", type=click.IntRange(1), default=20_000, show_default=True, help="Appointments of all tenants."
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed writes the same bytes.")
@json_option
def sample(out: Path, tenants: int, appointments: int, seed: int, as_json: bool) -> None:
    """Write a sample group: a PM database, FHIR, HL7 v2 and X12 feeds that agree, and the truths planted in them."""
    from clinicmart.sample import write_sample

    report = write_sample(out, tenants=tenants, appointments=appointments, seed=seed)
    print_result(
        as_json, {"config": report.config}, f"{report.config}: run it with clinicmart run --config {report.config}"
    )
