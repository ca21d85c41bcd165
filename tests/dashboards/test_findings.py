"""Headings: what changed, and its cause only where the parts add up to it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from dashboards import findings
from dashboards.breakdowns import Level, Member
from dashboards.figures import Base, Figure
from serving.model import MetricDefinition

RATE = MetricDefinition(
    name="no_show_rate", label="No-show rate", description="", unit="percent", direction="lower", module="no_show"
)
EXPECTED = replace(RATE, name="expected_appointments", label="Expected appointments", unit="count", direction="neutral")
# So many cases that each change of these tests is more than chance.
MANY = Base(EXPECTED, 10_000, 10_000)
COUNT = replace(RATE, name="encounters", label="Encounters", unit="count", direction="higher")


def member(name, now, before):
    """Missed and expected, now and before."""

    def values(missed, expected):
        return {"no_shows": missed, "no_show_rate": Decimal(missed) / expected}

    return Member(name, name, values(*now), values(*before))


def units(members):
    return Level("service_unit", "unit", tuple(members))


def rate_of(members):
    def overall(side):
        parts = [getattr(item, side) for item in members]
        missed = sum(part["no_shows"] for part in parts)
        return missed / sum(part["no_shows"] / part["no_show_rate"] for part in parts)

    return Figure(metric=RATE, value=overall("now"), before=overall("before"), against="Q2 2026", base=MANY)


def test_the_unit_that_did_it_is_named_with_its_share():
    members = [member("Bayview", (30, 100), (10, 100)), member("Elm", (10, 100), (10, 100))]
    assert (
        findings.finding(rate_of(members), "No-shows", units(members), "no_shows")
        == "No-shows rose 10.0 points to 20.0\u00a0%, almost all of it in Bayview"
    )


def test_a_unit_that_only_grew_is_not_blamed():
    members = [
        member("Grown", (100, 1000), (10, 100)),
        member("Worse", (30, 100), (10, 100)),
        member("Same", (10, 100), (10, 100)),
    ]
    assert findings.finding(rate_of(members), "No-shows", units(members), "no_shows").endswith("in Worse")


def test_when_others_moved_the_other_way_no_share_is_claimed():
    members = [member("Bayview", (40, 100), (10, 100)), member("Elm", (10, 100), (20, 100))]
    assert findings.finding(rate_of(members), "No-shows", units(members), "no_shows").endswith(", driven by Bayview")


def test_no_cause_is_named_where_the_parts_do_not_add_up():
    members = [member("Bayview", (30, 100), (10, 100)), member("Elm", (10, 100), (10, 100))]
    wrong = replace(rate_of(members), value=0.5)
    assert findings.finding(wrong, "No-shows", units(members), "no_shows") == "No-shows rose 40.0 points to 50.0\u00a0%"


def test_no_cause_is_named_where_nobody_stands_out():
    members = [member(name, (20, 100), (10, 100)) for name in ("A", "B", "C", "D", "E")]
    assert " in " not in findings.finding(rate_of(members), "No-shows", units(members), "no_shows")


def test_an_amount_is_explained_by_its_members_own_changes():
    figure = Figure(metric=COUNT, value=1100, before=1000, against="Q2 2026")
    members = [
        Member("n", "North", {"encounters": 600}, {"encounters": 550}),
        Member("s", "South", {"encounters": 500}, {"encounters": 450}),
    ]
    assert (
        findings.finding(figure, "Encounters", units(members))
        == "Encounters rose 10.0\u00a0% to 1,100, half of it in North"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"value": 0.1241}, "No-shows steady at 12.4\u00a0%"),
        ({"value": None}, "No-shows: no figure for this period"),
        ({"before": None, "value": 0.13}, "No-shows: 13.0\u00a0%"),
        ({"value": 0.2, "caution": "Incomplete"}, "No-shows so far: 20.0\u00a0%"),
        ({"value": 0.104}, "No-shows fell 2.0 points to 10.4\u00a0%"),
        ({"value": 0.144, "base": Base(EXPECTED, 843, 817)}, "No-shows at 14.4\u00a0%, no real change from Q2 2026"),
        ({"value": 0.5, "base": Base(EXPECTED, 2, 817)}, "No-shows: 50.0\u00a0%"),
        ({"value": 0.5, "base": None}, "No-shows: 50.0\u00a0%"),
    ],
)
def test_a_heading_claims_no_more_than_it_knows(changes, text):
    figure = replace(Figure(metric=RATE, value=0.124, before=0.124, against="Q2 2026", base=MANY), **changes)
    assert findings.finding(figure, "No-shows") == text


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ("1", "almost all of it"),
        ("0.9", "most of it"),
        ("0.66", "two thirds of it"),
        ("0.5", "half of it"),
        ("0.33", "a third of it"),
        ("0.2", ""),
    ],
)
def test_shares_have_plain_words(share, words):
    assert findings.share_words(Decimal(share)) == words


def test_encounters_fall_in_a_unit_but_with_a_provider():
    figure = Figure(metric=COUNT, value=900, before=1000, against="Q2 2026")
    people = (
        Member("a", "Dr. Marsh", {"encounters": 400}, {"encounters": 500}),
        Member("b", "Dr. Okafor", {"encounters": 500}, {"encounters": 500}),
    )
    heading = findings.finding(figure, "Encounters", Level("provider", "provider", people))
    assert heading == "Encounters fell 10.0\u00a0% to 900, almost all of it with Dr. Marsh"
