"""The code location: every asset, check, job, schedule and sensor for one home and its configuration."""

import json

from dagster import (
    AssetKey,
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    define_asset_job,
    definitions,
    in_process_executor,
    sensor,
)

from dagster_project.landing_assets import landing_asset
from dagster_project.publish_assets import mart_keys, published_asset
from dagster_project.warehouse_assets import dbt_models, raw_tables
from dagster_project.workspace import Workspace
from ingest.inbox.inbox import Inbox
from ingest.receive.fhir.server import is_under_way
from ingest.sources.files import state_of_files

JOB = "run_everything"
_UNENDED = [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def build_definitions(workspace: Workspace) -> Definitions:
    """Definitions for one workspace. Parses the dbt project where the home's manifest is stale."""
    models = dbt_models(workspace)
    marts = _published_models(workspace)
    landed = [landing_asset(workspace, feed) for tenant in workspace.config.tenants for feed in tenant.feeds]
    published = [published_asset(workspace, tenant, marts) for tenant in workspace.config.tenants]
    job = define_asset_job(JOB, selection=AssetSelection.all(), description="Every feed to every published page.")
    schedule = ScheduleDefinition(
        name="every_morning",
        job_name=JOB,
        cron_schedule="0 5 * * *",
        default_status=DefaultScheduleStatus.RUNNING,
        description="A full run at five in the morning, before the first clinic opens.",
    )
    return Definitions(
        assets=[*landed, raw_tables(workspace), models, *published],
        jobs=[job],
        schedules=[schedule],
        sensors=[_new_files(workspace), exports_sensor(workspace)],
        # One process: a DuckDB file has one writer, and a process for each step would start a thousand times for nothing.
        executor=in_process_executor,
    )


def _published_models(workspace: Workspace) -> list[AssetKey]:
    nodes = json.loads(workspace.manifest.read_text("utf-8"))["nodes"].values()
    return mart_keys([n for n in nodes if n["resource_type"] == "model" and n["config"].get("meta", {}).get("publish")])


def _new_files(workspace: Workspace) -> SensorDefinition:
    """Starts a run when a file of any feed comes, goes or changes."""

    @sensor(
        name="new_files",
        job_name=JOB,
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks at the names, sizes and times of every file feed once a minute.",
    )
    def new_files(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        feeds = [feed for tenant in workspace.config.tenants for feed in tenant.feeds if feed.path is not None]
        state = json.dumps({f"{feed.tenant_id}/{feed.name}": state_of_files(feed) for feed in feeds}, sort_keys=True)
        if state == context.cursor:
            return SkipReason("no file of any feed has changed")
        return SensorResult(run_requests=[RunRequest()], cursor=state)

    return new_files


def exports_sensor(workspace: Workspace) -> SensorDefinition:
    """Starts a run for exports that take servers longer than the last run waited: else they would be a day late every day."""

    @sensor(
        name="exports_under_way",
        job_name=JOB,
        minimum_interval_seconds=1800,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks every half hour for exports that a server had not finished when the last run ended.",
    )
    def exports_under_way(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        if context.instance.get_runs_count(RunsFilter(statuses=_UNENDED)):
            return SkipReason("a run is under way")
        for tenant in workspace.config.tenants:
            for feed in tenant.feeds:
                if feed.server is not None and is_under_way(feed, Inbox.of(workspace.home, workspace.keys, feed)):
                    return RunRequest()
        return SkipReason("no server is at work on an export")

    return exports_under_way


@definitions
def defs() -> Definitions:
    """What `clinicmart dagster` loads: the home named by CLINICMART_HOME."""
    return build_definitions(Workspace.of_environment())
