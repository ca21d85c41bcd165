"""The keys of one tenant under one grant, in a file that a master of that grant opens.

    keys/<grant>/home.key                what belongs to no tenant
    keys/<grant>/tenants/<tenant>.key    what belongs to a tenant

The content is random and exists nowhere else: who destroys the file makes what was written under it unreadable for ever. It is sealed
with a data key (AES-256-GCM), and the data key is wrapped by one master or more. So a new master needs no change of the content.

    lasting        keys that never change: those of tokens in the rows, of hashes that are compared, of the inbox
    generations    the newest is written with; all are read with, until everything of an earlier one was written again
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from foundation import formats
from foundation.config import TENANT_ID
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home, write_atomically
from foundation.kept_files import KeptFile
from foundation.key_masters import LENGTH, Master, as_json, expand, seal, unseal


class WrongMaster(ConfigurationError):
    """A key file that another master wrote."""


@dataclass(frozen=True)
class Generation:
    """Keys that were made together. `carried` are those of an earlier release, by purpose; the others follow from `secret`. `number`
    counts from 1."""

    number: int
    secret: bytes = field(repr=False)
    carried: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def new(cls, number: int = 1, carried: Mapping[str, bytes] | None = None) -> "Generation":
        return cls(number, secrets.token_bytes(LENGTH), carried or {})

    def key(self, purpose: str) -> bytes:
        return self.carried.get(purpose) or expand(self.secret, purpose)


@dataclass(frozen=True)
class TenantKeys:
    """The content of a key file. `generations` has the newest first; what is not in `lasting` of a lasting purpose follows from its own
    secret."""

    generations: tuple[Generation, ...] = field(repr=False)
    lasting_secret: bytes = field(repr=False)
    lasting: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def new(
        cls, carried: Mapping[str, bytes] | None = None, lasting: Mapping[str, bytes] | None = None
    ) -> "TenantKeys":
        """New random keys, with those of an earlier release where there are any."""
        return cls((Generation.new(carried=carried),), secrets.token_bytes(LENGTH), lasting or {})

    @property
    def fingerprint(self) -> str:
        """Tells one key file from another without saying anything of the keys."""
        return expand(self.lasting_secret, "fingerprint")[:8].hex()

    @property
    def follows_from_earlier_master(self) -> bool:
        """Whether a file may lie in the home under a key that the master key of an earlier release derives."""
        return any(generation.carried for generation in self.generations)

    def lasting_key(self, purpose: str) -> bytes:
        return self.lasting.get(purpose) or expand(self.lasting_secret, purpose)

    def with_new_generation(self) -> "TenantKeys":
        return replace(self, generations=(Generation.new(self.generations[0].number + 1), *self.generations))

    def with_newest_only(self) -> "TenantKeys":
        return replace(self, generations=self.generations[:1])

    def to_bytes(self) -> bytes:
        return as_json(
            {
                "lasting_secret": self.lasting_secret.hex(),
                "lasting": {name: key.hex() for name, key in self.lasting.items()},
                "generations": [
                    {
                        "number": item.number,
                        "secret": item.secret.hex(),
                        "carried": {name: key.hex() for name, key in item.carried.items()},
                    }
                    for item in self.generations
                ],
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> "TenantKeys":
        raw = json.loads(content)
        return cls(
            tuple(
                Generation(item["number"], bytes.fromhex(item["secret"]), _from_hex(item["carried"]))
                for item in raw["generations"]
            ),
            bytes.fromhex(raw["lasting_secret"]),
            _from_hex(raw["lasting"]),
        )


class _KeyFile(KeptFile):
    """The form of a key file. `wraps` has the data key by the name of each master that opens it."""

    FORMAT = formats.KEYS
    wraps: dict[str, str]
    sealed: str


def locked(home: Home) -> FileLock:
    """A process holds it while it reads key files and writes them again: else one change overwrites another. It is taken last."""
    return FileLock(home.keys / ".lock")


def path_of(home: Home, grant: str, tenant_id: str = "") -> Path:
    """Where the keys of a tenant, or of no tenant, are. Raises ConfigurationError for what is not a tenant id, before it is a path."""
    if not tenant_id:
        return home.keys / grant / "home.key"
    if not TENANT_ID.fullmatch(tenant_id):
        raise ConfigurationError(f"{tenant_id!r} is not the id of a tenant")
    return home.keys / grant / "tenants" / f"{tenant_id}.key"


def paths(home: Home, grant: str) -> list[Path]:
    """Every key file of a grant."""
    return [
        path for path in (path_of(home, grant), *sorted((home.keys / grant).glob("tenants/*.key"))) if path.exists()
    ]


def read(path: Path, master: Master) -> TenantKeys | None:
    """The keys in a file; None where it is absent. Raises ConfigurationError where the master does not open it, DamagedFileError where it
    lost bytes."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return _opened(content, path, master)[1]


def create(path: Path, master: Master, keys: TenantKeys) -> None:
    """Writes a new file. Where another process was quicker, its file stays."""
    data_key = secrets.token_bytes(LENGTH)
    file = _KeyFile(
        wraps={master.name: _text(master.wrap(data_key, _context(path)))}, sealed=_sealed(path, data_key, keys)
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    write_atomically(part, file.to_bytes())
    with suppress(FileExistsError):
        os.link(part, path)
    part.unlink()
    sync(path.parent)


def replace_keys(path: Path, master: Master, keys: TenantKeys) -> None:
    """Replaces the content of a file; every master that opened it opens it still."""
    content = path.read_bytes()
    data_key, _ = _opened(content, path, master)
    file = _KeyFile.parse(content, path)
    file.model_copy(update={"sealed": _sealed(path, data_key, keys)}).write(path)
    sync(path.parent)


def add_master(path: Path, master: Master, added: Master) -> None:
    """Lets another master open a file too. Changes nothing where it does."""
    content = path.read_bytes()
    file = _KeyFile.parse(content, path)
    if added.name not in file.wraps:
        data_key, _ = _opened(content, path, master)
        wraps = file.wraps | {added.name: _text(added.wrap(data_key, _context(path)))}
        file.model_copy(update={"wraps": wraps}).write(path)


def keep_master(path: Path, master: Master) -> tuple[str, ...]:
    """Takes a file from every other master; returns their names. Raises what `read` raises where this one does not open it."""
    content = path.read_bytes()
    _opened(content, path, master)
    file = _KeyFile.parse(content, path)
    others = tuple(sorted(file.wraps.keys() - {master.name}))
    if others:
        file.model_copy(update={"wraps": {master.name: file.wraps[master.name]}}).write(path)
    return others


def masters_of(path: Path) -> tuple[str, ...]:
    """Names of the masters that open a file."""
    return tuple(sorted(_KeyFile.parse(path.read_bytes(), path).wraps))


def newest_master(path: Path) -> str:
    """The name of the master that was added last."""
    return next(reversed(_KeyFile.parse(path.read_bytes(), path).wraps))


def destroy(path: Path) -> None:
    """Removes a key file for ever; the folder is on disk without it when this returns."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        sync(path.parent)


def _opened(content: bytes, path: Path, master: Master) -> tuple[bytes, TenantKeys]:
    """(data key, keys) of a file's content."""
    try:
        return _parsed(content, str(path), master)
    except ClinicmartError:
        raise
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{path} is not a key file; restore it from your backup") from None


@lru_cache(maxsize=1024)
def _parsed(content: bytes, path: str, master: Master) -> tuple[bytes, TenantKeys]:
    file, context = _KeyFile.parse(content, Path(path)), _context(Path(path))
    wrapped = file.wraps.get(master.name)
    if wrapped is None:
        raise WrongMaster(f"{path} does not open with {master.name}; it opens with {', '.join(sorted(file.wraps))}")
    try:
        data_key = master.unwrap(base64.b64decode(wrapped), context)
        return data_key, TenantKeys.from_bytes(unseal(data_key, base64.b64decode(file.sealed), context))
    except ClinicmartError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{path} lost bytes; restore it from your backup") from None


def _sealed(path: Path, data_key: bytes, keys: TenantKeys) -> str:
    return _text(seal(data_key, keys.to_bytes(), _context(path)))


def _context(path: Path) -> str:
    """Binds a file to its place: that of one tenant or grant is not taken for another's. A copied home has the same."""
    return "/".join(path.parts[-2:] if path.name == "home.key" else path.parts[-3:])


def _from_hex(keys: Mapping[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(key) for name, key in keys.items()}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def sync(path: Path) -> None:
    """Returns when a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
