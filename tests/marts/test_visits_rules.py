"""Which encounters are one visit: the compiled models against a small model in plain Python, over random visits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations, permutations

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled

pytestmark = pytest.mark.slow

MODELS = ("int_encounter_parts", "int_encounter_candidates", "int_encounter_matches", "int_encounter_crosswalk")
FEEDS = ("pm", "ehr", "adt")  # in the order of their precedence
GROUPS = {"AMB": "ambulatory", "VR": "ambulatory", "IMP": "inpatient", "ACUTE": "inpatient", "UNK": None}
# Both clinics belong to one organization; days are local ones, and this zone is five hours behind UTC.
PATHS = {"org": "/org/", "c1": "/org/c1/", "c2": "/org/c2/"}
MIDNIGHT = datetime(2026, 1, 10, 5)


@dataclass(frozen=True)
class Visit:
    """A row of `encounter`; `begins` and `lasts` are hours, the first since a local midnight."""

    feed: str
    number: int
    patient: str | None = "P"
    unit: str | None = "c1"
    kind: str = "AMB"
    begins: int = 9
    lasts: int | None = 1
    appointment: str | None = None
    status: str = "finished"

    @property
    def rank(self) -> int:
        return FEEDS.index(self.feed)


@dataclass(frozen=True)
class Known:
    """An identifier with the feeds that know it, and what the best of them says."""

    name: str
    feeds: frozenset[str]
    rank: int
    patient: str | None
    unit: str | None
    kind: str | None
    begins: int
    ends: int
    appointment: str | None
    status: str


def best(rows: Sequence[Visit], column: str) -> object:
    values = [getattr(row, column) for row in sorted(rows, key=lambda item: item.rank)]
    return next((value for value in values if value is not None), None)


def gathered(groups: dict[str, list[Visit]]) -> list[Known]:
    """What is known of each visit."""
    found = []
    for name, rows in groups.items():
        first = min(rows, key=lambda item: item.rank)
        found.append(
            Known(
                name,
                frozenset(row.feed for row in rows),
                first.rank,
                best(rows, "patient"),  # type: ignore[arg-type]
                best(rows, "unit"),  # type: ignore[arg-type]
                first.kind,
                first.begins,
                first.begins + (first.lasts or 0),
                best(rows, "appointment"),  # type: ignore[arg-type]
                first.status,
            )
        )
    return found


def share_appointment(one: Known, other: Known) -> bool:
    same = one.appointment is not None and one.appointment == other.appointment
    return same and not (one.patient and other.patient and one.patient != other.patient)


def share_time(one: Known, other: Known) -> bool:
    if "cancelled" in (one.status, other.status) or None in (one.patient, one.unit, other.unit):
        return False
    group = GROUPS[str(one.kind)]
    if one.patient != other.patient or group is None or group != GROUPS[str(other.kind)]:
        return False
    here, there = PATHS[str(one.unit)], PATHS[str(other.unit)]
    if not (here.startswith(there) or there.startswith(here)):
        return False
    overlap = one.begins <= other.ends and other.begins <= one.ends
    return overlap or one.begins // 24 == other.begins // 24


def joined(visits: list[Known], rule: object) -> dict[str, str]:
    """Identifier to the one of the best feed, under one rule."""
    pairs = {
        (one.name, other.name)
        for one, other in permutations(visits, 2)
        if not one.feeds & other.feeds and rule(one, other)  # type: ignore[operator]
    }
    feeds = {visit.name: visit.feeds for visit in visits}

    def is_only(one: str, other: str) -> bool:
        return all(third == other or not feeds[third] & feeds[other] for first, third in pairs if first == one)

    groups = [{visit.name} for visit in visits]
    for one, other in pairs:
        if is_only(one, other) and is_only(other, one):
            mine = next(group for group in groups if one in group)
            theirs = next(group for group in groups if other in group)
            if mine is not theirs:
                mine |= theirs
                groups.remove(theirs)
    rank = {visit.name: visit.rank for visit in visits}
    found = {}
    for group in groups:
        if all(not feeds[one] & feeds[other] for one, other in combinations(group, 2)):
            found.update(dict.fromkeys(group, min(group, key=rank.__getitem__)))
    return {visit.name: found.get(visit.name, visit.name) for visit in visits}


def one_visit(rows: Sequence[Visit]) -> dict[str, str]:
    """Every identifier with the one that stands for its visit, as a person would work it out."""
    groups: dict[str, list[Visit]] = {}
    for row in rows:
        groups.setdefault(f"V{row.number}", []).append(row)
    by_appointment = joined(gathered(groups), share_appointment)
    visits: dict[str, list[Known]] = {}
    for known in gathered(groups):
        visits.setdefault(by_appointment[known.name], []).append(known)
    merged = []
    for name, parts in visits.items():
        ordered = sorted(parts, key=lambda item: item.rank)
        patient = next((part.patient for part in ordered if part.patient), None)
        unit = next((part.unit for part in ordered if part.unit), None)
        feeds = frozenset(feed for part in parts for feed in part.feeds)
        merged.append(replace(ordered[0], name=name, feeds=feeds, patient=patient, unit=unit))
    by_time = joined(merged, share_time)
    return {name: by_time[first] for name, first in by_appointment.items()}


class Matcher:
    """Runs the compiled models."""

    def __init__(self, sql: dict[str, str]) -> None:
        self._sql = sql
        self._connection = duckdb.connect()
        for statement in (
            "set TimeZone = 'UTC'",
            "attach ':memory:' as warehouse",
            "create schema warehouse.staging",
            "create schema warehouse.intermediate",
            "create table warehouse.staging.stg_encounters (tenant_id varchar, source_system varchar, "
            "encounter_id varchar, patient_id varchar, service_unit_id varchar, encounter_class varchar, "
            "started_at timestamp, ended_at timestamp, appointment_id varchar, status varchar, "
            "part_of_encounter_id varchar)",
            "create table warehouse.staging.stg_appointments (tenant_id varchar, appointment_id varchar, "
            "encounter_id varchar, status varchar)",
            "create table warehouse.staging.stg_system_of_record as select 't' as tenant_id, 'encounter' as entity, "
            "unnest(['pm', 'ehr', 'adt']) as source_system, unnest([1, 2, 3]) as precedence",
            "create table warehouse.intermediate.int_patient_crosswalk as select 't' as tenant_id, 'Q' as patient_id, "
            "'P' as current_patient_id",
            "create table warehouse.intermediate.int_service_units as select 't' as tenant_id, "
            "unnest(['org', 'c1', 'c2']) as service_unit_id, unnest(['/org/', '/org/c1/', '/org/c2/']) as path, "
            "'America/New_York' as time_zone",
        ):
            self._connection.execute(statement)

    def run(self, rows: Sequence[Visit], appointments: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
        """The crosswalk; `appointments` are pairs of an appointment and the encounter that it names."""
        self._connection.execute("delete from warehouse.staging.stg_encounters")
        self._connection.execute("delete from warehouse.staging.stg_appointments")
        for row in rows:
            start = MIDNIGHT + timedelta(hours=row.begins)
            end = None if row.lasts is None else start + timedelta(hours=row.lasts)
            values = ["t", row.feed, f"V{row.number}", row.patient, row.unit, row.kind, start, end]
            self._connection.execute(
                f"insert into warehouse.staging.stg_encounters values ({', '.join('?' * 10)}, null)",
                [*values, row.appointment, row.status],
            )
        for appointment, encounter in appointments:
            self._connection.execute(
                "insert into warehouse.staging.stg_appointments values ('t', ?, ?, 'completed')",
                [appointment, encounter],
            )
        for name in MODELS:
            self._connection.execute(f"create or replace table warehouse.intermediate.{name} as {self._sql[name]}")
        return dict(
            self._connection.execute(
                "select encounter_id, current_encounter_id from warehouse.intermediate.int_encounter_crosswalk"
            ).fetchall()
        )

    def outcomes(self) -> set[tuple[str, str, str]]:
        """(encounter, rule, outcome) of the last run."""
        return set(
            self._connection.execute(
                "select encounter_id, match_rule, outcome from warehouse.intermediate.int_encounter_matches"
            ).fetchall()
        )

    def candidates(self) -> int:
        """How many identifiers of the last run were looked at."""
        row = self._connection.execute(
            "select count(*) from warehouse.intermediate.int_encounter_candidates"
        ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def matcher(project: Compiled) -> Matcher:
    return Matcher(project.sql(*MODELS))


VISITS = st.builds(
    Visit,
    feed=st.sampled_from(FEEDS),
    number=st.integers(1, 9),
    patient=st.sampled_from(["P", "P", "R", None]),
    unit=st.sampled_from(["c1", "c1", "c2", "org", None]),
    kind=st.sampled_from(["AMB", "VR", "IMP", "ACUTE", "UNK"]),
    begins=st.integers(0, 90),
    lasts=st.sampled_from([None, 1, 30]),
    appointment=st.sampled_from([None, None, "A1", "A2"]),
    status=st.sampled_from(["finished", "finished", "cancelled"]),
)
# A feed has an identifier once.
SETS = st.lists(VISITS, max_size=9, unique_by=lambda row: (row.feed, row.number))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=SETS)
def test_one_visit_is_what_a_plain_reading_of_the_rules_says(matcher: Matcher, rows: list[Visit]) -> None:
    found = matcher.run(rows)
    expected = one_visit(rows)
    assert {name: found.get(name, name) for name in expected} == expected
    visits: dict[str, list[str]] = {}
    for row in {(row.feed, row.number) for row in rows}:
        visits.setdefault(found.get(f"V{row[1]}", f"V{row[1]}"), []).append(row[0])
    assert all(len(feeds) == len(set(feeds)) for feeds in visits.values()), "two visits of one feed became one"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=SETS, late=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(matcher: Matcher, rows: list[Visit], late: object) -> None:
    found = matcher.run(rows)
    shuffled = list(rows)
    late.shuffle(shuffled)  # type: ignore[attr-defined]
    assert matcher.run(shuffled) == found


def test_one_appointment_makes_one_visit_of_three_feeds(matcher: Matcher) -> None:
    rows = [Visit("pm", 1, appointment="A1"), Visit("ehr", 2, unit=None, appointment="A1"), Visit("adt", 3, unit=None)]
    assert matcher.run(rows, [("A1", "V3")]) == {"V2": "V1", "V3": "V1"}


def test_two_visits_of_a_feed_under_one_appointment_stay_two_and_are_counted(matcher: Matcher) -> None:
    rows = [
        Visit(feed, number, begins=number * 24, appointment="A1")
        for feed, number in (("pm", 1), ("ehr", 2), ("ehr", 3))
    ]
    assert matcher.run(rows) == {}
    assert matcher.outcomes() == {(f"V{number}", "appointment", "ambiguous") for number in (1, 2, 3)}


def test_one_appointment_of_two_patients_joins_nothing(matcher: Matcher) -> None:
    assert matcher.run([Visit("pm", 1, appointment="A1"), Visit("ehr", 2, patient="R", appointment="A1")]) == {}


def test_a_merged_patient_is_the_same_patient(matcher: Matcher) -> None:
    assert matcher.run([Visit("pm", 1), Visit("adt", 2, patient="Q")]) == {"V2": "V1"}


def test_the_unit_may_contain_the_other_but_not_lie_beside_it(matcher: Matcher) -> None:
    assert matcher.run([Visit("pm", 1), Visit("ehr", 2, unit="org")]) == {"V2": "V1"}
    assert matcher.run([Visit("pm", 1), Visit("ehr", 2, unit="c2")]) == {}


def test_the_day_is_the_local_one(matcher: Matcher) -> None:
    assert matcher.run([Visit("pm", 1, begins=1), Visit("ehr", 2, begins=22)]) == {"V2": "V1"}
    assert matcher.run([Visit("pm", 1, begins=22), Visit("ehr", 2, begins=25)]) == {}
    assert matcher.run([Visit("pm", 1, begins=22, lasts=4), Visit("ehr", 2, begins=25)]) == {"V2": "V1"}


def test_two_visits_on_a_day_in_both_feeds_are_ambiguous(matcher: Matcher) -> None:
    rows = [Visit(feed, number, begins=9 + number) for feed, number in (("pm", 1), ("pm", 2), ("adt", 3), ("adt", 4))]
    assert matcher.run(rows) == {}
    assert matcher.outcomes() == {(f"V{number}", "time", "ambiguous") for number in (1, 2, 3, 4)}


def test_a_chain_over_three_feeds_that_would_join_two_visits_of_one_is_left_alone(matcher: Matcher) -> None:
    rows = [
        Visit("pm", 1, kind="IMP", begins=0, lasts=30),
        Visit("ehr", 2, kind="IMP", begins=28, lasts=30),
        Visit("adt", 3, kind="IMP", begins=57, lasts=30),
        Visit("pm", 4, kind="IMP", begins=86, lasts=30),
    ]
    assert matcher.run(rows) == {}
    assert {outcome for _, _, outcome in matcher.outcomes()} == {"ambiguous"}
    assert matcher.run(rows[:3]) == {"V2": "V1", "V3": "V1"}


def test_an_identifier_that_feeds_share_needs_no_rule_and_one_feed_costs_nothing(matcher: Matcher) -> None:
    assert matcher.run([Visit("pm", 1), Visit("ehr", 1, unit=None), Visit("pm", 2), Visit("ehr", 2)]) == {}
    assert matcher.candidates() == 0
    assert matcher.run([Visit("pm", number) for number in range(5)]) == {}
    assert matcher.candidates() == 0
