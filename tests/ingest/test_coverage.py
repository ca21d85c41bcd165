"""Coverage over planted histories: what is expected of a feed, what is missing, when it is an alert and when it is none."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.home import Home
from ingest import ledger as tables
from ingest.accounts.day_series import STATUSES
from ingest.accounts.feed_coverage import Judgement, coverage, judge, lateness, received_by_day
from ingest.accounts.special_days import special_day
from ingest.ledger import Ledger

TODAY = date(2026, 11, 18)  # a Wednesday
WEEK = (100, 110, 105, 100, 80, 0, 0)  # rows by weekday, Monday first


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def working(
    weeks: int, *, until: date = TODAY - timedelta(days=1), share_of_day: Callable[[date], float] = lambda _: 1.0
) -> dict:
    """A clinic's rows for some weeks: by weekday, with chance, none on special days, times what `of` says of the day."""
    rng = random.Random(7)
    counts = {}
    for day in days(until - timedelta(weeks=weeks), until):
        usual = WEEK[day.weekday()] * share_of_day(day)
        closed = special_day(day) in (
            "Thanksgiving Day",
            "Christmas Day",
            "New Year's Day",
            "Labor Day",
            "Memorial Day",
        )
        rows = 0 if closed else round(rng.gauss(usual, 0.08 * usual))
        if rows > 0:
            counts[day] = rows
    return counts


def judged(counts: dict, on: date = TODAY, first_read: date | None = None, lateness_days: int = 0) -> Judgement:
    return judge(counts, judged_on=on, first_read=first_read or on, lateness_days=lateness_days)


def statuses(judgement: Judgement) -> dict[date, str]:
    return {day.day: day.status for day in judgement.days}


def without(counts: dict, first: date, last: date) -> dict:
    return {day: rows for day, rows in counts.items() if not first <= day <= last}


def test_a_feed_that_works_is_as_expected_on_working_days_and_closed_on_weekends():
    result = judged(working(60))
    assert result.rhythm == "daily"
    assert (result.stopped_since, result.short_since) == (None, None)
    seen = statuses(result)
    assert len(seen) == 56
    assert all(
        seen[day] == ("closed_day" if day.weekday() > 4 else "as_expected") for day in seen if not special_day(day)
    )
    tuesday = next(day for day in result.days if day.day == date(2026, 11, 17))
    assert abs(tuesday.expected - 110) <= 6
    assert tuesday.low < tuesday.expected < tuesday.high


def test_a_feed_that_stops_is_an_alert_from_its_first_missing_day():
    counts = without(working(60), date(2026, 11, 12), TODAY)
    result = judged(counts)
    assert result.stopped_since == date(2026, 11, 12)
    assert result.newest_day == date(2026, 11, 11)
    seen = statuses(result)
    assert [seen[day] for day in days(date(2026, 11, 12), date(2026, 11, 17))] == [
        "missing", "missing", "closed_day", "closed_day", "missing", "missing",
    ]  # fmt: skip


def test_the_first_silent_day_is_missing_and_the_second_an_alert():
    counts = working(60)
    first = judged(without(counts, date(2026, 11, 17), TODAY))
    assert statuses(first)[date(2026, 11, 17)] == "missing"
    assert first.stopped_since is None
    assert judged(without(counts, date(2026, 11, 16), TODAY)).stopped_since == date(2026, 11, 16)


def test_a_weekend_is_no_silence():
    monday = date(2026, 11, 16)
    assert judged(working(60, until=date(2026, 11, 13)), on=monday).stopped_since is None


def test_days_that_arrive_late_heal_the_alert():
    counts = working(60)
    assert judged(without(counts, date(2026, 11, 9), TODAY)).stopped_since == date(2026, 11, 9)
    healed = judged(counts)
    assert healed.stopped_since is None
    assert "missing" not in statuses(healed).values()


def test_a_stop_that_lasts_for_months_does_not_become_the_habit():
    counts = without(working(60), date(2026, 6, 1), TODAY)
    result = judged(counts, first_read=date(2026, 1, 5))
    assert result.stopped_since == date(2026, 6, 1)
    assert statuses(result)[date(2026, 11, 17)] == "missing"


def test_an_archive_that_was_silent_before_it_was_first_read_is_no_alert():
    counts = without(working(90), date(2026, 6, 1), TODAY)
    result = judged(counts, first_read=TODAY)
    assert result.stopped_since is None
    assert set(statuses(result).values()) == {"not_yet_known"}


def test_a_feed_that_slowly_grows_stays_as_expected_and_one_that_loses_half_its_rows_is_short():
    first = TODAY - timedelta(weeks=60)
    grown = judged(working(60, share_of_day=lambda day: 1.06 ** ((day - first).days / 30)))
    assert set(statuses(grown).values()) <= {"as_expected", "closed_day"}
    halved = judged(working(60, share_of_day=lambda day: 0.4 if day >= date(2026, 11, 12) else 1.0))
    assert halved.stopped_since is None
    assert halved.short_since == date(2026, 11, 12)
    assert statuses(halved)[date(2026, 11, 16)] == "short"


def test_christmas_week_is_learned_from_the_year_before_and_unknown_without_one():
    def christmas(day: date) -> float:
        name = special_day(day) or ""
        return 0.0 if name.startswith(("Christmas", "New Year")) else 0.4 if name.startswith("between") else 1.0

    on = date(2027, 1, 5)
    learned = judged(working(110, until=on - timedelta(days=1), share_of_day=christmas), on=on)
    by_day = {day.day: day for day in learned.days}
    assert {day.status for day in learned.days} <= {"as_expected", "closed_day"}
    assert by_day[date(2026, 12, 25)].expected == 0
    assert by_day[date(2026, 12, 25)].status == "closed_day"
    assert 25 <= by_day[date(2026, 12, 28)].expected <= 60
    new = judged(working(20, until=on - timedelta(days=1), share_of_day=christmas), on=on)
    assert {day.status for day in new.days} <= {"as_expected", "closed_day"}
    assert next(day for day in new.days if day.day == date(2026, 12, 28)).expected is None


def test_a_feed_that_works_on_a_holiday_as_ever_is_known_to_and_its_silence_there_counts():
    on = date(2026, 11, 12)
    counts = working(110, until=on - timedelta(days=1))
    veterans_day = date(2026, 11, 11)
    assert statuses(judged(counts, on=on))[veterans_day] == "as_expected"
    assert statuses(judged(without(counts, veterans_day, veterans_day), on=on))[veterans_day] == "missing"


def test_answers_to_a_holidays_work_are_not_missed_the_day_after_it():
    on = date(2026, 9, 20)
    counts = working(30, until=on - timedelta(days=1))
    answers = {day + timedelta(days=3 if day.weekday() == 4 else 1): rows for day, rows in counts.items()}
    assert date(2026, 9, 8) not in answers
    assert statuses(judged(answers, on=on))[date(2026, 9, 8)] == "closed_day"


def test_a_clinics_own_closed_day_is_learned_from_the_year_before():
    own = (date(2025, 11, 12), date(2026, 11, 12))
    counts = working(80, share_of_day=lambda day: 0.0 if day in own else 1.0)
    assert statuses(judged(counts))[own[1]] == "closed_day"
    once = working(80, share_of_day=lambda day: 0.0 if day == own[1] else 1.0)
    assert statuses(judged(once))[own[1]] == "missing"


def test_days_of_a_year_ago_when_a_feed_brought_little_and_seldom_are_no_dips():
    rng = random.Random(5)
    counts = working(26)
    for day in days(date(2025, 9, 1), date(2026, 5, 1)):
        if rng.random() < 0.4:
            counts[day] = rng.randint(1, 6)
    result = judged(counts)
    assert all(day.expected > 60 for day in result.days if day.day.weekday() < 5 and not special_day(day.day))


def test_a_weekly_feed_is_due_weekly_and_late_after_three_days():
    fridays = {day: 500 for day in days(date(2026, 5, 1), TODAY) if day.weekday() == 4}
    result = judged(fridays)
    assert (result.rhythm, result.period_days, result.stopped_since) == ("periodic", 7, None)
    assert statuses(result)[date(2026, 11, 13)] == "as_expected"
    assert statuses(result)[date(2026, 11, 12)] == "closed_day"
    missed = without(fridays, date(2026, 11, 13), TODAY)
    assert judged(missed).stopped_since == date(2026, 11, 13)
    assert judged(missed, on=date(2026, 11, 15)).stopped_since is None


def test_a_monthly_drop_is_due_monthly_whatever_the_month_is_long():
    drops = {date(2026, month, 3): 3000 + 10 * month for month in range(1, 12)}
    result = judged(drops)
    assert result.rhythm == "periodic"
    assert result.stopped_since is None
    assert statuses(result)[date(2026, 11, 3)] == "as_expected"
    assert judged(drops, on=date(2026, 12, 5)).stopped_since is None
    late = judged(drops, on=date(2026, 12, 15))
    assert late.stopped_since == date(2026, 12, 4)
    assert statuses(late)[date(2026, 12, 4)] == "missing"


def test_a_change_for_good_is_told_once_and_does_not_make_the_past_wrong():
    more = judged(working(60, share_of_day=lambda day: 20.0 if day >= date(2026, 10, 5) else 1.0))
    seen = {day: status for day, status in statuses(more).items() if not special_day(day) and day.weekday() < 5}
    assert {status for day, status in seen.items() if day < date(2026, 10, 5)} == {"as_expected"}
    assert {seen[date(2026, 10, 5)], seen[date(2026, 11, 16)]} == {"above", "as_expected"}
    less = judged(working(60, share_of_day=lambda day: 0.3 if day >= date(2026, 10, 5) else 1.0))
    assert statuses(less)[date(2026, 10, 6)] == "short"
    assert less.short_since is None
    assert less.usual_rows < 50


def test_a_one_off_backfill_is_above_and_leaves_the_level_alone():
    counts = working(60)
    counts[date(2026, 11, 10)] = 40_000
    result = judged(counts)
    assert statuses(result)[date(2026, 11, 10)] == "above"
    assert {status for day, status in statuses(result).items() if day != date(2026, 11, 10)} <= {
        "as_expected",
        "closed_day",
    }
    assert abs(result.usual_rows - 100) <= 6


@pytest.mark.parametrize(
    "counts",
    [
        {date(2026, 3, 1): 900},
        {date(2026, 10, 20) + timedelta(days=n): 50 for n in range(3)},
        {date(2026, 1, 1) + timedelta(days=n * n): 10 for n in range(17)},
        working(2),
    ],
    ids=["one file", "three days", "no rhythm", "two weeks"],
)
def test_what_has_no_rhythm_is_not_yet_known_and_never_an_alert(counts):
    result = judged(counts, first_read=date(2026, 1, 1))
    assert result.rhythm == "unknown"
    assert result.stopped_since is None
    assert {(day.status, day.expected, day.low) for day in result.days} <= {("not_yet_known", None, None)}


def test_days_that_usually_come_late_are_not_held_against_the_feed_before_they_are_due():
    counts = without(working(60), date(2026, 11, 13), TODAY)
    assert judged(counts).stopped_since == date(2026, 11, 13)
    patient = judged(counts, lateness_days=5)
    assert patient.stopped_since is None
    assert statuses(patient)[date(2026, 11, 17)] == "not_yet_known"
    assert judged(without(counts, date(2026, 11, 5), TODAY), lateness_days=5).stopped_since == date(2026, 11, 5)


def test_lateness_is_what_the_reads_saw():
    span = days(date(2026, 9, 1), date(2026, 11, 1))
    reads = days(date(2026, 8, 30), date(2026, 11, 10))
    assert lateness({day: day + timedelta(days=1) for day in span}, reads) == 0
    assert lateness({day: day + timedelta(days=4) for day in span}, reads) == 3
    # Read once a week, a day is there at the first read after it: the feed is not late.
    assert (
        lateness({day: day + timedelta(days=7 - day.weekday()) for day in span}, [d for d in reads if d.weekday() == 0])
        == 0
    )
    # The first read brings years at once and says nothing.
    assert lateness({day: date(2026, 8, 30) for day in days(date(2026, 1, 1), date(2026, 8, 29))}, reads) == 0


def arrivals(*rows: tuple[str, date, date, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [("harbor", "pm", *row) for row in rows],
        schema=["tenant_id", "feed", "entity", "day", "arrived_on", "rows"],
        orient="row",
    )


def test_rows_add_up_over_entities_and_days_of_delivery_but_not_over_full_reads():
    day = date(2026, 11, 2)
    frame = arrivals(
        ("charge", day, day, 10),
        ("charge", day, day + timedelta(days=1), 30),
        ("claim", day, day + timedelta(days=1), 5),
        ("charge", day, day + timedelta(days=20), 41),  # a full read brings all of them again, and a late one
        ("charge", day, day + timedelta(days=50), 41),
    )
    assert received_by_day(frame).select("day", "rows", "first_arrived_on").rows() == [(day, 46, day)]


series = st.dictionaries(
    st.integers(1, 700).map(lambda ago: TODAY - timedelta(days=ago)), st.integers(0, 10**7), max_size=120
)


@settings(max_examples=60, deadline=None)
@given(series, st.integers(0, 40), st.integers(0, 300))
def test_any_history_is_judged_and_never_contradicts_itself(counts, lateness_days, read_ago):
    result = judged(counts, first_read=TODAY - timedelta(days=read_ago), lateness_days=lateness_days)
    for day in result.days:
        assert day.status in STATUSES
        assert day.received == counts.get(day.day, 0)
        if day.low is not None:
            assert 0 <= day.low <= day.high
        if day.expected is not None and day.low is not None:
            assert day.low <= day.expected <= day.high
        assert day.status != "missing" or day.received == 0
        assert day.status != "above" or day.received > 0
        if result.rhythm == "unknown":
            assert (day.expected, day.status) == (None, "not_yet_known")
    if result.stopped_since:
        assert result.newest_day < result.stopped_since < TODAY
    if result.days:
        assert [day.day for day in result.days] == days(result.days[0].day, TODAY - timedelta(days=1))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**32))
def test_a_feed_that_never_stops_never_alerts_at_any_volume(volume, seed):
    rng = random.Random(seed)
    counts = {day: rows for day in days(date(2025, 9, 1), TODAY - timedelta(days=1)) if day.weekday() < 5
              and (rows := sum(rng.random() < 0.5 for _ in range(2 * volume)))}  # fmt: skip
    result = judged(counts, first_read=date(2025, 9, 1))
    gap = (TODAY - result.newest_day).days
    assert result.stopped_since is None or gap > 3


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(Home.at(tmp_path / "home"))


def write(
    ledger: Ledger, counts: dict, reads: list[datetime], *, feed: str = "remits", outcome: str = "landed"
) -> None:
    with ledger.write() as connection:
        for number, moment in enumerate(reads):
            run = {"run_id": f"{feed}-{number}", "tenant_id": "harbor", "feed": feed, "kind": "x12", "outcome": outcome}
            more = {"read_at": moment, "time_zone": "America/New_York", "judged_at": moment}
            connection.execute(sa.insert(tables.feed_run).values(run | more))
        if counts:
            common = {
                "batch_id": feed,
                "entity": "claim",
                "tenant_id": "harbor",
                "feed": feed,
                "arrived_on": reads[0].date(),
            }
            connection.execute(sa.insert(tables.received), [common | {"day": d, "rows": n} for d, n in counts.items()])


def test_now_is_when_the_feed_was_last_read_in_its_tenants_zone(ledger):
    # One in the morning of 18 November in Greenwich is still the 17th in New York: the 17th is not over, and not judged.
    write(ledger, working(60), [datetime(2026, 11, 18, 1, 0)])
    assert coverage(ledger).days["day"].max() == date(2026, 11, 16)
    write(ledger, working(60), [datetime(2026, 11, 18, 6, 0)], feed="later")
    assert coverage(ledger, feed="later").days["day"].max() == date(2026, 11, 17)


def test_alerts_say_in_a_sentence_what_stopped_and_since_when(ledger):
    write(ledger, without(working(60), date(2026, 11, 10), TODAY), [datetime(2026, 11, 18, 11, 0, tzinfo=UTC)])
    write(ledger, working(60), [datetime(2026, 11, 18, 11, 0)], feed="fine")
    write(ledger, {}, [datetime(2026, 11, 18, 11, 0)], feed="gone", outcome="unreadable")
    result = coverage(ledger)
    assert result.alerts.select("feed", "kind", "since").rows() == [
        ("gone", "unreadable", None),
        ("remits", "stopped", date(2026, 11, 10)),
    ]
    text = result.alerts["message"][1]
    assert text.startswith("Feed remits stopped: no rows have arrived for 10 Nov 2026 or any later day; about ")
    assert set(result.days["feed"]) == {"remits", "fine"}
    assert dict(result.rhythms.select("feed", "rhythm").iter_rows()) == {
        "remits": "daily",
        "fine": "daily",
        "gone": "unknown",
    }
