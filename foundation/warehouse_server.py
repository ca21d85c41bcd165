"""The part of the configuration that says which server `clinicmart run --target postgres` builds on.

warehouse:
  postgres: "${CLINICMART_POSTGRES_URL}"    # without it a server of our own in the home
  citus: false
"""

from dataclasses import dataclass, field

import yaml

from foundation.yaml_nodes import NodeReader


@dataclass(frozen=True, kw_only=True)
class WarehouseServer:
    """The URL of the database, kept out of `repr` because it may hold a password, or None for a server of our own in the home.
    `citus`: tables are distributed by tenant over the nodes of a Citus cluster."""

    postgres: str | None = field(default=None, repr=False)
    citus: bool = False


def parse_warehouse(reader: NodeReader, node: yaml.Node, key: str) -> WarehouseServer:
    """Reads the section. Raises ConfigurationError with file, line and key."""
    found = reader.mapping(node, key, ("postgres", "citus"))
    url = reader.text(found["postgres"], f"{key}.postgres") if "postgres" in found else None
    if "citus" not in found:
        return WarehouseServer(postgres=url)
    said = reader.text(found["citus"], f"{key}.citus")
    if said not in ("true", "false"):
        raise reader.fail(found["citus"], f"{key}.citus", "must be true or false")
    if said == "true" and url is None:
        raise reader.fail(found["citus"], f"{key}.citus", f"needs {key}.postgres: the URL of the coordinator")
    return WarehouseServer(postgres=url, citus=said == "true")
