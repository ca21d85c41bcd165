"""What a rule says of one figure. Pure: numbers in, a verdict and its reason out.

A change is an alarm where the figure leaves the control limits of its last twelve periods (Shewhart's chart of individuals,
`chance.usual_range`) to the bad side, and for a rate of counted cases also the interval of its difference from the pooled past
leaves out zero (Newcombe, `chance.newcombe`). The first asks whether such periods usually differ so much, the second whether so few
cases can tell it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from dashboards import chance
from dashboards import format as fmt
from dashboards.chance import Verdict
from serving.people.alert_rules import (
    ABOVE,
    ALARM,
    HELD_BACK,
    MISSING,
    NOT_JUDGED,
    QUIET,
    THRESHOLD,
    WAITING,
    Evaluation,
    Rule,
)

# A change is tested against so many periods.
PAST_PERIODS = 12


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is known of a metric. `unit` as in MetricDefinition. `is_rate_of_cases`: a share of a volume that counts cases.
    `adds_up`: a period without rows is worth 0, as of a count or an amount."""

    unit: str
    is_rate_of_cases: bool = False
    adds_up: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """The figure of a unit in a period (days, both included). `value` and `volume` are None where there is none. `is_hidden`: too few
    people are behind the value to show it. `waits_for` says why the figure still moves; empty where it does not."""

    start: date
    end: date
    value: Decimal | None
    volume: Decimal | None = None
    is_hidden: bool = False
    waits_for: str = ""


def judge(
    rule: Rule, measure: Measure, point: Point, past: Sequence[Point], *, unit_id: str, as_of: date, today: date
) -> Evaluation:
    """What the rule says of a unit's figure. `past` are the figures of the periods right before it, the oldest first; of them the
    last PAST_PERIODS count. `as_of` is the last day that the data reach, `today` the tenant's day."""
    logged = Evaluation(
        service_unit_id=unit_id,
        period_start=point.start,
        period_end=point.end,
        verdict=QUIET,
        reason="",
        data_as_of=as_of,
        value=point.value,
        volume=point.volume,
    )
    if rule.kind == MISSING:
        verdict, reason = _missing(rule, measure, point, past, as_of, today)
        return replace(logged, verdict=verdict, reason=reason, size=1.0 if verdict == ALARM else 0.0)
    waits_for = f"the data reach {fmt.day(as_of)}" if as_of < point.end else point.waits_for
    if waits_for:
        return replace(logged, verdict=WAITING, reason=waits_for)
    if refusal := _cannot_judge(rule, point):
        return replace(logged, verdict=NOT_JUDGED, reason=refusal)
    if rule.kind == THRESHOLD:
        return _against_threshold(rule, measure, logged)
    return _against_past(rule, measure, logged, [*past][-PAST_PERIODS:])


def _missing(
    rule: Rule, measure: Measure, point: Point, past: Sequence[Point], as_of: date, today: date
) -> tuple[str, str]:
    """(verdict, reason) of a rule on missing data."""
    late = (today - point.end).days - rule.late_days
    if as_of < point.end:
        reaches = f"the data reach {fmt.day(as_of)}, and the period ends on {fmt.day(point.end)}"
        return (ALARM, reaches) if late > 0 else (WAITING, reaches)
    if point.is_hidden:
        return NOT_JUDGED, "too few people are behind the figure to show it"
    if _has_figure(measure, point):
        return QUIET, "the period has a figure"
    # A unit that was closed, or never had such figures, is not missing any.
    if past and not any(_has_figure(measure, earlier) for earlier in [*past][-PAST_PERIODS:]):
        return NOT_JUDGED, f"no figure in the {PAST_PERIODS} periods before either"
    return ALARM, "the period has no figure"


def _has_figure(measure: Measure, point: Point) -> bool:
    """Whether rows are behind a period. A rate of 0 is a figure; of what adds up, 0 is also the value of a period without rows."""
    return point.value is not None and bool(point.value or not measure.adds_up)


def _cannot_judge(rule: Rule, point: Point) -> str:
    """Why a figure of an ended and settled period is not judged; empty where it is."""
    if point.is_hidden:
        return "too few people are behind the figure to show it"
    if point.value is None:
        return "the period has no figure"
    if not rule.least_volume:
        return ""
    if point.volume is None:
        return f"the number of cases is not shown, and the least is {fmt.grouped(rule.least_volume)}"
    if point.volume < rule.least_volume:
        return f"{fmt.grouped(point.volume)} cases are fewer than {fmt.grouped(rule.least_volume)}"
    return ""


def _against_threshold(rule: Rule, measure: Measure, logged: Evaluation) -> Evaluation:
    assert logged.value is not None, "checked by judge"
    assert rule.threshold is not None, "checked by Rule"
    is_bad = logged.value > rule.threshold if rule.side == ABOVE else logged.value < rule.threshold
    shown, limit = (fmt.exact(number, measure.unit) for number in (logged.value, rule.threshold))
    words = f"{shown} is {rule.side} {limit}" if is_bad else f"{shown} is not {rule.side} {limit}"
    return _with(logged, is_bad, words, rule.threshold)


def _against_past(rule: Rule, measure: Measure, logged: Evaluation, past: Sequence[Point]) -> Evaluation:
    assert logged.value is not None, "checked by judge"
    values = [float(value) for value in _values(measure, past)]
    usual = chance.usual_range(values)
    if usual is None:
        words = f"{len(values)} earlier periods are fewer than the {chance.LEAST_MONTHS} that a test needs"
        return replace(logged, verdict=NOT_JUDGED, reason=words)
    base = Decimal(str(sum(values) / len(values)))
    is_outside = float(logged.value) > usual[1] if rule.side == ABOVE else float(logged.value) < usual[0]
    # A figure that is never negative has no negative limit.
    lowest = 0.0 if min(values) >= 0 else usual[0]
    limits = " to ".join(fmt.exact(Decimal(str(max(limit, lowest))), measure.unit) for limit in usual)
    words = f"{fmt.exact(logged.value, measure.unit)}, usual in {len(values)} periods are {limits}"
    verdict = _of_cases(measure, logged, past)
    if verdict is Verdict.FEW:
        return replace(logged, verdict=NOT_JUDGED, base=base, reason="too few cases to test a change")
    if is_outside and verdict is Verdict.CHANCE:
        return replace(logged, base=base, reason=f"{words}; so few cases may differ so much by chance")
    return _with(logged, is_outside, words, base)


def _values(measure: Measure, past: Sequence[Point]) -> list[Decimal]:
    """The settled values of the past, from the first period that has one: of what adds up a later period without rows is 0."""
    first = next((place for place, point in enumerate(past) if point.value is not None), len(past))
    values = []
    for point in past[first:]:
        if point.waits_for or point.is_hidden:
            continue
        if point.value is not None or measure.adds_up:
            values.append(point.value or Decimal(0))
    return values


def _of_cases(measure: Measure, logged: Evaluation, past: Sequence[Point]) -> Verdict:
    """The test of a rate of cases against the pooled past, and of a count against its mean; UNTESTED for other figures."""
    assert logged.value is not None, "checked by judge"
    if measure.unit == "count":
        values = _values(measure, past)
        return chance.of_counts(float(logged.value), float(sum(values)) / len(values))
    if not measure.is_rate_of_cases:
        return Verdict.UNTESTED
    weighted = [
        (p.value, p.volume) for p in past if p.value is not None and p.volume and not (p.waits_for or p.is_hidden)
    ]
    trials = sum((float(volume) for _, volume in weighted), 0.0)
    pooled = sum(float(value) * float(volume) for value, volume in weighted) / trials if trials else 0.0
    return chance.of_rates(float(logged.value), float(logged.volume or 0), pooled, trials)


def _with(logged: Evaluation, is_bad: bool, words: str, base: Decimal) -> Evaluation:
    assert logged.value is not None, "checked by judge"
    distance = abs(logged.value - base)
    # A base of zero has no parts: any distance from it is large.
    size = float(distance / abs(base)) if base else float(bool(distance)) * 10
    return replace(logged, base=base, reason=words, verdict=ALARM if is_bad else QUIET, size=size if is_bad else 0.0)


def spend(evaluations: Iterable[Evaluation], left: int) -> list[Evaluation]:
    """The same evaluations in their order, of whose alarms the `left` largest stay; the others are held back."""
    kept = list(evaluations)
    alarms = sorted((item for item in kept if item.verdict == ALARM), key=_rank)
    beyond = {id(item) for item in alarms[max(left, 0) :]}
    return [replace(item, verdict=HELD_BACK) if id(item) in beyond else item for item in kept]


def _rank(item: Evaluation) -> tuple[float, date, str]:
    return -item.size, item.period_start, item.service_unit_id


@dataclass(frozen=True, kw_only=True)
class BackTest:
    """What a rule would have said of past periods: how many figures were judged, of how many periods and units, and its alarms, the
    last period first."""

    periods: int
    units: int
    judged: int
    alarms: tuple[Evaluation, ...]

    @property
    def words(self) -> str:
        """`would have raised 3 alarms in 24 periods`."""
        if not self.judged:
            return f"could judge nothing in {fmt.plural(self.periods, 'period')}"
        where = f" of {fmt.plural(self.units, 'unit')}" if self.units > 1 else ""
        return (
            f"would have raised {fmt.plural(len(self.alarms), 'alarm')} in {fmt.plural(self.periods, 'period')}{where}"
        )


def back_test(
    rule: Rule, measure: Measure, series: Mapping[str, Sequence[Point]], *, periods: int, as_of: date
) -> BackTest:
    """The rule on the last `periods` figures of each unit's series (the oldest first), each against the periods before it. When the data of
    a past period came is not known: of a rule on missing data only periods without a figure count."""
    evaluations = []
    for unit_id, points in series.items():
        for place in range(max(len(points) - periods, 0), len(points)):
            point, past = points[place], points[max(place - PAST_PERIODS, 0) : place]
            if point.end <= as_of:
                evaluations.append(judge(rule, measure, point, past, unit_id=unit_id, as_of=as_of, today=as_of))
    judged = [item for item in evaluations if item.verdict in (QUIET, ALARM)]
    starts = {item.period_start for item in judged or evaluations}
    alarms = sorted(
        (item for item in judged if item.verdict == ALARM),
        key=lambda item: (-item.period_start.toordinal(), _rank(item)),
    )
    return BackTest(periods=len(starts), units=len(series), judged=len(judged), alarms=tuple(alarms))
