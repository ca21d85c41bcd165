"""Which instant a time of an HL7 v2 message is: its own offset, else that of MSH-7, else the clock of the feed's zone."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.test_hl7v2 import adt, read, segment

ZONES = ("America/New_York", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "America/Phoenix")
# The hours around the changes of the clock in 2026 in those zones, in UTC.
CHANGES = (datetime(2026, 3, 8, 4), datetime(2026, 3, 29, 0), datetime(2026, 4, 4, 14), datetime(2026, 10, 3, 14))
CHANGES += (datetime(2026, 10, 24, 23), datetime(2026, 11, 1, 4), datetime(2026, 7, 1))
FORMAT = "%Y%m%d%H%M%S"


def visit(started: str) -> str:
    return segment("PV1", {2: "E", 3: "ED", 19: "V1", 44: started})


def started_at(folder: Path, started: str, sent: str, zone: str = "America/New_York") -> datetime:
    message = adt("A04", at=sent, pv1=visit(started))
    return read(folder, message, zone).rows["encounter"]["started_at"][0]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_a_time_without_an_offset_has_that_of_msh_7(tmp_path: Path) -> None:
    assert started_at(tmp_path, "20260310090000", "20260310090500-0800") == utc(2026, 3, 10, 17)
    assert started_at(tmp_path, "20260310090000-0400", "20260310090500-0800") == utc(2026, 3, 10, 13)
    assert started_at(tmp_path, "20260310090000", "20260310090500") == utc(2026, 3, 10, 13)


def test_an_offset_of_the_feeds_own_zone_does_not_hide_that_its_clocks_change(tmp_path: Path) -> None:
    """Sent in July (-0400), about an admission in February, when the same clock stood at -0500."""
    assert started_at(tmp_path, "20260201090000", "20260710090500-0400") == utc(2026, 2, 1, 14)


@pytest.mark.parametrize(
    ("sent", "hour"), [("20261101014500-0400", 5), ("20261101014500-0500", 6), ("20261101014500", 5)]
)
def test_msh_7_says_which_of_two_hours_is_meant(tmp_path: Path, sent: str, hour: int) -> None:
    assert started_at(tmp_path, "20261101013000", sent) == utc(2026, 11, 1, hour, 30)


@pytest.mark.parametrize(
    ("started", "ended", "minutes"),
    [
        ("20261101013000", "20261101011000", 40),  # the end can only be in the second hour
        ("20261101011000", "20261101013000", 20),  # nothing says that it is not in the first
        ("20261101013000-0400", "20261101011000-0400", -20),  # an offset is not doubted
        ("20261102013000", "20261102011000", -20),  # an hour that occurs once
    ],
)
def test_an_end_before_its_start_in_the_hour_that_occurs_twice_is_in_the_second(
    tmp_path: Path, started: str, ended: str, minutes: int
) -> None:
    visit_text = segment("PV1", {2: "E", 3: "ED", 19: "V1", 44: started, 45: ended})
    row = read(tmp_path, adt("A03", at="20261103080000", pv1=visit_text)).rows["encounter"].row(0, named=True)
    assert row["ended_at"] - row["started_at"] == timedelta(minutes=minutes)


def wall_clock(local: datetime, zone: ZoneInfo) -> datetime:
    """Plain code for a local time: the first of two, and of none the offset before the change (PEP 495, fold 0)."""
    return local.replace(tzinfo=zone).astimezone(UTC)


@settings(deadline=None)
@given(data=st.data())
def test_times_around_the_changes_of_the_clock_are_those_of_plain_code(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    zone = ZoneInfo(data.draw(st.sampled_from(ZONES)))
    moments = st.builds(
        lambda change, minutes: change + timedelta(minutes=minutes), st.sampled_from(CHANGES), st.integers(-90, 360)
    )
    local = (data.draw(moments)).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0)
    if data.draw(st.booleans()):
        local += timedelta(minutes=data.draw(st.integers(-60, 60)))
    sent = data.draw(moments).replace(tzinfo=UTC)
    offset = data.draw(st.sampled_from((None, "own", -480, 0, 330)))
    if offset is None:
        text, expected = sent.astimezone(zone).strftime(FORMAT), wall_clock(local, zone)
    else:
        sender = zone if offset == "own" else timezone(timedelta(minutes=int(offset)))
        text = sent.astimezone(sender).strftime(f"{FORMAT}%z")
        at_offset = local.replace(tzinfo=sent.astimezone(sender).tzinfo).astimezone(UTC)
        if offset == "own":
            at_offset = (local - (sent.astimezone(zone).utcoffset() or timedelta())).replace(tzinfo=UTC)
        is_zone = sent.astimezone(zone).utcoffset() == sent.astimezone(sender).utcoffset()
        keeps_wall = at_offset.astimezone(zone).replace(tzinfo=None) == local
        expected = at_offset if not is_zone or keeps_wall else wall_clock(local, zone)
    folder = tmp_path_factory.mktemp("times")
    assert started_at(folder, local.strftime(FORMAT), text, str(zone)) == expected
