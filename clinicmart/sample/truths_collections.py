"""Truths of what was billed, taken off and collected: by day of service, by the day it was posted, and by the ledger.

Computed from the generator's arrays like all others (`truths.py`); `definitions_money.py` states each in words.
"""

from typing import TYPE_CHECKING

import numpy as np

from clinicmart.sample import work_rvus
from clinicmart.sample.adjudication import total_by
from clinicmart.sample.balances import (
    ADMINISTRATIVE,
    BAD_DEBT,
    CHARITY,
    DENIAL,
    NO_AUTHORIZATION,
    SMALL_BALANCE,
    TIMELY_FILING,
)
from clinicmart.sample.charges import REVERSAL as REVERSED_ENTRY
from clinicmart.sample.charges import VOID
from clinicmart.sample.tally import Dimension, quotient

if TYPE_CHECKING:
    from clinicmart.sample.truths import Truths

AT_VISIT_DAYS = 7
COST_PERCENT = 4
FOR_DENIALS = (TIMELY_FILING, NO_AUTHORIZATION, DENIAL)
CONTROLLABLE = (*FOR_DENIALS, SMALL_BALANCE, ADMINISTRATIVE)


def add(truths: "Truths") -> None:
    """Adds all figures of collections to a tenant's tally."""
    _write_offs(truths)
    _postings(truths)
    _patient_payments(truths)
    _ledger(truths)


def of_charges(truths: "Truths", charge: np.ndarray, day: np.ndarray) -> list[Dimension]:
    """Month of a day, unit and payer of charge lines."""
    story = truths.story
    appointment = story.encounters.appointment[story.charges.encounter[charge]]
    booked = story.appointments
    return [truths.month(day), truths.unit(booked.clinic[appointment]), *truths.payers(booked.payer[appointment])]


def _write_offs(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    lines, entries = story.charges, story.balances.adjustments
    live = np.flatnonzero(lines.kind != VOID)
    by = of_charges(truths, live, lines.service_day[live])
    net = (lines.billed - story.balances.contractual)[live]
    billed = lines.billed[live]

    def written_off(*kinds: int) -> np.ndarray:
        mine = np.isin(entries.kind, kinds)
        return total_by(entries.charge[mine], entries.amount[mine], len(lines))[live]

    given_up = {
        "controllable_written_off_amount": written_off(*CONTROLLABLE),
        "denial_written_off_amount": written_off(*FOR_DENIALS),
        "bad_debt_amount": written_off(BAD_DEBT),
        "charity_amount": written_off(CHARITY),
    }
    for name, amount in given_up.items():
        tally.total(name, amount, by, in_cents=True)
    tally.ratio("writeoff_controllable_rate", given_up["controllable_written_off_amount"], net, by)
    tally.ratio("denial_writeoff_rate", given_up["denial_written_off_amount"], net, by)
    tally.ratio("bad_debt_rate", given_up["bad_debt_amount"], billed, by)
    tally.ratio("bad_debt_rate_of_net", given_up["bad_debt_amount"], net, by)
    tally.ratio("charity_rate", given_up["charity_amount"], billed, by)
    tally.ratio("adjustment_rate_gross", story.balances.adjusted[live], billed, by)
    value = work_rvus.of_lines(story, live)
    sign = np.where(lines.kind[live] == REVERSED_ENTRY, -1, 1)
    # Cents over hundredths of a unit.
    work = np.where(value < 0, 0, value * lines.units[live] * sign)
    tally.ratio("payment_per_work_rvu", (story.balances.payer_paid + story.balances.patient_paid)[live], work, by)
    for dimension in by[2:]:
        sums = np.bincount(dimension.codes, weights=net, minlength=len(dimension.labels))
        present = np.bincount(dimension.codes, minlength=len(dimension.labels)) > 0
        shares = {
            dimension.labels[i]: quotient(round(sums[i]), int(net.sum())) for i in np.flatnonzero(present).tolist()
        }
        tally.by.setdefault(dimension.name, {})["payer_mix_net_billed"] = shares


def _postings(truths: "Truths") -> None:
    """Everything by the day it was posted: charges, what payers and the practice took off, what came in."""
    story, tally = truths.story, truths.tally
    lines, remits = story.charges, story.remits
    live = np.flatnonzero(lines.kind != VOID)
    paid_day = remits.pay_day[remits.owner]
    payments, entries = story.balances.payments, story.balances.adjustments
    charge = np.concatenate([live, remits.charge, payments.charge, entries.charge])
    day = np.concatenate([lines.entered_day[live], paid_day, payments.day, entries.day])
    parts = (len(live), len(remits.charge), len(payments), len(entries))
    contractual = remits.amounts["co45"] + remits.amounts["co253"]

    def only(place: int, amount: np.ndarray) -> np.ndarray:
        return np.concatenate([amount if place == i else np.zeros(size, np.int64) for i, size in enumerate(parts)])

    billed, taken_off = only(0, lines.billed[live]), only(1, contractual)
    received = only(1, remits.amounts["paid"]) + only(2, payments.amount)
    by = of_charges(truths, charge, day)
    tally.total("billed_amount_by_posting", billed, by, in_cents=True)
    tally.total("contractual_amount_by_posting", taken_off, by, in_cents=True)
    tally.total("net_billed_amount_by_posting", billed - taken_off, by, in_cents=True)
    tally.total("written_off_amount_by_posting", only(3, entries.amount), by, in_cents=True)
    tally.ratio("gross_collection_rate_by_posting", received, billed, by)
    tally.ratio("net_collection_rate_by_posting", received, billed - taken_off, by)


def _patient_payments(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    paid = story.balances.payments
    by = of_charges(truths, paid.charge, paid.day)
    soon = paid.day - story.charges.service_day[paid.charge] <= AT_VISIT_DAYS
    at_visit, early = np.where(paid.at_visit, paid.amount, 0), np.where(soon, paid.amount, 0)
    tally.total("point_of_service_amount", at_visit, by, in_cents=True)
    tally.ratio("pos_collection_rate", at_visit, paid.amount, by)
    tally.total("patient_paid_within_7_days_amount", early, by, in_cents=True)
    tally.ratio("pos_collection_rate_within_7_days", early, paid.amount, by)


def _ledger(truths: "Truths") -> None:
    """Net revenue and the cost of the billing office of the months that are over, against what came in."""
    story, tally = truths.story, truths.tally
    lines, remits, payments = story.charges, story.remits, story.balances.payments
    first, as_of = story.calendar.first, story.calendar.as_of
    months = int(truths.month_of_day[as_of - first]) + 1
    is_over = int(truths.month_of_day[as_of + 1 - first]) == months
    net = np.where(lines.kind == VOID, 0, lines.billed) - story.balances.contractual
    revenue = total_by(truths.month_of_day[lines.service_day - first], net, months)
    paid_month = truths.month_of_day[remits.pay_day[remits.owner] - first]
    received = total_by(paid_month, remits.amounts["paid"], months)
    received += total_by(truths.month_of_day[payments.day - first], payments.amount, months)
    booked = np.arange(months) < (months if is_over else months - 1)
    revenue = np.where(booked, revenue, 0)
    cost = revenue * COST_PERCENT // 100
    by = [Dimension(name="month", codes=np.arange(months), labels=truths.months)]
    tally.total("net_patient_service_revenue", revenue, by, in_cents=True)
    tally.total("billing_cost_amount", cost, by, in_cents=True)
    tally.ratio("cash_collection_rate", received, revenue, by)
    tally.ratio("cost_to_collect", cost, received, by)
