"""The code location: every asset, check, job, schedule and sensor for one home and its configuration."""

import json

from dagster import (
    AssetKey,
    AssetSelection,
    Definitions,
    define_asset_job,
    definitions,
    in_process_executor,
)

from dagster_project.checkpoint_assets import CHECKPOINTS_JOB, DATA_DOCS, checkpoints_due, data_docs
from dagster_project.deliveries import mails_due, send_mail
from dagster_project.landing_assets import landing_asset
from dagster_project.publish_assets import mart_keys, published_asset
from dagster_project.triggers import JOB, exports_under_way, new_files, old_runs, schedules
from dagster_project.warehouse_assets import dbt_models, raw_tables
from dagster_project.workspace import Workspace


def build_definitions(workspace: Workspace) -> Definitions:
    """Definitions for one workspace. Parses the dbt project where the home's manifest is stale."""
    models = dbt_models(workspace)
    marts = _published_models(workspace)
    landed = [landing_asset(workspace, feed) for tenant in workspace.config.tenants for feed in tenant.feeds]
    published = [published_asset(workspace, tenant, marts) for tenant in workspace.config.tenants]
    docs = AssetSelection.assets(DATA_DOCS)
    everything = AssetSelection.all() - docs
    job = define_asset_job(JOB, selection=everything, description="Every feed to every published page.")
    checking = define_asset_job(CHECKPOINTS_JOB, selection=docs, description="Great Expectations on landed rows.")
    return Definitions(
        assets=[*landed, raw_tables(workspace), models, *published, data_docs(workspace)],
        jobs=[job, checking, send_mail(workspace)],
        schedules=schedules(workspace, everything),
        sensors=[
            new_files(workspace),
            exports_under_way(workspace),
            old_runs(workspace),
            checkpoints_due(workspace),
            mails_due(workspace),
        ],
        # One process: a DuckDB file has one writer, and a process for each step would start a thousand times for nothing.
        executor=in_process_executor,
    )


def _published_models(workspace: Workspace) -> list[AssetKey]:
    nodes = json.loads(workspace.manifest.read_text("utf-8"))["nodes"].values()
    return mart_keys([n for n in nodes if n["resource_type"] == "model" and n["config"].get("meta", {}).get("publish")])


@definitions
def defs() -> Definitions:
    """The definitions that `clinicmart dagster` loads: of the home in CLINICMART_HOME."""
    return build_definitions(Workspace.of_environment())
