"""A takeback that comes after a month was closed, from the file to the page's sentence: the pipeline, whole, on two small tenants."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

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
from tests.runs.site import Configuration, Site, feed, tenant
from tests.support import clinicmart_here

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


def deliver(folder: Path) -> Configuration:
    """Two tenants with the same claims and remittances, so that they share every identifier."""
    for name in TENANTS:
        (folder / name).mkdir()
        (folder / name / "claims.837").write_text(interchange(transaction("837", CLAIMS)))
        (folder / name / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.25", "7.00")]))
    return {name: tenant([feed("remits", "x12", name)], zone="America/Denver") for name in TENANTS}


def deliver_more(site: Site, _: Configuration) -> None:
    """March is closed. Then the payer takes back what it paid for C1 and pays it again: dated in March, delivered after the close."""
    home = Home.at(site.home)
    store = AccessStore.open(home)
    # Every metric is closed in tests/serving; here two, since each question of the whole catalogue takes its time.
    some = lambda metrics: tuple(asked for asked in everything(metrics) if asked.metric in (PAID, TAKEN))  # noqa: E731
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(closing, "everything", some)
        for name in TENANTS:
            person = store.principal(name, f"admin@{name}")
            close_month(home, person, MARCH, accept_incomplete="the practice closed on the 12th")
    late = remittance(2, [("C1", "-100.00", "-80.00"), ("C1", "100.00", "85.00")]).replace(
        "CLP*C1*1*-100", "CLP*C1*22*-100"
    )
    (site.folder / "harbor" / "b.835").write_text(late)


def months_of(site: Site, name: str) -> ClosedMonths:
    return ClosedMonths(Home.at(site.home), site.reader(name))


def total(months: ClosedMonths, metric: str) -> dict[str, Any]:
    (row,) = months.restatements(months.closes[0]).filter(metric=metric, grain="month", dimension="").to_dicts()
    return row


@pytest.fixture
def harbor(second: Site) -> ClosedMonths:
    return months_of(second, "harbor")


def test_a_month_whose_data_are_not_whole_is_not_closed(first: Site) -> None:
    home = Home.at(first.home)
    person = AccessStore.open(home).principal("harbor", "admin@harbor")
    with pytest.raises(IncompleteMonth, match="the data reach only to 2026-03-12, not to the end of the month"):
        close_month(home, person, MARCH)


def test_a_takeback_that_comes_after_the_close_is_explained_to_the_claim(second: Site, harbor: ClosedMonths) -> None:
    iris = months_of(second, "iris")
    assert iris.restatements(iris.closes[0]).height == 0
    taken, paid = total(harbor, TAKEN), total(harbor, PAID)
    assert (taken["closed_exact"], taken["new_exact"], taken["amount_exact"]) == (0, 80, 80)
    assert (paid["closed_exact"], paid["new_exact"], paid["amount_exact"]) == (87, 92, 5)
    causes = harbor.causes(harbor.closes[0]).filter(cause_set=taken["cause_set"]).to_dicts()
    assert [(cause["kind"], cause["feed"], cause["record_kind"], cause["record_id"]) for cause in causes] == [
        ("late", "remits", "claim", "C1")
    ]
    assert causes[0]["file"].startswith("file ")
    assert causes[0]["file"].endswith(".835")
    changes = {change.metric: change for change in harbor.changes(harbor.closes[0])}
    assert closed_notice.why(changes[TAKEN].causes) == "feed remits later brought rows of 1 claim"
    # The command line tells the same.
    asked = clinicmart_here("close", "restatements", "2026-03", *who(second), "--metric", TAKEN, "--format", "csv")
    assert asked.code == 0, asked.err
    assert f"remits, {causes[0]['file']}: claim C1 (remittance_" in asked.out


def who(site: Site) -> tuple[str | Path, ...]:
    return ("--home", site.home, "--tenant", "harbor", "--as", "admin@harbor")


def test_what_was_closed_can_be_asked_again_in_total_and_by_row(second: Site) -> None:
    home = Home.at(second.home)
    person = AccessStore.open(home).principal("harbor", "admin@harbor")
    question = MetricQuery(metrics=[PAID, TAKEN], date_from=MARCH, date_to=date(2026, 3, 31))
    then = open_reader(home, person, as_of="close:2026-03")
    assert then.query(question).row(0) == (Decimal(87), 0)
    assert then.drill(PAID, {}, MARCH, date(2026, 3, 31)).total_value == 87
    assert open_reader(home, person).query(question).row(0) == (Decimal(92), Decimal(80))
    again = clinicmart_here("close", "2026-03", *who(second))
    assert (again.code, "reopen it first" in again.err) == (2, True)
    asked = clinicmart_here(
        "metrics", "query", PAID, *who(second), "--as-of", "close:2026-03", "--to", "2026-03-31", "--format", "csv"
    )
    assert asked.out.splitlines()[1] == "87.0000"


def test_a_run_that_brings_nothing_changes_no_closed_figure(second: Site, harbor: ClosedMonths) -> None:
    before = harbor.restatements(harbor.closes[0]).height
    assert run_pipeline(Home.at(second.home), load_checked_config(second.config)).outcome == "unchanged"
    assert months_of(second, "harbor").restatements(harbor.closes[0]).height == before
