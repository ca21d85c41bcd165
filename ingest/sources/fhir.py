"""FHIR R4: NDJSON (one resource a line, .ndjson) and .json documents (a Bundle or one resource), plain or gzipped.

| Resource | Rows |
|---|---|
| Patient | patient, patient_identity, patient_merge (alias to the medical record number; merges from `link`) |
| Practitioner, PractitionerRole | provider, provider_service_unit |
| Organization, Location | organization, service_unit, payer (of insurers) |
| Encounter | encounter, encounter_event, bed_movement |
| Appointment, Slot, Schedule | appointment, slot; a schedule says where its slots are |
| Coverage, Claim | coverage, claim, claim_line, payer |
| ClaimResponse, ExplanationOfBenefit | remittance_claim, remittance_line, remittance_adjustment, claim_status, payer |

A visit type is added wherever one is named. `remittance` is left to the payer's own payment (835): neither resource
says what a payment came to. Every resource counts as a record and is used or refused:

    resource_type_not_in_model   one refusal a file and type, without payload
    no_resource_type             a JSON value that names no resource type
    not_json                     a line that is no JSON, or is cut off
    no_id, malformed_resource    a resource without an id, or not of the shape R4 gives it
    not_a_claim, not_submitted, not_us_dollars, entered_in_error
    deleted, no_resource         entries of a bundle that delete something, or hold nothing

NDJSON is read in chunks; a .json document is read whole, up to MAXIMUM_DOCUMENT_BYTES. Fields that are read over are
counted by "Type.field".
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from foundation.config import Feed
from ingest.inbox import Inbox
from ingest.profiles import load_profile
from ingest.sources import fhir_money, fhir_people, fhir_visits
from ingest.sources.base import Chunk, Refusal, Unit, UnreadableUnit
from ingest.sources.fhir_index import Index
from ingest.sources.fhir_rows import Context, Refused
from ingest.sources.fhir_values import MALFORMED, Json, record_id
from ingest.sources.files import find_files, read_blocks

SUFFIXES = (".ndjson", ".json")
CHUNK_RESOURCES = 20_000
MAXIMUM_LINE_BYTES = 64 << 20
MAXIMUM_DOCUMENT_BYTES = 512 << 20
_BOM = b"\xef\xbb\xbf"
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,60}")
Mapping = Callable[[Context, Json, str], None]

# What is read of each type, and its mapping. Fields common to all resources are in _COMMON.
MAPPINGS: dict[str, tuple[Mapping, str]] = {
    "Patient": (
        fhir_people.patient,
        "identifier name gender birthDate address telecom communication link",
    ),
    "Practitioner": (fhir_people.practitioner, "identifier name active qualification"),
    "PractitionerRole": (
        fhir_people.practitioner_role,
        "practitioner organization location specialty code active period",
    ),
    "Organization": (fhir_people.organization, "identifier name alias type partOf active extension"),
    "Location": (
        fhir_people.location,
        "identifier name alias description managingOrganization partOf physicalType status",
    ),
    "Coverage": (fhir_people.coverage, "identifier beneficiary payor type subscriberId class order period"),
    "Encounter": (
        fhir_visits.encounter,
        "identifier status statusHistory class type subject participant appointment period hospitalization location "
        "serviceProvider",
    ),
    "Appointment": (
        fhir_visits.appointment,
        "identifier status serviceType appointmentType cancelationReason cancellationReason cancellationDate replaces "
        "start end created participant requestedPeriod",
    ),
    "Slot": (fhir_visits.slot, "status schedule serviceType appointmentType start end"),
    "Schedule": (fhir_visits.schedule, "actor"),
    "Claim": (
        fhir_money.claim,
        "identifier status use type patient billablePeriod created insurer provider facility careTeam related "
        "insurance item total",
    ),
    "ClaimResponse": (
        fhir_money.claim_response,
        "identifier status use patient created insurer request outcome item adjudication total payment",
    ),
    "ExplanationOfBenefit": (
        fhir_money.explanation_of_benefit,
        "identifier status use patient billablePeriod created insurer claim claimResponse outcome precedence insurance "
        "item adjudication total payment totalCost",
    ),
}
_COMMON = frozenset({"resourceType", "id", "meta", "contained", "text"})
_USED = {kind: _COMMON.union(names.split()) for kind, (_, names) in MAPPINGS.items()}


class FhirSource:
    """Reader of FHIR files (see the module)."""

    kind = "fhir"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The feed's files in name order. Raises UnreadableUnit where there are none."""
        return find_files(feed, SUFFIXES, inbox)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """Reads one file. Raises UnreadableUnit for a document that does not parse, and for broken compression."""
        reading = _Reading(_context(unit))
        is_document = unit.name.lower().removesuffix(".gz").endswith(".json")
        records = _document(unit, reading) if is_document else _lines(unit, reading)
        for _ in records:
            if reading.records >= CHUNK_RESOURCES:
                yield reading.chunk()
        yield reading.last_chunk()


SOURCE = FhirSource()


def _context(unit: Unit) -> Context:
    profile = load_profile(unit.feed.profile or "r4", "fhir")
    moment = (unit.modified_at or datetime.now(UTC)).astimezone(UTC)
    return Context(
        feed=unit.feed,
        profile=profile,
        index=Index(profile, unit.path.parent if unit.path else None, unit.inbox),
        file_date=moment.astimezone(ZoneInfo(unit.feed.time_zone)).date().isoformat(),
        file_time=moment.isoformat(),
    )


@dataclass
class _Reading:
    """One file being read: rows in the context, refusals, and the types that the model has no place for."""

    context: Context
    records: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    outside: Counter[str] = field(default_factory=Counter)
    first_outside: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: {kind: Counter() for kind in MAPPINGS})

    def take(self, resource: Any, position: str, raw: bytes | None, full_url: str | None = None) -> None:
        """One record: mapped, counted as outside the model, or refused."""
        kind: Any = resource.get("resourceType") if type(resource) is dict else None
        known = MAPPINGS.get(kind) if type(kind) is str else None
        if known is None:
            self._without_mapping(resource, kind, position, raw)
            return
        self.records += 1
        context = self.context
        try:
            known[0](context, resource, context.begin(resource, position, full_url))
            self.fields[kind][tuple(resource)] += 1
            return
        except Refused as refused:
            reason, detail = refused.reason, refused.detail
        except MALFORMED:
            reason, detail = _why(resource, kind, full_url)
        context.take_back()
        self._refuse(position, reason, detail, raw if raw is not None else orjson.dumps(resource))

    def refuse(self, position: str, reason: str, detail: str, raw: bytes | None) -> None:
        """A record that is no resource."""
        self.records += 1
        self._refuse(position, reason, detail, raw)

    def _refuse(self, position: str, reason: str, detail: str, raw: bytes | None) -> None:
        self.refusals.append(Refusal(position=position, reason=reason, detail=detail, payload=raw))

    def _without_mapping(self, resource: Any, kind: Any, position: str, raw: bytes | None) -> None:
        if type(kind) is str and _TYPE.fullmatch(kind):
            self.outside[kind] += 1
            self.first_outside.setdefault(kind, position)
            return
        raw = raw if raw is not None else orjson.dumps(resource)
        self.refuse(position, "no_resource_type", "the JSON names no FHIR resource type", raw)

    def chunk(self) -> Chunk:
        """What was read since the last chunk. Types outside the model are told in the last."""
        given = Chunk(
            rows=self.context.frames(),
            records_read=self.records,
            records_used=self.records - len(self.refusals),
            refusals=self.refusals,
        )
        for kind, shapes in self.fields.items():
            for names, number in shapes.items():
                for name in names:
                    if name not in _USED[kind]:
                        given.dropped_fields[f"{kind}.{name}"] += number
            shapes.clear()
        self.records, self.refusals = 0, []
        return given

    def last_chunk(self) -> Chunk:
        """The last chunk, with one refusal for each type outside the model."""
        given = self.chunk()
        for kind, number in sorted(self.outside.items()):
            given.records_read += number
            given.refusals.append(
                Refusal(
                    position=self.first_outside[kind],
                    reason="resource_type_not_in_model",
                    detail=f"{kind} has no place in the unified model",
                    records=number,
                )
            )
        return given


def _why(resource: Json, kind: str | None, full_url: str | None) -> tuple[str, str]:
    try:
        record_id(resource, full_url)
    except MALFORMED:
        return "no_id", f"the {kind} has no id"
    return "malformed_resource", f"the {kind} does not have the shape that R4 gives it"


def _lines(unit: Unit, reading: _Reading) -> Iterator[None]:
    """Reads NDJSON; yields after each block of lines."""
    rest, number = b"", 0
    loads, take = orjson.loads, reading.take
    for block in read_blocks(unit):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAXIMUM_LINE_BYTES:
            raise UnreadableUnit(
                position=f"line {number + len(lines) + 1}",
                problem=f"a line is longer than {MAXIMUM_LINE_BYTES >> 20} MiB",
                remedy="Send one resource a line",
            )
        for line in lines:
            number += 1
            _line(line, number, reading, loads, take)
        yield
    if rest:
        _line(rest, number + 1, reading, loads, take)
        yield


def _line(line: bytes, number: int, reading: _Reading, loads: Any, take: Any) -> None:
    if number == 1:
        line = line.removeprefix(_BOM)
    try:
        resource = loads(line)
    except orjson.JSONDecodeError:
        if line.strip():
            reading.refuse(f"line {number}", "not_json", "the line is not JSON, or is cut off", line)
        return
    if type(resource) is dict and resource.get("resourceType") == "Bundle":
        _bundle(resource, reading, f"line {number} ")
    else:
        take(resource, f"line {number}", line)


def _document(unit: Unit, reading: _Reading) -> Iterator[None]:
    """Reads a .json document; yields after each entry of a bundle."""
    blocks, size = [], 0
    for block in read_blocks(unit):
        size += len(block)
        if size > MAXIMUM_DOCUMENT_BYTES:
            raise UnreadableUnit(
                position=f"byte {size}",
                problem=f"is larger than {MAXIMUM_DOCUMENT_BYTES >> 20} MiB, which is read whole",
                remedy="Send it as NDJSON",
            )
        blocks.append(block)
    try:
        document = orjson.loads(b"".join(blocks).removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        raise UnreadableUnit(
            position=f"line {error.lineno} column {error.colno}",
            problem="is not JSON, or is cut off",
            remedy="Have it sent again",
        ) from None
    del blocks
    if type(document) is dict and document.get("resourceType") == "Bundle":
        yield from _entries(document, reading, "")
    else:
        reading.take(document, "resource", None)
        yield


def _bundle(bundle: Json, reading: _Reading, place: str) -> None:
    for _ in _entries(bundle, reading, place):
        pass


def _entries(bundle: Json, reading: _Reading, place: str) -> Iterator[None]:
    """Reads the entries of a bundle, which is indexed first so that they find each other."""
    entries = bundle.get("entry") or []
    if type(entries) is not list:
        reading.refuse(
            f"{place}entry", "malformed_resource", "the bundle's entries are not a list", orjson.dumps(bundle)
        )
        yield
        return
    reading.context.index.local.clear()
    reading.context.index.add_bundle(entries)
    for number, entry in enumerate(entries, start=1):
        position = f"{place}entry {number}"
        resource = entry.get("resource") if type(entry) is dict else None
        if resource is None:
            request = entry.get("request") if type(entry) is dict else None
            deletes = type(request) is dict and request.get("method") == "DELETE"
            reason = "deleted" if deletes else "no_resource"
            detail = "the entry deletes a resource" if deletes else "the entry holds no resource"
            reading.refuse(position, reason, detail, orjson.dumps(entry))
        else:
            reading.take(resource, position, None, entry.get("fullUrl"))
        yield
