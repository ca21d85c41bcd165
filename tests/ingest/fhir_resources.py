"""FHIR resources that several tests read: a patient, a stay, a claim and its explanation of benefit."""

from typing import Any

from tests.ingest.fhir_reading import NPI

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"lastUpdated": "2026-05-01T12:00:00.000-04:00"},
    "identifier": [
        {"type": {"coding": [{"code": "SS"}]}, "value": "999"},
        {"type": {"coding": [{"code": "MR"}]}, "value": "MRN0001", "system": "urn:oid:1"},
    ],
    "name": [{"use": "maiden", "family": "Old"}, {"use": "official", "family": "Doe", "given": ["Jane", "Q"]}],
    "gender": "female",
    "birthDate": "1980-02-03",
    "address": [{"line": ["1 Road", "Flat 2"], "city": "Town", "state": "NY", "postalCode": "10001-1234"}],
    "telecom": [{"system": "email", "value": "a@b.c"}, {"system": "phone", "value": "555"}],
    "communication": [{"language": {"coding": [{"code": "en"}]}}, {"language": {"text": "es"}, "preferred": True}],
    "photo": [],
}


ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"code": "IMP"},
    "period": {"start": "2026-03-01T22:00:00-05:00", "end": "2026-03-04T10:00:00-05:00"},
    "location": [
        {"location": {"reference": "Location/w1"}},
        {"location": {"reference": "Location/w2"}, "period": {"start": "2026-03-02T08:00:00-05:00"}},
    ],
    "participant": [
        {"type": [{"coding": [{"code": "REF"}]}], "individual": {"reference": "Practitioner/d1"}},
        {"type": [{"coding": [{"code": "ATND"}]}], "individual": {"reference": "Practitioner/d2"}},
    ],
    "statusHistory": [
        {"status": "arrived", "period": {"start": "2026-03-01T22:00:00-05:00"}},
        {"status": "in-progress", "period": {"start": "2026-03-01T23:00:00-05:00"}},
        {"status": "arrived", "period": {"start": "2026-03-02T00:00:00-05:00"}},
    ],
}


CLAIM: dict[str, Any] = {
    "resourceType": "Claim",
    "id": "c1",
    "status": "active",
    "use": "claim",
    "type": {"coding": [{"code": "oral"}]},
    "created": "2026-03-05",
    "patient": {"reference": "Patient/p1"},
    "provider": {"reference": f"Organization?identifier={NPI}|1234567893"},
    "insurance": [
        {"sequence": 1, "focal": False, "coverage": {"display": "Other"}},
        {"sequence": 2, "focal": True, "coverage": {"reference": "Coverage/k1"}},
    ],
    "item": [
        {
            "sequence": 1,
            "productOrService": {"coding": [{"code": "D0001"}]},
            "modifier": [{"coding": [{"code": "A"}]}, {"coding": [{"code": "B"}]}],
            "servicedDate": "2026-03-01",
            "unitPrice": {"value": 0.1, "currency": "USD"},
            "quantity": {"value": 3},
        },
        {
            "sequence": 2,
            "servicedPeriod": {"start": "2026-03-02T00:00:00Z", "end": "2026-03-03"},
            "detail": [{"net": {"value": 1.005}}, {"net": {"value": 1}}],
        },
        {"sequence": 3, "productOrService": {"text": "no amount"}},
    ],
}


def eob(**change: Any) -> dict[str, Any]:
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": "b1",
        "status": "active",
        "use": "claim",
        "outcome": "complete",
        "created": "2026-04-01",
        "identifier": [{"value": "ICN1"}],
        "claim": {"reference": "Claim/c1"},
        "insurer": {"display": "Plan"},
        "total": [{"category": {"coding": [{"code": "submitted"}]}, "amount": {"value": 100.1}}],
        "payment": {"amount": {"value": 77.49000000000001}},
        "item": [
            {
                "sequence": 1,
                "net": {"value": 100.1},
                "adjudication": [
                    {"category": {"coding": [{"code": "eligible"}]}, "amount": {"value": 87.49}},
                    {"category": {"coding": [{"code": "copay"}]}, "amount": {"value": 10}},
                    {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 77.49000000000001}},
                ],
            }
        ],
    } | change
