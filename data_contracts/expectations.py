"""Great Expectations suites compiled from the contracts. Imported late: the library takes seconds to load.

The gate's Polars filter is compiled from the same contracts by other code. Tests compare the two counts rule by rule for every
contract.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.model import Contract

# Rules hold for every value; these names are the ones the gate uses.
REQUIRED, VALID_VALUES, PATTERN, RANGE, ORDER = "required", "valid_values", "pattern", "range", "order"


@dataclass(frozen=True, kw_only=True)
class ExpectationResult:
    """The result of one expectation on a batch: `unexpected` rows of `rows`."""

    rule: str
    column: str
    rows: int
    unexpected: int


def suite(contract: Contract) -> list[tuple[str, str, Any]]:
    """(rule, column, expectation) for every rule of a contract on the columns that a reader sets."""
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    expectations: list[tuple[str, str, Any]] = []
    for column in contract.reader_columns:
        name = column.name
        if column.required:
            expectations.append((REQUIRED, name, gxe.ExpectColumnValuesToNotBeNull(column=name)))
        if column.valid_values:
            expectation: Any = gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.valid_values))
            expectations.append((VALID_VALUES, name, expectation))
        if column.pattern:
            expectations.append((PATTERN, name, gxe.ExpectColumnValuesToMatchRegex(column=name, regex=column.pattern)))
        if column.minimum is not None or column.maximum is not None:
            expectation = gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=column.minimum, max_value=column.maximum
            )
            expectations.append((RANGE, name, expectation))
    for condition in contract.required_unless:
        expectation = gxe.ExpectColumnValuesToNotBeNull(
            column=condition.column,
            row_condition=Column(condition.unless_column).is_not_in(list(condition.unless_values)),
        )
        expectations.append((REQUIRED, condition.column, expectation))
    for rule in contract.order_rules:
        expectation = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=rule.later, column_B=rule.earlier, or_equal=True, ignore_row_if="either_value_is_missing"
        )
        expectations.append((ORDER, rule.later, expectation))
    return expectations


def for_pandas(name: str, data_type: pl.DataType) -> pl.Expr:
    """A column as the library compares it well: a decimal would become a Python object, and a time zone be dropped with a warning.
    A range needs no more than a float, and all times are UTC."""
    column = pl.col(name)
    if isinstance(data_type, pl.Decimal):
        return column.cast(pl.Float64)
    if isinstance(data_type, pl.Datetime) and data_type.time_zone is not None:
        return column.dt.replace_time_zone(None)
    return column
