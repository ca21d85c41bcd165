"""Tests of chance: published intervals, and what is too little to judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import chance
from dashboards import format as fmt
from dashboards.chance import Verdict


def test_control_limits_are_those_of_a_chart_of_individuals():
    # Mean 11, mean moving range 2: 11 +- 2.66 * 2 (NIST/SEMATECH e-Handbook 6.3.2.2).
    low, high = chance.usual_range([10, 12, 10, 12, 10, 12])
    assert (round(low, 2), round(high, 2)) == (5.68, 16.32)
    assert chance.usual_range([10, 12, 10, 12, 10]) is None


def test_the_interval_of_a_share_is_the_published_one():
    # Newcombe, Statistics in Medicine 1998, 17:857, table I, method 3: 81 of 263.
    low, high = chance.wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_interval_of_a_difference_is_the_published_one():
    # Newcombe, Statistics in Medicine 1998, 17:873, table II, method 10: 56 of 70 against 48 of 80.
    low, high = chance.newcombe(56 / 70, 70, 48 / 80, 80)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


@given(
    st.floats(0, 1),
    st.integers(1, 10**6),
    st.floats(0, 1),
    st.integers(1, 10**6),
)
def test_a_difference_lies_in_its_interval_and_turns_with_its_sides(now, trials_now, before, trials_before):
    low, high = chance.newcombe(now, trials_now, before, trials_before)
    assert low - 1e-9 <= now - before <= high + 1e-9
    turned = chance.newcombe(before, trials_before, now, trials_now)
    assert turned == (pytest.approx(-high, abs=1e-9), pytest.approx(-low, abs=1e-9))


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        ((55, 843), (49, 817), Verdict.CHANCE),
        ((1, 2), (10, 300), Verdict.FEW),
        ((2, 15), (0, 400), Verdict.FEW),
        ((81, 810), (56, 809), Verdict.REAL),
        ((0, 40), (0, 40), Verdict.CHANCE),
    ],
)
def test_rates_are_judged_by_the_interval_of_their_difference(now, before, verdict):
    assert chance.of_rates(now[0] / now[1], now[1], before[0] / before[1], before[1]) is verdict


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        (22, 21, Verdict.FEW),
        (105, 100, Verdict.CHANCE),
        (1100, 1000, Verdict.REAL),
        (0, 400, Verdict.REAL),
        (0, 0, Verdict.FEW),
    ],
)
def test_counts_are_judged_against_the_root_of_their_sum(now, before, verdict):
    assert chance.of_counts(now, before) is verdict


def test_amounts_are_judged_against_what_months_usually_differ_by():
    usual = [100.0, 110.0, 95.0, 105.0, 98.0, 108.0]
    assert chance.of_months(12, usual) is Verdict.CHANCE
    assert chance.of_months(-40, usual) is Verdict.REAL
    assert chance.of_months(-40, usual[:5]) is Verdict.UNTESTED


@pytest.mark.parametrize(
    ("verdict", "words", "tone"),
    [
        (Verdict.REAL, "worse than Q2 2026", "bad"),
        (Verdict.CHANCE, "no real change from Q2 2026", "neutral"),
        (Verdict.FEW, "too few to compare with Q2 2026", "neutral"),
        (Verdict.UNTESTED, "more than Q2 2026", "neutral"),
    ],
)
def test_only_a_real_change_is_called_better_or_worse(verdict, words, tone):
    change = fmt.change(0.15, 0.12, "percent", "lower", "Q2 2026", verdict=verdict)
    assert (change.words, change.tone) == (words, tone)


def test_a_member_differs_from_the_whole_only_beyond_its_own_interval():
    assert not chance.differs(3 / 22, 22, 0.06)
    assert not chance.differs(0.09, 100, 0.06)
    assert chance.differs(0.20, 200, 0.06)
