"""Appointments and the visits that come of them.

Everything is drawn as arrays in order of the appointments' start. Times are seconds, local or UTC as the name says, -1 = never.
"""

from dataclasses import dataclass

import numpy as np

from clinicmart.sample.catalogue import SERVICE_LINES, URGENT, VISIT_TYPES
from clinicmart.sample.clock import DAY, FIRST_HOUR, HOURS, Calendar, Zones, times_of_day
from clinicmart.sample.people import DUPLICATES, People
from clinicmart.sample.structure import Group

SCHEDULED, ARRIVED, COMPLETED, CANCELLED, NO_SHOW, RESCHEDULED = range(6)
STATUSES = ("scheduled", "arrived", "completed", "cancelled", "no_show", "rescheduled")
PATIENT, CLINIC = 0, 1
INITIATORS = ("patient", "clinic")
RESCHEDULED_SHARE = 0.045
BAD_CLINIC_FACTOR = 3.0
_VISIT_INDEX = {item.visit_type_id: index for index, item in enumerate(VISIT_TYPES)}


@dataclass(kw_only=True)
class Appointments:
    """One element per appointment. `parent` and `child` are indexes of the rescheduling chain, -1 for none; `zone` is the clinic's."""

    clinic: np.ndarray
    provider: np.ndarray
    visit_type: np.ndarray
    patient: np.ndarray
    payer: np.ndarray
    zone: np.ndarray
    start_local: np.ndarray
    start: np.ndarray
    booked_local: np.ndarray
    booked: np.ndarray
    cancelled_local: np.ndarray
    cancelled: np.ndarray
    status: np.ndarray
    initiator: np.ndarray
    walk_in: np.ndarray
    parent: np.ndarray
    child: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    @property
    def minutes(self) -> np.ndarray:
        return np.array([item.minutes for item in VISIT_TYPES])[self.visit_type]

    @property
    def telehealth(self) -> np.ndarray:
        return np.array([item.encounter_class == "VR" for item in VISIT_TYPES])[self.visit_type]


def draw_appointments(
    rng: np.random.Generator, group: Group, people: People, calendar: Calendar, zones: Zones, count: int
) -> Appointments:
    """Exactly `count` appointments, those that replace a rescheduled one included (none of those below 200)."""
    moved = round(count * RESCHEDULED_SHARE) if count >= 200 else 0
    base = count - moved
    shares = np.cumsum(calendar.weights) / calendar.weights.sum()
    day = np.minimum(calendar.first + np.searchsorted(shares, rng.random(base), side="right"), calendar.last)
    provider, clinic, visit_type = _places(rng, group, base)
    day, time = _sessions(rng, group, calendar, provider, day, _start_time(rng, base))
    start = day * DAY + time
    walk_in = (visit_type == URGENT) & (rng.random(base) < 0.85) & (day <= calendar.as_of)
    booked = _booking(rng, visit_type, start, walk_in, calendar)
    status, initiator, cancelled = _outcomes(rng, group, clinic, visit_type, start, booked, walk_in, calendar)
    movable = np.flatnonzero((status != SCHEDULED) & ~walk_in & (start - booked > DAY) & (day < calendar.as_of))
    origin = np.sort(rng.permutation(movable)[:moved])
    status[origin], initiator[origin] = RESCHEDULED, np.where(rng.random(moved) < 0.7, PATIENT, CLINIC)
    cancelled[origin] = _moment_between(rng, booked[origin], start[origin], 3.0)

    later_day = calendar.open_day(start[origin] // DAY + 1 + rng.geometric(1 / 9, moved))
    later_start = later_day * DAY + start[origin] % DAY
    on_foot = np.zeros(moved, bool)
    later_status, later_initiator, later_cancelled = _outcomes(
        rng, group, clinic[origin], visit_type[origin], later_start, cancelled[origin], on_foot, calendar
    )
    of_base = np.concatenate([np.arange(base), origin])
    start_all = np.concatenate([start, later_start])
    order = np.lexsort((of_base, start_all))
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    parent, child = np.full(count, -1), np.full(count, -1)
    parent[place[base:]] = place[origin]
    child[place[origin]] = place[base:]
    patient = _patients(rng, people, base)

    def all_of(first: np.ndarray, later: np.ndarray) -> np.ndarray:
        return np.concatenate([first, later])[order]

    appointments = Appointments(
        clinic=clinic[of_base][order],
        provider=provider[of_base][order],
        visit_type=visit_type[of_base][order],
        patient=patient[of_base][order],
        payer=np.empty(0),
        zone=group.clinic_zone[clinic[of_base]][order],
        start_local=start_all[order],
        start=np.empty(0),
        booked_local=all_of(booked, cancelled[origin]),
        booked=np.empty(0),
        cancelled_local=all_of(cancelled, later_cancelled),
        cancelled=np.empty(0),
        status=all_of(status, later_status),
        initiator=all_of(initiator, later_initiator),
        walk_in=all_of(walk_in, on_foot),
        parent=parent,
        child=child,
    )
    return _finished(appointments, people, zones)


def _finished(appointments: Appointments, people: People, zones: Zones) -> Appointments:
    appointments.payer = people.payer_on(appointments.patient, appointments.start_local // DAY)
    appointments.start = zones.to_utc(appointments.start_local, appointments.zone)
    appointments.booked = zones.to_utc(appointments.booked_local, appointments.zone)
    appointments.cancelled = zones.to_utc(appointments.cancelled_local, appointments.zone)
    return appointments


def _places(rng: np.random.Generator, group: Group, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Provider, clinic and visit type of each appointment."""
    doctors = len(group.provider_ids) - len(group.hospitalists)
    line_of = group.clinic_line[group.provider_clinics[:doctors, 0]]
    weights = np.array([SERVICE_LINES[line].weight for line in line_of]) / np.bincount(line_of)[line_of]
    weights = weights * rng.uniform(0.7, 1.3, doctors)
    provider = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(size), side="right").clip(max=doctors - 1)
    second = rng.random(size) < 0.18
    clinic = group.provider_clinics[provider, second.astype(np.int64)]
    visit_type = np.zeros(size, np.int64)
    draw = rng.random(size)
    for index, line in enumerate(SERVICE_LINES):
        mine = line_of[provider] == index
        bounds = np.cumsum(list(line.mix.values()))
        kinds = np.array([_VISIT_INDEX[name] for name in line.mix])
        visit_type[mine] = kinds[
            np.searchsorted(bounds / bounds[-1], draw[mine], side="right").clip(max=len(kinds) - 1)
        ]
    return provider, clinic, visit_type


def _start_time(rng: np.random.Generator, size: int) -> np.ndarray:
    hours = FIRST_HOUR + np.searchsorted(np.cumsum(HOURS) / HOURS.sum(), rng.random(size), side="right")
    return np.minimum(hours, FIRST_HOUR + len(HOURS) - 1) * 3600 + rng.integers(0, 4, size) * 900


def _sessions(
    rng: np.random.Generator,
    group: Group,
    calendar: Calendar,
    provider: np.ndarray,
    day: np.ndarray,
    time: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Moves visits into their provider's half-days, about six visits each; urgent care keeps its hours and its weekends."""
    doctors = len(group.provider_ids) - len(group.hospitalists)
    weekly = len(day) / doctors / ((calendar.last - calendar.first) / 7)
    held = int(np.clip(np.ceil(weekly / 6), 1, 10))
    order = np.argsort(rng.random((doctors, 10)), axis=1)[:, :held]
    session = order[provider, rng.integers(0, held, len(day))]
    monday = day - (day + 3) % 7
    moved_day = monday + session // 2
    afternoon = session % 2 == 1
    hours = np.array([[8, 9, 9, 10, 10, 11], [13, 14, 14, 15, 15, 16]])
    hour = hours[afternoon.astype(np.int64), rng.integers(0, 6, len(day))]
    moved_time = hour * 3600 + time % 3600
    inside = (moved_day >= calendar.first) & (moved_day <= calendar.last)
    open_ = inside & ~calendar.closed[np.clip(moved_day, calendar.first, calendar.last) - calendar.first]
    urgent = np.array([line.name == "Urgent Care" for line in SERVICE_LINES])
    keeps = urgent[group.clinic_line[group.provider_clinics[provider, 0]]] | ~open_
    return np.where(keeps, day, moved_day), np.where(keeps, time, moved_time)


def _patients(rng: np.random.Generator, people: People, size: int) -> np.ndarray:
    """Some patients come often. The records that a merge will end take the place of their survivor once in a while."""
    patient = (people.count * rng.random(size) ** 1.5).astype(np.int64).clip(max=people.count - 1)
    for number in range(DUPLICATES):
        doubled = people.count + number
        survivor = int(people.final(np.array([doubled]))[0])
        theirs = np.flatnonzero(patient == survivor)
        if len(theirs) == 0:
            theirs = rng.integers(0, size, 2)
            patient[theirs] = survivor
        patient[theirs[number % 2 :: 3]] = doubled
    return patient


def _booking(
    rng: np.random.Generator, visit_type: np.ndarray, start: np.ndarray, walk_in: np.ndarray, calendar: Calendar
) -> np.ndarray:
    """Local time of booking: log-normal lead by visit type, never after the as-of day, before the start."""
    median = np.array([item.lead for item in VISIT_TYPES])[visit_type]
    lead = np.minimum(median * np.exp(rng.normal(0, 0.85, len(start))), 240).astype(np.int64)
    day = start // DAY - lead
    latest = calendar.as_of - rng.exponential(9, len(start)).astype(np.int64)
    day = np.where((start // DAY > calendar.as_of) & (day > calendar.as_of), latest, day)
    booked = np.minimum(day * DAY + times_of_day(rng, len(start), 7, 18), start - 1800)
    return np.where(walk_in, start - rng.integers(2, 20, len(start)) * 60, booked)


def _moment_between(rng: np.random.Generator, booked: np.ndarray, start: np.ndarray, days: float) -> np.ndarray:
    """A working-hours moment after the booking and before the start, `days` before it on average."""
    before = rng.exponential(days, len(start)).astype(np.int64)
    moment = (start // DAY - before) * DAY + times_of_day(rng, len(start), 7, 19)
    return np.clip(moment, booked + 60, start - 60)


def _outcomes(
    rng: np.random.Generator,
    group: Group,
    clinic: np.ndarray,
    visit_type: np.ndarray,
    start: np.ndarray,
    booked: np.ndarray,
    walk_in: np.ndarray,
    calendar: Calendar,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Status, initiator (-1 for none) and local time of cancellation or of being found missed."""
    size = len(start)
    lead = (start - booked) / DAY
    no_show = 0.052 * np.array([item.no_show for item in VISIT_TYPES])[visit_type] * (0.6 + np.minimum(lead, 40) / 40)
    no_show *= np.where(clinic == group.bad_clinic, BAD_CLINIC_FACTOR, 1.0)
    by_patient = 0.05 + 0.08 * np.minimum(lead, 45) / 45
    by_clinic = 0.025
    draw = rng.random(size)
    status = np.full(size, COMPLETED)
    status[draw < no_show + by_patient + by_clinic] = CANCELLED
    status[draw < no_show] = NO_SHOW
    initiator = np.where(status == CANCELLED, np.where(draw < no_show + by_patient, PATIENT, CLINIC), -1)
    cancelled = np.where(status == CANCELLED, _moment_between(rng, booked, start, 2.5), -1)
    cancelled = np.where(status == NO_SHOW, start + 1800, cancelled)
    today = start // DAY == calendar.as_of
    status[today & (rng.random(size) < 0.08)] = ARRIVED
    status[walk_in & (status != ARRIVED)] = COMPLETED
    future = start // DAY > calendar.as_of
    status[future] = SCHEDULED
    nothing = (status == COMPLETED) | (status == ARRIVED) | future
    return status, np.where(nothing, -1, initiator), np.where(nothing, -1, cancelled)


@dataclass(kw_only=True)
class Encounters:
    """One element per visit in order of its start, `appointment` its index. UTC seconds; `started_day` is the local day.

    The six times of a visit are as recorded: -1 where it was not taken, and a few are out of order.
    """

    appointment: np.ndarray
    started: np.ndarray
    started_day: np.ndarray
    ended: np.ndarray
    signed: np.ndarray
    checked_in: np.ndarray
    roomed: np.ndarray
    provider_in: np.ndarray
    provider_out: np.ndarray
    room_out: np.ndarray
    checked_out: np.ndarray

    def __len__(self) -> int:
        return len(self.appointment)


def draw_encounters(rng: np.random.Generator, booked: Appointments) -> Encounters:
    """A visit for each appointment that was kept; those that have only arrived are still open."""
    appointment = np.flatnonzero((booked.status == COMPLETED) | (booked.status == ARRIVED))
    size = len(appointment)
    arrived = booked.status[appointment] == ARRIVED
    walk_in, remote = booked.walk_in[appointment], booked.telehealth[appointment]
    start = booked.start[appointment]

    def minutes(values: np.ndarray) -> np.ndarray:
        return (values * 60).astype(np.int64)

    early = np.where(walk_in, 2, np.clip(rng.normal(-7, 8, size), -35, 25))
    checked_in = start + minutes(early)
    load = 1 + 0.5 * (((booked.start_local[appointment] % DAY) // 3600) % 5 == 0)
    roomed = np.maximum(checked_in, start - 300) + minutes(2 + np.minimum(rng.exponential(8 * load), 25))
    provider_in = np.maximum(roomed, start) + minutes(1 + np.minimum(rng.exponential(7 * load), 25))
    length = booked.minutes[appointment] * np.exp(rng.normal(-0.35, 0.25, size))
    provider_out = provider_in + minutes(np.clip(length, 4, 110))
    room_out = provider_out + minutes(1 + np.minimum(rng.exponential(3, size), 25))
    checked_out = room_out + minutes(1 + np.minimum(rng.exponential(4, size), 25))
    times = {
        "checked_in": checked_in,
        "roomed": np.where(remote, -1, roomed),
        "provider_in": provider_in,
        "provider_out": provider_out,
        "room_out": np.where(remote, -1, room_out),
        "checked_out": checked_out,
    }
    for name, missing in zip(times, (0.01, 0.04, 0.05, 0.07, 0.08, 0.03), strict=True):
        times[name] = np.where(rng.random(size) < missing, -1, times[name])
    swapped = rng.random(size) < 0.004
    times["checked_out"] = np.where(swapped & (times["checked_out"] >= 0), checked_in - 300, times["checked_out"])
    swapped = (rng.random(size) < 0.006) & (times["roomed"] >= 0)
    times["roomed"] = np.where(swapped, checked_in - 120, times["roomed"])
    for name in ("provider_out", "room_out", "checked_out"):
        times[name] = np.where(arrived, -1, times[name])
    signed = checked_out + minutes(10 + rng.exponential(900, size))
    return Encounters(
        appointment=appointment,
        started=checked_in,
        started_day=booked.start_local[appointment] // DAY,
        ended=np.where(arrived, -1, checked_out),
        signed=np.where(arrived, -1, signed),
        **times,
    )


def reason_codes(booked: Appointments) -> np.ndarray:
    """Index of REASONS by status, initiator and appointment; -1 for none."""
    kind = np.where(booked.initiator == PATIENT, np.arange(len(booked)) % 3, 3 + np.arange(len(booked)) % 2)
    return np.where(booked.initiator >= 0, kind, -1)


REASONS = ("PT-CONFLICT", "PT-BETTER", "PT-TRANSPORT", "CL-PROVIDER-OUT", "CL-OVERBOOKED")
