"""Unknown words from run to run: their appointments stay out of the no-show rate, every place shows them, and a profile that teaches
them puts the figures right."""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support import Ran, clinicmart, clinicmart_here

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


@dataclass
class Site:
    folder: Path

    def configure(self, **profiles: str) -> None:
        adt = f", profile: {profiles['adt']}" if "adt" in profiles else ""
        (self.folder / "c.yaml").write_text(
            "tenants:\n"
            "  words:\n    name: Words\n    time_zone: America/New_York\n    as_of: '2026-06-30'\n    feeds:\n"
            f"      - {{name: adt, kind: hl7v2, path: words{adt}}}\n"
            "  payers:\n    name: Payers\n    time_zone: America/New_York\n    as_of: '2026-06-30'\n    feeds:\n"
            f"      - {{name: ehr, kind: fhir, profile: {profiles['ehr']}, path: payers}}\n",
            encoding="utf-8",
        )

    def run(self) -> Ran:
        ran = clinicmart("run", "--config", self.folder / "c.yaml", "--home", self.folder / "home")
        assert ran.code == 0, ran.out + ran.err
        return ran

    def figures(self, tenant: str, metrics: str, *more: str) -> list[dict[str, Any]]:
        ran = clinicmart_here(
            *("metrics", "query", metrics, *more, "--tenant", tenant, "--as", f"admin@{tenant}"),
            *("--home", self.folder / "home", "--format", "json"),
        )
        assert ran.code == 0, ran.err
        found = json.loads(ran.out)
        return found["rows"] if isinstance(found, dict) else found

    def status(self) -> dict[str, Any]:
        ran = clinicmart_here("status", "--home", self.folder / "home", "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("words")
    (folder / "words").mkdir()
    (folder / "payers").mkdir()
    messages = [appointment(number, "S12", "BOOKED", "20260301080000") for number in range(len(ENDS))]
    messages += [appointment(number, "S14", word, "20260311080000") for number, word in enumerate(ENDS)]
    (folder / "words" / "a.hl7").write_text("".join(messages), encoding="utf-8")
    payers = ("dual_eligible", "Medicare", "Northwind Mutual")
    claims = [claim(number, payer) for number, payer in enumerate(payers)]
    (folder / "payers" / "Claim.ndjson").write_text("\n".join(claims) + "\n", encoding="utf-8")
    site = Site(folder)
    site.configure(ehr="synthea")
    site.run()
    return site


def test_unknown_words_are_in_no_rate_and_in_every_list_until_they_are_taught(site: Site) -> None:
    names = "appointments,completed_appointments,expected_appointments,no_shows,no_show_rate"
    (row,) = site.figures("words", names)
    assert [Decimal(str(row[name])) for name in names.split(",")] == [7, 3, 4, 1, Decimal("0.25")]
    outcomes = {
        row["outcome"]: int(row["appointments"]) for row in site.figures("words", "appointments", "--by", "outcome")
    }
    assert outcomes == {"completed": 3, "no_show": 1, "rescheduled": 1, "unknown": 2}
    classes = {
        row["payer_class"]: int(row["claims"]) for row in site.figures("payers", "claims", "--by", "payer_class")
    }
    assert classes == {"medicaid": 1, "medicare": 1, "unmapped": 1}

    said = site.status()
    words = [
        (w["feed"], w["field"], w["word"], w["became"], w["rows"], w["profile_key"]) for w in said["unknown_words"]
    ]
    assert sorted(words) == [
        ("adt", "SCH-25", "BUMPED", "unknown", 1, "appointment_statuses"),
        ("adt", "SCH-25", "LEFT WITHOUT BEING SEEN", "unknown", 1, "appointment_statuses"),
    ]
    findings = {(f["tenant_id"], f["code"]): f for f in said["plausibility"]}
    assert set(findings) == {("words", "CM-PLAUS-005"), ("payers", "CM-PLAUS-010")}
    assert "2 rows" in findings["words", "CM-PLAUS-005"]["headline"]
    assert "1 row, $50.00" in findings["payers", "CM-PLAUS-010"]["headline"]

    (site.folder / "adt.yaml").write_text(
        "kind: hl7v2\nappointment_statuses: {BUMPED: cancelled, LEFT WITHOUT BEING SEEN: arrived}\n", encoding="utf-8"
    )
    (site.folder / "ehr.yaml").write_text(
        "kind: fhir\nextends: synthea\npayer_classes: {northwind mutual: commercial}\n", encoding="utf-8"
    )
    site.configure(adt="adt.yaml", ehr="ehr.yaml")
    site.run()
    (row,) = site.figures("words", names)
    assert [Decimal(str(row[name])) for name in names.split(",")] == [7, 3, 5, 1, Decimal("0.2")]
    outcomes = {
        row["outcome"]: int(row["appointments"]) for row in site.figures("words", "appointments", "--by", "outcome")
    }
    assert outcomes == {"completed": 3, "no_show": 1, "rescheduled": 1, "cancelled": 1, "arrived": 1}
    classes = {
        row["payer_class"]: int(row["claims"]) for row in site.figures("payers", "claims", "--by", "payer_class")
    }
    assert classes == {"commercial": 1, "medicaid": 1, "medicare": 1}
    said = site.status()
    assert (said["unknown_words"], said["plausibility"]) == ([], [])
    assert all(item["open"] == [] for item in said["reconciliation"].values())
