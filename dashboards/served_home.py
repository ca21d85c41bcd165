"""Which home this process serves. Set once by `create_app`; scripts and routes ask here.

A process serves one home: Streamlit's runtime and configuration are process-wide as well.
"""

from dataclasses import dataclass, field

from foundation.configured_zone import configured_time_zone
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.people.store import AccessStore


@dataclass(frozen=True)
class Served:
    """The home, its access store, the key that signs form tokens, and the domain whose subdomains are the tenants."""

    home: Home
    access: AccessStore
    form_key: bytes = field(repr=False)
    domain: str


_served: Served | None = None


def configure(home: Home, *, domain: str = "localhost") -> Served:
    """Opens the home for serving. Calling it again replaces what is served, as tests do."""
    global _served
    _served = Served(home, AccessStore.open(home), Keys.of(home).derive("session"), domain)
    return _served


def served() -> Served:
    """Raises ConfigurationError before `configure`."""
    if _served is None:
        raise ConfigurationError("no home is served: start with dashboards.server.app.create_app")
    return _served


def home() -> Home:
    """The home that this process serves."""
    return served().home


def access() -> AccessStore:
    """The store of people of the served home."""
    return served().access


def time_zone(tenant_id: str) -> str:
    """The tenant's time zone (an IANA name) as the configuration of the home's runs says it: also for a tenant of which nothing is
    published. UTC where this machine does not have the configuration."""
    return configured_time_zone(home(), tenant_id)


def tenants() -> dict[str, str]:
    """Names of the tenants by id."""
    return dict(access().tenants())
