"""One file of an export, from the server straight into a sealed file of the inbox, block by block."""

import time
from dataclasses import dataclass
from datetime import datetime

import httpx
import orjson

from ingest.inbox.inbox import Inbox
from ingest.receive.fhir.bodies import BrokenOff, clear_blocks
from ingest.receive.fhir.http import ATTEMPTS, Http
from ingest.receive.fhir.pace import backoff
from ingest.receive.fhir.problems import ServerProblem

# A file that brings less than this in STALL_SECONDS has come to a standstill, though the connection lives.
STALL_BYTES = 64 << 10
STALL_SECONDS = 300.0
MAXIMUM_LINE_BYTES = 64 << 20
_SPACE = b" \t\r\n"


@dataclass(frozen=True)
class Fetched:
    """The result of one file: its number of non-empty lines, and its size in bytes after unpacking."""

    records: int
    size_bytes: int


def fetch(
    http: Http, inbox: Inbox, url: str, name: str, *, what: str, token: bool, content_at: datetime, limit_bytes: int
) -> Fetched:
    """Downloads one NDJSON file into the inbox as `name`; a broken transfer starts again. The file appears only when it is complete.
    Raises Refused for a status, ServerProblem for a body that is not NDJSON, is too large, or breaks off every time."""
    cut_at = -1
    for failures in range(1, ATTEMPTS + 1):
        try:
            with http.file(url, what, token=token) as response:
                return _write(response, inbox, name, what, content_at, limit_bytes, cut_at)
        except (BrokenOff, httpx.TransportError) as error:
            cut_at = error.size_bytes if isinstance(error, _CutLine) else -1
            if failures < ATTEMPTS:
                http.pace.wait(backoff(failures), f"{what} broke off")
    raise ServerProblem(
        f"{what} broke off {ATTEMPTS} times", "The next run tries again; if it fails again, ask the server's owner"
    )


class _CutLine(BrokenOff):
    """The last line is not JSON: the transfer or the file on the server was cut off. `size_bytes` is the received size."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.size_bytes = size_bytes


def _write(
    response: httpx.Response, inbox: Inbox, name: str, what: str, content_at: datetime, limit_bytes: int, cut_at: int
) -> Fetched:
    lines = _Lines(what)
    window, taken = time.monotonic(), 0
    with inbox.write(name, modified_at=content_at) as writer:
        for block in clear_blocks(response, limit_bytes=limit_bytes, what=what):
            lines.take(block)
            writer.write(block)
            taken += len(block)
            if taken >= STALL_BYTES:
                window, taken = time.monotonic(), 0
            elif time.monotonic() - window > STALL_SECONDS:
                raise BrokenOff
        # Cut off twice at the same byte: the file is cut off on the server, and the reader refuses only that line.
        if not lines.end() and writer.size_bytes != cut_at:
            raise _CutLine(writer.size_bytes)
        return Fetched(lines.records, writer.size_bytes)


class _Lines:
    """Counts lines as they pass, and checks that they can be complete NDJSON."""

    def __init__(self, what: str) -> None:
        self.what, self.records = what, 0
        self._rest = bytearray()
        self._begun = False

    def take(self, block: bytes) -> None:
        if not self._begun and (head := block.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)):
            self._begun = True
            if not head.startswith(b"{"):
                raise ServerProblem(
                    f"{self.what} is not NDJSON",
                    "Ask the server's owner: the URL may lead to a web page instead of the file",
                )
        first, *others = block.split(b"\n")
        self._rest += first
        if others:
            self.records += bool(self._rest.strip(_SPACE)) + sum(1 for line in others[:-1] if line.strip(_SPACE))
            self._rest = bytearray(others[-1])
        if len(self._rest) > MAXIMUM_LINE_BYTES:
            raise ServerProblem(
                f"{self.what} has a line longer than {MAXIMUM_LINE_BYTES >> 20} MiB",
                "Ask the server's owner for one resource per line",
            )

    def end(self) -> bool:
        """Whether a last line without a line end is whole, that is JSON."""
        if not self._rest.strip(_SPACE):
            return True
        self.records += 1
        try:
            orjson.loads(bytes(self._rest))
        except orjson.JSONDecodeError:
            return False
        return True
