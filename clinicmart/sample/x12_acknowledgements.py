"""What the clearinghouse answers before any payer decides: 999s of the 837s and 277CAs of their claims.

One 999 for each 837 file; one day's transaction is turned back and, a day later, accepted in a separate 999. 277CAs are
one file a month, in it one transaction a day: nearly every claim is taken on the day after it was first sent; some are
turned back first and taken on two days later, put right on the clearinghouse's own pages without another 837.
What was sent on the as-of day has no answer yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample import names
from clinicmart.sample.clock import as_date
from clinicmart.sample.envelope import Pieces, interchange
from clinicmart.sample.people import member_ids
from clinicmart.sample.story import Story
from clinicmart.sample.text import dates, money, pick
from clinicmart.sample.x12_claims import VERSION as CLAIMS_VERSION

CA_VERSION, REPLY_VERSION = "005010X214", "005010X231A1"
REJECTED = 0.03
# Category and status of claims: taken on, and why some are turned back.
TAKEN_ON = "A2:20"
TURNED_BACK = ("A7:562:85", "A3:21", "A6:153:PR")
DAYS_TO_PUT_RIGHT = 2


@dataclass(kw_only=True)
class Answers:
    """By claim: `is_acknowledged`, `is_turned_back` by the 277CA, `is_rejected` by 277CA or 999. `rejected_day` is the day of
    submission whose transaction the 999 turns back; None where too few days have passed."""

    is_acknowledged: np.ndarray
    is_turned_back: np.ndarray
    is_rejected: np.ndarray
    rejected_day: int | None


def draw_answers(story: Story) -> Answers:
    """The answers to all submissions of a tenant up to the as-of day."""
    sent, claims, as_of = story.submissions, story.claims, story.calendar.as_of
    rng = story.rng("acknowledgements")
    turned_back = (rng.random(len(claims)) < REJECTED) & (claims.submitted_day < as_of)
    days = np.unique(sent.day[sent.day < as_of - 1])
    rejected_day = int(days[len(days) // 2]) if len(days) else None
    acknowledged, rejected = np.zeros(len(claims), bool), turned_back.copy()
    acknowledged[sent.claim[sent.day < as_of]] = True
    if rejected_day is not None:
        rejected[sent.claim[sent.day == rejected_day]] = True
    return Answers(
        is_acknowledged=acknowledged, is_turned_back=turned_back, is_rejected=rejected, rejected_day=rejected_day
    )


def files(story: Story) -> Iterator[tuple[str, str]]:
    """File name and text: the 999s, then the 277CAs."""
    answers = draw_answers(story)
    yield from _replies(story, answers)
    yield from _claim_acknowledgements(story, answers)


def _replies(story: Story, answers: Answers) -> Iterator[tuple[str, str]]:
    as_of = story.calendar.as_of
    batches: dict[str, list[int]] = {}
    for day in np.unique(story.submissions.day).tolist():
        batches.setdefault(f"{as_date(day):%Y-%m}", []).append(day)
    for number, (month, days) in enumerate(batches.items(), start=1):
        answered = [(f"{place:04d}", day) for place, day in enumerate(days, start=1) if day < as_of]
        if not answered:
            continue
        outcomes = [(control, day != answers.rejected_day) for control, day in answered]
        yield f"{month}.999", _reply(number, number, answered[-1][1] + 1, outcomes)
        if answers.rejected_day in days:
            again = [(control, True) for control, day in answered if day == answers.rejected_day]
            # Later than the first answer: that one names the whole file, and is given when the file is complete.
            yield f"{month}-again.999", _reply(900 + number, number, min(answered[-1][1] + 2, as_of), again)


def _reply(control: int, group: int, day: int, outcomes: list[tuple[str, bool]]) -> str:
    """A 999 of the group of one 837 file, with an AK2 for each transaction and whether it was taken on."""
    segments = "".join(
        f"AK2*837*{number}*{CLAIMS_VERSION}~{'IK5*A~' if is_accepted else 'IK3*NM1*9**8~IK4*9*67*7~IK5*R*5~'}"
        for number, is_accepted in outcomes
    )
    accepted = sum(is_accepted for _, is_accepted in outcomes)
    whole = "A" if accepted == len(outcomes) else "P"
    body = (
        f"ST*999*0001*{REPLY_VERSION}~AK1*HC*{group}*{CLAIMS_VERSION}~{segments}"
        f"AK9*{whole}*{len(outcomes)}*{len(outcomes)}*{accepted}~"
    )
    text = f"{body}SE*{body.count('~') + 1}*0001~"
    return interchange("CLEARHOUSE", "CLINICMART", day, control, "FA", REPLY_VERSION, [text])


def _claim_acknowledgements(story: Story, answers: Answers) -> Iterator[tuple[str, str]]:
    sent, as_of = story.claims.submitted_day, story.calendar.as_of
    first = np.flatnonzero(sent < as_of)
    again = np.flatnonzero(answers.is_turned_back & (sent + 1 + DAYS_TO_PUT_RIGHT <= as_of))
    claim = np.concatenate([first, again])
    day = np.concatenate([sent[first] + 1, sent[again] + 1 + DAYS_TO_PUT_RIGHT])
    refused = np.concatenate([answers.is_turned_back[first], np.zeros(len(again), bool)])
    order = np.lexsort((refused, claim, day))
    claim, day, refused = claim[order], day[order], refused[order]
    starts = np.flatnonzero(np.diff(day, prepend=-1))
    stops = np.append(starts[1:], len(day))
    none = pl.Series("none", [], dtype=pl.String)
    pieces = Pieces.of(_statuses(story, claim, day, refused), none, np.zeros(0, np.int64))
    months = [as_date(int(day[start])).strftime("%Y-%m") for start in starts]
    for number, month in enumerate(dict.fromkeys(months), start=1):
        sets: list[str] = []
        batch = [index for index, name in enumerate(months) if name == month]
        for index in batch:
            text, segments = pieces.cut(int(starts[index]), int(stops[index]))
            sets.append(_transaction_set(story, int(day[starts[index]]), len(sets) + 1, text, segments))
        last = int(day[starts[batch[-1]]])
        yield f"{month}.277", interchange("CLEARHOUSE", "CLINICMART", last, 5000 + number, "HN", CA_VERSION, sets)


def _transaction_set(story: Story, day: int, number: int, text: str, segments: int) -> str:
    tenant, when = story.group.tenant, as_date(day)
    head = (
        f"ST*277*{number:04d}*{CA_VERSION}~BHT*0085*08*{when:%Y%m%d}{number}*{when:%Y%m%d}*0600*TH~"
        f"HL*1**20*1~NM1*AY*2*CLEARHOUSE*****46*CLEARHOUSE~TRN*1*{when:%Y%m%d}~"
        f"HL*2*1*21*1~NM1*41*2*{tenant.name.upper()}*****46*{tenant.tenant_id.upper()}~TRN*2*{when:%Y%m%d}~"
        f"HL*3*2*19*1~NM1*85*2*{tenant.name.upper()} PHYSICIANS PC*****XX*{story.group.billing_npi}~TRN*1*0~"
    )
    return f"{head}{text}SE*{head.count('~') + segments + 1}*{number:04d}~"


def _statuses(story: Story, claim: np.ndarray, day: np.ndarray, refused: np.ndarray) -> pl.Series:
    """The segments of each answer to a claim."""
    people, bills = story.people, story.claims
    patient = story.appointments.patient[story.encounters.appointment[bills.encounter[claim]]]
    reason = pick(TURNED_BACK, claim % len(TURNED_BACK))
    frame = pl.DataFrame(
        {
            "level": np.arange(len(claim)) - np.searchsorted(day, day) + 4,
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given_name[patient]),
            "member": member_ids(people, patient, bills.payer[claim]),
            "claim": story.claim_ids.gather(claim),
            "status": pl.select(
                pl.when(pl.Series(refused)).then(pl.lit(reason)).otherwise(pl.lit(TAKEN_ON))
            ).to_series(),
            "day": dates(day, "%Y%m%d"),
            "action": pick(["WQ", "U"], refused.astype(np.int64)),
            "amount": money(bills.billed[claim]),
        }
    )
    return frame.select(
        pl.format("HL*{}*3*PT~NM1*QC*1*{}*{}****MI*{}~TRN*2*{}~STC*{}*{}*{}*{}~", *frame.columns)
    ).to_series()
