"""The dimensions by which metrics can be grouped and filtered: friendly names, MetricFlow's names, and columns.

`payer_class`, `payer`, `business_unit`, `hour_of_day` are what people type; `appointment__payer_class`, `payer`,
`service_unit__business_unit_id` and `slot__hour_of_day` is what the semantic manifest calls them, and it differs from fact
to fact. A name fits a metric where every measure of the metric has it. In this order: a name as the manifest writes it, a
dimension of the fact itself, an entity with a dimension table, a dimension of a table that is one join away.

Attributes that change with time have the value of each row's day: the class of a payer, the place of a service unit in the
tree. Its present value is a dimension `current_<name>`; in the `restated` index that one stands for `<name>`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from foundation.errors import ConfigurationError
from foundation.near_names import near

SERVICE_UNIT = "service_unit"
CHILDREN = "service_unit_children"
# An identifier of a person, an account or a record is nothing to group by: it would turn figures into rows.
_NO_DIMENSION = ("_name", "_key")
PATH, CURRENT = "path", "current_"
_INTERNAL = frozenset({PATH, CURRENT + PATH})
# A table of these has several rows for one identifier: grouping goes by the identifier, not by the key of the join.
_VERSIONS = "_versions"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A dimension as one fact sees it.

    `dunder` is MetricFlow's name; `is_entity` decides how it is written there. `table` and `column` are where its values
    are: the fact itself, or the table one join away; then `fact_key` and `table_key` are the columns of the join.
    `id_column` and `name_column` are the identifier and the name that people see, where the table has them. `path_column`
    holds the ancestors of a member of a tree: a question for one asks for all below it.
    """

    name: str
    dunder: str
    is_entity: bool
    table: str
    column: str
    fact_key: str = ""
    table_key: str = ""
    id_column: str = ""
    name_column: str = ""
    path_column: str = ""

    @property
    def is_joined(self) -> bool:
        return bool(self.table_key)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One semantic model: its table, and the column behind its default time dimension and each other one."""

    name: str
    table: str
    date_column: str
    date_columns: Mapping[str, str]
    members: tuple[Member, ...]
    is_restated: bool = False

    def find(self, name: str) -> Member | None:
        """The member a name means here; None where the fact has none."""
        exact = [member for member in self.members if member.dunder == name]
        named = [member for member in self.members if member.name == name]
        if not self.is_restated:
            return next(iter((*exact, *named)), None)
        present = [replace(member, name=name) for member in self.members if member.name == CURRENT + name]
        dimension = next(iter((*exact, *present, *named)), None)
        return (
            replace(dimension, path_column=CURRENT + PATH)
            if dimension is not None and dimension.path_column
            else dimension
        )


@dataclass(frozen=True, kw_only=True)
class RatioPart:
    """Numerator or denominator of a ratio: a metric, and conditions as the manifest writes them."""

    metric: str
    where: tuple[str, ...]


def _templates(filters: Iterable[Mapping[str, Any] | None]) -> Iterator[str]:
    for item in filters:
        for condition in (item or {}).get("where_filters") or ():
            yield condition["where_sql_template"]


def friendly(element: str) -> str:
    """`payer_id` is asked for as `payer`."""
    return element.removesuffix("_id")


def _expression(item: Mapping[str, Any]) -> str:
    return str(item.get("expr") or item["name"])


class DimensionIndex:
    """All facts of a semantic manifest and what each can be grouped by."""

    def __init__(
        self,
        semantic: Mapping[str, Any],
        private: Mapping[str, Sequence[str]] | None = None,
        *,
        restated: bool = False,
    ) -> None:
        """`private` maps a table to columns that are no dimension: identifiers of people, accounts and records. With
        `restated`, values that changed with time are today's values; the attribute of that name is the index that gives them."""
        self._is_restated = restated
        self._models: dict[str, Mapping[str, Any]] = {model["name"]: model for model in semantic["semantic_models"]}
        self._private = {table: frozenset(columns) for table, columns in (private or {}).items()}
        self._owners: dict[str, Mapping[str, Any]] = {}
        for model in self._models.values():
            primary = self._primary(model)
            if primary is not None and self._table(model).startswith("dim_"):
                self._owners[primary] = model
        self._metrics = {metric["name"]: metric for metric in semantic["metrics"]}
        self._measures = {
            measure["name"]: model for model in self._models.values() for measure in model.get("measures") or ()
        }
        self._snapshots = {
            measure["name"]: measure["non_additive_dimension"]["name"]
            for model in self._models.values()
            for measure in model.get("measures") or ()
            if measure.get("non_additive_dimension")
        }
        self.facts = {name: self._fact(model) for name, model in self._models.items()}
        self.restated = self if restated else DimensionIndex(semantic, private, restated=True)
        self._resolve = lru_cache(maxsize=4096)(self._resolve_once)

    @staticmethod
    def _table(model: Mapping[str, Any]) -> str:
        return str(model["node_relation"]["alias"])

    @staticmethod
    def _primary(model: Mapping[str, Any]) -> str | None:
        named = next((entity["name"] for entity in model["entities"] if entity["type"] == "primary"), None)
        return named or model.get("primary_entity")

    def _fact(self, model: Mapping[str, Any]) -> Fact:
        times = {item["name"]: _expression(item) for item in model["dimensions"] if item["type"] == "time"}
        default = (model.get("defaults") or {}).get("agg_time_dimension") or next(iter(times), "")
        return Fact(
            name=model["name"],
            table=self._table(model),
            date_column=times.get(default, ""),
            date_columns=times,
            members=(*self._local(model), *self._entities(model), *self._joined(model)),
            is_restated=self._is_restated,
        )

    def _categories(self, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(name, column or expression) of the dimensions of a table that may be grouped by."""
        private = self._private.get(self._table(model), frozenset())
        for item in model["dimensions"]:
            column = _expression(item)
            hidden = column in private or item["name"] in _INTERNAL or item["name"].endswith(_NO_DIMENSION)
            if item["type"] == "categorical" and not hidden:
                yield item["name"], column

    def _local(self, model: Mapping[str, Any]) -> Iterator[Member]:
        primary, table = self._primary(model), self._table(model)
        for name, column in self._categories(model):
            # An identifier of a dimension table is better asked as the entity, which brings its name along.
            if friendly(name) not in self._owners or self._owners[friendly(name)] is model:
                yield Member(
                    name=friendly(name), dunder=f"{primary}__{name}", is_entity=False, table=table, column=column
                )

    def _entities(self, model: Mapping[str, Any]) -> Iterator[Member]:
        private = self._private.get(self._table(model), frozenset())
        for entity in model["entities"]:
            name, column, owner = entity["name"], _expression(entity), self._owners.get(entity["name"])
            if entity["type"] != "foreign" or column in private:
                continue
            if owner is not None and self._table(owner).endswith(_VERSIONS):
                dunder = f"{name}__{name}_id"
                yield self._member_of(owner, name, f"{name}_id", dunder=dunder, is_entity=False, fact_key=column)
            elif owner is not None:
                yield self._member_of(owner, name, f"{name}_id", dunder=name, is_entity=True, fact_key=column)
            elif all(self._primary(other) != name for other in self._models.values()):
                yield Member(name=name, dunder=name, is_entity=True, table=self._table(model), column=column)

    def _joined(self, model: Mapping[str, Any]) -> Iterator[Member]:
        for entity in model["entities"]:
            owner = self._owners.get(entity["name"])
            if entity["type"] != "foreign" or owner is None:
                continue
            for name, _ in self._categories(owner):
                if friendly(name) != entity["name"]:
                    dunder = f"{entity['name']}__{name}"
                    yield self._member_of(
                        owner, friendly(name), name, dunder=dunder, is_entity=False, fact_key=_expression(entity)
                    )

    def _member_of(
        self, owner: Mapping[str, Any], name: str, element: str, *, dunder: str, is_entity: bool, fact_key: str
    ) -> Member:
        columns = {item["name"]: _expression(item) for item in owner["dimensions"]}
        primary = self._primary(owner)
        key = next((_expression(item) for item in owner["entities"] if item["name"] == primary), "")
        column = columns.get(element, key)
        return Member(
            name=name,
            dunder=dunder,
            is_entity=is_entity,
            table=self._table(owner),
            column=column,
            fact_key=fact_key,
            table_key=key,
            id_column=column,
            name_column=columns.get(f"{friendly(element)}_name", "") if element.endswith("_id") else "",
            path_column=columns.get(PATH, "") if element == f"{primary}_id" else "",
        )

    # Metrics

    def facts_of(self, metric: str) -> tuple[Fact, ...]:
        """The facts behind a metric, each once."""
        facts: dict[str, Fact] = {}
        for name in self._sources(metric):
            facts.setdefault(name, self.facts[name])
        return tuple(facts.values())

    def _sources(self, metric: str) -> Iterator[str]:
        params = self._metrics[metric]["type_params"]
        if params.get("metric_aggregation_params"):
            yield str(params["metric_aggregation_params"]["semantic_model"])
        measure = params.get("measure")
        if isinstance(measure, Mapping) and measure["name"] in self._measures:
            yield str(self._measures[measure["name"]]["name"])
        parts = [params.get("numerator"), params.get("denominator"), *(params.get("metrics") or ())]
        for part in parts:
            if isinstance(part, Mapping) and part["name"] in self._metrics:
                yield from self._sources(part["name"])

    def _measures_of(self, metric: str) -> Iterator[str]:
        params = self._metrics[metric]["type_params"]
        if isinstance(params.get("measure"), Mapping):
            yield str(params["measure"]["name"])
        for part in (params.get("numerator"), params.get("denominator"), *(params.get("metrics") or ())):
            if isinstance(part, Mapping) and part["name"] in self._metrics:
                yield from self._measures_of(part["name"])

    def snapshot_of(self, metric: str) -> tuple[str, str] | None:
        """(table, date column) of a metric that rests on balances alone: only the last day of a period counts."""
        measures = set(self._measures_of(metric))
        facts = self.facts_of(metric)
        if not measures or len(facts) != 1 or any(name not in self._snapshots for name in measures):
            return None
        columns = {facts[0].date_columns[self._snapshots[name]] for name in measures}
        return (facts[0].table, columns.pop()) if len(columns) == 1 else None

    def time_of(self, metric: str, name: str) -> str:
        """MetricFlow's name of a day of a metric's first fact. Raises ConfigurationError where the fact has no such day."""
        fact = self.facts_of(metric)[0]
        if name not in fact.date_columns:
            raise ConfigurationError(f"metric {metric} has no day {name!r}; it has {', '.join(fact.date_columns)}")
        return f"{self._primary(self._models[fact.name])}__{name}"

    def ratio_of(self, metric: str) -> "tuple[RatioPart, RatioPart] | None":
        """(numerator, denominator) of a ratio with the conditions it puts on each; None for any other metric."""
        definition = self._metrics[metric]
        if definition["type"] != "ratio":
            return None
        parts = []
        for key in ("numerator", "denominator"):
            part = definition["type_params"][key]
            if part.get("offset_window") or part.get("offset_to_grain"):
                return None
            filters = (definition.get("filter"), part.get("filter"))
            parts.append(RatioPart(metric=part["name"], where=tuple(_templates(filters))))
        return parts[0], parts[1]

    def find(self, metric: str, name: str) -> Member | None:
        """The member that a name means for a metric; None if one of its facts lacks it."""
        return self._resolve(metric, name)

    def _resolve_once(self, metric: str, name: str) -> Member | None:
        dimensions = [fact.find(name) for fact in self.facts_of(metric)]
        if not dimensions or any(member is None for member in dimensions):
            return None
        return dimensions[0] if len({member.dunder for member in dimensions if member is not None}) == 1 else None

    def of(self, metric: str) -> tuple[str, ...]:
        """The names a metric can be grouped and filtered by, in the order of its first fact."""
        facts = self.facts_of(metric)
        if not facts:
            return ()
        names = dict.fromkeys(member.name for member in facts[0].members)
        fitting = [name for name in names if self.fits(metric, name)]
        return (*fitting, CHILDREN) if SERVICE_UNIT in fitting else tuple(fitting)

    def fits(self, metric: str, name: str) -> bool:
        """Whether a metric can be grouped and filtered by a name; a ratio where both of its parts can."""
        if self.find(metric, name) is not None:
            return True
        parts = self.ratio_of(metric)
        return parts is not None and all(self.find(part.metric, name) is not None for part in parts)

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """Every name that some metric can be grouped by."""
        return tuple(sorted({member.name for fact in self.facts.values() for member in fact.members}))

    def require(self, metric: str, name: str) -> Member:
        """As `find`. Raises ConfigurationError naming close matches."""
        member = self.find(metric, name)
        if member is None:
            raise ConfigurationError(f"metric {metric} has no dimension {name!r}{near(name, self.of(metric))}")
        return member
