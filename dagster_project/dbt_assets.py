"""The dbt models as assets over the raw tables. Imported where marts are built or the orchestrator's page is shown: dbt's own code takes
seconds to load."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, Failure, MaterializeResult, Output
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from dagster_project.audit import Audit, failures_by_tenant, read_audit
from dagster_project.dbt_project import copy_parsed
from dagster_project.lineage_events import DBT
from dagster_project.mart_keys import in_order_of_building, key_of_node
from dagster_project.postgres_target import Target, target_of
from dagster_project.workspace import Build, Workspace
from foundation.faults import is_damage
from ingest.landing.land_feed import progress
from ingest.ledger import Ledger
from ingest.load.lost_warehouse import note_damage

# Unit tests ask about the project, not about these rows: they run where the project is tested.
_BUILD = ("build", "--exclude-resource-type", "unit_test")
# What is left are the tables of health over the ledger's accounts, with the tests that ask about nothing else. (The library adds what is
# selected here to all models: only what is excluded counts.)
_ACCOUNTS = (
    "--exclude",
    "path:models/staging path:models/intermediate path:models/marts resource_type:seed config.materialized:by_tenant "
    "config.materialized:view",
)


class Translator(DagsterDbtTranslator):
    """dbt sources are our raw tables; models are named by schema, so that marts stand together."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        return key_of_node(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        folders = dbt_resource_props["fqn"][1:-1]
        return folders[-1] if folders else None


def dbt_models(workspace: Workspace) -> AssetsDefinition:
    """The dbt project as assets; one dbt process builds and tests all models, for the tenants that the load found touched.

    If no tenant is touched, only the tables over the ledger's accounts are built, or nothing if these did not change either.
    """

    # Given as a mapping: by path the library would keep the first one it read for as long as the process lives.
    manifest = json.loads(workspace.prepare_manifest().read_text("utf-8"))

    @dbt_assets(manifest=manifest, dagster_dbt_translator=Translator(), name="dbt_models")
    def models(context: AssetExecutionContext) -> Iterator[Any]:
        run_id = workspace.run_id_of(context)
        with workspace.step() as ledger:
            ledger.ensure_run(run_id, str(workspace.config.file))
            build = workspace.due_build()
            if build in (Build.TOUCHED, Build.EVERYTHING):
                yield from _run_dbt(workspace, ledger, context, run_id, build)
                return
            events = [] if build is Build.NOTHING else list(_run_dbt(workspace, ledger, context, run_id, build))
        built = {context.asset_key_for_output(e.output_name): e for e in events if isinstance(e, Output)}
        # What was not built stands; without a word about it the tenants below would not be published.
        for key in in_order_of_building(manifest):
            if key in context.selected_asset_keys:
                yield built.get(key) or MaterializeResult(asset_key=key, metadata={"status": "stands"})
        yield from (event for event in events if not isinstance(event, Output))

    return models


def _run_dbt(
    workspace: Workspace, ledger: Ledger, context: AssetExecutionContext, run_id: str, build: Build
) -> Iterator[Any]:
    """Runs dbt, gives its events, and notes what was built and passed. Raises Failure where nothing may be published."""
    workspace.forget(everybody=build is Build.EVERYTHING)
    arguments = [*_BUILD, *(["--full-refresh"] if build is Build.EVERYTHING else [])]
    if build is Build.ACCOUNTS:
        arguments += _ACCOUNTS
        progress.info("dbt: building and testing the accounts of feeds; no tenant has new rows")
    else:
        progress.info("dbt: building and testing the marts")
    about = "Builds the marts and tests them"
    told_of = workspace.lineage.job(run_id, DBT, about=about, kind="COMMAND")
    with target_of(workspace) as target, workspace.dbt_environment(target.variables), told_of as lines:
        folder = _folder(workspace, target, build)
        invocation = workspace.dbt(target.name).cli(
            [*arguments, *target.arguments], context=context, target_path=folder, raise_on_error=False
        )
        yield from invocation.stream()
        audit = target.finish(workspace, read_audit(folder), succeeded=invocation.is_successful())
        if workspace.lineage.is_on:
            from dagster_project.lineage_datasets import tell_dbt

            tell_dbt(workspace.lineage, lines, run_id, folder if build is Build.ACCOUNTS else workspace.dbt_target)
    progress.info("dbt: %d models built, %d tests passed", audit.models_built, audit.tests_passed)
    if not invocation.is_successful() and audit.passed:
        audit = Audit(failures=("dbt stopped before its end: see the log of the run",))
    _note_audit(workspace, ledger, run_id, audit)


def _folder(workspace: Workspace, target: Target, build: Build) -> Path:
    """Where dbt leaves what it wrote. A build of a part must not replace the manifest with the SQL of all models, from which lineage
    is read."""
    if build is not Build.ACCOUNTS:
        return target.dbt_target
    folder = workspace.home.folder("dbt", "accounts")
    if not copy_parsed(workspace.dbt_target, folder):
        workspace.project.parse(folder)
    return folder


def _note_audit(workspace: Workspace, ledger: Ledger, run_id: str, audit: Audit) -> None:
    """Notes what was built, and whose tests failed. Raises Failure where they failed for everybody."""
    if any(is_damage(failure) for failure in audit.failures):
        note_damage(workspace.home)
    tenants = [tenant.tenant_id for tenant in workspace.config.tenants]
    failures = failures_by_tenant(workspace.home, workspace.keys, audit, tenants)
    if not failures.keys() >= set(tenants):
        workspace.note_built(failures)
        for tenant_id in failures:
            progress.info("dbt: the audit of the marts failed for %s; the others go on", tenant_id)
        return
    problem = f"the audit of the marts failed, nothing is published: {'; '.join(audit.failures)}"
    ledger.end_run(run_id, "stopped", problem)
    workspace.record_for_all(run_id, "stopped", {t: "; ".join(lines) for t, lines in failures.items()})
    raise Failure(problem)
