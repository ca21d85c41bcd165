"""Keys: one master key, and a key of its own for every purpose and tenant derived from it (HKDF-SHA-256, RFC 5869).

The master key is 32 bytes: base64 in the environment variable CLINICMART_MASTER_KEY, else the home's key file, which
is made on first use. Losing it loses the home: nothing written under it can be read again.
"""

import base64
import binascii
import os
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.errors import ConfigurationError
from foundation.home import Home

VARIABLE = "CLINICMART_MASTER_KEY"
LENGTH = 32


@dataclass(frozen=True)
class Keys:
    """Derives keys. The master key never appears in `repr`."""

    master: bytes = field(repr=False)

    @classmethod
    def of(cls, home: Home) -> "Keys":
        """Reads the master key, or makes it where the home has none.

        Raises ConfigurationError where the variable does not hold 32 bytes of base64.
        """
        given = os.environ.get(VARIABLE)
        if given is not None:
            try:
                master = base64.b64decode(given, validate=True)
            except binascii.Error:
                master = b""
            if len(master) != LENGTH:
                raise ConfigurationError(f"{VARIABLE} must be {LENGTH} bytes in base64")
            return cls(master)
        path = home.master_key
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            master = path.read_bytes()
            if len(master) != LENGTH:
                raise ConfigurationError(
                    f"{path} is not a key of {LENGTH} bytes; restore it from your backup"
                ) from None
            return cls(master)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(secrets.token_bytes(LENGTH))
            handle.flush()
            os.fsync(handle.fileno())
        return cls(path.read_bytes())

    def derive(self, purpose: str, tenant_id: str = "") -> bytes:
        """32 bytes for one purpose (`token`, `inbox`, `landing`, `vault`, `warehouse`, `published`, `closes`, `session`) and tenant."""
        info = f"clinicmart/{purpose}/{tenant_id}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=LENGTH, salt=None, info=info).derive(self.master)

    def derive_hex(self, purpose: str, tenant_id: str = "") -> str:
        """The same as 64 hexadecimal digits, for a database file's `encryption_key`."""
        return self.derive(purpose, tenant_id).hex()
