"""What metrics ask of the marts of one tenant, on any engine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import polars as pl

from foundation.errors import AccessError
from serving.metrics.compiler import DUCKDB
from serving.metrics.dimensions import Member

TREE_COLUMNS = ("service_unit_id", "parent_service_unit_id", "name", "unit_type", "depth")


class MartData(ABC):
    """The marts of one tenant, on any engine: runs SQL on them, and gives the members of dimensions."""

    engine: ClassVar[str] = DUCKDB

    def __init__(self) -> None:
        self._members: dict[Member, pl.DataFrame] = {}
        self._trees: dict[Member, list[tuple[str, str]]] = {}

    @abstractmethod
    def table(self, name: str) -> str:
        """A published table, as SQL names it here."""

    @abstractmethod
    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Runs a SELECT. Values are bound by name (`$name`); those that the SQL does not use are left out."""

    # The tree of service units

    @cached_property
    def units(self) -> pl.DataFrame:
        """dim_service_units of the scope, in the order of the tree."""
        return self.frame(f"select * from {self.table('dim_service_units')} order by sort_order, service_unit_id")

    @cached_property
    def _paths(self) -> dict[str, str]:
        return dict(zip(self.units["service_unit_id"], self.units["path"], strict=True))

    def depth_of(self, unit: str) -> int:
        """How many units lie from the top of the tenant's tree to this one, itself included."""
        return self.path_of(unit).strip("/").count("/") + 1

    def path_of(self, unit: str) -> str:
        """A unit's place in the tree. Raises AccessError for one outside the scope, as for one that does not exist."""
        path = self._paths.get(unit)
        if path is None:
            raise AccessError(f"there is no service unit {unit!r} among the data you may see")
        return path

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Units whose parent is not in the scope: the top of the visible tree."""
        parents = zip(self.units["service_unit_id"], self.units["parent_service_unit_id"], strict=True)
        return tuple(unit for unit, parent in parents if parent is None or parent not in self._paths)

    # Members of dimensions

    def members(self, member: Member) -> pl.DataFrame:
        """(key, id, name) of a joined dimension's members; `key` is the join key, `name` the id where there is no name."""
        if member not in self._members:
            name = member.name_column or member.id_column
            self._members[member] = self.frame(
                f"select distinct {member.table_key} as key, {member.id_column} as id, {name} as name "
                f"from {self.table(member.table)}"
            )
        return self._members[member]

    def _places(self, member: Member) -> list[tuple[str, str]]:
        """(join key, path) of the members of a tree."""
        if member not in self._trees:
            self._trees[member] = self.frame(
                f"select {member.table_key} as key, {member.path_column} as path from {self.table(member.table)}"
            ).rows()
        return self._trees[member]

    def keys(self, member: Member, values: Sequence[str]) -> list[str]:
        """Join keys of the members that have one of some identifiers; a service unit includes all units below it."""
        if member.path_column:
            steps = [f"/{unit}/" for unit in values if self.path_of(unit)]
            return [key for key, path in self._places(member) if any(step in path for step in steps)]
        rows = self.members(member)
        return rows.filter(pl.col("id").cast(pl.String).is_in(list(values)))["key"].to_list()
