"""Great Expectations suites compiled from the contracts. Imported late: the library takes seconds to load.

The gate's Polars filter is compiled from the same contracts by other code; `ingest.landing.contract_gate` compares the two counts rule by
rule, so that a mistake in either stops the batch.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
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


@lru_cache(maxsize=1)
def _batch_definition() -> Any:
    # Switches off the library's usage statistics: health data stays here.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return (
        context.data_sources.add_pandas("batch").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("b")
    )


def for_pandas(name: str, data_type: pl.DataType) -> pl.Expr:
    """A column as the library compares it well: a decimal would become a Python object, and a time zone be dropped with a warning.
    A range needs no more than a float, and all times are UTC."""
    column = pl.col(name)
    if isinstance(data_type, pl.Decimal):
        return column.cast(pl.Float64)
    if isinstance(data_type, pl.Datetime) and data_type.time_zone is not None:
        return column.dt.replace_time_zone(None)
    return column


def validate(contract: Contract, frame: pl.DataFrame) -> list[ExpectationResult]:
    """Runs a contract's suite on a frame whose columns have the contract's types.

    Returns one result per rule. Raises RuntimeError where an expectation could not be evaluated.
    """
    import great_expectations as gx

    rules = suite(contract)
    beside = {r.earlier for r in contract.order_rules} | {r.unless_column for r in contract.required_unless}
    used = sorted({name for _, name, _ in rules} | beside)
    pandas = frame.select(for_pandas(name, frame.schema[name]) for name in used).to_pandas()
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": pandas})
    for index, (_, _, expectation) in enumerate(rules):
        expectation.meta = {"rule": index}
    outcomes = batch.validate(
        gx.ExpectationSuite(name=contract.name, expectations=[expectation for _, _, expectation in rules]),
        result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
    ).results
    results: list[ExpectationResult] = []
    # Results come in an order of the library's own; the number in `meta` brings each back to its rule.
    for outcome in sorted(outcomes, key=lambda item: item.expectation_config.meta["rule"]):
        rule, column, _ = rules[outcome.expectation_config.meta["rule"]]
        if outcome.exception_info.get("raised_exception"):
            raise RuntimeError(f"{contract.name}.{column}: the expectation {rule} could not be evaluated")
        unexpected = int(outcome.result.get("unexpected_count", 0))
        results.append(ExpectationResult(rule=rule, column=column, rows=frame.height, unexpected=unexpected))
    if len(results) != len(rules):
        raise RuntimeError(f"{contract.name}: {len(rules)} rules, {len(results)} results")
    return results
