"""The listener killed a hundred times under load: every message that was acknowledged is landed, and is landed once."""

import asyncio
import multiprocessing
import os
import random
import signal
import textwrap
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from foundation import duck
from foundation.config import Feed, load_config
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.inbox.inbox import Inbox
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger
from ingest.receive.mllp.listener import listen
from tests.receive.mllp_sender import Sender, admission, free_port

KILLS = 100
SENDERS = 24


def run_listener(home: str, feed: Feed) -> None:
    """A listener as its command runs it, in a separate process."""
    opened = Home.at(home)
    asyncio.run(listen([(feed, Inbox.of(opened, Keys.of(opened), feed))], lambda _: None))


async def send_all(feed: Feed, name: int, until: asyncio.Event, accepted: Counter[str]) -> int:
    """Sends its messages until told to stop; one that was not acknowledged is sent again, as often as it takes."""
    number, times, pipelined = 0, 0, 1 + name % 3
    while not until.is_set():
        controls = [f"{name}-{number + n}" for n in range(pipelined)]
        try:
            async with Sender(feed) as sender:
                while not until.is_set() or times:
                    times += 1
                    await sender.put(b"".join(b"\x0b" + admission(c, control=c) + b"\x1c\r" for c in controls))
                    for control in controls:
                        answer = await sender.answer()
                        assert answer[1][1:3] == ["AA", control]
                        accepted[control] += 1
                    number, times = number + pipelined, 0
                    controls = [f"{name}-{number + n}" for n in range(pipelined)]
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            await asyncio.sleep(0.005)
    return number


async def kill_often(home: Path, feed: Feed, accepted: Counter[str], land: object) -> int:
    """Runs senders against a listener that is killed KILLS times; gives how often it was killed after it had accepted."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.receive.test_mllp_killed"])
    chance, until, busy = random.Random(20261121), asyncio.Event(), 0
    senders = [asyncio.create_task(send_all(feed, name, until, accepted)) for name in range(SENDERS)]
    for kill in range(KILLS):
        process = context.Process(target=run_listener, args=(str(home), feed))
        process.start()
        before = accepted.total()
        if kill % 4 == 3:
            # At any moment, also while it opens its journal.
            await asyncio.sleep(chance.uniform(0, 0.2))
        else:
            while accepted.total() < before + 20:
                await asyncio.sleep(0.005)
            await asyncio.sleep(chance.uniform(0, 0.15))
        assert process.pid is not None
        assert process.is_alive()
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.join)
        busy += accepted.total() > before
        if kill % 25 == 10:
            await asyncio.to_thread(land)  # type: ignore[arg-type]
    process = context.Process(target=run_listener, args=(str(home), feed))
    process.start()
    await asyncio.to_thread(land)  # type: ignore[arg-type]
    before = accepted.total()
    while accepted.total() < before + 20:
        # Once it accepts, it also ends in order.
        await asyncio.sleep(0.005)
    until.set()
    await asyncio.gather(*senders)
    process.terminate()
    await asyncio.to_thread(process.join)
    assert process.exitcode == 0
    return busy


@pytest.mark.slow
def test_a_listener_killed_a_hundred_times_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        textwrap.dedent(f"""\
        tenants:
          harbor:
            name: Harbor Health
            time_zone: America/New_York
            feeds: [{{name: adt, kind: hl7v2, listen: {{port: {free_port()}}}}}]
        """)
    )
    (feed,) = load_config(file).tenants[0].feeds
    home = Home.at(tmp_path / "home")
    keys, ledger, accepted = Keys.of(home), Ledger(home), Counter[str]()
    runs = iter(range(1_000))

    def land() -> None:
        report = land_feed(home, keys, ledger, feed, f"run-{next(runs)}")
        assert report.problems == []

    busy = asyncio.run(kill_often(home.path, feed, accepted, land))
    land()
    assert busy >= KILLS * 3 // 4, "most were killed while they worked"
    assert set(accepted.values()) == {1}
    units = ledger.rows(sa.select(tables.unit).where(tables.unit.c.outcome == "landed"))
    assert sum(unit["records_read"] for unit in units) == sum(unit["records_used"] for unit in units) == len(accepted)
    with duck.session(home) as connection:
        duck.add_parquet_key(connection, keys.derive("landing", "harbor"), name="landing")
        landed = connection.execute(
            f"select encounter_id from read_parquet('{home.path}/landing/harbor/encounter/*.parquet', "
            "encryption_config = {footer_key: 'landing'})"
        ).fetchall()
    found = Counter(row[0].removeprefix("V") for row in landed)
    assert found == Counter(dict.fromkeys(accepted, 1)), "every accepted message once, and none that nobody accepted"
