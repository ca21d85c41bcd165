"""The dbt project as dbt parses it: published columns are described, and every layer reads from the layers below it."""

import json
from typing import Any

import pytest

from dagster_project.dbt_project import DBT_PROJECT, DbtProject

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
