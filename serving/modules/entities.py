"""Groups of contracts that pages rest on, and what people call their rows."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

# Contract to what people call its rows, in the order in which a line names them.
NOUNS: Mapping[str, str] = MappingProxyType(
    {
        "remittance": "payments",
        "remittance_claim": "payments",
        "remittance_line": "payments",
        "remittance_adjustment": "denials",
        "provider_adjustment": "provider adjustments",
        "patient_payment": "patient payments",
        "claim": "claims",
        "claim_line": "claims",
        "claim_status": "claim statuses",
        "charge": "charges",
        "adjustment": "adjustments",
        "appointment": "appointments",
        "appointment_event": "appointments",
        "slot": "open slots",
        "encounter": "visits",
        "encounter_event": "visit times",
        "bed_movement": "stays",
        "staff_shift": "staff hours",
        "coverage": "coverage",
        "provider_service_unit": "credentials",
        "authorization": "authorisations",
        "eligibility_answer": "answers on eligibility",
        "eligibility_benefit": "answers on eligibility",
        "diagnosis": "diagnoses",
    }
)
MONEY = (
    "remittance",
    "remittance_claim",
    "remittance_line",
    "remittance_adjustment",
    "provider_adjustment",
    "patient_payment",
    "claim",
    "claim_line",
    "claim_status",
    "charge",
    "adjustment",
)
APPOINTMENTS = ("appointment", "appointment_event", "slot")
VISITS = ("encounter", "encounter_event", "bed_movement")


def nouns_of(entities: Collection[str]) -> list[str]:
    """The nouns for the rows of these contracts, each once; a contract without a noun gives none."""
    return list(dict.fromkeys(noun for entity, noun in NOUNS.items() if entity in entities))
