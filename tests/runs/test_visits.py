"""Visits through whole runs: the zone of a message, days, classes and parts. Every tenant is one small feed."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.runs.site import Configuration, Site, feed, tenant

pytestmark = pytest.mark.slow


def message(event: str, at: str, kind: str, unit: str, started: str, ended: str = "") -> str:
    """An ADT message of visit V1 of patient M1; MSH-7 is `at`."""
    visit = "|".join(["PV1", "1", kind, unit, *[""] * 15, "V1", *[""] * 24, started, ended])
    recorded = at.split("-")[0]
    segments = (f"MSH|^~\\&|EHR|N|CM|CM|{at}||ADT^{event}|{event}|P|2.5.1", f"EVN|{event}|{recorded}")
    return "\r".join([*segments, "PID|1||M1^^^N^MR||DOE^PAT||19800101|F", visit]) + "\r"


def encounter(identifier: str, start: str, end: str, kind: str = "IMP", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": identifier,
        "status": "finished",
        "class": {"code": kind},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": start, "end": end},
        **more,
    }


def coverage(payer: str, start: str, end: str | None) -> dict[str, Any]:
    period = {"start": start} | ({"end": end} if end else {})
    return {
        "resourceType": "Coverage",
        "id": f"c-{payer}",
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "payor": [{"reference": f"Organization/{payer}"}],
        "period": period,
        "order": 1,
    }


def insurer(identifier: str) -> dict[str, Any]:
    kind = {"coding": [{"code": "ins"}]}
    return {"resourceType": "Organization", "id": identifier, "name": f"Payer {identifier}", "type": [kind]}


MORNING, AFTERNOON, NEXT_DAY = "2026-03-10T08:00:00-04:00", "2026-03-10T14:00:00-04:00", "2026-03-11T10:00:00-04:00"
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1980-01-01"}
PART = {"partOf": {"reference": "Encounter/e1"}}
# Tenants by name: texts are HL7 v2, lists are FHIR resources.
FEEDS: dict[str, str | list[dict[str, Any]]] = {
    # The sender is in California: 09:00 there to 15:00 there.
    "offset": message("A04", "20260310090500-0700", "E", "ED", "20260310090000")
    + message("A03", "20260310151000-0700", "E", "ED", "20260310090000", "20260310150000-0700"),
    # PV1 names days, the events say the times.
    "days": message("A04", "20260310221000", "E", "ED", "20260310")
    + message("A03", "20260310234000", "E", "ED", "20260310", "20260310"),
    # Nobody says a time: two midnights, no minutes.
    "only-days": [encounter("e1", "2026-03-10", "2026-03-12"), encounter("e2", "2026-03-20", "2026-03-20", "EMER")],
    "admitted": message("A04", "20260310080000", "E", "ED", "20260310080000")
    + message("A06", "20260310140000", "I", "WARD^1^1", "20260310080000")
    + message("A03", "20260311100000", "I", "WARD^1^1", "20260310080000", "20260311100000"),
    # The same in another order, with the time of the admission in PV1-44.
    "disordered": message("A03", "20260311100000", "I", "WARD^1^1", "20260310140000", "20260311100000")
    + message("A06", "20260310140000", "I", "WARD^1^1", "20260310140000")
    + message("A04", "20260310080000", "E", "ED", "20260310080000"),
    # A stay that becomes an outpatient visit: the stay ends there.
    "released": message("A01", "20260310080000", "I", "WARD^1^1", "20260310080000")
    + message("A07", "20260311080000", "O", "CLINIC", "20260310080000")
    + message("A03", "20260311110000", "O", "CLINIC", "20260310080000", "20260311110000"),
    "history": [
        encounter(
            "e1",
            MORNING,
            NEXT_DAY,
            classHistory=[
                {"class": {"code": "EMER"}, "period": {"start": MORNING, "end": AFTERNOON}},
                {"class": {"code": "IMP"}, "period": {"start": AFTERNOON}},
            ],
        )
    ],
    "parts": [
        encounter("e1", MORNING, NEXT_DAY),
        encounter("e2", MORNING, AFTERNOON, "EMER", **PART),
        encounter("e3", AFTERNOON, NEXT_DAY, **PART),
    ],
    # In New York it is still the old year.
    "new-year": [
        encounter("e1", "2025-12-31T20:30:00-05:00", "2025-12-31T21:00:00-05:00", "AMB"),
        coverage("old", "2025-01-01", "2025-12-31"),
        coverage("new", "2026-01-01", None),
        insurer("old"),
        insurer("new"),
    ],
}
SPLIT = {
    "emergency_minutes": "360",
    "length_of_stay_days": "0.8333",
    "bed_days": "0.8333",
    "encounters": "1",
    "discharges": "1",
}
RIGHT: dict[str, dict[str, str | None]] = {
    "offset": {"emergency_minutes": "360"},
    "days": {"emergency_minutes": "90"},
    "only-days": {"emergency_minutes": None, "length_of_stay_days": "2", "bed_days": "2", "encounters": "2"},
    "admitted": SPLIT,
    "disordered": SPLIT,
    "released": {
        "emergency_minutes": None,
        "length_of_stay_days": "1",
        "bed_days": "1",
        "encounters": "1",
        "discharges": "1",
    },
    "history": SPLIT,
    "parts": SPLIT,
}


def deliver(folder: Path) -> Configuration:
    tenants = {}
    for name, content in FEEDS.items():
        (folder / name).mkdir()
        if isinstance(content, str):
            (folder / name / "a.hl7").write_text(content, "utf-8", newline="")
            tenants[name] = tenant([feed("ehr", "hl7v2", name)])
        else:
            text = "\n".join(json.dumps(resource) for resource in (PATIENT, *content))
            (folder / name / "all.ndjson").write_text(text, "utf-8")
            tenants[name] = tenant([feed("ehr", "fhir", name, profile="r4")])
    return tenants


@pytest.mark.parametrize("name", RIGHT)
def test_figures_of_visits_are_right(first: Site, name: str) -> None:
    figures = {}
    for metric in RIGHT[name]:
        (value,) = first.figures(name, metric).values()
        figures[metric] = None if value is None else value.quantize(Decimal("0.0001"))
    assert figures == {metric: None if value is None else Decimal(value) for metric, value in RIGHT[name].items()}


def test_a_visit_on_new_years_eve_has_the_coverage_of_its_local_day(first: Site) -> None:
    rows = first.ask("new-year", "encounters", "--by", "payer")
    assert [value for row in rows for value in row.values() if "old" in str(value)]
    assert not [value for row in rows for value in row.values() if "new" in str(value)]
