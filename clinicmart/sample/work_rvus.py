"""The tenant's table of work relative value units: invented values for the sample's codes, one file for each year of service.

Drugs and supplies have no value, as in any such table, and telehealth has a separate row.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clinicmart.sample.clock import as_date
from clinicmart.sample.codes import CODES, PRICES, TELEHEALTH_MODIFIER
from clinicmart.sample.story import Story

COLUMNS = ("procedure_code", "modifier", "effective_from", "effective_to", "work_rvus")
WITHOUT_VALUE = ("A", "J", "L")
CENTS_A_UNIT = 9_000
# What telehealth counts of the same service in the clinic, and how values grow a year, in hundredths.
REMOTE_HUNDREDTHS, YEARLY_HUNDREDTHS = 95, 3


@dataclass(frozen=True, kw_only=True)
class WorkRvus:
    """`values[year, code, remote]` in hundredths of a unit, -1 where the table has none; `years[0]` is the first one."""

    years: list[int]
    values: np.ndarray


def draw_work_rvus(story: Story) -> WorkRvus:
    """Values that follow the list prices, with some chance."""
    years = list(range(as_date(story.calendar.first).year, as_date(story.calendar.last).year + 1))
    chance = story.rng("work_rvus").uniform(0.8, 1.2, len(CODES))
    first = np.maximum(np.rint(np.array([PRICES[code] for code in CODES]) * chance / CENTS_A_UNIT * 100), 5)
    first = np.where([code.startswith(WITHOUT_VALUE) for code in CODES], -1, first).astype(np.int64)
    grown = np.stack([first * (100 + YEARLY_HUNDREDTHS * number) // 100 for number in range(len(years))])
    grown = np.where(first < 0, -1, grown)
    remote = np.where(grown < 0, -1, grown * REMOTE_HUNDREDTHS // 100)
    return WorkRvus(years=years, values=np.stack([grown, remote], axis=2))


def files(story: Story) -> Iterator[tuple[str, str]]:
    """Name and text of each year's file."""
    rates = draw_work_rvus(story)
    for place, year in enumerate(rates.years):
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(COLUMNS)
        for index, code in enumerate(CODES):
            for remote, modifier in enumerate(("", TELEHEALTH_MODIFIER)):
                value = int(rates.values[place, index, remote])
                if value >= 0:
                    span = (f"{year}-01-01", f"{year}-12-31")
                    out.writerow((code, modifier, *span, f"{value // 100}.{value % 100:02d}"))
        yield f"work_rvus_{year}.csv", text.getvalue()


def of_lines(story: Story, lines: np.ndarray) -> np.ndarray:
    """Value of one unit of charge lines on their day, in hundredths; -1 where the table has none."""
    rates, charges = draw_work_rvus(story), story.charges
    year = np.array([as_date(day).year - rates.years[0] for day in charges.service_day[lines].tolist()], np.int64)
    return rates.values[year, charges.code[lines], charges.remote[lines].astype(np.int64)]
