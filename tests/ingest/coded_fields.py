"""Every coded field of every protocol, with a message that holds a word in it: what tests of unknown words go through."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.config import Feed
from ingest.landing import unknown_words as landing_words
from ingest.load.partial_rows import landing_contract
from ingest.sources import source_for
from tests.ingest.test_hl7v2 import message
from tests.ingest.x12_files import CLAIM_BODY, REMITTANCE_BODY, interchange, transaction


def sch(
    number: int,
    *,
    status: str = "BOOKED",
    reason: str = "",
    event: str = "S14",
    unit: str = "MIN",
    end: str = "20260310103000",
) -> str:
    fields = f"SCH||F{number}||||{reason}|||30|{unit}|^^30^20260310100000^{end}||||||||||||||{status}"
    pid = f"PID|1||M{number}^^^NORTH^MR||DOE^PAT||19800101|F"
    return message(f"SIU^{event}", fields, pid, "AIL|1||CLIN", control=f"{event}{number}", sent="20260311080000")


def adt(number: int, *, kind: str = "ADT^A04", visit_class: str = "O", sex: str = "F", language: str = "eng") -> str:
    pid = f"PID|1||M{number}^^^NORTH^MR||DOE^PAT||19800101|{sex}|||||||{language}"
    pv1 = f"PV1|1|{visit_class}|CLIN||||||||||||||||V{number}"
    at = "20260311080000"
    return message(kind, f"EVN|A04|{at}", pid, pv1, control=f"A{number}", sent=at)


def ft1(number: int, kind: str) -> str:
    fields = f"FT1|1|T{number}||20260311|20260311|{kind}|A1234|||1|50.00"
    pid = f"PID|1||M{number}^^^NORTH^MR||DOE^PAT||19800101|F"
    return message("DFT^P03", "EVN|P03|20260311080000", pid, fields, control=f"D{number}", sent="20260311080000")


def claims(old: str, new: str) -> str:
    body = [segment.replace(old, new) if old in segment else segment for segment in CLAIM_BODY]
    return interchange(transaction("837", body))


def remittance(old: str, new: str) -> str:
    body = [segment.replace(old, new, 1) if segment.startswith(old[:4]) else segment for segment in REMITTANCE_BODY]
    return interchange(transaction("835", body), version="005010X221A1")


def statuses(category: str) -> str:
    body = [
        *("BHT*0085*08*1*20260102*0930*TH", "HL*1**20*1", "NM1*PR*2*PLAN ONE*****PI*87726", "HL*2*1*21*1"),
        *("NM1*41*2*HARBOR*****46*1", "HL*3*2*19*1", "NM1*85*2*HARBOR CLINIC*****XX*1234567893", "HL*4*3*PT"),
        *("NM1*QC*1*DOE*JANE", "TRN*2*ACCT1", f"STC*{category}:20*20260102*WQ*100"),
    ]
    return interchange(transaction("277", body), version="005010X214")


def acknowledgements(code: str) -> str:
    body = ["AK1*HC*1*005010X222A1", "AK2*837*0001*005010X222A1", f"IK5*{code}", "AK9*A*1*1*1"]
    return interchange(transaction("999", body), version="005010X231A1")


def resource(**fields: Any) -> str:
    return json.dumps(fields) + "\n"


CLASS = {"code": "AMB"}
PATIENT = {"subject": {"reference": "Patient/p1"}, "period": {"start": "2026-03-02T09:00:00Z"}}
SLOT = {"start": "2026-03-02T09:00:00Z", "end": "2026-03-02T09:20:00Z", "schedule": {"reference": "Schedule/s1"}}


@dataclass(frozen=True)
class Field:
    """One coded field of a kind of feed. `content` makes a file in which it holds a word, `value` is what a row must have for an
    unknown word (None where no row comes of it). `list` is the list of the profile that teaches it, `meaning` what that says, and
    `then` what the row has after that, where it differs."""

    kind: str
    entity: str
    column: str
    content: Callable[[str], str]
    value: str | None
    list: str
    meaning: str
    then: str = ""
    file: str = "file.txt"

    def __str__(self) -> str:
        return f"{self.kind}-{self.entity}-{self.column}-{self.list}"


FIELDS = [
    Field("hl7v2", "appointment", "status", lambda w: sch(1, status=w), "unknown", "appointment_statuses", "no_show"),
    Field(
        "hl7v2",
        "appointment",
        "cancel_initiator",
        lambda w: sch(1, reason=w, event="S15"),
        None,
        "cancel_initiators",
        "payer",
    ),
    Field("hl7v2", "appointment", "minutes", lambda w: sch(1, unit=w, end=""), None, "duration_units", "2"),
    Field("hl7v2", "encounter", "encounter_class", lambda w: adt(1, visit_class=w), "UNK", "visit_classes", "HH"),
    Field("hl7v2", "patient", "sex", lambda w: adt(1, sex=w), "unknown", "sexes", "other"),
    Field("hl7v2", "patient", "language", lambda w: adt(1, language=w), None, "languages", "ht"),
    Field("hl7v2", "charge", "transaction_type", lambda w: ft1(1, w), None, "transaction_types", "CG"),
    Field("hl7v2", "record", "event", lambda w: adt(1, kind=f"ADT^{w[:3]}"), None, "events", "ADT^A04"),
    Field(
        "x12",
        "payer",
        "payer_class",
        lambda w: claims("SBR*P*18*******MB", f"SBR*P*18*******{w}"),
        "unmapped",
        "filing_indicators",
        "MC",
        "medicaid",
    ),
    Field(
        "x12",
        "remittance_claim",
        "filing_indicator",
        lambda w: remittance("CLP*ACCT1*1*100*40*20*MB", f"CLP*ACCT1*1*100*40*20*{w}"),
        "",
        "filing_indicators",
        "CH",
    ),
    Field(
        "x12",
        "claim",
        "payer_sequence",
        lambda w: claims("SBR*P*18", f"SBR*{w}*18"),
        "unknown",
        "payer_sequences",
        "T",
        "tertiary",
    ),
    Field("x12", "claim", "frequency_code", lambda w: claims("11:B:7", f"11:B:{w}"), "", "claim_frequencies", "8"),
    Field(
        "x12",
        "remittance_claim",
        "claim_status_code",
        lambda w: remittance("CLP*ACCT1*1*", f"CLP*ACCT1*{w}*"),
        "",
        "claim_statuses",
        "4",
    ),
    Field(
        "x12",
        "remittance_adjustment",
        "group_code",
        lambda w: remittance("CAS*CO*45*10", f"CAS*{w}*45*10"),
        "",
        "adjustment_groups",
        "OA",
    ),
    Field("x12", "claim_status", "category_code", lambda w: statuses(w), "", "status_categories", "A3"),
    Field("x12", "acknowledgement", "outcome_code", lambda w: acknowledgements(w), None, "acknowledgement_codes", "R"),
    Field(
        "fhir",
        "appointment",
        "status",
        lambda w: resource(resourceType="Appointment", id="a1", status=w),
        "unknown",
        "appointment_statuses",
        "no_show",
        file="Appointment.ndjson",
    ),
    Field(
        "fhir",
        "appointment",
        "cancel_initiator",
        lambda w: resource(
            resourceType="Appointment", id="a1", status="cancelled", cancelationReason={"coding": [{"code": w}]}
        ),
        "unknown",
        "cancel_initiators",
        "payer",
        file="Appointment.ndjson",
    ),
    Field(
        "fhir",
        "slot",
        "status",
        lambda w: resource(resourceType="Slot", id="s1", status=w, **SLOT),
        "",
        "slot_statuses",
        "held",
        file="Slot.ndjson",
    ),
    Field(
        "fhir",
        "encounter",
        "status",
        lambda w: resource(resourceType="Encounter", id="e1", status=w, **PATIENT, **{"class": CLASS}),
        "unknown",
        "encounter_statuses",
        "finished",
        file="Encounter.ndjson",
    ),
    Field(
        "fhir",
        "encounter",
        "encounter_class",
        lambda w: resource(resourceType="Encounter", id="e1", status="finished", **PATIENT, **{"class": {"code": w}}),
        "UNK",
        "encounter_classes",
        "HH",
        file="Encounter.ndjson",
    ),
    Field(
        "fhir",
        "encounter_event",
        "event_type",
        lambda w: resource(
            resourceType="Encounter",
            id="e1",
            status="finished",
            **PATIENT,
            **{"class": CLASS},
            statusHistory=[{"status": w, "period": {"start": "2026-03-02T09:05:00Z"}}],
        ),
        None,
        "encounter_events",
        "roomed",
        file="Encounter.ndjson",
    ),
    Field(
        "fhir",
        "patient",
        "sex",
        lambda w: resource(resourceType="Patient", id="p1", gender=w),
        "unknown",
        "sexes",
        "other",
        file="Patient.ndjson",
    ),
    Field(
        "fhir",
        "service_unit",
        "unit_type",
        lambda w: resource(resourceType="Location", id="l1", physicalType={"coding": [{"code": w}]}),
        "clinic",
        "location_unit_types",
        "ward",
        file="Location.ndjson",
    ),
    Field(
        "fhir",
        "organization",
        "type",
        lambda w: resource(resourceType="Organization", id="o1", name="North", type=[{"coding": [{"code": w}]}]),
        None,
        "organization_unit_types",
        "program",
        file="Organization.ndjson",
    ),
    Field(
        "fhir",
        "claim",
        "claim_type",
        lambda w: resource(resourceType="Claim", id="c1", use="claim", status="active", type={"coding": [{"code": w}]}),
        "unknown",
        "claim_types",
        "dental",
        file="Claim.ndjson",
    ),
]


def profile_of(field: Field, word: str, folder: Path) -> str:
    """The path of a profile that teaches the word."""
    word = f"ADT^{word[:3]}" if field.list == "events" else word
    path = folder / "sender.yaml"
    extends = "extends: r4\n" if field.kind == "fhir" else ""
    path.write_text(f"kind: {field.kind}\n{extends}{field.list}:\n  {word!r}: {field.meaning!r}\n", encoding="utf-8")
    return str(path)


def read(
    field: Field, word: str, folder: Path, profile: str | None
) -> tuple[dict[str, list[dict[str, Any]]], list[Any]]:
    """Rows by entity as they go to the contract gate, and the unknown words of a file that holds the word."""
    path = folder / field.file
    path.write_text(field.content(word), encoding="utf-8")
    feed = Feed(tenant_id="t", name="f", kind=field.kind, path=str(path), profile=profile, time_zone="America/New_York")
    source = source_for(field.kind)
    rows: dict[str, list[dict[str, Any]]] = {}
    words: list[Any] = []
    for chunk in source.read(source.discover(feed)[0]):
        words += chunk.unknown_words
        for entity, frame in chunk.rows.items():
            entity_contract = landing_contract(field.kind, entity)
            words += landing_words.unknown_words(entity_contract, frame)
            rows.setdefault(entity, []).extend(landing_words.with_unknown_values(entity_contract, frame).to_dicts())
    return rows, words
