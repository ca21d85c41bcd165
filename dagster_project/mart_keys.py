"""Names of raw tables and dbt models in the orchestrator, read from dbt's manifest without dbt's code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import AssetKey


def raw_key(table: str) -> AssetKey:
    """Asset key of a raw table."""
    return AssetKey(["warehouse", "raw", table])


def key_of_node(node: Mapping[str, Any]) -> AssetKey:
    """Asset key of a node of dbt's manifest: a source is a raw table, a model or seed is named by its schema."""
    if node["resource_type"] == "source":
        return raw_key(node["name"])
    return AssetKey(["warehouse", node["config"].get("schema") or "marts", node["name"]])


def published_keys(manifest: Path) -> list[AssetKey]:
    """Asset keys of the models that are published."""
    nodes = json.loads(manifest.read_text("utf-8"))["nodes"].values()
    return [
        key_of_node(node)
        for node in nodes
        if node["resource_type"] == "model" and node["config"].get("meta", {}).get("publish")
    ]
