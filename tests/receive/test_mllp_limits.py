"""Attacks on a port: one address that takes all connections or all memory, silent connections, control characters."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.config import Feed
from ingest.receive.mllp.acknowledgement import ACCEPTED, acknowledgement, read_header
from ingest.receive.mllp.listener import Limits
from tests.receive.mllp_sender import START, Sender, admission, feed_of, listening

OTHER_ADDRESS = "127.0.0.2"


class FromElsewhere(Sender):
    """A sender at another address of this machine."""

    async def __aenter__(self) -> "Sender":
        assert self.feed.listen is not None
        self.reader, self.writer = await asyncio.open_connection(
            self.feed.listen.host, self.feed.listen.port, local_addr=(OTHER_ADDRESS, 0)
        )
        return self


async def opened(feed: Feed, number: int) -> list[Sender]:
    senders = [Sender(feed) for _ in range(number)]
    for sender in senders:
        await sender.__aenter__()
    return senders


async def is_closed(sender: Sender) -> bool:
    """Whether the listener ended the connection; asked of one that nothing was sent on."""
    return await asyncio.wait_for(sender.reader.read(1), 30) == b""


def test_one_address_cannot_take_every_connection(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> None:
        async with listening(
            tmp_path, feed, limits=Limits(connections=50, connections_an_address=5, drain_seconds=0.2)
        ):
            idle = await opened(feed, 5)
            for refused in await opened(feed, 3):
                assert await is_closed(refused)
            async with FromElsewhere(feed) as elsewhere:
                assert (await elsewhere.send(admission(1)))[1][1] == "AA"
            # What stands goes on, and an end makes room.
            assert (await idle[0].send(admission(2)))[1][1] == "AA"
            for sender in idle:
                sender.writer.close()

    asyncio.run(run())


def test_a_full_port_ends_the_connection_that_was_silent_longest(tmp_path: Path) -> None:
    feed = feed_of()
    limits = Limits(connections=3, idle_seconds_when_full=0.0, drain_seconds=0.2)

    async def run() -> None:
        async with listening(tmp_path, feed, limits=limits):
            silent, talking, begun = await opened(feed, 3)
            await begun.put(START + admission(1)[:40])
            assert (await talking.send(admission(2)))[1][1] == "AA"
            async with Sender(feed) as newcomer:
                assert (await newcomer.send(admission(3)))[1][1] == "AA"
                assert await is_closed(silent)
                assert (await talking.send(admission(4)))[1][1] == "AA"
            for sender in (silent, talking, begun):
                sender.writer.close()

    asyncio.run(run())


def test_a_full_port_of_senders_that_talk_refuses_the_next(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> None:
        async with listening(tmp_path, feed, limits=Limits(connections=2, drain_seconds=0.2)):
            senders = await opened(feed, 2)
            (refused,) = await opened(feed, 1)
            assert await is_closed(refused)
            assert (await senders[0].send(admission(1)))[1][1] == "AA"
            for sender in senders:
                sender.writer.close()

    asyncio.run(run())


def test_unfinished_messages_of_one_address_do_not_put_off_another(tmp_path: Path) -> None:
    feed = feed_of()
    limits = Limits(held_bytes=10_000_000, held_bytes_an_address=300_000, drain_seconds=0.2)

    async def run() -> None:
        async with listening(tmp_path, feed, limits=limits):
            slow = await opened(feed, 2)
            for sender in slow:
                await sender.put(START + admission(1) + b"x" * 200_000)
            # The second one is over the limit of their address.
            answers = [asyncio.ensure_future(sender.answer()) for sender in slow]
            done, waiting = await asyncio.wait(answers, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            assert [answer.result()[1][1] for answer in done] == ["AE"]
            for answer in waiting:
                answer.cancel()
            async with FromElsewhere(feed) as elsewhere:
                large = admission(2) + b"NTE|1||" + b"x" * 250_000 + b"\r"
                assert (await elsewhere.send(large))[1][1] == "AA"
            for sender in slow:
                sender.writer.close()

    asyncio.run(run())


@given(st.lists(st.binary(max_size=12), min_size=17, max_size=17))
def test_no_answer_repeats_a_control_character(fields: list[bytes]) -> None:
    header, problem = read_header(b"MSH|^~\\&|" + b"|".join(fields))
    answer = acknowledgement(header, ACCEPTED, problem)
    if answer is not None:
        assert not [byte for byte in answer.replace(b"\r", b"") if byte < 0x20 or byte == 0x7F]
        assert b"\xc2\x9b" not in answer


@pytest.mark.parametrize("mark", [b"\x7f", b"\x1b", b"\x07"])
def test_a_control_character_is_no_delimiter(mark: bytes) -> None:
    header, problem = read_header(b"MSH" + mark + b"^~\\&" + mark + b"A")
    assert problem is not None
    assert header.separator == b"|"


def test_what_is_no_control_character_is_repeated_as_it_was_sent() -> None:
    header, _ = read_header("MSH|^~\\&|KIS|Mün\x1b[31mchen|CM|X|20260309||ADT^A04|C\x071|P|2.5.1\r".encode())
    answer = acknowledgement(header, ACCEPTED) or b""
    assert "Mün[31mchen".encode() in answer
    assert b"MSA|AA|C1\r" in answer
