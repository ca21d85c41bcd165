"""Finding and reading the files of a feed: a file, a folder or a pattern; gzip too."""

import codecs
import contextlib
import glob
import gzip
import hashlib
import mimetypes
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from foundation.config import Feed
from ingest.inbox.inbox import SUFFIX, BrokenSeal, Inbox
from ingest.interface import NOT_READ, Notice, Unit, UnreadableUnit

READ_BYTES = 1 << 20
# A gzip file may not grow by more than this: clinical text compresses 5 to 20 times, a bomb a thousand.
MAXIMUM_GZIP_RATIO = 200
# Two characters in UTF-16 or one in UTF-32, either byte order.
_WIDE = re.compile(rb"([ -~]\0){2}|(\0[ -~]){2}|[ -~]\0\0\0|\0\0\0[ -~]")

_OUTSIDE = UnreadableUnit(
    reason="link_outside_folder",
    position="",
    problem="the file is a link to a place outside the feed's folder",
    remedy="Put the file itself into the folder, or set the feed's path to the folder of the link's target",
)
_NO_FILE = UnreadableUnit(
    reason="not_a_regular_file",
    position="",
    problem="it is not a regular file, or it is a link to a file that does not exist",
    remedy="Remove it, or ask the sender for the file again",
)


def find_files(feed: Feed, suffixes: tuple[str, ...], inbox: Inbox | None = None) -> list[Unit]:
    """Files of a feed in name order; of a feed without a path, the sealed files of its inbox.

    A folder is searched to any depth for the suffixes (and suffix + .gz). A pattern or a single file is used as it is. Names
    that begin with a dot are left out. Everything else is reported: a folder that cannot be opened and a link to a place
    outside the feed's folder are units with a `refusal`; files with other endings are one unit with a notice (NOT_READ). Links
    to folders are not followed.

    Raises UnreadableUnit where the path does not exist, cannot be opened or holds no file of the feed.
    """
    if feed.path is None:
        return _sealed_files(feed, suffixes, inbox)
    location = Path(feed.path)
    wanted = tuple(s for suffix in suffixes for s in (suffix, f"{suffix}.gz"))
    try:
        listing = _search(location, wanted)
    except OSError as error:
        raise UnreadableUnit(
            reason="feed_path_not_readable",
            position="",
            problem=f"{location} cannot be opened: {error.strerror or 'unknown error'}",
            remedy="Check the feed's path, and that the account of Clinicmart may read it",
        ) from None
    if not (listing.files or listing.refused):
        endings = f"no {' or '.join(suffixes)} file" if location.is_dir() else "no such file or folder"
        others = f"; {_not_read(listing.others, feed, suffixes).detail}" if listing.others else ""
        raise UnreadableUnit(
            reason="feed_without_files",
            position="",
            problem=f"{endings} at {location}{others}",
            remedy="Check the feed's path, kind and rights",
        )
    units = [_unit(feed, listing.base, path) for path in sorted(listing.files)]
    units += [
        Unit(feed=feed, name=str(path.relative_to(listing.base)), fingerprint=f"refused {path}", refusal=refusal)
        for path, refusal in sorted(listing.refused.items())
    ]
    if listing.others:
        names = "\n".join(sorted(str(path) for path in listing.others))
        fingerprint = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
        notices = (_not_read(listing.others, feed, suffixes),)
        units.append(Unit(feed=feed, name=NOT_READ, fingerprint=fingerprint, notices=notices))
    return units


@dataclass
class _Listing:
    """The entries at a feed's path. Names are relative to `base`. `others` are files that no reader of the feed opens."""

    base: Path
    files: list[Path] = field(default_factory=list)
    refused: dict[Path, UnreadableUnit] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)

    def take(self, path: Path, wanted: tuple[str, ...] | None) -> None:
        """Sorts one entry that is not a folder. `wanted` are endings; None takes every file."""
        if any(part.startswith(".") for part in path.relative_to(self.base).parts):
            return
        if wanted is not None and not path.name.lower().endswith(wanted):
            self.others.append(path)
        elif path.is_symlink() and leads_outside(path, self.base):
            self.refused[path] = _OUTSIDE
        elif not path.is_file():
            self.refused[path] = _NO_FILE
        else:
            self.files.append(path)


def _search(location: Path, wanted: tuple[str, ...]) -> _Listing:
    """Everything at a path. Raises OSError where the path itself cannot be opened."""
    mode = location.stat().st_mode if location.exists() else 0
    if stat.S_ISDIR(mode):
        return _search_folder(location, wanted)
    if location.exists():
        listing = _Listing(base=location.parent)
        listing.take(location, None)
        return listing
    listing = _Listing(base=_fixed_part(location))
    for path in map(Path, glob.iglob(str(location), recursive=True)):
        if not path.is_dir():
            listing.take(path, None)
            # A pattern follows links to folders.
            if path in listing.files and leads_outside(path, listing.base):
                listing.files.remove(path)
                listing.refused[path] = _OUTSIDE
    return listing


def _search_folder(location: Path, wanted: tuple[str, ...]) -> _Listing:
    listing = _Listing(base=location)

    def cannot_open(error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename))
        if folder == location:
            raise error
        listing.refused[folder] = UnreadableUnit(
            reason="folder_not_readable",
            position="",
            problem=f"the folder cannot be opened: {error.strerror}",
            remedy="Check that the account that runs Clinicmart may read it",
        )

    for folder, folders, names in os.walk(location, onerror=cannot_open):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(folder, name) for name in folders):
            if path.is_symlink() and leads_outside(path, location):
                listing.refused[path] = _OUTSIDE
        for name in names:
            listing.take(Path(folder, name), wanted)
    return listing


def leads_outside(path: Path, base: Path) -> bool:
    """Whether a path, with its links followed, lies outside a folder. A sender must not reach the files of others by a link."""
    return not path.resolve().is_relative_to(base.resolve())


def _not_read(paths: list[Path], feed: Feed, suffixes: tuple[str, ...]) -> Notice:
    """A notice about files that no reader opens. It gives an ending only where it is a common one: a name can hold PHI."""
    common = {*mimetypes.types_map, ".gz", ".zip", ".bak", ".tmp", ".x12", ".edi", ".835", ".837", ".hl7", ".ndjson"}
    endings = Counter(path.suffix.lower() if path.suffix.lower() in common else "other" for path in paths)
    counted = ", ".join(f"{ending} ({number})" for ending, number in sorted(endings.items()))
    return Notice(
        position="",
        reason="file_not_read",
        detail=f"a feed of kind {feed.kind} does not read files ending in {counted}; it reads {' '.join(suffixes)}",
        records=len(paths),
    )


def base_of(feed: Feed) -> Path:
    """The folder that the names of a feed's files are relative to, for a feed with a path."""
    location = Path(feed.path or "")
    if location.is_dir():
        return location
    return _fixed_part(location) if glob.has_magic(str(location)) else location.parent


def _sealed_files(feed: Feed, suffixes: tuple[str, ...], inbox: Inbox | None) -> list[Unit]:
    """Sealed files of an inbox in name order; none is no fault: nothing may have come yet."""
    if inbox is None:
        return []
    return [_unit(feed, inbox.folder, path, inbox) for path in inbox.files(suffixes)]


def _fixed_part(pattern: Path) -> Path:
    parts = []
    for part in pattern.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _unit(feed: Feed, base: Path, path: Path, inbox: Inbox | None = None) -> Unit:
    name = str(path.relative_to(base)).removesuffix(SUFFIX if inbox else "")
    try:
        # A link inside the folder: use its present target, so that a later change of the link opens no other file.
        path = path.resolve() if path.is_symlink() else path
        status = path.stat()
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        # Reading it will fail again and refuse this file by name; the others are read.
        return Unit(feed=feed, name=name, path=path, fingerprint=f"unreadable {name}", inbox=inbox)
    return Unit(
        feed=feed,
        name=name,
        path=path,
        size_bytes=status.st_size,
        fingerprint=digest,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        inbox=inbox,
    )


def paths_of(feed: Feed) -> Iterator[Path]:
    """All paths that a feed's path names, of any kind; none if it names none."""
    location = Path(feed.path or "")
    return location.rglob("*") if location.is_dir() else map(Path, glob.iglob(str(location), recursive=True))


def state_of_files(feed: Feed) -> str:
    """A short text that changes when a file of the feed comes, goes or changes; read from names, sizes and times alone."""
    digest = hashlib.sha256()
    for path in sorted(paths_of(feed)):
        with contextlib.suppress(OSError):
            status = path.stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _open(path: Path) -> IO[bytes]:
    """A file's bytes, decompressed where the name ends in .gz. Raises OSError for a link: `_unit` gives the file behind it."""
    handle = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW))  # noqa: SIM115
    return gzip.GzipFile(fileobj=handle, mode="rb") if path.name.lower().endswith(".gz") else handle  # type: ignore[return-value]


def read_blocks(unit: Unit, *, is_wide: bool = False) -> Iterator[bytes]:
    """A unit's bytes in blocks. Raises UnreadableUnit as `read_path`."""
    assert unit.path is not None
    return read_path(unit.path, unit.size_bytes, unit.inbox, is_wide=is_wide)


def read_path(path: Path, size_bytes: int, inbox: Inbox | None, *, is_wide: bool = False) -> Iterator[bytes]:
    """A file's bytes in blocks. Raises UnreadableUnit for a broken or swelling gzip file, a broken seal, a disk error and, but
    for readers that decode it (`is_wide`), for UTF-16 or UTF-32 text."""
    blocks = _blocks(path, size_bytes, inbox)
    first = next(blocks, None)
    if first is None:
        return
    if not is_wide and is_wide_text(first):
        raise UnreadableUnit(
            reason="file_is_utf16",
            position="byte 0",
            problem="the file is UTF-16 or UTF-32 text",
            remedy="Ask the sender for UTF-8, or save the file as UTF-8",
        )
    yield first
    yield from blocks


def is_wide_text(start: bytes) -> bool:
    """Whether text begins with a byte-order mark of UTF-16 or UTF-32, or with printable ASCII that is two or four bytes wide."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)) or bool(_WIDE.match(start))


def _blocks(path: Path, size_bytes: int, inbox: Inbox | None) -> Iterator[bytes]:
    size = 0
    try:
        if inbox is not None:
            yield from inbox.read(path)
            return
        with _open(path) as handle:
            while block := handle.read(READ_BYTES):
                size += len(block)
                if isinstance(handle, gzip.GzipFile) and size > MAXIMUM_GZIP_RATIO * max(size_bytes, READ_BYTES):
                    raise UnreadableUnit(
                        reason="gzip_too_large",
                        position=f"byte {size}",
                        problem=f"the file unpacks to more than {MAXIMUM_GZIP_RATIO} times its size",
                        remedy="If the file is genuine, ask the sender for it uncompressed",
                    )
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UnreadableUnit(
            reason="gzip_incomplete",
            position=f"byte {size} unpacked",
            problem="the gzip file is incomplete",
            remedy="Ask the sender for the file again",
        ) from None
    except BrokenSeal as broken:
        raise UnreadableUnit(
            reason="file_damaged_in_inbox",
            position=f"byte {broken.position}",
            problem="the file was altered or cut off in the inbox",
            remedy="Restore it from a backup, or ask the sender for the file again",
        ) from None
    except OSError as error:
        raise UnreadableUnit(
            reason="file_not_readable",
            position=f"byte {size}",
            problem=error.strerror or "the file cannot be read",
            remedy="Check the rights of the file",
        ) from None
