"""Stays in the ward: admission, moves between beds, discharge. UTC seconds; -1 = not yet."""

import heapq
from dataclasses import dataclass

import numpy as np

from clinicmart.sample.clock import DAY, Calendar, Zones
from clinicmart.sample.people import People
from clinicmart.sample.structure import Group

MEAN_DAYS = 4.4
# Discharge dispositions (UB-04): home, home care, another hospital, against advice, died.
DISPOSITIONS = ("01", "06", "02", "07", "20")
BOARDED_MEDIAN_MINUTES = 150


@dataclass(kw_only=True)
class Stays:
    """One element per stay in order of admission; `bed` and `later_bed` are labels from 1, `moved` when the bed changed."""

    patient: np.ndarray
    provider: np.ndarray
    payer: np.ndarray
    admitted: np.ndarray
    discharged: np.ndarray
    moved: np.ndarray
    bed: np.ndarray
    later_bed: np.ndarray

    def __len__(self) -> int:
        return len(self.patient)


def draw_stays(rng: np.random.Generator, group: Group, people: People, calendar: Calendar, zones: Zones) -> Stays:
    """As many stays as fill about three quarters of the beds; who finds no bed is not admitted."""
    span = calendar.as_of - calendar.first + 1
    wanted = int(group.staffed_beds * 0.75 * span / MEAN_DAYS)
    hours = np.array([9, 11, 13, 15, 16, 17, 18, 20, 22])
    day = np.sort(rng.integers(calendar.first, calendar.as_of + 1, wanted))
    local = day * DAY + rng.choice(hours, wanted) * 3600 + rng.integers(0, 3600, wanted)
    length = np.maximum(np.exp(rng.normal(np.log(3.4), 0.7, wanted)), 0.4)
    out_day = day + np.maximum(np.rint(length).astype(np.int64), 1)
    out_local = out_day * DAY + rng.integers(9 * 3600, 17 * 3600, wanted)
    admitted, discharged = zones.to_utc(local, 0), zones.to_utc(out_local, 0)
    order = np.argsort(admitted, kind="stable")
    admitted, discharged, day = admitted[order], discharged[order], day[order]
    patient = rng.integers(0, people.count, wanted)
    bed, kept = _beds(admitted, discharged, patient, group.staffed_beds)
    moves = (rng.random(wanted) < 0.2) & (discharged - admitted > 2 * DAY)
    moved = np.where(moves, admitted + rng.integers(DAY // 2, DAY, wanted), -1)
    over = discharged <= zones.to_utc(np.array([(calendar.as_of + 1) * DAY]), 0)[0] - 3600
    payer = people.payer_on(patient, day)
    return Stays(
        patient=patient[kept],
        provider=group.hospitalists[rng.integers(0, len(group.hospitalists), wanted)][kept],
        payer=payer[kept],
        admitted=admitted[kept],
        discharged=np.where(over, discharged, -1)[kept],
        moved=np.where(moved <= zones.to_utc(np.array([calendar.as_of * DAY]), 0)[0], moved, -1)[kept],
        bed=bed[kept],
        later_bed=(bed + 100)[kept],
    )


def dispositions(index: np.ndarray) -> np.ndarray:
    """Index of DISPOSITIONS of the stays with these numbers."""
    disposition = index % 10 // 8
    for place, remainder in ((2, 24), (3, 12), (4, 6)):
        disposition = np.where(index % 25 == remainder, place, disposition)
    return disposition


@dataclass(frozen=True, kw_only=True)
class AdmitDecisions:
    """Decisions to admit, one element each: index of the stay, and when it was made (UTC seconds), before the admission."""

    stay: np.ndarray
    decided: np.ndarray


def draw_admit_decisions(rng: np.random.Generator, stays: Stays) -> AdmitDecisions:
    """For most of the stays that came through the emergency department: every second one."""
    stay = np.flatnonzero((np.arange(len(stays)) % 2 == 1) & (rng.random(len(stays)) < 0.85))
    minutes = np.clip(BOARDED_MEDIAN_MINUTES * np.exp(rng.normal(0, 0.6, len(stay))), 10, 1200)
    return AdmitDecisions(stay=stay, decided=stays.admitted[stay] - (minutes * 60).astype(np.int64))


def _beds(
    admitted: np.ndarray, discharged: np.ndarray, patient: np.ndarray, beds: int
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest free bed at each admission, and who got one; nobody lies in two beds."""
    free = list(range(1, beds + 1))
    leaving: list[tuple[int, int, int]] = []
    bed, kept = np.zeros(len(admitted), np.int64), np.zeros(len(admitted), bool)
    inside: set[int] = set()
    for index, (start, end, person) in enumerate(
        zip(admitted.tolist(), discharged.tolist(), patient.tolist(), strict=True)
    ):
        while leaving and leaving[0][0] <= start:
            _, emptied, who = heapq.heappop(leaving)
            heapq.heappush(free, emptied)
            inside.discard(who)
        if free and person not in inside:
            bed[index] = heapq.heappop(free)
            kept[index] = True
            inside.add(person)
            heapq.heappush(leaving, (end, int(bed[index]), person))
    return bed, kept
