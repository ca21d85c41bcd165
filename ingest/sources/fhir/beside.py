"""The parts of FHIR resources that other resources need, and the search for them in the files beside a landed file.

"Practitioner.000.ndjson", "Schedule-1.json": files are searched by the type in their names, as Bulk Data names them. In the
inbox of a server, all deliveries are searched, the latest last, because a later delivery brings changes without the resources
they refer to. If only such a file changes, the files that refer to it are not read again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from ingest.inbox.inbox import SUFFIX as SEALED
from ingest.inbox.inbox import Inbox
from ingest.interface import UnreadableUnit
from ingest.profiles import FhirProfile
from ingest.sources.fhir.files import SUFFIXES, is_document, read_document, read_lines
from ingest.sources.fhir.values import (
    MALFORMED,
    Json,
    first,
    identifier_of,
    identifier_of_type,
    is_npi,
    is_system,
    issued_by,
    number_of_system,
    number_of_type,
    record_id,
)

# A larger file is not searched. Coverage files of a large group are much smaller.
MAXIMUM_BYTES = 1 << 30
KEPT_TYPES = ("Practitioner", "PractitionerRole", "Schedule", "Coverage")
# Types whose resources are also found by an identifier: there are thousands of them, not millions.
FOUND_BY_IDENTIFIER = ("Practitioner", "PractitionerRole", "Organization", "Location")
# Types whose numbers may come from several issuers: the numbers carry their issuer.
ISSUED_TYPES = ("Encounter", "Appointment", "Practitioner")
_NAMES_NO_TYPE = ("patient_type", "patient_system", "npi")


@dataclass(frozen=True, slots=True)
class Known:
    """What an index keeps of one resource. `type` and `id` name its row; `links` are references to follow
    (a role's practitioner, a schedule's actors, a coverage's payer)."""

    type: str
    id: str
    links: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Beside:
    """Resources of one type in other files: by id, and by (system, value) of their identifiers."""

    by_id: Mapping[str, Known] = field(default_factory=dict)
    by_identifier: Mapping[tuple[str, str], Known] = field(default_factory=dict)


def entity_id(resource: Json, profile: FhirProfile, resource_id: str) -> str:
    """The id of a resource's row: its NPI (practitioners), the identifier the profile names, else the resource's id."""
    kind, names = resource.get("resourceType"), profile.identifiers
    if kind == "Practitioner":
        npi = identifier_of(resource, names.get("npi"))
        return npi if npi is not None and is_npi(npi) else resource_id
    if kind == "Patient":
        return resource_id
    key = str(kind).lower()
    if kind in ISSUED_TYPES:
        number = number_of_system(resource, names.get(key)) or number_of_type(resource, names.get(f"{key}_type"))
    else:
        number = identifier_of(resource, names.get(key)) or identifier_of_type(resource, names.get(f"{key}_type"))
    return number or resource_id


def named_row(profile: FhirProfile, kind: str, system: str | None, value: str) -> str:
    """The id of the row that an identifier names, as `entity_id` gives it."""
    names = profile.identifiers
    if kind not in ISSUED_TYPES or (kind == "Practitioner" and is_npi(value) and is_system(system, names.get("npi"))):
        return value
    return issued_by(value, system, names.get(kind.lower()))


def known_of(resource: Json, profile: FhirProfile, full_url: str | None) -> Known:
    """The entry of the index for one resource."""
    kind = str(resource.get("resourceType"))
    links: tuple[Json, ...] = ()
    if kind == "PractitionerRole":
        links = (outside(resource.get("practitioner") or {}, resource),)
    elif kind == "Schedule":
        links = tuple(resource.get("actor") or ())
    elif kind == "Coverage":
        payer = first(resource.get("payor"))
        text = {"display": (resource.get("type") or {}).get("text")}
        links = (text if payer is None else outside(payer, resource),)
    return Known(kind, entity_id(resource, profile, record_id(resource, full_url)), links)


def outside(reference: Json, holder: Json) -> Json:
    """A reference to a contained resource as one that means the same outside its holder: by an identifier, or by name alone."""
    text = reference.get("reference")
    if type(text) is not str or not text.startswith("#"):
        return reference
    for resource in holder.get("contained") or ():
        if resource.get("id") == text[1:]:
            named: dict[str, Any] = {
                "display": reference.get("display") or resource.get("name"),
                "type": resource.get("resourceType"),
            }
            identifiers = resource.get("identifier") or ()
            return named | {"identifier": identifiers[0]} if identifiers else named
    return reference


def identifiers_of(resource: Json) -> Iterator[tuple[str, str]]:
    """(system, value) of each identifier, "" where it names no system."""
    for item in resource.get("identifier") or ():
        system, value = item.get("system"), item.get("value")
        if isinstance(value, str):
            yield (system if isinstance(system, str) else "", value)


def kept_types(profile: FhirProfile) -> frozenset[str]:
    """Lower-case names of the types that references are looked up in: their files are needed for as long as others come."""
    named = {name.removesuffix("_type") for name in profile.identifiers if name not in _NAMES_NO_TYPE}
    return frozenset(named.union(kind.lower() for kind in (*KEPT_TYPES, *FOUND_BY_IDENTIFIER)))


def resources_beside(folder: Path | None, inbox: Inbox | None, kind: str, profile: FhirProfile) -> Beside:
    """Resources of one type in the files of a folder, or of an inbox."""
    files = _files_beside(folder, inbox, kind) if folder is not None else ()
    return _resources(files, kind, _Profile(profile), inbox) if files else Beside()


def _files_beside(folder: Path, inbox: Inbox | None, kind: str) -> tuple[tuple[str, int, int], ...]:
    files = []
    for path in inbox.files(SUFFIXES) if inbox is not None else sorted(folder.iterdir()):
        if path.is_symlink():
            continue  # The file it leads to is read where it lies; one outside the feed's folder is refused.
        name = path.name.lower().removesuffix(SEALED).removesuffix(".gz")
        if _speaks_of(path.name, kind) and name.endswith(SUFFIXES):
            try:
                status = path.stat()
            except OSError:
                continue
            if status.st_size <= MAXIMUM_BYTES:
                files.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(files)


def _speaks_of(name: str, kind: str) -> bool:
    """True for "Practitioner.000.ndjson", "practitioner-1.json"; false for "PractitionerRole.ndjson"."""
    return re.fullmatch(rf"{re.escape(kind)}s?([^a-z].*)?", name, re.IGNORECASE) is not None


class _Profile:
    """A profile as a cache key: by identity of its content that matters here."""

    def __init__(self, profile: FhirProfile) -> None:
        self.profile = profile
        self.key = tuple(sorted(profile.identifiers.items()))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profile) and other.key == self.key


@lru_cache(maxsize=16)
def _resources(files: tuple[tuple[str, int, int], ...], kind: str, profile: _Profile, inbox: Inbox | None) -> Beside:
    """Kept until a file changes; lines and files that cannot be read are refused where they are read themselves."""
    by_id: dict[str, Known] = {}
    by_identifier: dict[tuple[str, str], Known] = {}
    for name, _, size_bytes in files:
        for resource in _read(Path(name), size_bytes, inbox):
            try:
                if resource["resourceType"] == kind:
                    resource_known = by_id[record_id(resource)] = known_of(resource, profile.profile, None)
                    if kind in FOUND_BY_IDENTIFIER:
                        by_identifier.update((pair, resource_known) for pair in identifiers_of(resource))
            except MALFORMED:
                continue
    return Beside(by_id, by_identifier)


def _read(path: Path, size_bytes: int, inbox: Inbox | None) -> Iterator[Any]:
    try:
        if is_document(path.name):
            document = read_document(path, size_bytes, inbox)
            if isinstance(document, dict) and document.get("resourceType") == "Bundle":
                entries = document.get("entry")
                yield from (entry.get("resource") for entry in entries or () if isinstance(entry, dict))
            else:
                yield document
            return
        for lines in read_lines(path, size_bytes, inbox):
            for line in lines:
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
    except (UnreadableUnit, TypeError):
        return
