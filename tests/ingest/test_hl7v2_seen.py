"""A message that comes again, from either side, is counted as a repetition and gives nothing new."""

import asyncio
import gzip
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from foundation.config import Config, load_config
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.landing.quarantine import held_rows, release
from ingest.ledger import Ledger, now
from ingest.load.raw_tables import load_warehouse
from ingest.sources.hl7v2.seen_messages import KEPT_DAYS, NEW, REPEATED, REUSED, SeenMessages
from tests.ingest.test_landing import Site
from tests.receive.mllp_sender import Sender, admission, free_port, listening


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "hl7").mkdir()
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        textwrap.dedent(f"""\
        tenants:
          harbor:
            name: Harbor Health
            time_zone: America/New_York
            feeds:
              - {{name: adt, kind: hl7v2, path: hl7}}
              - {{name: wire, kind: hl7v2, listen: {{port: {free_port()}}}}}
        """)
    )
    home = Home.at(tmp_path / "home")
    return Site(home, Keys.of(home), Ledger(home), load_config(file), tmp_path / "hl7", tmp_path / "none")


def counts(report: FeedReport) -> tuple[int, int]:
    assert report.problems == []
    return report.records_read, report.records_refused


def send(site: Site, *messages: bytes) -> None:
    feed = site.config.tenants[0].feeds[1]

    async def run() -> None:
        async with listening(site.home.path, feed), Sender(feed) as sender:
            for message in messages:
                assert (await sender.send(message))[1][1] == "AA"

    asyncio.run(run())


def test_files_the_listener_and_other_feeds_know_of_each_others_messages(site: Site) -> None:
    (site.remits / "a.hl7").write_bytes(admission(1) + admission(2))
    assert counts(site.land("adt")) == (2, 0)
    (site.remits / "b.hl7").write_bytes(admission(2) + admission(3) + admission(3))
    assert counts(site.land("adt")) == (3, 2)
    send(site, admission(3), admission(4), admission(5, control="C1"))
    assert counts(site.land("wire")) == (3, 1), "other content under a control id used before is read"
    assert counts(site.land("wire")) == (0, 0)
    send(site, admission(4), admission(6))
    assert counts(site.land("wire")) == (1, 0), "the journal itself keeps a message once"
    (site.remits / "c.hl7").write_bytes(admission(4) + admission(6))
    assert counts(site.land("adt")) == (2, 2)
    site.load()
    assert site.query("select source_system, encounter_id from warehouse.raw.encounter order by all") == [
        ("adt", "V1"),
        ("adt", "V2"),
        ("adt", "V3"),
        ("wire", "V4"),
        ("wire", "V5"),
        ("wire", "V6"),
    ]
    assert {(row["reason"], row["feed"]) for row in held_rows(site.ledger)} == {
        ("duplicate_message", "adt"),
        ("duplicate_message", "wire"),
    }
    assert site.query("select feed, reason, rows from warehouse.raw.notice_reason") == [
        ("wire", "control_id_used_again", 1)
    ]
    for path in (site.home.path / "messages").iterdir():
        assert b"C1" not in path.read_bytes()


def test_a_run_while_the_listener_takes_messages_misses_none(site: Site) -> None:
    feed = site.config.tenants[0].feeds[1]
    landed = []

    async def run() -> None:
        async with listening(site.home.path, feed), Sender(feed) as sender:
            for number in range(60):
                await sender.send(admission(number))
                if number % 20 == 7:
                    landed.append(await asyncio.to_thread(site.land, "wire"))

    asyncio.run(run())
    landed.append(site.land("wire"))
    assert sum(report.records_read for report in landed) == 60
    site.load()
    assert site.query("select count(*), count(distinct encounter_id) from warehouse.raw.encounter") == [(60, 60)]


def test_what_a_killed_or_refused_read_met_does_not_count(site: Site) -> None:
    (site.remits / "a.hl7.gz").write_bytes(gzip.compress(admission(1) * 1 + admission(2))[:-8])
    report = site.land("adt")
    assert report.units_refused == 1
    (site.remits / "a.hl7.gz").write_bytes(gzip.compress(admission(1) + admission(2)))
    assert counts(site.land("adt")) == (2, 0)

    def memory() -> SeenMessages:
        return SeenMessages.of(site.home, site.keys, site.ledger, "harbor")

    killed = memory()
    killed.begin(900)
    assert killed.meet([(b"S/C9", b"one"), (b"S/C9", b"one"), (b"S/C9", b"two")]) == [NEW, REPEATED, REUSED]
    killed.close()
    after = memory()
    after.begin(901)
    assert after.meet([(b"S/C9", b"one")]) == [NEW], "no unit 900 was landed"
    after.forget(901)
    after.begin(902)
    assert after.meet([(b"S/C9", b"one")]) == [NEW]
    after.close()


def test_a_part_that_was_held_back_is_checked_again_as_a_part(site: Site) -> None:
    times = b"|" * 25 + b"20260309120000|20260308120000"
    update = admission(1).replace(b"A04", b"A08").split(b"PV1|")[0] + b"PV1|1|O|||||||||||||||||V1" + times + b"\r"
    (site.remits / "a.hl7").write_bytes(update)
    assert site.land("adt").rows_quarantined == 1
    (entry,) = held_rows(site.ledger)
    assert (entry["entity"], entry["reason"], entry["column_name"]) == ("encounter", "order", "ended_at")
    assert release(site.home, site.keys, site.ledger, entry["held_id"], "r") == (0, 1)
    (again,) = held_rows(site.ledger)
    assert (again["reason"], again["rows"]) == ("order", 1), (
        "it says nothing of its status, which is no fault of a part"
    )


def test_messages_are_forgotten_after_their_time(site: Site) -> None:
    (site.remits / "a.hl7").write_bytes(admission(1))
    site.land("adt")
    with site.ledger.write() as connection:
        connection.execute(sa.update(tables.unit).values(read_at=now() - timedelta(days=KEPT_DAYS + 1)))
    (site.remits / "b.hl7").write_bytes(admission(1))
    assert counts(site.land("adt")) == (1, 0)
    site.load()
    assert site.query("select count(*) from warehouse.raw.encounter") == [(1,)], "the same rows replace themselves"


def test_a_listener_that_never_ran_leaves_its_feed_as_it_is(site: Site) -> None:
    config: Config = site.config
    assert config.tenants[0].feeds[1].listen is not None
    assert load_warehouse(site.home, site.keys, site.ledger, config).rows == 0
    assert land_feed(site.home, site.keys, site.ledger, config.tenants[0].feeds[1], "r").outcome == "unchanged"
