"""What is wrong in a home: findings with lasting codes, for `clinicmart doctor`.

finding("temporary_left", path, repair=path.unlink)
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml

REGISTRY = Path(__file__).parent / "home_problems.yaml"


@dataclass(frozen=True, kw_only=True)
class HomeProblem:
    """One kind of finding: what it means, what to do, and what `--repair` does; `repair` is empty where a person must act."""

    code: str
    slug: str
    meaning: str
    remedy: str
    repair: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding. `subject` is a file, a version, a process; `detail` adds what this one says. `mend` repairs it where that is safe."""

    problem: HomeProblem
    subject: str
    tenant_id: str = ""
    detail: str = ""
    mend: Callable[[], object] | None = field(default=None, repr=False, compare=False)


@lru_cache(maxsize=1)
def home_problems() -> dict[str, HomeProblem]:
    """Every kind by its slug, in the order of the registry."""
    listed = yaml.load(REGISTRY.read_text("utf-8"), Loader=yaml.CSafeLoader)
    return {item["slug"]: HomeProblem(**item) for item in listed}


def finding(
    slug: str, subject: object, *, tenant_id: str = "", detail: str = "", mend: Callable[[], object] | None = None
) -> Finding:
    """A finding of a kind. Raises ValueError where one that says it is repaired has no repair, or the other way round."""
    problem = home_problems()[slug]
    if mend is not None and not problem.repair:
        raise ValueError(f"{slug} has no repair")
    return Finding(problem=problem, subject=str(subject), tenant_id=tenant_id, detail=detail, mend=mend)
