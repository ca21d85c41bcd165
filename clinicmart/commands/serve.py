"""`clinicmart serve` and `clinicmart dagster`: the dashboards, and the orchestrator's own UI, on one home."""

import os
import subprocess
import sys
from pathlib import Path

import click

from clinicmart.options import existing_home, home_option
from foundation.home import Home

host_option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


@click.command()
@home_option
@host_option
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@existing_home
def serve(home: Home, host: str, port: int) -> None:
    """Serve the dashboards until stopped."""
    from dashboards import serve as serve_dashboards

    serve_dashboards(home.path, host, port)


@click.command()
@home_option
@host_option
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@existing_home
def dagster(home: Home, host: str, port: int) -> int:
    """Open the orchestrator's UI on the same home: assets, checks, runs, schedule and sensor."""
    from dagster_project.workspace import HOME_VARIABLE, Workspace

    Workspace.of_home(home).prepare_manifest()
    environment = os.environ | {
        "DAGSTER_HOME": str(home.dagster),
        HOME_VARIABLE: str(home.path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [sys.executable, "-m", "dagster", "dev", "-m", "dagster_project.definitions", "-h", host, "-p", str(port)]
    try:
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
    except KeyboardInterrupt:
        return 0
