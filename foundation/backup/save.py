"""One backup of a home, from its files at one moment to a record in a place of backups."""

import logging

from foundation.backup.frozen import Add, frozen
from foundation.backup.place import Place, Sent
from foundation.backup.restore import KEY_FILES, MASTER_KEY
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys

_progress = logging.getLogger("clinicmart.progress")


def save(home: Home, place: Place, add: Add = lambda _: None) -> Sent:
    """Backs a home up into a place. The caller holds `run_lock.backup`. The keys go along, sealed like all else. `add`: see `frozen`.

    Raises ConfigurationError for a place inside the home, and what the storage raises.
    """
    inside = place.storage.folder
    if inside is not None and inside.resolve().is_relative_to(home.path):
        raise ConfigurationError(f"{inside} is in the home; back up to another disk or to object storage")
    with frozen(home, add) as folder:
        _progress.info("the state of the home is taken; sending what is new")
        return place.write(folder, _keys(home), home_format=home.format, tenants=home.tenants)


def _keys(home: Home) -> dict[str, bytes]:
    """The key files by their paths in the home, and the master key; no master key where a KMS holds the keys."""
    master = Keys.of(home).master
    files = [path for pattern in KEY_FILES for path in sorted(home.path.glob(pattern))]
    content = {path.relative_to(home.path).as_posix(): path.read_bytes() for path in files}
    return content | ({MASTER_KEY: master} if master else {})
