"""What references lead to: ids of the rows that other resources give.

A bundle is indexed as a whole. For NDJSON a resource that is not in the file at hand is looked for in the files beside it
whose names hold its type ("Practitioner.000.ndjson", "Schedule-1.json"), as Bulk Data names them; only types are
looked for whose rows are not simply named by the resource's id, or that themselves give no row:

    Practitioner, PractitionerRole   named by NPI where it is known
    Schedule                         gives a slot its unit and provider
    Coverage                         gives a claim its payer
    Encounter, Claim ...             where the profile names them by an identifier

Of a server's inbox all deliveries count as beside, the latest last: a later one brings what changed, not what it refers to.
A change in such a file alone does not re-read the files that refer to it.
"""

import contextlib
import gzip
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from ingest.inbox import SUFFIX as SEALED
from ingest.inbox import BrokenSeal, Inbox
from ingest.profiles import FhirProfile
from ingest.sources.fhir_values import (
    MALFORMED,
    Json,
    first,
    identifier_of,
    is_npi,
    normal_text,
    parse_reference,
    record_id,
)

# Above this a file beside is not searched: Coverage files of a large group lie well below it.
MAXIMUM_BYTES = 1 << 30
SUFFIXES = (".ndjson", ".json")
_KEPT_TYPES = ("Practitioner", "PractitionerRole", "Schedule", "Coverage")


@dataclass(frozen=True)
class Known:
    """What an index keeps of one resource. `type` and `id` name its row; `links` are references to follow
    (a role's practitioner, a schedule's actors, a coverage's payer)."""

    type: str
    id: str
    links: tuple[Json, ...] = ()


def entity_id(resource: Json, profile: FhirProfile, resource_id: str) -> str:
    """The id of a resource's row: its NPI (practitioners), the identifier the profile names, else the resource's id."""
    kind = resource.get("resourceType")
    if kind == "Practitioner":
        npi = identifier_of(resource, profile.identifiers.get("npi"))
        return npi if npi is not None and is_npi(npi) else resource_id
    return identifier_of(resource, profile.identifiers.get(str(kind).lower())) or resource_id


def known_of(resource: Json, profile: FhirProfile, full_url: str | None) -> Known:
    """What to keep of one resource."""
    kind = str(resource.get("resourceType"))
    links: tuple[Json, ...] = ()
    if kind == "PractitionerRole":
        links = (resource.get("practitioner") or {},)
    elif kind == "Schedule":
        links = tuple(resource.get("actor") or ())
    elif kind == "Coverage":
        payer = first(resource.get("payor"))
        links = (payer if payer is not None else {"display": (resource.get("type") or {}).get("text")},)
    return Known(kind, entity_id(resource, profile, record_id(resource, full_url)), links)


@dataclass
class Index:
    """Resolves references of one unit. `local` holds what the file itself has, by every name it goes by."""

    profile: FhirProfile
    folder: Path | None
    inbox: Inbox | None = None
    local: dict[str, Known] = field(default_factory=dict)
    _found_beside: dict[str, Mapping[str, Known]] = field(default_factory=dict)

    def add_bundle(self, entries: Iterable[Any]) -> None:
        """Indexes the entries of a bundle; entries that are no resources are left to the reader to refuse."""
        for entry in entries:
            try:
                resource, url = entry["resource"], entry.get("fullUrl")
                known = known_of(resource, self.profile, url)
                self.local[f"{known.type}/{record_id(resource, url)}"] = known
                if url:
                    self.local[url] = known
            except MALFORMED:
                continue

    def find(self, reference: Json | None, holder: Json, expected: str) -> Known | None:
        """The row a reference leads to, or None. `holder` is the resource it stands in, for contained resources;
        `expected` is the type of a reference that does not say it."""
        if not reference:
            return None
        text = reference.get("reference")
        if not text:
            identifier = reference.get("identifier")
            if not identifier or not identifier.get("value"):
                return None
            return Known(reference.get("type") or expected, identifier["value"])
        kind, found, system = parse_reference(text)
        if kind == "#":
            return self._contained(holder, found)
        if system is not None:
            return Known(kind, found) if found else None
        if self.local and (known := self.local.get(text) or self.local.get(f"{kind}/{found}")):
            return known
        kind = kind or reference.get("type") or expected
        named = reference.get("identifier")
        wanted = self.profile.identifiers.get("npi" if kind == "Practitioner" else kind.lower())
        if named and wanted and named.get("system") == wanted and named.get("value"):
            return Known(kind, named["value"])
        if (wanted or kind in _KEPT_TYPES) and (known := self.beside(kind).get(found)):
            return known
        return Known(kind, found) if found else None

    def _contained(self, holder: Json, found: str) -> Known | None:
        for resource in holder.get("contained") or ():
            if resource.get("id") == found:
                known = known_of(resource, self.profile, None)
                # The id of a contained resource means nothing outside: only an identifier, or a link, names anything.
                return Known(known.type, "" if known.id == found else known.id, known.links)
        return None

    def beside(self, kind: str) -> Mapping[str, Known]:
        """Resources of one type in the files beside the unit, by resource id; looked for once a unit."""
        found = self._found_beside.get(kind)
        if found is None:
            files = _files_beside(self.folder, self.inbox, kind) if self.folder is not None else ()
            profile = _Profile(self.profile)
            found = self._found_beside[kind] = _resources(files, kind, profile, self.inbox) if files else {}
        return found


def kept_types(profile: FhirProfile) -> frozenset[str]:
    """Lower-case names of the types that references are looked up in: their files are needed for as long as others come."""
    named = {name for name in profile.identifiers if name not in ("patient_type", "patient_system", "npi")}
    return frozenset(named.union(kind.lower() for kind in _KEPT_TYPES))


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
    return re.fullmatch(rf"{kind}s?([^a-z].*)?", name, re.IGNORECASE) is not None


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
def _resources(
    files: tuple[tuple[str, int, int], ...], kind: str, profile: _Profile, inbox: Inbox | None
) -> Mapping[str, Known]:
    """Kept until a file changes; lines and files that cannot be read are refused where they are read themselves."""
    found: dict[str, Known] = {}
    for name, _, _ in files:
        for resource in _read(Path(name), inbox):
            try:
                if resource["resourceType"] == kind:
                    found[record_id(resource)] = known_of(resource, profile.profile, None)
            except MALFORMED:
                continue
    return found


def _read(path: Path, inbox: Inbox | None) -> Iterator[Any]:
    name = path.name.lower().removesuffix(SEALED)
    opener = gzip.open if name.endswith(".gz") else open
    try:
        with contextlib.closing(_lines(inbox.read(path))) if inbox is not None else opener(path, "rb") as lines:
            if name.removesuffix(".gz").endswith(".json"):
                document = orjson.loads(b"".join(lines))
                if isinstance(document, dict) and document.get("resourceType") == "Bundle":
                    yield from (
                        entry.get("resource") for entry in document.get("entry") or () if isinstance(entry, dict)
                    )
                else:
                    yield document
                return
            for line in lines:
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError, BrokenSeal):
        return


def _lines(blocks: Iterator[bytes]) -> Generator[bytes, None, None]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def payer_text(reference: Json) -> tuple[str, str] | None:
    """Id and name of a payer that is known by text only."""
    display = reference.get("display")
    return (normal_text(display), display.strip()) if isinstance(display, str) and display.strip() else None
