"""Tickets: short-lived signed tokens, each for one page in one site. JWT (RFC 7519) with HMAC-SHA-256 under a key of the home."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from foundation.errors import AccessError

LONGEST_LIFE = timedelta(minutes=10)
_ALGORITHM = "HS256"
_ISSUER = "clinicmart embedding"
_TEXTS = ("iss", "aud", "jti", "tenant", "site", "page", "figure", "place", "period")


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """One page in one site. `origin` is the only site whose frame may show it. `figure` is a metric of the page, empty for the whole page;
    `place` a service unit, empty for all that the site may show; `period` a preset of `dashboards.period`, empty for the usual one.
    `expires_at` is in UTC, and there once it is signed."""

    tenant_id: str
    site_id: str
    origin: str
    page: str
    figure: str = ""
    place: str = ""
    period: str = ""
    ticket_id: str = ""
    expires_at: datetime | None = None

    @property
    def has_expired(self) -> bool:
        """Whether its time is over; one that is not signed yet has none."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


def signed(ticket: Ticket, key: bytes, life: timedelta, now: datetime | None = None) -> str:
    """The ticket as a signed token that expires after `life`, at most LONGEST_LIFE."""
    issued = now or datetime.now(UTC)
    claims = {
        "iss": _ISSUER,
        "aud": ticket.origin,
        "jti": secrets.token_urlsafe(24),
        "iat": int(issued.timestamp()),
        "exp": int((issued + min(life, LONGEST_LIFE)).timestamp()),
        "tenant": ticket.tenant_id,
        "site": ticket.site_id,
        "page": ticket.page,
        "figure": ticket.figure,
        "place": ticket.place,
        "period": ticket.period,
    }
    return jwt.encode({"alg": _ALGORITHM, "typ": "JWT"}, claims, _jwk(key))


def ticket_of(token: str, key: bytes) -> Ticket:
    """The ticket of a token, also of one that has expired. Raises AccessError where the token was not signed here or was changed."""
    refused = AccessError("the link is not valid")
    try:
        claims = jwt.decode(token, _jwk(key), algorithms=[_ALGORITHM]).claims
    except (JoseError, ValueError):
        raise refused from None
    times = (claims.get("iat"), claims.get("exp"))
    is_whole = all(isinstance(claims.get(name), str) for name in _TEXTS) and all(isinstance(at, int) for at in times)
    if not is_whole or claims["iss"] != _ISSUER or claims["exp"] - claims["iat"] > LONGEST_LIFE.total_seconds():
        raise refused
    if claims["iat"] - 5 > datetime.now(UTC).timestamp():
        raise refused
    return Ticket(
        tenant_id=claims["tenant"],
        site_id=claims["site"],
        origin=claims["aud"],
        page=claims["page"],
        figure=claims["figure"],
        place=claims["place"],
        period=claims["period"],
        ticket_id=claims["jti"],
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
    )


def _jwk(key: bytes) -> OctKey:
    """A key for this purpose alone, from a key of the home."""
    return OctKey.import_key(hmac.new(key, b"embedding tickets", hashlib.sha256).digest())
