"""Unknown words from run to run: their appointments stay out of the no-show rate, every place shows them, and a profile that teaches
them puts the figures right."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.runs.site import Configuration, Site, feed, tenant

pytestmark = pytest.mark.slow
# Seven past appointments and the word that each ends with.
ENDS = ("CHECKED OUT", "KEPT", "RESCHEDULED", "BUMPED", "LEFT WITHOUT BEING SEEN", "NO SHOW", "COMPLETE")


def appointment(number: int, event: str, status: str, sent: str) -> str:
    return (
        f"MSH|^~\\&|EHR|NORTH|CM|CM|{sent}||SIU^{event}|{event}{number}|P|2.5.1\r"
        f"SCH||F{number}|||||||30|MIN|^^30^20260310100000^20260310103000||||||||||||||{status}\r"
        f"PID|1||M{number}^^^NORTH^MR||DOE^PAT||19800101|F\rAIL|1||CLIN\r"
    )


def claim(number: int, payer: str) -> str:
    return json.dumps(
        {
            "resourceType": "Claim",
            "id": f"c{number}",
            "use": "claim",
            "status": "active",
            "type": {"coding": [{"code": "professional"}]},
            "patient": {"reference": "Patient/p1"},
            "created": "2026-03-12T09:00:00Z",
            "billablePeriod": {"start": "2026-03-02", "end": "2026-03-02"},
            "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": payer}}],
            "item": [
                {
                    "sequence": 1,
                    "productOrService": {"coding": [{"code": "A1234"}]},
                    "net": {"value": 50, "currency": "USD"},
                }
            ],
            "total": {"value": 50, "currency": "USD"},
        }
    )


def deliver(folder: Path) -> Configuration:
    (folder / "words").mkdir()
    (folder / "payers").mkdir()
    messages = [appointment(number, "S12", "BOOKED", "20260301080000") for number in range(len(ENDS))]
    messages += [appointment(number, "S14", word, "20260311080000") for number, word in enumerate(ENDS)]
    (folder / "words" / "a.hl7").write_text("".join(messages), encoding="utf-8")
    payers = ("dual_eligible", "Medicare", "Northwind Mutual")
    claims = [claim(number, payer) for number, payer in enumerate(payers)]
    (folder / "payers" / "Claim.ndjson").write_text("\n".join(claims) + "\n", encoding="utf-8")
    return {
        "words": tenant([feed("adt", "hl7v2", "words")], as_of="2026-06-30"),
        "payers": tenant([feed("ehr", "fhir", "payers", profile="synthea")], as_of="2026-06-30"),
    }


def deliver_more(site: Site, tenants: Configuration) -> None:
    """Profiles that teach the words."""
    (site.folder / "adt.yaml").write_text(
        "kind: hl7v2\nappointment_statuses: {BUMPED: cancelled, LEFT WITHOUT BEING SEEN: arrived}\n", encoding="utf-8"
    )
    (site.folder / "ehr.yaml").write_text(
        "kind: fhir\nextends: synthea\npayer_classes: {northwind mutual: commercial}\n", encoding="utf-8"
    )
    tenants["words"]["feeds"][0]["profile"] = "adt.yaml"
    tenants["payers"]["feeds"][0]["profile"] = "ehr.yaml"


RATES = ("appointments", "completed_appointments", "expected_appointments", "no_shows", "no_show_rate")


def rates(site: Site) -> list[Decimal | None]:
    return list(site.figures("words", *RATES).values())


def outcomes(site: Site) -> dict[str, int]:
    rows = site.ask("words", "appointments", "--by", "outcome")
    return {row["outcome"]: int(row["appointments"]) for row in rows}


def payer_classes(site: Site) -> dict[str, int]:
    rows = site.ask("payers", "claims", "--by", "payer_class")
    return {row["payer_class"]: int(row["claims"]) for row in rows}


def shown(site: Site, what: str) -> list[dict[str, Any]]:
    """Rows of a list of `status`, of our two tenants."""
    return [row for row in site.status()[what] if row["tenant_id"] in ("words", "payers")]


def test_unknown_words_are_in_no_rate_and_in_every_list(first: Site) -> None:
    assert rates(first) == [7, 3, 4, 1, Decimal("0.25")]
    assert outcomes(first) == {"completed": 3, "no_show": 1, "rescheduled": 1, "unknown": 2}
    assert payer_classes(first) == {"medicaid": 1, "medicare": 1, "unmapped": 1}

    words = [
        (row["feed"], row["field"], row["word"], row["became"], row["rows"], row["profile_key"])
        for row in shown(first, "unknown_words")
    ]
    assert sorted(words) == [
        ("adt", "SCH-25", "BUMPED", "unknown", 1, "appointment_statuses"),
        ("adt", "SCH-25", "LEFT WITHOUT BEING SEEN", "unknown", 1, "appointment_statuses"),
    ]
    findings = {(row["tenant_id"], row["code"]): row for row in shown(first, "plausibility")}
    assert set(findings) == {("words", "CM-PLAUS-005"), ("payers", "CM-PLAUS-010")}
    assert "2 rows" in findings["words", "CM-PLAUS-005"]["headline"]
    assert "1 row, $50.00" in findings["payers", "CM-PLAUS-010"]["headline"]


def test_a_profile_that_teaches_the_words_puts_the_figures_right_and_empties_the_lists(second: Site) -> None:
    assert rates(second) == [7, 3, 5, 1, Decimal("0.2")]
    assert outcomes(second) == {"completed": 3, "no_show": 1, "rescheduled": 1, "cancelled": 1, "arrived": 1}
    assert payer_classes(second) == {"commercial": 1, "medicaid": 1, "medicare": 1}
    assert (shown(second, "unknown_words"), shown(second, "plausibility")) == ([], [])
    assert all(item["open"] == [] for item in second.status()["reconciliation"].values())
