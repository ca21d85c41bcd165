"""The profile of a FHIR feed: which identifier is which, and what a vendor's codes mean.

Every key is optional; what a file leaves out comes from the profile it `extends` (lists and texts are replaced, maps
are merged, an entry of the same name wins). `r4` holds what the standard itself says.

    kind: fhir
    extends: r4
    identifiers:                       # identifier system that names a record; without one, the resource's id does
      patient_type: MR                 #   type code (HL7 table 0203) of the medical record number
      patient_system: urn:oid:1.2.3    #   or its system
      npi: http://hl7.org/fhir/sid/us-npi
      encounter: urn:oid:1.2.4
    payer_classes: {private: commercial}
    requires:                          # what a server must offer, checked against its CapabilityStatement
      resources: [Patient, Encounter]
      operations: [group-export]       #   the last part of their definitions' addresses
    export_types: [Patient, Encounter] # what is asked of a bulk export (`_type`)
    export_since: "yes"                # "no" for servers that export everything every time and know no `_since`
    search:                            # what comes by paged search: query texts, each of them asked
      Appointment: ["_lastUpdated=ge{since}", "patient={Patient}&date=ge{from}"]

A search may hold

    {since}         the moment up to which the last complete read has brought changes, some overlap before it
                    (2026-11-20T23:00:00Z); long ago for the first read
    {from}          the first day wanted of what is searched by its own date: some weeks ago, since statuses of past days still
                    change; long ago for the first read
    {today}, {until}   today, and the last day of future schedules that is wanted (2026-11-21)
    {Patient}, {Location}, {Practitioner}, {Schedule}   the search is asked once for each id of that type that the export, or
                    a search named before it, has brought
    {base}          the address of the server

An identifier system may hold one `*` for what differs between customers of a vendor: `urn:oid:1.2.840.114350.1.13.*.698084.8`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import yaml

from data_contracts import contract
from foundation.yaml_nodes import NodeReader

IDENTIFIERS = (
    "patient_type",
    "patient_system",
    "npi",
    "encounter",
    "encounter_type",
    "appointment",
    "claim",
    "organization",
    "location",
)
PLACEHOLDERS = ("since", "from", "today", "until", "Patient", "Location", "Practitioner", "Schedule", "base")
_RESOURCE_TYPE = re.compile(r"[A-Z][A-Za-z]{1,60}")
_OPERATION = re.compile(r"[a-z][a-z0-9-]{0,60}")


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a server must offer: resource types it must know, operations it must list. Search parameters follow from
    `FhirProfile.search_parameters`."""

    resources: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FhirProfile:
    """A checked profile. Maps go from the source's code to the word of the contract.

    `payer_classes` is keyed by the payer's id or its text in lower case. `cancel_initiators` by the first letters of the
    reason code. `adjudication` says what an adjudication category amounts to: billed, allowed, paid, patient, denial, or none of these.
    `adjudication_adjustments` turns a category's amount into an adjustment, "PR-1" being group and reason.
    `requires`, `export_types` and `search` are for feeds that have a server: see the module.
    """

    name: str
    identifiers: Mapping[str, str]
    payer_classes: Mapping[str, str]
    payer_organization_types: tuple[str, ...]
    organization_unit_types: Mapping[str, str]
    location_unit_types: Mapping[str, str]
    staffed_beds_extension: str
    slot_location_extension: str
    appointment_statuses: Mapping[str, str]
    walk_in_types: tuple[str, ...]
    cancel_initiators: Mapping[str, str]
    slot_statuses: Mapping[str, str]
    encounter_statuses: Mapping[str, str]
    encounter_classes: Mapping[str, str]
    encounter_events: Mapping[str, str]
    stay_classes: tuple[str, ...]
    provider_participant_types: tuple[str, ...]
    claim_types: Mapping[str, str]
    adjudication: Mapping[str, str]
    adjudication_adjustments: Mapping[str, str]
    sexes: Mapping[str, str]
    requires: Requirements
    export_types: tuple[str, ...]
    export_since: bool
    search: Mapping[str, tuple[str, ...]]

    def search_parameters(self, resource_type: str) -> tuple[str, ...]:
        """Names of the search parameters that the searches of a type need, without modifiers: ("date", "patient").

        Those that begin with `_` are left out: they belong to every type, and few servers list them."""
        pairs = [pair for query in self.search.get(resource_type, ()) for pair in query.split("&")]
        names = dict.fromkeys(pair.partition("=")[0].partition(":")[0] for pair in pairs)
        return tuple(name for name in names if not name.startswith("_"))


# Which words a map may lead to, by profile key.
_WORDS = {
    "payer_classes": ("payer", "payer_class"),
    "organization_unit_types": ("service_unit", "unit_type"),
    "location_unit_types": ("service_unit", "unit_type"),
    "appointment_statuses": ("appointment", "status"),
    "cancel_initiators": ("appointment", "cancel_initiator"),
    "slot_statuses": ("slot", "status"),
    "encounter_statuses": ("encounter", "status"),
    "encounter_classes": ("encounter", "encounter_class"),
    "encounter_events": ("encounter_event", "event_type"),
    "claim_types": ("claim", "claim_type"),
    "sexes": ("patient", "sex"),
}
ADJUDICATION_WORDS = ("billed", "allowed", "paid", "patient", "denial", "none")
_KEYS = tuple(item.name for item in fields(FhirProfile) if item.name != "name")
_LISTS = ("payer_organization_types", "walk_in_types", "stay_classes", "provider_participant_types", "export_types")
_TEXTS = ("staffed_beds_extension", "slot_location_extension")


def parse_fhir(reader: NodeReader, root: yaml.Node, name: str, base: FhirProfile | None) -> FhirProfile:
    """Checks the nodes of one file over the profile it extends. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(root, "", ("kind", "extends", *_KEYS))
    values: dict[str, object] = {"name": name}
    for key in _KEYS:
        node = nodes.get(key)
        if key in _TEXTS:
            values[key] = reader.text(node, key) if node is not None else (getattr(base, key) if base else "")
        elif key == "requires":
            values[key] = _requirements(reader, node, base.requires if base else Requirements())
        elif key == "export_since":
            values[key] = _yes_or_no(reader, node, key) if node is not None else (base.export_since if base else True)
        elif key == "search":
            values[key] = MappingProxyType({**(base.search if base else {}), **_searches(reader, node)})
        elif key in _LISTS:
            values[key] = reader.texts(node, key) if node is not None else (getattr(base, key) if base else ())
        else:
            held: Mapping[str, str] = getattr(base, key) if base else {}
            values[key] = MappingProxyType({**held, **(_map(reader, node, key) if node is not None else {})})
    return FhirProfile(**values)  # type: ignore[arg-type]


def _map(reader: NodeReader, node: yaml.Node, key: str) -> dict[str, str]:
    mapped = {}
    for name, value in reader.mapping(node, key, IDENTIFIERS if key == "identifiers" else None).items():
        text = reader.text(value, f"{key}.{name}")
        words: tuple[str, ...] = ADJUDICATION_WORDS if key == "adjudication" else ()
        if key in _WORDS:
            entity, column = _WORDS[key]
            words = contract(entity).by_name[column].valid_values
        if key == "identifiers" and text.count("*") > 1:
            raise reader.fail(value, f"{key}.{name}", f"{text!r} holds more than one *")
        if words and text not in words:
            raise reader.fail(value, f"{key}.{name}", f"{text!r} is not one of {', '.join(words)}")
        mapped[name.strip().lower() if key == "payer_classes" else name] = text
    return mapped


def _yes_or_no(reader: NodeReader, node: yaml.Node, key: str) -> bool:
    text = reader.text(node, key).lower()
    if text not in ("yes", "true", "no", "false"):
        raise reader.fail(node, key, f"{text!r} is not one of yes, no")
    return text in ("yes", "true")


def _requirements(reader: NodeReader, node: yaml.Node | None, base: Requirements) -> Requirements:
    if node is None:
        return base
    nodes = reader.mapping(node, "requires", ("resources", "operations"))
    required = {}
    for name, pattern, what in (
        ("resources", _RESOURCE_TYPE, "a resource type such as Patient"),
        ("operations", _OPERATION, "the name of an operation such as group-export"),
    ):
        held = getattr(base, name)
        if name in nodes:
            key = f"requires.{name}"
            held = tuple(reader.matching(item, key, pattern, what) for item in reader.items(nodes[name], key))
        required[name] = held
    return Requirements(**required)


def _searches(reader: NodeReader, node: yaml.Node | None) -> dict[str, tuple[str, ...]]:
    """Searches by resource type; an empty list takes away what the profile below asks."""
    searches = {}
    for kind, value in (reader.mapping(node, "search") if node is not None else {}).items():
        key = f"search.{kind}"
        if not _RESOURCE_TYPE.fullmatch(kind):
            raise reader.fail(value, key, "is not a resource type such as Appointment")
        for item in reader.items(value, key):
            for pair in reader.text(item, key).split("&"):
                name, equals, _ = pair.partition("=")
                if not equals or not name:
                    raise reader.fail(item, key, f"{pair!r} is not a search parameter such as date=ge{{since}}")
                for word in re.findall(r"{(.*?)}", pair):
                    if word not in PLACEHOLDERS:
                        raise reader.fail(item, key, f"{{{word}}} is not one of {', '.join(PLACEHOLDERS)}")
        searches[kind] = reader.texts(value, key)
    return searches
