"""Payments that come again, in parts or with a faulty envelope, from feed to figure: one home, one tenant for each."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from ingest.problems import problem_code
from tests.ingest.x12_payments import Claim, Payment, claims_837, interchange
from tests.support import Ran, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow

A1 = Claim("A1", "1", Decimal(200), Decimal(80), "ICN1", (("CO", "45", Decimal(100)), ("PR", "2", Decimal(20))))
A2 = Claim("A2", "1", Decimal(100), Decimal(70), "ICN2", (("CO", "45", Decimal(30)),))
OTHER_MONEY = replace(A1, paid=Decimal(85), takes=(("CO", "45", Decimal(95)), ("PR", "2", Decimal(20))))
ONE, BOTH = Payment("TRN1", (A1,)), Payment("TRN1", (A1, A2))
WRONG_SE02 = [*ONE.segments()[:-1], ONE.segments()[-1].replace("*0001", "*0002")]


def held_payment(number: int) -> str:
    """A payment whose SE02 is wrong and which does not balance."""
    lost = replace(ONE, trace=f"TRN{number}", amount=Decimal("4.995")).segments()
    return interchange([*lost[:-1], lost[-1].replace("*0001", "*0002")], control=number)


# Tenant to its 835 files.
REMITS = {
    "redated": [
        interchange(ONE.segments()),
        interchange(ONE.segments(produced="20260221", refs=1), control=2, made="260221"),
    ],
    "separators": [
        interchange(ONE.segments(), line_end="\n"),
        interchange(ONE.segments(), control=2, separators="|>\n"),
    ],
    "split": [interchange(BOTH.only([claim]).segments(), control=number) for number, claim in enumerate((A1, A2), 1)],
    "blanks": [interchange(ONE.segments(), separators="*:~", line_end="\n").replace("~", " ~")],
    "envelope": [interchange(WRONG_SE02), *map(held_payment, range(2, 14))],
    "contradicts": [interchange(ONE.segments()), interchange(ONE.only([OTHER_MONEY]).segments(), control=2)],
}
FIGURES = (
    "payer_paid_amount",
    "contractual_amount",
    "open_balance",
    "remittances",
    "remittance_payment_amount",
    "remittance_out_of_balance_amount",
    "claim_submissions",
)
OF_ONE = ("80.00", "100.00", "20.00", "1", "80.00", "0.00", "1")
EXPECTED = dict.fromkeys(REMITS, OF_ONE) | {"split": ("150.00", "130.00", "20.00", "1", "150.00", "0.00", "2")}


class Site:
    """A home, its feeds and what its runs printed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.config = folder, folder / "home", folder / "clinicmart.yaml"
        lines = ["tenants:"]
        for tenant, files in REMITS.items():
            for kind in ("837", "835"):
                (folder / tenant / kind).mkdir(parents=True)
            billed = (A1, A2) if tenant == "split" else (A1,)
            (folder / tenant / "837" / "a.837").write_text(interchange(claims_837(*billed), control=500))
            for number, text in enumerate(files):
                (folder / tenant / "835" / f"{number:02d}.835").write_text(text)
            feeds = ", ".join(
                f"{{name: {n}, kind: x12, path: {tenant}/{k}}}" for n, k in (("claims", "837"), ("remits", "835"))
            )
            lines.append(
                f"  {tenant}: {{name: {tenant}, time_zone: America/New_York, as_of: 2026-06-30, feeds: [{feeds}]}}"
            )
        self.config.write_text("\n".join(lines), encoding="utf-8")
        self.ran = self.run()

    def run(self) -> Ran:
        return clinicmart("run", "--config", self.config, "--home", self.home)

    def figures(self, tenant: str) -> tuple[Decimal, ...]:
        asked = clinicmart_here(
            *("metrics", "query", ",".join(FIGURES), "--home", self.home, "--tenant", tenant),
            *("--as", f"admin@{tenant}", "--format", "csv"),
        )
        assert asked.code == 0, asked.err
        (row,) = csv.DictReader(io.StringIO(asked.out))
        return tuple(Decimal(row[name] or 0) for name in FIGURES)

    def notices(self) -> dict[tuple[str, str], int]:
        """Records by tenant and reason, as `status` shows them."""
        found = json.loads(clinicmart_here("status", "--home", self.home, "--json").out)
        assert found["is_conserved"] is True
        assert all(tenant["open"] == [] for tenant in found["reconciliation"].values())
        assert all(row["code"] == problem_code(row["reason"]) != "" for row in found["notices"])
        return {(row["tenant_id"], row["reason"]): row["rows"] for row in found["notices"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("payments"))
    assert (made.ran.code, "Published." in made.ran.out) == (0, True), made.ran.err
    return made


@pytest.mark.parametrize("tenant", REMITS)
def test_a_payment_counts_once(site: Site, tenant: str) -> None:
    assert site.figures(tenant) == tuple(map(Decimal, EXPECTED[tenant]))


def test_what_was_read_over_is_shown(site: Site) -> None:
    assert site.notices() == {
        ("redated", "payment_came_again"): 1,
        ("separators", "payment_came_again"): 1,
        ("split", "payment_in_parts"): 1,
        ("blanks", "blank_before_terminator"): 1,
        ("envelope", "control_number_wrong"): 1,
    }


def test_the_run_ends_with_what_is_held(site: Site) -> None:
    last = site.ran.out.strip().splitlines()[-1]
    assert last == (
        "13 payments, $139.94, held: control_number_wrong, payment_contradicts; see `clinicmart quarantine list`."
    )
    listed = json.loads(
        clinicmart_here("quarantine", "list", "--home", site.home, "--tenant", "envelope", "--json").out
    )
    assert [(row["code"], row["what"], row["what_count"], Decimal(row["amount"])) for row in listed] == [
        ("CM-X12-013", "payment", 12, Decimal("59.94"))
    ]


def test_money_of_payments_that_are_held_is_a_doubt_of_what_their_feed_brings(site: Site) -> None:
    told = json.loads(clinicmart_here("status", "--home", site.home, "--json").out)["plausibility"]
    held = {row["tenant_id"]: row for row in told if row["code"] == "CM-PLAUS-006"}
    assert Decimal(str(held["envelope"]["amount"])) == Decimal("59.94")
    assert {"payer_paid_amount", "denial_rate"} <= set(held["envelope"]["metrics"])


def test_everything_once_more_in_other_words_changes_nothing(site: Site) -> None:
    for tenant in REMITS:
        folder = site.folder / tenant
        (folder / "837" / "b.837").write_text(
            interchange(claims_837(*((A1, A2) if tenant == "split" else (A1,))), control=500, separators="|>\n")
        )
        payment = BOTH if tenant == "split" else ONE
        (folder / "835" / "zz.835").write_text(
            interchange(payment.segments(produced="20260401"), control=99, separators="&;'")
        )
    again = site.run()
    assert again.code == 0, again.err
    for tenant, expected in EXPECTED.items():
        # The claims came in a second file: nothing tells a copy from another sending of them.
        *figures, submissions = map(Decimal, expected)
        assert site.figures(tenant) == (*figures, 2 * submissions), tenant
    assert {tenant for tenant, reason in site.notices() if reason == "payment_came_again"} == set(REMITS)
