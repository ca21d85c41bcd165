"""A new master key for a home, while everything goes on: both keys open it until the rotation is finished.

    rotate(home)      a new master opens every key file too
    finish(home)      the master that this process holds is the only one that opens them

A rotation that was killed is repeated. Nothing that a tenant's keys wrote is touched.
"""

import base64
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from foundation import key_files
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.key_files import TenantKeys
from foundation.key_masters import GRANTS, LENGTH, PROVIDER, Master, Provider, local_masters
from foundation.keys import VARIABLE, Keys, new_key_file

# The new master key until every key file opens with it, and the earlier one until the rotation is finished.
_NEXT, _EARLIER = "master.key.next", "master.key.earlier"


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """What was done: `files` are key files. `new_key`: base64 of the new master key where it must be given to processes in their
    environment, because the home holds no file of it; empty otherwise. `masters`: the name of the new master of each grant."""

    files: int
    masters: Mapping[str, str]
    new_key: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What was done: key files that an earlier master no longer opens, and the names of the earlier masters."""

    files: int
    closed: tuple[str, ...]


def rotate(home: Home, provider: Provider | None = None) -> Rotated:
    """Lets a new master open every key file: the keys of a KMS where `provider` names them, else a new master key.

    From then on the home works with the new master: a new file in place of the home's key file, or the KMS. Processes that hold the
    earlier key go on. Raises ConfigurationError where this process may not open both grants, and where the last rotation to a key file
    is not finished.
    """
    with key_files.locked(home):
        keys = Keys.whole(home)
        if provider is not None:
            masters = provider.masters()
            count = _add(home, keys, masters)
            provider.note(home)
            return Rotated(files=count, masters=_names(masters))
        is_in_file = VARIABLE not in os.environ
        # A rotation that was killed left the key that it had begun to add.
        following = home.keys / _NEXT
        if (home.keys / _EARLIER).exists() and not following.exists():
            raise ConfigurationError("the last rotation is not finished; run clinicmart keys rotate --finish first")
        new = new_key_file(following) if is_in_file else secrets.token_bytes(LENGTH)
        masters = local_masters(new)
        count = _add(home, keys, masters)
        if is_in_file:
            if keys.master:
                with suppress(FileExistsError):
                    os.link(home.master_key, home.keys / _EARLIER)
            os.replace(following, home.master_key)
        (home.keys / PROVIDER).unlink(missing_ok=True)
        return Rotated(
            files=count, masters=_names(masters), new_key="" if is_in_file else base64.b64encode(new).decode()
        )


def finish(home: Home) -> Finished:
    """Takes the home from every master but those that this process holds.

    Raises ConfigurationError where they do not open every file, and where they are not those that were added last.
    """
    with key_files.locked(home):
        keys = Keys.whole(home)
        for earlier in (home.keys / _EARLIER, home.master_key):
            if earlier.exists() and earlier.read_bytes() != keys.master:
                # A process that still held the earlier key may have made keys of a new tenant.
                _add(home, Keys(home, local_masters(earlier.read_bytes())), keys.masters)
        paths = [(path, keys.masters[grant]) for grant in GRANTS for path in key_files.paths(home, grant)]
        for path, master in paths:
            # All are opened before anything is taken away.
            key_files.read(path, master)
            if key_files.newest_master(path) != master.name:
                raise ConfigurationError("this process holds the earlier key; give it the new one, then finish")
        closed = [names for path, master in paths if (names := key_files.keep_master(path, master))]
        for name in (_NEXT, _EARLIER):
            (home.keys / name).unlink(missing_ok=True)
        if not keys.master:
            # The KMS opens the home: a master key that is still there opens nothing any more.
            home.master_key.unlink(missing_ok=True)
    return Finished(files=len(closed), closed=tuple(sorted({name for names in closed for name in names})))


def key_list(home: Home) -> list[dict[str, object]]:
    """What opens each key file: grant, tenant (empty for the home's own), masters, number of generations, fingerprint, and whether a file
    may be under a key that follows from the master key of an earlier release."""
    keys = Keys.of(home)
    listed: list[dict[str, object]] = []
    for grant, master in keys.masters.items():
        for path in key_files.paths(home, grant):
            held = key_files.read(path, master)
            assert isinstance(held, TenantKeys)
            listed.append(
                {
                    "tenant_id": path.stem if path.parent.name == "tenants" else "",
                    "grant": grant,
                    "masters": key_files.masters_of(path),
                    "generations": [item.number for item in held.generations],
                    "fingerprint": held.fingerprint,
                    "follows_from_earlier_master": held.follows_from_earlier_master,
                }
            )
    return sorted(listed, key=lambda item: (str(item["tenant_id"]), str(item["grant"])))


def _add(home: Home, keys: Keys, masters: Mapping[str, Master]) -> int:
    count = 0
    for grant, added in masters.items():
        for path in key_files.paths(home, grant):
            key_files.add_master(path, keys.masters[grant], added)
            count += 1
    return count


def _names(masters: Mapping[str, Master]) -> dict[str, str]:
    return {grant: master.name for grant, master in masters.items()}
