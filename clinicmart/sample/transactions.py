"""Payments: the claim payments of one payer and payment day, and what is taken or added beside them (PLB).

BPR02 = sum of CLP04 - sum of PLB, never negative: where the claims come out below nothing, the rest is carried forward (FB)
to the payer's next payment.
"""

from dataclasses import dataclass

import numpy as np

from clinicmart.sample.adjudication import Remittances, takeback_month, total_by
from clinicmart.sample.clock import Calendar
from clinicmart.sample.structure import Group


@dataclass(frozen=True, kw_only=True)
class ProviderAdjustment:
    """One pair of a PLB: reason, reference and cents as sent (positive takes)."""

    reason: str
    reference: str
    amount: int


@dataclass(kw_only=True)
class Transactions:
    """One element per 835 transaction in order of day and payer; `of_claim_payment` names the transaction of each CLP."""

    payer: np.ndarray
    day: np.ndarray
    paid: np.ndarray
    provider_adjustments: list[list[ProviderAdjustment]]
    of_claim_payment: np.ndarray

    def __len__(self) -> int:
        return len(self.payer)

    @property
    def amounts(self) -> np.ndarray:
        """BPR02 in cents."""
        taken = [sum(item.amount for item in items) for items in self.provider_adjustments]
        return self.paid - np.array(taken, dtype=np.int64)


def draw_transactions(rng: np.random.Generator, group: Group, calendar: Calendar, remits: Remittances) -> Transactions:
    """Groups claim payments by payer and day; recoupments in the month of takebacks, interest now and then."""
    key = remits.pay_day * 100 + remits.payer
    keys, of_claim_payment = np.unique(key, return_inverse=True)
    payer, day = keys % 100, keys // 100
    paid = total_by(of_claim_payment, remits.claim_sum("paid"), len(keys))
    first, after = takeback_month(calendar)
    carried: dict[int, int] = {}
    beside: list[list[ProviderAdjustment]] = []
    for index in range(len(keys)):
        who, when, left = int(payer[index]), int(day[index]), int(paid[index])
        items: list[ProviderAdjustment] = []
        reference = f"{group.electronic_ids[who]}{when}"
        if carried.get(who, 0) and carried[who] <= left:
            items.append(ProviderAdjustment(reason="FB", reference=f"{reference}B", amount=carried.pop(who)))
            left -= items[-1].amount
        if rng.random() < 0.15 and left > 0:
            items.append(ProviderAdjustment(reason="L6", reference=f"{reference}I", amount=-int(rng.integers(25, 900))))
        if who == group.takeback_payer and first <= when < after:
            for number in range(int(rng.integers(1, 4))):
                amount = int(rng.integers(4000, 35000))
                if amount <= left:
                    items.append(ProviderAdjustment(reason="WO", reference=f"{reference}W{number}", amount=amount))
                    left -= amount
        if left < 0:
            carried[who] = carried.get(who, 0) - left
            items.append(ProviderAdjustment(reason="FB", reference=f"{reference}F", amount=left))
        beside.append(items)
    return Transactions(payer=payer, day=day, paid=paid, provider_adjustments=beside, of_claim_payment=of_claim_payment)
