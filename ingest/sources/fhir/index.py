"""The targets of references: ids of the rows that other resources give.

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

References that can never resolve are passed to `missing`: contained resources and entries that are not there, conditional
references that nothing matches, resources of other servers. Whether a row of some id ever comes, only the warehouse knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.inbox.inbox import Inbox
from ingest.profiles import FhirProfile
from ingest.sources.fhir.beside import (
    FOUND_BY_IDENTIFIER,
    KEPT_TYPES,
    Beside,
    Known,
    identifiers_of,
    known_of,
    named_row,
    resources_beside,
)
from ingest.sources.fhir.values import MALFORMED, Json, is_system, is_type, normal_text, parse_reference, record_id


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
                target = known_of(resource, self.profile, url)
                self.local[f"{target.type}/{record_id(resource, url)}"] = target
                if url:
                    self.local[url] = target
                    if base := parse_reference(url).base:
                        self.bases.add(base)
                for system, value in identifiers_of(resource):
                    self._by_identifier[target.type, system, value] = target
            except MALFORMED:
                continue

    def find(self, reference: Json | None, holder: Json, expected: str, path: str) -> Known | None:
        """The row a reference leads to, without an id where only its type is known, or None.

        `holder` is the resource with the reference, for contained resources, `path` its element; `expected` is the type of a
        reference that does not name one.
        """
        if not reference:
            return None
        text = reference.get("reference")
        if not text:
            return self._of_identifier(reference, expected)
        target, problem = self._resolve(text, reference, holder, expected)
        if problem:
            kind = parse_reference(text).type.strip("#")
            self.missing.append(
                f"{holder.get('resourceType')}.{path} -> {kind or expected or 'a resource'} ({problem})"
            )
            # What it is may matter where which it is is not known.
            return Known(kind, "") if kind else None
        return target

    def _resolve(self, text: str, reference: Json, holder: Json, expected: str) -> tuple[Known | None, str | None]:
        """The target of a literal reference, or the reason for having none."""
        kind, target_id, system, base = parse_reference(text)
        if kind == "#":
            target = self._contained(holder, target_id)
            return target, None if target else "not contained"
        if system is not None:
            return self._conditional(kind, system, target_id)
        if self.local and (target := self.local.get(text)) is not None:
            return target, None
        if text.startswith("urn:"):
            return None, "not in the bundle"
        if not target_id:
            return None, "a search that names no identifier" if "?" in text else None
        if self.is_elsewhere(base):
            return None, "on another server"
        if self.local and (target := self.local.get(f"{kind}/{target_id}")) is not None:
            return target, None
        kind = kind or reference.get("type") or expected
        named = reference.get("identifier")
        if named and named.get("value") and self._names(kind, named.get("system"), named):
            return Known(kind, self._row(kind, named.get("system"), named["value"])), None
        if self._is_kept(kind) and (target := self.beside(kind).by_id.get(target_id)) is not None:
            return target, None
        return Known(kind, target_id), None

    def is_elsewhere(self, base: str) -> bool:
        """True for the address of a server that is not the one this came from, where that one is known."""
        return base != "" and bool(self.bases) and base not in self.bases

    def _of_identifier(self, reference: Json, expected: str) -> Known | None:
        identifier = reference.get("identifier")
        if not identifier or not identifier.get("value"):
            return None
        kind, system, value = reference.get("type") or expected, identifier.get("system"), identifier["value"]
        target = None if self._names(kind, system, identifier) else self._having(kind, system or "", value)
        return target or Known(kind, self._row(kind, system, value))

    def _conditional(self, kind: str, system: str, value: str) -> tuple[Known | None, str | None]:
        if value and self._names(kind, system, {}):
            return Known(kind, self._row(kind, system, value)), None
        target = self._having(kind, system, value)
        return target, None if target else "nothing matches"

    def _row(self, kind: str, system: str | None, value: str) -> str:
        return named_row(self.profile, kind, system, value)

    def _having(self, kind: str, system: str, value: str) -> Known | None:
        """The resource that has an identifier, in the bundle or beside."""
        if resources := self._by_identifier.get((kind, system, value)):
            return resources
        return self.beside(kind).by_identifier.get((system, value)) if kind in FOUND_BY_IDENTIFIER else None

    def _names(self, kind: str, system: str | None, identifier: Json) -> bool:
        """True where the value of an identifier is what rows of a type are named by."""
        names = self.profile.identifiers
        if kind in ("Practitioner", "Organization") and is_system(system, names.get("npi")):
            return True
        key = kind.lower()
        if kind == "Patient":
            return is_system(system, names.get("patient_system"))
        if wanted := names.get(key):
            return is_system(system, wanted)
        wanted_type = names.get(f"{key}_type")
        return wanted_type is not None and is_type(identifier, wanted_type)

    def _is_kept(self, kind: str) -> bool:
        names = self.profile.identifiers
        key = kind.lower()
        return kind in KEPT_TYPES or (kind != "Patient" and (key in names or f"{key}_type" in names))

    def _contained(self, holder: Json, fragment: str) -> Known | None:
        for resource in holder.get("contained") or ():
            if resource.get("id") == fragment:
                target = known_of(resource, self.profile, None)
                # The id of a contained resource means nothing outside: only an identifier, or a link, names anything.
                return Known(target.type, "" if target.id == fragment else target.id, target.links)
        return None

    def beside(self, kind: str) -> Beside:
        """Resources of one type in the files beside the landed file; searched once for each file."""
        resources = self._beside.get(kind)
        if resources is None:
            resources = self._beside[kind] = resources_beside(self.folder, self.inbox, kind, self.profile)
        return resources


def payer_text(reference: Json) -> tuple[str, str] | None:
    """Id and name of a payer that is known by text only."""
    display = reference.get("display")
    return (normal_text(display), display.strip()) if isinstance(display, str) and display.strip() else None
