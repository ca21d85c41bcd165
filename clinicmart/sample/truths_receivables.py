"""Truths of receivables: what every line owed at the end of a day, how old that was, and what was billed before.

A balance is computed for each day from all postings up to it; `definitions_money.py` defines each in words.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from clinicmart.sample.adjudication import SECONDARY, total_by
from clinicmart.sample.catalogue import SELF_PAY
from clinicmart.sample.charges import VOID
from clinicmart.sample.clock import as_date, day_number, months_before
from clinicmart.sample.tally import money, quotient

if TYPE_CHECKING:
    from clinicmart.sample.truths import Truths

AGED_DAYS, HOLD_DAYS = 90, 5
NEVER = np.iinfo(np.int64).max
DAILY_MONTHS = 1  # besides the month under way


@dataclass(kw_only=True)
class Book:
    """All postings of a tenant's charge lines: the line, the day and by how much (cents) the balance moved."""

    truths: "Truths"

    def __post_init__(self) -> None:
        story = self.truths.story
        lines, remits, balances = story.charges, story.remits, story.balances
        self.size = len(lines)
        self.live = np.flatnonzero(lines.kind != VOID)
        paid_day = remits.pay_day[remits.owner]
        taken = remits.amounts["paid"] + remits.amounts["co45"] + remits.amounts["co253"]
        payments, entries = balances.payments, balances.adjustments
        self.charge = np.concatenate([self.live, remits.charge, payments.charge, entries.charge])
        self.day = np.concatenate([lines.entered_day[self.live], paid_day, payments.day, entries.day])
        self.change = np.concatenate([lines.billed[self.live], -taken, -payments.amount, -entries.amount])
        self.payer = story.appointments.payer[story.encounters.appointment[lines.encounter]]
        claimed = lines.claim >= 0
        self.submitted = np.where(claimed, story.claims.submitted_day[np.maximum(lines.claim, 0)], NEVER)

    @cached_property
    def shares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(line, day, share of the patient, whether a later payer stated it) of all remittance lines."""
        remits = self.truths.story.remits
        share = remits.amounts["pr1"] + remits.amounts["pr2"] + remits.amounts["pr3"]
        return remits.charge, remits.pay_day[remits.owner], share, remits.stage[remits.owner] == SECONDARY

    def balance(self, day: int) -> np.ndarray:
        """The balance of each line at the end of a day."""
        is_posted = self.day <= day
        return total_by(self.charge[is_posted], self.change[is_posted], self.size)

    def last_activity(self, day: int) -> np.ndarray:
        """The last day on which something was posted to each line."""
        is_posted, last = self.day <= day, np.full(self.size, -1)
        np.maximum.at(last, self.charge[is_posted], self.day[is_posted])
        return last

    def patient_due(self, day: int, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(part of the balances that patients owe, since when)."""
        charge, when, share, later = self.shares
        is_due = when <= day
        first = is_due & ~later
        has_later = total_by(charge[is_due & later], np.ones(int((is_due & later).sum())), self.size) > 0
        of_first = total_by(charge[first], share[first], self.size)
        of_later = total_by(charge[is_due & later], share[is_due & later], self.size)
        payments = self.truths.story.balances.payments
        so_far = payments.day <= day
        paid = total_by(payments.charge[so_far], payments.amount[so_far], self.size)
        due = np.maximum(np.where(has_later, of_later, of_first) - paid, 0)
        moved = np.full(self.size, NEVER)
        np.minimum.at(moved, charge[is_due & (share != 0)], when[is_due & (share != 0)])
        service = self.truths.story.charges.service_day
        owed = np.where(self.payer == SELF_PAY, left, np.minimum(due, left))
        return np.where(left < 0, 0, owed), np.where(moved < NEVER, moved, service)

    def billed_between(self, first: int, last: int) -> np.ndarray:
        """The amount entered on each line from one day to another."""
        lines = self.truths.story.charges
        inside = (lines.kind != VOID) & (lines.entered_day >= first) & (lines.entered_day <= last)
        return np.where(inside, lines.billed, 0)

    def amounts(self, day: int) -> dict[str, np.ndarray]:
        """All amounts of a day by line, under the names of their metrics."""
        lines = self.truths.story.charges
        left = self.balance(day)
        insured = self.payer != SELF_PAY
        billed = self.submitted <= day
        unbilled = np.where(insured & ~billed, left, 0)
        first_bill = np.where(billed, self.submitted, lines.entered_day)

        def old(since: np.ndarray, amount: np.ndarray) -> np.ndarray:
            return np.where(day - since > AGED_DAYS, amount, 0)

        patient, since = self.patient_due(day, left)
        return {
            "receivables": left,
            "receivables_debit": np.maximum(left, 0),
            "receivables_credit": np.minimum(left, 0),
            "receivables_credit_size": -np.minimum(left, 0),
            "receivables_billed": left - unbilled,
            "receivables_from_patients": patient,
            "unbilled_amount": unbilled,
            "unbilled_amount_after_5_days": np.where(day - lines.service_day > HOLD_DAYS, unbilled, 0),
            "receivables_over_90": old(lines.service_day, left),
            "receivables_debit_over_90": old(lines.service_day, np.maximum(left, 0)),
            "receivables_over_90_by_first_bill": old(first_bill, left - unbilled),
            "receivables_over_90_by_posting": old(lines.entered_day, left),
            "receivables_over_90_by_last_activity": old(self.last_activity(day), left),
            "receivables_over_90_by_transfer": old(lines.service_day, left - patient) + old(since, patient),
        }


RATES = {
    "ar_credit_rate": ("receivables_credit_size", "receivables_debit"),
    "ar_over_90_rate_without_credits": ("receivables_debit_over_90", "receivables_debit"),
    "ar_over_90_rate_by_first_bill": ("receivables_over_90_by_first_bill", "receivables_billed"),
    "ar_over_90_rate_by_posting": ("receivables_over_90_by_posting", "receivables"),
    "ar_over_90_rate_by_last_activity": ("receivables_over_90_by_last_activity", "receivables"),
    "ar_over_90_rate_by_transfer": ("receivables_over_90_by_transfer", "receivables"),
}


def _days(book: Book, day: int, amounts: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Metric to (amount, billed, days): how many days of billing an amount comes to."""
    after = as_date(day) + timedelta(days=1)
    windows = {"": 90, "_365_days": 365}
    windows |= {f"_{months}_months": day + 1 - _months_back(after.toordinal(), months) for months in (3, 6, 12)}
    columns = {
        f"days_in_ar{name}": (amounts["receivables"], book.billed_between(day - days + 1, day), days)
        for name, days in windows.items()
    }
    billed = book.billed_between(day - 89, day)
    columns["days_in_ar_without_credits"] = (amounts["receivables_debit"], billed, 90)
    columns["unbilled_days"] = (amounts["unbilled_amount"], billed, 90)
    columns["unbilled_days_after_5_days"] = (amounts["unbilled_amount_after_5_days"], billed, 90)
    return columns


def _months_back(ordinal: int, months: int) -> int:
    """Day number of the same day some months before; the last one of a shorter month."""
    day = as_date(0) + timedelta(days=ordinal - as_date(0).toordinal())
    start = months_before(day, months)
    end = months_before(day, months - 1) - timedelta(days=1)
    return day_number(start.replace(day=min(day.day, end.day)))


def add(truths: "Truths") -> None:
    """Adds the last snapshot, by unit and payer, those of all month ends, and `by_day` those of the last two months."""
    story, tally, book = truths.story, truths.tally, Book(truths=truths)
    as_of = story.calendar.as_of
    appointment = story.encounters.appointment[story.charges.encounter]
    by = [truths.unit(story.appointments.clinic[appointment]), *truths.payers(book.payer)]
    amounts = book.amounts(as_of)
    for name, values in amounts.items():
        tally.total(name, values[book.live], [dimension.of(book.live) for dimension in by], in_cents=True)
    for name, (part, whole) in RATES.items():
        tally.ratio(name, amounts[part], amounts[whole], by)
    for name, (owed, billed, days) in _days(book, as_of, amounts).items():
        tally.ratio(name, owed * days, billed, by)
    _by_month(truths, book)
    today = as_date(as_of)
    first = day_number(months_before(today, DAILY_MONTHS))
    tally.by["day"] = {
        "receivables": {
            as_date(day).isoformat(): money(int(book.balance(day).sum())) for day in range(first, as_of + 1)
        }
    }


def _by_month(truths: "Truths", book: Book) -> None:
    """The last day of each month, or the as-of day."""
    calendar, tally = truths.story.calendar, truths.tally
    last = int(truths.month_of_day[calendar.as_of - calendar.first])
    for month in range(last + 1):
        days = np.flatnonzero(truths.month_of_day == month)
        day = min(calendar.first + int(days[-1]), calendar.as_of)
        amounts = book.amounts(day)
        figures: dict[str, str | None] = {name: money(int(values.sum())) for name, values in amounts.items()}
        for name, (part, whole) in RATES.items():
            figures[name] = quotient(int(amounts[part].sum()), int(amounts[whole].sum()))
        for name, (owed, billed, days_of) in _days(book, day, amounts).items():
            figures[name] = quotient(int(owed.sum()) * days_of, int(billed.sum()))
        for name, value in figures.items():
            if value is not None:
                tally.by.setdefault("month", {}).setdefault(name, {})[truths.months[month]] = value
