"""Names of raw tables and dbt models in the orchestrator, read from dbt's manifest without dbt's code."""

import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
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


def in_order_of_building(manifest: Mapping[str, Any]) -> list[AssetKey]:
    """Asset keys of models and seeds, each after those that it reads."""
    nodes = {name: n for name, n in manifest["nodes"].items() if n["resource_type"] in ("model", "seed")}
    reads = {name: [n for n in manifest["parent_map"].get(name, ()) if n in nodes] for name in nodes}
    return [key_of_node(nodes[name]) for name in TopologicalSorter(reads).static_order()]


def published_keys(manifest: Path) -> list[AssetKey]:
    """Asset keys of the models that are published."""
    nodes = json.loads(manifest.read_text("utf-8"))["nodes"].values()
    return [
        key_of_node(node)
        for node in nodes
        if node["resource_type"] == "model" and node["config"].get("meta", {}).get("publish")
    ]
