"""Answers questions to the registry on one scope file.

A question is split into parts that MetricFlow compiles to one SELECT each: metrics whose dimensions have the same names in the
manifest form one part; a share also needs its total; a ratio of facts with different names for a dimension needs numerator and
denominator. The parts are joined on the dimensions of the question. A sum or count that is missing in a part is 0, other values
are null.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import polars as pl

from foundation.errors import AccessError, ConfigurationError
from foundation.near_names import near
from serving.metrics.compiler import Compiler, Shape, date_filters, day_filter, dimension_filter, entity_filter
from serving.metrics.dimensions import CHILDREN, SERVICE_UNIT, DimensionIndex, Fact, Member
from serving.metrics.mart_data import MartData
from serving.metrics.registry import Registry, RegistryMetric
from serving.metrics.small_cells import hidden_cells
from serving.model import Filter, MetricQuery
from serving.people.modules import sees_metric
from serving.people.scope import Scope

TIME = "metric_time"
LEVELS = 6
# Beside a metric in an answer under way: whether its value is hidden.
HIDDEN = "hidden//"


def values_of(value: Filter) -> list[str]:
    """The values of one filter as texts."""
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [str(item) for item in several]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One metric as MetricFlow computes it; `column` is its name until the parts are joined."""

    metric: str
    column: str
    by: tuple[str, ...]
    where: Mapping[str, Filter] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Division:
    """A column that is the quotient of two parts."""

    column: str
    numerator: _Part
    denominator: _Part


class Metrics:
    """The registry at work for one scope."""

    def __init__(
        self, *, registry: Registry, index: DimensionIndex, compiler: Compiler, data: MartData, scope: Scope
    ) -> None:
        self.registry, self.index, self.data, self.scope = registry, index, data, scope
        self._compiler = compiler

    @cached_property
    def restated(self) -> "Metrics":
        """The same, telling the past with the tree of service units and the payer classes of today."""
        return Metrics(
            registry=self.registry, index=self.index.restated, compiler=self._compiler, data=self.data, scope=self.scope
        )

    @property
    def smallest_cell(self) -> int:
        """Figures of fewer people are not shown to this scope; 1 or less shows all."""
        return self.scope.smallest_cell

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Table to its semantic model."""
        return {fact.table: fact for fact in self.index.facts.values()}

    # What may be asked

    def visible(self) -> list[RegistryMetric]:
        """The metrics that the scope holds, by name."""
        return [item for item in self.registry.metrics.values() if sees_metric(self.scope, item.definition)]

    def metric(self, name: str) -> RegistryMetric:
        """A metric by name. Raises ConfigurationError for an unknown one, AccessError for one outside the scope."""
        definition = self.registry.metrics.get(name)
        if definition is None:
            names = (item.definition.name for item in self.visible())
            raise ConfigurationError(f"no metric is named {name!r}{near(name, names)}")
        if not sees_metric(self.scope, definition.definition):
            raise AccessError(f"the metric {name!r} belongs to a part of the product that you may not use")
        return definition

    def member(self, metric: str, name: str) -> Member:
        """The dimension of a metric that a name means. Raises ConfigurationError with similar names."""
        return self.index.require(metric, name)

    # Questions

    def query(self, query: MetricQuery) -> pl.DataFrame:
        """The answer: `metric_time` for a grain, the dimensions as asked (with `<dimension>_name`), then the metrics."""
        if query.restated and self.index.restated is not self.index:
            return self.restated.query(query)
        metrics = [self.metric(name) for name in dict.fromkeys(query.metrics)]
        undated = [item.definition.name for item in metrics if not item.definition.known_on]
        if query.known_by and undated:
            raise ConfigurationError(f"known_by: {undated[0]} does not keep the day on which its rows became known")
        if CHILDREN in query.by:
            return self._finish(query, metrics, self._children(query, metrics))
        return self._finish(query, metrics, self._answer(query, metrics, tuple(query.by)))

    def _children(self, query: MetricQuery, metrics: Sequence[RegistryMetric]) -> pl.DataFrame:
        """The direct children of the unit in the filter; of the top of the scope without one."""
        chosen = query.where.get(SERVICE_UNIT)
        parents = values_of(chosen) if chosen is not None else []
        if len(parents) == 1:
            levels = {self.data.depth_of(parents[0]) + 1: None}
        else:
            tops = parents or list(self.data.roots)
            levels = dict.fromkeys(self.data.depth_of(unit) for unit in tops)
        if len(levels) == 1:
            level = next(iter(levels))
            name = f"level_{level}" if level <= LEVELS else SERVICE_UNIT
            by = tuple(name if item == CHILDREN else item for item in query.by)
            frame = self._answer(query, metrics, by)
            return frame.rename({name: CHILDREN, f"{name}_name": f"{CHILDREN}_name"})
        # The tops of a scope may lie at different depths, where no column of the tree names them all: one by one.
        names = dict(zip(self.data.units["service_unit_id"], self.data.units["name"], strict=True))
        by = tuple(item for item in query.by if item != CHILDREN)
        frames = []
        for unit in parents or self.data.roots:
            answer = self._answer(replace(query, where={**query.where, SERVICE_UNIT: unit}), metrics, by)
            frames.append(
                answer.with_columns(pl.lit(unit).alias(CHILDREN), pl.lit(names[unit]).alias(f"{CHILDREN}_name"))
            )
        return pl.concat(frames, how="vertical_relaxed")

    def _answer(self, query: MetricQuery, metrics: Sequence[RegistryMetric], by: tuple[str, ...]) -> pl.DataFrame:
        parts: list[_Part] = []
        divisions: list[_Division] = []
        for metric in metrics:
            plan = self._plan(metric, by, query.where)
            if isinstance(plan, _Part):
                parts.append(plan)
            else:
                divisions.append(plan)
                parts += [plan.numerator, plan.denominator]
        columns = ([TIME] if query.grain else []) + list(by)
        frame = self._joined(query, parts, columns)
        for division in divisions:
            below = pl.col(division.denominator.column).cast(pl.Float64)
            share = pl.col(division.numerator.column).cast(pl.Float64) / below
            frame = frame.with_columns(pl.when(below != 0).then(share).alias(division.column))
        named = self._named(frame, parts[0].metric, by)
        if self.smallest_cell <= 1:
            return named
        hidden = hidden_cells(self, query, metrics, by, named)
        return named.with_columns(
            pl.Series(f"{HIDDEN}{name}", flags, dtype=pl.Boolean) for name, flags in hidden.items()
        )

    def _plan(self, metric: RegistryMetric, by: tuple[str, ...], where: Mapping[str, Filter]) -> "_Part | _Division":
        name = metric.definition.name
        if metric.share_of:
            over = set(metric.share_over)
            outside = {key: value for key, value in where.items() if key not in over}
            return _Division(
                column=name,
                numerator=_Part(metric=metric.share_of, column=f"{name}//above", by=by, where=where),
                denominator=_Part(
                    metric=metric.share_of,
                    column=f"{name}//below",
                    by=tuple(item for item in by if item not in over),
                    where=outside,
                ),
            )
        ratio = self.index.ratio_of(name)
        wanted = [SERVICE_UNIT if item == CHILDREN else item for item in (*by, *where)]
        if (
            ratio is not None
            and any(self.index.find(name, item) is None for item in wanted)
            and all(self.index.fits(name, item) for item in wanted)
        ):
            above, below = (
                _Part(metric=part.metric, column=f"{name}//{place}", by=by, where=where, conditions=part.where)
                for place, part in zip(("above", "below"), ratio, strict=True)
            )
            return _Division(column=name, numerator=above, denominator=below)
        return _Part(metric=name, column=name, by=by, where=where)

    # Parts

    def _joined(self, query: MetricQuery, parts: Sequence[_Part], columns: list[str]) -> pl.DataFrame:
        """All parts side by side: one SELECT for parts of one shape, joined on the columns they share."""
        groups: dict[tuple[Shape, tuple[tuple[str, Any], ...]], list[_Part]] = {}
        parameters_of: dict[tuple[Shape, tuple[tuple[str, Any], ...]], dict[str, Any]] = {}
        for part in parts:
            shape, parameters = self._shape(query, part)
            key = (shape, tuple((name, str(value)) for name, value in sorted(parameters.items())))
            groups.setdefault(key, []).append(part)
            parameters_of[key] = parameters
        joined: pl.DataFrame | None = None
        later: list[tuple[pl.DataFrame, list[str]]] = []
        for key, members in groups.items():
            frame = self._run(key[0], members, parameters_of[key], query.grain)
            own = [name for name in columns if name in frame.columns]
            if own != columns:
                later.append((frame, own))
            elif joined is None:
                joined = frame
            elif columns:
                joined, frame = _alike(joined, frame, columns)
                joined = joined.join(frame, on=columns, how="full", coalesce=True, nulls_equal=True)
            else:
                joined = pl.concat([joined, frame], how="horizontal")
        assert joined is not None, "a share's numerator has all columns"
        # Totals of shares have fewer columns: each row gets the total it is a part of.
        for frame, own in later:
            joined = (
                joined.join(frame, on=own, how="left", nulls_equal=True) if own else joined.join(frame, how="cross")
            )
        return joined

    def _shape(self, query: MetricQuery, part: _Part) -> tuple[Shape, dict[str, Any]]:
        parameters: dict[str, Any] = {}
        where = list(part.conditions)
        for position, (name, value) in enumerate(sorted(part.where.items())):
            member = self.member(part.metric, SERVICE_UNIT if name == CHILDREN else name)
            parameter = f"w{position}"
            if member.is_joined:
                parameters[parameter] = self.data.keys(member, values_of(value))
                where.append(entity_filter(member.dunder.split("__")[0], parameter))
            else:
                parameters[parameter] = values_of(value)
                where.append(dimension_filter(member.dunder, is_entity=member.is_entity, parameter=parameter))
        dates: dict[str, Any] = {"date_from": query.date_from, "date_to": query.date_to}
        snapshot = self.index.snapshot_of(part.metric)
        if snapshot is not None:
            dates = {"snapshots": self.snapshot_days(*snapshot, query.grain, query.date_from, query.date_to)}
        if query.known_by:
            dates["known_by"] = query.known_by
            where.append(day_filter(self._known_day(part.metric), "known_by"))
        parameters |= {name: value for name, value in dates.items() if value is not None}
        group_by = [self.member(part.metric, name).dunder for name in part.by]
        if query.grain:
            group_by.insert(0, f"{TIME}__{query.grain}")
        where += date_filters(parameters)
        return Shape(metrics=(), group_by=tuple(group_by), where=tuple(where)), parameters

    def _known_day(self, metric: str) -> str:
        """MetricFlow's name of the day on which a row of a metric began to count."""
        return self.index.time_of(metric, self.registry.metrics[metric].definition.known_on)

    def snapshot_days(
        self, table: str, column: str, grain: str | None, date_from: date | None, date_to: date | None
    ) -> list[date]:
        """The last snapshot day of each period, before other filters. MetricFlow takes the last day after the filters: a payer
        whose balance was paid off months ago would be shown with its old balance.
        """
        period = f"group by date_trunc('{grain}', {column})" if grain else ""
        conditions = [f"{column} is not null"]
        conditions += [f"{column} >= $date_from"] if date_from else []
        conditions += [f"{column} <= $date_to"] if date_to else []
        days = self.data.frame(
            f"select max({column}) as day from {self.data.table(table)} where {' and '.join(conditions)} {period}",
            {"date_from": date_from, "date_to": date_to},
        )
        return days["day"].to_list()

    def _run(
        self, shape: Shape, parts: Sequence[_Part], parameters: Mapping[str, Any], grain: str | None
    ) -> pl.DataFrame:
        names = tuple(dict.fromkeys(part.metric for part in parts))
        sql = self._compiler.sql(replace(shape, metrics=names), self.data.engine)
        frame = self.data.frame(sql, parameters)
        first = parts[0]
        columns = [pl.col(self.member(first.metric, name).dunder).alias(name) for name in first.by]
        if grain:
            columns.insert(0, pl.col(f"{TIME}__{grain}").cast(pl.Date).alias(TIME))
        return frame.select(*columns, *(_number(frame, part.metric).alias(part.column) for part in parts))

    # The answer's columns

    def _named(self, frame: pl.DataFrame, metric: str, by: Iterable[str]) -> pl.DataFrame:
        """Join keys become identifiers, and entity dimensions get their names."""
        for name in by:
            member = self.member(metric, name)
            if not member.is_joined:
                continue
            members = self.data.members(member)
            if member.is_entity:
                lookup = members.select(pl.col("key").alias(name), pl.col("id"), pl.col("name").alias(f"{name}_name"))
                frame = frame.join(lookup, on=name, how="left").with_columns(pl.col("id").alias(name)).drop("id")
            elif member.name_column:
                lookup = members.select(pl.col("id").alias(name), pl.col("name").alias(f"{name}_name"))
                frame = frame.join(lookup.unique(subset=name), on=name, how="left")
        return frame

    def _finish(self, query: MetricQuery, metrics: Sequence[RegistryMetric], frame: pl.DataFrame) -> pl.DataFrame:
        names = [metric.definition.name for metric in metrics]
        frame = frame.with_columns(
            pl.col(item.definition.name).fill_null(0) for item in metrics if item.is_additive and not item.share_of
        )
        # After nulls became 0: what is hidden is not known to be nothing.
        frame = frame.with_columns(
            pl.when(~pl.col(f"{HIDDEN}{name}")).then(pl.col(name)).alias(name)
            for name in names
            if f"{HIDDEN}{name}" in frame.columns
        )
        columns = [TIME] if query.grain else []
        for name in query.by:
            columns += [name, f"{name}_name"] if f"{name}_name" in frame.columns else [name]
        frame = frame.select(*columns, *names)
        if query.grain:
            # Rows without the metric's date (a stay that has not ended) are in no period; they hold no value.
            empty = pl.all_horizontal((pl.col(name).is_null() | (pl.col(name) == 0)) for name in names)
            frame = frame.filter(~(pl.col(TIME).is_null() & empty))
        frame = _ordered(frame, query, [TIME] if query.grain else [])
        return frame.head(query.limit) if query.limit is not None else frame


def _alike(left: pl.DataFrame, right: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both frames with the same types in the columns to join on: two facts may hold a flag as a text and as a truth."""
    differing = [name for name in columns if left.schema[name] != right.schema[name]]
    texts = [pl.col(name).cast(pl.String) for name in differing]
    return left.with_columns(texts), right.with_columns(texts)


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Whole numbers that DuckDB sums as HUGEINT come as integers."""
    kind = frame.schema[name]
    if (isinstance(kind, pl.Decimal) and kind.scale == 0) or kind == pl.Int128:
        return pl.col(name).cast(pl.Int64)
    return pl.col(name)


def _ordered(frame: pl.DataFrame, query: MetricQuery, time: list[str]) -> pl.DataFrame:
    wanted = list(query.order_by) or [*time, *query.by]
    if not wanted:
        return frame
    names = [name.removeprefix("-") for name in wanted]
    unknown = [name for name in names if name not in frame.columns]
    if unknown:
        raise ConfigurationError(f"order_by: {unknown[0]!r} is not a column of the answer: {', '.join(frame.columns)}")
    return frame.sort(names, descending=[name.startswith("-") for name in wanted], nulls_last=True)
