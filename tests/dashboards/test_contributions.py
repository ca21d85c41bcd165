"""Parts of a change: they add up to it exactly, with any names in any order."""

import random
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dashboards import contributions
from dashboards.contributions import CENT, RATE_STEP, explain, largest, total

D = Decimal
CELLS = some.tuples(some.sampled_from("abc"), some.sampled_from("xy"), some.sampled_from("12"))
# Amounts may be negative (reversals), and stand without a volume; volumes are not negative.
VALUES = some.tuples(
    some.integers(0, 10**7).map(lambda cents: D(cents) / 100), some.integers(-(10**4), 10**7).map(lambda c: D(c) / 100)
)
PERIOD = some.dictionaries(CELLS, VALUES, max_size=8)


def amount_of(cells):
    return total(amount for _, amount in cells.values())


def all_parts(parts):
    return [parts.volume, *parts.mix, *parts.rate.values()]


def add_up_in_any_order(before, now, shuffled):
    parts = explain(before, now)
    assert total(all_parts(parts)) == parts.change == amount_of(now) - amount_of(before)
    assert all(part == part.quantize(CENT) for part in all_parts(parts))
    assert explain(*shuffled) == parts
    assert total(parts.rate_by(0).values()) == total(parts.rate_by(1, 0).values()) == total(parts.rate.values())


def test_parts_of_ten_thousand_random_pairs_add_up_to_the_cent_in_any_order_of_names():
    rng = random.Random(17)
    names = list(product("abc", "xy"))

    def period():
        chosen = rng.sample(names, rng.randint(0, 4))
        return {cell: (D(rng.randint(0, 10**7)) / 100, D(rng.randint(-(10**4), 10**7)) / 100) for cell in chosen}

    for _ in range(10_000):
        before, now = period(), period()
        add_up_in_any_order(before, now, [dict(rng.sample(list(side.items()), len(side))) for side in (before, now)])


@settings(max_examples=200, deadline=None)
@given(PERIOD, PERIOD)
def test_parts_by_three_dimensions_add_up_to_the_cent(before, now):
    add_up_in_any_order(before, now, [dict(reversed(side.items())) for side in (before, now)])


@settings(max_examples=100, deadline=None)
@given(PERIOD, PERIOD)
def test_parts_of_a_rate_add_up_to_the_change_in_points(before, now):
    volumes = [total(volume for volume, _ in side.values()) for side in (before, now)]
    if not all(volumes):
        with pytest.raises(ValueError, match="volume in both"):
            explain(before, now, is_rate=True)
        return
    parts = explain(before, now, is_rate=True)
    change = amount_of(now) / volumes[1] - amount_of(before) / volumes[0]
    assert total(all_parts(parts)) == parts.change
    assert abs(parts.change - change) <= RATE_STEP
    assert parts.volume == 0


@settings(max_examples=100, deadline=None)
@given(PERIOD, PERIOD)
def test_the_way_back_has_the_same_parts_with_the_other_sign(before, now):
    there, back = explain(before, now, step=D("1e-12")), explain(now, before, step=D("1e-12"))
    for one, other in zip(all_parts(there), all_parts(back), strict=True):
        assert abs(one + other) <= D("2e-12")


def test_each_cause_alone_is_found_alone():
    before = {("a", "x"): (D(100), D(10)), ("b", "x"): (D(300), D(60))}
    twice = {cell: (2 * volume, 2 * amount) for cell, (volume, amount) in before.items()}
    assert explain(before, twice).volume == 70
    assert not any(all_parts(explain(before, twice))[1:])
    # The units swap their volumes at their own rates: 300 at 10 % and 100 at 20 %.
    swapped = explain(before, {("a", "x"): (D(300), D(30)), ("b", "x"): (D(100), D(20))})
    assert (swapped.volume, swapped.mix, set(swapped.rate.values())) == (0, (D(-20), D(0)), {D(0)})
    # One rate rises.
    dearer = explain(before, {**before, ("a", "x"): (D(100), D(25))})
    assert (dearer.volume, dearer.mix) == (0, (0, 0))
    assert dearer.rate == {("a", "x"): 15, ("b", "x"): 0}


def test_payers_within_a_unit_are_the_second_mix():
    before = {("a", "x"): (D(100), D(10)), ("a", "y"): (D(100), D(50))}
    now = {("a", "x"): (D(50), D(5)), ("a", "y"): (D(150), D(75))}
    parts = explain(before, now)
    assert parts.mix == (0, 20)
    assert parts.volume == 0


def test_two_factors_are_das_guptas():
    # P = share x rate: the effect of the rate is (R - r)(s + S) / 2.
    before, now = {("a",): (D(40), D(8)), ("b",): (D(60), D(6))}, {("a",): (D(80), D(24)), ("b",): (D(120), D(6))}
    parts = explain(before, now, is_rate=True)
    share = D(40) / 100
    assert parts.rate[("a",)] == ((D("0.3") - D("0.2")) * (share + share) / 2).quantize(RATE_STEP)


def test_a_cell_that_comes_changes_the_mix_and_not_the_rate():
    parts = explain({("a",): (D(100), D(10))}, {("a",): (D(100), D(10)), ("b",): (D(100), D(40))})
    assert not any(parts.rate.values())
    assert parts.volume + parts.mix[0] == 40


def test_the_largest_are_named_and_the_others_are_one():
    named, others = largest({("a",): D(3), ("b",): D(-7), ("c",): D(1), ("d",): D(0)}, 2)
    assert named == [(("b",), D(-7)), (("a",), D(3))]
    assert others == 1


def test_cells_of_different_dimensions_are_refused():
    with pytest.raises(ValueError, match="same dimensions"):
        contributions.explain({("a",): (D(1), D(1))}, {("a", "b"): (D(1), D(1))})
