"""Elements of X12 segments by name: the columns of a frame, and single values, against splitting by hand."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.x12 import guide_segments
from ingest.sources.x12.guide_segments import BPR, CAS, CLP, PLB, SE, Segment

SEGMENTS = [item for item in vars(guide_segments).values() if isinstance(item, Segment)]
ELEMENT = st.text(alphabet="AZ09.: ", max_size=4)


def frame(*segments: str) -> pl.DataFrame:
    texts = pl.Series("segment", segments, dtype=pl.String)
    return pl.DataFrame({"segment": texts, "tag": texts.str.head(3).str.strip_chars_end("*"), "row": range(len(texts))})


@given(
    layout=st.sampled_from(SEGMENTS),
    sent=st.lists(st.lists(ELEMENT, max_size=20), min_size=1, max_size=4),
)
def test_columns_hold_the_elements_of_their_numbers(layout: Segment, sent: list[list[str]]) -> None:
    rows = layout.read(frame("XX*1*2", *["*".join([layout.tag, *parts]) for parts in sent]), "*", *layout.names)
    assert rows["row"].to_list() == list(range(1, len(sent) + 1)), "only segments with this identifier"
    for name in layout.names:
        number = layout.number(name)
        by_hand = [(parts[number - 1] if number <= len(parts) else "") or None for parts in sent]
        assert rows[name].to_list() == by_hand
        assert [layout.value([layout.tag, *parts], name) or None for parts in sent] == by_hand


def test_numbers_are_those_of_the_guides() -> None:
    assert [BPR.number(name) for name in ("payment_amount", "payment_method", "payment_date")] == [2, 4, 16]
    assert [CLP.number(name) for name in CLP.names] == [1, 2, 3, 4, 5, 6, 7]
    assert (CAS.number("reason_code_6"), CAS.number("adjustment_amount_6"), CAS.number("quantity_6")) == (17, 18, 19)
    assert (PLB.number("reason_6"), PLB.number("adjustment_amount_6")) == (13, 14)


def test_a_name_that_no_element_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="payment_amount"):
        SE.value(["SE", "3", "0001"], "payment_amount")
