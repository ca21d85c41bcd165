"""A listener for the tests, and senders that behave as real ones do: what was not acknowledged is sent again."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from foundation.config import Feed
from foundation.feed_remote import Listener
from foundation.home import Home
from foundation.keys import Keys
from ingest.inbox.inbox import Inbox
from ingest.receive.mllp.listener import Limits, Port, open_ports

START, END = b"\x0b", b"\x1c\r"


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def feed_of(name: str = "adt", **of_listener: object) -> Feed:
    """An HL7 v2 feed with a listener on a free port."""
    listener = Listener(host="127.0.0.1", port=free_port())
    return Feed(
        tenant_id="harbor",
        name=name,
        kind="hl7v2",
        listen=replace(listener, **of_listener),  # type: ignore[arg-type]
        time_zone="America/New_York",
    )


def inbox_of(path: Path, feed: Feed) -> Inbox:
    home = Home.at(path)
    return Inbox.of(home, Keys.of(home), feed)


def admission(number: int | str, *, control: str | None = None, sent: str = "20260309120000") -> bytes:
    """One ADT A04 about a separate visit."""
    return (
        f"MSH|^~\\&|SENDER|HARBOR|CM|HARBOR|{sent}||ADT^A04^ADT_A01|{control or f'C{number}'}|P|2.5.1\r"
        f"EVN|A04|{sent}\rPID|1||MRN{number}^^^H^MR||DOE^JANE||19800215|F\r"
        f"PV1|1|O|CARD||||1234567893^GRAY^ANNA||||||||||||V{number}|||||||||||||||||||||||||{sent}\r"
    ).encode()


@asynccontextmanager
async def listening(home: Path, *feeds: Feed, limits: Limits | None = None) -> AsyncIterator[list[Port]]:
    """A listener in this process."""
    async with open_ports(
        [(feed, inbox_of(home, feed)) for feed in feeds], limits or Limits(drain_seconds=0.5)
    ) as ports:
        yield ports


class Sender:
    """A connection of a sender."""

    def __init__(self, feed: Feed, context: ssl.SSLContext | None = None) -> None:
        self.feed, self.context = feed, context

    async def __aenter__(self) -> "Sender":
        assert self.feed.listen is not None
        self.reader, self.writer = await asyncio.open_connection(
            self.feed.listen.host, self.feed.listen.port, ssl=self.context
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def put(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> list[list[str]]:
        """The next acknowledgement: its segments, their fields. Raises asyncio.IncompleteReadError at the end."""
        frame = await asyncio.wait_for(self.reader.readuntil(END), 30)
        text = frame[1:-2].decode()
        return [segment.split(text[3]) for segment in text.rstrip("\r").split("\r")]

    async def send(self, message: bytes) -> list[list[str]]:
        """Sends a message in its frame; gives its acknowledgement."""
        await self.put(START + message + END)
        return await self.answer()
