"""Passwords, and how often one may be tried.

argon2id with the library's parameters (RFC 9106, low-memory profile). A user name that fails too often within the window
is refused for the rest of it, whether it exists or not; who was tried is kept as a keyed hash only.
"""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, select

from foundation.errors import ConfigurationError
from serving.people.tables import SIGN_IN_FAILURE

FAILURES_ALLOWED = 5
FAILURE_WINDOW = timedelta(minutes=15)
PASSWORD_LENGTH = 12
_HASHER = PasswordHasher()


@lru_cache(maxsize=1)
def _decoy() -> str:
    """A hash that no password fits, verified for unknown users so that they take as long as known ones."""
    return _HASHER.hash(secrets.token_urlsafe(32))


def hashed(password: str) -> str:
    """The argon2id hash to keep."""
    return _HASHER.hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Whether a password fits; takes the same time for no hash at all."""
    try:
        return _HASHER.verify(kept if kept is not None else _decoy(), password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def check_strength(password: str, email: str) -> None:
    """Raises ConfigurationError for a password that is too short or holds the user name (NIST SP 800-63B)."""
    if len(password) < PASSWORD_LENGTH:
        raise ConfigurationError(f"a password has at least {PASSWORD_LENGTH} characters")
    name = email.split("@")[0].lower()
    if len(name) > 3 and name in password.lower():
        raise ConfigurationError("a password does not hold the user name")


def subject(key: bytes, tenant_id: str, email: str) -> str:
    """The keyed hash under which failures of one user name are counted."""
    return hmac.new(key, f"sign-in/{tenant_id}/{email}".encode(), hashlib.sha256).hexdigest()


def is_throttled(connection: Connection, who: str) -> bool:
    """Whether a user name has failed too often lately."""
    since = datetime.now(UTC) - FAILURE_WINDOW
    failures = select(func.count()).where(SIGN_IN_FAILURE.c.subject == who, SIGN_IN_FAILURE.c.failed_at > since)
    return connection.execute(failures).scalar_one() >= FAILURES_ALLOWED


def note_failure(connection: Connection, who: str) -> None:
    """Counts one failure and forgets those that no longer count."""
    now = datetime.now(UTC)
    connection.execute(delete(SIGN_IN_FAILURE).where(SIGN_IN_FAILURE.c.failed_at <= now - FAILURE_WINDOW))
    connection.execute(insert(SIGN_IN_FAILURE).values(subject=who, failed_at=now))


def forget_failures(connection: Connection, who: str) -> None:
    """A success clears the count."""
    connection.execute(delete(SIGN_IN_FAILURE).where(SIGN_IN_FAILURE.c.subject == who))
