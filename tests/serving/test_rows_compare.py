"""Two figures side by side down to the rows: the parts are the difference."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import AccessError, ConfigurationError
from serving.model import Drill, RowsAsked
from serving.people.store import AccessStore
from serving.rows import compare as comparing

KEYS = st.sampled_from([f"C{number}" for number in range(12)])
AMOUNTS = st.decimals(-500, 500, places=2)
ROWS = st.lists(st.tuples(KEYS, AMOUNTS), max_size=20)


def drill_of(rows, key="claim_id"):
    frame = pl.DataFrame(
        {key: [name for name, _ in rows], "paid_amount": [amount for _, amount in rows]},
        schema={key: pl.String, "paid_amount": pl.Decimal(18, 2)},
    )
    total = sum((amount for _, amount in rows), Decimal(0))
    return Drill(
        metric="paid",
        frame=frame,
        total_rows=len(rows),
        total_value=total,
        value_column="paid_amount",
        table="fct_claims",
        source_key=key,
    )


@given(ROWS, ROWS)
def test_the_parts_add_up_to_the_difference_and_each_record_is_in_one_part(left, right):
    found = comparing.compare(drill_of(left), drill_of(right))
    assert found.mine.value == sum((amount for _, amount in left), Decimal(0))
    assert found.theirs.value == sum((amount for _, amount in right), Decimal(0))
    parts = found.only_mine.value - found.only_theirs.value + found.differing.value
    assert parts == found.mine.value - found.theirs.value
    mine, theirs = {name for name, _ in left}, {name for name, _ in right}
    assert found.only_mine.rows == len(mine - theirs)
    assert found.only_theirs.rows == len(theirs - mine)
    assert found.differing.rows + found.same == len(mine & theirs)


def test_rows_that_differ_show_both_values_and_all_columns():
    found = comparing.compare(
        drill_of([("C1", Decimal(5)), ("C1", Decimal(1)), ("C2", Decimal(3))]),
        drill_of([("C1", Decimal(4)), ("C2", Decimal(3)), ("C3", Decimal(7))]),
    )
    assert found.differing.frame.select("claim_id", "mine", "theirs").rows() == [("C1", Decimal(6), Decimal(4))]
    assert found.only_theirs.frame.rows() == [("C3", Decimal(7))]
    assert (found.same, found.only_mine.rows) == (1, 0)


def test_rows_without_a_record_in_common_and_half_a_drill_are_refused():
    with pytest.raises(ConfigurationError, match="no record in common"):
        comparing.compare(drill_of([]), drill_of([], key="slot_id"))
    half = replace(drill_of([("C1", Decimal(5))]), total_rows=300_000)
    with pytest.raises(ConfigurationError, match="narrow the figure"):
        comparing.compare(half, drill_of([]))


def test_a_metric_and_itself_are_alike_and_a_part_is_in_the_whole(reader, place, monkeypatch):
    # The small warehouse has visits in place of the marts' records.
    monkeypatch.setattr(comparing, "_SHARED", ("visit_id", "charge_id"))
    seen = reader("admin@harbor")
    compared = 0
    for item in seen.metrics():
        whole = seen.drill(item.name) if item.can_drill else None
        if whole is None or not {whole.source_key, *comparing._SHARED} & set(whole.frame.columns):
            continue
        found = seen.compare_rows(RowsAsked(metric=item.name), seen, RowsAsked(metric=item.name))
        assert (found.only_mine.rows, found.only_theirs.rows, found.differing.rows) == (0, 0, 0)
        if "service_unit" in item.dimensions:
            part = RowsAsked(metric=item.name, where={"service_unit": "east"}, date_to=date(2026, 12, 31))
            found = seen.compare_rows(part, seen, RowsAsked(metric=item.name))
            assert found.only_mine.rows == 0
        compared += 1
    assert compared > 0
    row = AccessStore.open(place.home).audit_rows("harbor", action="compare")[0]
    assert (row.result, "only_theirs" in row.detail) == ("done", True)


def test_who_sees_no_rows_compares_none_and_the_refusal_is_audited(reader, place):
    seen = reader("ceo@harbor")
    name = next(item.name for item in reader("admin@harbor").metrics() if item.can_drill)
    with pytest.raises(AccessError, match="figures, not rows"):
        seen.compare_rows(RowsAsked(metric=name), seen, RowsAsked(metric=name))
    row = AccessStore.open(place.home).audit_rows("harbor", action="compare")[0]
    assert (row.actor, row.result) == ("ceo@harbor", "refused")
