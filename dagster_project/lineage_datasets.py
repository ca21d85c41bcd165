"""What the jobs of a run read and wrote, as OpenLineage datasets with their facets; see `dagster_project.lineage_events`."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import sqlalchemy as sa
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    documentation_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from dagster_project.lineage_events import DBT, START, Emitter, Told
from data_contracts import Contract, load_contracts
from foundation.config import Feed
from foundation.errors import ClinicmartError
from foundation.home import Home
from ingest import ledger as tables
from ingest.landing.land_feed import UNREADABLE, FeedReport
from ingest.ledger import Ledger
from serving.lineage.columns import RAW, Lineage, read_lineage
from serving.model import TenantOutcome

WAREHOUSE = "warehouse"
P = ParamSpec("P")
# A test that warns has found rows: the audit (`dagster_project.audit`) takes it as failed.
_FAILED = ("error", "fail", "runtime error", "warn")


def _never_fails(tell: Callable[Concatenate[Emitter, P], None]) -> Callable[Concatenate[Emitter, P], None]:
    """A fault while reporting a job never fails the job. Callers ask first whether anything is reported: only then they import this."""

    @wraps(tell)
    def telling(emitter: Emitter, *args: P.args, **kwargs: P.kwargs) -> None:
        with emitter.telling():
            tell(emitter, *args, **kwargs)

    return telling  # type: ignore[return-value]  # `wraps` loses that the emitter is positional


def landing_name(tenant_id: str, entity: str) -> str:
    """The dataset of a tenant's landed rows of an entity."""
    return f"{tenant_id}/landing/{entity}"


def raw_name(entity: str) -> str:
    """The dataset of a raw table."""
    return f"{WAREHOUSE}.{RAW}.{entity}"


def _schema(entity_contract: Contract) -> dict[str, DatasetFacet]:
    fields = [
        schema_dataset.SchemaDatasetFacetFields(
            name=column.name, type=column.logical_type, description=column.description or None
        )
        for column in entity_contract.columns
    ]
    return {
        "schema": schema_dataset.SchemaDatasetFacet(fields=fields),
        "documentation": documentation_dataset.DocumentationDatasetFacet(description=entity_contract.grain),
    }


@_never_fails
def tell_landing(emitter: Emitter, facts: Told, home: Home, ledger: Ledger, run_id: str, report: FeedReport) -> None:
    """Reports the landing of a feed: the rows that it read, and the rows of each entity that it landed in this run."""
    feed, contracts = report.feed, load_contracts()
    batch = tables.batch.c
    mine = (batch.run_id == run_id) & (batch.tenant_id == feed.tenant_id) & (batch.feed == feed.name)
    landed: dict[str, dict[str, int]] = {}
    for row in ledger.rows(sa.select(tables.batch).where(mine)):
        if row["entity"] not in contracts:
            continue
        counted = landed.setdefault(row["entity"], {"rows": 0, "bytes": 0, "files": 0})
        counted["rows"] += row["rows_landed"]
        if row["file"]:
            counted["bytes"] += (home.path / row["file"]).stat().st_size
            counted["files"] += 1
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=report.records_read, fileCount=report.units_landed
    )
    about = documentation_dataset.DocumentationDatasetFacet(description=_about(feed))
    facts.inputs = [
        InputDataset(
            namespace=emitter.namespace,
            name=f"{feed.tenant_id}/feed/{feed.name}",
            facets={"documentation": about},
            inputFacets={"inputStatistics": statistics},
        )
    ]
    facts.outputs = [
        OutputDataset(
            namespace=emitter.namespace,
            name=landing_name(feed.tenant_id, entity),
            facets=_schema(contracts[entity]),
            outputFacets={
                "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                    rowCount=counted["rows"], size=counted["bytes"], fileCount=counted["files"]
                )
            },
        )
        for entity, counted in sorted(landed.items())
    ]
    problem = f"{report.units_refused or 'all'} files or tables of the feed could not be read; `clinicmart status` shows the names"
    if report.outcome == UNREADABLE:
        facts.problem = problem
    elif not report.is_whole:
        facts.shortcoming = problem


def _about(feed: Feed) -> str:
    return f"Feed {feed.name} of {feed.tenant_id}: {feed.kind}"


def landed_datasets(emitter: Emitter, ledger: Ledger, run_id: str) -> list[InputDataset]:
    """The datasets that a run landed, with the rules of their contracts as assertions: the input of the raw tables."""
    batch, result = tables.batch.c, tables.result.c
    contracts = load_contracts()
    mine = sa.select(batch.tenant_id, batch.entity).where(batch.run_id == run_id).distinct()
    checked = (
        sa.select(
            batch.tenant_id,
            batch.entity,
            result.rule,
            result.column_name,
            sa.func.sum(result.unexpected).label("unexpected"),
        )
        .join(tables.result, (result.batch_id == batch.batch_id) & (result.entity == batch.entity))
        .where(batch.run_id == run_id)
        .group_by(batch.tenant_id, batch.entity, result.rule, result.column_name)
        .order_by(batch.tenant_id, batch.entity, result.rule, result.column_name)
    )
    assertions: dict[tuple[str, str], list[data_quality_assertions_dataset.Assertion]] = {}
    for row in ledger.rows(checked):
        assertions.setdefault((row["tenant_id"], row["entity"]), []).append(
            data_quality_assertions_dataset.Assertion(
                assertion=row["rule"],
                success=row["unexpected"] == 0,
                column=row["column_name"] or None,
                actual=str(row["unexpected"]),
                expected="0",
            )
        )
    return [
        _asserted(emitter, landing_name(*key), assertions.get(key, []))
        for row in sorted(ledger.rows(mine), key=lambda row: (row["tenant_id"], row["entity"]))
        for key in [(row["tenant_id"], row["entity"])]
        if row["entity"] in contracts and contracts[row["entity"]].store == "landing"
    ]


def _asserted(emitter: Emitter, name: str, assertions: list[data_quality_assertions_dataset.Assertion]) -> InputDataset:
    facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=assertions)
    return InputDataset(
        namespace=emitter.namespace, name=name, inputFacets={"dataQualityAssertions": facet} if assertions else {}
    )


@_never_fails
def tell_load(emitter: Emitter, facts: Told, ledger: Ledger, run_id: str) -> None:
    """The load: landed rows of this run into the raw tables."""
    facts.inputs = landed_datasets(emitter, ledger, run_id)
    contracts = load_contracts()
    entities = sorted({item.name.rpartition("/")[2] for item in facts.inputs})
    facts.outputs = [
        OutputDataset(namespace=emitter.namespace, name=raw_name(entity), facets=_schema(contracts[entity]))
        for entity in entities
    ]


@_never_fails
def tell_dbt(emitter: Emitter, facts: Told, run_id: str, dbt_target: Path) -> None:
    """Every model that dbt built and every model it tested, each as a separate job below the build."""
    try:
        manifest = json.loads((dbt_target / "manifest.json").read_bytes())
        results = json.loads((dbt_target / "run_results.json").read_bytes())["results"]
        lineage = read_lineage(dbt_target, manifest)
    except (OSError, ValueError, KeyError, ClinicmartError):
        facts.problem = "dbt left no manifest or results to read; the log of the run says why"
        return
    nodes = {**manifest["nodes"], **manifest["sources"], **manifest.get("unit_tests", {})}
    tested: dict[str, list[Mapping[str, Any]]] = {}
    failed = 0
    for result in results:
        node = nodes.get(result["unique_id"])
        failed += result["status"] in _FAILED
        if node is None or result["status"] == "skipped":
            continue
        if node["resource_type"] == "model":
            _tell_model(emitter, run_id, node, result, nodes, lineage)
        elif node["resource_type"] == "test":
            for needed in [n for n in node["depends_on"]["nodes"] if n.startswith("model.")]:
                tested.setdefault(needed, []).append(result)
    for model, outcomes in sorted(tested.items()):
        _tell_tests(emitter, run_id, nodes[model], outcomes, nodes)
    if failed:
        facts.problem = f"{failed} models or tests failed; the log of the run says which"


def _dataset_name(node: Mapping[str, Any]) -> str:
    return f"{WAREHOUSE}.{node['schema']}.{node.get('identifier') or node.get('alias') or node['name']}"


def _times(result: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """When a node began and ended, both in UTC; None where dbt did not come to it."""
    spans = [part for part in result.get("timing") or () if part.get("started_at") and part.get("completed_at")]
    if not spans:
        return None
    return datetime.fromisoformat(spans[0]["started_at"]), datetime.fromisoformat(spans[-1]["completed_at"])


def _tell_model(
    emitter: Emitter,
    run_id: str,
    node: Mapping[str, Any],
    result: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    lineage: Lineage,
) -> None:
    times = _times(result)
    if times is None:
        return
    name, model = f"{DBT}/{node['name']}", str(node.get("alias") or node["name"])
    about = (node.get("description") or node["name"]).strip()
    inputs = [nodes[key] for key in node["depends_on"]["nodes"] if key in nodes]
    facets: dict[str, DatasetFacet] = {
        "schema": schema_dataset.SchemaDatasetFacet(fields=_fields(node, lineage.columns.get(model, {}))),
        "documentation": documentation_dataset.DocumentationDatasetFacet(description=about),
    }
    traced = _column_lineage(emitter, lineage.columns.get(model, {}), {_short(item): item for item in inputs})
    if traced:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields=traced)
    facts = Told(
        inputs=[InputDataset(namespace=emitter.namespace, name=_dataset_name(item)) for item in inputs],
        outputs=[OutputDataset(namespace=emitter.namespace, name=_dataset_name(node), facets=facets)],
        problem="the model was not built; the log of the run says why" if result["status"] in _FAILED else "",
    )
    emitter.state(START, run_id, name, about=about, kind="MODEL", parent=DBT, at=times[0])
    emitter.ended(run_id, name, facts, about=about, kind="MODEL", parent=DBT, at=times[1])


def _short(node: Mapping[str, Any]) -> str:
    """A relation as `serving.lineage.columns` names it."""
    table = str(node.get("identifier") or node.get("alias") or node["name"])
    return f"{RAW}.{table}" if node["resource_type"] == "source" else table


def _fields(node: Mapping[str, Any], columns: Mapping[str, Any]) -> list[schema_dataset.SchemaDatasetFacetFields]:
    described = node.get("columns") or {}
    return [
        schema_dataset.SchemaDatasetFacetFields(
            name=name,
            type=(described.get(name) or {}).get("data_type") or None,
            description=((described.get(name) or {}).get("description") or "").strip() or None,
        )
        for name in (columns or described)
    ]


def _column_lineage(
    emitter: Emitter, columns: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]
) -> dict[str, column_lineage_dataset.Fields]:
    columns_lineage = {}
    for name, fields in columns.items():
        below = [
            column_lineage_dataset.InputField(
                namespace=emitter.namespace, name=_dataset_name(inputs[item.relation]), field=item.column
            )
            for item in fields
            if item.relation in inputs
        ]
        if below:
            columns_lineage[name] = column_lineage_dataset.Fields(inputFields=below)
    return columns_lineage


def _tell_tests(
    emitter: Emitter,
    run_id: str,
    model: Mapping[str, Any],
    outcomes: list[Mapping[str, Any]],
    nodes: Mapping[str, Mapping[str, Any]],
) -> None:
    spans = [times for times in map(_times, outcomes) if times is not None]
    if not spans:
        return
    assertions = []
    for result in outcomes:
        test = nodes[result["unique_id"]]
        test_metadata = test.get("test_metadata") or {}
        assertions.append(
            data_quality_assertions_dataset.Assertion(
                assertion=str(test_metadata.get("name") or "custom_sql"),
                success=result["status"] not in _FAILED,
                column=test.get("column_name") or None,
                name=test["name"],
                severity=str((test.get("config") or {}).get("severity") or "error").lower(),
            )
        )
    name, about = f"{DBT}/test/{model['name']}", f"Tests of {model['name']}"
    failed = sum(result["status"] in _FAILED for result in outcomes)
    facts = Told(
        inputs=[_asserted(emitter, _dataset_name(model), assertions)],
        problem=f"{failed} tests failed" if failed else "",
    )
    emitter.state(START, run_id, name, about=about, kind="TEST", parent=DBT, at=min(spans)[0])
    emitter.ended(run_id, name, facts, about=about, kind="TEST", parent=DBT, at=max(end for _, end in spans))


@_never_fails
def tell_publish(emitter: Emitter, facts: Told, line: TenantOutcome, marts: list[str]) -> None:
    """A tenant's publication: marts (`schema.model`) to its published version."""
    facts.inputs = [InputDataset(namespace=emitter.namespace, name=f"{WAREHOUSE}.{name}") for name in sorted(marts)]
    if line.outcome == "stopped":
        facts.problem = "the audit stopped it; the version published before stays"
        return
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=line.rows)
    facts.outputs = [
        OutputDataset(
            namespace=emitter.namespace,
            name=f"{line.tenant_id}/published",
            outputFacets={"outputStatistics": statistics} if line.outcome == "published" else {},
        )
    ]
