"""What a figure rests on, for a person: columns of marts, source fields behind them, and the feeds that bring those, with how they
stand. Read from the published version alone: the lineage lies beside it as `lineage.json`.

    found = metric_lineage(home, version, "net_collection_rate")
    found.feeds[0].feed, found.feeds[0].message
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from foundation.home import Home
from serving.lineage.columns import RAW, Lineage, counted_keys, metric_fields
from serving.model import Version
from serving.versions.health import published_alerts, published_health
from serving.versions.store import files_of

# Fields that say whose row it is and which of several stands; every figure rests on them.
BOOKKEEPING = ("tenant_id", "source_system", "source_updated_at", "batch_sequence", "*")


@dataclass(frozen=True, kw_only=True)
class SourceField:
    """A field of a contract, and the feeds that landed rows of its entity for the tenant."""

    entity: str
    field: str
    feeds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MartColumn:
    """A column that a metric adds up, divides or filters by, with the fields whose values enter it: none for a count of rows."""

    mart: str
    column: str
    fields: tuple[SourceField, ...]


@dataclass(frozen=True, kw_only=True)
class FeedState:
    """A feed that a figure rests on. `entities` are those of its that enter the figure. `message` is empty where nothing is amiss, else
    what stopped, in a sentence. `files_refused` are files of the feed that could not be read at all."""

    feed: str
    kind: str
    entities: tuple[str, ...]
    last_read_at: datetime | None
    last_landed_at: datetime | None
    newest_day: date | None
    rows_landed: int
    alert: str = ""
    message: str = ""
    files_refused: int = 0


@dataclass(frozen=True, kw_only=True)
class MetricLineage:
    """`columns` in the order of marts; `feeds` by name. `without_feed` are entities that no feed of the tenant has brought."""

    metric: str
    columns: tuple[MartColumn, ...]
    feeds: tuple[FeedState, ...]
    without_feed: tuple[str, ...]


def metric_lineage(home: Home, version: Version, metric: str) -> MetricLineage | None:
    """The lineage of a metric of a published version; None for a version that was published without one.

    Raises ConfigurationError for a metric that the version does not have.
    """
    files, lineage = files_of(home, version.tenant_id, version.version), _published_lineage(home, version)
    if lineage is None:
        return None
    health = published_health(home, version)
    brought = _brought(health.batches.iter_rows(named=True))
    by_entity: dict[str, list[str]] = {}
    for feed, kinds in sorted(brought.items()):
        for entity in kinds:
            by_entity.setdefault(entity, []).append(feed)
    semantic = json.loads(files.semantic_manifest.read_bytes())
    columns = tuple(
        MartColumn(
            mart=at.relation, column=at.column, fields=tuple(_fields(lineage, at.relation, at.column, by_entity))
        )
        for at in metric_fields(semantic, metric)
    )
    entities = _entities(lineage, columns)
    newest = {row["feed"]: row["newest_day"] for row in health.rhythms.iter_rows(named=True)}
    states = {row["feed"]: row for row in health.feeds.iter_rows(named=True)}
    alerts = {row["feed"]: row for row in published_alerts(home, version).iter_rows(named=True)}
    feeds = [
        _state(feed, {name: brought[feed][name] for name in entities if name in brought[feed]}, states, alerts, newest)
        for feed in sorted({feed for entity in entities for feed in by_entity.get(entity, ())})
    ]
    return MetricLineage(
        metric=metric,
        columns=columns,
        feeds=tuple(feeds),
        without_feed=tuple(entity for entity in entities if entity not in by_entity),
    )


def source_fields(home: Home, version: Version, table: str) -> dict[str, tuple[str, ...]]:
    """Column of a published table to the fields of contracts behind it, as `appointment.status`; empty without lineage."""
    lineage = _published_lineage(home, version)
    if lineage is None:
        return {}
    return {
        name: tuple(f"{field.entity}.{field.field}" for field in _fields(lineage, table, name, {}))
        for name in lineage.columns.get(table, {})
    }


def _published_lineage(home: Home, version: Version) -> Lineage | None:
    try:
        return Lineage.from_json(files_of(home, version.tenant_id, version.version).lineage.read_bytes())
    except FileNotFoundError:
        return None


def metric_entities(lineage: Lineage, semantic: Mapping[str, Any], metric: str) -> frozenset[str]:
    """The contracts whose rows or values make a figure: those behind the columns that it adds up, divides or filters by and, where it
    counts or averages rows, those behind the key of what it counts.

    Raises ConfigurationError for a metric that the semantic manifest does not have.
    """
    fields = (*metric_fields(semantic, metric), *counted_keys(semantic, metric))
    behind = {source for at in fields for source in lineage.sources(at.relation, at.column)}
    return frozenset(source.relation.removeprefix(f"{RAW}.") for source in behind if source.column not in BOOKKEEPING)


def _brought(batches: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Feed to entity to rows landed and when the last came."""
    landed: dict[str, dict[str, dict[str, Any]]] = {}
    for row in batches:
        if row["rows_landed"]:
            entry = landed.setdefault(row["feed"], {}).setdefault(row["entity"], {"rows": 0, "at": None})
            entry["rows"] += row["rows_landed"]
            entry["at"] = max(filter(None, (entry["at"], row.get("landed_at"))), default=None)
    return landed


def _fields(lineage: Lineage, mart: str, column: str, by_entity: Mapping[str, list[str]]) -> Iterable[SourceField]:
    for source in lineage.sources(mart, column):
        if source.column not in BOOKKEEPING:
            entity = source.relation.removeprefix(f"{RAW}.")
            yield SourceField(entity=entity, field=source.column, feeds=tuple(by_entity.get(entity, ())))


def _entities(lineage: Lineage, columns: Iterable[MartColumn]) -> tuple[str, ...]:
    """Entities whose values enter a figure, sorted; of a count of rows those whose keys make the rows: the mart's first column that
    leads to any."""
    entities = {source.entity for column in columns for source in column.fields}
    if not entities:
        for column in columns:
            for name in lineage.columns.get(column.mart, {}):
                behind = [s for s in lineage.sources(column.mart, name) if s.column not in BOOKKEEPING]
                if behind:
                    entities |= {source.relation.removeprefix(f"{RAW}.") for source in behind}
                    break
    return tuple(sorted(entities))


def _state(
    feed: str,
    entities: Mapping[str, Mapping[str, Any]],
    states: Mapping[str, Mapping[str, Any]],
    alerts: Mapping[str, Mapping[str, Any]],
    newest: Mapping[str, date | None],
) -> FeedState:
    state, alert = states.get(feed, {}), alerts.get(feed, {})
    return FeedState(
        feed=feed,
        kind=str(state.get("kind") or ""),
        entities=tuple(sorted(entities)),
        last_read_at=state.get("last_read_at"),
        last_landed_at=max(filter(None, (entry["at"] for entry in entities.values())), default=None),
        newest_day=newest.get(feed),
        rows_landed=sum(entry["rows"] for entry in entities.values()),
        alert=str(alert.get("kind") or ""),
        message=str(alert.get("message") or ""),
        files_refused=int(state.get("units_refused") or 0),
    )
