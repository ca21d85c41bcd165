"""What the payers answer: first decisions, resubmissions, secondary payers, reversals with their corrections.

Every line balances as it is made: billed = paid + the adjustments. A reversal is its claim payment with every sign turned.
"""

from dataclasses import dataclass, replace

import numpy as np

from clinicmart.sample.catalogue import MEDICARE, ORTHOPEDICS, PAYERS
from clinicmart.sample.charges import Charges, Claims
from clinicmart.sample.clock import Calendar, as_date, day_number, months_before
from clinicmart.sample.structure import Group

FIRST, RESUBMITTED, SECONDARY, REVERSAL, CORRECTION = range(5)
DENIAL_CODES = ("16", "197", "29", "50", "109")
DENIAL_SHARES = np.array([0.36, 0.2, 0.12, 0.22, 0.1])
PRIOR_AUTHORIZATION, NOT_NECESSARY = 1, 3
REMARKS = ("N382", "M62", "", "N115", "N104")
JUMP_DAYS, JUMP_DENIAL = 120, 0.4
TAKEBACK_MONTHS_AGO = 2
# Cents of a remittance line: billed = paid + the seven others. `allowed` is not part of the sum.
AMOUNTS = ("billed", "paid", "co45", "co253", "pr1", "pr2", "pr3", "oa23", "denied")


@dataclass(kw_only=True)
class Remittances:
    """Claim payments (one element per CLP) and their lines, in order of stage and claim.

    Claim level: `claim` index, `stage`, `payer`, `pay_day`, `status` (CLP02), `submission` number it answers.
    Line level: `owner` (claim payment), `charge` (index of the charge line), AMOUNTS, `allowed`, `denial` (DENIAL_CODES, -1).
    """

    claim: np.ndarray
    stage: np.ndarray
    payer: np.ndarray
    pay_day: np.ndarray
    status: np.ndarray
    submission: np.ndarray
    owner: np.ndarray
    charge: np.ndarray
    amounts: dict[str, np.ndarray]
    allowed: np.ndarray
    denial: np.ndarray

    def __len__(self) -> int:
        return len(self.claim)

    def claim_sum(self, name: str) -> np.ndarray:
        """An amount (or `allowed`) summed to claim payments, cents."""
        values = self.allowed if name == "allowed" else self.amounts[name]
        return total_by(self.owner, values, len(self))

    def only(self, kept: np.ndarray) -> "Remittances":
        """The claim payments of a mask."""
        place = np.cumsum(kept) - 1
        lines = kept[self.owner]
        return Remittances(
            **{name: getattr(self, name)[kept] for name in CLAIM_LEVEL},
            owner=place[self.owner[lines]],
            charge=self.charge[lines],
            amounts={name: values[lines] for name, values in self.amounts.items()},
            allowed=self.allowed[lines],
            denial=self.denial[lines],
        )


CLAIM_LEVEL = ("claim", "stage", "payer", "pay_day", "status", "submission")


@dataclass(kw_only=True)
class Submissions:
    """One element per submission, in order of claim and number. `frequency` 1 or 7; `answers` the submission replaced, 0 for none."""

    claim: np.ndarray
    number: np.ndarray
    payer: np.ndarray
    is_secondary: np.ndarray
    frequency: np.ndarray
    day: np.ndarray

    def __len__(self) -> int:
        return len(self.claim)


def total_by(owner: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Whole-number sums by owner; exact, for cents stay far below 2**53."""
    return np.rint(np.bincount(owner, weights=values, minlength=size)).astype(np.int64)


def spread(first: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Owner and charge-line index for claims that hold `lines` lines from `first` on."""
    owner = np.repeat(np.arange(len(first)), lines)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(lines) - lines, lines)
    return owner, first[owner] + offset


@dataclass(kw_only=True)
class Adjudicator:
    """Draws the answers of all payers of one tenant."""

    rng: np.random.Generator
    group: Group
    charges: Charges
    claims: Claims
    line_of_claim: np.ndarray
    calendar: Calendar

    def run(self) -> tuple[Remittances, Submissions]:
        """All claim payments up to the as-of day, and all submissions."""
        first = self.first_decisions()
        again, sent_again = self.resubmissions(first)
        paid = joined([self.paid(first), self.paid(again)])
        secondary, sent_secondary = self.secondary_payers(paid, sent_again)
        reversed_, corrected = self.reversals(self.paid(first), secondary)
        claims = self.claims
        size = len(claims)
        original = Submissions(
            claim=np.arange(size),
            number=np.ones(size, np.int64),
            payer=claims.payer,
            is_secondary=np.zeros(size, bool),
            frequency=np.ones(size, np.int64),
            day=claims.submitted_day,
        )
        parts = [original, sent_again, sent_secondary]
        names = ("claim", "number", "payer", "is_secondary", "frequency", "day")
        merged = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        order = np.lexsort((merged["number"], merged["claim"]))
        submissions = Submissions(**{name: values[order] for name, values in merged.items()})
        return joined([first, again, secondary, reversed_, corrected]), submissions

    def pay_days(self, payer: np.ndarray, sent: np.ndarray) -> np.ndarray:
        """The payer's next payment day after a log-normal lag."""
        median = np.array([item.lag for item in PAYERS])[payer]
        lag = np.maximum(np.rint(median * np.exp(self.rng.normal(0, 0.3, len(payer)))), 3).astype(np.int64)
        return self.on_payment_day(payer, sent + lag)

    def on_payment_day(self, payer: np.ndarray, day: np.ndarray) -> np.ndarray:
        weekday = np.array([item.weekday for item in PAYERS])[payer]
        return day + (weekday - (day + 3)) % 7

    def decide(
        self, claim: np.ndarray, denied: np.ndarray, denial: np.ndarray, factor: np.ndarray | None = None
    ) -> dict[str, np.ndarray | dict[str, np.ndarray]]:
        """Primary lines of claims: `denied` claims lose every line to `denial`, others pay by contract, times `factor`."""
        owner, charge = spread(self.claims.first_line[claim], self.claims.lines[claim])
        payer = self.claims.payer[claim][owner]
        billed, units = self.charges.billed[charge], self.charges.units[charge]
        share = np.where(self.rng.random(len(charge)) < 0.025, 0.9, 1.0)
        share = share if factor is None else share * factor[owner]
        contract = self.group.rates[payer, self.charges.code[charge]] * units
        allowed = np.minimum(np.rint(contract * share), billed).astype(np.int64)
        line_denied = (self.charges.line[charge] > 1) & (self.rng.random(len(charge)) < 0.03)
        refused = denied[owner] | line_denied
        allowed = np.where(refused, 0, allowed)
        copay = np.array([item.copay for item in PAYERS])[payer]
        pr3 = np.where(self.charges.line[charge] == 1, np.minimum(copay, allowed), 0)
        unmet = self.rng.random(len(claim)) < np.array([item.deductible for item in PAYERS])[self.claims.payer[claim]]
        pr1 = np.where(unmet[owner], allowed - pr3, 0)
        percent = np.rint(np.array([item.coinsurance for item in PAYERS]) * 100).astype(np.int64)[payer]
        pr2 = ((allowed - pr3 - pr1) * percent + 50) // 100
        net = allowed - pr1 - pr2 - pr3
        co253 = np.where(payer == MEDICARE, (net * 2 + 50) // 100, 0)
        amounts = {
            "billed": billed,
            "paid": net - co253,
            "co45": np.where(refused, 0, billed - allowed),
            "co253": co253,
            "pr1": pr1,
            "pr2": pr2,
            "pr3": pr3,
            "oa23": np.zeros_like(billed),
            "denied": np.where(refused, billed, 0),
        }
        reason = np.where(denied[owner], denial[owner], np.where(line_denied, NOT_NECESSARY, -1))
        return {"owner": owner, "charge": charge, "amounts": amounts, "allowed": allowed, "denial": reason}

    def first_decisions(self) -> Remittances:
        """The answer to each first submission, where it has come."""
        claims, rng = self.claims, self.rng
        size = len(claims)
        pay_day = self.pay_days(claims.payer, claims.submitted_day)
        chance = np.array([item.denial for item in PAYERS])[claims.payer]
        jump = (claims.payer == self.group.denial_payer) & (self.line_of_claim == ORTHOPEDICS)
        jump &= claims.service_day > self.calendar.as_of - JUMP_DAYS
        denied = rng.random(size) < np.where(jump, JUMP_DENIAL, chance)
        denial = rng.choice(len(DENIAL_CODES), size, p=DENIAL_SHARES)
        denial = np.where(jump & (rng.random(size) < 0.9), PRIOR_AUTHORIZATION, denial)
        status = np.where(denied & (rng.random(size) < 0.8), 4, 1)
        remittances = Remittances(
            claim=np.arange(size),
            stage=np.full(size, FIRST),
            payer=claims.payer,
            pay_day=pay_day,
            status=status,
            submission=np.ones(size, np.int64),
            **self.decide(np.arange(size), denied, denial),  # type: ignore[arg-type]
        )
        return remittances.only(pay_day <= self.calendar.as_of)

    def paid(self, decided: Remittances) -> Remittances:
        """Those whose claim was allowed something."""
        return decided.only(decided.claim_sum("allowed") > 0)

    def resubmissions(self, first: Remittances) -> tuple[Remittances, Submissions]:
        """Most denied claims are sent again as replacements; three quarters of those are overturned."""
        rng = self.rng
        denied = first.only(first.claim_sum("allowed") == 0)
        day = self.calendar.open_day(np.minimum(denied.pay_day + rng.integers(7, 29, len(denied)), self.calendar.last))
        again = denied.only((rng.random(len(denied)) < 0.72) & (day <= self.calendar.as_of))
        day = day[np.isin(denied.claim, again.claim)]
        size = len(again)
        sent = self.submissions(again.claim, np.full(size, 2), again.payer, False, 7, day)
        refused = rng.random(size) >= 0.75
        reason = again.denial[np.unique(again.owner, return_index=True)[1]]
        pay_day = self.pay_days(again.payer, day)
        answer = Remittances(
            claim=again.claim,
            stage=np.full(size, RESUBMITTED),
            payer=again.payer,
            pay_day=pay_day,
            status=np.where(refused, 4, 1),
            submission=np.full(size, 2),
            **self.decide(again.claim, refused, reason),  # type: ignore[arg-type]
        )
        return answer.only(pay_day <= self.calendar.as_of), sent

    def submissions(
        self, claim: np.ndarray, number: np.ndarray, payer: np.ndarray, secondary: bool, frequency: int, day: np.ndarray
    ) -> Submissions:
        size = len(claim)
        return Submissions(
            claim=claim,
            number=number,
            payer=payer,
            is_secondary=np.full(size, secondary),
            frequency=np.full(size, frequency),
            day=day,
        )

    def secondary_payers(self, paid: Remittances, sent_again: Submissions) -> tuple[Remittances, Submissions]:
        """The part that Medicare leaves to the patient goes to the second payer, if there is one."""
        share = paid.claim_sum("pr1") + paid.claim_sum("pr2") + paid.claim_sum("pr3")
        other = self.claims.secondary[paid.claim]
        paid = paid.only((other >= 0) & (share > 0))
        raw_day = np.minimum(paid.pay_day + self.rng.integers(2, 6, len(paid)), self.calendar.last)
        day = self.calendar.open_day(raw_day)
        now = day <= self.calendar.as_of
        paid, day = paid.only(now), day[now]
        other = self.claims.secondary[paid.claim]
        number = 2 + np.isin(paid.claim, sent_again.claim).astype(np.int64)
        sent = self.submissions(paid.claim, number, other, True, 1, day)
        pay_day = self.pay_days(other, day)
        patient = paid.amounts["pr1"] + paid.amounts["pr2"] + paid.amounts["pr3"]
        is_medicaid = np.array([item.payer_class == "medicaid" for item in PAYERS])[other]
        remaining = np.where(is_medicaid[paid.owner], 0, patient // 10)
        nothing = np.zeros_like(patient)
        amounts = dict.fromkeys(AMOUNTS, nothing) | {
            "billed": paid.amounts["billed"],
            "paid": patient - remaining,
            "pr2": remaining,
            "oa23": paid.amounts["billed"] - patient,
        }
        answer = replace(
            paid,
            stage=np.full(len(paid), SECONDARY),
            payer=other,
            pay_day=pay_day,
            status=np.full(len(paid), 2),
            submission=number,
            amounts=amounts,
            allowed=nothing,
            denial=np.full(len(patient), -1),
        )
        return answer.only(pay_day <= self.calendar.as_of), sent

    def reversals(self, paid: Remittances, secondary: Remittances) -> tuple[Remittances, Remittances]:
        """Some first payments are reversed and corrected; in one month one payer takes many back altogether."""
        rng, calendar = self.rng, self.calendar
        alone = (self.claims.secondary[paid.claim] < 0) & (paid.claim_sum("paid") > 0)
        alone &= ~np.isin(paid.claim, secondary.claim)
        size = len(paid)
        first, last = takeback_month(calendar)
        taken = (paid.payer == self.group.takeback_payer) & (paid.pay_day < first - 20) & (paid.pay_day > first - 260)
        taken &= rng.random(size) < 0.04
        plain = rng.random(size) < 0.012
        day = np.where(taken, rng.integers(first, last - 7, size), paid.pay_day + rng.integers(30, 121, size))
        day = self.on_payment_day(paid.payer, day)
        kept = alone & (taken | plain) & (day <= calendar.as_of)
        paid, day, taken = paid.only(kept), day[kept], taken[kept]
        size = len(paid)
        reversal = replace(
            paid,
            stage=np.full(size, REVERSAL),
            pay_day=day,
            status=np.full(size, 22),
            amounts={name: -values for name, values in paid.amounts.items()},
            allowed=-paid.allowed,
        )
        factor = np.where(rng.random(size) < 0.7, 0.9, 1.05)
        correction = Remittances(
            claim=paid.claim,
            stage=np.full(size, CORRECTION),
            payer=paid.payer,
            pay_day=day,
            status=np.where(taken, 4, 1),
            submission=paid.submission,
            **self.decide(paid.claim, taken, np.full(size, NOT_NECESSARY), factor),  # type: ignore[arg-type]
        )
        return reversal, correction


def takeback_month(calendar: Calendar) -> tuple[int, int]:
    """First day of the month of takebacks and of the month after."""
    today = as_date(calendar.as_of)
    return (
        day_number(months_before(today, TAKEBACK_MONTHS_AGO)),
        day_number(months_before(today, TAKEBACK_MONTHS_AGO - 1)),
    )


def joined(parts: list[Remittances]) -> Remittances:
    """Several sets of claim payments after each other."""
    shift = np.cumsum([0, *(len(part) for part in parts)])
    return Remittances(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in CLAIM_LEVEL},
        owner=np.concatenate([part.owner + shift[index] for index, part in enumerate(parts)]),
        charge=np.concatenate([part.charge for part in parts]),
        amounts={name: np.concatenate([part.amounts[name] for part in parts]) for name in AMOUNTS},
        allowed=np.concatenate([part.allowed for part in parts]),
        denial=np.concatenate([part.denial for part in parts]),
    )
