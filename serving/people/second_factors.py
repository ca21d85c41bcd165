"""Second factors of people who sign in with a password: an authenticator app (TOTP, RFC 6238) and recovery codes. Passkeys are in
`passkeys`; whether a person has some second factor is said here.

The app's secret is kept sealed, of recovery codes a keyed hash. A code of the app is taken once: its time step is noted, and only a later
one is taken after it. One step before and after the present one are taken too, for clocks that differ. After MOST_FAILURES wrong codes in
a row (NIST SP 800-63B-4, 3.2.2) the app counts no more, until a recovery code is used or an administrator resets the second factor.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pyotp
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, delete, func, insert, select, union_all, update

from foundation.comparing import is_same
from serving.people.sealed import seal, unseal
from serving.people.tables import PASSKEY, RECOVERY_CODE, TENANT, TOTP

STEP_SECONDS = 30
STEPS_AROUND = 1
CODE_DIGITS = 6
MOST_FAILURES = 100
RECOVERY_CODES = 10
# 80 bits: nobody guesses one, so that a fast hash is enough.
RECOVERY_BYTES = 10
# A secret that was shown and not confirmed is replaced by a new one after this time.
OFFER_LIFE = timedelta(minutes=15)


class Step(StrEnum):
    """What a person who gave the right password must still do before any page is shown."""

    PASSWORD = "password"  # noqa: S105  # the name of a step
    CODE = "code"
    ENROL = "enrol"


@dataclass(frozen=True, kw_only=True)
class SecondFactor:
    """The authenticator app of a person: since when (UTC), and how many recovery codes are not used yet."""

    since: datetime
    recovery_codes_left: int


def next_step(connection: Connection, user: RowMapping, session: RowMapping) -> Step | None:
    """What is missing in a session of a person; None where nothing is. Who signed in at an identity provider gave no password of ours,
    and the provider asks for its own second factor."""
    if session["oidc_session"] is not None:
        return None
    if user["must_change_password"]:
        return Step.PASSWORD
    if session["second_factor_at"] is not None:
        return None
    if has_any(connection, user["tenant_id"], user["email"]):
        return Step.CODE
    rule = select(TENANT.c.requires_second_factor).where(TENANT.c.tenant_id == user["tenant_id"])
    return Step.ENROL if connection.execute(rule).scalar_one() else None


def has_any(connection: Connection, tenant_id: str, email: str) -> bool:
    """Whether a person has an app or a passkey."""
    app = select(TOTP.c.email).where(_is(TOTP, tenant_id, email), TOTP.c.confirmed_at.is_not(None))
    passkey = select(PASSKEY.c.email).where(_is(PASSKEY, tenant_id, email))
    return connection.execute(union_all(app, passkey).limit(1)).first() is not None


def of_person(connection: Connection, tenant_id: str, email: str) -> SecondFactor | None:
    """The confirmed app of a person, or None."""
    row = _row(connection, tenant_id, email)
    if row is None or row["confirmed_at"] is None:
        return None
    unused = _is(RECOVERY_CODE, tenant_id, email) & RECOVERY_CODE.c.used_at.is_(None)
    left = connection.execute(select(func.count()).select_from(RECOVERY_CODE).where(unused)).scalar_one()
    return SecondFactor(since=row["confirmed_at"], recovery_codes_left=left)


def offer(connection: Connection, key: bytes, tenant_id: str, email: str) -> str | None:
    """The secret (base32) of an app that is to be set up, the same for a while; None where the person has an app already."""
    row, now = _row(connection, tenant_id, email), datetime.now(UTC)
    if row is not None and row["confirmed_at"] is not None:
        return None
    if row is not None and now - row["offered_at"] < OFFER_LIFE:
        return unseal(key, tenant_id, email, row["sealed_secret"])
    secret = pyotp.random_base32()
    connection.execute(delete(TOTP).where(_is(TOTP, tenant_id, email)))
    connection.execute(
        insert(TOTP).values(
            tenant_id=tenant_id,
            email=email,
            sealed_secret=seal(key, tenant_id, email, secret),
            offered_at=now,
            last_step=0,
            failures=0,
        )
    )
    return secret


def confirm(connection: Connection, key: bytes, tenant_id: str, email: str, code: str) -> bool:
    """Whether the code is one of the app that was offered; the app counts from then on."""
    row = _row(connection, tenant_id, email)
    if row is None or row["confirmed_at"] is not None:
        return False
    step = _step_of(unseal(key, tenant_id, email, row["sealed_secret"]), _bare(code), after=0)
    if step is None:
        return False
    values = {"confirmed_at": datetime.now(UTC), "last_step": step}
    connection.execute(update(TOTP).where(_is(TOTP, tenant_id, email)).values(**values))
    return True


def take(connection: Connection, key: bytes, tenant_id: str, email: str, code: str) -> str:
    """Takes a code of the person's app, or a recovery code, so that it is never taken again: `app`, `recovery code`, or empty for a
    code that is wrong or was used. The connection must hold the write lock."""
    row = _row(connection, tenant_id, email)
    has_app = row is not None and row["confirmed_at"] is not None
    bare, mine = _bare(code), _is(TOTP, tenant_id, email)
    if row is not None and has_app and row["failures"] < MOST_FAILURES:
        step = _step_of(unseal(key, tenant_id, email, row["sealed_secret"]), bare, after=row["last_step"])
        if step is not None:
            connection.execute(update(TOTP).where(mine).values(last_step=step, failures=0))
            return "app"
    unused = _is(RECOVERY_CODE, tenant_id, email) & RECOVERY_CODE.c.used_at.is_(None)
    this = unused & (RECOVERY_CODE.c.code_hash == _hash(key, tenant_id, email, bare))
    if connection.execute(update(RECOVERY_CODE).where(this).values(used_at=datetime.now(UTC))).rowcount:
        connection.execute(update(TOTP).where(mine).values(failures=0))
        return "recovery code"
    connection.execute(update(TOTP).where(mine).values(failures=TOTP.c.failures + 1))
    return ""


def new_recovery_codes(connection: Connection, key: bytes, tenant_id: str, email: str) -> tuple[str, ...]:
    """Ten codes of the form `abcd-efgh-ijkl-mnop`, which replace all earlier ones."""
    codes = []
    for _ in range(RECOVERY_CODES):
        letters = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
        codes.append("-".join(letters[start : start + 4] for start in range(0, len(letters), 4)))
    connection.execute(delete(RECOVERY_CODE).where(_is(RECOVERY_CODE, tenant_id, email)))
    rows = [
        {"tenant_id": tenant_id, "email": email, "code_hash": _hash(key, tenant_id, email, _bare(code))}
        for code in codes
    ]
    connection.execute(insert(RECOVERY_CODE), rows)
    return tuple(codes)


def remove_app(connection: Connection, tenant_id: str, email: str) -> None:
    """Removes the app, and the recovery codes where no passkey needs them."""
    connection.execute(delete(TOTP).where(_is(TOTP, tenant_id, email)))
    forget_unneeded_codes(connection, tenant_id, email)


def forget_unneeded_codes(connection: Connection, tenant_id: str, email: str) -> None:
    """Removes the recovery codes of a person who has no second factor any more."""
    if not has_any(connection, tenant_id, email):
        connection.execute(delete(RECOVERY_CODE).where(_is(RECOVERY_CODE, tenant_id, email)))


def remove_all(connection: Connection, tenant_id: str, email: str) -> bool:
    """Removes app, passkeys and recovery codes; whether the person had a second factor."""
    had_one = has_any(connection, tenant_id, email)
    for table in (RECOVERY_CODE, TOTP, PASSKEY):
        connection.execute(delete(table).where(_is(table, tenant_id, email)))
    return had_one


def address_for_app(secret: str, *, email: str, tenant_name: str) -> str:
    """The `otpauth://` address that an app reads from the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=f"Clinicmart {tenant_name}".strip())


def _step_of(secret: str, code: str, *, after: int) -> int | None:
    """The time step that a code belongs to, later than `after`; None for a wrong or a used code."""
    if len(code) != CODE_DIGITS or not (code.isascii() and code.isdigit()):
        return None
    app, now = pyotp.TOTP(secret, digits=CODE_DIGITS, interval=STEP_SECONDS), int(datetime.now(UTC).timestamp())
    present = now // STEP_SECONDS
    for step in range(present - STEPS_AROUND, present + STEPS_AROUND + 1):
        if step > after and is_same(app.generate_otp(step), code):
            return step
    return None


def _bare(code: str) -> str:
    """A code without what people put between its parts."""
    return "".join(code.split()).replace("-", "").lower()


def _hash(key: bytes, tenant_id: str, email: str, bare: str) -> str:
    return hmac.new(key, f"recovery/{tenant_id}/{email}/{bare}".encode(), hashlib.sha256).hexdigest()


def _is(table: Table, tenant_id: str, email: str) -> ColumnElement[bool]:
    return (table.c.tenant_id == tenant_id) & (table.c.email == email)


def _row(connection: Connection, tenant_id: str, email: str) -> RowMapping | None:
    return connection.execute(select(TOTP).where(_is(TOTP, tenant_id, email))).mappings().first()
