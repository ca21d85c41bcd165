"""Which process may work in a home now. A process that is killed releases its lock.

run.lock             held by `clinicmart run` from beginning to end: one at a time
step.lock            held by each step of any run, the orchestrator's too: landing steps share it, every other step has it alone
step-<tenant>.lock   held by a landing step, so that no two land for one tenant at once
landing.lock         shared by all who land rows; a backup has it alone for the moment in which it takes the landed files
backup.lock          held by `clinicmart backup` from beginning to end: one at a time
"""

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.errors import ClinicmartError
from foundation.home import Home

# A process that asks `is_held` holds the file for an instant: a run that begins then waits.
_PATIENCE_SECONDS = 1.0
_progress = logging.getLogger("clinicmart.progress")


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
            with landing(home):
                yield


@contextmanager
def landing(home: Home) -> Iterator[None]:
    """Held while rows land: a backup waits for it, or it waits for a backup that takes the landed files just now."""
    with _landing_file(home).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextmanager
def landing_paused(home: Home) -> Iterator[None]:
    """Waits until no feed lands, and holds up the next one."""
    with _landing_file(home).open("a") as handle:
        if not _taken(handle.fileno(), fcntl.LOCK_EX):
            _progress.info("waiting for the feed that is being landed")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def backup(home: Home, *, waits: bool = False) -> Iterator[None]:
    """Holds the home for one backup, or for what must not happen during one; such a step `waits`. Raises ClinicmartError where another
    backup is under way."""
    with (home.path / "backup.lock").open("a") as handle:
        if waits:
            fcntl.flock(handle, fcntl.LOCK_EX)
        elif not _taken(handle.fileno(), fcntl.LOCK_EX):
            raise ClinicmartError(f"{home.path}: another backup of this home is under way; wait for it to end")
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


def _landing_file(home: Home) -> Path:
    return home.path / "landing.lock"


def _step_file(home: Home) -> Path:
    return home.path / "step.lock"
