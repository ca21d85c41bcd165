"""What wraps the keys of tenants: a master key of this machine, or a key that a cloud KMS holds.

There is one master for each grant (`GRANTS`): `ingest` for what feeds bring, `serving` for what pages read. Neither can open what the
other wrapped. A master wraps 32 bytes for a context, and unwraps them for the same context only.
"""

import json
import secrets
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation import formats
from foundation.errors import ConfigurationError, DamagedFileError
from foundation.home import Home
from foundation.kept_files import KeptFile

LENGTH = 32
INGEST, SERVING = "ingest", "serving"
GRANTS = (INGEST, SERVING)
AWS_KMS = "aws-kms"
PROVIDER = "provider.json"
_NONCE = 12


def expand(secret: bytes, name: str) -> bytes:
    """32 bytes for a name: HKDF-SHA-256 (RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=LENGTH, salt=None, info=f"clinicmart/{name}".encode()).derive(secret)


def seal(key: bytes, clear: bytes, context: str) -> bytes:
    """AES-256-GCM with a random nonce in front; `context` is authenticated."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, clear, context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> bytes:
    """What `seal` sealed. Raises DamagedFileError for another key, other bytes or another context."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode())
    except (InvalidTag, ValueError):
        raise DamagedFileError(f"{context}: does not open with this key") from None


class Master(Protocol):
    """Wraps keys. `name` tells masters apart and is no secret."""

    @property
    def name(self) -> str: ...

    def __hash__(self) -> int: ...

    def wrap(self, key: bytes, context: str) -> bytes:
        """The wrapped key. Raises ConfigurationError where the master may not be used."""

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """The key again. Raises DamagedFileError for other bytes, ConfigurationError where the master may not be used."""


@dataclass(frozen=True)
class LocalMaster:
    """A master key that this process holds: 32 bytes."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return f"local:{expand(self.secret, 'name')[:8].hex()}"

    def wrap(self, key: bytes, context: str) -> bytes:
        return seal(expand(self.secret, "wrap"), key, context)

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        return unseal(expand(self.secret, "wrap"), wrapped, context)


@dataclass(frozen=True)
class AwsKmsMaster:
    """A symmetric key in AWS KMS, by its id or ARN. The rights of the process's AWS credentials decide whether it may use it: grant the
    web server `kms:Decrypt` on the serving key alone. `region` and `endpoint` default to those of the environment."""

    key_id: str
    region: str = ""
    endpoint: str = ""

    @property
    def name(self) -> str:
        return f"{AWS_KMS}:{self.key_id}"

    def wrap(self, key: bytes, context: str) -> bytes:
        answer = self._call("encrypt", KeyId=self.key_id, Plaintext=key, EncryptionContext=_kms_context(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        return _unwrapped_by_kms(self, wrapped, context)

    def _call(self, operation: str, **request: object) -> dict[str, Any]:
        import botocore.exceptions

        try:
            answer: dict[str, Any] = getattr(_kms_client(self.region, self.endpoint), operation)(**request)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise ConfigurationError(
                f"AWS KMS: {operation} with the key {self.key_id} failed: {error}; check the key, its policy and the AWS credentials of "
                "this process"
            ) from None
        return answer


@lru_cache(maxsize=4096)
def _unwrapped_by_kms(master: AwsKmsMaster, wrapped: bytes, context: str) -> bytes:
    """Asked once in a process: each question is a call over the network."""
    request = {"CiphertextBlob": wrapped, "EncryptionContext": _kms_context(context), "KeyId": master.key_id}
    return bytes(master._call("decrypt", **request)["Plaintext"])


@cache
def _kms_client(region: str, endpoint: str) -> Any:
    # Imported here: only homes that use KMS need it.
    from botocore.config import Config
    from botocore.session import get_session

    settings = Config(connect_timeout=10, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    return get_session().create_client(
        "kms", region_name=region or None, endpoint_url=endpoint or None, config=settings
    )


def _kms_context(context: str) -> dict[str, str]:
    return {"clinicmart": context}


class Provider(KeptFile):
    """`keys/provider.json`: the KMS whose keys wrap those of this home; absent where a master key of this machine does."""

    FORMAT = formats.KEYS
    provider: str
    ingest: str
    serving: str
    region: str = ""
    endpoint: str = ""

    @classmethod
    def of(cls, home: Home) -> "Provider | None":
        """The provider of a home. Raises ConfigurationError for one that this release does not know."""
        provider = cls.read(home.keys / PROVIDER)
        if provider is not None and provider.provider != AWS_KMS:
            raise ConfigurationError(
                f"{home.keys / PROVIDER} names the provider {provider.provider!r}; this release knows {AWS_KMS}"
            )
        return provider

    def masters(self) -> dict[str, Master]:
        """Grant to its master."""
        return {
            grant: AwsKmsMaster(getattr(self, grant), region=self.region, endpoint=self.endpoint) for grant in GRANTS
        }

    def note(self, home: Home) -> None:
        """Makes this the provider of a home."""
        home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.write(home.keys / PROVIDER)


def local_masters(root: bytes) -> dict[str, Master]:
    """Grant to its master, of a root key. Nobody can work out the root from a master, nor one master from the other."""
    return {grant: LocalMaster(expand(root, f"{grant}/")) for grant in GRANTS}


def as_json(content: object) -> bytes:
    """JSON with sorted names and no blanks."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
