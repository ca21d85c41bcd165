"""Prepares PostgreSQL for dbt's target `postgres`: raw tables, and the schemas of the build.

    server = server_of(url)                         # dict of libpq parameters
    prepare_database(server, schemas)               # empty schemas of ours; refuses those that others made
    copy_raw(home, keys, server)                    # rows copied

A run on the target builds beside what is served, in schemas whose names end in BUILDING, and keeps raw tables that did not change:

    prepare_building(server, schemas)
    copy_raw(home, keys, server, keep_unchanged=True)
    ... dbt build, ingest.load.fetch_marts ...
    drop_building(server)

Messages name tables and SQLSTATEs, never the text of PostgreSQL about a value: it would quote the row.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import duckdb
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from data_contracts import load_contracts
from data_contracts.generate import OPERATIONAL
from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys

if TYPE_CHECKING:
    from adbc_driver_postgresql import dbapi

RAW = "raw"
# The settings that dbt's profile accepts. libpq takes all others from its environment variables (PGSSLROOTCERT and so on).
PARAMETERS = ("host", "port", "user", "password", "dbname", "sslmode")
MARK = "Made by clinicmart compare-engines, which drops it and makes it again."
TARGET_MARK = "Made by clinicmart run --target postgres."
BUILDING = "_building"
CHUNK = 50_000
# PostgreSQL takes what a model works out on its way for a row or two, and would walk through thousands of them for each of
# thousands of others; by hash or in order it reads both once.
_PLANS = "-c enable_nestloop=off"
# Types of the operational tables, which no contract describes.
_TYPES = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "DECIMAL(38,4)": "numeric(38,4)",
}


def server_of(url: str) -> dict[str, str]:
    """The libpq parameters in a PostgreSQL URL. Raises ConfigurationError, which never repeats the URL: it holds a password."""
    try:
        settings = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "--postgres is not a PostgreSQL URL, such as postgresql://user:password@host:port/database"
        ) from None
    unknown = sorted(set(settings) - set(PARAMETERS))
    if unknown:
        raise ConfigurationError(
            f"--postgres: {', '.join(unknown)} cannot be given in the URL; set libpq's environment variables instead"
        )
    lacking = [name for name in ("host", "user", "dbname") if not settings.get(name)]
    if lacking:
        raise ConfigurationError(f"--postgres: the URL lacks {', '.join(lacking)}")
    return {name: str(value) for name, value in settings.items() if value}


def planner_options() -> str:
    """The value of libpq's variable PGOPTIONS while dbt builds, added to its present value."""
    return f"{os.environ.get('PGOPTIONS', '')} {_PLANS}".strip()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turns an error of either driver into one that names the attempted step and the SQLSTATE."""
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        state = error.sqlstate or "no connection"
        raise ClinicmartError(f"PostgreSQL could not {what} ({state}); see the log of the server") from None


def create_database(server: Mapping[str, str], name: str) -> dict[str, str]:
    """Makes a database that sorts text by code point and folds the case of every letter, as DuckDB does; returns its parameters."""
    with told(f"make the database {name}"), psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "create database {} template template0 encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8'"
            ).format(sql.Identifier(name))
        )
    return {**server, "dbname": name}


def prepare_database(server: Mapping[str, str], schemas: Iterable[str]) -> None:
    """Makes each schema empty. An existing schema is dropped only if an earlier call created it. Raises ConfigurationError if a
    schema of that name has another owner, or if the database sorts text differently from DuckDB, because the first or last of
    several names would then differ.
    """
    with told("prepare its schemas"), psycopg.connect(make_conninfo(**server)) as connection:
        _refuse_unfit(connection)
        names = [RAW, *schemas]
        _refuse_foreign(connection, names, MARK)
        for name in names:
            _make_anew(connection, name, MARK)


def prepare_building(server: Mapping[str, str], schemas: Iterable[str]) -> None:
    """Makes an empty schema `<name>_building` for each name, and `raw` where absent. Those of an earlier run that ended half way go.

    Raises ConfigurationError as `prepare_database` does; schemas that compare-engines made are another's too.
    """
    with told("prepare its schemas"), psycopg.connect(make_conninfo(**server)) as connection:
        _refuse_unfit(connection)
        served = sorted(schemas)
        building = [name + BUILDING for name in served]
        _refuse_foreign(connection, [RAW, *served, *building], TARGET_MARK)
        for name in building:
            _make_anew(connection, name, TARGET_MARK)
        if connection.execute("select to_regnamespace(%s)", [RAW]).fetchone() == (None,):
            _make_anew(connection, RAW, TARGET_MARK)


def _refuse_unfit(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("select 'a' > 'B' and lower('É') = 'é' and getdatabaseencoding() = 'UTF8'").fetchone()
    if row is None or not row[0]:
        raise ConfigurationError(
            "--postgres: the database must sort text by code point in UTF-8; make one with create database ... "
            "template template0 encoding 'UTF8' locale 'C.UTF-8'"
        )


def _refuse_foreign(connection: psycopg.Connection[Any], names: Iterable[str], mark: str) -> None:
    there = connection.execute(
        "select nspname, obj_description(oid, 'pg_namespace') from pg_namespace where nspname = any(%s)", [list(names)]
    ).fetchall()
    foreign = sorted(name for name, comment in there if comment != mark)
    if foreign:
        raise ConfigurationError(
            f"--postgres: the database holds schemas that this command did not make: {', '.join(foreign)}; name an empty database"
        )


def _make_anew(connection: psycopg.Connection[Any], name: str, mark: str) -> None:
    schema = sql.Identifier(name)
    connection.execute(sql.SQL("drop schema if exists {} cascade").format(schema))
    connection.execute(sql.SQL("create schema {}").format(schema))
    connection.execute(sql.SQL("comment on schema {} is {}").format(schema, sql.Literal(mark)))


def copy_raw(home: Home, keys: Keys, server: Mapping[str, str], *, keep_unchanged: bool = False) -> int:
    """Copies every raw table of the home's warehouse into schema `raw`; returns the number of rows.

    Entities get the types of their contracts, operational tables those they have. Times stay `timestamp` in UTC. Rows go over
    as Arrow in chunks of CHUNK, a table in one transaction. `keep_unchanged` skips tables that an earlier copy left with the
    same rows: the table's comment is a digest of its rows. Raises ClinicmartError with the table that PostgreSQL refused or
    took only in part.
    """
    # Imported late, with pandas behind it: a run that builds in DuckDB needs neither.
    from adbc_driver_postgresql import dbapi

    copied = 0
    conninfo = make_conninfo(**server)
    with duck.session(home) as warehouse, told("be reached"), dbapi.connect(conninfo) as postgres:
        duck.attach(warehouse, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
        for table in _tables():
            columns = _columns(warehouse, table)
            digest = _digest(warehouse, table, columns) if keep_unchanged else ""
            with told(f"take the table {RAW}.{table}"):
                if digest and _held_digest(postgres, table) == digest:
                    continue
                copied += _copy_table(warehouse, postgres, table, columns, digest)
    analyze(server, [RAW])
    return copied


def _copy_table(
    warehouse: duckdb.DuckDBPyConnection,
    postgres: "dbapi.Connection",
    table: str,
    columns: Mapping[str, str],
    digest: str,
) -> int:
    """Drops one raw table, makes it again and fills it, in one transaction; returns its number of rows."""
    listed = ", ".join(f'"{name}"' for name in columns)
    made = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    with postgres.cursor() as cursor:
        cursor.execute(f'drop table if exists {RAW}."{table}"')
        cursor.execute(f'create table {RAW}."{table}" ({made})')
        rows = warehouse.execute(f'select {listed} from warehouse.{RAW}."{table}"').to_arrow_reader(CHUNK)
        cursor.adbc_ingest(table, rows, mode="append", db_schema_name=RAW)
        cursor.execute(f'select count(*) from {RAW}."{table}"')
        taken = count_in(cursor.fetchone())
        held = count_in(warehouse.execute(f'select count(*) from warehouse.{RAW}."{table}"').fetchone())
        if taken != held:
            raise ClinicmartError(f"{RAW}.{table}: {taken} rows are in PostgreSQL, {held} in the warehouse")
        if digest:
            cursor.execute(f"""comment on table {RAW}."{table}" is '{digest}'""")
    postgres.commit()
    return taken


def _digest(warehouse: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> str:
    """A digest that is equal for equal rows and columns; the order of rows does not matter."""
    rows = warehouse.execute(
        f'select count(*), bit_xor(hash(t)), sum(hash(t)) from warehouse.{RAW}."{table}" as t'
    ).fetchone()
    return hashlib.sha256(repr((duckdb.__version__, dict(columns), rows)).encode()).hexdigest()


def _held_digest(postgres: "dbapi.Connection", table: str) -> str | None:
    with postgres.cursor() as cursor:
        cursor.execute(f"""select obj_description(to_regclass('{RAW}."{table}"'), 'pg_class')""")
        row = cursor.fetchone()
    return row[0] if row else None


def analyze(server: Mapping[str, str], schemas: Iterable[str]) -> None:
    """Gathers the planner's statistics of every table of some schemas."""
    with told("gather statistics"), psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        rows = connection.execute(
            "select schemaname, tablename from pg_tables where schemaname = any(%s) order by 1, 2", [list(schemas)]
        ).fetchall()
        for schema, name in rows:
            connection.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, name)))


def drop_building(server: Mapping[str, str]) -> None:
    """Drops the schemas of a build that are not served: our schemas whose names end in BUILDING."""
    with told("drop what a build left"), psycopg.connect(make_conninfo(**server)) as connection:
        rows = connection.execute(
            "select nspname from pg_namespace where right(nspname, %s) = %s and obj_description(oid, 'pg_namespace') = %s",
            [len(BUILDING), BUILDING, TARGET_MARK],
        ).fetchall()
        for (name,) in rows:
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))


def count_in(row: object) -> int:
    return int(row[0]) if isinstance(row, tuple) else 0


def _tables() -> list[str]:
    return [*(item.name for item in load_contracts().values() if item.store == "landing"), *OPERATIONAL]


def _columns(warehouse: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Column name to PostgreSQL type."""
    types = warehouse.execute(
        "select column_name, data_type from information_schema.columns "
        "where table_catalog = 'warehouse' and table_schema = ? and table_name = ? order by ordinal_position",
        [RAW, table],
    ).fetchall()
    if not types:
        raise ClinicmartError(f"the warehouse has no table {RAW}.{table}: run clinicmart run first")
    contract = load_contracts().get(table) if table not in OPERATIONAL else None
    contract_types = {column.name: column.postgres_type for column in contract.columns} if contract else {}
    return {name: contract_types.get(name) or _TYPES[kind] for name, kind in types}
