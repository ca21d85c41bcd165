"""Claims that share a number, and claims that change it, through the whole pipeline."""

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from serving.model import MetricQuery
from tests.ingest.x12_files import interchange, transaction
from tests.runs.site import Configuration, Site, feed, tenant

pytestmark = pytest.mark.slow

NORTH, SOUTH = "1234567893", "1679576722"


def claims_837(*claims: list[str], npi: str = NORTH, payer: str = "P1", made: str = "20260106") -> str:
    body = [
        f"BHT*0019*00*1*{made}*0900*CH",
        "HL*1**20*1",
        f"NM1*85*2*CLINIC*****XX*{npi}",
        "HL*2*1*22*0",
        "SBR*P*18*******CI",
        "NM1*IL*1*DOE*PAT****MI*MEM1",
        f"NM1*PR*2*PAYER*****PI*{payer}",
        *(segment for claim in claims for segment in claim),
    ]
    return interchange(transaction("837", body))


def claim(number: str, amount: int, day: str, *, kind: int = 1, replaces: str = "", code: str = "99213") -> list[str]:
    original = [f"REF*F8*{replaces}"] if replaces else []
    return [
        f"CLM*{number}*{amount}***11:B:{kind}*Y*A*Y*Y",
        *original,
        "LX*1",
        f"SV1*HC:{code}*{amount}*UN*1***1",
        f"DTP*472*D8*{day}",
        f"REF*6R*{number}-{day}",
    ]


def payment_835(
    number: str,
    amount: int,
    paid: int,
    day: str,
    *,
    status: int = 1,
    control: str = "ICN1",
    npi: str = NORTH,
    payer: str = "P1",
    on: str = "20260120",
    reason: str = "CO*45",
    code: str = "99213",
) -> str:
    body = [
        f"BPR*I*{paid}*C*ACH************{on}",
        f"TRN*1*T{control}*1999999999",
        f"DTM*405*{on}",
        f"N1*PR*PAYER*XV*{payer}",
        f"N1*PE*CLINIC*XX*{npi}",
        "LX*1",
        f"CLP*{number}*{status}*{amount}*{paid}*0*12*{control}",
        f"SVC*HC:{code}*{amount}*{paid}**1",
        f"DTM*472*{day}",
        f"CAS*{reason}*{amount - paid}",
    ]
    return interchange(transaction("835", body), version="005010X221A1")


def status_277(number: str, amount: int, day: str, category: str = "A7") -> str:
    body = [
        "BHT*0085*08*77*20260308*0930*TH",
        "HL*1**20*1",
        "NM1*PR*2*PAYER*****PI*P1",
        "HL*2*1*21*1",
        "HL*3*2*19*1",
        f"NM1*85*2*CLINIC*****XX*{NORTH}",
        "HL*4*3*PT",
        "NM1*QC*1*DOE*PAT****MI*MEM1",
        f"TRN*2*{number}",
        f"STC*{category}:562*20260308*U*{amount}",
        f"DTP*472*D8*{day}",
    ]
    return interchange(transaction("277", body), version="005010X214")


def fhir_claim(name: str, total: int, created: str, **more: object) -> dict[str, object]:
    return {
        "resourceType": "Claim",
        "id": name,
        "status": "active",
        "use": "claim",
        "patient": {"reference": "Patient/p1"},
        "billablePeriod": {"start": "2026-01-05", "end": "2026-01-05"},
        "created": created,
        "total": {"value": total, "currency": "USD"},
        "item": [{"sequence": 1, "productOrService": {"text": "99213"}, "net": {"value": total}}],
    } | more


def fhir_benefit(name: str, of: str, total: int, paid: int, created: str) -> dict[str, object]:
    def amount(code: str, value: int) -> dict[str, object]:
        return {"category": {"coding": [{"code": code}]}, "amount": {"value": value, "currency": "USD"}}

    denial = [] if paid else [{"category": {"coding": [{"code": "denialreason"}]}}]
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": name,
        "status": "active",
        "use": "claim",
        "patient": {"reference": "Patient/p1"},
        "insurer": {"display": "Payer"},
        "claim": {"reference": f"Claim/{of}"},
        "created": created,
        "outcome": "complete",
        "total": [amount("submitted", total), amount("benefit", paid)],
        "payment": {"amount": {"value": paid, "currency": "USD"}},
        "item": [{"sequence": 1, "adjudication": denial}],
    }


def ndjson(*resources: dict[str, object]) -> str:
    return "".join(json.dumps(resource) + "\n" for resource in resources)


# Tenant: feed: (kind, file name -> text)
TENANTS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    # Denied, sent again as a replacement under another number, and paid.
    "replaced": {
        "claims": (
            "x12",
            {
                "a.837": claims_837(claim("A1", 200, "20260105")),
                "b.837": claims_837(
                    claim("A1R", 200, "20260105", kind=7, replaces="ICN1", code="99214"), made="20260210"
                ),
            },
        ),
        "remits": (
            "x12",
            {
                "a.835": payment_835("A1", 200, 0, "20260105", status=4, reason="CO*16"),
                "b.835": payment_835("A1R", 200, 80, "20260105", control="ICN2", on="20260220", code="99214"),
            },
        ),
    },
    # Paid, and then void under another number: nothing is billed, and the money is a credit.
    "voided": {
        "claims": (
            "x12",
            {
                "a.837": claims_837(claim("A1", 200, "20260105")),
                "b.837": claims_837(claim("A1V", 200, "20260105", kind=8, replaces="ICN1"), made="20260210"),
            },
        ),
        "remits": ("x12", {"a.835": payment_835("A1", 200, 80, "20260105")}),
    },
    # Two practices of one group, each with a claim 1001; the second is paid.
    "practices": {
        "north": ("x12", {"a.837": claims_837(claim("1001", 200, "20260105"))}),
        "south": ("x12", {"b.837": claims_837(claim("1001", 50, "20260107"), npi=SOUTH, payer="P2")}),
        "remits": ("x12", {"b.835": payment_835("1001", 50, 40, "20260107", npi=SOUTH, payer="P2")}),
    },
    # Three months under one account number; March is turned back, January and February are paid, February is sent twice.
    "months": {
        "claims": (
            "x12",
            {
                "a.837": claims_837(claim("ACCT", 100, "20260105")),
                "b.837": claims_837(claim("ACCT", 100, "20260205"), made="20260206"),
                "c.837": claims_837(claim("ACCT", 100, "20260305"), made="20260306"),
                "d.837": claims_837(claim("ACCT", 100, "20260205"), made="20260307"),
                "c.277": status_277("ACCT", 100, "20260305"),
            },
        ),
        "remits": (
            "x12",
            {
                "a.835": payment_835("ACCT", 100, 60, "20260105"),
                "b.835": payment_835("ACCT", 100, 60, "20260205", control="ICN2", on="20260220"),
            },
        ),
    },
    # A payment for a claim of the same number that nobody sent here.
    "strange": {
        "claims": ("x12", {"a.837": claims_837(claim("1001", 200, "20260105"))}),
        "remits": ("x12", {"b.835": payment_835("1001", 50, 40, "20260107", npi=SOUTH)}),
    },
    # A claim resource that replaces another one.
    "resources": {
        "ehr": (
            "fhir",
            {
                "Patient.ndjson": ndjson({"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"}),
                "Claim.ndjson": ndjson(
                    fhir_claim("one", 200, "2026-01-06T10:00:00Z"),
                    fhir_claim(
                        "two",
                        180,
                        "2026-02-10T10:00:00Z",
                        related=[
                            {
                                "relationship": {"coding": [{"code": "prior"}]},
                                "claim": {"reference": "Claim/one"},
                            }
                        ],
                    ),
                ),
                "ExplanationOfBenefit.ndjson": ndjson(
                    fhir_benefit("e1", "one", 200, 0, "2026-01-20T10:00:00Z"),
                    fhir_benefit("e2", "two", 180, 80, "2026-02-20T10:00:00Z"),
                ),
            },
        )
    },
}
RIGHT = {
    "replaced": {
        "claims": 1,
        "claim_submissions": 2,
        "billed_amount": 200,
        "open_balance": 0,
        "decided_claims": 1,
        "denial_rate": 1,
        "overturned_claims": 1,
        "unmatched_remittance_claims": 0,
    },
    "voided": {"claims": 1, "billed_amount": 0, "payer_paid_amount": 80, "unmatched_remittance_claims": 0},
    "practices": {"claims": 2, "billed_amount": 250, "open_balance": 200, "unmatched_remittance_claims": 0},
    "months": {
        "claims": 3,
        "claim_submissions": 4,
        "billed_amount": 300,
        "open_balance": 100,
        "decided_claims": 2,
        "rejected_claims": 1,
        "denial_rate": 0,
        "unmatched_remittance_claims": 0,
    },
    "strange": {
        "claims": 1,
        "billed_amount": 200,
        "decided_claims": 1,
        "unmatched_remittance_claims": 1,
        "unapplied_amount": 40,
    },
    "resources": {
        "claims": 1,
        "claim_submissions": 2,
        "billed_amount": 180,
        "decided_claims": 1,
        "payer_paid_amount": 80,
        "unmatched_remittance_claims": 0,
    },
}


def deliver(folder: Path) -> Configuration:
    for name, feeds in TENANTS.items():
        for feed_name, (_, files) in feeds.items():
            path = folder / name / feed_name
            path.mkdir(parents=True)
            for file_name, text in files.items():
                (path / file_name).write_text(text, encoding="utf-8")
    return {
        name: tenant(
            [feed(feed_name, kind, f"{name}/{feed_name}") for feed_name, (kind, _) in feeds.items()], as_of="2026-06-30"
        )
        for name, feeds in TENANTS.items()
    }


def deliver_more(site: Site, _: Configuration) -> None:
    """Everything again, under other names."""
    for name in TENANTS:
        for file in [path for path in (site.folder / name).rglob("*") if path.is_file()]:
            shutil.copyfile(file, file.with_name(f"again-{file.name}"))


def exact_figures(site: Site, name: str) -> dict[str, Decimal | int | float | None]:
    reader = site.reader(name)
    return {metric: reader.query(MetricQuery(metrics=[metric])).item(0, metric) for metric in RIGHT[name]}


@pytest.mark.parametrize("name", TENANTS)
def test_each_claim_is_billed_once_and_its_decisions_stand_in_order(first: Site, name: str) -> None:
    assert exact_figures(first, name) == RIGHT[name]


@pytest.mark.parametrize("name", TENANTS)
def test_everything_delivered_again_changes_nothing_but_submissions(second: Site, name: str) -> None:
    again = exact_figures(second, name)
    # An 837 under another name is one more submission of its claims.
    assert again.pop("claim_submissions", 0) >= RIGHT[name].get("claim_submissions", 0)
    assert again == {metric: value for metric, value in RIGHT[name].items() if metric != "claim_submissions"}


@pytest.mark.parametrize("run", ["first", "second"])
def test_what_was_not_matched_is_shown_with_its_money(run: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(run)
    matches = site.reader("strange").health().remittance_matches.filter(level="claim")
    assert matches.select("match_method", "is_matched", "records", "payer_paid_amount").rows() == [
        ("none", False, 1, Decimal(40))
    ]
