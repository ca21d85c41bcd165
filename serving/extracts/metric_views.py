"""A view for each metric of an extract: its value by month, or by year where rows leave without months.

The SQL is that of `serving.metrics.plain_sql`, on the tables of the extract. It is plain enough for DuckDB 1.4. A metric that is a share
has one row for each period and member of its first dimension, such as `payer_class`.
"""

import re

from foundation.deidentification import SAFE_HARBOR
from serving.metrics.answers import TIME
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.plain_sql import PlainSql
from serving.metrics.registry import RegistryMetric
from serving.metrics.shape import Shape
from serving.people.scope import Scope

MONTH, YEAR = "month", "year"
# The marts as MetricFlow's manifest names them.
_WAREHOUSE = re.compile(r'"?warehouse"?\."?marts"?\.')


def period_of(scope: Scope) -> str:
    """The shortest period that the dates of the rows allow: rows that leave under Safe Harbor have the year alone."""
    return YEAR if scope.deidentification == SAFE_HARBOR else MONTH


def view_sql(plain: PlainSql, index: DimensionIndex, metric: RegistryMetric, period: str) -> str:
    """The SELECT of a metric's view: the period (a date, its first day), for a share the dimension, and the value under the metric's name.

    Raises MetricError for a metric that cannot be worked out without MetricFlow.
    """
    name, time = metric.definition.name, f"{TIME}__{period}"
    if metric.share_of:
        sql = _share(plain, index, metric, period)
    else:
        value = f'coalesce("{name}", 0)' if metric.is_additive else f'"{name}"'
        inner = plain.sql(Shape(metrics=(name,), group_by=(time,), where=()))
        sql = f'select cast("{time}" as date) as "{period}", {value} as "{name}" from ({inner})'
    # Rows without the metric's date are of no period. Their value is kept, so that the values add up to the whole.
    sql = f'select * from ({sql}) where "{period}" is not null or coalesce("{name}", 0) <> 0 order by all'
    return _WAREHOUSE.sub("marts.", " ".join(sql.split()))


def _share(plain: PlainSql, index: DimensionIndex, metric: RegistryMetric, period: str) -> str:
    """The share of each member of the first dimension in the whole of the period."""
    name, part, over, time = metric.definition.name, metric.share_of, metric.share_over[0], f"{TIME}__{period}"
    member = index.require(part, over)
    above = plain.sql(Shape(metrics=(part,), group_by=(time, member.dunder), where=()))
    below = plain.sql(Shape(metrics=(part,), group_by=(time,), where=()))
    value = f'cast(part."{part}" as double) / nullif(cast(whole."{part}" as double), 0)'
    whose, joined = f'part."{member.dunder}"', ""
    if member.is_entity and member.id_column:
        # An entity is grouped by the key of its table; people know its identifier.
        joined = f'left join marts."{member.table}" as named on named."{member.table_key}" = {whose}'
        whose = f'named."{member.id_column}"'
    return (
        f'select cast(part."{time}" as date) as "{period}", {whose} as "{over}", {value} as "{name}" '
        f'from ({above}) as part left join ({below}) as whole on part."{time}" is not distinct from whole."{time}" {joined}'
    )
