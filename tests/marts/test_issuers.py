"""Who issued a number: which patients and visits of several feeds are one, against plain code that knows the truth."""

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest

from tests.marts.building import Compiled, Rows, fill

AS_OF = "2026-06-30"
ADDRESSES = {"NORTH": "&http://north.example/mrn", "SOUTH": "&http://south.example/mrn"}


def person(identifier: str, year: int, sex: str, name: str) -> dict[str, Any]:
    return {"patient_id": identifier, "birth_year": year, "sex": sex, "family_name_token": name}


def alias(own: str, number: str) -> dict[str, Any]:
    said = {"patient_merge_id": f"{own} is", "from_patient_id": own, "to_patient_id": number, "merge_type": "alias"}
    return said | {"merged_at": "1900-01-01"}


def merge(identifier: str, ended: str, kept: str, kind: str = "merge", day: int = 1) -> dict[str, Any]:
    said = {"patient_merge_id": identifier, "from_patient_id": ended, "to_patient_id": kept, "merge_type": kind}
    return said | {"merged_at": f"2026-05-{day:02d} 08:00:00"}


def visit(identifier: str, patient: str, day: int) -> dict[str, Any]:
    said = {"encounter_id": identifier, "patient_id": patient, "encounter_class": "AMB", "status": "finished"}
    return said | {"started_at": f"2026-{1 + day // 28:02d}-{1 + day % 28:02d} 10:00:00"}


CASES: dict[str, tuple[tuple[str, ...], Rows]] = {
    # One feed, two hospitals that count alike.
    "two": (
        ("adt",),
        {
            ("patient", "adt"): [person("55^^^A", 1950, "female", "d"), person("55^^^B", 2001, "female", "d")],
            ("encounter", "adt"): [visit("9^^^A", "55^^^A", 10), visit("9^^^B", "55^^^B", 12)],
            ("charge", "adt"): [
                {"charge_id": "c1", "encounter_id": "9^^^B", "patient_id": "55^^^B", "status": "posted"}
                | {"billed_amount": 1, "service_date": "2026-01-13"}
            ],
        },
    ),
    # Two feeds that state no issuer of their visits.
    "visits": (
        ("a", "b"),
        {
            ("patient", "a"): [person("71^^^A", 1950, "female", "d")],
            ("patient", "b"): [person("82^^^B", 2001, "female", "d")],
            ("encounter", "a"): [visit("9", "71^^^A", 10), visit("8", "71^^^A", 20)],
            ("encounter", "b"): [visit("9", "82^^^B", 12), visit("8", "71", 20)],
        },
    ),
    # A database, HL7 v2 and FHIR know one person; only two of them state an issuer, each in its own way.
    "spellings": (
        ("pm", "adt", "ehr"),
        {
            ("patient", "pm"): [person("1", 1950, "female", "d")],
            ("patient", "adt"): [person("1^^^NORTH", 1950, "female", "d")],
            ("patient", "ehr"): [person("ehr/x", 1950, "female", "d")],
            ("patient_merge", "ehr"): [alias("ehr/x", "1^^^&http://north.example/mrn")],
            ("encounter", "pm"): [visit("9", "1", 10)],
            ("encounter", "adt"): [visit("9^^^NORTH", "1^^^NORTH", 10)],
        },
    ),
    # The same name of an issuer in two feeds that mean two people, and one mistyped year.
    "names": (
        ("a", "b"),
        {
            ("patient", "a"): [person("1^^^MRN", 1950, "female", "d"), person("2^^^MRN", 1960, "male", "e")],
            ("patient", "b"): [person("1^^^MRN", 2001, "male", "s"), person("2^^^MRN", 1906, "male", "e")],
        },
    ),
    # The configuration says whose numbers those of the billing feed are.
    "configured": (
        ("adt", "billing"),
        {
            ("patient", "adt"): [person("5^^^NORTH", 1950, "female", "d"), person("5^^^SOUTH", 2001, "male", "e")],
            ("charge", "billing"): [
                {"charge_id": "c1", "patient_id": "5", "status": "posted", "billed_amount": 1}
                | {"service_date": "2026-01-13"}
            ],
        },
    ),
    # Merges and un-merges of the numbers of two issuers.
    "merges": (
        ("adt",),
        {
            ("patient", "adt"): [
                person(f"{number}^^^{issuer}", year, "female", str(year))
                for number, issuer, year in (
                    (1, "A", 1950),
                    (1, "B", 1960),
                    (2, "A", 1951),
                    (2, "B", 1961),
                    (3, "B", 1962),
                )
            ],
            ("patient_merge", "adt"): [
                merge("m1", "2^^^B", "1^^^B"),
                merge("m2", "1^^^B", "3^^^B", day=2),
                merge("m3", "2^^^A", "1^^^A"),
                merge("m4", "2^^^A", "1^^^A", "unmerge", 3),
            ],
        },
    ),
}


@dataclass
class Site:
    """A tenant by chance: `people` is the person behind each (feed, place of the row), `visits` the same."""

    rows: dict[tuple[str, str], list[dict[str, Any]]]
    people: dict[tuple[str, int], int]
    visits: dict[tuple[str, int], tuple[str, int]]


def site_by_chance(seed: int) -> Site:
    """People of two issuers with numbers that overlap, from four feeds: HL7 v2 with names of issuers, FHIR with addresses, two
    without any. Each knows some of the people, and the last two know one person a number."""
    chance = random.Random(seed)
    taken = {(issuer, number) for issuer in ADDRESSES for number in range(1, 6) if chance.random() < 0.6}
    people = [
        (*key, 1930 + 3 * n, chance.choice(("female", "male")), f"name{n}") for n, key in enumerate(sorted(taken))
    ]
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    behind: dict[tuple[str, int], int] = {}
    merged: set[int] = set()

    def tell(feed: str, identifier: str, who: int) -> None:
        _, _, year, sex, name = people[who]
        behind[feed, len(rows["patient", feed])] = who
        rows["patient", feed].append(person(identifier, year, sex, name))

    for who in chance.sample(range(len(people)), len(people)):
        issuer, number, *_ = people[who]
        if chance.random() < 0.8:
            tell("adt", f"{number}^^^{issuer}", who)
        if chance.random() < 0.6:
            tell("ehr", f"ehr/{who}", who)
            rows["patient_merge", "ehr"].append(alias(f"ehr/{who}", f"{number}^^^{ADDRESSES[issuer]}"))
    for feed in ("pm", "lab"):
        for number in range(1, 6):
            known = [who for who, item in enumerate(people) if item[1] == number]
            if known and chance.random() < 0.7:
                tell(feed, str(number), chance.choice(known))
    # Of somebody of whom a feed says nothing but a number nobody can tell who that is.
    listed = sorted({who for (feed, _), who in behind.items() if feed == "adt"})
    if len(listed) > 1:
        ended, kept = chance.sample(listed, 2)
        numbers = [f"{people[who][1]}^^^{people[who][0]}" for who in (ended, kept)]
        rows["patient_merge", "adt"].append(merge("m", *numbers))
        merged = {ended, kept}
        behind = {key: kept if who == ended else who for key, who in behind.items()}
    visits: dict[tuple[str, int], tuple[str, int]] = {}
    alone = [who for who in range(len(people)) if who not in merged]
    days = iter(chance.sample(range(0, 140, 4), 35))
    told_alone: set[int] = set()
    for who in alone:
        issuer, number, *_ = people[who]
        for one in chance.sample(range(1, 5), 2):
            day = next(days)
            visits["adt", len(rows["encounter", "adt"])] = (issuer, one * 100 + who)
            rows["encounter", "adt"].append(visit(f"{one}-{number}^^^{issuer}", f"{number}^^^{issuer}", day))
            known_there = [row for row in rows["patient", "pm"] if row["patient_id"] == str(number)]
            is_known = bool(known_there) and known_there[0]["family_name_token"] == people[who][4]
            if is_known and chance.random() < 0.6 and one * 10 + number not in told_alone:
                told_alone.add(one * 10 + number)
                visits["pm", len(rows["encounter", "pm"])] = (issuer, one * 100 + who)
                rows["encounter", "pm"].append(visit(f"{one}-{number}", str(number), day))
    return Site(dict(rows), behind, visits)


SEEDS = range(40)
FEEDS = ("pm", "adt", "ehr", "lab")


@pytest.fixture(scope="module")
def built(project: Compiled, tmp_path_factory: pytest.TempPathFactory):
    file = project.warehouse(tmp_path_factory.mktemp("issuers"))
    with duckdb.connect(str(file)) as connection:
        for tenant, (feeds, rows) in CASES.items():
            fill(connection, tenant, rows, feeds=feeds, as_of=AS_OF)
        connection.execute("insert into raw.feed_issuer values ('configured', 'billing', 'SOUTH')")
        for seed in SEEDS:
            fill(connection, f"chance-{seed}", site_by_chance(seed).rows, feeds=FEEDS, as_of=AS_OF)
    project.build(file, "int_encounters", "int_patients", "int_charges", "source_conflict")
    with duckdb.connect(str(file), read_only=True) as connection:
        yield connection


def rows_of(built: duckdb.DuckDBPyConnection, query: str, tenant: str) -> list[tuple]:
    return built.execute(query, [tenant]).fetchall()


def patients(built: duckdb.DuckDBPyConnection, tenant: str) -> list[tuple]:
    query = "select patient_id, birth_year from intermediate.int_patients where tenant_id = ? order by all"
    return rows_of(built, query, tenant)


def encounters(built: duckdb.DuckDBPyConnection, tenant: str) -> list[tuple]:
    query = "select encounter_id, patient_id, feeds from intermediate.int_encounters where tenant_id = ? order by all"
    return rows_of(built, query, tenant)


def test_one_number_of_two_issuers_is_two_people_and_two_visits(built) -> None:
    assert patients(built, "two") == [("55", 1950), ("55^^^B", 2001)]
    assert encounters(built, "two") == [("9", "55", 1), ("9^^^B", "55^^^B", 1)]
    charges = rows_of(built, "select encounter_id, patient_id from intermediate.int_charges where tenant_id = ?", "two")
    assert charges == [("9^^^B", "55^^^B")], "what names the visit follows it"


def test_visits_of_one_number_that_contradict_in_patient_and_day_are_two(built) -> None:
    assert encounters(built, "visits") == [("8", "71", 2), ("9", "71", 1), ("9^^^b", "82", 1)]


def test_they_are_shown_as_a_conflict_of_the_two_feeds(built) -> None:
    query = "select entity, column_name, record_feed, other_feed, keys_in_conflict from health.source_conflict where tenant_id = ?"
    assert ("encounter", "encounter_id", "a", "b", 1) in rows_of(built, query, "visits")
    assert ("patient", "patient_id", "a", "b", 1) in rows_of(built, query, "names")
    assert not [row for row in rows_of(built, query, "two") if row[1].endswith("_id")], "two issuers contradict nothing"


def test_feeds_that_state_an_issuer_in_their_own_way_or_not_at_all_stay_together(built) -> None:
    assert patients(built, "spellings") == [("1", 1950)]
    assert encounters(built, "spellings") == [("9", "1", 2)]
    keys = rows_of(built, "select * from intermediate.int_patient_keys where tenant_id = ?", "spellings")
    assert keys == [], "nothing is known by another identifier than before"


def test_one_name_of_an_issuer_in_two_feeds_does_not_make_two_people_one(built) -> None:
    assert patients(built, "names") == [("1", 1950), ("1^^^MRN@b", 2001), ("2", 1960)]


def test_a_feed_without_issuers_means_the_one_that_the_configuration_gives_it(built) -> None:
    assert patients(built, "configured") == [("5", 1950), ("5^^^SOUTH", 2001)]
    query = "select patient_id from intermediate.int_charges where tenant_id = ?"
    assert rows_of(built, query, "configured") == [("5^^^SOUTH",)]


def test_merges_and_unmerges_are_of_the_numbers_of_their_issuer(built) -> None:
    query = (
        "select patient_id, current_patient_id from intermediate.int_patient_crosswalk where tenant_id = ? order by all"
    )
    # The best feed's first issuer keeps the numbers that both gave.
    assert rows_of(built, query, "merges") == [("1^^^B", "3"), ("2^^^B", "3")]
    assert patients(built, "merges") == [("1", 1950), ("2", 1951), ("3", 1962)]


def grouped(found: dict[Any, Any]) -> set[frozenset[Any]]:
    groups: dict[Any, set[Any]] = defaultdict(set)
    for key, value in found.items():
        groups[value].add(key)
    return {frozenset(group) for group in groups.values()}


@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_one_person_is_as_it_really_is(built, seed: int) -> None:
    told = built.execute(
        "select s.source_system, s.source_record_id::int, coalesce(c.current_patient_id, s.patient_id) "
        "from staging.stg_patients s left join intermediate.int_patient_crosswalk c using (tenant_id, patient_id) "
        "where tenant_id = ?",
        [f"chance-{seed}"],
    ).fetchall()
    site = site_by_chance(seed)
    assert grouped({(feed, place): key for feed, place, key in told}) == grouped(site.people)


@pytest.mark.parametrize("seed", SEEDS)
def test_which_visits_are_one_is_as_it_really_is(built, seed: int) -> None:
    told = built.execute(
        "select source_system, source_record_id::int, encounter_id from staging.stg_encounters where tenant_id = ?",
        [f"chance-{seed}"],
    ).fetchall()
    site = site_by_chance(seed)
    assert grouped({(feed, place): key for feed, place, key in told}) == grouped(site.visits)
