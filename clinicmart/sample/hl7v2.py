"""HL7 v2.5.1 messages: ADT of the ward's stays and of merges (all of them), SIU of the recent and coming appointments, DFT.

ADT by month: A01 admit, A08 update of every third stay, A02 to another bed, A03 discharge; A04 and A03 of the visits that
ADT registers. A40 is in a separate file; A37, which undoes a merge, is in a file that is read before it. Stays and visits
that ADT names itself: see views.py.
DFT: the charges of the visits that ADT registers. Another authority's visits with the same numbers: see overlaps.py.
SIU by month of the message: S12 booked, S13 moved, S15 cancelled, S26 missed, of every second appointment that starts in the
last three months or later. Times carry their offset (+0000). MSH-10 counts over all files of the tenant.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from clinicmart.sample import flaws, names, overlaps
from clinicmart.sample.catalogue import VISIT_TYPES
from clinicmart.sample.clock import DAY, as_date
from clinicmart.sample.codes import CODES
from clinicmart.sample.inpatient import DISPOSITIONS, dispositions
from clinicmart.sample.people import birth_dates
from clinicmart.sample.pm_tables import VISIT_TYPE_IDS, some
from clinicmart.sample.story import Story
from clinicmart.sample.structure import WARD_ID
from clinicmart.sample.text import dates, money, numbers, pick, timestamps
from clinicmart.sample.views import Views, adt_stay_ids, adt_visit_ids, draw_views, merge_history, scheduled
from clinicmart.sample.visits import CANCELLED, NO_SHOW, PATIENT, RESCHEDULED

ADMIT, UPDATE, TRANSFER, DISCHARGE = range(4)
STAY_EVENTS = ("A01", "A08", "A02", "A03")
BOOK, MOVE, CANCEL, MISS = range(4)
SCHEDULE_EVENTS = ("S12", "S13", "S15", "S26")
END = "\r"
MERGES, UNMERGES = "adt-merges.hl7", "adt-apart.hl7"
ANOTHER_AUTHORITY = "adt-lakeside.hl7"
# The structure in MSH-9.3 of events that share that of another.
STRUCTURES = {"A04": "A01", "A08": "A01", "A11": "A09"}


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
    when, texts = _charges(story, views)
    for month, part in _months(when):
        yield f"dft-{month}.hl7", _numbered(texts.slice(part.start, part.stop - part.start), control)
        control += part.stop - part.start
    yield ANOTHER_AUTHORITY, _numbered(_of_another_authority(story, views), control)
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
    ends = event.replace_strict(STRUCTURES, default=event) if kind == "ADT" else structure.partition("_")[2]
    return start + at + f"||{kind}^" + event + f"^{kind}_" + ends + f"|#CONTROL#|P|2.5.1{END}"


def _person(
    story: Story,
    patient: np.ndarray,
    *,
    sexes: tuple[str, str] = ("M", "F"),
    issuer: str = "",
    record: pl.Series | None = None,
) -> pl.Series:
    """PID, under the person's own record number and with the tenant as its issuer where no others are given."""
    people, tenant = story.people, story.group.tenant
    issuer = issuer or tenant.tenant_id.upper()
    frame = pl.DataFrame(
        {
            "record": people.record_numbers.gather(patient) if record is None else record,
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given_name[patient]),
            "birth": birth_dates(people.birth_day, "%Y%m%d").gather(patient),
            "sex": pick(sexes, people.is_female[patient]),
            "street": numbers(people.street[patient]) + " " + pick(names.STREETS, people.street[patient] % 10),
            "city": pick(names.PLACES, people.postal[patient] % len(names.PLACES)),
            "postal": tenant.zip3 + numbers(people.postal[patient], 2),
        }
    )
    text = f"PID|1||{{}}^^^{issuer}^MR||{{}}^{{}}||{{}}|{{}}|||{{}}^^{{}}^{tenant.state}^{{}}^USA{END}"
    return frame.select(pl.format(text, *frame.columns)).to_series()


def _doctor(story: Story, provider: np.ndarray) -> pl.Series:
    """XCN of a provider by NPI."""
    names = [str(name).removeprefix("Dr. ").split(" ") for name in story.group.provider_names]
    texts = [
        f"{npi}^{family}^{given_name}^^^^^^NPI^^^^NPI"
        for npi, (given_name, family) in zip(story.group.provider_npis, names, strict=True)
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
    appointment = visits.appointment[index]
    when = np.where(over, visits.ended[index], visits.started[index])
    event = pick(["A04", "A03"], over)
    frame = pl.DataFrame(
        {
            "head": _head(story, event, "ADT_A01", when, "EHR"),
            "event": event,
            "at": moments(when),
            "person": _person(story, booked.patient[appointment]),
            "class": pick(["O", *overlaps.ADT_WORDS["visit_classes"]], np.arange(len(index)) % 2),
            "clinic": pick(group.clinic_ids, booked.clinic[appointment]),
            "doctor": _doctor(story, booked.provider[appointment]),
            "visit": adt_visit_ids(story, views).gather(index),
            "started": moments(visits.started[index]),
            "ended": moments(np.where(over, visits.ended[index], -1)).fill_null(""),
        }
    )
    text = f"{{}}EVN|{{}}|{{}}{END}{{}}PV1|1|{{}}|{{}}||||{{}}{'|' * 12}{{}}{'|' * 25}{{}}|{{}}{END}"
    return when, frame.select(pl.format(text, *frame.columns)).to_series()


def _charges(story: Story, views: Views) -> tuple[np.ndarray, pl.Series]:
    """Time and text of DFT messages, one for each registered visit with charges, an hour after they were entered."""
    lines, booked, visits = story.charges, story.appointments, story.encounters
    charge = overlaps.charges_of(story, views.registered)
    visit, first, count = np.unique(lines.encounter[charge], return_index=True, return_counts=True)
    when = lines.entered[charge[first]] + 3600
    appointment = visits.appointment[visit]
    sexes = tuple(reversed(list(overlaps.ADT_WORDS["sexes"])))
    frame = pl.DataFrame(
        {
            "head": _head(story, pick(["P03"], np.zeros(len(visit))), "DFT_P03", when, "EHR"),
            "at": moments(when),
            "person": _person(story, booked.patient[appointment], sexes=(sexes[0], sexes[1])),
            "clinic": pick(story.group.clinic_ids, booked.clinic[appointment]),
            "doctor": _doctor(story, booked.provider[appointment]),
            "visit": adt_visit_ids(story, views).gather(visit),
        }
    )
    text = f"{{}}EVN|P03|{{}}{END}{{}}PV1|1|O|{{}}||||{{}}{'|' * 12}{{}}{END}"
    heads = frame.select(pl.format(text, *frame.columns)).to_series()
    (word,) = overlaps.ADT_WORDS["transaction_types"]
    shown = pl.DataFrame(
        {
            "number": lines.line[charge],
            "id": numbers(charge + 1, 8),
            "day": dates(lines.service_day[charge], "%Y%m%d"),
            "posted": dates(lines.entered_day[charge], "%Y%m%d"),
            "type": pick(["CG", word], charge % 2),
            "code": pick(CODES, lines.code[charge]),
            "units": lines.units[charge],
            "amount": money(lines.billed[charge]),
            "clinic": pick(story.group.clinic_ids, booked.clinic[visits.appointment[lines.encounter[charge]]]),
            "code_again": pick(CODES, lines.code[charge]),
        }
    )
    text = f"FT1|{{}}|F{{}}||{{}}|{{}}|{{}}|{{}}|||{{}}|{{}}|||||{{}}{'|' * 9}{{}}{END}"
    texts = shown.select(pl.format(text, *shown.columns).alias("text"))
    joined = (
        texts.with_columns(owner=pl.Series(np.repeat(np.arange(len(visit)), count)))
        .group_by("owner", maintain_order=True)
        .agg(pl.col("text").str.join(""))
        .get_column("text")
    )
    order = np.argsort(when, kind="stable")
    return when[order], (heads + joined).gather(order)


def _of_another_authority(story: Story, views: Views) -> pl.Series:
    """A04 and A11 of visits that another authority registered in error, under numbers that are those of others here."""
    visits, booked = story.encounters, story.appointments
    index = np.repeat(views.registered[: overlaps.IN_ERROR], 2)
    over = np.arange(len(index)) % 2 == 1
    when = visits.started[index] + np.where(over, 900, 600)
    event = pick(["A04", "A11"], over)
    other = (booked.patient[visits.appointment[index]] + 1) % story.people.count
    number = story.people.record_numbers.gather(booked.patient[visits.appointment[index]])
    name = overlaps.OTHER_AUTHORITY
    frame = pl.DataFrame(
        {
            "head": _head(story, event, "ADT_A01", when, "EHR"),
            "event": event,
            "at": moments(when),
            "person": _person(story, other, issuer=name, record=number),
            "clinic": pick(story.group.clinic_ids, booked.clinic[visits.appointment[index]]),
            "visit": adt_visit_ids(story, views).gather(index),
            "started": moments(visits.started[index] + 600),
        }
    )
    text = f"{{}}EVN|{{}}|{{}}{END}{{}}PV1|1|O|{{}}{'|' * 16}{{}}^^^{name}{'|' * 25}{{}}{END}"
    return frame.select(pl.format(text, *frame.columns)).to_series()


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
