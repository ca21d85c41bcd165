"""Truths of eligibility: answers of payers, visits checked before, insurance wrong at the visit, copays due and collected."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from clinicmart.sample import eligibility
from clinicmart.sample.catalogue import SELF_PAY, VISIT_TYPES
from clinicmart.sample.clock import DAY
from clinicmart.sample.eligibility import ACTIVE, ANSWERED_AT, ERROR, INACTIVE, Answers
from clinicmart.sample.tally import Dimension
from clinicmart.sample.visits import COMPLETED

if TYPE_CHECKING:
    from clinicmart.sample.truths import Truths

CHECKED_DAYS = 30


def add(truths: "Truths") -> None:
    """Adds all figures of eligibility to a tenant's tally."""
    answers = eligibility.draw_answers(truths.story)
    _answers(truths, answers)
    _visits(truths, answers)


def _answers(truths: "Truths", answers: Answers) -> None:
    tally = truths.tally
    by = [truths.month(answers.day), *truths.payers(answers.payer)]
    ones = np.ones(len(answers), np.int64)
    tally.total("eligibility_answers", ones, by)
    tally.total("eligibility_answers_rejected", answers.state == ERROR, by)
    tally.ratio("eligibility_rejected_rate", answers.state == ERROR, ones, by)
    tally.total("eligibility_answers_unmatched", answers.patient < 0, by)


def _visits(truths: "Truths", answers: Answers) -> None:
    story, tally = truths.story, truths.tally
    visits, booked = story.encounters, story.appointments
    appointment = visits.appointment
    is_asked = (booked.status[appointment] == COMPLETED) & (booked.payer[appointment] != SELF_PAY)
    is_asked &= (visits.started_day >= answers.day.min()) & (visits.started_day <= answers.day.max())
    shown = np.flatnonzero(is_asked)
    appointment = appointment[shown]
    checks = _checks(truths, answers, shown)
    by = [
        truths.month(visits.started_day[shown]),
        truths.unit(booked.clinic[appointment]),
        *truths.payers(booked.payer[appointment]),
        *truths.demographics(booked.patient[appointment], visits.started_day[shown]),
        Dimension(
            name="visit_type", codes=booked.visit_type[appointment], labels=[item.visit_type_id for item in VISIT_TYPES]
        ),
    ]
    is_new = np.array([item.is_new for item in VISIT_TYPES])[booked.visit_type[appointment]]
    by.append(truths.patient_kind(booked.patient[appointment], visits.started_day[shown], is_new))
    ones = np.ones(len(shown), np.int64)
    checked, answered = checks["is_checked"].to_numpy(), checks["has_answer"].to_numpy()
    soon = checked & (checks["days"].fill_null(CHECKED_DAYS).to_numpy() <= 3)
    tally.total("eligibility_visits", ones, by)
    tally.total("eligibility_checked_visits", checked, by)
    tally.total("eligibility_unchecked_visits", ~checked, by)
    tally.ratio("eligibility_checked_rate", checked, ones, by)
    tally.ratio("eligibility_checked_within_3_days_rate", soon, ones, by)
    inactive = checked & ~checks["is_active"].to_numpy()
    billed = np.zeros(len(visits), bool)
    billed[story.claims.encounter] = True
    other = billed[shown] & checks["is_another_active"].to_numpy() & ~checked
    tally.total("eligibility_answered_visits", answered, by)
    tally.total("eligibility_inactive_visits", inactive, by)
    tally.total("eligibility_other_payer_visits", other, by)
    tally.total("eligibility_wrong_visits", inactive | other, by)
    tally.ratio("eligibility_wrong_rate", inactive | other, answered, by)
    paid = np.zeros(len(visits), np.int64)
    posted = story.balances.payments
    np.add.at(paid, story.charges.encounter[posted.charge[posted.at_visit]], posted.amount[posted.at_visit])
    copay, second = checks["copay"].to_numpy(), checks["second_copay"].to_numpy()
    has_due = checked & checks["is_active"].to_numpy() & (copay >= 0) & (second < 0)
    due = np.where(has_due, copay, 0)
    collected = np.minimum(due, paid[shown])
    tally.total("copay_due_visits", due > 0, by)
    tally.total("copay_due_amount", due, by, in_cents=True)
    tally.total("copay_collected_amount", collected, by, in_cents=True)
    tally.ratio("copay_collection_rate", collected, due, by)
    tally.ratio("copay_collected_in_full_rate", (due > 0) & (collected == due), due > 0, by)
    left = checks["deductible_left"].to_numpy()
    is_stated = checked & (left >= 0)
    tally.total("deductible_stated_visits", is_stated, by)
    tally.ratio("deductible_left_mean", np.where(is_stated, left, 0), is_stated, by, unit=100)


def _checks(truths: "Truths", answers: Answers, shown: np.ndarray) -> pl.DataFrame:
    """One row for each visit of `shown`: what the answer that counts says, and whether another payer was found active."""
    story = truths.story
    visits, booked, people = story.encounters, story.appointments, story.people
    appointment = visits.appointment[shown]
    answered = np.flatnonzero(np.isin(answers.state, (ACTIVE, INACTIVE)) & (answers.patient >= 0))
    left = pl.DataFrame(
        {
            "visit": np.arange(len(shown)),
            "person": people.final(booked.patient[appointment]),
            "payer": booked.payer[appointment],
            "visit_day": visits.started_day[shown],
            "started": visits.started[shown],
        }
    )
    right = pl.DataFrame(
        {
            "person": people.final(answers.patient[answered]),
            "asked_payer": answers.payer[answered],
            "day": answers.day[answered],
            "moment": story.zones.to_utc(answers.day[answered] * DAY + ANSWERED_AT, 0),
            "state": answers.state[answered],
            "valid_to": answers.valid_to[answered],
            "copay": answers.copay[answered],
            "second_copay": answers.second_copay[answered],
            "deductible_left": answers.deductible_left[answered],
        }
    )
    days, same = pl.col("visit_day") - pl.col("day"), pl.col("asked_payer") == pl.col("payer")
    holds = (pl.col("valid_to") < 0) | (pl.col("valid_to") >= pl.col("visit_day"))
    pairs = left.join(right, on="person").with_columns(
        days=days, is_checked=same, is_active=(pl.col("state") == ACTIVE) & holds
    )
    pairs = pairs.filter((pl.col("days") <= CHECKED_DAYS) & (pl.col("moment") <= pl.col("started")))
    other = pairs.group_by("visit").agg(is_another_active=(~pl.col("is_checked") & pl.col("is_active")).any())
    chosen = pairs.sort("visit", "is_checked", "moment", descending=[False, True, True]).unique(
        "visit", keep="first", maintain_order=True
    )
    names = ("visit", "days", "is_checked", "is_active", "copay", "second_copay", "deductible_left")
    joined = left.select("visit").join(chosen.select(names), on="visit", how="left").join(other, on="visit", how="left")
    return joined.sort("visit").with_columns(
        pl.col("is_checked", "is_active", "is_another_active").fill_null(False),
        pl.col("copay", "second_copay", "deductible_left").fill_null(-1),
        has_answer=pl.col("days").is_not_null(),
    )
