"""Which tenant the host of a request names: tenants are subdomains of the domain that is served."""

import ipaddress
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
    name = _name_of(host_header)
    if name == domain or (domain == "localhost" and name in LOOPBACK):
        return None
    label = name.removesuffix(f".{domain}")
    if label == name or label not in tenants:
        raise UnknownTenant(UNKNOWN_TENANT)
    return label


def passkey_host(host_header: str, tenants: Mapping[str, str], domain: str) -> tuple[str, str] | None:
    """(tenant, host name) of an address at which passkeys count: a tenant's own one, and the domain itself where there is one tenant.
    None for others: a passkey of the domain could be asked for at every tenant's address. Raises UnknownTenant."""
    tenant_id = tenant_of_host(host_header, tenants, domain) or (next(iter(tenants)) if len(tenants) == 1 else None)
    name = _name_of(host_header)
    return None if tenant_id is None or _is_number(name) else (tenant_id, name)


def _name_of(host_header: str) -> str:
    try:
        return (urlsplit(f"//{host_header}").hostname or "").rstrip(".").lower()
    except ValueError:
        raise UnknownTenant(UNKNOWN_TENANT) from None


def _is_number(name: str) -> bool:
    """Whether a host is an address in numbers: those have no passkeys (WebAuthn Level 2, 5.1.3)."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
