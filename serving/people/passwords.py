"""Passwords, and how often one may be tried.

argon2id with the library's parameters (RFC 9106, low-memory profile). What a password must be follows NIST SP 800-63B-4, 3.1.1:
a minimum length, no rules of composition, and nothing that is easy to guess, which zxcvbn estimates from lists of leaked
passwords, names, keyboard rows and the person's own names.

Failures are counted under keyed hashes of three things: the account from this address, the address, and the account. After
some failures each makes the next attempt wait, twice as long each time. What strangers do to an account from elsewhere makes
its owner wait ACCOUNT_LONGEST at most, and not at all in a browser that has signed in to the account before.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, select

from foundation.errors import AccessError, ConfigurationError
from serving.people.tables import SIGN_IN_FAILURE

FAILURE_WINDOW = timedelta(hours=1)
LONGEST = timedelta(minutes=15)
ACCOUNT_LONGEST = timedelta(seconds=30)
PASSWORD_LENGTH = 12
# How long a one-time password and a link to choose a password can be used.
ONE_TIME_LIFE = timedelta(days=3)
RESET_LIFE = timedelta(hours=24)
# zxcvbn's estimate: 3 withstands an attack on a stolen, slowly hashed password.
LEAST_SCORE = 3
_HASHER = PasswordHasher()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How failures of one subject slow the next attempt: `free` of them cost nothing, then 1, 2, 4 ... seconds up to `longest`.
    `is_shared`: several people may stand behind the subject."""

    subject: str
    free: int
    longest: timedelta
    is_shared: bool = False

    def wait(self, failures: int) -> timedelta:
        """How long after the last failure the next attempt must wait."""
        if failures < self.free:
            return timedelta(0)
        return min(timedelta(seconds=2 ** min(failures - self.free, 20)), self.longest)


@lru_cache(maxsize=1)
def no_password() -> str:
    """A hash that no password fits: kept for people without a password, and verified for unknown users, so that these take as long as
    known ones."""
    return _HASHER.hash(secrets.token_urlsafe(32))


def hashed(password: str) -> str:
    """The argon2id hash to keep."""
    return _HASHER.hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Whether a password fits; takes the same time for no hash at all."""
    try:
        return _HASHER.verify(kept if kept is not None else no_password(), password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def check_strength(password: str, email: str, names: Sequence[str] = ()) -> None:
    """Raises ConfigurationError for a password that is too short, holds the user name or is easy to guess.

    `names` are words that an attacker would try first: of the person, of the organization.
    """
    if len(password) < PASSWORD_LENGTH:
        raise ConfigurationError(f"a password has at least {PASSWORD_LENGTH} characters")
    name, _, place = email.lower().partition("@")
    if len(name) > 3 and name in password.lower():
        raise ConfigurationError("a password does not hold the user name")
    # Its word lists take a fifth of a second to load, and only a new password needs them.
    from zxcvbn import zxcvbn

    # Beyond 72 characters the estimate costs time and changes nothing.
    if zxcvbn(password[:72], user_inputs=[name, place, *names, "clinicmart"])["score"] < LEAST_SCORE:
        raise ConfigurationError("this password is easy to guess; take several unrelated words, or a password manager")


def limits(key: bytes, tenant_id: str, email: str, address: str, *, is_known_browser: bool) -> tuple[Limit, ...]:
    """What an attempt is held against. `is_known_browser`: the browser has signed in to this account before."""
    account = Limit(subject=_subject(key, "sign-in", tenant_id, email), free=10, longest=ACCOUNT_LONGEST)
    own = _subject(key, "sign-in", tenant_id, email, address, str(is_known_browser))
    return (
        Limit(subject=own, free=3, longest=LONGEST),
        address_limit(key, "sign-in", address),
        *(() if is_known_browser else (account,)),
    )


def code_limits(key: bytes, tenant_id: str, email: str, address: str) -> tuple[Limit, ...]:
    """What a code of a second factor is held against. Who tries one knows the password, so the account itself waits as long."""
    return (
        Limit(subject=_subject(key, "code", tenant_id, email, address), free=3, longest=LONGEST),
        address_limit(key, "code", address),
        Limit(subject=_subject(key, "code", tenant_id, email), free=5, longest=LONGEST),
    )


def address_limit(key: bytes, kind: str, address: str, *, free: int = 20, longest: timedelta = LONGEST) -> Limit:
    """What every attempt of a kind from one address is held against."""
    return Limit(subject=_subject(key, kind, "address", address), free=free, longest=longest, is_shared=True)


def _subject(key: bytes, *parts: str) -> str:
    return hmac.new(key, "/".join(parts).encode(), hashlib.sha256).hexdigest()


def begin_attempt(connection: Connection, held: Sequence[Limit]) -> timedelta:
    """Counts an attempt as failed before it is made, so that parallel ones see each other; returns how long to wait instead.

    The connection must be in a transaction that holds the write lock. Zero: the attempt may be made.
    """
    now = datetime.now(UTC)
    connection.execute(delete(SIGN_IN_FAILURE).where(SIGN_IN_FAILURE.c.failed_at <= now - FAILURE_WINDOW))
    wait = timedelta(0)
    for limit in held:
        mine = SIGN_IN_FAILURE.c.subject == limit.subject
        times = select(SIGN_IN_FAILURE.c.failed_at).where(mine).order_by(SIGN_IN_FAILURE.c.id.desc())
        failures: list[datetime] = list(connection.execute(times).scalars())
        if failures:
            wait = max(wait, failures[0] + limit.wait(len(failures)) - now)
    if wait <= timedelta(0):
        rows = [{"subject": limit.subject, "failed_at": now} for limit in held]
        connection.execute(insert(SIGN_IN_FAILURE), rows)
    return max(wait, timedelta(0))


def throttled(wait: timedelta) -> AccessError:
    """The refusal of an attempt that came too soon."""
    return AccessError(f"Too many attempts. Wait {ceil(wait.total_seconds())} seconds and try again.")


def forget_failures(connection: Connection, held: Sequence[Limit]) -> None:
    """A success clears what was counted, but for the address: others behind it may still be guessing."""
    for limit in held:
        mine = SIGN_IN_FAILURE.c.subject == limit.subject
        if limit.is_shared:
            newest = select(func.max(SIGN_IN_FAILURE.c.id)).where(mine).scalar_subquery()
            connection.execute(delete(SIGN_IN_FAILURE).where(SIGN_IN_FAILURE.c.id == newest))
        else:
            connection.execute(delete(SIGN_IN_FAILURE).where(mine))


def browser_mark(key: bytes, tenant_id: str, email: str) -> str:
    """The value of the cookie that a browser keeps once it has signed in to an account."""
    return hmac.new(key, f"browser/{tenant_id}/{email}".encode(), hashlib.sha256).hexdigest()
