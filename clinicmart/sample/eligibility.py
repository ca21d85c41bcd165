"""Answers of payers to the question whether a patient is insured, some days before most visits with an insurer.

Each tenant has them in one way (`WAYS`): 271 files (`x12_eligibility`), FHIR resources or tables of the PM database. Some questions are
rejected, some answers say that coverage is inactive or ends before the visit, some are about another payer than the one that is billed,
some state two copays, and a few are about people whom nobody knows.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample.catalogue import PAYERS, SELF_PAY
from clinicmart.sample.clock import DAY
from clinicmart.sample.people import member_ids
from clinicmart.sample.story import Story
from clinicmart.sample.text import dates, money, numbers, pick, timestamps

WAYS = ("x12", "pm", "fhir")
STATES = ("active", "inactive", "error", "unknown")
ACTIVE, INACTIVE, ERROR, UNKNOWN = range(4)
REJECT_CODES = ("75", "72")
ANSWERED_AT = 16 * 3600
STRAYS = 8
DEDUCTIBLE = 100_000
COINSURANCE = 20
OTHER_COPAY = 1_000


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One element per answer, in order of its local day (16:00 in the tenant's zone). `patient` is -1 for people whom nobody knows;
    `state` indexes STATES, `reject` REJECT_CODES (-1: none); `valid_from` and `valid_to` are days (-1: not said). Amounts are in cents
    (-1: not said), `second_copay` is a copay that contradicts the first. `names_record` says that the record number is told, else the
    member number alone."""

    patient: np.ndarray
    payer: np.ndarray
    day: np.ndarray
    state: np.ndarray
    reject: np.ndarray
    valid_from: np.ndarray
    valid_to: np.ndarray
    copay: np.ndarray
    second_copay: np.ndarray
    deductible_left: np.ndarray
    names_record: np.ndarray

    def __len__(self) -> int:
        return len(self.day)


def way(story: Story) -> str:
    """How the tenant's answers come, one of WAYS."""
    return WAYS[story.index % len(WAYS)]


def draw_answers(story: Story) -> Answers:
    """Draws from a stream that nothing else uses. A person has one answer a day, so that none is later than another of the day."""
    booked, people, calendar, rng = story.appointments, story.people, story.calendar, story.rng("eligibility")
    size = len(booked)
    visit_day = booked.start_local // DAY
    day = visit_day - rng.choice([1, 2, 3, 6, 40], size, p=[0.3, 0.3, 0.2, 0.15, 0.05])
    asked = (booked.payer != SELF_PAY) & (rng.random(size) < 0.8) & (day >= calendar.first) & (day <= calendar.as_of)
    chosen = np.flatnonzero(asked)
    _, first = np.unique(people.final(booked.patient[chosen]) * 100_000 + day[chosen], return_index=True)
    chosen = chosen[np.sort(first)]
    size = len(chosen)
    is_other = rng.random(size) < 0.04
    payer = np.where(
        is_other, (booked.payer[chosen] + rng.integers(1, SELF_PAY, size)) % SELF_PAY, booked.payer[chosen]
    )
    state = np.searchsorted([0.89, 0.94, 0.98], rng.random(size))
    is_active = state == ACTIVE
    ends = is_active & (rng.random(size) < 0.03)
    patient = booked.patient[chosen]
    has_copay = is_active & (rng.random(size) < 0.95)
    copay = np.array([item.copay for item in PAYERS])[payer] + np.where(rng.random(size) < 0.1, OTHER_COPAY, 0)
    copay = np.where(has_copay, copay, -1)
    second = np.where(has_copay & (rng.random(size) < 0.04), copay + OTHER_COPAY, -1)
    left = np.where(is_active & (rng.random(size) < 0.9), rng.integers(0, DEDUCTIBLE // 100 + 1, size) * 100, -1)
    is_covered = (payer == people.payer[patient]) | (payer == people.secondary[patient])
    is_covered |= (payer == people.later_payer[patient]) & (people.switch_day[patient] <= calendar.as_of)
    names_record = ~is_covered | (rng.random(size) < 0.4)
    strays = np.full(STRAYS, -1)
    stray_day = calendar.as_of - 7 * np.arange(1, STRAYS + 1)
    columns = {
        "patient": np.append(patient, strays),
        "payer": np.append(payer, np.arange(STRAYS) % SELF_PAY),
        "day": np.append(day[chosen], stray_day),
        "state": np.append(state, np.full(STRAYS, ACTIVE)),
        "reject": np.append(np.where(state == ERROR, rng.integers(0, len(REJECT_CODES), size), -1), strays),
        "valid_from": np.append(np.where(is_active, day[chosen] - 200, -1), strays),
        "valid_to": np.append(np.where(ends, visit_day[chosen] - 1, -1), strays),
        "copay": np.append(copay, strays),
        "second_copay": np.append(second, strays),
        "deductible_left": np.append(left, strays),
        "names_record": np.append(names_record, np.arange(STRAYS) % 2 == 0),
    }
    order = np.argsort(columns["day"], kind="stable")
    return Answers(**{name: values[order] for name, values in columns.items()})


def answer_ids(answers: Answers) -> pl.Series:
    """The number of each answer."""
    return "E" + numbers(np.arange(1, len(answers) + 1), 7)


def record_numbers(story: Story, answers: Answers) -> pl.Series:
    """The medical record number of each answer; null where the answer does not tell it. That of a stranger is in no other feed."""
    stranger = "MX" + numbers(np.arange(len(answers)), 6)
    record_number = story.people.record_numbers.gather(np.maximum(answers.patient, 0))
    frame = pl.DataFrame(
        {
            "record": record_number,
            "stranger": stranger,
            "names_record": answers.names_record,
            "is_stranger": answers.patient < 0,
        }
    )
    number = pl.when("is_stranger").then("stranger").otherwise("record")
    return frame.select(number=pl.when("names_record").then(number)).to_series()


def members(story: Story, answers: Answers) -> pl.Series:
    """The member number of each answer."""
    member = member_ids(story.people, np.maximum(answers.patient, 0), answers.payer)
    frame = pl.DataFrame(
        {"member": member, "stranger": "WX" + numbers(np.arange(len(answers)), 6), "is_stranger": answers.patient < 0}
    )
    return frame.select(pl.when("is_stranger").then("stranger").otherwise("member").alias("member")).to_series()


def benefit_lines(answers: Answers) -> pl.DataFrame:
    """One row for each share that an answer states, in order: answer (place), line (from 1), type, service, level, kind, amount (cents,
    -1 for the coinsurance)."""
    parts = []
    states_left = answers.deductible_left >= 0
    for name, service, kind, amount in (
        ("copay", "98", "total", answers.copay),
        ("copay", "98", "total", answers.second_copay),
        ("deductible", "30", "total", np.where(states_left, DEDUCTIBLE, -1)),
        ("deductible", "30", "remaining", answers.deductible_left),
    ):
        stated = np.flatnonzero(amount >= 0)
        parts.append(_lines(stated, name, service, kind, amount[stated]))
    stated = np.flatnonzero(states_left)
    parts.append(_lines(stated, "coinsurance", "30", "total", np.full(len(stated), -1)))
    lines = pl.concat(parts).with_row_index("order").sort("answer", "order").drop("order")
    return lines.with_columns(line=pl.int_range(1, pl.len() + 1).over("answer"))


def _lines(answer: np.ndarray, name: str, service: str, kind: str, amount: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"answer": answer, "amount": amount.astype(np.int64)}).with_columns(
        type=pl.lit(name), service=pl.lit(service), kind=pl.lit(kind)
    )


def tables(story: Story) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The PM tables eligibility_checks and eligibility_benefits; empty where the tenant's answers come another way."""
    answers = draw_answers(story)
    ids = answer_ids(answers)
    when = timestamps(story.zones.to_utc(answers.day * DAY + ANSWERED_AT, 0))
    checks = pl.DataFrame(
        {
            "eligibility_check_id": ids,
            "medical_record_number": record_numbers(story, answers),
            "member_id": members(story, answers),
            "payer_id": pick(story.group.payer_ids, answers.payer),
            "plan_name": pick(story.group.payer_names, np.where(answers.state == ACTIVE, answers.payer, -1)),
            "status": pick(STATES, answers.state),
            "reject_code": pick(REJECT_CODES, answers.reject),
            "answered_at": when,
            "valid_from": dates(answers.valid_from),
            "valid_to": dates(answers.valid_to),
            "trace_number": ids,
            "updated_at": when,
        }
    )
    lines = benefit_lines(answers)
    is_percent = pl.col("type") == "coinsurance"
    place = lines["answer"].to_numpy()
    benefits = lines.select(
        ids.gather(place).alias("eligibility_check_id"),
        line_number="line",
        benefit_type="type",
        service_type_code="service",
        coverage_level=pl.lit("individual"),
        network=pl.lit("in"),
        amount_kind="kind",
        benefit_amount=pl.when(~is_percent).then(money(np.maximum(lines["amount"].to_numpy(), 0))),
        benefit_percent=pl.when(is_percent).then(pl.lit(str(COINSURANCE))),
        updated_at=when.gather(place),
    )
    return (checks, benefits) if way(story) == "pm" else (checks.clear(), benefits.clear())


def resources(story: Story) -> list[dict[str, object]]:
    """CoverageEligibilityResponse resources; none where the tenant's answers come another way."""
    if way(story) != "fhir":
        return []
    answers = draw_answers(story)
    lines: dict[int, list[dict[str, object]]] = {}
    for row in benefit_lines(answers).iter_rows(named=True):
        lines.setdefault(row["answer"], []).append(_item(row))
    when = timestamps(story.zones.to_utc(answers.day * DAY + ANSWERED_AT, 0), "%Y-%m-%dT", "%H:%M:%SZ")
    begins, ends = dates(answers.valid_from), dates(answers.valid_to)
    made: list[dict[str, object]] = []
    for place, (name, moment) in enumerate(zip(answer_ids(answers), when, strict=True)):
        state, patient = int(answers.state[place]), int(answers.patient[place])
        insurance: dict[str, object] = {"coverage": {"identifier": {"value": name}}}
        if state in (ACTIVE, INACTIVE):
            insurance["inforce"] = state == ACTIVE
        period = {"start": begins[place], "end": ends[place]}
        insurance["benefitPeriod"] = {key: value for key, value in period.items() if value is not None}
        insurance["item"] = lines.get(place, [])
        resource: dict[str, object] = {
            "resourceType": "CoverageEligibilityResponse",
            "id": name,
            "meta": {"lastUpdated": moment},
            "status": "active",
            "purpose": ["validation", "benefits"],
            "patient": {"reference": f"Patient/p-{patient + 1 if patient >= 0 else f'x{place}'}"},
            "created": moment,
            "insurer": {"reference": f"Organization/{story.group.payer_ids[answers.payer[place]]}"},
            "outcome": "error" if state == ERROR else "complete",
            "insurance": [insurance],
        }
        if state == ERROR:
            resource["error"] = [{"code": {"coding": [{"code": REJECT_CODES[answers.reject[place]]}]}}]
        made.append(resource)
    return made


def _item(row: dict[str, object]) -> dict[str, object]:
    cents = int(str(row["amount"]))
    if row["type"] == "coinsurance":
        benefit: dict[str, object] = {"type": _coded("copay-percent"), "allowedUnsignedInt": COINSURANCE}
    elif row["kind"] == "remaining":
        # FHIR states what was used, not what is left.
        benefit = {"type": _coded("deductible"), "usedMoney": _dollars(DEDUCTIBLE - cents)}
    else:
        benefit = {"type": _coded(str(row["type"])), "allowedMoney": _dollars(cents)}
    unit, network = _coded("individual"), _coded("in")
    return {"category": _coded(str(row["service"])), "network": network, "unit": unit, "benefit": [benefit]}


def _coded(code: str) -> dict[str, object]:
    return {"coding": [{"code": code}]}


def _dollars(cents: int) -> dict[str, object]:
    return {"value": cents / 100, "currency": "USD"}
