"""A visit through several classes: changes of class and parts of encounters against an hour-by-hour reading in plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models, Row

pytestmark = pytest.mark.slow

MODELS = (
    "int_encounter_parts",
    "int_encounter_candidates",
    "int_encounter_matches",
    "int_encounter_crosswalk",
    "int_encounter_classes",
    "int_encounters",
    "int_emergency_visits",
    "int_bed_movements",
    "int_bed_stays",
)
_ENCOUNTER = (
    "tenant_id, source_system, encounter_id, patient_id, service_unit_id, provider_id, payer_id, visit_type_id, "
)
_ENCOUNTER += "appointment_id, part_of_encounter_id, encounter_class, status, admission_source, discharge_disposition, "
_ENCOUNTER += "source_record_id, source_position"
_TIMES = ", started_at timestamp, started_exact_at timestamp, ended_at timestamp, ended_exact_at timestamp"
_TIMES += ", signed_at timestamp, source_updated_at timestamp"


def columns(names: str, more: str = "") -> str:
    return ", ".join(f"{name.strip()} varchar" for name in names.split(",")) + more


TABLES = {
    "staging.stg_encounters": columns(_ENCOUNTER, _TIMES),
    "staging.stg_encounter_events": columns(
        "tenant_id, source_system, encounter_id, event_type, encounter_class", ", occurred_at timestamp"
    ),
    "staging.stg_bed_movements": columns(
        "tenant_id, source_system, bed_movement_id, encounter_id, patient_id, movement_type, service_unit_id, "
        "from_service_unit_id, bed, "
        "source_record_id",
        ", occurred_at timestamp",
    ),
    "staging.stg_appointments": columns("tenant_id, appointment_id, encounter_id, status"),
    "staging.stg_system_of_record": columns("tenant_id, entity, source_system", ", precedence int"),
    "staging.stg_tenants": columns("tenant_id, time_zone", ", data_as_of_date date"),
    "intermediate.int_patient_crosswalk": columns("tenant_id, patient_id, current_patient_id"),
    "intermediate.int_provider_crosswalk": columns("tenant_id, provider_id, current_provider_id"),
    "intermediate.int_payer_crosswalk": columns("tenant_id, payer_id, current_payer_id"),
    "intermediate.int_encounter_payers": columns("tenant_id, encounter_id, payer_id"),
    "intermediate.int_service_units": columns("tenant_id, service_unit_id, path, time_zone"),
}
BEGINNING = datetime(2026, 3, 10, 13)
INPATIENT, INNER = ("IMP", "ACUTE"), ("IMP", "ACUTE", "EMER", "OBSENC")
CLASSES = ("EMER", "IMP", "OBSENC", "AMB", "ACUTE")


@dataclass(frozen=True)
class Encounter:
    """An encounter of `feed`; hours are counted from BEGINNING. `whole` is the number of the encounter it is a part of;
    `changes` are (hour, class)."""

    number: int
    kind: str
    begins: int
    ends: int | None
    whole: int | None = None
    changes: tuple[tuple[int, str], ...] = ()
    patient: str = "P"
    feed: str = "adt"
    name: str | None = None

    @property
    def encounter_id(self) -> str:
        return self.name or f"E{self.number}"


def at(hour: int | None) -> datetime | None:
    return None if hour is None else BEGINNING + timedelta(hours=hour)


def build(models: Models, encounters: Sequence[Encounter]) -> None:
    """The models on these encounters, whose changes come as events."""
    names = {item.number: item.encounter_id for item in encounters}
    rows: dict[str, list[Row]] = {
        "staging.stg_tenants": [{"tenant_id": "t", "time_zone": "America/New_York", "data_as_of_date": "2026-04-30"}],
        "staging.stg_system_of_record": [
            {"tenant_id": "t", "entity": "encounter", "source_system": feed, "precedence": rank}
            for rank, feed in enumerate(("pm", "adt", "ehr"), start=1)
        ],
        "intermediate.int_service_units": [
            {"tenant_id": "t", "service_unit_id": unit, "path": f"/{unit}/", "time_zone": "America/New_York"}
            for unit in ("unknown", "w1")
        ],
        "staging.stg_encounters": [
            {
                "tenant_id": "t",
                "source_system": item.feed,
                "encounter_id": item.encounter_id,
                "patient_id": item.patient,
                "part_of_encounter_id": None if item.whole is None else names.get(item.whole, "elsewhere"),
                "encounter_class": item.kind,
                "status": "finished" if item.ends is not None else "in_progress",
                "started_at": at(item.begins),
                "started_exact_at": at(item.begins),
                "ended_at": at(item.ends),
                "ended_exact_at": at(item.ends),
                "source_record_id": str(item.number),
                "source_updated_at": BEGINNING,
            }
            for item in encounters
        ],
        "staging.stg_encounter_events": [
            {
                "tenant_id": "t",
                "source_system": item.feed,
                "encounter_id": item.encounter_id,
                "event_type": "class_change",
                "encounter_class": kind,
                "occurred_at": at(hour),
            }
            for item in encounters
            for hour, kind in item.changes
        ],
    }
    models.build(rows)


def figures(models: Models) -> dict[str, tuple[Decimal, Decimal]]:
    """Visit to (emergency minutes, stay hours)."""
    found = {name: [Decimal(0), Decimal(0)] for (name,) in models.rows("int_encounters", "encounter_id")}
    for name, minutes in models.rows("int_emergency_visits", "encounter_id", "emergency_minutes"):
        found[name][0] += minutes or 0
    for name, arrived, left in models.rows("int_bed_stays", "encounter_id", "arrived_at", "left_at"):
        found[name][1] += Decimal((left - arrived) / timedelta(hours=1))
    return {name: (emergency, stay) for name, (emergency, stay) in found.items()}


def class_of(item: Encounter, hour: int) -> str | None:
    """The class that an encounter has by its own word in the hour that begins then; None before and after it."""
    begins = min([item.begins, *(change for change, _ in item.changes)])
    if hour < begins or (item.ends is not None and hour >= item.ends):
        return None
    if not item.changes:
        return item.kind
    said = sorted(item.changes, key=lambda change: change[0])
    earlier = [kind for change, kind in said if change <= hour]
    return earlier[-1] if earlier else said[0][1]


def truth(encounters: Sequence[Encounter], hours: range) -> dict[str, tuple[Decimal, Decimal]]:
    """The same by walking through the hours: the innermost part that goes on says the class."""
    known = {item.number: item for item in encounters}

    def above(item: Encounter) -> Encounter | None:
        whole = None if item.whole is None else known.get(item.whole)
        return whole if whole is not None and whole.patient == item.patient and whole is not item else None

    def path(item: Encounter) -> list[Encounter] | None:
        steps = [item]
        while (whole := above(steps[-1])) is not None:
            if whole in steps:
                return None
            steps.append(whole)
        return steps

    found: dict[str, tuple[Decimal, Decimal]] = {}
    for item in encounters:
        steps = path(item)
        if steps is not None and len(steps) > 1:
            continue
        tree = [(other, len(way) - 1) for other in encounters if (way := path(other)) is not None and way[-1] is item]
        tree = tree or [(item, 0)]
        emergency = stay = 0
        for hour in hours:
            if item.ends is not None and hour >= item.ends:
                break
            told = [(depth, other.begins, other.number, class_of(other, hour)) for other, depth in tree]
            inner = [entry for entry in told if entry[3] is not None and (entry[0] == 0 or entry[3] in INNER)]
            if inner:
                _, _, _, kind = max(inner, key=lambda entry: (entry[0], entry[1], -entry[2]))
                emergency += kind == "EMER"
                stay += kind in INPATIENT
        found[item.encounter_id] = (Decimal(60 * emergency), Decimal(stay))
    return found


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


@st.composite
def changed(draw: Any) -> Encounter:
    begins = draw(st.integers(0, 5))
    hours = sorted(draw(st.sets(st.integers(begins + 1, 30), max_size=4)))
    kinds = [draw(st.sampled_from(CLASSES)) for _ in range(len(hours) + 1)]
    changes = [(begins, kinds[0]), *zip(hours, kinds[1:], strict=True)]
    draw(st.randoms(use_true_random=False)).shuffle(changes)
    return Encounter(1, kinds[-1], begins, draw(st.integers(31, 60)), changes=tuple(changes))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visit=changed())
def test_changes_of_class_in_any_order_are_those_of_plain_code(models: Models, visit: Encounter) -> None:
    build(models, [visit])
    assert figures(models) == truth([visit], range(61))
    assert models.rows("int_encounters", "encounter_class") == [(visit.kind,)]


@st.composite
def trees(draw: Any) -> list[Encounter]:
    count = draw(st.integers(1, 6))
    found = []
    for number in range(1, count + 1):
        begins = draw(st.integers(0, 30))
        whole = draw(st.one_of(st.none(), st.integers(1, count))) if number > 1 else None
        found.append(
            Encounter(
                number,
                draw(st.sampled_from(CLASSES)),
                # No two parts begin at one moment: which of them were the inner one, nobody could say.
                begins * 6 + number - 1,
                begins * 6 + number - 1 + draw(st.integers(1, 100)),
                whole,
                patient=draw(st.sampled_from(["P", "P", "P", "N"])),
            )
        )
    draw(st.randoms(use_true_random=False)).shuffle(found)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(encounters=trees())
def test_parts_of_encounters_are_counted_once_and_as_plain_code_does(
    models: Models, encounters: list[Encounter]
) -> None:
    build(models, encounters)
    assert figures(models) == truth(encounters, range(300))


def test_a_visit_that_several_feeds_tell_takes_its_classes_from_the_best_feed_that_knows_several(
    models: Models,
) -> None:
    """The PM system, the record, calls it an emergency visit; two feeds know of the admission, at slightly different times."""
    build(
        models,
        [
            Encounter(1, "EMER", 0, 26, feed="pm", name="V1"),
            Encounter(2, "IMP", 0, 26, feed="adt", name="V1", changes=((0, "EMER"), (6, "IMP"))),
            Encounter(3, "IMP", 0, 26, feed="ehr", name="V1", changes=((0, "EMER"), (7, "IMP"))),
        ],
    )
    assert figures(models) == {"V1": (Decimal(360), Decimal(20))}
    assert models.rows("int_encounters", "encounter_class", "feeds") == [("IMP", 3)]


def test_a_class_that_an_update_corrects_is_no_change(models: Models) -> None:
    build(models, [Encounter(1, "EMER", 0, 5, changes=((0, "AMB"),))])
    assert figures(models) == {"E1": (Decimal(300), Decimal(0))}


def test_before_a_change_whose_earlier_class_nobody_told_there_is_no_stay(models: Models) -> None:
    build(models, [Encounter(1, "IMP", 0, 26, changes=((0, "UNK"), (6, "IMP")))])
    assert figures(models) == {"E1": (Decimal(0), Decimal(20))}


def test_a_newborns_stay_is_not_a_part_of_its_mothers(models: Models) -> None:
    build(models, [Encounter(1, "IMP", 0, 48), Encounter(2, "IMP", 10, 48, 1, patient="N")])
    assert figures(models) == {"E1": (Decimal(0), Decimal(48)), "E2": (Decimal(0), Decimal(38))}
