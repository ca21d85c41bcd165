"""Whether two engines answer every metric alike: each metric of the registry, with no dimension, at several grains and by every
dimension it has, asked of each engine's own marts through the code that answers people (`serving/metrics/answers`).

Several metrics of one fact are asked together, as a page does; MetricFlow plans a question once and renders it for each engine.
Answers are compared by key: whole numbers and decimals with all their digits, fractions that an engine holds as binary to 1e-9.
What is reported are metrics, dimensions and keys, never values.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.engine_check.connections import COPIES, DuckdbMarts, PostgresMarts
from serving.engine_check.marts import KEYS_SHOWN, SCHEMA, digits, same
from serving.metrics.answers import Metrics
from serving.metrics.compiler import DUCKDB, POSTGRES, Compiler, compiler_of
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.manifests import published_tables, read_manifests
from serving.metrics.manifests import registry_metrics as metrics_of
from serving.metrics.mart_data import MartData
from serving.metrics.registry import HEALTH, Registry, private_columns
from serving.model import MetricQuery
from serving.people.principal import Role
from serving.people.scope import Scope

# Of these the whole figure and every period; by a dimension the figure over all time.
GRAINS = (None, "month", "week", "day")
# Columns of joined answers; no metric or dimension has such a name.
_OTHER, _HERE, _PLACE = "//other", "//here", "//place"


@dataclass(frozen=True, kw_only=True)
class MetricDifference:
    """One metric that two engines answer differently for a tenant. `dimension` and `grain` are empty where none was asked for;
    `keys` are the first keys of answers that differ. `reason` says why an engine gave no answer at all."""

    tenant_id: str
    metric: str
    dimension: str = ""
    grain: str = ""
    rows_differing: int = 0
    keys: tuple[Mapping[str, str | None], ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricsComparison:
    """The questions to both engines. `questions` counts each metric, dimension or grain, and tenant; `figures` the compared values."""

    metrics: tuple[str, ...] = ()
    questions: int = 0
    figures: int = 0
    differences: tuple[MetricDifference, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every question had the same answer."""
        return not self.differences


@dataclass(frozen=True, kw_only=True)
class _Project:
    """The settings of the dbt project; its SQL names the copies of the marts of a tenant."""

    registry: Registry
    index: DimensionIndex
    compiler: Compiler


def compare_metrics(
    home: Home, keys: Keys, dbt_target: Path, conninfo: str, names: Sequence[str] = (), *, every: int = 1
) -> MetricsComparison:
    """Asks every metric of the home's warehouse and of the marts in a PostgreSQL database, tenant by tenant; of `names` only, where
    any are given. By every dimension, or, for a quicker look, each metric by one in `every` of its dimensions: of the metrics of a fact
    by others each, so that the fact is asked by all.

    `dbt_target` holds the manifests. Raises ConfigurationError for an unknown name, ClinicmartError where marts cannot be read. The
    warehouse is opened read-only; in the database nothing stays.
    """
    tenants, date_columns = _facts_of_warehouse(home, keys)
    project = _project(dbt_target, date_columns)
    unknown = sorted(set(names) - set(project.registry.metrics))
    if unknown:
        raise ConfigurationError(f"no metric is named {unknown[0]!r}; clinicmart metrics list names all")
    wanted = tuple(sorted(set(names) or project.registry.metrics))
    questions = tuple(questions_of(project.registry, project.index, wanted, every))
    with ThreadPoolExecutor(max_workers=min(len(tenants) or 1, os.cpu_count() or 1)) as pool:
        comparisons = list(
            pool.map(lambda tenant: _of_tenant(project, home, keys, conninfo, tenant, questions), tenants)
        )
    return MetricsComparison(
        metrics=wanted,
        questions=sum(each.questions for each in comparisons),
        figures=sum(each.figures for each in comparisons),
        differences=tuple(difference for each in comparisons for difference in each.differences),
    )


def _facts_of_warehouse(home: Home, keys: Keys) -> tuple[list[str], frozenset[str]]:
    """The tenants with marts, and the columns that hold days wherever they occur."""
    with duck.session(home) as warehouse:
        duck.attach(warehouse, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
        tenants = warehouse.execute(f"select tenant_id from warehouse.{SCHEMA}.dim_tenants order by 1").fetchall()
        days = warehouse.execute(
            "select column_name from information_schema.columns where table_catalog = 'warehouse' "
            f"and table_schema = '{SCHEMA}' group by 1 having bool_and(data_type = 'DATE')"
        ).fetchall()
    return [str(row[0]) for row in tenants], frozenset(str(row[0]) for row in days)


def _project(dbt_target: Path, date_columns: frozenset[str]) -> _Project:
    manifest, semantic, _ = read_manifests(dbt_target)
    tables = tuple(table for table in published_tables(manifest, semantic) if table.schema != HEALTH)
    registry = Registry(tables=tables, metrics=metrics_of(semantic, tables))
    index = DimensionIndex(semantic, private_columns(tables))
    _name_copies(semantic)
    compiler = compiler_of(json.dumps(semantic).encode(), date_columns, (DUCKDB, POSTGRES))
    return _Project(registry=registry, index=index, compiler=compiler)


def _name_copies(part: Any) -> None:
    """Names every relation of a semantic manifest as `serving/engine_check/connections` copies it."""
    if isinstance(part, list):
        for item in part:
            _name_copies(item)
    elif isinstance(part, dict):
        if "relation_name" in part:
            part["relation_name"] = f"{COPIES}.{part['alias']}"
        for item in part.values():
            _name_copies(item)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Metrics asked together, by at most one dimension and at most one grain."""

    metrics: tuple[str, ...]
    dimension: str | None = None
    grain: str | None = None

    @property
    def query(self) -> MetricQuery:
        by = [self.dimension] if self.dimension else []
        return MetricQuery(metrics=list(self.metrics), by=by, grain=self.grain)

    def alone(self) -> "Iterator[Question]":
        """The same of each metric by itself."""
        for metric in self.metrics:
            yield Question(metrics=(metric,), dimension=self.dimension, grain=self.grain)


def questions_of(registry: Registry, index: DimensionIndex, names: Iterable[str], every: int) -> Iterator[Question]:
    """Every question to be asked; metrics that rest on the same facts go together. With `every` over 1, metrics of several facts are
    not asked by dimensions by which each of these facts is asked alone."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        facts = tuple(fact.name for fact in index.facts_of(name))
        groups.setdefault(facts, []).append(name)
    by_fact: set[tuple[str, str]] = set()
    for facts, members in sorted(groups.items(), key=lambda group: len(group[0])):
        for grain in GRAINS:
            yield Question(metrics=tuple(members), grain=grain)
        step = min(every, len(members))
        asked = {
            name: [d for at, d in enumerate(registry.metrics[name].definition.dimensions) if (at + place) % step == 0]
            for place, name in enumerate(members)
        }
        for dimension in dict.fromkeys(item for name in members for item in asked[name]):
            pairs = {(fact, dimension) for fact in facts}
            if every > 1 and pairs <= by_fact:
                continue
            by_fact |= pairs
            having = tuple(name for name in members if dimension in asked[name])
            yield Question(metrics=having, dimension=dimension)


def _of_tenant(
    project: _Project, home: Home, keys: Keys, conninfo: str, tenant_id: str, asked: Sequence[Question]
) -> MetricsComparison:
    """Asks every question of one tenant."""
    tables = project.registry.tables
    questions = figures = 0
    differences: list[MetricDifference] = []
    with (
        DuckdbMarts(home, keys, tables, tenant_id) as ours,
        PostgresMarts(conninfo, tables, tenant_id) as theirs,
    ):
        sides = (_metrics(project, ours, tenant_id), _metrics(project, theirs, tenant_id))
        for question in asked:
            questions += len(question.metrics)
            compared, differing = _ask(sides, question, tenant_id)
            figures += compared
            differences += differing
    return MetricsComparison(questions=questions, figures=figures, differences=tuple(differences))


def _metrics(project: _Project, data: MartData, tenant_id: str) -> Metrics:
    """The registry for a person who sees all of a tenant."""
    scope = Scope(
        tenant_id=tenant_id,
        role=Role.ORGANIZATION_ADMIN,
        identity_level="identified",
        modules=frozenset(item.definition.module for item in project.registry.metrics.values()),
    )
    return Metrics(registry=project.registry, index=project.index, compiler=project.compiler, data=data, scope=scope)


def _ask(sides: tuple[Metrics, Metrics], question: Question, tenant_id: str) -> tuple[int, list[MetricDifference]]:
    """(figures compared, differences) of one question; where it fails, of each of its metrics alone."""
    try:
        ours, theirs = (side.query(question.query) for side in sides)
    except ClinicmartError as error:
        if len(question.metrics) > 1:
            answers = [_ask(sides, single, tenant_id) for single in question.alone()]
            return sum(count for count, _ in answers), [item for _, differing in answers for item in differing]
        return 0, [_difference(question, tenant_id, question.metrics[0], reason=str(error))]
    differing = [
        _difference(question, tenant_id, metric, rows_differing=len(keys), keys=tuple(keys[:KEYS_SHOWN]))
        for metric, keys in answers_differ(ours, theirs, question.metrics, sides[0].registry).items()
    ]
    return max(ours.height, theirs.height) * len(question.metrics), differing


def _difference(question: Question, tenant_id: str, metric: str, **values: Any) -> MetricDifference:
    return MetricDifference(
        tenant_id=tenant_id, metric=metric, dimension=question.dimension or "", grain=question.grain or "", **values
    )


def answers_differ(
    ours: pl.DataFrame, theirs: pl.DataFrame, metrics: Sequence[str], registry: Registry
) -> dict[str, list[Mapping[str, str | None]]]:
    """Metric to the keys of the answers in which it differs, in order; metrics that agree everywhere are absent.

    A key that stands on one side only is a difference of the metrics that have a value there; of all, where none has.
    """
    keys = [name for name in ours.columns if name not in metrics and not name.endswith("_name")]
    on = [*keys, _PLACE]
    joined = _side(ours, keys, metrics).join(
        _side(theirs, keys, metrics), on=on, how="full", coalesce=True, nulls_equal=True, suffix=_OTHER
    )
    joined = joined.with_columns(pl.col(_HERE, _HERE + _OTHER).fill_null(False)).with_columns(
        _agree(metric, ours, theirs, none_is_nought=registry.metrics[metric].is_additive) for metric in metrics
    )
    alone = ~(pl.col(_HERE) & pl.col(_HERE + _OTHER)) & pl.all_horizontal(metrics)
    differing = {metric: joined.filter(~pl.col(metric) | alone).sort(on) for metric in metrics}
    return {
        metric: [{name: row[name] for name in keys} for row in frame.iter_rows(named=True)]
        for metric, frame in differing.items()
        if frame.height
    }


def _side(frame: pl.DataFrame, keys: Sequence[str], metrics: Sequence[str]) -> pl.DataFrame:
    """An answer with its keys as text. Should a key come twice, its first row is compared with the other side's first."""
    texts = [
        digits(pl.col(name).cast(pl.String)) if frame.schema[name].is_numeric() else pl.col(name).cast(pl.String)
        for name in keys
    ]
    place = pl.int_range(pl.len())
    return (
        frame.select(*texts, *metrics)
        .sort(*keys, *metrics)
        .with_columns((place.over(keys) if keys else place).alias(_PLACE), pl.lit(True).alias(_HERE))
    )


def _agree(metric: str, ours: pl.DataFrame, theirs: pl.DataFrame, *, none_is_nought: bool) -> pl.Expr:
    """Whether a metric has one value on both sides of the joined answers, under the metric's name."""
    exact = all(frame.schema[metric].is_decimal() or frame.schema[metric].is_integer() for frame in (ours, theirs))
    pair = [pl.col(metric), pl.col(metric + _OTHER)]
    if none_is_nought:
        pair = [value.fill_null(0) for value in pair]
    pair = [digits(value.cast(pl.String)) for value in pair] if exact else [value.cast(pl.Float64) for value in pair]
    return same(pair[0], pair[1], is_float=not exact).alias(metric)
