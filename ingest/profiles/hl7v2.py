"""The profile of a sender of HL7 v2 messages: its words, its time zone and its habits.

Every key is optional. Words that the standard defines need no entry; see `ingest.sources.hl7v2.map`.

    kind: hl7v2
    time_zone: tenant                          # of times without an offset: `tenant`, or an IANA name
    uses_msh7_offset: "yes"                    # "no": the offset in MSH-7 does not hold for the other times of a message
    visit_number: [PV1-19, PV1-50, PID-18]     # fields that may hold the visit number, the first one that has a value counts
    appointment_statuses: {KEPT: completed}    # SCH-25
    cancel_initiators: {WEATHER: clinic}       # SCH-6, of appointments that were cancelled, missed or moved
    visit_classes: {OBV: OBSENC}               # PV1-2
    sexes: {T: other}                          # PID-8
    languages: {creole: ht}                    # PID-15
    payer_classes: {blue shield: commercial}   # a payer's id (IN1-3) or name (IN1-4)
    transaction_types: {PAY: PY}               # FT1-6
    duration_units: {MINUTEN: 1}               # SCH-10 and the like, in minutes
    events: {ADT^Z01: ADT^A01}                 # an event of the sender's own that is read like one of the standard
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import yaml

from foundation.yaml_nodes import NodeReader
from ingest.profiles.word_lists import TENANT_ZONE, no_words, time_zone, values_of, word_list

VISIT_NUMBERS = ("PV1-19", "PV1-50", "PID-18")
VISIT_NUMBER_FIELDS = (*VISIT_NUMBERS, "PV1-5", "PID-3")
TRANSACTION_TYPES = ("CG", "CR", "CD", "PY", "CO", "AJ")
_EVENT = re.compile(r"[A-Z]{3}\^[A-Z][A-Z0-9]{2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_MINUTES = re.compile(r"\d{1,4}(\.\d{1,4})?")


@dataclass(frozen=True, kw_only=True)
class HL7v2Profile:
    """A checked profile; without a file, the standard's own words and habits. Words are folded (`word_lists.folded`); `events`
    maps "ADT^Z01" to "ADT^A01", `duration_units` a unit to minutes as text."""

    name: str = ""
    time_zone: str = TENANT_ZONE
    uses_msh7_offset: bool = True
    visit_number: tuple[str, ...] = VISIT_NUMBERS
    appointment_statuses: Mapping[str, str] = field(default_factory=no_words)
    cancel_initiators: Mapping[str, str] = field(default_factory=no_words)
    visit_classes: Mapping[str, str] = field(default_factory=no_words)
    sexes: Mapping[str, str] = field(default_factory=no_words)
    languages: Mapping[str, str] = field(default_factory=no_words)
    payer_classes: Mapping[str, str] = field(default_factory=no_words)
    transaction_types: Mapping[str, str] = field(default_factory=no_words)
    duration_units: Mapping[str, str] = field(default_factory=no_words)
    events: Mapping[str, str] = field(default_factory=no_words)

    def zone(self, tenant_zone: str) -> ZoneInfo:
        """The time zone of times without an offset."""
        return ZoneInfo(tenant_zone if self.time_zone == TENANT_ZONE else self.time_zone)


# Profile key -> the column whose values its words may mean.
COLUMNS = {
    "appointment_statuses": ("appointment", "status"),
    "cancel_initiators": ("appointment", "cancel_initiator"),
    "visit_classes": ("encounter", "encounter_class"),
    "sexes": ("patient", "sex"),
    "payer_classes": ("payer", "payer_class"),
}
_KEYS = (
    "time_zone",
    "uses_msh7_offset",
    "visit_number",
    *COLUMNS,
    "languages",
    "transaction_types",
    "duration_units",
    "events",
)


def parse_hl7v2(reader: NodeReader, root: yaml.Node, name: str) -> HL7v2Profile:
    """Checks the nodes of one file. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(root, "", ("kind", *_KEYS))
    words = {
        key: word_list(reader, nodes.get(key), key, values_of(entity, column))
        for key, (entity, column) in COLUMNS.items()
    }
    offset = nodes.get("uses_msh7_offset")
    return HL7v2Profile(
        name=name,
        time_zone=time_zone(reader, nodes.get("time_zone")),
        uses_msh7_offset=True if offset is None else reader.yes_or_no(offset, "uses_msh7_offset"),
        visit_number=_visit_number(reader, nodes.get("visit_number")),
        languages=word_list(reader, nodes.get("languages"), "languages", _LANGUAGE, "a BCP 47 code such as en"),
        transaction_types=word_list(reader, nodes.get("transaction_types"), "transaction_types", TRANSACTION_TYPES),
        duration_units=word_list(
            reader, nodes.get("duration_units"), "duration_units", _MINUTES, "a number of minutes such as 60"
        ),
        events=_events(reader, nodes.get("events")),
        **words,
    )


def _visit_number(reader: NodeReader, node: yaml.Node | None) -> tuple[str, ...]:
    if node is None:
        return VISIT_NUMBERS
    fields = tuple(
        reader.one_of(item, "visit_number", VISIT_NUMBER_FIELDS) for item in reader.items(node, "visit_number")
    )
    if not fields:
        raise reader.fail(node, "visit_number", "must name at least one field, such as PV1-19")
    return fields


def _events(reader: NodeReader, node: yaml.Node | None) -> Mapping[str, str]:
    events = {}
    for event, value in (reader.mapping(node, "events") if node is not None else {}).items():
        place = f"events.{event}"
        if not _EVENT.fullmatch(event):
            raise reader.fail(value, place, "is not a message type and an event, such as ADT^Z01")
        events[event] = reader.matching(value, place, _EVENT, "a message type and an event, such as ADT^A01")
        if events[event][:3] != event[:3]:
            raise reader.fail(value, place, f"{events[event]!r} is of another message type")
    return events
