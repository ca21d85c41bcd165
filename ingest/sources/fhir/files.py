"""The bytes of FHIR files: lines of NDJSON in blocks, documents whole, both within bounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from ingest.inbox.inbox import SUFFIX as SEALED
from ingest.inbox.inbox import Inbox
from ingest.interface import UnreadableUnit
from ingest.sources.files import read_path

SUFFIXES = (".ndjson", ".json")
MAXIMUM_LINE_BYTES = 64 << 20
MAXIMUM_DOCUMENT_BYTES = 512 << 20
_BOM = b"\xef\xbb\xbf"


def is_document(name: str) -> bool:
    """True for a file that is one JSON document, by its name; false for NDJSON."""
    return name.lower().removesuffix(SEALED).removesuffix(".gz").endswith(".json")


def read_lines(path: Path, size_bytes: int, inbox: Inbox | None) -> Iterator[list[bytes]]:
    """The lines of a file, those of one block at a time, without line feeds. The last is left out where it is empty.

    Raises UnreadableUnit as `read_path` does, and for a line longer than MAXIMUM_LINE_BYTES.
    """
    pieces: list[bytes] = []
    pending, number = 0, 0
    for block in read_path(path, size_bytes, inbox):
        head, line_end, tail = block.partition(b"\n")
        if number == 0 and not pieces:
            head = head.removeprefix(_BOM)
        pieces.append(head)
        pending += len(head)
        if pending > MAXIMUM_LINE_BYTES:
            raise UnreadableUnit(
                reason="json_line_too_long",
                position=f"line {number + 1}",
                problem=f"a line is longer than {MAXIMUM_LINE_BYTES >> 20} MiB",
                remedy="Ask the sender for one resource per line",
            )
        if line_end:
            *lines, remainder = tail.split(b"\n")
            lines.insert(0, b"".join(pieces))
            number += len(lines)
            yield lines
            pieces, pending = [remainder], len(remainder)
    if last := b"".join(pieces):
        yield [last]


def read_document(path: Path, size_bytes: int, inbox: Inbox | None) -> Any:
    """One JSON document. Raises UnreadableUnit as `read_path` does, for one that does not parse, and for one that is larger
    than MAXIMUM_DOCUMENT_BYTES."""
    blocks, size = [], 0
    for block in read_path(path, size_bytes, inbox):
        size += len(block)
        if size > MAXIMUM_DOCUMENT_BYTES:
            raise UnreadableUnit(
                reason="json_document_too_large",
                position=f"byte {size}",
                problem=f"the document is larger than {MAXIMUM_DOCUMENT_BYTES >> 20} MiB",
                remedy="Ask the sender for NDJSON",
            )
        blocks.append(block)
    try:
        return orjson.loads(b"".join(blocks).removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        raise UnreadableUnit(
            reason="json_document_not_valid",
            position=f"line {error.lineno} column {error.colno}",
            problem="the file is not valid JSON, or is cut off",
            remedy="Ask the sender for the file again",
        ) from None
