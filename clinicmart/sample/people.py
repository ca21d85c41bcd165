"""Patients, their coverages and the duplicates that a later merge joins.

Patients are numbered from 0; the duplicates follow the real ones: number `count + d` is a second record of `survivor[d]`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample import names
from clinicmart.sample.catalogue import MEDICARE, PAYERS, SELF_PAY
from clinicmart.sample.clock import DAY, Calendar
from clinicmart.sample.names import LANGUAGE_WEIGHTS, LANGUAGES
from clinicmart.sample.structure import Group
from clinicmart.sample.text import dates, numbers, pick, timestamps

DUPLICATES = 6
SECONDARY_SHARE = 0.45
SWITCH_SHARE = 0.06


@dataclass(frozen=True, kw_only=True)
class People:
    """`payer[p]` until `switch_day[p]`, then `later_payer[p]`; `secondary[p]` is a payer or -1.

    `survivor[d]` of duplicate d is a patient number: the last duplicate's survivor is itself a duplicate (a chain of merges).
    `record_numbers` are the medical record numbers, duplicates included.
    """

    count: int
    record_numbers: pl.Series
    family: np.ndarray
    given_name: np.ndarray
    birth_day: np.ndarray
    is_female: np.ndarray
    postal: np.ndarray
    language: np.ndarray
    street: np.ndarray
    payer: np.ndarray
    later_payer: np.ndarray
    switch_day: np.ndarray
    secondary: np.ndarray
    survivor: np.ndarray

    def payer_on(self, patient: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Primary payer of patients on days."""
        return np.where(day >= self.switch_day[patient], self.later_payer[patient], self.payer[patient])

    def final(self, patient: np.ndarray) -> np.ndarray:
        """Patient numbers after all merges."""
        target = np.arange(self.count + len(self.survivor))
        target[self.count :] = self.survivor
        return target[target[patient]]


def draw_people(rng: np.random.Generator, calendar: Calendar, appointments: int) -> People:
    """One patient for about four appointments, at least 40."""
    count = max(40, appointments // 4)
    total = count + DUPLICATES
    weights = np.array([payer.weight for payer in PAYERS])
    payer = rng.choice(len(PAYERS), total, p=weights / weights.sum())
    age_days = np.where(payer == MEDICARE, rng.integers(65 * 365, 92 * 365, total), rng.integers(200, 80 * 365, total))
    age_days = np.where(payer == MEDICARE + 1, rng.integers(65 * 365, 88 * 365, total), age_days)
    later = rng.choice(SELF_PAY, total)
    switches = rng.random(total) < SWITCH_SHARE
    never = np.iinfo(np.int64).max
    survivor = rng.choice(count, DUPLICATES, replace=False)
    survivor[-1] = count
    people = People(
        count=count,
        record_numbers="M" + numbers(np.arange(1, total + 1), 7),
        family=rng.integers(0, len(names.FAMILY_NAMES), total),
        given_name=rng.integers(0, len(names.GIVEN_NAMES), total),
        birth_day=calendar.first - age_days,
        is_female=rng.random(total) < 0.54,
        postal=rng.integers(0, 100, total),
        language=rng.choice(len(LANGUAGES), total, p=LANGUAGE_WEIGHTS),
        street=rng.integers(1, 2000, total),
        payer=payer,
        later_payer=np.where(switches, later, payer),
        switch_day=np.where(switches, rng.integers(calendar.first + 60, calendar.as_of, total), never),
        secondary=np.where(
            (payer == MEDICARE) & ~switches & (rng.random(total) < SECONDARY_SHARE), rng.choice([1, 2, 5], total), -1
        ),
        survivor=survivor,
    )
    same = (
        "family",
        "given_name",
        "birth_day",
        "is_female",
        "language",
        "payer",
        "later_payer",
        "switch_day",
        "secondary",
    )
    for name in same:
        values = getattr(people, name)
        values[count:] = values[survivor]
    return people


def patients_table(people: People, group: Group, changed: np.ndarray) -> pl.DataFrame:
    """The PM table, one row per patient number; `changed` are UTC seconds of the last change."""
    postal = numbers(people.postal, 2)
    return pl.DataFrame(
        {
            "medical_record_number": people.record_numbers,
            "family_name": pick(names.FAMILY_NAMES, people.family),
            "given_name": pick(names.GIVEN_NAMES, people.given_name),
            "birth_date": birth_dates(people.birth_day),
            "sex": pick(("male", "female"), people.is_female),
            "address_line": numbers(people.street) + " " + pick(names.STREETS, people.street % len(names.STREETS)),
            "city": pick(names.PLACES, people.postal % len(names.PLACES)),
            "state": pick((group.tenant.state,), np.zeros_like(people.postal)),
            "postal_code": group.tenant.zip3 + postal,
            "phone": "555-01" + postal + "-" + numbers(people.street + 1000),
            "email": "patient" + people.record_numbers + "@example.org",
            "preferred_language": pick(LANGUAGES, people.language),
            "updated_at": timestamps(changed),
        }
    )


def birth_dates(birth_day: np.ndarray, pattern: str = "%Y-%m-%d") -> pl.Series:
    """Dates of birth as text."""
    return pl.Series(birth_day).cast(pl.Int32).cast(pl.Date).dt.strftime(pattern)


def member_ids(people: People, patient: np.ndarray, payer: np.ndarray) -> pl.Series:
    """Member number of patients at payers."""
    return "W" + numbers(payer + 1) + people.record_numbers.gather(patient)


def coverages_table(people: People, group: Group, calendar: Calendar) -> pl.DataFrame:
    """Primary coverage (two where the payer changed) and secondary coverage; self-pay has none."""
    everyone = np.arange(len(people.payer))
    start = calendar.first - 400
    switched = people.switch_day <= calendar.as_of
    before_end = np.where(switched, people.switch_day - 1, -1)
    parts = [
        (everyone, people.payer, np.full(len(everyone), 1), np.full(len(everyone), start), before_end),
        (
            everyone[switched],
            people.later_payer[switched],
            *_filled(switched.sum(), 1),
            people.switch_day[switched],
            None,
        ),
        (
            everyone[people.secondary >= 0],
            people.secondary[people.secondary >= 0],
            *_filled((people.secondary >= 0).sum(), 2),
            None,
            None,
        ),
    ]
    frames = []
    for patient, payer, priority, first, last in parts:
        first = np.full(len(patient), start) if first is None else first
        last = np.full(len(patient), -1) if last is None else last
        keep = payer != SELF_PAY
        frames.append(np.column_stack([patient, payer, priority, first, last])[keep])
    rows = np.concatenate(frames)
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 0]))]
    patient, payer, priority, first, last = rows.T
    changed = np.maximum(first, calendar.first) * DAY + 15 * 3600
    return pl.DataFrame(
        {
            "coverage_id": "CV" + numbers(np.arange(1, len(rows) + 1), 7),
            "medical_record_number": people.record_numbers.gather(patient),
            "payer_id": pick(group.payer_ids, payer),
            "member_id": member_ids(people, patient, payer),
            "plan_name": pick(group.payer_names, payer) + pick((" Standard", " Supplement"), priority - 1),
            "priority": priority,
            "effective_from": dates(first),
            "effective_to": dates(last),
            "updated_at": timestamps(changed),
        }
    )


def _filled(size: int, value: int) -> tuple[np.ndarray]:
    return (np.full(size, value),)
