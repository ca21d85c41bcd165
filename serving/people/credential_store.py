"""Proof of who someone is: passwords, one-time passwords, and links with which a password is chosen.

Sign-in answers the same, and takes the same time, for an unknown user and for a wrong password.
"""

import secrets
from datetime import UTC, datetime

from sqlalchemy import RowMapping, select, update

from foundation.comparing import is_same
from foundation.errors import AccessError, ConfigurationError
from serving.people import api_tokens, passwords, sessions
from serving.people.database import Database, email_of
from serving.people.passwords import ONE_TIME_LIFE, RESET_LIFE
from serving.people.principal import Principal
from serving.people.tables import USER

REFUSED = "The user name or the password is wrong."


class CredentialStore(Database):
    """The passwords of people. Every sign-in, refused or not, is an audit row."""

    def authenticate(
        self, tenant_id: str, email: str, password: str, *, address: str = "", browser_mark: str = ""
    ) -> Principal:
        """Checks a user name and a password. Raises AccessError; the message does not say which of them was wrong.

        `address` is where the attempt comes from, `browser_mark` what `browser_mark()` gave the browser at an earlier sign-in.
        """
        user = email_of(email)
        is_known_browser = is_same(browser_mark, passwords.browser_mark(self._key, tenant_id, user))
        held = passwords.limits(self._key, tenant_id, user, address, is_known_browser=is_known_browser)
        with self._writing() as connection:
            wait = passwords.begin_attempt(connection, held)
            row = self._user(connection, tenant_id, user)
            actor = user if row is not None else "unknown"
            if wait:
                self._audit(connection, tenant_id, actor, "sign-in", {"throttled": True}, result="refused")
        if wait:
            raise passwords.throttled(wait)
        is_right = passwords.matches(password, None if row is None else row["password_hash"])
        with self._writing() as connection:
            # Looked up again: the check took a while, and a lock in between counts.
            row = self._user(connection, tenant_id, user)
            is_current = row is not None and row["is_active"] and not self._has_expired(row)
            if is_right and row is not None and is_current:
                passwords.forget_failures(connection, held)
                self._audit(connection, tenant_id, user, "sign-in", {})
                return self._principal(connection, row)
            self._audit(connection, tenant_id, actor, "sign-in", {"throttled": False}, result="refused")
        raise AccessError(REFUSED)

    def browser_mark(self, principal: Principal) -> str:
        """What a browser keeps once it has signed in: strangers' failures do not slow it."""
        return passwords.browser_mark(self._key, principal.tenant_id, principal.email)

    @staticmethod
    def _has_expired(row: RowMapping) -> bool:
        """Whether the password was a one-time one whose time is over."""
        until = row["one_time_until"]
        return bool(row["must_change_password"] and until is not None and until < datetime.now(UTC))

    def set_password(
        self,
        tenant_id: str,
        email: str,
        password: str,
        *,
        actor: str | None = None,
        must_change: bool = False,
        reset: str = "",
    ) -> None:
        """Sets a password and ends the person's sessions. `reset` is the token of the link that the person used, which counts once.

        Raises ConfigurationError for a weak one, and for the one-time password that it is to replace; AccessError for a link that was
        used meanwhile.
        """
        user = email_of(email)
        with self._reading.connect() as connection:
            row = self._user(connection, tenant_id, user)
        if row is None:
            raise AccessError("there is no such user in this tenant")
        if not must_change:
            passwords.check_strength(password, user, [row["display_name"]])
            if row["must_change_password"] and passwords.matches(password, row["password_hash"]):
                raise ConfigurationError("the one-time password cannot be kept; choose another one")
        values = {
            "password_hash": passwords.hashed(password),
            "must_change_password": must_change,
            "one_time_until": datetime.now(UTC) + ONE_TIME_LIFE if must_change else None,
            "reset_hash": None,
            "reset_until": None,
        }
        with self._writing() as connection:
            this = self._is(tenant_id, user)
            if reset:
                this &= USER.c.reset_hash == sessions.token_hash(reset)
            if connection.execute(update(USER).where(this).values(**values)).rowcount == 0:
                raise AccessError("this link was used already" if reset else "there is no such user in this tenant")
            sessions.end_all(connection, tenant_id, user)
            self._audit(connection, tenant_id, actor or user, "password set", {"user": user})

    def change_password(self, principal: Principal, current: str, password: str, *, address: str = "") -> None:
        """Replaces a password by a person who knows it; every session ends. Raises AccessError where it is not the current one."""
        self.authenticate(principal.tenant_id, principal.email, current, address=address)
        self.set_password(principal.tenant_id, principal.email, password)

    def begin_reset(self, tenant_id: str, email: str, *, actor: str) -> str:
        """A token of a link with which a person chooses a new password, once and within RESET_LIFE; sessions end."""
        user, token = email_of(email), secrets.token_urlsafe(32)
        values = {"reset_hash": sessions.token_hash(token), "reset_until": datetime.now(UTC) + RESET_LIFE}
        with self._writing() as connection:
            if connection.execute(update(USER).where(self._is(tenant_id, user)).values(**values)).rowcount == 0:
                raise AccessError("there is no such user in this tenant")
            sessions.end_all(connection, tenant_id, user)
            api_tokens.end_all(connection, tenant_id, user)
            self._audit(connection, tenant_id, actor, "password reset", {"user": user})
        return token

    def person_of_reset(self, token: str) -> Principal | None:
        """Whose link it is, or None where it was used, is too old or was never given."""
        mine = USER.c.reset_hash == sessions.token_hash(token)
        with self._reading.connect() as connection:
            row = connection.execute(select(USER).where(mine, USER.c.is_active)).mappings().first()
            if row is None or row["reset_until"] is None or row["reset_until"] < datetime.now(UTC):
                return None
            return self._principal(connection, row)
