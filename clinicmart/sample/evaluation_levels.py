"""The tenant's table of evaluation and management codes: levels of the sample's codes of visits, which are invented like the codes."""

import csv
import io
from collections.abc import Iterator

import numpy as np

from clinicmart.sample.codes import CODES

COLUMNS = ("procedure_code", "effective_from", "effective_to", "evaluation_level", "evaluation_group")
# Code to level and group.
LEVELS = {
    "Z1001": (3, "new patient"),
    "Z1002": (4, "new patient"),
    "Z1011": (2, "established patient"),
    "Z1012": (3, "established patient"),
    "Z1013": (4, "established patient"),
}
GROUPS = list(dict.fromkeys(group for _, group in LEVELS.values()))
# The lowest of the levels that are called high.
HIGH = 4
FIRST_DAY = "2000-01-01"


def files() -> Iterator[tuple[str, str]]:
    """Name and text of the one file."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(COLUMNS)
    for code, (level, group) in LEVELS.items():
        out.writerow((code, FIRST_DAY, "", level, group))
    yield "evaluation_levels.csv", text.getvalue()


def levels_of(code: np.ndarray) -> np.ndarray:
    """Levels of indexes of CODES, 0 where the table has none."""
    return np.array([LEVELS.get(name, (0, ""))[0] for name in CODES])[code]


def groups_of(code: np.ndarray) -> np.ndarray:
    """Indexes of GROUPS, -1 where the table has none."""
    return np.array([GROUPS.index(LEVELS[name][1]) if name in LEVELS else -1 for name in CODES])[code]
