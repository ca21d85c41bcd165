"""The Data Docs as an asset: Great Expectations on landed rows, apart from runs, so that no run waits for it."""

import hashlib
from datetime import UTC, datetime

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    DefaultSensorStatus,
    MaterializeResult,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    asset,
    sensor,
)

from dagster_project.workspace import Workspace

CHECKPOINTS_JOB = "check_landed_rows"
DATA_DOCS = AssetKey(["data_docs"])
_KEPT = "landed_rows_keep_their_contracts"


def data_docs(workspace: Workspace) -> AssetsDefinition:
    """The asset that runs the checkpoints that are due and writes their pages."""

    @asset(
        key=DATA_DOCS,
        description="What Great Expectations finds in samples of landed rows, as pages to open in a browser.",
        kinds={"greatexpectations"},
        check_specs=[AssetCheckSpec(_KEPT, asset=DATA_DOCS, description="No landed row breaks its contract.")],
    )
    def docs(context: AssetExecutionContext) -> MaterializeResult:  # type: ignore[type-arg]
        from ingest.landing.checkpoints import page

        checked = workspace.check_landed()
        broken = [line for item in checked for line in item.outcome.broken]
        changed = [f"{item.due.name}: {line}" for item in checked for line in item.outcome.changed]
        context.log.info(f"{len(checked)} checkpoints")
        return MaterializeResult(
            metadata={"checkpoints": len(checked), "page": str(page(workspace.home)), "changed": "\n".join(changed)},
            check_results=[
                AssetCheckResult(check_name=_KEPT, passed=not broken, metadata={"broken": "\n".join(broken)})
            ],
        )

    return docs


def checkpoints_due(workspace: Workspace) -> SensorDefinition:
    """Starts the job when a checkpoint is due."""

    @sensor(
        name="checkpoints_due",
        job_name=CHECKPOINTS_JOB,
        minimum_interval_seconds=3600,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks every hour for the first batch of a feed, a changed contract, or a day with new batches.",
    )
    def look(_: SensorEvaluationContext) -> RunRequest | SkipReason:
        due = workspace.due_checkpoints()
        if not due:
            return SkipReason("no checkpoint is due")
        # The same checkpoints are asked for once a day: a run that fails is not started again every hour.
        asked = f"{datetime.now(UTC).date()} {due}"
        return RunRequest(run_key=hashlib.sha256(asked.encode()).hexdigest())

    return look
