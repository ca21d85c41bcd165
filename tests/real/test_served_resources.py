"""The whole way on resources that nobody here wrote: a server that serves them gives the same figures as their files do."""

from decimal import Decimal

import pytest

from tests.real.conftest import RealSite

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

FIGURES = {
    "bundles": "encounters,claims,billed_amount,remitted_claims,payer_paid_amount,bed_days",
    "bulk": "encounters,bed_days,length_of_stay_days",
}


def test_a_second_run_finds_nothing_new_on_the_server(site: RealSite) -> None:
    for ran in (site.first, site.again):
        named = [line for line in ran.err.splitlines() if "-served" in line and "problem" in line.lower()]
        assert named == []
    assert "Nothing new" in site.again.out


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
