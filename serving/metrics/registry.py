"""The registry: published tables and metrics in words and as data, built from dbt's manifests at publish.

It is written beside each version as `registry.json`, so that a reader needs no dbt and a version always carries the
definitions that made it. Everything here is text from the project's own models, never from a feed. `serving.metrics.manifests` reads
it out of dbt's manifests.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foundation import formats
from foundation.errors import ConfigurationError
from foundation.kept_files import KeptFile
from serving.model import MetricDefinition

SCHEMAS = ("marts", "health")
HEALTH = "health"
AGGREGATES = ("count", "distinct", "sum", "average", "median", "percentile_90")


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Why some rows do not count: an SQL condition on them, and words. `by` is a column whose value names them more closely."""

    words: str
    condition: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """One column of a published table. `data_type` is DuckDB's; `identity` and `left_out` (why rows without it do not count) come
    from the YAML of the model, or are empty."""

    name: str
    data_type: str
    description: str = ""
    identity: str = ""
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """One published table. `order_by` are columns that its rows lie ordered by, so that zone maps prune."""

    schema: str
    name: str
    description: str
    module: str
    shared: bool
    unit_column: str
    provider_column: str
    order_by: tuple[str, ...]
    columns: tuple[TableColumn, ...] = ()

    @property
    def is_dimension(self) -> bool:
        return self.name.startswith("dim_")

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


# How a metric writes a share of rows: the mean of 1 for a row that counts and of 0 for the others.
_SHARE_OF_ROWS = re.compile(r"case when (.+) then (1 else 0|0 else 1) end", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class DrillRule:
    """The rows behind a metric: a published model, an SQL condition on it, and how the figure is computed from them.

    `aggregate` is count (of rows), distinct, sum, average, median or percentile_90, of `value`, a column or expression.
    `date_column` is what the period of a question applies to. `is_snapshot`: only the last day of a period counts.
    `figure_of` is the metric whose figure the rows give: the metric itself, or the numerator of a ratio or share.
    `left_out` are the reasons of rows that do not meet `row_filter`, `not_above` those of rows of a share that are below its line alone;
    both are empty in versions of releases before there were any.
    """

    model: str
    row_filter: str = ""
    value: str = ""
    aggregate: str = "count"
    date_column: str = ""
    is_snapshot: bool = False
    figure_of: str = ""
    left_out: tuple[LeftOut, ...] = ()
    not_above: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        if self.aggregate not in AGGREGATES:
            raise ConfigurationError(f"drill of {self.model}: {self.aggregate!r} is not one of {', '.join(AGGREGATES)}")

    @property
    def counted_condition(self) -> str:
        """Of a share of rows, the condition of the rows above the line; empty for every other figure."""
        share = _SHARE_OF_ROWS.fullmatch(self.value) if self.aggregate == "average" else None
        if share is None:
            return ""
        return share[1] if share[2] == "1 else 0" else f"not coalesce(({share[1]}), false)"


@dataclass(frozen=True, kw_only=True)
class RegistryMetric:
    """One metric: its words, and how it is asked for. `tables` are the published models it reads."""

    definition: MetricDefinition
    tables: tuple[str, ...]
    drill: DrillRule | None = None
    share_of: str = ""
    share_over: tuple[str, ...] = ()
    # A sum or a count over no rows is 0; a mean, a ratio or a balance over no rows is unknown.
    is_additive: bool = False


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All published tables and metrics of one version."""

    tables: tuple[PublishedTable, ...] = ()
    metrics: Mapping[str, RegistryMetric] = field(default_factory=dict)

    def table(self, name: str) -> PublishedTable | None:
        """A table by name, None where it is not published."""
        return next((table for table in self.tables if table.name == name), None)

    def to_json(self) -> bytes:
        """The file `registry.json`."""
        return _RegistryFile(tables=self.tables, metrics=dict(self.metrics)).to_bytes()

    @classmethod
    def from_json(cls, content: bytes) -> "Registry":
        """Reads what `to_json` of this or an earlier release wrote. Raises ValueError where it is not that, ConfigurationError where a
        later release wrote it."""
        file = _RegistryFile.parse(content)
        return cls(tables=file.tables, metrics=file.metrics)


class _RegistryFile(KeptFile):
    """`registry.json`. Pydantic fills the dataclasses; fields that they do not have are ignored."""

    FORMAT = formats.REGISTRY
    tables: tuple[PublishedTable, ...]
    metrics: dict[str, RegistryMetric]


def private_columns(tables: Sequence[PublishedTable]) -> dict[str, tuple[str, ...]]:
    """Table to columns that name a person, an account or a record: nothing to group figures by."""
    return {
        table.name: tuple(column.name for column in table.columns if column.identity in {"patient", "account"})
        for table in tables
    }
