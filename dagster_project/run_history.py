"""How long the orchestrator's records of runs and their logs are kept. The ledger, the audit log and published versions are not
touched: they follow other rules."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from foundation.home import Home

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
# In one go: the first run after a release that removes them must not take minutes.
_AT_ONCE = 200


def remove_old_runs(home: Home, instance: DagsterInstance, keep_days: int, *, now: datetime | None = None) -> int:
    """Removes the events and logs of runs that ended more than `keep_days` days ago; returns how many runs.

    At most 200 runs at once, the oldest first. A run that has not ended stays.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=keep_days)
    old = RunsFilter(statuses=_ENDED, updated_before=before)
    run_ids = [run.run_id for run in instance.get_runs(old, limit=_AT_ONCE, ascending=True)]
    for run_id in run_ids:
        instance.delete_run(run_id)
        log_of(home, run_id).unlink(missing_ok=True)
    for log in home.folder("logs").glob("run-*.log"):
        # Logs of runs that an earlier release, or a person, removed.
        if datetime.fromtimestamp(log.stat().st_mtime, UTC) < before:
            log.unlink(missing_ok=True)
    return len(run_ids)


def log_of(home: Home, run_id: str) -> Path:
    """Where the lines of a run's tools are kept."""
    return home.folder("logs") / f"run-{run_id}.log"
