"""Charge lines of the visits and the first claim of each.

Lines are in order of their visit; money is cents. Besides the lines that are billed there are loose ones: a wrong first
entry with its reversal, and void entries.
"""

from dataclasses import dataclass

import numpy as np

from clinicmart.sample.catalogue import PHYSICAL_THERAPY, SELF_PAY, SERVICE_LINES, VISIT_TYPES
from clinicmart.sample.clock import DAY, Calendar, Zones
from clinicmart.sample.codes import CODES, MULTIPLE_UNITS, PRICES
from clinicmart.sample.structure import Group
from clinicmart.sample.visits import COMPLETED, Appointments, Encounters

LATE_CHARGE_MONTHS = (4, 3)  # months before the as-of month, first and last, in which one group enters late
NORMAL, WRONG_ENTRY, REVERSAL, VOID = range(4)


@dataclass(kw_only=True)
class Charges:
    """One element per charge line. `encounter` is an index; `claim` an index of Claims or -1; `line` counts from 1 on the claim.
    `kind`: NORMAL lines come first (ordered by encounter), the others after them; `reverses` is the index of the line that a
    REVERSAL reverses. `entered` is UTC seconds, `entered_day` local; `service_day` local."""

    encounter: np.ndarray
    line: np.ndarray
    code: np.ndarray
    units: np.ndarray
    billed: np.ndarray
    remote: np.ndarray
    service_day: np.ndarray
    entered: np.ndarray
    entered_day: np.ndarray
    kind: np.ndarray
    reverses: np.ndarray
    claim: np.ndarray

    def __len__(self) -> int:
        return len(self.encounter)


@dataclass(kw_only=True)
class Claims:
    """One element per claim, in order of the visits. `first_line` and `lines` say which charge lines are on it."""

    encounter: np.ndarray
    payer: np.ndarray
    secondary: np.ndarray
    first_line: np.ndarray
    lines: np.ndarray
    billed: np.ndarray
    service_day: np.ndarray
    submitted: np.ndarray
    submitted_day: np.ndarray

    def __len__(self) -> int:
        return len(self.encounter)


def draw_charges(
    rng: np.random.Generator, group: Group, booked: Appointments, visits: Encounters, calendar: Calendar, zones: Zones
) -> Charges:
    """One to four lines for each finished visit, entered with the lag of the clinic. Lines that are not entered yet are left out."""
    appointment = visits.appointment
    lag = _entry_lag(rng, group, booked, visits, calendar)
    entered_day = visits.started_day + lag
    exists = (
        (booked.status[appointment] == COMPLETED) & (entered_day <= calendar.as_of) & (rng.random(len(visits)) >= 0.012)
    )
    encounter = np.flatnonzero(exists)
    lines = 1 + np.searchsorted([0.48, 0.81, 0.95], rng.random(len(encounter)), side="right")
    owner = np.repeat(np.arange(len(encounter)), lines)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(lines) - lines, lines) + 1
    appointment_of_line = appointment[encounter][owner]
    code = _codes(rng, group, booked, appointment_of_line, number)
    multiple = np.isin(np.array(CODES), list(MULTIPLE_UNITS))[code]
    units = np.where(multiple, rng.integers(1, 4, len(code)), 1)
    noon = np.where(lag == 0, visits.ended + rng.integers(5, 50, len(lag)) * 60, -1)
    at_work = zones.to_utc(entered_day * DAY + rng.integers(8 * 3600, 17 * 3600, len(lag)), booked.zone[appointment])
    entered = np.where(lag == 0, noon, at_work)
    regular = Charges(
        encounter=encounter[owner],
        line=number,
        code=code,
        units=units,
        billed=np.array([PRICES[item] for item in CODES])[code] * units,
        remote=booked.telehealth[appointment_of_line],
        service_day=visits.started_day[encounter][owner],
        entered=entered[encounter][owner],
        entered_day=entered_day[encounter][owner],
        kind=np.zeros(len(owner), np.int64),
        reverses=np.full(len(owner), -1),
        claim=np.full(len(owner), -1),
    )
    return _with_loose_lines(rng, regular)


def _entry_lag(
    rng: np.random.Generator, group: Group, booked: Appointments, visits: Encounters, calendar: Calendar
) -> np.ndarray:
    """Days from service to entry; the therapists enter two weeks late for a while."""
    size = len(visits)
    lag = np.where(rng.random(size) < 0.45, 0, rng.geometric(0.42, size))
    lag = np.where(rng.random(size) < 0.015, rng.integers(15, 60, size), lag)
    line = group.clinic_line[booked.clinic[visits.appointment]]
    months_ago = (calendar.as_of - visits.started_day) / 30.4
    first, last = LATE_CHARGE_MONTHS
    late = (line == PHYSICAL_THERAPY) & (months_ago < first) & (months_ago >= last - 1)
    return np.where(late, 10 + rng.integers(0, 12, size), lag).astype(np.int64)


def _codes(
    rng: np.random.Generator, group: Group, booked: Appointments, appointment_of_line: np.ndarray, number: np.ndarray
) -> np.ndarray:
    """Index of CODES: the code of the visit type on the first line, extra codes of the service line (each once) on the others."""
    place = {code: index for index, code in enumerate(CODES)}
    draw = rng.random(len(appointment_of_line))
    code = np.zeros(len(appointment_of_line), np.int64)
    for index, item in enumerate(VISIT_TYPES):
        mine = (number == 1) & (booked.visit_type[appointment_of_line] == index)
        code[mine] = np.array([place[name] for name in item.codes])[(draw[mine] * len(item.codes)).astype(np.int64)]
    line_of = group.clinic_line[booked.clinic[appointment_of_line]]
    for index, line in enumerate(SERVICE_LINES):
        mine = (number > 1) & (line_of == index)
        extras = np.array([place[name] for name in line.extras])
        code[mine] = extras[(number[mine] - 2 + appointment_of_line[mine]) % len(extras)]
    return code


def _with_loose_lines(rng: np.random.Generator, lines: Charges) -> Charges:
    """Adds a wrong entry and its reversal to a few visits, and void entries."""
    first = np.flatnonzero(lines.line == 1)
    draw = rng.random(len(first))
    wrong, void = first[draw < 0.004], first[(draw >= 0.004) & (draw < 0.007)]
    source = np.concatenate([wrong, wrong, void])
    kind = np.repeat([WRONG_ENTRY, REVERSAL, VOID], [len(wrong), len(wrong), len(void)])
    amount = lines.billed[source] + 1000
    reverses = np.full(len(source), -1)
    reverses[len(wrong) : 2 * len(wrong)] = len(lines) + np.arange(len(wrong))

    def both(name: str, values: np.ndarray) -> np.ndarray:
        return np.concatenate([getattr(lines, name), values])

    same = {name: both(name, getattr(lines, name)[source]) for name in ("encounter", "code", "units", "remote")}
    days = {name: both(name, getattr(lines, name)[source]) for name in ("service_day", "entered_day")}
    return Charges(
        **same,
        **days,
        line=both("line", np.zeros(len(source), np.int64)),
        billed=both("billed", np.where(kind == REVERSAL, -amount, amount)),
        entered=both("entered", lines.entered[source] + np.where(kind == REVERSAL, 60, 0)),
        kind=both("kind", kind),
        reverses=both("reverses", reverses),
        claim=both("claim", np.full(len(source), -1)),
    )


def draw_claims(
    rng: np.random.Generator,
    charges: Charges,
    booked: Appointments,
    visits: Encounters,
    secondary_of: np.ndarray,
    calendar: Calendar,
    zones: Zones,
) -> Claims:
    """One claim a visit with an insurer, one to three working days after entry; sets `charges.claim`."""
    normal = np.flatnonzero(charges.kind == NORMAL)
    first = normal[charges.line[normal] == 1]
    lines = np.diff(np.append(first, len(normal)))
    encounter = charges.encounter[first]
    appointment = visits.appointment[encounter]
    hold = rng.integers(1, 4, len(first))
    raw_day = charges.entered_day[first] + hold
    submitted_day = np.where(raw_day <= calendar.as_of, calendar.open_day(raw_day), raw_day)
    seconds = rng.integers(17 * 3600, 19 * 3600, len(first))
    billed = np.add.reduceat(charges.billed[: len(normal)], first) if len(first) else np.empty(0, np.int64)
    sent = (booked.payer[appointment] != SELF_PAY) & (submitted_day <= calendar.as_of)
    number = np.where(sent, np.cumsum(sent) - 1, -1)
    charges.claim[: len(normal)] = np.repeat(number, lines)
    kept = np.flatnonzero(sent)
    return Claims(
        encounter=encounter[kept],
        payer=booked.payer[appointment][kept],
        secondary=secondary_of[appointment][kept],
        first_line=first[kept],
        lines=lines[kept],
        billed=billed[kept],
        service_day=charges.service_day[first][kept],
        submitted=zones.to_utc((submitted_day * DAY + seconds)[kept], 0),
        submitted_day=submitted_day[kept],
    )
