"""Which process may work in a home now. A process that is killed releases its lock.

run.lock             held by `clinicmart run` from beginning to end: one at a time
step.lock            held by each step of any run, the orchestrator's too: landing steps share it, every other step has it alone
step-<tenant>.lock   held by a landing step, so that no two land for one tenant at once
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.errors import ClinicmartError
from foundation.home import Home

# A process that asks `is_held` holds the file for an instant: a run that begins then waits.
_PATIENCE_SECONDS = 1.0


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Holds the home for one run. Raises ClinicmartError where another run holds it."""
    with _file(home).open("w") as handle:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not _taken(handle.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise ClinicmartError(f"{home.path}: another run is under way in this home; wait for it to end")
            time.sleep(0.05)
        yield


@contextmanager
def step(home: Home, tenant_id: str | None = None) -> Iterator[None]:
    """Waits for its turn and holds the home for one step of a run; for one that lands for a tenant, holds that tenant's landing
    and shares the rest with the landing of others."""
    with _step_file(home).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if tenant_id is None else fcntl.LOCK_SH)
        if tenant_id is None:
            yield
            return
        with (home.path / f"step-{tenant_id}.lock").open("a") as of_tenant:
            fcntl.flock(of_tenant, fcntl.LOCK_EX)
            yield


def is_held(home: Home) -> bool:
    """Whether a run, or a step of one, is at work in the home."""
    return not all(
        _is_free(path, kind) for path, kind in ((_file(home), fcntl.LOCK_SH), (_step_file(home), fcntl.LOCK_EX))
    )


def _is_free(path: Path, kind: int) -> bool:
    if not path.exists():
        return True
    with path.open("r") as handle:
        return _taken(handle.fileno(), kind)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _file(home: Home) -> Path:
    return home.path / "run.lock"


def _step_file(home: Home) -> Path:
    return home.path / "step.lock"
