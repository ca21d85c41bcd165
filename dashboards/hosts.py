"""Which tenant the host of a request names: tenants are subdomains of the domain that is served."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from foundation.errors import AccessError

UNKNOWN_TENANT = "There is no organization at this address."
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class UnknownTenant(AccessError):
    """The host names a tenant that does not exist."""


def tenant_of_host(host_header: str, tenants: Mapping[str, str], domain: str) -> str | None:
    """The tenant that a host names, or None for the served domain itself, where sign-in asks for the organization.

    Raises UnknownTenant for a subdomain that is not a tenant, and for every host outside the domain. Where the domain is
    localhost, the loopback addresses count as the domain.
    """
    try:
        name = (urlsplit(f"//{host_header}").hostname or "").rstrip(".").lower()
    except ValueError:
        raise UnknownTenant(UNKNOWN_TENANT) from None
    if name == domain or (domain == "localhost" and name in LOOPBACK):
        return None
    label = name.removesuffix(f".{domain}")
    if label == name or label not in tenants:
        raise UnknownTenant(UNKNOWN_TENANT)
    return label
