"""The keys of a place of backups, and what is sealed with them.

    clinicmart-backup.json   the data key of the place, sealed twice: under a key of the home, so that backups need nobody, and under
                             the recovery key that the operator keeps, so that a lost home can be restored
    data/ab/<name>           a part of a file: AES-256-GCM; its name is a keyed hash (HMAC-SHA-256) of its content
    backups/<name>           what a backup consists of: AES-256-GCM

The recovery key opens everything in the place, the home's master key among it. It is kept nowhere: not in the home, not in the place.
"""

import base64
import hashlib
import hmac
import json
import secrets
import zlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from foundation.errors import ConfigurationError, DamagedFileError

FORMAT = 1
KEY_FILE = "clinicmart-backup.json"
LEAST_RECOVERY_CHARACTERS = 20
_KEY_BYTES, _NONCE_BYTES, _SALT_BYTES = 32, 12, 16
# RFC 7914; 64 MiB of memory for one guess.
_SCRYPT = {"n": 2**16, "r": 8, "p": 1}
_PLAIN, _DEFLATED = b"\0", b"\1"


@dataclass(frozen=True)
class Seals:
    """Seals and names of one place of backups. `place` is the id of the place. `earlier` are data keys of which parts are still there
    while the place gets a new one (`foundation.backup.new_key`): they open, and seal nothing."""

    place: str
    data_key: bytes = field(repr=False)
    earlier: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def new(cls) -> "Seals":
        return cls(secrets.token_hex(8), secrets.token_bytes(_KEY_BYTES))

    def name_of(self, content: bytes) -> str:
        """The name of a part, which says nothing of its content to others."""
        return hmac.new(self._key("names"), content, hashlib.sha256).hexdigest()

    def names_of(self, content: bytes) -> tuple[str, ...]:
        """The name of a part under each data key."""
        return tuple(Seals(self.place, key).name_of(content) for key in (self.data_key, *self.earlier))

    @property
    def newest_only(self) -> "Seals":
        """The same without earlier data keys."""
        return Seals(self.place, self.data_key)

    def seal(self, name: str, content: bytes) -> bytes:
        """Sealed bytes that only open under this name. Content is compressed where that makes it smaller."""
        deflated = zlib.compress(content, 1)
        clear = _DEFLATED + deflated if len(deflated) < len(content) else _PLAIN + content
        return _sealed(self._key("content"), clear, name)

    def open(self, name: str, sealed: bytes) -> bytes | None:
        """The content; None where the bytes are not those that were sealed under the name."""
        clear = None
        for key in (self.data_key, *self.earlier):
            clear = clear or _opened(Seals(self.place, key)._key("content"), sealed, name)
        if clear is None:
            return None
        return zlib.decompress(clear[1:]) if clear[:1] == _DEFLATED else clear[1:]

    def _key(self, purpose: str) -> bytes:
        info = f"clinicmart/backup/{purpose}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(self.data_key)


def new_recovery_key() -> str:
    """A recovery key of 160 random bits, in groups that a person can write down."""
    text = base64.b32encode(secrets.token_bytes(20)).decode("ascii")
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def key_file(seals: Seals, home_key: bytes, recovery_key: str) -> bytes:
    """The content of KEY_FILE. Raises ConfigurationError for a recovery key that is too short."""
    if len(recovery_key) < LEAST_RECOVERY_CHARACTERS:
        raise ConfigurationError(f"the recovery key needs at least {LEAST_RECOVERY_CHARACTERS} characters")
    salt = secrets.token_bytes(_SALT_BYTES)
    content = {
        "format": FORMAT,
        "place": seals.place,
        "earlier": [_text(_sealed(seals.data_key, key, seals.place)) for key in seals.earlier],
        "by_home": _text(_sealed(home_key, seals.data_key, seals.place)),
        "by_recovery_key": {
            **_SCRYPT,
            "salt": _text(salt),
            "sealed": _text(_sealed(_from_recovery_key(recovery_key, salt, _SCRYPT), seals.data_key, seals.place)),
        },
    }
    return json.dumps(content, indent=1).encode()


def seals_of(content: bytes, url: str, *, home_key: bytes | None = None, recovery_key: str | None = None) -> Seals:
    """Opens KEY_FILE with one of the keys. Raises ConfigurationError for a wrong key and for a place of a later release, and
    DamagedFileError for a file that does not parse."""
    try:
        raw = json.loads(content)
        number, place, by_home, recovery = int(raw["format"]), raw["place"], raw["by_home"], raw["by_recovery_key"]
        if number > FORMAT:
            raise ConfigurationError(f"{url} was written by a later release of Clinicmart; install that release")
        if recovery_key is not None:
            key = _from_recovery_key(recovery_key, base64.b64decode(recovery["salt"]), recovery)
            data_key = _opened(key, base64.b64decode(recovery["sealed"]), place)
        else:
            data_key = _opened(home_key or b"", base64.b64decode(by_home), place) if home_key else None
    except (ValueError, KeyError, TypeError):
        raise DamagedFileError(f"{url}/{KEY_FILE} does not parse; put back a copy of it") from None
    if data_key is None:
        raise ConfigurationError(
            f"{url}: the recovery key is wrong; give the one that was printed by the first backup"
            if recovery_key is not None
            else f"{url} holds backups of another home; choose another place"
        )
    earlier = tuple(_opened(data_key, base64.b64decode(item), place) for item in raw.get("earlier", ()))
    if None in earlier:
        raise DamagedFileError(f"{url}/{KEY_FILE} does not parse; put back a copy of it")
    return Seals(place, data_key, tuple(key for key in earlier if key is not None))


def _from_recovery_key(recovery_key: str, salt: bytes, costs: dict[str, int]) -> bytes:
    costs = {name: int(costs[name]) for name in _SCRYPT}
    return Scrypt(salt=salt, length=_KEY_BYTES, **costs).derive(recovery_key.encode())


def _sealed(key: bytes, clear: bytes, name: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, clear, name.encode())


def _opened(key: bytes, sealed: bytes, name: str) -> bytes | None:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
    except (InvalidTag, ValueError):
        return None


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
