"""Feeds that bill the same service, and feeds that contradict the world: figures, findings and marks, as a user asks."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.test_landing import remittance
from tests.runs.site import Configuration, Site, feed, tenant
from tests.support import clinicmart_here

pytestmark = pytest.mark.slow


def financial(visit: str, *, amount: str = "200", day: str = "20260105") -> str:
    """A registration and a DFT with one charge of a visit."""
    pid = "PID|1||M1^^^NORTH^MR||DOE^PAT||19800101|F"
    pv1 = "PV1|1|O|CLIN" + "|" * 16 + visit + "|" * 25 + "20260105090000"
    return (
        f"MSH|^~\\&|EHR|NORTH|CM|CM|{day}090000||ADT^A04|1|P|2.5.1\rEVN|A04|{day}090000\r{pid}\r{pv1}\r"
        f"MSH|^~\\&|EHR|NORTH|CM|CM|{day}180000||DFT^P03|2|P|2.5.1\rEVN|P03|{day}180000\r{pid}\r{pv1}\r"
        f"FT1|1|T1||{day}|{day}|CG|99213^OFFICE|||1|{amount}|||||CLIN|||||||||99213\r"
    )


def claim(number: str, lines: Sequence[tuple[str, str]] = (("99213", "200"),)) -> str:
    """An 837 of one claim; lines are code and amount."""
    services = "".join(
        f"LX*{place}~SV1*HC:{code}*{amount}*UN*1***1~DTP*472*D8*20260105~"
        for place, (code, amount) in enumerate(lines, start=1)
    )
    total = sum(int(amount) for _, amount in lines)
    body = (
        "ST*837*0001*005010X222A1~BHT*0019*00*1*20260106*0900*CH~NM1*41*2*NORTH CLINIC*****46*S1~NM1*40*2*HUB*****46*H1~"
        "HL*1**20*1~NM1*85*2*NORTH CLINIC*****XX*1234567893~N3*1 A ST~N4*TOWN*NY*10001~REF*EI*000000000~"
        "HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*DOE*PAT****MI*MEM1~NM1*PR*2*PAYER ONE*****PI*P1~"
        f"CLM*{number}*{total}***11:B:1*Y*A*Y*Y~HI*ABK:Z000~{services}"
    )
    return (
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*CLINIC         *260106*0800*^*00501*000000101*0*P*:~"
        f"GS*HC*SENDER*CLINIC*20260106*0800*101*X*005010X222A1~{body}SE*{body.count('~') + 1}*0001~GE*1*101~IEA*1*000000101~"
    )


# Tenant -> feeds in the order of the record, each with its kind and its file.
TENANTS = {
    "linked": [("adt", "hl7v2", financial("A1")), ("claims", "x12", claim("A1"))],
    "claims-first": [("claims", "x12", claim("A1", [("99213", "210")])), ("adt", "hl7v2", financial("A1"))],
    "more-lines": [("adt", "hl7v2", financial("A1")), ("claims", "x12", claim("A1", [("99213", "200"), ("80053", "45")]))],
    "unlinked": [("adt", "hl7v2", financial("V1")), ("claims", "x12", claim("A1"))],
    "paid": [
        ("adt", "hl7v2", financial("A1", amount="100")),
        ("claims", "x12", claim("A1", [("99213", "100")])),
        ("remits", "x12", remittance(1, [("A1", "100.00", "80.00")]).replace("20260301", "20260105")),
    ],
    "shared": [
        ("claims", "x12", claim("A1")),
        ("more", "x12", claim("A1").replace("MEM1", "MEM2").replace("DOE*PAT", "ROE*SAM")),
        ("remits", "x12", remittance(1, [("A1", "200.00", "150.00")]).replace("20260301", "20260105")),
    ],
    "dated": [("adt", "hl7v2", financial("A1").replace("||20260105090000\r", "||20970105090000\r"))],
    "stray": [("remits", "x12", remittance(1, [("C1", "100.00", "80.00")]))],
    "odd": [("adt", "hl7v2", financial("A1").replace("|O|CLIN", "|ZZ|CLIN") + financial("A2", amount="x"))],
}  # fmt: skip


Findings = dict[str, list[dict[str, Any]]]


def deliver(folder: Path) -> Configuration:
    for name, feeds in TENANTS.items():
        for feed_name, kind, text in feeds:
            path = folder / name / feed_name
            path.mkdir(parents=True)
            (path / ("a.hl7" if kind == "hl7v2" else "a.edi")).write_text(text)
    return {
        name: tenant([feed(feed_name, kind, f"{name}/{feed_name}") for feed_name, kind, _ in feeds], as_of="2026-06-30")
        for name, feeds in TENANTS.items()
    }


def deliver_more(site: Site, _: Configuration) -> None:
    """The source corrects a date."""
    (site.folder / "dated" / "adt" / "b.hl7").write_text(
        financial("A1", day="20260106")
        .split("MSH|^~\\&|EHR|NORTH|CM|CM|20260106180000")[0]
        .replace("ADT^A04|1|", "ADT^A08|3|")
    )


def findings_of(site: Site) -> Findings:
    """Tenant to its findings, as `status --json` shows them."""
    shown = site.status()["plausibility"]
    return {name: [row for row in shown if row["tenant_id"] == name] for name in TENANTS}


@pytest.fixture(scope="module")
def findings(first: Site) -> Findings:
    return findings_of(first)


BILLED = ("billed_amount", "open_balance", "charge_lines")


@pytest.mark.parametrize(
    ("tenant", "billed", "lines"),
    [("linked", 200, 1), ("claims-first", 210, 1), ("more-lines", 245, 2)],
)
def test_a_service_that_two_feeds_bill_counts_once_by_the_record(
    first: Site, findings: Findings, tenant: str, billed: int, lines: int
) -> None:
    assert first.figures(tenant, *BILLED) == {"billed_amount": billed, "open_balance": billed, "charge_lines": lines}
    assert "CM-PLAUS-001" not in {found["code"] for found in findings[tenant]}


def test_a_payment_of_the_claim_stands_on_the_charge_that_counts(first: Site) -> None:
    found = first.figures("paid", "billed_amount", "payer_paid_amount", "open_balance", "charge_lines", "claims")
    assert found == {"billed_amount": 100, "payer_paid_amount": 80, "open_balance": 0, "charge_lines": 1, "claims": 1}


def test_feeds_that_nothing_links_are_told_with_rows_money_and_what_they_touch(first: Site, findings: Findings) -> None:
    (found,) = (found for found in findings["unlinked"] if found["code"] == "CM-PLAUS-001")
    assert (found["feed"], found["other_feed"]) == ("claims", "adt")
    assert (found["rows"], Decimal(str(found["amount"]))) == (1, 200)
    assert {"billed_amount", "charge_lines", "open_balance"} <= set(found["metrics"])
    assert not {"encounters", "no_show_rate"} & set(found["metrics"])
    told = clinicmart_here("status", "--home", first.home).out
    assert (
        "DOUBT unlinked: CM-PLAUS-001 Two feeds bill the same services: feed claims against feed adt, 1 row, $200.00, "
        "on 5 Jan 2026"
    ) in told


def test_payments_that_no_claim_explains_are_told(findings: Findings) -> None:
    (found,) = (found for found in findings["stray"] if found["code"] == "CM-PLAUS-007")
    assert (found["rows"], Decimal(str(found["amount"]))) == (1, 80)
    assert "payer_paid_amount" in found["metrics"]


def test_a_payment_of_a_number_that_several_claims_share_is_told_and_is_not_one_without_a_claim(
    findings: Findings,
) -> None:
    (found,) = (found for found in findings["shared"] if found["code"] in ("CM-PLAUS-003", "CM-PLAUS-007"))
    assert (found["code"], found["rows"], Decimal(str(found["amount"]))) == ("CM-PLAUS-003", 1, 150)


def test_words_and_money_that_no_figure_has_are_told(findings: Findings) -> None:
    codes = {(found["code"], found["entity"]) for found in findings["odd"]}
    assert {("CM-PLAUS-005", "encounter"), ("CM-PLAUS-006", "charge")} <= codes


def test_a_finding_of_dates_ends_when_the_source_corrects_them(findings: Findings, second: Site) -> None:
    dated = {row["entity"]: row["rows"] for row in findings["dated"] if row["code"] == "CM-PLAUS-008"}
    assert dated["encounter"] == 1
    corrected = findings_of(second)["dated"]
    assert "encounter" not in {row["entity"] for row in corrected if row["code"] == "CM-PLAUS-008"}
