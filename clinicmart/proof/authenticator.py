"""An authenticator in software (WebAuthn Level 2): makes a passkey and signs with it, rightly or as an attacker would."""

import base64
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_PRESENT, _VERIFIED, _WITH_KEY = 0x01, 0x04, 0x40
_COORDINATE = 32


class Authenticator:
    """A passkey of a person. `counts`: its counter of signatures rises with each; else it stays 0, as that of synchronised ones."""

    def __init__(self, *, counts: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id, self.handle = secrets.token_bytes(_COORDINATE), b""
        self.counts, self.count = counts, 0

    def make(self, options: str, origin: str, *, host: str = "", is_verified: bool = True) -> str:
        """The answer to a request to make a passkey, in JSON. `host` replaces the one that was asked for."""
        asked = json.loads(options)
        self.handle = _bytes(asked["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        # COSE (RFC 9053): an EC2 key for ES256 on P-256.
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: _coordinate(numbers.x), -3: _coordinate(numbers.y)})
        about = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + public
        held = self._data(host or asked["rp"]["id"], _WITH_KEY, is_verified) + about
        attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": held})
        return self._answer(_client("webauthn.create", asked, origin), attestationObject=_text(attested))

    def sign(self, options: str, origin: str, *, host: str = "", is_verified: bool = True) -> str:
        """The answer to a request to sign, in JSON."""
        asked = json.loads(options)
        self.count += self.counts
        held, client = self._data(host or asked["rpId"], 0, is_verified), _client("webauthn.get", asked, origin)
        signature = self.key.sign(held + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        fields = {"authenticatorData": held, "signature": signature, "userHandle": self.handle}
        return self._answer(client, **{name: _text(content) for name, content in fields.items()})

    def _data(self, host: str, flags: int, is_verified: bool) -> bytes:
        flags |= _PRESENT | (_VERIFIED if is_verified else 0)
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _answer(self, client: bytes, **response: str) -> str:
        name = _text(self.credential_id)
        answer = {"id": name, "rawId": name, "type": "public-key"}
        return json.dumps({**answer, "response": {"clientDataJSON": _text(client), **response}})


def _client(kind: str, asked: dict[str, Any], origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": asked["challenge"], "origin": origin, "crossOrigin": False}).encode()


def _coordinate(number: int) -> bytes:
    return number.to_bytes(_COORDINATE, "big")


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
