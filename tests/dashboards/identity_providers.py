"""An identity provider that signs the claims a test gives it, beside the real one of oidc-provider-mock."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "clinicmart-harbor", "a secret of the client"


def code_challenge(verifier: str) -> str:
    """The challenge of a PKCE verifier (RFC 7636, S256)."""
    return _part(hashlib.sha256(verifier.encode()).digest())


@dataclass
class Forger:
    """A provider whose tokens hold what a test wants. `claims` replace those of a right token, None removes one."""

    port: int = 0
    claims: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    keys: list[RSAKey] = field(default_factory=list)
    signs_with: Any = None
    user_info: dict[str, Any] = field(default_factory=dict)
    announced: dict[str, Any] = field(default_factory=dict)
    nonce: str = ""
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    def rotate(self) -> None:
        """A new key in the place of the old one."""
        key = RSAKey.generate_key(2048)
        key.ensure_kid()
        self.keys, self.signs_with = [key], key

    def token(self, **more: Any) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer, "aud": CLIENT_ID, "sub": "subject-1", "exp": now + 300, "iat": now, "nonce": self.nonce,
            "email": "ann@harbor", "email_verified": True,
        }  # fmt: skip
        claims = {name: value for name, value in {**claims, **self.claims, **more}.items() if value is not None}
        key = self.signs_with
        if self.algorithm == "none":
            return _unsigned({"alg": "none"}, claims) + "."
        if self.algorithm == "HS256":
            # The public key as the secret of a HMAC. No library signs with that.
            text = _unsigned({"alg": "HS256", "kid": key.kid}, claims)
            return f"{text}.{_part(hmac.digest(key.as_pem(private=False), text.encode(), 'sha256'))}"
        return jwt.encode({"alg": self.algorithm, "kid": key.kid}, claims, key, algorithms=[self.algorithm])

    def answer(self, path: str) -> Any:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "end_session_endpoint": f"{self.issuer}/end",
                "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
                **self.announced,
            }
        if path == "/keys":
            return KeySet(self.keys).as_dict(private=False)
        if path == "/userinfo":
            return {"sub": "subject-1", **self.user_info}
        return {"access_token": "access", "token_type": "Bearer", "expires_in": 60, "id_token": self.token()}


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{_part(json.dumps(header).encode())}.{_part(json.dumps(claims).encode())}"


@contextmanager
def forger() -> Iterator[Forger]:
    """Starts the provider that forges."""
    provider = Forger()
    provider.rotate()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(provider.answer(urlsplit(self.path).path)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            provider.forms.append({name: values[0] for name, values in form.items()})
            provider.authorizations.append(self.headers.get("authorization", ""))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    provider.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
