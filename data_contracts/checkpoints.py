"""Checkpoints: the Great Expectations suite of a contract, run on rows that landed, with Data Docs that people can open.

The contract gate keeps rows out; a checkpoint asks an independent library whether it did. It also asks what no gate can ask of a single
row: whether columns are filled as often, and coded columns have their values as often, as at the checkpoint before.

Data Docs hold counts and shares, and the words of contracts; never a value of a row.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts.expectations import for_pandas, suite
from data_contracts.model import Contract

# A share of filled values, or a coded column's distribution, that changed by more than this is reported (0 to 1; Kullback-Leibler).
SHARE_CHANGE, DIVERGENCE = 0.3, 0.5
# Rows that a share must be counted from before it is compared.
ENOUGH_ROWS = 200
FILLED, DISTRIBUTION = "filled", "distribution"
# Stands for every word of a coded column that its contract does not name.
OTHER = "(not a word of the contract)"


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What a sample looked like: its rows, the share of filled values by column, and the shares of a coded column's values."""

    rows: int = 0
    filled: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a checkpoint found: rules of the contract that landed rows break (there must be none), and what changed since `before`.
    Both are sentences without values of rows."""

    rows: int
    broken: tuple[str, ...]
    changed: tuple[str, ...]
    shares: Shares


def shares_of(contract: Contract, frame: pl.DataFrame) -> Shares:
    """The shares of a sample of landed rows."""
    rows = frame.height
    if not rows:
        return Shares()
    filled = {c.name: 1 - frame[c.name].null_count() / rows for c in contract.reader_columns}
    values = {
        c.name: {
            str(value): number / rows
            for value, number in frame[c.name].drop_nulls().value_counts().sort(c.name).iter_rows()
            if value in c.valid_values
        }
        for c in contract.reader_columns
        if c.valid_values
    }
    return Shares(rows=rows, filled=filled, values=values)


class DataDocs:
    """The checkpoints of one folder. `index` is the page to open."""

    def __init__(self, folder: Path) -> None:
        # Switches off the library's usage statistics: health data stays here.
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        self.folder = folder
        self.context = gx.get_context(mode="file", project_root_dir=folder)
        self.context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        source = self.context.data_sources.add_or_update_pandas("landed")
        self._rows = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("sample")

    @property
    def index(self) -> Path:
        """The page that lists all checkpoints."""
        return self.index_in(self.folder)

    @staticmethod
    def index_in(folder: Path) -> Path:
        """The page in a folder, without opening the library."""
        return folder / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"

    def check(self, name: str, contract: Contract, frame: pl.DataFrame, before: Shares | None) -> Outcome:
        """Runs one checkpoint, `name`, on landed rows with the contract's types. Raises RuntimeError where an expectation could not be
        evaluated."""
        import great_expectations as gx

        rules = [*suite(contract), *_compared(contract, frame, before)]
        for index, (_, _, expectation) in enumerate(rules):
            expectation.meta = {"rule": index}
        expectations = gx.ExpectationSuite(name=name, expectations=[expectation for _, _, expectation in rules])
        self.context.suites.add_or_update(expectations)
        definition = self.context.validation_definitions.add_or_update(
            gx.ValidationDefinition(name=name, data=self._rows, suite=self.context.suites.get(name))
        )
        checkpoint = self.context.checkpoints.add_or_update(
            gx.Checkpoint(
                name=name,
                validation_definitions=[definition],
                # No value of a row goes into what is kept.
                result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
            )
        )
        shown = frame.with_columns(
            pl.when(pl.col(c.name).is_in(list(c.valid_values)) | pl.col(c.name).is_null())
            .then(pl.col(c.name))
            # Distributions are kept with their values: no other word than those of the contract may be among them.
            .otherwise(pl.lit(OTHER))
            .alias(c.name)
            for c in contract.reader_columns
            if c.valid_values
        )
        pandas = shown.select(for_pandas(column, kind) for column, kind in shown.schema.items()).to_pandas()
        (result,) = checkpoint.run(batch_parameters={"dataframe": pandas}).run_results.values()
        failed: dict[bool, list[str]] = {True: [], False: []}
        for item in result.results:
            configuration = item.expectation_config
            if configuration is None or configuration.meta is None:
                raise RuntimeError(f"{name}: a result without its expectation")
            rule, column, _ = rules[configuration.meta["rule"]]
            if item.exception_info.get("raised_exception"):
                raise RuntimeError(f"{name}: the expectation {rule} of {column} could not be evaluated")
            if not item.success:
                failed[rule in (FILLED, DISTRIBUTION)].append(_sentence(contract, rule, column, item.result))
        return Outcome(
            rows=frame.height,
            broken=tuple(failed[False]),
            changed=tuple(failed[True]),
            shares=shares_of(contract, frame),
        )

    def build(self) -> Path:
        """Writes the Data Docs of all checkpoints; returns the page to open."""
        self.context.build_data_docs()
        return self.index


def _compared(contract: Contract, frame: pl.DataFrame, before: Shares | None) -> list[tuple[str, str, Any]]:
    """Expectations that compare a sample with the one before."""
    if before is None or min(before.rows, frame.height) < ENOUGH_ROWS:
        return []
    import great_expectations.expectations as gxe

    compared: list[tuple[str, str, Any]] = []
    for column in contract.reader_columns:
        share = before.filled.get(column.name)
        if share is not None and not column.required:
            compared.append(
                (
                    FILLED,
                    column.name,
                    gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
                        column=column.name,
                        min_value=max(0, share - SHARE_CHANGE),
                        max_value=min(1, share + SHARE_CHANGE),
                    ),
                )
            )
        values = before.values.get(column.name)
        if values:
            total = sum(values.values())
            partition = {"values": list(values), "weights": [weight / total for weight in values.values()]}
            compared.append(
                (
                    DISTRIBUTION,
                    column.name,
                    gxe.ExpectColumnKLDivergenceToBeLessThan(
                        column=column.name,
                        partition_object=partition,
                        threshold=DIVERGENCE,
                        # A value that is new is no infinite divergence.
                        tail_weight_holdout=0.01,
                    ),
                )
            )
    return compared


def _sentence(contract: Contract, rule: str, column: str, result: Mapping[str, Any]) -> str:
    place = f"{contract.name}.{column}"
    if rule == FILLED:
        return f"{place}: the share of filled values is {float(result['observed_value']):.0%} now"
    if rule == DISTRIBUTION:
        return f"{place}: its values are distributed differently"
    return f"{place}: {int(result.get('unexpected_count', 0)):,} landed rows break the rule {rule}"
