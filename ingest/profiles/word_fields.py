"""The coded fields of each protocol: what a feed calls the field that gives a column, and which list of a profile teaches its words."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class WordField:
    """`name` is the field as the protocol names it ("SCH-25"), `profile_key` the list of a profile, empty where none maps it."""

    name: str
    profile_key: str


_FIELDS: Mapping[str, Mapping[tuple[str, str], WordField]] = MappingProxyType(
    {
        "hl7v2": {
            ("appointment", "status"): WordField("SCH-25", "appointment_statuses"),
            ("appointment", "cancel_initiator"): WordField("SCH-6", "cancel_initiators"),
            ("appointment", "minutes"): WordField("SCH-10", "duration_units"),
            ("encounter", "encounter_class"): WordField("PV1-2", "visit_classes"),
            ("patient", "sex"): WordField("PID-8", "sexes"),
            ("patient", "language"): WordField("PID-15", "languages"),
            ("charge", "transaction_type"): WordField("FT1-6", "transaction_types"),
            ("payer", "payer_class"): WordField("IN1-3", "payer_classes"),
            ("record", "event"): WordField("MSH-9", "events"),
        },
        "x12": {
            ("payer", "payer_class"): WordField("SBR09", "filing_indicators"),
            ("remittance_claim", "filing_indicator"): WordField("CLP06", "filing_indicators"),
            ("claim", "payer_sequence"): WordField("SBR01", "payer_sequences"),
            ("claim", "frequency_code"): WordField("CLM05-3", "claim_frequencies"),
            ("remittance_claim", "claim_status_code"): WordField("CLP02", "claim_statuses"),
            ("remittance_adjustment", "group_code"): WordField("CAS01", "adjustment_groups"),
            ("claim_status", "category_code"): WordField("STC01-1", "status_categories"),
            ("acknowledgement", "outcome_code"): WordField("IK501, AK501, AK901 or TA104", "acknowledgement_codes"),
        },
        "fhir": {
            ("appointment", "status"): WordField("Appointment.status", "appointment_statuses"),
            ("appointment", "cancel_initiator"): WordField("Appointment.cancelationReason", "cancel_initiators"),
            ("encounter", "status"): WordField("Encounter.status", "encounter_statuses"),
            ("encounter", "encounter_class"): WordField("Encounter.class", "encounter_classes"),
            ("encounter_event", "event_type"): WordField("Encounter.statusHistory", "encounter_events"),
            ("slot", "status"): WordField("Slot.status", "slot_statuses"),
            ("claim", "claim_type"): WordField("Claim.type", "claim_types"),
            ("patient", "sex"): WordField("Patient.gender", "sexes"),
            ("organization", "type"): WordField("Organization.type", "organization_unit_types"),
            ("remittance_claim", "adjudication"): WordField("adjudication.category", "adjudication"),
            ("service_unit", "unit_type"): WordField("Location.physicalType", "location_unit_types"),
            ("payer", "payer_class"): WordField("payer's id or name", "payer_classes"),
        },
    }
)


def word_field(kind: str, entity: str, column: str) -> WordField:
    """The field of a kind of feed that gives a column; for kinds that name columns themselves, the column."""
    return _FIELDS.get(kind, {}).get((entity, column), WordField(column, ""))
