"""Keys: one master key, and one key for every purpose and tenant derived from it (HKDF-SHA-256, RFC 5869).

The master key is 32 bytes: base64 in the environment variable CLINICMART_MASTER_KEY, else the home's key file, which
is made on first use. Losing it loses the home: nothing written under it can be read again.

A process that serves pages holds the serving key instead (CLINICMART_SERVING_KEY). It opens the home's serving ring: the keys of
published files, closes, sessions and the audit log. It cannot derive the keys of landed files, the patient vault, the inbox or
the warehouse, nor the master key. Commands that hold the master key write the ring and keep it complete.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.errors import ConfigurationError
from foundation.home import Home, write_atomically

VARIABLE = "CLINICMART_MASTER_KEY"
LENGTH = 32
# Tells a wrong key before anything is read: a keyed hash of a fixed word.
CHECK = "key-check"
SERVING_VARIABLE = "CLINICMART_SERVING_KEY"
RING = "serving.ring"
RING_FORMAT = 1
# What the ring holds: for the home, and for every tenant.
SERVING_HOME_PURPOSES = ("session", "audit")
SERVING_TENANT_PURPOSES = ("published", "closes", "scopes")
_NONCE = 12
# What is written under the key; a home that has any of these has had one.
_ENCRYPTED = (
    "warehouse/warehouse.duckdb",
    "access.sqlite",
    "landing/*/*/*.parquet",
    "vault/*.duckdb",
    "published/*/*/base.duckdb",
    "closes/*/*",
    "inbox/*/*/*",
)


@dataclass(frozen=True)
class Keys:
    """Derives keys. The master key never appears in `repr`."""

    master: bytes = field(repr=False)

    @classmethod
    def of(cls, home: Home) -> "Keys":
        """The keys that this process may use: the serving ring's where the environment holds a serving key, else those of the master
        key, which is made where the home has none.

        Raises ConfigurationError where a variable does not hold 32 bytes of base64, where the key of a home that holds data is
        missing, where the home was written under another key, and where a serving key finds no ring.
        """
        serving_key = _key_in_environment(SERVING_VARIABLE)
        if serving_key is not None:
            return ServingKeys(b"", ring=_open_ring(home, serving_key))
        master = _key_in_environment(VARIABLE)
        keys = cls(master if master is not None else _key_file(home))
        keys._check(home, is_from_file=master is None)
        return keys

    def _check(self, home: Home, *, is_from_file: bool) -> None:
        """Raises ConfigurationError where the home was written under another key. Its check value says so before anything is
        read or written; a home of an earlier release gets one from its key file."""
        wanted = hmac.new(self.derive("check"), b"clinicmart", hashlib.sha256).hexdigest()
        path = home.path / CHECK
        try:
            kept = path.read_text("ascii").strip()
        except FileNotFoundError:
            is_new = not _has_data(home)
            with suppress(OSError):
                if is_new:
                    # Nothing is written into a home before its key is asked for.
                    home.note_format()
                if is_from_file or is_new:
                    write_atomically(path, f"{wanted}\n".encode())
            return
        if not hmac.compare_digest(kept, wanted):
            where = f"{home.master_key} holds" if is_from_file else f"{VARIABLE} holds"
            raise ConfigurationError(
                f"{where} another key than the one that {home.path} was written under; give the right one, from your backup"
            )

    def derive(self, purpose: str, tenant_id: str = "") -> bytes:
        """32 bytes for one purpose (`token`, `inbox`, `landing`, `vault`, `warehouse`, `published`, `closes`, `session`) and tenant.

        Raises ConfigurationError where this process may not use that key.
        """
        return _expand(self.master, f"{purpose}/{tenant_id}")

    def derive_hex(self, purpose: str, tenant_id: str = "") -> str:
        """The same as 64 hexadecimal digits, for a database file's `encryption_key`."""
        return self.derive(purpose, tenant_id).hex()

    def derive_for_scope(self, purpose: str, tenant_id: str, scope_hash: str) -> str:
        """64 hexadecimal digits for one scope of a tenant: of its file (`file`), or of its surrogates (`surrogate`)."""
        return _expand(self.derive("scopes", tenant_id), f"{purpose}/{scope_hash}").hex()

    @property
    def serving_key(self) -> bytes:
        """32 bytes that open the serving ring. Nobody can work out the master key from them."""
        return self.derive("serving")

    def grant_serving(self, home: Home, tenant_ids: Collection[str]) -> None:
        """Adds the serving keys of tenants to the home's ring, and makes the ring where there is none. Writes nothing where the ring
        holds them already. Raises ConfigurationError in a process that holds the serving key alone."""
        try:
            ring = _open_ring(home, self.serving_key)
        except ConfigurationError:
            # Absent, or of another key: it follows from the master key alone, so it is made again.
            ring = {}
        wanted = {f"{purpose}/" for purpose in SERVING_HOME_PURPOSES}
        wanted |= {f"{purpose}/{tenant_id}" for purpose in SERVING_TENANT_PURPOSES for tenant_id in tenant_ids}
        if wanted <= ring.keys():
            return
        ring = {**ring, **{name: _expand(self.master, name) for name in wanted}}
        content = {"format": RING_FORMAT, "keys": {name: key.hex() for name, key in sorted(ring.items())}}
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self.serving_key).encrypt(nonce, json.dumps(content).encode(), RING.encode())
        path = home.serving_ring
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, nonce + sealed)


@dataclass(frozen=True)
class ServingKeys(Keys):
    """The keys of a process that serves pages: those in the serving ring, and no others."""

    ring: Mapping[str, bytes] = field(repr=False)

    def derive(self, purpose: str, tenant_id: str = "") -> bytes:
        """As `Keys.derive`, for the purposes that the serving ring holds. Raises ConfigurationError for every other purpose, and
        for a tenant that is not in the ring yet."""
        key = self.ring.get(f"{purpose}/{tenant_id}")
        if key is None:
            if purpose in SERVING_TENANT_PURPOSES:
                raise ConfigurationError(
                    f"{tenant_id}: the serving ring does not hold this tenant's keys yet; run clinicmart run once"
                )
            raise ConfigurationError(
                f"this process holds the serving key, which is not for {purpose} data; unset {SERVING_VARIABLE} "
                "and give the master key to run this command"
            )
        return key


@contextmanager
def serving_keys(home: Home) -> Iterator[None]:
    """Within it this process, and every process that it starts, holds the serving key and not the master key.

    Raises ConfigurationError as `Keys.of` does.
    """
    keys = Keys.of(home)
    if isinstance(keys, ServingKeys):
        yield
        return
    keys.grant_serving(home, home.published_tenants())
    master = os.environ.pop(VARIABLE, None)
    os.environ[SERVING_VARIABLE] = base64.b64encode(keys.serving_key).decode()
    try:
        yield
    finally:
        del os.environ[SERVING_VARIABLE]
        if master is not None:
            os.environ[VARIABLE] = master


def _expand(secret: bytes, name: str) -> bytes:
    """32 bytes for a name (RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=LENGTH, salt=None, info=f"clinicmart/{name}".encode()).derive(secret)


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


def _open_ring(home: Home, serving_key: bytes) -> dict[str, bytes]:
    """Keys by `purpose/tenant`. Raises ConfigurationError where the ring is absent or does not open with the serving key."""
    path = home.serving_ring
    try:
        sealed = path.read_bytes()
        content = json.loads(AESGCM(serving_key).decrypt(sealed[:_NONCE], sealed[_NONCE:], RING.encode()))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} is missing; run clinicmart run once with the master key, which writes it"
        ) from None
    except (InvalidTag, ValueError):
        raise ConfigurationError(
            f"{SERVING_VARIABLE} does not open {path}; clinicmart keys serving prints the right one"
        ) from None
    if content["format"] > RING_FORMAT:
        raise ConfigurationError(f"{path} was written by a later release of Clinicmart; install that release")
    return {name: bytes.fromhex(key) for name, key in content["keys"].items()}


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
        master = _new_key_file(path)
    if len(master) != LENGTH:
        raise ConfigurationError(f"{path} is not a key of {LENGTH} bytes; restore it from your backup")
    return master


def _new_key_file(path: Path) -> bytes:
    """Makes a key; of two processes that make one at the same time, both get the same."""
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
    return any(next(home.path.glob(pattern), None) is not None for pattern in _ENCRYPTED)
