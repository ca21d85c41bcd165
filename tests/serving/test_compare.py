"""Comparing marts: chunks of any size find the same differences, and what counts as equal."""

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engine_check.marts import _KEY, MartComparison, _Column, _digits, _merge, _same, _Stream, mart_keys

VALUE = _Column(name="value", kind="text", duckdb="", postgres="")
ID = _Column(name="id", kind="text", duckdb="", postgres="")
SCHEMA = pa.schema([("id", pa.string()), ("value", pa.string()), (_KEY, pa.string())])

rows = st.dictionaries(st.text("abc", max_size=3), st.sampled_from(["1", "2", None]), max_size=25)


def stream(values: dict[str, str | None], sizes: list[int]) -> _Stream:
    """Rows in key order, in batches of the given sizes in turn; a size of 0 is an empty batch."""
    keys, batches, at = sorted(values), [], 0
    while at < len(keys):
        for size in [*sizes, 1]:
            part = keys[at : at + size]
            batches.append(pa.record_batch([part, [values[k] for k in part], part], schema=SCHEMA))
            at += size
    return _Stream(pa.RecordBatchReader.from_batches(SCHEMA, batches))


def merged(ours: _Stream, theirs: _Stream) -> MartComparison:
    return _merge("fct", ("id",), [ID, VALUE], (), (ours, theirs))


@given(rows, rows, st.lists(st.integers(0, 6), max_size=4), st.lists(st.integers(0, 6), max_size=4))
def test_chunks_of_any_size_find_the_same_differences(
    ours: dict[str, str | None], theirs: dict[str, str | None], sizes: list[int], others: list[int]
) -> None:
    wrong = [k for k in sorted({*ours, *theirs}) if (k in ours, ours.get(k)) != (k in theirs, theirs.get(k))]
    found = merged(stream(ours, sizes), stream(theirs, others))
    assert (found.rows_duckdb, found.rows_postgres) == (len(ours), len(theirs))
    assert found.rows_differing == len(wrong)
    assert [key["id"] for key in found.keys] == wrong[:5]
    assert found.equal == (ours == theirs)


def test_a_key_that_comes_twice_on_one_side_is_a_difference_also_across_chunks() -> None:
    def side(*keys: str) -> _Stream:
        batches = [pa.record_batch([[key], ["1"], [key]], schema=SCHEMA) for key in keys]
        return _Stream(pa.RecordBatchReader.from_batches(SCHEMA, batches))

    found = merged(side("a", "b", "b", "c"), side("a", "b", "c"))
    assert (found.rows_differing, found.keys) == (1, ({"id": "b"},))
    assert merged(side("a", "a", "a"), side("a", "a", "a")).equal


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("12.5000", "12.5", True),
        ("100", "100.0000", True),
        ("100", "1", False),
        ("0.0000", "0", True),
        ("-0.0100", "0.0100", False),
        ("12.50", "12.51", False),
        (None, "0", False),
        (None, None, True),
        (str(Decimal("123456789012345678901234567890.1234")), "123456789012345678901234567890.1235", False),
    ],
)
def test_decimals_are_compared_by_value_with_all_their_digits(ours: str | None, theirs: str | None, same: bool) -> None:
    frame = pl.DataFrame({"value": [ours], "value_other": [theirs]}, schema_overrides={"value": pl.String})
    frame = frame.cast(pl.String).with_columns(_digits("value"), _digits("value_other"))
    assert frame.select(_same(VALUE)).item() is same


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (1 / 3, 1 / 3 + 1e-12, True),
        (1 / 3, 1 / 3 + 1e-8, False),
        (1e9, 1e9 + 0.01, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        (1.0, float("nan"), False),
        (float("inf"), 1.0, False),
        (1.0, float("inf"), False),
        (float("inf"), float("-inf"), False),
        (None, 0.0, False),
        (0.0, None, False),
        (None, None, True),
    ],
)
def test_binary_fractions_are_equal_to_a_billionth(ours: float | None, theirs: float | None, same: bool) -> None:
    column = _Column(name="value", kind="float", duckdb="", postgres="")
    frame = pl.DataFrame(
        {"value": [ours], "value_other": [theirs]}, schema={"value": pl.Float64, "value_other": pl.Float64}
    )
    assert frame.select(_same(column)).item() is same


def test_the_key_of_a_mart_is_the_shortest_unique_one_with_the_tenant() -> None:
    def test(name: str, **arguments: object) -> dict[str, object]:
        return {"attached_node": "model.fct", "test_metadata": {"name": name, "kwargs": arguments}}

    manifest = {
        "nodes": {
            "model.fct": {"name": "fct"},
            "a": test("rows_hold", unique=[["fct_key"], ["tenant_id", "day", "unit"], ["tenant_id", "fct_id"]]),
            "b": test("rows_hold", not_null=["tenant_id"]),
            "c": test("accepted_values", values=["one"]),
        }
    }
    assert mart_keys(manifest) == {"fct": ("tenant_id", "fct_id")}
