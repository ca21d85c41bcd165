"""What people see: one ASGI application with sign-in and a file a page. Thin views over `serving`.

server/     the application, who may pass, sign-in pages, warm-up
pages/      one file a page; data_health/ is a folder
entry/      the script that Streamlit runs; `main`, `bar`, `shell` and `widgets` are what every page has
data        the only way to data, and its cache
figures, findings, breakdowns           what a page computes
chance      pure: whether a change is more than chance
format, period, view, theme, charts, markup    pure: no Streamlit, no data
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the dashboards are served. `domain` is the host name that people type; tenants are its subdomains.

    `certificate` and `key` are PEM files. `trusted_proxy` is the address of the proxy that ends TLS and says who calls.
    `log_format` is text or json (`foundation.logs`).
    """

    host: str = "127.0.0.1"
    port: int = 8501
    domain: str = "localhost"
    certificate: Path | None = None
    key: Path | None = None
    trusted_proxy: str | None = None
    log_format: str = "text"


def serve(home: Path, place: Place) -> None:
    """Serves the dashboards of a home until SIGINT or SIGTERM; open connections are closed before it returns.

    Raises ConfigurationError where it cannot, or must not, listen there.
    """
    # Streamlit takes a second to import: `import dashboards` must stay cheap for the command line.
    from dashboards.server.app import run

    run(home, place)
