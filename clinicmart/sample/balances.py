"""Payments of patients and write-offs of the practice, until the balance of each line is that of the truths. For every charge line:
billed = payer_paid + patient_paid + adjusted + open. All in cents."""

from dataclasses import dataclass

import numpy as np

from clinicmart.sample.adjudication import DENIAL_CODES, SECONDARY, Remittances, total_by
from clinicmart.sample.catalogue import PAYERS, SELF_PAY
from clinicmart.sample.charges import NORMAL, Charges
from clinicmart.sample.clock import Calendar
from clinicmart.sample.visits import Appointments, Encounters

METHODS = ("card", "cash", "check", "portal")
TYPES = ("charity", "bad_debt", "timely_filing", "no_authorization", "denial", "small_balance", "administrative")
CHARITY, BAD_DEBT, TIMELY_FILING, NO_AUTHORIZATION, DENIAL, SMALL_BALANCE, ADMINISTRATIVE = range(len(TYPES))
REASONS = ("CHAR", "BADDEBT", "TIMELY", "NOAUTH", "DENIED", "SMALLBAL", "SELFPAY")
SMALL = 1000


@dataclass(kw_only=True)
class Postings:
    """Patient payments or adjustments, one element each: `charge` (index of the line), `amount`, `day`, `kind`.

    `kind` indexes METHODS (with `at_visit`) for payments and TYPES for adjustments.
    """

    charge: np.ndarray
    amount: np.ndarray
    day: np.ndarray
    kind: np.ndarray
    at_visit: np.ndarray

    def __len__(self) -> int:
        return len(self.charge)


@dataclass(kw_only=True)
class Balances:
    """One element per charge line, in cents, and the postings behind them. `contractual` is CO-45 + CO-253."""

    payer_paid: np.ndarray
    contractual: np.ndarray
    patient_paid: np.ndarray
    written_off: np.ndarray
    payments: Postings
    adjustments: Postings

    @property
    def adjusted(self) -> np.ndarray:
        return self.contractual + self.written_off


class _Book:
    """Collects postings up to the as-of day."""

    def __init__(self, as_of: int) -> None:
        self.as_of = as_of
        self.parts: list[tuple[np.ndarray, ...]] = []

    def post(
        self, charge: np.ndarray, amount: np.ndarray, day: np.ndarray, kind: np.ndarray | int, at_visit: bool = False
    ) -> None:
        kept = (amount != 0) & (day <= self.as_of)
        kinds = np.broadcast_to(np.asarray(kind), amount.shape)
        self.parts.append((charge[kept], amount[kept], day[kept], kinds[kept], np.full(kept.sum(), at_visit)))

    def close(self) -> Postings:
        charge, amount, day, kind, at_visit = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        order = np.lexsort((amount, charge, day))
        return Postings(
            charge=charge[order], amount=amount[order], day=day[order], kind=kind[order], at_visit=at_visit[order]
        )


def settle(
    rng: np.random.Generator,
    charges: Charges,
    remits: Remittances,
    booked: Appointments,
    visits: Encounters,
    calendar: Calendar,
) -> Balances:
    """Payments and write-offs of all lines, and the balances they leave."""
    size = len(charges)
    amounts = remits.amounts
    stage = remits.stage[remits.owner]
    share = np.where(stage == SECONDARY, -amounts["paid"], amounts["pr1"] + amounts["pr2"] + amounts["pr3"])
    due = total_by(remits.charge, share, size)
    allowed = total_by(remits.charge, remits.allowed, size)
    last_day = np.full(size, -1)
    np.maximum.at(last_day, remits.charge, remits.pay_day[remits.owner])
    payments, adjustments = _Book(calendar.as_of), _Book(calendar.as_of)
    payer = booked.payer[visits.appointment[charges.encounter]]
    at_visit = _copays(rng, charges, payer, payments)
    _patient_shares(rng, charges, due, allowed, at_visit, last_day, payments, adjustments)
    _denials(rng, charges, remits, allowed, at_visit, last_day, adjustments)
    _self_pay(rng, charges, payer, payments, adjustments)
    paid, written_off = payments.close(), adjustments.close()
    return Balances(
        payer_paid=total_by(remits.charge, amounts["paid"], size),
        contractual=total_by(remits.charge, amounts["co45"] + amounts["co253"], size),
        patient_paid=total_by(paid.charge, paid.amount, size),
        written_off=total_by(written_off.charge, written_off.amount, size),
        payments=paid,
        adjustments=written_off,
    )


def _copays(rng: np.random.Generator, charges: Charges, payer: np.ndarray, payments: _Book) -> np.ndarray:
    """Seven of ten copays are paid at the visit. Returns the paid amount for each line, in cents."""
    copay = np.array([item.copay for item in PAYERS])[payer]
    taken = (charges.kind == NORMAL) & (charges.line == 1) & (rng.random(len(charges)) < 0.7)
    amount = np.where(taken, copay, 0)
    method = rng.integers(0, 3, len(charges))
    payments.post(np.arange(len(charges)), amount, charges.service_day, method, at_visit=True)
    return amount


def _patient_shares(
    rng: np.random.Generator,
    charges: Charges,
    due: np.ndarray,
    allowed: np.ndarray,
    at_visit: np.ndarray,
    last_day: np.ndarray,
    payments: _Book,
    adjustments: _Book,
) -> None:
    """After the payers: most patients pay, and about half of the balances are paid. Rests are written off as small balance, bad debt
    or charity."""
    size = len(charges)
    decided = last_day >= 0
    open_share = np.where(decided, np.maximum(due - at_visit, 0), 0)
    lines = np.arange(size)
    # One habit per visit, not per line.
    habit = rng.random(int(charges.encounter.max()) + 1 if size else 1)[charges.encounter]
    small = (open_share > 0) & (open_share < SMALL) & (habit >= 0.3)
    adjustments.post(lines, np.where(small, open_share, 0), last_day + 30, SMALL_BALANCE)
    remainder = np.where(small, 0, open_share)
    pay_day = last_day + rng.integers(10, 61, size)
    paid = np.where(habit < 0.72, remainder, np.where(habit < 0.82, remainder // 2, 0))
    payments.post(lines, paid, pay_day, np.where(habit < 0.3, 3, rng.integers(0, 4, size)))
    remainder = remainder - paid
    written_off = np.where(rng.random(size) < 0.8, remainder, 0)
    adjustments.post(lines, written_off, last_day + 125, np.where(habit > 0.93, CHARITY, BAD_DEBT))
    credit = np.where(decided & (allowed > 0) & (rng.random(size) < 0.8), np.minimum(due - at_visit, 0), 0)
    payments.post(lines, credit, last_day + 20, 2)


def _denials(
    rng: np.random.Generator,
    charges: Charges,
    remits: Remittances,
    allowed: np.ndarray,
    at_visit: np.ndarray,
    last_day: np.ndarray,
    adjustments: _Book,
) -> None:
    """Three in four of the final denials are written off after a while."""
    size = len(charges)
    reason = np.full(size, -1)
    reason[remits.charge] = remits.denial  # in order of stage: the latest stays
    denied = total_by(remits.charge, remits.amounts["denied"], size)
    paid = total_by(remits.charge, remits.amounts["paid"], size)
    lost = (allowed == 0) & (denied > 0) & (paid == 0) & (rng.random(size) < 0.75)
    kinds = {"29": TIMELY_FILING, "197": NO_AUTHORIZATION}
    kind = np.array([kinds.get(code, DENIAL) for code in DENIAL_CODES])[reason]
    amount = np.where(lost & (reason >= 0), charges.billed - at_visit, 0)
    adjustments.post(np.arange(size), amount, last_day + rng.integers(45, 91, size), kind)


def _self_pay(
    rng: np.random.Generator, charges: Charges, payer: np.ndarray, payments: _Book, adjustments: _Book
) -> None:
    """Prompt payers get a discount of a fifth. Others pay half later, are forgiven, or end as bad debt."""
    size = len(charges)
    mine = (payer == SELF_PAY) & (charges.kind == NORMAL)
    habit = rng.random(int(charges.encounter.max()) + 1 if size else 1)[charges.encounter]
    billed = np.where(mine, charges.billed, 0)
    lines = np.arange(size)
    prompt, half = np.where(habit < 0.5, billed, 0), np.where((habit >= 0.5) & (habit < 0.75), billed // 2, 0)
    discount = prompt // 5
    payments.post(lines, prompt - discount, charges.entered_day, rng.integers(0, 2, size), at_visit=True)
    adjustments.post(lines, discount, charges.entered_day, ADMINISTRATIVE)
    payments.post(lines, half, charges.entered_day + rng.integers(15, 70, size), rng.integers(0, 4, size))
    adjustments.post(lines, np.where(half > 0, billed - half, 0), charges.entered_day + 150, BAD_DEBT)
    adjustments.post(lines, np.where((habit >= 0.75) & (habit < 0.9), billed, 0), charges.entered_day + 40, CHARITY)
