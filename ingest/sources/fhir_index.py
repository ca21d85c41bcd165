"""What references lead to: ids of the rows that other resources give.

    #id                              the contained resource: the row its own identifier names, or what it refers to in turn
    urn:uuid:..., urn:oid:...        the entry of the same bundle that has this full URL
    Type?identifier=system|value     the row of that name, where the profile names rows by that system; else the resource in the
                                     bundle, or in the files beside, that has the identifier
    Type/id, https://server/Type/id, either with /_history/n
                                     the row of that resource; none for a resource of another server
    an identifier alone              as the conditional reference; where nothing has it, the row of that name, if one ever comes

A bundle is indexed as a whole. For NDJSON a resource that is not in the file at hand is looked for in the files beside it
whose names hold its type ("Practitioner.000.ndjson", "Schedule-1.json"), as Bulk Data names them; only types are
looked for whose rows are not simply named by the resource's id, or that themselves give no row, and what a reference names by
an identifier:

    Practitioner, PractitionerRole   named by NPI where it is known
    Schedule                         gives a slot its unit and provider
    Coverage                         gives a claim its payer
    Encounter, Claim ...             where the profile names them by an identifier

Of a server's inbox all deliveries count as beside, the latest last: a later one brings what changed, not what it refers to.
A change in such a file alone does not re-read the files that refer to it.

What can be known never to resolve is told to `missing`: contained resources and entries that are not there, conditional
references that nothing matches, resources of other servers. Whether a row of some id ever comes, only the warehouse knows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from ingest.inbox import SUFFIX as SEALED
from ingest.inbox import Inbox
from ingest.profiles import FhirProfile
from ingest.sources.base import UnreadableUnit
from ingest.sources.fhir_files import SUFFIXES, is_document, read_document, read_lines
from ingest.sources.fhir_values import (
    MALFORMED,
    Json,
    first,
    identifier_of,
    identifier_of_type,
    is_npi,
    is_system,
    is_type,
    normal_text,
    parse_reference,
    record_id,
)

# Above this a file beside is not searched: Coverage files of a large group lie well below it.
MAXIMUM_BYTES = 1 << 30
_KEPT_TYPES = ("Practitioner", "PractitionerRole", "Schedule", "Coverage")
# Types whose resources are also found by an identifier: there are thousands of them, not millions.
_FOUND_BY_IDENTIFIER = ("Practitioner", "PractitionerRole", "Organization", "Location")
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
    found = identifier_of(resource, names.get(key)) or identifier_of_type(resource, names.get(f"{key}_type"))
    return found or resource_id


def known_of(resource: Json, profile: FhirProfile, full_url: str | None) -> Known:
    """What to keep of one resource."""
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


def _identifiers(resource: Json) -> Iterator[tuple[str, str]]:
    for item in resource.get("identifier") or ():
        system, value = item.get("system"), item.get("value")
        if isinstance(value, str):
            yield (system if isinstance(system, str) else "", value)


@dataclass
class Index:
    """Resolves references of one unit. `local` holds what the file itself has, by every name it goes by; `bases` are the
    addresses of the server it came from, where they are known; `missing` collects what does not resolve, as
    "Encounter.serviceProvider -> Organization (not contained)"."""

    profile: FhirProfile
    folder: Path | None
    inbox: Inbox | None = None
    base: str | None = None
    local: dict[str, Known] = field(default_factory=dict)
    bases: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    _by_identifier: dict[tuple[str, str, str], Known] = field(default_factory=dict)
    _beside: dict[str, Beside] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.base:
            self.bases.add(self.base)

    def begin_bundle(self, entries: Iterable[Any]) -> None:
        """Indexes the entries of a bundle in place of an earlier one's; entries that are no resources are left to the reader
        to refuse."""
        self.local.clear()
        self._by_identifier.clear()
        self.bases = {self.base} if self.base else set()
        for entry in entries:
            try:
                resource, url = entry["resource"], entry.get("fullUrl")
                known = known_of(resource, self.profile, url)
                self.local[f"{known.type}/{record_id(resource, url)}"] = known
                if url:
                    self.local[url] = known
                    if base := parse_reference(url).base:
                        self.bases.add(base)
                for system, value in _identifiers(resource):
                    self._by_identifier[known.type, system, value] = known
            except MALFORMED:
                continue

    def find(self, reference: Json | None, holder: Json, expected: str, path: str) -> Known | None:
        """The row a reference leads to, or None. `holder` is the resource it stands in, for contained resources, `path` the
        element; `expected` is the type of a reference that does not say it."""
        if not reference:
            return None
        text = reference.get("reference")
        if not text:
            return self._of_identifier(reference, expected)
        known, problem = self._resolve(text, reference, holder, expected)
        if problem:
            target = parse_reference(text).type.strip("#") or expected or "a resource"
            self.missing.append(f"{holder.get('resourceType')}.{path} -> {target} ({problem})")
        return known

    def _resolve(self, text: str, reference: Json, holder: Json, expected: str) -> tuple[Known | None, str | None]:
        """What a literal reference leads to, and why it leads to nothing."""
        kind, found, system, base = parse_reference(text)
        if kind == "#":
            known = self._contained(holder, found)
            return known, None if known else "not contained"
        if system is not None:
            return self._conditional(kind, system, found)
        if self.local and (known := self.local.get(text)) is not None:
            return known, None
        if text.startswith("urn:"):
            return None, "not in the bundle"
        if not found:
            return None, "a search that names no identifier" if "?" in text else None
        if self.is_elsewhere(base):
            return None, "on another server"
        if self.local and (known := self.local.get(f"{kind}/{found}")) is not None:
            return known, None
        kind = kind or reference.get("type") or expected
        named = reference.get("identifier")
        if named and named.get("value") and self._names(kind, named.get("system"), named):
            return Known(kind, named["value"]), None
        if self._is_kept(kind) and (known := self.beside(kind).by_id.get(found)) is not None:
            return known, None
        return Known(kind, found), None

    def is_elsewhere(self, base: str) -> bool:
        """True for the address of a server that is not the one this came from, where that one is known."""
        return base != "" and bool(self.bases) and base not in self.bases

    def _of_identifier(self, reference: Json, expected: str) -> Known | None:
        identifier = reference.get("identifier")
        if not identifier or not identifier.get("value"):
            return None
        kind, system, value = reference.get("type") or expected, identifier.get("system"), identifier["value"]
        if self._names(kind, system, identifier):
            return Known(kind, value)
        return self._having(kind, system or "", value) or Known(kind, value)

    def _conditional(self, kind: str, system: str, value: str) -> tuple[Known | None, str | None]:
        if value and self._names(kind, system, {}):
            return Known(kind, value), None
        known = self._having(kind, system, value)
        return known, None if known else "nothing matches"

    def _having(self, kind: str, system: str, value: str) -> Known | None:
        """The resource that has an identifier, in the bundle or beside."""
        if known := self._by_identifier.get((kind, system, value)):
            return known
        return self.beside(kind).by_identifier.get((system, value)) if kind in _FOUND_BY_IDENTIFIER else None

    def _names(self, kind: str, system: str | None, identifier: Json) -> bool:
        """True where the value of an identifier is what rows of a type are named by."""
        names = self.profile.identifiers
        if kind in ("Practitioner", "Organization") and is_system(system, names.get("npi")):
            return True
        key = kind.lower()
        if kind == "Patient":
            return False
        if wanted := names.get(key):
            return is_system(system, wanted)
        wanted_type = names.get(f"{key}_type")
        return wanted_type is not None and is_type(identifier, wanted_type)

    def _is_kept(self, kind: str) -> bool:
        names = self.profile.identifiers
        key = kind.lower()
        return kind in _KEPT_TYPES or (kind != "Patient" and (key in names or f"{key}_type" in names))

    def _contained(self, holder: Json, found: str) -> Known | None:
        for resource in holder.get("contained") or ():
            if resource.get("id") == found:
                known = known_of(resource, self.profile, None)
                # The id of a contained resource means nothing outside: only an identifier, or a link, names anything.
                return Known(known.type, "" if known.id == found else known.id, known.links)
        return None

    def beside(self, kind: str) -> Beside:
        """Resources of one type in the files beside the unit; looked for once a unit."""
        found = self._beside.get(kind)
        if found is None:
            files = _files_beside(self.folder, self.inbox, kind) if self.folder is not None else ()
            found = _resources(files, kind, _Profile(self.profile), self.inbox) if files else Beside()
            self._beside[kind] = found
        return found


def kept_types(profile: FhirProfile) -> frozenset[str]:
    """Lower-case names of the types that references are looked up in: their files are needed for as long as others come."""
    named = {name.removesuffix("_type") for name in profile.identifiers if name not in _NAMES_NO_TYPE}
    return frozenset(named.union(kind.lower() for kind in (*_KEPT_TYPES, *_FOUND_BY_IDENTIFIER)))


def _files_beside(folder: Path, inbox: Inbox | None, kind: str) -> tuple[tuple[str, int, int], ...]:
    files = []
    for path in inbox.files(SUFFIXES) if inbox is not None else sorted(folder.iterdir()):
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
                    known = by_id[record_id(resource)] = known_of(resource, profile.profile, None)
                    if kind in _FOUND_BY_IDENTIFIER:
                        by_identifier.update((pair, known) for pair in _identifiers(resource))
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


def payer_text(reference: Json) -> tuple[str, str] | None:
    """Id and name of a payer that is known by text only."""
    display = reference.get("display")
    return (normal_text(display), display.strip()) if isinstance(display, str) and display.strip() else None
