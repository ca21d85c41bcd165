"""The registry of problems: a lasting code, what happened and what to do, for every slug that a notice or a refusal gives.

    problem_code("segment_count_wrong")           "CM-X12-012"
    problem_code("a_slug_of_another_release")     ""

The registry is `problems.yaml` beside this file. Homes keep slugs, never codes. What is wrong across feeds has codes of the same
form (CM-PLAUS-001): they are rows of `dbt/seeds/plausibility_checks.csv`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

REGISTRY = Path(__file__).parent / "problems.yaml"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem. `group` is the heading it stands under, `meaning` what happened and what became of the record."""

    code: str
    slug: str
    group: str
    meaning: str
    remedy: str


@lru_cache(maxsize=1)
def problems() -> Mapping[str, Problem]:
    """Every problem by its slug, in the order of the registry."""
    groups = yaml.load(REGISTRY.read_text("utf-8"), Loader=yaml.CSafeLoader)
    listed = [Problem(group=group, **item) for group, items in groups.items() for item in items]
    return MappingProxyType({problem.slug: problem for problem in listed})


def problem_code(slug: str) -> str:
    """The code of a slug; empty for a slug of another release, so that old homes can still be shown."""
    problem = problems().get(slug)
    return problem.code if problem is not None else ""


def with_codes(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with a `reason` (a slug), each with the `code` of that reason."""
    return [{**row, "code": problem_code(row["reason"])} for row in rows]
