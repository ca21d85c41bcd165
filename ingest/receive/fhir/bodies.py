"""Bodies of answers in bounded blocks: gzip undone, sizes held to a limit, bombs refused.

httpx would unpack a block of the network whole; here no block is ever larger than BLOCK_BYTES unpacked.
"""

import zlib
from collections.abc import Iterator

import httpx

from ingest.receive.fhir.problems import ServerProblem
from ingest.sources.files import MAXIMUM_GZIP_RATIO, READ_BYTES

BLOCK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


class BrokenOff(Exception):
    """The body was cut off: it must be requested again."""


def clear_blocks(response: httpx.Response, *, limit_bytes: int, what: str) -> Iterator[bytes]:
    """The body of an open answer, unpacked: by Content-Encoding, and again where the content itself is gzip, as of a URL
    that ends in .gz. Raises BrokenOff, ServerProblem for a size above the limit, httpx.TransportError."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    blocks: Iterator[bytes] = response.iter_raw(BLOCK_BYTES)
    if encoding in ("gzip", "x-gzip"):
        blocks = _unpacked(blocks, what)
    elif encoding not in ("", "identity"):
        raise ServerProblem(
            f"{what} has the content encoding {encoding[:20]!r}, which was not requested",
            "Ask the server's owner to send gzip",
        )
    size = 0
    for block in _unpacked_by_content(blocks, what):
        size += len(block)
        if size > limit_bytes:
            raise ServerProblem(
                f"{what} is larger than {limit_bytes >> 20:,} MiB",
                "If the file is genuine, raise maximum_file_gib of the feed's server",
            )
        yield block


def _unpacked_by_content(blocks: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Neither JSON nor NDJSON begins as gzip does."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(_GZIP_MAGIC):
            break
    remainder = _after(head, blocks)
    yield from _unpacked(remainder, what) if head.startswith(_GZIP_MAGIC) else remainder


def _after(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def _unpacked(blocks: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Undoes gzip of one or more members. Raises BrokenOff where it ends too early or is damaged."""
    taken = unpacked = 0
    inflate = None
    try:
        for block in blocks:
            taken += len(block)
            data, clear = block, b""
            while data or len(clear) == BLOCK_BYTES:
                inflate = inflate or zlib.decompressobj(wbits=31)
                clear = inflate.decompress(data, BLOCK_BYTES)
                data = inflate.unconsumed_tail
                unpacked += len(clear)
                if unpacked > MAXIMUM_GZIP_RATIO * max(taken, READ_BYTES):
                    raise ServerProblem(
                        f"{what} unpacks to more than {MAXIMUM_GZIP_RATIO} times its size",
                        "If the file is genuine, ask the server's owner to send it uncompressed",
                    )
                if clear:
                    yield clear
                if inflate.eof:
                    # Another member may follow, or zeros that fill up a block.
                    data, inflate, clear = inflate.unused_data.lstrip(b"\0"), None, b""
    except zlib.error:
        raise BrokenOff from None
    if inflate is not None:
        raise BrokenOff
