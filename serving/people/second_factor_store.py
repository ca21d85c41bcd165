"""Signing in with a second factor: setting it up, giving a code, and what an administrator may reset.

Every change of a factor ends all sessions of the person; the browser that made it gets a new one.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from foundation.errors import AccessError
from serving.people import api_tokens, passwords, second_factors, sessions
from serving.people.credential_store import CredentialStore
from serving.people.database import email_of
from serving.people.principal import Principal
from serving.people.second_factors import SecondFactor, Step
from serving.people.session_store import SessionStore

WRONG_CODE = "The code is wrong, or was used already. Wait for the next one."
SET_UP_ALREADY = "You have a second factor already."
NOT_NOW = "Sign in again."


@dataclass(frozen=True, kw_only=True)
class NewFactor:
    """What a person gets who set a factor up: the token of a new session, and recovery codes, which are shown once."""

    session_token: str
    recovery_codes: tuple[str, ...]


class SecondFactorStore(CredentialStore, SessionStore):
    """The second factors of people. Each use and change is an audit row."""

    def second_factor(self, principal: Principal) -> SecondFactor | None:
        """The person's authenticator app, or None."""
        with self._reading.connect() as connection:
            return second_factors.of_person(connection, principal.tenant_id, principal.email)

    def offer_second_factor(self, principal: Principal) -> str:
        """The secret (base32) for an authenticator app. Raises AccessError where the person has an app already."""
        with self._writing() as connection:
            secret = second_factors.offer(connection, self._key, principal.tenant_id, principal.email)
        if secret is None:
            raise AccessError(SET_UP_ALREADY)
        return secret

    def enrol_second_factor(
        self, token: str, password: str, code: str, *, address: str = "", browser: str = ""
    ) -> NewFactor:
        """Sets up the app that was offered, by the person of a session who knows the password. Raises AccessError for a wrong
        password or code, and for a session that may not do it."""
        who = self._person_of(token, {None, Step.ENROL})
        self.authenticate(who.tenant_id, who.email, password, address=address)
        mine = (who.tenant_id, who.email)
        with self._writing() as connection:
            held = passwords.code_limits(self._key, *mine, address)
            wait = passwords.begin_attempt(connection, held)
            if not wait and second_factors.confirm(connection, self._key, *mine, code):
                passwords.forget_failures(connection, held)
                codes = second_factors.new_recovery_codes(connection, self._key, *mine)
                sessions.end_all(connection, *mine)
                self._audit(connection, *mine, "second factor set up", {"user": who.email, "by": "app"})
                made = sessions.create(connection, *mine, address, browser, second_factor=True)
                return NewFactor(session_token=made, recovery_codes=codes)
            self._refused_code(connection, who, wait)
        raise passwords.throttled(wait) if wait else AccessError(WRONG_CODE)

    def pass_second_factor(self, token: str, code: str, *, address: str = "", browser: str = "") -> str:
        """Takes a code in a session that waits for one; returns the token of the session that replaces it. Raises AccessError."""
        who = self._person_of(token, {Step.CODE})
        with self._writing() as connection:
            refusal = self._take(connection, who, code, address)
            if refusal is None:
                sessions.end(connection, token)
                return sessions.create(connection, who.tenant_id, who.email, address, browser, second_factor=True)
        raise refusal

    def renew_recovery_codes(self, token: str, code: str, *, address: str = "") -> tuple[str, ...]:
        """New recovery codes for the person of a session who gives a code; earlier ones count no more. Raises AccessError."""
        who = self._person_of(token, {None})
        with self._writing() as connection:
            refusal = self._take(connection, who, code, address)
            if refusal is None:
                self._audit(connection, who.tenant_id, who.email, "recovery codes made", {"user": who.email})
                return second_factors.new_recovery_codes(connection, self._key, who.tenant_id, who.email)
        raise refusal

    def remove_second_factor(
        self, token: str, password: str, code: str, *, address: str = "", browser: str = ""
    ) -> str:
        """Removes the app of a person who gives password and code; returns the token of a new session. Raises AccessError."""
        who = self._person_of(token, {None})
        self.authenticate(who.tenant_id, who.email, password, address=address)
        with self._writing() as connection:
            refusal = self._take(connection, who, code, address)
            if refusal is None:
                second_factors.remove_app(connection, who.tenant_id, who.email)
                is_left = second_factors.has_any(connection, who.tenant_id, who.email)
                sessions.end_all(connection, who.tenant_id, who.email)
                self._audit(connection, who.tenant_id, who.email, "second factor removed", {"user": who.email})
                return sessions.create(connection, who.tenant_id, who.email, address, browser, second_factor=is_left)
        raise refusal

    def reset_second_factor(self, tenant_id: str, email: str, *, actor: str) -> bool:
        """Removes app and passkeys of a person who lost them, and ends sessions and API tokens; whether there was one. The caller checks
        that `actor` may. Raises AccessError for an unknown user."""
        user = email_of(email)
        with self._writing() as connection:
            if self._user(connection, tenant_id, user) is None:
                raise AccessError("there is no such user in this tenant")
            had_one = second_factors.remove_all(connection, tenant_id, user)
            sessions.end_all(connection, tenant_id, user)
            api_tokens.end_all(connection, tenant_id, user)
            self._audit(connection, tenant_id, actor, "second factor reset", {"user": user, "had_one": had_one})
            return had_one

    def _person_of(self, token: str, steps: set[Step | None]) -> Principal:
        """The person of a session at one of these steps. Raises AccessError."""
        state = self.sign_in(token)
        if state is None or state.step not in steps:
            raise AccessError(NOT_NOW)
        return state.principal

    def _take(self, connection: Connection, who: Principal, code: str, address: str) -> AccessError | None:
        """Takes a code, and records it; returns why it is refused, None where it was taken."""
        held = passwords.code_limits(self._key, who.tenant_id, who.email, address)
        wait = passwords.begin_attempt(connection, held)
        kind = "" if wait else second_factors.take(connection, self._key, who.tenant_id, who.email, code)
        if not kind:
            self._refused_code(connection, who, wait)
            return passwords.throttled(wait) if wait else AccessError(WRONG_CODE)
        passwords.forget_failures(connection, held)
        self._audit(connection, who.tenant_id, who.email, "second factor", {"by": kind})
        return None

    def _refused_code(self, connection: Connection, who: Principal, wait: timedelta) -> None:
        detail = {"throttled": bool(wait)}
        self._audit(connection, who.tenant_id, who.email, "second factor", detail, result="refused")
