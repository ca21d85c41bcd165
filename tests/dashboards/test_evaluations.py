"""The page Throughput: levels of visits by provider, beside all providers."""

import re

import polars as pl
import pytest

from tests.dashboards import fake_metrics, fake_reader


@pytest.fixture
def leveled(reader, monkeypatch):
    """The fake reader with levels of visits: every completed visit is a service."""
    rule = fake_metrics.Rule
    done = pl.col("done").sum()
    more = {
        "evaluation_services": ("E/M services", "count", rule(done)),
        "evaluation_level_mean": ("E/M level, mean", "ratio", rule((pl.col("done") * 3).sum(), done)),
        "high_level_evaluation_rate": ("Level 4 and 5", "percent", rule((pl.col("done") * 0).sum(), done)),
    }
    for name, (label, unit, made) in more.items():
        monkeypatch.setitem(fake_metrics.RULES, name, (label, unit, "lower", "throughput", made))
    monkeypatch.setattr(fake_reader, "DIMENSIONS", (*fake_reader.DIMENSIONS, "evaluation_level"))
    reader.visits = reader.visits.with_columns(
        evaluation_level=pl.when(pl.col("hour_of_day") < 12).then(pl.lit("2")).otherwise(pl.lit("3"))
    )
    reader.scope_hash = "levels".ljust(64, "0")
    return reader


def test_the_levels_of_each_provider_stand_beside_those_of_all(leveled, page, markup_of):
    html = markup_of(page("throughput", section="providers"))
    table = html.split("E/M levels by provider")[2]
    assert "figure:evaluation_services?provider=" in table
    assert "Level 5" in table
    every = table.split("</table>")[0].split("<tr")[-1]
    assert "All" in every
    # Levels 2 and 3 are all there are: their shares add up to one.
    shares = [float(text) for text in re.findall(r"([0-9]+(?:\.[0-9])?)(?:\u00a0|&nbsp;| )?%", every)]
    assert sum(shares) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("smallest", [1, 100_000])
def test_the_section_stands_few_people(leveled, page, markup_of, smallest):
    leveled.smallest_cell = smallest
    test = page("throughput", section="providers")
    html = markup_of(test)
    assert not test.exception
    assert "could not be drawn" not in html
