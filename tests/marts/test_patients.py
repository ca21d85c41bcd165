"""Who is who, when: the crosswalks of patients against a small model in plain Python, over random histories.

The SQL is what dbt compiles; each history is a separate tenant, so that tenants with the same tokens must not mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled

pytestmark = pytest.mark.slow

MODELS = ("int_patient_aliases", "int_patient_merge_spans", "int_patient_crosswalk_history", "int_patient_crosswalk")
START = datetime(2026, 1, 1)
BEGINNING, FOREVER = datetime(1, 1, 1), datetime(9999, 12, 31)


@dataclass(frozen=True)
class Event:
    """A row of `patient_merge`; `day` is when it took effect."""

    kind: str
    ended: str
    kept: str
    day: int

    @property
    def at(self) -> datetime:
        return START + timedelta(days=self.day)


def merge(ended: str, kept: str, day: int) -> Event:
    return Event("merge", ended, kept, day)


def unmerge(ended: str, kept: str, day: int) -> Event:
    return Event("unmerge", ended, kept, day)


def alias(name: str, record: str) -> Event:
    return Event("alias", name, record, -1000)


def newest_in_circle(start: str, step: dict[str, Event]) -> str:
    """Follows the steps from `start`: the end of the chain, or what the newest merge of the circle names."""
    seen = [start]
    while seen[-1] in step:
        following = step[seen[-1]].kept
        if following in seen:
            circle = seen[seen.index(following) :]
            return min((step[member] for member in circle), key=lambda event: (-event.day, event.kept)).kept
        seen.append(following)
    return seen[-1]


def last_words(events: Sequence[Event]) -> list[Event]:
    """Of each pair what was said last; at one moment an un-merge, else the one that ends the greater token."""
    words: dict[frozenset[str], Event] = {}
    for event in sorted(events, key=lambda item: (item.day, item.kind == "unmerge", item.ended)):
        if event.ended != event.kept:
            words[frozenset((event.ended, event.kept))] = event
    return list(words.values())


def records(events: Sequence[Event]) -> dict[str, str]:
    """Every alias with the record it stands for, at any time."""
    standing = [event for event in last_words([e for e in events if e.kind != "merge"]) if event.kind == "alias"]
    step: dict[str, Event] = {}
    for event in sorted(standing, key=lambda item: (item.day, [-ord(letter) for letter in item.kept])):
        step[event.ended] = event
    found = {}
    for name in step:
        seen = [name]
        while seen[-1] in step and step[seen[-1]].kept not in seen:
            seen.append(step[seen[-1]].kept)
        in_circle = seen[-1] in step
        found[name] = min(seen[seen.index(step[seen[-1]].kept) :]) if in_circle else seen[-1]
    return found


def current(events: Sequence[Event], patient: str, moment: datetime) -> str:
    """Who `patient` is at a moment, as a person would work it out."""
    record = records(events)
    happened = [
        Event(e.kind, record.get(e.ended, e.ended), record.get(e.kept, e.kept), e.day)
        for e in events
        if e.kind != "alias" and e.at <= moment
    ]
    step: dict[str, Event] = {}
    for event in last_words(happened):
        if event.kind != "merge":
            continue
        other = step.get(event.ended)
        if other is None or (event.day, other.kept) > (other.day, event.kept):
            step[event.ended] = event
    return newest_in_circle(record.get(patient, patient), step)


class Crosswalks:
    """Runs the compiled models on histories."""

    def __init__(self, sql: dict[str, str]) -> None:
        self._sql = sql
        self._connection = duckdb.connect()
        self._connection.execute("attach ':memory:' as warehouse")
        self._connection.execute("create schema warehouse.staging")
        self._connection.execute("create schema warehouse.intermediate")
        self._connection.execute(
            "create table warehouse.staging.stg_patient_merges (tenant_id varchar, source_system varchar, "
            "patient_merge_id varchar, from_patient_id varchar, to_patient_id varchar, merge_type varchar, "
            "merged_at timestamp, source_updated_at timestamp)"
        )

    def run(self, *histories: Sequence[Event]) -> None:
        """Builds the models on the histories, one a tenant (named 0, 1, ...)."""
        table = "warehouse.staging.stg_patient_merges"
        self._connection.execute(f"delete from {table}")
        rows = [
            (str(tenant), "adt", str(number), e.ended, e.kept, e.kind, e.at, START)
            for tenant, events in enumerate(histories)
            for number, e in enumerate(events)
        ]
        if rows:
            self._connection.executemany(f"insert into {table} values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        for name in MODELS:
            self._connection.execute(f"create or replace table warehouse.intermediate.{name} as {self._sql[name]}")

    def spans(self, tenant: int = 0) -> dict[str, list[tuple[datetime, datetime, str]]]:
        """The history of every patient of a tenant, in order of time."""
        found: dict[str, list[tuple[datetime, datetime, str]]] = {}
        rows = self._connection.execute(
            "select patient_id, valid_from, valid_to, current_patient_id "
            "from warehouse.intermediate.int_patient_crosswalk_history where tenant_id = ? order by 1, 2",
            [str(tenant)],
        ).fetchall()
        for patient, since, until, now in rows:
            found.setdefault(patient, []).append((since, until, now))
        return found

    def now(self, tenant: int = 0) -> dict[str, str]:
        """The crosswalk of the present."""
        rows = self._connection.execute(
            "select patient_id, current_patient_id from warehouse.intermediate.int_patient_crosswalk where tenant_id = ?",
            [str(tenant)],
        ).fetchall()
        return dict(rows)


@pytest.fixture(scope="module")
def crosswalks(project: Compiled) -> Crosswalks:
    return Crosswalks(project.sql(*MODELS))


NAMES = st.sampled_from("ABCDEF")
DAYS = st.integers(0, 9)
EVENTS = st.one_of(
    st.builds(merge, NAMES, NAMES, DAYS),
    st.builds(merge, NAMES, NAMES, DAYS),
    st.builds(unmerge, NAMES, NAMES, DAYS),
    st.builds(alias, st.sampled_from("uvwA"), st.sampled_from("ABCDvA")),
    st.builds(merge, st.sampled_from("uvw"), st.sampled_from("uvwA"), DAYS),
)
HISTORIES = st.lists(EVENTS, max_size=14)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=HISTORIES, other=HISTORIES)
def test_at_every_time_everyone_is_who_a_plain_reading_says(
    crosswalks: Crosswalks, one: list[Event], other: list[Event]
) -> None:
    crosswalks.run(one, other)
    for tenant, events in enumerate((one, other)):
        spans, now = crosswalks.spans(tenant), crosswalks.now(tenant)
        moments = [BEGINNING, *(START + timedelta(days=day, hours=1) for day in range(-1, 11))]
        moments += [event.at for event in events]
        for patient in "ABCDEFuvw":
            history = spans.get(patient, [(BEGINNING, FOREVER, patient)])
            assert (history[0][0], history[-1][1]) == (BEGINNING, FOREVER)
            assert [until for _, until, _ in history[:-1]] == [since for since, _, _ in history[1:]]
            for moment in moments:
                (told,) = [who for since, until, who in history if since <= moment < until]
                assert told == current(events, patient, moment), (patient, moment)
            assert now.get(patient, patient) == history[-1][2]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=HISTORIES, late=st.randoms(use_true_random=False))
def test_it_does_not_matter_in_which_order_events_are_heard_of(
    crosswalks: Crosswalks, events: list[Event], late: object
) -> None:
    shuffled = list(events)
    late.shuffle(shuffled)  # type: ignore[attr-defined]
    crosswalks.run(events, shuffled)
    assert crosswalks.spans(0) == crosswalks.spans(1)


def test_an_unmerge_brings_back_what_was_before_and_a_second_merge_ends_it_again(crosswalks: Crosswalks) -> None:
    crosswalks.run([merge("A", "B", 1), unmerge("A", "B", 3), merge("A", "B", 5)])
    days = [START + timedelta(days=day) for day in (1, 3, 5)]
    assert crosswalks.spans()["A"] == [
        (BEGINNING, days[0], "A"),
        (days[0], days[1], "B"),
        (days[1], days[2], "A"),
        (days[2], FOREVER, "B"),
    ]


def test_an_unmerge_names_the_pair_in_either_order(crosswalks: Crosswalks) -> None:
    crosswalks.run([merge("A", "B", 1), unmerge("B", "A", 2)])
    assert crosswalks.now() == {}


def test_an_unmerge_in_the_middle_of_a_chain_parts_it_there(crosswalks: Crosswalks) -> None:
    crosswalks.run([merge("A", "B", 1), merge("B", "C", 2), unmerge("B", "C", 4)])
    assert crosswalks.now() == {"A": "B"}
    assert [who for _, _, who in crosswalks.spans()["A"]] == ["A", "B", "C", "B"]


def test_a_merge_heard_of_after_a_later_unmerge_changes_the_past_alone(crosswalks: Crosswalks) -> None:
    crosswalks.run([unmerge("A", "B", 5), merge("A", "B", 2)])
    assert crosswalks.now() == {}
    assert [who for _, _, who in crosswalks.spans()["A"]] == ["A", "B", "A"]


def test_a_merge_of_fhir_records_takes_their_medical_record_numbers_along(crosswalks: Crosswalks) -> None:
    crosswalks.run([alias("u", "A"), alias("v", "B"), merge("u", "v", 1)])
    assert crosswalks.now() == {"u": "B", "v": "B", "A": "B"}


def test_a_merge_that_two_feeds_name_by_their_own_identifiers_is_one(crosswalks: Crosswalks) -> None:
    crosswalks.run([alias("u", "A"), alias("v", "B"), merge("u", "v", 1), merge("A", "B", 1), unmerge("A", "B", 2)])
    assert crosswalks.now() == {"u": "A", "v": "B"}


def test_an_alias_that_is_taken_back_never_held(crosswalks: Crosswalks) -> None:
    crosswalks.run([alias("u", "A"), unmerge("u", "A", 3)])
    assert crosswalks.now() == {}
    assert crosswalks.spans() == {}


def test_in_a_circle_the_survivor_of_the_newest_merge_survives(crosswalks: Crosswalks) -> None:
    crosswalks.run([merge("A", "B", 1), merge("B", "C", 2), merge("C", "A", 3), merge("D", "C", 0)])
    assert crosswalks.now() == {"B": "A", "C": "A", "D": "A"}
    crosswalks.run([merge("A", "B", 1), merge("B", "A", 2)])
    assert crosswalks.now() == {"B": "A"}
