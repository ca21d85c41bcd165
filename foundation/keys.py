"""Keys: random ones for every tenant and for the home, in files that a master key opens (`foundation.key_files`).

The key of one purpose follows from a tenant's own random content (HKDF-SHA-256, RFC 5869). The master key derives none of them. It opens
the files, so that a tenant whose file is destroyed is unreadable for everybody.

There are two grants, and a file for each in which a tenant has keys:

    ingest     landed files, quarantine, index, patient vault, inbox, tokens; of the home: warehouse, names in the ledger, backups
    serving    published files, closed months, scopes; of the home: sessions, audit log

The master key is 32 bytes: base64 in the environment variable CLINICMART_MASTER_KEY, else the home's key file, which is made on first use.
It opens both grants. A process that needs one of them holds that grant's key (CLINICMART_SERVING_KEY, CLINICMART_INGEST_KEY) and no
master key; it can open nothing of the other grant. In place of a master key, a KMS may hold a key for each grant (`keys/provider.json`).
"""

import base64
import binascii
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from foundation import key_files
from foundation.errors import ConfigurationError
from foundation.home import CONTROL_FILE, Home
from foundation.key_files import TenantKeys
from foundation.key_masters import (
    GRANTS,
    INGEST,
    LENGTH,
    SERVING,
    LocalMaster,
    Master,
    Provider,
    expand,
    local_masters,
)
from foundation.removed_tenants import RemovedTenants

VARIABLE = "CLINICMART_MASTER_KEY"
SERVING_VARIABLE, INGEST_VARIABLE = "CLINICMART_SERVING_KEY", "CLINICMART_INGEST_KEY"
_GRANT_VARIABLES = {SERVING: SERVING_VARIABLE, INGEST: INGEST_VARIABLE}
# Which grant a process uses where a KMS decides by the process's credentials; both where it is not set.
GRANT_VARIABLE = "CLINICMART_KEY_GRANT"
# What a tenant has under the serving grant; everything else is under the ingest grant.
SERVING_TENANT_PURPOSES = ("published", "closes", "scopes", "scope files")
SERVING_HOME_PURPOSES = ("session", "audit")
# Surrogates of an earlier release had a key for each scope.
EARLIER_SURROGATE = "surrogate/"
# What is written again when a tenant's keys are rotated; keys of other purposes last, because what they made is compared for equality
# (tokens, hashes of messages and payments, surrogates) or held by processes that run for weeks (inbox).
ROTATING = ("landing", "vault", "published", "closes", "scope files")
# What is written under the keys; a home, or a tenant, that has any of these has had keys.
_ENCRYPTED = {
    INGEST: (
        "landing/{}/*/*.parquet",
        "quarantine/{}/*.parquet",
        "index/{}/*/*/*.parquet",
        "vault/{}.duckdb",
        "inbox/{}/*/*",
        "messages/{}.sqlite",
        "payments/{}.sqlite",
    ),
    SERVING: ("published/{}/*/base.duckdb", "closes/{}/*.duckdb"),
}
_ENCRYPTED_OF_HOME = ("warehouse/warehouse.duckdb", "access.sqlite", CONTROL_FILE)


@dataclass(frozen=True)
class Keys:
    """The keys that a process may use: those that its `masters` open, by grant. `master` is the master key where the process holds it.
    No key ever appears in `repr`."""

    home: Home
    masters: Mapping[str, Master] = field(repr=False, hash=False)
    master: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, home: Home) -> "Keys":
        """The keys that this process may use: of the grant whose key the environment holds, else of the home's KMS, else of the master
        key, which is made where the home is new.

        Raises ConfigurationError where a variable does not hold 32 bytes of base64, where the key of a home that holds data is missing,
        and where the home was written under another key.
        """
        masters = _masters_in_environment() or _masters_of_provider(home)
        if masters:
            keys = cls(home, masters)
        else:
            master = _key_in_environment(VARIABLE)
            master = master if master is not None else _key_file(home)
            keys = cls(home, local_masters(master), master)
        keys._check()
        return keys

    @classmethod
    def whole(cls, home: Home) -> "Keys":
        """`of`, for work that needs both grants. Raises ConfigurationError too where this process may use one alone."""
        keys = cls.of(home)
        if set(keys.masters) != set(GRANTS):
            raise ConfigurationError(
                "this process may use one grant alone; give it the master key, or the rights to both KMS keys"
            )
        return keys

    def _check(self) -> None:
        """Opens the home's own key files; makes those of a new home. Raises ConfigurationError where a file is missing or does not open."""
        for grant, master in self.masters.items():
            path = key_files.path_of(self.home, grant)
            try:
                if key_files.read(path, master) is not None:
                    continue
            except key_files.WrongMaster as error:
                raise ConfigurationError(self._wrong(grant, str(error))) from None
            if _has_data(self.home):
                raise ConfigurationError(
                    f"{self.home.path} holds data, but its key file {path} is missing; restore it from your backup"
                )
            if len(self.masters) < len(GRANTS):
                raise ConfigurationError(
                    f"{path} is missing; run clinicmart run once with the master key, which writes it"
                )
            with suppress(OSError):
                # Nothing is written into a home before its key is asked for.
                self.home.note_format()
            key_files.create(path, master, TenantKeys.new())

    def _wrong(self, grant: str, detail: str) -> str:
        if self.master:
            where = VARIABLE if VARIABLE in os.environ else str(self.home.master_key)
            return f"{where} holds another key than the one that {self.home.path} was written under; give the right one, from your backup"
        if isinstance(self.masters[grant], LocalMaster):
            return f"{_GRANT_VARIABLES[grant]} is not the key of {self.home.path}; clinicmart keys {grant} prints the right one ({detail})"
        return f"{self.home.path} names a KMS key that does not open it: {detail}"

    def derive(self, purpose: str, tenant_id: str = "") -> bytes:
        """32 bytes for one purpose (`token`, `inbox`, `landing`, `vault`, `warehouse`, `published`, `closes`, `session`) and tenant: the
        key to write with. A tenant without data gets keys with the first question.

        Raises ConfigurationError where this process may not use that key, and where the keys of a tenant that holds data are missing.
        """
        return self.derive_all(purpose, tenant_id)[0]

    def derive_all(self, purpose: str, tenant_id: str = "") -> tuple[bytes, ...]:
        """The keys to read with: the one that `derive` gives, then earlier ones while a rotation is under way."""
        held = self.of_tenant(_grant_of(purpose, tenant_id), tenant_id, purpose)
        if not tenant_id or purpose not in ROTATING:
            return (held.lasting_key(purpose),)
        return tuple(generation.key(purpose) for generation in held.generations)

    def derive_hex(self, purpose: str, tenant_id: str = "") -> str:
        """`derive` as 64 hexadecimal digits, for a database file's `encryption_key`."""
        return self.derive(purpose, tenant_id).hex()

    def derive_all_hex(self, purpose: str, tenant_id: str = "") -> tuple[str, ...]:
        """`derive_all` as hexadecimal digits."""
        return tuple(key.hex() for key in self.derive_all(purpose, tenant_id))

    def derive_for_scope(self, purpose: str, tenant_id: str, scope_hash: str) -> str:
        """64 hexadecimal digits for one scope of a tenant: of its surrogates (`surrogate`), of a worklist (`worklist`), or of
        the texts that people saved (`query`, `report` and `annotation`, with an empty scope)."""
        return expand(self.derive("scopes", tenant_id), f"{purpose}/{scope_hash}").hex()

    def of_scope_file(self, tenant_id: str, scope_hash: str) -> tuple[str, ...]:
        """Keys of the file of one scope, hexadecimal: the one to write with, then earlier ones."""
        return tuple(expand(key, f"file/{scope_hash}").hex() for key in self.derive_all("scope files", tenant_id))

    def of_tenant(self, grant: str, tenant_id: str, purpose: str = "") -> TenantKeys:
        """A tenant's key file of a grant, made where the tenant has no data yet. Raises ConfigurationError as `derive` does."""
        master = self.masters.get(grant)
        if master is None:
            (held,) = self.masters
            raise ConfigurationError(
                f"this process holds the {held} key, which is not for {purpose or grant} data; unset {_GRANT_VARIABLES[held]} "
                "and give the master key to run this command"
            )
        path = key_files.path_of(self.home, grant, tenant_id)
        held_keys = key_files.read(path, master)
        if held_keys is not None:
            return held_keys
        removal = RemovedTenants.of(self.home).tenants.get(tenant_id)
        if removal is not None:
            raise ConfigurationError(
                f"the tenant {tenant_id} was removed on {removal.begun_at:%d %b %Y} and its keys are destroyed; take it out of the "
                "configuration, or give a new tenant another id"
            )
        if any(next(self.home.path.glob(pattern.format(tenant_id)), None) for pattern in _ENCRYPTED[grant]):
            raise ConfigurationError(
                f"{self.home.path} holds data of {tenant_id}, but the key file {path} is missing; restore it from your backup"
            )
        if grant == SERVING and len(self.masters) < len(GRANTS):
            raise ConfigurationError(
                f"{tenant_id}: the serving keys of this tenant are missing; run clinicmart run once"
            )
        key_files.create(path, master, TenantKeys.new())
        return self.of_tenant(grant, tenant_id, purpose)

    @property
    def serving_key(self) -> bytes:
        """32 bytes that open the serving grant, to be given to another process. Raises ConfigurationError as `grant_key` does."""
        return self.grant_key(SERVING)

    def grant_key(self, grant: str) -> bytes:
        """32 bytes that open one grant. Nobody can work out the master key from them. Raises ConfigurationError in a process that does not
        hold the master key, and where a KMS holds the keys."""
        master = self.masters.get(grant)
        if not self.master or not isinstance(master, LocalMaster):
            raise ConfigurationError(
                f"this process holds no master key from which the {grant} key follows; unset {SERVING_VARIABLE} and {INGEST_VARIABLE} to "
                f"run this command. Where a KMS holds the keys, set {GRANT_VARIABLE}={grant} in place of a key"
            )
        return master.secret

    def add_tenants(self, tenant_ids: Collection[str]) -> None:
        """Makes the keys of tenants that have none yet, so that a process with one grant finds them. Raises ConfigurationError in a
        process that may not use both grants."""
        for tenant_id in tenant_ids:
            for grant in GRANTS:
                self.of_tenant(grant, tenant_id, grant)


@contextmanager
def serving_keys(home: Home) -> Iterator[None]:
    """Within it this process, and every process that it starts, may use the serving grant alone.

    Raises ConfigurationError as `Keys.of` does.
    """
    keys = Keys.of(home)
    if tuple(keys.masters) == (SERVING,):
        yield
        return
    keys.add_tenants(home.published_tenants())
    names = (VARIABLE, INGEST_VARIABLE, SERVING_VARIABLE, GRANT_VARIABLE)
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    if keys.master:
        os.environ[SERVING_VARIABLE] = base64.b64encode(keys.serving_key).decode()
    else:
        os.environ[GRANT_VARIABLE] = SERVING
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ |= before


def earlier_master(home: Home) -> bytes:
    """The master key of a home of format 2 or before. Raises ConfigurationError where it is missing or not 32 bytes."""
    master = _key_in_environment(VARIABLE)
    return master if master is not None else _key_file(home)


def _grant_of(purpose: str, tenant_id: str) -> str:
    if not tenant_id:
        return SERVING if purpose in SERVING_HOME_PURPOSES else INGEST
    is_serving = purpose in SERVING_TENANT_PURPOSES or purpose.startswith(EARLIER_SURROGATE)
    return SERVING if is_serving else INGEST


def _masters_in_environment() -> dict[str, Master]:
    """The masters of the grants whose keys the environment holds."""
    keys = {grant: _key_in_environment(variable) for grant, variable in _GRANT_VARIABLES.items()}
    return {grant: LocalMaster(key) for grant, key in keys.items() if key is not None}


def _masters_of_provider(home: Home) -> dict[str, Master]:
    """The masters of the home's KMS that this process wants to use; empty where the home has none."""
    provider = Provider.of(home)
    if provider is None:
        return {}
    wanted = os.environ.get(GRANT_VARIABLE)
    if wanted is not None and wanted not in GRANTS:
        raise ConfigurationError(f"{GRANT_VARIABLE} must be one of {', '.join(GRANTS)}, not {wanted!r}")
    return {grant: master for grant, master in provider.masters().items() if wanted in (None, grant)}


def _key_in_environment(variable: str) -> bytes | None:
    """The 32 bytes that a variable holds in base64; None where it is not set. Raises ConfigurationError for anything else."""
    value = os.environ.get(variable)
    if value is None:
        return None
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != LENGTH:
        raise ConfigurationError(f"{variable} must be {LENGTH} bytes in base64")
    return key


def _key_file(home: Home) -> bytes:
    """The key in the home's file; a new one where the home is new."""
    path = home.master_key
    try:
        master = path.read_bytes()
    except FileNotFoundError:
        if _has_data(home):
            raise ConfigurationError(
                f"{home.path} holds data, but its key {path} is missing; restore it from your backup, or set {VARIABLE}"
            ) from None
        master = new_key_file(path)
    if len(master) != LENGTH:
        raise ConfigurationError(f"{path} is not a key of {LENGTH} bytes; restore it from your backup")
    return master


def new_key_file(path: Path) -> bytes:
    """Makes a file with a new key; of two processes that make one at the same time, both get the same."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(secrets.token_bytes(LENGTH))
        handle.flush()
        os.fsync(handle.fileno())
    with suppress(FileExistsError):
        os.link(part, path)
    part.unlink()
    return path.read_bytes()


def _has_data(home: Home) -> bool:
    """Whether something lies in the home that a new key could not open."""
    patterns = (*_ENCRYPTED_OF_HOME, *(pattern.format("*") for grant in GRANTS for pattern in _ENCRYPTED[grant]))
    return any(next(home.path.glob(pattern), None) is not None for pattern in patterns)
