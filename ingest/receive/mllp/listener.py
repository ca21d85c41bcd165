"""The listener: HL7 v2 senders connect over MLLP, and get AA or CA once their message is on disk.

One process serves the ports of all feeds. A connection's messages are written and acknowledged in the order they came in; many
connections share the writes to the disk (see `mllp_journal`). Only the MSH is parsed: `clinicmart run` reads the messages from
the journal.

SIGTERM: no new connections; messages that have begun may end for a moment; what was received is written and acknowledged.
SIGHUP: certificates are read again. Logs hold counts, addresses of senders and hashes of control ids.
"""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from foundation.config import Feed
from foundation.errors import ConfigurationError
from foundation.feed_remote import Listener
from ingest.inbox.inbox import Inbox
from ingest.inbox.mllp_journal import Journal
from ingest.receive.mllp.acknowledgement import (
    ACCEPTED,
    BUSY,
    FAILED,
    NOT_KEPT,
    REJECTED,
    TOO_LARGE,
    Header,
    Problem,
    acknowledgement,
    read_header,
)
from ingest.receive.mllp.frames import Frames, FrameTooLarge, framed
from ingest.receive.mllp.tls import load_certificates, tls_context

log = logging.getLogger("clinicmart.listen")

READ_BYTES = 64 << 10
SUMMARY_SECONDS = 60.0
HOUSEKEEPING_SECONDS = 3600.0
FOLLOW_SECONDS = 2.0
KEPT_SECONDS = 30 * 86_400


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one port."""

    connections: int = 512
    connections_an_address: int = 128
    message_bytes: int = 16 << 20
    held_bytes: int = 256 << 20  # of messages begun and not ended, of all connections together
    held_bytes_an_address: int = 64 << 20
    idle_seconds: float = 3600.0
    idle_seconds_when_full: float = 60.0  # then the connection that was silent longest makes room
    message_seconds: float = 120.0  # from the first byte of a message to its end
    answer_seconds: float = 60.0  # until a sender has taken its acknowledgement
    drain_seconds: float = 5.0


@dataclass
class Port:
    """One feed's port: its journal, its connections and its counters."""

    feed: Feed
    journal: Journal
    limits: Limits
    counts: Counter[str] = field(default_factory=Counter)
    connections: dict[asyncio.Task[None], "_Connection"] = field(default_factory=dict)
    held_bytes: int = 0

    @property
    def name(self) -> str:
        return f"{self.feed.tenant_id}/{self.feed.name}"

    @cached_property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The log of the listener; its lines carry tenant and feed as fields."""
        return logging.LoggerAdapter(log, {"tenant_id": self.feed.tenant_id, "feed": self.feed.name})

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        peer = (writer.get_extra_info("peername") or ("unknown",))[0]
        if not self._has_room_for(peer):
            self.counts["connections refused"] += 1
            writer.close()
            return
        self.counts["connections"] += 1
        connection = self.connections[task] = _Connection(self, reader, writer, peer)
        try:
            await connection.serve()
        except (OSError, ssl.SSLError, TimeoutError):
            self.counts["connections broken"] += 1
        finally:
            del self.connections[task]
            connection.held(0)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(self.limits.drain_seconds):
                    await writer.wait_closed()

    def _has_room_for(self, peer: str) -> bool:
        """Whether an address may have one more connection; where the port is full, the one that was silent longest is ended."""
        limits = self.limits
        if sum(other.peer == peer for other in self.connections.values()) >= limits.connections_an_address:
            return False
        if len(self.connections) < limits.connections:
            return True
        now = asyncio.get_running_loop().time()
        silent = [c for c in self.connections.values() if not c.is_in_message and not c.is_ending]
        longest = min(silent, key=lambda connection: connection.heard_at, default=None)
        if longest is None or now - longest.heard_at < limits.idle_seconds_when_full:
            return False
        self.counts["connections silent in a full port"] += 1
        longest.end()
        return True

    def holds_too_much(self, connection: "_Connection") -> bool:
        """Whether unfinished messages, of all connections or of this address, take more memory than they may."""
        of_address = sum(c.held_bytes for c in self.connections.values() if c.peer == connection.peer)
        return self.held_bytes > self.limits.held_bytes or of_address > self.limits.held_bytes_an_address

    def refused(self, problem: Problem, header: Header, peer: str) -> None:
        """Counts and logs a message that is not taken."""
        self.counts["refused"] += 1
        control = self.journal.control_hash(header.sender, header.control)
        self.log.warning("%s: refused a message of %s: %s (control id hash %s)", self.name, peer, problem.text, control)

    def say_counts(self) -> None:
        """Logs one line with the counts since the last line, if there were any."""
        if self.counts:
            self.log.info(
                "%s: %s", self.name, ", ".join(f"{name} {number}" for name, number in sorted(self.counts.items()))
            )
            self.counts.clear()

    async def drain(self) -> None:
        """Lets connections end: those between messages at once, those in the middle of one after a moment."""
        for patience in (0.0, self.limits.drain_seconds, self.limits.drain_seconds):
            if self.connections and patience:
                await asyncio.wait(self.connections, timeout=patience)
            for connection in self.connections.values():
                if patience or not connection.is_in_message:
                    connection.end()
        for task in list(self.connections):
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)
        await asyncio.to_thread(self.journal.close)
        self.say_counts()


class _Connection:
    """One sender's connection."""

    def __init__(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        self.port, self.reader, self.writer, self.peer = port, reader, writer, peer
        self.frames = Frames(port.limits.message_bytes)
        self._held = 0
        self.heard_at = asyncio.get_running_loop().time()
        self.is_ending = False

    async def serve(self) -> None:
        """Reads, writes to the journal and answers until either side ends."""
        port, loop = self.port, asyncio.get_running_loop()
        begun_at: float | None = None
        while data := await self._read(begun_at):
            self.heard_at = loop.time()
            try:
                messages = self.frames.feed(data)
            except FrameTooLarge as large:
                await self._refuse(large.head, TOO_LARGE)
                return
            if messages:
                await self._take(messages)
            begun_at = None if not self.frames.held_bytes else loop.time() if messages or begun_at is None else begun_at
            self.held(self.frames.held_bytes)
            if self._held > READ_BYTES and port.holds_too_much(self):
                await self._refuse(b"", BUSY)
                return
        port.counts["messages broken off"] += self.frames.broken_off + bool(self.frames.held_bytes)
        port.counts += Counter()  # drops what is 0

    def held(self, size: int) -> None:
        """Notes how many bytes of an unfinished message this connection holds."""
        self.port.held_bytes += size - self._held
        self._held = size

    @property
    def held_bytes(self) -> int:
        """Bytes of an unfinished message."""
        return self._held

    @property
    def is_in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._held > 0

    def end(self) -> None:
        """Reads no more from the sender: messages that were read are finished, then the connection closes."""
        self.is_ending = True
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]
        self.reader.feed_eof()

    async def _read(self, begun_at: float | None) -> bytes:
        """Some bytes; none at the end of the connection and when the sender has been idle too long."""
        limits = self.port.limits
        try:
            async with asyncio.timeout_at(None if begun_at is None else begun_at + limits.message_seconds):
                async with asyncio.timeout(limits.idle_seconds):
                    return await self.reader.read(READ_BYTES)
        except TimeoutError:
            self.port.counts["connections idle too long"] += 1
            return b""

    async def _take(self, messages: list[bytes]) -> None:
        """Writes messages to the journal together, then answers them in order."""
        port, listener = self.port, self.port.feed.listen
        assert listener is not None
        taken = []
        for message in messages:
            header, problem = read_header(message, listener.receiving_application)
            done = None if problem else port.journal.put(header.sender, header.control, message)
            taken.append((header, problem, done))
        answers = []
        for header, problem, done in taken:
            outcome = REJECTED
            if done is not None:
                try:
                    stored = await asyncio.wrap_future(done)
                    port.counts[stored] += 1
                    outcome = ACCEPTED
                except Exception as error:
                    port.log.error("%s: a message could not be written: %s", port.name, error)
                    outcome, problem = FAILED, NOT_KEPT
            if problem is not None:
                port.refused(problem, header, self.peer)
            answers.append(acknowledgement(header, outcome, problem))
        await self._answer(answers)

    async def _refuse(self, head: bytes, problem: Problem) -> None:
        """Answers a message that cannot be taken to its end; the connection ends with it."""
        header, _ = read_header(head)
        self.port.refused(problem, header, self.peer)
        await self._answer([acknowledgement(header, REJECTED if problem.will_never_do else FAILED, problem)])

    async def _answer(self, answers: Sequence[bytes | None]) -> None:
        self.writer.write(b"".join(framed(answer) for answer in answers if answer is not None))
        async with asyncio.timeout(self.port.limits.answer_seconds):
            await self.writer.drain()


LandedUpTo = Callable[[Feed], str | None]
# Brings the live state of one tenant up to date.
Follow = Callable[[], object]


@contextlib.asynccontextmanager
async def open_ports(feeds: Sequence[tuple[Feed, Inbox]], limits: Limits) -> AsyncIterator[list[Port]]:
    """Journals and sockets of feeds with `listen`; drains and closes them at the end. Raises ConfigurationError."""
    ports: list[Port] = []
    servers: list[asyncio.Server] = []
    contexts: list[tuple[ssl.SSLContext, Listener]] = []

    def read_certificates_anew() -> None:
        for context, listener in contexts:
            try:
                load_certificates(context, listener)
            except ConfigurationError as error:
                log.error("%s", error)

    try:
        for feed, inbox in feeds:
            assert feed.listen is not None
            context = tls_context(feed.listen)
            if context is not None:
                contexts.append((context, feed.listen))
            port = Port(feed, Journal(inbox), limits)
            ports.append(port)
            servers.append(await _open(port, feed.listen, context))
            port.log.info(
                "%s: listening on %s:%d%s", port.name, feed.listen.host, feed.listen.port, " (TLS)" if context else ""
            )
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_certificates_anew)
        yield ports
    finally:
        for server in servers:
            server.close()
        await asyncio.gather(*(port.drain() for port in ports))


async def _open(port: Port, listener: Listener, context: ssl.SSLContext | None) -> asyncio.Server:
    try:
        return await asyncio.start_server(
            port.connected, listener.host, listener.port, ssl=context, backlog=1024, limit=READ_BYTES
        )
    except OSError as error:
        place = f"{listener.host}:{listener.port}"
        raise ConfigurationError(f"{port.name}: cannot listen on {place}: {error.strerror or error}") from None


async def listen(
    feeds: Sequence[tuple[Feed, Inbox]],
    landed_up_to: LandedUpTo,
    limits: Limits | None = None,
    followers: Sequence[Follow] = (),
) -> None:
    """Serves until SIGTERM or SIGINT. `landed_up_to` gives the cursor up to which a feed's messages are landed: those are
    removed from the journal KEPT_SECONDS after they came. `followers` are called every FOLLOW_SECONDS, each in a thread. Raises
    ConfigurationError."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_ports(feeds, limits or Limits()) as ports, _following(followers):
        housekeeping = loop.time()
        while not stop.is_set():
            if loop.time() >= housekeeping:
                housekeeping = loop.time() + HOUSEKEEPING_SECONDS
                await _remove_landed(ports, landed_up_to)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SUMMARY_SECONDS)
            for port in ports:
                port.say_counts()


@contextlib.asynccontextmanager
async def _following(followers: Sequence[Follow]) -> AsyncIterator[None]:
    """Keeps live states up to date meanwhile. A step that fails is logged by its kind and tried again; messages are taken all the
    same."""

    async def follow(step: Follow) -> None:
        while True:
            try:
                await asyncio.to_thread(step)
            except Exception as error:
                log.error("the live state could not be written: %s", type(error).__name__)
            await asyncio.sleep(FOLLOW_SECONDS)

    tasks = [asyncio.create_task(follow(step)) for step in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _remove_landed(ports: Sequence[Port], landed_up_to: LandedUpTo) -> None:
    for port in ports:
        try:
            up_to = await asyncio.to_thread(landed_up_to, port.feed)
            removed = await asyncio.wrap_future(port.journal.remove_landed(up_to, KEPT_SECONDS))
        except Exception as error:
            port.log.warning("%s: landed messages could not be removed: %s", port.name, error)
            continue
        if removed:
            port.counts["removed after landing"] += removed
