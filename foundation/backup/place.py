"""A place of backups: parts of files, named by their content, and what each backup consists of.

A part that is there already is not sent again. A backup counts once its record is written, which is the last thing written; a backup that
is killed leaves parts that the next one finds there. Nothing that a record names is ever written again.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foundation.backup.frozen import changes_in_place
from foundation.backup.sealing import KEY_FILE, Seals, key_file, new_recovery_key, seals_of
from foundation.backup.storage import Storage
from foundation.errors import ClinicmartError, ConfigurationError, DamagedFileError

FORMAT = 1
PART_BYTES = 16 << 20
_WRITERS, _WAITING = 4, 8
BACKUPS, DATA = "backups", "data"


@dataclass(frozen=True, kw_only=True)
class KeptFile:
    """One file of a backup: `path` in the home, times in nanoseconds, and its parts in order with their stored size in bytes."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a backup consists of. `name` begins with its number, which orders backups even if the clock was wrong; `created_at` is UTC."""

    name: str
    created_at: datetime
    home_format: int
    tenants: tuple[str, ...]
    files: tuple[KeptFile, ...] = field(repr=False)
    # Tenants whose files were taken out of it later.
    removed_tenants: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The parts and bytes that a backup added to the place."""

    backup: Backup
    parts: int
    size_bytes: int


class Place:
    """Backups of one home in one storage."""

    def __init__(self, storage: Storage, seals: Seals) -> None:
        self.storage, self.seals = storage, seals

    @classmethod
    def for_home(cls, url: str, home_key: bytes, recovery_key: str | None = None) -> tuple["Place", str | None]:
        """The place that a home writes into, and the new recovery key where the first backup makes one; None where there was a place, or
        `recovery_key` was given. Raises ConfigurationError where the place is that of another home."""
        storage = Storage(url)
        content = storage.read(KEY_FILE)
        has_backups = bool(storage.sizes(BACKUPS))
        if content is None and has_backups:
            raise DamagedFileError(
                f"{storage.url}: {KEY_FILE} is missing; put back a copy of it, or choose another place"
            )
        place = cls(storage, Seals.new() if content is None else seals_of(content, storage.url, home_key=home_key))
        if has_backups:
            return place, None
        # A first backup that was killed may have shown its recovery key to nobody: there is a new one until a backup is whole.
        chosen = place.new_recovery_key(home_key, recovery_key)
        return place, None if recovery_key else chosen

    @classmethod
    def existing(cls, url: str, *, home_key: bytes | None = None, recovery_key: str | None = None) -> "Place":
        """A place to read from, with one of its keys. Raises ConfigurationError where there is none, or the key is wrong."""
        storage = Storage(url)
        content = storage.read(KEY_FILE)
        if content is None:
            raise ConfigurationError(f"{storage.url} holds no backups of Clinicmart: it has no {KEY_FILE}")
        return cls(storage, seals_of(content, storage.url, home_key=home_key, recovery_key=recovery_key))

    def new_recovery_key(self, home_key: bytes, recovery_key: str | None = None) -> str:
        """Replaces the recovery key. The earlier one opens the place no longer; returns the new one."""
        chosen = recovery_key or new_recovery_key()
        self.storage.write(KEY_FILE, key_file(self.seals, home_key, chosen))
        return chosen

    def names(self) -> list[str]:
        """Names of the backups, the oldest first."""
        return sorted(name.removeprefix(f"{BACKUPS}/") for name in self.storage.sizes(BACKUPS))

    def backup(self, name: str | None = None) -> Backup:
        """A backup by name, the newest for None.

        Raises ConfigurationError, naming those there are, for one that is not there; DamagedFileError for one that was altered.
        """
        names = self.names()
        if not names or (name is not None and name not in names):
            there = ", ".join(names[-12:]) or "none"
            raise ConfigurationError(f"{self.storage.url} has no backup {name or ''}".rstrip() + f"; backups: {there}")
        chosen = name or names[-1]
        path = f"{BACKUPS}/{chosen}"
        content = self.seals.open(path, self.storage.read(path) or b"")
        if content is None:
            raise DamagedFileError(
                f"{self.storage.url}/{path} is damaged; choose another backup with --at: {', '.join(names)}"
            )
        return _from_json(chosen, content, self.storage.url)

    def write(
        self,
        folder: Path,
        extra: Mapping[str, bytes],
        *,
        home_format: int,
        tenants: Iterable[str],
        now: datetime | None = None,
    ) -> Sent:
        """Writes a backup of all files below a folder, and of `extra` (path to content). Every new part is read back."""
        now = now or datetime.now(UTC)
        names = self.names()
        earlier = {file.path: file for file in self.backup().files} if names else {}
        sender = _Sender(self.storage, self.seals, {part for file in earlier.values() for part in file.parts})
        files = []
        with sender:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                files.append(sender.file(path, path.relative_to(folder), earlier))
            for name, content in sorted(extra.items()):
                parts = (sender.part(content),) if content else ()
                digest = hashlib.sha256(content).hexdigest()
                files.append(KeptFile(path=name, size=len(content), mtime_ns=0, sha256=digest, parts=parts))
        number = 1 + int(names[-1].partition("-")[0]) if names else 1
        backup = Backup(
            name=f"{number:06d}-{now:%Y%m%dT%H%M%SZ}",
            created_at=now,
            home_format=home_format,
            tenants=tuple(sorted(tenants)),
            files=tuple(KeptFile(**{**vars(file), "parts": sender.settled(file.parts)}) for file in files),
        )
        self.write_record(backup)
        return Sent(backup=backup, parts=sender.sent_parts, size_bytes=sender.sent_bytes)

    def write_record(self, backup: Backup) -> None:
        """Writes what a backup consists of, and reads it back. Raises DamagedFileError where the storage gives other bytes."""
        record = f"{BACKUPS}/{backup.name}"
        self.storage.write(record, self.seals.seal(record, _to_json(backup)))
        if self.backup(backup.name) != backup:
            raise DamagedFileError(f"{self.storage.url}/{record} is not what was written; check the storage")

    def read_file(self, file: KeptFile) -> Iterator[bytes]:
        """The content of a file, part by part. Raises DamagedFileError, naming part and file, where anything was altered or is missing."""
        digest, size = hashlib.sha256(), 0
        for name, _ in file.parts:
            path = path_of(name)
            sealed = self.storage.read(path)
            content = None if sealed is None else self.seals.open(name, sealed)
            if content is None or name not in self.seals.names_of(content):
                what = "is missing" if sealed is None else "is damaged"
                raise DamagedFileError(
                    f"{self.storage.url}/{path} {what}; it is part of {file.path}. Choose an earlier backup with --at, or put the file back"
                )
            digest.update(content)
            size += len(content)
            yield content
        if size != file.size or digest.hexdigest() != file.sha256:
            raise DamagedFileError(
                f"{self.storage.url}: {file.path} is not what was backed up; choose an earlier backup with --at"
            )

    def check(self, backup: Backup) -> int:
        """Reads a whole backup, as a restore does, and returns the number of its files. Raises DamagedFileError."""
        for file in backup.files:
            for _ in self.read_file(file):
                pass
        return len(backup.files)

    def remove_tenant(self, tenant_id: str, is_of_tenant: Callable[[KeptFile], bool]) -> int:
        """Takes a tenant's files, its key files among them, out of every backup, and removes the parts that no backup needs any more.

        Returns the number of backups that had any. Safe to repeat."""
        changed = 0
        for name in self.names():
            backup = self.backup(name)
            kept = tuple(file for file in backup.files if not is_of_tenant(file))
            if len(kept) == len(backup.files) and tenant_id not in backup.tenants:
                continue
            without = replace(
                backup,
                files=kept,
                tenants=tuple(item for item in backup.tenants if item != tenant_id),
                removed_tenants=(*backup.removed_tenants, tenant_id),
            )
            self.write_record(without)
            changed += 1
        self.remove_parts_but(self.parts_of(self.names()))
        return changed

    def parts_of(self, names: Iterable[str]) -> set[str]:
        """Paths of the parts that some backups need."""
        return {path_of(part) for name in names for file in self.backup(name).files for part, _ in file.parts}

    def remove_parts_but(self, needed: Collection[str]) -> None:
        """Removes all other parts."""
        for path in self.storage.sizes(DATA):
            if path not in needed:
                self.storage.remove(path)

    def prune(self, keep: int) -> tuple[str, ...]:
        """Removes all but the newest backups, and parts that no backup names; returns the names of removed backups."""
        names = self.names()
        gone, kept = names[:-keep], names[-keep:]
        # Read before anything is removed: where one that stays cannot be read, nothing is known of its parts.
        needed = self.parts_of(kept)
        for name in gone:
            self.storage.remove(f"{BACKUPS}/{name}")
        self.remove_parts_but(needed)
        for prefix in (BACKUPS, DATA):
            self.storage.remove_unfinished(prefix)
        return tuple(gone)


class _Sender:
    """Sends parts that are not there, a few at a time."""

    def __init__(self, storage: Storage, seals: Seals, sent_before: set[tuple[str, int]]) -> None:
        self._storage, self._seals = storage, seals
        self._there = {path.rpartition("/")[2]: size for path, size in storage.sizes(DATA).items()}
        # A part whose size is not the recorded one is sent again.
        for name, size in sent_before:
            if self._there.get(name, size) != size:
                del self._there[name]
        self._pool, self._room = ThreadPoolExecutor(_WRITERS), threading.BoundedSemaphore(_WAITING)
        self._sending: dict[str, Future[int]] = {}
        self._failure: BaseException | None = None
        self.sent_parts = self.sent_bytes = 0

    def __enter__(self) -> "_Sender":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=error[0] is not None)
        if error[0] is None:
            sizes = {name: future.result() for name, future in self._sending.items()}
            self._there |= sizes
            self.sent_parts, self.sent_bytes = len(sizes), sum(sizes.values())

    def settled(self, parts: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
        """Parts with the size that they are stored with, known once all are sent."""
        return tuple((name, self._there[name]) for name, _ in parts)

    def file(self, path: Path, name: Path, earlier: Mapping[str, KeptFile]) -> KeptFile:
        """Sends the new parts of one file."""
        status, before = path.stat(), earlier.get(name.as_posix())
        is_known = (
            before is not None
            and not changes_in_place(name)
            and (before.size, before.mtime_ns) == (status.st_size, status.st_mtime_ns)
            and all(part in self._there for part, _ in before.parts)
        )
        if before is not None and is_known:
            return before
        digest, size, parts = hashlib.sha256(), 0, []
        with path.open("rb") as handle:
            while content := handle.read(PART_BYTES):
                digest.update(content)
                size += len(content)
                parts.append(self.part(content))
        return KeptFile(
            path=name.as_posix(), size=size, mtime_ns=status.st_mtime_ns, sha256=digest.hexdigest(), parts=tuple(parts)
        )

    def part(self, content: bytes) -> tuple[str, int]:
        """Sends a part if it is not there; its size is known by `settled`."""
        name = self._seals.name_of(content)
        if name not in self._there and name not in self._sending:
            self._room.acquire()
            self._sending[name] = future = self._pool.submit(self._send, name, content)
            future.add_done_callback(self._ended)
        if self._failure is not None:
            raise self._failure
        return name, 0

    def _ended(self, future: Future[int]) -> None:
        self._room.release()
        if not future.cancelled():
            self._failure = self._failure or future.exception()

    def _send(self, name: str, content: bytes) -> int:
        sealed, path = self._seals.seal(name, content), path_of(name)
        self._storage.write(path, sealed)
        if self._storage.read(path) != sealed:
            raise ClinicmartError(
                f"{self._storage.url}/{path} reads back as other bytes than were written; check the storage"
            )
        return len(sealed)


def path_of(part: str) -> str:
    """Where a part is in the storage."""
    return f"{DATA}/{part[:2]}/{part}"


def _to_json(backup: Backup) -> bytes:
    content: dict[str, Any] = {"format": FORMAT, **asdict(backup), "created_at": backup.created_at.isoformat()}
    return json.dumps(content).encode()


def _from_json(name: str, content: bytes, url: str) -> Backup:
    raw = json.loads(content)
    if raw["format"] > FORMAT:
        raise ConfigurationError(
            f"{url}: backup {name} was written by a later release of Clinicmart; install that release"
        )
    files = tuple(
        KeptFile(
            path=item["path"],
            size=item["size"],
            mtime_ns=item["mtime_ns"],
            sha256=item["sha256"],
            parts=tuple((part, size) for part, size in item["parts"]),
        )
        for item in raw["files"]
    )
    return Backup(
        name=raw["name"],
        created_at=datetime.fromisoformat(raw["created_at"]),
        home_format=raw["home_format"],
        tenants=tuple(raw["tenants"]),
        files=files,
        removed_tenants=tuple(raw.get("removed_tenants", ())),
    )
