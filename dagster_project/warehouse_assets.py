"""The raw tables, and the dbt models over them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    Failure,
    MaterializeResult,
    multi_asset,
)
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from dagster_project.audit import Audit, failures_by_tenant, read_audit
from dagster_project.landing_assets import landing_key
from dagster_project.lineage_datasets import DBT, tell_dbt, tell_load
from dagster_project.postgres_target import target_of
from dagster_project.workspace import Workspace
from data_contracts import load_contracts
from data_contracts.generate import OPERATIONAL
from foundation.faults import is_damage
from ingest.landing.land_feed import progress
from ingest.load.landed_rows import damage_of
from ingest.load.lost_warehouse import note_damage, start_anew_if_lost
from ingest.load.raw_tables import load_warehouse
from ingest.load.reconciliation import reconcile_landed
from serving.publish.publish import record_outcome


def raw_key(table: str) -> AssetKey:
    """Asset key of a raw table."""
    return AssetKey(["warehouse", "raw", table])


def raw_tables(workspace: Workspace) -> AssetsDefinition:
    """The asset that takes landed batches into the raw tables, all in one step: a DuckDB file has one writer."""
    landed = [landing_key(feed) for tenant in workspace.config.tenants for feed in tenant.feeds]
    contracts = [item for item in load_contracts().values() if item.store == "landing"]
    specs = [AssetSpec(raw_key(item.name), deps=landed, description=item.grain, group_name="raw") for item in contracts]
    specs += [
        AssetSpec(raw_key(name), deps=landed, description=text, group_name="raw") for name, text in OPERATIONAL.items()
    ]

    @multi_asset(name="raw_tables", specs=specs)
    def raw(context: AssetExecutionContext) -> Iterator[MaterializeResult]:  # type: ignore[type-arg]
        if workspace.ahead is not None:
            workspace.ahead.close()
        told_of = workspace.lineage.job(context.run.run_id, "load", about="Takes landed batches into the raw tables")
        with workspace.step() as ledger, told_of as lines:
            tell_load(workspace.lineage, lines, ledger, context.run.run_id)
            lost = start_anew_if_lost(workspace.home, workspace.keys, ledger)
            if lost is not None:
                workspace.forget(everybody=True)
                progress.info("warehouse: it %s; every landed batch is loaded again", lost)
            built = {} if workspace.full_refresh else workspace.built_tenants()
            loaded = load_warehouse(workspace.home, workspace.keys, ledger, workspace.config, built)
            progress.info("warehouse: %s rows taken into the raw tables", f"{loaded.rows:,}")
            checked = None if workspace.full_refresh else loaded.touched
            unread = reconcile_landed(workspace.home, workspace.keys, ledger, checked)
            for item in {item["file"]: item for item in (*loaded.unreadable, *unread)}.values():
                progress.info(damage_of(item))
                ledger.add_problem(context.run.run_id, item["tenant_id"], item["feed"], damage_of(item))
            progress.info("warehouse: compared with what landed")
            workspace.note_loaded(loaded.state, loaded.tenants, loaded.standings)
        context.log.info(
            f"took {loaded.rows} rows into the raw tables; touched: {', '.join(loaded.touched) or 'nobody'}"
        )
        for spec in specs:
            yield MaterializeResult(asset_key=spec.key)

    return raw


class Translator(DagsterDbtTranslator):
    """dbt sources are our raw tables; models are named by schema, so that marts stand together."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return raw_key(dbt_resource_props["name"])
        return AssetKey(
            ["warehouse", dbt_resource_props["config"].get("schema") or "marts", dbt_resource_props["name"]]
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        folders = dbt_resource_props["fqn"][1:-1]
        return folders[-1] if folders else None


def _record(workspace: Workspace, run_id: str, outcome: str, reasons: Mapping[str, str]) -> None:
    """Tells every tenant's people, on Data health, how the run ended for them."""
    for tenant in workspace.config.tenants:
        reason = reasons.get(tenant.tenant_id, "")
        record_outcome(workspace.home, tenant.tenant_id, run_id=run_id, outcome=outcome, reason=reason)


def dbt_models(workspace: Workspace) -> AssetsDefinition:
    """The dbt project as assets; one dbt process builds and tests all models, for the tenants that the load found touched.

    Where the marts stand built from the same batches, dbt project and configuration, nothing runs and nothing below is published again.
    """

    # Given as a mapping: by path the library would keep the first one it read for as long as the process lives.
    manifest = json.loads(workspace.prepare_manifest().read_text("utf-8"))

    @dbt_assets(manifest=manifest, dagster_dbt_translator=Translator(), name="dbt_models")
    def models(context: AssetExecutionContext) -> Iterator[Any]:
        with workspace.step() as ledger:
            if workspace.is_current() and not workspace.full_refresh:
                ledger.end_run(context.run.run_id, "unchanged")
                _record(workspace, context.run.run_id, "unchanged", {})
                progress.info("dbt: nothing new to build")
                return
            # Without a tenant whose marts stand there is nothing to keep: tables are made again.
            full = workspace.full_refresh or not workspace.built_tenants()
            workspace.forget(everybody=full)
            # Unit tests ask about the project, not about these rows: they run where the project is tested.
            arguments = ["build", "--exclude-resource-type", "unit_test", *(["--full-refresh"] if full else [])]
            progress.info("dbt: building and testing the marts")
            about = "Builds the marts and tests them"
            told_of = workspace.lineage.job(context.run.run_id, DBT, about=about, kind="COMMAND")
            with target_of(workspace) as target, workspace.dbt_environment(target.variables), told_of as lines:
                invocation = workspace.dbt(target.name).cli(
                    [*arguments, *target.arguments],
                    context=context,
                    target_path=target.dbt_target,
                    raise_on_error=False,
                )
                yield from invocation.stream()
                audit = target.finish(workspace, read_audit(target.dbt_target), succeeded=invocation.is_successful())
                tell_dbt(workspace.lineage, lines, context.run.run_id, workspace.dbt_target)
            progress.info("dbt: %d models built, %d tests passed", audit.models_built, audit.tests_passed)
            if not invocation.is_successful() and audit.passed:
                audit = Audit(failures=("dbt stopped before its end: see the log of the run",))
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
            ledger.end_run(context.run.run_id, "stopped", problem)
        _record(workspace, context.run.run_id, "stopped", {t: "; ".join(lines) for t, lines in failures.items()})
        raise Failure(problem)

    return models
