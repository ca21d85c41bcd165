"""Open sign-ins: of a session only the SHA-256 of its token is kept, and its rights are looked up on every request."""

from dataclasses import dataclass
from datetime import timedelta

from serving.people import sessions, support_sessions
from serving.people.principal import Principal
from serving.people.second_factors import Step, next_step
from serving.people.tenant_store import TenantStore

# A session that waits for a code of the second factor ends after this time.
CODE_LIFE = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A person who gave the right password. `step` is what is missing before any page is shown, None where nothing is."""

    principal: Principal
    step: Step | None


class SessionStore(TenantStore):
    """The sessions of people."""

    def create_session(self, principal: Principal, *, address: str = "", browser: str = "") -> str:
        """A random token for the browser's cookie; the store keeps its hash only."""
        with self._writing() as connection:
            return sessions.create(connection, principal.tenant_id, principal.email, address, browser)

    def sign_in(self, token: str) -> SignIn | None:
        """The sign-in of a session, which may lack a step; None where the session ended or is unknown."""
        with self._reading.connect() as connection:
            row = sessions.find(connection, token)
            user = None if row is None else self._user(connection, row["tenant_id"], row["email"])
            if row is None or user is None or not user["is_active"]:
                return None
            step = next_step(connection, user, row)
            support_id = row["support_id"]
            principal = (
                support_sessions.principal_of(connection, support_id, user)
                if support_id
                else self._principal(connection, user)
            )
        if principal is None or (support_id and step is not None):
            return None
        if step is Step.CODE and sessions.age(row) > CODE_LIFE:
            return None
        if sessions.is_to_be_noted(row):
            with self._writing() as connection:
                sessions.note_use(connection, row)
        return SignIn(principal=principal, step=step)

    def session(self, token: str) -> Principal | None:
        """The person of a session with the rights of this moment; None where it ended, is unknown, or lacks a step of the sign-in."""
        state = self.sign_in(token)
        return None if state is None or state.step is not None else state.principal

    def open_sessions(self, principal: Principal) -> tuple[sessions.OpenSession, ...]:
        """Where the person is signed in, the newest use first."""
        with self._reading.connect() as connection:
            return sessions.open_sessions(connection, principal.tenant_id, principal.email)

    def session_counts(self) -> dict[str, int]:
        """Tenant to the number of its open sessions, 0 where there is none."""
        with self._reading.connect() as connection:
            counts = sessions.counts(connection)
        return {tenant_id: counts.get(tenant_id, 0) for tenant_id, _ in self.tenants()}

    def end_session(self, token: str) -> None:
        """Signs out; nothing happens for an unknown token."""
        with self._writing() as connection:
            row = sessions.end(connection, token)
            if row is not None:
                self._audit(connection, row["tenant_id"], row["email"], "sign-out", {})
                if row["support_id"]:
                    support_sessions.end_of_sign_in(connection, self._audit, row["support_id"])

    def end_sessions(self, principal: Principal) -> int:
        """Signs a person out everywhere; returns how many sessions ended."""
        with self._writing() as connection:
            number = sessions.end_all(connection, principal.tenant_id, principal.email)
            self._audit(connection, principal.tenant_id, principal.email, "sign-out everywhere", {"sessions": number})
            return number
