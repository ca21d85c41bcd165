"""What readers see on the PostgreSQL server: views over the tables of the last build that passed, switched in one transaction.

    ... dbt builds schemas marts_building and health_building, whose post-hook puts policies on every table ...
    serve_built(server, tables, build)          # checks every table, makes the views, switches all names

Readers hold privileges on the columns that a de-identified scope shows unchanged (`serving.scope_files.deidentify`) and
on no other, and see them as views in schema `bi` with the rights, and the row policies, of who asks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from foundation.errors import ClinicmartError
from serving.metrics.registry import HEALTH, PublishedTable, TableColumn
from serving.postgres.roles import MARK, SEQUENTIAL, StillRead, connect, readers_of, refuse_unsafe
from serving.scope_files.deidentify import treatment

VIEWS = "bi"
TABLES = ("marts", "health")
# Schemas whose names are switched; what is built stands beside them under this ending.
SERVED = (*TABLES, VIEWS)
BUILDING, REPLACED = "_building", "_replaced_"
# How long a run waits for those who read what was replaced, before it leaves that to the next run.
LOCK_TIMEOUT = "5s"
BUILDS_KNOWN = 100


def serve_built(
    server: Mapping[str, str], tables: Sequence[PublishedTable], build: str, *, citus: bool = False
) -> None:
    """Shows readers what was built: checks that every table is protected, makes the views, and switches the names of schemas.

    One transaction: a query meets all tables of the last build or all of this one. Schemas are renamed, tables are not locked; what
    was replaced is dropped afterwards, when nobody reads it any longer. `build` is the name that the policies of the tables give
    their build. Raises ClinicmartError naming tables without protection.
    """
    readers = readers_of(server["dbname"])
    with connect(server, doing="switch to what was built") as connection:
        if citus:
            connection.execute(SEQUENTIAL)
        refuse_unsafe(connection, readers)
        built = [name + BUILDING for name in TABLES]
        if citus:
            distribute(connection, built)
        bare = unprotected(connection, built)
        if bare:
            raise ClinicmartError(f"nothing is shown to readers: without row-level security are {', '.join(bare)}")
        _make_schema(connection, VIEWS + BUILDING)
        for table in tables:
            _show(connection, table, readers, build)
        # Nodes of Citus find a shard by its name; elsewhere only views name tables.
        for name in SERVED if citus else (VIEWS,):
            connection.execute(
                sql.SQL("grant usage on schema {} to {}").format(
                    sql.Identifier(name + BUILDING), sql.Identifier(readers)
                )
            )
        connection.execute("delete from access.service_unit")
        connection.execute(
            "insert into access.service_unit select distinct tenant_id, service_unit_id, path "
            f"from marts{BUILDING}.dim_service_units where path is not null"
        )
        connection.execute("insert into access.build (build) values (%s) on conflict do nothing", [build])
        connection.execute(
            "delete from access.build where build not in (select build from access.build order by served_at desc limit %s)",
            [BUILDS_KNOWN],
        )
        for name in SERVED:
            there = connection.execute("select to_regnamespace(%s) is not null", [name]).fetchone()
            if there == (True,):
                _rename(connection, name, name + REPLACED + build[:8])
            _rename(connection, name + BUILDING, name)
    drop_replaced(server)


def drop_replaced(server: Mapping[str, str]) -> bool:
    """Drops the schemas that a switch replaced. Waits a little for queries that still read them; returns False if they did not end:
    the next run drops them. No reader waits for this: new queries go to the new tables."""
    try:
        with connect(server, doing="drop what was replaced") as connection:
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            names = connection.execute(
                "select nspname from pg_namespace where strpos(nspname, %s) > 0 order by nspname", [REPLACED]
            ).fetchall()
            for (name,) in names:
                _drop(connection, name)
    except StillRead:
        return False
    return True


def unprotected(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> list[str]:
    """Tables of some schemas, from the catalogue, that lack forced row-level security, a policy for readers, or the policy that
    lets their owner pass; sorted."""
    rows = connection.execute(
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p', 'm', 'f') and not (c.relrowsecurity and c.relforcerowsecurity "
        "and (select count(*) from pg_policy p where p.polrelid = c.oid and p.polname in ('owner_all', 'reader_rows')) = 2) "
        "order by 1",
        [list(schemas)],
    ).fetchall()
    return [str(row[0]) for row in rows]


def distribute(connection: psycopg.Connection[Any], schemas: Sequence[str]) -> None:
    """Citus: gives the tables of some schemas to its nodes, with their rows, indexes and policies: by tenant, beside each other, or whole
    to every node where a table has no `tenant_id`. Tables that are distributed already stay."""
    rows = connection.execute(
        "select format('%%I.%%I', n.nspname, c.relname), exists (select from pg_attribute a "
        "where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any (%s) and c.relkind = 'r' "
        "and not exists (select from pg_dist_partition p where p.logicalrelid = c.oid) order by 1",
        [list(schemas)],
    ).fetchall()
    for place, is_of_tenants in rows:
        # Rows go to the nodes by COPY, which no policy may bind meanwhile: nobody sees the table before this transaction ends.
        connection.execute(f"alter table {place} no force row level security")
        if is_of_tenants:
            beside = "select create_distributed_table(%s, 'tenant_id', colocate_with => 'access.tenant_place')"
            connection.execute(beside, [place])
        else:
            connection.execute("select create_reference_table(%s)", [place])
        connection.execute(f"alter table {place} force row level security")


def readable_columns(table: PublishedTable) -> tuple[str, ...]:
    """The columns of a table, with their types, that readers are shown: those that a scope without identity leaves as they are. Tables
    of the state of the feeds hold numbers and days of no person."""
    return tuple(
        column.name
        for column in table.columns
        if column.identity not in ("patient", "account", "quasi")
        and (treatment(column) == "keep" or (table.schema == HEALTH and not column.data_type.startswith("VARCHAR")))
    )


def _show(connection: psycopg.Connection[Any], table: PublishedTable, readers: str, build: str) -> None:
    """A view of one table, and the privileges on its columns that the view's readers need.

    The condition of the view is of no column, so that it is asked before any row is read: row policies are not asked of a table
    that has no rows, and one that is younger than the reader's snapshot seems to have none."""
    columns = readable_columns(_typed(connection, table))
    if not columns:
        return
    parts = {
        "base": sql.Identifier(table.schema + BUILDING, table.name),
        "view": sql.Identifier(VIEWS + BUILDING, table.name),
        "columns": sql.SQL(", ").join(sql.Identifier(name) for name in columns),
        "readers": sql.Identifier(readers),
        "build": sql.Literal(build),
    }
    for statement in (
        "create view {view} with (security_invoker = true) as select {columns} from {base} "
        "where access.tenant_id({build}) is not null",
        "grant select ({columns}) on {base} to {readers}",
        "grant select on {view} to {readers}",
    ):
        connection.execute(sql.SQL(statement).format(**parts))
    _describe(connection, table, parts["view"], columns)


def _describe(
    connection: psycopg.Connection[Any], table: PublishedTable, view: sql.Composable, columns: tuple[str, ...]
) -> None:
    """The descriptions of a table and of these columns, as comments on its view."""
    comments = [sql.SQL("comment on view {} is {}").format(view, sql.Literal(table.description))]
    comments += [
        sql.SQL("comment on column {}.{} is {}").format(
            view, sql.Identifier(column.name), sql.Literal(column.description)
        )
        for column in table.columns
        if column.name in columns and column.description
    ]
    connection.execute(sql.SQL("; ").join(comments))


def _typed(connection: psycopg.Connection[Any], table: PublishedTable) -> PublishedTable:
    """The table with all its columns as they were built; text is called VARCHAR, as the rules of identity know it."""
    rows = connection.execute(
        "select a.attname, a.atttypid::regtype::text from pg_attribute a "
        "where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped order by a.attnum",
        [f'"{table.schema}{BUILDING}"."{table.name}"'],
    ).fetchall()
    if not rows:
        raise ClinicmartError(f"{table.schema}.{table.name} is to be shown and was not built; run clinicmart again")
    described = {column.name: column for column in table.columns}
    columns = []
    for name, kind in rows:
        data_type = "VARCHAR" if kind in ("text", "character varying", "character", "name", "json", "jsonb") else kind
        column_type = described.get(name)
        columns.append(replace(column_type or TableColumn(name=name, data_type=""), data_type=data_type))
    return replace(table, columns=tuple(columns))


def _make_schema(connection: psycopg.Connection[Any], name: str) -> None:
    _drop(connection, name)
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
    connection.execute(sql.SQL("comment on schema {} is {}").format(sql.Identifier(name), sql.Literal(MARK)))


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    """Drops a schema of ours; one of that name that somebody else made stays."""
    mark = "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s"
    if connection.execute(mark, [name]).fetchone() == (MARK,):
        connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))


def _rename(connection: psycopg.Connection[Any], name: str, new: str) -> None:
    connection.execute(sql.SQL("alter schema {} rename to {}").format(sql.Identifier(name), sql.Identifier(new)))
