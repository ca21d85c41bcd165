"""A new data key for a place of backups: every part is written again under it, and the earlier key is forgotten.

First the key file gets the new key, and has the earlier one sealed under it. From then on new backups use the new key, and all can be
read. Then each backup's parts and its record are written again. At the end the key file forgets the earlier key, and its parts are
removed. Who is killed runs the same again.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace

from foundation.backup.place import KeptFile, Place, path_of
from foundation.backup.sealing import KEY_FILE, Seals, key_file, new_recovery_key
from foundation.errors import ClinicmartError


def new_key(
    place: Place, home_key: bytes, recovery_key: str | None = None, *, shown: Callable[[str], None] = lambda _: None
) -> tuple[str, int]:
    """Gives a place a new data key and a new recovery key; returns (recovery key, number of parts that were written).

    `place` is opened with the key of its home. The caller holds `run_lock.backup`. `shown` gets the recovery key as soon as it opens the
    place and the one before does not. Raises DamagedFileError where a part is damaged: every backup can still be read then, with the
    new recovery key.
    """
    chosen = recovery_key or new_recovery_key()
    if not place.seals.earlier:
        place.seals = Seals(place.seals.place, secrets.token_bytes(32), (place.seals.data_key,))
    # Also where an earlier attempt was killed: its recovery key may have been shown to nobody.
    place.storage.write(KEY_FILE, key_file(place.seals, home_key, chosen))
    shown(chosen)
    newest, written = place.seals.newest_only, 0
    for name in place.names():
        backup, files = place.backup(name), []
        for file in backup.files:
            parts, count = _again(place, newest, file)
            files.append(replace(file, parts=parts))
            written += count
        place.write_record(replace(backup, files=tuple(files)))
    place.seals = newest
    needed = place.parts_of(place.names())
    place.storage.write(KEY_FILE, key_file(newest, home_key, chosen))
    place.remove_parts_but(needed)
    return chosen, written


def _again(place: Place, newest: Seals, file: KeptFile) -> tuple[tuple[tuple[str, int], ...], int]:
    """The parts of a file under the newest key, with their stored sizes, and how many of them were written. A backup that was
    made in between holds parts of both keys."""
    if all(newest.open(name, place.storage.read(path_of(name)) or b"") is not None for name, _ in file.parts):
        return file.parts, 0
    parts, written = [], 0
    for content in place.read_file(file):
        name = newest.name_of(content)
        path = path_of(name)
        there = place.storage.read(path)
        if there is None or newest.open(name, there) is None:
            there = newest.seal(name, content)
            place.storage.write(path, there)
            if place.storage.read(path) != there:
                raise ClinicmartError(
                    f"{place.storage.url}/{path} reads back as other bytes than were written; check the storage"
                )
            written += 1
        parts.append((name, len(there)))
    return tuple(parts), written
