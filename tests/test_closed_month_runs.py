"""A takeback that comes after a month was closed, from the file to the page's sentence: the pipeline, whole, on two small tenants."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from dagster_project.run import run_pipeline
from dagster_project.workspace import load_checked_config
from dashboards import closed_notice
from foundation.home import Home
from serving.closed_months import close as closing
from serving.closed_months.close import IncompleteMonth, close_month
from serving.closed_months.figures import everything
from serving.closed_months.view import ClosedMonths
from serving.model import MetricQuery
from serving.people.store import AccessStore
from serving.reader import open_reader
from tests.ingest.test_landing import remittance
from tests.ingest.x12_files import interchange, transaction
from tests.support import clinicmart

pytestmark = pytest.mark.slow

TENANTS = ("harbor", "iris")
MARCH = date(2026, 3, 1)
PAID, TAKEN = "remitted_paid_amount", "takeback_amount"


CLAIMS = [
    "BHT*0019*00*1*20260302*0930*CH",
    "HL*1**20*1",
    "NM1*85*2*HARBOR CLINIC*****XX*1999999984",
    "HL*2*1*22*0",
    "SBR*P*18*******CI",
    "NM1*IL*1*DOE*JANE****MI*W1",
    "NM1*PR*2*ACME HEALTH*****PI*ACME1",
    *(
        segment
        for claim, billed in (("C1", "100.00"), ("C2", "50.25"))
        for segment in (
            f"CLM*{claim}*{billed}***11:B:1*Y*A*Y*Y",
            "LX*1",
            f"SV1*HC:Z1001*{billed}*UN*1***1",
            "DTP*472*D8*20260301",
            f"REF*6R*{claim}-1",
        )
    ),
]


def written(folder: Path) -> Path:
    """Two tenants with the same claims and remittances, so that they share every identifier; returns their configuration."""
    lines = ["tenants:"]
    for tenant in TENANTS:
        (folder / tenant).mkdir()
        (folder / tenant / "claims.837").write_text(interchange(transaction("837", CLAIMS)))
        (folder / tenant / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.25", "7.00")]))
        feeds = f"[{{name: remits, kind: x12, path: {tenant}}}]"
        lines.append(f"  {tenant}: {{name: {tenant.capitalize()}, time_zone: America/Denver, feeds: {feeds}}}")
    file = folder / "clinicmart.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def total(months: ClosedMonths, metric: str) -> pl.DataFrame:
    return months.restatements(months.closes[0]).filter(metric=metric, grain="month", dimension="")


def test_a_takeback_that_comes_after_the_close_is_explained_to_the_claim(tmp_path, monkeypatch):
    config, home = load_checked_config(written(tmp_path)), Home.at(tmp_path / "home")
    assert run_pipeline(home, config).outcome == "published"
    store = AccessStore.open(home)
    for tenant in TENANTS:
        store.ensure_tenant(tenant, tenant.capitalize())
        store.ensure_admin(tenant)
    # Every metric is closed in tests/serving; here two, since each question of the whole catalogue takes its time.
    some = lambda metrics: tuple(asked for asked in everything(metrics) if asked.metric in (PAID, TAKEN))  # noqa: E731
    monkeypatch.setattr(closing, "everything", some)
    people = {tenant: store.principal(tenant, f"admin@{tenant}") for tenant in TENANTS}
    with pytest.raises(IncompleteMonth, match="the data reach only to 2026-03-12, not to the end of the month"):
        close_month(home, people["harbor"], MARCH)
    for person in people.values():
        close_month(home, person, MARCH, accept_incomplete="the practice closed on the 12th")

    # The payer takes back what it paid for C1 and pays it again: dated in March, delivered after the close.
    late = remittance(2, [("C1", "-100.00", "-80.00"), ("C1", "100.00", "85.00")]).replace(
        "CLP*C1*1*-100", "CLP*C1*22*-100"
    )
    (tmp_path / "harbor" / "b.835").write_text(late)
    assert run_pipeline(home, config).outcome == "published"

    months = {tenant: ClosedMonths(home, open_reader(home, people[tenant])) for tenant in TENANTS}
    assert months["iris"].restatements(months["iris"].closes[0]).height == 0
    harbor = months["harbor"]
    (taken,), (paid,) = (total(harbor, metric).to_dicts() for metric in (TAKEN, PAID))
    assert (taken["closed_exact"], taken["new_exact"], taken["amount_exact"]) == (0, 80, 80)
    assert (paid["closed_exact"], paid["new_exact"], paid["amount_exact"]) == (87, 92, 5)
    causes = harbor.causes(harbor.closes[0]).filter(cause_set=taken["cause_set"]).to_dicts()
    assert [(cause["kind"], cause["feed"], cause["record_kind"], cause["record_id"]) for cause in causes] == [
        ("late", "remits", "claim", "C1")
    ]
    assert causes[0]["file"].startswith("file ")
    assert causes[0]["file"].endswith(".835")
    told = {change.metric: change for change in harbor.changes(harbor.closes[0])}
    assert closed_notice.why(told[TAKEN].causes) == "feed remits later brought rows of 1 claim"

    # What was closed can be asked again, in total and by row, and is what it was.
    asked = MetricQuery(metrics=[PAID, TAKEN], date_from=MARCH, date_to=date(2026, 3, 31))
    then = open_reader(home, people["harbor"], as_of="close:2026-03")
    assert then.query(asked).row(0) == (Decimal(87), 0)
    assert then.drill(PAID, {}, MARCH, date(2026, 3, 31)).total_value == 87
    assert open_reader(home, people["harbor"]).query(asked).row(0) == (Decimal(92), Decimal(80))

    # The command line tells the same, and a run that brings nothing finds nothing.
    who = ("--home", home.path, "--tenant", "harbor", "--as", "admin@harbor")
    said = clinicmart("close", "restatements", "2026-03", *who, "--metric", TAKEN, "--format", "csv")
    assert said.code == 0, said.err
    assert f"remits, {causes[0]['file']}: claim C1 (remittance_" in said.out
    before = harbor.restatements(harbor.closes[0]).height
    assert run_pipeline(home, config).outcome == "unchanged"
    assert ClosedMonths(home, open_reader(home, people["harbor"])).restatements(harbor.closes[0]).height == before
    said = clinicmart("close", "2026-03", *who)
    assert (said.code, "reopen it first" in said.err) == (2, True)
    said = clinicmart(
        "metrics", "query", PAID, *who, "--as-of", "close:2026-03", "--to", "2026-03-31", "--format", "csv"
    )
    assert said.out.splitlines()[1] == "87.0000"
