"""What the product must say about the sample, computed from the generator's own arrays and from nothing it writes.

`definitions.py` states each figure in words.
"""

import numpy as np

from clinicmart.sample import (
    access,
    flaws,
    moves,
    truths_diagnoses,
    truths_eligibility,
    truths_money,
    truths_operations,
    x12_acknowledgements,
)
from clinicmart.sample.adjudication import CORRECTION, FIRST, RESUBMITTED, REVERSAL, SECONDARY, total_by
from clinicmart.sample.catalogue import PAYERS, VISIT_TYPES
from clinicmart.sample.charges import REVERSAL as REVERSED_ENTRY
from clinicmart.sample.charges import VOID
from clinicmart.sample.clock import DAY, as_date
from clinicmart.sample.names import LANGUAGES
from clinicmart.sample.overlaps import without_lines
from clinicmart.sample.story import Story
from clinicmart.sample.structure import WARD_ID
from clinicmart.sample.tally import Dimension, Tally, money, quotient
from clinicmart.sample.visits import ARRIVED, CANCELLED, CLINIC, COMPLETED, NO_SHOW, PATIENT, RESCHEDULED

LATE_CANCEL = DAY
ENCOUNTER_CLASSES = ["AMB", "VR", "HH", "IMP"]
AGED_DAYS = 90
# The last age of each band but the last.
AGES = np.array([17, 34, 49, 64, 74, 84])
AGE_BANDS = ["0 to 17", "18 to 34", "35 to 49", "50 to 64", "65 to 74", "75 to 84", "85 and over"]
KINDS = ["new", "established", "unknown"]


def years(day: np.ndarray) -> np.ndarray:
    """Calendar year of day numbers."""
    return day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970


class Truths:
    """Fills a Tally for one tenant, subject by subject."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.tally = Tally()
        first = as_date(story.calendar.first)
        self.first_month = first.year * 12 + first.month - 1
        days = range(story.calendar.first, story.calendar.last + 1)
        months = [as_date(day).year * 12 + as_date(day).month - 1 - self.first_month for day in days]
        self.month_of_day = np.array(months)
        labels = range(self.first_month, self.first_month + int(self.month_of_day[-1]) + 1)
        self.months = [f"{month // 12}-{month % 12 + 1:02d}" for month in labels]
        self.units = [str(unit) for unit in story.group.clinic_ids] + [WARD_ID]
        self.ward = len(self.units) - 1
        self.classes = list(dict.fromkeys(payer.payer_class for payer in PAYERS))
        self.class_of = np.array([self.classes.index(payer.payer_class) for payer in PAYERS])

    def month(self, day: np.ndarray, name: str = "month") -> Dimension:
        """Month of local days within the sample's span."""
        return Dimension(name=name, codes=self.month_of_day[day - self.story.calendar.first], labels=self.months)

    def unit(self, clinic: np.ndarray) -> Dimension:
        return Dimension(name="service_unit", codes=clinic, labels=self.units)

    def programs(self, clinic: np.ndarray, day: np.ndarray) -> list[Dimension]:
        """By the program that a clinic belonged to on a day, and by the one it belongs to now."""
        then, labels = moves.programs(self.story, clinic, day)
        now, _ = moves.programs(self.story, clinic, None)
        return [
            Dimension(name="program", codes=then, labels=labels),
            Dimension(name="current_program", codes=now, labels=labels),
        ]

    def payers(self, payer: np.ndarray) -> list[Dimension]:
        """By payer and by payer class."""
        ids = [str(item) for item in self.story.group.payer_ids]
        return [
            Dimension(name="payer", codes=payer, labels=ids),
            Dimension(name="payer_class", codes=self.class_of[payer], labels=self.classes),
        ]

    def demographics(self, patient: np.ndarray, day: np.ndarray) -> list[Dimension]:
        """By age on local days, sex, language and ZIP area, after all merges."""
        people = self.story.people
        patient = people.final(patient)
        age = years(day) - years(people.birth_day[patient])
        zip3 = self.story.group.tenant.zip3
        return [
            Dimension(name="age_band", codes=np.searchsorted(AGES, age), labels=AGE_BANDS),
            Dimension(name="sex", codes=people.is_female[patient].astype(np.int64), labels=["male", "female"]),
            Dimension(name="language", codes=people.language[patient], labels=list(LANGUAGES)),
            Dimension(name="zip3", codes=np.zeros(len(patient), np.int64), labels=[zip3]),
        ]

    def patient_kind(self, patient: np.ndarray, day: np.ndarray, is_new: np.ndarray) -> Dimension:
        """New by the type of the visit, established after an earlier visit, else unknown: the sample is younger than three years."""
        story = self.story
        seen = np.concatenate([story.appointments.patient[story.encounters.appointment], story.stays.patient])
        first_day = np.full(len(story.people.payer), np.iinfo(np.int64).max)
        np.minimum.at(
            first_day, story.people.final(seen), np.concatenate([story.encounters.started_day, self.admission_day()])
        )
        kind = np.where(
            first_day[story.people.final(patient)] < day, KINDS.index("established"), KINDS.index("unknown")
        )
        return Dimension(name="patient_kind", codes=np.where(is_new, KINDS.index("new"), kind), labels=KINDS)

    def result(self) -> dict[str, object]:
        """totals, by_<dimension> and planted, as truths.json holds them for the tenant."""
        self.access()
        self.care()
        self.ward_stays()
        self.patients()
        self.sessions()
        self.lines()
        self.claims()
        self.answers()
        self.decisions()
        self.payments()
        self.underpayments()
        truths_operations.add(self)
        truths_money.add(self)
        truths_diagnoses.add(self)
        truths_eligibility.add(self)
        by = {f"by_{name}": figures for name, figures in sorted(self.tally.by.items())}
        return {"totals": self.tally.totals, **by, "planted": flaws.planted(self.story, with_feeds=True)}

    def access(self) -> None:
        """Appointments, no-shows, cancellations, lead times; by month of the local start."""
        booked, tally = self.story.appointments, self.tally
        day = booked.start_local // DAY
        visit_types = [item.visit_type_id for item in VISIT_TYPES]
        by = [self.month(day), self.unit(booked.clinic), *self.payers(booked.payer)]
        by.append(Dimension(name="visit_type", codes=booked.visit_type, labels=visit_types))
        by += self.programs(booked.clinic, day)
        by += self.demographics(booked.patient, day)
        is_new = np.array([item.is_new for item in VISIT_TYPES])[booked.visit_type]
        by.append(self.patient_kind(booked.patient, day, is_new))
        status, planned = booked.status, ~booked.walk_in
        missed = status == NO_SHOW
        expected = planned & (missed | (status == COMPLETED) | (status == ARRIVED))
        cancelled = planned & (status == CANCELLED)
        by_patient = cancelled & (booked.initiator == PATIENT)
        late = by_patient & (booked.start - booked.cancelled < LATE_CANCEL)
        tally.total("appointments", np.ones(len(booked), np.int64), by)
        tally.total("completed_appointments", status == COMPLETED, by)
        tally.total("no_shows", missed, by)
        tally.total("walk_ins", booked.walk_in, by)
        tally.total("rescheduled_appointments", status == RESCHEDULED, by)
        tally.total("late_cancels", late, by)
        tally.ratio("no_show_rate", missed & planned, expected, by)
        tally.ratio("no_show_rate_with_late_cancels", missed & planned, expected | late, by)
        base = expected | cancelled
        tally.ratio("late_cancel_rate", late, base, by)
        tally.ratio("cancel_rate", by_patient, base, by)
        tally.ratio("bump_rate", cancelled & (booked.initiator == CLINIC), base, by)
        tally.ratio("any_cancel_rate", cancelled, base, by)
        lead = np.where(planned, day - booked.booked_local // DAY, 0)
        tally.ratio("lead_time_days", lead, planned, by)
        tally.median("median_lead_time_days", lead[planned])

    def care(self) -> None:
        """Encounters of all classes and the times of the visits; by month of the local start."""
        story, tally = self.story, self.tally
        visits, booked, stays = story.encounters, story.appointments, story.stays
        appointment = visits.appointment
        kinds = np.array([ENCOUNTER_CLASSES.index(item.encounter_class) for item in VISIT_TYPES])
        day = np.concatenate([visits.started_day, self.admission_day()])
        clinic = np.concatenate([booked.clinic[appointment], np.full(len(stays), self.ward)])
        payer = np.concatenate([booked.payer[appointment], stays.payer])
        kind = np.concatenate([kinds[booked.visit_type[appointment]], np.full(len(stays), 3)])
        by = [self.month(day), self.unit(clinic), *self.payers(payer)]
        by.append(Dimension(name="encounter_class", codes=kind, labels=ENCOUNTER_CLASSES))
        by += self.programs(clinic, day)
        patient = np.concatenate([booked.patient[appointment], stays.patient])
        by += self.demographics(patient, day)
        is_new = np.array([item.is_new for item in VISIT_TYPES])[booked.visit_type[appointment]]
        by.append(self.patient_kind(patient, day, np.concatenate([is_new, np.zeros(len(stays), bool)])))
        tally.total("encounters", np.ones(len(day), np.int64), by)
        visit_by = [self.month(visits.started_day), self.unit(booked.clinic[appointment])]
        ready = np.maximum(visits.checked_in, booked.start[appointment])
        timed = (visits.checked_in >= 0) & (visits.checked_out >= visits.checked_in)
        cycle = np.where(timed, visits.checked_out - ready, 0)
        tally.ratio("cycle_time_minutes", cycle, timed, visit_by, unit=60)
        tally.median("median_cycle_time_minutes", cycle[timed], unit=60)
        roomed = (visits.checked_in >= 0) & (visits.roomed >= visits.checked_in)
        wait = np.where(roomed, np.maximum(visits.roomed - ready, 0), 0)
        tally.ratio("wait_time_minutes", wait, roomed, visit_by, unit=60)

    def admission_day(self) -> np.ndarray:
        """Local day of each admission; stays begin and end between 9 and 23 o'clock."""
        return self.story.zones.local_day(self.story.stays.admitted, 0)

    def ward_stays(self) -> None:
        """Days and length of the stays that have ended; by month of discharge."""
        stays, tally = self.story.stays, self.tally
        left = np.flatnonzero(stays.discharged >= 0)
        seconds = stays.discharged[left] - stays.admitted[left]
        by = [self.month(self.story.zones.local_day(stays.discharged[left], 0))]
        by.append(self.unit(np.full(len(left), self.ward)))
        ones = np.ones(len(left), np.int64)
        tally.total("discharges", ones, by)
        tally.ratio("length_of_stay_days", seconds, ones, by, unit=DAY)
        tally.totals["bed_days"] = quotient(int(seconds.sum()), DAY)
        tally.totals["open_stays"] = str(len(stays) - len(left))

    def patients(self) -> None:
        """Distinct patients with an encounter, after all merges and before."""
        story, tally = self.story, self.tally
        visits, stays, booked = story.encounters, story.stays, story.appointments
        raw = np.concatenate([booked.patient[visits.appointment], stays.patient])
        day = np.concatenate([visits.started_day, self.admission_day()])
        clinic = np.concatenate([booked.clinic[visits.appointment], np.full(len(stays), self.ward)])
        payer = np.concatenate([booked.payer[visits.appointment], stays.payer])
        by = [self.month(day), self.unit(clinic), *self.payers(payer)]
        tally.distinct("patients", story.people.final(raw), by)
        tally.distinct("patients_before_merges", raw, [])
        tally.totals["patient_records"] = str(len(story.people.payer))

    def sessions(self) -> None:
        """Hours of the sessions held, visits per hour, and how full the slots were at their last look."""
        story, tally = self.story, self.tally
        hours = 4 * access.staff_shifts(story).height
        tally.totals["staffed_hours"] = str(hours)
        tally.totals["visits_per_hour"] = quotient(int((story.encounters.ended >= 0).sum()), hours)
        slots = access.draw_slots(story)
        tally.totals["slot_snapshots"] = str(len(slots.status))
        key = (slots.provider * 100_000 + slots.day) * 10 + slots.place
        last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
        status = slots.status[last]
        offered = (status == access.FREE) | (status == access.BOOKED)
        tally.totals["fill_rate"] = quotient(int((status == access.BOOKED).sum()), int(offered.sum()))

    def lines(self) -> None:
        """Money of the charge lines that are not void; by month of service."""
        story, tally = self.story, self.tally
        lines, balances = story.charges, story.balances
        live = np.flatnonzero(lines.kind != VOID)
        appointment = story.encounters.appointment[lines.encounter[live]]
        booked = story.appointments
        by = [
            self.month(lines.service_day[live]),
            self.unit(booked.clinic[appointment]),
            *self.payers(booked.payer[appointment]),
        ]
        by += self.programs(booked.clinic[appointment], lines.service_day[live])
        by += self.demographics(booked.patient[appointment], lines.service_day[live])
        billed, paid = lines.billed[live], balances.payer_paid[live]
        patient, adjusted = balances.patient_paid[live], balances.adjusted[live]
        left = billed - paid - patient - adjusted
        tally.total("charge_lines", np.ones(len(live), np.int64), by)
        tally.total("billed_amount", billed, by, in_cents=True)
        tally.total("payer_paid_amount", paid, by, in_cents=True)
        tally.total("patient_paid_amount", patient, by, in_cents=True)
        tally.total("adjusted_amount", adjusted, by, in_cents=True)
        tally.total("open_balance", left, by, in_cents=True)
        allowed = total_by(story.remits.charge, story.remits.allowed, len(lines))[live]
        tally.total("allowed_amount", allowed, by, in_cents=True)
        tally.ratio("net_collection_rate", paid + patient, billed - balances.contractual[live], by)
        entered = lines.kind[live] != REVERSED_ENTRY
        lag = np.where(entered, lines.entered_day[live] - lines.service_day[live], 0)
        tally.ratio("charge_lag_days", lag, entered, by)
        tally.median("median_charge_lag_days", lag[entered])
        old = np.where(story.calendar.as_of - lines.service_day[live] > AGED_DAYS, left, 0)
        tally.total("open_balance_over_90", old, by, in_cents=True)
        # The rate is of a day's receivables, so it has no month of service, and units stand where they stand on that day.
        today = self.programs(booked.clinic[appointment], np.full(len(live), story.calendar.as_of))
        tally.ratio("ar_over_90_rate", old, left, [*by[1:4], *today])

    def claims(self) -> None:
        """Claims and their submissions; by month of service, submissions also by month of submission."""
        story, tally = self.story, self.tally
        by = self.claim_dimensions(np.arange(len(story.claims)))
        by += self.claim_demographics(np.arange(len(story.claims)))
        tally.total("claims", np.ones(len(story.claims), np.int64), by)
        sent = story.submissions
        by = self.claim_dimensions(sent.claim)
        ones, amount = np.ones(len(sent), np.int64), story.claims.billed[sent.claim]
        tally.total("claim_submissions", ones, [*by, self.month(sent.day, "submission_month")])
        tally.total("submitted_amount", amount, [*by, self.month(sent.day, "submission_month")], in_cents=True)
        tally.totals["replacement_submissions"] = str(int((sent.frequency == 7).sum()))
        tally.totals["secondary_submissions"] = str(int(sent.is_secondary.sum()))

    def answers(self) -> None:
        """Claims acknowledged and turned back before any payer decided; by month of service."""
        answers = x12_acknowledgements.draw_answers(self.story)
        by = self.claim_dimensions(np.arange(len(self.story.claims)))
        self.tally.total("acknowledged_claims", answers.is_acknowledged, by)
        self.tally.total("rejected_claims", answers.is_rejected, by)
        self.tally.ratio("rejection_rate", answers.is_rejected, answers.is_acknowledged, by)

    def claim_dimensions(self, claim: np.ndarray) -> list[Dimension]:
        """Month of service, unit and primary payer of claims."""
        story = self.story
        bills = story.claims
        clinic = story.appointments.clinic[story.encounters.appointment[bills.encounter[claim]]]
        return [self.month(bills.service_day[claim]), self.unit(clinic), *self.payers(bills.payer[claim])]

    def claim_demographics(self, claim: np.ndarray) -> list[Dimension]:
        """Who the patients of claims are."""
        story = self.story
        patient = story.appointments.patient[story.encounters.appointment[story.claims.encounter[claim]]]
        return self.demographics(patient, story.claims.service_day[claim])

    def decisions(self) -> None:
        """First answers, denials, what became of them, and how long the payers took."""
        story, tally, remits = self.story, self.tally, self.story.remits
        size = len(story.claims)
        allowed = remits.claim_sum("allowed")
        first = np.flatnonzero(remits.stage == FIRST)
        claim = remits.claim[first]
        by = [*self.claim_dimensions(claim), self.month(remits.pay_day[first], "remittance_month")]
        by += self.claim_demographics(claim)
        ones = np.ones(len(first), np.int64)
        denied = allowed[first] == 0
        paid_later = np.zeros(size, bool)
        paid_later[remits.claim[np.isin(remits.stage, (RESUBMITTED, CORRECTION)) & (allowed > 0)]] = True
        overturned = denied & paid_later[claim]
        tally.total("remitted_claims", ones, by)
        tally.total("denied_claims", denied, by)
        tally.total("overturned_claims", overturned, by)
        tally.ratio("denial_rate", denied, ones, by)
        tally.ratio("first_pass_resolution_rate", ~denied, ones, by)
        tally.ratio("denial_overturn_rate", overturned, denied, by)
        lag = remits.pay_day[first] - story.claims.submitted_day[claim]
        tally.ratio("payer_lag_days", lag, ones, by)
        tally.median("median_payer_lag_days", lag)
        paid = total_by(remits.claim, remits.claim_sum("paid"), size)
        everyone = np.arange(size)
        answered = np.isin(everyone, remits.claim)
        by = [*self.claim_dimensions(everyone), *self.claim_demographics(everyone)]
        tally.total("paid_claims", paid > 0, by)
        tally.ratio("payment_per_claim", np.where(answered, paid, 0), answered, by, unit=100)
        tally.ratio("payment_per_paid_claim", np.where(paid > 0, paid, 0), paid > 0, by, unit=100)
        tally.totals["remittance_claims"] = str(len(remits))
        tally.totals["remittance_lines"] = str(int((~without_lines(story)[remits.owner]).sum()))
        # Every line bears a number of ours, every reversal follows its decision.
        tally.totals["unmatched_remittance_lines"] = tally.totals["unmatched_reversals"] = "0"
        tally.totals["secondary_remittance_claims"] = str(int((remits.stage == SECONDARY).sum()))
        tally.totals["reversed_claims"] = str(int((remits.stage == REVERSAL).sum()))
        tally.totals["remitted_billed_amount"] = money(int(remits.claim_sum("billed").sum()))

    def payments(self) -> None:
        """Payments and takebacks by payment month, as the 835s hold them; the payer is the sender."""
        story, tally, remits = self.story, self.tally, self.story.remits
        by = [self.month(remits.pay_day, "payment_month"), *self.payers(remits.payer)]
        paid = remits.claim_sum("paid")
        tally.total("remitted_paid_amount", paid, by, in_cents=True)
        taken = np.where(remits.stage == REVERSAL, -paid, 0)
        tally.total("takeback_reversal_amount", taken, by, in_cents=True)
        transactions = story.transactions
        pairs = [(i, item) for i, items in enumerate(transactions.provider_adjustments) for item in items]
        at = np.array([i for i, _ in pairs], np.int64)
        amount = np.array([item.amount for _, item in pairs], np.int64)
        recouped = np.array([item.amount if item.reason == "WO" else 0 for _, item in pairs], np.int64)
        beside = [self.month(transactions.day[at], "payment_month"), *self.payers(transactions.payer[at])]
        tally.total("provider_adjustment_amount", amount, beside, in_cents=True)
        tally.total("takeback_provider_level_amount", recouped, beside, in_cents=True)
        both = [
            Dimension(name=first.name, codes=np.concatenate([first.codes, other.codes]), labels=first.labels)
            for first, other in zip(by, beside, strict=True)
        ]
        tally.total("takeback_amount", np.concatenate([taken, recouped]), both, in_cents=True)
        by = [self.month(transactions.day, "payment_month"), *self.payers(transactions.payer)]
        tally.total("remittances", np.ones(len(transactions), np.int64), by)
        tally.total("remittance_payment_amount", transactions.amounts, by, in_cents=True)

    def underpayments(self) -> None:
        """Contract rate less the allowed amount of the latest primary decision, if that is more than a cent."""
        story, remits = self.story, self.story.remits
        lines = story.charges
        primary = np.flatnonzero(remits.stage[remits.owner] != SECONDARY)
        latest = np.full(len(lines), -1)
        latest[remits.charge[primary]] = primary
        charge = np.flatnonzero(latest >= 0)
        allowed = remits.allowed[latest[charge]]
        payer = remits.payer[remits.owner[latest[charge]]]
        expected = story.group.rates[payer, lines.code[charge]] * lines.units[charge]
        missing = np.where((allowed > 0) & (expected - allowed > 1), expected - allowed, 0)
        appointment = story.encounters.appointment[lines.encounter[charge]]
        by = [
            self.month(lines.service_day[charge]),
            self.unit(story.appointments.clinic[appointment]),
            *self.payers(payer),
        ]
        self.tally.total("underpaid_amount", missing, by, in_cents=True)
