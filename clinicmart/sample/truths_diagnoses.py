"""Truths of diagnoses: claims, denials and charges by chapter, visits with and without a diagnosis, and the levels of visits.

Computed from the generator's arrays like all others (`truths.py`); `definitions_money.py` states each in words.
"""

from typing import TYPE_CHECKING

import numpy as np

from clinicmart.sample import evaluation_levels
from clinicmart.sample.adjudication import FIRST
from clinicmart.sample.charges import REVERSAL as REVERSED_ENTRY
from clinicmart.sample.charges import VOID
from clinicmart.sample.codes import DIAGNOSES
from clinicmart.sample.diagnoses import LABELS, Diagnoses, draw_diagnoses
from clinicmart.sample.tally import Dimension
from clinicmart.sample.visits import COMPLETED

if TYPE_CHECKING:
    from clinicmart.sample.truths import Truths


def add(truths: "Truths") -> None:
    """Adds all figures of diagnoses to a tenant's tally."""
    drawn = draw_diagnoses(truths.story)
    _claims(truths, drawn)
    _charges(truths, drawn)
    _visits(truths, drawn)
    _codes(truths, drawn)
    _evaluations(truths, drawn)


def _evaluations(truths: "Truths", drawn: Diagnoses) -> None:
    """Charged visits with a level; a line that takes another one back is taken off."""
    story, tally = truths.story, truths.tally
    lines, booked = story.charges, story.appointments
    charged = np.flatnonzero((lines.kind != VOID) & (evaluation_levels.levels_of(lines.code) > 0))
    level = evaluation_levels.levels_of(lines.code[charged])
    services = np.where(lines.kind[charged] == REVERSED_ENTRY, -1, 1)
    appointment = story.encounters.appointment[lines.encounter[charged]]
    groups = evaluation_levels.groups_of(lines.code[charged])
    by = [
        truths.month(lines.service_day[charged]),
        truths.unit(booked.clinic[appointment]),
        *truths.payers(booked.payer[appointment]),
        _chapter(drawn, lines.encounter[charged]),
        Dimension(
            name="provider", codes=booked.provider[appointment], labels=[str(item) for item in story.group.provider_ids]
        ),
        Dimension(name="evaluation_level", codes=level, labels=["", "1", "2", "3", "4", "5"]),
        Dimension(name="evaluation_group", codes=groups, labels=evaluation_levels.GROUPS),
    ]
    high = np.where(level >= evaluation_levels.HIGH, services, 0)
    tally.total("evaluation_services", services, by)
    tally.total("high_level_evaluations", high, by)
    tally.total("evaluation_levels_added", level * services, by)
    tally.ratio("evaluation_level_mean", level * services, services, by)
    tally.ratio("high_level_evaluation_rate", high, services, by)


def _chapter(drawn: Diagnoses, encounter: np.ndarray) -> Dimension:
    return Dimension(name="diagnosis_chapter", codes=drawn.chapter(encounter), labels=LABELS)


def _claims(truths: "Truths", drawn: Diagnoses) -> None:
    tally, bills, remits = truths.tally, truths.story.claims, truths.story.remits
    tally.total("claims", np.ones(len(bills), np.int64), [_chapter(drawn, bills.encounter)])
    first = np.flatnonzero(remits.stage == FIRST)
    by = [_chapter(drawn, bills.encounter[remits.claim[first]])]
    denied, decided = remits.claim_sum("allowed")[first] == 0, np.ones(len(first), np.int64)
    tally.total("remitted_claims", decided, by)
    tally.total("denied_claims", denied, by)
    tally.ratio("denial_rate", denied, decided, by)


def _charges(truths: "Truths", drawn: Diagnoses) -> None:
    lines = truths.story.charges
    live = np.flatnonzero(lines.kind != VOID)
    by = [_chapter(drawn, lines.encounter[live])]
    truths.tally.total("billed_amount", lines.billed[live], by, in_cents=True)


def _visits(truths: "Truths", drawn: Diagnoses) -> None:
    story, tally = truths.story, truths.tally
    visits, booked = story.encounters, story.appointments
    completed = np.flatnonzero(booked.status[visits.appointment] == COMPLETED)
    appointment = visits.appointment[completed]
    by = [
        truths.month(visits.started_day[completed]),
        truths.unit(booked.clinic[appointment]),
        *truths.payers(booked.payer[appointment]),
    ]
    has = drawn.first[completed] >= 0
    tally.total("visits_with_diagnosis", has, [*by, _chapter(drawn, completed)])
    tally.total("visits_without_diagnosis", ~has, by)
    tally.ratio("visit_diagnosis_rate", has, np.ones(len(completed), np.int64), by)


def _codes(truths: "Truths", drawn: Diagnoses) -> None:
    """Visits state one code; claims state it too, and some a second one."""
    story, tally = truths.story, truths.tally
    coded = np.flatnonzero(drawn.first >= 0)
    claimed = story.claims.encounter
    seconds = claimed[drawn.second[claimed] >= 0]
    code = np.concatenate([drawn.first[coded], drawn.first[claimed], drawn.second[seconds]])
    encounter = np.concatenate([coded, claimed, seconds])
    by = [truths.unit(story.appointments.clinic[story.encounters.appointment[encounter]])]
    stray = code >= len(DIAGNOSES)
    tally.total("diagnoses", np.ones(len(code), np.int64), by)
    tally.total("diagnoses_outside_icd10", stray, by)
    tally.ratio("diagnosis_outside_icd10_rate", stray, np.ones(len(code), np.int64), by)
