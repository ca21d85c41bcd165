"""One clinic of each tenant that was moved in the tree: where it stood before, and what that makes of figures by program."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample.catalogue import SERVICE_LINES
from clinicmart.sample.clock import as_date, day_number, months_before
from clinicmart.sample.story import Story
from clinicmart.sample.structure import WARD_ID

MONTHS_AGO = 6
# The second clinic of the first service line came from the third one, which belongs to another program.
CLINIC, FORMER_LINE = 1, 2
CHANGED = "2025-01-02 05:00:00"


@dataclass(frozen=True, kw_only=True)
class Move:
    """`clinic` (index) stood below `former_parent` before `day` (day number), and stands below `parent` since."""

    clinic: int
    day: int
    former_parent: str
    parent: str


def _rows(story: Story) -> dict[str, dict[str, str | None]]:
    return {row["service_unit_id"]: row for row in story.group.frames["service_units"].iter_rows(named=True)}


def _line(story: Story, line: int) -> str:
    """The service unit of a service line: the parent of its first clinic."""
    first = sum(item.clinics for item in SERVICE_LINES[:line])
    parent = _rows(story)[str(story.group.clinic_ids[first])]["parent_service_unit_id"]
    assert parent is not None
    return parent


def move(story: Story) -> Move:
    """The tenant's move; on the first day of a month."""
    day = day_number(months_before(as_date(story.calendar.as_of), MONTHS_AGO))
    return Move(clinic=CLINIC, day=day, former_parent=_line(story, FORMER_LINE), parent=_line(story, 0))


def placements(story: Story) -> pl.DataFrame:
    """The table `service_unit_placements`: both places of the clinic that moved."""
    moved = move(story)
    since = as_date(moved.day)
    return pl.DataFrame(
        {
            "service_unit_id": [str(story.group.clinic_ids[moved.clinic])] * 2,
            "effective_from": ["2019-01-01", since.isoformat()],
            "effective_to": pl.Series([as_date(moved.day - 1).isoformat(), None], dtype=pl.String),
            "parent_service_unit_id": [moved.former_parent, moved.parent],
            "billing_profile": ["professional", "professional"],
            "updated_at": [CHANGED] * 2,
        }
    )


def programs(story: Story, clinic: np.ndarray, day: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """(index, identifiers) of the program of each clinic, the ward counting as the last clinic: as it was on `day` (day
    numbers), or as it is now where `day` is None."""
    rows = _rows(story)

    def program(unit: str) -> str:
        ancestor: str | None = unit
        while ancestor is not None and rows[ancestor]["unit_type"] != "program":
            ancestor = rows[ancestor]["parent_service_unit_id"]
        assert ancestor is not None
        return ancestor

    now = [program(str(unit)) for unit in (*story.group.clinic_ids, WARD_ID)]
    labels = list(dict.fromkeys(now))
    moved = move(story)
    codes = np.array([labels.index(item) for item in now])[clinic]
    if day is not None:
        before = (clinic == moved.clinic) & (day < moved.day)
        codes = np.where(before, labels.index(program(moved.former_parent)), codes)
    return codes, labels
