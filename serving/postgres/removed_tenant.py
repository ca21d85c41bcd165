"""Takes a tenant out of the PostgreSQL server: its logins, and its rows in every table."""

from collections.abc import Mapping

from psycopg import sql

from serving.people.store import AccessStore
from serving.postgres.bi_logins import logins, revoke
from serving.postgres.roles import connect

# Tables of ours with a column of the tenant, and whether row policies bind their owner too.
_TABLES = (
    "select n.nspname, c.relname, c.relforcerowsecurity from pg_class c join pg_namespace n on n.oid = c.relnamespace "
    "join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped "
    "where c.relkind in ('r', 'p') and pg_has_role(c.relowner, 'usage') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' "
    "and not (n.nspname = 'access' and c.relname = 'login_scope') order by 1, 2"
)


def remove_rows(server: Mapping[str, str], store: AccessStore, tenant_id: str, *, actor: str) -> dict[str, int]:
    """Revokes the tenant's logins, takes it from logins that choose their tenant, and deletes its rows; returns what was removed by name.

    Deleted rows leave the server's files with the vacuum, which is run here. Raises ClinicmartError where the server refuses.
    """
    mine = logins(server, tenant=tenant_id)
    alone = [item for item in mine if item.tenants == (tenant_id,)]
    for item in alone:
        revoke(server, store, item.login, tenant=tenant_id, actor=actor)
    counts = {"logins": len(alone)}
    with connect(server, doing="remove the tenant") as connection:
        if connection.execute("select to_regclass('access.login_scope')").fetchone() != (None,):
            connection.execute(
                "update access.login_scope set chooses_from = array_remove(chooses_from, %s) where %s = any (chooses_from)",
                [tenant_id, tenant_id],
            )
        tables = connection.execute(_TABLES).fetchall()
        touched = []
        for schema, table, is_forced in tables:
            name = sql.Identifier(schema, table)
            if is_forced:
                connection.execute(sql.SQL("alter table {} no force row level security").format(name))
            deleted = connection.execute(
                sql.SQL("delete from {} where tenant_id = %s").format(name), [tenant_id]
            ).rowcount
            if is_forced:
                connection.execute(sql.SQL("alter table {} force row level security").format(name))
            if deleted:
                counts[f"{schema}.{table}"] = deleted
                touched.append(name)
    with connect(server, doing="write tables again without the tenant's rows") as connection:
        connection.commit()
        connection.autocommit = True
        for name in touched:
            connection.execute(sql.SQL("vacuum full {}").format(name))
    return {name: count for name, count in counts.items() if count}
