"""`clinicmart serve` and `clinicmart dagster`: the dashboards, and the orchestrator's own UI, on one home."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from clinicmart.options import existing_home, home_option, log_format_option
from foundation.home import Home

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
host_option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


@click.command()
@home_option
@host_option
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option(
    "--domain",
    default="localhost",
    show_default=True,
    help="Host name of the dashboards. Each tenant has a subdomain of it; requests for other hosts are refused.",
)
@click.option("--certificate", type=_FILE, help="Certificate chain in PEM, to serve over TLS.")
@click.option("--key", type=_FILE, help="Private key of the certificate, in PEM.")
@click.option("--trusted-proxy", help="Address of the proxy that ends TLS. Its X-Forwarded headers are trusted.")
@click.option(
    "--metrics-address",
    metavar="[HOST:]PORT",
    help="Answer Prometheus on /metrics of this address; the default host is 127.0.0.1. Default: no metrics.",
)
@log_format_option
@existing_home
def serve(
    home: Home,
    host: str,
    port: int,
    domain: str,
    certificate: Path | None,
    key: Path | None,
    trusted_proxy: str | None,
    metrics_address: str | None,
    log_format: str,
) -> None:
    """Serve the dashboards until stopped.

    Other machines reach them over TLS only: give --certificate and --key, or --trusted-proxy.
    """
    from dashboards import Place
    from dashboards import serve as serve_dashboards

    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key must be given together")
    place = Place(
        host=host,
        port=port,
        domain=domain.lower(),
        certificate=certificate,
        key=key,
        trusted_proxy=trusted_proxy,
        log_format=log_format,
    )
    with ExitStack() as beside:
        if metrics_address is not None:
            from clinicmart.metrics_server import metrics_served

            beside.enter_context(metrics_served(home, metrics_address))
        serve_dashboards(home.path, place)


@click.command()
@home_option
@host_option
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@existing_home
def dagster(home: Home, host: str, port: int) -> int:
    """Open the orchestrator's UI on the same home: assets, checks, runs, schedule and sensor.

    The page has no sign-in, so it listens on this machine alone; reach it from another one through SSH.
    """
    from foundation.errors import ConfigurationError
    from foundation.exposure import is_loopback

    if not is_loopback(host):
        raise ConfigurationError(
            f"--host {host}: the orchestrator's page has no sign-in. Listen on 127.0.0.1 and reach it through SSH"
        )
    from dagster_project.event_log import configure
    from dagster_project.together import run_together
    from dagster_project.workspace import HOME_VARIABLE, Workspace

    Workspace.of_home(home).prepare_manifest()
    configure(home)
    environment = os.environ | {
        "DAGSTER_HOME": str(home.dagster),
        HOME_VARIABLE: str(home.path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    definitions = ("-m", "dagster_project.definitions")
    page = [sys.executable, "-m", "dagster_project.orchestrator_page", "-h", host, "-p", str(port), *definitions]
    # The daemon runs the schedule and the sensor, and starts what the page asks for.
    daemon = [str(Path(sys.executable).with_name("dagster-daemon")), "run", *definitions]
    return run_together((page, daemon), environment)
