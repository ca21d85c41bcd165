"""Encounters of a month, what they are charged and what is posted against that, with its truths."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from tests.openemr.truths import Truths, Visit

MAIN, EAST = 3, 4
MEDICARE, BLUE, SELF_PAY = 101, 102, 0
FEES = {"99213": Decimal("150.00"), "99214": Decimal("212.50"), "36415": Decimal("18.75"), "99203": Decimal("240.00")}
Row = dict[str, object]


@dataclass
class Accounts:
    """Rows by table, and what they come to."""

    seed: int
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    truths: Truths = field(default_factory=Truths)
    _encounter: int = 5000
    _postings: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def add(self, table: str, **values: object) -> Row:
        """A row of a table; returned, so that it can be looked at."""
        self.rows[table].append(values)
        return values

    def encounter(self, visit: Visit, started: datetime, *, is_charged: bool) -> int:
        """One encounter; returns its number."""
        self._encounter += 1
        number = self._encounter
        self.add("form_encounter", date=started, facility_id=visit.unit, pid=visit.pid, encounter=number,
                 pc_catid=visit.category, provider_id=visit.provider, billing_facility=MAIN)  # fmt: skip
        self.truths.add("encounters", 1, visit)
        if is_charged:
            self._charges(visit, number)
        return number

    def _charges(self, visit: Visit, encounter: int) -> None:
        codes = self.random.sample(list(FEES), self.random.choice((1, 1, 2)))
        entered = datetime.combine(visit.day + timedelta(days=1), time(9, 30))
        for code in codes:
            self._line(visit, encounter, code, FEES[code], entered)
            self.truths.add("billed_amount", FEES[code], visit)
        self._line(visit, encounter, "J20.9", Decimal(0), entered, code_type="ICD10")
        if self.random.random() < 0.1:
            self._line(visit, encounter, "99499", Decimal("77.00"), entered, activity=0)
        if visit.payer:
            self._insured(visit, encounter, codes, entered)
        else:
            self._self_paid(visit, encounter, codes, entered)

    def _line(
        self,
        visit: Visit,
        encounter: int,
        code: str,
        fee: Decimal,
        entered: datetime,
        *,
        code_type: str = "CPT4",
        activity: int = 1,
    ) -> None:
        self.add("billing", date=entered, code_type=code_type, code=code, pid=visit.pid, provider_id=0, encounter=encounter,
                 activity=activity, modifier="25" if code == "99214" else "", units=1, fee=fee)  # fmt: skip

    def _insured(self, visit: Visit, encounter: int, codes: list[str], entered: datetime) -> None:
        billed = entered + timedelta(days=1)
        self.add("claims", patient_id=visit.pid, encounter_id=encounter, version=1, payer_id=visit.payer, status=2,
                 payer_type=1, bill_time=billed, process_time=billed, target="x12")  # fmt: skip
        if self.random.random() < 0.3:
            self.post(visit, encounter, self.session(0, visit.day, "cash"), "", 0, pay="10.00", account="PCP")
        decided = self.random.random()
        if decided < 0.2:
            return
        session = self.session(visit.payer, visit.day + timedelta(days=20), "check_payment")
        if decided < 0.3:
            self._denied(visit, encounter, session, codes, billed)
            return
        for code in codes:
            fee = FEES[code]
            allowed = (fee * Decimal("0.8")).quantize(Decimal("0.01"))
            share = (allowed * Decimal("0.1")).quantize(Decimal("0.01"))
            memo = "Ins adjust Ins1" if decided > 0.9 else "Adjust code 45"
            self.post(visit, encounter, session, code, 1, pay=str(allowed - share))
            self.post(visit, encounter, session, code, 1, adjust=str(fee - allowed), memo=memo)
            self.post(visit, encounter, session, code, 1, memo=f"Ins1 coins: {share}")
            if decided > 0.8:
                self.post(
                    visit,
                    encounter,
                    self.session(BLUE, visit.day + timedelta(days=40), "check_payment"),
                    code,
                    2,
                    pay=str(share),
                )
            elif decided > 0.6:
                self.post(
                    visit,
                    encounter,
                    self.session(0, visit.day + timedelta(days=35), "credit_card"),
                    code,
                    0,
                    pay=str(share),
                    account="PP",
                )
            elif decided > 0.55:
                self.post(visit, encounter, session, code, 0, adjust=str(share), memo="Sm debt w/o")
            elif decided > 0.5:
                # Posted by mistake, and made void: neither is to be seen.
                self.post(visit, encounter, session, code, 1, pay="5.00", voided=True)
                self.post(visit, encounter, session, code, 0, adjust="3.00", memo="Bad debt", voided=True)

    def _denied(self, visit: Visit, encounter: int, session: int, codes: list[str], billed: datetime) -> None:
        """OpenEMR takes a denial off the balance when the site posts it; the reason is kept in words."""
        self.add("claims", patient_id=visit.pid, encounter_id=encounter, version=2, payer_id=visit.payer, status=7,
                 payer_type=1, bill_time=billed + timedelta(days=18), process_time=None, target="x12")  # fmt: skip
        self.post(visit, encounter, session, codes[0], 1, adjust=str(FEES[codes[0]]), memo="Adjust code 97")
        self.truths.add("denied_claims", 1, visit)

    def _self_paid(self, visit: Visit, encounter: int, codes: list[str], entered: datetime) -> None:
        paid = self.random.random()
        if paid < 0.6:
            session = self.session(0, visit.day, "cash")
            for code in codes:
                self.post(visit, encounter, session, code, 0, pay=str(FEES[code] - 20), account="PP")
                if paid < 0.3:
                    self.post(visit, encounter, session, code, 0, adjust="20.00", memo="Hardship w/o", account="PA")

    def session(self, payer: int, day: date, method: str) -> int:
        """A payment as it came in."""
        number = len(self.rows["ar_session"]) + 1
        self.add("ar_session", session_id=number, payer_id=payer, check_date=day, deposit_date=day, post_to_date="0000-00-00",
                 patient_id=0, payment_method=method, pay_total=0)  # fmt: skip
        return number

    def post(
        self, visit: Visit, encounter: int, session: int, code: str, payer_type: int, *, pay: str = "0", adjust: str = "0",
        memo: str = "", account: str = "", voided: bool = False,
    ) -> Row:  # fmt: skip
        """A posting against one line, or against the encounter where there is no code."""
        self._postings[encounter] += 1
        posted = datetime.combine(visit.day + timedelta(days=14), time(10, 0))
        if not voided:
            paid, adjusted = Decimal(pay), Decimal(adjust)
            if paid:
                self.truths.add("payer_paid_amount" if payer_type else "patient_paid_amount", paid, visit)
            if adjusted:
                self.truths.add("adjusted_amount", adjusted, visit)
        return self.add(
            "ar_activity", pid=visit.pid, encounter=encounter, sequence_no=self._postings[encounter], code=code,
            code_type="CPT4" if code else "", modifier="25" if code == "99214" else "", payer_type=payer_type, post_time=posted,
            session_id=session, memo=memo, pay_amount=pay, adj_amount=adjust, modified_time=posted, account_code=account,
            deleted=posted + timedelta(days=1) if voided else None,
        )  # fmt: skip
