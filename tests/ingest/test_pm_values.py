"""Values of a PM database that are odd: any bytes, zero dates, days in columns of times, the hour that occurs twice."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract
from ingest.interface import Chunk, Unit, UnreadableUnit
from ingest.landing.contract_gate import check
from tests.ingest.test_pm_database import SOURCE, feed, profile_file, read, url_of

ANY = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(alphabet=st.characters(codec="utf-8")),
    st.binary(max_size=8),
)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=6))
def test_whatever_a_column_holds_no_row_is_lost(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / "any.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a, b, c, d)")
        connection.executemany("insert into t values (?, ?, ?, ?)", values)
    connection.close()
    profile = profile_file(
        folder,
        "kind: pm_database\ntime_zone: UTC\nentities:\n  ledger_entry:\n    sql: select a as ledger_entry_id, "
        "b as source_record_id, c as source_updated_at, d as entry_amount, a as entry_date from t\n",
    )
    a_feed = feed(url_of(path), profile)
    unit = Unit(feed=a_feed, name="ledger_entry")
    try:
        chunks = list(SOURCE.read(unit))
    except UnreadableUnit:
        # SQLite itself refuses text that is not UTF-8.
        pytest.fail("every value is one SQLite can give")
    assert sum(chunk.records_read for chunk in chunks) == len(values)
    assert sum(frame.height for chunk in chunks for frame in chunk.rows.values()) == len(values)


VISITS = """kind: pm_database
time_zone: tenant
entities:
  encounter:
    sql: |
      select id as source_record_id, id as encounter_id, 'AMB' as encounter_class, 'finished' as status, started as started_at,
        ended as ended_at, '2026-04-01' as source_updated_at from visits order by id
"""


def visits_of(tmp_path: Path, *visits: tuple[str, str, str | None]) -> Chunk:
    """What a profile of visits reads of (id, start, end)."""
    path = tmp_path / "visits.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table visits (id text, started text, ended text)")
        connection.executemany("insert into visits values (?, ?, ?)", visits)
    connection.close()
    (chunk,) = read(feed(url_of(path), profile_file(tmp_path, VISITS)), "encounter")
    return chunk


def test_a_visit_with_a_zero_date_as_its_end_is_kept_without_an_end(tmp_path: Path) -> None:
    start = "2026-03-11 10:00:00"
    ends = [
        "0000-00-00 00:00:00",
        "1900-01-01 00:00:00",
        "0000-00-00",
        "1753-01-01 00:00:00.000",
        "2026-03-11 10:30:00",
    ]
    result = visits_of(tmp_path, *((f"E{number}", start, end) for number, end in enumerate(ends)))
    good = check(contract("encounter"), result.rows["encounter"]).good
    assert good["ended_at"].to_list() == [None] * 4 + [datetime(2026, 3, 11, 14, 30, tzinfo=UTC)]
    assert [(notice.reason, notice.records) for notice in result.notices] == [("zero_date", 4)]


def test_an_end_that_is_wrong_and_no_zero_date_is_held(tmp_path: Path) -> None:
    result = visits_of(
        tmp_path, ("E1", "2026-03-11 10:00:00", "2025-03-11 10:00:00"), ("E2", "1900-01-01 00:00:00", None)
    )
    checked = check(contract("encounter"), result.rows["encounter"])
    assert checked.good["encounter_id"].to_list() == ["E2"]
    assert result.notices == []


def test_a_day_in_a_column_of_times_is_known_to_the_day(tmp_path: Path) -> None:
    result = visits_of(
        tmp_path,
        ("E1", "2026-03-10", "2026-03-12"),
        ("E2", "2026-03-10 15:00:00", "2026-03-10"),
        ("E3", "2026-03-10", None),
    )
    columns = ("started_at", "started_precision", "ended_at", "ended_precision")
    noon, late = datetime(2026, 3, 10, 16, tzinfo=UTC), datetime(2026, 3, 10, 19, tzinfo=UTC)
    assert result.rows["encounter"].select(columns).rows() == [
        (noon, "day", datetime(2026, 3, 12, 16, tzinfo=UTC), "day"),
        (late, "minute", late, "day"),
        (noon, "day", None, None),
    ]


def test_an_end_before_its_start_in_the_hour_that_occurs_twice_is_in_the_second(tmp_path: Path) -> None:
    result = visits_of(tmp_path, ("E1", "2026-11-01 01:30:00", "2026-11-01 01:10:00"))
    assert result.rows["encounter"]["ended_at"].to_list() == [datetime(2026, 11, 1, 6, 10, tzinfo=UTC)]
