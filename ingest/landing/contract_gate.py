"""The contract gate: casts what readers give to the contract's types and parts good rows from bad.

One pass of Polars expressions finds the bad rows and counts them by rule (`gate_results`). Great Expectations, which is compiled from
the same contracts, must find the same numbers: tests compare both, and checkpoints check landed rows (`ingest.landing.checkpoints`).
Rows are never changed beyond their type: an invalid value quarantines its row.
"""

from dataclasses import dataclass, field

import polars as pl

from data_contracts import Column, Contract
from data_contracts.expectations import ORDER, PATTERN, RANGE, REQUIRED, VALID_VALUES, ExpectationResult
from ingest.control_totals import PAYLOAD

TYPE = "type"
REASON = "_reason"
DETAIL = "_detail"
COLUMN = "_column"


@dataclass(frozen=True, kw_only=True)
class Gated:
    """`good` has the contract's reader columns; `bad` has source_record_id, source_position, `_reason`, `_column`, `_detail`
    and `_payload` (the row as JSON text, as it came). `counts` is failing rows by (rule, column), types apart."""

    good: pl.DataFrame
    bad: pl.DataFrame
    checked: pl.DataFrame
    counts: dict[tuple[str, str], int] = field(default_factory=dict)


def _text(name: str) -> pl.Expr:
    """Trimmed text; an empty text is no value."""
    trimmed = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(trimmed != "").then(trimmed)


def _cast(column: Column, sent_type: pl.DataType) -> pl.Expr:
    """The column in its contract's type; null where it does not cast."""
    wanted = column.polars_type
    if column.logical_type == "string":
        return pl.col(column.name).cast(pl.String).str.strip_chars() if column.keeps_empty else _text(column.name)
    if sent_type == wanted:
        return pl.col(column.name)
    if sent_type != pl.String():
        return pl.col(column.name).cast(wanted, strict=False)
    text = _text(column.name)
    match column.logical_type:
        case "timestamp":
            return text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
        case "date":
            return text.str.to_date("%Y-%m-%d", strict=False)
        case "boolean":
            lower = text.str.to_lowercase()
            return pl.when(lower.is_in(["true", "1"])).then(True).when(lower.is_in(["false", "0"])).then(False)
        case _:
            return text.cast(wanted, strict=False)


def cast_to_contract(contract: Contract, frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """The frame with exactly the contract's reader columns and types, and, by column, the rows whose value could not be
    converted. Columns that the contract does not name must have been dropped and counted before."""
    sent_types = frame.schema
    added = [
        pl.lit(None, dtype=column.polars_type).alias(column.name)
        for column in contract.reader_columns
        if column.name not in sent_types
    ]
    cast = [
        _cast(column, sent_types[column.name]).alias(column.name)
        for column in contract.reader_columns
        if column.name in sent_types
    ]
    typed = frame.select(*cast).with_columns(*added).select(column.name for column in contract.reader_columns)
    broken: dict[str, pl.Series] = {}
    for column in contract.reader_columns:
        if (
            column.name not in sent_types
            or sent_types[column.name] == column.polars_type
            or column.logical_type == "string"
        ):
            continue
        had = frame.select(_text(column.name).is_not_null()).to_series()
        lost = had & typed[column.name].is_null()
        if lost.any():
            broken[column.name] = lost
    return typed, broken


def rules_of(contract: Contract) -> list[tuple[str, str, pl.Expr]]:
    """(rule, column, expression that is true where the row fails), in the order in which a reason is named."""
    rules: list[tuple[str, str, pl.Expr]] = []
    for column in contract.reader_columns:
        value = pl.col(column.name)
        if column.required:
            rules.append((REQUIRED, column.name, value.is_null()))
        if column.valid_values:
            rules.append((VALID_VALUES, column.name, ~value.is_in(list(column.valid_values))))
        if column.pattern:
            rules.append((PATTERN, column.name, ~value.str.contains(column.pattern)))
        low = value < column.minimum if column.minimum is not None else None
        high = value > column.maximum if column.maximum is not None else None
        either = [expression for expression in (low, high) if expression is not None]
        if either:
            rules.append((RANGE, column.name, pl.any_horizontal(either)))
    for condition in contract.required_unless:
        may_be_empty = pl.col(condition.unless_column).is_in(list(condition.unless_values)).fill_null(False)
        rules.append((REQUIRED, condition.column, pl.col(condition.column).is_null() & ~may_be_empty))
    rules += [(ORDER, rule.later, pl.col(rule.later) < pl.col(rule.earlier)) for rule in contract.order_rules]
    return [(rule, column, failing.fill_null(False)) for rule, column, failing in rules]


def check(contract: Contract, frame: pl.DataFrame) -> Gated:
    """Parts a frame of text or typed columns (see `ingest.interface`) into good and bad rows.

    good + bad = frame, row for row.
    """
    typed, broken = cast_to_contract(contract, frame)
    rules = rules_of(contract)
    flags = typed.select(failing.alias(str(index)) for index, (_, _, failing) in enumerate(rules))
    lost = pl.DataFrame({f"t{index}": series for index, series in enumerate(broken.values())})
    all_flags = pl.concat([lost, flags], how="horizontal") if lost.width else flags
    names = [(TYPE, column) for column in broken] + [(rule, column) for rule, column, _ in rules]
    is_bad = all_flags.select(pl.any_horizontal(pl.all())).to_series()
    if not is_bad.any():
        return Gated(good=typed, bad=_no_bad_rows(), checked=typed)
    reason = pl.coalesce(
        *(pl.when(pl.col(c)).then(pl.lit(n[0])) for c, n in zip(all_flags.columns, names, strict=True))
    )
    culprit = pl.coalesce(
        *(pl.when(pl.col(c)).then(pl.lit(n[1])) for c, n in zip(all_flags.columns, names, strict=True))
    )
    bad = (
        pl.concat([frame, all_flags.select(reason.alias(REASON), culprit.alias(COLUMN))], how="horizontal")
        .filter(is_bad)
        .select(
            _text("source_record_id").alias("source_record_id"),
            _text("source_position").alias("source_position"),
            REASON,
            COLUMN,
            pl.lit("").alias(DETAIL),
            _payload(frame),
        )
    )
    castable = ~pl.any_horizontal(*lost.columns) if lost.width else pl.lit(True)
    checked = typed.filter(all_flags.select(castable).to_series()) if lost.width else typed
    kept_flags = all_flags.filter(castable) if lost.width else all_flags
    counts = {(rule, column): int(kept_flags[str(index)].sum()) for index, (rule, column, _) in enumerate(rules)}
    return Gated(good=typed.filter(~is_bad), bad=bad, checked=checked, counts=counts)


def withhold(contract: Contract, frame: pl.DataFrame, reason: str, detail: str) -> Gated:
    """Quarantines every row of a frame for a reason outside its contract; no row is good or checked."""
    typed, _ = cast_to_contract(contract, frame.clear())
    bad = frame.select(
        _text("source_record_id").alias("source_record_id"),
        _text("source_position").alias("source_position"),
        pl.lit(reason).alias(REASON),
        pl.lit("").alias(COLUMN),
        pl.lit(detail).alias(DETAIL),
        _payload(frame),
    )
    return Gated(good=typed, bad=bad, checked=typed)


def _payload(frame: pl.DataFrame) -> pl.Expr:
    """A row as JSON text, as it came."""
    return pl.struct(_as_text(name, kind) for name, kind in frame.schema.items()).struct.json_encode().alias(PAYLOAD)


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    """A value as text that casts back to it."""
    if isinstance(kind, pl.Datetime):
        return pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return pl.col(name).cast(pl.String)


def _no_bad_rows() -> pl.DataFrame:
    return pl.DataFrame(
        schema=dict.fromkeys(("source_record_id", "source_position", REASON, COLUMN, DETAIL, PAYLOAD), pl.String)
    )


def gate_results(contract: Contract, gated: Gated) -> list[ExpectationResult]:
    """What the gate found in a batch, one result for each rule of the contract: rows checked, and rows that break the rule."""
    return [
        ExpectationResult(
            rule=rule, column=column, rows=gated.checked.height, unexpected=gated.counts.get((rule, column), 0)
        )
        for rule, column, _ in rules_of(contract)
    ]
