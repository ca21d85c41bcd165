"""Signing in as a system: SMART Backend Services (SMART App Launch 2.2, "Backend Services"; RFC 7523).

The client signs an assertion with its private key and gets a token for scopes such as `system/Patient.rs`. The token is kept
in memory until shortly before it expires, or until the server refuses it.
"""

import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from foundation.errors import ConfigurationError
from foundation.feed_remote import FhirServer
from ingest.receive.fhir.http import Http, origin
from ingest.receive.fhir.problems import Refused, ServerProblem, plain

ASSERTION_SECONDS = 240  # at most 300 by the standard; the rest is for clocks that differ
EARLY_SECONDS = 30
LEAST_RSA_BITS = 2048
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REMEDY = "Check client_id, key and key_id, and that the server's owner has registered the public key (sources jwks)"


@dataclass(frozen=True)
class SigningKey:
    """A private key, the algorithm it signs with (RS384 or ES384) and the `kid` by which the server knows it."""

    key: RSAKey | ECKey
    algorithm: str
    key_id: str

    @classmethod
    def of(cls, server: FhirServer) -> "SigningKey":
        """Reads the server's key. Raises ConfigurationError where it is no RSA key of 2048 bits or more and no P-384 key."""
        assert server.key is not None
        try:
            pem = server.key.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{server.key}: {error.strerror or error}") from None
        for kind, algorithm in ((RSAKey, "RS384"), (ECKey, "ES384")):
            try:
                key: Any = kind.import_key(pem)
            except (JoseError, ValueError, TypeError):
                continue
            if not key.is_private:
                break
            size = key.private_key.key_size if key.private_key is not None else 0
            if (algorithm == "ES384" and key.curve_name != "P-384") or (algorithm == "RS384" and size < LEAST_RSA_BITS):
                break
            return cls(key, algorithm, server.key_id or key.thumbprint())
        raise ConfigurationError(
            f"{server.key}: must be a private key in PEM without a password: RSA with {LEAST_RSA_BITS} bits or more, or EC P-384"
        )

    def jwks(self) -> dict[str, Any]:
        """The public half as a JSON Web Key Set, as the server's owner registers it."""
        public = dict(self.key.as_dict(private=False))
        return {"keys": [public | {"kid": self.key_id, "alg": self.algorithm, "key_ops": ["verify"]}]}

    def assertion(self, client_id: str, audience: str) -> str:
        """A signed statement, good once and for a few minutes, that we are this client."""
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "exp": now + ASSERTION_SECONDS,
            "iat": now,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": self.algorithm, "kid": self.key_id, "typ": "JWT"}
        return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])


class SignIn:
    """One server's token. Registers itself with `http`, which asks `header` before each request that may bear it."""

    def __init__(self, http: Http, types: Iterable[str]) -> None:
        self.http, self.types = http, tuple(dict.fromkeys(types))
        self.key = SigningKey.of(http.server)
        self.granted: frozenset[str] | None = None
        self._configuration: dict[str, Any] | None = None
        self._token, self._expires = "", 0.0
        self._lock = threading.Lock()
        http.sign_in, http.renew = self.header, self.forget

    def header(self) -> str:
        """The value of `Authorization`. Raises ServerProblem where the server lets us in no more."""
        with self._lock:
            if not self._token or time.monotonic() >= self._expires:
                self._sign_in()
            return f"Bearer {self._token}"

    def forget(self, header: str) -> None:
        """The server refused the token of this header: the next request gets another, unless one was got meanwhile."""
        with self._lock:
            if header == f"Bearer {self._token}":
                self._token = ""

    def not_granted(self) -> tuple[str, ...]:
        """Requested types that the token does not cover; empty if the server does not state its scopes."""
        if self.granted is None:
            return ()
        return tuple(name for name in self.types if not any(_covers(scope, name) for scope in self.granted))

    def _sign_in(self) -> None:
        url = self.http.server.token_url or self._discovered("token_endpoint")
        try:
            answer = self._token_for(url, self._scopes())
        except Refused as error:
            if "invalid_scope" not in error.problem:
                raise
            # Some servers know all types at once or none.
            answer = self._token_for(url, f"system/*{self._suffix()}")
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        kind = answer.get("token_type")
        if (
            not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
            or str(kind).lower() != "bearer"
        ):
            raise ServerProblem(
                "the server accepted the sign-in but returned no bearer token", "Ask the server's owner"
            )
        seconds = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else 300.0
        # Of a very short life at least half is used.
        self._token, self._expires = token, time.monotonic() + max(seconds - EARLY_SECONDS, seconds / 2)
        scope = answer.get("scope")
        self.granted = frozenset(scope.split()) if isinstance(scope, str) and scope.strip() else None

    def _token_for(self, url: str, scope: str) -> dict[str, Any]:
        assert self.http.server.client_id is not None
        client_id = self.http.server.client_id

        def form() -> dict[str, str]:
            # An assertion is good once: each try signs another.
            return {
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self.key.assertion(client_id, url),
            }

        what = f"signing in at {origin(url)[1]}"
        answer = self.http.ask("POST", url, what, token=False, accept="application/json", form=form)
        if answer.status == 200:
            return answer.json("the answer to signing in")
        try:
            document = answer.json("")
        except ServerProblem:
            document = {}
        words = [plain(document.get(name)) for name in ("error", "error_description")]
        raise Refused(
            answer.status, f"{what}: status {answer.status}: {' '.join(filter(None, words))}".rstrip(": "), _REMEDY
        )

    def _discovered(self, name: str) -> str:
        value = self._smart().get(name)
        if not isinstance(value, str) or not value:
            raise ServerProblem(f"the server's SMART configuration has no {name}", "Set token_url in the feed's server")
        self.http.check_address(value, name)
        return value

    def _smart(self) -> dict[str, Any]:
        """The server's SMART configuration; empty where it has none and `token_url` is given."""
        if self._configuration is None:
            url = f"{self.http.server.url}/.well-known/smart-configuration"
            what = "the server's SMART configuration"
            answer = self.http.ask("GET", url, what, token=False, accept="application/json")
            if answer.status == 200:
                self._configuration = answer.json(what)
            elif self.http.server.token_url is not None:
                self._configuration = {}
            else:
                raise Refused(
                    answer.status,
                    f"{what}: status {answer.status}",
                    "Check the server's url, or put token_url into the feed's server",
                )
        return self._configuration

    def _suffix(self) -> str:
        """`.rs` where the server knows scopes of SMART 2, else `.read`."""
        smart = self._smart()
        capabilities, supported = _texts(smart.get("capabilities")), _texts(smart.get("scopes_supported"))
        if "permission-v2" in capabilities:
            return ".rs"
        is_second = any(scope.startswith("system/") and scope.partition("?")[0].endswith(".rs") for scope in supported)
        return ".rs" if is_second and "permission-v1" not in capabilities else ".read"

    def _scopes(self) -> str:
        """The scopes to request: one for each type among those that the server supports, or all types if it only supports that."""
        suffix = self._suffix()
        supported = {scope for scope in _texts(self._smart().get("scopes_supported")) if scope.startswith("system/")}
        wanted = [f"system/{name}{suffix}" for name in self.types]
        if supported:
            listed = [scope for scope in wanted if scope in supported]
            every = next(
                (s for s in (f"system/*{suffix}", "system/*.rs", "system/*.read", "system/*.*") if s in supported), None
            )
            wanted = (
                listed if listed and (len(listed) == len(wanted) or every is None) else [every] if every else wanted
            )
        return " ".join(wanted)


def _texts(value: Any) -> frozenset[str]:
    return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()


def _covers(scope: str, name: str) -> bool:
    """Whether a scope such as system/*.rs, system/Patient.cruds or system/Patient.read lets us read a type."""
    context, _, permission = scope.partition("?")[0].partition("/")
    kind, _, rights = permission.partition(".")
    return context == "system" and kind in ("*", name) and (rights in ("read", "*") or {"r", "s"} <= set(rights))
