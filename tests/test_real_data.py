"""The whole way on feeds that nobody here wrote: run the pipeline over them and ask the command line for the figures that
their README counts with plain Python.

One tenant a set. What a feed cannot give is held back with a reason, and counted here too.
"""

import csv
import io
import json
import re
import sqlite3
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.support import Ran, clinicmart

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

# Tenant -> (kind, profile, folder below the data)
SETS = {
    "bundles": ("fhir", "synthea", "fhir/synthea-bundles"),
    "bulk": ("fhir", "synthea", "fhir/bulk-10-patients"),
    "examples": ("fhir", "r4", "fhir/r4-examples"),
    "converter": ("hl7v2", None, "hl7v2/converter"),
    "edges": ("hl7v2", None, "hl7v2/edge-cases"),
    "batches": ("hl7v2", None, "hl7v2/batches"),
    "guide835": ("x12", None, "x12/implementation-guide/835_005010X221A1"),
    "guide837p4": ("x12", None, "x12/implementation-guide/837_004010X098A1"),
    "guide837p5": ("x12", None, "x12/implementation-guide/837_005010X222A2"),
    "guide837i4": ("x12", None, "x12/implementation-guide/837_004010X096A1"),
    "emedny": ("x12", None, "x12/remits/emedny_sample.txt"),
    "united": ("x12", None, "x12/remits/united_healthcare_legacy_sample.txt"),
    "bluecross": ("x12", None, "x12/remits/blue_cross_nc_sample.txt"),
    "claims": ("x12", None, "x12/claims"),
}
FIGURES = (
    "bed_days", "length_of_stay_days", "claims", "billed_amount", "claim_submissions", "submitted_amount", "remitted_claims",
    "remitted_billed_amount", "payer_paid_amount", "provider_adjustment_amount",
)  # fmt: skip


class Site:
    """A home after one run over every set."""

    def __init__(self, home: Path, ran: Ran) -> None:
        self.home, self.ran = home, ran
        self._figures: dict[str, dict[str, str]] = {}

    def rows(self, tenant: str, names: str, *options: str) -> list[dict[str, str]]:
        """The answer of `clinicmart metrics query` as CSV rows."""
        asked = clinicmart(
            "metrics",
            "query",
            names,
            "--home",
            self.home,
            "--tenant",
            tenant,
            "--as",
            f"admin@{tenant}",
            "--format",
            "csv",
            *options,
        )
        assert asked.code == 0, asked.err
        return list(csv.DictReader(io.StringIO(asked.out)))

    @cached_property
    def reconciled(self) -> dict[str, dict[str, Any]]:
        """Per tenant what `clinicmart status` says of the reconciliation."""
        found: dict[str, dict[str, Any]] = json.loads(clinicmart("status", "--home", self.home, "--json").out)
        return found["reconciliation"]

    def figure(self, tenant: str, name: str) -> Decimal:
        """One figure; all of a tenant are asked for at once, since a command takes its time to start."""
        if tenant not in self._figures:
            (self._figures[tenant],) = self.rows(tenant, ",".join(FIGURES))
        return Decimal(self._figures[tenant][name])


@pytest.fixture(scope="module")
def site(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("real")
    tenants = {
        name: {
            "name": name.capitalize(),
            "time_zone": "America/New_York",
            "feeds": [
                {"name": "feed", "kind": kind, "path": str(real_data / path)}
                | ({"profile": profile} if profile else {})
            ],
        }
        for name, (kind, profile, path) in SETS.items()
    }
    config = folder / "clinicmart.yaml"
    config.write_text(json.dumps({"tenants": tenants}), encoding="utf-8")
    home = folder / "home"
    return Site(home, clinicmart("run", "--config", config, "--home", home))


def test_the_run_publishes_what_it_can_and_names_what_it_cannot(site: Site) -> None:
    assert site.ran.code == 1, site.ran.out + site.ran.err
    assert "Published." in site.ran.out
    assert re.search(r"bluecross/feed: file [0-9a-f]{10}\.txt \(byte 0\)", site.ran.err), site.ran.err
    assert "ISA" in site.ran.err
    assert "blue_cross_nc_sample" not in site.ran.err
    assert "`clinicmart status` shows the names of these files" in site.ran.err
    asked = clinicmart("status", "--home", site.home)
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
def test_encounters_by_class(site: Site, tenant: str, expected: dict[str, int]) -> None:
    rows = site.rows(tenant, "encounters", "--by", "encounter_class")
    assert {row["encounter_class"]: int(row["encounters"]) for row in rows} == expected


def test_inpatient_days(site: Site) -> None:
    assert round(site.figure("bulk", "bed_days"), 3) == Decimal("277.810")
    assert round(site.figure("bulk", "length_of_stay_days"), 4) == Decimal("5.6696")


def test_claims_and_explanations_of_benefit_of_the_bundles(site: Site) -> None:
    assert site.figure("bundles", "claims") == 418
    assert site.figure("bundles", "billed_amount") == Decimal("881636.04")
    assert site.figure("bundles", "remitted_claims") == 340
    assert site.figure("bundles", "payer_paid_amount") == Decimal("656596.832")


def test_remittances_of_the_implementation_guide(site: Site) -> None:
    assert site.figure("guide835", "remitted_claims") == 8
    assert site.figure("guide835", "remitted_billed_amount") == Decimal("241749.61")
    assert site.figure("guide835", "payer_paid_amount") == Decimal("152387.23")
    assert site.figure("guide835", "provider_adjustment_amount") == Decimal("-1.27")


@pytest.mark.parametrize(
    ("tenant", "submissions", "amount"),
    [("guide837p4", 6, "1114.04"), ("guide837p5", 18, "8072.55"), ("guide837i4", 5, "4028.62")],
)
def test_claims_of_the_implementation_guide(site: Site, tenant: str, submissions: int, amount: str) -> None:
    assert site.figure(tenant, "claim_submissions") == submissions
    assert site.figure(tenant, "submitted_amount") == Decimal(amount)


def test_a_claim_that_is_submitted_several_times_is_billed_once(site: Site) -> None:
    # The 18 submissions bear 13 numbers. One of them, CLMNO12345, is borne by claims of two patients, days and amounts.
    assert site.figure("guide837p5", "claims") == 14


@pytest.mark.parametrize(
    ("tenant", "claims", "charged", "paid"),
    [("emedny", 3, "102.50", "45.75"), ("united", 2, "1157.52", "349.99")],
)
def test_remittances_of_payers(site: Site, tenant: str, claims: int, charged: str, paid: str) -> None:
    assert site.figure(tenant, "remitted_claims") == claims
    assert site.figure(tenant, "remitted_billed_amount") == Decimal(charged)
    assert site.figure(tenant, "payer_paid_amount") == Decimal(paid)


@pytest.mark.parametrize(("tenant", "messages"), [("converter", 56), ("edges", None), ("batches", None)])
def test_every_hl7_message_is_landed_or_held_with_a_reason(site: Site, tenant: str, messages: int | None) -> None:
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


def test_acknowledgements_are_used_and_the_broken_claims_beside_them_held(site: Site) -> None:
    with sqlite3.connect(site.home / "ledger.sqlite") as ledger:
        read, used, refused = ledger.execute(
            "select sum(records_read), sum(records_used), sum(records_refused) from unit where tenant_id = 'claims'"
        ).fetchone()
        reasons = {row[0] for row in ledger.execute("select distinct reason from held where tenant_id = 'claims'")}
    ledger.close()
    # Two claims of 277CA, eight of a 277, two transactions of 999; the SE of every 837 counts wrongly.
    assert (read, used, refused) == (63, 12, 51)
    assert reasons == {"segment_count_wrong"}


def test_one_appointment_of_many_messages_ends_in_the_last_status(site: Site) -> None:
    rows = site.rows("converter", "appointments,no_shows,completed_appointments")
    assert [int(float(rows[0][name] or 0)) for name in ("appointments", "no_shows")] == [1, 1]


def test_a_second_run_changes_nothing(site: Site) -> None:
    before = {tenant: site.rows(tenant, "encounters,claims,payer_paid_amount") for tenant in ("bundles", "guide835")}
    again = clinicmart("run", "--config", site.home.parent / "clinicmart.yaml", "--home", site.home)
    assert again.code == 1, "the feed that cannot be read is named again"
    assert "Nothing new" in again.out
    assert {tenant: site.rows(tenant, "encounters,claims,payer_paid_amount") for tenant in before} == before


def test_status_shows_a_ledger_that_balances(site: Site) -> None:
    found = json.loads(clinicmart("status", "--home", site.home, "--json").out)
    assert found["is_conserved"] is True
    assert {feed["outcome"] for feed in found["feeds"] if feed["tenant_id"] == "bluecross"} == {"unreadable"}
    held = json.loads(clinicmart("quarantine", "list", "--home", site.home, "--json").out)
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
    site: Site, tenant: str, entity: str, amounts: dict[str, str]
) -> None:
    bridge = {(line["entity"], line["measure"]): line for line in site.reconciled[tenant]["bridge"]}
    for measure, total in amounts.items():
        line = bridge[entity, measure]
        assert {Decimal(line[step]) for step in ("read", "marts", "published")} == {Decimal(total)}, measure


def test_everything_reconciles_for_every_tenant(site: Site) -> None:
    assert set(site.reconciled) == set(SETS)
    for tenant, found in site.reconciled.items():
        assert found["open"] == [], tenant
        assert found["measures"] > 0 or tenant == "bluecross", tenant
        assert {Decimal(line["difference"]) for line in found["bridge"]} <= {Decimal(0)}, tenant
