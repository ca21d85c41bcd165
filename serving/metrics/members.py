"""Members of a dimension: all that a scope has, or those that occur in rows under a filter."""

from collections.abc import Mapping

import polars as pl

from foundation.errors import ConfigurationError
from serving.metrics.answers import Metrics, values_of
from serving.metrics.dimensions import CHILDREN, SERVICE_UNIT, Member
from serving.model import Filter


def dimension_members(metrics: Metrics, name: str, where: Mapping[str, Filter]) -> pl.DataFrame:
    """(id, name) of a dimension's members, `parent_id` too for service units, by name.

    With `where`, those that occur in rows under the filter. Raises ConfigurationError for an unknown dimension.
    """
    wanted = SERVICE_UNIT if name == CHILDREN else name
    facts = [fact for fact in metrics.index.facts.values() if fact.find(wanted) is not None]
    held = {table for item in metrics.visible() for table in item.tables}
    facts = [fact for fact in facts if fact.table in held]
    if not facts:
        names = ", ".join(metrics.index.all_names)
        raise ConfigurationError(f"there is no dimension {name!r}; known are {names}")
    member = facts[0].find(wanted)
    assert member is not None
    if where:
        return _occurring(metrics, wanted, [fact.table for fact in facts], where)
    if not member.is_joined:
        return _occurring(metrics, wanted, [fact.table for fact in facts], {})
    members = metrics.data.members(member).select("id", "name").unique("id")
    if wanted == SERVICE_UNIT:
        parents = metrics.data.units.select(id="service_unit_id", parent_id="parent_service_unit_id")
        members = members.join(parents, on="id", how="left")
    return members.sort("name", "id")


def _occurring(metrics: Metrics, name: str, tables: list[str], where: Mapping[str, Filter]) -> pl.DataFrame:
    """Members that the rows of some facts have, under a filter; facts without one of its dimensions do not count."""
    frames = []
    data, facts = metrics.data, {fact.table: fact for fact in metrics.index.facts.values()}
    for table in dict.fromkeys(tables):
        member, filters = facts[table].find(name), {key: facts[table].find(key) for key in where}
        if member is None or any(item is None for item in filters.values()):
            continue
        conditions, parameters = ["true"], {}
        for position, (key, item) in enumerate(filters.items()):
            assert item is not None
            parameter, values = f"w{position}", values_of(where[key])
            parameters[parameter] = data.keys(item, values) if item.is_joined else values
            column = item.fact_key if item.is_joined else f"cast({item.column} as varchar)"
            conditions.append(f"{column} in (select unnest(${parameter}))")
        column = member.fact_key if member.is_joined else member.column
        rows = data.frame(
            f'select distinct {column} as key from warehouse.marts."{table}" where {" and ".join(conditions)}',
            parameters,
        )
        frames.append(_with_names(metrics, rows, member))
    if not frames:
        raise ConfigurationError(f"no table has {name!r} together with {', '.join(where)}")
    return pl.concat(frames).unique().sort("name", "id")


def _with_names(metrics: Metrics, rows: pl.DataFrame, member: Member) -> pl.DataFrame:
    if member.is_joined:
        return rows.join(metrics.data.members(member), on="key").select("id", "name").unique()
    text = pl.col("key").cast(pl.String)
    return rows.drop_nulls().select(text.alias("id"), text.alias("name"))
