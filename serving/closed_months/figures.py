"""Asks every figure of closed months: each metric in total and by each dimension, as the rows that a close freezes.

Grains: every metric in total by day, by week (weeks that lie wholly in the month) and by month; by each dimension that it can
be grouped by, by month, which is the grain that pages show. Dimensions named `current_...` are left out: they tell the past
with the tree and the classes of today, so they change by their nature. So are the children of a unit: each level of the tree
is a separate dimension. Quarters and years are not months; the version that a close names answers them (`close:2026-09`).

A sum or count that has no row is 0; any other figure that has no row has no denominator.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from foundation.home import Home
from foundation.kept_files import read_derived, write_derived
from foundation.keys import Keys
from serving.metrics.answers import TIME, Metrics
from serving.metrics.compiler import Compiler, Shape, compiler_of, metricflow_release
from serving.metrics.dimensions import CHILDREN, CURRENT, DimensionIndex
from serving.metrics.registry import Registry, private_columns
from serving.model import MetricQuery, Version
from serving.modules import MODULES_BY_NAME
from serving.open_files import date_columns
from serving.people.principal import Role
from serving.people.scope import Scope
from serving.scope_files.connection import ScopeConnection
from serving.versions.closes import last_day
from serving.versions.store import files_of

TOTAL = ""
# The member of rows whose dimension is null; it can be no identifier.
NONE = "(none)"
DAY, WEEK, MONTH = "day", "week", "month"
SCALE = 6
EXACT = pl.Decimal(38, SCALE)
KEY = ("metric", "grain", "dimension", "member", "period")
# `exact` holds money and counts, `real` rates, means and medians; one of the two is set. `period` is a period's first day.
FIGURES: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("metric", "grain", "dimension", "member", "member_name"), pl.String),
    "period": pl.Date,
    "exact": EXACT,
    "real": pl.Float64,
}
COMPILED_FILES_KEPT = 4


class KeptCompiler(Compiler):
    """A compiler whose SQL outlives the process: what a close has asked once is not compiled again for every publish.

    `closes/compiled/<digest>.json` maps a question's shape to SQL, a file for each semantic manifest and MetricFlow.
    """

    def __init__(self, home: Home, semantic: bytes, columns: frozenset[str], written_with: str = "") -> None:
        super().__init__(semantic, columns, written_with=written_with)
        self._fresh = compiler_of(semantic, columns, written_with=written_with)
        parts = (semantic, json.dumps(sorted(columns)).encode(), metricflow_release().encode(), written_with.encode())
        digest = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
        self._path = home.folder("closes", "compiled") / f"{digest[:32]}.json"
        self._stored: dict[str, str] = _stored(self._path)
        self._is_changed = False

    def sql(self, shape: Shape, engine: str = "duckdb") -> str:
        """As of Compiler, from the file where it is there."""
        name = f"{engine} {json.dumps(asdict(shape), sort_keys=True)}"
        if name not in self._stored:
            self._stored[name] = self._fresh.sql(shape, engine)
            self._is_changed = True
        return self._stored[name]

    def save(self) -> None:
        """Writes the new entries, and removes the files of manifests that were not used for the longest time."""
        if self._is_changed:
            write_derived(self._path, self._stored)
        elif self._path.exists():
            self._path.touch()
        files = sorted(self._path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[:-COMPILED_FILES_KEPT]:
            path.unlink(missing_ok=True)


def _stored(path: Path) -> dict[str, str]:
    return read_derived(path)


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A published version with all modules, also those that the tenant has switched off: closes are made from it."""

    version: Version
    metrics: Metrics
    data: ScopeConnection
    compiler: KeptCompiler
    # Fact to the key column of its rows: the primary entity of its semantic model.
    keys: Mapping[str, str]

    def close(self) -> None:
        self.compiler.save()
        self.data.close()


def open_whole(home: Home, version: Version) -> Whole:
    """Opens the base file of a version. The caller closes it."""
    files = files_of(home, version.tenant_id, version.version)
    registry = Registry.from_json(files.registry.read_bytes())
    semantic = files.semantic_manifest.read_bytes()
    compiler = KeptCompiler(home, semantic, date_columns(registry), version.metricflow)
    key = Keys.of(home).derive_all_hex("published", version.tenant_id)
    scope = Scope(
        tenant_id=version.tenant_id,
        role=Role.ORGANIZATION_ADMIN,
        identity_level="identified",
        modules=frozenset(MODULES_BY_NAME),
        row_tables_allowed=True,
    )
    data = ScopeConnection(home, files.base, key)
    index = DimensionIndex(json.loads(semantic), private_columns(registry.tables))
    metrics = Metrics(registry=registry, index=index, compiler=compiler, data=data, scope=scope)
    return Whole(version=version, metrics=metrics, data=data, compiler=compiler, keys=_keys(json.loads(semantic)))


def _keys(semantic: Mapping[str, Any]) -> dict[str, str]:
    return {
        model["node_relation"]["alias"]: str(entity.get("expr") or entity["name"])
        for model in semantic["semantic_models"]
        for entity in model["entities"]
        if entity["type"] == "primary"
    }


@dataclass(frozen=True, order=True)
class Asked:
    """One question: a metric at a grain, by a dimension ('' for the total)."""

    metric: str
    grain: str
    dimension: str


def everything(metrics: Metrics) -> tuple[Asked, ...]:
    """Every question that a close asks."""
    questions = []
    for item in metrics.visible():
        name = item.definition.name
        questions += [Asked(name, grain, TOTAL) for grain in (DAY, WEEK, MONTH)]
        for dimension in item.definition.dimensions:
            if dimension != CHILDREN and not dimension.startswith(CURRENT):
                questions.append(Asked(name, MONTH, dimension))
    return tuple(sorted(questions))


def can_ask(metrics: Metrics, asked: Asked) -> bool:
    """Whether a version knows the metric and the dimension of a question."""
    definition = metrics.registry.metrics.get(asked.metric)
    is_visible = definition is not None and definition in metrics.visible()
    return is_visible and (asked.dimension == TOTAL or metrics.index.fits(asked.metric, asked.dimension))


def figures(metrics: Metrics, asked: Iterable[Asked], months: Sequence[date]) -> pl.DataFrame:
    """The answers for some months (their first days), as FIGURES; each month from the same SELECT."""
    first, last = min(months), last_day(max(months))
    frames = []
    for (grain, dimension), names in _together(metrics, asked):
        by = [dimension] if dimension else []
        answer = metrics.query(MetricQuery(metrics=names, by=by, grain=grain, date_from=first, date_to=last))
        answer = answer.filter(_in_months(grain, months))
        frames += [_column(metrics, answer, name, grain, dimension) for name in names]
    return pl.concat([pl.DataFrame(schema=FIGURES), *frames])


def _together(metrics: Metrics, asked: Iterable[Asked]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """Questions that one SELECT can answer: the same grain and dimension, metrics of the same facts."""
    groups: dict[tuple[str, str, object], list[str]] = {}
    for item in sorted(set(asked)):
        definition = metrics.registry.metrics[item.metric]
        facts = tuple(fact.name for fact in metrics.index.facts_of(item.metric))
        kind = (facts, definition.share_of, definition.share_over, metrics.index.snapshot_of(item.metric))
        groups.setdefault((item.grain, item.dimension, kind), []).append(item.metric)
    for (grain, dimension, _), names in groups.items():
        yield (grain, dimension), names


def _in_months(grain: str, months: Sequence[date]) -> pl.Expr:
    """Periods that lie wholly in one of the months."""
    begins = pl.col(TIME)
    ends = begins + timedelta(days=6) if grain == WEEK else begins
    inside = [begins.is_between(month, last_day(month)) & ends.is_between(month, last_day(month)) for month in months]
    return pl.any_horizontal(inside)


def _column(metrics: Metrics, answer: pl.DataFrame, metric: str, grain: str, dimension: str) -> pl.DataFrame:
    """One metric of an answer as FIGURES; what needs no row is left out."""
    definition = metrics.registry.metrics[metric]
    kind = answer.schema[metric]
    is_exact = kind.is_integer() or (isinstance(kind, pl.Decimal) and kind.scale <= SCALE)
    value = pl.col(metric)
    kept = (
        value.is_not_null() & (value != 0)
        if definition.is_additive and not definition.share_of
        else value.is_not_null()
    )
    if kind.is_float():
        kept = kept & value.is_finite()
    name = f"{dimension}_name" if f"{dimension}_name" in answer.columns else dimension
    texts = {"metric": metric, "grain": grain, "dimension": dimension}
    return answer.filter(kept).select(
        *(pl.lit(text, dtype=pl.String).alias(column) for column, text in texts.items()),
        _text(dimension).alias("member"),
        _text(name).alias("member_name"),
        pl.col(TIME).cast(pl.Date).alias("period"),
        (value.cast(EXACT) if is_exact else pl.lit(None, dtype=EXACT)).alias("exact"),
        (pl.lit(None, dtype=pl.Float64) if is_exact else value.cast(pl.Float64)).alias("real"),
    )


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null(NONE) if column else pl.lit(TOTAL)


def labels(metrics: Metrics) -> Mapping[str, tuple[str, str, str]]:
    """Metric to (label, unit, module), as the version says."""
    return {
        item.definition.name: (item.definition.label, item.definition.unit, item.definition.module)
        for item in metrics.visible()
    }
