"""One visit and one person as several systems tell them: under different identifiers, and not always alike.

The EHR (FHIR) has its own identifier for some visits, the ADT system for some stays; it also registers some visits whose
appointment it schedules, which names them. Chosen are visits and stays of patients with no other within two days, so that
each has one counterpart. Where the systems differ, the PM database is right: it is the record.

Among the merges, two pairs of people are joined by mistake and parted again, and one duplicate is parted and joined again.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from clinicmart.sample.catalogue import VISIT_TYPES
from clinicmart.sample.clock import DAY
from clinicmart.sample.people import DUPLICATES
from clinicmart.sample.story import Story
from clinicmart.sample.text import numbers

# One in so many of those that could be.
OWN_VISITS, OWN_STAYS, REGISTERED = 40, 6, 12
# The FHIR files hold the visits of so many days, all of them in a small tenant.
FHIR_WHOLE_UP_TO, FHIR_RECENT_DAYS = 200_000, 92
SCHEDULED_DAYS = 92
APART_DAYS = 2
LATER_SECONDS = 120
OTHER_BIRTH_YEAR = 400
MERGE_GAP_DAYS = 9
MISTAKES = 2


class Change(NamedTuple):
    """A merge of the records of two patient numbers or, with `is_merge` false, its end. `at` is UTC seconds."""

    at: int
    is_merge: bool
    ended: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class Views:
    """Indexes of visits and stays that a feed sends under a different identifier.

    `fhir_visits` and `registered` (ADT) are indexes of encounters, `adt_stays` of stays; `other_birth_year` are patient
    numbers whose year of birth the EHR has wrong.
    """

    fhir_visits: np.ndarray
    registered: np.ndarray
    adt_stays: np.ndarray
    other_birth_year: np.ndarray


def draw_views(story: Story) -> Views:
    """Chooses without chance: every so manieth of what qualifies."""
    visits, booked, stays = story.encounters, story.appointments, story.stays
    patient = story.people.final(booked.patient[visits.appointment])
    alone = _alone(patient, visits.started_day, visits.started_day) & (visits.ended >= 0)
    appointment = visits.appointment
    ambulatory = np.array([item.encounter_class == "AMB" for item in VISIT_TYPES])[booked.visit_type[appointment]]
    is_scheduled = scheduled(story)[appointment]
    registered = np.flatnonzero(alone & ambulatory & is_scheduled)[::REGISTERED]
    own = np.flatnonzero(alone & in_fhir(story))[::OWN_VISITS]
    own = np.union1d(own, registered[::2])
    ended = stays.discharged >= 0
    last = np.where(ended, stays.discharged, stays.admitted + 3650 * DAY) // DAY
    still = _alone(story.people.final(stays.patient), stays.admitted // DAY, last) & ended
    return Views(
        fhir_visits=own,
        registered=registered,
        adt_stays=np.flatnonzero(still)[::OWN_STAYS],
        other_birth_year=np.arange(len(story.people.payer))[::OTHER_BIRTH_YEAR],
    )


def _alone(patient: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Whether the patient has nothing else within two days of each span of days."""
    order = np.lexsort((first, patient))
    patient, first, last = patient[order], first[order], last[order]
    same = patient[1:] == patient[:-1]
    near = same & (first[1:] - last[:-1] <= APART_DAYS)
    is_alone = np.ones(len(patient), bool)
    is_alone[1:] &= ~near
    is_alone[:-1] &= ~near
    alone = np.empty(len(patient), bool)
    alone[order] = is_alone
    return alone


def scheduled(story: Story) -> np.ndarray:
    """Mask of the appointments that SIU messages report: every second one of the recent and coming that were booked."""
    booked = story.appointments
    recent = booked.start_local // DAY > story.calendar.as_of - SCHEDULED_DAYS
    return recent & ~booked.walk_in & (np.arange(len(booked)) % 2 == 0)


def in_fhir(story: Story) -> np.ndarray:
    """Mask of the visits that the FHIR files hold."""
    visits = story.encounters
    if len(story.appointments) <= FHIR_WHOLE_UP_TO:
        return np.ones(len(visits), bool)
    return visits.started_day > story.calendar.as_of - FHIR_RECENT_DAYS


def _renamed(ids: pl.Series, chosen: np.ndarray, letter: str) -> pl.Series:
    """`ids` with another first letter at the chosen places."""
    is_chosen = np.zeros(len(ids), bool)
    is_chosen[chosen] = True
    frame = pl.DataFrame({"id": ids, "chosen": is_chosen, "number": numbers(np.arange(1, len(ids) + 1), 7)})
    other = pl.lit(letter) + pl.col("number")
    return frame.select(pl.when("chosen").then(other).otherwise("id").alias("id")).to_series()


def fhir_visit_ids(story: Story, views: Views) -> pl.Series:
    """The id of each visit in the EHR."""
    return _renamed(story.encounter_ids, views.fhir_visits, "E")


def adt_visit_ids(story: Story, views: Views) -> pl.Series:
    """The ADT visit number of each visit; of those not registered it is that of the PM database, and not sent."""
    return _renamed(story.encounter_ids, views.registered, "R")


def adt_stay_ids(story: Story, views: Views) -> pl.Series:
    """The ADT visit number of each stay."""
    return _renamed(story.stay_ids, views.adt_stays, "N")


def merge_history(story: Story) -> list[Change]:
    """All merges and un-merges in order of time; the last duplicate is merged first, so that a chain arises."""
    people, as_of = story.people, story.calendar.as_of
    pairs = [(people.count + number, int(people.survivor[number])) for number in reversed(range(DUPLICATES))]

    def at(days: int) -> int:
        return (as_of - days) * DAY + 18 * 3600

    changes = [Change(at(MERGE_GAP_DAYS * (DUPLICATES - step)), True, *pair) for step, pair in enumerate(pairs)]
    first = pairs[0]
    changes += [Change(at(MERGE_GAP_DAYS * DUPLICATES - 2), False, *first)]
    changes += [Change(at(MERGE_GAP_DAYS * DUPLICATES - 4), True, *first)]
    unmerged = np.setdiff1d(np.arange(people.count), people.survivor)
    for number in range(MISTAKES):
        ended, kept = int(unmerged[2 * number]), int(unmerged[2 * number + 1])
        changes += [Change(at(40 - number), True, ended, kept), Change(at(20 - number), False, ended, kept)]
    return sorted(changes)


def contradictions(views: Views) -> list[dict[str, object]]:
    """The contradictions between feeds, as truths.json holds them: the number of keys by entity, column and pair of feeds."""
    columns = (
        ("encounter", "admission_source", "adt", len(views.adt_stays)),
        ("encounter", "started_at", "ehr", len(views.fhir_visits)),
        ("patient", "birth_year", "ehr", len(views.other_birth_year)),
    )
    return [
        {"entity": entity, "column": column, "record": "pm", "other": other, "keys": str(keys)}
        for entity, column, other, keys in columns
        if keys
    ]
