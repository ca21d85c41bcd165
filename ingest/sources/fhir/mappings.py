"""Which types of FHIR resources are read: the mapping of each to rows, and the fields it reads."""

from collections.abc import Callable

from ingest.sources.fhir import diagnoses, eligibility, visits
from ingest.sources.fhir import money as fhir_money
from ingest.sources.fhir import people as fhir_people
from ingest.sources.fhir.rows import Context
from ingest.sources.fhir.values import Json

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
    "Coverage": (fhir_people.coverage, "identifier status beneficiary payor type subscriberId class order period"),
    "Encounter": (
        visits.encounter,
        "identifier status statusHistory class classHistory type subject participant appointment period hospitalization "
        "location serviceProvider partOf diagnosis",
    ),
    "Condition": (
        diagnoses.condition,
        "code subject encounter category verificationStatus recordedDate onsetDateTime",
    ),
    "Appointment": (
        visits.appointment,
        "identifier status serviceType appointmentType cancelationReason cancellationReason cancellationDate replaces "
        "start end created participant requestedPeriod",
    ),
    "Slot": (visits.slot, "status schedule serviceType appointmentType start end extension"),
    "Schedule": (visits.schedule, "actor"),
    "Claim": (
        fhir_money.claim,
        "identifier status use type patient billablePeriod created insurer provider facility careTeam related "
        "insurance item total diagnosis",
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
    "CoverageEligibilityResponse": (
        eligibility.coverage_eligibility_response,
        "identifier status purpose patient created insurer request outcome insurance error",
    ),
}
_COMMON = frozenset({"resourceType", "id", "meta", "contained", "text"})
KNOWN = {kind: (mapping, _COMMON.union(names.split())) for kind, (mapping, names) in MAPPINGS.items()}
