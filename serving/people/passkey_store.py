"""Signing in with a passkey, alone or after the password; adding and removing passkeys.

Every change of a passkey ends all sessions of the person; the browser that made it gets a new one.
"""

from sqlalchemy import Connection, RowMapping

from foundation.errors import AccessError
from serving.people import passkeys, passwords, second_factors, sessions
from serving.people.passkeys import Passkey, Place, Refused
from serving.people.principal import Principal
from serving.people.second_factor_store import NOT_NOW, NewFactor, SecondFactorStore
from serving.people.second_factors import Step

OF_ANOTHER_TENANT = "You are signed in for another organization."


class PasskeyStore(SecondFactorStore):
    """The passkeys of people. Each use and change is an audit row. The caller keeps the challenge between two calls, for this browser
    and passkeys.CHALLENGE_LIFE alone."""

    def passkeys(self, principal: Principal) -> tuple[Passkey, ...]:
        """The passkeys of a person, the oldest first."""
        with self._reading.connect() as connection:
            return passkeys.of_person(connection, principal.tenant_id, principal.email)

    def begin_passkey(self, token: str, password: str, place: Place, challenge: bytes, *, address: str = "") -> str:
        """What the browser is asked to make, in JSON, for the person of a session who gives the password. Raises AccessError."""
        who = self._person_at(token, {None, Step.ENROL}, place)
        self.authenticate(who.tenant_id, who.email, password, address=address)
        with self._reading.connect() as connection:
            return passkeys.creation_options(connection, self._key, self._row_of(connection, who), place, challenge)

    def add_passkey(
        self,
        token: str,
        place: Place,
        challenge: bytes,
        answer: str,
        name: str,
        *,
        address: str = "",
        browser: str = "",
    ) -> NewFactor:
        """Keeps the passkey that the browser made. Who had no second factor before gets recovery codes. Raises AccessError."""
        who = self._person_at(token, {None, Step.ENROL}, place)
        mine = (who.tenant_id, who.email)
        with self._writing() as connection:
            is_first = not second_factors.has_any(connection, *mine)
            try:
                made = passkeys.add(connection, self._row_of(connection, who), place, challenge, answer, name)
            except Refused as error:
                refusal = error
                self._refused_passkey(connection, "passkey added", place, error)
            else:
                codes = second_factors.new_recovery_codes(connection, self._key, *mine) if is_first else ()
                sessions.end_all(connection, *mine)
                self._audit(connection, *mine, "passkey added", {"user": who.email, "passkey": made})
                new = sessions.create(connection, *mine, address, browser, second_factor=True)
                return NewFactor(session_token=new, recovery_codes=codes)
        raise refusal

    def passkey_request(self, place: Place, challenge: bytes, token: str = "") -> str:
        """What the browser is asked to sign, in JSON: after the password in the session of a token, else with any passkey it has here.

        Raises AccessError.
        """
        who = self._person_at(token, {Step.CODE}, place) if token else None
        with self._reading.connect() as connection:
            return passkeys.request_options(connection, place, challenge, who.email if who else "")

    def sign_in_by_passkey(
        self, place: Place, challenge: bytes, answer: str, *, address: str = "", browser: str = ""
    ) -> str:
        """The token of a session for the person whose passkey signed the answer. Raises AccessError."""
        return self._by_passkey("sign-in", None, place, challenge, answer, address, browser, waiting="")

    def pass_by_passkey(
        self, token: str, place: Place, challenge: bytes, answer: str, *, address: str = "", browser: str = ""
    ) -> str:
        """Takes a passkey in a session that waits for a second factor; returns the token of the session that replaces it.

        Raises AccessError.
        """
        who = self._person_at(token, {Step.CODE}, place)
        return self._by_passkey("second factor", who, place, challenge, answer, address, browser, waiting=token)

    def remove_passkey(self, token: str, password: str, passkey: str, *, address: str = "", browser: str = "") -> str:
        """Removes a passkey of a person who gives the password; returns the token of a new session. Raises AccessError."""
        who = self._person_of(token, {None})
        self.authenticate(who.tenant_id, who.email, password, address=address)
        mine = (who.tenant_id, who.email)
        with self._writing() as connection:
            is_removed = passkeys.remove(connection, *mine, passkey)
            if is_removed:
                second_factors.forget_unneeded_codes(connection, *mine)
                sessions.end_all(connection, *mine)
                self._audit(connection, *mine, "passkey removed", {"user": who.email, "passkey": passkey})
                left = second_factors.has_any(connection, *mine)
                return sessions.create(connection, *mine, address, browser, second_factor=left)
        raise AccessError("You have no such passkey.")

    def _by_passkey(
        self,
        action: str,
        who: Principal | None,
        place: Place,
        challenge: bytes,
        answer: str,
        address: str,
        browser: str,
        *,
        waiting: str,
    ) -> str:
        """`waiting`: the token of the session that the new one replaces; empty for none."""
        held = (passwords.address_limit(self._key, "passkey", address),)
        with self._writing() as connection:
            wait = passwords.begin_attempt(connection, held)
            refusal: AccessError
            if wait:
                refusal = passwords.throttled(wait)
                self._refused_passkey(connection, action, place, Refused("", "throttled", who.email if who else ""))
            else:
                try:
                    row = passkeys.check(
                        connection, self._key, place, challenge, answer, email=who.email if who else ""
                    )
                except Refused as error:
                    refusal = error
                    self._refused_passkey(connection, action, place, error)
                else:
                    passwords.forget_failures(connection, held)
                    if waiting:
                        sessions.end(connection, waiting)
                    return self._begun_by(connection, action, row, address, browser)
        raise refusal

    def _begun_by(self, connection: Connection, action: str, row: RowMapping, address: str, browser: str) -> str:
        mine = (row["tenant_id"], row["email"])
        detail = {"by": "passkey", "passkey": passkeys.passkey_id(row["credential_id"])}
        self._audit(connection, *mine, action, detail)
        return sessions.create(connection, *mine, address, browser, second_factor=True)

    def _refused_passkey(self, connection: Connection, action: str, place: Place, error: Refused) -> None:
        detail = {"by": "passkey", "reason": error.reason}
        self._audit(connection, place.tenant_id, error.email or "unknown", action, detail, result="refused")

    def _person_at(self, token: str, steps: set[Step | None], place: Place) -> Principal:
        """The person of a session at one of these steps, at the tenant's own address. Raises AccessError."""
        who = self._person_of(token, steps)
        if who.tenant_id != place.tenant_id:
            raise AccessError(OF_ANOTHER_TENANT)
        return who

    def _row_of(self, connection: Connection, who: Principal) -> RowMapping:
        user = self._user(connection, who.tenant_id, who.email)
        if user is None:
            raise AccessError(NOT_NOW)
        return user
