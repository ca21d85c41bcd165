"""What a rule says of a figure: planted events are hit, noise raises few alarms, and nothing is judged that cannot be."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.alerts.calendar import earlier, looked_at
from dashboards.alerts.judge import PAST_PERIODS, Measure, Point, back_test, judge, spend
from foundation.errors import ConfigurationError
from serving.alert_checks import bad_side
from serving.people.alert_rules import (
    ABOVE,
    ALARM,
    BELOW,
    CHANGE,
    HELD_BACK,
    MISSING,
    NOT_JUDGED,
    QUIET,
    THRESHOLD,
    VERDICTS,
    WAITING,
    Evaluation,
    Rule,
    Wanted,
)
from serving.people.ended_periods import EVERY, last_ended

RATE = Measure(unit="percent", is_rate_of_cases=True)
COUNT = Measure(unit="count", adds_up=True)
AMOUNT = Measure(unit="usd", adds_up=True)
DAYS = Measure(unit="days")
AS_OF = date(2026, 10, 31)
WORSE = Rule(kind=CHANGE, side=ABOVE)
OVER_TEN = Rule(kind=THRESHOLD, side=ABOVE, threshold=Decimal("0.1"))
LATE = Rule(kind=MISSING, late_days=3)
MONTHS = [*earlier("month", last_ended("month", date(2026, 11, 5)), 47), last_ended("month", date(2026, 11, 5))]


def points(values: Sequence[float | None], volumes: float | Sequence[float] = 400) -> list[Point]:
    """The last so many months, with a volume each."""
    every = volumes if isinstance(volumes, Sequence) else [volumes] * len(values)
    return [
        Point(
            start=start,
            end=end,
            value=None if value is None else Decimal(str(value)),
            volume=Decimal(str(volume)),
        )
        for (start, end), value, volume in zip(MONTHS[-len(values) :], values, every, strict=True)
    ]


def verdict_on(
    rule: Rule, measure: Measure, values: Sequence[float | None], volumes: float | Sequence[float] = 400
) -> Evaluation:
    *past, last = points(values, volumes)
    return judge(rule, measure, last, past, unit_id="u", as_of=AS_OF, today=AS_OF + timedelta(days=5))


STEADY = [0.10, 0.11, 0.09, 0.10, 0.105, 0.095, 0.10, 0.11, 0.09, 0.10, 0.105, 0.095]


@pytest.mark.parametrize(
    ("value", "side", "verdict"),
    [(0.11, ABOVE, ALARM), (0.10, ABOVE, QUIET), (0.09, ABOVE, QUIET), (0.09, BELOW, ALARM), (0.11, BELOW, QUIET)],
)
def test_a_threshold_is_passed_on_the_bad_side_alone(value: float, side: str, verdict: str) -> None:
    rule = Rule(kind=THRESHOLD, side=side, threshold=Decimal("0.1"))
    logged = verdict_on(rule, RATE, [value])
    assert logged.verdict == verdict
    assert logged.base == Decimal("0.1")
    assert logged.value == Decimal(str(value))


def test_a_step_is_a_change_on_the_bad_side_alone() -> None:
    assert verdict_on(WORSE, RATE, [*STEADY, 0.2]).verdict == ALARM
    assert verdict_on(WORSE, RATE, [*STEADY, 0.02]).verdict == QUIET
    better = Rule(kind=CHANGE, side=BELOW)
    assert verdict_on(better, RATE, [*STEADY, 0.02]).verdict == ALARM
    assert verdict_on(better, RATE, [*STEADY, 0.2]).verdict == QUIET
    assert "usual in 12 periods are" in verdict_on(WORSE, RATE, [*STEADY, 0.2]).reason


def test_a_step_that_so_few_cases_cannot_tell_is_no_alarm() -> None:
    logged = verdict_on(WORSE, RATE, [*STEADY, 0.16], [*[400] * 12, 40])
    assert logged.verdict == QUIET
    assert "by chance" in logged.reason
    assert verdict_on(WORSE, RATE, [*STEADY, 0.5], [*[400] * 12, 20]).verdict == NOT_JUDGED
    assert verdict_on(WORSE, COUNT, [3, 4, 3, 4, 3, 4, 3, 29]).verdict == NOT_JUDGED
    assert verdict_on(WORSE, COUNT, [100, 104, 97, 99, 103, 101, 98, 160]).verdict == ALARM


def test_too_short_a_past_and_too_small_a_volume_are_not_judged() -> None:
    assert verdict_on(WORSE, DAYS, [30.0, 31.0, 29.0, 30.0, 31.0, 90.0]).verdict == NOT_JUDGED
    assert verdict_on(WORSE, DAYS, [30.0, 31.0, 29.0, 30.0, 31.0, 30.0, 90.0]).verdict == ALARM
    least = Rule(kind=THRESHOLD, side=ABOVE, threshold=Decimal("0.1"), least_volume=30)
    assert verdict_on(least, RATE, [0.5], 29).verdict == NOT_JUDGED
    assert verdict_on(least, RATE, [0.5], 30).verdict == ALARM
    assert verdict_on(OVER_TEN, RATE, [None]).verdict == NOT_JUDGED
    hidden = replace(points([0.5])[0], volume=None)
    unknown = judge(least, RATE, hidden, [], unit_id="u", as_of=AS_OF, today=AS_OF)
    assert (unknown.verdict, unknown.reason) == (NOT_JUDGED, "the number of cases is not shown, and the least is 30")


def test_the_limits_of_figures_below_zero_are_shown_as_they_are() -> None:
    past = [-100, -110, -90, -105, -95, -100, -100]
    said = verdict_on(Rule(kind=CHANGE, side=BELOW), AMOUNT, [*past, -400])
    assert said.verdict == ALARM
    assert "to -$" in said.reason
    assert "-$" not in verdict_on(Rule(kind=CHANGE, side=ABOVE), AMOUNT, [10, 1, 12, 2, 11, 1, 10, 900]).reason


def test_of_what_adds_up_a_period_without_rows_is_nothing_and_of_a_rate_it_is_unknown() -> None:
    past = [100.0, None, 100.0, None, 100.0, None, 100.0]
    assert verdict_on(WORSE, AMOUNT, [*past, 200.0]).verdict == QUIET
    assert verdict_on(WORSE, DAYS, [*past, 200.0]).verdict == NOT_JUDGED


def test_a_period_waits_until_it_is_over_and_settled() -> None:
    (point,) = points([0.5])
    waiting = Point(start=point.start, end=point.end, value=point.value, waits_for="Still settling")
    early = judge(OVER_TEN, RATE, point, [], unit_id="u", as_of=point.end - timedelta(days=1), today=AS_OF)
    assert (early.verdict, early.reason) == (WAITING, "the data reach 30 Oct 2026")
    settling = judge(OVER_TEN, RATE, waiting, [], unit_id="u", as_of=AS_OF, today=AS_OF)
    assert (settling.verdict, settling.reason) == (WAITING, "Still settling")


def test_missing_data() -> None:
    (point,) = points([5])
    hidden = Point(start=point.start, end=point.end, value=None, is_hidden=True)

    def verdict(which: Point, as_of: date, days_later: int) -> str:
        today = point.end + timedelta(days=days_later)
        return judge(LATE, COUNT, which, [], unit_id="u", as_of=as_of, today=today).verdict

    before = point.end - timedelta(days=1)
    assert [verdict(point, before, days) for days in (1, 3, 4)] == [WAITING, WAITING, ALARM]
    assert verdict(point, point.end, 1) == QUIET
    assert verdict(points([0])[0], point.end, 1) == ALARM
    assert verdict(points([None])[0], point.end, 1) == ALARM
    assert verdict(hidden, point.end, 1) == NOT_JUDGED
    assert judge(LATE, DAYS, points([0])[0], [], unit_id="u", as_of=AS_OF, today=AS_OF).verdict == QUIET


def test_a_rate_of_zero_is_a_figure_and_its_end_is_missing_data() -> None:
    assert verdict_on(LATE, RATE, [*[0] * 12, None]).verdict == ALARM
    # Of what adds up, 0 is also a period without rows; a unit that was closed misses nothing.
    assert verdict_on(LATE, COUNT, [*[0] * 12, None]).verdict == NOT_JUDGED
    assert verdict_on(LATE, RATE, [*[None] * 12, None]).verdict == NOT_JUDGED


# Planted events


def rates(shares: Sequence[float], cases: int, rng: random.Random) -> list[float]:
    """Shares of so many cases as chance draws them."""
    return [sum(rng.random() < share for _ in range(cases)) / cases for share in shares]


def rates_of(share: float, event: float, cases: int, seed: int) -> list[float]:
    return rates([*[share] * PAST_PERIODS, event], cases, random.Random(seed))


SERIES = 200


def raised(share: float, event: float, cases: int) -> float:
    """The part of so many series whose last period raises an alarm."""
    alarms = [
        verdict_on(WORSE, RATE, rates_of(share, event, cases, seed), cases).verdict == ALARM for seed in range(SERIES)
    ]
    return sum(alarms) / SERIES


def test_the_hit_rate_on_planted_steps_and_the_false_alarms_on_noise() -> None:
    # Noise alone: the limits are three times the usual spread, estimated from twelve periods.
    assert raised(0.08, 0.08, 300) <= 0.03
    # A no-show rate of 8 % that doubles in 300 appointments.
    assert raised(0.08, 0.16, 300) >= 0.9
    # Of a step that chance could make, few are hit: an alarm says that something changed.
    assert raised(0.08, 0.09, 300) <= 0.10


def test_amounts_and_means_that_step_are_hit_and_noise_is_not() -> None:
    def rate_of(step: float, measure: Measure) -> float:
        hits = 0
        for seed in range(SERIES):
            rng = random.Random(seed)
            values = [round(rng.gauss(1000, 50), 4) for _ in range(PAST_PERIODS)]
            hits += verdict_on(WORSE, measure, [*values, round(rng.gauss(1000 + step, 50), 4)]).verdict == ALARM
        return hits / SERIES

    for measure in (AMOUNT, DAYS):
        assert rate_of(0, measure) <= 0.03
        assert rate_of(300, measure) >= 0.9


def test_a_back_test_counts_the_alarms_of_past_periods() -> None:
    rng = random.Random(1)
    values = rates([0.08] * 36, 300, rng)
    values[20] = 0.2
    series = {"u": points(values, 300), "v": points([0.05] * 36, 300)}
    tested = back_test(WORSE, RATE, series, periods=24, as_of=AS_OF)
    assert [(item.service_unit_id, item.period_start) for item in tested.alarms] == [("u", MONTHS[-16][0])]
    assert tested.words == "would have raised 1 alarm in 24 periods of 2 units"
    empty = back_test(WORSE, RATE, {"u": points([0.1] * 3, 300)}, periods=24, as_of=AS_OF)
    assert empty.words == "could judge nothing in 3 periods"


# Properties

numbers = st.floats(0, 1e6, allow_nan=False).map(lambda value: round(value, 3))
measures = st.sampled_from([RATE, COUNT, AMOUNT, DAYS])


@given(
    values=st.lists(st.none() | numbers, min_size=1, max_size=20),
    measure=measures,
    side=st.sampled_from([ABOVE, BELOW]),
)
def test_every_figure_gets_one_verdict_with_a_reason(values: list[float | None], measure: Measure, side: str) -> None:
    logged = verdict_on(Rule(kind=CHANGE, side=side), measure, values)
    assert logged.verdict in VERDICTS
    assert logged.reason
    assert (logged.size > 0) <= (logged.verdict == ALARM)
    if logged.verdict == ALARM:
        assert logged.value is not None
        assert logged.base is not None
        assert (logged.value > logged.base) == (side == ABOVE)


@given(values=st.lists(numbers, min_size=13, max_size=13), measure=measures, more=numbers)
def test_a_worse_figure_never_raises_less(values: list[float], measure: Measure, more: float) -> None:
    *past, last = values
    if verdict_on(WORSE, measure, values).verdict == ALARM and measure is not RATE:
        assert verdict_on(WORSE, measure, [*past, round(last + more, 3)]).verdict == ALARM


@given(values=st.lists(numbers, min_size=2, max_size=20), oldest=numbers)
def test_only_twelve_periods_count(values: list[float], oldest: float) -> None:
    *past, last = points([oldest, *values])
    whole = judge(WORSE, AMOUNT, last, [*past], unit_id="u", as_of=AS_OF, today=AS_OF)
    twelve = judge(WORSE, AMOUNT, last, past[-PAST_PERIODS:], unit_id="u", as_of=AS_OF, today=AS_OF)
    assert whole == twelve


@given(
    sizes=st.lists(st.tuples(st.sampled_from([ALARM, QUIET, WAITING]), st.floats(0, 10)), max_size=12),
    left=st.integers(-1, 8),
)
def test_the_budget_keeps_the_largest(sizes: list[tuple[str, float]], left: int) -> None:
    asked = [
        Evaluation(
            service_unit_id=str(place), period_start=MONTHS[-1][0], period_end=MONTHS[-1][1], verdict=verdict, reason="r",
            data_as_of=AS_OF, size=size,
        )
        for place, (verdict, size) in enumerate(sizes)
    ]  # fmt: skip
    spent = spend(asked, left)
    alarms = [item for item in asked if item.verdict == ALARM]
    kept = [item.size for item in spent if item.verdict == ALARM]
    held = [item.size for item in spent if item.verdict == HELD_BACK]
    assert len(kept) == min(len(alarms), max(left, 0))
    assert len(kept) + len(held) == len(alarms)
    assert not kept or not held or min(kept) >= max(held)
    assert [item.service_unit_id for item in spent] == [item.service_unit_id for item in asked]


@given(every=st.sampled_from(EVERY), made_on=st.dates(date(2025, 1, 1), date(2026, 1, 1)), days=st.integers(0, 200))
def test_every_ended_period_is_looked_at_once(every: str, made_on: date, days: int) -> None:
    today = made_on + timedelta(days=days)
    periods = looked_at(every, made_on, 0, today)
    assert periods[0] == last_ended(every, made_on)
    assert periods[-1] == last_ended(every, today)
    assert periods[-1][1] < today
    assert all(later[0] == before[1] + timedelta(days=1) for before, later in itertools.pairwise(periods))


def test_a_metric_that_settles_late_begins_with_a_settled_period() -> None:
    assert looked_at("month", date(2026, 11, 5), 90, date(2026, 11, 5))[0] == (date(2026, 7, 1), date(2026, 7, 31))


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "other"},
        {"kind": CHANGE},
        {"kind": MISSING, "side": ABOVE},
        {"kind": THRESHOLD, "side": ABOVE},
        {"kind": CHANGE, "side": ABOVE, "threshold": Decimal(1)},
        {"kind": THRESHOLD, "side": ABOVE, "threshold": Decimal("nan")},
        {"kind": CHANGE, "side": ABOVE, "least_volume": -1},
        {"kind": CHANGE, "side": ABOVE, "late_days": 2},
        {"kind": MISSING, "late_days": 91},
    ],
)
def test_rules_that_cannot_be(rule: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Rule(**rule)  # type: ignore[arg-type]


def test_a_least_volume_needs_its_metric() -> None:
    rule = Rule(kind=CHANGE, side=ABOVE, least_volume=30)
    with pytest.raises(ConfigurationError, match="needs the metric"):
        Wanted(metric="no_show_rate", rule=rule, every="month")
    assert (bad_side("higher"), bad_side("lower"), bad_side("neutral")) == (BELOW, ABOVE, "")
