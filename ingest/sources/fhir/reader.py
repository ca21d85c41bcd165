"""FHIR R4: NDJSON (one resource a line, .ndjson) and .json documents (a Bundle or one resource), plain or gzipped.

| Resource | Rows |
|---|---|
| Patient | patient, patient_identity, patient_merge (alias to the medical record number; merges from `link`) |
| Practitioner, PractitionerRole | provider, provider_service_unit |
| Organization, Location | organization, service_unit, payer (of insurers) |
| Encounter | encounter, encounter_event, bed_movement, diagnosis |
| Condition | diagnosis |
| Appointment, Slot, Schedule | appointment, slot; a schedule says where its slots are |
| Coverage, Claim | coverage, claim, claim_line, diagnosis, payer |
| CoverageEligibilityResponse | eligibility_answer, eligibility_benefit |
| ClaimResponse, ExplanationOfBenefit | remittance_claim, remittance_line, remittance_adjustment, claim_status, payer |

A visit type is added wherever one is named. `remittance` is left to the payer's own payment (835): neither resource
says what a payment came to. Every resource counts as a record and is used or refused:

    resource_type_not_in_model   one refusal a file and type, without payload
    no_resource_type             a JSON value that names no resource type
    not_json                     a line that is not JSON, or is cut off
    no_id, malformed_resource    a resource without an id, or not of the shape R4 gives it
    not_a_claim, not_submitted, not_us_dollars
    no_resource                  an entry of a bundle that holds nothing
    deleted_by_search            an entry that deletes the results of a search; the file does not list those records

An entry of a bundle that deletes a resource (request.method DELETE: history bundles, the `deleted` files of a bulk export) gives
`record_deletion` rows for every entity that its type feeds, at the entry's time, else the bundle's, else the file's. So do
resources entered in error whose entity has no status for it (Coverage, Slot, CoverageEligibilityResponse). Versions of one resource are
ordered by meta.lastUpdated, and by meta.versionId within a moment (in NDJSON: within a chunk).

References that cannot resolve are reported as notices, `reference_unresolved`, one a kind and file, `records` being the resources
that hold one; so are bundles without entries, `empty_bundle`. NDJSON is read in chunks; a .json document is read whole, up to
MAXIMUM_DOCUMENT_BYTES. Fields that are read over are counted by "Type.field".
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from foundation.config import Feed
from ingest.inbox.inbox import Inbox
from ingest.interface import Chunk, Notice, Refusal, Unit
from ingest.profiles import load_profile
from ingest.sources.fhir.files import SUFFIXES, is_document, read_document, read_lines
from ingest.sources.fhir.index import Index
from ingest.sources.fhir.mappings import KNOWN, MAPPINGS
from ingest.sources.fhir.rows import Context, Refused, version_of
from ingest.sources.fhir.tables import ENTITIES_OF
from ingest.sources.fhir.values import MALFORMED, Json, parse_reference, record_id
from ingest.sources.files import find_files

CHUNK_RESOURCES = 20_000
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,60}")


class FhirSource:
    """Reader of FHIR files (see the module)."""

    kind = "fhir"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The feed's files in name order. Raises UnreadableUnit where there are none."""
        return find_files(feed, SUFFIXES, inbox)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """Reads one file. Raises UnreadableUnit for a document that does not parse, and for broken compression."""
        reading = _Reading(_context(unit))
        records = _document(unit, reading) if is_document(unit.name) else _lines(unit, reading)
        is_empty = True
        for _ in records:
            if reading.records >= CHUNK_RESOURCES:
                is_empty = False
                yield reading.chunk()
        if is_empty and not (reading.records or reading.outside or reading.noticed):
            reading.notice("file_empty", "the file holds no resource", "")
        yield reading.last_chunk()


SOURCE = FhirSource()


def _context(unit: Unit) -> Context:
    profile = load_profile(unit.feed.profile or "r4", "fhir")
    moment = (unit.modified_at or datetime.now(UTC)).astimezone(UTC)
    return Context(
        feed=unit.feed,
        profile=profile,
        index=Index(
            profile=profile,
            folder=unit.path.parent if unit.path else None,
            inbox=unit.inbox,
            base=unit.feed.server.url if unit.feed.server else None,
        ),
        file_date=moment.astimezone(ZoneInfo(unit.feed.time_zone)).date().isoformat(),
        file_time=moment.isoformat(),
    )


@dataclass
class _Reading:
    """One file being read: rows in the context, refusals, the types that the model has no place for, and what is noticed."""

    context: Context
    records: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    outside: Counter[str] = field(default_factory=Counter)
    first_outside: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: {kind: Counter() for kind in MAPPINGS})
    noticed: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_noticed: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, resource: Any, position: str, raw: bytes | None, full_url: str | None = None) -> None:
        """One record: mapped, counted as outside the model, or refused."""
        try:
            kind = resource["resourceType"]
            mapping, used = KNOWN[kind]
        except (TypeError, KeyError, IndexError):
            self._without_mapping(resource, position, raw)
            return
        self.records += 1
        context = self.context
        context.position = position
        try:
            resource_id = resource.get("id")
            if type(resource_id) is not str or not resource_id.strip():
                resource_id = record_id(resource, full_url)
            context.begin(kind, resource_id, resource.get("meta"))
            mapping(context, resource, resource_id)
        except Refused as refused:
            reason, detail = refused.reason, refused.detail
        except MALFORMED:
            reason, detail = _why(resource, kind, full_url)
        else:
            if not used.issuperset(resource):
                self.fields[kind][tuple(resource)] += 1
            if context.index.missing:
                self._note_missing(position)
            return
        context.take_back()
        self._refuse(position, reason, detail, raw if raw is not None else _payload(resource))

    def delete(self, entry: Json, bundle: Json, position: str) -> None:
        """One record: an entry of a bundle that deletes a resource."""
        try:
            kind, resource_id, system, _ = parse_reference(entry["request"].get("url") or entry["fullUrl"])
            response, meta = entry.get("response") or {}, bundle.get("meta") or {}
            at = response.get("lastModified") or meta.get("lastUpdated") or bundle.get("timestamp")
            version = response.get("etag")
        except MALFORMED:
            kind, resource_id, system, at, version = "", "", None, None, None
        if kind not in ENTITIES_OF and _TYPE.fullmatch(kind):
            self._count_outside(kind, position)
        elif kind not in ENTITIES_OF or (system is None and not resource_id):
            self.refuse(
                position, "malformed_resource", "the entry deletes a record but does not name it", _payload(entry)
            )
        elif system is not None:
            detail = "the entry deletes the results of a search and does not name them"
            self.refuse(position, "deleted_by_search", detail, _payload(entry))
        else:
            self.records += 1
            self.context.position = position
            self.context.begin(kind, resource_id, {"lastUpdated": at, "versionId": version})
            self.context.delete(kind, resource_id)

    def refuse(self, position: str, reason: str, detail: str, raw: bytes | None) -> None:
        """A record that is not a resource."""
        self.records += 1
        self._refuse(position, reason, detail, raw)

    def _refuse(self, position: str, reason: str, detail: str, raw: bytes | None) -> None:
        self.refusals.append(Refusal(position=position, reason=reason, detail=detail, payload=raw))

    def _without_mapping(self, resource: Any, position: str, raw: bytes | None) -> None:
        kind = resource.get("resourceType") if type(resource) is dict else None
        if kind == "Bundle" and raw is not None:
            for _ in _entries(resource, self, f"{position} "):
                pass
        elif type(kind) is str and _TYPE.fullmatch(kind):
            self._count_outside(kind, position)
        else:
            raw = raw if raw is not None else _payload(resource)
            self.refuse(position, "no_resource_type", "the JSON names no FHIR resource type", raw)

    def _count_outside(self, kind: str, position: str) -> None:
        self.outside[kind] += 1
        self.first_outside.setdefault(kind, position)

    def _note_missing(self, position: str) -> None:
        missing = self.context.index.missing
        for kind in set(missing):
            self.notice("reference_unresolved", kind, position)
        missing.clear()

    def notice(self, reason: str, detail: str, position: str) -> None:
        """A notice that is given once for each file, with its number of records."""
        self.noticed[reason, detail] += 1
        self.first_noticed.setdefault((reason, detail), position)

    def chunk(self) -> Chunk:
        """The rows since the last chunk. Types outside the model are reported in the last chunk."""
        chunk = Chunk(
            rows=self.context.frames(),
            records_read=self.records,
            records_used=self.records - len(self.refusals),
            refusals=self.refusals,
            unknown_words=self.context.unknown_words(),
        )
        for kind, shapes in self.fields.items():
            used = KNOWN[kind][1]
            for names, number in shapes.items():
                for name in names:
                    if name not in used:
                        chunk.dropped_fields[f"{kind}.{name}"] += number
            shapes.clear()
        self.records, self.refusals = 0, []
        return chunk

    def last_chunk(self) -> Chunk:
        """The last chunk, with one refusal for each type outside the model and a notice for each kind of reference that does not
        resolve."""
        chunk = self.chunk()
        for kind, number in sorted(self.outside.items()):
            chunk.records_read += number
            chunk.refusals.append(
                Refusal(
                    position=self.first_outside[kind],
                    reason="resource_type_not_in_model",
                    detail=f"{kind} resources have no place in the unified model",
                    records=number,
                )
            )
        for (reason, detail), number in sorted(self.noticed.items()):
            position = self.first_noticed[reason, detail]
            chunk.notices.append(Notice(position=position, reason=reason, detail=detail, records=number))
        return chunk


def _payload(value: Any) -> bytes | None:
    """A refused part of a document as quarantine keeps it; None if it is nested too deeply to be written again (254 levels by
    orjson, some 900 by the standard library): the document itself has it, at the named position."""
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return None


def _why(resource: Json, kind: str, full_url: str | None) -> tuple[str, str]:
    try:
        record_id(resource, full_url)
    except MALFORMED:
        return "no_id", f"the {kind} has no id"
    return "malformed_resource", f"the {kind} does not have the structure that FHIR R4 defines"


def _lines(unit: Unit, reading: _Reading) -> Iterator[None]:
    """Reads NDJSON; yields after each block of lines."""
    assert unit.path is not None
    loads, take = orjson.loads, reading.take
    before = 0
    for lines in read_lines(unit.path, unit.size_bytes, unit.inbox):
        for number, line in enumerate(lines, start=before + 1):
            try:
                resource = loads(line)
            except orjson.JSONDecodeError:
                if line.strip():
                    reading.refuse(f"line {number}", "not_json", "the line is not valid JSON, or is cut off", line)
            else:
                take(resource, f"line {number}", line)
        before += len(lines)
        reading.context.settle()
        yield


def _document(unit: Unit, reading: _Reading) -> Iterator[None]:
    """Reads a .json document; yields after each entry of a bundle."""
    assert unit.path is not None
    document = read_document(unit.path, unit.size_bytes, unit.inbox)
    if type(document) is dict and document.get("resourceType") == "Bundle":
        yield from _entries(document, reading, "")
    else:
        reading.take(document, "resource", None)
        yield


def _entries(bundle: Json, reading: _Reading, place: str) -> Iterator[None]:
    """Indexes a bundle, so that its entries find each other, and reads its entries."""
    entries = bundle.get("entry") or []
    if type(entries) is not list:
        problem = "the bundle's entries are not a list"
        reading.refuse(f"{place}entry", "malformed_resource", problem, _payload(bundle))
        yield
        return
    if not entries:
        reading.notice("empty_bundle", "the bundle holds no entries", f"{place}entry")
    reading.context.begin_bundle(entries)
    numbered = list(enumerate(entries, start=1))
    if bundle.get("type") == "history":
        # The newest comes first.
        numbered.sort(key=lambda item: (_version(item[1]), -item[0]))
    for number, entry in numbered:
        position = f"{place}entry {number}"
        request = entry.get("request") if type(entry) is dict else None
        if type(request) is dict and request.get("method") == "DELETE":
            reading.delete(entry, bundle, position)
        elif type(entry) is not dict or (resource := entry.get("resource")) is None:
            reading.refuse(position, "no_resource", "the entry holds no resource", _payload(entry))
        else:
            reading.take(resource, position, None, entry.get("fullUrl"))
        yield


def _version(entry: Any) -> int:
    try:
        resource = entry.get("resource")
        return version_of(resource["meta"]["versionId"] if resource else entry["response"]["etag"])
    except MALFORMED:
        return 0
