"""The tables of the PM database that hold appointments, visits and money, as text frames. Columns as in pm_schema.sql."""

import numpy as np
import polars as pl

from clinicmart.sample import balances, inpatient
from clinicmart.sample.catalogue import VISIT_TYPES
from clinicmart.sample.charges import VOID
from clinicmart.sample.clock import DAY
from clinicmart.sample.codes import CODES, TELEHEALTH_MODIFIER
from clinicmart.sample.story import Story
from clinicmart.sample.structure import WARD_ID
from clinicmart.sample.text import dates, money, numbers, pick, timestamps
from clinicmart.sample.visits import ARRIVED, COMPLETED, INITIATORS, REASONS, SCHEDULED, STATUSES, reason_codes

VISIT_TYPE_IDS = [item.visit_type_id for item in VISIT_TYPES]
# An entry of the accounts counts from the afternoon of its day.
POSTED_AT = 22 * 3600


def some(ids: pl.Series, index: np.ndarray) -> pl.Series:
    """`ids[index]`, null where the index is negative."""
    return pl.concat([ids, pl.Series([None], dtype=pl.String)]).gather(np.where(index < 0, len(ids), index))


def changed_at(story: Story) -> np.ndarray:
    """When each appointment last changed, UTC seconds."""
    booked, visits = story.appointments, story.encounters
    changed = np.where(booked.status == SCHEDULED, booked.booked, booked.cancelled)
    changed[visits.appointment] = np.where(visits.ended < 0, visits.started, visits.ended)
    return changed


def encounter_of(story: Story) -> np.ndarray:
    """Index of each appointment's encounter, -1 for none."""
    encounters = np.full(len(story.appointments), -1)
    encounters[story.encounters.appointment] = np.arange(len(story.encounters))
    return encounters


def appointments(story: Story, referral_ids: pl.Series) -> pl.DataFrame:
    """One row per appointment; `referral_ids` null where it fulfils none."""
    booked, group = story.appointments, story.group
    start_day = booked.start_local // DAY
    wish = np.where(booked.walk_in, -1, start_day - (np.arange(len(booked)) % 4))
    return pl.DataFrame(
        {
            "appointment_id": story.appointment_ids,
            "medical_record_number": story.people.record_numbers.gather(booked.patient),
            "service_unit_id": pick(group.clinic_ids, booked.clinic),
            "provider_id": pick(group.provider_ids, booked.provider),
            "visit_type_id": pick(VISIT_TYPE_IDS, booked.visit_type),
            "payer_id": pick(group.payer_ids, booked.payer),
            "encounter_id": some(story.encounter_ids, encounter_of(story)),
            "referral_id": referral_ids,
            "rescheduled_from_appointment_id": some(story.appointment_ids, booked.parent),
            "status": pick(STATUSES, booked.status),
            "cancel_initiator": pick(INITIATORS, booked.initiator),
            "cancel_reason_code": pick(REASONS, reason_codes(booked)),
            "is_walk_in": booked.walk_in.astype(np.int64),
            "is_telehealth": booked.telehealth.astype(np.int64),
            "booked_at": timestamps(booked.booked),
            "requested_date": dates(np.maximum(wish, np.where(wish < 0, -1, booked.booked_local // DAY))),
            "scheduled_start_at": timestamps(booked.start),
            "scheduled_end_at": timestamps(booked.start + booked.minutes * 60),
            "cancelled_at": timestamps(booked.cancelled),
            "updated_at": timestamps(changed_at(story)),
        }
    )


def appointment_status_history(story: Story) -> pl.DataFrame:
    """Booked, arrived, and how it ended: up to three rows an appointment."""
    booked, visits = story.appointments, story.encounters
    here = np.arange(len(booked))
    ended = np.flatnonzero(booked.cancelled >= 0)
    over = visits.ended >= 0
    index = np.concatenate([here, ended, visits.appointment, visits.appointment[over]])
    kept = np.repeat(
        [SCHEDULED, -1, ARRIVED, COMPLETED], [len(here), len(ended), len(visits.appointment), int(over.sum())]
    )
    status = np.where(kept < 0, booked.status[index], kept)
    when = np.concatenate([booked.booked, booked.cancelled[ended], visits.started, visits.ended[over]])
    number = np.concatenate([np.ones(len(here)), np.full(len(index) - len(here), 2)]).astype(np.int64)
    number[len(index) - int(over.sum()) :] = 3
    order = np.lexsort((number, index))
    index, status, when, number = index[order], status[order], when[order], number[order]
    turned = kept[order] < 0
    return pl.DataFrame(
        {
            "appointment_event_id": story.appointment_ids.gather(index) + "-" + numbers(number),
            "appointment_id": story.appointment_ids.gather(index),
            "status": pick(STATUSES, status),
            "initiator": pick(INITIATORS, np.where(turned, booked.initiator[index], -1)),
            "reason_code": pick(REASONS, np.where(turned, reason_codes(booked)[index], -1)),
            "scheduled_start_at": timestamps(booked.start[index]),
            "occurred_at": timestamps(when),
            "updated_at": timestamps(when),
        }
    )


def encounters(story: Story) -> pl.DataFrame:
    """Visits, then the stays in the ward."""
    booked, visits, stays, group = story.appointments, story.encounters, story.stays, story.group
    appointment = visits.appointment
    classes = [item.encounter_class for item in VISIT_TYPES]
    gone = stays.discharged >= 0
    none = np.full(len(stays), -1)
    ended_by = np.where(gone, inpatient.dispositions(np.arange(len(stays))), -1)
    return pl.DataFrame(
        {
            "encounter_id": pl.concat([story.encounter_ids, story.stay_ids]),
            "medical_record_number": story.people.record_numbers.gather(
                np.concatenate([booked.patient[appointment], stays.patient])
            ),
            "service_unit_id": pl.concat(
                [pick(group.clinic_ids, booked.clinic[appointment]), pick([WARD_ID], none + 1)]
            ),
            "provider_id": pick(group.provider_ids, np.concatenate([booked.provider[appointment], stays.provider])),
            "payer_id": pick(group.payer_ids, np.concatenate([booked.payer[appointment], stays.payer])),
            "visit_type_id": pick(VISIT_TYPE_IDS, np.concatenate([booked.visit_type[appointment], none])),
            "appointment_id": some(story.appointment_ids, np.concatenate([appointment, none])),
            "encounter_class": pl.concat([pick(classes, booked.visit_type[appointment]), pick(["IMP"], none + 1)]),
            "status": pick(["finished", "in_progress"], np.concatenate([visits.ended < 0, ~gone])),
            "admission_source": pl.concat(
                [pick([], np.full(len(appointment), -1)), pick(["1", "7"], np.arange(len(stays)) % 2)]
            ),
            "discharge_disposition": pl.concat(
                [pick([], np.full(len(appointment), -1)), pick(inpatient.DISPOSITIONS, ended_by)]
            ),
            "started_at": timestamps(np.concatenate([visits.started, stays.admitted])),
            "ended_at": timestamps(np.concatenate([visits.ended, stays.discharged])),
            "signed_at": timestamps(np.concatenate([signed(story), none])),
            "updated_at": timestamps(
                np.concatenate([np.maximum(visits.started, visits.ended), np.maximum(stays.admitted, stays.discharged)])
            ),
        }
    )


def signed(story: Story) -> np.ndarray:
    """When the notes were signed; -1 where that is still to come."""
    signed_at = story.encounters.signed
    return np.where(signed_at >= (story.calendar.as_of + 1) * DAY, -1, signed_at)


def encounter_timestamps(story: Story) -> pl.DataFrame:
    """The six times of each visit."""
    visits = story.encounters
    return pl.DataFrame(
        {
            "encounter_id": story.encounter_ids,
            "checked_in_at": timestamps(visits.checked_in),
            "roomed_at": timestamps(visits.roomed),
            "provider_in_at": timestamps(visits.provider_in),
            "provider_out_at": timestamps(visits.provider_out),
            "room_out_at": timestamps(visits.room_out),
            "checked_out_at": timestamps(visits.checked_out),
            "updated_at": timestamps(np.maximum(visits.started, visits.ended)),
        }
    )


def admit_decisions(story: Story) -> pl.DataFrame:
    """When it was decided to admit those who came through the emergency department."""
    decisions = inpatient.draw_admit_decisions(story.rng("boarding"), story.stays)
    decided = timestamps(decisions.decided)
    return pl.DataFrame(
        {"encounter_id": story.stay_ids.gather(decisions.stay), "decided_at": decided, "updated_at": decided}
    )


def line_controls(story: Story) -> pl.Series:
    """Line control numbers of all charge lines; null where the line is on no claim."""
    claim = story.charges.claim
    return some(story.claim_ids, claim) + "-" + numbers(story.charges.line)


def charges(story: Story) -> pl.DataFrame:
    """One row per charge line."""
    lines, group, booked = story.charges, story.group, story.appointments
    appointment = story.encounters.appointment[lines.encounter]
    sent = np.append(story.claims.submitted, -1)[lines.claim]
    places = [item.place_of_service for item in VISIT_TYPES]
    return pl.DataFrame(
        {
            "charge_id": story.charge_ids,
            "encounter_id": story.encounter_ids.gather(lines.encounter),
            "claim_id": some(story.claim_ids, lines.claim),
            "line_control_number": line_controls(story),
            "medical_record_number": story.people.record_numbers.gather(booked.patient[appointment]),
            "service_unit_id": pick(group.clinic_ids, booked.clinic[appointment]),
            "provider_id": pick(group.provider_ids, booked.provider[appointment]),
            "payer_id": pick(group.payer_ids, booked.payer[appointment]),
            "procedure_code": pick(CODES, lines.code),
            "modifiers": pick([TELEHEALTH_MODIFIER], np.where(lines.remote, 0, -1)),
            "revenue_code": pick([], np.full(len(lines), -1)),
            "place_of_service": pick(places, booked.visit_type[appointment]),
            "reversal_of_charge_id": some(story.charge_ids, lines.reverses),
            "status": pick(["posted", "void"], lines.kind == VOID),
            "units": numbers(lines.units),
            "billed_amount": money(lines.billed),
            "service_date": dates(lines.service_day),
            "posted_date": dates(lines.entered_day),
            "entered_at": timestamps(lines.entered),
            "updated_at": timestamps(np.maximum(lines.entered, sent)),
        }
    )


def submission_ids(story: Story) -> pl.Series:
    """<claim>-<number of the submission>."""
    sent = story.submissions
    return story.claim_ids.gather(sent.claim) + "-" + numbers(sent.number)


def submitted_at(story: Story) -> np.ndarray:
    """UTC seconds of every submission: the clock time of the first, on the day of this one."""
    sent, claims = story.submissions, story.claims
    local = sent.day * DAY + 17 * 3600 + sent.claim % 7200
    return np.where(sent.number == 1, claims.submitted[sent.claim], story.zones.to_utc(local, 0))


def replaced_numbers(story: Story) -> pl.Series:
    """The payer's number of the claim that a replacement replaces or a void voids; null for the others."""
    sent = story.submissions
    numbers_ = story.control_numbers(sent.claim, story.claims.payer[sent.claim], np.ones(len(sent), np.int64))
    return some(numbers_, np.where(sent.frequency > 1, np.arange(len(sent)), -1))


def claims(story: Story) -> pl.DataFrame:
    """One row per submission."""
    sent, bills, group, booked = story.submissions, story.claims, story.group, story.appointments
    appointment = story.encounters.appointment[bills.encounter[sent.claim]]
    day = dates(bills.service_day[sent.claim])
    when = timestamps(submitted_at(story))
    places = [item.place_of_service for item in VISIT_TYPES]
    return pl.DataFrame(
        {
            "claim_submission_id": submission_ids(story),
            "claim_id": story.claim_ids.gather(sent.claim),
            "encounter_id": story.encounter_ids.gather(bills.encounter[sent.claim]),
            "medical_record_number": story.people.record_numbers.gather(booked.patient[appointment]),
            "payer_id": pick(group.payer_ids, sent.payer),
            "service_unit_id": pick(group.clinic_ids, booked.clinic[appointment]),
            "provider_id": pick(group.provider_ids, booked.provider[appointment]),
            "billing_provider_npi": pick([group.billing_npi], np.zeros(len(sent))),
            "claim_type": pick(["professional"], np.zeros(len(sent))),
            "frequency_code": numbers(sent.frequency),
            "payer_sequence": pick(["primary", "secondary"], sent.is_secondary),
            "original_payer_claim_control_number": replaced_numbers(story),
            "place_of_service": pick(places, booked.visit_type[appointment]),
            "billed_amount": money(bills.billed[sent.claim]),
            "service_from_date": day,
            "service_to_date": day,
            "submitted_at": when,
            "updated_at": when,
        }
    )


def claim_lines(story: Story) -> pl.DataFrame:
    """One row per line of a submission."""
    sent, bills, lines = story.submissions, story.claims, story.charges
    count = bills.lines[sent.claim]
    owner = np.repeat(np.arange(len(sent)), count)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    charge = bills.first_line[sent.claim][owner] + offset
    appointment = story.encounters.appointment[lines.encounter[charge]]
    places = [item.place_of_service for item in VISIT_TYPES]
    day = dates(lines.service_day[charge])
    return pl.DataFrame(
        {
            "claim_submission_id": submission_ids(story).gather(owner),
            "line_number": lines.line[charge],
            "claim_id": story.claim_ids.gather(sent.claim[owner]),
            "line_control_number": line_controls(story).gather(charge),
            "charge_id": story.charge_ids.gather(charge),
            "encounter_id": story.encounter_ids.gather(lines.encounter[charge]),
            "procedure_code": pick(CODES, lines.code[charge]),
            "modifiers": pick([TELEHEALTH_MODIFIER], np.where(lines.remote[charge], 0, -1)),
            "revenue_code": pick([], np.full(len(charge), -1)),
            "place_of_service": pick(places, story.appointments.visit_type[appointment]),
            "units": numbers(lines.units[charge]),
            "billed_amount": money(lines.billed[charge]),
            "service_date": day,
            "service_to_date": day,
            "updated_at": timestamps(submitted_at(story)).gather(owner),
        }
    )


def patient_payments(story: Story) -> pl.DataFrame:
    """One row per payment or refund."""
    paid, lines, booked = story.balances.payments, story.charges, story.appointments
    encounter = lines.encounter[paid.charge]
    appointment = story.encounters.appointment[encounter]
    day = dates(paid.day)
    return pl.DataFrame(
        {
            "patient_payment_id": "P" + numbers(np.arange(1, len(paid) + 1), 8),
            "medical_record_number": story.people.record_numbers.gather(booked.patient[appointment]),
            "encounter_id": story.encounter_ids.gather(encounter),
            "claim_id": some(story.claim_ids, lines.claim[paid.charge]),
            "charge_id": story.charge_ids.gather(paid.charge),
            "service_unit_id": pick(story.group.clinic_ids, booked.clinic[appointment]),
            "payment_method": pick(balances.METHODS, paid.kind),
            "is_point_of_service": paid.at_visit.astype(np.int64),
            "payment_amount": money(paid.amount),
            "paid_date": day,
            "posted_date": day,
            "updated_at": timestamps(paid.day * DAY + POSTED_AT),
        }
    )


def adjustments(story: Story) -> pl.DataFrame:
    """One row per write-off."""
    entries = story.balances.adjustments
    day = dates(entries.day)
    return pl.DataFrame(
        {
            "adjustment_id": "J" + numbers(np.arange(1, len(entries) + 1), 8),
            "charge_id": story.charge_ids.gather(entries.charge),
            "claim_id": some(story.claim_ids, story.charges.claim[entries.charge]),
            "adjustment_type": pick(balances.TYPES, entries.kind),
            "reason_code": pick(balances.REASONS, entries.kind),
            "adjustment_amount": money(entries.amount),
            "adjusted_date": day,
            "posted_date": day,
            "updated_at": timestamps(entries.day * DAY + POSTED_AT),
        }
    )
