"""Truths of operations: work RVUs, beds by hour, boarding, readmission, referrals, reminders, staffing, supplies, access.

Computed from the generator's arrays like all others (`truths.py`); `definitions.py` states each in words.
"""

from typing import TYPE_CHECKING

import numpy as np

from clinicmart.sample import access, inpatient, work_rvus
from clinicmart.sample.catalogue import VISIT_TYPES
from clinicmart.sample.charges import REVERSAL as REVERSED_ENTRY
from clinicmart.sample.charges import VOID
from clinicmart.sample.clock import DAY
from clinicmart.sample.tally import Dimension, quotient
from clinicmart.sample.visits import ARRIVED, CANCELLED, COMPLETED, NO_SHOW, PATIENT, SCHEDULED

if TYPE_CHECKING:
    from clinicmart.sample.truths import Truths

HOUR = 3600
READMITTED_DAYS = 30
FOLLOW_UP_DAYS = (7, 14, 30)
NO_INDEX = ("02", "07", "20")
FAILED = access.REMINDER_OUTCOMES.index("failed")
CONFIRMED = access.REMINDER_OUTCOMES.index("confirmed")
CLINICAL_HOURS_A_YEAR = 36 * 52
TRAILING_DAYS = 90
ANSWERED_DAYS, EXPIRING_DAYS = 7, 30
LONG_BOARDING = 240 * 60
REFERRAL = {name: place for place, name in enumerate(access.REFERRAL_STATES)}


def add(truths: "Truths") -> None:
    """Adds all figures of operations to a tenant's tally."""
    _work_rvus(truths)
    _credentials(truths)
    _beds(truths)
    _boarding(truths)
    _readmissions(truths)
    _referrals(truths)
    _authorizations(truths)
    _reminders(truths)
    _sessions(truths)
    _supplies(truths)
    _visit_times(truths)
    _booking(truths)
    _slots(truths)
    _third_next_available(truths)


def _work_rvus(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    lines, booked = story.charges, story.appointments
    live = np.flatnonzero(lines.kind != VOID)
    value = work_rvus.of_lines(story, live)
    sign = np.where(lines.kind[live] == REVERSED_ENTRY, -1, 1)
    work = np.where(value < 0, 0, value * lines.units[live] * sign)
    appointment = story.encounters.appointment[lines.encounter[live]]
    by = [
        truths.month(lines.service_day[live]),
        truths.unit(booked.clinic[appointment]),
        *truths.payers(booked.payer[appointment]),
    ]
    visit_types = [item.visit_type_id for item in VISIT_TYPES]
    by.append(Dimension(name="visit_type", codes=booked.visit_type[appointment], labels=visit_types))
    # Hundredths of a unit, as cents are of a dollar.
    tally.total("work_rvus", work, by, in_cents=True)
    tally.total("work_rvus_unadjusted", work, [], in_cents=True)
    tally.total("work_rvu_lines", np.ones(len(live), np.int64), by)
    tally.ratio("work_rvu_coverage_rate", value >= 0, np.ones(len(live), np.int64), by)
    hours = 4 * len(access.draw_sessions(story).day)
    tally.totals["work_rvus_per_hour"] = quotient(int(work.sum()), 100 * hours)
    tally.totals["work_rvus_per_clinical_fte"] = quotient(int(work.sum()) * CLINICAL_HOURS_A_YEAR, 100 * hours)


def _credentials(truths: "Truths") -> None:
    """Visits and charges after the end of the provider's credential at the clinic; what ends, and what was billed under it."""
    story, tally = truths.story, truths.tally
    group, visits, booked, lines = story.group, story.encounters, story.appointments, story.charges
    ends = np.full(len(group.provider_ids), np.iinfo(np.int64).max)
    for number, last_day in group.credential_ends.items():
        ends[number] = last_day

    def ends_at(appointment: np.ndarray) -> np.ndarray:
        """Last day of the credential for the provider and clinic of appointments; the largest number where it has no end."""
        provider, clinic = booked.provider[appointment], booked.clinic[appointment]
        return np.where(clinic == group.provider_clinics[provider, 0], ends[provider], np.iinfo(np.int64).max)

    late = np.flatnonzero(visits.started_day > ends_at(visits.appointment))
    by = [truths.month(visits.started_day[late]), truths.unit(booked.clinic[visits.appointment[late]])]
    tally.total("visits_outside_credential", np.ones(len(late), np.int64), by)
    live = np.flatnonzero(lines.kind != VOID)
    appointment = visits.appointment[lines.encounter[live]]
    last, day, billed = ends_at(appointment), lines.service_day[live], lines.billed[live]
    late = np.flatnonzero(day > last)
    by = [truths.month(day[late]), truths.unit(booked.clinic[appointment[late]])]
    tally.total("charges_outside_credential", billed[late] > 0, by)
    tally.total("billed_outside_credential", billed[late], by, in_cents=True)
    tally.totals["credentials_ending"] = str(len(group.credential_ends))
    as_of = story.calendar.as_of
    ending = (last < np.iinfo(np.int64).max) & (day <= last) & (day <= as_of) & (day > as_of - TRAILING_DAYS)
    tally.total("billed_under_ending_credentials", billed[ending], [], in_cents=True)


def _beds(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    stays, zones, as_of = story.stays, story.zones, story.calendar.as_of
    first = int(truths.admission_day().min())
    # Clocks change after midnight: it lies half a day after the noon before.
    midnights = zones.to_utc(np.arange(first, as_of + 2) * DAY - DAY // 2, 0) + DAY // 2
    left = np.where(stays.discharged < 0, midnights[-1], stays.discharged)
    hours = int(midnights[-1] - midnights[0]) // HOUR * story.group.staffed_beds
    occupied = int((left - stays.admitted).sum())
    tally.totals["occupied_bed_hours"] = quotient(occupied, HOUR)
    tally.totals["staffed_bed_hours"] = str(hours)
    tally.totals["bed_occupancy_rate_hourly"] = quotient(occupied, HOUR * hours)
    begins = midnights[:-1, None]
    census = int(((stays.admitted <= begins) & (left > begins)).sum())
    tally.totals["midnight_bed_census"] = str(census)
    bed_days = (as_of - first + 1) * story.group.staffed_beds
    tally.totals["bed_occupancy_rate_midnight"] = quotient(census, bed_days)
    gone = np.flatnonzero(stays.discharged >= 0)
    nights = zones.local_day(stays.discharged[gone], 0) - truths.admission_day()[gone]
    by = [truths.month(zones.local_day(stays.discharged[gone], 0))]
    tally.ratio("length_of_stay_days_midnights", nights, np.ones(len(gone), np.int64), by)
    tally.ratio("length_of_stay_days_midnights_at_least_1", np.maximum(nights, 1), np.ones(len(gone), np.int64), by)
    tally.totals["length_of_stay_days_census"] = quotient(occupied, DAY * len(gone))


def _boarding(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    decisions = inpatient.draw_admit_decisions(story.rng("boarding"), story.stays)
    waited = story.stays.admitted[decisions.stay] - decisions.decided
    ones = np.ones(len(waited), np.int64)
    by = [truths.month(truths.admission_day()[decisions.stay]), *truths.payers(story.stays.payer[decisions.stay])]
    tally.total("admit_decisions", ones, by)
    tally.median("boarding_minutes", waited, unit=60)
    tally.ratio("boarding_minutes_mean", waited, ones, by, unit=60)
    tally.ratio("boarded_over_240_rate", waited > LONG_BOARDING, ones, by)
    tally.totals["boarding_completeness_rate"] = quotient(1, 1)


def _readmissions(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    stays, calendar = story.stays, story.calendar
    person = story.people.final(stays.patient)
    admitted_day = truths.admission_day()
    left_day = story.zones.local_day(np.maximum(stays.discharged, stays.admitted), 0)
    ended_by = np.array(inpatient.DISPOSITIONS)[inpatient.dispositions(np.arange(len(stays)))]
    index = (stays.discharged >= 0) & ~np.isin(ended_by, NO_INDEX) & (calendar.as_of - left_day >= READMITTED_DAYS)
    chosen = np.flatnonzero(index)
    again = np.zeros(len(chosen), bool)
    for place, stay in enumerate(chosen.tolist()):
        later = (person == person[stay]) & (stays.admitted > stays.discharged[stay])
        again[place] = bool((later & (admitted_day - left_day[stay] <= READMITTED_DAYS)).any())
    visitor = story.people.final(story.appointments.patient[story.encounters.appointment])
    seen = np.full(len(chosen), FOLLOW_UP_DAYS[-1] + 1)
    for place, stay in enumerate(chosen.tolist()):
        days = story.encounters.started_day[visitor == person[stay]] - left_day[stay]
        seen[place] = min([*days[days > 0].tolist(), seen[place]])
    by = [truths.month(left_day[chosen]), *truths.payers(stays.payer[chosen])]
    for limit in FOLLOW_UP_DAYS:
        tally.ratio(f"follow_up_{limit}d_rate", seen <= limit, np.ones(len(chosen), np.int64), by)
    tally.total("readmission_index_discharges", np.ones(len(chosen), np.int64), by)
    tally.ratio("readmission_30d_rate", again, np.ones(len(chosen), np.int64), by)


def _referrals(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    booked, drawn, as_of = story.appointments, access.draw_referrals(story), story.calendar.as_of
    ones = np.ones(len(drawn.source), np.int64)
    kept = np.arange(len(ones)) < drawn.kept
    visit_types = [item.visit_type_id for item in VISIT_TYPES]
    by = [truths.unit(booked.clinic[drawn.source])]
    by.append(Dimension(name="visit_type", codes=booked.visit_type[drawn.source], labels=visit_types))
    reported = drawn.state == REFERRAL["reported"]
    attended = reported | (drawn.state == REFERRAL["attended"])
    scheduled = attended | kept
    elsewhere = drawn.state == REFERRAL["out_of_network"]
    cancelled = drawn.state == REFERRAL["cancelled"]
    lapsed = (drawn.state == REFERRAL["expired"]) | (drawn.ordered_day + access.REFERRAL_DAYS < as_of)
    lapsed &= ~attended & ~elsewhere & ~cancelled
    closed = attended | elsewhere | cancelled | lapsed
    tally.total("referrals", ones, by)
    tally.total("referrals_authorized", scheduled | (drawn.authorized >= 0), by)
    tally.total("referrals_scheduled", scheduled, by)
    tally.total("referrals_attended", attended, by)
    tally.total("referrals_reported", reported, by)
    tally.ratio("referral_completion_rate", attended, ones, by)
    tally.ratio("referral_completion_rate_of_closed", attended, closed, by)
    tally.ratio("referral_expired_rate", lapsed, ones, by)
    tally.ratio("referral_leakage_rate", elsewhere, elsewhere | attended, by)
    tally.ratio("referral_leakage_rate_with_uncompleted", closed & ~attended, closed, by)
    tally.ratio("referral_outcome_known_rate", elsewhere | attended, closed, by)
    waited = np.where(kept, booked.booked_local[drawn.source] // DAY - drawn.ordered_day, 0)
    tally.ratio("referral_to_schedule_days", waited, kept, by)
    tally.median("referral_to_schedule_days_median", waited[kept])
    seen = kept & (booked.status[drawn.source] == COMPLETED)
    until_visit = np.where(seen, booked.start_local[drawn.source] // DAY - drawn.ordered_day, 0)
    tally.ratio("referral_to_visit_days", until_visit, seen, by)


def _authorizations(truths: "Truths") -> None:
    """Requests and their decisions, units, and what expires. Some requests are older than the sample's first month."""
    story, tally = truths.story, truths.tally
    booked, drawn, as_of = story.appointments, access.draw_authorizations(story), story.calendar.as_of
    clinic, payer = booked.clinic[drawn.appointment], booked.payer[drawn.appointment]
    zone = booked.zone[drawn.appointment]
    requested = story.zones.local_day(drawn.requested, zone)
    codes = Dimension(name="procedure_code", codes=drawn.code, labels=list(access.AUTHORIZED_CODES))
    by = [truths.unit(clinic), *truths.payers(payer), codes]
    by += truths.demographics(booked.patient[drawn.appointment], requested)
    approved, denied = drawn.state == access.APPROVED, drawn.state == access.DENIED
    tally.total("authorizations_requested", np.ones(len(requested), np.int64), by)
    tally.total("authorizations_approved", approved, by)
    tally.total("authorizations_denied", denied, by)
    tally.total("authorizations_pended", drawn.state == access.PENDED, by)
    tally.total("authorizations_decided", approved | denied, by)
    tally.ratio("authorization_approval_rate", approved, approved | denied, by)
    decided = drawn.decided >= 0
    waited = story.zones.local_day(np.where(decided, drawn.decided, drawn.requested), zone) - requested
    tally.total("turnaround_timed_authorizations", decided, by)
    tally.ratio("authorization_turnaround_days", waited, decided, by)
    tally.median("authorization_turnaround_days_median", waited[decided])
    tally.ratio("authorization_within_7_days_rate", decided & (waited <= ANSWERED_DAYS), decided, by)
    tally.total("authorization_units_approved", drawn.units_approved, by)
    tally.total("authorization_units_used", drawn.units_used, by)
    tally.ratio("authorization_units_used_rate", drawn.units_used, drawn.units_approved, by)
    tally.total("authorizations_over_used", drawn.units_used > drawn.units_approved, by)
    left = drawn.units_approved - drawn.units_used
    expiring = approved & (drawn.valid_to >= as_of) & (drawn.valid_to <= as_of + EXPIRING_DAYS) & (left > 0)
    tally.total("authorizations_expiring", expiring, by)
    tally.total("authorization_units_expiring", np.where(expiring, left, 0), by)


def _reminders(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    booked, drawn = story.appointments, access.draw_reminders(story)
    reminded, confirmed = np.zeros(len(booked), bool), np.zeros(len(booked), bool)
    reminded[drawn.appointment[drawn.outcome != FAILED]] = True
    confirmed[drawn.appointment[drawn.outcome == CONFIRMED]] = True
    missed = ~booked.walk_in & (booked.status == NO_SHOW)
    expected = ~booked.walk_in & np.isin(booked.status, (NO_SHOW, COMPLETED, ARRIVED))
    by = [truths.month(booked.start_local // DAY), truths.unit(booked.clinic), *truths.payers(booked.payer)]
    tally.ratio("reminded_rate", reminded & expected, expected, by)
    tally.ratio("reminder_confirmed_rate", confirmed & expected, reminded & expected, by)
    tally.ratio("no_show_rate_reminded", missed & reminded, expected & reminded, by)
    tally.ratio("no_show_rate_not_reminded", missed & ~reminded, expected & ~reminded, by)
    above = int((missed & reminded).sum()) * int((expected & ~reminded).sum())
    below = int((missed & ~reminded).sum()) * int((expected & reminded).sum())
    tally.totals["reminder_no_show_ratio"] = quotient(above, below)


def _sessions(truths: "Truths") -> None:
    """Half-days, utilisation, and visits that began while a provider of the clinic was on duty."""
    story, tally = truths.story, truths.tally
    booked, visits, sessions = story.appointments, story.encounters, access.draw_sessions(story)
    held, hours = len(sessions.day), 4 * len(sessions.day)
    done = np.flatnonzero(visits.ended >= 0)
    tally.total(
        "half_day_sessions", np.ones(held, np.int64), [truths.month(sessions.day), truths.unit(sessions.clinic)]
    )
    tally.totals["encounters_per_session"] = quotient(len(done), held)
    days = len(np.unique(sessions.provider * 1_000_000 + sessions.day))
    tally.totals["provider_days"] = str(days)
    tally.totals["visits_per_day"] = quotient(len(done), days)
    tally.totals["provider_hours_by_hour"] = str(hours)
    begins = np.where(sessions.afternoon == 1, 13, 8)
    staffed = {
        (clinic, day, hour + offset)
        for clinic, day, hour in zip(sessions.clinic.tolist(), sessions.day.tolist(), begins.tolist(), strict=True)
        for offset in range(4)
    }
    appointment = visits.appointment[done]
    local = booked.start_local[appointment] + visits.started[done] - booked.start[appointment]
    places = zip(
        booked.clinic[appointment].tolist(), (local // DAY).tolist(), (local % DAY // HOUR).tolist(), strict=True
    )
    covered = np.array([place in staffed for place in places])
    by = [truths.unit(booked.clinic[appointment])]
    tally.total("covered_visits", covered, by)
    tally.total("visits_by_hour", np.ones(len(done), np.int64), by)
    tally.ratio("staffing_coverage_rate", covered, np.ones(len(done), np.int64), by)
    planned = ~booked.walk_in
    kept = planned & np.isin(booked.status, (NO_SHOW, COMPLETED, ARRIVED))
    given_up = planned & (booked.status == CANCELLED) & (booked.initiator == PATIENT)
    given_up &= booked.start - booked.cancelled < DAY
    booked_minutes = int(booked.minutes[kept | given_up].sum())
    completed_minutes = int(booked.minutes[booked.status == COMPLETED].sum())
    tally.totals["booked_hours"] = quotient(booked_minutes, 60)
    tally.totals["completed_hours"] = quotient(completed_minutes, 60)
    tally.totals["schedule_utilization_rate"] = quotient(booked_minutes, 60 * hours)
    tally.totals["provider_utilization_rate"] = quotient(completed_minutes, 60 * hours)


def _supplies(truths: "Truths") -> None:
    story, tally = truths.story, truths.tally
    booked, visits, drawn = story.appointments, story.encounters, access.draw_supplies(story)
    appointment = visits.appointment[drawn.visit]
    by = [truths.month(visits.started_day[drawn.visit]), truths.unit(booked.clinic[appointment])]
    tally.total("supply_cost_amount", drawn.cost, by, in_cents=True)
    tally.total("supply_quantity", drawn.quantity, by)
    tally.totals["encounters_with_supplies"] = str(len(np.unique(drawn.visit)))
    encounters = len(visits) + len(story.stays)
    tally.totals["supply_cost_per_encounter"] = quotient(int(drawn.cost.sum()), 100 * encounters)
    tally.totals["supply_quantity_per_encounter"] = quotient(int(drawn.quantity.sum()), encounters)


def _visit_times(truths: "Truths") -> None:
    """Durations between two times of a visit, where both are there and in order, and how often they are."""
    story, tally = truths.story, truths.tally
    visits, booked = story.encounters, story.appointments
    appointment = visits.appointment
    by = [truths.month(visits.started_day), truths.unit(booked.clinic[appointment])]
    classes = np.array([item.encounter_class for item in VISIT_TYPES])[booked.visit_type[appointment]]
    timed = (classes == "AMB") & (visits.ended >= 0)
    steps = {
        "room_to_provider": ("room_to_provider_minutes", visits.roomed, visits.provider_in),
        "provider_time": ("provider_minutes", visits.provider_in, visits.provider_out),
        "room_time": ("room_minutes", visits.roomed, visits.room_out),
        "cycle_time": ("cycle_time_minutes_from_check_in", visits.checked_in, visits.checked_out),
    }
    for name, (metric, begin, end) in steps.items():
        has_both_times = (begin >= 0) & (end >= begin)
        spent = np.where(has_both_times, end - begin, 0)
        tally.ratio(metric, spent, has_both_times, by, unit=60)
        if name != "cycle_time":
            tally.median(f"{metric}_median", spent[has_both_times], unit=60)
        tally.ratio(f"{name}_completeness_rate", has_both_times & timed, timed, by)


def _booking(truths: "Truths") -> None:
    """Lead times from other starts, chains of moved appointments, and appointments in the future."""
    story, tally = truths.story, truths.tally
    booked = story.appointments
    day, booked_day = booked.start_local // DAY, booked.booked_local // DAY
    wish = np.maximum(day - np.arange(len(booked)) % 4, booked_day)
    planned = ~booked.walk_in
    by = [truths.month(day), truths.unit(booked.clinic), *truths.payers(booked.payer)]
    tally.ratio("lead_time_days_from_requested", np.where(planned, day - wish, 0), planned, by)
    done = planned & (booked.status == COMPLETED)
    tally.ratio("lead_time_days_completed", np.where(done, day - booked_day, 0), done, by)
    tally.total("booking_chains", booked.parent < 0, by)
    to_come = booked.status == SCHEDULED
    tally.total("backlog_appointments", to_come, by)
    tally.total("backlog_deferred_appointments", to_come & planned & (wish < day), by)


def _slots(truths: "Truths") -> None:
    """How full the slots were at every look, and at the last one with those held back in the base."""
    tally, slots = truths.tally, access.draw_slots(truths.story)
    taken, free = slots.status == access.BOOKED, slots.status == access.FREE
    tally.totals["booked_slot_looks"] = str(int(taken.sum()))
    tally.totals["slot_looks"] = str(int((taken | free).sum()))
    tally.totals["fill_curve_rate"] = quotient(int(taken.sum()), int((taken | free).sum()))
    key = (slots.provider * 100_000 + slots.day) * 10 + slots.place
    last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
    status = slots.status[last]
    tally.totals["fill_rate_with_held"] = quotient(
        int((status == access.BOOKED).sum()), int((status != access.BLOCKED).sum())
    )
    tally.totals["booked_slot_hours"] = quotient(int((status == access.BOOKED).sum()), 2)
    offered = int(np.isin(status, (access.BOOKED, access.FREE)).sum())
    tally.totals["fill_rate_hours"] = quotient(int((status == access.BOOKED).sum()), offered)


def _third_next_available(truths: "Truths") -> None:
    """The third open slot of each schedule (provider, and slots kept for new patients or not) at each look."""
    tally, slots = truths.tally, access.draw_slots(truths.story)
    kept_for_new = (slots.place == 0).astype(np.int64)
    schedule = (slots.snapshot * 1_000 + slots.provider) * 2 + kept_for_new
    for name, open_statuses in (
        ("third_next_available_days", (access.FREE,)),
        ("third_next_available_days_with_held", (access.FREE, access.HELD)),
    ):
        chosen = np.flatnonzero(np.isin(slots.status, open_statuses))
        chosen = chosen[np.lexsort((slots.place[chosen], slots.day[chosen], schedule[chosen]))]
        begins = np.flatnonzero(np.diff(schedule[chosen], prepend=-1))
        enough = np.diff(np.append(begins, len(chosen))) >= 3
        third = chosen[begins[enough] + 2]
        waited = slots.day[third] - slots.snapshot[third]
        tally.totals[name] = quotient(int(waited.sum()), len(third))
        if name == "third_next_available_days":
            tally.median("third_next_available_days_median", waited)
            begin = slots.snapshot[third].astype("datetime64[D]") + 1
            weekdays = np.busday_count(begin, slots.day[third].astype("datetime64[D]") + 1)
            tally.totals["third_next_available_days_business"] = quotient(int(weekdays.sum()), len(third))
