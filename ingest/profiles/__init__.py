"""Profiles: what a reader must know about one vendor, as data. One YAML file a vendor, in this folder or anywhere.

    kind: pm_database                     kind: fhir
    time_zone: tenant                     extends: r4
    entities:                             identifiers: {encounter: http://example.org/visit-number}
      appointment: {sql: select ...}      payer_classes: {private: commercial}

`load_profile` reads and checks one; every complaint names file, line and key. Profiles hold no secrets.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal, overload

from foundation.config import Feed
from foundation.errors import ConfigurationError
from foundation.yaml_nodes import NodeReader, compose_file
from ingest.profiles.fhir import FhirProfile, parse_fhir
from ingest.profiles.hl7v2 import HL7v2Profile, parse_hl7v2
from ingest.profiles.pm_database import EntityQuery, PmDatabaseProfile, parse_pm_database
from ingest.profiles.reference_file import ReferenceFileProfile, parse_reference_file
from ingest.profiles.word_fields import word_field
from ingest.profiles.x12 import X12Profile, parse_x12

__all__ = [
    "EntityQuery",
    "FhirProfile",
    "HL7v2Profile",
    "PmDatabaseProfile",
    "Profile",
    "ReferenceFileProfile",
    "X12Profile",
    "hl7v2_profile",
    "load_profile",
    "place_in_profile",
    "profile_digest",
    "profile_of",
    "shipped_profiles",
    "word_field",
    "x12_profile",
]

FOLDER = Path(__file__).parent
Profile = FhirProfile | PmDatabaseProfile | ReferenceFileProfile | HL7v2Profile | X12Profile
_KINDS = ("pm_database", "fhir", "hl7v2", "x12", "reference_file")


def shipped_profiles(kind: str) -> tuple[str, ...]:
    """Names of the profiles of a kind that come with the product."""
    names = []
    for path in sorted(FOLDER.glob("*.yaml")):
        root = compose_file(path)
        reader = NodeReader(path)
        if reader.text(reader.needed(reader.mapping(root, ""), root, "", "kind"), "kind") == kind:
            names.append(path.stem)
    return tuple(names)


@overload
def load_profile(name: str, kind: Literal["pm_database"]) -> PmDatabaseProfile: ...
@overload
def load_profile(name: str, kind: Literal["fhir"]) -> FhirProfile: ...
@overload
def load_profile(name: str, kind: Literal["reference_file"]) -> ReferenceFileProfile: ...
@overload
def load_profile(name: str, kind: Literal["hl7v2"]) -> HL7v2Profile: ...
@overload
def load_profile(name: str, kind: Literal["x12"]) -> X12Profile: ...
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
        names = ", ".join(shipped_profiles(kind)) or "none"
        raise ConfigurationError(
            f"no profile {name!r} for {kind}; choose one of {names}, or give the path of a .yaml file"
        )
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
    nodes = reader.mapping(root, "")
    kind_node = reader.needed(nodes, root, "", "kind")
    kind_named = reader.text(kind_node, "kind")
    if kind_named not in _KINDS:
        raise reader.fail(kind_node, "kind", f"{kind_named!r} is not one of {', '.join(_KINDS)}")
    if kind_named != kind:
        raise reader.fail(kind_node, "kind", f"is {kind_named}, but the feed is of kind {kind}")
    if kind == "pm_database":
        return parse_pm_database(reader, root, path.stem)
    if kind == "reference_file":
        return parse_reference_file(reader, root, path.stem)
    if kind == "hl7v2":
        return parse_hl7v2(reader, root, path.stem)
    if kind == "x12":
        return parse_x12(reader, root, path.stem)
    base = None
    if "extends" in nodes:
        other = reader.text(nodes["extends"], "extends")
        other_path = _base(path, other)
        if other_path in (*below, path) or not other_path.is_file():
            raise reader.fail(nodes["extends"], "extends", f"{other!r} is not the name of another profile")
        parsed = _parse(other_path, kind, (*below, path))
        assert isinstance(parsed, FhirProfile)
        base = parsed
    return parse_fhir(reader, root, path.stem, base)


def hl7v2_profile(feed: Feed) -> HL7v2Profile:
    """The profile of an `hl7v2` feed; the standard's words where it names none. Raises ConfigurationError."""
    return HL7v2Profile() if feed.profile is None else load_profile(feed.profile, "hl7v2")


def x12_profile(feed: Feed) -> X12Profile:
    """The profile of an `x12` feed; the standard's words where it names none. Raises ConfigurationError."""
    return X12Profile() if feed.profile is None else load_profile(feed.profile, "x12")


def profile_of(feed: Feed) -> Profile:
    """The profile by which a feed is read. Raises ConfigurationError where it is wrong or not there."""
    match feed.kind:
        case "pm_database":
            return load_profile(feed.profile or "", "pm_database")
        case "hl7v2":
            return hl7v2_profile(feed)
        case "x12":
            return x12_profile(feed)
        case "fhir":
            return load_profile(feed.profile or "r4", "fhir")
        case _:
            return load_profile(feed.profile or "", "reference_file")


# What changes nothing about how a file is read.
_NOT_READ_BY = frozenset({"name", "places", "requires", "export_types", "export_since", "search"})


def profile_digest(feed: Feed) -> str | None:
    """A text that changes whenever the profile of a feed of files reads them differently; "" for the standard's own words; None
    for a PM database, whose tables have a definition each. Raises ConfigurationError where the profile is wrong.

    Missing keys do not count, so a later release with one more key reads no file again.
    """
    if feed.kind == "pm_database":
        return None
    profile = profile_of(feed)
    parts = []
    for item in fields(profile):
        value = getattr(profile, item.name)
        is_left_out = not value if item.default is MISSING else value == item.default
        if item.name in _NOT_READ_BY or is_left_out:
            continue
        parts.append((item.name, sorted(value.items()) if isinstance(value, Mapping) else value))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32] if parts else ""


def place_in_profile(name: str, kind: str, entity: str, column: str) -> str | None:
    """The place of a column of an entity in a profile ("file:line"), None if the profile does not have it.

    Raises ConfigurationError as `load_profile` does.
    """
    if kind == "pm_database":
        query = load_profile(name, "pm_database").entities.get(entity)
        return None if query is None else query.place_of(column)
    if kind == "reference_file":
        return load_profile(name, "reference_file").places.get(column)
    key = word_field(kind, entity, column).profile_key
    path: Path | None = _path(name, kind)
    while key and path is not None:
        nodes = NodeReader(path).mapping(compose_file(path), "")
        if key in nodes:
            return f"{path}:{nodes[key].start_mark.line + 1}"
        path = _base(path, str(nodes["extends"].value)) if "extends" in nodes else None
    return None
