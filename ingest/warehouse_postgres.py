"""Raw tables in PostgreSQL: a copy of those in the home's warehouse, for dbt's target `postgres`.

    server = server_of(url)                         # dict of libpq parameters
    prepare_database(server, schemas)               # empty schemas of ours; refuses those that others made
    copy_raw(home, keys, server)                    # rows copied

Messages name tables and SQLSTATEs, never what PostgreSQL says of a value: it would quote the row.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import adbc_driver_manager
import duckdb
import psycopg
from adbc_driver_postgresql import dbapi
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from data_contracts import load_contracts
from data_contracts.generate import OPERATIONAL
from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys

RAW = "raw"
# What dbt's profile can be told. Anything else libpq takes from its own environment variables (PGSSLROOTCERT and so on).
PARAMETERS = ("host", "port", "user", "password", "dbname", "sslmode")
MARK = "Made by clinicmart compare-engines, which drops and makes it anew."
CHUNK = 50_000
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
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "--postgres is no PostgreSQL URL: postgresql://user:password@host:port/database"
        ) from None
    unknown = sorted(set(given) - set(PARAMETERS))
    if unknown:
        raise ConfigurationError(
            f"--postgres: {', '.join(unknown)} cannot be given in the URL; set libpq's environment variables instead"
        )
    lacking = [name for name in ("host", "user", "dbname") if not given.get(name)]
    if lacking:
        raise ConfigurationError(f"--postgres: the URL names no {', '.join(lacking)}")
    return {name: str(value) for name, value in given.items() if value}


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns an error of either driver into one that says what was tried and the SQLSTATE."""
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        state = error.sqlstate or "no connection"
        raise ClinicmartError(f"PostgreSQL could not {what} ({state}); its log says more") from None


def create_database(server: Mapping[str, str], name: str) -> dict[str, str]:
    """Makes a database that sorts text by code point and folds the case of every letter, as DuckDB does; returns its parameters."""
    with _told(f"make the database {name}"), psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "create database {} template template0 encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8'"
            ).format(sql.Identifier(name))
        )
    return {**server, "dbname": name}


def prepare_database(server: Mapping[str, str], schemas: Iterable[str]) -> None:
    """Makes each schema empty. One that is there already is dropped only where an earlier call made it.

    Raises ConfigurationError where a schema of that name belongs to somebody else, or where the database sorts text otherwise
    than DuckDB: the first or last of several names would be another one.
    """
    with _told("prepare its schemas"), psycopg.connect(make_conninfo(**server)) as connection:
        row = connection.execute("select 'a' > 'B' and lower('É') = 'é' and getdatabaseencoding() = 'UTF8'").fetchone()
        if row is None or not row[0]:
            raise ConfigurationError(
                "--postgres: the database must sort text by code point in UTF-8; make one with create database ... "
                "template template0 encoding 'UTF8' locale 'C.UTF-8'"
            )
        names = [RAW, *schemas]
        there = connection.execute(
            "select nspname, obj_description(oid, 'pg_namespace') from pg_namespace where nspname = any(%s)", [names]
        ).fetchall()
        foreign = sorted(name for name, comment in there if comment != MARK)
        if foreign:
            raise ConfigurationError(
                f"--postgres: the database holds schemas this command did not make: {', '.join(foreign)}; name an empty one"
            )
        for name in names:
            schema = sql.Identifier(name)
            connection.execute(sql.SQL("drop schema if exists {} cascade").format(schema))
            connection.execute(sql.SQL("create schema {}").format(schema))
            connection.execute(sql.SQL("comment on schema {} is {}").format(schema, sql.Literal(MARK)))


def copy_raw(home: Home, keys: Keys, server: Mapping[str, str]) -> int:
    """Copies every raw table of the home's warehouse into schema `raw`; returns the number of rows.

    Entities get the types of their contracts, operational tables those they have. Times stay `timestamp` in UTC. Rows go over
    as Arrow in chunks of CHUNK. Raises ClinicmartError naming the table that PostgreSQL refused or took only in part.
    """
    copied = 0
    conninfo = make_conninfo(**server)
    with duck.session(home) as warehouse:
        duck.attach(warehouse, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
        for table in _tables():
            columns = _columns(warehouse, table)
            listed = ", ".join(f'"{name}"' for name in columns)
            made = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            with (
                _told(f"take the table {RAW}.{table}"),
                dbapi.connect(conninfo, autocommit=True) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(f'create table {RAW}."{table}" ({made})')
                rows = warehouse.execute(f'select {listed} from warehouse.{RAW}."{table}"').to_arrow_reader(CHUNK)
                cursor.adbc_ingest(table, rows, mode="append", db_schema_name=RAW)
                cursor.execute(f'select count(*) from {RAW}."{table}"')
                taken = _count(cursor.fetchone())
            held = _count(warehouse.execute(f'select count(*) from warehouse.{RAW}."{table}"').fetchone())
            if taken != held:
                raise ClinicmartError(f"{RAW}.{table}: {taken} rows are in PostgreSQL, {held} in the warehouse")
            copied += taken
    with _told("gather statistics"), psycopg.connect(conninfo, autocommit=True) as statistics:
        statistics.execute("analyze")
    return copied


def _count(row: object) -> int:
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
    known = {column.name: column.postgres_type for column in contract.columns} if contract else {}
    return {name: known.get(name) or _TYPES[kind] for name, kind in types}
