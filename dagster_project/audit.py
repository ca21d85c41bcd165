"""What dbt said of its own run: the audit that decides whether marts may be published."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Outcome of a dbt build. `failures` names each model or test that failed, with dbt's message."""

    failures: tuple[str, ...] = ()
    models_built: int = 0
    tests_passed: int = 0

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def read_audit(dbt_target: Path) -> Audit:
    """Reads `run_results.json` of a dbt target folder. A file that is absent or broken is a failure."""
    try:
        results = json.loads((dbt_target / "run_results.json").read_text("utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        return Audit(failures=("dbt left no results: see the log of the run",))
    failures = []
    models = tests = 0
    for result in results:
        kind, name = result["unique_id"].split(".")[0], result["unique_id"].split(".")[2]
        if result["status"] in ("error", "fail", "runtime error"):
            message = " ".join((result.get("message") or "").split())
            failures.append(f"{kind} {name}: {message[:300]}")
        elif kind in ("test", "unit_test"):
            tests += 1
        elif result["status"] == "success":
            models += 1
    return Audit(failures=tuple(failures), models_built=models, tests_passed=tests)
