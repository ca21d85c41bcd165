"""Finding and reading the files of a feed: a file, a folder or a pattern; gzip too."""

import contextlib
import glob
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from foundation.config import Feed
from ingest.inbox.inbox import SUFFIX, BrokenSeal, Inbox
from ingest.interface import Unit, UnreadableUnit

READ_BYTES = 1 << 20
# A gzip file may not grow by more than this: clinical text compresses 5 to 20 times, a bomb a thousand.
MAXIMUM_GZIP_RATIO = 200


def find_files(feed: Feed, suffixes: tuple[str, ...], inbox: Inbox | None = None) -> list[Unit]:
    """Files of a feed in name order, hidden ones left out. A folder is searched to any depth for the suffixes (and
    suffix + .gz); a pattern or a single file is taken as it is. Of a feed without a path, the sealed files of its inbox.

    Raises UnreadableUnit where the path does not exist or holds no such file.
    """
    if feed.path is None:
        return _sealed_files(feed, suffixes, inbox)
    location = Path(feed.path or "")
    if location.is_dir():
        wanted = tuple(s for suffix in suffixes for s in (suffix, f"{suffix}.gz"))
        base = location
        paths = [p for p in location.rglob("*") if p.is_file() and p.name.lower().endswith(wanted)]
    elif location.is_file():
        base, paths = location.parent, [location]
    else:
        base = _fixed_part(location)
        paths = [Path(p) for p in glob.glob(str(location), recursive=True) if Path(p).is_file()]
    paths = sorted(p for p in paths if not any(part.startswith(".") for part in p.relative_to(base).parts))
    if not paths:
        what = f"no {' or '.join(suffixes)} file" if location.is_dir() else "no such file or folder"
        raise UnreadableUnit(
            position="", problem=f"{what} at {location}", remedy="Check the feed's path and its rights"
        )
    return [_unit(feed, base, path) for path in paths]


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
        status = path.stat()
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        # Reading it will fail again and refuse this file by name, while the others go on.
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
    """What lies where a feed's path says, of whatever kind; nothing where nothing does."""
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
    """A file's bytes, decompressed where the name ends in .gz."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def read_blocks(unit: Unit) -> Iterator[bytes]:
    """A unit's bytes in blocks. Raises UnreadableUnit as `read_path`."""
    assert unit.path is not None
    return read_path(unit.path, unit.size_bytes, unit.inbox)


def read_path(path: Path, size_bytes: int, inbox: Inbox | None) -> Iterator[bytes]:
    """A file's bytes in blocks. Raises UnreadableUnit for a broken or swelling gzip file, a broken seal and a disk error."""
    given = 0
    try:
        if inbox is not None:
            yield from inbox.read(path)
            return
        with _open(path) as handle:
            while block := handle.read(READ_BYTES):
                given += len(block)
                if handle.__class__ is gzip.GzipFile and given > MAXIMUM_GZIP_RATIO * max(size_bytes, READ_BYTES):
                    raise UnreadableUnit(
                        position=f"byte {given}",
                        problem=f"unpacks to more than {MAXIMUM_GZIP_RATIO} times its size",
                        remedy="Send it uncompressed if it is genuine",
                    )
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UnreadableUnit(
            position=f"byte {given} unpacked", problem="is not a whole gzip file", remedy="Have it sent again"
        ) from None
    except BrokenSeal as broken:
        raise UnreadableUnit(
            position=f"byte {broken.position}",
            problem="was altered or cut short in the inbox",
            remedy="Restore it from a backup, or have it sent again",
        ) from None
    except OSError as error:
        raise UnreadableUnit(
            position=f"byte {given}", problem=error.strerror or "cannot be read", remedy="Check its rights"
        ) from None
