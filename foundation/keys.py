"""Keys: one master key, and a key of its own for every purpose and tenant derived from it (HKDF-SHA-256, RFC 5869).

The master key is 32 bytes: base64 in the environment variable CLINICMART_MASTER_KEY, else the home's key file, which
is made on first use. Losing it loses the home: nothing written under it can be read again.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.errors import ConfigurationError
from foundation.home import Home, write_atomically

VARIABLE = "CLINICMART_MASTER_KEY"
LENGTH = 32
# Tells a wrong key before anything is read: a keyed hash of a fixed word.
CHECK = "key-check"
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
        """Reads the master key, or makes it where the home has none.

        Raises ConfigurationError where the variable does not hold 32 bytes of base64, where the key of a home that holds data
        is missing, and where the home was written under another key.
        """
        given = os.environ.get(VARIABLE)
        if given is not None:
            try:
                master = base64.b64decode(given, validate=True)
            except binascii.Error:
                master = b""
            if len(master) != LENGTH:
                raise ConfigurationError(f"{VARIABLE} must be {LENGTH} bytes in base64")
        keys = cls(master if given is not None else _key_file(home))
        keys._check(home, is_from_file=given is None)
        return keys

    def _check(self, home: Home, *, is_from_file: bool) -> None:
        """Raises ConfigurationError where the home was written under another key. Its check value says so before anything is
        read or written; a home of an earlier release gets one from its key file."""
        wanted = hmac.new(self.derive("check"), b"clinicmart", hashlib.sha256).hexdigest()
        path = home.path / CHECK
        try:
            kept = path.read_text("ascii").strip()
        except FileNotFoundError:
            if is_from_file or not _has_data(home):
                with suppress(OSError):
                    write_atomically(path, f"{wanted}\n".encode())
            return
        if not hmac.compare_digest(kept, wanted):
            where = f"{home.master_key} holds" if is_from_file else f"{VARIABLE} holds"
            raise ConfigurationError(
                f"{where} another key than the one that {home.path} was written under; give the right one, from your backup"
            )

    def derive(self, purpose: str, tenant_id: str = "") -> bytes:
        """32 bytes for one purpose (`token`, `inbox`, `landing`, `vault`, `warehouse`, `published`, `closes`, `session`) and tenant."""
        info = f"clinicmart/{purpose}/{tenant_id}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=LENGTH, salt=None, info=info).derive(self.master)

    def derive_hex(self, purpose: str, tenant_id: str = "") -> str:
        """The same as 64 hexadecimal digits, for a database file's `encryption_key`."""
        return self.derive(purpose, tenant_id).hex()


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
