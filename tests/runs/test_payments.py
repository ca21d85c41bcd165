"""Payments that come again, in parts or with a faulty envelope, from feed to figure: one tenant for each."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from ingest.problems import problem_code
from tests.ingest.x12_payments import Claim, Payment, claims_837, interchange
from tests.runs.site import Configuration, Site, feed, tenant
from tests.support import clinicmart_here

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


def billed(name: str) -> tuple[Claim, ...]:
    return (A1, A2) if name == "split" else (A1,)


def deliver(folder: Path) -> Configuration:
    tenants = {}
    for name, files in REMITS.items():
        for kind in ("837", "835"):
            (folder / name / kind).mkdir(parents=True)
        (folder / name / "837" / "a.837").write_text(interchange(claims_837(*billed(name)), control=500))
        for number, text in enumerate(files):
            (folder / name / "835" / f"{number:02d}.835").write_text(text)
        feeds = [feed("claims", "x12", f"{name}/837"), feed("remits", "x12", f"{name}/835")]
        tenants[name] = tenant(feeds, as_of="2026-06-30")
    return tenants


def deliver_more(site: Site, _: Configuration) -> None:
    """Everything again, in other words."""
    for name in REMITS:
        (site.folder / name / "837" / "b.837").write_text(
            interchange(claims_837(*billed(name)), control=500, separators="|>\n")
        )
        payment = BOTH if name == "split" else ONE
        (site.folder / name / "835" / "zz.835").write_text(
            interchange(payment.segments(produced="20260401"), control=99, separators="&;'")
        )


def figures(site: Site, name: str) -> tuple[Decimal, ...]:
    return tuple(value or Decimal(0) for value in site.figures(name, *FIGURES).values())


def notices(site: Site) -> dict[tuple[str, str], int]:
    """Records by tenant and reason, as `status` shows them."""
    status = site.status()
    assert status["is_conserved"] is True
    assert all(shown["open"] == [] for shown in status["reconciliation"].values())
    assert all(row["code"] == problem_code(row["reason"]) != "" for row in status["notices"])
    return {(row["tenant_id"], row["reason"]): row["rows"] for row in status["notices"] if row["tenant_id"] in REMITS}


@pytest.mark.parametrize("name", REMITS)
def test_a_payment_counts_once(first: Site, name: str) -> None:
    assert figures(first, name) == tuple(map(Decimal, EXPECTED[name]))


def test_what_was_read_over_is_shown(first: Site) -> None:
    assert notices(first) == {
        ("redated", "payment_came_again"): 1,
        ("separators", "payment_came_again"): 1,
        ("split", "payment_in_parts"): 1,
        ("blanks", "blank_before_terminator"): 1,
        ("envelope", "control_number_wrong"): 1,
    }


def test_the_run_ends_with_what_is_held(first: Site) -> None:
    last = first.printed.out.strip().splitlines()[-1]
    assert "13 payments, $139.94, held: control_number_wrong, payment_contradicts" in last
    assert last.endswith("; see `clinicmart quarantine list`.")
    listed = json.loads(
        clinicmart_here("quarantine", "list", "--home", first.home, "--tenant", "envelope", "--json").out
    )
    assert [(row["code"], row["what"], row["what_count"], Decimal(row["amount"])) for row in listed] == [
        ("CM-X12-013", "payment", 12, Decimal("59.94"))
    ]


def test_money_of_payments_that_are_held_is_a_doubt_of_what_their_feed_brings(first: Site) -> None:
    held = {row["tenant_id"]: row for row in first.status()["plausibility"] if row["code"] == "CM-PLAUS-006"}
    assert Decimal(str(held["envelope"]["amount"])) == Decimal("59.94")
    assert {"payer_paid_amount", "denial_rate"} <= set(held["envelope"]["metrics"])


@pytest.mark.parametrize("name", REMITS)
def test_everything_once_more_in_other_words_changes_nothing(second: Site, name: str) -> None:
    # The claims came in a second file: nothing tells a copy from another sending of them.
    *others, submissions = map(Decimal, EXPECTED[name])
    assert figures(second, name) == (*others, 2 * submissions)
    assert (name, "payment_came_again") in notices(second)
