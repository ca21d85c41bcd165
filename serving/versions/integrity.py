"""Whether the files of a version are those that were published: a disk loses bytes without a word.

A file is read again where its size or time changed, and otherwise once a day; that it was sound is noted beside it. A version
that a reader found damaged is noted too, is no longer served while an earlier one is whole, and is published again.
"""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from foundation.home import Home
from foundation.kept_files import read_derived, write_derived
from serving.model import Version
from serving.versions.retention import kept_versions
from serving.versions.store import current_version, files_of

CHECKED = "checked.json"
DAMAGED = "damaged"
CHECK_AGAIN = timedelta(days=1)
# The digest in the notes of a version for a file that is written again under another key: nobody takes it for damaged meanwhile.
BEING_REPLACED = ""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def is_undamaged(home: Home, version: Version, *, now: datetime | None = None) -> bool:
    """Whether the base and health files of a version are there and hold the bytes that were written.

    A file without a digest counts as sound where it is there: an earlier release kept none, and a rotation of keys replaces files.
    """
    files = files_of(home, version.tenant_id, version.version)
    if _is_noted(home, version):
        return False
    now = now or datetime.now(UTC)
    checked = _checked(files.folder)
    noted: dict[str, list[float]] = {}
    for path in (files.base, files.health):
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        wanted, state = version.digests.get(path.name), [status.st_size, status.st_mtime_ns]
        last = checked.get(path.name)
        is_recent = (
            last is not None and last[:2] == state and 0 <= now.timestamp() - last[2] < CHECK_AGAIN.total_seconds()
        )
        if wanted and not is_recent:
            if digest_of(path) != wanted:
                note_damage(home, version)
                return False
            noted[path.name] = [*state, now.timestamp()]
    if noted:
        with suppress(OSError):
            write_derived(files.folder / CHECKED, checked | noted)
    return True


def note_damage(home: Home, version: Version) -> None:
    """From now on the version counts as damaged. Nothing happens where the home cannot be written."""
    with suppress(OSError):
        (files_of(home, version.tenant_id, version.version).folder / DAMAGED).touch(mode=0o600)


def _checked(folder: Path) -> dict[str, list[float]]:
    """File name to its size, its time and when it was found sound."""
    return read_derived(folder / CHECKED)


def last_sound_version(home: Home, tenant_id: str) -> Version | None:
    """The served version, or, where it was lost or found damaged, the newest kept one that was not; None where nothing is published."""
    served = current_version(home, tenant_id)
    if served is None or can_be_served(home, served):
        return served
    whole = [version for version in kept_versions(home, tenant_id) if can_be_served(home, version)]
    return whole[-1] if whole else served


def can_be_served(home: Home, version: Version) -> bool:
    """Whether the files that readers open are there and none was found damaged."""
    files = files_of(home, version.tenant_id, version.version)
    needed = (files.base, files.health, files.registry, files.semantic_manifest)
    return not _is_noted(home, version) and all(path.exists() for path in needed)


def _is_noted(home: Home, version: Version) -> bool:
    return (files_of(home, version.tenant_id, version.version).folder / DAMAGED).exists()
