"""The whole way on resources that nobody here wrote: a server that serves them gives the same figures as their files do."""

from decimal import Decimal

import pytest

from tests.real.conftest import RealSite

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

FIGURES = {
    "bundles": "encounters,claims,billed_amount,remitted_claims,payer_paid_amount,bed_days",
    "bulk": "encounters,bed_days,length_of_stay_days",
}


def test_both_servers_are_read_and_a_second_run_finds_nothing_new(site: RealSite) -> None:
    assert "Published." in site.first.out
    problems = [
        line for ran in (site.first, site.again) for line in ran.err.splitlines() if line.startswith("clinicmart:")
    ]
    assert problems
    assert [line for line in problems if "-served" in line] == []
    assert "Nothing new" in site.again.out
    served = [feed for feed in site.status["feeds"] if feed["tenant_id"].endswith("-served")]
    assert [(feed["outcome"], feed["problem"]) for feed in served] == [("unchanged", None)] * 2


@pytest.mark.parametrize("name", FIGURES)
def test_a_server_gives_the_figures_of_the_files(site: RealSite, name: str) -> None:
    files, served = (site.rows(how, FIGURES[name])[0] for how in (name, f"{name}-served"))
    assert {key: Decimal(value) for key, value in served.items()} == {
        key: Decimal(value) for key, value in files.items()
    }
    by_class = [site.rows(how, "encounters", "--by", "encounter_class") for how in (name, f"{name}-served")]
    assert sorted(map(str, by_class[0])) == sorted(map(str, by_class[1]))


def test_the_figures_are_those_that_are_known(site: RealSite) -> None:
    (row,) = site.rows("bundles-served", "encounters,claims,billed_amount,payer_paid_amount")
    assert {key: Decimal(value) for key, value in row.items()} == {
        "encounters": 340,
        "claims": 418,
        "billed_amount": Decimal("881636.04"),
        "payer_paid_amount": Decimal("656596.832"),
    }
    (days,) = site.rows("bulk-served", "bed_days")
    assert round(Decimal(days["bed_days"]), 3) == Decimal("277.810")
