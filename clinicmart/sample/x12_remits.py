"""835 remittances: one file a payer and month, in it one transaction set a payment day. Always the whole history.

Some claim payments have no lines: what is taken off stands on the claim (overlaps.py).

Line: SVC02 = SVC03 + CAS. Claim: CLP03, CLP04, CLP05 are the sums of the lines. Transaction: BPR02 = sum of CLP04 - sum of PLB.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from clinicmart.sample import names, overlaps
from clinicmart.sample.adjudication import DENIAL_CODES, REMARKS, SECONDARY
from clinicmart.sample.catalogue import PAYERS, VISIT_TYPES
from clinicmart.sample.clock import as_date
from clinicmart.sample.codes import CODES, TELEHEALTH_MODIFIER
from clinicmart.sample.envelope import Pieces, interchange
from clinicmart.sample.people import member_ids
from clinicmart.sample.pm_tables import line_controls, some
from clinicmart.sample.story import Story
from clinicmart.sample.text import dates, money, pick
from clinicmart.sample.x12_claims import provider_name

VERSION = "005010X221A1"


def dollars(cents: int) -> str:
    """Cents as decimal digits."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def files(story: Story) -> Iterator[tuple[str, str]]:
    """File name and text, in order of month and payer."""
    paid_in = story.transactions.of_claim_payment
    order = np.lexsort((story.remits.stage, story.remits.claim, paid_in))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    owner = place[story.remits.owner]
    by_owner = np.lexsort((story.remits.charge, owner))
    pieces = Pieces.of(_heads(story).gather(order), _lines(story).gather(by_owner), owner[by_owner])
    bounds = np.searchsorted(paid_in[order], np.arange(len(story.transactions) + 1))
    transactions = story.transactions
    batches: dict[tuple[str, int], list[int]] = {}
    for index, (day, payer) in enumerate(zip(transactions.day.tolist(), transactions.payer.tolist(), strict=True)):
        batches.setdefault((f"{as_date(day):%Y-%m}", payer), []).append(index)
    for number, ((month, payer), batch) in enumerate(sorted(batches.items()), start=1):
        sets: list[str] = []
        for index in batch:
            text, segments = pieces.cut(int(bounds[index]), int(bounds[index + 1]))
            sets.append(_transaction_set(story, index, len(sets) + 1, text, segments))
        payer_id, last = str(story.group.electronic_ids[payer]), int(transactions.day[batch[-1]])
        yield f"{month}_{payer_id}.835", interchange(payer_id, "CLINICMART", last, number, "HP", VERSION, sets)


def _transaction_set(story: Story, index: int, number: int, text: str, segments: int) -> str:
    group, transactions = story.group, story.transactions
    payer, day = int(transactions.payer[index]), int(transactions.day[index])
    when, payer_id, tenant = as_date(day), group.electronic_ids[payer], group.tenant
    amount = int(transactions.amounts[index])
    handling, method = ("I", "ACH*CCP") if amount else ("H", "NON*")
    beside = "".join(
        f"PLB*{group.billing_npi}*{when.year}1231*{item.reason}:{item.reference}*{dollars(item.amount)}~"
        for item in transactions.provider_adjustments[index]
    )
    head = (
        f"ST*835*{number:04d}~BPR*{handling}*{dollars(amount)}*C*{method}*01*999999992*DA*100200300*1{payer_id}0000**01*999988880*DA*400500600*{when:%Y%m%d}~"
        f"TRN*1*EFT{payer_id}{day}*1{payer_id}0000~DTM*405*{when:%Y%m%d}~N1*PR*{group.payer_names[payer]}*XV*{payer_id}~"
        f"N3*100 Payer Square~N4*Fairmount*{tenant.state}*{tenant.zip3}00~"
        f"N1*PE*{tenant.name.upper()} PHYSICIANS PC*XX*{group.billing_npi}~LX*1~"
    )
    return f"{head}{text}{beside}SE*{head.count('~') + segments + beside.count('~') + 1}*{number:04d}~"


def _heads(story: Story) -> pl.Series:
    remits, bills, booked, people = story.remits, story.claims, story.appointments, story.people
    appointment = story.encounters.appointment[bills.encounter[remits.claim]]
    patient = booked.patient[appointment]
    share = remits.claim_sum("pr1") + remits.claim_sum("pr2") + remits.claim_sum("pr3")
    frame = pl.DataFrame(
        {
            "claim": story.claim_ids.gather(remits.claim),
            "status": remits.status,
            "billed": money(remits.claim_sum("billed")),
            "paid": money(remits.claim_sum("paid")),
            "share": money(share),
            "filing": pick([item.filing_indicator for item in PAYERS], remits.payer),
            "control": story.control_numbers(remits.claim, remits.payer, remits.submission),
            "place": pick([item.place_of_service for item in VISIT_TYPES], booked.visit_type[appointment]),
            "frequency": np.where(_is_replacement(story), 7, 1),
            "reasons": _claim_reasons(story),
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given_name[patient]),
            "member": member_ids(people, patient, remits.payer),
            "provider": provider_name(story).gather(booked.provider[appointment]),
            "npi": pick(story.group.provider_npis, booked.provider[appointment]),
            "record": people.record_numbers.gather(patient),
            "day": dates(bills.service_day[remits.claim], "%Y%m%d"),
        }
    ).with_columns(pl.col("day").alias("last_day"))
    return frame.select(
        pl.format(
            "CLP*{}*{}*{}*{}*{}*{}*{}*{}*{}~{}NM1*QC*1*{}*{}****MI*{}~NM1*82*1*{}****XX*{}~REF*EA*{}~DTM*232*{}~DTM*233*{}~",
            *frame.columns,
        )
    ).to_series()


def _is_replacement(story: Story) -> np.ndarray:
    """Claim payments that answer a replacement."""
    return (story.remits.submission == 2) & (story.remits.stage != SECONDARY)


def _claim_reasons(story: Story) -> pl.Series:
    """The CAS of claim payments without lines; an empty text for the others."""
    alone = overlaps.without_lines(story)
    of_lines = _contractual(story) + _patient(story)
    place = np.full(len(story.remits), -1)
    line = np.flatnonzero(alone[story.remits.owner])
    place[story.remits.owner[line]] = line
    return some(of_lines, place).fill_null("")


def _contractual(story: Story) -> pl.Series:
    return _reasons(story, "CO", {"45": "co45", "253": "co253", "denial": "denied"})


def _patient(story: Story) -> pl.Series:
    return _reasons(story, "PR", {"1": "pr1", "2": "pr2", "3": "pr3"})


def _lines(story: Story) -> pl.Series:
    remits, lines = story.remits, story.charges
    charge = remits.charge
    primary = remits.stage[remits.owner] != SECONDARY
    frame = pl.DataFrame(
        {
            "code": pick(CODES, lines.code[charge]),
            "modifier": pick([f":{TELEHEALTH_MODIFIER}", ""], np.where(lines.remote[charge], 0, 1)),
            "billed": money(remits.amounts["billed"]),
            "paid": money(remits.amounts["paid"]),
            "units": lines.units[charge],
            "day": dates(lines.service_day[charge], "%Y%m%d"),
            "contractual": _contractual(story),
            "patient": _patient(story),
            "other": _reasons(story, "OA", {"23": "oa23"}),
            "control": line_controls(story).gather(charge),
            "allowed": pl.select(
                pl.when(pl.Series(primary)).then("AMT*B6*" + money(remits.allowed) + "~").otherwise(pl.lit(""))
            ).to_series(),
            "remark": pick([f"LQ*HE*{code}~" if code else "" for code in (*REMARKS, "")], _remark(remits.denial)),
        }
    )
    text = pl.format("SVC*HC:{}{}*{}*{}**{}~DTM*472*{}~{}{}{}REF*6R*{}~{}{}", *frame.columns)
    is_alone = pl.Series(overlaps.without_lines(story)[remits.owner])
    return frame.select(pl.when(is_alone).then(pl.lit("")).otherwise(text).alias("text")).to_series()


def _remark(denial: np.ndarray) -> np.ndarray:
    return np.where(denial < 0, len(REMARKS), denial)


def _reasons(story: Story, group_code: str, names: dict[str, str]) -> pl.Series:
    """One CAS with a triplet for each amount that is not nothing; an empty text where there is none."""
    remits = story.remits
    triplets = {}
    for code, name in names.items():
        values = remits.amounts[name]
        reason = pick(DENIAL_CODES, remits.denial) if code == "denial" else pick([code], np.zeros(len(values)))
        triplets[name] = pl.select(
            pl.when(pl.Series(values != 0)).then(reason + "*" + money(values)).alias(name)
        ).to_series()
    frame = pl.DataFrame(triplets)
    joined = frame.select(pl.concat_str(frame.columns, separator="**", ignore_nulls=True).alias("all"))
    return joined.select(
        pl.when(pl.col("all") == "").then(pl.lit("")).otherwise(pl.format(f"CAS*{group_code}*{{}}~", "all"))
    ).to_series()
