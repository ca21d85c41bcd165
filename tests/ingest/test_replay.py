"""What the ledger knew at a moment, for any history of reads, and files that a replay takes or misses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import load_config
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from foundation.replays import ReplayRecord, moment_of, refuse_feeds
from ingest import ledger as tables
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger
from ingest.replay.landed_files import check_there, take_files
from ingest.replay.ledger_as_of import first_loads, take_ledger
from tests.ingest.test_landing import remittance

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
TENANTS = ("harbor", "mesa")


@dataclass(frozen=True)
class Feed:
    """One read of a feed: when its batches landed, in hours, and when it ended; it never ended where it was killed."""

    tenant: str
    landed: tuple[int, ...]
    lasts: int
    killed: bool


READ = st.builds(
    Feed,
    st.sampled_from(TENANTS),
    st.lists(st.integers(0, 40), min_size=1, max_size=3, unique=True).map(lambda hours: tuple(sorted(hours))),
    st.integers(0, 5),
    st.booleans(),
)


def at(hours: float) -> datetime:
    """A moment as the ledger keeps it."""
    return (BEGIN + timedelta(hours=hours)).replace(tzinfo=None)


def write_history(home: Home, reads: Sequence[Feed]) -> None:
    """A ledger with a run for each read, each with a feed called `remits`; a unit and a batch for each landing."""
    ledger = Ledger(home)
    with ledger.write() as connection:
        for number, read in enumerate(reads):
            key = {"run_id": f"run-{number}", "tenant_id": read.tenant, "feed": "remits"}
            run = {"run_id": key["run_id"], "config_file": "c", "started_at": at(read.landed[0])}
            connection.execute(sa.insert(tables.run).values(run))
            for hour in read.landed:
                unit = key | {"name": f"{hour}.835", "outcome": "landed", "read_at": at(hour), "records_used": 1}
                connection.execute(sa.insert(tables.unit).values(unit))
                batch = key | {"batch_id": f"b-{number}-{hour}", "entity": "charge", "landed_at": at(hour)}
                batch |= {"file": f"landing/{number}-{hour}", "rows_read": 3, "rows_landed": 2, "rows_quarantined": 1}
                connection.execute(sa.insert(tables.batch).values(batch))
                held = {name: batch[name] for name in ("batch_id", "tenant_id", "feed", "entity", "run_id")}
                held |= {
                    "reason": "r",
                    "rows": 1,
                    "first_position": "1",
                    "held_at": at(hour),
                    "released_at": at(hour + 2),
                }
                connection.execute(sa.insert(tables.held).values(held))
            if not read.killed:
                ended = key | {"kind": "x12", "outcome": "landed", "read_at": at(read.landed[-1] + read.lasts)}
                connection.execute(sa.insert(tables.feed_run).values(ended))
    ledger.close()


@settings(max_examples=25, deadline=None)
@given(reads=st.lists(READ, min_size=1, max_size=5), hour=st.integers(0, 48))
def test_a_batch_counts_if_it_landed_by_then_in_a_read_that_was_not_under_way(reads: list[Feed], hour: int) -> None:
    with TemporaryDirectory() as folder:
        home, new = Home.at(Path(folder) / "home"), Home.at(Path(folder) / "new")
        write_history(home, reads)
        taken = take_ledger(home, new, dict.fromkeys(TENANTS, BEGIN + timedelta(hours=hour)))
        expected = [
            f"landing/{number}-{landed}"
            for number, read in enumerate(reads)
            if read.killed or read.landed[-1] + read.lasts <= hour
            for landed in read.landed
            if landed <= hour
        ]
        assert [batch.file for batch in taken] == expected
        ledger, earlier = Ledger(new), Ledger(home)
        for table in (tables.batch, tables.unit):
            key = next(iter(table.primary_key))
            rows = ledger.rows(sa.select(table))
            same = {row[key.name]: row for row in earlier.rows(sa.select(table))}
            assert len(rows) == len(expected)
            assert all(row == same[row[key.name]] for row in rows)
        released = ledger.rows(sa.select(tables.held.c.batch_id, tables.held.c.released_at))
        assert len(released) == len(expected)
        assert {row["batch_id"] for row in released if row["released_at"]} == {
            f"b-{name.removeprefix('landing/')}" for name in expected if int(name.split("-")[1]) + 2 <= hour
        }
        ledger.close()
        earlier.close()


def test_a_file_that_was_read_again_later_stands_as_landed(tmp_path: Path) -> None:
    home, new, middle = Home.at(tmp_path / "home"), Home.at(tmp_path / "new"), Home.at(tmp_path / "middle")
    ledger = Ledger(home)
    with ledger.write() as connection:
        connection.execute(sa.insert(tables.run).values(run_id="r", config_file="c", started_at=at(0)))
        unit = {"run_id": "r", "tenant_id": "harbor", "feed": "adt", "name": "DOE^JANE.hl7", "fingerprint": "f"}
        for hour, outcome, definition in ((1, "replaced", "one"), (3, "replaced", "two"), (5, "landed", "three")):
            values = unit | {"read_at": at(hour), "outcome": outcome, "definition": definition}
            connection.execute(sa.insert(tables.unit).values(values))
    ledger.close()
    for place, hour, outcomes in ((new, 2, ["landed"]), (middle, 4, ["replaced", "landed"])):
        take_ledger(home, place, {"harbor": BEGIN + timedelta(hours=hour)})
        taken = Ledger(place)
        rows = taken.rows(sa.select(tables.unit.c.outcome, tables.unit.c.name).order_by(tables.unit.c.unit_id))
        taken.close()
        assert [row["outcome"] for row in rows] == outcomes
        assert {row["name"] for row in rows} == {"DOE^JANE.hl7"}
        # Sealed under a key of the new home.
        assert b"DOE" not in place.ledger.read_bytes()


@pytest.fixture
def landed(tmp_path: Path) -> Home:
    """A home with two landed 835s of one tenant, in two runs."""
    (tmp_path / "835").mkdir()
    config = tmp_path / "c.yaml"
    config.write_text(
        "tenants:\n  harbor: {name: H, time_zone: America/New_York, feeds: [{name: remits, kind: x12, path: 835}]}\n"
    )
    home = Home.at(tmp_path / "home")
    ledger = Ledger(home)
    (feed,) = load_config(config).tenants[0].feeds
    for number in (1, 2):
        (tmp_path / "835" / f"{number}.835").write_text(remittance(number, [(f"C{number}", "100.00", "80.00")]))
        ledger.start_run(f"run-{number}", "c")
        report = land_feed(home, Keys.of(home), ledger, feed, f"run-{number}")
        assert report.outcome == "landed"
    ledger.close()
    return home


def test_files_are_written_under_other_keys_and_what_is_missing_is_named(landed: Home, tmp_path: Path) -> None:
    new = Home.at(tmp_path / "new")
    batches = take_ledger(landed, new, {"harbor": datetime.now(UTC)})
    check_there(landed, batches, "today")
    rows = take_files(landed, new, batches)
    assert rows == sum(batch.rows for batch in batches) > 0
    ours, theirs = (Keys.of(home).derive("landing", "harbor") for home in (landed, new))
    assert ours != theirs
    first = batches[0].file
    assert (landed.path / first).read_bytes() != (new.path / first).read_bytes()
    (load,) = first_loads(new)
    assert (load.feed, load.rows, load.share) == ("remits", rows, 0.5)
    (landed.path / first).unlink()
    with pytest.raises(
        ClinicmartError, match=r"1 landed files of harbor/remits are no longer there, such as landing/harbor/"
    ):
        check_there(landed, batches, "today")


def test_a_file_that_lacks_rows_of_the_ledger_stops_the_replay(landed: Home, tmp_path: Path) -> None:
    ledger = Ledger(landed)
    with ledger.write() as connection:
        connection.execute(
            sa.update(tables.batch).values(
                rows_read=tables.batch.c.rows_read + 1, rows_landed=tables.batch.c.rows_landed + 1
            )
        )
    ledger.close()
    new = Home.at(tmp_path / "new")
    batches = take_ledger(landed, new, {"harbor": datetime.now(UTC)})
    with pytest.raises(ClinicmartError, match="does not hold the"):
        take_files(landed, new, batches)


def test_a_replayed_home_takes_no_feeds(landed: Home, tmp_path: Path) -> None:
    refuse_feeds(landed)
    ReplayRecord(as_of="2026-03-01", moments={"harbor": BEGIN}).write(landed.path / "replay.json")
    (feed,) = load_config(tmp_path / "c.yaml").tenants[0].feeds
    ledger = Ledger(landed)
    with pytest.raises(ConfigurationError, match="holds the marts as of 2026-03-01 and takes no feeds"):
        land_feed(landed, Keys.of(landed), ledger, feed, "run-3")
    ledger.close()


def test_a_day_ends_in_the_zone_of_the_tenant_and_other_texts_are_refused() -> None:
    assert moment_of("2026-03-01", "America/New_York") == datetime(2026, 3, 2, 5, tzinfo=UTC)
    assert moment_of("2026-03-01T05:00:00-05:00", "UTC") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert moment_of("20260301T050000000001Z", "UTC") == datetime(2026, 3, 1, 5, 0, 0, 1, tzinfo=UTC)
    today = datetime.now(UTC)
    assert moment_of(f"{today:%Y-%m-%d}", "UTC") >= today
    for text in ("October", "2026-13-01", "", "close:2026-03"):
        with pytest.raises(ConfigurationError, match="is not a day such as"):
            moment_of(text, "UTC")
    with pytest.raises(ConfigurationError, match="is still to come"):
        moment_of("2999-01-01", "UTC")
