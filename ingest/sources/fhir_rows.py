"""Collects the rows that resources give, one table an entity, and makes frames of them."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from data_contracts import LINEAGE, contract
from foundation.config import Feed
from ingest.profiles import FhirProfile
from ingest.sources.columns import to_series
from ingest.sources.fhir_index import Index, Known, payer_text
from ingest.sources.fhir_tables import COLUMNS
from ingest.sources.fhir_values import Json, identifier_of, normal_text, parse_reference, record_id

# Days on which things hold whose start no resource states (the key of the contract needs one).
SINCE_EVER = "1900-01-01"
SELF_PAY = ("self_pay", "Self pay")


class Refused(Exception):
    """A resource gives no row. `reason` is a stable word, `detail` holds nothing of the resource."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass
class Context:
    """What a mapping needs to know, and where its rows go. One a unit."""

    feed: Feed
    profile: FhirProfile
    index: Index
    file_date: str
    file_time: str
    position: str = ""
    record: str = ""
    updated_at: str | None = None
    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    seen: set[tuple[str, str]] = field(default_factory=set)

    def begin(self, resource: Json, position: str, full_url: str | None) -> str:
        """Starts a resource; returns its id. Raises ValueError where it has none."""
        self.position = position
        self.record = found = record_id(resource, full_url)
        meta = resource.get("meta")
        self.updated_at = meta.get("lastUpdated") if meta else None
        return found

    def add(self, entity: str, *values: Any) -> None:
        """One row: the values of COLUMNS[entity], in that order."""
        self.tables[entity].append((*values, self.record, self.updated_at, self.position))

    def take_back(self) -> None:
        """Removes what the resource begun last has given: it was refused half way."""
        for rows in self.tables.values():
            while rows and rows[-1][-1] == self.position:
                rows.pop()
        self.seen.clear()

    def frames(self) -> dict[str, pl.DataFrame]:
        """The collected rows as frames with the contract's types, or text; the tables are empty afterwards."""
        found = {}
        for entity, rows in self.tables.items():
            if not rows:
                continue
            of = contract(entity)
            columns = zip(*rows, strict=True)
            names = (*COLUMNS[entity], *LINEAGE)
            found[entity] = pl.DataFrame(
                [
                    to_series(of.by_name[name], values, zone=self.feed.time_zone)
                    for name, values in zip(names, columns, strict=True)
                ]
            )
            self.tables[entity] = []
        self.seen.clear()
        return found

    # References

    def id_of(self, reference: Json | None, holder: Json, expected: str) -> str | None:
        """The id of the row a reference leads to, whatever its type."""
        known = self.index.find(reference, holder, expected)
        return (known.id or None) if known else None

    def patient(self, reference: Json | None, holder: Json) -> str | None:
        """The raw identifier of a patient: bare for a medical record number, else with the feed's name."""
        if not reference:
            return None
        text = reference.get("reference")
        if isinstance(text, str) and text and text[0] != "#" and "?" not in text:
            known = self.index.local.get(text) if self.index.local else None
            kind, found = (known.type, known.id) if known else parse_reference(text)[:2]
            # A Group may be the subject of an encounter: no patient.
            return f"{self.feed.name}/{found}" if found and kind in ("Patient", "") else None
        return self._patient_by_identifier(reference, holder, text)

    def _patient_by_identifier(self, reference: Json, holder: Json, text: str | None) -> str | None:
        if text and text[0] == "#":
            for resource in holder.get("contained") or ():
                if resource.get("id") == text[1:]:
                    number = self.medical_record_number(resource)
                    return number or f"{self.feed.name}/{holder.get('resourceType')}/{self.record}{text}"
            return None
        if text:
            _, value, system = parse_reference(text)
            return self._identified(system, value, None)
        identifier = reference.get("identifier")
        if not identifier or not identifier.get("value"):
            return None
        kinds = {coding.get("code") for coding in (identifier.get("type") or {}).get("coding") or ()}
        return self._identified(identifier.get("system"), identifier["value"], kinds)

    def _identified(self, system: str | None, value: str, kinds: set[Any] | None) -> str | None:
        if not value:
            return None
        known = self.profile.identifiers
        is_number = system is not None and system == known.get("patient_system")
        if is_number or (kinds and known.get("patient_type") in kinds):
            return value
        # Another kind of number: the same digits may be another person's medical record number.
        return f"{self.feed.name}/{system or ''}|{value}"

    def medical_record_number(self, resource: Json) -> str | None:
        """The medical record number of a Patient: by the profile's system, else by its type of identifier."""
        number = identifier_of(resource, self.profile.identifiers.get("patient_system"))
        wanted = self.profile.identifiers.get("patient_type")
        if number or not wanted:
            return number
        for item in resource.get("identifier") or ():
            if item.get("value") and item.get("use") != "old":
                for coding in (item.get("type") or {}).get("coding") or ():
                    if coding.get("code") == wanted:
                        return str(item["value"])
        return None

    def provider(self, reference: Json | None, holder: Json) -> str | None:
        """The provider a reference leads to, through a PractitionerRole too; None for organizations."""
        known = self.index.find(reference, holder, "Practitioner")
        return self.provider_of(known, holder)

    def provider_of(self, known: Known | None, holder: Json) -> str | None:
        """The provider behind what a reference leads to."""
        if known is not None and known.type == "PractitionerRole" and known.links:
            known = self.index.find(known.links[0], holder, "Practitioner") or known
        if known is None or known.type not in ("Practitioner", "PractitionerRole"):
            return None
        return known.id or None

    def unit(self, reference: Json | None, holder: Json) -> str | None:
        """The service unit a reference leads to: a Location or an Organization."""
        known = self.index.find(reference, holder, "Location")
        return (known.id or None) if known and known.type in ("Location", "Organization") else None

    # Rows that many resources repeat: one a chunk is enough.

    def visit_type(self, identifier: str | None, name: str | None) -> str | None:
        """The id of a visit type, whose row is added where it has a name and not only a code."""
        if identifier and name and name != identifier and ("visit_type", identifier) not in self.seen:
            self.seen.add(("visit_type", identifier))
            self.tables["visit_type"].append((identifier, name, identifier, None, self.position))
        return identifier

    def payer(self, reference: Json | None, holder: Json) -> str | None:
        """The id of a payer, whose row is added where its name is known. A patient who pays is self-pay."""
        if not reference:
            return None
        known = self.index.find(reference, holder, "Organization")
        text = payer_text(reference)
        if known is not None and known.type in ("Patient", "RelatedPerson"):
            return self.add_payer(*SELF_PAY)
        if known is not None and known.id:
            return self.add_payer(known.id, text[1]) if text else known.id
        return self.add_payer(*text) if text else None

    def payer_of_coverage(self, reference: Json | None, holder: Json) -> str | None:
        """The payer of the coverage a reference leads to; else the payer its text names."""
        if not reference:
            return None
        if reference.get("reference"):
            known = self.index.find(reference, holder, "Coverage")
            if known is not None and known.links and (found := self.payer(known.links[0], holder)):
                return found
        text = payer_text(reference)
        return self.add_payer(*text) if text else None

    def add_payer(self, payer_id: str, name: str) -> str:
        """Adds a payer's row, its class from the profile by id or name; returns the id."""
        if ("payer", payer_id) not in self.seen:
            self.seen.add(("payer", payer_id))
            classes = self.profile.payer_classes
            payer_class = classes.get(payer_id.lower()) or classes.get(normal_text(name)) or "unmapped"
            self.tables["payer"].append((payer_id, SINCE_EVER, name, payer_class, payer_id, None, self.position))
        return payer_id
