"""Which servers may be reached from where: health data leave this machine over TLS only, and forms come from our own pages."""

import ipaddress
from pathlib import Path

from foundation.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone. Names other than localhost are not."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_own_origin(origin: str | None, host: str) -> bool:
    """Whether a request came from a page of the host that it asks, as far as the browser says: browsers send `Origin` with every
    POST, so a request without it passes."""
    return origin is None or origin in (f"http://{host}", f"https://{host}")


def check_exposure(server: str, host: str, *, certificate: Path | None, proxy: str | None) -> None:
    """Raises ConfigurationError for a server that others can reach without TLS.

    `certificate` is the server's own; `proxy` names the proxy in front of it that ends TLS.
    """
    if not is_loopback(host) and certificate is None and proxy is None:
        raise ConfigurationError(
            f"{server} would send health data unencrypted on {host}: give it a certificate and key, name the proxy that "
            "ends TLS in front of it, or listen on 127.0.0.1"
        )
