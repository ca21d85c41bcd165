"""Why is my number different: two sides, what differs, and the rows; and pages that show an earlier version."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dashboards import as_of, data, figures
from dashboards import format as fmt
from dashboards import view as states
from foundation.errors import ConfigurationError
from serving.model import MetricQuery


def sides(html):
    table = re.search(r'<table class="cm-table cm-sides">.*?</table>', html, re.S)[0]
    return {
        row[1]: (row[0], row[2], row[3])
        for row in re.findall(
            r'<tr class="(cm-\w+)"><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>', table, re.S
        )
    }


def test_two_places_stand_side_by_side_and_their_rows_add_up(page, markup_of, source):
    html = markup_of(page("compare", figure="no_shows", at="place=behavioral", against="place=bayview"))
    shown = sides(html)
    for column, place in ((1, "behavioral"), (2, "bayview")):
        view = states.parse({"place": place}, source.as_of)
        assert shown["Figure"][column] == fmt.exact(figures.values(source, view, ["no_shows"])["no_shows"][0], "count")
    assert shown["Place"] == ("cm-differs", "Harbor Behavioral", "Bayview Clinic")
    assert shown["Definition"][0] == "cm-same"
    assert "<h1>No-shows: why " in html
    gap = int(shown["Figure"][1].replace(",", "")) - int(shown["Figure"][2].replace(",", ""))
    assert f"The parts add up to the difference of {gap}" in html
    assert f"Only in this figure: {gap} rows" in html


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "Open it from a figure"),
        ({"figure": "no_such"}, "not available to you"),
        ({"figure": "no_shows", "against": "metric=no_such"}, "not available to you"),
        ({"figure": "no_shows", "against": "patient=P1"}, "do not have (patient)"),
        ({"figure": "no_shows", "against": "place=elsewhere"}, "not among those you may see"),
    ],
)
def test_what_cannot_be_compared_says_why(page, markup_of, params, sentence):
    html = markup_of(page("compare", **params))
    assert "Nothing to compare" in html
    assert sentence in html
    assert "cm-sides" not in html


def test_who_sees_no_rows_compares_figures_alone(page, markup_of, reader):
    reader.can_see_rows = False
    html = markup_of(page("compare", figure="no_shows", against="place=bayview"))
    assert sides(html)["Place"][0] == "cm-differs"
    assert "The difference by rows is not available to you" in html


def test_a_passport_leads_to_the_comparison_and_back(page, markup_of):
    html = markup_of(page("no_show", figure="no_shows", at="weekday=1"))
    assert 'data-do="page:compare?figure=no_shows&amp;at=weekday%3D1&amp;against="' in html
    back = markup_of(page("compare", figure="no_shows", at="weekday=1", against="place=bayview"))
    assert 'data-do="page:no_show?figure=no_shows&amp;at=weekday%3D1"' in back


@pytest.fixture
def earlier(reader, monkeypatch):
    """An earlier version beside the served one, which had fewer visits."""
    from tests.dashboards import fake_reader

    old = fake_reader.FakeReader(
        visits=reader.visits.head(4000), published_at=datetime(2026, 11, 10, 6, 5, tzinfo=UTC), scope_hash="4" * 64
    )
    version = replace(reader.version, version="20261110T060500-r0", published_at=old.published_at)
    monkeypatch.setattr(type(reader), "versions", lambda self: (version, self.version))

    def opened(home, principal, as_of=None):
        if as_of is None:
            return reader
        if as_of == "2026-11-10":
            return old
        raise ConfigurationError("it is not kept")

    return old, opened


def test_a_page_of_the_past_says_so_and_shows_the_figures_of_then(page, markup_of, reader, earlier, monkeypatch):
    old, opened = earlier
    test = page("no_show")
    monkeypatch.setattr(data, "open_reader", opened)
    test.query_params["as_of"] = "2026-11-10"
    html = markup_of(test.run())
    assert "You see the past. End of 10 Nov 2026: published 10 Nov 2026" in html
    assert 'data-do="view:as_of="' in html
    view = states.parse({}, reader.data_as_of)
    asked = MetricQuery(metrics=["no_shows"], date_from=view.period.start, date_to=view.period.end)
    count = old.query(asked)["no_shows"][0]
    assert f"<b>{count}</b>" in html
    test.query_params["as_of"] = "2020-01-01"
    html = markup_of(test.run())
    assert as_of.NOT_KEPT in html
    assert "You see the past" not in html


def test_versions_to_choose_from_are_days_and_closes(reader, principal, earlier):
    source = data.Source(reader, principal)
    assert as_of.choices(source) == {"2026-11-10": "End of 10 Nov 2026"}
