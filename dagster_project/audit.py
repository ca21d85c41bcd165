"""The result of a dbt run: the audit that decides whose marts may be published.

A model that does not build, a unit test that fails, and a data test without tenants stop all tenants. Any other data test stops
the tenants whose rows it found, and the others publish. For this, dbt continues after a failed data test (severity `warn`,
which `dagster_project.workspace` asks for): here a warning is a failure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from foundation.home import Home
from foundation.keys import Keys
from serving.publish.failed_tests import failing_tenants, told_rows

_FAILED = ("error", "fail", "runtime error", "warn")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Outcome of a dbt build. `failures` names each model or test that failed, with dbt's message; `failing_rows` are the data
    tests among them that found rows, with the SQL that finds them."""

    failures: tuple[str, ...] = ()
    failing_rows: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
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
    queries = {}
    models = tests = 0
    for result in results:
        kind, name = result["unique_id"].split(".")[0], result["unique_id"].split(".")[2]
        if result["status"] in _FAILED:
            rows = result.get("failures")
            flat_message = " ".join((result.get("message") or "").split())
            message = told_rows(rows) if kind == "test" and rows else flat_message
            failures.append(f"{kind} {name}: {message[:300]}")
            if kind == "test" and rows and result.get("compiled_code"):
                queries[failures[-1]] = result["compiled_code"]
        elif kind in ("test", "unit_test"):
            tests += 1
        elif result["status"] == "success":
            models += 1
    return Audit(failures=tuple(failures), failing_rows=queries, models_built=models, tests_passed=tests)


def failures_by_tenant(home: Home, keys: Keys, audit: Audit, tenants: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Tenant to the failures that keep it from being published, with the rules its rows break; of `tenants`, all where a failure concerns
    everybody."""
    whose = failing_tenants(home, keys, audit.failing_rows) if audit.failing_rows else {}
    reasons: dict[str, list[str]] = {}
    for failure in audit.failures:
        touched = whose.get(failure)
        for tenant in sorted(tenants if touched is None else touched):
            rules = () if touched is None else touched[tenant]
            reason = f"{failure.partition(':')[0]}: {'; '.join(rules)}" if rules else failure
            reasons.setdefault(tenant, []).append(reason)
    return {tenant: tuple(failures) for tenant, failures in reasons.items()}
