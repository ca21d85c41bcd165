"""The dbt project as dbt parses it: published columns are described, and every layer reads from the layers below it."""

import json
import re
from typing import Any

import pytest

from dagster_project.dbt_project import DBT_PROJECT, DbtProject
from serving.modules import PAGES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("parsed")
    DbtProject(DBT_PROJECT).parse(folder)
    parsed: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return parsed


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def test_every_published_table_and_column_has_a_description(models: list[dict[str, Any]]) -> None:
    published = [model for model in models if model["config"]["meta"].get("publish")]
    assert len(published) > 50
    blank = [model["name"] for model in published if not model["description"].strip()]
    blank += [
        f"{model['name']}.{column['name']}"
        for model in published
        for column in model["columns"].values()
        if not column["description"].strip()
    ]
    assert blank == []


def test_every_mart_has_an_enforced_contract_with_the_type_of_each_column(models: list[dict[str, Any]]) -> None:
    marts = [model for model in models if model["schema"] == "marts"]
    assert len(marts) > 30
    assert [model["name"] for model in marts if not model["config"]["contract"]["enforced"]] == []
    assert [
        f"{model['name']}.{column['name']}"
        for model in marts
        for column in model["columns"].values()
        if not column["data_type"]
    ] == []


# Layer -> what its models read. Models of `health` check the other layers, and may read all of them.
READS = {
    "staging": {"source"},
    "intermediate": {"seed", "staging", "intermediate"},
    "marts": {"seed", "intermediate", "marts"},
}
# Staging models name people and visits by who issued their numbers. These find that out from the raw tables.
ISSUED_KEYS = {"int_appointment_keys", "int_encounter_keys", "int_patient_keys", "int_provider_keys"}
# Staging models of the configuration, which hold no entity: the tenants, and which feed wins.
CONFIGURATION = {"stg_tenants", "stg_system_of_record"}
# Marts that put the rows of several feeds together themselves, where no other mart needs them.
MARTS_ON_STAGING = {
    ("fct_appointments", "stg_reminders"),
    ("fct_authorizations", "stg_authorizations"),
    ("fct_evaluations", "stg_evaluation_levels"),
    ("fct_ledger_entries", "stg_ledger_entries"),
    ("fct_provider_adjustments", "stg_provider_adjustments"),
    ("fct_provider_adjustments", "stg_remittances"),
    ("fct_referrals", "stg_referrals"),
    ("fct_remittances", "stg_remittances"),
    ("fct_staff_sessions", "stg_staff_shifts"),
    ("fct_supply_usage", "stg_inventory_usages"),
    ("fct_work_rvus", "stg_work_rvu_rates"),
}


def test_models_read_the_layers_below_them_with_the_exceptions_named_here(
    manifest: dict[str, Any], models: list[dict[str, Any]]
) -> None:
    nodes = {**manifest["nodes"], **manifest["sources"]}

    def layer(node: dict[str, Any]) -> str:
        return str(node["fqn"][1] if node["resource_type"] == "model" else node["resource_type"])

    assert {layer(model) for model in models} == {*READS, "health"}
    exceptions = {
        (model["name"], below["name"])
        for model in models
        for below in (nodes[key] for key in model["depends_on"]["nodes"])
        if layer(model) in READS and layer(below) not in READS[layer(model)]
    }
    sources = {node["name"] for node in manifest["sources"].values()}
    staging = {model["name"] for model in models if layer(model) == "staging"}
    marts = {model["name"] for model in models if layer(model) == "marts"}
    assert {pair for pair in exceptions if pair[0] in staging} <= {(s, k) for s in staging for k in ISSUED_KEYS}
    assert {name for _, name in exceptions} & ISSUED_KEYS == ISSUED_KEYS
    assert {pair for pair in exceptions if pair[0] in ISSUED_KEYS} <= {(k, s) for k in ISSUED_KEYS for s in sources}
    of_marts = {pair for pair in exceptions if pair[0] in marts}
    assert {pair for pair in of_marts if pair[1] not in CONFIGURATION} == MARTS_ON_STAGING
    assert {name for name, _ in exceptions} <= staging | ISSUED_KEYS | marts


def test_every_page_is_an_exposure_that_rests_on_what_it_shows(manifest: dict[str, Any]) -> None:
    exposures = {node["name"]: set(node["depends_on"]["nodes"]) for node in manifest["exposures"].values()}
    assert set(exposures) == {f"page_{key}" for key in (*PAGES, "data_health")}
    for key, page in PAGES.items():
        assert exposures[f"page_{key}"] == {f"metric.clinicmart.{name}" for name in page.figures}
    assert "model.clinicmart.feed_status" in exposures["page_data_health"]


def test_what_the_project_replaces_of_dbt_is_named_with_its_reason(manifest: dict[str, Any]) -> None:
    macros = manifest["macros"].values()
    ours = {macro["name"] for macro in macros if macro["package_name"] == "clinicmart"}
    of_dbt = {macro["name"] for macro in macros if macro["package_name"] != "clinicmart"}
    replaced = ours & of_dbt | {name for name in ours if name.startswith("materialization_")}
    readme = (DBT_PROJECT / "README.md").read_text("utf-8")
    (table,) = [part for part in readme.split("\n## ") if part.startswith("What is not plain dbt")]
    parts = {re.sub(r"^(materialization|test)_|_(duckdb|default)$", "", name) for name in replaced}
    assert {"table", "view", "by_tenant", "accepted_values", "generate_schema_name"} <= parts
    assert [name for name in sorted(parts) if f"`{name}`" not in table] == []
