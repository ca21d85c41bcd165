"""`clinicmart demo`: a sample group of three tenants, from feeds to dashboards."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from clinicmart.commands.sample import until_option
from clinicmart.options import home_option

APPOINTMENTS = 15_000
TENANTS = ("harbor", "mesa", "juniper")


@click.command()
@home_option
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option("--no-serve", is_flag=True, help="Stop before the dashboards.")
@until_option
def demo(home: Path, port: int, no_serve: bool, until: date) -> int:
    """Write a sample group of three tenants, run the pipeline on it, print sign-ins, and serve the dashboards.

    If the home has a sample already, that sample is used as it is.
    """
    from clinicmart.pipeline import run_and_report
    from clinicmart.sample.targets import set_sample_targets
    from dagster_project.dbt_project import DBT_PROJECT, DbtProject
    from dagster_project.workspace import load_checked_config
    from foundation.home import Home

    place = Home.at(home)
    feeds = place.path / "sample"
    if not (feeds / "config.yaml").exists():
        from clinicmart.sample import write_sample

        click.echo("Writing the sample: three tenants, a PM database, FHIR, HL7 v2 and X12 feeds each")
        with ThreadPoolExecutor(1) as beside, TemporaryDirectory() as folder:
            # The run needs it, and dbt parses in a separate process.
            parsed = beside.submit(DbtProject(DBT_PROJECT).parse, Path(folder))
            write_sample(feeds, tenants=3, appointments=APPOINTMENTS, as_of=until)
            parsed.result()
    code = run_and_report(place, load_checked_config(feeds / "config.yaml"))
    set_sample_targets(place, TENANTS)
    # The sample has files that are broken on purpose; that they were refused is no reason to show nothing.
    if no_serve:
        return 0
    from dashboards import Place
    from dashboards import serve as serve_dashboards
    from serving.publish.publish import current_version

    if not any(current_version(place, tenant) for tenant in TENANTS):
        return code
    click.echo(f"Dashboards: http://harbor.localhost:{port} (also mesa.localhost and juniper.localhost)")
    serve_dashboards(place.path, Place(port=port))
    return 0
