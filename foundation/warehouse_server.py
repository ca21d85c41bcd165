"""The part of the configuration that says which server `clinicmart run --target postgres` builds on.

warehouse:
  postgres: "${CLINICMART_POSTGRES_URL}"    # without it a server of our own in the home
  citus: false
"""

import hashlib
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import yaml

from foundation.yaml_nodes import NodeReader


@dataclass(frozen=True, kw_only=True)
class WarehouseServer:
    """The URL of the database, kept out of `repr` because it may hold a password, or None for a server of our own in the home.
    `citus`: tables are distributed by tenant over the nodes of a Citus cluster."""

    postgres: str | None = field(default=None, repr=False)
    citus: bool = False

    @property
    def digest(self) -> str:
        """A hash that is another for another server, database, user or kind of table. A new password does not change it."""
        parts = urlsplit(self.postgres or "")
        options = sorted((name, value) for name, value in parse_qsl(parts.query) if name != "password")
        where = (parts.scheme, parts.username, parts.netloc.rpartition("@")[2], parts.path, options, self.citus)
        return hashlib.sha256(repr(where).encode()).hexdigest()


def parse_warehouse(reader: NodeReader, node: yaml.Node, key: str) -> WarehouseServer:
    """Reads the section. Raises ConfigurationError with file, line and key."""
    nodes = reader.mapping(node, key, ("postgres", "citus"))
    url = reader.text(nodes["postgres"], f"{key}.postgres") if "postgres" in nodes else None
    if "citus" not in nodes:
        return WarehouseServer(postgres=url)
    citus = reader.text(nodes["citus"], f"{key}.citus")
    if citus not in ("true", "false"):
        raise reader.fail(nodes["citus"], f"{key}.citus", "must be true or false")
    if citus == "true" and url is None:
        raise reader.fail(nodes["citus"], f"{key}.citus", f"needs {key}.postgres: the URL of the coordinator")
    return WarehouseServer(postgres=url, citus=citus == "true")
