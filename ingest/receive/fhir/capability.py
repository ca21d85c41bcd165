"""The CapabilityStatement of a server, and what a profile needs that is missing in it."""

from dataclasses import dataclass, field
from typing import Any

from foundation.feed_remote import FhirServer
from ingest.profiles import FhirProfile
from ingest.receive.fhir.http import Http
from ingest.receive.fhir.problems import Refused, ServerProblem, plain

_EXPORTS = {"system": "export", "patient": "patient-export", "group": "group-export"}


@dataclass(frozen=True)
class Capability:
    """A server's capabilities. `types` maps a resource type to its search parameters; `operations` are names of operations and
    the last parts of their definitions' addresses, wherever they stand."""

    version: str
    software: str = ""
    types: dict[str, frozenset[str]] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()

    @property
    def is_r4(self) -> bool:
        """Whether the server uses FHIR 4.0."""
        return self.version == "4.0" or self.version.startswith("4.0.")


def read_capability(http: Http) -> Capability:
    """Reads the CapabilityStatement, with a token only where the server wants one. Raises ServerProblem."""
    what = "the server's CapabilityStatement"
    url = f"{http.server.url}/metadata"
    try:
        answer = http.get_json(url, what, with_text=True, token=False)
    except Refused as error:
        if error.status not in (401, 403) or http.sign_in is None:
            raise
        answer = http.get_json(url, what, with_text=True)
    statement = answer.json(what)
    if statement.get("resourceType") != "CapabilityStatement":
        raise ServerProblem(
            f"{what} is not a CapabilityStatement", "Check the server's url: it must end before /metadata"
        )
    return parse_capability(statement)


def parse_capability(statement: dict[str, Any]) -> Capability:
    """The parts of a CapabilityStatement that matter here; parts in another shape than that of the standard are left out."""
    types: dict[str, frozenset[str]] = {}
    operations: set[str] = set()
    for rest_entry in _objects(statement.get("rest")):
        if rest_entry.get("mode", "server") != "server":
            continue
        operations |= _operations(rest_entry)
        everywhere = _names(rest_entry.get("searchParam"))
        for resource in _objects(rest_entry.get("resource")):
            name = resource.get("type")
            if isinstance(name, str):
                types[name] = types.get(name, frozenset()) | _names(resource.get("searchParam")) | everywhere
                operations |= _operations(resource)
    software = statement.get("software")
    return Capability(
        version=plain(statement.get("fhirVersion")),
        software=plain(software.get("name")) if isinstance(software, dict) else "",
        types=types,
        operations=frozenset(operations),
    )


def missing(capability: Capability, server: FhirServer, profile: FhirProfile) -> list[str]:
    """The needs of the profile and the feed that the server does not list, a line each. Servers are known to list less than they do:
    nothing here ends a run."""
    lines = [
        f"the server does not list {name}, which profile {profile.name} requires"
        for name in profile.requires.resources
        if name not in capability.types
    ]
    wanted = dict.fromkeys(profile.requires.operations, f"which profile {profile.name} requires")
    if server.export in _EXPORTS:
        wanted.setdefault(_EXPORTS[server.export], f"which export: {server.export} asks for")
    for name, why in wanted.items():
        # Some servers name the operation only "export", at any level.
        if name not in capability.operations and not (name in _EXPORTS.values() and "export" in capability.operations):
            lines.append(f"the server does not list the operation ${name}, {why}")
    for name, queries in profile.search.items():
        if not queries:
            continue
        if name not in capability.types:
            lines.append(f"the server does not list {name}, which profile {profile.name} searches")
            continue
        searches = capability.types[name]
        for parameter in profile.search_parameters(name):
            if searches and parameter not in searches:
                lines.append(
                    f"the server does not list the search parameter {name}.{parameter} of profile {profile.name}"
                )
    return lines


def _operations(place: dict[str, Any]) -> set[str]:
    operations = set()
    for item in _objects(place.get("operation")):
        for key in ("name", "definition"):
            value = item.get(key)
            if isinstance(value, str):
                operations.add(value.partition("|")[0].rstrip("/").rpartition("/")[2].removeprefix("$"))
    return operations


def _names(value: Any) -> frozenset[str]:
    return frozenset(item["name"] for item in _objects(value) if isinstance(item.get("name"), str))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
