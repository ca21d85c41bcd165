"""271 files of the clearing house: one a month, in it one transaction a day with the day's answers. In the folder of its other answers."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from clinicmart.sample import eligibility, names
from clinicmart.sample.clock import as_date
from clinicmart.sample.eligibility import ACTIVE, ERROR, INACTIVE, Answers
from clinicmart.sample.envelope import Pieces, interchange
from clinicmart.sample.people import birth_dates
from clinicmart.sample.story import Story
from clinicmart.sample.text import dates, money, pick

VERSION = "005010X279A1"


def files(story: Story) -> Iterator[tuple[str, str]]:
    """File name and text; nothing where the tenant's answers come another way."""
    if eligibility.way(story) != "x12":
        return
    answers = eligibility.draw_answers(story)
    starts = np.flatnonzero(np.diff(answers.day, prepend=-1))
    stops = np.append(starts[1:], len(answers))
    lines = eligibility.benefit_lines(answers)
    owner = lines["answer"].to_numpy()
    pieces = Pieces.of(_heads(story, answers), _benefits(lines), owner)
    months = [as_date(int(answers.day[start])).strftime("%Y-%m") for start in starts]
    for number, month in enumerate(dict.fromkeys(months), start=1):
        batch = [index for index, name in enumerate(months) if name == month]
        sets = []
        for control, index in enumerate(batch, start=1):
            text, segments = pieces.cut(int(starts[index]), int(stops[index]))
            when = f"{as_date(int(answers.day[starts[index]])):%Y%m%d}"
            head = f"ST*271*{control:04d}*{VERSION}~BHT*0022*11*{when}*{when}*1600~"
            sets.append(f"{head}{text}SE*{head.count('~') + segments + 1}*{control:04d}~")
        last = int(answers.day[starts[batch[-1]]])
        yield f"{month}.271", interchange("CLEARHOUSE", "CLINICMART", last, 7000 + number, "HB", VERSION, sets)


def _heads(story: Story, answers: Answers) -> pl.Series:
    """The levels of each answer: the payer, the practice and the patient, with what is said of the coverage."""
    people, group = story.people, story.group
    patient = np.maximum(answers.patient, 0)
    place = 3 * (np.arange(len(answers)) - np.searchsorted(answers.day, answers.day))
    name = group.tenant.name.upper()
    coverage_texts = {ACTIVE: "EB*1*IND*30**", INACTIVE: "EB*6*IND*30~", ERROR: "", eligibility.UNKNOWN: "EB*U**30~"}
    plan = pick(group.payer_names, np.where(answers.state == ACTIVE, answers.payer, -1))
    frame = pl.DataFrame(
        {
            "h1": place + 1,
            "payer": pick(group.payer_names, answers.payer),
            "payer_id": pick(group.electronic_ids, answers.payer),
            "h2": place + 2,
            "h1_again": place + 1,
            "h3": place + 3,
            "h2_again": place + 2,
            "trace": eligibility.answer_ids(answers),
            "family": pick(names.FAMILY_NAMES, people.family[patient]),
            "given": pick(names.GIVEN_NAMES, people.given_name[patient]),
            "member": eligibility.members(story, answers),
            "record": ("REF*EA*" + eligibility.record_numbers(story, answers) + "~").fill_null(""),
            "born": birth_dates(people.birth_day, "%Y%m%d").gather(patient),
            "sex": pick(["M", "F"], people.is_female[patient]),
            "rejected": ("AAA*N**" + pick(eligibility.REJECT_CODES, answers.reject) + "*C~").fill_null(""),
            "begins": ("DTP*346*D8*" + dates(answers.valid_from, "%Y%m%d") + "~").fill_null(""),
            "ends": ("DTP*347*D8*" + dates(answers.valid_to, "%Y%m%d") + "~").fill_null(""),
            "coverage": pick([coverage_texts[state] for state in range(len(coverage_texts))], answers.state),
            "plan": (plan + "~").fill_null(""),
        }
    )
    return frame.select(
        pl.format(
            "HL*{}**20*1~NM1*PR*2*{}*****PI*{}~HL*{}*{}*21*1~NM1*1P*2*"
            + f"{name} PHYSICIANS PC*****XX*{group.billing_npi}"
            + "~HL*{}*{}*22*0~TRN*2*{}*9CLINICMART~NM1*IL*1*{}*{}****MI*{}~{}DMG*D8*{}*{}~{}{}{}{}{}",
            *frame.columns,
        )
    ).to_series()


def _benefits(lines: pl.DataFrame) -> pl.Series:
    amount = pl.Series("dollars", money(np.maximum(lines["amount"].to_numpy(), 0)))
    code = pl.col("type").replace_strict(
        {"copay": "B", "deductible": "C", "coinsurance": "A"}, return_dtype=pl.String()
    )
    period = (
        pl.when(pl.col("type") == "copay").then(pl.lit("27")).when(pl.col("kind") == "remaining").then(pl.lit("29"))
    )
    share = pl.when(pl.col("type") == "coinsurance").then(
        pl.format("EB*A*IND*{}*****{}****Y~", "service", pl.lit(str(eligibility.COINSURANCE / 100)))
    )
    other = pl.format("EB*{}*IND*{}***{}*{}*****Y~", code, "service", period.otherwise(pl.lit("23")), "dollars")
    return lines.with_columns(amount).select(share.otherwise(other).alias("text")).to_series()
