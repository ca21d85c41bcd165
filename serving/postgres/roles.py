"""Who may read what on the PostgreSQL server: roles, and the functions that row policies ask.

    make_access(server)                 # schema access, the group of readers; refuses a server that is not safe

What a login sees is bound to the login: `access.login_scope`, which the owner alone writes, looked up by `session_user`, which no
SET ROLE, SET or function changes. A login without a row there gets an error, not an empty answer. The views that readers see are
made in `serving.postgres.served_views`.

Row policies are barriers for everything but statistics: see docs/postgres.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from foundation.errors import ClinicmartError, ConfigurationError

OLDEST_SERVER = 150000
ACCESS = "access"
MARK = "Made by clinicmart run --target postgres."
SETTING = "clinicmart.tenant_id"
_LONGEST_DATABASE = 50
# Citus: roles, functions and schemas cannot be changed in a transaction that used several connections to a node.
SEQUENTIAL = "set local citus.multi_shard_modify_mode = 'sequential'"

_TABLES_OF_ACCESS = """
create table if not exists access.login_scope (
    login text primary key,
    tenant_id text,
    chooses_from text[],
    unit_ids text[],
    label text not null default '',
    created_at timestamptz not null default now(),
    check ((tenant_id is null) <> (chooses_from is null)),
    check (unit_ids is null or (tenant_id is not null and cardinality(unit_ids) > 0))
);
create table if not exists access.build (
    build text primary key, served_at timestamptz not null default now()
);
create table if not exists access.service_unit (
    tenant_id text not null, service_unit_id text not null, path text not null,
    primary key (tenant_id, service_unit_id, path)
);
"""
# Asked once a query. session_user is who signed in; a definer's function and SET ROLE leave it as it is. Policies name the build
# their table is of: a transaction whose snapshot is older than the switch to it would find the table, and in it no rows.
_FUNCTIONS = f"""
create or replace function access.tenant_id(build text) returns text
language plpgsql stable security definer parallel restricted set search_path = pg_catalog, pg_temp as $$
declare
    bound text;
    choices text[];
    chosen text;
begin
    if not exists (select from access.build as b where b.build = $1) then
        raise exception 'what is served was replaced after this transaction began' using errcode = 'serialization_failure',
            hint = 'Start the transaction again.';
    end if;
    select s.tenant_id, s.chooses_from into bound, choices from access.login_scope as s where s.login = session_user;
    if not found then
        raise exception 'this login may see no tenant' using errcode = 'insufficient_privilege',
            hint = 'clinicmart bi-login create makes logins that may.';
    end if;
    if bound is not null then
        return bound;
    end if;
    chosen := current_setting('{SETTING}', true);
    if chosen is null or chosen = '' then
        raise exception 'no tenant is set' using errcode = 'insufficient_privilege',
            hint = 'select set_config(''{SETTING}'', ..., true) in each transaction.';
    end if;
    if not chosen = any (choices) then
        raise exception 'this login may not see that tenant' using errcode = 'insufficient_privilege';
    end if;
    return chosen;
end
$$;
create or replace function access.unit_ids() returns text[]
language plpgsql stable security definer parallel restricted set search_path = pg_catalog, pg_temp as $$
declare
    bound text;
    tops text[];
begin
    select s.tenant_id, s.unit_ids into bound, tops from access.login_scope as s where s.login = session_user;
    if not found then
        raise exception 'this login may see no tenant' using errcode = 'insufficient_privilege';
    end if;
    if tops is null then
        return null;
    end if;
    return (
        select coalesce(array_agg(distinct below.service_unit_id), '{{}}')
        from access.service_unit as below
        join access.service_unit as top on top.tenant_id = below.tenant_id and starts_with(below.path, top.path)
        where below.tenant_id = bound and top.service_unit_id = any (tops)
    );
end
$$;
revoke all on function access.tenant_id(text), access.unit_ids() from public;
"""
# Citus: what functions read in the policies of shards must be on every node, and other tables lie beside this one.
_ON_CITUS = """
create table if not exists access.tenant_place (tenant_id text primary key);
select create_distributed_table('access.tenant_place', 'tenant_id')
where not exists (select from pg_dist_partition where logicalrelid = 'access.tenant_place'::regclass);
select create_reference_table(place.name::regclass)
from (values ('access.login_scope'), ('access.service_unit'), ('access.build')) as place (name)
where not exists (select from pg_dist_partition where logicalrelid = place.name::regclass);
"""
# Its nodes call functions by name, where elsewhere only policies and views name them; and what these read lies whole on every node.
_ON_CITUS_FUNCTIONS = (
    f"grant usage on schema {ACCESS} to {{group}}",
    "alter function access.tenant_id(text) set citus.allow_nested_distributed_execution to on",
    "alter function access.unit_ids() set citus.allow_nested_distributed_execution to on",
)


class StillRead(Exception):
    """A lock that did not come in time."""


@contextmanager
def connect(server: Mapping[str, str], *, doing: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in one transaction. Errors name the attempted action and the SQLSTATE, never the text of PostgreSQL: it may quote
    a row."""
    try:
        with psycopg.connect(make_conninfo(**server)) as connection:
            yield connection
    except psycopg.errors.LockNotAvailable:
        raise StillRead from None
    except psycopg.Error as error:
        state = error.sqlstate or "no connection"
        raise ClinicmartError(f"PostgreSQL could not {doing} ({state}); see the log of the server") from None


def readers_of(database: str) -> str:
    """The group of roles that read in a database: roles are the server's, and it may hold several of our databases."""
    if len(database.encode()) > _LONGEST_DATABASE:
        raise ConfigurationError(
            f"the name of the database has more than {_LONGEST_DATABASE} bytes; choose a shorter one"
        )
    return f"{database}_readers"


def make_access(server: Mapping[str, str], *, citus: bool = False) -> None:
    """Makes the group of readers, the tables and functions that policies ask, and takes from everybody what nobody needs.

    Raises ConfigurationError, with what to do, for a server older than 15, for an owner or a reader that row policies would not
    bind, and for a database in which anybody may make things.
    """
    readers = readers_of(server["dbname"])
    with connect(server, doing="prepare who may read") as connection:
        if citus:
            connection.execute(SEQUENTIAL)
        _refuse_owner(connection)
        there = connection.execute(
            "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", [ACCESS]
        ).fetchone()
        if there is None:
            connection.execute(f"create schema {ACCESS}")
            connection.execute(sql.SQL(f"comment on schema {ACCESS} is {{}}").format(sql.Literal(MARK)))
        elif there != (MARK,):
            raise ConfigurationError(f"the database holds a schema {ACCESS} that clinicmart did not make; name another")
        if connection.execute("select 1 from pg_roles where rolname = %s", [readers]).fetchone() is None:
            connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(readers)))
        connection.execute(_TABLES_OF_ACCESS)
        connection.execute(_FUNCTIONS)
        if citus:
            connection.execute(_ON_CITUS)
        group, database = sql.Identifier(readers), sql.Identifier(server["dbname"])
        on_citus = _ON_CITUS_FUNCTIONS if citus else ()
        for statement in (
            *on_citus,
            "grant execute on function access.tenant_id(text), access.unit_ids() to {group}",
            "revoke all on database {database} from public",
            "grant connect on database {database} to {group}",
            "revoke create on schema public from public",
        ):
            connection.execute(sql.SQL(statement).format(group=group, database=database))
        refuse_unsafe(connection, readers)


def _refuse_owner(connection: psycopg.Connection[Any]) -> None:
    """Raises ConfigurationError where the server is too old or the role that builds is not fit to own what readers see."""
    row = connection.execute(
        "select current_setting('server_version_num')::int, r.rolsuper, r.rolbypassrls, r.rolcreaterole, "
        "pg_has_role(d.datdba, 'usage') from pg_roles r, pg_database d "
        "where r.rolname = current_user and d.datname = current_database()"
    ).fetchone()
    assert row is not None
    version, is_super, bypasses, creates_roles, owns = row
    if version < OLDEST_SERVER:
        raise ConfigurationError(
            f"the server is PostgreSQL {version // 10000}: views with the rights of who asks need 15 or later"
        )
    if is_super or bypasses:
        raise ConfigurationError(
            "the role that builds is a superuser or passes row-level security: give the URL of one that does not "
            "(create role clinicmart login createrole password '...'; alter database ... owner to clinicmart)"
        )
    if not creates_roles or not owns:
        raise ConfigurationError(
            "the role that builds must own the database and may make logins: alter role ... createrole; "
            "alter database ... owner to ..."
        )


def refuse_unsafe(connection: psycopg.Connection[Any], readers: str) -> None:
    """Raises ConfigurationError naming each role that reads here and that row policies do not bind, and what to do.

    Such are superusers, roles with BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION, and members of anything but the group of
    readers: of the owner, or of a role that reads all data or files of the server.
    """
    # Asked apart: Citus reads a view of the catalogue beside its own table with the rights of the session.
    logins = [name for (name,) in connection.execute("select login from access.login_scope").fetchall()]
    unsafe = connection.execute(
        "select r.rolname, concat_ws(', ', case when r.rolsuper then 'superuser' end, "
        "case when r.rolbypassrls then 'bypassrls' end, case when r.rolcreaterole then 'createrole' end, "
        "case when r.rolcreatedb then 'createdb' end, case when r.rolreplication then 'replication' end, "
        "(select 'member of ' || string_agg(distinct g.rolname::text, ', ') from pg_auth_members m "
        "join pg_roles g on g.oid = m.roleid where m.member = r.oid and g.rolname <> %(readers)s)) as wrong "
        "from pg_roles r where r.rolname = %(readers)s or r.rolname = any (%(logins)s::text[]) "
        "or exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid "
        "where m.member = r.oid and g.rolname = %(readers)s and r.rolname <> current_user)",
        {"readers": readers, "logins": logins},
    ).fetchall()
    wrong = [f"{name} ({why})" for name, why in unsafe if why]
    if wrong:
        raise ConfigurationError(
            f"row-level security would not bind who reads here: {'; '.join(sorted(wrong))}. "
            "Take these attributes and memberships away (alter role ... nosuperuser nobypassrls; revoke ... from ...)"
        )
    row = connection.execute(
        "select has_database_privilege('public', current_database(), 'temp') or "
        "has_database_privilege('public', current_database(), 'create') or "
        "coalesce(has_schema_privilege('public', to_regnamespace('public')::oid, 'create'), false)"
    ).fetchone()
    if row is None or row[0]:
        raise ConfigurationError(
            "anybody may make objects in this database: revoke create on schema public from public; "
            "revoke temporary, create on database ... from public"
        )
