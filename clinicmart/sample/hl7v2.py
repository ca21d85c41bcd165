"""HL7 v2.5.1 messages: ADT of the ward's stays and of merges (all of them), SIU of the recent and coming appointments.

ADT by month: A01 admit, A08 update of every third stay, A02 to another bed, A03 discharge; A04 and A03 of the visits that
ADT registers. A40 in a file of its own; A37, which takes a merge back, in one that is read before it. Stays and visits
that ADT names itself: see views.py.
SIU by month of the message: S12 booked, S13 moved, S15 cancelled, S26 missed, of every second appointment that starts in the
last three months or later. Times carry their offset (+0000). MSH-10 counts over all files of the tenant.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from clinicmart.sample import flaws, names
from clinicmart.sample.catalogue import VISIT_TYPES
from clinicmart.sample.clock import DAY, as_date
from clinicmart.sample.inpatient import DISPOSITIONS, dispositions
from clinicmart.sample.people import birth_dates
from clinicmart.sample.pm_tables import VISIT_TYPE_IDS, some
from clinicmart.sample.story import Story
from clinicmart.sample.structure import WARD_ID
from clinicmart.sample.text import numbers, pick, timestamps
from clinicmart.sample.views import Views, adt_stay_ids, adt_visit_ids, draw_views, merge_history, scheduled
from clinicmart.sample.visits import CANCELLED, NO_SHOW, PATIENT, RESCHEDULED

ADMIT, UPDATE, TRANSFER, DISCHARGE = range(4)
STAY_EVENTS = ("A01", "A08", "A02", "A03")
BOOK, MOVE, CANCEL, MISS = range(4)
SCHEDULE_EVENTS = ("S12", "S13", "S15", "S26")
END = "\r"
MERGES, UNMERGES = "adt-merges.hl7", "adt-apart.hl7"


def moments(seconds: np.ndarray) -> pl.Series:
    """HL7 timestamps with offset; null for never."""
    return timestamps(seconds, "%Y%m%d", "%H%M%S+0000")


def files(story: Story) -> Iterator[tuple[str, str]]:
    """File name and text: ADT, merges, SIU, and what is planted wrong."""
    control = 1
    views = draw_views(story)
    when, texts = _in_order(_stays(story, views), _registrations(story, views))
    first = ""
    for month, part in _months(when):
        text = _numbered(texts.slice(part.start, part.stop - part.start), control)
        control += part.stop - part.start
        first = first or text.split(END + "MSH")[0].removesuffix(END) + END
        yield f"adt-{month}.hl7", text
    for name, texts in ((MERGES, _merges(story, is_merge=True)), (UNMERGES, _merges(story, is_merge=False))):
        yield name, _numbered(texts, control)
        control += len(texts)
    when, texts = _schedule(story, views)
    for month, part in _months(when):
        yield f"siu-{month}.hl7", _numbered(texts.slice(part.start, part.stop - part.start), control)
        control += part.stop - part.start
    if first:
        yield flaws.REPEATED_HL7, first
    yield flaws.GARBLED_HL7, f"EVN|A08|20261030120000{END}PID|1||{END}PV1|1|I|{WARD_ID}{END}"


def _months(when: np.ndarray) -> Iterator[tuple[str, slice]]:
    """Runs of one month (UTC) in ascending times."""
    if not len(when):
        return
    day = when // DAY
    month = np.array([as_date(number).strftime("%Y-%m") for number in range(int(day[0]), int(day[-1]) + 1)])
    names = month[day - day[0]]
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    stops = np.append(starts[1:], len(names))
    for start, stop in zip(starts, stops, strict=True):
        yield str(names[start]), slice(int(start), int(stop))


def _numbered(texts: pl.Series, first: int) -> str:
    """Puts the control numbers in and joins."""
    control = "H" + numbers(np.arange(first, first + len(texts)), 8)
    frame = pl.DataFrame({"text": texts, "control": control})
    filled = frame.select(pl.col("text").str.replace("#CONTROL#", pl.col("control"), literal=True))
    return filled.to_series().str.join("").item() or ""


def _head(story: Story, event: pl.Series, structure: str, when: np.ndarray, sender: str) -> pl.Series:
    """MSH."""
    name = story.group.tenant.tenant_id.upper()
    kind, _, _ = structure.partition("_")
    at = moments(when)
    start = f"MSH|^~\\&|{sender}|{name}|CLINICMART|{name}|"
    ends = event.replace_strict({"A01": "A01", "A04": "A01", "A08": "A01", "A02": "A02", "A03": "A03"}, default="S12")
    return start + at + f"||{kind}^" + event + f"^{kind}_" + ends + f"|#CONTROL#|P|2.5.1{END}"


def _person(story: Story, patient: np.ndarray) -> pl.Series:
    """PID."""
    people, tenant = story.people, story.group.tenant
    frame = pl.DataFrame(
        {
            "record": people.record_numbers.gather(patient),
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given[patient]),
            "birth": birth_dates(people.birth_day, "%Y%m%d").gather(patient),
            "sex": pick(["M", "F"], people.is_female[patient]),
            "street": numbers(people.street[patient]) + " " + pick(names.STREETS, people.street[patient] % 10),
            "city": pick(names.PLACES, people.postal[patient] % len(names.PLACES)),
            "postal": tenant.zip3 + numbers(people.postal[patient], 2),
        }
    )
    text = (
        f"PID|1||{{}}^^^{tenant.tenant_id.upper()}^MR||{{}}^{{}}||{{}}|{{}}|||{{}}^^{{}}^{tenant.state}^{{}}^USA{END}"
    )
    return frame.select(pl.format(text, *frame.columns)).to_series()


def _doctor(story: Story, provider: np.ndarray) -> pl.Series:
    """XCN of a provider by NPI."""
    names = [str(name).removeprefix("Dr. ").split(" ") for name in story.group.provider_names]
    texts = [
        f"{npi}^{family}^{given}^^^^^^NPI^^^^NPI"
        for npi, (given, family) in zip(story.group.provider_npis, names, strict=True)
    ]
    return pick(texts, provider)


def _in_order(*parts: tuple[np.ndarray, pl.Series]) -> tuple[np.ndarray, pl.Series]:
    """Several series of messages as one, in order of time."""
    when = np.concatenate([part[0] for part in parts])
    order = np.argsort(when, kind="stable")
    return when[order], pl.concat([part[1] for part in parts]).gather(order)


def _registrations(story: Story, views: Views) -> tuple[np.ndarray, pl.Series]:
    """Time and text of A04 and A03 of the visits that ADT registers."""
    visits, booked, group = story.encounters, story.appointments, story.group
    index = np.concatenate([views.registered, views.registered])
    over = np.repeat([False, True], len(views.registered))
    of = visits.appointment[index]
    when = np.where(over, visits.ended[index], visits.started[index])
    event = pick(["A04", "A03"], over)
    frame = pl.DataFrame(
        {
            "head": _head(story, event, "ADT_A01", when, "EHR"),
            "event": event,
            "at": moments(when),
            "person": _person(story, booked.patient[of]),
            "clinic": pick(group.clinic_ids, booked.clinic[of]),
            "doctor": _doctor(story, booked.provider[of]),
            "visit": adt_visit_ids(story, views).gather(index),
            "started": moments(visits.started[index]),
            "ended": moments(np.where(over, visits.ended[index], -1)).fill_null(""),
        }
    )
    text = f"{{}}EVN|{{}}|{{}}{END}{{}}PV1|1|O|{{}}||||{{}}{'|' * 12}{{}}{'|' * 25}{{}}|{{}}{END}"
    return when, frame.select(pl.format(text, *frame.columns)).to_series()


def _stays(story: Story, views: Views) -> tuple[np.ndarray, pl.Series]:
    """Time and text of the messages of all stays, in order of time."""
    stays = story.stays
    is_own = np.zeros(len(stays), np.int64)
    is_own[views.adt_stays] = 1
    here = np.arange(len(stays))
    updated = here[(here % 3 == 0) & ((stays.discharged < 0) | (stays.discharged > stays.admitted + 7200))]
    moved, gone = here[stays.moved >= 0], here[stays.discharged >= 0]
    index = np.concatenate([here, updated, moved, gone])
    kind = np.repeat([ADMIT, UPDATE, TRANSFER, DISCHARGE], [len(here), len(updated), len(moved), len(gone)])
    times = [stays.admitted, stays.admitted[updated] + 5400, stays.moved[moved], stays.discharged[gone]]
    when = np.concatenate(times)
    order = np.lexsort((kind, index, when))
    index, kind, when = index[order], kind[order], when[order]
    later = (stays.moved[index] >= 0) & (when >= stays.moved[index])
    bed = np.where(later, stays.later_bed[index], stays.bed[index])
    over = kind == DISCHARGE
    frame = pl.DataFrame(
        {
            "head": _head(story, pick(STAY_EVENTS, kind), "ADT_A01", when, "EHR"),
            "event": pick(STAY_EVENTS, kind),
            "at": moments(when),
            "person": _person(story, stays.patient[index]),
            "bed": bed,
            "before": pick([f"{WARD_ID}^^"], np.where(kind == TRANSFER, 0, -1)).fill_null(""),
            "before_bed": numbers(np.where(kind == TRANSFER, stays.bed[index], 0)).str.replace("^0$", ""),
            "doctor": _doctor(story, stays.provider[index]),
            "source": pick(["1", "7"], (index + is_own[index]) % 2),
            "visit": adt_stay_ids(story, views).gather(index),
            "disposition": pick(DISPOSITIONS, np.where(over, dispositions(index), -1)).fill_null(""),
            "admitted": moments(stays.admitted[index]),
            "discharged": moments(np.where(over, stays.discharged[index], -1)).fill_null(""),
        }
    )
    text = (
        f"{{}}EVN|{{}}|{{}}{END}{{}}PV1|1|I|{WARD_ID}^^{{}}|||{{}}{{}}|{{}}|||||||{{}}|||||{{}}"
        f"|||||||||||||||||{{}}||||||||{{}}|{{}}{END}"
    )
    return when, frame.select(pl.format(text, *frame.columns)).to_series()


def _merges(story: Story, *, is_merge: bool) -> pl.Series:
    """A40 of every merge, or A37 of every one that is taken back, in order of time."""
    people, name = story.people, story.group.tenant.tenant_id.upper()
    event, structure = ("A40", "A39") if is_merge else ("A37", "A37")
    texts = []
    for change in merge_history(story):
        if change.is_merge != is_merge:
            continue
        at = moments(np.array([change.at]))[0]
        head = f"MSH|^~\\&|EHR|{name}|CLINICMART|{name}|{at}||ADT^{event}^ADT_{structure}|#CONTROL#|P|2.5.1{END}"
        pids = _person(story, np.array([change.kept, change.ended]))
        other = f"MRG|{people.record_numbers[change.ended]}^^^{name}^MR{END}" if is_merge else pids[1]
        texts.append(f"{head}EVN|{event}|{at}{END}{pids[0]}{other}")
    return pl.Series(texts, dtype=pl.String)


def _schedule(story: Story, views: Views) -> tuple[np.ndarray, pl.Series]:
    """Time and text of the scheduling messages, in order of time. Those of registered visits name the visit."""
    booked, group = story.appointments, story.group
    chosen = np.flatnonzero(scheduled(story))
    visit = np.full(len(booked), -1)
    visit[story.encounters.appointment[views.registered]] = views.registered
    named = pl.format(f"PV1|1|O{'|' * 17}{{}}{END}", pl.col("visit"))
    visits = pl.DataFrame({"visit": some(adt_visit_ids(story, views), visit)}).select(named).to_series().fill_null("")
    after = {RESCHEDULED: MOVE, CANCELLED: CANCEL, NO_SHOW: MISS}
    ends = [chosen[booked.status[chosen] == status] for status in after]
    index = np.concatenate([chosen, *ends])
    kind = np.repeat([BOOK, *after.values()], [len(chosen), *(len(part) for part in ends)])
    when = np.where(kind == BOOK, booked.booked[index], booked.cancelled[index])
    order = np.lexsort((kind, index, when))
    index, kind, when = index[order], kind[order], when[order]
    reason = pick(["patient", "clinic"], np.where(kind == CANCEL, (booked.initiator[index] != PATIENT) * 1, -1))
    names = [item.name for item in VISIT_TYPES]
    frame = pl.DataFrame(
        {
            "head": _head(story, pick(SCHEDULE_EVENTS, kind), "SIU_S12", when, "SCHEDULER"),
            "appointment": story.appointment_ids.gather(index),
            "appointment_again": story.appointment_ids.gather(index),
            "reason": reason.fill_null(""),
            "type": pick(VISIT_TYPE_IDS, booked.visit_type[index]),
            "type_name": pick(names, booked.visit_type[index]),
            "minutes": booked.minutes[index],
            "start": moments(booked.start[index]),
            "end": moments(booked.start[index] + booked.minutes[index] * 60),
            "status": pick(["Booked", "Booked", "Cancelled", "Noshow"], kind),
            "person": _person(story, booked.patient[index]),
            "visit": visits.gather(index),
            "clinic": pick(group.clinic_ids, booked.clinic[index]),
            "provider": _doctor(story, booked.provider[index]),
        }
    )
    text = (
        f"{{}}SCH|{{}}|{{}}||||{{}}||{{}}^{{}}|{{}}|MIN|^^^{{}}^{{}}||||||||||||||{{}}{END}{{}}{{}}"
        f"RGS|1|A{END}AIL|1|A|{{}}{END}AIP|1|A|{{}}{END}"
    )
    return when, frame.select(pl.format(text, *frame.columns)).to_series()
