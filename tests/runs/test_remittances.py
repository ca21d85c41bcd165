"""Money of claim payments through the whole pipeline, from 837 and 835 files to the figures: several payers of one claim, money on
the claim, reasons in pairs. Every tenant is one claim; tests/marts/test_remittance_money.py asks the models for many more.
"""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.ingest.x12_payments import interchange
from tests.marts.remittance_money import Claim, Decision, Service, dollars
from tests.runs.site import Configuration, Site, feed, tenant

pytestmark = pytest.mark.slow


def charged(claim: Claim, payer: str) -> str:
    """The 837 of a claim: one line for each charge, C0, C1 and so on, of 5 January."""
    lines = [
        segment
        for number, cents in enumerate(claim.charges)
        for segment in (
            f"LX*{number + 1}",
            f"SV1*HC:C{number}*{dollars(cents)}*UN*1***1",
            "DTP*472*D8*20260105",
            f"REF*6R*{claim.name}L{number}",
        )
    ]
    body = [
        "ST*837*0001*005010X222A1",
        "BHT*0019*00*1*20260106*0900*CH",
        "NM1*41*2*NORTH CLINIC*****46*S1",
        "NM1*40*2*HUB*****46*H1",
        "HL*1**20*1",
        "NM1*85*2*NORTH CLINIC*****XX*1234567893",
        "HL*2*1*22*0",
        "SBR*P*18*******CI",
        "NM1*IL*1*DOE*PAT****MI*MEM1",
        f"NM1*PR*2*{payer}*****PI*{payer}",
        f"CLM*{claim.name}*{dollars(sum(claim.charges))}***11:B:1*Y*A*Y*Y",
        "HI*ABK:Z000",
        *lines,
    ]
    text = interchange([*body, f"SE*{len(body) + 1}*0001"], made="260106")
    return text.replace("GS*HP*", "GS*HC*").replace("005010X221A1", "005010X222A1")


def adjusted(reasons: tuple[tuple[str, int], ...]) -> list[str]:
    return [f"CAS*{reason.replace('-', '*')}*{dollars(cents)}" for reason, cents in reasons]


def decided(claim: Claim, decision: Decision) -> str:
    """The 835 of a claim payment, in a separate payment."""
    reasons = [*decision.reasons, *(reason for service in decision.services for reason in service.reasons)]
    left = sum(cents for reason, cents in reasons if reason.startswith("PR"))
    services = [
        segment
        for service in decision.services
        for segment in (
            f"SVC*HC:{service.adjudicated_code or f'C{service.line}'}*{dollars(service.billed)}*{dollars(service.paid)}**1"
            + (f"*HC:C{service.line}" if service.adjudicated_code else ""),
            "DTM*472*20260105",
            *adjusted(service.reasons),
            f"REF*6R*{claim.name}L{service.line}",
        )
    ]
    day = f"2026{1 + decision.day // 28:02d}{1 + decision.day % 28:02d}"
    body = [
        "ST*835*0001",
        f"BPR*I*{dollars(decision.paid)}*C*ACH************{day}",
        f"TRN*1*{claim.name}{decision.name}*1999999999",
        f"DTM*405*{day}",
        f"N1*PR*{decision.payer}*XV*{decision.payer}",
        "N1*PE*NORTH CLINIC*XX*1234567893",
        "LX*1",
        f"CLP*{claim.name}*{decision.status}*{dollars(decision.billed)}*{dollars(decision.paid)}*{dollars(left)}*12*N{decision.name}",
        *adjusted(decision.reasons),
        *services,
    ]
    return interchange([*body, f"SE*{len(body) + 1}*0001"], made=day[2:])


def line(charge: int, paid: int, *reasons: tuple[str, int], number: int = 0, code: str | None = None) -> Service:
    return Service(number, charge, paid, reasons, code)


FIRST_PAYER = Decision("1", "P1", 10, "1", 20000, 8000, services=(line(20000, 8000, ("CO-45", 10000), ("PR-2", 2000)),))
TWO_LINES = Decision(
    "1",
    "P1",
    10,
    "1",
    22000,
    6400,
    services=(
        line(18000, 4800, ("CO-45", 12000), ("PR-2", 1200)),
        line(4000, 1600, ("CO-45", 2000), ("PR-2", 400), number=1),
    ),
)
# Tenant to its claim, and to the figures that are right.
TENANTS: dict[str, tuple[Claim, dict[str, str]]] = {
    "repeats": (
        Claim(
            [20000],
            [
                FIRST_PAYER,
                Decision(
                    "2", "P2", 40, "2", 20000, 2000, services=(line(20000, 2000, ("CO-45", 10000), ("OA-23", 8000)),)
                ),
            ],
        ),
        {"contractual_amount": "100", "open_balance": "0", "receivables_credit": "0"},
    ),
    "silent": (
        Claim(
            [20000],
            [
                FIRST_PAYER,
                Decision("2", "P2", 40, "2", 20000, 1500, services=(line(20000, 1500, ("CO-45", 18500)),)),
            ],
        ),
        {"contractual_amount": "105", "open_balance": "0", "receivables_credit": "0"},
    ),
    "bundled": (
        Claim(
            [10000, 5000],
            [
                Decision(
                    "1",
                    "P1",
                    10,
                    "1",
                    15000,
                    12000,
                    services=(
                        line(10000, 12000, ("CO-94", -5000), ("CO-45", 3000), code="B1"),
                        line(5000, 0, ("CO-97", 5000), number=1, code="B1"),
                    ),
                )
            ],
        ),
        {"contractual_amount": "30", "open_balance": "0", "receivables_credit": "0", "receivables_debit": "0"},
    ),
    "crossover": (
        Claim(
            [20000],
            [
                Decision("1", "P1", 10, "19", 20000, 8000, services=FIRST_PAYER.services),
                Decision("2", "P2", 40, "4", 20000, 0, services=(line(20000, 0, ("OA-23", 18000), ("PR-204", 2000)),)),
            ],
        ),
        {
            "primary_decisions": "1",
            "zero_paid_decisions": "0",
            "denial_primary_rate": "0",
            "adjudicated_allowed_amount": "100",
            "receivables_from_patients": "20",
        },
    ),
    "levels": (
        Claim(
            [18000, 4000],
            [
                TWO_LINES,
                Decision(
                    "2",
                    "P2",
                    40,
                    "2",
                    22000,
                    1600,
                    (("OA-23", 6400),),
                    (line(18000, 6000, ("OA-23", 12000)), line(4000, 2000, ("OA-23", 2000), number=1)),
                ),
            ],
        ),
        {"open_balance": "0", "receivables_credit": "0", "receivables_debit": "0"},
    ),
    # Paid by case: no service lines, all amounts on the claim.
    "bycase": (
        Claim(
            [18000, 4000, 3333],
            [Decision("1", "P1", 10, "1", 25333, 15000, (("CO-45", 9333), ("PR-1", 1000)))],
        ),
        {
            "contractual_amount": "93.33",
            "open_balance": "10",
            "receivables_credit": "0",
            "receivables_debit": "10",
            "receivables_from_patients": "10",
            "received_from_payers_amount": "150",
            "adjudicated_allowed_amount": "160",
        },
    ),
}


def deliver(folder: Path) -> Configuration:
    tenants = {}
    for name, (claim, _) in TENANTS.items():
        for kind in ("837", "835"):
            (folder / name / kind).mkdir(parents=True)
        (folder / name / "837" / "claim.837").write_text(charged(claim, "P1"), "utf-8")
        for decision in claim.decisions:
            (folder / name / "835" / f"{decision.name}.835").write_text(decided(claim, decision), "utf-8")
        feeds = [feed("claims", "x12", f"{name}/837"), feed("remits", "x12", f"{name}/835")]
        tenants[name] = tenant(feeds, as_of="2026-06-30")
    return tenants


@pytest.mark.parametrize("name", TENANTS)
def test_figures_of_a_claim_are_what_the_payers_decided(first: Site, name: str) -> None:
    right = TENANTS[name][1]
    assert first.figures(name, *right) == {metric: Decimal(value) for metric, value in right.items()}


def test_a_payment_by_case_is_on_every_line_and_counts_once(first: Site) -> None:
    rows = first.ask("bycase", "payer_paid_amount,open_balance", "--by", "procedure_code")
    assert {row["procedure_code"]: (row["payer_paid_amount"], row["open_balance"]) for row in rows} == {
        "C0": ("106.5800", "7.1100"),
        "C1": ("23.6900", "1.5700"),
        "C2": ("19.7300", "1.3200"),
    }
