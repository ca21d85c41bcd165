"""The whole way on feeds that nobody here wrote: run the pipeline over them and ask the command line for the figures that
their README counts with plain Python.

One tenant a set. What a feed cannot give is held back with a reason, and counted here too.
"""

import json
import re
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from functools import cache

import pytest

from tests.real.conftest import ASKED, SERVED, SETS, RealSite
from tests.support import clinicmart_here

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

FIGURES = (
    "bed_days", "length_of_stay_days", "claims", "billed_amount", "claim_submissions", "submitted_amount", "remitted_claims",
    "remitted_billed_amount", "payer_paid_amount", "provider_adjustment_amount",
)  # fmt: skip


# (tenant, metric) to the figure
Figure = Callable[[str, str], Decimal]


@pytest.fixture(scope="module")
def figure(site: RealSite) -> Figure:
    """A tenant's figure; all of a tenant are asked for at once."""
    figures = cache(lambda tenant: site.rows(tenant, ",".join(FIGURES))[0])
    return lambda tenant, name: Decimal(figures(tenant)[name])


def test_the_run_publishes_what_it_can_and_names_what_it_cannot(site: RealSite) -> None:
    assert site.first.code == 1, site.first.out + site.first.err
    assert "Published." in site.first.out
    assert re.search(r"bluecross/feed: file [0-9a-f]{10}\.txt \(byte 0\)", site.first.err), site.first.err
    assert "ISA" in site.first.err
    assert "blue_cross_nc_sample" not in site.first.err
    assert "`clinicmart status` shows the names of these files" in site.first.err
    asked = clinicmart_here("status", "--home", site.home)
    assert "blue_cross_nc_sample.txt" in asked.out, (
        "a person who may read the ledger on the server sees which file it is"
    )


@pytest.mark.parametrize(
    ("tenant", "expected"),
    [
        ("bundles", {"AMB": 283, "EMER": 27, "IMP": 30}),
        ("bulk", {"AMB": 1133, "IMP": 49, "EMER": 23, "HH": 9, "VR": 1}),
    ],
)
def test_encounters_by_class(site: RealSite, tenant: str, expected: dict[str, int]) -> None:
    rows = site.rows(tenant, "encounters", "--by", "encounter_class")
    assert {row["encounter_class"]: int(row["encounters"]) for row in rows} == expected


def test_inpatient_days(figure: Figure) -> None:
    assert round(figure("bulk", "bed_days"), 3) == Decimal("277.810")
    assert round(figure("bulk", "length_of_stay_days"), 4) == Decimal("5.6696")


def test_claims_and_explanations_of_benefit_of_the_bundles(figure: Figure) -> None:
    assert figure("bundles", "claims") == 418
    assert figure("bundles", "billed_amount") == Decimal("881636.04")
    assert figure("bundles", "remitted_claims") == 340
    assert figure("bundles", "payer_paid_amount") == Decimal("656596.832")


def test_remittances_of_the_implementation_guide(figure: Figure) -> None:
    assert figure("guide835", "remitted_claims") == 8
    assert figure("guide835", "remitted_billed_amount") == Decimal("241749.61")
    assert figure("guide835", "payer_paid_amount") == Decimal("152387.23")
    assert figure("guide835", "provider_adjustment_amount") == Decimal("-1.27")


@pytest.mark.parametrize(
    ("tenant", "submissions", "amount"),
    [("guide837p4", 6, "1114.04"), ("guide837p5", 18, "8072.55"), ("guide837i4", 5, "4028.62")],
)
def test_claims_of_the_implementation_guide(figure: Figure, tenant: str, submissions: int, amount: str) -> None:
    assert figure(tenant, "claim_submissions") == submissions
    assert figure(tenant, "submitted_amount") == Decimal(amount)


def test_a_claim_that_is_submitted_several_times_is_billed_once(figure: Figure) -> None:
    # The 18 submissions bear 13 numbers. One of them, CLMNO12345, is borne by claims of two patients, days and amounts.
    assert figure("guide837p5", "claims") == 14


@pytest.mark.parametrize(
    ("tenant", "claims", "charged", "paid"),
    [("emedny", 3, "102.50", "45.75"), ("united", 2, "1157.52", "349.99")],
)
def test_remittances_of_payers(figure: Figure, tenant: str, claims: int, charged: str, paid: str) -> None:
    assert figure(tenant, "remitted_claims") == claims
    assert figure(tenant, "remitted_billed_amount") == Decimal(charged)
    assert figure(tenant, "payer_paid_amount") == Decimal(paid)


@pytest.mark.parametrize(("tenant", "messages"), [("converter", 56), ("edges", None), ("batches", None)])
def test_every_hl7_message_is_landed_or_held_with_a_reason(site: RealSite, tenant: str, messages: int | None) -> None:
    with sqlite3.connect(site.home / "ledger.sqlite") as ledger:
        read, used, refused = ledger.execute(
            "select sum(records_read), sum(records_used), sum(records_refused) from unit where tenant_id = ?", (tenant,)
        ).fetchone()
        (held,) = ledger.execute(
            'select sum("rows") from held where tenant_id = ? and entity = ? and reason <> ?', (tenant, "record", "")
        ).fetchone()
        reasons = {row[0] for row in ledger.execute("select distinct reason from held where tenant_id = ?", (tenant,))}
    ledger.close()
    assert read == used + refused
    assert held == refused
    assert used > 0
    assert "" not in reasons
    if messages is not None:
        assert read == messages


def test_acknowledgements_are_used_and_the_broken_claims_beside_them_held(site: RealSite) -> None:
    with sqlite3.connect(site.home / "ledger.sqlite") as ledger:
        read, used, refused = ledger.execute(
            "select sum(records_read), sum(records_used), sum(records_refused) from unit where tenant_id = 'claims'"
        ).fetchone()
        reasons = {row[0] for row in ledger.execute("select distinct reason from held where tenant_id = 'claims'")}
    ledger.close()
    # Two claims of 277CA, eight of a 277, two transactions of 999; the SE of every 837 counts wrongly.
    assert (read, used, refused) == (63, 12, 51)
    assert reasons == {"segment_count_wrong"}


def test_one_appointment_of_many_messages_ends_in_the_last_status(site: RealSite) -> None:
    rows = site.rows("converter", "appointments,no_shows,completed_appointments")
    assert [int(float(rows[0][name] or 0)) for name in ("appointments", "no_shows")] == [1, 1]


def test_a_second_run_changes_nothing(site: RealSite) -> None:
    assert site.again.code == 1, "the feed that cannot be read is named again"
    assert "Nothing new" in site.again.out
    assert {tenant: site.rows(tenant, ASKED[tenant]) for tenant in site.between} == site.between
    assert set(site.between) == set(ASKED)


def test_status_shows_a_ledger_that_balances(site: RealSite) -> None:
    found = site.status
    assert found["is_conserved"] is True
    assert {feed["outcome"] for feed in found["feeds"] if feed["tenant_id"] == "bluecross"} == {"unreadable"}
    held = json.loads(clinicmart_here("quarantine", "list", "--home", site.home, "--json").out)
    assert all(row["reason"] and row["first_position"] for row in held)


@pytest.mark.parametrize(
    ("tenant", "entity", "amounts"),
    [
        ("guide835", "remittance_claim", {"rows": "8", "billed_amount": "241749.61", "payer_paid_amount": "152387.23"}),
        ("guide835", "provider_adjustment", {"adjustment_amount": "-1.27"}),
        ("guide835", "remittance", {"payment_amount": "152388.50"}),
        ("guide837p4", "claim", {"rows": "6", "billed_amount": "1114.04"}),
        ("guide837p5", "claim", {"rows": "18", "billed_amount": "8072.55"}),
        ("guide837i4", "claim", {"rows": "5", "billed_amount": "4028.62"}),
        ("emedny", "remittance_claim", {"rows": "3", "billed_amount": "102.50", "payer_paid_amount": "45.75"}),
        ("united", "remittance_claim", {"rows": "2", "billed_amount": "1157.52", "payer_paid_amount": "349.99"}),
    ],
)
def test_rows_and_money_agree_from_the_feed_to_the_published_file(
    site: RealSite, tenant: str, entity: str, amounts: dict[str, str]
) -> None:
    bridge = {(line["entity"], line["measure"]): line for line in site.status["reconciliation"][tenant]["bridge"]}
    for measure, total in amounts.items():
        line = bridge[entity, measure]
        assert {Decimal(line[step]) for step in ("read", "marts", "published")} == {Decimal(total)}, measure


def test_everything_reconciles_for_every_tenant(site: RealSite) -> None:
    assert set(site.status["reconciliation"]) == {*SETS, *(f"{name}-served" for name in SERVED)}
    for tenant, found in site.status["reconciliation"].items():
        assert found["open"] == [], tenant
        assert found["measures"] > 0 or tenant == "bluecross", tenant
        assert {Decimal(line["difference"]) for line in found["bridge"]} <= {Decimal(0)}, tenant
