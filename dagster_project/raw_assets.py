"""The raw tables: one step takes what landed into them, and compares both.

If everything that is served is current then, the step gives no table, and the orchestrator skips what depends on them.
"""

from collections.abc import Iterator

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, AssetSpec, MaterializeResult, multi_asset

from dagster_project.landing_assets import landing_key
from dagster_project.mart_keys import raw_key
from dagster_project.workspace import Workspace
from data_contracts import load_contracts
from data_contracts.generate import OPERATIONAL
from ingest.landing.land_feed import progress
from ingest.load.landed_rows import damage_of
from ingest.load.lost_warehouse import start_anew_if_lost
from ingest.load.raw_tables import load_warehouse
from ingest.load.reconciliation import reconcile_landed


def raw_tables(workspace: Workspace) -> AssetsDefinition:
    """The asset that takes landed batches into the raw tables, all in one step: a DuckDB file has one writer."""
    landed = [landing_key(feed) for tenant in workspace.config.tenants for feed in tenant.feeds]
    contracts = [item for item in load_contracts().values() if item.store == "landing"]
    specs = [_spec(item.name, item.grain, landed) for item in contracts]
    specs += [_spec(name, text, landed) for name, text in OPERATIONAL.items()]

    @multi_asset(name="raw_tables", specs=specs)
    def raw(context: AssetExecutionContext) -> Iterator[MaterializeResult]:  # type: ignore[type-arg]
        if workspace.ahead is not None:
            workspace.ahead.close()
        run_id = workspace.run_id_of(context)
        told_of = workspace.lineage.job(run_id, "load", about="Takes landed batches into the raw tables")
        with workspace.step() as ledger, told_of as lines:
            if workspace.lineage.is_on:
                from dagster_project.lineage_datasets import tell_load

                tell_load(workspace.lineage, lines, ledger, run_id)
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
                ledger.add_problem(run_id, item["tenant_id"], item["feed"], damage_of(item))
            progress.info("warehouse: compared with what landed")
            workspace.note_loaded(loaded.state, loaded.tenants, loaded.standings)
            if workspace.is_current() and not workspace.full_refresh:
                ledger.end_run(run_id, "unchanged")
                workspace.record_for_all(run_id, "unchanged")
                progress.info("dbt: nothing new to build")
                return
        context.log.info(
            f"took {loaded.rows} rows into the raw tables; touched: {', '.join(loaded.touched) or 'nobody'}"
        )
        for spec in specs:
            yield MaterializeResult(asset_key=spec.key)

    return raw


def _spec(table: str, description: str, landed: list[AssetKey]) -> AssetSpec:
    return AssetSpec(raw_key(table), deps=landed, description=description, group_name="raw", skippable=True)
