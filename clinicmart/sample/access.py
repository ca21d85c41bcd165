"""Tables around the schedule: slots, reminders, referrals, authorisations, sessions, supplies, the ledger."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample import codes
from clinicmart.sample.adjudication import total_by
from clinicmart.sample.catalogue import SELF_PAY, VISIT_TYPES
from clinicmart.sample.charges import VOID
from clinicmart.sample.clock import DAY, as_date, day_number
from clinicmart.sample.pm_tables import VISIT_TYPE_IDS, some
from clinicmart.sample.story import Story
from clinicmart.sample.text import dates, money, numbers, pick, timestamps

SNAPSHOT_DAYS, SLOT_DAYS = 30, 28
SLOT_STATUSES = ("free", "booked", "held", "blocked")
FREE, BOOKED, HELD, BLOCKED = range(4)
NEW = 0


@dataclass(kw_only=True)
class Slots:
    """One element per slot and snapshot, in order of snapshot, provider, day and place in the day."""

    snapshot: np.ndarray
    provider: np.ndarray
    day: np.ndarray
    place: np.ndarray
    status: np.ndarray
    per_day: int


def draw_slots(story: Story) -> Slots:
    """Snapshots on each of the last thirty days, each of the next four weeks, for at most 60 providers: bounded for any size of
    sample."""
    booked, calendar = story.appointments, story.calendar
    doctors = len(story.group.provider_ids) - len(story.group.hospitalists)
    shown = min(doctors, max(8, len(booked) // 100), 60)
    working_days = 21 * 19
    per_day = int(np.clip(np.ceil(len(booked) / doctors / working_days * 1.25), 3, 8))
    first_day = calendar.as_of - SNAPSHOT_DAYS + 2
    span = SNAPSHOT_DAYS + SLOT_DAYS - 1
    day = booked.start_local // DAY
    mine = np.flatnonzero((booked.provider < shown) & (day >= first_day) & (day < first_day + span))
    cell = booked.provider[mine] * span + day[mine] - first_day
    booked_day, gone_day = booked.booked_local[mine] // DAY, booked.cancelled_local[mine] // DAY
    gone_day = np.where(booked.cancelled_local[mine] < 0, np.iinfo(np.int64).max, gone_day)
    provider, offset, place = (axis.ravel() for axis in np.indices((shown, SLOT_DAYS, per_day)))
    parts = []
    for snapshot in range(calendar.as_of - SNAPSHOT_DAYS + 1, calendar.as_of + 1):
        target = snapshot + 1 + offset
        open_ = ~calendar.closed[target - calendar.first]
        here, when, where = provider[open_], target[open_], place[open_]
        active = np.bincount(cell[(booked_day <= snapshot) & (gone_day > snapshot)], minlength=shown * span)
        busy = active[here * span + when - first_day]
        # The order in which the places of a day fill up differs by provider and day.
        turn = (where + here + when) % per_day
        status = np.where(turn < busy, BOOKED, FREE)
        status = np.where((status == FREE) & ((here * 7 + where + when) % 11 == 0), HELD, status)
        status = np.where((status == FREE) & ((here + when) % 17 == 0), BLOCKED, status)
        parts.append((np.full(len(here), snapshot), here, when, where, status))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Slots(
        snapshot=columns[0], provider=columns[1], day=columns[2], place=columns[3], status=columns[4], per_day=per_day
    )


def slots(story: Story, drawn_slots: Slots) -> pl.DataFrame:
    """One row per slot and snapshot day."""
    group = story.group
    clinic = group.provider_clinics[drawn_slots.provider, 0]
    local = drawn_slots.day * DAY + 8 * 3600 + drawn_slots.place * (9 * 3600 // drawn_slots.per_day) // 900 * 900
    start = story.zones.to_utc(local, group.clinic_zone[clinic])
    provider = pick(group.provider_ids, drawn_slots.provider)
    evening = story.zones.to_utc(drawn_slots.snapshot * DAY + 16 * 3600, 0)
    return pl.DataFrame(
        {
            "slot_id": "T"
            + numbers(drawn_slots.provider + 1, 3)
            + "-"
            + numbers(drawn_slots.day)
            + "-"
            + numbers(drawn_slots.place),
            "snapshot_date": dates(drawn_slots.snapshot),
            "service_unit_id": pick(group.clinic_ids, clinic),
            "provider_id": provider,
            "visit_type_id": pick(VISIT_TYPE_IDS, np.where(drawn_slots.place == 0, NEW, -1)),
            "status": pick(SLOT_STATUSES, drawn_slots.status),
            "start_at": timestamps(start),
            "end_at": timestamps(start + 1800),
            "updated_at": timestamps(evening),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Reminders:
    """One element per reminder: index of the appointment, of REMINDER_CHANNELS and REMINDER_OUTCOMES, when it was sent."""

    appointment: np.ndarray
    channel: np.ndarray
    outcome: np.ndarray
    sent: np.ndarray


REMINDER_CHANNELS = ("text", "text", "text", "email", "phone")
REMINDER_OUTCOMES = ("confirmed", "delivered", "failed", "declined")


def draw_reminders(story: Story) -> Reminders:
    """A reminder two days ahead for most booked visits."""
    booked, rng = story.appointments, story.rng("reminders")
    sent = story.zones.to_utc((booked.start_local // DAY - 2) * DAY + 15 * 3600, booked.zone)
    cut_off = story.zones.to_utc(np.array([story.calendar.as_of * DAY + 20 * 3600]), 0)[0]
    alive = (booked.cancelled < 0) | (booked.cancelled > sent)
    chosen = np.flatnonzero((sent > booked.booked) & alive & (sent <= cut_off) & (rng.random(len(booked)) < 0.8))
    channel, outcome = rng.integers(0, 5, len(chosen)), rng.random(len(chosen))
    return Reminders(
        appointment=chosen,
        channel=channel,
        outcome=np.searchsorted([0.55, 0.93, 0.98], outcome),
        sent=sent[chosen],
    )


def reminders(story: Story) -> pl.DataFrame:
    """One row per reminder."""
    drawn = draw_reminders(story)
    when = timestamps(drawn.sent)
    return pl.DataFrame(
        {
            "reminder_id": "R" + numbers(np.arange(1, len(drawn.sent) + 1), 7),
            "appointment_id": story.appointment_ids.gather(drawn.appointment),
            "channel": pick(REMINDER_CHANNELS, drawn.channel),
            "outcome": pick(REMINDER_OUTCOMES, drawn.outcome),
            "sent_at": when,
            "updated_at": when,
        }
    )


REFERRAL_STATES = (
    "ordered",
    "authorized",
    "scheduled",
    "attended",
    "reported",
    "expired",
    "cancelled",
    "out_of_network",
)
REFERRAL_DAYS = 90


@dataclass(frozen=True, kw_only=True)
class Referrals:
    """One element per referral. The first `kept` ones were fulfilled by their appointment `source`; the others take only patient and
    place from it. `state` is an index of REFERRAL_STATES, `ordered_day` the local day; times are UTC seconds (-1: never)."""

    kept: int
    source: np.ndarray
    state: np.ndarray
    ordered_day: np.ndarray
    ordered: np.ndarray
    authorized: np.ndarray
    partner: np.ndarray
    provider: np.ndarray


def draw_referrals(story: Story) -> Referrals:
    """Draws referrals. A third of the visits of new patients fulfil one."""
    booked, rng, group = story.appointments, story.rng("referrals"), story.group
    new = np.array([item.is_new for item in VISIT_TYPES])[booked.visit_type]
    kept = np.flatnonzero(new & (booked.parent < 0) & (rng.random(len(booked)) < 0.35))
    lost = np.flatnonzero(new & (rng.random(len(booked)) < 0.1))
    source = np.concatenate([kept, lost])
    size = len(source)
    done = np.isin(booked.status[source], (1, 2))
    fate = np.where(done, np.where(rng.random(size) < 0.5, 3, 4), 2)
    fate[len(kept) :] = rng.choice([0, 5, 6, 7], len(lost))
    local = np.maximum(booked.booked_local[source] // DAY - rng.integers(1, 15, size), story.calendar.first - 300)
    ordered = story.zones.to_utc(local * DAY + rng.integers(9 * 3600, 16 * 3600, size), booked.zone[source])
    authorized = np.where((fate >= 1) & (fate <= 4), ordered + 20 * 3600, -1)
    authorized = np.where(authorized > booked.booked[source], ordered + 600, authorized)
    return Referrals(
        kept=len(kept),
        source=source,
        state=fate,
        ordered_day=local,
        ordered=ordered,
        authorized=authorized,
        partner=rng.integers(-3, 6, size),
        provider=rng.integers(0, len(group.provider_ids), size),
    )


def referrals(story: Story) -> tuple[pl.DataFrame, pl.Series]:
    """One row per referral; and the referral id of each appointment."""
    booked, group, drawn = story.appointments, story.group, draw_referrals(story)
    source, ordered, authorized = drawn.source, drawn.ordered, drawn.authorized
    ids = "F" + numbers(np.arange(1, len(source) + 1), 7)
    of_appointment = np.full(len(booked), -1)
    of_appointment[source[: drawn.kept]] = np.arange(drawn.kept)
    frame = pl.DataFrame(
        {
            "referral_id": ids,
            "medical_record_number": story.people.record_numbers.gather(booked.patient[source]),
            "referral_partner_id": pick(codes.REFERRAL_PARTNERS, drawn.partner),
            "referring_provider_id": pick(group.provider_ids, drawn.provider),
            "service_unit_id": pick(group.clinic_ids, booked.clinic[source]),
            "visit_type_id": pick(VISIT_TYPE_IDS, booked.visit_type[source]),
            "status": pick(REFERRAL_STATES, drawn.state),
            "ordered_at": timestamps(ordered),
            "authorized_at": timestamps(authorized),
            "expires_at": timestamps(ordered + REFERRAL_DAYS * DAY),
            "updated_at": timestamps(np.maximum(ordered, authorized)),
        }
    )
    return frame, some(ids, of_appointment)


AUTHORIZATION_STATES = ("approved", "denied", "pended", "requested")
APPROVED, DENIED, PENDED, REQUESTED = range(4)
AUTHORIZED_CODES = ("Z2001", "Z2002", "Z2003")
AUTHORIZED_DAYS = 90
MOST_UNITS = 6


@dataclass(frozen=True, kw_only=True)
class Authorizations:
    """One element per authorisation: index of its appointment, of AUTHORIZED_CODES and of AUTHORIZATION_STATES, UTC seconds of the request
    and of the decision (-1: none), the first and the last local day on which it holds (-1: none), the units granted and used (0
    where the payer did not approve)."""

    appointment: np.ndarray
    code: np.ndarray
    state: np.ndarray
    requested: np.ndarray
    decided: np.ndarray
    valid_from: np.ndarray
    valid_to: np.ndarray
    units_approved: np.ndarray
    units_used: np.ndarray


def draw_authorizations(story: Story) -> Authorizations:
    """Most procedures ask the insurer for an authorisation. Some are used up, a few beyond what was granted."""
    booked, rng = story.appointments, story.rng("authorizations")
    procedure = np.array([item.is_procedure for item in VISIT_TYPES])[booked.visit_type]
    source = np.flatnonzero(procedure & (booked.payer != SELF_PAY) & (rng.random(len(booked)) < 0.7))
    size = len(source)
    asked = booked.booked[source]
    state = np.searchsorted([0.82, 0.92, 0.97], rng.random(size))
    decided = np.where(state <= DENIED, asked + rng.integers(1, 6, size) * DAY, -1)
    cut_off = story.zones.to_utc(np.array([story.calendar.as_of * DAY + 20 * 3600]), 0)[0]
    state = np.where(decided > cut_off, REQUESTED, state)
    decided = np.where(decided > cut_off, -1, decided)
    is_approved = state == APPROVED
    valid = np.where(is_approved, booked.start_local[source] // DAY - 30, -1)
    code = rng.integers(0, len(AUTHORIZED_CODES), size)
    # Another stream, so that what was drawn before units were counted stays as it was.
    counted = story.rng("authorization units")
    granted = counted.integers(1, MOST_UNITS + 1, size)
    used = counted.integers(0, granted + 1)
    used = np.where(counted.random(size) < 0.03, granted + 1, used)
    return Authorizations(
        appointment=source,
        code=code,
        state=state,
        requested=asked,
        decided=decided,
        valid_from=valid,
        valid_to=np.where(valid < 0, -1, valid + AUTHORIZED_DAYS),
        units_approved=np.where(is_approved, granted, 0),
        units_used=np.where(is_approved, used, 0),
    )


def authorizations(story: Story) -> pl.DataFrame:
    """One row per authorisation."""
    booked, group, drawn = story.appointments, story.group, draw_authorizations(story)
    source, is_approved = drawn.appointment, drawn.state == APPROVED
    counts = [str(number) for number in range(MOST_UNITS + 2)]
    return pl.DataFrame(
        {
            "authorization_id": "Q" + numbers(np.arange(1, len(source) + 1), 7),
            "medical_record_number": story.people.record_numbers.gather(booked.patient[source]),
            "payer_id": pick(group.payer_ids, booked.payer[source]),
            "service_unit_id": pick(group.clinic_ids, booked.clinic[source]),
            "procedure_code": pick(AUTHORIZED_CODES, drawn.code),
            "status": pick(AUTHORIZATION_STATES, drawn.state),
            "units_approved": pick(counts, np.where(is_approved, drawn.units_approved, -1)),
            "units_used": pick(counts, np.where(is_approved, drawn.units_used, -1)),
            "requested_at": timestamps(drawn.requested),
            "decided_at": timestamps(drawn.decided),
            "valid_from": dates(drawn.valid_from),
            "valid_to": dates(drawn.valid_to),
            "updated_at": timestamps(np.maximum(drawn.requested, drawn.decided)),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """One element per half-day of a provider in a clinic; `afternoon` is 0 or 1, the day is local."""

    provider: np.ndarray
    clinic: np.ndarray
    day: np.ndarray
    afternoon: np.ndarray


def draw_sessions(story: Story) -> Sessions:
    """Half-day sessions that took place: four hours of a provider in a clinic, with at least one visit."""
    booked, visits = story.appointments, story.encounters
    appointment = visits.appointment
    afternoon = (booked.start_local[appointment] % DAY >= 12 * 3600 + 1800).astype(np.int64)
    keys = np.unique(
        (
            (booked.start_local[appointment] // DAY * 1000 + booked.provider[appointment]) * 100
            + booked.clinic[appointment]
        )
        * 2
        + afternoon
    )
    afternoon, remaining = keys % 2, keys // 2
    clinic, remaining = remaining % 100, remaining // 100
    return Sessions(provider=remaining % 1000, clinic=clinic, day=remaining // 1000, afternoon=afternoon)


def staff_shifts(story: Story) -> pl.DataFrame:
    """One row per session."""
    group, sessions = story.group, draw_sessions(story)
    provider, clinic, day, afternoon = sessions.provider, sessions.clinic, sessions.day, sessions.afternoon
    start = story.zones.to_utc(day * DAY + np.where(afternoon == 1, 13, 8) * 3600, group.clinic_zone[clinic])
    end = timestamps(start + 4 * 3600)
    return pl.DataFrame(
        {
            "staff_shift_id": "H" + numbers(np.arange(1, len(day) + 1), 7),
            "service_unit_id": pick(group.clinic_ids, clinic),
            "provider_id": pick(group.provider_ids, provider),
            "staff_role": pick(["provider"], np.zeros(len(day))),
            "is_clinical": np.ones(len(day), np.int64),
            "started_at": timestamps(start),
            "ended_at": end,
            "updated_at": end,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Supplies:
    """One element per usage: index of the visit and of SUPPLIES, the quantity, its cost in cents."""

    visit: np.ndarray
    item: np.ndarray
    quantity: np.ndarray
    cost: np.ndarray


def draw_supplies(story: Story) -> Supplies:
    """Supplies used in a tenth of the visits."""
    visits, rng = story.encounters, story.rng("supplies")
    source = np.flatnonzero(rng.random(len(visits)) < 0.1)
    item = rng.integers(0, len(codes.SUPPLIES), len(source))
    quantity = rng.integers(1, 4, len(source))
    cost = np.array([supply[2] for supply in codes.SUPPLIES])[item] * quantity
    return Supplies(visit=source, item=item, quantity=quantity, cost=cost)


def inventory_usage(story: Story) -> pl.DataFrame:
    """One row per usage."""
    visits, booked, supplies = story.encounters, story.appointments, draw_supplies(story)
    source, item = supplies.visit, supplies.item
    used = timestamps(visits.started[source] + 1200)
    return pl.DataFrame(
        {
            "inventory_usage_id": "I" + numbers(np.arange(1, len(source) + 1), 7),
            "service_unit_id": pick(story.group.clinic_ids, booked.clinic[visits.appointment[source]]),
            "encounter_id": story.encounter_ids.gather(source),
            "item_code": pick([supply[0] for supply in codes.SUPPLIES], item),
            "item_name": pick([supply[1] for supply in codes.SUPPLIES], item),
            "quantity": numbers(supplies.quantity),
            "cost_amount": money(supplies.cost),
            "used_at": used,
            "updated_at": used,
        }
    )


def ledger_entries(story: Story) -> pl.DataFrame:
    """Month-end entries of the group: net revenue, contractual allowance, the cost of the billing office."""
    lines, calendar = story.charges, story.calendar
    month = np.array([as_date(day).year * 12 + as_date(day).month for day in range(calendar.first, calendar.as_of + 1)])
    month -= month[0]
    of_line = month[lines.service_day - calendar.first]
    size = int(month[-1]) + 1
    billed = total_by(of_line, np.where(lines.kind == VOID, 0, lines.billed), size)
    contractual = total_by(of_line, story.balances.contractual, size)
    kinds = (
        ("4000", "Net patient service revenue", "net_patient_service_revenue", billed - contractual),
        ("4100", "Contractual allowances", "contractual_allowance", contractual),
        ("6200", "Billing office", "revenue_cycle_cost", (billed - contractual) * 4 // 100),
    )
    first = as_date(calendar.first)
    rows = []
    for index in range(size):
        following = first.year * 12 + first.month + index
        month_end = day_number(first.replace(year=following // 12, month=following % 12 + 1)) - 1
        if month_end <= calendar.as_of:
            rows += [(code, name, kind, int(amounts[index]), month_end) for code, name, kind, amounts in kinds]
    day = np.array([row[4] for row in rows], np.int64)
    return pl.DataFrame(
        {
            "ledger_entry_id": "G" + numbers(np.arange(1, len(rows) + 1), 5),
            "account_code": pl.Series([row[0] for row in rows], dtype=pl.String),
            "account_name": pl.Series([row[1] for row in rows], dtype=pl.String),
            "entry_type": pl.Series([row[2] for row in rows], dtype=pl.String),
            "service_unit_id": pick(["ORG"], np.zeros(len(rows))),
            "entry_amount": money(np.array([row[3] for row in rows], np.int64)),
            "entry_date": dates(day),
            "updated_at": timestamps(day * DAY + 23 * 3600),
        }
    )
