"""Passkeys (WebAuthn Level 2) of people with an account here: what a browser is asked, and whether its answer holds.

A passkey belongs to one person and to the host name of one tenant's address. Each use needs user verification (PIN, finger, face): a
passkey is two factors in one. An answer counts once: the challenge of one that was taken is kept until it would be too old anyway. A
counter of signatures that goes back means that a passkey was copied: such an answer is refused. py_webauthn checks the answers.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update

from foundation.comparing import is_same
from foundation.errors import AccessError
from serving.people.tables import PASSKEY, PASSKEY_CHALLENGE, USER

CHALLENGE_LIFE = timedelta(minutes=5)
CHALLENGE_BYTES = 32
NAME_LENGTH = 60
MOST_PASSKEYS = 10
REFUSED = "The passkey was not accepted. Try again, or sign in with your password."
NOT_HERE = "This passkey belongs to nobody at this address. Sign in with your password."
COPIED = "This passkey may have been copied and is refused. Remove it in your account, and tell your administrator."
HAS_MOST = f"You have {MOST_PASSKEYS} passkeys. Remove one first."
HELD_ALREADY = "This passkey is set up already."
_ID_LENGTH = 12


@dataclass(frozen=True, kw_only=True)
class Place:
    """The address of a tenant at which passkeys count: `host` is its name without port (the relying party's id), `origin` what a browser
    calls the address, `name` what people read."""

    tenant_id: str
    host: str
    origin: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Passkey:
    """A passkey as its owner sees it; `passkey_id` names it without opening anything. Times in UTC."""

    passkey_id: str
    name: str
    host: str
    created_at: datetime
    last_used_at: datetime | None


class Refused(AccessError):
    """An answer that does not hold. `reason` is for the audit, `email` whose passkey it was, empty where nobody is known."""

    def __init__(self, text: str, reason: str, email: str = "") -> None:
        super().__init__(text)
        self.reason, self.email = reason, email


def of_person(connection: Connection, tenant_id: str, email: str) -> tuple[Passkey, ...]:
    """The passkeys of a person, the oldest first."""
    query = select(PASSKEY).where(_is(tenant_id, email)).order_by(PASSKEY.c.created_at)
    return tuple(
        Passkey(
            passkey_id=passkey_id(row["credential_id"]),
            name=row["name"],
            host=row["host"],
            created_at=row["created_at"],
            last_used_at=row["last_used_at"],
        )
        for row in connection.execute(query).mappings()
    )


def count(connection: Connection, tenant_id: str, email: str) -> int:
    """How many passkeys a person has."""
    return connection.execute(select(func.count()).select_from(PASSKEY).where(_is(tenant_id, email))).scalar_one()


def passkey_id(credential_id: str) -> str:
    """A name of a passkey for lists and the audit."""
    return hashlib.sha256(credential_id.encode()).hexdigest()[:_ID_LENGTH]


def creation_options(connection: Connection, key: bytes, user: RowMapping, place: Place, challenge: bytes) -> str:
    """What the browser is asked to make, in JSON. Raises AccessError where the person has MOST_PASSKEYS."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AttestationConveyancePreference,
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    tenant_id, email = user["tenant_id"], user["email"]
    if count(connection, tenant_id, email) >= MOST_PASSKEYS:
        raise AccessError(HAS_MOST)
    held = [PublicKeyCredentialDescriptor(id=_bytes(text)) for text in _credential_ids(connection, place, email)]
    options = generate_registration_options(
        rp_id=place.host,
        rp_name=place.name,
        user_id=_handle(key, tenant_id, email),
        user_name=email,
        user_display_name=user["display_name"],
        challenge=challenge,
        timeout=_milliseconds(),
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=held,
    )
    return options_to_json(options)


def request_options(connection: Connection, place: Place, challenge: bytes, email: str = "") -> str:
    """What the browser is asked to sign, in JSON: with a passkey of a person, or with any that it has for this address."""
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor, UserVerificationRequirement

    held = [PublicKeyCredentialDescriptor(id=_bytes(text)) for text in _credential_ids(connection, place, email)]
    return options_to_json(
        generate_authentication_options(
            rp_id=place.host,
            challenge=challenge,
            timeout=_milliseconds(),
            allow_credentials=held or None,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def add(connection: Connection, user: RowMapping, place: Place, challenge: bytes, answer: str, name: str) -> str:
    """Keeps a passkey that the browser made; returns its name for the audit. Raises Refused."""
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        made = verify_registration_response(
            credential=_json(answer),
            expected_challenge=challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, *_FAULTS) as error:
        raise Refused(REFUSED, type(error).__name__, user["email"]) from None
    _use_once(connection, challenge, user["email"])
    if count(connection, user["tenant_id"], user["email"]) >= MOST_PASSKEYS:
        raise Refused(HAS_MOST, "too many", user["email"])
    credential_id, now = made.credential_id.hex(), datetime.now(UTC)
    if connection.execute(select(PASSKEY.c.email).where(PASSKEY.c.credential_id == credential_id)).first() is not None:
        raise Refused(HELD_ALREADY, "set up already", user["email"])
    connection.execute(
        insert(PASSKEY).values(
            credential_id=credential_id,
            tenant_id=user["tenant_id"],
            email=user["email"],
            host=place.host,
            public_key=made.credential_public_key.hex(),
            sign_count=made.sign_count,
            name=name.strip()[:NAME_LENGTH] or "Passkey",
            created_at=now,
        )
    )
    return passkey_id(credential_id)


def check(
    connection: Connection, key: bytes, place: Place, challenge: bytes, answer: str, email: str = ""
) -> RowMapping:
    """The passkey with which an answer was signed, at this address; with `email` one of this person. The answer never counts again.

    Raises Refused. The connection must hold the write lock.
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        sent = _json(answer)
        row = _row(connection, place, _bytes_of_browser(sent["rawId"]).hex())
        if row is None or (email and row["email"] != email):
            raise Refused(NOT_HERE, "unknown passkey", email)
        if not _is_handle(sent, _handle(key, row["tenant_id"], row["email"])):
            raise Refused(REFUSED, "another person's handle", row["email"])
        verified = verify_authentication_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
            credential_public_key=_bytes(row["public_key"]),
            # Our own check follows the signature: a forged counter must not look like a copy.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, *_FAULTS) as error:
        raise Refused(REFUSED, type(error).__name__, email) from None
    _use_once(connection, challenge, row["email"])
    if max(verified.new_sign_count, row["sign_count"]) > 0 and verified.new_sign_count <= row["sign_count"]:
        raise Refused(COPIED, "the counter of signatures went back", row["email"])
    values = {"sign_count": verified.new_sign_count, "last_used_at": datetime.now(UTC)}
    connection.execute(update(PASSKEY).where(PASSKEY.c.credential_id == row["credential_id"]).values(**values))
    return row


def remove(connection: Connection, tenant_id: str, email: str, passkey: str) -> bool:
    """Removes a passkey of a person by the name in lists; whether there was one."""
    mine: list[str] = list(connection.execute(select(PASSKEY.c.credential_id).where(_is(tenant_id, email))).scalars())
    for credential_id in mine:
        if passkey_id(credential_id) == passkey:
            connection.execute(delete(PASSKEY).where(PASSKEY.c.credential_id == credential_id))
            return True
    return False


_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


def _use_once(connection: Connection, challenge: bytes, email: str) -> None:
    """Raises Refused for a challenge whose answer was taken before."""
    now = datetime.now(UTC)
    connection.execute(delete(PASSKEY_CHALLENGE).where(PASSKEY_CHALLENGE.c.used_at <= now - 2 * CHALLENGE_LIFE))
    used = hashlib.sha256(challenge).hexdigest()
    if (
        connection.execute(select(PASSKEY_CHALLENGE).where(PASSKEY_CHALLENGE.c.challenge_hash == used)).first()
        is not None
    ):
        raise Refused(REFUSED, "an answer that was used", email)
    connection.execute(insert(PASSKEY_CHALLENGE).values(challenge_hash=used, used_at=now))


def _row(connection: Connection, place: Place, credential_id: str) -> RowMapping | None:
    """A passkey of somebody who may sign in at this address."""
    owner = (USER.c.tenant_id == PASSKEY.c.tenant_id) & (USER.c.email == PASSKEY.c.email) & USER.c.is_active
    here = (PASSKEY.c.tenant_id == place.tenant_id) & (PASSKEY.c.host == place.host)
    query = select(PASSKEY).join(USER, owner).where(here, PASSKEY.c.credential_id == credential_id)
    return connection.execute(query).mappings().first()


def _credential_ids(connection: Connection, place: Place, email: str) -> list[str]:
    query = select(PASSKEY.c.credential_id).where(_is(place.tenant_id, email), PASSKEY.c.host == place.host)
    return list(connection.execute(query).scalars())


def _is(tenant_id: str, email: str) -> ColumnElement[bool]:
    return (PASSKEY.c.tenant_id == tenant_id) & (PASSKEY.c.email == email)


def _handle(key: bytes, tenant_id: str, email: str) -> bytes:
    """The handle that a passkey keeps of its person: it names nobody (WebAuthn Level 2, 14.6.1)."""
    return hmac.digest(key, f"passkey/{tenant_id}/{email}".encode(), "sha256")


def _is_handle(sent: Mapping[str, Any], handle: bytes) -> bool:
    """Whether an answer names the person, or nobody: an authenticator that was given a list of passkeys may leave the handle out."""
    named = sent["response"].get("userHandle")
    return not named or is_same(_bytes_of_browser(named).hex(), handle.hex())


def _json(answer: str) -> dict[str, Any]:
    sent = json.loads(answer)
    if not isinstance(sent, dict):
        raise TypeError("not an object")
    return sent


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text)


def _bytes_of_browser(text: str) -> bytes:
    from webauthn.helpers import base64url_to_bytes

    return base64url_to_bytes(text)


def _milliseconds() -> int:
    return int(CHALLENGE_LIFE.total_seconds() * 1000)
