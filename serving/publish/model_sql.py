"""Digests of the definitions of figures: they show whether a figure changed because its definition changed.

`definitions.json` beside a version holds, for every published model, a digest of its SQL, of the SQL of every model and seed
behind it, and of the project's macros that these use. A metric's own digest covers what it adds up and under which conditions,
not the words that describe it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foundation import formats
from foundation.errors import DamagedFileError
from foundation.kept_files import KeptFile
from serving.metrics.manifests import published_tables

_WORDS = frozenset({"description", "label", "metadata", "config"})


class _DefinitionsFile(KeptFile):
    """`definitions.json`: model to digest."""

    FORMAT = formats.DEFINITIONS
    models: dict[str, str]

    @classmethod
    def older(cls, content: dict[str, Any], number: int) -> dict[str, Any]:  # noqa: ARG003
        return {"models": content}


def definitions_json(manifest: Mapping[str, Any]) -> bytes:
    """The file `definitions.json` of a dbt manifest: {model: digest}."""
    nodes: Mapping[str, Any] = manifest["nodes"]
    named = {node.get("alias") or node["name"]: key for key, node in nodes.items() if node["resource_type"] == "model"}
    tables = [table.name for table in published_tables(manifest, {"semantic_models": []})]
    digests = {name: _digest(sorted(set(_behind(manifest, named[name], set())))) for name in tables}
    return _DefinitionsFile(models=dict(sorted(digests.items()))).to_bytes()


def _behind(manifest: Mapping[str, Any], key: str, seen: set[str]) -> Iterator[str]:
    """A line for everything that a node is built from: its SQL, its macros of this project, and the nodes that it reads."""
    node = manifest["nodes"].get(key)
    if node is None or key in seen:
        return
    seen.add(key)
    yield f"{key} {(node.get('checksum') or {}).get('checksum', '')}"
    depends = node.get("depends_on") or {}
    for name in _macros(manifest, depends.get("macros") or (), seen):
        yield f"{name} {_digest(manifest['macros'][name].get('macro_sql', ''))}"
    for other in depends.get("nodes") or ():
        yield from _behind(manifest, other, seen)


def _macros(manifest: Mapping[str, Any], names: Any, seen: set[str]) -> Iterator[str]:
    """Macros of the project itself, and those that they call; dbt's own come with its version."""
    project = (manifest.get("metadata") or {}).get("project_name")
    for name in names:
        macro = (manifest.get("macros") or {}).get(name)
        if macro is None or macro.get("package_name") != project or name in seen:
            continue
        seen.add(name)
        yield name
        yield from _macros(manifest, (macro.get("depends_on") or {}).get("macros") or (), seen)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_definitions(path: Path) -> dict[str, str]:
    """Model to digest; empty for a version that was published before there was such a file, or whose file is torn."""
    try:
        noted = _DefinitionsFile.read(path)
    except DamagedFileError:
        return {}
    return {} if noted is None else noted.models


def metric_digests(semantic: Mapping[str, Any]) -> dict[str, str]:
    """Metric to a digest of its definition: its parts, their measures and conditions, and its version."""
    metrics = {item["name"]: item for item in semantic["metrics"]}
    measures = {
        measure["name"]: (model["node_relation"]["alias"], model.get("defaults"), measure, _times(model))
        for model in semantic["semantic_models"]
        for measure in model.get("measures") or ()
    }
    return {name: _digest(list(_parts(name, metrics, measures))) for name in metrics}


def _times(model: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted((item["name"], item.get("expr")) for item in model["dimensions"] if item["type"] == "time")


def _parts(name: str, metrics: Mapping[str, Any], measures: Mapping[str, Any]) -> Iterator[Any]:
    metric = metrics[name]
    meta = {**(metric.get("meta") or {}), **((metric.get("config") or {}).get("meta") or {})}
    yield _without_words(metric), [meta.get(key) for key in ("version", "share_of", "share_over")]
    params = metric["type_params"]
    names = [params.get("measure"), params.get("numerator"), params.get("denominator"), *(params.get("metrics") or ())]
    for part in names:
        if isinstance(part, Mapping) and part["name"] in measures:
            yield _without_words(measures[part["name"]])
        elif isinstance(part, Mapping) and part["name"] in metrics:
            yield from _parts(part["name"], metrics, measures)
    if meta.get("share_of") in metrics:
        yield from _parts(meta["share_of"], metrics, measures)


def _without_words(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_words(item) for key, item in value.items() if key not in _WORDS}
    return [_without_words(item) for item in value] if isinstance(value, list | tuple) else value
