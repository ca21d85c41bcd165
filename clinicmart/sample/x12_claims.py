"""837 professional claims: one file a month of submission, in it one transaction set a day. Always the whole history.

Some claims are voided and sent again, which the PM database does not know: see overlaps.py.
CLM01 is the claim's id, REF*D9 the submission's, REF*EA the medical record number, REF*6R the line control number.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from clinicmart.sample import names
from clinicmart.sample.adjudication import FIRST, RESUBMITTED
from clinicmart.sample.catalogue import PAYERS, VISIT_TYPES
from clinicmart.sample.clock import as_date
from clinicmart.sample.codes import CODES, TELEHEALTH_MODIFIER
from clinicmart.sample.diagnoses import health_information
from clinicmart.sample.envelope import Pieces, interchange
from clinicmart.sample.people import birth_dates, member_ids
from clinicmart.sample.pm_tables import line_controls, replaced_numbers, submission_ids
from clinicmart.sample.story import Story
from clinicmart.sample.text import dates, money, numbers, pick

VERSION = "005010X222A1"
# The practice's own word for a filing indicator, which the profile of the feed teaches.
_HOUSE_WORDS = {"BL": "NW"}


def provider_name(story: Story) -> pl.Series:
    """Family*given of each provider, as NM103 and NM104 hold them."""
    names = [str(name).removeprefix("Dr. ").split(" ") for name in story.group.provider_names]
    return pl.Series([f"{family}*{given_name}" for given_name, family in names])


def files(story: Story) -> Iterator[tuple[str, str]]:
    """File name and text, in order of the months."""
    sent = story.submissions
    order = np.lexsort((sent.number, sent.claim, sent.day))
    pieces = Pieces.of(*_pieces(story, order))
    days = sent.day[order]
    starts = np.flatnonzero(np.diff(days, prepend=-1))
    stops = np.append(starts[1:], len(days))
    month_of = [as_date(days[start]).strftime("%Y-%m") for start in starts]
    for number, month in enumerate(dict.fromkeys(month_of), start=1):
        sets: list[str] = []
        batch = [index for index, name in enumerate(month_of) if name == month]
        for index in batch:
            text, segments = pieces.cut(int(starts[index]), int(stops[index]))
            sets.append(_transaction_set(story, int(days[starts[index]]), len(sets) + 1, text, segments))
        last = int(days[starts[batch[-1]]])
        yield f"{month}.837", interchange("CLINICMART", "CLEARHOUSE", last, number, "HC", VERSION, sets)


def _transaction_set(story: Story, day: int, number: int, text: str, segments: int) -> str:
    tenant, control = story.group.tenant, f"{number:04d}"
    when = as_date(day)
    head = (
        f"ST*837*{control}*{VERSION}~BHT*0019*00*{when:%Y%m%d}{number}*{when:%Y%m%d}*1730*CH~"
        f"NM1*41*2*{tenant.name.upper()}*****46*{tenant.tenant_id.upper()}~PER*IC*BILLING OFFICE*TE*5550100000~"
        f"NM1*40*2*CLEARHOUSE*****46*CLEARHOUSE~HL*1**20*1~"
        f"NM1*85*2*{tenant.name.upper()} PHYSICIANS PC*****XX*{story.group.billing_npi}~N3*1 Harbor Plaza~"
        f"N4*Riverside*{tenant.state}*{tenant.zip3}01~REF*EI*990000001~"
    )
    return f"{head}{text}SE*{head.count('~') + segments + 1}*{control}~"


def _pieces(story: Story, order: np.ndarray) -> tuple[pl.Series, pl.Series, np.ndarray]:
    """Heads of the submissions in `order`, lines behind them, owner of each line."""
    sent, bills, lines = story.submissions, story.claims, story.charges
    claim = sent.claim[order]
    count = bills.lines[claim]
    owner = np.repeat(np.arange(len(order)), count)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    charge = bills.first_line[claim][owner] + offset
    frame = pl.DataFrame(
        {
            "n": lines.line[charge],
            "code": pick(CODES, lines.code[charge]),
            "modifier": pick([f":{TELEHEALTH_MODIFIER}", ""], np.where(lines.remote[charge], 0, 1)),
            "amount": money(lines.billed[charge]),
            "units": lines.units[charge],
            "day": dates(lines.service_day[charge], "%Y%m%d"),
            "control": line_controls(story).gather(charge),
        }
    )
    text = frame.select(
        pl.format(
            "LX*{}~SV1*HC:{}{}*{}*UN*{}***1~DTP*472*D8*{}~REF*6R*{}~",
            *("n", "code", "modifier", "amount", "units", "day", "control"),
        )
    ).to_series()
    return _heads(story, order), text, owner


def _heads(story: Story, order: np.ndarray) -> pl.Series:
    sent, bills, booked, people, group = story.submissions, story.claims, story.appointments, story.people, story.group
    claim = sent.claim[order]
    appointment = story.encounters.appointment[bills.encounter[claim]]
    patient = booked.patient[appointment]
    payer, secondary = sent.payer[order], sent.is_secondary[order]
    first_of_day = np.searchsorted(sent.day[order], sent.day[order])
    frame = pl.DataFrame(
        {
            "level": np.arange(len(order)) - first_of_day + 2,
            "sequence": pick(["P", "S"], secondary),
            "filing": pick([_HOUSE_WORDS.get(item.filing_indicator, item.filing_indicator) for item in PAYERS], payer),
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given_name[patient]),
            "member": member_ids(people, patient, payer),
            "street": numbers(people.street[patient]) + " " + pick(names.STREETS, people.street[patient] % 10),
            "city": pick(names.PLACES, people.postal[patient] % len(names.PLACES)),
            "zip": group.tenant.zip3 + numbers(people.postal[patient], 2),
            "birth": birth_dates(people.birth_day, "%Y%m%d").gather(patient),
            "sex": pick(["M", "F"], people.is_female[patient]),
            "payer": pick(group.payer_names, payer),
            "payer_id": pick(group.electronic_ids, payer),
            "claim": story.claim_ids.gather(claim),
            "amount": money(bills.billed[claim]),
            "place": pick([item.place_of_service for item in VISIT_TYPES], booked.visit_type[appointment]),
            "frequency": sent.frequency[order],
            "replaced": ("REF*F8*" + replaced_numbers(story) + "~").gather(order).fill_null(""),
            "submission": submission_ids(story).gather(order),
            "record": people.record_numbers.gather(patient),
            "diagnoses": health_information(story, claim),
            "provider": provider_name(story).gather(booked.provider[appointment]),
            "npi": pick(group.provider_npis, booked.provider[appointment]),
            "other": _other_payer(story, order),
        }
    )
    return frame.select(
        pl.format(
            "HL*{}*1*22*0~SBR*{}*18*******{}~NM1*IL*1*{}*{}****MI*{}~N3*{}~N4*{}*"
            + group.tenant.state
            + "*{}~DMG*D8*{}*{}~"
            "NM1*PR*2*{}*****PI*{}~CLM*{}*{}***{}:B:{}*Y*A*Y*Y~{}REF*D9*{}~REF*EA*{}~{}~NM1*82*1*{}****XX*{}~{}",
            *frame.columns,
        )
    ).to_series()


def _other_payer(story: Story, order: np.ndarray) -> pl.Series:
    """On a secondary claim: the first payer and what it paid (loop 2320)."""
    sent, remits, people = story.submissions, story.remits, story.people
    claim = sent.claim[order]
    paid = np.zeros(len(story.claims), np.int64)
    decided = (remits.stage == FIRST) | (remits.stage == RESUBMITTED)
    paid[remits.claim[decided]] = remits.claim_sum("paid")[decided]
    payer = story.claims.payer[claim]
    patient = story.appointments.patient[story.encounters.appointment[story.claims.encounter[claim]]]
    frame = pl.DataFrame(
        {
            "filing": pick([item.filing_indicator for item in PAYERS], payer),
            "paid": money(paid[claim]),
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given_name[patient]),
            "member": member_ids(people, patient, payer),
            "payer": pick(story.group.payer_names, payer),
            "payer_id": pick(story.group.electronic_ids, payer),
        }
    )
    text = "SBR*P*18*******{}~AMT*D*{}~OI***Y***Y~NM1*IL*1*{}*{}****MI*{}~NM1*PR*2*{}*****PI*{}~"
    shown = pl.Series("shown", sent.is_secondary[order])
    return frame.select(
        pl.when(shown).then(pl.format(text, *frame.columns)).otherwise(pl.lit("")).alias("other")
    ).to_series()
