"""Which columns of each entity FHIR resources fill, and which entities each resource type fills.

`make generate` makes `row_builders` from it.
"""

from typing import Any

COLUMNS: dict[str, tuple[str, ...]] = {
    "organization": ("organization_id", "parent_organization_id", "name", "npi"),
    "service_unit": (
        "service_unit_id",
        "parent_service_unit_id",
        "organization_id",
        "name",
        "unit_type",
        "staffed_beds",
        "is_active",
    ),
    "provider": ("provider_id", "npi", "display_name", "specialty", "provider_type", "is_active"),
    "provider_service_unit": ("provider_id", "service_unit_id", "credentialed_from", "credentialed_to"),
    "payer": ("payer_id", "effective_from", "name", "payer_class"),
    "visit_type": ("visit_type_id", "name"),
    "patient": ("patient_id", "birth_year", "sex", "family_name_token", "zip3", "language"),
    "patient_identity": (
        "patient_id",
        "medical_record_number",
        "family_name",
        "given_name",
        "birth_date",
        "address_line",
        "city",
        "state",
        "postal_code",
        "phone",
        "email",
    ),
    "patient_merge": ("patient_merge_id", "from_patient_id", "to_patient_id", "merge_type", "merged_at"),
    "coverage": (
        "coverage_id",
        "patient_id",
        "payer_id",
        "member_token",
        "plan_name",
        "priority",
        "effective_from",
        "effective_to",
    ),
    "appointment": (
        "appointment_id",
        "patient_id",
        "service_unit_id",
        "provider_id",
        "visit_type_id",
        "rescheduled_from_appointment_id",
        "status",
        "cancel_initiator",
        "cancel_reason_code",
        "is_walk_in",
        "booked_at",
        "requested_date",
        "scheduled_start_at",
        "scheduled_end_at",
        "cancelled_at",
    ),
    "slot": (
        "slot_id",
        "snapshot_date",
        "service_unit_id",
        "provider_id",
        "visit_type_id",
        "status",
        "start_at",
        "end_at",
    ),
    "encounter": (
        "encounter_id",
        "patient_id",
        "service_unit_id",
        "provider_id",
        "visit_type_id",
        "appointment_id",
        "part_of_encounter_id",
        "encounter_class",
        "status",
        "admission_source",
        "discharge_disposition",
        "started_at",
        "ended_at",
    ),
    "encounter_event": ("encounter_event_id", "encounter_id", "event_type", "encounter_class", "occurred_at"),
    "bed_movement": (
        "bed_movement_id",
        "encounter_id",
        "patient_id",
        "movement_type",
        "service_unit_id",
        "from_service_unit_id",
        "bed",
        "occurred_at",
    ),
    "diagnosis": (
        "diagnosis_id",
        "encounter_id",
        "claim_submission_id",
        "claim_id",
        "patient_id",
        "code_stated_in_id",
        "diagnosis_code",
        "code_system",
        "diagnosis_type",
        "sequence_number",
        "status",
        "recorded_at",
    ),
    "claim": (
        "claim_submission_id",
        "claim_id",
        "encounter_id",
        "patient_id",
        "payer_id",
        "service_unit_id",
        "provider_id",
        "billing_provider_npi",
        "claim_type",
        "frequency_code",
        "original_payer_claim_control_number",
        "replaced_claim_id",
        "payer_sequence",
        "place_of_service",
        "billed_amount",
        "service_from_date",
        "service_to_date",
        "submitted_at",
    ),
    "claim_line": (
        "claim_submission_id",
        "line_number",
        "claim_id",
        "encounter_id",
        "procedure_code",
        "modifiers",
        "revenue_code",
        "place_of_service",
        "units",
        "billed_amount",
        "service_date",
        "service_to_date",
    ),
    "claim_status": ("claim_status_id", "claim_id", "status_code", "is_accepted", "stage", "reported_at"),
    "remittance_claim": (
        "remittance_claim_id",
        "claim_id",
        "patient_id",
        "payer_id",
        "payer_claim_control_number",
        "claim_status_code",
        "billed_amount",
        "payer_paid_amount",
        "patient_responsibility_amount",
        "allowed_amount",
        "service_from_date",
        "service_to_date",
        "adjudicated_date",
    ),
    "remittance_line": (
        "remittance_line_id",
        "remittance_claim_id",
        "claim_id",
        "line_number",
        "procedure_code",
        "modifiers",
        "revenue_code",
        "billed_amount",
        "payer_paid_amount",
        "allowed_amount",
        "service_date",
    ),
    "remittance_adjustment": (
        "remittance_adjustment_id",
        "remittance_claim_id",
        "remittance_line_id",
        "claim_id",
        "group_code",
        "reason_code",
        "adjustment_amount",
    ),
    "eligibility_answer": (
        "eligibility_answer_id",
        "patient_id",
        "payer_id",
        "plan_name",
        "status",
        "reject_code",
        "answered_at",
        "valid_from",
        "valid_to",
    ),
    "eligibility_benefit": (
        "eligibility_benefit_id",
        "eligibility_answer_id",
        "benefit_type",
        "service_type_code",
        "coverage_level",
        "network",
        "amount_kind",
        "benefit_amount",
        "benefit_percent",
    ),
    "record_deletion": ("entity", "deleted_record_id", "found_by"),
}

# Entities whose rows have a resource's record id, by its type: a deletion removes them. (Who a patient is stays in the vault; a
# visit type or payer that a resource named is named by others too.)
_REMITTANCE = ("claim_status", "remittance_claim", "remittance_line", "remittance_adjustment")
ENTITIES_OF: dict[str, tuple[str, ...]] = {
    "Patient": ("patient", "patient_merge"),
    "Practitioner": ("provider",),
    "PractitionerRole": ("provider", "provider_service_unit"),
    "Organization": ("organization", "service_unit", "payer"),
    "Location": ("service_unit",),
    "Coverage": ("coverage",),
    "CoverageEligibilityResponse": ("eligibility_answer", "eligibility_benefit"),
    "Encounter": ("encounter", "encounter_event", "bed_movement", "diagnosis"),
    "Condition": ("diagnosis",),
    "Appointment": ("appointment",),
    "Slot": ("slot",),
    "Schedule": (),
    "Claim": ("claim", "claim_line", "diagnosis"),
    "ClaimResponse": _REMITTANCE,
    "ExplanationOfBenefit": _REMITTANCE,
}

# Record, time of change, version, position: where a row came from.
Lineage = tuple[str, str | None, int, str]
_LINEAGE_WIDTH = 4


class Table:
    """Rows of one entity. A row is its values and its lineage, which all rows of a resource share. `settle` moves rows into
    columns from time to time, because millions of small tuples would slow down the garbage collector."""

    def __init__(self, width: int) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.lineage: list[Lineage] = []
        self._columns: list[list[Any]] = [[] for _ in range(width + _LINEAGE_WIDTH)]

    def settle(self) -> None:
        """Moves the rows into columns; they can no longer be taken back."""
        if self.rows:
            turned = (*zip(*self.rows, strict=True), *zip(*self.lineage, strict=True))
            for column, values in zip(self._columns, turned, strict=True):
                column += values
            self.rows.clear()
            self.lineage.clear()

    def columns(self) -> list[list[Any]]:
        """The columns with record, time and position last. Of two versions of a record the newer comes last: the warehouse takes
        the last of one moment."""
        self.settle()
        *values, records, times, versions, positions = self._columns
        columns = [*values, records, times, positions]
        if not any(versions):
            return columns
        seen = {pair for pair in zip(records, versions, strict=True) if pair[1]}
        if len(seen) == len({record for record, _ in seen}):
            return columns
        order = sorted(range(len(records)), key=versions.__getitem__)
        return [[column[row] for row in order] for column in columns]
