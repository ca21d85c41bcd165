"""Secrets of sign-in that must be read again: sealed in `access.sqlite` (AES-256-GCM), each bound to whom it belongs to."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.errors import ConfigurationError

_NONCE = 12
_LENGTH = 32


def seal(key: bytes, tenant_id: str, owner: str, secret: str) -> str:
    """The sealed secret as hexadecimal text. It opens for the same tenant and owner alone."""
    nonce = secrets.token_bytes(_NONCE)
    return (nonce + _cipher(key, tenant_id).encrypt(nonce, secret.encode(), owner.encode())).hex()


def unseal(key: bytes, tenant_id: str, owner: str, sealed: str) -> str:
    """The secret. Raises ConfigurationError where it was sealed under another key, or for another tenant or owner."""
    content = bytes.fromhex(sealed)
    try:
        return _cipher(key, tenant_id).decrypt(content[:_NONCE], content[_NONCE:], owner.encode()).decode()
    except InvalidTag:
        raise ConfigurationError(f"{tenant_id}: a sign-in secret of {owner} does not open; set it again") from None


def _cipher(key: bytes, tenant_id: str) -> AESGCM:
    """A key for each tenant, which follows from the store's own (RFC 5869)."""
    name = f"clinicmart/sign-in secrets/{tenant_id}".encode()
    return AESGCM(HKDF(algorithm=hashes.SHA256(), length=_LENGTH, salt=None, info=name).derive(key))
