"""Instants read by their shape are those that the general parser reads, and what is no instant is left to it."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources.columns import MANY_ROWS, timestamps
from ingest.sources.instants import parse_instants

SHAPES = (
    "2026-03-01T22:00:00Z",
    "2026-03-01T22:00:00.123Z",
    "2026-03-01T22:00:00-05:30",
    "2026-03-01T22:00:00.123+14:00",
)


def general(text: str) -> datetime | None:
    return pl.Series([text]).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)[0]


@pytest.mark.parametrize("text", SHAPES)
def test_a_column_of_one_shape_is_read_as_the_general_parser_reads_it(text: str) -> None:
    result = parse_instants(pl.Series("at", [text, None, text]))
    assert result is not None
    assert result.dtype == pl.Datetime("us", "UTC")
    assert (result.name, result.to_list()) == ("at", [general(text), None, general(text)])


def test_instants_of_unlike_shapes_and_none_at_all_are_left_to_the_general_parser() -> None:
    assert parse_instants(pl.Series([SHAPES[0], SHAPES[1]])) is None
    assert parse_instants(pl.Series([SHAPES[2], "2026-03-01T22:00:00.1234Z"])) is None
    assert parse_instants(pl.Series([None, None], dtype=pl.String)) is None
    assert parse_instants(pl.Series([], dtype=pl.String)) is None


@pytest.mark.parametrize(
    "text",
    ["2026-02-30T22:00:00Z", "2026-03-01T22:00:00+99:00", "2026-03-01T22:00:00.1x3Z", "-025-03-01T22:00:00Z"],
)
def test_what_is_no_instant_is_not_taken_for_one(text: str) -> None:
    assert parse_instants(pl.Series([SHAPES[0][: len(text)], text])) is None


@settings(max_examples=300, deadline=None)
@given(
    text=st.sampled_from(SHAPES),
    changes=st.lists(st.tuples(st.integers(0, 19), st.sampled_from("0123456789TZ:.-+ é")), min_size=1, max_size=3),
)
def test_whatever_is_read_is_what_the_general_parser_reads(text: str, changes: list[tuple[int, str]]) -> None:
    letters = list(text)
    for place, letter in changes:
        letters[place] = letter
    changed = "".join(letters)
    result = parse_instants(pl.Series([changed]))
    assert result is None or result.to_list() == [general(changed)]


def test_a_time_is_in_utc() -> None:
    result = parse_instants(pl.Series(["2026-03-01T22:00:00-05:00"]))
    assert result is not None
    assert result[0] == datetime(2026, 3, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("rows", [3, MANY_ROWS])
@pytest.mark.parametrize("text", [*SHAPES, "2026-03-01 22:00", "2026-03-01", "2026-03-01T22:00:00.1Z"])
def test_a_column_reads_the_same_however_long_it_is(text: str, rows: int) -> None:
    short = timestamps(pl.Series([text]), "America/New_York")
    values = timestamps(pl.Series([text] * rows), "America/New_York")
    assert (values.dtype, values.to_list()) == (short.dtype, short.to_list() * rows)
