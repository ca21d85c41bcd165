"""Collects the rows that resources give, in one table for each entity, and makes frames of them.

`source_record_id` is the resource as FHIR names it, "Encounter/e1": all rows of one resource have the same, and rows of other
resources in that entity have another. Patients are named by feed and id, as their identifiers are. Rows that many resources
repeat (visit types, payers) have their own id. The name of a slot includes the day of its snapshot, because each day has its
own state of a slot.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from data_contracts import LINEAGE, contract
from foundation.config import Feed
from ingest.interface import UnknownWord
from ingest.profiles import FhirProfile
from ingest.sources.columns import frame_of
from ingest.sources.fhir.beside import Known, outside
from ingest.sources.fhir.index import Index, payer_text
from ingest.sources.fhir.row_builders import RowBuilders
from ingest.sources.fhir.tables import COLUMNS, ENTITIES_OF, Lineage, Table
from ingest.sources.fhir.values import (
    Json,
    code_of,
    date_part,
    is_system,
    is_type,
    issued_by,
    name_of,
    normal_text,
    number_of_system,
    number_of_type,
    parse_reference,
)

# The start of rows for which no resource states one (the key of the contract needs a start).
SINCE_EVER = "1900-01-01"
SELF_PAY = ("self_pay", "Self pay")
# The holder of references that an index kept.
_ROLE, _COVERAGE = {"resourceType": "PractitionerRole"}, {"resourceType": "Coverage"}
# As nearly every reference to a patient is written.
_PLAIN_PATIENT = re.compile(r"Patient/([^/?]+)").fullmatch


class Refused(Exception):
    """A resource gives no row. `reason` is a stable word, `detail` holds nothing of the resource."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass
class Context(RowBuilders):
    """The inputs of a mapping, and the place of its rows. One for each unit."""

    feed: Feed
    profile: FhirProfile
    index: Index
    file_date: str
    file_time: str
    position: str = ""
    record: str = ""
    updated_at: str | None = None
    lineage: Lineage = ("", None, 0, "")
    tables: dict[str, Table] = field(default_factory=lambda: {name: Table(len(COLUMNS[name])) for name in COLUMNS})
    provider_ranks: dict[str, int] = field(default_factory=dict)
    encounter_classes: dict[str, str] = field(default_factory=dict)
    is_encounter_named: bool = False
    _patient_prefix: str = ""
    # Rows and first position of unknown words, by entity, column, word and what rows have instead.
    _unknown: dict[tuple[str, str, str, str], tuple[int, str]] = field(default_factory=dict)
    # Visit types and payers whose row this chunk has.
    _visit_types: set[str] = field(default_factory=set)
    _payers: set[str] = field(default_factory=set)
    # What references lead to: the same few places and people are referred to all day.
    _providers: dict[str | None, str] = field(default_factory=dict)
    _units: dict[str | None, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.provider_ranks = {code: rank for rank, code in enumerate(self.profile.provider_participant_types)}
        # A class of the standard is its own word.
        standard = contract("encounter").by_name["encounter_class"].valid_values
        self.encounter_classes = {word: word for word in standard} | dict(self.profile.encounter_classes)
        self._patient_prefix = f"{self.feed.name}/"
        self.is_encounter_named = not {"encounter", "encounter_type"}.isdisjoint(self.profile.identifiers)

    def begin(self, kind: str, resource_id: str, meta: Json | None) -> None:
        """Starts a resource of a type and id, at `position`."""
        self.record = record = f"{self.feed.name}/{resource_id}" if kind == "Patient" else f"{kind}/{resource_id}"
        version = 0
        if meta:
            self.updated_at = meta.get("lastUpdated")
            if "versionId" in meta:
                version = version_of(meta["versionId"])
        else:
            self.updated_at = None
        self.lineage = (record, self.updated_at, version, self.position)

    def begin_bundle(self, entries: list[Any]) -> None:
        """Starts a bundle, in which references lead to its own entries first."""
        self.index.begin_bundle(entries)
        self._providers.clear()
        self._units.clear()

    def unknown(self, entity: str, column: str, word: str | None, became: str = "") -> None:
        """Counts a word that could not be mapped and is in no column of a row; `became` is the value that the row has instead."""
        if word:
            key = (entity, column, word, became)
            rows, position = self._unknown.get(key, (0, self.position))
            self._unknown[key] = (rows + 1, position)

    def unknown_words(self) -> list[UnknownWord]:
        """The words counted since the last call."""
        counted, self._unknown = self._unknown, {}
        return [
            UnknownWord(entity=entity, column=column, word=word, became=became, position=position, rows=rows)
            for (entity, column, word, became), (rows, position) in counted.items()
        ]

    def delete(self, kind: str, resource_id: str) -> None:
        """Rows for a deleted resource: one for each entity that its type fills."""
        record = f"{self.feed.name}/{resource_id}" if kind == "Patient" else f"{kind}/{resource_id}"
        if kind == "Slot":
            record = f"{record}/{self.snapshot_date()}"
        _, updated_at, version, position = self.lineage
        with self._lineage_of(record, updated_at, version, position):
            for entity in ENTITIES_OF[kind]:
                self.add_record_deletion(entity=entity, deleted_record_id=record, found_by="reported")

    def snapshot_date(self) -> str:
        """The day of a slot's snapshot."""
        return date_part(self.updated_at) or self.file_date

    def take_back(self) -> None:
        """Removes the rows of the current resource: it was refused half way."""
        for table in self.tables.values():
            while table.lineage and table.lineage[-1][-1] == self.position:
                table.lineage.pop()
                table.rows.pop()
        self.index.missing.clear()
        self._visit_types.clear()
        self._payers.clear()

    def settle(self) -> None:
        """Makes the rows so far permanent: they will not be removed."""
        for table in self.tables.values():
            table.settle()

    def frames(self) -> dict[str, pl.DataFrame]:
        """The collected rows as frames with the contract's types, or text; the tables are empty afterwards."""
        frames = {}
        for entity, table in self.tables.items():
            columns = table.columns()
            if columns[0]:
                names = (*COLUMNS[entity], *LINEAGE)
                frames[entity] = frame_of(contract(entity), names, columns, zone=self.feed.time_zone)
                self.tables[entity] = Table(len(COLUMNS[entity]))
        self._visit_types.clear()
        self._payers.clear()
        return frames

    # References

    def id_of(self, reference: Json | None, holder: Json, expected: str, path: str) -> str | None:
        """The id of the row that a reference leads to, of any type. `path` is the element with the reference."""
        if reference is None:
            return None
        target = self.index.find(reference, holder, expected, path)
        return (target.id or None) if target else None

    def patient(self, reference: Json | None, holder: Json, path: str) -> str | None:
        """The raw identifier of a patient: bare for a medical record number, else with the feed's name."""
        if not reference:
            return None
        text = reference.get("reference")
        if text and (plain := _PLAIN_PATIENT(text)) and not self.index.local:
            return self._patient_prefix + plain[1]
        if not text:
            identifier = reference.get("identifier")
            return self._by_number(identifier) if identifier and identifier.get("value") else None
        if text[0] == "#":
            return self._contained_patient(holder, path, text)
        target = self.index.local.get(text) if self.index.local else None
        if target is not None:
            kind, target_id = target.type, target.id
        else:
            kind, target_id, system, base = parse_reference(text)
            if system is not None:
                return self._searched_patient(reference, holder, path, system, target_id)
            if text.startswith("urn:") or self.index.is_elsewhere(base):
                # The patient is not known here, but all such rows are about one person.
                self.index.find(reference, holder, "Patient", path)
                return f"{self.feed.name}/{text}"
        # A Group may be the subject of an encounter: no patient.
        return f"{self.feed.name}/{target_id}" if target_id and kind in ("Patient", "") else None

    def _contained_patient(self, holder: Json, path: str, text: str) -> str | None:
        for resource in holder.get("contained") or ():
            if resource.get("id") == text[1:]:
                number = self.medical_record_number(resource)
                return number or f"{self.feed.name}/{holder.get('resourceType')}/{self.record.rpartition('/')[2]}{text}"
        self.index.find({"reference": text}, holder, "Patient", path)
        return None

    def _searched_patient(self, reference: Json, holder: Json, path: str, system: str, value: str) -> str | None:
        if not value:
            return None
        if is_system(system, self.profile.identifiers.get("patient_system")):
            return issued_by(value, system, self.profile.identifiers.get("patient_system"))
        target = self.index.find(reference, holder, "Patient", path)
        return f"{self.feed.name}/{target.id}" if target and target.id else f"{self.feed.name}/{system}|{value}"

    def _by_number(self, identifier: Json) -> str:
        names, value = self.profile.identifiers, identifier["value"]
        wanted = names.get("patient_type")
        if is_system(identifier.get("system"), names.get("patient_system")) or (wanted and is_type(identifier, wanted)):
            return issued_by(value, identifier.get("system"), names.get("patient_system"))
        # Another kind of number: the same digits may be another person's medical record number.
        return f"{self.feed.name}/{identifier.get('system') or ''}|{value}"

    def medical_record_number(self, resource: Json) -> str | None:
        """The medical record number of a Patient, with its issuer: by the profile's system, else by its type of identifier."""
        names = self.profile.identifiers
        number = number_of_system(resource, names.get("patient_system"))
        return number or number_of_type(resource, names.get("patient_type"))

    def provider(self, reference: Json | None, holder: Json, path: str) -> str | None:
        """The provider a reference leads to, through a PractitionerRole too; None for organizations."""
        if not reference:
            return None
        text = reference.get("reference")
        provider_id = self._providers.get(text)
        if provider_id is not None and "identifier" not in reference:
            return provider_id
        provider_id = self.provider_of(self.index.find(reference, holder, "Practitioner", path))
        if provider_id and _is_lasting(reference, text):
            self._providers[text] = provider_id
        return provider_id

    def provider_of(self, target: Known | None) -> str | None:
        """The provider behind the target of a reference."""
        if target is not None and target.type == "PractitionerRole" and target.links:
            target = self.index.find(target.links[0], _ROLE, "Practitioner", "practitioner") or target
        if target is None or target.type not in ("Practitioner", "PractitionerRole"):
            return None
        return target.id or None

    def unit(self, reference: Json | None, holder: Json, path: str) -> str | None:
        """The service unit a reference leads to: a Location or an Organization."""
        if not reference:
            return None
        text = reference.get("reference")
        unit_id = self._units.get(text)
        if unit_id is not None and "identifier" not in reference:
            return unit_id
        target = self.index.find(reference, holder, "Location", path)
        unit_id = (target.id or None) if target is not None and target.type in ("Location", "Organization") else None
        if unit_id and _is_lasting(reference, text):
            self._units[text] = unit_id
        return unit_id

    # Rows that many resources repeat: one a chunk is enough.

    def visit_type(self, concept: Json | None) -> str | None:
        """The id of a visit type, whose row is added where it has a name and not only a code."""
        if not concept:
            return None
        identifier: str | None
        try:
            identifier = concept["coding"][0]["code"]
        except (KeyError, IndexError):
            identifier = None
        if type(identifier) is not str:
            identifier = code_of(concept)
        if identifier is not None and identifier not in self._visit_types:
            name = name_of(concept)
            if name and name != identifier:
                self._visit_types.add(identifier)
                with self._lineage_of(identifier, None, 0, self.position):
                    self.add_visit_type(visit_type_id=identifier, name=name)
        return identifier

    def payer(self, reference: Json | None, holder: Json, path: str) -> str | None:
        """The id of a payer, whose row is added where its name is known. A patient who pays is self-pay."""
        if not reference:
            return None
        target = self.index.find(reference, holder, "Organization", path)
        text = payer_text(outside(reference, holder))
        if target is not None and target.type in ("Patient", "RelatedPerson"):
            return self.payer_named(*SELF_PAY)
        if target is not None and target.id:
            return self.payer_named(target.id, text[1]) if text else target.id
        return self.payer_named(*text) if text else None

    def payer_of_coverage(self, reference: Json | None, holder: Json, path: str) -> str | None:
        """The payer of the coverage a reference leads to; else the payer its text names."""
        if not reference:
            return None
        if reference.get("reference"):
            target = self.index.find(reference, holder, "Coverage", path)
            if target is not None and target.links and (payer_id := self.payer(target.links[0], _COVERAGE, "payor")):
                return payer_id
        text = payer_text(reference)
        return self.payer_named(*text) if text else None

    def payer_named(self, payer_id: str, name: str) -> str:
        """Adds a payer's row, its class from the profile by id or name; returns the id."""
        if payer_id not in self._payers:
            self._payers.add(payer_id)
            with self._lineage_of(payer_id, None, 0, self.position):
                self.add_payer(
                    payer_id=payer_id,
                    effective_from=SINCE_EVER,
                    name=name,
                    payer_class=self.payer_class(payer_id, name),
                )
        return payer_id

    def payer_class(self, payer_id: str, name: str) -> str:
        """A payer's class from the profile."""
        classes = self.profile.payer_classes
        return classes.get(payer_id.lower()) or classes.get(normal_text(name)) or "unmapped"

    @contextmanager
    def _lineage_of(self, record: str, updated_at: str | None, version: int, position: str) -> Iterator[None]:
        """Rows added within are rows of this record, and not of the resource that was begun last."""
        of_resource, self.lineage = self.lineage, (record, updated_at, version, position)
        try:
            yield
        finally:
            self.lineage = of_resource


def _is_lasting(reference: Json, text: Any) -> bool:
    """True for a reference with a resource and its type: it leads to the same row in all places of a file."""
    return bool(text) and "/" in text and text[0] != "#" and "identifier" not in reference


def version_of(version: Any) -> int:
    """A version as a number that grows: versionId "3", an ETag `W/"3"`; 0 for versions that do not count."""
    digits = version.removeprefix("W/").strip('"') if type(version) is str else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
