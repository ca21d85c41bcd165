"""Turns names of metrics and dimensions into SQL of an engine: MetricFlow in process, never let near a database.

Values never reach MetricFlow. A filter is written with a named parameter, the SQL is kept under the shape of the question,
and DuckDB binds the values when the SQL runs: another unit or period costs no new compilation, and no value is ever part of
an SQL text. MetricFlow numbers its aliases in process-wide state, so one lock serves all compilers.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from serving.metrics.plain_sql import PlainSql
from serving.metrics.shape import MetricError, Shape

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine
    from metricflow.sql.render.sql_plan_renderer import SqlPlanRenderer, SqlPlanRenderResult
    from metricflow.sql.sql_plan import SqlPlan

DUCKDB, POSTGRES = "duckdb", "postgres"
__all__ = ["Compiler", "MetricError", "Shape", "compiler_of"]
_LOCK = threading.RLock()
_log = logging.getLogger(__name__)
_DAY = re.compile(r"DATE_TRUNC\('day', ((?:\w+\.)?(\w+))\)")
COMPILED_KEPT = 4096


class _Renderer:
    """The parts of MetricFlow's SqlClient and SqlPlanRenderer that compiling needs. Running SQL through it is an error by
    construction. Every plan is rendered for every engine: `rendered` maps it to the SQL of the last plan."""

    def __init__(self, engines: Iterable[str]) -> None:
        from metricflow.protocols.sql_client import SqlEngine
        from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer

        renderers = {DUCKDB: _duckdb_renderer, POSTGRES: PostgresSQLSqlPlanRenderer}
        self._renderers = {engine: renderers[engine]() for engine in engines}
        self.rendered: dict[str, str] = {}
        # Plans are the same for both engines: MetricFlow makes them otherwise for BigQuery alone.
        self.sql_engine_type = SqlEngine.DUCKDB
        self.sql_plan_renderer = self

    def render_sql_plan(self, plan: "SqlPlan") -> "SqlPlanRenderResult":
        """Renders a plan for every engine; returns the first's."""
        results = {engine: renderer.render_sql_plan(plan) for engine, renderer in self._renderers.items()}
        self.rendered = {engine: result.sql for engine, result in results.items()}
        return next(iter(results.values()))

    def render_bind_parameter_key(self, bind_parameter_key: str) -> str:
        return f"${bind_parameter_key}"

    def close(self) -> None:
        """Nothing is open."""


def _duckdb_renderer() -> "SqlPlanRenderer":
    """MetricFlow's, with percentiles of binary fractions: of decimals DuckDB would round what lies between two of them to their
    digits, PostgreSQL does not."""
    from metricflow.sql.render.duckdb_renderer import DuckDbSqlExpressionRenderer, DuckDbSqlPlanRenderer
    from metricflow.sql.render.expr_renderer import SqlExpressionRenderResult
    from metricflow_semantics.sql.sql_exprs import SqlPercentileExpression, SqlPercentileFunctionType

    class Expressions(DuckDbSqlExpressionRenderer):
        def visit_percentile_expr(self, node: SqlPercentileExpression) -> SqlExpressionRenderResult:
            if node.percentile_args.function_type is not SqlPercentileFunctionType.CONTINUOUS:
                return super().visit_percentile_expr(node)
            value = self.render_sql_expr(node.order_by_arg)
            ordered = f"ORDER BY CAST(({value.sql}) AS DOUBLE)"
            return SqlExpressionRenderResult(
                sql=f"PERCENTILE_CONT({node.percentile_args.percentile}) WITHIN GROUP ({ordered})",
                bind_parameter_set=value.bind_parameter_set,
            )

    class Plans(DuckDbSqlPlanRenderer):
        EXPR_RENDERER = Expressions()

    return Plans()


def _engine(semantic_manifest: bytes, renderer: _Renderer) -> "MetricFlowEngine":
    # Imports of three seconds, which only questions for a figure need.
    from metricflow.engine.metricflow_engine import MetricFlowEngine
    from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
    from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

    manifest = parse_manifest_from_dbt_generated_manifest(semantic_manifest.decode())
    client: Any = renderer
    return MetricFlowEngine(semantic_manifest_lookup=SemanticManifestLookup(manifest), sql_client=client)


class Compiler:
    """Compiles questions to one semantic manifest for one engine or several; thread-safe."""

    def __init__(
        self,
        semantic_manifest: bytes,
        date_columns: frozenset[str],
        engines: Sequence[str] = (DUCKDB,),
        written_with: str = "",
    ) -> None:
        """`written_with` is the release of MetricFlow that the manifest was published under; empty where that is not known. Another release
        than the installed one may understand the manifest in another way, so that DuckDB's SQL comes from `serving.metrics.plain_sql`."""
        self._plain: PlainSql | None = None
        if written_with not in ("", metricflow_release()) and tuple(engines) == (DUCKDB,):
            self._plain = PlainSql(semantic_manifest)
        self._manifest = semantic_manifest
        self._date_columns = date_columns
        self._engines = tuple(engines)
        self._held: tuple[MetricFlowEngine, _Renderer] | None = None
        self._kept: dict[Shape, dict[str, str]] = {}

    def sql(self, shape: Shape, engine: str = DUCKDB) -> str:
        """The SQL of a question; kept by the question's shape. Raises MetricError with MetricFlow's reason."""
        # A compiled question does not wait. Threads that ask the same new question wait for one compilation of it.
        kept = self._kept.get(shape)
        if kept is None:
            with _LOCK:
                kept = self._kept.get(shape)
                if kept is None:
                    kept = self._compile(shape)
                    if len(self._kept) >= COMPILED_KEPT:
                        self._kept.pop(next(iter(self._kept)))
                    self._kept[shape] = kept
        return kept[engine]

    def _compile(self, shape: Shape) -> dict[str, str]:
        if self._plain is None and self._held is None:
            try:
                renderer = _Renderer(self._engines)
                self._held = (_engine(self._manifest, renderer), renderer)
            except Exception as error:
                # A version that was kept for years, or an installation without MetricFlow.
                if self._engines != (DUCKDB,):
                    raise
                _log.warning(
                    "MetricFlow does not read a semantic manifest (%s); it is read without it", type(error).__name__
                )
                self._plain = PlainSql(self._manifest)
        if self._plain is not None:
            return {DUCKDB: self._plain.sql(shape)}
        assert self._held is not None
        return self._planned(*self._held, shape)

    def _planned(self, engine: "MetricFlowEngine", renderer: _Renderer, shape: Shape) -> dict[str, str]:
        from metricflow.engine.metricflow_engine import MetricFlowQueryRequest
        from metricflow_semantics.errors.error_classes import InvalidQueryException

        request = MetricFlowQueryRequest.create(
            metric_names=list(shape.metrics),
            group_by_names=list(shape.group_by),
            where_constraints=list(shape.where) or None,
        )
        try:
            engine.explain(request)
        except InvalidQueryException as error:
            reason = " ".join(str(error).split())[:400]
            raise MetricError(f"cannot work out {', '.join(shape.metrics)}: {reason}") from None
        return {name: self._plain_days(sql) for name, sql in renderer.rendered.items()}

    def _plain_days(self, sql: str) -> str:
        """Leaves a day as it is instead of truncating it to the day: a condition on a plain column skips row groups."""
        return _DAY.sub(lambda match: match[1] if match[2] in self._date_columns else match[0], sql)


def metricflow_release() -> str:
    """The installed release of MetricFlow; empty without one."""
    try:
        return version("metricflow")
    except PackageNotFoundError:
        return ""


_COMPILERS: dict[tuple[str, frozenset[str], tuple[str, ...], str], Compiler] = {}
_COMPILERS_KEPT = 8


def compiler_of(
    semantic_manifest: bytes,
    date_columns: frozenset[str] = frozenset(),
    engines: tuple[str, ...] = (DUCKDB,),
    written_with: str = "",
) -> Compiler:
    """The compiler of a manifest; equal manifests share one, across tenants and versions.

    `date_columns` are the columns that hold days (type DATE) in every published table that has them; `engines` those that its
    SQL is for; `written_with` is as of Compiler.
    """
    key = (hashlib.sha256(semantic_manifest).hexdigest(), date_columns, engines, written_with)
    with _LOCK:
        if key not in _COMPILERS:
            if len(_COMPILERS) >= _COMPILERS_KEPT:
                _COMPILERS.pop(next(iter(_COMPILERS)))
            _COMPILERS[key] = Compiler(semantic_manifest, date_columns, engines, written_with)
        return _COMPILERS[key]


def dimension_filter(dunder: str, *, is_entity: bool, parameter: str) -> str:
    """`dimension is one of the values of a parameter`, as MetricFlow's template."""
    kind = "Entity" if is_entity else "Dimension"
    return f"cast({{{{ {kind}('{dunder}') }}}} as varchar) in (select unnest(${parameter}))"


def entity_filter(entity: str, parameter: str) -> str:
    """The same for a join key, which is text: the comparison has no function, so that the scan can use it."""
    return f"{{{{ Entity('{entity}') }}}} in (select unnest(${parameter}))"


def day_filter(dunder: str, parameter: str) -> str:
    """A day of the fact is not later than a parameter."""
    return f"{{{{ TimeDimension('{dunder}', 'day') }}}} <= ${parameter}"


def date_filters(parameters: Iterable[str]) -> tuple[str, ...]:
    """The period of a question, for those of the parameters `date_from`, `date_to` and `snapshots` that are given."""
    day = "{{ TimeDimension('metric_time', 'day') }}"
    conditions = {
        "date_from": f"{day} >= $date_from",
        "date_to": f"{day} <= $date_to",
        "snapshots": f"{day} in (select unnest($snapshots))",
    }
    names = set(parameters)
    return tuple(condition for name, condition in conditions.items() if name in names)
