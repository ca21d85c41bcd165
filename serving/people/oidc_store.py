"""Sign-in with a tenant's own identity provider (OpenID Connect): which provider, and who its subjects are here.

The provider says who somebody is, never what they may see: role and units are those of the person here, and a person who does not exist
here gets no session. A subject is matched by issuer and subject. The first time it may be linked by a verified e-mail address that is
the person's user name, where the tenant allows it.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select

from foundation.errors import AccessError, ConfigurationError
from serving.people import passwords, sessions
from serving.people.database import check_tenant, email_of
from serving.people.sealed import seal, unseal
from serving.people.session_store import SessionStore
from serving.people.tables import OIDC_LINK, OIDC_PROVIDER, SESSION

NOT_LINKED = "Your account at the provider belongs to nobody here. Ask your administrator to link it."
FREE_FAILURES = 50
NO_PROVIDER = "Your organization has no identity provider here."
_SECRET_OWNER = "oidc client"  # noqa: S105  # what the sealed secret is bound to


@dataclass(frozen=True, kw_only=True)
class OidcProvider:
    """The identity provider of a tenant. `secret_from` is `env:NAME` or `file:PATH` where the server reads the client's secret there."""

    tenant_id: str
    issuer: str
    client_id: str
    name: str
    links_by_email: bool = False
    secret_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who signed in at the provider, from a verified ID token. `session_id` is the provider's name of its session, if it gives one."""

    issuer: str
    subject: str
    email: str = ""
    is_email_verified: bool = False
    session_id: str = ""


class OidcStore(SessionStore):
    """The identity providers of tenants, and the subjects that are linked. Each sign-in and change is an audit row."""

    def oidc_provider(self, tenant_id: str) -> OidcProvider | None:
        """The tenant's provider, or None."""
        with self._reading.connect() as connection:
            row = connection.execute(_provider(tenant_id)).mappings().first()
        if row is None:
            return None
        names = ("tenant_id", "issuer", "client_id", "name", "links_by_email", "secret_from")
        return OidcProvider(**{name: row[name] for name in names})

    def oidc_client_secret(self, tenant_id: str) -> str:
        """The client's secret; empty for a client without one. Raises ConfigurationError where it cannot be read."""
        with self._reading.connect() as connection:
            row = connection.execute(_provider(tenant_id)).mappings().one()
        if row["sealed_secret"] is not None:
            return unseal(self._key, tenant_id, _SECRET_OWNER, row["sealed_secret"])
        kind, _, place = (row["secret_from"] or "").partition(":")
        try:
            secret = (
                os.environ.get(place, "") if kind == "env" else Path(place).read_text("utf-8").strip() if kind else ""
            )
        except OSError as error:
            raise ConfigurationError(
                f"{tenant_id}: the client secret in {place} cannot be read: {error.strerror}"
            ) from None
        if kind and not secret:
            raise ConfigurationError(f"{tenant_id}: the client secret is not in {row['secret_from']}")
        return secret

    def set_oidc_provider(self, provider: OidcProvider, *, secret: str = "", actor: str) -> None:
        """Sets the tenant's provider; sessions that began at another one end. A `secret` is kept encrypted."""
        tenant_id = provider.tenant_id
        sealed = seal(self._key, tenant_id, _SECRET_OWNER, secret) if secret else None
        with self._writing() as connection:
            check_tenant(connection, tenant_id)
            connection.execute(delete(OIDC_PROVIDER).where(OIDC_PROVIDER.c.tenant_id == tenant_id))
            connection.execute(insert(OIDC_PROVIDER).values(**vars(provider), sealed_secret=sealed))
            _end_sessions(connection, tenant_id)
            detail = {name: value for name, value in vars(provider).items() if name != "tenant_id"}
            self._audit(connection, tenant_id, actor, "identity provider set", detail)

    def remove_oidc_provider(self, tenant_id: str, *, actor: str) -> bool:
        """Removes the provider and ends the sessions that began there; whether there was one. Links are kept for a return."""
        with self._writing() as connection:
            mine = OIDC_PROVIDER.c.tenant_id == tenant_id
            was_there = bool(connection.execute(delete(OIDC_PROVIDER).where(mine)).rowcount)
            _end_sessions(connection, tenant_id)
            self._audit(connection, tenant_id, actor, "identity provider removed", {"was_there": was_there})
            return was_there

    def link_subject(self, tenant_id: str, email: str, subject: str | None, *, actor: str) -> None:
        """Links a person to a subject of the tenant's provider, in place of an earlier one; None only removes the link. The person's
        sessions end. Raises AccessError for an unknown person, ConfigurationError without a provider or for another person's subject."""
        user = email_of(email)
        with self._writing() as connection:
            provider = connection.execute(_provider(tenant_id)).mappings().first()
            if provider is None:
                raise ConfigurationError(f"{tenant_id} has no identity provider; run clinicmart tenants oidc set first")
            if self._user(connection, tenant_id, user) is None:
                raise AccessError("there is no such user in this tenant")
            mine = _links(tenant_id, provider["issuer"])
            connection.execute(delete(OIDC_LINK).where(mine, OIDC_LINK.c.email == user))
            if subject is not None:
                if (
                    connection.execute(select(OIDC_LINK).where(mine, OIDC_LINK.c.subject == subject)).first()
                    is not None
                ):
                    raise ConfigurationError("this subject is linked to another person; unlink that one first")
                _link(connection, tenant_id, provider["issuer"], subject, user)
            sessions.end_all(connection, tenant_id, user)
            detail = {"user": user, "issuer": provider["issuer"], "subject": subject}
            self._audit(connection, tenant_id, actor, "identity linked" if subject else "identity unlinked", detail)

    def begin_oidc_attempt(self, tenant_id: str, address: str) -> None:
        """Counts an attempt from an address before the provider is asked. Raises AccessError where too many failed."""
        with self._writing() as connection:
            wait = passwords.begin_attempt(connection, self._held(address))
            if wait:
                detail = {"by": "identity provider", "throttled": True}
                self._audit(connection, tenant_id, "unknown", "sign-in", detail, result="refused")
        if wait:
            raise passwords.throttled(wait)

    def _held(self, address: str) -> tuple[passwords.Limit, ...]:
        # Nobody guesses a code of a provider: this only keeps a stranger from making us ask the provider all the time.
        return (
            passwords.address_limit(
                self._key, "identity provider", address, free=FREE_FAILURES, longest=passwords.ACCOUNT_LONGEST
            ),
        )

    def begin_oidc_session(self, tenant_id: str, identity: Identity, *, address: str = "", browser: str = "") -> str:
        """The token of a session for the person that a subject is linked to. Raises AccessError where there is none who may sign in."""
        with self._writing() as connection:
            provider = connection.execute(_provider(tenant_id)).mappings().first()
            is_ours = provider is not None and provider["issuer"] == identity.issuer
            email = (
                self._linked(connection, tenant_id, identity, provider["links_by_email"])
                if is_ours and provider
                else ""
            )
            user = self._user(connection, tenant_id, email) if email else None
            detail = {"by": "identity provider", "issuer": identity.issuer}
            if user is not None and user["is_active"]:
                passwords.forget_failures(connection, self._held(address))
                self._audit(connection, tenant_id, email, "sign-in", detail)
                return sessions.create(connection, tenant_id, email, address, browser, oidc_session=identity.session_id)
            self._audit(connection, tenant_id, email or "unknown", "sign-in", detail, result="refused")
        raise AccessError(NOT_LINKED if is_ours else NO_PROVIDER)

    def _linked(self, connection: Connection, tenant_id: str, identity: Identity, links_by_email: bool) -> str:
        """The person that a subject is linked to, now or from now on; empty for none."""
        mine = _links(tenant_id, identity.issuer)
        linked = select(OIDC_LINK.c.email).where(mine, OIDC_LINK.c.subject == identity.subject)
        email: str | None = connection.execute(linked).scalar()
        if email is not None:
            return email
        user = email_of(identity.email)
        if not links_by_email or not identity.is_email_verified or self._user(connection, tenant_id, user) is None:
            return ""
        if connection.execute(select(OIDC_LINK).where(mine, OIDC_LINK.c.email == user)).first() is not None:
            # The address belongs to another subject by now: addresses are given to new people.
            return ""
        _link(connection, tenant_id, identity.issuer, identity.subject, user)
        detail = {"user": user, "issuer": identity.issuer, "subject": identity.subject, "by": "verified e-mail"}
        self._audit(connection, tenant_id, "system", "identity linked", detail)
        return user

    def end_oidc_sessions(self, tenant_id: str, identity: Identity) -> int:
        """Ends the sessions that the provider says have ended: one of them, or all of a subject. Returns how many.

        Raises AccessError where neither is named.
        """
        if not identity.session_id and not identity.subject:
            raise AccessError("the provider named neither a session nor a subject")
        with self._writing() as connection:
            ended = SESSION.c.tenant_id == tenant_id
            if identity.session_id:
                ended &= SESSION.c.oidc_session == identity.session_id
            if identity.subject:
                linked = _links(tenant_id, identity.issuer) & (OIDC_LINK.c.subject == identity.subject)
                ended &= SESSION.c.oidc_session.is_not(None)
                ended &= SESSION.c.email.in_(select(OIDC_LINK.c.email).where(linked))
            number = connection.execute(delete(SESSION).where(ended)).rowcount
            detail = {"by": "identity provider", "sessions": number}
            self._audit(connection, tenant_id, "system", "sign-out", detail)
            return number

    def is_oidc_session(self, token: str) -> bool:
        """Whether a session began at the identity provider."""
        with self._reading.connect() as connection:
            row = sessions.find(connection, token)
            return row is not None and row["oidc_session"] is not None


def _provider(tenant_id: str) -> Select[Any]:
    return select(OIDC_PROVIDER).where(OIDC_PROVIDER.c.tenant_id == tenant_id)


def _links(tenant_id: str, issuer: str) -> ColumnElement[bool]:
    return (OIDC_LINK.c.tenant_id == tenant_id) & (OIDC_LINK.c.issuer == issuer)


def _link(connection: Connection, tenant_id: str, issuer: str, subject: str, email: str) -> None:
    values = {"tenant_id": tenant_id, "issuer": issuer, "subject": subject, "email": email}
    connection.execute(insert(OIDC_LINK).values(**values, linked_at=datetime.now(UTC)))


def _end_sessions(connection: Connection, tenant_id: str) -> None:
    mine = (SESSION.c.tenant_id == tenant_id) & SESSION.c.oidc_session.is_not(None)
    connection.execute(delete(SESSION).where(mine))
