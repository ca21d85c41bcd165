"""One pipeline run in this process, over the same definitions that the orchestrator's UI shows.

First the feeds are read into the raw tables. Only then it is known whether anything is to be built or published: if so, a second run of the
orchestrator does it (with the tag `clinicmart/run`: the run of the ledger). So a run with nothing new loads neither dbt nor its manifest.
"""

from collections.abc import Mapping
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from dagster import DagsterInstance

from dagster_project.dbt_project import TARGET
from dagster_project.definitions import BUILDING_JOB, READING_JOB, build_definitions, reading_definitions
from dagster_project.event_log import configure
from dagster_project.landing_assets import part_of_key
from dagster_project.lineage_events import RUN
from dagster_project.run_history import log_of, remove_old_runs
from dagster_project.workspace import RUN_TAG, Workspace
from foundation import duck
from foundation.config import Config
from foundation.errors import ClinicmartError
from foundation.faults import check_free_space, sentence_of_words
from foundation.home import Home
from foundation.logs import about
from foundation.replays import refuse_feeds
from foundation.run_lock import alone
from ingest.accounts.feed_coverage import coverage
from ingest.landing.quarantine import held_sentence
from ingest.landing.side_by_side import SideBySide, helpers_for
from ingest.ledger import Ledger
from serving.versions.store import outcome

if TYPE_CHECKING:
    from dagster import ExecuteInProcessResult

# The progress lines show what happens, and it is kept in the orchestrator's event log; its console log would bury both.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """What a run came to. outcome: published, unchanged or stopped; `problems` name feeds, files and failed gates; `alerts` say
    which feeds stopped bringing what they should, which is no fault of the run and leaves its exit code alone. `stopped` are tenants
    that are not published though others are. `held` says in one sentence what quarantine holds; empty where it holds nothing."""

    run_id: str
    outcome: str
    stopped: tuple[str, ...] = field(default=())
    problems: tuple[str, ...] = field(default=())
    alerts: tuple[str, ...] = field(default=())
    held: str = ""

    @property
    def exit_code(self) -> int:
        """0 if everything was read and the published versions are current, else 1."""
        return 1 if self.problems or self.outcome == "stopped" else 0


def run_pipeline(
    home: Home,
    config: Config,
    *,
    target: str = TARGET,
    full_refresh: bool = False,
    accept_deletions: bool = False,
) -> RunOutcome:
    """Runs every feed of the configuration to every published page; marts are built on `target` (duckdb or postgres).

    Raises ClinicmartError where the disk has no room for a run, another run holds the home or the dbt project does not parse, and
    ConfigurationError in a home that takes no feeds.
    """
    refuse_feeds(home)
    check_free_space(home)
    with alone(home), closing(SideBySide(helpers_for(config.tenants))) as ahead:
        how = {"full_refresh": full_refresh, "accept_deletions": accept_deletions}
        return _run(Workspace(home, config, target=target, ahead=ahead, run_id=str(uuid4()), **how))


def build_landed(home: Home, config: Config) -> RunOutcome:
    """Builds and publishes what lies landed in a home, and asks no feed. Raises ClinicmartError as `run_pipeline` does."""
    check_free_space(home)
    with alone(home):
        return _run(Workspace(home, config, run_id=str(uuid4()), reads_feeds=False))


def _run(workspace: Workspace) -> RunOutcome:
    """One run from landing, or from what is landed, to every published version. The caller holds the home."""
    home, config, ahead, run_id = workspace.home, workspace.config, workspace.ahead, workspace.run_id
    assert run_id is not None
    duck.remove_left_over(home)
    workspace.remember()
    configure(home)
    reading_job = reading_definitions(workspace).resolve_job_def(READING_JOB)
    with DagsterInstance.from_config(str(home.dagster)) as instance, closing(Ledger(home)) as ledger:
        ledger.start_run(run_id, str(config.file))
        # As the orchestrator goes through them: by the names of its steps.
        in_order = sorted(config.tenants, key=lambda tenant: f"{part_of_key(tenant.tenant_id)}__")
        if ahead is not None:
            how = {"full_refresh": workspace.full_refresh, "accept_deletions": workspace.accept_deletions}
            ahead.begin(home, in_order, run_id, **how)
        # dbt's own lines go to a file: the progress lines say what a person needs.
        told_of = workspace.lineage.job(run_id, RUN, about="Every feed to every published page", parent=None)
        with (
            about(run_id=run_id),
            told_of as lines,
            log_of(home, run_id).open("w", encoding="utf-8") as log,
            redirect_stdout(log),
        ):
            result = reading_job.execute_in_process(
                instance=instance, run_id=run_id, run_config=_QUIET, raise_on_error=False
            )
            if result.success:
                try:
                    result = _build(workspace, instance) or result
                except Exception as error:
                    problem = str(error) if isinstance(error, ClinicmartError) else type(error).__name__
                    ledger.end_run(run_id, "stopped", problem)
                    workspace.record_for_all(run_id, "stopped")
                    raise
            outcome = _outcome(ledger, run_id, result.success, _failure(result), _stopped(home, config, run_id))
            if outcome.outcome == "stopped":
                lines.problem = "the run stopped; clinicmart status and its log say why"
        ledger.end_run(run_id, outcome.outcome, "\n".join(outcome.problems) or None)
        held = held_sentence(ledger, [tenant.tenant_id for tenant in config.tenants])
        outcome = replace(outcome, alerts=_alerts(ledger, config), held=held)
        remove_old_runs(home, instance, config.keep_runs_days)
    return outcome


def _build(workspace: Workspace, instance: DagsterInstance) -> "ExecuteInProcessResult | None":
    """Builds what is due and publishes; None where everything that is served is current."""
    assert workspace.run_id is not None
    if workspace.is_current() and not workspace.full_refresh:
        return None
    return (
        build_definitions(workspace)
        .resolve_job_def(BUILDING_JOB)
        .execute_in_process(
            instance=instance, run_config=_QUIET, raise_on_error=False, tags={RUN_TAG: workspace.run_id}
        )
    )


def _alerts(ledger: Ledger, config: Config) -> tuple[str, ...]:
    """Alerts of the configuration's feeds, each a sentence with its tenant."""
    feeds = {(tenant.tenant_id, feed.name) for tenant in config.tenants for feed in tenant.feeds}
    rows = coverage(ledger).alerts.sort("tenant_id", "feed").to_dicts()
    return tuple(f"{row['tenant_id']}: {row['message']}" for row in rows if (row["tenant_id"], row["feed"]) in feeds)


def _failure(result: object) -> str | None:
    """The first failed step's message, in one line."""
    for event in getattr(result, "all_events", ()):
        if event.is_step_failure:
            error = event.step_failure_data.error
            if getattr(error, "cls_name", None) == "DagsterExecutionInterruptedError":
                return "the run was interrupted; what it had landed stands, run again for the rest"
            cause = getattr(error, "cause", None) or error
            description = getattr(event.step_failure_data.user_failure_data, "description", None)
            words = str(description or cause.message).strip()
            return words if description else sentence_of_words(words) or words
    return None


def _stopped(home: Home, config: Config, run_id: str) -> dict[str, str]:
    """Tenants that this run did not publish, with the reason."""
    outcomes = {tenant.tenant_id: outcome(home, tenant.tenant_id) for tenant in config.tenants}
    return {
        tenant: last.reason
        for tenant, last in outcomes.items()
        if last is not None and last.run_id == run_id and last.outcome in ("stopped", "failed")
    }


def _outcome(
    ledger: Ledger, run_id: str, succeeded: bool, failure: str | None, stopped: Mapping[str, str]
) -> RunOutcome:
    import sqlalchemy as sa

    from ingest.ledger import feed_run, run

    feeds = ledger.rows(sa.select(feed_run).where(feed_run.c.run_id == run_id))
    problems = [line for feed in feeds if feed["problem"] for line in feed["problem"].splitlines()]
    # The steps recorded how the run ended: published, or unchanged where the marts were current.
    (last_run,) = ledger.rows(sa.select(run.c.outcome).where(run.c.run_id == run_id))
    if not succeeded and stopped and last_run["outcome"] in ("published", "unchanged"):
        reason_of = {tenant: reason.replace(f"{tenant}: ", "") for tenant, reason in stopped.items()}
        reasons = [f"{tenant} is not published: {reason}" for tenant, reason in reason_of.items()]
        return RunOutcome(
            run_id=run_id, outcome=last_run["outcome"], stopped=tuple(stopped), problems=(*problems, *reasons)
        )
    if not succeeded:
        return RunOutcome(
            run_id=run_id, outcome="stopped", problems=(*problems, failure or "the run failed; see its log")
        )
    return RunOutcome(run_id=run_id, outcome=last_run["outcome"] or "unchanged", problems=tuple(problems))
