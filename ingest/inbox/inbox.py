"""The inbox of a feed: files that came over a network are stored here, encrypted, until they are landed and as long as they are
kept.

    home/inbox/<tenant>/<feed>/          files of the feed, each written once and never changed
    home/inbox/<tenant>/<feed>/<delivery>/...   files that belong together; `.unfinished` in it hides them from readers

A sealed file is `MAGIC`, a random prefix of seven bytes, then blocks: four bytes of length (big-endian) and that many bytes of
AES-256-GCM. The nonce of a block is prefix, block number and a byte that is 1 in the last block only (the STREAM construction
of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that a file cannot be cut short, extended or put together from parts unseen.
The file's name is authenticated too.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys

SUFFIX = ".sealed"
UNFINISHED = ".unfinished"
MAGIC = b"CLINICMART SEALED 1\n"
BLOCK_BYTES = 1 << 20
_TAG_BYTES = 16


class BrokenSeal(Exception):
    """A sealed file was cut short, altered or sealed with another key; `position` is the byte of the clear text."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the seal is broken at byte {position}")
        self.position = position


@dataclass(frozen=True)
class Inbox:
    """One feed's inbox. `folder` exists."""

    folder: Path
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, home: Home, keys: Keys, feed: Feed) -> "Inbox":
        return cls(home.folder("inbox", feed.tenant_id, feed.name), keys.derive("inbox", feed.tenant_id))

    def write(self, name: str, *, modified_at: datetime | None = None) -> "SealedWriter":
        """A new sealed file `<name>.sealed` below the folder: it is there whole, and on disk, once the writer is closed
        without an error, else not at all. `modified_at` (with a zone) is the time the file bears: that of its content."""
        return SealedWriter(self, name, modified_at)

    def path(self, name: str) -> Path:
        """The path of the encrypted file of a name, existing or not."""
        return self.folder / f"{name}{SUFFIX}"

    def files(self, suffixes: tuple[str, ...]) -> list[Path]:
        """Sealed files whose names end in one of the suffixes, in name order; none of an unfinished delivery."""
        wanted = tuple(f"{suffix}{SUFFIX}" for suffix in suffixes)
        hidden = {mark.parent for mark in self.folder.rglob(UNFINISHED)}
        return sorted(
            path
            for path in self.folder.rglob(f"*{SUFFIX}")
            if path.name.lower().endswith(wanted) and not path.name.startswith(".") and hidden.isdisjoint(path.parents)
        )

    def begin(self, delivery: str) -> None:
        """Opens a delivery: a folder whose files readers see only once it is finished. Half-written files of an earlier
        process are removed."""
        folder = self.folder / delivery
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / UNFINISHED).touch(mode=0o600)
        sync_folder(folder)
        sync_folder(self.folder)
        for left in folder.rglob(f".*{SUFFIX}.*"):
            left.unlink()

    def finish(self, delivery: str) -> None:
        """Shows the files of a delivery to readers."""
        (self.folder / delivery / UNFINISHED).unlink(missing_ok=True)
        if (self.folder / delivery).is_dir():
            sync_folder(self.folder / delivery)

    def discard(self, delivery: str) -> None:
        """Removes a delivery with all its files."""
        shutil.rmtree(self.folder / delivery, ignore_errors=True)

    def read(self, path: Path) -> Iterator[bytes]:
        """The clear text of a sealed file in blocks. Raises BrokenSeal, OSError."""
        seal, name = AESGCM(self.key), self._name(path)
        position, number = 0, 0
        with path.open("rb") as handle:
            head = handle.read(len(MAGIC) + 7)
            if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 7:
                raise BrokenSeal(0)
            prefix, length = head[len(MAGIC) :], handle.read(4)
            while length:
                size = int.from_bytes(length, "big")
                if len(length) < 4 or size > BLOCK_BYTES + _TAG_BYTES:
                    raise BrokenSeal(position)
                block, length = handle.read(size), handle.read(4)
                try:
                    clear = seal.decrypt(_nonce(prefix, number, is_last=not length), block, name)
                except InvalidTag:
                    raise BrokenSeal(position) from None
                yield clear
                position, number = position + len(clear), number + 1
            if number == 0:
                raise BrokenSeal(0)

    def _name(self, path: Path) -> bytes:
        return str(path.relative_to(self.folder)).encode()


class SealedWriter:
    """Writes one sealed file; a context manager."""

    def __init__(self, inbox: Inbox, name: str, modified_at: datetime | None = None) -> None:
        self.path, self._modified_at = inbox.path(name), modified_at
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        self._seal, self._name = AESGCM(inbox.key), str(self.path.relative_to(inbox.folder)).encode()
        self._prefix, self._number, self._pending = secrets.token_bytes(7), 0, bytearray()
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._handle = os.fdopen(descriptor, "wb")
        self._handle.write(MAGIC + self._prefix)
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Adds clear text."""
        self.size_bytes += len(data)
        self._pending += data
        # The last block is known only at the end: one whole block is always kept back.
        while len(self._pending) > BLOCK_BYTES:
            self._block(bytes(self._pending[:BLOCK_BYTES]), is_last=False)
            del self._pending[:BLOCK_BYTES]

    def _block(self, clear: bytes, *, is_last: bool) -> None:
        sealed = self._seal.encrypt(_nonce(self._prefix, self._number, is_last=is_last), clear, self._name)
        self._handle.write(len(sealed).to_bytes(4, "big") + sealed)
        self._number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with self._handle:
            if kind is not None:
                self._temporary.unlink(missing_ok=True)
                return
            self._block(bytes(self._pending), is_last=True)
            self._handle.flush()
            if self._modified_at is not None:
                moment = self._modified_at.timestamp()
                os.utime(self._handle.fileno(), (moment, moment))
            os.fsync(self._handle.fileno())
        os.replace(self._temporary, self.path)
        sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """Puts a folder's entries on disk, so that a file renamed into it survives a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _nonce(prefix: bytes, number: int, *, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])
