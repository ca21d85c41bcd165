"""Reads `<entity>.odcs.yaml` (Open Data Contract Standard 3.1) into frozen dataclasses.

Types, as a contract writes them and as they are held:

| logicalType | Polars              | DuckDB          | PostgreSQL       |
|-------------|---------------------|-----------------|------------------|
| string      | String              | VARCHAR         | text             |
| integer     | Int64               | BIGINT          | bigint           |
| number      | Decimal(18, 4)      | DECIMAL(18,4)   | numeric(18,4)    |
| boolean     | Boolean             | BOOLEAN         | boolean          |
| date        | Date                | DATE            | date             |
| timestamp   | Datetime(us, UTC)   | TIMESTAMP (UTC) | timestamp (UTC)  |
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import available_timezones

import polars as pl
import yaml

FOLDER = Path(__file__).parent
API_VERSION = "v3.1.0"

# Columns every row carries that readers do not set: the landing step knows them.
ADDED_AT_LANDING = ("tenant_id", "source_system", "batch_id")
LINEAGE = ("source_record_id", "source_updated_at", "source_position")
# Classes of encounters that are inpatient stays, HL7 v3 ActCode.
INPATIENT_CLASSES = frozenset({"IMP", "ACUTE", "NONAC"})

_POLARS: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "string": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Decimal(18, 4),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", "UTC"),
    }
)
_DUCKDB = {
    "string": "varchar",
    "integer": "bigint",
    "number": "decimal(18,4)",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
_POSTGRES = _DUCKDB | {"string": "text", "number": "numeric(18,4)"}


class ContractError(ValueError):
    """A contract file breaks the standard or this model; names the file and the property."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One property of a contract.

    `logical_type` is one of the keys of the table above. `token_domain` names the kind of identifier
    that ingest replaces with a keyed token (`patient`, `member`), else None; `token_domain_of` names the column that holds
    the entity whose `source_record_id` says the domain. An empty text is no value, except where the contract says
    `minLength: 0` (`keeps_empty`). `value_set` is the name of a set that gives the valid values (see VALUE_SETS).
    `unknown_value` is the valid value of a row whose word is not one of the valid values; without it such a row is
    quarantined. `known_values` are the codes that have a meaning, of a column that keeps any code as it was sent.
    `precision_column` names the column that says how exactly a timestamp is known.
    `plausible_from` and `plausible_days_ahead` bound the dates that are plausible (custom properties of the same names in camel
    case): not before that day, and not more than so many days after the day on which the feed is judged. A date outside these
    bounds keeps its row: it is noticed, not quarantined.
    """

    name: str
    logical_type: str
    description: str
    required: bool = False
    primary_key: bool = False
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    keeps_empty: bool = False
    valid_values: tuple[str, ...] = ()
    value_set: str | None = None
    unknown_value: str | None = None
    precision_column: str | None = None
    known_values: tuple[str, ...] = ()
    references: str | None = None
    token_domain: str | None = None
    token_domain_of: str | None = None
    classification: str | None = None
    plausible_from: date | None = None
    plausible_days_ahead: int | None = None

    @property
    def polars_type(self) -> pl.DataType:
        return _POLARS[self.logical_type]

    @property
    def duckdb_type(self) -> str:
        return _DUCKDB[self.logical_type]

    @property
    def postgres_type(self) -> str:
        return _POSTGRES[self.logical_type]


@dataclass(frozen=True, kw_only=True)
class OrderRule:
    """`later` is not before `earlier` where both are given."""

    later: str
    earlier: str
    description: str


@dataclass(frozen=True, kw_only=True)
class RequiredUnless:
    """`column` has a value in every row, except where `unless_column` is one of `unless_values`."""

    column: str
    unless_column: str
    unless_values: tuple[str, ...]
    description: str


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One entity of the unified model. `store` is `landing`, or `vault` for what identifies a person.

    A row that breaks a rule of `order_rules` or `required_unless` is quarantined. One that breaks a rule of `plausible_orders` (of
    severity `warning`), by local day, is noticed and kept.
    """

    name: str
    domain: str
    version: str
    grain: str
    usage: str
    store: str
    columns: tuple[Column, ...]
    order_rules: tuple[OrderRule, ...]
    required_unless: tuple[RequiredUnless, ...] = ()
    plausible_orders: tuple[OrderRule, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        return MappingProxyType({column.name: column for column in self.columns})

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Key columns, `tenant_id` and `source_system` first."""
        return tuple(column.name for column in self.columns if column.primary_key)

    @property
    def entity_key(self) -> tuple[str, ...]:
        """Key columns without `tenant_id` and `source_system`: the id of the entity within a feed."""
        return tuple(name for name in self.primary_key if name not in ADDED_AT_LANDING)

    @property
    def token_columns(self) -> Mapping[str, str]:
        """Column name to token domain."""
        return {c.name: c.token_domain for c in self.columns if c.token_domain is not None}

    @property
    def reader_columns(self) -> tuple[Column, ...]:
        """The columns that a reader may set: all but those that the landing step adds."""
        return tuple(column for column in self.columns if column.name not in ADDED_AT_LANDING)

    def polars_schema(self, *, of_reader: bool = False) -> dict[str, pl.DataType]:
        """Column name to Polars type; with `of_reader`, only the columns that a reader sets."""
        columns = self.reader_columns if of_reader else self.columns
        return {column.name: column.polars_type for column in columns}


def _time_zones() -> tuple[str, ...]:
    # `localtime` is the zone of the machine, and no database knows it.
    return tuple(sorted(available_timezones() - {"localtime"}))


def _entities() -> tuple[str, ...]:
    names = {path.name.removesuffix(".odcs.yaml") for path in FOLDER.glob("*.odcs.yaml")}
    return tuple(sorted(names - {"record_deletion"}))


# Valid values too many to list in a contract, or that follow from others: its property `valueSet` names one.
VALUE_SETS: Mapping[str, Callable[[], tuple[str, ...]]] = MappingProxyType(
    {"iana_time_zones": _time_zones, "entities": _entities}
)


# The one form of `row_condition` that a contract may use: Great Expectations reads it as a pandas expression.
_NOT_IN = re.compile(r"""(\w+) not in (\[(?:"\w+"(?:, )?)+\])""")


def _property(file: str, raw: Mapping[str, Any]) -> Column:
    name = raw.get("name", "?")
    where = f"{file}: property {name}"
    logical_type = str(raw.get("logicalType"))
    if logical_type not in _POLARS:
        raise ContractError(f"{where}: logicalType {logical_type!r} is not one of {', '.join(_POLARS)}")
    options = raw.get("logicalTypeOptions", {})
    valid_values: tuple[str, ...] = ()
    for quality in raw.get("quality", ()):
        if quality.get("metric") != "invalidValues" or quality.get("mustBe") != 0:
            raise ContractError(f"{where}: only the invalidValues rule with mustBe 0 is known")
        valid_values = tuple(quality["arguments"]["validValues"])
    relationships = raw.get("relationships", ())
    custom = {item["property"]: item["value"] for item in raw.get("customProperties", ())}
    value_set = custom.get("valueSet")
    if value_set is not None:
        if value_set not in VALUE_SETS or valid_values:
            raise ContractError(f"{where}: valueSet is one of {', '.join(VALUE_SETS)}, and then no values are listed")
        valid_values = VALUE_SETS[value_set]()
    unknown_value = custom.get("unknownValue")
    if unknown_value is not None and unknown_value not in valid_values:
        raise ContractError(f"{where}: unknownValue {unknown_value!r} is not one of the valid values")
    return Column(
        name=name,
        logical_type=logical_type,
        description=raw.get("description", ""),
        required=bool(raw.get("required", False)),
        primary_key=bool(raw.get("primaryKey", False)),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        pattern=options.get("pattern"),
        keeps_empty=options.get("minLength") == 0,
        valid_values=valid_values,
        value_set=value_set,
        unknown_value=unknown_value,
        precision_column=custom.get("precisionColumn"),
        known_values=tuple(custom.get("knownValues", ())),
        references=relationships[0]["to"] if relationships else None,
        token_domain=custom.get("tokenDomain"),
        token_domain_of=custom.get("tokenDomainOf"),
        classification=raw.get("classification"),
        plausible_from=_plausible_from(where, logical_type, custom.get("plausibleFrom")),
        plausible_days_ahead=custom.get("plausibleDaysAhead"),
    )


def _plausible_from(where: str, logical_type: str, value: Any) -> date | None:
    if value is None:
        return None
    if logical_type not in ("date", "timestamp"):
        raise ContractError(f"{where}: plausibleFrom is for a date or a timestamp, not for a {logical_type}")
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _rules_between_columns(
    file: str, qualities: Any
) -> tuple[tuple[OrderRule, ...], tuple[RequiredUnless, ...], tuple[OrderRule, ...]]:
    """The rules of a table that concern two columns: Great Expectations configurations, as ODCS allows them."""
    order_rules: list[OrderRule] = []
    required_unless: list[RequiredUnless] = []
    plausible_orders: list[OrderRule] = []
    for quality in qualities:
        implementation = quality.get("implementation", {})
        kind, kwargs, description = implementation.get("type"), implementation.get("kwargs", {}), quality["description"]
        if kind == "expect_column_pair_values_a_to_be_greater_than_b":
            rule = OrderRule(later=kwargs["column_A"], earlier=kwargs["column_B"], description=description)
            (plausible_orders if quality.get("severity") == "warning" else order_rules).append(rule)
        elif kind == "expect_column_values_to_not_be_null":
            column, condition = kwargs["column"], str(kwargs.get("row_condition", ""))
            match = _NOT_IN.fullmatch(condition)
            if match is None:
                raise ContractError(f'{file}: row_condition {condition!r} is not of the form: column not in ["a", "b"]')
            values = tuple(ast.literal_eval(match[2]))
            required_unless.append(
                RequiredUnless(column=column, unless_column=match[1], unless_values=values, description=description)
            )
        else:
            raise ContractError(f"{file}: unknown rule {kind!r}")
    return tuple(order_rules), tuple(required_unless), tuple(plausible_orders)


def parse_contract(file: str, raw: Mapping[str, Any]) -> Contract:
    """Builds a contract from the mapping of one file. Raises ContractError naming file and property."""
    for key, wanted in (("apiVersion", API_VERSION), ("kind", "DataContract")):
        if raw.get(key) != wanted:
            raise ContractError(f"{file}: {key} is {raw.get(key)!r}, {wanted!r} is wanted")
    if len(raw.get("schema", ())) != 1:
        raise ContractError(f"{file}: one schema object a file")
    table = raw["schema"][0]
    custom = {item["property"]: item["value"] for item in raw.get("customProperties", ())}
    order_rules, required_unless, plausible_orders = _rules_between_columns(file, table.get("quality", ()))
    return Contract(
        name=table["name"],
        domain=raw["domain"],
        version=raw["version"],
        grain=table["dataGranularityDescription"],
        usage=raw["description"].get("usage", ""),
        store=custom["store"],
        columns=tuple(_property(file, item) for item in table["properties"]),
        order_rules=order_rules,
        required_unless=required_unless,
        plausible_orders=plausible_orders,
    )


@lru_cache(maxsize=1)
def load_contracts() -> Mapping[str, Contract]:
    """Every contract by entity name, in the order of the model's groups. Read once a process.

    Raises ContractError where a file breaks the standard or refers to an entity or column that is not there.
    """
    contracts = {}
    for path in sorted(FOLDER.glob("*.odcs.yaml")):
        loaded = parse_contract(path.name, yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
        contracts[loaded.name] = loaded
    for loaded in contracts.values():
        for column in loaded.columns:
            if column.references is None:
                continue
            entity, _, name = column.references.partition(".")
            if entity not in contracts or name not in contracts[entity].by_name:
                raise ContractError(f"{loaded.name}.{column.name} refers to {column.references}, which is not there")
    groups = ("structure", "people", "access", "care", "money", "operations")
    ordered = sorted(contracts.values(), key=lambda item: (groups.index(item.domain), item.name))
    return MappingProxyType({item.name: item for item in ordered})


def contract(entity: str) -> Contract:
    """The contract of one entity. Raises ContractError for an unknown name."""
    try:
        return load_contracts()[entity]
    except KeyError:
        raise ContractError(f"no contract is named {entity!r}") from None
