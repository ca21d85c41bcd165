"""Logins for BI tools on the PostgreSQL server: made, listed and revoked by the operator, each an audit row of its tenants.

The name of a login has no meaning, because every login can read the names of all roles of a server. Its password is shown once; the
server is given its SCRAM verifier, so that no log holds it. A revoked login reads nothing from its next query on.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from foundation.errors import AccessError, ConfigurationError
from serving.people.store import AccessStore
from serving.postgres.roles import connect, readers_of, refuse_unsafe

PREFIX = "bi_"
# A tool that opens more than this is not a person's dashboard.
CONNECTIONS = 20


@dataclass(frozen=True, kw_only=True)
class BiLogin:
    """One login. `tenants` is the one it stands for, or, where `chooses`, those it may set for a transaction; `unit_ids` are the
    units it is bound to, with all below them, empty for the whole tenant."""

    login: str
    tenants: tuple[str, ...]
    chooses: bool
    unit_ids: tuple[str, ...]
    label: str
    created_at: datetime


def create(
    server: Mapping[str, str],
    store: AccessStore,
    *,
    tenants: Sequence[str],
    unit_ids: Sequence[str] = (),
    chooses: bool = False,
    label: str = "",
    actor: str,
    citus: bool = False,
) -> tuple[str, str]:
    """Makes a login; returns (login, password).

    `chooses` makes one for a service: its tenant is what it sets for each transaction, one of `tenants`. Raises ConfigurationError
    for a tenant or unit that is not there, several tenants without `chooses`, units with it, and where nothing is served yet.
    """
    names, units = tuple(dict.fromkeys(tenants)), tuple(sorted(set(unit_ids)))
    _refuse_scope(store, names, units, chooses=chooses, citus=citus)
    login, password = PREFIX + secrets.token_hex(6), secrets.token_urlsafe(24)
    readers = readers_of(server["dbname"])
    with connect(server, doing="make the login") as connection:
        if connection.execute("select to_regclass('access.login_scope')").fetchone() == (None,):
            raise ConfigurationError(
                "nothing is served on this server yet: start with clinicmart run --target postgres"
            )
        _refuse_units(connection, names[0], units)
        verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
        connection.execute(
            sql.SQL(
                "create role {login} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit "
                "connection limit {limit} password {password} in role {readers}"
            ).format(
                login=sql.Identifier(login),
                limit=sql.Literal(CONNECTIONS),
                password=sql.Literal(verifier),
                readers=sql.Identifier(readers),
            )
        )
        # A login cannot change anything; this setting shows it to tools.
        connection.execute(
            sql.SQL("alter role {} set default_transaction_read_only = on").format(sql.Identifier(login))
        )
        connection.execute(
            "insert into access.login_scope (login, tenant_id, chooses_from, unit_ids, label) values (%s, %s, %s, %s, %s)",
            [login, None if chooses else names[0], list(names) if chooses else None, list(units) or None, label],
        )
        refuse_unsafe(connection, readers)
        # Before the login can be used: one that is in no audit must not be.
        for tenant in names:
            detail = {"login": login, "units": list(units), "chooses_tenant": chooses}
            store.audit(tenant, actor, "bi login created", detail=detail)
    return login, password


def _refuse_scope(
    store: AccessStore, tenants: tuple[str, ...], units: tuple[str, ...], *, chooses: bool, citus: bool
) -> None:
    tenant_ids = {tenant_id for tenant_id, _ in store.tenants()}
    unknown = sorted(set(tenants) - tenant_ids)
    if unknown or not tenants:
        raise ConfigurationError(f"there is no tenant {', '.join(unknown)}; known are {', '.join(sorted(tenant_ids))}")
    if len(tenants) > 1 and not chooses:
        raise ConfigurationError(
            "a login belongs to one tenant; for a service with several tenants use --chooses-tenant"
        )
    if chooses and units:
        raise ConfigurationError("a login that chooses its tenant cannot be bound to service units")
    if chooses and citus:
        raise ConfigurationError(
            "on Citus a login belongs to one tenant, because nodes do not receive the settings of a transaction"
        )


def _refuse_units(connection: psycopg.Connection[Any], tenant: str, units: tuple[str, ...]) -> None:
    rows = connection.execute(
        "select service_unit_id from access.service_unit where tenant_id = %s", [tenant]
    ).fetchall()
    unknown = sorted(set(units) - {row[0] for row in rows})
    if unknown:
        raise ConfigurationError(f"{tenant} has no service unit {', '.join(unknown)}")


def logins(server: Mapping[str, str], *, tenant: str | None = None) -> tuple[BiLogin, ...]:
    """The logins there are, those of one tenant where it is given, by age."""
    with connect(server, doing="list the logins") as connection:
        if connection.execute("select to_regclass('access.login_scope')").fetchone() == (None,):
            return ()
        rows = connection.execute(
            "select login, tenant_id, chooses_from, unit_ids, label, created_at from access.login_scope order by created_at, login"
        ).fetchall()
    listed = [
        BiLogin(
            login=login,
            tenants=(single_unit,) if single_unit else tuple(several),
            chooses=single_unit is None,
            unit_ids=tuple(units or ()),
            label=label,
            created_at=created_at,
        )
        for login, single_unit, several, units, label, created_at in rows
    ]
    return tuple(item for item in listed if tenant is None or tenant in item.tenants)


def revoke(server: Mapping[str, str], store: AccessStore, login: str, *, tenant: str, actor: str) -> None:
    """Takes a login away and ends its sessions. Raises AccessError where the tenant has no such login."""
    mine = next((item for item in logins(server, tenant=tenant) if item.login == login), None)
    if mine is None:
        raise AccessError(f"{tenant} has no login {login}")
    name = sql.Identifier(login)
    with connect(server, doing="revoke the login") as connection:
        # From here on every query of an open session fails, even if a later step fails.
        connection.execute("delete from access.login_scope where login = %s", [login])
        connection.execute(sql.SQL("alter role {} nologin").format(name))
        for item in mine.tenants:
            store.audit(item, actor, "bi login revoked", detail={"login": login})
    with connect(server, doing="drop the login") as connection:
        # To end its sessions and drop what it may have made (large objects), its maker must be its member.
        connection.execute(sql.SQL("grant {} to current_user").format(name))
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [login])
        connection.execute(sql.SQL("drop owned by {}").format(name))
        connection.execute(sql.SQL("drop role {}").format(name))
