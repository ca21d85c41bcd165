"""The conversation with an identity provider (OpenID Connect Core 1.0, code flow with PKCE): discovery, keys, tokens.

Authlib speaks OAuth and checks the claims, joserfc the signatures. Only asymmetric algorithms that the provider announces are accepted.
What a provider announces is kept for an hour, its keys for ten minutes. A token that no kept key verifies makes this process ask
for the keys again, at most twice a minute, so that a rotation of keys stops nobody. A provider that failed is left alone for ten seconds:
meanwhile everybody gets the same answer at once.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.exposure import is_loopback
from serving.people.oidc_store import Identity, OidcProvider

SCOPE = "openid email profile"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 10
METADATA_SECONDS = 3600
KEYS_SECONDS = 600
KEYS_AGAIN_SECONDS = 30
FAILED_SECONDS = 10
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
REFUSED = "Your provider did not confirm the sign-in. Try again."
UNREACHABLE = "Your provider does not answer as it should. Try again later."
NOT_DONE = "The provider did not sign you in."
OF_ANOTHER = "The answer came from another provider. Begin again."
_MOST_TEXT = 255
# What a provider or its answers can be wrong in.
_FAULTS = (AuthlibBaseError, JoseError, httpx2.HTTPError, ValueError, KeyError, TypeError)
_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a provider announces (OpenID Connect Discovery 1.0). `names_issuer`: each of its answers says who it is (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    algorithms: tuple[str, ...] = ("RS256",)
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    names_issuer: bool = False


@dataclass
class _Kept:
    """The announcement and the keys of one issuer, as this process last read them, and why it could not the last time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    metadata: Metadata | None = None
    metadata_at: float = 0.0
    keys: KeySet | None = None
    keys_at: float = 0.0
    failed_at: float = 0.0
    failure: ClinicmartError | None = None

    def asked(self, read: Callable[[], _Read]) -> _Read:
        """What the provider answers. Raises ClinicmartError, also without asking where it has just failed. The caller holds the lock."""
        if self.failure is not None and time.monotonic() - self.failed_at < FAILED_SECONDS:
            raise type(self.failure)(str(self.failure))
        try:
            return read()
        except ClinicmartError as error:
            self.failed_at, self.failure = time.monotonic(), error
            raise


@lru_cache(maxsize=64)
def _kept(_issuer: str) -> _Kept:
    return _Kept()


def check_address(address: str) -> None:
    """Raises ConfigurationError for an address of a provider that is not https; on this machine itself http will do."""
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise ConfigurationError(f"{address!r} is not an address with https")


def metadata_of(issuer: str) -> Metadata:
    """What the provider announces. Raises AccessError where it does not, or announces another issuer."""
    kept = _kept(issuer)
    with kept.lock:
        if kept.metadata is None or time.monotonic() - kept.metadata_at > METADATA_SECONDS:
            kept.metadata = kept.asked(lambda: _read_metadata(issuer))
            kept.metadata_at = time.monotonic()
        return kept.metadata


def _read_metadata(issuer: str) -> Metadata:
    check_address(issuer)
    announced = _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    try:
        if announced["issuer"] != issuer:
            raise AccessError(f"the provider announces the issuer {announced['issuer']!r}; configure exactly that one")
        endpoints = {
            name: str(announced.get(name) or "")
            for name in (
                "authorization_endpoint",
                "token_endpoint",
                "jwks_uri",
                "userinfo_endpoint",
                "end_session_endpoint",
            )
        }
        for name, address in endpoints.items():
            if address or name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                check_address(address)
        supported = announced.get("id_token_signing_alg_values_supported") or ["RS256"]
        algorithms = tuple(name for name in supported if name in ALGORITHMS)
        if not algorithms:
            # The library takes an empty list for its own defaults.
            raise AccessError("the provider announces no way to sign that is accepted here; it needs RS256 or ES256")
        return Metadata(
            issuer=issuer,
            **endpoints,
            algorithms=algorithms,
            token_auth_methods=tuple(announced.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]),
            names_issuer=announced.get("authorization_response_iss_parameter_supported") is True,
        )
    except (KeyError, TypeError, AttributeError):
        raise AccessError(UNREACHABLE) from None


def _get(address: str) -> Any:
    """The JSON at an address. Raises AccessError."""
    try:
        answer = httpx2.get(address, timeout=TIMEOUT_SECONDS, follow_redirects=False)
        answer.raise_for_status()
        return answer.json()
    except (httpx2.HTTPError, ValueError):
        raise AccessError(UNREACHABLE) from None


def authorization_address(provider: OidcProvider, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
    """Where the browser goes to sign in. Raises AccessError where the provider does not answer."""
    endpoint = metadata_of(provider.issuer).authorization_endpoint
    with _client(provider, "", redirect_uri) as client:
        address, _ = client.create_authorization_url(endpoint, state=state, nonce=nonce, code_verifier=verifier)
    return str(address)


def check_answer(provider: OidcProvider, answer: Mapping[str, str]) -> None:
    """Raises AccessError for an answer of the provider that holds no code, or that another provider gave (RFC 9207, 2.4)."""
    issuer = answer.get("iss")
    if issuer is None and metadata_of(provider.issuer).names_issuer:
        raise AccessError(OF_ANOTHER)
    if issuer not in (None, provider.issuer):
        raise AccessError(OF_ANOTHER)
    if "error" in answer or not answer.get("code"):
        raise AccessError(NOT_DONE)


def identity_of_code(
    provider: OidcProvider, *, code: str, nonce: str, verifier: str, redirect_uri: str, secret: str
) -> Identity:
    """Who the code is for: exchanges it and verifies the ID token. Raises AccessError where anything does not fit."""
    metadata = metadata_of(provider.issuer)
    try:
        with _client(provider, secret, redirect_uri, metadata) as client:
            token = client.fetch_token(
                metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
            )
            claims = _verified(
                provider, metadata, str(token["id_token"]), nonce=nonce, access_token=token.get("access_token")
            )
            if "email" not in claims and metadata.userinfo_endpoint:
                claims = {**_user_info(client, metadata, claims["sub"]), **claims}
    except AccessError:
        raise
    except _FAULTS:
        raise AccessError(REFUSED) from None
    return _identity(provider, claims)


def _client(provider: OidcProvider, secret: str, redirect_uri: str, metadata: Metadata | None = None) -> OAuth2Client:
    method = "none"
    if secret:
        methods = metadata.token_auth_methods if metadata else ()
        method = "client_secret_post" if "client_secret_basic" not in methods else "client_secret_basic"
    return OAuth2Client(
        client_id=provider.client_id,
        client_secret=secret or None,
        token_endpoint_auth_method=method,
        scope=SCOPE,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        timeout=TIMEOUT_SECONDS,
        follow_redirects=False,
    )


def _verified(
    provider: OidcProvider, metadata: Metadata, text: str, *, nonce: str, access_token: str | None
) -> Mapping[str, Any]:
    """The claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
    token = _decoded(metadata, text)
    claims = CodeIDToken(
        token.claims,
        token.header,
        options={
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
            "sub": {"essential": True},
        },
        params={"nonce": nonce, "client_id": provider.client_id, "access_token": access_token},
    )
    claims.validate(leeway=LEEWAY_SECONDS)
    return dict(claims)


def _decoded(metadata: Metadata, text: str) -> jwt.Token:
    """A token whose signature a key of the provider verifies. Keys that do not fit are read again once."""
    keys = _keys(metadata, KEYS_SECONDS)
    try:
        return _decode(keys, metadata, text)
    except (JoseError, ValueError):
        newer = _keys(metadata, KEYS_AGAIN_SECONDS)
        if newer is keys:
            raise
    return _decode(newer, metadata, text)


def _decode(keys: KeySet, metadata: Metadata, text: str) -> jwt.Token:
    return jwt.decode(text, keys, algorithms=list(metadata.algorithms))


def _keys(metadata: Metadata, most_seconds: float) -> KeySet:
    """The provider's keys, read at most so long ago: of many that wait for new ones, one asks. Raises AccessError."""
    kept = _kept(metadata.issuer)
    with kept.lock:
        if kept.keys is None or time.monotonic() - kept.keys_at > most_seconds:
            kept.keys = kept.asked(lambda: _read_keys(metadata))
            kept.keys_at = time.monotonic()
        return kept.keys


def _read_keys(metadata: Metadata) -> KeySet:
    try:
        return KeySet.import_key_set(_get(metadata.jwks_uri))
    except _FAULTS:
        raise AccessError(UNREACHABLE) from None


def _user_info(client: OAuth2Client, metadata: Metadata, subject: str) -> Mapping[str, Any]:
    """Claims of the user info endpoint, for the same subject alone (5.3.4)."""
    # With the token as it is: it is a moment old, and the client refuses those that live less than a minute.
    answer = client.get(metadata.userinfo_endpoint, auth=client.token_auth)
    answer.raise_for_status()
    claims: Mapping[str, Any] = answer.json()
    if claims["sub"] != subject:
        raise ValueError("user info of another subject")
    return {name: claims[name] for name in ("email", "email_verified") if name in claims}


def _identity(provider: OidcProvider, claims: Mapping[str, Any]) -> Identity:
    subject, email, session = claims.get("sub", ""), claims.get("email", ""), claims.get("sid", "")
    texts = (subject, email, session)
    if not all(isinstance(text, str) and len(text) <= _MOST_TEXT for text in texts):
        raise AccessError(REFUSED)
    return Identity(
        issuer=provider.issuer,
        subject=subject,
        email=email,
        # Some providers write the truth value as text.
        is_email_verified=claims.get("email_verified") in (True, "true"),
        session_id=session,
    )


def sign_out_address(provider: OidcProvider, back: str) -> str:
    """Where the person signs out at the provider too, and comes back from; empty where the provider has no such page, or is silent."""
    try:
        endpoint = metadata_of(provider.issuer).end_session_endpoint
    except (AccessError, ConfigurationError):
        return ""
    joint = "&" if "?" in endpoint else "?"
    wanted = {"client_id": provider.client_id, "post_logout_redirect_uri": back}
    return f"{endpoint}{joint}{urlencode(wanted)}" if endpoint else ""


def identity_of_logout(provider: OidcProvider, text: str) -> Identity:
    """Whose sign-in the provider says has ended (OpenID Connect Back-Channel Logout 1.0, 2.6). Raises AccessError."""
    metadata = metadata_of(provider.issuer)
    check: Callable[..., None] = jwt.JWTClaimsRegistry(
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": provider.client_id},
        iat={"essential": True},
        jti={"essential": True},
        events={"essential": True},
    ).validate
    try:
        claims = _decoded(metadata, text).claims
        check(claims)
        is_logout = LOGOUT_EVENT in claims["events"] and "nonce" not in claims
        is_recent = abs(time.time() - float(claims["iat"])) <= 2 * LEEWAY_SECONDS
    except AccessError:
        raise
    except _FAULTS:
        raise AccessError(REFUSED) from None
    if not is_logout or not is_recent or not (claims.get("sub") or claims.get("sid")):
        raise AccessError(REFUSED)
    return _identity(provider, claims)
