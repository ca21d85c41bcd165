"""A home from a backup: written beside everything else, under its own name once it is whole.

The folder is `.<name>.restoring` until then, so that a restore that was killed leaves nothing that looks like a home.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foundation import formats
from foundation.backup.place import Backup, KeptFile, Place
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import AUDIT_HEADS, Home

_KEYS = "keys"
MASTER_KEY = f"{_KEYS}/master.key"
KEY_FILES = (f"{_KEYS}/*/home.key", f"{_KEYS}/*/tenants/*.key", f"{_KEYS}/*.json")
# Folders whose second level is the tenant, and those whose files bear the tenant's name.
_BY_FOLDER = frozenset({"landing", "index", "quarantine", "inbox", "published", "closes"})
_BY_FILE = frozenset({"vault", "messages", "payments"})
# The heads of the audit of the whole home say nothing of the log that one tenant's home begins.
_OF_THE_WHOLE = frozenset({AUDIT_HEADS})


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was restored: files and bytes."""

    backup: Backup
    home: Home
    files: int
    size_bytes: int


def restore(
    place: Place,
    target: Path,
    *,
    at: str | None = None,
    tenant: str | None = None,
    with_key: bool = True,
    finish: Callable[[Home, Backup], None] = lambda *_: None,
) -> Restored:
    """Writes a home from a backup: all of it, or one tenant. `with_key`: with its master key as a file.

    `finish` is called with the restored home, under a passing name, before it counts; it brings the backup of an earlier release to the
    form of this one. Every part and every file is checked.
    Raises ConfigurationError where the target holds something, or the backup or tenant is not there; DamagedFileError where the backup
    was altered; ClinicmartError where the disk has no room.
    """
    target = target.expanduser().resolve()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ConfigurationError(f"{target} is not empty; restore into a new folder")
    backup = place.backup(at)
    if backup.home_format > formats.HOME:
        raise ConfigurationError(f"backup {backup.name} is of a later release of Clinicmart; install that release")
    if tenant is not None and tenant not in backup.tenants:
        raise ConfigurationError(f"backup {backup.name} has no tenant {tenant!r}; it has: {', '.join(backup.tenants)}")
    files = [file for file in backup.files if _is_wanted(file, tenant) and (with_key or file.path != MASTER_KEY)]
    size = sum(file.size for file in files)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise ClinicmartError(
            f"{target.parent}: {free >> 20:,} MB are free on its disk and the backup needs {size >> 20:,} MB"
        )
    folder = target.with_name(f".{target.name}.restoring")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        for file in files:
            _write(place, file, folder)
        finish(Home.of_any_format(folder), backup)
        if target.exists():
            target.rmdir()
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Restored(backup=backup, home=Home.at(target), files=len(files), size_bytes=size)


def tenant_of(path: str) -> str | None:
    """The tenant that a file of a home belongs to, by its path in it; None for what is the home's."""
    parts = Path(path).parts
    if len(parts) > 2 and parts[0] in _BY_FOLDER:
        return parts[1]
    if (parts[0] == _KEYS and parts[-2] == "tenants") or (len(parts) == 2 and parts[0] in _BY_FILE):
        return Path(parts[-1]).stem
    return None


def _is_wanted(file: KeptFile, tenant: str | None) -> bool:
    """Whether a file belongs to a home that holds one tenant. Files of folders that this release does not know belong to the whole."""
    parts = Path(file.path).parts
    if tenant is None:
        return True
    if len(parts) == 1:
        return file.path not in _OF_THE_WHOLE
    return tenant_of(file.path) == tenant or (parts[0] == _KEYS and tenant_of(file.path) is None)


def _write(place: Place, file: KeptFile, folder: Path) -> None:
    path = (folder / file.path).resolve()
    if not path.is_relative_to(folder):
        raise ConfigurationError(f"the backup names a file outside the home: {file.path}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        for content in place.read_file(file):
            handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    if file.mtime_ns:
        os.utime(path, ns=(file.mtime_ns, file.mtime_ns))
