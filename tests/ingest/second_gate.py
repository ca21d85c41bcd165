"""A contract's Great Expectations suite on whole batches: what the contract gate counts, counted by other code."""

import os
from functools import lru_cache
from typing import Any

import polars as pl

from data_contracts import Contract
from data_contracts.expectations import ExpectationResult, for_pandas, suite


class GateMismatch(RuntimeError):
    """The two compilations of one contract disagree: a defect of this product, never of the data."""


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


def cross_check(
    contract: Contract, checked: pl.DataFrame, counts: dict[tuple[str, str], int]
) -> list[ExpectationResult]:
    """Runs the contract's Great Expectations suite on the rows that cast and compares it with the gate's own counts.

    Raises GateMismatch naming entity, rule and column where they differ.
    """
    results = validate(contract, checked)
    for result in results:
        ours = counts.get((result.rule, result.column), 0)
        if ours != result.unexpected:
            raise GateMismatch(
                f"{contract.name}.{result.column}: rule {result.rule} holds back {ours} rows, "
                f"Great Expectations finds {result.unexpected}"
            )
    return results
