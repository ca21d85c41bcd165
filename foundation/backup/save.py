"""One backup of a home, from its files at one moment to a record in a place of backups."""

import logging

from foundation.backup.frozen import frozen
from foundation.backup.place import Place, Sent
from foundation.backup.restore import MASTER_KEY
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys

_progress = logging.getLogger("clinicmart.progress")


def save(home: Home, place: Place) -> Sent:
    """Backs a home up into a place. The caller holds `run_lock.backup`. The master key goes along, sealed like all else.

    Raises ConfigurationError for a place inside the home, and what the storage raises.
    """
    inside = place.storage.folder
    if inside is not None and inside.resolve().is_relative_to(home.path):
        raise ConfigurationError(f"{inside} is in the home; back up to another disk or to object storage")
    with frozen(home) as folder:
        _progress.info("the state of the home is taken; sending what is new")
        return place.write(folder, {MASTER_KEY: Keys.of(home).master}, home_format=home.format, tenants=home.tenants)
