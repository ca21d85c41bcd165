"""Profiles: what a reader must know about one vendor, as data. One YAML file a vendor, in this folder or anywhere.

    kind: pm_database                     kind: fhir
    time_zone: tenant                     extends: r4
    entities:                             identifiers: {encounter: http://example.org/visit-number}
      appointment: {sql: select ...}      payer_classes: {private: commercial}

`load_profile` reads and checks one; every complaint names file, line and key. Profiles hold no secrets.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal, overload

from foundation.errors import ConfigurationError
from foundation.yaml_nodes import NodeReader, compose_file
from ingest.profiles.fhir import FhirProfile, parse_fhir
from ingest.profiles.pm_database import EntityQuery, PmDatabaseProfile, parse_pm_database
from ingest.profiles.reference_file import ReferenceFileProfile, parse_reference_file

__all__ = [
    "EntityQuery",
    "FhirProfile",
    "PmDatabaseProfile",
    "Profile",
    "ReferenceFileProfile",
    "load_profile",
    "place_in_profile",
    "shipped_profiles",
]

FOLDER = Path(__file__).parent
Profile = FhirProfile | PmDatabaseProfile | ReferenceFileProfile
_KINDS = ("pm_database", "fhir", "reference_file")


def shipped_profiles(kind: str) -> tuple[str, ...]:
    """Names of the profiles of a kind that come with the product."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        root = compose_file(path)
        reader = NodeReader(path)
        if reader.text(reader.needed(reader.mapping(root, ""), root, "", "kind"), "kind") == kind:
            found.append(path.stem)
    return tuple(found)


@overload
def load_profile(name: str, kind: Literal["pm_database"]) -> PmDatabaseProfile: ...
@overload
def load_profile(name: str, kind: Literal["fhir"]) -> FhirProfile: ...
@overload
def load_profile(name: str, kind: Literal["reference_file"]) -> ReferenceFileProfile: ...
def load_profile(name: str, kind: str) -> Profile:
    """One checked profile: a shipped one by name, or a file by its path (ending in .yaml or .yml).

    Raises ConfigurationError for a name that is not there, a profile of another kind, unknown keys and entities, and
    SELECTs that cannot give an entity's key; names file, line and key.
    """
    path = _path(name, kind)
    return _load(path, kind, path.stat().st_mtime_ns if path.is_file() else 0)


def _path(name: str, kind: str) -> Path:
    """The file of a profile."""
    if name.endswith((".yaml", ".yml")):
        return Path(name).expanduser().resolve()
    path = FOLDER / f"{Path(name).name}.yaml"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(shipped_profiles(kind))
        raise ConfigurationError(f"no profile {name!r} for {kind}; shipped are {known}; else give a .yaml file")
    return path


def _base(path: Path, other: str) -> Path:
    """The file that a profile extends."""
    return path.parent / other if other.endswith((".yaml", ".yml")) else FOLDER / f"{Path(other).name}.yaml"


@lru_cache(maxsize=32)
def _load(path: Path, kind: str, _changed: int) -> Profile:
    return _parse(path, kind, ())


def _parse(path: Path, kind: str, below: tuple[Path, ...]) -> Profile:
    reader = NodeReader(path)
    root = compose_file(path)
    found = reader.mapping(root, "")
    kind_node = reader.needed(found, root, "", "kind")
    given = reader.text(kind_node, "kind")
    if given not in _KINDS:
        raise reader.fail(kind_node, "kind", f"{given!r} is not one of {', '.join(_KINDS)}")
    if given != kind:
        raise reader.fail(kind_node, "kind", f"is {given}, the feed is of kind {kind}")
    if kind == "pm_database":
        return parse_pm_database(reader, root, path.stem)
    if kind == "reference_file":
        return parse_reference_file(reader, root, path.stem)
    base = None
    if "extends" in found:
        other = reader.text(found["extends"], "extends")
        other_path = _base(path, other)
        if other_path in (*below, path) or not other_path.is_file():
            raise reader.fail(found["extends"], "extends", f"{other!r} is no other profile")
        parsed = _parse(other_path, kind, (*below, path))
        assert isinstance(parsed, FhirProfile)
        base = parsed
    return parse_fhir(reader, root, path.stem, base)


# What of a FHIR profile gives the values of a column: where a row breaks its contract there, that is what to look at.
_FHIR_KEYS = {
    ("appointment", "status"): "appointment_statuses",
    ("appointment", "cancel_initiator"): "cancel_initiators",
    ("encounter", "status"): "encounter_statuses",
    ("encounter", "encounter_class"): "encounter_classes",
    ("encounter_event", "event_type"): "encounter_events",
    ("slot", "status"): "slot_statuses",
    ("claim", "claim_type"): "claim_types",
    ("payer", "payer_class"): "payer_classes",
}


def place_in_profile(name: str, kind: str, entity: str, column: str) -> str | None:
    """Where a profile says what a column of an entity is given ("file:line"), None where it does not.

    Raises ConfigurationError as `load_profile` does.
    """
    if kind == "pm_database":
        query = load_profile(name, "pm_database").entities.get(entity)
        return None if query is None else query.place_of(column)
    if kind == "reference_file":
        return load_profile(name, "reference_file").places.get(column)
    key = _FHIR_KEYS.get((entity, column))
    path: Path | None = _path(name, kind)
    while key is not None and path is not None:
        found = NodeReader(path).mapping(compose_file(path), "")
        if key in found:
            return f"{path}:{found[key].start_mark.line + 1}"
        path = _base(path, str(found["extends"].value)) if "extends" in found else None
    return None
