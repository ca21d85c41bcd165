"""One asset per tenant: the published version that its people read."""

from functools import partial

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, Failure, MaterializeResult, asset

from dagster_project.landing_assets import part_of_key
from dagster_project.workspace import Workspace
from foundation.config import Tenant
from ingest.accounts.accounts import marks_of_units
from ingest.landing.land_feed import progress
from serving.closed_months.restate import restate
from serving.publish.publish import leave, publish


def published_asset(workspace: Workspace, tenant: Tenant, marts: list[AssetKey]) -> AssetsDefinition:
    """The asset that publishes one tenant after the marts passed their tests."""
    own = {"tenant_id": tenant.tenant_id}

    def _stays(run_id: str) -> bool:
        """Whether the served version is current; if so, it is recorded."""
        with workspace.step() as ledger:
            if not workspace.is_published(tenant.tenant_id):
                return False
            if not leave(workspace.home, tenant.tenant_id, run_id=run_id, keep_days=tenant.keep_versions_days):
                return False
            ledger.end_run(run_id, "unchanged")
        return True

    @asset(
        key=AssetKey([part_of_key(tenant.tenant_id), "published"]),
        group_name=part_of_key(tenant.tenant_id),
        deps=marts,
        description=f"What the people of {tenant.name} read: an encrypted file per scope, switched as a whole.",
        kinds={"duckdb"},
    )
    def published(context: AssetExecutionContext) -> MaterializeResult:  # type: ignore[type-arg]
        run_id = workspace.run_id_of(context)
        if not workspace.full_refresh and _stays(run_id):
            progress.info("%s: nothing new", tenant.tenant_id, extra=own)
            return MaterializeResult(metadata={"report": "unchanged"})
        name, about = f"{tenant.tenant_id}/publish", f"Publishes what the people of {tenant.tenant_id} may read"
        with workspace.step() as ledger, workspace.lineage.job(run_id, name, about=about) as facts:
            ledger.ensure_run(run_id, str(workspace.config.file))
            report = publish(
                workspace.home,
                dbt_target=workspace.dbt_target,
                run_id=run_id,
                tenants=[tenant.tenant_id],
                audit_failures={tenant.tenant_id: workspace.audit_failures(tenant.tenant_id)},
                built_from=workspace.built_from(tenant.tenant_id),
                keep_days=tenant.keep_versions_days,
            )
            workspace.project.keep_lineage(workspace.dbt_target)
            if workspace.lineage.is_on:
                from dagster_project.lineage_datasets import tell_publish

                tell_publish(workspace.lineage, facts, report.tenants[0], [".".join(key.path[1:]) for key in marts])
            (line,) = report.tenants
            marks = partial(marks_of_units, ledger, workspace.keys, tenant.tenant_id)
            restated = restate(workspace.home, tenant.tenant_id, run_id, file_marks=marks)
            if line.outcome == "stopped":
                workspace.unbuild(tenant.tenant_id)
            else:
                ledger.end_run(run_id, line.outcome)
                workspace.note(tenant.tenant_id)
        if line.outcome == "stopped":
            # A step that fails stops no other tenant's.
            raise Failure(f"{tenant.tenant_id} is not published: {'; '.join(line.reasons)}")
        did = "published" if line.outcome == "published" else "nothing new"
        progress.info("%s: %s", tenant.tenant_id, did, extra=own)
        if restated:
            progress.info("%s: %d figures of closed months changed", tenant.tenant_id, restated, extra=own)
        return MaterializeResult(metadata={"report": str(report)})

    return published
