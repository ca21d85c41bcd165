"""Where a run's OpenLineage events go: the section `lineage` of the configuration file.

lineage:
  file: lineage.ndjson                 # one event a line; beside the configuration file unless absolute
lineage:
  url: "${OPENLINEAGE_URL}"            # events are posted here; without a path to /api/v1/lineage
  api_key: "${OPENLINEAGE_API_KEY}"    # optional, sent as a bearer token; the address is then https
  namespace: harbor-production         # optional, else clinicmart
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from foundation.yaml_nodes import NodeReader

NAMESPACE = "clinicmart"
ENDPOINT = "api/v1/lineage"
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}")
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class LineageTarget:
    """Exactly one of `file` (absolute) and `url`. `namespace` is that of our jobs and datasets."""

    file: Path | None = None
    url: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    namespace: str = NAMESPACE

    @property
    def shown(self) -> str:
        """The place as messages name it: without a path or a query, which may hold a secret."""
        if self.url is None:
            return str(self.file)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def parse_lineage(reader: NodeReader, node: yaml.Node, key: str) -> LineageTarget:
    """Checks the section. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(node, key, ("file", "url", "api_key", "namespace"))
    texts = {name: reader.text(value, f"{key}.{name}") for name, value in nodes.items()}
    if ("file" in texts) == ("url" in texts):
        raise reader.fail(node, key, "must have file or url, the target of the events")
    if "url" in texts:
        _check_address(reader, nodes["url"], f"{key}.url", texts["url"], secret="api_key" in texts)
    elif "api_key" in texts:
        raise reader.fail(nodes["api_key"], f"{key}.api_key", "can only be given with url")
    if "namespace" in texts and not _NAMESPACE.fullmatch(texts["namespace"]):
        raise reader.fail(
            nodes["namespace"], f"{key}.namespace", "may hold only letters, digits and . _ - : /, at most 100"
        )
    return LineageTarget(
        file=reader.file.parent / Path(texts["file"]).expanduser() if "file" in texts else None,
        url=texts.get("url"),
        api_key=texts.get("api_key"),
        namespace=texts.get("namespace", NAMESPACE),
    )


def _check_address(reader: NodeReader, node: yaml.Node, key: str, text: str, *, secret: bool) -> None:
    parts = urlsplit(text)
    try:
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        port_is_good = False
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or not port_is_good:
        raise reader.fail(node, key, "must be an address such as https://lineage.example.org")
    if parts.username or parts.password:
        raise reader.fail(node, key, "must hold no user name or password; use api_key")
    if secret and parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise reader.fail(node, key, "must begin with https, because every event carries the api_key")
