"""Truths of money: late charges, lags, clean claims, denials, underpayment, visits without a charge.

Computed from the generator's arrays like all others (`truths.py`); `definitions_money.py` states each in words. Collections
are in `truths_collections.py`, balances of days in `truths_receivables.py`.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from clinicmart.sample import truths_collections, truths_receivables, x12_acknowledgements
from clinicmart.sample.adjudication import CORRECTION, FIRST, RESUBMITTED, REVERSAL, SECONDARY, total_by
from clinicmart.sample.charges import REVERSAL as REVERSED_ENTRY
from clinicmart.sample.charges import VOID
from clinicmart.sample.clock import DAY
from clinicmart.sample.tally import quotient
from clinicmart.sample.visits import COMPLETED

if TYPE_CHECKING:
    from clinicmart.sample.truths import Truths

HOLD_DAYS = 5


def add(truths: "Truths") -> None:
    """Adds all figures of money to a tenant's tally."""
    _late_charges(truths)
    _lags(truths)
    _clean_claims(truths)
    _denials(truths)
    _remittances(truths)
    _months_before(truths)
    _contracts(truths)
    _visits(truths)
    truths_collections.add(truths)
    truths_receivables.add(truths)


def _percentile_90(truths: "Truths", name: str, values: np.ndarray) -> None:
    """Continuous: between the two values around nine tenths of the way."""
    if not len(values):
        truths.tally.totals[name] = None
        return
    ordered, place = np.sort(values), Fraction(9, 10) * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    between = int(ordered[low]) + (place - low) * (int(ordered[high]) - int(ordered[low]))
    truths.tally.totals[name] = quotient(between, 1)


def _late_charges(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    lines = story.charges
    entered = np.flatnonzero((lines.kind != VOID) & (lines.kind != REVERSED_ENTRY))
    by = truths_collections.of_charges(truths, entered, lines.service_day[entered])
    lag = lines.entered_day[entered] - lines.service_day[entered]
    late, billed = lag > HOLD_DAYS, lines.billed[entered]
    tally.total("late_charge_lines", late, by)
    tally.ratio("late_charge_rate_of_lines", late, np.ones(len(entered), np.int64), by)
    tally.total("late_charge_amount", np.where(late, billed, 0), by, in_cents=True)
    tally.ratio("late_charge_rate", np.where(late, billed, 0), billed, by)
    _percentile_90(truths, "charge_lag_days_p90", lag)


def _lags(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    claims, remits = story.claims, story.remits
    by = truths.claim_dimensions(np.arange(len(claims)))
    lag = claims.submitted_day - story.charges.entered_day[claims.first_line]
    tally.ratio("claim_lag_days", lag, np.ones(len(lag), np.int64), by)
    tally.median("claim_lag_days_median", lag)
    _percentile_90(truths, "claim_lag_days_p90", lag)
    first = np.flatnonzero(remits.stage == FIRST)
    _percentile_90(truths, "payer_lag_days_p90", remits.pay_day[first] - claims.submitted_day[remits.claim[first]])


def _marked(size: int, claim: np.ndarray) -> np.ndarray:
    """A mask of claims."""
    mask = np.zeros(size, bool)
    mask[claim] = True
    return mask


def _clean_claims(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    remits, size = story.remits, len(story.claims)
    by = truths.claim_dimensions(np.arange(size))
    answers = x12_acknowledgements.draw_answers(story)
    accepted, all_claims = answers.is_acknowledged & ~answers.is_rejected, np.ones(size, np.int64)
    tally.total("claims_accepted_first_time", accepted, by)
    tally.ratio("clean_claim_rate_accepted", accepted, answers.is_acknowledged, by)
    tally.ratio("clean_claim_rate_accepted_of_submitted", accepted, all_claims, by)
    is_first = remits.stage == FIRST
    decided = _marked(size, remits.claim[is_first])
    paid = _marked(size, remits.claim[is_first & (remits.claim_sum("paid") > 0)])
    paid &= ~_marked(size, story.submissions.claim[story.submissions.frequency == 7])
    paid &= ~_marked(size, remits.claim[remits.stage == REVERSAL])
    tally.total("first_time_paid_claims", paid, by)
    tally.ratio("clean_claim_rate_paid_first_time", paid, decided, by)
    tally.ratio("clean_claim_rate_paid_first_time_of_submitted", paid, all_claims, by)
    resolved = decided & ~_marked(size, remits.claim[is_first & (remits.claim_sum("allowed") == 0)])
    tally.ratio("first_pass_resolution_rate_of_submitted", resolved, all_claims, by)


def _denials(truths: "Truths") -> None:
    """First denials by amount, and their later outcome."""
    story, tally, remits = truths.story, truths.tally, truths.story.remits
    size, allowed = len(story.claims), truths.story.remits.claim_sum("allowed")
    first = np.flatnonzero(remits.stage == FIRST)
    claim, billed = remits.claim[first], remits.claim_sum("billed")[first]
    by = truths.claim_dimensions(claim)
    denied = allowed[first] == 0
    never = np.iinfo(np.int64).max
    sent_again, allowed_later = np.full(size, never), np.full(size, never)
    sent = story.submissions
    replaced = sent.frequency == 7
    np.minimum.at(sent_again, sent.claim[replaced], sent.day[replaced])
    later = np.isin(remits.stage, (RESUBMITTED, CORRECTION)) & (allowed > 0)
    np.minimum.at(allowed_later, remits.claim[later], remits.pay_day[later])
    resubmitted = denied & (sent_again[claim] < never)
    overturned = denied & (allowed_later[claim] < never)
    tally.total("denied_billed_amount", np.where(denied, billed, 0), by, in_cents=True)
    tally.ratio("denial_rate_by_amount", np.where(denied, billed, 0), billed, by)
    tally.ratio("denial_overturn_rate_by_amount", np.where(overturned, billed, 0), np.where(denied, billed, 0), by)
    tally.total("resubmitted_denials", resubmitted, by)
    tally.ratio("denial_resubmission_rate", resubmitted, denied, by)
    tally.ratio("denial_overturn_rate_of_resubmitted", resubmitted & overturned, resubmitted, by)
    for name, mask, end in (
        ("denial_resubmission_days", resubmitted, sent_again),
        ("denial_resolution_days", overturned, allowed_later),
    ):
        days = np.where(mask, end[claim], 0) - np.where(mask, remits.pay_day[first], 0)
        tally.ratio(name, days, mask, by)
        tally.median(f"{name}_median", days[mask])


def _remittances(truths: "Truths") -> None:
    """Decisions by the day of payment and the payer that decides."""
    story, tally, remits = truths.story, truths.tally, truths.story.remits
    clinic = story.appointments.clinic[story.encounters.appointment[story.claims.encounter[remits.claim]]]
    by = [truths.month(remits.pay_day), truths.unit(clinic), *truths.payers(remits.payer)]
    primary = np.isin(remits.stage, (FIRST, RESUBMITTED, CORRECTION))
    decides = remits.stage != REVERSAL
    unpaid, denied = primary & (remits.claim_sum("paid") == 0), primary & (remits.claim_sum("allowed") == 0)
    tally.total("zero_paid_decisions", unpaid, by)
    tally.ratio("denial_primary_rate", unpaid, primary, by)
    tally.ratio("denial_remit_rate", denied, decides, by)
    by = [truths.month(story.claims.service_day[remits.claim]), *by[1:]]
    tally.total("sequestration_amount", remits.claim_sum("co253"), by, in_cents=True)


def _months_before(truths: "Truths") -> None:
    """Denials of each month over the amount submitted in the three months before it, as HFMA divides."""
    story, tally, remits = truths.story, truths.tally, truths.story.remits
    months = int(truths.month_of_day[story.calendar.as_of - story.calendar.first]) + 1
    submitted = truths.month_of_day[story.claims.submitted_day - story.calendar.first]
    begin = int(submitted.min())
    first = np.flatnonzero(remits.stage == FIRST)
    decided = truths.month_of_day[remits.pay_day[first] - story.calendar.first]
    denied = remits.claim_sum("allowed")[first] == 0
    for name, above, below in (
        ("denial_rate_hfma", np.ones(len(first)), np.ones(len(submitted))),
        ("denial_rate_hfma_by_amount", remits.claim_sum("billed")[first], story.claims.billed),
    ):
        numerator = total_by(decided, np.where(denied, above, 0), months)
        sent = total_by(submitted, below, months)
        base = [
            Fraction(int(sent[max(month - 3, 0) : month].sum()), min(3, month - begin))
            if month > begin
            else Fraction(0)
            for month in range(months)
        ]
        tally.totals[name] = quotient(int(numerator.sum()), sum(base, Fraction(0)))
        tally.by["month"][name] = {
            truths.months[month]: quotient(int(numerator[month]), base[month]) for month in range(months) if base[month]
        }


def _contracts(truths: "Truths") -> None:
    """Lines by their latest primary decision, against the contract."""
    story, tally, remits = truths.story, truths.tally, truths.story.remits
    lines = story.charges
    primary = np.flatnonzero(remits.stage[remits.owner] != SECONDARY)
    latest = np.full(len(lines), -1)
    latest[remits.charge[primary]] = primary
    charge = np.flatnonzero(latest >= 0)
    charge = charge[remits.allowed[latest[charge]] > 0]
    allowed = remits.allowed[latest[charge]]
    payer = remits.payer[remits.owner[latest[charge]]]
    expected = story.group.rates[payer, lines.code[charge]] * lines.units[charge]
    missing = np.where(expected - allowed > 1, expected - allowed, 0)
    by = truths_collections.of_charges(truths, charge, lines.service_day[charge])
    ones = np.ones(len(charge), np.int64)
    tally.total("underpaid_lines", missing > 0, by)
    tally.ratio("contract_coverage_rate", expected > 0, ones, by)
    tally.ratio("underpayment_rate", missing > 0, expected > 0, by)
    tally.total("contracted_amount", expected, by, in_cents=True)
    tally.ratio("underpaid_amount_rate", missing, expected, by)
    tally.ratio("yield_per_unit", allowed, lines.units[charge], by, unit=100)


def _visits(truths: "Truths") -> None:
    """Visits that are over and were never charged; how long notes stayed open."""
    story, tally = truths.story, truths.tally
    visits, booked = story.encounters, story.appointments
    appointment = visits.appointment
    by = [
        truths.month(visits.started_day),
        truths.unit(booked.clinic[appointment]),
        *truths.payers(booked.payer[appointment]),
    ]
    due = (booked.status[appointment] == COMPLETED) & (visits.started_day < story.calendar.as_of - HOLD_DAYS)
    charged = np.zeros(len(visits), bool)
    charged[story.charges.encounter[story.charges.kind != VOID]] = True
    tally.total("unbilled_visits", due & ~charged, by)
    tally.ratio("unbilled_visit_rate", due & ~charged, due, by)
    signed = np.flatnonzero((visits.signed >= 0) & (visits.signed < (story.calendar.as_of + 1) * DAY))
    days = story.zones.local_day(visits.signed[signed], booked.zone[appointment[signed]]) - visits.started_day[signed]
    tally.ratio("note_close_lag_days", days, np.ones(len(days), np.int64), [dimension.of(signed) for dimension in by])
    tally.median("note_close_lag_days_median", days)
    _percentile_90(truths, "note_close_lag_days_p90", days)
