"""Landed rows are taken and looked up some at a time, so that a group's whole history need not fit into memory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.load import landed_rows

BATCHES = st.lists(
    st.fixed_dictionaries({"tenant_id": st.sampled_from("abcde"), "rows_landed": st.integers(0, 9)}), max_size=20
)


@given(batches=BATCHES, at_once=st.integers(1, 12))
def test_every_batch_is_in_one_part_tenants_stay_whole_and_parts_are_small(
    batches: list[dict[str, Any]], at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(landed_rows, "ROWS_AT_ONCE", at_once)
        parts = list(landed_rows.by_size(batches))
    # The sort is stable: a tenant's batches keep their order.
    assert [item for part in parts for item in part] == sorted(batches, key=lambda item: item["tenant_id"])
    tenants = [sorted({item["tenant_id"] for item in part}) for part in parts]
    assert len({name for part in tenants for name in part}) == sum(map(len, tenants))
    for part, names in zip(parts, tenants, strict=True):
        assert len(names) == 1 or sum(item["rows_landed"] for item in part) <= at_once
