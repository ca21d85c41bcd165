"""The board of today from a real listener: messages over MLLP are on it in any order, and those of other tenants are not."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.config import Feed, load_config
from foundation.home import Home
from foundation.keys import Keys
from foundation.live_state import LiveState, live_path, read_live
from ingest.inbox.inbox import Inbox
from ingest.inbox.mllp_journal import Journal
from ingest.live.follower import Follower
from serving.today import Place, board
from tests.receive.mllp_sender import Sender, feed_of, free_port
from tests.support import ROOT

CARDIOLOGY = Place(unit_id="CARD", name="Cardiology", time_zone="America/New_York")
NOW = datetime(2026, 11, 1, 17, tzinfo=UTC)


def hl7(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}+0000"


def adt(
    event: str, number: int, at: datetime, *, patient: int | None = None, unit: str = "CARD", kind: str = "O"
) -> bytes:
    """An ADT message about visit `number`."""
    who = patient or number
    return (
        f"MSH|^~\\&|SENDER|HARBOR|CM|HARBOR|{hl7(at)}||ADT^{event}|{event}{number}-{at:%H%M%S}|P|2.5.1\rEVN|{event}|{hl7(at)}\r"
        f"PID|1||MRN{who}^^^H^MR||DOE^JANE||19800215|F\rPV1|1|{kind}|{unit}||||1234567893^GRAY^ANNA||||||||||||V{number}\r"
    ).encode()


def siu(event: str, number: int, at: datetime, start: datetime, unit: str = "CARD") -> bytes:
    """A SIU message about appointment `number`, which begins at `start`."""
    return (
        f"MSH|^~\\&|SENDER|HARBOR|CM|HARBOR|{hl7(at)}||SIU^{event}|{event}{number}-{at:%H%M%S}|P|2.5.1\r"
        f"SCH|P{number}|F{number}|||||||30|MIN|^^30^{hl7(start)}^{hl7(start + timedelta(minutes=30))}\r"
        f"PID|1||MRN{number}^^^H^MR||DOE^JANE||19800215|F\rRGS|1\rAIL|1||{unit}\r"
    ).encode()


def merge(ended: int, survivor: int, at: datetime) -> bytes:
    return (
        f"MSH|^~\\&|SENDER|HARBOR|CM|HARBOR|{hl7(at)}||ADT^A40|M{ended}|P|2.5.1\rEVN|A40|{hl7(at)}\r"
        f"PID|1||MRN{survivor}^^^H^MR||DOE^JANE||19800215|F\rMRG|MRN{ended}^^^H^MR\r"
    ).encode()


@contextmanager
def journals(home: Path, *feeds: Feed) -> Iterator[Callable[..., None]]:
    """Puts messages into the journal of the first feed, or of the one named."""
    opened = Home.at(home)
    inboxes = {feed.name: Inbox.of(opened, Keys.of(opened), feed) for feed in feeds}
    held = {name: Journal(inbox) for name, inbox in inboxes.items()}

    def put(*messages: bytes, feed: str = feeds[0].name) -> None:
        for number, message in enumerate(messages):
            held[feed].put(b"SENDER/HARBOR", message[:120] + str(number).encode(), message).result()

    try:
        yield put
    finally:
        for journal in held.values():
            journal.close()


def follower(home: Path, *feeds: Feed) -> Follower:
    opened = Home.at(home)
    keys = Keys.of(opened)
    return Follower(opened, keys, feeds[0].tenant_id, [(feed, Inbox.of(opened, keys, feed)) for feed in feeds])


def state_of(home: Path, tenant: str = "harbor") -> LiveState:
    opened = Home.at(home)
    state = read_live(opened, Keys.of(opened), tenant)
    assert state is not None
    return state


def comparable(state: LiveState) -> dict[str, list[Any]]:
    return {entity: sorted(rows, key=str) for entity, rows in state.rows.items()}


DAY = (
    adt("A04", 1, NOW - timedelta(minutes=40)),
    adt("A04", 2, NOW - timedelta(minutes=30)),
    adt("A03", 2, NOW - timedelta(minutes=10)),
    adt("A04", 3, NOW - timedelta(minutes=20)),
    adt("A11", 3, NOW - timedelta(minutes=15)),
    adt("A01", 4, NOW - timedelta(days=20), kind="I"),
    adt("A02", 4, NOW - timedelta(days=3), kind="I", unit="WARD"),
    siu("S12", 5, NOW - timedelta(days=4), NOW - timedelta(minutes=25)),
    siu("S12", 6, NOW - timedelta(days=4), NOW + timedelta(minutes=25)),
    siu("S12", 7, NOW - timedelta(days=4), NOW + timedelta(minutes=55)),
    siu("S15", 7, NOW - timedelta(hours=1), NOW + timedelta(minutes=55)),
    siu("S26", 8, NOW - timedelta(minutes=5), NOW - timedelta(hours=2)),
    siu("S12", 1, NOW - timedelta(days=4), NOW - timedelta(minutes=35)),
    merge(5, 1, NOW - timedelta(minutes=2)),
)


@pytest.mark.parametrize("order", ["as sent", "backwards", "repeated", "in several steps"])
def test_the_board_does_not_depend_on_order_repetition_or_steps(tmp_path: Path, order: str) -> None:
    messages = {"backwards": DAY[::-1], "repeated": (*DAY, *DAY)}.get(order, DAY)
    feed = feed_of()
    with journals(tmp_path, feed) as put:
        following = follower(tmp_path, feed)
        for part in [messages[:5], messages[5:]] if order == "in several steps" else [messages]:
            put(*part)
            following.step(NOW)
    shown = board(state_of(tmp_path), [CARDIOLOGY, Place(unit_id="WARD", name="", time_zone="UTC")], NOW, "key")
    clinic, ward = shown.units
    assert (clinic.waiting, clinic.seen, clinic.beds_taken, ward.beds_taken) == (1, 1, 0, 1)
    assert [item.minutes for item in shown.waiting] == [40]
    # Appointment 1 is here; 5 would be late, but its patient was merged into the one who is here.
    assert [item.start_at for item in shown.expected] == [NOW + timedelta(minutes=25)]
    assert (clinic.late, clinic.no_shows) == (0, 1)


def test_a_step_after_a_restart_gives_the_same_state(tmp_path: Path) -> None:
    feed = feed_of()
    with journals(tmp_path, feed) as put:
        first = follower(tmp_path, feed)
        for message in DAY:
            put(message)
            first.step(NOW)
        before = state_of(tmp_path)
        assert follower(tmp_path, feed).step(NOW) == len(DAY)
    assert comparable(state_of(tmp_path)) == comparable(before)
    assert [item.messages for item in state_of(tmp_path).feeds] == [len(DAY)]


def test_no_identity_is_in_the_state_and_no_plain_text_in_the_file(tmp_path: Path) -> None:
    feed = feed_of()
    with journals(tmp_path, feed) as put:
        put(*DAY)
        follower(tmp_path, feed).step(NOW)
    state = state_of(tmp_path)
    for word in ("MRN", "DOE", "JANE", "1980"):
        assert word not in str(state.model_dump())
    assert b"CARD" not in live_path(Home.at(tmp_path), "harbor").read_bytes()


def test_what_is_past_is_dropped_and_open_stays_are_kept(tmp_path: Path) -> None:
    feed = feed_of()
    with journals(tmp_path, feed) as put:
        put(*DAY)
        following = follower(tmp_path, feed)
        following.step(NOW)
        following.step(NOW + timedelta(days=5))
        state = state_of(tmp_path)
        assert [row["service_unit_id"] for row in state.rows["encounter"]] == ["WARD"]
        assert state.rows["appointment"] == []
        put(adt("A03", 4, NOW + timedelta(days=5), kind="I", unit="WARD"))
        following.step(NOW + timedelta(days=9))
    assert state_of(tmp_path).rows["encounter"] == []


def test_a_late_message_about_a_patient_who_left_takes_no_bed(tmp_path: Path) -> None:
    feed, ward = feed_of(), Place(unit_id="WARD", name="", time_zone="UTC")
    left = adt("A03", 4, NOW - timedelta(days=6), kind="I", unit="WARD")
    late = adt("A08", 4, NOW - timedelta(days=7), kind="I", unit="WARD")
    with journals(tmp_path, feed) as put:
        put(adt("A01", 4, NOW - timedelta(days=9), kind="I", unit="WARD"), left)
        following = follower(tmp_path, feed)
        following.step(NOW)
        put(late)
        following.step(NOW)
    assert board(state_of(tmp_path), [ward], NOW, "key").units[0].beds_taken == 0


def test_a_stay_that_ended_long_ago_is_forgotten_and_an_open_one_is_not(tmp_path: Path) -> None:
    feed = feed_of()
    with journals(tmp_path, feed) as put:
        put(
            adt("A01", 4, NOW - timedelta(days=9), kind="I", unit="WARD"),
            adt("A03", 4, NOW - timedelta(days=6), kind="I", unit="WARD"),
            adt("A01", 5, NOW - timedelta(days=9), kind="I", unit="WARD"),
        )
        following = follower(tmp_path, feed)
        remembered = []
        for days in (0, 20):
            following.step(NOW + timedelta(days=days))
            remembered.append(len(list(following._feeds[0].rows["encounter"].rows())))
        # A message about a stay keeps it for as long again.
        put(adt("A08", 4, NOW + timedelta(days=20), kind="I", unit="WARD"))
        for days in (30, 45, 55):
            following.step(NOW + timedelta(days=days))
            remembered.append(len(list(following._feeds[0].rows["encounter"].rows())))
    assert remembered == [2, 2, 2, 2, 1]
    assert len(state_of(tmp_path).rows["encounter"]) == 1


def test_two_tenants_with_equal_ids_have_a_state_each(tmp_path: Path) -> None:
    from dataclasses import replace

    harbor = feed_of()
    mesa = replace(harbor, tenant_id="mesa")
    with journals(tmp_path, harbor) as put_harbor, journals(tmp_path, mesa) as put_mesa:
        put_harbor(adt("A04", 1, NOW))
        put_mesa(adt("A04", 1, NOW), adt("A04", 2, NOW))
        for feed in (harbor, mesa):
            follower(tmp_path, feed).step(NOW)
    one, two = (state_of(tmp_path, tenant).rows["encounter"] for tenant in ("harbor", "mesa"))
    assert (len(one), len(two)) == (1, 2)
    # The same number is another patient there.
    assert not {row["patient_id"] for row in one} & {row["patient_id"] for row in two}


def configuration(path: Path, ports: dict[str, int]) -> Path:
    file = path / "clinicmart.yaml"
    tenants = "".join(
        f"  {tenant}: {{name: {tenant}, time_zone: America/New_York, feeds: [{{name: adt, kind: hl7v2, listen: {{port: {port}}}}}]}}\n"
        for tenant, port in ports.items()
    )
    file.write_text(textwrap.dedent(f"tenants:\n{tenants}"))
    return file


def until(holds: Callable[[], Any]) -> Any:
    """The first true answer; the deadline is for a listener that never comes up."""
    last = time.monotonic() + 120
    while True:
        answer = holds()
        if answer:
            return answer
        assert time.monotonic() < last, "it never came"
        time.sleep(0.2)


async def accepted(feed: Feed, message: bytes) -> str:
    until_then = time.monotonic() + 120
    while True:
        try:
            async with Sender(feed) as sender:
                return (await sender.send(message))[1][1]
        except OSError:
            assert time.monotonic() < until_then, "nobody listens"
            await asyncio.sleep(0.1)


def test_a_message_sent_to_the_command_is_on_the_board_and_a_killed_listener_is_told(tmp_path: Path) -> None:
    file = configuration(tmp_path, {"harbor": free_port(), "mesa": free_port()})
    feeds = {tenant.tenant_id: tenant.feeds[0] for tenant in load_config(file).tenants}
    home = tmp_path / "home"
    command = [sys.executable, "-m", "clinicmart.main", "listen", "--config", str(file), "--home", str(home)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    opened = None

    def waiting(tenant: str) -> int:
        state = read_live(opened, Keys.of(opened), tenant) if opened else None
        return len(board(state, [CARDIOLOGY], datetime.now(UTC), "key").waiting) if state else 0

    try:
        assert asyncio.run(accepted(feeds["harbor"], adt("A04", 1, datetime.now(UTC)))) == "AA"
        opened = Home.at(home)
        assert until(lambda: waiting("harbor")) == 1
        state = until(lambda: read_live(opened, Keys.of(opened), "mesa"))
        assert state.rows["encounter"] == []
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        process.kill()
    dead = read_live(opened, Keys.of(opened), "harbor")
    assert board(dead, [CARDIOLOGY], dead.written_at + timedelta(seconds=1), "key").is_followed
    assert not board(dead, [CARDIOLOGY], dead.written_at + timedelta(minutes=1), "key").is_followed
