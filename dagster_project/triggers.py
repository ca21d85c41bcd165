"""What starts runs: schedules at the tenants' own times, new files, and exports that a server had not finished."""

import json
import re
from collections import defaultdict

from dagster import (
    AssetKey,
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from dagster_project.landing_assets import landing_key
from dagster_project.run_history import remove_old_runs
from dagster_project.workspace import Workspace
from foundation.config import Tenant
from ingest.inbox.inbox import Inbox
from ingest.sources.files import state_of_files

UNENDED = [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
JOB = "run_everything"
TENANTS_TAG = "clinicmart/tenants"


def schedules(workspace: Workspace, assets: AssetSelection) -> list[ScheduleDefinition]:
    """One schedule for each time zone and list of times of day (`Tenant.runs_at`). Tenants that share both share a run, because most
    of a run's cost does not depend on how many tenants it reads.

    `assets` are all assets of the job; a scheduled run leaves out the landing of the other tenants' feeds.
    """
    together: dict[tuple[str, tuple[str, ...]], list[Tenant]] = defaultdict(list)
    for tenant in workspace.config.tenants:
        if tenant.runs_at:
            together[tenant.time_zone, tenant.runs_at].append(tenant)
    return [
        _schedule(workspace, assets, zone, times, tenants)
        for (zone, times), tenants in sorted(together.items(), key=lambda item: item[0])
    ]


def _schedule(
    workspace: Workspace,
    assets: AssetSelection,
    zone: str,
    times: tuple[str, ...],
    tenants: list[Tenant],
) -> ScheduleDefinition:
    named = [tenant.tenant_id for tenant in tenants]
    others = [feed for tenant in workspace.config.tenants if tenant.tenant_id not in named for feed in tenant.feeds]
    left_out = AssetSelection.assets(*(landing_key(feed) for feed in others)) if others else None

    def selected(context: object) -> RunRequest:
        graph = context.repository_def.asset_graph  # type: ignore[attr-defined]
        chosen = assets if left_out is None else assets - left_out
        keys: list[AssetKey] = sorted(chosen.resolve(graph))
        return RunRequest(asset_selection=keys, tags={TENANTS_TAG: ",".join(named)})

    return ScheduleDefinition(
        name=f"daily_{_word(zone)}_{'_'.join(time.replace(':', '') for time in times)}",
        job_name=JOB,
        cron_schedule=[f"{int(time[3:])} {int(time[:2])} * * *" for time in times],
        execution_timezone=zone,
        execution_fn=selected,
        default_status=DefaultScheduleStatus.RUNNING,
        description=f"A run for {', '.join(named)} every day at {' and '.join(times)}, {zone}.",
    )


def _word(zone: str) -> str:
    """A time zone in a name that Dagster allows; two zones never give the same one."""
    return re.sub(r"\W", "_", zone.replace("+", "_plus_").replace("-", "_minus_"))


def new_files(workspace: Workspace) -> SensorDefinition:
    """Starts a run when a file of any feed came, went or changed since the feed was last landed, and then stayed the same for a look:
    a file that is still being written is not read twice."""

    @sensor(
        name="new_files",
        job_name=JOB,
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks at the names, sizes and times of every file feed once a minute.",
    )
    def look(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        feeds = [feed for tenant in workspace.config.tenants for feed in tenant.feeds if feed.path is not None]
        states = {f"{feed.tenant_id}/{feed.name}": state_of_files(feed) for feed in feeds}
        now = json.dumps(states, sort_keys=True)
        before = json.loads(context.cursor) if context.cursor else {}
        if before.get("asked") == now or all(
            workspace.landed_state(feed) == states[f"{feed.tenant_id}/{feed.name}"] for feed in feeds
        ):
            context.update_cursor(json.dumps({**before, "seen": now}))
            return SkipReason("no file of any feed has changed since the last run")
        if before.get("seen") != now:
            context.update_cursor(json.dumps({**before, "seen": now}))
            return SkipReason("files have changed; a run starts when they have stayed the same for a minute")
        context.update_cursor(json.dumps({"seen": now, "asked": now}))
        return RunRequest()

    return look


def old_runs(workspace: Workspace) -> SensorDefinition:
    """Removes records of runs that are older than the configuration keeps them; it starts nothing."""

    @sensor(
        name="old_runs",
        job_name=JOB,
        minimum_interval_seconds=3600,
        default_status=DefaultSensorStatus.RUNNING,
        description="Removes the records and logs of runs that ended longer ago than the configuration keeps them.",
    )
    def look(context: SensorEvaluationContext) -> SkipReason:
        removed = remove_old_runs(workspace.home, context.instance, workspace.config.keep_runs_days)
        return SkipReason(f"removed {removed} old runs")

    return look


def exports_under_way(workspace: Workspace) -> SensorDefinition:
    """Starts a run for exports that take servers longer than the last run waited: else they would be a day late every day."""

    @sensor(
        name="exports_under_way",
        job_name=JOB,
        minimum_interval_seconds=1800,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks every half hour for exports that a server had not finished when the last run ended.",
    )
    def look(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        if context.instance.get_runs_count(RunsFilter(statuses=UNENDED)):
            return SkipReason("a run is under way")
        from ingest.receive.fhir.server import is_under_way

        for tenant in workspace.config.tenants:
            for feed in tenant.feeds:
                if feed.server is not None and is_under_way(feed, Inbox.of(workspace.home, workspace.keys, feed)):
                    return RunRequest()
        return SkipReason("no server is at work on an export")

    return look
