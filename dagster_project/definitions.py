"""The code location: every asset, check, job, schedule and sensor for one home and its configuration."""

from dagster import (
    AssetsDefinition,
    AssetSelection,
    Definitions,
    define_asset_job,
    definitions,
    in_process_executor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from dagster_project.checkpoint_assets import CHECKPOINTS_JOB, DATA_DOCS, checkpoints_due, data_docs
from dagster_project.deliveries import mails_due, send_mail
from dagster_project.landing_assets import landing_asset
from dagster_project.raw_assets import raw_tables
from dagster_project.triggers import JOB, exports_under_way, new_files, old_runs, schedules
from dagster_project.workspace import Workspace

# The two parts of JOB: after the first one a run by hand looks whether anything is to be built.
READING_JOB, BUILDING_JOB = "read_feeds", "build_and_publish"


def reading_definitions(workspace: Workspace) -> Definitions:
    """The assets and the job that read feeds into the raw tables. They need neither dbt nor its manifest."""
    assets = _reading_assets(workspace)
    # One process: a DuckDB file has one writer, and a process for each step would start a thousand times for nothing.
    return Definitions(assets=assets, jobs=[_reading_job(_keys(assets))], executor=in_process_executor)


def build_definitions(workspace: Workspace) -> Definitions:
    """Definitions for one workspace. Parses the dbt project where the home's manifest is stale."""
    from dagster_project.dbt_assets import dbt_models
    from dagster_project.mart_keys import published_keys
    from dagster_project.publish_assets import published_asset

    reading = _reading_assets(workspace)
    models = dbt_models(workspace)
    marts = published_keys(workspace.manifest)
    published = [published_asset(workspace, tenant, marts) for tenant in workspace.config.tenants]
    docs = AssetSelection.assets(DATA_DOCS)
    everything, read = AssetSelection.all() - docs, _keys(reading)
    job = define_asset_job(JOB, selection=everything, description="Every feed to every published page.")
    building = define_asset_job(
        BUILDING_JOB, selection=everything - read, description="The raw tables to every published page."
    )
    checking = define_asset_job(CHECKPOINTS_JOB, selection=docs, description="Great Expectations on landed rows.")
    return Definitions(
        assets=[*reading, models, *published, data_docs(workspace)],
        jobs=[job, building, checking, send_mail(workspace)],
        schedules=schedules(workspace, everything),
        sensors=[
            new_files(workspace),
            exports_under_way(workspace),
            old_runs(workspace),
            checkpoints_due(workspace),
            mails_due(workspace),
        ],
        executor=in_process_executor,
    )


def _reading_assets(workspace: Workspace) -> list[AssetsDefinition]:
    feeds = [feed for tenant in workspace.config.tenants for feed in tenant.feeds if workspace.reads_feeds]
    return [*(landing_asset(workspace, feed) for feed in feeds), raw_tables(workspace)]


def _keys(assets: list[AssetsDefinition]) -> AssetSelection:
    return AssetSelection.assets(*(key for asset in assets for key in asset.keys))


def _reading_job(selection: AssetSelection) -> UnresolvedAssetJobDefinition:
    return define_asset_job(READING_JOB, selection=selection, description="Every feed to the raw tables.")


@definitions
def defs() -> Definitions:
    """The definitions that `clinicmart dagster` loads: of the home in CLINICMART_HOME."""
    return build_definitions(Workspace.of_environment())
