"""Diagnoses of the finished visits: the PM database has them by visit, the 837s have the same ones on the claims, with a second code.

Claims that a payer denies at first are about the musculoskeletal system more often than others. A few codes are in no chapter of
ICD-10-CM, and some visits have no diagnosis at all.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample.adjudication import FIRST
from clinicmart.sample.codes import DIAGNOSES, STRAY_DIAGNOSES
from clinicmart.sample.story import Story
from clinicmart.sample.text import pick, timestamps
from clinicmart.sample.visits import COMPLETED

# The chapter of each first letter of DIAGNOSES, as a person reads it.
CHAPTERS = {
    "E": "E00-E89 Endocrine, nutritional and metabolic diseases",
    "F": "F01-F99 Mental, behavioral and neurodevelopmental disorders",
    "I": "I00-I99 Circulatory system",
    "J": "J00-J99 Respiratory system",
    "M": "M00-M99 Musculoskeletal system and connective tissue",
    "R": "R00-R99 Symptoms, signs and abnormal findings",
    "S": "S00-T88 Injury, poisoning and other external causes",
    "Z": "Z00-Z99 Factors influencing health status",
}
CODES = (*DIAGNOSES, *STRAY_DIAGNOSES)
LABELS = [*dict.fromkeys(CHAPTERS[code[0]] for code in DIAGNOSES), "other code", "not stated"]
OTHER_CODE, NOT_STATED = LABELS.index("other code"), LABELS.index("not stated")
# Shares of visits: without a diagnosis (where no claim is sent), with a code of no chapter, with a second code (of claims).
WITHOUT, STRAY, SECOND = 0.3, 0.006, 0.35
MORE_OF_DENIED = 0.4


@dataclass(frozen=True, kw_only=True)
class Diagnoses:
    """Indexes of CODES, one element per encounter: the first diagnosis (-1 for none), and a second one that claims state (-1 for none)."""

    first: np.ndarray
    second: np.ndarray

    def chapter(self, encounter: np.ndarray) -> np.ndarray:
        """Indexes of LABELS of the first diagnoses of encounters."""
        of_code = [LABELS.index(CHAPTERS[code[0]]) if code in DIAGNOSES else OTHER_CODE for code in CODES]
        return np.array([*of_code, NOT_STATED])[self.first[encounter]]


def draw_diagnoses(story: Story) -> Diagnoses:
    """Draws from a stream that nothing else uses, after the payers' decisions."""
    rng, size = story.rng("diagnoses"), len(story.encounters)
    booked, remits, bills = story.appointments, story.remits, story.claims
    first = rng.integers(0, len(DIAGNOSES), size)
    second = (first + rng.integers(1, len(DIAGNOSES), size)) % len(DIAGNOSES)
    denied = np.zeros(size, bool)
    denied[bills.encounter[remits.claim[(remits.stage == FIRST) & (remits.claim_sum("allowed") == 0)]]] = True
    back = DIAGNOSES.index("M5450")
    first = np.where(denied & (rng.random(size) < MORE_OF_DENIED), back, first)
    second = np.where((second == first) | (rng.random(size) >= SECOND), -1, second)
    stray = len(DIAGNOSES) + rng.integers(0, len(STRAY_DIAGNOSES), size)
    first = np.where(rng.random(size) < STRAY, stray, first)
    claimed = np.zeros(size, bool)
    claimed[bills.encounter] = True
    completed = booked.status[story.encounters.appointment] == COMPLETED
    coded = claimed | (completed & (rng.random(size) >= WITHOUT))
    return Diagnoses(first=np.where(coded, first, -1), second=np.where(claimed, second, -1))


def encounter_diagnoses(story: Story) -> pl.DataFrame:
    """The table of the PM database: the first diagnosis of each visit that has one."""
    drawn = draw_diagnoses(story)
    coded = np.flatnonzero(drawn.first >= 0)
    visits, booked = story.encounters, story.appointments
    when = np.where(visits.ended < 0, visits.started, visits.ended)[coded]
    return pl.DataFrame(
        {
            "encounter_id": story.encounter_ids.gather(coded),
            "line_number": np.ones(len(coded), np.int64),
            "medical_record_number": story.people.record_numbers.gather(booked.patient[visits.appointment[coded]]),
            "code_system": pick(["icd10cm"], np.zeros(len(coded), np.int64)),
            "diagnosis_code": pick(CODES, drawn.first[coded]),
            "recorded_at": timestamps(when),
            "updated_at": timestamps(when),
        }
    )


def health_information(story: Story, claim: np.ndarray) -> pl.Series:
    """The HI segment of claims, without its terminator."""
    drawn, encounter = draw_diagnoses(story), story.claims.encounter[claim]
    second = pick([f"*ABF:{code}" for code in DIAGNOSES], drawn.second[encounter]).fill_null("")
    return "HI*ABK:" + pick(CODES, drawn.first[encounter]) + second
